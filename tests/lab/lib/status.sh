# shellcheck shell=bash
# lab status, lab clean: what is here, and taking it away.

status_main() {
    local series snapshot state missing
    missing=$(host_missing full | tr '\n' ' ')
    printf 'cache      %s\n' "$LAB_CACHE"
    printf 'host       %s\n' "$([[ -z $missing ]] && echo complete || echo "missing packages: $missing")"
    for series in "${LAB_KERNELS[@]}"; do
        if kernel_present "$series"; then
            printf 'kernel     %-5s %s\n' "$series" "$(kernel_release "$series")"
        else
            printf 'kernel     %-5s absent\n' "$series"
        fi
    done
    if ! image_present; then
        printf 'image      absent\n'
    elif [[ $(cat "$IMAGE_DIR/recipe") == "$(image_recipe)" ]]; then
        printf 'image      %s\n' "$(cat "$IMAGE_DIR/id")"
    else
        printf 'image      %s, older than its recipe: lab provision full\n' "$(cat "$IMAGE_DIR/id")"
    fi
    for snapshot in "$LAB_CACHE"/snapshots/*/; do
        [[ -d $snapshot ]] || continue
        printf 'snapshot   %-8s %s\n' "$(basename "$snapshot")" "$(du -sh "$snapshot" | cut -f1)"
    done
    for state in "$LAB_RUN"/*/; do
        [[ -d $state ]] || continue
        if system_alive "${state%/}"; then
            printf 'guest      %s, up\n' "$(basename "$state")"
        else
            printf 'guest      %s, dead: lab down %s\n' "$(basename "$state")" "$(basename "$state")"
        fi
    done
}

clean_main() {
    local state
    for state in "$LAB_RUN"/*/; do
        [[ -d $state ]] || continue
        ! system_alive "${state%/}" || lab_die "guest $(basename "$state") is up: lab down it first"
        clone_stop "${state%/}"
    done
    # Only what the lab makes: the variable may name a directory with more in it.
    rm -rf "$LAB_CACHE"/{apt,kernels,image,snapshots,clones} \
        "$LAB_CACHE"/{kernel,image,initramfs,snapshot}.?????? "$LAB_CACHE"/*.log "$LAB_CACHE"/*.lock "$LAB_CACHE/kvm-answer"
    rmdir "$LAB_CACHE" 2>/dev/null || true
}
