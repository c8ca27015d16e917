//! Takes a trace's frames in their order, and tells what comes of them.

use std::io::Read;

use super::harm::Harmed;
use super::live::Live;
use super::paper::Paper;
use super::record::Record;
use super::world::World;
use crate::config::Problems;
use crate::model::{Extent, Mode, Policy, Replayed, Sample, Time, Told, Topology};
use crate::policy::Brain;
use crate::report::clean;
use crate::trace::{Damage, Did, Frame, Reader, Start};

/// A tree of more groups than a governor knows at once is none of its recording, and would cost memory.
const GROUPS_MAX: usize = 10_000;

/// Replays one trace: feed it frames, and take what is told.
pub struct Replayer {
    live: Live,
    papers: Vec<Paper>,
    record: Record,
    /// What was decided at the last tick; the record's own answer follows it.
    pending: Option<Pending>,
    extent: Extent,
    remarks: Vec<String>,
    harmed: Vec<Harmed>,
}

struct Pending {
    at: Time,
    /// It is no tick: everything was given back.
    asked: bool,
    live: Did,
    papers: Vec<Did>,
}

impl Replayer {
    /// Replays the record with its own policy.
    #[must_use]
    pub fn identity() -> Replayer {
        Replayer::what_if(Vec::new())
    }

    /// Tries these policies, with their names, on the record; the story is the first one's.
    #[must_use]
    pub fn what_if(policies: Vec<(String, Policy)>) -> Replayer {
        let papers = policies.into_iter();
        Replayer {
            live: Live::new(),
            papers: papers
                .map(|(name, policy)| Paper::new(&name, policy))
                .collect(),
            record: Record::new(),
            pending: None,
            extent: Extent::default(),
            remarks: Vec::new(),
            harmed: Vec::new(),
        }
    }

