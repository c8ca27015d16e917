# shellcheck shell=bash
# Commands in the guest: one ssh connection per guest, kept open by a control socket (20 ms a command).
# STATE is the guest's directory under LAB_RUN.

# A guest that hangs under the emulator keeps its connection for minutes: what only prepares has so many seconds.
readonly SSH_PATIENCE=120

# Fills SSH_OPTIONS for the guest at STATE.
ssh_options() {
    local state=$1
    SSH_OPTIONS=(-F none -i "$IMAGE_DIR/key" -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes
        -o "UserKnownHostsFile=$IMAGE_DIR/known_hosts" -o HostKeyAlias=governor-lab -o CheckHostIP=no
        -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o LogLevel=ERROR
        -o "ControlPath=$state/ssh" -o ServerAliveInterval=15 -o ServerAliveCountMax=40
        -o ConnectTimeout=60 -o HostName=127.0.0.1 -o "Port=$(cat "$state/port")" -o User=root)
}

# Opens the connection, waiting for the guest's sshd up to SECONDS.
ssh_open() {
    local state=$1 deadline=$((SECONDS + $2))
    ssh_options "$state"
    until ssh "${SSH_OPTIONS[@]}" -M -N -f governor-lab </dev/null >>"$state/ssh.log" 2>&1; do
        system_alive "$state" || return 1
        ((SECONDS < deadline)) || return 1
        sleep 0.3
    done
}

ssh_close() {
    [[ -S $1/ssh ]] || return 0
    ssh_options "$1"
    ssh "${SSH_OPTIONS[@]}" -O exit governor-lab >/dev/null 2>&1 || true
}

# ssh_line STATE SECONDS LINE...: runs the shell line as root, gives its exit code; 124 if it does not end in time.
ssh_line() {
    local state=$1 seconds=$2
    shift 2
    ssh_options "$state"
    timeout --foreground "$seconds" ssh "${SSH_OPTIONS[@]}" -n governor-lab "$*"
}

ssh_put() {
    ssh_options "$1"
    timeout --foreground "$SSH_PATIENCE" scp -q -r -p "${SSH_OPTIONS[@]}" "$2" "governor-lab:$3"
}

ssh_get() {
    ssh_options "$1"
    timeout --foreground "$SSH_PATIENCE" scp -q -r -p "${SSH_OPTIONS[@]}" "governor-lab:$2" "$3"
}
