# shellcheck shell=bash
# QEMU's control socket: qmp SOCKET JSON... sends the commands one after the other, each after the answer
# to the one before, and prints the last answer. Events in between are passed over.

qmp() {
    local socket=$1 in out pid line command end
    shift
    coproc QMP { exec socat - "UNIX-CONNECT:$socket" 2>/dev/null; }
    # The coprocess' variables vanish when it ends: keep copies.
    pid=$QMP_PID
    exec {out}<&"${QMP[0]}" {in}>&"${QMP[1]}"
    for command in '{"execute":"qmp_capabilities"}' "$@"; do
        printf '%s\n' "$command" >&"$in" || break
        line=
        # All in all: with each event the wait would else begin anew. (Seen: a guest that stood still after its
        # snapshot was loaded, and was waited for without an end.)
        end=$((SECONDS + 120))
        while ((SECONDS < end)) && read -r -t $((end - SECONDS)) line <&"$out"; do
            case $line in '{"return"'* | '{"error"'*) break ;; esac
        done
        [[ $line == '{"return"'* ]] || break
    done
    exec {out}<&- {in}>&-
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    printf '%s\n' "$line"
    [[ $line == '{"return"'* ]]
}

# qmp_until SOCKET TRIES QUERY PATTERN: asks ten times a second until the answer matches.
qmp_until() {
    local tries=$2 answer end
    # One that does not answer at all is asked for two minutes, not for two minutes at each try.
    end=$((SECONDS + 120 + tries / 10))
    while ((tries-- > 0 && SECONDS < end)); do
        answer=$(qmp "$1" "$3" || true)
        # shellcheck disable=SC2053 # a pattern, on purpose
        [[ $answer == $4 ]] && return 0
        sleep 0.1
    done
    return 1
}
