//! How many tasks a group has and may have: for people, not for deciding, so read when asked.

use super::files::{TreeFiles, read_text};
use super::forest::Forest;
use crate::kernel::single;
use crate::model::{GroupId, Limit, Reading};

/// A number of 20 digits, a newline, and one more to see that it was not cut.
const ROOM: usize = 22;

/// The tasks of a group, threads included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pids {
    /// `pids.current`.
    pub current: Reading<u64>,
    /// `pids.max`.
    pub max: Reading<Limit<u64>>,
}

impl<T: TreeFiles> Forest<T> {
    /// Reads both files of a held group; each fails alone.
    pub fn pids(&mut self, id: GroupId) -> Pids {
        let (files, dir) = match self.held(id) {
            Ok(held) => held,
            Err(why) => {
                return Pids {
                    current: Err(why),
                    max: Err(why),
                };
            }
        };
        let mut room = [0; ROOM];
        Pids {
            current: read_text(files, dir, "pids.current", &mut room).and_then(single::count),
            max: read_text(files, dir, "pids.max", &mut room).and_then(single::limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Extent, FakeTree, Limits};
    use crate::model::Absent;

    #[test]
    fn both_are_read_and_each_fails_alone() {
        let tree = FakeTree::new();
        let id = tree.add("/a");
        tree.set("/a", "pids.current", "7\n");
        tree.set("/a", "pids.max", "max\n");
        let mut forest = Forest::new(tree.clone(), Limits::default());
        forest.scan(Extent::All, &|_| false).unwrap();
        let pids = forest.pids(id);
        assert_eq!((pids.current, pids.max), (Ok(7), Ok(Limit::Max)));
        tree.unset("/a", "pids.max");
        let pids = forest.pids(id);
        assert_eq!((pids.current, pids.max), (Ok(7), Err(Absent::NoFile)));
        assert_eq!(forest.pids(GroupId(999_999)).current, Err(Absent::Gone));
    }
}
