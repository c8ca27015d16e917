//! The loop's end: frames to batches of bytes.
//!
//! A batch is what becomes one block: about a second of frames, and more only where a single frame is
//! large. Nothing here waits, and nothing is opened: a batch that the keeper has no room for is
//! dropped and counted, and the trace begins anew after it, because it may have held a tree.

use std::sync::Arc;

use super::keeper::{Batch, Keeper, Message};
use super::recording::Recording;
use crate::agent::Loaded;
use crate::model::{
    Event, EventKind, GroupId, Mode, Pace, RecordPolicy, Resource, Sample, Span, Step, Time,
    Topology,
};
use crate::policy::Brain;
use crate::trace::{BLOCK_FULL, Encoder, FORMAT, Start, TooLarge, within_bounds};

/// A batch is handed over when it is so old: what a crash loses.
const BATCH: Span = Span::from_secs(1);
/// The trace begins anew so often in the time that it is kept.
pub(super) const SEGMENTS: u64 = 5;

/// Now, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock.
    pub at: Time,
    /// The time of day, in microseconds since 1970.
    pub wall_us: u64,
}

/// Turns what the loop does into a trace.
#[derive(Debug)]
pub struct Recorder {
    recording: Arc<Recording>,
    keeper: Keeper,
    encoder: Encoder,
    batch: Batch,
    /// When the batch began.
    since: Time,
    /// Frames that were dropped and are not told yet.
    lost: u32,
    /// What every beginning says of who records.
    start: Start,
    text: String,
    mode: Mode,
    /// A policy that the keeper had no room for yet.
    news: Option<RecordPolicy>,
    /// Whether what is written now can be read: the trace has begun, and nothing is lost since.
    begun: bool,
    /// The tree that was written last.
    tree: Topology,
    /// The tree is too large for a trace: nothing is written until another one is not.
    blind: bool,
    /// When the trace began last in calm, and how often it does.
    checkpointed: Option<Time>,
    every: Span,
    /// Of so many containers a checkpoint was too large: it is not tried again before there are fewer.
    too_many: Option<usize>,
    /// The pace of the last step, and how many there were.
    pace: Pace,
    ticks: u64,
}

impl Recorder {
    /// One that hands over to this keeper. `kernel` and `boot_id` as the kernel tells them.
    #[must_use]
    pub fn new(
        keeper: Keeper,
        recording: Arc<Recording>,
        loaded: &Loaded,
        kernel: &str,
        boot_id: &str,
    ) -> Recorder {
        let mut recorder = Recorder {
            recording,
            keeper,
            encoder: Encoder::new(),
            batch: Batch::new(),
            since: Time::default(),
            lost: 0,
            start: Start {
                format: FORMAT,
                governor: env!("CARGO_PKG_VERSION").to_owned(),
                kernel: kernel.to_owned(),
                boot_id: boot_id.to_owned(),
                ..Start::default()
            },
            text: String::new(),
            mode: Mode::DryRun,
            news: None,
            begun: false,
            tree: Topology::default(),
            blind: false,
            checkpointed: None,
            every: Span::ZERO,
            too_many: None,
            pace: Pace::Quiet,
            ticks: 0,
        };
        // At once, so that the first tick is in it.
        recorder.recording.keep_ring(loaded.policy.record.enabled);
        recorder.take(loaded);
        recorder
    }

