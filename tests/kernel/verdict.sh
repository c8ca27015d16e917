# shellcheck shell=bash
# What the logs of one run say: one log per guest, named KERNEL-RIG.log, each with a closing line.

# Each script has a folder of its own: they may run beside each other.
LOGS=$ROOT/target/kernel-tests/${0##*/}
readonly LOGS

logs_begin() {
    mkdir -p "$LOGS"
    rm -f "$LOGS"/*.log "$LOGS"/*.log.died
}

# Appends every measured row to a file, if one is named, under a line that says what was measured.
logs_table() {
    [[ -n $1 ]] || return 0
    {
        printf '\n## %s, commit %s, %s CPUs on the host, %s\n' "$(date -u +%F)" \
            "$(git -C "$ROOT" describe --always --dirty)" "$(nproc)" "$2"
        awk '/^\| kernel \|/ { print "" } /^\|/' "$LOGS"/*.log
    } >>"$1"
}

# Adds up the closing lines. A log without one is a failure: the guest died.
verdict() {
    local kernel log line passed=0 failed=0 p f
    for kernel in "$@"; do
        p=0 f=0
        for log in "$LOGS/$kernel"-*.log; do
            line=$(grep '^test result: ' "$log" | tail -n 1 || true)
            if [[ $line =~ \ ([0-9]+)\ passed\;\ ([0-9]+)\ failed ]]; then
                p=$((p + BASH_REMATCH[1])) f=$((f + BASH_REMATCH[2]))
            else
                say "no result in $log"
                f=$((f + 1))
            fi
        done
        say "on $kernel: $p passed, $f failed"
        passed=$((passed + p)) failed=$((failed + f))
    done
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [[ $failed == 0 && $passed -gt 0 ]]
}
