//! The loop: discover → sample → step → act → publish, on one thread that starts no thread and no
//! process and waits for nothing but the next tick.

use std::sync::Arc;

use super::inbox::Request;
use super::pacing::Pacing;
use super::publish::Gauges;
use super::start::{Knobs, RunError};
use super::{Loaded, PolicyFile, Restored, Side};
use crate::config::{ContainerGlobs, Protect};
use crate::host::{
    Clock, Extent, Forest, HostClock, LinuxTree, Rules, Sampler, Survey, Wait, Waiter,
};
use crate::model::{
    Absent, GroupId, Member, Outcome, Pace, Rung, Sample, Span, Time, Topology, Written,
};
use crate::policy::Brain;
use crate::report::{event_level, event_line};

/// The least time between two scans of the tree: a flood of new cgroups must not eat the loop.
const SCAN_APART: Span = Span::from_millis(200);
/// Held knobs are looked at, leases expire, and the status is published this often.
const CHORES_APART: Span = Span::from_secs(1);
/// Likewise while what is held stands in calm: then they are the longest that a victim waits for us.
const CHORES_IN_WATCH: Span = Span::from_secs(5);
/// Groups whose knobs are read again at each round of chores.
const REFRESHED: usize = 4;
/// How long the end waits for slow writes before it writes the originals itself.
const END_WITHIN: Span = Span::from_secs(3);

/// Everything that the loop owns.
pub(super) struct Loop {
    pub(super) loaded: Arc<Loaded>,
    pub(super) survey: Survey,
    pub(super) forest: Forest<LinuxTree>,
    pub(super) tree: Topology,
    pub(super) sampler: Sampler<LinuxTree>,
    pub(super) waiter: Waiter,
    pub(super) brain: Brain,
    pub(super) knobs: Knobs,
    pub(super) side: Side,
    pub(super) gauges: Gauges,
    pub(super) pacing: Pacing,
    pub(super) globs: ContainerGlobs,
    pub(super) protect: Protect,
    pub(super) own: Option<Vec<u8>>,
    pub(super) watched: Vec<GroupId>,
    pub(super) matters: Vec<GroupId>,
    /// Those whose doorbells are not armed.
    pub(super) silent: Vec<GroupId>,
    pub(super) ids: Vec<GroupId>,
    pub(super) sample: Sample,
    pub(super) pace: Pace,
    pub(super) names_seen: usize,
    pub(super) scan_due: Option<Time>,
    pub(super) full_scan: Time,
    pub(super) chores: Time,
}

/// Governs until it is told to stop, then gives everything back.
///
/// # Errors
/// See [`RunError`]: nothing was written then.
pub fn run(
    survey: Survey,
    tree: LinuxTree,
    file: PolicyFile,
    loaded: Arc<Loaded>,
) -> Result<(), RunError> {
    let mut this = Loop::start(survey, tree, file, loaded)?;
    this.first_look();
    this.side.ready();
    tracing::info!(
        mode = ?this.loaded.policy.mode,
        policy = %this.loaded.name,
        containers = this.watched.len(),
        doorbells = this.gauges.doorbells,
        "the governor works"
    );
    let asked = this.govern();
    tracing::info!(by = asked, "giving everything back");
    this.end();
    Ok(())
}

impl Loop {
    fn first_look(&mut self) {
        self.scan(Extent::All);
        self.tick(false);
        self.publish();
    }

