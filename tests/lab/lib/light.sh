# shellcheck shell=bash
# lab light: one static binary as /init of a tiny initramfs, on a real kernel, in seconds.
#
# THE INIT PROTOCOL, to be kept by whatever --init names:
#   /lab/args     the arguments after --, each ended by a NUL byte (like /proc/PID/cmdline)
#   /lab/env      lines KEY=VALUE: LAB_KERNEL=6.1, LAB_CLOCK=virtual|free, LAB_ACCEL=tcg|kvm,
#                 LAB_CPUS=2, LAB_DISKS="name name", and every --env
#   /lab/modules  NN-name.ko, unpacked: finit_module each in the order of the names. Empty without
#                 --disk and --module.
#   /dev/vda ...  one per --disk in the order given; /sys/block/vda/serial is its NAME
#   Nothing is mounted. The init mounts devtmpfs on /dev, then /proc, /sys, cgroup2 and tmpfs as it
#   likes; stdin, stdout and stderr are the console, which reaches the host's stdout line by line.
#   Verdict: write the line "LAB-EXIT n\n" (n = 0..123, decimal) to /dev/ttyS1 in one write, close it,
#   then reboot(RB_AUTOBOOT). n becomes lab's exit code. An init that returns is a kernel panic.
# The host believes nothing else: no line is LAB_CODE_NO_VERDICT (126: panic, oops, triple fault),
# no end in time is LAB_CODE_TIMEOUT (124), both said on stderr.

# Quiet, reboot at once on a panic, PSI on, no mitigations (slow under emulation, and no test's subject);
# nokaslr and norandmaps make two boots alike; the others only save time at boot.
readonly LIGHT_APPEND="console=ttyS0 quiet panic=-1 oops=panic psi=1 mitigations=off apparmor=0 \
nokaslr norandmaps random.trust_cpu=on no_timer_check cryptomgr.notests rcupdate.rcu_expedited=1 8250.nr_uarts=2"

# The kernel says this at the highest level, whatever the console level is. It is nobody's output.
readonly LIGHT_DROP='/^\[ *[0-9.]*\] reboot: Restarting system$/d'

# A plain file with cache=unsafe is no disk. Tests of io need one that can be saturated.
readonly LIGHT_DISK_RATE=throttling.iops-total=400,throttling.bps-total=41943040

light_usage() {
    cat >&2 <<'USAGE'
usage: lab light --kernel 6.1|6.12 --clock virtual|free [--init BIN] [--file SRC:DST]... [--env KEY=VALUE]...
           [--mem 2G] [--pmem SIZE] [--cpus N] [--seed N] [--disk NAME=SIZE[:ext4|:raw|:swap]]... [--module NAME]... [--timeout SECONDS] -- ARGS...
USAGE
}

