# shellcheck shell=bash
# The two clocks, as QEMU flags in ACCEL_FLAGS and a command prefix in ACCEL_PREFIX.
#   virtual  the guest's time counts its instructions: a busy host changes nothing, idle time is
#            skipped, two boots with the same input are alike to the last context switch. One CPU.
#            Never with disks or a network: their answers take random time.
#   free     two CPUs on the host's clock: KVM where a guest really boots with it, else emulation.
# "tcg" and "kvm" name one kind of the free clock outright: for the probe and for the lab's own tests.

ACCEL_FLAGS=()
ACCEL_PREFIX=()

accel_virtual() {
    ACCEL_FLAGS=(-accel "tcg,thread=single,tb-size=256" -cpu max -smp 1 -icount "shift=1,sleep=off"
        -rtc "base=2024-01-01T00:00:00,clock=vm" -seed "$1")
}

accel_free() {
    local kind=$1 cpus=$2
    case $kind in
        tcg) ACCEL_FLAGS=(-accel "tcg,thread=multi,tb-size=512" -cpu max -smp "$cpus") ;;
        # Some hosts refuse to set IA32_ARCH_CAPABILITIES, and QEMU then aborts; no test looks at it.
        kvm) ACCEL_FLAGS=(-accel kvm -cpu "host,-arch-capabilities" -smp "$cpus") ;;
    esac
    # Only root may be so greedy; others run as they are.
    if [[ $(id -u) == 0 ]]; then ACCEL_PREFIX=(nice -n -19); fi
}

# accel_pick CLOCK CPUS SEED
accel_pick() {
    case $1 in
        virtual)
            [[ $2 == 1 ]] || lab_die "the virtual clock has one CPU"
            accel_virtual "$3"
            ;;
        free) if kvm_works; then accel_free kvm "$2"; else accel_free tcg "$2"; fi ;;
        tcg | kvm) accel_free "$1" "$2" ;;
        *) lab_die "no clock '$1': virtual or free" ;;
    esac
}