    /// Until somebody asks to stop; who.
    fn govern(&mut self) -> &'static str {
        let clock = HostClock;
        loop {
            let interval = self.interval();
            let due = self.pacing.due(clock.now(), interval);
            let wakes = self.waiter.wait(due);
            let now = clock.now();
            if wakes.timed_out {
                self.gauges.late(now.since(due));
            }
            let mut refresh = false;
            while let Some(request) = self.side.inbox.take() {
                match request {
                    Request::Stop(by) => return by,
                    Request::Policy(loaded) => self.take_policy(loaded),
                    Request::Restore(reply) => reply.answer(self.give_back()),
                    Request::Refresh => refresh = true,
                }
            }
            if wakes.tree {
                self.scan_due = self.scan_due.or(Some(now + SCAN_APART));
            }
            if now.since(self.full_scan) >= self.loaded.policy.runtime.rescan {
                self.scan(Extent::All);
            } else if self.scan_due.is_some_and(|due| due <= now) {
                self.scan(Extent::Changed);
            }
            self.tick(wakes.doorbell);
            let apart = if self.pace == Pace::Watch {
                CHORES_IN_WATCH
            } else {
                CHORES_APART
            };
            if now.since(self.chores) >= apart {
                self.chores(now);
                refresh = true;
            }
            if refresh {
                self.publish();
            }
            self.side.board.beat();
        }
    }

    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }

    pub(super) fn interval(&self) -> Span {
        self.pacing
            .interval(self.pace, self.watched.len(), self.sampler.cost())
    }

    /// One walk of the data: sample → step → act.
    fn tick(&mut self, everybody: bool) {
        let interval = self.interval();
        let cost = self.sampler.cost();
        self.pacing.choose(
            &self.watched,
            &self.matters,
            everybody,
            interval,
            cost,
            &mut self.ids,
        );
        self.sampler
            .sample(&mut self.forest, &HostClock, &self.ids, &mut self.sample);
        self.gauges.sampled(&self.sample);
        self.knobs.poll(&mut self.forest, &mut self.sample.outcomes);
        self.gauges.count(&self.sample.outcomes);
        let step = self.brain.step(&self.sample);
        self.sample.outcomes.clear();
        let now = HostClock.now();
        for change in &step.changes {
            let outcome = self.knobs.apply(change, now, &mut self.forest);
            if !matches!(outcome.written, Written::Done) {
                tracing::debug!(?change, ?outcome, "a change");
            }
            self.sample.outcomes.push(outcome);
        }
        for event in &step.events {
            let line = event_line(event, &self.tree);
            match event_level(event.kind) {
                level if level == tracing::Level::ERROR => tracing::error!("{line}"),
                level if level == tracing::Level::WARN => tracing::warn!("{line}"),
                level if level == tracing::Level::INFO => tracing::info!("{line}"),
                _ => tracing::debug!("{line}"),
            }
        }
        self.pace = step.pace;
        self.matters.clear();
        self.matters.extend_from_slice(&step.matters);
        if !silent(&self.brain).eq(self.silent.iter().copied()) {
            self.arm();
        }
    }

    /// What has to be done now and then.
    fn chores(&mut self, now: Time) {
        self.chores = now;
        self.knobs
            .check(&mut self.forest, &mut self.sample.outcomes);
        self.knobs
            .expire(now, &mut self.forest, &mut self.sample.outcomes);
        self.sampler.review(&mut self.forest, &self.tree, REFRESHED);
        let named = self.side.names.load().len();
        if self.forest.refresh(REFRESHED) || named != self.names_seen {
            self.names_seen = named;
            self.take_tree();
        }
    }

    fn scan(&mut self, extent: Extent) {
        let now = HostClock.now();
        self.scan_due = None;
        if extent == Extent::All {
            self.full_scan = now;
        }
        self.waiter.watch_tree();
        let globs = &self.globs;
        match self.forest.scan(extent, &|path| globs.is_container(path)) {
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
    fn take_tree(&mut self) {
        let names = self.side.names.load();
        let protect = &self.protect;
        let knobs = &self.knobs;
        self.tree = self.forest.topology(&Rules {
            original: &|group, knob| knobs.original(group, knob).copied(),
            name: &|_, key| names.get(key).map(|named| named.name.clone()),
            is_protected: &|group| protect.covers(group),
            own: self.own.as_deref(),
        });
        // Our own group is nobody's victim: we are above the containers by other means.
        let own = self.own.as_deref();
        for group in &mut self.tree.groups {
            group.protected &= Some(group.path.as_slice()) != own;
        }
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
        self.brain.adopt(&self.tree, HostClock.now());
        self.sampler.hold(&mut self.forest, &self.tree);
        let armed = self.waiter.keep_doorbells(&mut self.forest, &self.tree);
        self.gauges.doorbells = armed.bells;
    }

    /// Arms the doorbells of all but the silent ones.
    fn arm(&mut self) {
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
    }

    fn take_policy(&mut self, loaded: Arc<Loaded>) {
        let again = loaded.policy.containers != self.loaded.policy.containers;
        self.globs = ContainerGlobs::new(&loaded.policy);
        self.protect = Protect::new(&loaded.policy);
        self.pacing.set_budget(loaded.policy.runtime.budget);
        if loaded.policy.mode != self.loaded.policy.mode {
            // What is held is given back by the side that holds it; the new mode needs a restart.
            tracing::warn!("the mode changes at the next start of the governor");
        }
        self.brain.set_policy(loaded.policy.clone());
        self.loaded = loaded;
        self.gauges.policy_taken(HostClock.now());
        if again {
            self.forest.forget();
        }
        self.scan(Extent::All);
        self.take_tree();
    }

    /// Gives everything back and goes on: what comes back is decided anew.
    fn give_back(&mut self) -> Restored {
        self.brain.release_all();
        let outcomes = self.give_all_back();
        let count = |wanted: fn(&Written) -> bool| {
            u32::try_from(outcomes.iter().filter(|o| wanted(&o.written)).count())
                .unwrap_or(u32::MAX)
        };
        Restored {
            restored: count(|written| matches!(written, Written::Restored)),
            drifted: count(|written| matches!(written, Written::Drifted | Written::GaveUp)),
            gone: count(|written| matches!(written, Written::Failed(Absent::Gone))),
            failed: outcomes
                .iter()
                .filter_map(|outcome| match outcome.written {
                    Written::Failed(why) if why != Absent::Gone => Some(format!(
                        "{} of group {}: {why}",
                        outcome.knob.file(),
                        outcome.group.0
                    )),
                    _ => None,
                })
                .collect(),
        }
    }

    fn give_all_back(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.knobs.give_back_all(&mut self.forest, &mut outcomes);
        let until = HostClock.now() + END_WITHIN;
        while self.knobs.pending() && HostClock.now() < until {
            self.waiter.wait(HostClock.now() + Span::from_millis(10));
            self.knobs.poll(&mut self.forest, &mut outcomes);
        }
        if self.knobs.pending() {
            self.knobs.give_back_now(&mut self.forest, &mut outcomes);
        }
        outcomes
    }

    fn end(mut self) {
        let restored = self.give_back();
        tracing::info!(
            restored = restored.restored,
            left_to_others = restored.drifted,
            gone = restored.gone,
            "given back"
        );
        for failure in restored.failed {
            tracing::error!("NOT given back: {failure}; run `governor restore`");
        }
        self.side.stop();
    }
}

/// Whose doorbells shall not ring: those that we hold stall by our hand, and the kernel's thread
/// behind a bell takes the CPU from the victim again and again. On 6.1 that gives it to the held one
/// for a tick, so the idle rung, which is asked for the last millisecond, silences its victim's too.
fn silent(brain: &Brain) -> impl Iterator<Item = GroupId> + '_ {
    brain.held().flat_map(|held| {
        let victim = (held.rung == Rung::Idle).then_some(held.victim);
        std::iter::once(held.aggressor).chain(victim)
    })
}
