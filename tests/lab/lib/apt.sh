# shellcheck shell=bash
# Debian packages of any release, without touching the host's own apt: a second apt root per suite.
# The mirror is whatever this machine's apt already uses, so that a proxy, a local mirror or a
# snapshot stays in force. A host that is no Debian names one in GOVERNOR_LAB_MIRROR.

readonly APT_KEYRING=${GOVERNOR_LAB_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

apt_mirror() {
    local mirror=${GOVERNOR_LAB_MIRROR:-}
    [[ -n $mirror ]] || mirror=$(apt_own_mirror)
    if [[ -z $mirror && $(id -u) == 0 ]]; then
        host_apt update || true # a machine that never fetched its lists knows no origin yet
        mirror=$(apt_own_mirror)
    fi
    [[ -n $mirror ]] || lab_die "apt knows no Debian mirror here: run apt-get update, or set GOVERNOR_LAB_MIRROR"
    printf '%s\n' "$mirror"
}

apt_own_mirror() {
    # shellcheck disable=SC2016 # apt expands it, not the shell
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' | sort -u | sed -n 1p
}

# apt_in SUITE TOOL ARGS...: runs apt-get or apt-cache in the suite's own root.
apt_in() {
    local root=$LAB_CACHE/apt/$1 tool=$2
    shift 2
    "$tool" -q \
        -o "Dir::State=$root/state" -o "Dir::State::status=$root/status" \
        -o "Dir::Cache=$root/cache" \
        -o "Dir::Etc::sourcelist=$root/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Architecture=amd64 -o APT::Sandbox::User=root \
        -o APT::Update::Post-Invoke=true \
        "$@"
}

# Makes the suite's root and fetches its lists; false if the mirror does not have the suite.
apt_open_suite() {
    local root=$LAB_CACHE/apt/$1 mirror
    [[ -r $APT_KEYRING ]] || lab_die "no keyring $APT_KEYRING: install debian-archive-keyring or set GOVERNOR_LAB_KEYRING"
    mirror=$(apt_mirror)
    mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial"
    : >"$root/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$APT_KEYRING" "$mirror" "$1" >"$root/sources.list"
    apt_in "$1" apt-get -o APT::Update::Error-Mode=any update >>"$LAB_CACHE/apt.log" 2>&1
}
