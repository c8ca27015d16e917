//! What time does to held knobs: slow writes end, leases run out, others write.

use super::actuate::Actuator;
use super::hold::{Goal, Hold, UnderWay, Wish};
use super::journal::{SlotId, Store};
use super::journal_format::KnobText;
use super::undo::{self, Standing, Undone};
use crate::host::{KnobFiles, KnobHandle};
use crate::kernel::knob;
use crate::model::{Absent, Knob, Outcome, Time, Written};

impl<H: KnobHandle, S: Store> Actuator<H, S> {
    /// Takes in what the slow writer has finished and what else became of earlier changes. To be
    /// called at every tick; costs nothing when nothing is under way.
    pub fn poll(&mut self, files: &mut impl KnobFiles<Handle = H>, out: &mut Vec<Outcome>) {
        for slot in 0..self.holds.len() {
            match self.hold_at(slot).and_then(|hold| hold.under_way) {
                None => {}
                Some(UnderWay::Waiting) => {
                    if let Some(hold) = self.hold_mut(slot) {
                        hold.under_way = None;
                    }
                    self.step(slot, files, out, |this, files| {
                        this.advance(slot, Goal::Tighten, files)
                    });
                }
                Some(UnderWay::Pulsing(pulse)) => self.hear_pulses(slot, pulse, files, out),
                Some(UnderWay::Writing(ticket, goal)) => {
                    let result = self
                        .tools
                        .as_ref()
                        .and_then(|tools| tools.writer.result(ticket));
                    if let Some(result) = result {
                        self.step(slot, files, out, |this, files| {
                            this.answered(slot, goal, result, files)
                        });
                    }
                }
            }
        }
        out.append(&mut self.news);
    }

    /// Looks at every held knob: what was reverted is set again, what somebody else wrote is let
    /// go, what could not be given back is tried again. To be called about every second.
    pub fn check(&mut self, files: &mut impl KnobFiles<Handle = H>, out: &mut Vec<Outcome>) {
        for slot in 0..self.holds.len() {
            let Some(hold) = self.hold_at(slot).filter(|hold| hold.under_way.is_none()) else {
                continue;
            };
            match hold.wish {
                Wish::Hold => self.look(slot, files, out),
                Wish::GiveBack => {
                    let told = hold.told;
                    self.step(slot, files, out, |this, files| {
                        match this.advance(slot, Goal::GiveBack, files) {
                            Written::Failed(why) if Some(why) == told => Written::Queued,
                            written => written,
                        }
                    });
                }
                Wish::Serve(_) => {}
            }
        }
    }

    /// Gives back what was not renewed in time.
    pub fn expire(
        &mut self,
        now: Time,
        files: &mut impl KnobFiles<Handle = H>,
        out: &mut Vec<Outcome>,
    ) {
        for slot in 0..self.holds.len() {
            let over = self
                .hold_at(slot)
                .is_some_and(|hold| hold.wish == Wish::Hold && hold.record.lease <= now);
            if over {
                self.step(slot, files, out, |this, files| {
                    this.release_slot(slot, files)
                });
            }
        }
    }

    /// Gives everything back, in the order that the kernel's rules demand. What is
    /// [`pending`](Actuator::pending) afterwards is finished by [`poll`](Actuator::poll), or by
    /// [`give_back_now`](Actuator::give_back_now) where that lasts too long.
    pub fn give_back_all(
        &mut self,
        files: &mut impl KnobFiles<Handle = H>,
        out: &mut Vec<Outcome>,
    ) {
        for number in Knob::NUMBERS {
            for slot in 0..self.holds.len() {
                if self
                    .hold_at(slot)
                    .is_some_and(|hold| hold.record.knob.number().0 == number)
                {
                    self.step(slot, files, out, |this, files| {
                        this.release_slot(slot, files)
                    });
                }
            }
        }
    }

