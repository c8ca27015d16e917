# shellcheck shell=bash
# A booted full system, frozen: memory and devices migrated to a file, disks as qcow2 layers over the image.
#   snapshots/<series>-<mem>/  key  memory  root.qcow2  swap.qcow2  data.qcow2
# Made by the first guest that wants it; made again when image, kernel, QEMU or flags are others.

readonly SNAPSHOT_DEFAULT_MEM=2G
readonly SNAPSHOT_SWAP=2G
readonly SNAPSHOT_DATA=4G

snapshot_dir() { printf '%s/snapshots/%s-%s\n' "$LAB_CACHE" "$1" "$2"; }

# Everything a frozen state depends on, in one line. Needs system_flags.
snapshot_key() {
    {
        qemu-system-x86_64 --version | head -n 1
        cat "$IMAGE_DIR/id"
        kernel_release "$1"
        printf '%s\n' "${SYSTEM_FLAGS[@]}" "$SNAPSHOT_SWAP" "$SNAPSHOT_DATA"
        cat "$LAB_DIR/guest/system/initramfs-init"
    } | sha256sum | cut -d' ' -f1
}

snapshot_fresh() {
    [[ $(cat "$1/key" 2>/dev/null) == "$2" ]]
}

# snapshot_build SERIES MEM: makes it if there is none that fits.
snapshot_build() (
    local series=$1 mem=$2 dir key
    kernel_need "$series"
    image_need
    system_flags "$mem"
    dir=$(snapshot_dir "$series" "$mem")
    key=$(snapshot_key "$series")
    snapshot_fresh "$dir" "$key" && return 0
    lab_lock "snapshot-$series-$mem"
    snapshot_fresh "$dir" "$key" && return 0
    lab_say "booting and freezing the full system on $series ($mem): about a minute"
    lab_make_run_base
    SNAPSHOT_STATE=$(mktemp -d "$LAB_RUN/freeze.XXXXXX")
    SNAPSHOT_WORK=$(mktemp -d "$LAB_CACHE/snapshot.XXXXXX")
    trap snapshot_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    snapshot_disks
    system_initramfs "$series"
    snapshot_boot "$series"
    snapshot_freeze
    printf '%s\n' "$key" >"$SNAPSHOT_WORK/key"
    rm -rf "$dir"
    mkdir -p "$(dirname "$dir")"
    mv "$SNAPSHOT_WORK" "$dir"
)

snapshot_cleanup() {
    ssh_close "$SNAPSHOT_STATE"
    system_kill "$SNAPSHOT_STATE"
    rm -rf "$SNAPSHOT_STATE" "$SNAPSHOT_WORK"
}

snapshot_disks() {
    local raw=$SNAPSHOT_WORK/raw
    qemu-img create -q -f qcow2 -b "$IMAGE_DIR/root.img" -F raw "$SNAPSHOT_WORK/root.qcow2"
    truncate -s "$SNAPSHOT_SWAP" "$raw"
    mkswap "$raw" >/dev/null 2>&1
    qemu-img convert -f raw -O qcow2 "$raw" "$SNAPSHOT_WORK/swap.qcow2"
    rm "$raw"
    truncate -s "$SNAPSHOT_DATA" "$raw"
    mke2fs -q -t ext4 -L data -E lazy_itable_init=0,lazy_journal_init=0 "$raw"
    qemu-img convert -f raw -O qcow2 "$raw" "$SNAPSHOT_WORK/data.qcow2"
    rm "$raw"
}

snapshot_boot() {
    local log=$LAB_CACHE/snapshot-$1.log
    SYSTEM_EXTRA=()
    system_boot "$SNAPSHOT_STATE" "$SNAPSHOT_WORK" "$1" setpriv --pdeathsig KILL
    system_port "$SNAPSHOT_STATE" >"$SNAPSHOT_STATE/port" || lab_die "no ssh port"
    if ! ssh_open "$SNAPSHOT_STATE" 180 || ! ssh_line "$SNAPSHOT_STATE" 1800 /opt/lab/first-boot >"$log" 2>&1; then
        cat "$SNAPSHOT_STATE/console" >>"$log"
        lab_die "the full system did not come up: $log"
    fi
    ssh_close "$SNAPSHOT_STATE"
}

# Stopped first: disks and memory must be of one moment. The file is written by QEMU's child.
snapshot_freeze() {
    local socket=$SNAPSHOT_STATE/qmp
    qmp "$socket" '{"execute":"stop"}' \
        '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":4000000000}}' \
        "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"exec:cat > '$SNAPSHOT_WORK/memory'\"}}" >/dev/null ||
        lab_die "qemu refused to migrate"
    qmp_until "$socket" 1200 '{"execute":"query-migrate"}' '*"status": "completed"*' || lab_die "freezing did not end"
    qmp "$socket" '{"execute":"quit"}' >/dev/null || true
    local tries=100
    while system_alive "$SNAPSHOT_STATE" && ((tries-- > 0)); do sleep 0.1; done
}
