//! `/proc/PID/mountinfo`: where the cgroup hierarchies are mounted.
//!
//! ```text
//! 26 25 0:24 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
//! ```
//!
//! Id, parent, device, root within the file system, mount point, options, any number of optional
//! fields, a dash, type, source, options of the file system. Whoever may mount chooses the mount
//! point: the kernel writes blanks, newlines and backslashes in it as `\040`.

use super::controllers::Controllers;
use super::text::{whole_lines, words};

/// Which kind of cgroup hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// The unified one.
    V2,
    /// One of version 1, with the controllers that it took away from v2. None for a named one
    /// (`name=systemd`).
    V1(Controllers),
}

/// A mounted cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// Which one.
    pub hierarchy: Hierarchy,
    /// The cgroup that appears at the mount point: `/` unless part of the tree was bind-mounted or
    /// the mount was made in a cgroup namespace.
    pub root: Vec<u8>,
    /// Where it is mounted: an absolute path of any bytes.
    pub point: Vec<u8>,
    /// The mount or the file system is read-only.
    pub read_only: bool,
    /// The file system has the option `nsdelegate`: cgroup namespaces are delegation boundaries.
    pub nsdelegate: bool,
}

/// The cgroup mounts in the order of the file, which is not always the order of mounting. Lines of
/// any other type, or that are not of the documented form, are skipped: one odd mount of a driver
/// must not hide ours.
#[must_use]
pub fn cgroup_mounts(text: &[u8]) -> Vec<CgroupMount> {
    whole_lines(text).filter_map(cgroup_mount).collect()
}

fn cgroup_mount(line: &[u8]) -> Option<CgroupMount> {
    let mut fields = words(line);
    let root = fields.nth(3)?;
    let point = fields.next()?;
    let options = fields.next()?;
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?;
    // The source is chosen by whoever mounted, and an empty one leaves no word at all: the options
    // of the file system are the last word.
    let of_filesystem = fields.last()?;
    let hierarchy = match kind {
        b"cgroup2" => Hierarchy::V2,
        b"cgroup" => Hierarchy::V1(Controllers::of(list(of_filesystem))),
        _ => return None,
    };
    Some(CgroupMount {
        hierarchy,
        root: unescape(root),
        point: unescape(point),
        read_only: list(options)
            .chain(list(of_filesystem))
            .any(|option| option == b"ro"),
        nsdelegate: list(of_filesystem).any(|option| option == b"nsdelegate"),
    })
}

fn list(options: &[u8]) -> impl Iterator<Item = &[u8]> {
    options.split(|byte| *byte == b',')
}

/// Turns `\040` into the byte it stands for. A backslash before anything but three octal digits of
/// one byte stays as it is.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let (byte, next) = match octal(rest) {
            Some((byte, next)) => (byte, next),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = next;
    }
    bytes
}

fn octal(text: &[u8]) -> Option<(u8, &[u8])> {
    let [
        b'\\',
        a @ b'0'..=b'3',
        b @ b'0'..=b'7',
        c @ b'0'..=b'7',
        rest @ ..,
    ] = text
    else {
        return None;
    };
    Some(((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::controllers::Controller;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn the_unified_hierarchy_of_both_kernels_is_found() {
        for kernel in Kernel::BOTH {
            let wanted = CgroupMount {
                hierarchy: Hierarchy::V2,
                root: b"/".to_vec(),
                point: b"/sys/fs/cgroup".to_vec(),
                read_only: false,
                nsdelegate: false,
            };
            let text = fixtures::read(kernel, "proc_self_mountinfo");
            assert_eq!(cgroup_mounts(&text), [wanted], "{kernel:?}");
        }
    }

    #[test]
    fn a_hybrid_host_shows_what_v1_took() {
        let text = b"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
            37 31 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified ro,nosuid shared:9 master:1 - cgroup2 none rw,nsdelegate\n";
        let mounts = cgroup_mounts(text);
        let took: Vec<Vec<Controller>> = mounts
            .iter()
            .filter_map(|mount| match mount.hierarchy {
                Hierarchy::V1(set) => Some(set.iter().collect()),
                Hierarchy::V2 => None,
            })
            .collect();
        assert_eq!(took, [vec![Controller::Cpu], vec![Controller::Io], vec![]]);
        let unified = mounts.last().expect("four mounts");
        assert_eq!(unified.point, b"/sys/fs/cgroup/unified");
        assert!(unified.read_only && unified.nsdelegate);
    }

    #[test]
    fn a_hostile_mount_point_comes_back_byte_for_byte_and_forges_nothing() {
        let text = b"41 31 0:38 /a\\040b /x\\040-\\040cgroup2\\012\\134040\\011\xff rw - cgroup2 none rw\n\
            42 31 0:39 / /y\\040-\\040cgroup2\\040z\\040rw rw - tmpfs tmpfs rw\n";
        let mounts = cgroup_mounts(text);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].root, b"/a b");
        assert_eq!(mounts[0].point, b"/x - cgroup2\n\\040\t\xff");
    }

    #[test]
    fn a_backslash_before_no_octal_byte_stays() {
        for (field, wanted) in [
            (&b"\\"[..], &b"\\"[..]),
            (b"\\04", b"\\04"),
            (b"\\400", b"\\400"),
            (b"\\089", b"\\089"),
            (b"\\377", b"\xff"),
            (b"\\134134", b"\\134"),
        ] {
            assert_eq!(unescape(field), wanted, "{field:?}");
        }
    }

    #[test]
    fn lines_of_another_form_are_skipped() {
        let text = b"\nnonsense\n1 2 3 4 5 6 - \n1 2 0:1 / /x rw - cgroup2\n1 2 0:1 / /x rw cgroup2 none rw\n\
            26 25 0:24 / /ok rw - cgroup2 rw\n26 25 0:24 / /cut rw - cgroup2 cgroup2 r";
        let points: Vec<Vec<u8>> = cgroup_mounts(text).into_iter().map(|m| m.point).collect();
        assert_eq!(points, [b"/ok".to_vec()]);
    }

    proptest! {
        #[test]
        fn any_mount_point_comes_back(point in prop::collection::vec(1_u8.., 0..200)) {
            let escaped: Vec<u8> = point
                .iter()
                .flat_map(|byte| match byte {
                    b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
                    other => vec![*other],
                })
                .collect();
            let text = [
                b"26 25 0:24 / /", &escaped[..], b" rw,relatime shared:4 - cgroup2 cgroup2 rw\n",
            ].concat();
            let mounts = cgroup_mounts(&text);
            prop_assert_eq!(mounts.len(), 1);
            prop_assert_eq!(&mounts[0].point[1..], &point[..]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = cgroup_mounts(&bytes);
        }
    }
}
