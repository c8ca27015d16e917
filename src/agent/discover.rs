//! The loop's part that knows the tree: scans, the topology built of them, and who must be told of it.

use super::run::Loop;
use crate::host::{Clock, Extent, Forest, HostClock, LinuxTree, Rules, Scan, Wait};
use crate::model::{GroupId, Member, Reading, Resource, Rung, Span, Time, Topology};
use crate::policy::Brain;

/// The mean time between two scans of the tree in a flood of changes, which must not eat the loop.
const SCAN_APART: Span = Span::from_millis(200);
/// So many scans may follow each other sooner after a time without changes.
const SCANS_SAVED: u64 = 4;
/// A change is looked at so much later: a container comes in several steps, and is looked at once more when its first task
/// has come.
const SETTLES: Span = Span::from_millis(10);
/// What one scan had no time for is looked at so much later.
const GOES_ON: Span = Span::from_millis(50);
/// And no sooner than after so many times as long as the scan took: whoever makes groups by the thousand must not
/// take the loop from those who are harmed.
const RESTS: f64 = 3.0;

/// So many doorbells are armed in one quiet tick: each starts a thread of the kernel's, which waits for its turn among all
/// that want to run.
pub(super) const BELLS_A_TICK: usize = 4;

/// When the tree is looked at after a change: soon, as long as changes are few. (Seen with containers that live for
/// two seconds: at 200 ms after each change the next one had a fifth of a second unseen.)
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanTurns {
    due: Option<Time>,
    /// Up to when scans at the mean pace are taken: behind now where some are saved.
    taken_until: Time,
}

impl ScanTurns {
    pub(super) const fn new(now: Time) -> ScanTurns {
        ScanTurns {
            due: None,
            taken_until: now,
        }
    }

    /// Something in the tree has changed.
    pub(super) fn changed(&mut self, now: Time) {
        let saved = SCAN_APART.0 * SCANS_SAVED;
        let may = Time(self.taken_until.0.saturating_sub(saved));
        self.due = self.due.or(Some(may.max(now + SETTLES)));
    }

    /// A scan is made now. One that nothing had called for is none of these. Those that went on with what was not finished
    /// leave no debt that somebody who comes later would wait for.
    fn scan(&mut self, now: Time) {
        if self.due.take().is_some() {
            let most = now + Span(SCAN_APART.0 * (SCANS_SAVED + 1));
            self.taken_until = (self.taken_until.max(now) + SCAN_APART).min(most);
        }
    }

    /// The scan that has just ended had not enough time for all of it, and took so long.
    fn goes_on(&mut self, now: Time, took: Span) {
        self.due = Some(now + GOES_ON.max(took.scaled(RESTS)));
    }

    /// When the next scan is due, if something changed.
    pub(super) const fn due(&self) -> Option<Time> {
        self.due
    }
}

impl Loop {
    /// How many groups are due to be listed again, so that each has its turn once a `rescan`.
    pub(super) fn rescan_turns(&mut self, now: Time) -> usize {
        let each = self.loaded.policy.runtime.rescan.0 / (self.forest.groups() as u64).max(1);
        let turns = now.since(self.rescanned).0 / each.max(1);
        self.rescanned = self.rescanned + Span(turns * each);
        usize::try_from(turns).unwrap_or(usize::MAX)
    }

    /// Looks at the whole tree in one scan, however long that takes: for the first look, when nobody waits yet.
    pub(super) fn scan_whole(&mut self) {
        self.scan_by(Forest::scan_whole);
    }

    pub(super) fn scan(&mut self, extent: Extent) {
        self.scan_by(|forest, is_container| forest.scan(extent, is_container));
    }

    fn scan_by(
        &mut self,
        scan: impl FnOnce(&mut Forest<LinuxTree>, &dyn Fn(&[u8]) -> bool) -> Reading<Scan>,
    ) {
        let now = HostClock.now();
        self.scans.scan(now);
        self.waiter.watch_tree();
        let globs = &self.globs;
        match scan(&mut self.forest, &|path| globs.is_container(path)) {
            Ok(scan) => {
                self.gauges.scanned(&scan);
                if scan.changed || self.tree.groups.is_empty() {
                    self.take_tree();
                }
                if scan.unfinished {
                    let end = HostClock.now();
                    self.scans.goes_on(end, end.since(now));
                }
            }
            Err(why) => tracing::error!("cannot list the cgroup tree: {why}"),
        }
    }

    /// Builds the topology anew, and tells everybody who works by it.
    pub(super) fn take_tree(&mut self) {
        let tree = self.known_tree();
        self.work_by(tree);
    }

