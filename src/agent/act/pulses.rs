//! A group that is frozen in pulses: how it is handed to the [pulser](super::pulser), heard of, and given back.
//!
//! The journal has what stood there (0) and what is undone (1) before the first pulse. Whatever of the two a crash leaves,
//! the same lines as for every knob put back. While the pulser has the file nobody else of us looks at it: what it reads
//! says nothing.

use std::time::Duration;

use super::actuate::Actuator;
use super::hold::{Goal, UnderWay, Wish};
use super::journal::{SlotId, Store};
use super::journal_format::KnobText;
use super::pulser::{End, Pulse};
use super::undo::{self, Undone};
use crate::host::{KnobFiles, KnobHandle};
use crate::kernel::knob;
use crate::model::{Absent, Outcome, Written};

/// A release waits so long for the pulser, which needs some microseconds; then it is told later.
const SOON: Duration = Duration::from_millis(2);
/// The end waits so long.
const AT_THE_END: Duration = Duration::from_millis(200);

impl<H: KnobHandle, S: Store> Actuator<H, S> {
    /// Lets a journaled group be pulsed as its hold wants it.
    pub(super) fn pulse(
        &mut self,
        slot: SlotId,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return Written::Failed(Absent::Gone);
        };
        let Some(pulses) = hold.pulses else {
            return Written::Failed(Absent::Malformed);
        };
        if let Some(UnderWay::Pulsing(pulse)) = hold.under_way {
            tools.pulser.change(pulse, pulses);
            return Written::Done;
        }
        let (group, knob) = (hold.record.group, hold.record.knob);
        let begun = files
            .detach(group, knob)
            .and_then(|handle| tools.pulser.begin(handle, pulses).ok_or(Absent::Busy));
        match begun {
            Ok(pulse) => {
                hold.under_way = Some(UnderWay::Pulsing(pulse));
                Written::Queued
            }
            Err(why) => {
                // Thawed as it was found.
                self.let_go(slot, files);
                Written::Failed(why)
            }
        }
    }

    /// Takes in what became of pulses.
    pub(super) fn hear_pulses(
        &mut self,
        slot: SlotId,
        pulse: Pulse,
        files: &mut impl KnobFiles<Handle = H>,
        out: &mut Vec<Outcome>,
    ) {
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return;
        };
        let ended = tools.pulser.ended(pulse);
        let is_first = hold.record.next.is_some() && tools.pulser.has_begun(pulse);
        match ended {
            Some(end) => self.step(slot, files, out, |this, files| this.still(slot, end, files)),
            None if is_first => self.step(slot, files, out, |this, _| {
                if let Some(frozen) = KnobText::new(b"1") {
                    this.stands(slot, frozen);
                }
                Written::Done
            }),
            None => {}
        }
    }

    /// Ends the pulses of one that goes back, and waits a moment for it.
    pub(super) fn stop_pulses(
        &mut self,
        slot: SlotId,
        pulse: Pulse,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some(tools) = &self.tools else {
            return Written::Failed(Absent::Gone);
        };
        tools.pulser.stop(pulse);
        match tools.pulser.wait(pulse, SOON) {
            Some(end) => self.still(slot, end, files),
            None => Written::Queued,
        }
    }

    /// What is done when nobody writes the file any more.
    fn still(&mut self, slot: SlotId, end: End, files: &mut impl KnobFiles<Handle = H>) -> Written {
        let Some(hold) = self.hold_mut(slot) else {
            return Written::Failed(Absent::Gone);
        };
        hold.under_way = None;
        match end {
            // The pulser left it thawed. Who is frozen by now was paused by somebody else.
            End::Stopped
                if hold.wish == Wish::GiveBack
                    && undo::read(&hold.record, files).is_ok_and(|now| {
                        let record = &hold.record;
                        !knob::same(record.knob, now.as_bytes(), record.original.as_bytes())
                    }) =>
            {
                self.let_go(slot, files);
                Written::Drifted
            }
            // Whatever is wished by now.
            End::Stopped => self.advance(slot, Goal::Tighten, files),
            End::Theirs => {
                // So that it is known what stands there now.
                let record = hold.record;
                let _ = undo::read(&record, files);
                self.let_go(slot, files);
                Written::Drifted
            }
            End::Gone => {
                self.let_go(slot, files);
                Written::Failed(Absent::Gone)
            }
            End::Failed(why) => {
                hold.wish = Wish::GiveBack;
                match self.advance(slot, Goal::GiveBack, files) {
                    Written::Drifted => Written::Drifted,
                    _ => Written::Failed(why),
                }
            }
        }
    }

    /// Writes the original of one that was pulsed, whatever the pulser does.
    pub(super) fn undo_pulses_now(
        &mut self,
        slot: SlotId,
        pulse: Pulse,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return Written::Failed(Absent::Gone);
        };
        tools.pulser.stop(pulse);
        if let Some(end) = tools.pulser.wait(pulse, AT_THE_END) {
            return self.still(slot, end, files);
        }
        // It may still write once: the record is kept, for whoever looks next.
        match undo::give_back(&hold.record, files) {
            Undone::Gone => {
                self.let_go(slot, files);
                Written::Failed(Absent::Gone)
            }
            _ => Written::Failed(Absent::Busy),
        }
    }
}
