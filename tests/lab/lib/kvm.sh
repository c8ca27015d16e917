# shellcheck shell=bash
# /dev/kvm may be there and yet no guest get past the decompressor (nested machines do that). So the
# only test is a boot. The answer holds for this boot of the host and is kept.

readonly KVM_PROBE_SECONDS=5

kvm_works() {
    [[ $(kvm_answer) == yes ]]
}

kvm_answer() {
    local file boot
    file=$LAB_CACHE/kvm-answer
    boot=$(cat /proc/sys/kernel/random/boot_id)
    if [[ ! -r $file || $(head -n 1 "$file") != "$boot" ]]; then
        kvm_probe >"$file.$$"
        { printf '%s\n' "$boot"; cat "$file.$$"; } >"$file.new.$$"
        rm -f "$file.$$"
        mv "$file.new.$$" "$file"
    fi
    tail -n 1 "$file"
}

kvm_probe() {
    local code=0
    if [[ ! -w /dev/kvm ]]; then
        echo no
        return 0
    fi
    ("$LAB_DIR/lab" light --kernel 6.1 --clock kvm --cpus 1 --mem 256M \
        --timeout "$KVM_PROBE_SECONDS" -- true >/dev/null 2>&1) || code=$?
    if [[ $code == 0 ]]; then echo yes; else echo no; fi
}
