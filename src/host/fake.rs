//! A scripted tree of cgroups in memory, for tests of every room above.
//!
//! It holds the texts of files, and does with them what Linux would: a removed group answers
//! `Gone` through its held directory, the same path made again is another group, knobs are rounded
//! and refused as the kernel does it (`fake/kernel.rs`). On request it fails, or
//! loses a group in the middle of somebody's work. Clones are the same tree: a test keeps one and
//! scripts it while the code under test owns another.

use super::KnobHandle;
use super::files::{Changes, HostFile, Listing, Opened, TreeFiles};
use super::real_time::Scheduled;
use crate::kernel::knob;
use crate::model::{Absent, GroupId, Reading};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod kernel;
mod state;

use state::{FakeGroup, Fault, ROOT, State, components};

/// The tree. Cloning gives another hand on the same tree.
#[derive(Clone, Debug)]
pub struct FakeTree(Arc<Mutex<State>>);

/// A held directory of a [`FakeTree`].
#[derive(Clone, Copy, Debug)]
pub struct FakeDir(GroupId);

/// A held file of a [`FakeTree`].
#[derive(Clone, Debug)]
pub enum FakeFile {
    /// Of a group.
    Group(GroupId, String),
    /// Of the host.
    Host(HostFile),
}

/// A knob of a [`FakeTree`], opened for another thread.
#[derive(Clone, Debug)]
pub struct FakeHandle {
    tree: FakeTree,
    group: GroupId,
    file: String,
    /// How often the file had been written when it was asked last.
    heard: Option<usize>,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening a directory, or a file to hold it.
    Open,
    /// Listing children.
    List,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Watching.
    Watch,
}

/// A write that reached the tree, refused ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeWrite {
    /// The group's path.
    pub path: String,
    /// The file.
    pub file: String,
    /// What was written.
    pub text: String,
}

impl Default for FakeTree {
    fn default() -> FakeTree {
        FakeTree::new()
    }
}

impl FakeTree {
    /// A root without children, on a calm host with two CPUs and 1 GiB.
    #[must_use]
    pub fn new() -> FakeTree {
        let tree = FakeTree(Arc::default());
        let mut state = tree.state();
        state.insert(None, b"", kernel::root_files());
        for file in HostFile::ALL {
            state.host.insert(file, kernel::host_file(file).to_vec());
        }
        drop(state);
        tree
    }

    /// Makes the group of this path, and those above it that are missing, as the kernel makes new
    /// ones. One that is there already is left as it is.
    pub fn add(&self, path: impl AsRef<[u8]>) -> GroupId {
        let mut state = self.state();
        let mut at = ROOT;
        for name in components(path.as_ref()) {
            at = match state.child(at, name) {
                Some(child) => child,
                None => {
                    state.tell(at);
                    state.insert(Some(at), name, kernel::new_group_files())
                }
            };
        }
        at
    }

    /// Makes a group in which nobody is, as [`add`](FakeTree::add) does else.
    pub fn add_vacant(&self, path: impl AsRef<[u8]>) -> GroupId {
        let id = self.add(path);
        self.state().populate(id, false);
        id
    }

    /// Somebody enters a group.
    pub fn enter(&self, path: impl AsRef<[u8]>) {
        self.populate(path.as_ref(), true);
    }

    /// The last one leaves a group. Those above it still have others.
    pub fn leave(&self, path: impl AsRef<[u8]>) {
        self.populate(path.as_ref(), false);
    }

    /// How many groups are waited for to be entered.
    #[must_use]
    pub fn entries_watched(&self) -> usize {
        self.state().entries.len()
    }

    fn populate(&self, path: &[u8], populated: bool) {
        let mut state = self.state();
        if let Some(id) = state.find(path) {
            state.populate(id, populated);
        }
    }

    /// Removes the group of this path with everything below it.
    pub fn remove(&self, path: impl AsRef<[u8]>) {
        let mut state = self.state();
        if let Some(id) = state.find(path.as_ref()) {
            state.remove(id);
        }
    }

