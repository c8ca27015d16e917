//! CPU quotas that a container has inside itself.
//!
//! Podman puts the limits on the child `container` of its scope, and `cpu.stat` tells of throttling
//! only in the group that has the quota. Without this, a container that is throttled by its own
//! limit would look starved by its neighbours.
//!
//! What a container can make is bounded here: a few groups, not deep. One that hides its quotas
//! deeper is taken for a victim a little more readily, which the proof by intervention undoes.

use super::files::{Listing, TreeFiles, read_text};
use super::sample::text;
use crate::kernel::{cpu_max, flat};
use crate::model::{Limit, Reading, Span};

/// Levels below the top group that are looked at: a runtime's child, and a nested runtime's.
const DEPTH: usize = 3;

/// Groups of one container that are looked at.
const GROUPS: usize = 16;

/// The `cpu.stat` of the groups inside one container that have a quota.
#[derive(Debug)]
pub(super) struct InnerQuotas<F>(Vec<Reading<F>>);

impl<F> Default for InnerQuotas<F> {
    fn default() -> InnerQuotas<F> {
        InnerQuotas(Vec::new())
    }
}

impl<F> InnerQuotas<F> {
    /// Looks for quotas below a container's top group.
    pub(super) fn look<T: TreeFiles<File = F>>(&mut self, files: &mut T, top: &T::Dir) {
        self.0.clear();
        let mut left = GROUPS;
        self.below(files, top, DEPTH, &mut left);
    }

    fn below<T: TreeFiles<File = F>>(
        &mut self,
        files: &mut T,
        dir: &T::Dir,
        depth: usize,
        left: &mut usize,
    ) {
        if depth == 0 || *left == 0 {
            return;
        }
        let mut listing = Listing::default();
        listing.restart(*left);
        // What was listed before a failure is used.
        let _ = files.children(dir, &mut listing);
        for (name, _) in listing.iter() {
            if *left == 0 {
                return;
            }
            *left -= 1;
            if let Ok(child) = files.open(dir, name) {
                if has_quota(files, &child.dir) {
                    self.0.push(files.hold(&child.dir, "cpu.stat"));
                }
                self.below(files, &child.dir, depth - 1, left);
            }
        }
    }

    /// Time throttled by these quotas, cumulative. Groups that are gone count no more.
    pub(super) fn throttled<T: TreeFiles<File = F>>(&self, files: &mut T, room: &mut [u8]) -> Span {
        let spans = self.0.iter().map(|stat| {
            text(files, stat, room)
                .and_then(flat::cpu_stat)
                .map_or(Span::ZERO, |cpu| cpu.throttled)
        });
        spans.fold(Span::ZERO, |sum, span| sum + span)
    }
}

fn has_quota<T: TreeFiles>(files: &mut T, dir: &T::Dir) -> bool {
    let mut room = [0; 64];
    read_text(files, dir, "cpu.max", &mut room)
        .and_then(cpu_max::parse)
        .is_ok_and(|max| max.quota != Limit::Max)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeFile, FakeTree};
    use super::super::files::open_path;
    use super::*;

    fn quotas(tree: &mut FakeTree) -> (InnerQuotas<FakeFile>, Span) {
        let top = open_path(tree, b"/top").unwrap();
        let mut quotas = InnerQuotas::default();
        quotas.look(tree, &top.dir);
        let throttled = quotas.throttled(tree, &mut [0; 4096]);
        (quotas, throttled)
    }

    fn limit(tree: &FakeTree, path: &str) {
        tree.add(path);
        tree.set(path, "cpu.max", "20000 100000\n");
        tree.set(path, "cpu.stat", "usage_usec 1\nthrottled_usec 100\n");
    }

    #[test]
    fn quotas_of_nested_runtimes_are_summed_and_the_tops_own_is_not_among_them() {
        let mut tree = FakeTree::new();
        limit(&tree, "/top");
        limit(&tree, "/top/container");
        limit(&tree, "/top/container/docker/x");
        tree.add("/top/unlimited");
        assert_eq!(quotas(&mut tree).1, Span(200));
    }

    #[test]
    fn a_container_with_thousands_of_groups_costs_no_more_than_a_few() {
        let mut tree = FakeTree::new();
        for n in 0..200 {
            limit(&tree, &format!("/top/{n}/inner"));
        }
        assert!(quotas(&mut tree).0.0.len() <= GROUPS);
    }

    #[test]
    fn an_inner_group_that_is_gone_counts_no_more() {
        let mut tree = FakeTree::new();
        limit(&tree, "/top/container");
        let (found, before) = quotas(&mut tree);
        tree.remove("/top/container");
        assert_eq!(before, Span(100));
        assert_eq!(found.throttled(&mut tree, &mut [0; 4096]), Span::ZERO);
    }
}