    /// The topology as it is known now.
    pub(super) fn known_tree(&self) -> Topology {
        let names = self.side.names.load();
        let protect = &self.protect;
        let knobs = &self.knobs;
        self.forest.topology(&Rules {
            original: &|group, knob| knobs.original(group, knob).copied(),
            name: &|_, key| names.get(key).map(|named| named.name.clone()),
            is_protected: &|group| protect.covers(group),
            own: self.own.as_deref(),
        })
    }

    /// Tells everybody who works by the topology.
    pub(super) fn work_by(&mut self, tree: Topology) {
        self.tree = tree;
        let names = self.side.names.load();
        self.watched.clear();
        let mut unnamed = false;
        for (_, group) in self.tree.watched() {
            self.watched.push(group.id);
            if let Member::Container { key, .. } = &group.member {
                unnamed |= !names.contains_key(key);
            }
        }
        if unnamed {
            self.side.names_wanted.ask();
        }
        self.gauges.keep_only(&self.watched);
        let now = HostClock.now();
        self.brain.adopt(&self.tree, now);
        self.recorder.tree(now, &self.tree);
        self.sampler.hold(&mut self.forest, &self.tree);
        // Nobody needs a bell in an alert, and to hang one up or take one down takes its time.
        self.bells_due = true;
    }

    /// Arms the doorbells of all but the silent ones, so many new ones at most, and takes down the others.
    pub(super) fn arm(&mut self, new: usize) {
        self.silent.clear();
        self.silent.extend(silent(&self.brain));
        let silent = &self.silent;
        let may_ring = |id: GroupId| !silent.contains(&id);
        let armed = self
            .waiter
            .keep_doorbells(&mut self.forest, &self.tree, &may_ring, new);
        self.gauges.doorbells = armed.bells;
        self.bells_due = armed.later > 0;
        // Silence that we want is no deafness: of those groups the next look a second later is enough.
        let none = armed.bells == 0 && self.silent.is_empty();
        self.deaf = none || armed.left_out > 0 || armed.later > 0 || armed.failed.is_some();
    }
}

/// Whose doorbells shall not ring: those that we hold stall by our hand (but for those whose tasks are
/// clamped), and the kernel's thread
/// behind a bell takes the CPU from the victim again and again. On 6.1 that gives it to the held one
/// for a tick, so the idle rung, which is asked for the last millisecond, silences its victim's too.
pub(super) fn silent(brain: &Brain) -> impl Iterator<Item = GroupId> + '_ {
    let held = brain.held().filter(|held| held.resource != Resource::Pids);
    held.flat_map(|held| {
        let victim = (held.rung == Rung::Idle).then_some(held.victim);
        std::iter::once(held.aggressor).chain(victim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_takes_long_leaves_three_times_as_much_to_the_loop() {
        let mut turns = ScanTurns::new(Time(0));
        turns.goes_on(Time(1_000_000), Span::from_millis(5));
        assert_eq!(turns.due(), Some(Time(1_050_000)));
        turns.goes_on(Time(1_000_000), Span::from_millis(100));
        assert_eq!(turns.due(), Some(Time(1_300_000)));
    }

    #[test]
    fn few_changes_are_seen_soon_and_a_flood_of_them_five_times_a_second() {
        let start = Time(60_000_000);
        let mut turns = ScanTurns::new(start);
        let mut scans = Vec::new();
        for ms in 0..10_000 {
            let now = start + Span::from_millis(ms);
            turns.changed(now);
            if turns.due().is_some_and(|due| due <= now) {
                turns.scan(now);
                scans.push(ms);
            }
        }
        assert_eq!(
            scans[..6],
            [10, 21, 32, 43, 54, 210],
            "saved scans come first"
        );
        let later = &scans[5..];
        assert!(later.windows(2).all(|pair| pair[1] - pair[0] >= 199));
        assert!((48..=54).contains(&scans.len()), "{}", scans.len());
    }

    #[test]
    fn what_went_on_without_an_end_makes_nobody_wait_later() {
        let mut turns = ScanTurns::new(Time(0));
        for ms in (0..60_000).step_by(50) {
            turns.goes_on(Time(ms * 1_000), Span::ZERO);
            turns.scan(Time(ms * 1_000 + 50_000));
        }
        turns.changed(Time(60_000_000));
        assert!(
            turns.due().is_some_and(|due| due < Time(60_500_000)),
            "{turns:?}"
        );
    }

    #[test]
    fn what_was_not_finished_goes_on_without_a_change() {
        let mut turns = ScanTurns::new(Time(0));
        turns.changed(Time(0));
        turns.scan(Time(20_000));
        assert_eq!(turns.due(), None);
        turns.goes_on(Time(20_000), Span::ZERO);
        assert_eq!(turns.due(), Some(Time(70_000)));
    }
}
