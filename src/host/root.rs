//! Where the cgroup tree is that can be governed, if there is one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::kernel::controllers::Controller;
use crate::kernel::mountinfo::{CgroupMount, Hierarchy, cgroup_mounts};

/// The mount of the tree that holds the containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeRoot {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Nothing can be written there.
    pub read_only: bool,
    /// Only part of the tree is visible: the mount was made in a cgroup namespace, or is a bind
    /// mount. Siblings outside it are neither seen nor helped.
    pub partial: bool,
}

/// Why there is none. Each says what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoot {
    /// Nothing is mounted.
    #[error(
        "no cgroup file system is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup \
         (in a container: run with --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup)"
    )]
    None,
    /// Only version 1.
    #[error(
        "only cgroup v1 is mounted; governor needs cgroup v2: \
         boot with systemd.unified_cgroup_hierarchy=1"
    )]
    V1,
    /// Version 2 is there, and version 1 holds the controllers that are needed.
    #[error(
        "cgroup v1 holds the cpu or memory controller (v2 at {} has neither: a hybrid set-up); \
         boot with systemd.unified_cgroup_hierarchy=1", v2.display()
    )]
    Hybrid {
        /// Where v2 is.
        v2: PathBuf,
    },
}

/// The tree to govern, from the text of `/proc/self/mountinfo`.
///
/// # Errors
/// Why none of the mounts will do.
pub fn tree_root(mountinfo: &[u8]) -> Result<TreeRoot, NoRoot> {
    let mounts = cgroup_mounts(mountinfo);
    let v1_holds = |controller| {
        mounts.iter().any(|mount| match mount.hierarchy {
            Hierarchy::V1(held) => held.contains(controller),
            Hierarchy::V2 => false,
        })
    };
    let v2 = mounts
        .iter()
        .filter(|mount| mount.hierarchy == Hierarchy::V2)
        // The whole tree before a part of it, writable before read-only, the shortest path first.
        .min_by_key(|mount| (mount.root != b"/", mount.read_only, mount.point.len()));
    match v2 {
        None if mounts.is_empty() => Err(NoRoot::None),
        None => Err(NoRoot::V1),
        Some(v2) if v1_holds(Controller::Cpu) || v1_holds(Controller::Memory) => {
            Err(NoRoot::Hybrid { v2: point(v2) })
        }
        Some(v2) => Ok(TreeRoot {
            point: point(v2),
            read_only: v2.read_only,
            partial: v2.root != b"/",
        }),
    }
}

fn point(mount: &CgroupMount) -> PathBuf {
    PathBuf::from(OsString::from_vec(mount.point.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "26 25 0:24 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1_CPU: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
    const V1_NAMED: &str =
        "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
    const V2_BESIDE: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn root(lines: &[&str]) -> Result<TreeRoot, NoRoot> {
        tree_root(lines.concat().as_bytes())
    }

    #[test]
    fn a_unified_tree_is_taken() {
        let taken = root(&["1 2 0:3 / / rw - ext4 /dev/sda rw\n", V2]).unwrap();
        assert_eq!(taken.point, PathBuf::from("/sys/fs/cgroup"));
        assert!(!taken.read_only && !taken.partial);
    }

    #[test]
    fn no_cgroups_v1_and_hybrid_are_told_apart() {
        assert_eq!(root(&[]), Err(NoRoot::None));
        assert_eq!(root(&[V1_CPU]), Err(NoRoot::V1));
        let hybrid = root(&[V1_CPU, V1_NAMED, V2_BESIDE]);
        assert!(matches!(hybrid, Err(NoRoot::Hybrid { .. })), "{hybrid:?}");
    }

    #[test]
    fn a_v1_hierarchy_without_controllers_does_not_disturb() {
        assert!(root(&[V1_NAMED, V2]).is_ok());
    }

    #[test]
    fn a_read_only_mount_and_one_of_a_namespace_say_so() {
        let container = "26 25 0:24 /../.. /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        let taken = root(&[container]).unwrap();
        assert!(taken.read_only && taken.partial);
        assert!(!root(&[container, V2]).unwrap().partial);
    }

    #[test]
    fn every_refusal_names_its_remedy() {
        for refusal in [NoRoot::None, NoRoot::V1, NoRoot::Hybrid { v2: "/x".into() }] {
            let text = refusal.to_string();
            assert!(
                text.contains("boot with") || text.contains("mount -t"),
                "{text}"
            );
        }
    }
}
