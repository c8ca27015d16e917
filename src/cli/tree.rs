//! The host's cgroup tree for the verbs that work without a daemon.

use super::exit::{Exit, Failure};
use crate::agent::Names;
use crate::config::{ContainerGlobs, Protect};
use crate::host::{Forest, Limits, LinuxTree, Rules, Survey, TreeFiles, open_tree};
use crate::model::{Mode, Policy, Topology};

/// Opens the tree of the host that was surveyed, to be looked at or to be given back.
pub(super) fn open(survey: &Survey) -> Result<Forest<LinuxTree>, Failure> {
    // Who only looks or gives back needs no more than a dry run does.
    let tree = open_tree(survey, None, Mode::DryRun)?;
    Ok(Forest::new(tree, Limits::default()))
}

/// Looks at all of it and tells containers from the rest, as this policy has it.
pub(super) fn topology<T: TreeFiles>(
    forest: &mut Forest<T>,
    policy: &Policy,
    names: &Names,
) -> Result<Topology, Failure> {
    let globs = ContainerGlobs::new(policy);
    let protect = Protect::new(policy);
    forest
        .scan_whole(&|path| globs.is_container(path))
        .map_err(|why| Failure::new(Exit::Host, format!("cannot list the tree: {why}")))?;
    Ok(forest.topology(&Rules {
        original: &|_, _| None,
        name: &|_, key| names.get(key).map(|named| named.name.clone()),
        is_protected: &|group| protect.covers(group),
        own: None,
    }))
}