light_main() {
    local kernel='' clock='' init='' mem=2G pmem='' cpus='' seed=1 timeout=120
    local -a files=() disks=() modules=() env=()
    while [[ $# -gt 0 ]]; do
        case $1 in
            --) shift; break ;;
            --help) light_usage; return 0 ;;
            --*) lab_need_value "$@" ;;&
            --kernel) kernel=$2 ;;
            --clock) clock=$2 ;;
            --init) init=$2 ;;
            --file) files+=("$2") ;;
            --env) env+=("$2") ;;
            --mem) mem=$2 ;;
            --pmem) pmem=$2 ;;
            --cpus) cpus=$2 ;;
            --seed) seed=$2 ;;
            --disk) disks+=("$2") ;;
            --module) modules+=("$2") ;;
            --timeout) timeout=$2 ;;
            *) light_usage; lab_die "light: unknown argument '$1'" ;;
        esac
        shift 2
    done
    [[ -n $kernel && -n $clock ]] || { light_usage; lab_die "light: --kernel and --clock are needed"; }
    kernel_need "$kernel"
    if [[ -z $cpus ]]; then
        if [[ $clock == virtual ]]; then cpus=1; else cpus=2; fi
    fi
    accel_pick "$clock" "$cpus" "$seed"
    if [[ -z $init ]]; then
        init=$LAB_DIR/guest/busybox-init
        files+=("$(command -v busybox):/bin/busybox")
    fi
    light_pmem
    if [[ ${#disks[@]} -gt 0 ]]; then modules=(virtio_pci virtio_blk ext4 "${modules[@]}"); fi

    LIGHT_WORK=$(mktemp -d "${TMPDIR:-/tmp}/lab-light.XXXXXX")
    trap light_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    light_disks "${disks[@]}"
    light_tree "$@"
    initramfs_pack "$LIGHT_WORK/tree" "$LIGHT_WORK/initramfs"
    light_boot "$kernel" "$mem" "$timeout"
}

# A disk of the virtual clock that holds what is written to it, and costs the guest none of its memory: RAM that lies beyond 4 GiB and
# is given to the kernel as persistent. The first 2 GiB of a q35 with more than 2.75 are below that. Uses light_main's variables.
light_pmem() {
    LIGHT_PMEM=''
    if [[ -z $pmem ]]; then return; fi
    [[ $mem == 2G && $pmem =~ ^[1-9][0-9]*G$ ]] || lab_die "light: --pmem NUMBERG, and --mem 2G, not '$pmem' and '$mem'"
    mem=$((2 + ${pmem%G}))G
    LIGHT_PMEM=memmap=$pmem!4G
    modules=(nd_e820 nd_pmem "${modules[@]}")
}

light_cleanup() {
    if [[ -n ${LIGHT_QEMU:-} ]]; then kill "$LIGHT_QEMU" 2>/dev/null || true; fi
    rm -rf "$LIGHT_WORK"
}

# Uses light_main's variables: they are what the tree is made of.
light_tree() {
    local tree=$LIGHT_WORK/tree file
    initramfs_tree "$tree"
    initramfs_file "$tree" "$init:/init"
    chmod 0755 "$tree/init"
    for file in "${files[@]}"; do
        initramfs_file "$tree" "$file"
    done
    kernel_modules "$kernel" "$tree/lab/modules" "${modules[@]}"
    [[ $# -eq 0 ]] || printf '%s\0' "$@" >"$tree/lab/args"
    [[ $# -gt 0 ]] || : >"$tree/lab/args"
    {
        printf 'LAB_KERNEL=%s\nLAB_CLOCK=%s\nLAB_ACCEL=%s\nLAB_CPUS=%s\n' \
            "$kernel" "${clock/#@(kvm|tcg)/free}" "${ACCEL_FLAGS[1]%%,*}" "$cpus"
        printf 'LAB_DISKS=%s\n' "${LIGHT_DISK_NAMES[*]}"
        [[ ${#env[@]} -eq 0 ]] || printf '%s\n' "${env[@]}"
    } >"$tree/lab/env"
}

# Fills LIGHT_DISK_FLAGS and LIGHT_DISK_NAMES. Swap is not slowed: what is under test is memory.
light_disks() {
    local disk name size kind image rate
    LIGHT_DISK_FLAGS=()
    LIGHT_DISK_NAMES=()
    for disk in "$@"; do
        [[ $disk =~ ^([a-z0-9-]+)=([0-9]+[KMG])(:(ext4|raw|swap))?$ ]] || lab_die "--disk NAME=SIZE[:ext4|:raw|:swap], not '$disk'"
        name=${BASH_REMATCH[1]} size=${BASH_REMATCH[2]} kind=${BASH_REMATCH[4]:-ext4}
        image=$LIGHT_WORK/$name.img
        rate=,$LIGHT_DISK_RATE
        truncate -s "$size" "$image"
        case $kind in
            ext4) mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 "$image" ;;
            swap) chmod 0600 "$image"; mkswap "$image" >/dev/null 2>&1 || lab_die "mkswap failed"; rate='' ;;
        esac
        LIGHT_DISK_NAMES+=("$name")
        LIGHT_DISK_FLAGS+=(-drive "if=none,id=$name,format=raw,file=$image,cache=unsafe$rate"
            -device "virtio-blk-pci,drive=$name,serial=$name")
    done
}

light_boot() {
    local kernel=$1 mem=$2 timeout=$3 verdict=$LIGHT_WORK/verdict console=$LIGHT_WORK/console
    local out filter code=0
    # The console is cleaned of CR in a process of its own, which must have said all before we return.
    exec {out}> >(exec sed -u -e 's/\r//g' -e "$LIGHT_DROP")
    filter=$!
    "${ACCEL_PREFIX[@]}" timeout --foreground --kill-after=2 "$timeout" \
        qemu-system-x86_64 -M q35,smm=off,vmport=off,hpet=off "${ACCEL_FLAGS[@]}" -m "$mem" \
        -nodefaults -no-user-config -display none -no-reboot \
        -kernel "$(kernel_dir "$kernel")/vmlinuz" -initrd "$LIGHT_WORK/initramfs" -append "$LIGHT_APPEND $LIGHT_PMEM" \
        -chardev "file,id=console,path=/dev/stdout,logfile=$console" -serial chardev:console \
        -chardev "file,id=verdict,path=$verdict" -serial chardev:verdict \
        "${LIGHT_DISK_FLAGS[@]}" </dev/null >&"$out" &
    LIGHT_QEMU=$!
    exec {out}>&-
    wait "$LIGHT_QEMU" || code=$?
    LIGHT_QEMU=
    wait "$filter" || true
    light_verdict "$code" "$timeout"
}

# Turns QEMU's own code and the verdict line into ours.
light_verdict() {
    local code=$1 timeout=$2 line
    if [[ $code == 124 || $code == 137 ]]; then
        lab_say "light: no end after $timeout s: the guest was killed"
        exit "$LAB_CODE_TIMEOUT"
    fi
    [[ $code == 0 ]] || lab_die "light: qemu failed with code $code"
    line=$(tr -d '\r' <"$LIGHT_WORK/verdict" | tail -n 1)
    if [[ $line =~ ^LAB-EXIT\ ([0-9]{1,3})$ ]]; then
        code=${BASH_REMATCH[1]}
        if [[ $code -gt 123 ]]; then
            lab_say "light: the guest's code $code is given as 123: higher ones are the lab's own"
            code=123
        fi
        exit "$code"
    fi
    if grep -q 'Kernel panic' "$LIGHT_WORK/console"; then
        lab_say "light: the guest's kernel panicked"
    else
        lab_say "light: the guest ended without a verdict"
    fi
    exit "$LAB_CODE_NO_VERDICT"
}
