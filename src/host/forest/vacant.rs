//! Containers that nobody has entered yet.
//!
//! Whoever makes a thousand empty cgroups beside the containers shall not have a thousand sampled: one with nobody
//! in it or below harms nobody and waits for nothing. So of each that is new `cgroup.events` is read, before
//! anything else of it. It is the kernel's file, which no container can write. While it says that nobody is in there,
//! the group is held open and waited for, and is no part of the topology; its first task makes it one, and it
//! stays one until it is removed. One of which that cannot be told is taken in at once.
//!
//! The kernel tells of the first task (inotify). Where it may have told what nobody heard, all are asked, some in each scan.
//! Whoever may make cgroups may have thousands told of, by one process that goes from one to the next: the host's own are asked
//! and taken in first, half of what a scan asks is for those that nothing is told of, and one that was told of in vain again
//! and again is taken in whether somebody is there or not.

use super::Forest;
use super::walk::Walk;
use crate::host::files::{Opened, TreeFiles, read_text};
use crate::host::recognise::recognise;
use crate::kernel::flat;
use crate::model::{GroupId, Reading};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// Two lines of ten bytes; kernels may add some.
const EVENTS_ROOM: usize = 256;

/// Told of so many times, and found without anybody, one is taken in all the same: somebody goes in and out.
const IN_VAIN: u8 = 3;

/// Groups that wait for their turn: the host's own (root's), and those of others.
#[derive(Debug)]
struct Queue {
    hosts: VecDeque<GroupId>,
    others: VecDeque<GroupId>,
}

