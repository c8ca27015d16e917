//! The loop: discover → sample → step → act → publish, on one thread that starts no thread and no
//! process and waits for nothing but the next tick.

use std::sync::Arc;

use super::act::usual_state;
use super::discover::{BELLS_A_TICK, ScanTurns, silent};
use super::glance::Glance;
use super::inbox::Request;
use super::pacing::Pacing;
use super::publish::{Gauges, tell, tell_set_again};
use super::record::{Moment, Recorder};
use super::start::{Knobs, RunError, open_knobs};
use super::{Loaded, PolicyFile, Restored, Side};
use crate::config::{ContainerGlobs, Protect};
use crate::host::{Clock, Extent, Forest, HostClock, LinuxTree, Sampler, Survey, Wait, Waiter};
use crate::model::{
    Absent, GroupId, Mode, Outcome, Pace, Resource, Sample, Span, Time, Topology, Written,
};
use crate::policy::Brain;

/// Held knobs are looked at, leases expire, and the status is published this often.
const CHORES_APART: Span = Span::from_secs(1);
/// Of more containers than these no status is made but for those who ask: it reads a file and writes a line for each.
const PUBLISHED_UNASKED: usize = 100;
/// Likewise while what is held stands in calm: then they are the longest that a victim waits for us.
const CHORES_IN_WATCH: Span = Span::from_secs(5);
/// What is held is looked at when somebody wrote it, but no sooner after the last look.
const LOOKS_APART: Span = Span::from_millis(100);
/// Groups whose knobs are read again at each round of chores.
const REFRESHED: usize = 2;
/// How long the end waits for slow writes before it writes the originals itself.
const END_WITHIN: Span = Span::from_secs(3);

