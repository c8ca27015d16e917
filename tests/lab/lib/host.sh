# shellcheck shell=bash
# What the host must have: a table of commands and the Debian package that brings each.
# Nothing is installed, and no network touched, when every command is there already.

host_table() {
    # command              package           wanted for
    cat <<'TABLE'
qemu-system-x86_64     qemu-system-x86   light
mke2fs                 e2fsprogs         light
cpio                   cpio              light
depmod                 kmod              light
xz                     xz-utils          light
busybox                busybox-static    light
flock                  util-linux        light
pgrep                  procps            light
redis-check-rdb        redis-tools       light
dmsetup                dmsetup           light
qemu-img               qemu-utils        full
mmdebstrap             mmdebstrap        full
ssh                    openssh-client    full
socat                  socat             full
TABLE
}

# Packages missing for "light" or "full", one a line.
host_missing() {
    local want=$1 command package for
    while read -r command package for; do
        [[ $for == light || $want == full ]] || continue
        command -v "$command" >/dev/null || printf '%s\n' "$package"
    done < <(host_table)
    # A dynamic busybox cannot be the only file of an initramfs.
    if command -v busybox >/dev/null && head -c 4096 "$(command -v busybox)" | grep -q -a ld-linux; then
        printf 'busybox-static\n'
    fi
}

host_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" >>"$LAB_CACHE/apt.log" 2>&1
}

host_install() {
    local missing
    mapfile -t missing < <(host_missing "$1")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    host_bring "${missing[@]}"
    # Bringing the emulator may have taken away a qemu-utils from another release: apt prefers to
    # remove the one that is in the way. Then this release's is brought, too.
    mapfile -t missing < <(host_missing "$1")
    [[ ${#missing[@]} -eq 0 ]] || host_bring "${missing[@]}"
    mapfile -t missing < <(host_missing "$1")
    [[ ${#missing[@]} -eq 0 ]] || lab_die "installed, and still missing: ${missing[*]}: $LAB_CACHE/apt.log"
}

# Installs these packages, as root, from the machine's own apt.
host_bring() {
    local -a missing=("$@")
    local version
    command -v apt-get >/dev/null || lab_die "install what brings: ${missing[*]} (Debian's names; see README.md)"
    [[ $(id -u) == 0 ]] || lab_die "as root: apt-get install ${missing[*]}"
    lab_say "installing on the host: ${missing[*]}"
    host_apt update || lab_die "apt-get update failed: $LAB_CACHE/apt.log"
    host_apt install --no-install-recommends "${missing[@]}" && return 0
    # A qemu-utils from another release (backports) forbids this release's emulator, and apt will not
    # go back by itself. Both come from one source package, so bring them to one version.
    version=$(apt-cache policy qemu-system-x86 | awk '/Candidate:/ {print $2}')
    lab_say "apt refused; once more with qemu-utils taken to $version"
    host_apt install --no-install-recommends --allow-downgrades "${missing[@]}" "qemu-utils=$version" ||
        lab_die "apt-get install failed: $LAB_CACHE/apt.log"
}
