# shellcheck shell=bash
# The full system's root file system: a Debian with systemd, docker, podman and the tools of the tests,
# and the modules of both kernels. One raw ext4 image, never written to: guests use overlays.
#   image/root.img  image/id  image/recipe  image/key (ssh)  image/known_hosts

readonly IMAGE_DIR=$LAB_CACHE/image
readonly IMAGE_SIZE=8G
readonly IMAGE_PACKAGES=(
    systemd-sysv dbus udev kmod util-linux procps iproute2 iptables openssh-server
    docker.io containerd runc crun podman netavark
    redis-server redis-tools nginx postgresql stress-ng fio jq busybox-static
    # Peers, installed and switched off: what governor is compared with.
    systemd-oomd oomd earlyoom nohang
)
# Off: what would disturb a measurement, or would start a peer.
readonly IMAGE_UNITS_OFF=(
    systemd-oomd.service systemd-oomd.socket oomd.service earlyoom.service nohang.service nohang-desktop.service
    redis-server.service nginx.service postgresql.service podman.service podman.socket podman-auto-update.service podman-restart.service
    podman-auto-update.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
    e2scrub_reap.service fstrim.timer systemd-pstore.service getty@tty1.service
    systemd-networkd.service systemd-timesyncd.service systemd-resolved.service rsync.service
)