/// Everything that the loop owns.
pub(super) struct Loop {
    pub(super) loaded: Arc<Loaded>,
    pub(super) forest: Forest<LinuxTree>,
    pub(super) tree: Topology,
    pub(super) sampler: Sampler<LinuxTree>,
    pub(super) waiter: Waiter,
    pub(super) brain: Brain,
    pub(super) knobs: Knobs,
    pub(super) side: Side,
    pub(super) recorder: Recorder,
    pub(super) gauges: Gauges,
    pub(super) pacing: Pacing,
    pub(super) glance: Glance,
    pub(super) globs: ContainerGlobs,
    pub(super) protect: Protect,
    pub(super) own: Option<Vec<u8>>,
    pub(super) watched: Vec<GroupId>,
    pub(super) matters: Vec<GroupId>,
    /// How many of them, at the end, have just come and nothing else.
    pub(super) newcomers: usize,
    /// Who is held before a step, and of what.
    pub(super) held: Vec<(GroupId, Resource)>,
    /// Those whose doorbells are not armed.
    pub(super) silent: Vec<GroupId>,
    /// Whether some are to have doorbells that are not armed yet, or some to lose theirs.
    pub(super) bells_due: bool,
    /// Whether some have no doorbell at all: then nothing but the tick sees new harm there.
    pub(super) deaf: bool,
    pub(super) ids: Vec<GroupId>,
    pub(super) sample: Sample,
    pub(super) pace: Pace,
    pub(super) names_seen: usize,
    pub(super) scans: ScanTurns,
    /// Up to when the slow re-scan is paid for.
    pub(super) rescanned: Time,
    pub(super) chores: Time,
    /// Somebody wrote a held knob, which was not looked at yet.
    pub(super) written: bool,
    /// When what is held was looked at last.
    pub(super) looked: Time,
    /// Something was found there that the tree does not tell yet.
    pub(super) met: bool,
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
        self.scan_whole();
        // Nobody waits yet.
        self.arm(usize::MAX);
        self.tick(false);
        self.publish();
    }

    /// Until somebody asks to stop; who.
    fn govern(&mut self) -> &'static str {
        let clock = HostClock;
        let mut due = self.pacing.due(clock.now(), self.interval());
        loop {
            let (wakes, stirs) = self.sleep(due);
            if wakes.timed_out {
                self.gauges.late(clock.now().since(due));
            }
            self.written |= wakes.knob;
            if self.written && clock.now().since(self.looked) >= LOOKS_APART {
                self.look_at_knobs();
            }
            // Whoever woke us, no tick comes before it may, and doorbells are not listened to
            // meanwhile: who rings them all the time wakes us twice a tick at most.
            let mut refresh = false;
            loop {
                match self.hear() {
                    Ok(asked) => refresh |= asked,
                    Err(by) => return by,
                }
                if refresh && clock.now() < self.pacing.earliest() {
                    self.publish();
                    refresh = false;
                }
                if self.waiter.rest(self.pacing.earliest()).is_none() {
                    break;
                }
            }
            let now = clock.now();
            if wakes.tree {
                self.scans.changed(now);
            }
            let turns = self.rescan_turns(now);
            if turns > 0 {
                self.scan(Extent::Next(turns));
            } else if self.scans.due().is_some_and(|due| due <= now) {
                self.scan(Extent::Changed);
            }
            self.tick(wakes.doorbell || stirs);
            if now.since(self.chores) >= self.chores_apart() {
                self.chores(now);
                refresh |= self.watched.len() <= PUBLISHED_UNASKED;
            }
            if refresh {
                self.publish();
            }
            self.side.board.beat();
            let cost = self.pacing.settle(clock.now(), clock.thread_cpu());
            self.glance.ticked(clock.now());
            if stirs && self.pace != Pace::Alert {
                let budget = self.loaded.policy.runtime.budget;
                self.glance.met_nobody(cost, budget);
            }
            due = self.pacing.due(clock.now(), self.interval());
            if self.written {
                due = due.min(self.looked + LOOKS_APART);
            }
            if let Some(scan) = self.scans.due() {
                due = due.min(scan.max(self.pacing.earliest()));
            }
        }
    }

    const fn chores_apart(&self) -> Span {
        match self.pace {
            // What others wrote is the original from now on: the tree is to tell the brain.
            _ if self.met => LOOKS_APART,
            Pace::Watch => CHORES_IN_WATCH,
            Pace::Quiet | Pace::Alert => CHORES_APART,
        }
    }

    /// Looks at what is held: what was reverted is set again at once, whatever the pace of the ticks is.
    fn look_at_knobs(&mut self) {
        self.looked = HostClock.now();
        self.written = false;
        self.watch_knobs();
        let known = self.sample.outcomes.len();
        self.knobs
            .check(&mut self.forest, &mut self.sample.outcomes);
        self.met |= self.sample.outcomes.len() > known;
    }

    /// Hears of writes to what is held from now on; those up to now, our own among them, are looked at
    /// already.
    fn watch_knobs(&mut self) {
        // Pulses would wake us with each: who makes them hears of others himself.
        let held = self.knobs.held().filter(|held| !held.knob.is_pulsed());
        let mut held = held.map(|held| (held.group, held.knob));
        self.waiter.watch_knobs(&mut self.forest, &mut held);
    }

    /// Does what the side thread asks for; whether somebody wants to read the status. `Err`: who asked
    /// to stop.
    fn hear(&mut self) -> Result<bool, &'static str> {
        let mut refresh = false;
        loop {
            // Before each request: one may take seconds, and the service manager waits no minute.
            if let Some(by) = self.side.inbox.stop() {
                return Err(by);
            }
            let Some(request) = self.side.inbox.take() else {
                return Ok(refresh);
            };
            match request {
                Request::Policy(loaded) => self.take_policy(loaded),
                Request::Restore(reply) => reply.answer(self.give_back()),
                Request::Explain(name, reply) => reply.answer(self.brain.explain_named(&name)),
                Request::Refresh => refresh = true,
            }
        }
    }

    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }

    pub(super) fn interval(&self) -> Span {
        // A watch that nobody can call is no watch.
        let pace = match self.pace {
            Pace::Watch if self.deaf => Pace::Quiet,
            pace => pace,
        };
        self.pacing
            .interval(pace, self.watched.len(), self.sampler.cost())
    }

    /// One walk of the data: sample → step → act.
    fn tick(&mut self, everybody: bool) {
        let now = HostClock.now();
        if self.recorder.is_due(now) {
            self.begin_recording(now);
        }
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
        let known = self.matters.len().saturating_sub(self.newcomers);
        let known = &self.matters[..known];
        self.sampler
            .look_for_real_time(&mut self.forest, known, &mut self.sample);
        self.gauges.sampled(&self.sample);
        self.knobs.poll(&mut self.forest, &mut self.sample.outcomes);
        self.gauges.count(&self.sample.outcomes);
        tell_set_again(&self.sample.outcomes, &self.tree);
        self.held.clear();
        let held = self.brain.held();
        self.held
            .extend(held.map(|held| (held.aggressor, held.resource)));
        let step = self.brain.step(&self.sample);
        self.recorder
            .ticked(&self.sample, step, &self.held, |id| name_of(&self.tree, id));
        self.sample.outcomes.clear();
        let now = HostClock.now();
        for change in &step.changes {
            let outcome = self.knobs.apply(change, now, &mut self.forest);
            if !matches!(outcome.written, Written::Done) {
                tracing::debug!(?change, ?outcome, "a change");
            }
            self.met |= outcome.written == Written::Drifted;
            self.sample.outcomes.push(outcome);
        }
        let wrote = !step.changes.is_empty();
        tell(&step.events, &self.tree, &self.side.board);
        self.pace = step.pace;
        self.matters.clear();
        self.matters.extend_from_slice(&step.matters);
        self.newcomers = step.newcomers;
        self.bells_due |= !silent(&self.brain).eq(self.silent.iter().copied());
        if self.bells_due && self.pace != Pace::Alert {
            self.arm(BELLS_A_TICK);
        }
        if wrote && !self.written {
            self.watch_knobs();
        }
    }

    fn begin_recording(&mut self, at: Time) {
        let wall_us = HostClock.wall_micros();
        self.recorder
            .begin(Moment { at, wall_us }, &self.tree, &self.brain);
    }

    /// What has to be done now and then.
    fn chores(&mut self, now: Time) {
        self.chores = now;
        self.look_at_knobs();
        self.met = false;
        self.knobs
            .expire(now, &mut self.forest, &mut self.sample.outcomes);
        self.sampler.review(&mut self.forest, &self.tree, REFRESHED);
        let named = self.side.names.load().len();
        let reread = self.forest.refresh(REFRESHED);
        if named != self.names_seen {
            self.names_seen = named;
            self.take_tree();
        } else if reread {
            // Mostly our own value, behind which the original stands as before.
            let tree = self.known_tree();
            if tree != self.tree {
                self.work_by(tree);
            }
        }
    }

    fn take_policy(&mut self, loaded: Arc<Loaded>) {
        let loaded = self.take_mode(loaded);
        self.knobs.set_others(loaded.policy.release.others);
        let again = loaded.policy.containers != self.loaded.policy.containers;
        self.globs = ContainerGlobs::new(&loaded.policy);
        self.protect = Protect::new(&loaded.policy);
        self.pacing.set_budget(loaded.policy.runtime.budget);
        self.brain.set_policy(loaded.policy.clone());
        self.recorder.policy_taken(HostClock.now(), &loaded);
        self.loaded = loaded;
        self.gauges.policy_taken(HostClock.now());
        if again {
            let globs = &self.globs;
            self.forest
                .recognise_again(&|path| globs.is_container(path));
        }
        self.scan(Extent::All);
        self.take_tree();
    }

    /// The policy with the mode that is in force from now on. To dry-run, everything is given back
    /// first; to enforcing, all is decided anew, because what the brain believed held was not. Only
    /// here, by the operator's will, does the loop open the journal and start the slow writer late.
    fn take_mode(&mut self, loaded: Arc<Loaded>) -> Arc<Loaded> {
        let mode = loaded.policy.mode;
        if mode == self.loaded.policy.mode {
            return loaded;
        }
        let restored = self.give_back();
        restored.log();
        if mode == Mode::Enforce && self.knobs.set_mode(mode) != mode {
            match open_knobs(&loaded, &usual_state(), &mut self.forest) {
                Ok(knobs) => self.knobs = knobs,
                Err(why) => tracing::error!("the governor stays in dry-run: {why}"),
            }
        }
        let mode = self.knobs.set_mode(mode);
        tracing::info!(?mode, "the mode is changed");
        let mut policy = loaded.policy.clone();
        policy.mode = mode;
        Arc::new(Loaded {
            policy,
            ..Loaded::clone(&loaded)
        })
    }

    /// Gives everything back and goes on: what comes back is decided anew.
    fn give_back(&mut self) -> Restored {
        let step = self.brain.release_all();
        tell(&step.events, &self.tree, &self.side.board);
        self.recorder.released_all(HostClock.now(), step);
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
        self.give_back().log();
        self.side.stop();
        self.recorder.stop(HostClock.now());
    }
}

fn name_of(tree: &Topology, id: GroupId) -> String {
    tree.find(id)
        .map_or_else(String::new, |(_, group)| group.name())
}
