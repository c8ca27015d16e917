//! One knob's way from what stands there to what is wished: compare, write, read back, judge.

use super::actuate::{Actuator, Sense, Want};
use super::hold::{Goal, UnderWay, Wish};
use super::journal::{SlotId, Store};
use super::journal_format::{Idled, KnobText};
use super::undo::{self, Standing, Undone};
use crate::host::{KnobFiles, KnobHandle};
use crate::kernel::knob;
use crate::model::{Absent, KnobValue, Written};

impl<H: KnobHandle, S: Store> Actuator<H, S> {
    /// Reads the knob and takes the next step towards what is wished; `goal` tells a first
    /// attempt from a repeated one.
    pub(super) fn advance(
        &mut self,
        slot: SlotId,
        goal: Goal,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some(hold) = self.hold_at(slot) else {
            return Written::Failed(Absent::Gone);
        };
        let (record, wish) = (hold.record, hold.wish);
        let (group, knob) = (record.group, record.knob);
        if wish == Wish::GiveBack && self.must_wait(group, knob) {
            // It goes back right after the other.
            return Written::Queued;
        }
        let found = match undo::read(&record, files) {
            Ok(found) => found,
            Err(Absent::Gone | Absent::NoFile) => {
                self.let_go(slot, files);
                return Written::Failed(Absent::Gone);
            }
            Err(why) => return Written::Failed(why),
        };
        self.recognise(slot, found);
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return Written::Failed(Absent::Gone);
        };
        let standing = undo::standing(&hold.record, found);
        match (standing, wish) {
            (Standing::Original, Wish::GiveBack) => {
                self.undone(slot, Undone::AlreadyOriginal, files)
            }
            (Standing::Ours, Wish::GiveBack) => self.write(slot, found, Goal::GiveBack, files),
            (Standing::Theirs(third), _) => self.meet(slot, third, files),
            (Standing::Original | Standing::Ours, Wish::Hold | Wish::Serve(_)) => {
                if standing == Standing::Ours {
                    hold.record.ours = Some(found);
                }
                hold.record.next = Some(hold.wanted);
                tools.journal.update(slot, &hold.record);
                self.pursue(slot, found, goal, files)
            }
        }
    }

    /// Writes what is wanted unless it stands there already. The journal knows it as `next`.
    pub(super) fn pursue(
        &mut self,
        slot: SlotId,
        found: KnobText,
        goal: Goal,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        if let Some(hold) = self.hold_at(slot)
            && hold.pulses.is_some()
        {
            let record = &hold.record;
            let is_left = hold.under_way.is_none()
                && !knob::same(record.knob, found.as_bytes(), record.original.as_bytes());
            // What earlier pulses left frozen is thawed first.
            let original = record.original.as_bytes();
            if is_left && let Err(why) = files.write_knob(record.group, record.knob, original) {
                return Written::Failed(why);
            }
            return self.pulse(slot, files);
        }
        let there = self.hold_at(slot).is_some_and(|hold| {
            knob::same(hold.record.knob, hold.wanted.as_bytes(), found.as_bytes())
        });
        if there {
            self.stands(slot, found);
            return Written::Done;
        }
        self.write(slot, found, goal, files)
    }

    /// One write over what was found, by us or by the slow writer.
    fn write(
        &mut self,
        slot: SlotId,
        found: KnobText,
        goal: Goal,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return Written::Failed(Absent::Gone);
        };
        let (group, knob) = (hold.record.group, hold.record.knob);
        let text = match goal {
            Goal::Tighten | Goal::Reassert => hold.wanted,
            Goal::GiveBack => hold.record.original,
        };
        if goal != Goal::GiveBack {
            hold.wrote.note(knob, &text);
        }
        if !knob.may_wait() {
            let result = files.write_knob(group, knob, text.as_bytes());
            return self.settle(slot, goal, result, files);
        }
        match files.detach(group, knob) {
            Ok(handle) => {
                hold.under_way = Some(match tools.writer.submit(handle, found, text) {
                    Some(ticket) => UnderWay::Writing(ticket, goal),
                    None => UnderWay::Waiting,
                });
                Written::Queued
            }
            Err(why) => self.settle(slot, goal, Err(why), files),
        }
    }

    /// Judges a write by what stands there afterwards.
    pub(super) fn settle(
        &mut self,
        slot: SlotId,
        goal: Goal,
        result: Result<(), Absent>,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some(record) = self.hold_at(slot).map(|hold| hold.record) else {
            return Written::Failed(Absent::Gone);
        };
        if goal == Goal::GiveBack {
            let undone = undo::confirm(&record, result, files);
            return self.undone(slot, undone, files);
        }
        let found = match undo::read(&record, files) {
            Ok(found) => found,
            Err(Absent::Gone | Absent::NoFile) => {
                self.let_go(slot, files);
                return Written::Failed(Absent::Gone);
            }
            Err(why) => return Written::Failed(why),
        };
        let is_next = |next: &KnobText| knob::same(record.knob, next.as_bytes(), found.as_bytes());
        if record.next.as_ref().is_some_and(is_next) {
            self.stands(slot, found);
            return match goal {
                Goal::Reassert => Written::Reasserted,
                Goal::Tighten | Goal::GiveBack => Written::Done,
            };
        }
        let why = result.err().unwrap_or(Absent::Refused);
        self.recognise(slot, found);
        let Some(record) = self.hold_at(slot).map(|hold| hold.record) else {
            return Written::Failed(Absent::Gone);
        };
        match undo::standing(&record, found) {
            Standing::Theirs(third) => self.meet(slot, third, files),
            // Nothing of ours ever stood there; or the device went, and ours with it.
            Standing::Original if record.ours.is_none() || why == Absent::Gone => {
                self.let_go(slot, files);
                Written::Failed(why)
            }
            standing => {
                self.keep_what_stands(slot, standing, found);
                Written::Failed(why)
            }
        }
    }

    /// Acts on how giving back went.
    pub(super) fn undone(
        &mut self,
        slot: SlotId,
        undone: Undone,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let written = match undone {
            Undone::Restored | Undone::AlreadyOriginal => Written::Restored,
            Undone::Drifted(_) => Written::Drifted,
            Undone::Gone => Written::Failed(Absent::Gone),
            Undone::Failed(why) => return Written::Failed(why),
        };
        self.let_go(slot, files);
        written
    }

    /// Our value stands, read back as `found`.
    pub(super) fn stands(&mut self, slot: SlotId, found: KnobText) {
        let idled = match self.hold_at(slot) {
            Some(hold) if self.is_idle(hold.record.group) => hold.record.idled,
            _ => Idled::No,
        };
        if let Some((tools, hold)) = self.tools_and_hold(slot) {
            hold.record.ours = Some(found);
            hold.record.next = None;
            hold.record.idled = idled;
            tools.journal.update(slot, &hold.record);
        }
    }

    /// A new value did not stick: the one before it is what we want and watch again.
    fn keep_what_stands(&mut self, slot: SlotId, standing: Standing, found: KnobText) {
        if let Some((tools, hold)) = self.tools_and_hold(slot) {
            if standing == Standing::Ours {
                hold.record.ours = Some(found);
            }
            hold.record.next = None;
            hold.wanted = hold.record.ours.unwrap_or(hold.record.original);
            tools.journal.update(slot, &hold.record);
        }
    }
}

/// Whether what is wanted leaves more than the original: a plan is made from what was read some time
/// ago, and must not lift a limit that somebody set since.
pub(super) fn is_looser(want: &Want, original: &KnobText) -> bool {
    let value = match want.pulses {
        Some(pulses) => Ok(KnobValue::Pulses(pulses)),
        None => knob::decode(want.knob, want.text.as_bytes()),
    };
    want.sense == Sense::Tighter
        && value.is_ok_and(|value| knob::is_looser(value, want.knob, original.as_bytes()))
}
