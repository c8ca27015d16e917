//! What a [`FakeTree`](super::FakeTree) is made of, and its script.

use super::super::files::{HostFile, Opened};
use super::super::real_time::Scheduled;
use super::kernel;
use super::{FakeDir, FakeWrite, Operation};
use crate::model::{Absent, GroupId, Reading};
use std::collections::{BTreeMap, BTreeSet};

/// The texts of a group's files.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) groups: BTreeMap<GroupId, FakeGroup>,
    pub(super) last_inode: u64,
    pub(super) host: BTreeMap<HostFile, Vec<u8>>,
    pub(super) faults: Vec<Fault>,
    pub(super) vanishing: Vec<(u32, GroupId)>,
    pub(super) watched: BTreeSet<GroupId>,
    /// Groups that are waited for to be entered.
    pub(super) entries: BTreeSet<GroupId>,
    pub(super) changed: Vec<GroupId>,
    pub(super) lost: bool,
    pub(super) writes: Vec<FakeWrite>,
    /// How often each file was written.
    pub(super) written: BTreeMap<(GroupId, String), usize>,
    /// The host's threads.
    pub(super) threads: BTreeMap<u32, Scheduled>,
    /// What the weight of an idle group reads, where that is not 6.1's 0.
    pub(super) idle_weight: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct FakeGroup {
    pub(super) parent: Option<GroupId>,
    pub(super) name: Vec<u8>,
    pub(super) owner: u32,
    pub(super) files: Files,
}

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) group: GroupId,
    pub(super) file: Option<String>,
    pub(super) operation: Operation,
    pub(super) why: Absent,
}

pub(super) const ROOT: GroupId = GroupId(1);

impl State {
    pub(super) fn insert(&mut self, parent: Option<GroupId>, name: &[u8], files: Files) -> GroupId {
        self.last_inode += 1;
        let id = GroupId(self.last_inode);
        let group = FakeGroup {
            parent,
            name: name.to_vec(),
            owner: 0,
            files,
        };
        self.groups.insert(id, group);
        id
    }

    pub(super) fn remove(&mut self, id: GroupId) {
        let children: Vec<GroupId> = self.children(id).map(|(child, _)| child).collect();
        for child in children {
            self.remove(child);
        }
        if let Some(parent) = self.groups.remove(&id).and_then(|group| group.parent) {
            self.tell(parent);
        }
        self.watched.remove(&id);
    }

    /// The group's first task comes, or its last one goes: the groups above it tell it too.
    pub(super) fn populate(&mut self, id: GroupId, populated: bool) {
        let text = kernel::events(populated);
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let parent = group.parent;
        // The root has no such file.
        if let Some(standing) = group.files.get_mut("cgroup.events")
            && *standing != text
        {
            *standing = text;
            if self.entries.contains(&id) {
                self.changed.push(id);
            }
        }
        if let Some(parent) = parent.filter(|_| populated) {
            self.populate(parent, true);
        }
    }

    pub(super) fn tell(&mut self, parent: GroupId) {
        if self.watched.contains(&parent) {
            self.changed.push(parent);
        }
    }

    pub(super) fn children(&self, of: GroupId) -> impl Iterator<Item = (GroupId, &FakeGroup)> {
        self.groups
            .iter()
            .filter(move |(_, group)| group.parent == Some(of))
            .map(|(&id, group)| (id, group))
    }

    pub(super) fn child(&self, of: GroupId, name: &[u8]) -> Option<GroupId> {
        self.children(of)
            .find(|(_, group)| group.name == name)
            .map(|(id, _)| id)
    }

    pub(super) fn find(&self, path: &[u8]) -> Option<GroupId> {
        components(path).try_fold(ROOT, |at, name| self.child(at, name))
    }

    fn path(&self, id: GroupId) -> String {
        match self.groups.get(&id) {
            Some(group) => match group.parent {
                Some(parent) => format!(
                    "{}/{}",
                    self.path(parent),
                    String::from_utf8_lossy(&group.name)
                ),
                None => String::new(),
            },
            None => "(gone)".to_owned(),
        }
    }

    /// Every operation begins here: the script's time goes on, and somebody may vanish.
    pub(super) fn begin(
        &mut self,
        group: GroupId,
        file: Option<&str>,
        operation: Operation,
    ) -> Reading<&mut FakeGroup> {
        let due: Vec<GroupId> = self
            .vanishing
            .iter()
            .filter(|(left, _)| *left == 0)
            .map(|&(_, id)| id)
            .collect();
        self.vanishing.retain(|(left, _)| *left > 0);
        for (left, _) in &mut self.vanishing {
            *left -= 1;
        }
        for id in due {
            self.remove(id);
        }
        let fault = self.faults.iter().find(|fault| {
            fault.group == group
                && fault.operation == operation
                && (fault.file.is_none() || fault.file.as_deref() == file)
        });
        match fault {
            Some(fault) => Err(fault.why),
            None => self.groups.get_mut(&group).ok_or(Absent::Gone),
        }
    }

    pub(super) fn write(&mut self, id: GroupId, file: &str, text: &[u8]) -> Reading<()> {
        let path = self.path(id);
        let idle_weight = self.idle_weight;
        let group = self.begin(id, Some(file), Operation::Write)?;
        let outcome = kernel::write(&mut group.files, file, text);
        if let (Some(shown), Some(weight)) = (idle_weight, group.files.get_mut("cpu.weight"))
            && weight == b"0\n"
        {
            *weight = shown.as_bytes().to_vec();
        }
        *self.written.entry((id, file.to_owned())).or_default() += 1;
        self.writes.push(FakeWrite {
            path,
            file: file.to_owned(),
            text: String::from_utf8_lossy(text).into_owned(),
        });
        outcome
    }

    pub(super) fn opened(&self, id: GroupId) -> Reading<Opened<FakeDir>> {
        let group = self.groups.get(&id).ok_or(Absent::Gone)?;
        Ok(Opened {
            dir: FakeDir(id),
            id,
            owner: group.owner,
        })
    }
}

pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
}
