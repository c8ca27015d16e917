//! Lists of controllers: `cgroup.controllers`, `cgroup.subtree_control`, and the options of a v1
//! mount.

use super::text::{lines, words};
use crate::model::Reading;

/// A cgroup controller that we have a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Controller {
    /// `cpu`
    Cpu,
    /// `cpuset`
    Cpuset,
    /// `memory`
    Memory,
    /// `io` (v1: `blkio`)
    Io,
    /// `pids`
    Pids,
}

/// A set of controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Controllers(u8);

impl Controller {
    /// Every one.
    pub const ALL: [Controller; 5] = [
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Memory,
        Controller::Io,
        Controller::Pids,
    ];

    /// The kernel's word for it, in cgroup v2.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Memory => "memory",
            Controller::Io => "io",
            Controller::Pids => "pids",
        }
    }

    fn from_word(word: &[u8]) -> Option<Controller> {
        match word {
            b"blkio" => Some(Controller::Io),
            _ => Controller::ALL
                .into_iter()
                .find(|controller| controller.word().as_bytes() == word),
        }
    }
}

impl Controllers {
    /// Whether `controller` is in the set.
    #[must_use]
    pub const fn contains(self, controller: Controller) -> bool {
        self.0 & (1 << controller as u8) != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Controller> {
        Controller::ALL
            .into_iter()
            .filter(move |controller| self.contains(*controller))
    }

    pub(super) fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Controllers {
        Controllers(
            words
                .filter_map(Controller::from_word)
                .fold(0, |set, controller| set | 1 << controller as u8),
        )
    }
}

/// `cgroup.controllers` or `cgroup.subtree_control`. An empty file is the empty set; words that we
/// have no use for are skipped.
///
/// # Errors
/// [`Absent::Malformed`](crate::model::Absent::Malformed) if the text was cut.
pub fn parse(text: &[u8]) -> Reading<Controllers> {
    Ok(Controllers::of(lines(text)?.flat_map(words)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use crate::model::Absent;
    use proptest::prelude::*;

    fn list(text: &[u8]) -> Vec<&'static str> {
        parse(text).map_or(vec!["malformed"], |set| {
            set.iter().map(Controller::word).collect()
        })
    }

    #[test]
    fn the_lists_of_both_kernels_are_read() {
        for kernel in Kernel::BOTH {
            let all = ["cpu", "memory", "io", "pids"];
            assert_eq!(list(&fixtures::read(kernel, "cgroup.controllers")), all);
            assert_eq!(
                list(&fixtures::read(kernel, "parent_cgroup.subtree_control")),
                all
            );
            let none = parse(&fixtures::read(kernel, "cgroup.subtree_control"));
            assert_eq!(none, Ok(Controllers::default()));
        }
    }

    #[test]
    fn unknown_words_are_skipped_and_part_of_a_word_is_not_it() {
        assert_eq!(list(b"cpusets misc dmem pids hugetlb\n"), ["pids"]);
        assert_eq!(list(b"cpuset\n"), ["cpuset"]);
    }

    #[test]
    fn a_cut_list_is_malformed() {
        assert_eq!(parse(b"cpu io mem"), Err(Absent::Malformed));
        assert_eq!(parse(b"cpu"), Err(Absent::Malformed));
    }

    proptest! {
        #[test]
        fn every_set_comes_back(bits in 0_u8..32) {
            let set = Controllers(bits);
            let words: Vec<&str> = set.iter().map(Controller::word).collect();
            let text = format!("{}\n", words.join(" "));
            prop_assert_eq!(parse(text.as_bytes()), Ok(set));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
