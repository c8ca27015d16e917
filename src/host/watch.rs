//! Who comes and goes in the cgroup tree: inotify on directories that are held open.
//!
//! Of a directory only CREATE and DELETE are asked for: with more, our own reading of the files would be told
//! to us. A directory is watched *before* it is listed, so that a child is either listed or told.
//!
//! And who is entered: MODIFY on `cgroup.events`, which the kernel raises as the group's first task comes or its last
//! one goes. It is asked for only while nobody is in there, so that no busy container floods us. (With a directory watch
//! it would be told of each of the directory's files that the kernel tells of.)

use super::errno::absent;
use super::files::Changes;
use crate::model::{GroupId, Reading};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::mem::MaybeUninit;

/// Events are read this many bytes at a time.
const BUFFER: usize = 4096;

/// Events are read this many times in one call at most; a flood of them is lost changes.
const ROUNDS: usize = 64;

/// The watched directories, and the groups that are waited for to be entered.
#[derive(Debug)]
pub(super) struct TreeWatch {
    inotify: OwnedFd,
    groups: HashMap<i32, GroupId>,
    entries: HashMap<GroupId, i32>,
}

impl TreeWatch {
    /// Nothing is watched yet.
    pub(super) fn new() -> Reading<TreeWatch> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(absent)?;
        Ok(TreeWatch {
            inotify,
            groups: HashMap::new(),
            entries: HashMap::new(),
        })
    }

    /// Watches a held directory. inotify takes paths only: this one means the held directory
    /// itself, whatever stands at its path by now.
    pub(super) fn add(&mut self, dir: BorrowedFd<'_>, id: GroupId) -> Reading<()> {
        let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
        let events = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        let watch = add_watch(&self.inotify, path, events).map_err(absent)?;
        self.groups.insert(watch, id);
        Ok(())
    }

    /// Watches whether somebody enters a held group.
    pub(super) fn add_entry(&mut self, dir: BorrowedFd<'_>, id: GroupId) -> Reading<()> {
        let path = format!("/proc/self/fd/{}/cgroup.events", dir.as_raw_fd());
        let events = WatchFlags::MODIFY | WatchFlags::DONT_FOLLOW;
        let watch = add_watch(&self.inotify, path, events).map_err(absent)?;
        self.groups.insert(watch, id);
        self.entries.insert(id, watch);
        Ok(())
    }

    /// Watches that no more. The kernel does not end such a watch by itself when the group is removed.
    pub(super) fn forget_entry(&mut self, id: GroupId) {
        if let Some(watch) = self.entries.remove(&id) {
            self.groups.remove(&watch);
            // It fails where the kernel was sooner.
            let _ = remove_watch(&self.inotify, watch);
        }
    }

    /// Empties the queue into `changed`.
    pub(super) fn drain(&mut self, changed: &mut Vec<GroupId>) -> Changes {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut rounds = 0;
        loop {
            if reader.is_buffer_empty() {
                rounds += 1;
                if rounds > ROUNDS {
                    return Changes::Lost;
                }
            }
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Changes::Listed,
                Err(_) => return Changes::Lost,
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                return Changes::Lost;
            }
            let watch = event.wd();
            if event.events().contains(ReadFlags::IGNORED) {
                // The directory is gone; its parent has a DELETE for us.
                self.groups.remove(&watch);
            } else if let Some(&id) = self.groups.get(&watch)
                && changed.last() != Some(&id)
            {
                changed.push(id);
            }
        }
    }
}

impl AsFd for TreeWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests work on a folder")]
mod tests {
    use super::*;
    use std::fs::{File, create_dir, remove_dir};

    #[test]
    fn a_new_directory_is_told_with_the_group_it_is_in_and_a_read_is_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cpu.stat"), "").unwrap();
        let dir = File::open(folder.path()).unwrap();
        let mut watch = TreeWatch::new().unwrap();
        watch.add(dir.as_fd(), GroupId(7)).unwrap();
        let mut changed = Vec::new();

        std::fs::read(folder.path().join("cpu.stat")).unwrap();
        assert_eq!(watch.drain(&mut changed), Changes::Listed);
        assert!(changed.is_empty());

        create_dir(folder.path().join("a")).unwrap();
        remove_dir(folder.path().join("a")).unwrap();
        assert_eq!(watch.drain(&mut changed), Changes::Listed);
        assert_eq!(changed, [GroupId(7)]);
    }

    #[test]
    fn a_watched_directory_that_goes_takes_its_watch_with_it() {
        let folder = tempfile::tempdir().unwrap();
        create_dir(folder.path().join("a")).unwrap();
        let dir = File::open(folder.path().join("a")).unwrap();
        let mut watch = TreeWatch::new().unwrap();
        watch.add(dir.as_fd(), GroupId(7)).unwrap();
        // The held descriptor keeps the inode alive: close it, as a scan does for a lost group.
        drop(dir);
        remove_dir(folder.path().join("a")).unwrap();
        watch.drain(&mut Vec::new());
        assert!(watch.groups.is_empty());
    }

    #[test]
    fn a_group_that_is_entered_is_told_until_it_is_forgotten_and_a_read_of_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("cgroup.events");
        std::fs::write(&events, "populated 0\n").unwrap();
        let dir = File::open(folder.path()).unwrap();
        let mut watch = TreeWatch::new().unwrap();
        watch.add_entry(dir.as_fd(), GroupId(7)).unwrap();
        let mut changed = Vec::new();
        std::fs::read(&events).unwrap();
        watch.drain(&mut changed);
        assert!(changed.is_empty());
        std::fs::write(&events, "populated 1\n").unwrap();
        watch.drain(&mut changed);
        assert_eq!(changed, [GroupId(7)]);
        watch.forget_entry(GroupId(7));
        std::fs::write(&events, "populated 0\n").unwrap();
        assert_eq!(watch.drain(&mut changed), Changes::Listed);
        assert_eq!(changed.len(), 1);
        assert!(watch.groups.is_empty() && watch.entries.is_empty());
        let none = watch.add_entry(dir.as_fd(), GroupId(8));
        assert!(none.is_ok());
    }
}