    /// Whether something is on its way to a knob, or back.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.holds
            .iter()
            .flatten()
            .any(|hold| hold.under_way.is_some() || hold.wish == Wish::GiveBack)
    }

    /// Gives back what is still pending without the slow writer, and without waiting for it. What has
    /// not begun is taken back. The kernel sets a limit at the beginning of a write and reclaims
    /// afterwards, so a later write of the original wins over one that hangs. One that has begun and
    /// does not stand yet may come at any time: its record is kept, and that is told as
    /// [`Absent::Busy`]. This one may hang, too: for the end only.
    pub fn give_back_now(
        &mut self,
        files: &mut impl KnobFiles<Handle = H>,
        out: &mut Vec<Outcome>,
    ) {
        for number in Knob::NUMBERS {
            for slot in 0..self.holds.len() {
                let is_its_turn = |hold: &&mut Hold| hold.record.knob.number().0 == number;
                let Some(hold) = self.hold_mut(slot).filter(is_its_turn) else {
                    continue;
                };
                hold.wish = Wish::GiveBack;
                let (group, knob) = (hold.record.group, hold.record.knob);
                if self.must_wait(group, knob) {
                    // It cannot be told and not be written before the other is back.
                    continue;
                }
                self.step(slot, files, out, |this, files| this.undo_now(slot, files));
            }
        }
        out.append(&mut self.news);
    }

    /// Writes one original, whatever the slow writer does.
    fn undo_now(&mut self, slot: SlotId, files: &mut impl KnobFiles<Handle = H>) -> Written {
        if let Some(UnderWay::Pulsing(pulse)) = self.hold_at(slot).and_then(|hold| hold.under_way) {
            return self.undo_pulses_now(slot, pulse, files);
        }
        if let Some(found) = self
            .hold_at(slot)
            .and_then(|hold| undo::read(&hold.record, files).ok())
        {
            self.recognise(slot, found);
        }
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return Written::Failed(Absent::Gone);
        };
        let record = hold.record;
        let under_way = match hold.under_way.take() {
            Some(UnderWay::Writing(ticket, goal)) if !tools.writer.take_back(ticket) => {
                Some((ticket, goal))
            }
            _ => None,
        };
        let mut may_still_come = under_way.is_some_and(|(_, goal)| {
            let stands = |found: KnobText| {
                let next = record.next.as_ref();
                next.is_some_and(|next| knob::same(record.knob, next.as_bytes(), found.as_bytes()))
            };
            goal != Goal::GiveBack && !undo::read(&record, files).is_ok_and(stands)
        });
        let undone = undo::give_back(&record, files);
        may_still_come &= undone != Undone::Gone;
        if let Some((tools, hold)) = self.tools_and_hold(slot)
            && let Some((ticket, goal)) = under_way
        {
            if may_still_come {
                hold.under_way = Some(UnderWay::Writing(ticket, goal));
            } else {
                tools.writer.leave(ticket);
            }
        }
        match undone {
            Undone::Failed(why) => Written::Failed(why),
            _ if may_still_come => Written::Failed(Absent::Busy),
            undone => self.undone(slot, undone, files),
        }
    }

    /// A slow write ended. What is wished may have changed since it was handed over.
    fn answered(
        &mut self,
        slot: SlotId,
        goal: Goal,
        result: Result<(), Absent>,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some(hold) = self.hold_mut(slot) else {
            return Written::Queued;
        };
        hold.under_way = None;
        let still_wished = match goal {
            Goal::Tighten | Goal::Reassert => {
                hold.wish != Wish::GiveBack && hold.record.next == Some(hold.wanted)
            }
            Goal::GiveBack => hold.wish == Wish::GiveBack,
        };
        if still_wished {
            self.settle(slot, goal, result, files)
        } else {
            self.advance(slot, Goal::Tighten, files)
        }
    }

    /// One look at a knob that the plan holds.
    fn look(
        &mut self,
        slot: SlotId,
        files: &mut impl KnobFiles<Handle = H>,
        out: &mut Vec<Outcome>,
    ) {
        let Some(hold) = self.hold_at(slot) else {
            return;
        };
        let record = hold.record;
        let wanted = hold.wanted;
        if record.knob == Knob::CpuWeight && self.is_idle(record.group) {
            return;
        }
        let found = match undo::read(&record, files) {
            Ok(found) => found,
            Err(Absent::Gone | Absent::NoFile) => return self.let_go(slot, files),
            Err(why) => {
                let told = self.hold_at(slot).and_then(|hold| hold.told) == Some(why);
                return self.step(slot, files, out, |_, _| {
                    if told {
                        Written::Queued
                    } else {
                        Written::Failed(why)
                    }
                });
            }
        };
        let stands = knob::same(record.knob, wanted.as_bytes(), found.as_bytes());
        let settled = record.next.is_none();
        if stands && settled {
            return;
        }
        self.recognise(slot, found);
        self.step(slot, files, out, |this, files| {
            let standing = this
                .hold_at(slot)
                .map(|hold| undo::standing(&hold.record, found));
            match standing {
                Some(Standing::Original) if !stands => this.reassert(slot, files),
                Some(Standing::Ours) if !stands && settled => this.reassert(slot, files),
                _ => this.advance(slot, Goal::Tighten, files),
            }
        });
    }

    /// Does one thing to a slot and tells what came of it, unless that is nothing new.
    pub(super) fn step<F: KnobFiles<Handle = H>>(
        &mut self,
        slot: SlotId,
        files: &mut F,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Self, &mut F) -> Written,
    ) {
        let Some((group, knob)) = self
            .hold_at(slot)
            .map(|hold| (hold.record.group, hold.record.knob))
        else {
            return;
        };
        let written = act(self, files);
        if let Some(hold) = self.hold_mut(slot) {
            hold.told = match written {
                Written::Failed(why) => Some(why),
                Written::Queued => hold.told,
                _ => None,
            };
        }
        let is_told = match written {
            Written::Queued => false,
            // Of a group that is gone the tree tells, of a device only this.
            Written::Failed(Absent::Gone) => files.read_knob(group, knob).is_ok(),
            _ => true,
        };
        if is_told {
            out.push(Outcome {
                group,
                knob,
                written,
            });
        }
    }
}
