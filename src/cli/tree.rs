//! The host's cgroup tree for the verbs that work without a daemon.

use super::exit::{Exit, Failure};
use crate::config::{ContainerGlobs, Protect};
use crate::host::{
    Extent, Forest, Limits, LinuxTree, NotARoot, Rules, TreeFiles, TreeRoot, find_root,
};
use crate::model::{Absent, Member, Policy, Topology};

/// Scans after which a tree that grows all the time is taken as it is.
const SCANS_MAX: usize = 64;

/// Opens the tree.
pub(super) fn open() -> Result<(TreeRoot, Forest<LinuxTree>), Failure> {
    let root = find_root().map_err(|why| Failure::new(Exit::Host, why))?;
    let tree = LinuxTree::open(&root.point).map_err(|why| {
        let at = root.point.display();
        match why {
            NotARoot::Unopened(Absent::Denied) => {
                Failure::new(Exit::Denied, format!("cannot open {at}: permission denied"))
            }
            NotARoot::Unopened(why) => Failure::new(Exit::Host, format!("cannot open {at}: {why}")),
            NotARoot::OtherFilesystem => {
                Failure::new(Exit::Host, format!("{at} is no cgroup2 file system"))
            }
        }
    })?;
    Ok((root, Forest::new(tree, Limits::default())))
}

/// Looks at all of it and tells containers from the rest, as this policy has it. Names are those of
/// the cgroups: no runtime is asked.
pub(super) fn topology<T: TreeFiles>(
    forest: &mut Forest<T>,
    policy: &Policy,
) -> Result<Topology, Failure> {
    let globs = ContainerGlobs::new(policy);
    let protect = Protect::new(policy);
    for _ in 0..SCANS_MAX {
        let scan = forest
            .scan(Extent::All, &|path| globs.is_container(path))
            .map_err(|why| Failure::new(Exit::Host, format!("cannot list the tree: {why}")))?;
        if !scan.unfinished {
            break;
        }
    }
    Ok(forest.topology(&Rules {
        original: &|_, _| None,
        name: &|_, _| None,
        is_protected: &|group| {
            let runtime = match group.member {
                Member::Container { runtime, .. } => Some(runtime),
                Member::Inner | Member::Helper { .. } | Member::Service => None,
            };
            protect.protects(&group.name(), &group.path, runtime)
        },
        own: None,
    }))
}