    /// Removes the group of this path and makes a new one in its place.
    pub fn remake(&self, path: impl AsRef<[u8]>) -> GroupId {
        self.remove(&path);
        self.add(path)
    }

    /// The identity of what stands at this path now.
    #[must_use]
    pub fn id(&self, path: impl AsRef<[u8]>) -> Option<GroupId> {
        self.state().find(path.as_ref())
    }

    /// Sets a file's text as the kernel or somebody else would: without the checks of a write.
    pub fn set(&self, path: impl AsRef<[u8]>, file: &str, text: &str) {
        self.edit(path.as_ref(), |group| {
            group
                .files
                .insert(file.to_owned(), text.as_bytes().to_vec());
        });
    }

    /// Takes a file away, as where a controller is not enabled.
    pub fn unset(&self, path: impl AsRef<[u8]>, file: &str) {
        self.edit(path.as_ref(), |group| {
            group.files.remove(file);
        });
    }

    /// A file's text now; `None` where there is none.
    #[must_use]
    pub fn text(&self, path: impl AsRef<[u8]>, file: &str) -> Option<String> {
        let state = self.state();
        let group = state.groups.get(&state.find(path.as_ref())?)?;
        let text = group.files.get(file)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// Sets a file of the host.
    pub fn set_host(&self, file: HostFile, text: &str) {
        self.state().host.insert(file, text.as_bytes().to_vec());
    }

    /// A thread of the host is there from now on, and is scheduled like this.
    pub fn set_thread(&self, thread: u32, scheduled: Scheduled) {
        self.state().threads.insert(thread, scheduled);
    }

    /// Gives a group to a user, as delegation does.
    pub fn set_owner(&self, path: impl AsRef<[u8]>, owner: u32) {
        self.edit(path.as_ref(), |group| group.owner = owner);
    }

    /// From now on the operation fails on this group; on all its files, or on one.
    pub fn fail(
        &self,
        path: impl AsRef<[u8]>,
        file: Option<&str>,
        operation: Operation,
        why: Absent,
    ) {
        let mut state = self.state();
        if let Some(group) = state.find(path.as_ref()) {
            state.faults.push(Fault {
                group,
                file: file.map(str::to_owned),
                operation,
                why,
            });
        }
    }

    /// From now on the weight of an idle group reads 1, as since Linux 6.12, and not 0.
    pub fn show_idle_weights_as_1(&self) {
        self.state().idle_weight = Some("1\n");
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// The group vanishes before the operation that comes after so many others.
    pub fn vanish_after(&self, operations: u32, path: impl AsRef<[u8]>) {
        let mut state = self.state();
        if let Some(id) = state.find(path.as_ref()) {
            state.vanishing.push((operations, id));
        }
    }

    /// The next question for changes is answered with [`Changes::Lost`].
    pub fn lose_changes(&self) {
        self.state().lost = true;
    }

    /// Whether the group is watched.
    #[must_use]
    pub fn is_watched(&self, path: impl AsRef<[u8]>) -> bool {
        let state = self.state();
        state
            .find(path.as_ref())
            .is_some_and(|id| state.watched.contains(&id))
    }

    /// All writes that came through the seam so far, in order.
    #[must_use]
    pub fn writes(&self) -> Vec<FakeWrite> {
        self.state().writes.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self, path: &[u8], change: impl FnOnce(&mut FakeGroup)) {
        let mut state = self.state();
        if let Some(id) = state.find(path)
            && let Some(group) = state.groups.get_mut(&id)
        {
            change(group);
        }
    }
}

impl TreeFiles for FakeTree {
    type Dir = FakeDir;
    type File = FakeFile;
    type Handle = FakeHandle;

    fn root(&mut self) -> Reading<Opened<FakeDir>> {
        let mut state = self.state();
        state.begin(ROOT, None, Operation::Open)?;
        state.opened(ROOT)
    }

    fn open(&mut self, parent: &FakeDir, name: &[u8]) -> Reading<Opened<FakeDir>> {
        let mut state = self.state();
        state.begin(parent.0, None, Operation::Open)?;
        let id = state.child(parent.0, name).ok_or(Absent::Gone)?;
        state.opened(id)
    }

    fn children(&mut self, dir: &FakeDir, out: &mut Listing) -> Reading<()> {
        let mut state = self.state();
        state.begin(dir.0, None, Operation::List)?;
        for (id, group) in state.children(dir.0) {
            if !out.push(&group.name, id) {
                break;
            }
        }
        Ok(())
    }

    fn read(&mut self, dir: &FakeDir, file: &str, room: &mut [u8]) -> Reading<usize> {
        let mut state = self.state();
        let group = state.begin(dir.0, Some(file), Operation::Read)?;
        let text = group.files.get(file).ok_or(Absent::NoFile)?;
        Ok(copy(text, room))
    }

    fn write(&mut self, dir: &FakeDir, file: &str, text: &[u8]) -> Reading<()> {
        self.state().write(dir.0, file, text)
    }

    fn hold(&mut self, dir: &FakeDir, file: &str) -> Reading<FakeFile> {
        let mut state = self.state();
        let group = state.begin(dir.0, Some(file), Operation::Open)?;
        if !group.files.contains_key(file) {
            return Err(Absent::NoFile);
        }
        Ok(FakeFile::Group(dir.0, file.to_owned()))
    }

    fn hold_host(&mut self, file: HostFile) -> Reading<FakeFile> {
        Ok(FakeFile::Host(file))
    }

    fn reread(&mut self, file: &FakeFile, room: &mut [u8]) -> Reading<usize> {
        let mut state = self.state();
        match file {
            FakeFile::Group(id, file) => {
                let group = state.begin(*id, Some(file), Operation::Read)?;
                let text = group.files.get(file).ok_or(Absent::Gone)?;
                Ok(copy(text, room))
            }
            FakeFile::Host(file) => {
                let text = state.host.get(file).ok_or(Absent::NoFile)?;
                Ok(copy(text, room))
            }
        }
    }

    fn scheduled(&mut self, thread: u32) -> Option<Scheduled> {
        self.state().threads.get(&thread).copied()
    }

    fn detach(&mut self, dir: &FakeDir, file: &str) -> Reading<FakeHandle> {
        self.hold(dir, file)?;
        Ok(FakeHandle {
            tree: self.clone(),
            group: dir.0,
            file: file.to_owned(),
            heard: None,
        })
    }

    fn watch(&mut self, dir: &FakeDir, id: GroupId) -> Reading<()> {
        let mut state = self.state();
        state.begin(dir.0, None, Operation::Watch)?;
        state.watched.insert(id);
        Ok(())
    }

    fn watch_entry(&mut self, dir: &FakeDir, id: GroupId) -> Reading<()> {
        let mut state = self.state();
        let group = state.begin(dir.0, Some("cgroup.events"), Operation::Watch)?;
        if !group.files.contains_key("cgroup.events") {
            return Err(Absent::NoFile);
        }
        state.entries.insert(id);
        Ok(())
    }

    fn forget_entry(&mut self, id: GroupId) {
        self.state().entries.remove(&id);
    }

    fn changes(&mut self, changed: &mut Vec<GroupId>) -> Changes {
        let mut state = self.state();
        changed.append(&mut state.changed);
        if std::mem::take(&mut state.lost) {
            Changes::Lost
        } else {
            Changes::Listed
        }
    }
}

impl KnobHandle for FakeHandle {
    fn replace(&mut self, standing: &[u8], text: &[u8]) -> Reading<()> {
        let mut state = self.tree.state();
        let group = state.begin(self.group, Some(&self.file), Operation::Read)?;
        let found = group.files.get(&self.file).ok_or(Absent::Gone)?;
        if !knob::stands(found, standing) {
            return Err(Absent::Refused);
        }
        state.write(self.group, &self.file, text)
    }

    fn listen(&mut self) -> Reading<()> {
        self.heard = Some(self.written());
        Ok(())
    }

    fn was_written(&mut self) -> bool {
        let written = self.written();
        self.heard.replace(written) != Some(written)
    }
}

impl FakeHandle {
    /// How often its file was written.
    fn written(&self) -> usize {
        let state = self.tree.state();
        let key = (self.group, self.file.clone());
        state.written.get(&key).copied().unwrap_or(0)
    }
}

fn copy(text: &[u8], room: &mut [u8]) -> usize {
    let length = text.len().min(room.len());
    for (to, from) in room.iter_mut().zip(text) {
        *to = *from;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::super::files::{open_path, read_text};
    use super::*;

    #[test]
    fn a_group_made_again_under_the_same_path_is_another() {
        let mut tree = FakeTree::new();
        let old = tree.add("/a/b");
        let held = open_path(&mut tree, b"/a/b").unwrap();
        let new = tree.remake("/a/b");
        assert_ne!(old, new);
        let mut room = [0; 64];
        let read = read_text(&mut tree, &held.dir, "cpu.max", &mut room);
        assert_eq!(read, Err(Absent::Gone));
        assert_eq!(open_path(&mut tree, b"/a/b").unwrap().id, new);
    }

    #[test]
    fn it_fails_where_it_is_told_to_and_until_it_is_healed() {
        let mut tree = FakeTree::new();
        tree.add("/a");
        tree.fail("/a", Some("cpu.max"), Operation::Read, Absent::Denied);
        let held = open_path(&mut tree, b"/a").unwrap();
        let mut room = [0; 64];
        let mut read = |tree: &mut FakeTree, file| tree.read(&held.dir, file, &mut room);
        assert_eq!(read(&mut tree, "cpu.max"), Err(Absent::Denied));
        assert!(read(&mut tree, "cpu.weight").is_ok());
        tree.heal();
        assert!(read(&mut tree, "cpu.max").is_ok());
    }

    #[test]
    fn a_group_can_vanish_between_two_operations() {
        let mut tree = FakeTree::new();
        tree.add("/a");
        let held = open_path(&mut tree, b"/a").unwrap();
        tree.vanish_after(1, "/a");
        let mut room = [0; 64];
        let mut read = |tree: &mut FakeTree| tree.read(&held.dir, "cpu.max", &mut room);
        assert!(read(&mut tree).is_ok());
        assert_eq!(read(&mut tree), Err(Absent::Gone));
    }

    #[test]
    fn changes_are_told_of_watched_groups_only() {
        let mut tree = FakeTree::new();
        let a = tree.add("/a");
        tree.add("/b");
        let held = open_path(&mut tree, b"/a").unwrap();
        tree.watch(&held.dir, held.id).unwrap();
        tree.add("/a/x");
        tree.add("/b/x");
        let mut changed = Vec::new();
        assert_eq!(tree.changes(&mut changed), Changes::Listed);
        assert_eq!(changed, [a]);
        tree.lose_changes();
        assert_eq!(tree.changes(&mut changed), Changes::Lost);
    }

    #[test]
    fn a_detached_knob_writes_to_its_group_and_to_no_successor() {
        let mut tree = FakeTree::new();
        tree.add("/a");
        let held = open_path(&mut tree, b"/a").unwrap();
        let mut handle = tree.detach(&held.dir, "memory.high").unwrap();
        handle.replace(b"max", b"8192").unwrap();
        assert_eq!(tree.text("/a", "memory.high").as_deref(), Some("8192\n"));
        let other = handle.replace(b"max", b"4096");
        assert_eq!(other, Err(Absent::Refused), "something else stands there");
        tree.remake("/a");
        assert_eq!(handle.replace(b"max", b"4096"), Err(Absent::Gone));
        assert_eq!(tree.text("/a", "memory.high").as_deref(), Some("max\n"));
    }
}
