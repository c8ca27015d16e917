# shellcheck shell=bash
# The light rig's whole file system: a tree put together under WORK/tree, packed as a cpio archive.
# Left uncompressed: reading it costs the host nothing, unpacking would cost the emulated guest.

# initramfs_tree TREE: the empty directories an init mounts over.
initramfs_tree() {
    local tree=$1
    mkdir -p "$tree"/{dev,proc,sys,run,tmp,bin,etc,root,lab/modules}
}

# initramfs_file TREE SRC:DST: one file or directory of the host at an absolute path of the guest.
initramfs_file() {
    local tree=$1 source=${2%%:*} target=${2#*:}
    [[ -e $source ]] || lab_die "no such file: $source"
    [[ $2 == *:/* ]] || lab_die "SRC:DST wants an absolute path in the guest, not '$2'"
    mkdir -p "$(dirname "$tree$target")"
    cp -aL "$source" "$tree$target"
}

# Times, owners and inode numbers are made the same for the same content, so that a boot in virtual
# time does not depend on when the archive was made.
initramfs_pack() {
    local tree=$1 archive=$2
    find "$tree" -exec touch -h -d @0 {} +
    (cd "$tree" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
        cpio --quiet --null --create --format=newc --owner=0:0 --reproducible) >"$archive"
}
