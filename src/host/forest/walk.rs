//! What a walk has to list anew, its order, and what it met.

use super::{Extent, Forest, Kind, Scan};
use crate::host::files::{Changes, TreeFiles};
use crate::model::GroupId;
use std::collections::VecDeque;

/// The state of one walk.
pub(super) struct Walk<'a> {
    pub(super) scan: Scan,
    /// So many groups may still be opened.
    pub(super) to_open: usize,
    /// The host's own groups come first.
    own: VecDeque<GroupId>,
    /// Groups that belong to users.
    delegated: VecDeque<GroupId>,
    /// The policy's own globs.
    pub(super) is_container: &'a dyn Fn(&[u8]) -> bool,
}

impl<'a> Walk<'a> {
    /// Which begins at this group.
    pub(super) fn new(to_open: usize, is_container: &'a dyn Fn(&[u8]) -> bool) -> Walk<'a> {
        Walk {
            scan: Scan::default(),
            to_open,
            own: VecDeque::new(),
            delegated: VecDeque::new(),
            is_container,
        }
    }

    pub(super) fn next(&mut self) -> Option<GroupId> {
        self.own.pop_front().or_else(|| self.delegated.pop_front())
    }

    pub(super) fn push(&mut self, id: GroupId, owner: u32) {
        if owner == 0 {
            self.own.push_back(id);
        } else {
            self.delegated.push_back(id);
        }
    }
}

impl<T: TreeFiles> Forest<T> {
    /// Marks the directories that must be listed again, and asks so many vacant groups at most; whether a walk
    /// has something to do.
    pub(super) fn mark(&mut self, extent: Extent, asked: usize) -> bool {
        self.changes.clear();
        let told = self.files.changes(&mut self.changes);
        let all = extent == Extent::All || told == Changes::Lost;
        if all {
            self.nodes.values_mut().for_each(|node| node.stale = true);
            self.vacants.doubt(usize::MAX);
        }
        for &id in &self.changes {
            self.vacants.tell(id);
        }
        if let Extent::Next(count) = extent {
            // As often as the others, as far as one scan asks so many.
            let each = self.vacants.len().div_ceil(self.order.len().max(1));
            self.vacants.doubt(count.saturating_mul(each).min(asked));
            for _ in 0..count.min(self.order.len()) {
                self.doubted = (self.doubted + 1) % self.order.len();
                self.changes.extend(self.order.get(self.doubted));
            }
        }
        self.ask_vacant(asked);
        let mut any = all || self.vacants.are_entered();
        for id in &self.changes {
            if let Some(node) = self.nodes.get_mut(id) {
                node.stale = true;
                // What is below a container is not looked at.
                any |= !matches!(node.kind, Kind::Top(_));
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{FakeTree, Limits};
    use crate::model::Absent;

    #[test]
    fn the_turn_of_a_container_is_no_walk_and_what_failed_is_walked_to_again() {
        let tree = FakeTree::new();
        for n in 0..3 {
            tree.add(format!("/docker-{n:064x}.scope"));
        }
        let mut forest = Forest::new(tree.clone(), Limits::default());
        let mut scan = |extent| {
            let before = forest.walks;
            let met = forest.scan(extent, &|_| false);
            (forest.walks - before, met.map(|scan| scan.failed))
        };
        assert_eq!(scan(Extent::Changed).0, 1, "the first look");
        let turns: u64 = (0..4).map(|_| scan(Extent::Next(1)).0).sum();
        assert_eq!(turns, 1, "of the root alone");
        tree.fail("/", None, crate::host::Operation::List, Absent::Errno(12));
        assert_eq!(scan(Extent::All), (1, Ok(Some(Absent::Errno(12)))));
        tree.heal();
        assert_eq!(scan(Extent::Changed), (1, Ok(None)));
        assert_eq!(scan(Extent::Changed), (0, Ok(None)));
    }
}
