//! The loop: discover → sample → step → act → publish, on one thread that starts no thread and no
//! process and waits for nothing but the next tick.

use std::sync::Arc;

use super::act::{Actuator, BootId, Fault, Journal, JournalError, SlowWriter, restore};
use super::inbox::Request;
use super::pacing::Pacing;
use super::publish::Gauges;
use super::{Loaded, PolicyFile, Restored, Side, SideError, SideSetup};
use crate::config::{ContainerGlobs, Protect};
use crate::host::map::StateMap;
use crate::host::{
    Clock, Extent, Forest, HostClock, Limits, LinuxTree, RingsAt, Rules, Sampler, Survey, Wait,
    Waiter, be_spared_by_oom, boot_id, lock_memory, own_group, psi_interval, raise_file_limit,
    run_in_real_time,
};
use crate::model::{
    Absent, Bytes, GroupId, Member, Mode, Outcome, Pace, Sample, Share, Span, Time, Topology,
    Written,
};
use crate::policy::Brain;
use crate::report::{event_level, event_line};

/// Doorbells ring at this part of stalled time: well above what a calm container shows.
const RING: f64 = 0.1;
/// As many doorbells at most: each costs a kernel thread and its memory.
const DOORBELLS: usize = 512;
/// The least time between two scans of the tree: a flood of new cgroups must not eat the loop.
const SCAN_APART: Span = Span::from_millis(200);
/// Held knobs are looked at, leases expire, and the status is published this often.
const CHORES_APART: Span = Span::from_secs(1);
/// Groups whose knobs are read again at each round of chores.
const REFRESHED: usize = 16;
/// How long the end waits for slow writes before it writes the originals itself.
const END_WITHIN: Span = Span::from_secs(3);

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The side thread.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something of the system that is needed from the start.
    #[error("cannot {what}: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: Absent,
    },
}

type Knobs = Actuator<<Forest<LinuxTree> as crate::host::KnobFiles>::Handle, StateMap>;

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
    pacing: Pacing,
    globs: ContainerGlobs,
    protect: Protect,
    own: Option<Vec<u8>>,
    watched: Vec<GroupId>,
    matters: Vec<GroupId>,
    ids: Vec<GroupId>,
    sample: Sample,
    pace: Pace,
    names_seen: usize,
    scan_due: Option<Time>,
    full_scan: Time,
    chores: Time,
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
    fn start(
        survey: Survey,
        tree: LinuxTree,
        file: PolicyFile,
        loaded: Arc<Loaded>,
    ) -> Result<Loop, RunError> {
        let clock = HostClock;
        let mut gauges = Gauges::new(clock.now());
        gauges.degrade(raise_file_limit().err());
        let rings_at = RingsAt::new(survey.trigger, Share::new(RING));
        let (rings_at, most) = match rings_at {
            Ok(rings_at) => (rings_at, DOORBELLS),
            Err(why) => {
                gauges.degraded.push(format!(
                    "no doorbells ({why}): harm is seen at the next tick"
                ));
                (
                    RingsAt {
                        threshold: Span::from_secs(1),
                        window: Span::from_secs(2),
                    },
                    0,
                )
            }
        };
        let system = |what| move |why| RunError::System { what, why };
        let waiter = Waiter::new(&tree, rings_at, most).map_err(system("make the waiter"))?;
        let nudger = waiter.nudger();
        let nudge: super::Nudge = Arc::new(move || nudger.nudge());
        // The side comes first: its folder is for everybody, the journal's file is not.
        let side = Side::start(SideSetup::new(file, Arc::clone(&loaded), nudge))?;
        let mut forest = Forest::new(tree, Limits::default());
        let knobs = open_knobs(&loaded, &mut forest)?;
        let fastest = psi_interval(survey.hz);
        let sampler = Sampler::new(forest.files_mut(), fastest);
        // The threads are all started: what follows is for this one, and for all memory.
        gauges.degrade(be_spared_by_oom().err());
        gauges.degrade(run_in_real_time().err());
        gauges.degrade(lock_memory().err());
        let now = clock.now();
        Ok(Loop {
            globs: ContainerGlobs::new(&loaded.policy),
            protect: Protect::new(&loaded.policy),
            brain: Brain::new(loaded.policy.clone()),
            pacing: Pacing::new(fastest, loaded.policy.runtime.budget, now.0),
            own: own_group().ok(),
            loaded,
            survey,
            forest,
            tree: Topology::default(),
            sampler,
            waiter,
            knobs,
            side,
            gauges,
            watched: Vec::new(),
            matters: Vec::new(),
            ids: Vec::new(),
            sample: Sample::default(),
            pace: Pace::Quiet,
            names_seen: 0,
            scan_due: None,
            full_scan: now,
            chores: now,
        })
    }

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
            if now.since(self.chores) >= CHORES_APART {
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
            is_protected: &|group| {
                let runtime = match group.member {
                    Member::Container { runtime, .. } => Some(runtime),
                    Member::Inner | Member::Helper { .. } | Member::Service => None,
                };
                protect.protects(&group.name(), &group.path, runtime)
            },
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

/// The actuator: in enforcing mode with the journal, from which what an earlier run left is given
/// back first.
fn open_knobs(loaded: &Loaded, forest: &mut Forest<LinuxTree>) -> Result<Knobs, RunError> {
    let page = Bytes(rustix::param::page_size() as u64);
    if loaded.policy.mode == Mode::DryRun {
        return Ok(Actuator::dry_run(page));
    }
    let system = |what| move |why| RunError::System { what, why };
    let boot = boot_id()
        .and_then(|text| BootId::parse(&text).ok_or(Absent::Malformed))
        .map_err(system("read this boot's identity"))?;
    let state = std::path::Path::new(&loaded.policy.runtime.state);
    let (mut journal, found) = Journal::open(state, boot)?;
    for fault in &found.faults {
        if !matches!(fault, Fault::NotPinned) {
            tracing::warn!("journal: {fault}");
        }
    }
    let report = restore(&mut journal, found, forest);
    for line in report.to_string().lines() {
        tracing::info!("an earlier run left: {line}");
    }
    let writer = SlowWriter::start().map_err(|error| RunError::System {
        what: "start the slow writer",
        why: error
            .raw_os_error()
            .map_or(Absent::Malformed, Absent::Errno),
    })?;
    Ok(Actuator::enforcing(page, journal, report.left(), writer))
}