    /// Whether the trace shall begin (anew) before the next tick.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        if !self.recording.is_on() || self.blind {
            return false;
        }
        let old = self
            .checkpointed
            .is_none_or(|last| now.since(last) >= self.every);
        !self.begun || self.recording.wants_anew() || (old && self.pace != Pace::Alert)
    }

    /// Begins the trace (anew): who records, the policy, the tree and, where there is time for it, the
    /// whole brain.
    pub fn begin(&mut self, now: Moment, tree: &Topology, brain: &Brain) {
        self.hand_over(now.at);
        self.recording.begins();
        self.begun = true;
        self.batch.begins = true;
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.batch.gap = lost;
            self.write(now.at, |encoder, into| encoder.gap(now.at, lost, into));
        }
        self.start.at = now.at;
        self.start.ticks = Some(self.ticks);
        self.start.wall_us = i64::try_from(now.wall_us).unwrap_or(i64::MAX);
        let start = self.start.clone();
        self.write(now.at, |encoder, into| encoder.start(&start, into));
        self.policy(now.at);
        self.write_tree(now.at, tree);
        // In an alert every millisecond counts; what stands in calm can afford the few of this. Until then
        // nothing tells what the brain knows here, so it is due as soon as the alert is over.
        self.checkpointed = None;
        if self.begun && self.pace != Pace::Alert {
            self.checkpointed = Some(now.at);
            self.checkpoint(now.at, tree, brain);
        }
    }

    /// The brain adopted this tree. One that is as it was is not written again.
    pub fn tree(&mut self, at: Time, tree: &Topology) {
        if self.blind {
            self.blind = within_bounds(tree).is_err();
            self.recording.leave_out_tree(self.blind);
        } else if self.begun && *tree != self.tree {
            self.write_tree(at, tree);
        }
    }

    fn write_tree(&mut self, at: Time, tree: &Topology) {
        let bounded = within_bounds(tree);
        let written = bounded.and_then(|bounded| {
            self.try_write(at, |encoder, into| encoder.tree(at, &bounded, into))
        });
        match written {
            Ok(()) => self.tree.clone_from(tree),
            Err(TooLarge) => {
                // What would follow could not be read without it.
                self.hand_over(at);
                self.begun = false;
                self.blind = true;
                self.recording.leave_out_tree(true);
            }
        }
    }

    fn checkpoint(&mut self, at: Time, tree: &Topology, brain: &Brain) {
        let containers = tree.watched().count();
        if self.too_many.is_some_and(|many| containers >= many) {
            return;
        }
        // Nothing of a brain cannot be told as text.
        let Ok(text) = brain.checkpoint() else {
            return;
        };
        let written = self.try_write(at, |encoder, into| encoder.checkpoint(&text, into));
        self.too_many = written.is_err().then_some(containers);
        self.recording.leave_out_brain(self.too_many.is_some());
    }

    /// The brain was given this policy.
    pub fn policy_taken(&mut self, at: Time, loaded: &Loaded) {
        self.take(loaded);
        self.policy(at);
    }

    fn take(&mut self, loaded: &Loaded) {
        let record = &loaded.policy.record;
        self.text.clone_from(&loaded.text);
        self.mode = loaded.policy.mode;
        self.every = Span(record.keep.0 / SEGMENTS);
        self.news = Some(record.clone());
        self.tell_news();
    }

    fn policy(&mut self, at: Time) {
        let text = std::mem::take(&mut self.text);
        let mode = self.mode;
        self.write(at, |encoder, into| encoder.policy(&text, mode, into));
        self.text = text;
    }

    /// The brain gave everything back, and answered with this step.
    pub fn released_all(&mut self, at: Time, step: &Step) {
        self.batch.calm = Some(true);
        self.write(at, |encoder, into| encoder.released_all(at, into));
        self.write(at, |encoder, into| encoder.did(at, step, into));
    }

    /// The brain took this sample and answered with this step. `held`: who was held before it, and of
    /// what. `name` is the name for people of a container, which may be hostile.
    pub fn ticked(
        &mut self,
        sample: &Sample,
        step: &Step,
        held: &[(GroupId, Resource)],
        name: impl Fn(GroupId) -> String,
    ) {
        let turned = step.pace != self.pace;
        self.pace = step.pace;
        self.ticks += 1;
        if !self.begun {
            return;
        }
        let at = sample.at;
        self.write(at, |encoder, into| encoder.tick(sample, into));
        if turned || !step.changes.is_empty() || !step.events.is_empty() {
            self.write(at, |encoder, into| encoder.did(at, step, into));
        }
        let begins = |event: &&Event| {
            let of = (event.evidence.aggressor, event.evidence.resource);
            let known = |held: &(GroupId, Resource)| of == (Some(held.0), Some(held.1));
            matches!(event.kind, EventKind::Tightened { .. }) && !held.iter().any(known)
        };
        let begun = step.events.iter().find(begins);
        let calm = held.is_empty() && begun.is_none();
        self.batch.calm = Some(calm && self.batch.calm != Some(false));
        if let Some(event) = begun
            && self.batch.incident.is_none()
        {
            let of = event.evidence.aggressor.or(event.evidence.victim);
            self.batch.incident = Some(of.map_or_else(String::new, name));
        }
        if at.since(self.since) >= BATCH {
            self.hand_over(at);
        }
    }

    /// Hands over what there is, ends the keeper, and waits for it for a short time.
    pub fn stop(mut self, now: Time) {
        self.hand_over(now);
        self.keeper.stop();
    }

    /// Appends one frame, and hands over where that makes a full block. One that is too large is lost.
    fn write(
        &mut self,
        at: Time,
        frame: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), TooLarge>,
    ) {
        if self.try_write(at, frame).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// The same, for who knows what to do where it is too large.
    fn try_write(
        &mut self,
        at: Time,
        frame: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        if !self.begun {
            return Ok(());
        }
        if self.batch.frames == 0 {
            self.since = at;
        }
        frame(&mut self.encoder, &mut self.batch.bytes)?;
        self.batch.frames += 1;
        if self.batch.bytes.len() >= BLOCK_FULL {
            self.hand_over(at);
        }
        Ok(())
    }

    fn hand_over(&mut self, at: Time) {
        self.tell_news();
        if self.batch.frames == 0 {
            return;
        }
        self.encoder.key();
        self.begun &= self.recording.is_on();
        let mut batch = std::mem::replace(&mut self.batch, self.keeper.room());
        batch.at = at;
        if let Err(mut batch) = self.keeper.give(Message::Batch(batch)) {
            if let Message::Batch(batch) = &mut batch {
                // Where the one that tells of a loss is lost itself, both are told by the next.
                let lost = batch.frames.saturating_add(batch.gap);
                self.lost = self.lost.saturating_add(lost);
                self.batch.incident = batch.incident.take();
            }
            self.begun = false;
        }
    }

    fn tell_news(&mut self) {
        if let Some(policy) = self.news.take()
            && let Err(Message::Policy(policy)) = self.keeper.give(Message::Policy(policy))
        {
            self.news = Some(policy);
        }
    }
}
