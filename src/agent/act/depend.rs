//! Knobs that cannot be held alone.
//!
//! - A `cpu.max` below `cpu.max.burst` is refused: the burst is lowered first, and goes back after.
//! - Writing `cpu.idle` 0 sets `cpu.weight` to 100: the weight is journaled before idle is set, and
//!   put back after idle was taken away. Meanwhile the weight reads 0 or 1 and cannot be written.
//!
//! What is held only for another knob's sake is let go together with it.

use super::actuate::{Actuator, Want};
use super::hold::{Goal, Wish};
use super::journal::{SlotId, Store};
use super::journal_format::{Idled, KnobText};
use super::undo::{self, Standing};
use crate::host::{KnobFiles, KnobHandle};
use crate::kernel::knob;
use crate::model::{Absent, GroupId, Knob, KnobValue, Limit, Outcome, Span, Written};

impl<H: KnobHandle, S: Store> Actuator<H, S> {
    /// Does what must be done before `want` can be written. What it held for that is let go by
    /// [`settle_dependents`](Actuator::settle_dependents).
    pub(super) fn prepare(
        &mut self,
        want: &Want,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Result<(), Absent> {
        match knob::decode(want.knob, want.text.as_bytes())? {
            KnobValue::CpuMax(max) => match max.quota {
                Limit::At(quota) => self.lower_burst(want, quota, files),
                Limit::Max => Ok(()),
            },
            KnobValue::Idle(true) => self.keep_weight(want, files),
            _ => Ok(()),
        }
    }

    /// Lets go what was held only for the sake of this knob, which is not held any more.
    pub(super) fn settle_dependents(
        &mut self,
        group: GroupId,
        knob: Knob,
        files: &mut impl KnobFiles<Handle = H>,
    ) {
        let dependent = match knob {
            Knob::CpuMax => Knob::CpuMaxBurst,
            Knob::CpuIdle => Knob::CpuWeight,
            _ => return,
        };
        let Some(slot) = self.find(group, dependent) else {
            return;
        };
        match self.hold_at(slot).map(|hold| hold.wish) {
            Some(Wish::Serve(_)) => {
                let written = self.release_slot(slot, files);
                if matches!(written, Written::Failed(why) if why != Absent::Gone) {
                    self.tell(group, dependent, written);
                }
            }
            // It was released while it could not be written, and its outcome is still owed.
            Some(Wish::GiveBack) => {
                let written = self.release_slot(slot, files);
                self.tell(group, dependent, written);
            }
            Some(Wish::Hold) if knob == Knob::CpuIdle => {
                let written = self.advance(slot, Goal::Tighten, files);
                if written != Written::Done {
                    self.tell(group, dependent, written);
                }
            }
            Some(Wish::Hold) | None => {}
        }
    }

    /// Whether `cpu.idle` of this group is (or may be) 1 by us, so that its weight cannot be read or written.
    pub(super) fn is_idle(&self, group: GroupId) -> bool {
        self.find(group, Knob::CpuIdle)
            .and_then(|slot| self.hold_at(slot))
            .is_some_and(|hold| {
                let by_us = [hold.record.ours, hold.record.next];
                by_us.iter().flatten().any(|text| text.as_bytes() == b"1")
            })
    }

    /// Whether a knob cannot be given back before another one is: a weight before our idle, a burst
    /// before our quota.
    pub(super) fn must_wait(&self, group: GroupId, knob: Knob) -> bool {
        match knob {
            Knob::CpuWeight => self.is_idle(group),
            Knob::CpuMaxBurst => self.find(group, Knob::CpuMax).is_some(),
            _ => false,
        }
    }

    /// To 0 rather than to the quota: it is then written once, however often the quota changes,
    /// and every write of it refills the quota too.
    fn lower_burst(
        &mut self,
        want: &Want,
        quota: Span,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Result<(), Absent> {
        let found = match files.read_knob(want.group, Knob::CpuMaxBurst) {
            Ok(found) => found,
            // Older kernels have no burst to be in the way.
            Err(Absent::NoFile) => return Ok(()),
            Err(why) => return Err(why),
        };
        match knob::decode(Knob::CpuMaxBurst, found.as_bytes())? {
            KnobValue::Burst(burst) if burst > quota => {}
            _ => return Ok(()),
        }
        let burst = Want {
            knob: Knob::CpuMaxBurst,
            text: KnobText::new(b"0").ok_or(Absent::Malformed)?,
            pulses: None,
            ..*want
        };
        let slot = match self.find(want.group, Knob::CpuMaxBurst) {
            Some(slot) => slot,
            None => self.insert(&burst, Wish::Serve(want.knob), found, files)?,
        };
        if let Some(hold) = self.hold_mut(slot).filter(|hold| hold.wish != Wish::Hold) {
            hold.wish = Wish::Serve(want.knob);
            hold.wanted = burst.text;
        }
        match self.advance(slot, Goal::Tighten, files) {
            Written::Done => Ok(()),
            Written::Failed(why) => Err(why),
            _ => Err(Absent::Refused),
        }
    }

    fn keep_weight(
        &mut self,
        want: &Want,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Result<(), Absent> {
        // Not told from the weight: that of an idle group reads 0 on 6.1, and 1 on 6.12.
        if files.read_knob(want.group, Knob::CpuIdle)?.as_bytes() == b"1" {
            // By us, and the weight is journaled; or before us, and there is none to be lost.
            return Ok(());
        }
        let idle = self.find(want.group, Knob::CpuIdle);
        let idle = idle.and_then(|slot| self.hold_at(slot));
        if idle.is_some_and(|hold| hold.record.original.as_bytes() == b"1") {
            // It goes back to idle: the weight that it has meanwhile is nobody's.
            return Ok(());
        }
        let found = files.read_knob(want.group, Knob::CpuWeight)?;
        if let Some(slot) = self.find(want.group, Knob::CpuWeight) {
            let Some(hold) = self.hold_at(slot) else {
                return Ok(());
            };
            if !matches!(undo::standing(&hold.record, found), Standing::Theirs(_)) {
                self.mark_idled(slot);
                return Ok(());
            }
            // Somebody set another weight: that is the original from now on.
            if hold.wish == Wish::Hold {
                self.tell(want.group, Knob::CpuWeight, Written::Drifted);
            }
            self.let_go(slot, files);
        }
        let weight = Want {
            knob: Knob::CpuWeight,
            text: found,
            pulses: None,
            ..*want
        };
        let slot = self.insert(&weight, Wish::Serve(want.knob), found, files)?;
        self.mark_idled(slot);
        Ok(())
    }

    fn mark_idled(&mut self, slot: SlotId) {
        if let Some((tools, hold)) = self.tools_and_hold(slot) {
            if hold.record.ours.is_none() {
                // Never written by us: only what idling does to it is ours.
                hold.record.next = None;
            }
            hold.record.idled = Idled::ByUs;
            tools.journal.update(slot, &hold.record);
        }
    }

    /// Keeps an outcome for the next poll. There is room for one of every slot; what is more is
    /// dropped, and the knob itself still shows it.
    pub(super) fn tell(&mut self, group: GroupId, knob: Knob, written: Written) {
        if self.news.len() < self.news.capacity() {
            self.news.push(Outcome {
                group,
                knob,
                written,
            });
        }
    }
}
