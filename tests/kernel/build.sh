# shellcheck shell=bash
# The static binaries that every rig runs: GOVERNOR, NOISY and KERNEL after `build`, GOVERNOR and BENCH after
# `build_bench`.
# shellcheck disable=SC2034 # used by those who source this

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
LAB=$ROOT/tests/lab/lab
readonly ROOT LAB

say() { printf 'kernel tests: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Static binaries run on every kernel with nothing beside them. Sets GOVERNOR, NOISY and KERNEL.
build() {
    local messages
    messages=$(static --bin governor --bench noisy --test kernel) || die "the build failed"
    GOVERNOR=$(executable governor bin <<<"$messages")
    NOISY=$(executable noisy bench <<<"$messages")
    KERNEL=$(executable kernel test <<<"$messages")
}

# The harness, and the governor that it tries: built apart, lest one's features become the other's.
build_bench() {
    local messages
    messages=$(static --bin governor) || die "the build failed"
    GOVERNOR=$(executable governor bin <<<"$messages")
    messages=$(static --features bench --bin governor-bench) || die "the build failed"
    BENCH=$(executable governor-bench bin <<<"$messages")
}

static() {
    say "building"
    cd "$ROOT" && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --quiet --profile lab \
        --target x86_64-unknown-linux-gnu --target-dir "$ROOT/target/static" \
        --message-format=json-render-diagnostics "$@"
}

# Words for the lab, one a line, that bring the libraries of these programs of the host's own.
libraries() {
    local program file
    for program in "$@"; do ldd "$program"; done | grep -o '/[^ ]*' | sort -u |
        while read -r file; do printf '%s\n' --file "$file:$file"; done
}

executable() {
    local path
    path=$(grep "\"kind\":\[\"$2\"\].*\"name\":\"$1\"" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    [[ -x $path ]] || die "cargo made no $1"
    printf '%s\n' "$path"
}
