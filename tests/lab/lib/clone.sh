# shellcheck shell=bash
# Throw-away guests from a frozen state: overlays over its disks, its memory read back, a first command
# within seconds. A guest is a directory under LAB_RUN (pid, qmp, ssh, port, disks); taking it down leaves nothing.

clone_usage() {
    cat >&2 <<'USAGE'
usage: lab run  --kernel 6.1|6.12 [--in SRC:DST]... [--out GUESTPATH:HOSTPATH]... [--timeout SECONDS] [--mem 2G] -- LINE
       lab up   --kernel 6.1|6.12 --name NAME [--mem 2G]
       lab exec NAME [--timeout SECONDS] -- LINE
       lab put  NAME HOSTPATH GUESTPATH      lab get NAME GUESTPATH HOSTPATH      lab down NAME
       lab shell [--kernel 6.12] [--mem 2G]
USAGE
}

# Reads the verbs' common options into CLONE_*; what follows -- stays in CLONE_LINE.
clone_options() {
    CLONE_KERNEL='' CLONE_NAME='' CLONE_MEM=$SNAPSHOT_DEFAULT_MEM CLONE_TIMEOUT=600
    CLONE_IN=() CLONE_OUT=() CLONE_LINE=()
    while [[ $# -gt 0 ]]; do
        case $1 in
            --) shift; CLONE_LINE=("$@"); return 0 ;;
            --help) clone_usage; exit 0 ;;
            --*) lab_need_value "$@" ;;&
            --kernel) CLONE_KERNEL=$2 ;;
            --name) CLONE_NAME=$2 ;;
            --mem) CLONE_MEM=$2 ;;
            --clock) [[ $2 == free ]] || lab_die "the full system has disks and two CPUs: only the free clock" ;;
            --in) CLONE_IN+=("$2") ;;
            --out) CLONE_OUT+=("$2") ;;
            --timeout) CLONE_TIMEOUT=$2 ;;
            *) clone_usage; lab_die "unknown argument '$1'" ;;
        esac
        shift 2
    done
}

clone_state() {
    [[ $1 =~ ^[A-Za-z0-9._-]{1,40}$ && $1 != .* ]] || lab_die "no name for a guest: '$1'"
    printf '%s/%s\n' "$LAB_RUN" "$1"
}

# clone_start NAME GUARD...: from nothing to the first command. Must run in the shell that lives as long
# as the guest shall, when GUARD ties it to its parent.
clone_start() {
    local name=$1 state snapshot disk
    shift
    lab_known_kernel "$CLONE_KERNEL"
    snapshot_build "$CLONE_KERNEL" "$CLONE_MEM"
    lab_make_run_base
    state=$(clone_state "$name")
    mkdir "$state" 2>/dev/null || lab_die "there is a guest '$name' already: lab down $name"
    CLONE_STATE=$state
    snapshot=$(snapshot_dir "$CLONE_KERNEL" "$CLONE_MEM")
    mkdir -p "$LAB_CACHE/clones"
    mktemp -d "$LAB_CACHE/clones/$name.XXXXXX" >"$state/disks"
    for disk in "${SYSTEM_DISKS[@]}"; do
        qemu-img create -q -f qcow2 -b "$snapshot/$disk.qcow2" -F qcow2 "$(cat "$state/disks")/$disk.qcow2"
    done
    system_flags "$CLONE_MEM"
    SYSTEM_EXTRA=(-incoming "exec:cat '$snapshot/memory'")
    system_boot "$state" "$(cat "$state/disks")" "$CLONE_KERNEL" "$@"
    qmp_until "$state/qmp" 600 '{"execute":"query-status"}' '*"status": "paused"*' ||
        lab_die "the frozen state was not taken: $(cat "$state/qemu.log")"
    qmp "$state/qmp" '{"execute":"cont"}' >/dev/null || lab_die "the guest does not go on"
    system_port "$state" >"$state/port" || lab_die "no ssh port"
    ssh_open "$state" 120 || lab_die "the guest does not answer: $(tail -n 5 "$state/ssh.log")"
    # It still believes to be in the moment of the freezing.
    ssh_line "$state" "$SSH_PATIENCE" "date -s @$(date +%s.%N) >/dev/null" || lab_die "the guest hangs: $(tail -n 5 "$state/console")"
}