    /// Whether no sample has come yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.extent.ticks == 0
    }

    /// Takes all of a trace, and hands over what is told; what ended it before its end, if anything did.
    ///
    /// # Errors
    /// The first of `tell`'s.
    pub fn read<R: Read, E>(
        &mut self,
        trace: Reader<R>,
        mut tell: impl FnMut(Told) -> Result<(), E>,
    ) -> Result<Option<Damage>, E> {
        let mut told = Vec::new();
        for frame in trace {
            match frame {
                Ok(frame) => self.feed(frame, &mut told),
                Err(damage) if damage.is_final() => {
                    self.drop_pending();
                    return Ok(Some(damage));
                }
                Err(damage) => self.damaged(&damage, &mut told),
            }
            told.drain(..).try_for_each(&mut tell)?;
        }
        Ok(None)
    }

    /// Takes the next frame, and adds what there is to tell by now. A tick's events are told when the
    /// frame after it has come: only then is it known what was recorded of it.
    pub fn feed(&mut self, frame: Frame, told: &mut Vec<Told>) {
        match frame {
            Frame::Did(did) => self.settle(Some(&did), told),
            Frame::Tick(sample) => {
                self.settle(None, told);
                self.tick(sample, told);
            }
            Frame::Gap { at, lost } => {
                self.drop_pending();
                self.lose_sync();
                self.extent.lost += u64::from(lost);
                self.note(
                    at,
                    format!("{lost} frames were not recorded here: the recorder was behind"),
                    told,
                );
            }
            rare => {
                self.settle(None, told);
                self.rare(rare, told);
            }
        }
    }

    /// Takes a damaged place, and tells of it.
    pub fn damaged(&mut self, damage: &Damage, told: &mut Vec<Told>) {
        self.drop_pending();
        self.lose_sync();
        if let Damage::Skipped { bytes, .. } | Damage::Torn { bytes, .. } = damage {
            self.extent.damaged += 1;
            self.extent.damaged_bytes += bytes;
        }
        let at = self.record.last.or(self.record.began).unwrap_or_default();
        self.note(at, damage.to_string(), told);
    }

    /// The recorded policy's brain, as far as the trace was fed.
    #[must_use]
    pub const fn brain(&self) -> &Brain {
        &self.live.brain
    }

    /// Whether that brain knows all that the live one knew.
    pub(super) const fn is_known(&self) -> bool {
        self.live.is_synced()
    }

    /// What concerns the recording as a whole.
    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The wall clock at a moment of the recording that is being fed, in microseconds since 1970 (UTC);
    /// `None` before it has begun.
    #[must_use]
    pub fn wall_us(&self, at: Time) -> Option<i64> {
        self.record.wall_us(at)
    }

    /// The end of the trace.
    #[must_use]
    pub fn finish(mut self, told: &mut Vec<Told>) -> Replayed {
        self.settle(None, told);
        if let Some(start) = self
            .record
            .start
            .as_ref()
            .filter(|_| self.extent.ticks == 0)
        {
            self.remarks.push(format!(
                "nothing was sampled after its start by governor {}",
                clean(&start.governor)
            ));
        }
        let mut tallies = vec![self.record.count.tally()];
        if self.papers.is_empty() {
            tallies.push(self.live.count.tally());
        }
        for paper in &mut self.papers {
            let tally = paper.count.tally();
            let unmet = paper.unmet(self.record.hashed).into_iter();
            self.remarks
                .extend(unmet.map(|what| format!("{}: {what}", tally.policy)));
            tallies.push(tally);
        }
        Replayed {
            extent: self.extent,
            agreement: self.live.agreement,
            tallies,
            remarks: self.remarks,
        }
    }

    fn rare(&mut self, frame: Frame, told: &mut Vec<Told>) {
        match frame {
            Frame::Start(start) => self.start(start, told),
            Frame::Policy { text, mode } => self.policy(&text, mode, told),
            Frame::Tree { at, tree } => self.adopt(at, tree, told),
            Frame::Checkpoint(text) => self.checkpoint(&text, told),
            Frame::ReleasedAll { at } => {
                let live = self.live.release_all(at);
                let papers = self.papers.iter_mut();
                let papers = papers.map(|paper| paper.release_all(at)).collect();
                self.record.world.released_all();
                self.record.count.cut_off();
                self.note(at, "everything is given back by hand".to_owned(), told);
                self.pending = Some(Pending {
                    at,
                    asked: true,
                    live,
                    papers,
                });
            }
            Frame::Tick(_) | Frame::Did(_) | Frame::Gap { .. } => {}
        }
    }

    /// A segment begins: the next of this recording, or the first of another, to which nothing of what
    /// is known belongs.
    fn start(&mut self, start: Start, told: &mut Vec<Told>) {
        let record = &mut self.record;
        let goes_on = record.goes_on_with(&start);
        record.hashed |= start.hashed;
        record.ticks = start.ticks.unwrap_or_default();
        record.broken = false;
        if goes_on {
            record.start = Some(start);
            return;
        }
        let at = start.at;
        // A brain that has seen nothing is known without a checkpoint.
        let known = start.ticks == Some(0);
        if let Some(last) = record.last.filter(|last| at < *last) {
            let text = "the next recording is of an earlier time: are the files in their order?";
            told.push(record.noted(last, text.to_owned()));
        }
        record.begin(start);
        self.live.restart(&record.tree, at, known);
        for paper in &mut self.papers {
            paper.restart();
            paper.adopt(&record.tree, &self.live.protect, record.hashed, at);
        }
    }

    fn policy(&mut self, text: &str, mode: Mode, told: &mut Vec<Told>) {
        self.record.own_policy = !text.trim().is_empty();
        match self.live.set_policy(text, mode) {
            Ok(is_new) if is_new && !self.record.untold => {
                let mode = match mode {
                    Mode::Enforce => "enforcing",
                    Mode::DryRun => "dry-run",
                };
                let at = self.record.last.unwrap_or_default();
                self.note(at, format!("another policy is in force, {mode}"), told);
            }
            Ok(_) => {}
            Err(problems) => self.refuse_policy(&problems),
        }
    }

    fn refuse_policy(&mut self, problems: &Problems) {
        let first = problems.all().first().map(ToString::to_string);
        self.remark(format!(
            "the recorded policy is not valid for this version, so the one before it was replayed: {}",
            clean(&first.unwrap_or_default())
        ));
    }

    fn adopt(&mut self, at: Time, tree: Topology, told: &mut Vec<Told>) {
        if tree.groups.len() > GROUPS_MAX {
            self.lose_sync();
            let text = format!(
                "a tree of {} groups is left out: a governor knows at most {GROUPS_MAX}",
                tree.groups.len()
            );
            self.note(at, text, told);
            return;
        }
        // A new segment tells the tree that is known: to adopt it again would change nothing.
        if tree == self.record.tree {
            return;
        }
        self.live.adopt(&tree, at);
        for paper in &mut self.papers {
            paper.adopt(&tree, &self.live.protect, self.record.hashed, at);
        }
        self.record.world.adopt(&tree);
        self.record.account.adopt(&self.live.brain);
        self.record.tree = tree;
    }

    fn checkpoint(&mut self, text: &str, told: &mut Vec<Told>) {
        let recorded = Brain::resume(text, self.live.policy.clone(), &self.record.tree);
        let recorded = match recorded {
            Ok(recorded) => recorded,
            Err(why) => {
                let text = format!(
                    "a checkpoint cannot be read and is left out: {}",
                    clean(&why.to_string())
                );
                return self.note(self.record.now(), text, told);
            }
        };
        let at = self.record.now();
        let at_s = self.record.seconds(at);
        // Where the recording begins, the replay begins with the recorded brain, and the tried policies
        // with what it knew and held.
        if self.record.last.is_none() {
            self.live.lose_sync();
            let held = recorded.held();
            self.record.world = World::begin(held.map(|held| (held.lever, held.wanted.0)));
            for paper in &mut self.papers {
                paper.resume(text, &self.record.tree, at);
                paper.adopt(
                    &self.record.tree,
                    &self.live.protect,
                    self.record.hashed,
                    at,
                );
            }
        }
        if !self.live.check(recorded, text, at_s) {
            let text = "the recorded brain is not the replayed one here: the replay goes on with the recorded one";
            self.note(at, text.to_owned(), told);
        }
    }

    fn tick(&mut self, mut sample: Sample, told: &mut Vec<Told>) {
        let record = &mut self.record;
        let at = sample.at;
        record.began.get_or_insert(at);
        if std::mem::take(&mut record.untold) {
            self.extent.recordings += 1;
            told.push(Told::Began(record.head(&self.live.policy)));
        }
        self.extent.ticks += 1;
        // A trace may claim any number of ticks before it.
        record.ticks = record.ticks.saturating_add(1);
        let before = record.last.replace(at).unwrap_or(at);
        self.extent.seconds += at.since(before).as_secs_f64();
        let containers = record.tree.watched().count();
        self.extent.containers = self.extent.containers.max(containers);
        record.world.outcomes(&sample.outcomes);
        record.count.outcomes(&sample.outcomes);
        let live = self.live.step(&sample);
        let papers = self.papers.iter_mut();
        let papers = papers
            .map(|paper| paper.step(&mut sample, &record.world))
            .collect();
        self.weigh_harm();
        self.pending = Some(Pending {
            at,
            asked: false,
            live,
            papers,
        });
    }

    /// Puts down whose hold, if any, stood against the harm of the last tick.
    fn weigh_harm(&mut self) {
        let record = &mut self.record;
        record.account.settle(&self.live.brain, &mut self.harmed);
        for harmed in &self.harmed {
            let (victim, resource) = (harmed.victim, harmed.resource);
            let answered = self.live.brain.is_answered(victim, resource);
            record.count.harmed(harmed.seconds, answered);
            self.live.count.harmed(harmed.seconds, answered);
            for paper in &mut self.papers {
                let answered = paper.brain.is_answered(victim, resource);
                paper.count.harmed(harmed.seconds, answered);
            }
        }
    }

    /// Ends the last tick: now it is known what was recorded of it.
    fn settle(&mut self, recorded: Option<&Did>, told: &mut Vec<Told>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        // The answer to a tick that was lost.
        let recorded = recorded.filter(|did| did.at == pending.at);
        let at_s = self.record.seconds(pending.at);
        let shown = pending.papers.first().unwrap_or(&pending.live);
        if pending.asked {
            // Earlier recorders did not write what was told of it.
            if let Some(did) = recorded {
                self.live.compare_release(did, &pending.live, at_s);
                self.record.tell(at_s, &did.events, &shown.events, told);
            }
            return;
        }
        self.live.compare(recorded, &pending.live, at_s);
        let events = recorded.map_or(&[][..], |did| &did.events);
        self.record.tell(at_s, events, &shown.events, told);
        match recorded {
            Some(did) => {
                self.record.world.did(&did.changes, &self.record.tree);
                self.record.count.decided(did);
            }
            None => self.record.count.decided(&Did {
                at: pending.at,
                pace: self.live.pace(),
                ..Did::default()
            }),
        }
    }

    /// Whether its decision was recorded cannot be known: the frame after it is missing.
    fn drop_pending(&mut self) {
        if self.pending.take().is_some_and(|pending| !pending.asked) {
            self.live.skip();
        }
    }

    fn lose_sync(&mut self) {
        self.live.lose_sync();
        self.record.broken = true;
    }

    fn note(&self, at: Time, text: String, told: &mut Vec<Told>) {
        told.push(self.record.noted(at, text));
    }

    fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}
