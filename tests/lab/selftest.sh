#!/usr/bin/env bash
# Proves the lab itself: codes come back, failures are never a success, virtual time repeats itself, nothing
# is left behind. "light" leaves out the full system, "full" insists on it; else it is tested if provisioned.
# shellcheck disable=SC2016 # lines for the guest: its shell expands them
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=$here/lab
work=$(mktemp -d)
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

# claim TEXT COMMAND...: the command's success is the claim's.
claim() {
    local text=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$text"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$text"
        sed 's/^/      /' "$work/log"
    fi
}

# gives CODE COMMAND...
gives() {
    local want=$1 got=0
    shift
    "$@" || got=$?
    [[ $got == "$want" ]] || { printf 'code %s instead of %s\n' "$got" "$want"; return 1; }
}

light() {
    local kernel=$1 clock=$2
    shift 2
    "$lab" light --kernel "$kernel" --clock "$clock" "$@"
}

args_and_env_arrive() {
    local out
    out=$(light "$1" virtual --init "$work/init" --env WORD='two words' -- exit 7)
    [[ $? == 7 && $out == *"how=exit code=7"* && $out == *"LAB_KERNEL=$1"* && $out == *"WORD=two words"* ]] && [[ $out != *$'\r'* ]]
}

figures='i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; cat /proc/uptime; grep ctxt /proc/stat; time sha256sum /bin/busybox'
virtual_time_repeats() {
    light "$1" virtual -- "$figures" >"$work/one" 2>&1 &
    light "$1" virtual -- "$figures" >"$work/two" 2>&1 && wait $! && cat "$work/one" "$work/two" &&
        grep -q ctxt "$work/one" && cmp "$work/one" "$work/two"
}

disks_are_there() {
    light "$1" free --disk data=64M --disk raw=32M:raw --disk swap=64M:swap -- '
        mkdir /data; mount -t ext4 /dev/vda /data; swapon /dev/vdc; grep -q vdc /proc/swaps
        [ "$(cat /sys/block/vda/serial /sys/block/vdb/serial /sys/block/vdc/serial)" = datarawswap ]
        start=$(cut -d. -f1 /proc/uptime)
        for i in 1 2 3; do dd if=/dev/zero of=/data/f bs=1M count=40 conv=fsync; done
        took=$(($(cut -d. -f1 /proc/uptime) - start)); echo "120 MB took $took s"
        [ $took -ge 2 ]'
}

a_killed_lab_leaves_nothing() {
    "$lab" light --kernel 6.12 --clock free -- sleep 100 &
    local pid=$! tries=100
    until pgrep -f "initrd $TMPDIR/lab-light" >/dev/null || ((tries-- == 0)); do sleep 0.1; done
    kill -TERM "$pid"
    gives 143 wait "$pid"
    sleep 0.5
    ! pgrep -f "initrd $TMPDIR/lab-light" && [[ -z $(ls "$TMPDIR") ]]
}

files_and_codes_cross() {
    echo in >"$work/in"
    gives 7 "$lab" run --kernel "$1" --in "$work/in:/root/in" --out "/root/out:$work/out" -- \
        'tr a-z A-Z </root/in >/root/out; docker ps -q; exit 7' && [[ $(cat "$work/out") == IN ]]
}

a_named_guest_stays_until_it_is_downed() {
    local name=selftest-$$
    "$lab" up --kernel 6.12 --name "$name" &&
        gives 125 "$lab" up --kernel 6.12 --name "$name" &&
        "$lab" exec "$name" -- 'echo 1 >/root/kept' &&
        gives 124 "$lab" exec "$name" --timeout 2 -- 'sleep 60' &&
        gives 5 "$lab" exec "$name" -- 'exit $(( $(cat /root/kept) + 4 ))' &&
        "$lab" put "$name" "$work/in" /root/there && "$lab" get "$name" /root/there "$work/back" && cmp "$work/in" "$work/back"
    local code=$?
    "$lab" down "$name" || code=1
    gives 125 "$lab" exec "$name" -- true || code=1
    return $code
}

# lost CODE ALIVE CONSOLE: what is told of a line that ended with CODE, the guest alive (true) or not (false).
lost() (
    # shellcheck source=lib/common.sh
    . "$here/lib/common.sh"
    # shellcheck source=lib/clone.sh
    . "$here/lib/clone.sh"
    eval "system_alive() { $2; }"
    printf '%s\n' "$3" >"$work/console"
    clone_lost "$work" "$1"
)

a_lost_line_is_told_by_the_console() {
    local int3='Oops: int3: 0000 [#1] PREEMPT SMP'
    gives 125 lost 255 false "$int3" && gives 125 lost 255 true "$int3" && gives 125 lost 124 false "$int3" &&
        gives 126 lost 255 false 'Kernel panic' && gives 7 lost 7 false 'Power down' &&
        gives 255 lost 255 true 'last words' 2>"$work/said" && grep -q 'last words' "$work/said"
}

gcc -O1 -static -o "$work/init" "$here/guest/selftest-init.c" || exit 125

for kernel in 6.1 6.12; do
    claim "$kernel: args and env arrive, code 7 comes back, virtual clock" args_and_env_arrive "$kernel"
    claim "$kernel: code 0 comes back, free clock" gives 0 light "$kernel" free -- true
    claim "$kernel: an init that returns is no success" gives 126 light "$kernel" free --init "$work/init" -- return 0
    claim "$kernel: a panic is no success" gives 126 light "$kernel" free -- 'echo c >/proc/sysrq-trigger'
    claim "$kernel: a hang is a timeout" gives 124 light "$kernel" free --timeout 6 --init "$work/init" -- spin 0
    claim "$kernel: virtual time repeats itself, two guests at once" virtual_time_repeats "$kernel"
    claim "$kernel: disks arrive by name, and data is slow" disks_are_there "$kernel"
done
claim "wrong usage is the lab's failure" gives 125 light 6.1 sundial -- true
claim "an unknown kernel is the lab's failure" gives 125 light 2.4 free -- true
claim "a line that is lost is told by the guest's console" a_lost_line_is_told_by_the_console
claim "a killed lab leaves nothing behind" a_killed_lab_leaves_nothing

if [[ ${1:-} == light || ( ${1:-} != full && $("$lab" status) == *"image      absent"* ) ]]; then
    skipped=3
    printf 'SKIP  the full system: %s\n' "${1:-not provisioned}"
else
    for kernel in 6.1 6.12; do
        claim "$kernel: files and codes cross, docker answers" files_and_codes_cross "$kernel"
    done
    claim "a named guest stays until it is downed" a_named_guest_stays_until_it_is_downed
fi

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[[ $failed == 0 ]]
