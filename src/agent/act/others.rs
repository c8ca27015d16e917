//! What becomes of a held knob that somebody else wrote.
//!
//! **Problem.** Operators, systemd, `docker update` and other managers write the same knobs. Whose value
//! counts now, and which one goes back in the end?
//! **Approach.** The value tells who wrote it ([`standing`](super::undo)). The original was reverted to: ours is set
//! again. A value that was ours earlier was only put there again by somebody who had read it: likewise, and it
//! never becomes an original. A third value is the newest thing that somebody wants here, and the end of
//! every policy is that it stays or goes back:
//! to put an older original back instead would undo a change that its writer believes to stand, and that
//! systemd goes on showing. With `yield` and `alert` the knob is let go at once; if it is held again, what stands
//! there then is read as the original. With `reassert` the record learns the new original before ours
//! is written over it, in one update: killed before the write, the next start finds the original and leaves it; killed
//! after it, it finds ours and puts theirs back.
//! **Limits.** Each hold sets itself again [`REASSERTS`] times. Of its own earlier values it knows the last
//! [`WROTE`]; the journal knows the last two, so after a crash an older one counts as somebody's and stays.
//! Once a knob is let go, nothing is known of what we wrote there.

use super::actuate::{Actuator, Sense, Want};
use super::hold::{Goal, Wish};
use super::journal::{SlotId, Store};
use super::journal_format::KnobText;
use super::undo::{self, Standing};
use crate::host::{KnobFiles, KnobHandle};
use crate::kernel::knob;
use crate::model::{Knob, KnobValue, Others, Written};

/// How often one hold is set again after somebody else wrote its knob.
pub const REASSERTS: u8 = 5;

/// How many of its own earlier values a hold knows.
const WROTE: usize = 8;

/// The values that we wrote to one knob, the latest ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wrote {
    values: [Option<KnobValue>; WROTE],
    next: usize,
}

impl Wrote {
    /// Remembers one; the oldest is forgotten. Of a knob of two values neither says who wrote it.
    pub(super) fn note(&mut self, knob: Knob, text: &KnobText) {
        if !matches!(knob, Knob::CpuIdle | Knob::CgroupFreeze) && !self.has(knob, text) {
            if let Some(place) = self.values.get_mut(self.next) {
                *place = knob::decode(knob, text.as_bytes()).ok();
            }
            self.next = (self.next + 1) % WROTE;
        }
    }

    fn has(&self, knob: Knob, text: &KnobText) -> bool {
        knob::decode(knob, text.as_bytes()).is_ok_and(|value| self.values.contains(&Some(value)))
    }
}

impl<H: KnobHandle, S: Store> Actuator<H, S> {
    /// What is done about third values from now on.
    pub fn set_others(&mut self, others: Others) {
        self.others = others;
    }

    /// Lets the record learn that what was found is an earlier value of ours: it must not be taken for
    /// somebody's, also not by who comes after a crash.
    pub(super) fn recognise(&mut self, slot: SlotId, found: KnobText) {
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return;
        };
        let foreign = matches!(undo::standing(&hold.record, found), Standing::Theirs(_));
        if foreign && hold.wrote.has(hold.record.knob, &found) {
            hold.record.ours = Some(found);
            tools.journal.update(slot, &hold.record);
        }
    }

    /// Ours does not stand, though nothing is under way: it was reverted, or an earlier one of ours was
    /// written again.
    pub(super) fn reassert(
        &mut self,
        slot: SlotId,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        if !self.may_reassert(slot) {
            // What stands is the original, or is replaced by it.
            return match self.release_slot(slot, files) {
                Written::Failed(why) => Written::Failed(why),
                _ => Written::GaveUp,
            };
        }
        match self.want_again(slot) {
            Some(want) => match self.prepare(&want, files) {
                Ok(()) => self.advance(slot, Goal::Reassert, files),
                Err(why) => Written::Failed(why),
            },
            None => Written::Queued,
        }
    }

    /// A third value was found in a knob.
    pub(super) fn meet(
        &mut self,
        slot: SlotId,
        third: KnobText,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        if !self.insists(slot, &third) {
            self.let_go(slot, files);
            return Written::Drifted;
        }
        if !self.may_reassert(slot) {
            self.let_go(slot, files);
            return Written::GaveUp;
        }
        if let Some((tools, hold)) = self.tools_and_hold(slot) {
            hold.record.original = third;
            hold.record.next = Some(hold.wanted);
            tools.journal.update(slot, &hold.record);
        }
        let prepared = match self.want_again(slot) {
            Some(want) => self.prepare(&want, files),
            None => return Written::Queued,
        };
        match prepared {
            Ok(()) => self.pursue(slot, third, Goal::Reassert, files),
            Err(why) => {
                self.let_go(slot, files);
                Written::Failed(why)
            }
        }
    }

    /// Whether ours shall stand rather than this third value: only one that is tighter, and only by policy.
    fn insists(&self, slot: SlotId, third: &KnobText) -> bool {
        self.others == Others::Reassert
            && self.hold_at(slot).is_some_and(|hold| {
                let (knob, wanted) = (hold.record.knob, hold.wanted.as_bytes());
                let value = knob::decode(knob, wanted);
                hold.wish == Wish::Hold
                    && hold.sense == Sense::Tighter
                    && knob::decode(knob, third.as_bytes()).is_ok()
                    && !knob::same(knob, wanted, third.as_bytes())
                    && value.is_ok_and(|value| !knob::is_looser(value, knob, third.as_bytes()))
            })
    }

    /// Whether this hold may set itself once more; it counts as done.
    fn may_reassert(&mut self, slot: SlotId) -> bool {
        self.hold_mut(slot).is_some_and(|hold| {
            let may = hold.reasserted < REASSERTS;
            hold.reasserted += u8::from(may);
            may
        })
    }

    /// What is wanted of a knob that is held already.
    fn want_again(&self, slot: SlotId) -> Option<Want> {
        let hold = self.hold_at(slot)?;
        Some(Want {
            group: hold.record.group,
            knob: hold.record.knob,
            text: hold.wanted,
            pulses: hold.pulses,
            aggressor: hold.aggressor,
            // It goes where it was already.
            sense: Sense::Lift,
            now: hold.record.since,
            lease: hold.record.lease,
        })
    }
}
