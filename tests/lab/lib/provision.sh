# shellcheck shell=bash
# lab provision [light|full]: brings everything the rigs need; does nothing when it is all there.

provision_main() {
    local want=${1:-light}
    [[ $want == light || $want == full ]] || lab_die "provision light or full, not '$want'"
    provision_light "$want"
    if [[ $want == full ]]; then
        image_build
        local series
        for series in "${LAB_KERNELS[@]}"; do
            snapshot_build "$series" "$SNAPSHOT_DEFAULT_MEM"
        done
    fi
    lab_say "provisioned: $want"
}

# In a subshell, so that the lock ends with it.
provision_light() (
    lab_lock provision
    host_install "$1"
    local series
    for series in "${LAB_KERNELS[@]}"; do
        kernel_fetch "$series"
    done
)
