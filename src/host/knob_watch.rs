//! Who writes a held knob: inotify on the very file.
//!
//! cgroupfs tells of no change that the kernel makes, but every `write()` by a process raises MODIFY on the
//! file, ours included (seen on 6.1 and 6.12). What was written, and by whom, is not told: whoever is woken reads the knob.
//! Where there is no inotify to be had, or too few watches, the knobs are read back in turns all the same.

use super::errno::absent;
use super::forest::Forest;
use super::linux::LinuxTree;
use crate::model::{GroupId, Knob, Reading};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init, remove_watch};
use rustix::io::read;

/// Events are emptied this many bytes at a time, and this many times at most: nothing is learned from
/// them, and what is left wakes once more.
const BUFFER: usize = 1024;
const ROUNDS: usize = 64;

/// A file of a group, and the number of its watch.
type Watched = (GroupId, &'static str, i32);

/// The watched files.
#[derive(Debug)]
pub(super) struct KnobWatch {
    inotify: OwnedFd,
    watched: Vec<Watched>,
    /// Room for what was watched before.
    before: Vec<Watched>,
}

impl KnobWatch {
    /// Nothing is watched yet; there is room for so many.
    pub(super) fn new(most: usize) -> Reading<KnobWatch> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(absent)?;
        Ok(KnobWatch {
            inotify,
            watched: Vec::with_capacity(most),
            before: Vec::with_capacity(most),
        })
    }

    /// Watches these and no others, and forgets what was written up to now.
    pub(super) fn keep(
        &mut self,
        forest: &mut Forest<LinuxTree>,
        held: &mut dyn Iterator<Item = (GroupId, Knob)>,
    ) {
        std::mem::swap(&mut self.watched, &mut self.before);
        for (group, knob) in held {
            // A file of several knobs, as `io.max` is, has one watch.
            let key = (group, knob.file());
            let same = |one: &Watched| (one.0, one.1) == key;
            if self.watched.iter().any(same) {
                continue;
            }
            let watch = match self.before.iter().position(same) {
                Some(at) => Ok(self.before.swap_remove(at).2),
                None => self.add(forest, key),
            };
            if let Ok(watch) = watch {
                self.watched.push((key.0, key.1, watch));
            }
        }
        for (_, _, watch) in self.before.drain(..) {
            // It fails where the group is gone, and the watch with it.
            let _ = remove_watch(&self.inotify, watch);
        }
        let mut room = [0; BUFFER];
        for _ in 0..ROUNDS {
            if read(&self.inotify, &mut room).is_err() {
                break;
            }
        }
    }

    fn add(&self, forest: &mut Forest<LinuxTree>, (group, file): (GroupId, &str)) -> Reading<i32> {
        let (_, dir) = forest.held(group)?;
        // inotify takes paths only: this one begins at the held directory, whatever stands at its path.
        let path = format!("/proc/self/fd/{}/{}", dir.as_fd().as_raw_fd(), file);
        let events = WatchFlags::MODIFY | WatchFlags::DONT_FOLLOW;
        add_watch(&self.inotify, path, events).map_err(absent)
    }
}

impl AsFd for KnobWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests work on a folder")]
mod tests {
    use super::super::KnobFiles;
    use super::super::forest::{Extent, Limits};
    use super::*;
    use crate::model::Device;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::time::Timespec;
    use std::fs;

    fn is_told(watch: &KnobWatch) -> bool {
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
    }

    #[test]
    fn a_write_of_a_watched_knob_is_told_until_it_is_heard_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let scope = folder.path().join(format!("docker-{:064x}.scope", 1));
        fs::create_dir(&scope).unwrap();
        for file in ["cpu.weight", "cpu.max"] {
            fs::write(scope.join(file), "100\n").unwrap();
        }
        let tree = LinuxTree::open_any(folder.path()).unwrap();
        let mut forest = Forest::new(tree, Limits::default());
        forest.scan(Extent::All, &|_| false).unwrap();
        let found = forest.topology(&super::super::Rules {
            original: &|_, _| None,
            name: &|_, _| None,
            is_protected: &|_| false,
            own: None,
        });
        let group = found.watched().next().unwrap().1.id;
        let mut watch = KnobWatch::new(4).unwrap();
        let weight = (group, Knob::CpuWeight);
        let keep = |watch: &mut KnobWatch, forest: &mut Forest<LinuxTree>, held: &[_]| {
            watch.keep(forest, &mut held.iter().copied());
        };

        keep(&mut watch, &mut forest, &[weight]);
        forest.read_knob(group, Knob::CpuWeight).unwrap();
        fs::write(scope.join("cpu.max"), "1 2\n").unwrap();
        assert!(!is_told(&watch));
        for _ in 0..2 {
            fs::write(scope.join("cpu.weight"), "55\n").unwrap();
            assert!(is_told(&watch));
            keep(&mut watch, &mut forest, &[(group, Knob::CpuMax), weight]);
            assert!(!is_told(&watch));
        }
        keep(&mut watch, &mut forest, &[(group, Knob::CpuMax)]);
        fs::write(scope.join("cpu.weight"), "56\n").unwrap();
        assert!(!is_told(&watch), "it is held no more");
        fs::write(scope.join("io.max"), "").unwrap();
        let [one, other] = [1, 2].map(|minor| (group, Knob::IoMax(Device { major: 8, minor })));
        keep(&mut watch, &mut forest, &[one, other]);
        keep(&mut watch, &mut forest, &[other]);
        fs::write(scope.join("io.max"), "8:1").unwrap();
        assert!(is_told(&watch), "one file, whoever of its knobs is held");
        keep(&mut watch, &mut forest, &[(GroupId(1), Knob::CpuMax)]);
        assert!(watch.watched.is_empty(), "one that is gone is not watched");
    }
}