# What the image is made from; when it changes, the image is old.
image_recipe() {
    {
        cat "$LAB_DIR/lib/image.sh" "$LAB_DIR"/guest/system/*
        local series
        for series in "${LAB_KERNELS[@]}"; do kernel_release "$series"; done
    } | sha256sum | cut -d' ' -f1
}

image_present() { [[ -s $IMAGE_DIR/id ]]; }

image_need() {
    image_present || lab_die "no system image yet: run 'lab provision full'"
}

image_build() (
    lab_lock image
    image_present && [[ $(cat "$IMAGE_DIR/recipe") == "$(image_recipe)" ]] && return 0
    [[ $(id -u) == 0 ]] || lab_die "the system image is built as root (owners and devices in it)"
    local work
    work=$(mktemp -d "$LAB_CACHE/image.XXXXXX")
    # shellcheck disable=SC2064 # this very directory
    trap "rm -rf --one-file-system '$work'" EXIT
    lab_say "building the system image (about two minutes; log: $LAB_CACHE/image.log)"
    image_bootstrap "$work/root" >"$LAB_CACHE/image.log" 2>&1 || lab_die "mmdebstrap failed: $LAB_CACHE/image.log"
    image_keys "$work"
    image_configure "$work/root" "$work" >>"$LAB_CACHE/image.log" 2>&1 || lab_die "image setup failed: $LAB_CACHE/image.log"
    image_container "$work/root" >>"$LAB_CACHE/image.log" 2>&1 || lab_die "container image failed: $LAB_CACHE/image.log"
    truncate -s "$IMAGE_SIZE" "$work/root.img"
    mke2fs -q -t ext4 -L lab -E lazy_itable_init=0,lazy_journal_init=0 -d "$work/root" "$work/root.img" 2>>"$LAB_CACHE/image.log" ||
        lab_die "mke2fs failed: $LAB_CACHE/image.log"
    mkdir "$work/image"
    mv "$work"/{root.img,key,key.pub,known_hosts} "$work/image/"
    image_recipe >"$work/image/recipe"
    cat /proc/sys/kernel/random/uuid >"$work/image/id"
    rm -rf "$IMAGE_DIR"
    mv "$work/image" "$IMAGE_DIR"
)

image_bootstrap() {
    local mirror packages
    mirror=$(apt_mirror)
    packages=$(IFS=,; printf '%s' "${IMAGE_PACKAGES[*]}")
    mmdebstrap --mode=root --variant=essential --include="$packages" --architectures=amd64 \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        bookworm "$1" "deb [signed-by=$APT_KEYRING] $mirror bookworm main"
}

# A key pair for root, and the host's key known beforehand: no question is ever asked.
image_keys() {
    ssh-keygen -q -t ed25519 -N '' -C governor-lab -f "$1/key"
    ssh-keygen -q -t ed25519 -N '' -C governor-lab-host -f "$1/hostkey"
    printf 'governor-lab %s\n' "$(cut -d' ' -f1,2 "$1/hostkey.pub")" >"$1/known_hosts"
}

image_configure() {
    local root=$1 work=$2 series unit
    echo governor-lab >"$root/etc/hostname"
    printf '127.0.0.1 localhost governor-lab\n' >"$root/etc/hosts"
    printf 'LABEL=lab / ext4 defaults 0 0\n/dev/vdb none swap defaults 0 0\n/dev/vdc /data ext4 defaults 0 0\n' >"$root/etc/fstab"
    mkdir -p "$root/data" "$root/root/.ssh"
    install -m 0600 "$work/key.pub" "$root/root/.ssh/authorized_keys"
    rm -f "$root"/etc/ssh/ssh_host_*
    install -m 0600 "$work/hostkey" "$root/etc/ssh/ssh_host_ed25519_key"
    install -m 0644 "$LAB_DIR/guest/system/sshd.conf" "$root/etc/ssh/sshd_config.d/lab.conf"
    install -m 0644 "$LAB_DIR/guest/system/lab-net.service" "$root/etc/systemd/system/"
    install -D -m 0644 "$LAB_DIR/guest/system/containers.conf" "$root/etc/containers/containers.conf"
    install -D -m 0644 "$LAB_DIR/guest/system/daemon.json" "$root/etc/docker/daemon.json"
    install -D -m 0755 "$LAB_DIR/guest/system/first-boot" "$root/opt/lab/first-boot"
    for unit in "${IMAGE_UNITS_OFF[@]}"; do
        # Masked links forbid a start by hand; a peer must still be startable in a comparison.
        chroot "$root" systemctl disable "$unit" || true
    done
    chroot "$root" systemctl mask systemd-tmpfiles-clean.timer serial-getty@ttyS0.service
    chroot "$root" systemctl enable lab-net.service docker.service containerd.service ssh.service
    for series in "${LAB_KERNELS[@]}"; do
        mkdir -p "$root/lib/modules"
        cp -a "$(kernel_dir "$series")/lib/modules/." "$root/lib/modules/"
    done
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

# The containers' image, without a registry: a few programs of the system with their libraries.
# Kept as a directory (for crun and raw cgroups) and as a tar (imported by docker and podman at first boot).
image_container() {
    local root=$1 tree=$1/opt/lab/rootfs program
    mkdir -p "$tree"/{bin,dev,etc,proc,sys,tmp,run,root,data,lib64,usr/bin}
    cp "$root/bin/busybox" "$tree/bin/"
    chroot "$root" /bin/busybox --list | grep -vx busybox | while read -r program; do ln -sf busybox "$tree/bin/$program"; done
    for program in /usr/bin/{redis-server,redis-cli,redis-benchmark,stress-ng,fio,setpriv} /usr/sbin/nginx; do
        image_copy "$root" "$tree" "$program"
    done
    image_postgresql "$root" "$tree"
    # A server that is started as root becomes the same user in a container as on the host.
    grep -E '^(root|postgres):' "$root/etc/passwd" >"$tree/etc/passwd"
    grep -E '^(root|postgres):' "$root/etc/group" >"$tree/etc/group"
    tar -C "$tree" -cf "$root/opt/lab/image.tar" .
}

# image_copy ROOT TREE FILE: a program or library to the same place of the tree, with the libraries that it needs.
image_copy() {
    local root=$1 tree=$2 file=$3 library
    mkdir -p "$tree${file%/*}"
    cp -L "$root$file" "$tree$file"
    chroot "$root" ldd "$file" | grep -o '/[^ ]*\.so[^ ]*' | while read -r library; do
        mkdir -p "$tree${library%/*}"
        cp -Ln "$root$library" "$tree$library"
    done
}

# The server, and what makes a data folder for it; without its compiler of queries, which is larger than all the rest.
image_postgresql() {
    local root=$1 tree=$2 home file
    home=$(echo "$root"/usr/lib/postgresql/*) # one version: Debian's own
    home=${home#"$root"}
    mkdir -p "$tree/usr/share/postgresql"
    cp -aL "$root/usr/share/postgresql/${home##*/}" "$tree/usr/share/postgresql/"
    for file in "$root$home"/bin/{postgres,initdb} "$root$home"/lib/*.so; do
        [[ $file == */llvmjit*.so ]] || image_copy "$root" "$tree" "${file#"$root"}"
    done
}