# Removes the guest and all its traces; quiet when there is none.
clone_stop() {
    local state=$1 disks
    [[ -d $state ]] || return 0
    system_kill "$state"
    ssh_close "$state"
    disks=$(cat "$state/disks" 2>/dev/null || true)
    if [[ $disks == "$LAB_CACHE"/clones/* ]]; then rm -rf "$disks"; fi
    rm -rf "$state"
}

# Whatever ends this process: the running line goes, and so does the guest that is CLONE_STATE.
clone_traps() {
    CLONE_STATE='' CLONE_SSH=''
    trap clone_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

clone_cleanup() {
    if [[ -n $CLONE_SSH ]]; then kill "$CLONE_SSH" 2>/dev/null || true; fi
    if [[ -n $CLONE_STATE ]]; then clone_stop "$CLONE_STATE"; fi
}

# A guest that lives no longer than this process.
clone_borrow() {
    clone_traps
    clone_start "$1.$$" setpriv --pdeathsig KILL
}

# The line's exit code, or the lab's for a line that did not end in time.
clone_line() {
    local state=$1 timeout=$2 code=0
    shift 2
    ssh_options "$state"
    # In the background and waited for: only so does a signal get through to our traps at once.
    timeout --foreground "$timeout" ssh "${SSH_OPTIONS[@]}" -n governor-lab "$*" &
    CLONE_SSH=$!
    wait "$CLONE_SSH" || code=$?
    CLONE_SSH=
    if [[ $code == 124 ]]; then lab_say "the line did not end within $timeout s"; fi
    if [[ $code == 255 ]] || { [[ $code != 0 ]] && ! system_alive "$state"; }; then
        clone_lost "$state" "$code" || code=$?
    fi
    return "$code"
}

# Says why a line of a guest has no code of its own, and gives the code that takes its place.
clone_lost() {
    local state=$1 code=$2
    if grep -qaE 'Oops: int3|int3: 0000' "$state/console"; then
        # Under the emulator's threads a CPU can meet the breakpoint that another one patches code with:
        # nothing of what was tested.
        lab_say "the guest's kernel died of patching its own code (Oops: int3); its last words:"
        code=$LAB_CODE_BROKEN
    elif system_alive "$state"; then
        lab_say "the connection ended with $code, and the guest is alive; its last words:"
    else
        lab_say "the guest is gone; its last words:"
        [[ $code != 255 ]] || code=$LAB_CODE_NO_VERDICT
    fi
    tail -n 20 "$state/console" >&2
    return "$code"
}

run_main() {
    local pair code=0
    clone_options "$@"
    [[ -n $CLONE_KERNEL && ${#CLONE_LINE[@]} -gt 0 ]] || { clone_usage; lab_die "run: --kernel and a line are needed"; }
    clone_borrow run
    for pair in "${CLONE_IN[@]}"; do
        ssh_put "$CLONE_STATE" "${pair%%:*}" "${pair#*:}" || lab_die "could not put $pair"
    done
    clone_line "$CLONE_STATE" "$CLONE_TIMEOUT" "${CLONE_LINE[@]}" || code=$?
    # Also after a failure: what came out says why.
    for pair in "${CLONE_OUT[@]}"; do
        ssh_get "$CLONE_STATE" "${pair%%:*}" "${pair#*:}" || { lab_say "could not get $pair"; [[ $code != 0 ]] || code=$LAB_CODE_BROKEN; }
    done
    exit "$code"
}

up_main() {
    clone_options "$@"
    [[ -n $CLONE_KERNEL && -n $CLONE_NAME ]] || { clone_usage; lab_die "up: --kernel and --name are needed"; }
    clone_traps
    clone_start "$CLONE_NAME" setsid
    CLONE_STATE= # it stays
}

# The state of a guest that is up; fails when it is not.
clone_running() {
    local state
    [[ $# -ge 1 ]] || { clone_usage; lab_die "which guest?"; }
    state=$(clone_state "$1")
    system_alive "$state" || lab_die "no guest '$1' is up"
    printf '%s\n' "$state"
}

exec_main() {
    local state
    clone_traps
    state=$(clone_running "$@")
    shift
    clone_options "$@"
    [[ ${#CLONE_LINE[@]} -gt 0 ]] || { clone_usage; lab_die "exec: a line is needed after --"; }
    clone_line "$state" "$CLONE_TIMEOUT" "${CLONE_LINE[@]}"
}

put_main() {
    [[ $# -eq 3 ]] || { clone_usage; lab_die "put NAME HOSTPATH GUESTPATH"; }
    local state
    state=$(clone_running "$1")
    ssh_put "$state" "$2" "$3"
}

get_main() {
    [[ $# -eq 3 ]] || { clone_usage; lab_die "get NAME GUESTPATH HOSTPATH"; }
    local state
    state=$(clone_running "$1")
    ssh_get "$state" "$2" "$3"
}

down_main() {
    [[ $# -eq 1 ]] || { clone_usage; lab_die "down NAME"; }
    clone_stop "$(clone_state "$1")"
}

shell_main() {
    local code=0
    clone_options "$@"
    CLONE_KERNEL=${CLONE_KERNEL:-6.12}
    clone_borrow shell
    ssh_options "$CLONE_STATE"
    ssh "${SSH_OPTIONS[@]}" -t governor-lab || code=$?
    exit "$code"
}