impl Queue {
    const fn new() -> Queue {
        Queue {
            hosts: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    fn push(&mut self, id: GroupId, is_hosts: bool) {
        if is_hosts {
            self.hosts.push_back(id);
        } else {
            self.others.push_back(id);
        }
    }

    fn pop(&mut self) -> Option<GroupId> {
        self.hosts.pop_front().or_else(|| self.others.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.others.is_empty()
    }
}

/// The vacant groups, and what is left to do about them.
#[derive(Debug)]
pub(super) struct Vacants<D> {
    groups: BTreeMap<GroupId, Vacant<D>>,
    /// Something was told of these: they are asked first.
    told: Queue,
    /// Somebody was seen in these; the walk takes them in.
    entered: Queue,
    /// So many more are asked in turn, whether something was told of them or not.
    doubted: usize,
    /// Whose turn it was last.
    turn: GroupId,
}

#[derive(Debug)]
struct Vacant<D> {
    opened: Opened<D>,
    parent: GroupId,
    path: Vec<u8>,
    /// It stands in one of the two queues.
    queued: bool,
    /// So many times it was told of, and nobody was there.
    in_vain: u8,
    /// The walk that saw it listed last.
    walk: u64,
}

impl<D> Vacants<D> {
    pub(super) const fn new() -> Vacants<D> {
        Vacants {
            groups: BTreeMap::new(),
            told: Queue::new(),
            entered: Queue::new(),
            doubted: 0,
            turn: GroupId(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn add(
        &mut self,
        opened: Opened<D>,
        parent: GroupId,
        path: Vec<u8>,
        walk: u64,
    ) -> GroupId {
        let id = opened.id;
        let vacant = Vacant {
            opened,
            parent,
            path,
            queued: false,
            in_vain: 0,
            walk,
        };
        self.groups.insert(id, vacant);
        id
    }

    /// Whether this child of a directory is a vacant one; it was listed in this walk then.
    pub(super) fn is_listed(&mut self, id: GroupId, parent: GroupId, walk: u64) -> bool {
        match self.groups.get_mut(&id) {
            Some(vacant) if vacant.parent == parent => {
                vacant.walk = walk;
                true
            }
            _ => false,
        }
    }

    /// Something was told of a group: it is asked if it is a vacant one.
    pub(super) fn tell(&mut self, id: GroupId) {
        if let Some(vacant) = self.groups.get_mut(&id)
            && !vacant.queued
        {
            vacant.queued = true;
            self.told.push(id, vacant.is_hosts());
        }
    }

    /// So many are asked in turn.
    pub(super) fn doubt(&mut self, count: usize) {
        self.doubted = self.doubted.max(count).min(self.groups.len());
    }

    /// One is to be taken in whether somebody is in it or not.
    pub(super) fn enter(&mut self, id: GroupId) {
        if let Some(vacant) = self.groups.get_mut(&id) {
            vacant.queued = true;
            self.entered.push(id, vacant.is_hosts());
        }
    }

    /// Somebody is in some that are not taken in yet.
    pub(super) fn are_entered(&self) -> bool {
        !self.entered.is_empty()
    }

    /// Some are still to be asked, and soon. Others than the host's wait for the next scan: they would have scans follow each
    /// other for ever.
    pub(super) fn are_doubted(&self) -> bool {
        self.doubted > 0 || !self.told.hosts.is_empty()
    }

    /// Who was told of and is asked next.
    fn next_told(&mut self) -> Option<GroupId> {
        while let Some(id) = self.told.pop() {
            // It may have gone meanwhile.
            if let Some(vacant) = self.groups.get_mut(&id) {
                vacant.queued = false;
                return Some(id);
            }
        }
        None
    }

    /// Whose turn it is, whether something was told of it or not.
    fn next_doubted(&mut self) -> Option<GroupId> {
        self.doubted = self.doubted.checked_sub(1)?;
        let later = (Bound::Excluded(self.turn), Bound::Unbounded);
        let next = self.groups.range(later).next();
        let (&id, vacant) = next.or_else(|| self.groups.iter().next())?;
        self.turn = id;
        (!vacant.queued).then_some(id)
    }
}

impl<D> Vacant<D> {
    const fn is_hosts(&self) -> bool {
        self.opened.owner == 0
    }
}

impl<T: TreeFiles> Forest<T> {
    /// Whether nobody is in a group that is just met. It is asked before it is watched, since the end of a watch wakes the
    /// loop too, and once more after that, so that whoever entered in between is seen; one that cannot be watched
    /// is no vacant one.
    pub(super) fn is_vacant(&mut self, opened: &Opened<T::Dir>) -> bool {
        let Opened { dir, id, .. } = opened;
        // An earlier run held it.
        if self.adopted.contains_key(id) {
            return false;
        }
        if is_populated(&mut self.files, dir) != Ok(false)
            || self.files.watch_entry(dir, *id).is_err()
        {
            return false;
        }
        let is_vacant = is_populated(&mut self.files, dir) == Ok(false);
        if !is_vacant {
            self.files.forget_entry(*id);
        }
        is_vacant
    }

    /// Asks those of whom something was told, and those whose turn it is, so many at most: one of these after one of those.
    pub(super) fn ask_vacant(&mut self, most: usize) {
        for at in 0..most {
            if self.vacants.doubted == 0 && self.vacants.told.is_empty() {
                return;
            }
            let told = if at % 2 == 0 || self.vacants.doubted == 0 {
                self.vacants.next_told()
            } else {
                None
            };
            let Some(id) = told.or_else(|| self.vacants.next_doubted()) else {
                continue;
            };
            let Some(vacant) = self.vacants.groups.get_mut(&id) else {
                continue;
            };
            if is_populated(&mut self.files, &vacant.opened.dir) != Ok(false) {
                self.vacants.enter(id);
            } else if told.is_some() {
                vacant.in_vain = vacant.in_vain.saturating_add(1);
                if vacant.in_vain >= IN_VAIN {
                    self.vacants.enter(id);
                }
            }
        }
    }

    /// Takes in those that somebody has entered, as far as this walk may open groups: others than the host's own leave half of
    /// that to who has just been made.
    pub(super) fn take_entered(&mut self, walk: &mut Walk<'_>) {
        let for_new = walk.to_open / 2;
        while self.vacants.are_entered() {
            let least = if self.vacants.entered.hosts.is_empty() {
                for_new
            } else {
                0
            };
            if walk.to_open <= least {
                walk.scan.unfinished = true;
                return;
            }
            let Some(id) = self.vacants.entered.pop() else {
                return;
            };
            if let Some(vacant) = self.vacants.groups.remove(&id) {
                walk.to_open -= 1;
                self.files.forget_entry(id);
                let Vacant {
                    opened,
                    parent,
                    path,
                    ..
                } = vacant;
                self.admit(opened, Some(parent), path, walk);
            }
        }
    }

    /// Lets go of the vacant ones among these that were not listed in this walk.
    pub(super) fn forget_unlisted(&mut self, children: &[GroupId]) {
        for id in children {
            let walks = self.walks;
            let gone = self.vacants.groups.get(id);
            if gone.is_some_and(|vacant| vacant.walk != walks) {
                self.vacants.forget(&mut self.files, *id);
            }
        }
    }

    /// Lets go of those that are no containers any more.
    pub(super) fn forget_vacant(&mut self, is_container: &dyn Fn(&[u8]) -> bool) {
        let (files, vacants) = (&mut self.files, &mut self.vacants);
        vacants.groups.retain(|id, vacant| {
            let stays = recognise(&vacant.path, is_container).is_some();
            if !stays {
                files.forget_entry(*id);
            }
            stays
        });
    }
}

impl<D> Vacants<D> {
    /// Lets go of one, if it is here.
    pub(super) fn forget<T: TreeFiles<Dir = D>>(&mut self, files: &mut T, id: GroupId) {
        if self.groups.remove(&id).is_some() {
            files.forget_entry(id);
        }
    }
}

/// Whether there is a task in a group or anywhere below it.
fn is_populated<T: TreeFiles>(files: &mut T, dir: &T::Dir) -> Reading<bool> {
    let mut room = [0; EVENTS_ROOM];
    let text = read_text(files, dir, "cgroup.events", &mut room)?;
    flat::group_events(text).map(|events| events.populated)
}

#[cfg(test)]
mod tests {
    use super::super::{Extent, Limits, Rules, Scan};
    use super::*;
    use crate::host::{FakeTree, KnobFiles, Operation, PathHint};
    use crate::model::{Absent, Knob};

    fn docker(n: usize) -> String {
        format!("/system.slice/docker-{n:064x}.scope")
    }

    fn crowd(count: usize) -> FakeTree {
        let tree = FakeTree::new();
        (0..count).for_each(|n| _ = tree.add_vacant(docker(n)));
        tree
    }

    fn forest(tree: &FakeTree) -> Forest<FakeTree> {
        let mut forest = Forest::new(tree.clone(), Limits::default());
        forest.scan_whole(&|_| false).unwrap();
        forest
    }

    fn scan(forest: &mut Forest<FakeTree>, extent: Extent) -> Scan {
        forest.scan(extent, &|_| false).unwrap()
    }

    /// The containers of the topology, in its order.
    fn containers(forest: &Forest<FakeTree>) -> Vec<GroupId> {
        let topology = forest.topology(&Rules {
            original: &|_, _| None,
            name: &|_, _| None,
            is_protected: &|_| false,
            own: None,
        });
        topology.watched().map(|(_, group)| group.id).collect()
    }

    #[test]
    fn nobody_is_nobody_until_somebody_enters_and_then_until_the_group_goes() {
        let tree = crowd(3);
        let mut forest = forest(&tree);
        assert_eq!((containers(&forest), forest.groups()), (vec![], 2));
        assert_eq!(tree.entries_watched(), 3);
        assert!(!scan(&mut forest, Extent::Changed).changed);
        tree.enter(docker(1));
        assert!(scan(&mut forest, Extent::Changed).changed);
        let entered = tree.id(docker(1)).unwrap();
        assert_eq!(containers(&forest), [entered]);
        assert!(forest.read_knob(entered, Knob::CpuMax).is_ok());
        assert_eq!(tree.entries_watched(), 2, "of a busy one nothing is told");
        tree.leave(docker(1));
        for extent in [Extent::Changed, Extent::All, Extent::Next(9)] {
            scan(&mut forest, extent);
            assert_eq!(containers(&forest), [entered]);
        }
        tree.remove(docker(1));
        assert!(scan(&mut forest, Extent::Changed).changed);
        assert_eq!(containers(&forest), []);
    }

    #[test]
    fn a_task_further_down_is_in_the_container() {
        let tree = FakeTree::new();
        tree.add(format!("{}/inner", docker(0)));
        tree.leave(docker(0));
        let mut forest = forest(&tree);
        tree.enter(format!("{}/inner", docker(0)));
        scan(&mut forest, Extent::Changed);
        assert_eq!(containers(&forest).len(), 1);
    }

    #[test]
    fn of_vacant_ones_nothing_is_read_but_their_events_when_they_are_met() {
        let tree = crowd(40);
        for n in 0..40 {
            tree.fail(docker(n), Some("cpu.max"), Operation::Read, Absent::Denied);
        }
        let mut forest = forest(&tree);
        for n in 0..40 {
            // Whoever read it again would take it for one that is not vacant.
            tree.unset(docker(n), "cgroup.events");
        }
        tree.add("/system.slice/other.slice");
        scan(&mut forest, Extent::Changed);
        assert_eq!((containers(&forest).len(), forest.groups()), (0, 3));
        let walks = forest.walks;
        scan(&mut forest, Extent::Changed);
        assert_eq!(forest.walks, walks);
    }

    #[test]
    fn a_vacant_one_more_is_no_other_topology() {
        let tree = crowd(1);
        let mut forest = forest(&tree);
        tree.add_vacant(docker(1));
        assert!(!scan(&mut forest, Extent::Changed).changed);
        assert_eq!(tree.entries_watched(), 2);
        tree.remove(docker(0));
        assert!(!scan(&mut forest, Extent::Changed).changed);
        assert_eq!((tree.entries_watched(), forest.vacants.len()), (1, 1));
    }

    #[test]
    fn one_that_cannot_be_asked_or_watched_is_taken_in_at_once() {
        for operation in [Operation::Read, Operation::Watch] {
            let tree = crowd(2);
            let events = Some("cgroup.events");
            tree.fail(docker(0), events, operation, Absent::Denied);
            let forest = forest(&tree);
            assert_eq!(containers(&forest), [tree.id(docker(0)).unwrap()]);
            assert_eq!(tree.entries_watched(), 1);
        }
        let tree = crowd(1);
        tree.unset(docker(0), "cgroup.events");
        assert_eq!(containers(&forest(&tree)).len(), 1);
        let tree = crowd(1);
        let mut forest = forest(&tree);
        let events = Some("cgroup.events");
        tree.fail(docker(0), events, Operation::Read, Absent::Errno(19));
        scan(&mut forest, Extent::Next(1));
        assert_eq!(
            containers(&forest).len(),
            1,
            "one that cannot be asked any more too"
        );
    }

    #[test]
    fn what_was_lost_or_never_told_is_found_by_asking_all_in_turn() {
        let tree = crowd(100);
        let mut forest = forest(&tree);
        let deaf = |tree: &FakeTree, n| tree.set(docker(n), "cgroup.events", "populated 1\n");
        deaf(&tree, 70);
        assert!(!scan(&mut forest, Extent::Changed).unfinished);
        assert_eq!(containers(&forest).len(), 0);
        tree.lose_changes();
        let scans = 1
            + (0..9)
                .take_while(|_| scan(&mut forest, Extent::Changed).unfinished)
                .count();
        assert_eq!(scans, 4, "32 in each");
        assert_eq!(containers(&forest).len(), 1);
        deaf(&tree, 50);
        (0..99).for_each(|_| _ = scan(&mut forest, Extent::Next(1)));
        assert_eq!(containers(&forest).len(), 2);
    }

    #[test]
    fn a_crowd_that_is_entered_at_once_is_taken_in_as_new_groups_are() {
        let tree = crowd(100);
        let mut forest = forest(&tree);
        (0..100).for_each(|n| tree.enter(docker(n)));
        let met = scan(&mut forest, Extent::Changed);
        assert!(met.changed && met.unfinished);
        assert_eq!(containers(&forest).len(), 12, "an eighth of what is known");
        for _ in 0..20 {
            scan(&mut forest, Extent::Changed);
        }
        assert_eq!(containers(&forest).len(), 100);
        assert!(!scan(&mut forest, Extent::Changed).unfinished);
    }

    #[test]
    fn who_came_and_went_before_the_walk_had_room_is_known_all_the_same() {
        let tree = crowd(20);
        let mut forest = forest(&tree);
        (0..20).for_each(|n| tree.enter(docker(n)));
        assert!(scan(&mut forest, Extent::Changed).unfinished);
        (0..20).for_each(|n| tree.leave(docker(n)));
        (0..9).for_each(|_| _ = scan(&mut forest, Extent::Changed));
        assert_eq!(containers(&forest).len(), 20);
    }

    #[test]
    fn who_is_told_of_comes_before_those_that_are_only_doubted() {
        let tree = crowd(100);
        let mut forest = forest(&tree);
        tree.enter(docker(90));
        tree.lose_changes();
        scan(&mut forest, Extent::Changed);
        assert_eq!(containers(&forest).len(), 1);
    }

    #[test]
    fn vacant_ones_take_room_like_others_and_go_with_their_slice() {
        let tree = crowd(100);
        let limits = Limits {
            groups: 20,
            ..Limits::default()
        };
        let mut forest = Forest::new(tree.clone(), limits);
        assert!(forest.scan_whole(&|_| false).unwrap().left_out > 0);
        assert_eq!(forest.vacants.len() + forest.groups(), 20);
        tree.remove("/system.slice");
        scan(&mut forest, Extent::Changed);
        assert_eq!((forest.vacants.len(), tree.entries_watched()), (0, 0));
    }

    #[test]
    fn whoever_vanishes_at_any_moment_no_watch_is_left_behind() {
        for operations in 0..12 {
            let tree = crowd(3);
            let mut forest = forest(&tree);
            tree.vanish_after(operations, "/system.slice");
            for extent in [Extent::All, Extent::Changed, Extent::All] {
                scan(&mut forest, extent);
                assert_eq!(tree.entries_watched(), forest.vacants.len());
            }
            tree.remove("/system.slice");
            scan(&mut forest, Extent::All);
            assert_eq!((tree.entries_watched(), forest.groups()), (0, 1));
        }
    }

    /// Somebody goes through all of a user's groups.
    fn hopped_through(tree: &FakeTree, owner: u32, count: usize) {
        for n in 0..count {
            tree.set_owner(docker(n), owner);
        }
        for n in 0..count {
            tree.enter(docker(n));
            tree.leave(docker(n));
        }
    }

    #[test]
    fn one_that_is_told_of_in_vain_again_and_again_is_taken_in_all_the_same() {
        let tree = crowd(20);
        let mut forest = forest(&tree);
        for times in 1..=3 {
            assert_eq!(containers(&forest).len(), 0, "{times}");
            hopped_through(&tree, 0, 20);
            assert!(!scan(&mut forest, Extent::Changed).unfinished || times == 3);
        }
        assert!(!containers(&forest).is_empty());
    }

    #[test]
    fn whoever_goes_through_a_thousand_groups_of_his_own_keeps_nobody_from_being_met() {
        let tree = FakeTree::new();
        (0..200).for_each(|n| _ = tree.add_vacant(docker(n)));
        (0..200).for_each(|n| tree.set_owner(docker(n), 1_000));
        (200..210).for_each(|n| _ = tree.add_vacant(docker(n)));
        let mut forest = forest(&tree);
        hopped_through(&tree, 1_000, 200);
        tree.enter(docker(205));
        let met = scan(&mut forest, Extent::Changed);
        assert_eq!(containers(&forest), [tree.id(docker(205)).unwrap()]);
        assert!(!met.unfinished, "scans follow each other for ever");
        // Nor is he heard so loudly that one of whom the kernel's word was lost is never asked.
        tree.set(docker(207), "cgroup.events", "populated 1\n");
        tree.lose_changes();
        let lost = tree.id(docker(207)).unwrap();
        let scans = (0..99).take_while(|_| {
            hopped_through(&tree, 1_000, 200);
            scan(&mut forest, Extent::Changed);
            !containers(&forest).contains(&lost)
        });
        assert!(scans.count() < 20);
    }

    #[test]
    fn who_enters_groups_of_his_own_leaves_room_for_the_hosts_new_ones() {
        let tree = crowd(100);
        (0..100).for_each(|n| tree.set_owner(docker(n), 1_000));
        let mut forest = forest(&tree);
        (0..100).for_each(|n| tree.enter(docker(n)));
        tree.add(docker(100));
        scan(&mut forest, Extent::Changed);
        let new = tree.id(docker(100)).unwrap();
        assert!(containers(&forest).contains(&new));
    }

    #[test]
    fn what_an_earlier_run_held_is_never_vacant() {
        let tree = crowd(2);
        let id = tree.id(docker(0)).unwrap();
        let path = docker(0);
        let mut early = Forest::new(tree.clone(), Limits::default());
        early.adopt(id, PathHint::Whole(path.as_bytes())).unwrap();
        early.scan_whole(&|_| false).unwrap();
        assert_eq!(containers(&early), [id]);
        let mut late = forest(&tree);
        late.adopt(id, PathHint::Whole(path.as_bytes())).unwrap();
        scan(&mut late, Extent::Changed);
        assert_eq!(containers(&late), [id]);
    }

    #[test]
    fn another_policy_asks_anew() {
        let tree = FakeTree::new();
        tree.add_vacant("/tenants/a");
        let mut forest = Forest::new(tree.clone(), Limits::default());
        let tenants = |path: &[u8]| path == b"/tenants/a";
        forest.scan_whole(&tenants).unwrap();
        assert_eq!((forest.groups(), forest.vacants.len()), (2, 1));
        forest.recognise_again(&|_| false);
        assert_eq!(tree.entries_watched(), 0);
        scan(&mut forest, Extent::All);
        assert_eq!((forest.groups(), forest.vacants.len()), (3, 0));
        // It is known now, whoever is in it.
        forest.recognise_again(&tenants);
        forest.scan(Extent::All, &tenants).unwrap();
        assert_eq!(containers(&forest).len(), 1);
    }
}
