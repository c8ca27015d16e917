//! The order of one walk, and what it met.

use super::Scan;
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
