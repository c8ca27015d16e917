//! The loop's part that knows the tree: scans, the topology built of them, and who must be told of it.

use super::run::Loop;
use crate::host::{Clock, Extent, Forest, HostClock, LinuxTree, Rules, Scan, Wait};
use crate::model::{GroupId, Member, Reading, Resource, Rung, Span, Time, Topology};
use crate::policy::Brain;

/// The least time between two scans of the tree: a flood of new cgroups must not eat the loop.
pub(super) const SCAN_APART: Span = Span::from_millis(200);

impl Loop {
    /// How many groups are due to be listed again, so that each has its turn once a `rescan`.
    pub(super) fn rescan_turns(&mut self, now: Time) -> usize {
        let each = self.loaded.policy.runtime.rescan.0 / (self.forest.groups() as u64).max(1);
        let turns = now.since(self.rescanned).0 / each.max(1);
        self.rescanned = self.rescanned + Span(turns * each);
        usize::try_from(turns).unwrap_or(usize::MAX)
    }

    /// Looks at the whole tree, in as many scans as it takes: for the first look, when nobody waits yet.
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
        self.scan_due = None;
        self.waiter.watch_tree();
        let globs = &self.globs;
        match scan(&mut self.forest, &|path| globs.is_container(path)) {
            Ok(scan) => {
                if scan.unfinished {
                    self.scan_due = Some(now + SCAN_APART.scaled(0.25));
                }
                self.gauges.scanned(&scan);
                if scan.changed || self.tree.groups.is_empty() {
                    self.take_tree();
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
        let now = HostClock.now();
        self.brain.adopt(&self.tree, now);
        self.recorder.tree(now, &self.tree);
        self.sampler.hold(&mut self.forest, &self.tree);
        self.arm();
    }

    /// Arms the doorbells of all but the silent ones.
    pub(super) fn arm(&mut self) {
        self.silent.clear();
        self.silent.extend(silent(&self.brain));
        let armed = if self.silent.is_empty() {
            self.waiter.keep_doorbells(&mut self.forest, &self.tree)
        } else {
            let mut others = self.tree.clone();
            for group in &mut others.groups {
                if self.silent.contains(&group.id) {
                    group.member = Member::Inner;
                }
            }
            self.waiter.keep_doorbells(&mut self.forest, &others)
        };
        self.gauges.doorbells = armed.bells;
        // Silence that we want is no deafness: of those groups the next look a second later is enough.
        let none = armed.bells == 0 && self.silent.is_empty();
        self.deaf = none || armed.left_out > 0 || armed.failed.is_some();
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
