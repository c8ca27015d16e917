# shellcheck shell=bash
# What every step of the lab needs: where the caches are, how it speaks, how it fails.
#
# Exit codes of the whole tool. A guest's own code is 0..123; the rest is the lab's:
#   124  the guest (or the command in it) ran into its time limit
#   125  the lab itself failed: wrong usage, something not provisioned, QEMU refused to start
#   126  the guest ended without a verdict: panic, triple fault, init returned

readonly LAB_CODE_TIMEOUT=124
readonly LAB_CODE_BROKEN=125
readonly LAB_CODE_NO_VERDICT=126

# depmod, mke2fs and mkswap live in sbin, which an ordinary user's PATH does not have.
PATH=$PATH:/usr/sbin:/sbin

LAB_CACHE=${GOVERNOR_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/governor-lab}
readonly LAB_CACHE
# Sockets live apart from the caches: a unix socket's path may have 107 bytes only.
LAB_RUN=/tmp/governor-lab-$(id -u)
readonly LAB_RUN
readonly LAB_KERNELS=(6.1 6.12)

lab_say() { printf 'lab: %s\n' "$*" >&2; }

lab_die() {
    lab_say "$*"
    exit "$LAB_CODE_BROKEN"
}

# A private directory for one guest. The base must be ours: /tmp is everybody's.
lab_make_run_base() {
    mkdir -p "$LAB_RUN"
    chmod 0700 "$LAB_RUN"
    [[ -O $LAB_RUN && ! -L $LAB_RUN ]] || lab_die "$LAB_RUN belongs to somebody else"
}

# Holds an exclusive lock on one part of the cache until the calling (sub)shell ends.
lab_lock() {
    local fd
    mkdir -p "$LAB_CACHE"
    exec {fd}>"$LAB_CACHE/$1.lock"
    if ! flock --nonblock "$fd"; then
        lab_say "waiting for another lab at work on: $1"
        flock "$fd"
    fi
}

lab_known_kernel() {
    local known
    for known in "${LAB_KERNELS[@]}"; do
        [[ $1 == "$known" ]] && return 0
    done
    lab_die "no kernel '$1' here; the lab has: ${LAB_KERNELS[*]}"
}

lab_need_value() {
    [[ $# -ge 2 ]] || lab_die "$1 needs a value"
}
