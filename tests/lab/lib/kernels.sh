# shellcheck shell=bash
# Debian's cloud kernels, unpacked into the cache and never installed:
#   kernels/6.1/vmlinuz  kernels/6.1/release  kernels/6.1/lib/modules/<release>/...
# The cloud flavour is small, boots quickly and has all that governor looks at.

# Where each kernel is to be had, best first: "bookworm" is 6.1's own release; 6.12 is trixie's, and a backport.
kernel_suites() {
    case $1 in
        6.1) echo bookworm ;;
        6.12) echo trixie bookworm-backports ;;
    esac
}

kernel_dir() { printf '%s/kernels/%s\n' "$LAB_CACHE" "$1"; }

kernel_release() { cat "$(kernel_dir "$1")/release"; }

kernel_present() { [[ -s $(kernel_dir "$1")/release ]]; }

kernel_need() {
    lab_known_kernel "$1"
    kernel_present "$1" || lab_die "kernel $1 is not there yet: run 'lab provision light'"
}

# Newest signed cloud image of that series in the suite, by package name.
kernel_package() {
    local suite=$1 series=$2
    apt_in "$suite" apt-cache pkgnames "linux-image-$series." |
        grep -E "^linux-image-${series//./\\.}\.[0-9+~.a-z-]*-cloud-amd64\$" |
        sort -V | tail -n 1
}

kernel_fetch() {
    local series=$1 dir suite package work
    dir=$(kernel_dir "$series")
    kernel_present "$series" && return 0
    for suite in $(kernel_suites "$series"); do
        apt_open_suite "$suite" || continue
        package=$(kernel_package "$suite" "$series") || continue
        break
    done
    [[ -n ${package:-} ]] || lab_die "the mirror has no cloud kernel $series; see $LAB_CACHE/apt.log"
    lab_say "fetching $package"
    work=$(mktemp -d "$LAB_CACHE/kernel.XXXXXX")
    (cd "$work" && apt_in "$suite" apt-get download "$package" >>"$LAB_CACHE/apt.log" 2>&1) ||
        lab_die "download of $package failed: $LAB_CACHE/apt.log"
    kernel_unpack "$work"
    rm -rf "$dir"
    mkdir -p "$(dirname "$dir")"
    mv "$work/kernel" "$dir"
    rm -rf "$work"
}

# WORK/*.deb becomes WORK/kernel. "release" is written last: it marks a complete one.
kernel_unpack() {
    local work=$1 release
    dpkg-deb -x "$work"/*.deb "$work/tree"
    release=$(basename "$work"/tree/boot/vmlinuz-*)
    release=${release#vmlinuz-}
    mkdir -p "$work/kernel/lib/modules"
    mv "$work/tree/boot/vmlinuz-$release" "$work/kernel/vmlinuz"
    mv "$work/tree/boot/config-$release" "$work/kernel/config"
    # Merged /usr: newer packages ship the modules under usr/lib.
    if [[ -d $work/tree/usr/lib/modules ]]; then
        mv "$work/tree/usr/lib/modules/$release" "$work/kernel/lib/modules/"
    else
        mv "$work/tree/lib/modules/$release" "$work/kernel/lib/modules/"
    fi
    depmod -b "$work/kernel" "$release"
    printf '%s\n' "$release" >"$work/kernel/release"
}

# kernel_modules SERIES DEST MODULE...: puts the modules and all they need into DEST as
# NN-name.ko, unpacked, numbered in the order in which they must be loaded.
kernel_modules() {
    local series=$1 dest=$2 dir release module verb path name number=10
    local -A seen=()
    shift 2
    dir=$(kernel_dir "$series")
    release=$(kernel_release "$series")
    mkdir -p "$dest"
    for module in "$@"; do
        while read -r verb path _; do
            [[ $verb == insmod ]] || continue # "builtin": nothing to load
            name=$(basename "$path")
            name=${name%%.ko*}
            [[ -z ${seen[$name]:-} ]] || continue
            seen[$name]=1
            case $path in
                *.ko.xz) xz -dc "$path" >"$dest/$number-$name.ko" ;;
                *.ko) cp "$path" "$dest/$number-$name.ko" ;;
                *) lab_die "cannot unpack the module $path" ;;
            esac
            number=$((number + 1))
        done < <(modprobe -d "$dir" -S "$release" --show-depends "$module" || echo "missing $module")
        [[ $verb != missing ]] || lab_die "kernel $series has no module $module"
    done
}
