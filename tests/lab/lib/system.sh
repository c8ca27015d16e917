# shellcheck shell=bash
# The full system's machine: the one place that knows its QEMU flags. A frozen state fits only the machine
# that made it, so these flags are part of the state's key.
#   vda  the root            vdb  swap (2 GiB, not slowed)         vdc  /data, a slow disk (40 MB/s, 400 IOPS)

readonly SYSTEM_CPUS=2
readonly SYSTEM_DISKS=(root swap data)
# apparmor=0: docker refuses profiles it cannot load. net.ifnames=0: the interface is eth0, always.
readonly SYSTEM_APPEND="console=ttyS0 quiet panic=-1 oops=panic psi=1 mitigations=off apparmor=0 \
selinux=0 systemd.unified_cgroup_hierarchy=1 net.ifnames=0 random.trust_cpu=on no_timer_check cryptomgr.notests \
systemd.show_status=0 systemd.default_timeout_start_sec=300s"

# Fills SYSTEM_FLAGS: what decides about the guest's hardware. Nothing here may name a run's own files.
system_flags() {
    local mem=$1
    accel_pick free "$SYSTEM_CPUS" 1
    SYSTEM_FLAGS=(-M "q35,smm=off,vmport=off" "${ACCEL_FLAGS[@]}" -m "$mem"
        -nodefaults -no-user-config -display none -no-reboot -rtc base=utc
        -append "$SYSTEM_APPEND"
        -device "virtio-blk-pci,drive=root,serial=root,addr=0x4"
        -device "virtio-blk-pci,drive=swap,serial=swap,addr=0x5"
        -device "virtio-blk-pci,drive=data,serial=data,addr=0x6"
        -device "virtio-net-pci,netdev=net,romfile=,addr=0x7")
}

# system_boot STATE DISKS SERIES GUARD... : starts the guest in the background, with the flags of
# system_flags and its disks DISKS/{root,swap,data}.qcow2. STATE gets pid, qmp, console and qemu.log.
# GUARD is a prefix that ties the guest to us (setpriv --pdeathsig) or lets it go (setsid); SYSTEM_EXTRA
# are flags of this start only.
system_boot() {
    local state=$1 disks=$2 series=$3 disk rate dir
    local -a drives=()
    shift 3
    dir=$(kernel_dir "$series")
    for disk in "${SYSTEM_DISKS[@]}"; do
        rate=
        if [[ $disk == data ]]; then rate=,$LIGHT_DISK_RATE; fi
        drives+=(-drive "if=none,id=$disk,format=qcow2,file=$disks/$disk.qcow2,cache=unsafe,discard=unmap$rate")
    done
    # Port 0: the kernel picks a free one, so any number of guests run side by side.
    "${ACCEL_PREFIX[@]}" "$@" qemu-system-x86_64 "${SYSTEM_FLAGS[@]}" \
        -kernel "$dir/vmlinuz" -initrd "$dir/system-initramfs" "${drives[@]}" \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22" \
        -chardev "file,id=console,path=$state/console" -serial chardev:console \
        -qmp "unix:$state/qmp,server=on,wait=off" "${SYSTEM_EXTRA[@]}" \
        </dev/null >"$state/qemu.log" 2>&1 &
    echo $! >"$state/pid"
    # We kill it ourselves; the shell need not say so.
    disown
    local tries=100
    # Not system_alive: before its exec the process does not have its command line yet.
    until [[ -S $state/qmp ]]; do
        kill -0 "$(cat "$state/pid")" 2>/dev/null || lab_die "qemu did not start: $(cat "$state/qemu.log")"
        ((tries-- > 0)) || lab_die "qemu did not open its control socket"
        sleep 0.05
    done
}

# Alive, and really ours: a pid is used again one day.
system_alive() {
    local pid line
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    line=$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) || return 1
    [[ $line == *"$1/qmp"* ]]
}

system_kill() {
    local tries=100
    system_alive "$1" || return 0
    kill -KILL "$(cat "$1/pid")" 2>/dev/null || true
    while system_alive "$1" && ((tries-- > 0)); do sleep 0.05; done
}

# The host port that leads to the guest's ssh.
system_port() {
    local text
    text=$(qmp "$1/qmp" '{"execute":"human-monitor-command","arguments":{"command-line":"info usernet"}}') || return 1
    [[ $text =~ HOST_FORWARD\][[:space:]]+[0-9]+[[:space:]]+127\.0\.0\.1[[:space:]]+([0-9]+) ]] || return 1
    printf '%s\n' "${BASH_REMATCH[1]}"
}

# One small initramfs per kernel, made once.
system_initramfs() {
    local series=$1 dir work
    dir=$(kernel_dir "$series")
    work=$(mktemp -d "$LAB_CACHE/initramfs.XXXXXX")
    initramfs_tree "$work/tree"
    initramfs_file "$work/tree" "$LAB_DIR/guest/system/initramfs-init:/init"
    initramfs_file "$work/tree" "$(command -v busybox):/bin/busybox"
    kernel_modules "$series" "$work/tree/lab/modules" virtio_pci virtio_blk virtio_net ext4
    initramfs_pack "$work/tree" "$work/initramfs"
    mv "$work/initramfs" "$dir/system-initramfs"
    rm -rf "$work"
}
