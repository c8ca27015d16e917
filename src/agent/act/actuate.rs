//! Acting: a plan's changes become writes that can always be undone.
//!
//! **Problem.** A limit that we set must never outlive us, never replace somebody else's, and never
//! be written twice (each write of `cpu.max` refills the quota).
//! **Approach.** Per held knob: journal, compare, write, read back, compare; `undo` for the
//! way back ([`steps`](super::steps)). Knobs that depend on one another ([`depend`](super::depend)) are journaled together.
//! `memory.high` goes through the slow writer; at most one write of a knob is under way, and the
//! latest wish is what follows it.
//! **States.** Held, serving another held knob, or on the way back ([`Wish`]); [`watch`](super::watch)
//! is what time does to them.
//! **Limits.** A write by somebody else between our read and our write (microseconds) is lost: the
//! kernel has no compare-and-swap for these files.

use super::hold::{Goal, Held, Hold, UnderWay, Wish};
use super::journal::{Journal, SlotId, Store};
use super::journal_format::{Idled, KnobText, Record, SLOTS, StoredPath};
use super::others::Wrote;
use super::pulser::Pulser;
use super::steps::is_looser;
use super::writer::SlowWriter;
use crate::host::{KnobFiles, KnobHandle};
use crate::kernel::knob;
use crate::model::{
    Absent, Bytes, Change, GroupId, Knob, KnobValue, Mode, Others, Outcome, Pulses, Time, Written,
};

/// Carries changes out, or in dry-run says what it would do.
#[derive(Debug)]
pub struct Actuator<H, S> {
    pub(super) tools: Option<Tools<H, S>>,
    /// Whether new holds are only told, though they could be written.
    only_tells: bool,
    /// What is done about a third value.
    pub(super) others: Others,
    /// Size of a page: what the kernel rounds sizes down to.
    page: Bytes,
    /// By journal slot, up to the last that is used: the journal gives the first free one, so the
    /// few that are held are found at once. Never grows beyond the room made at the start.
    pub(super) holds: Vec<Option<Hold>>,
    /// What became of knobs as a consequence of another one's write; told by `poll`.
    pub(super) news: Vec<Outcome>,
}

/// What it takes to write.
#[derive(Debug)]
pub(super) struct Tools<H, S> {
    pub(super) journal: Journal<S>,
    pub(super) writer: SlowWriter<H>,
    pub(super) pulser: Pulser<H>,
}

/// What the plan wants of one knob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) group: GroupId,
    pub(super) knob: Knob,
    pub(super) text: KnobText,
    pub(super) pulses: Option<Pulses>,
    pub(super) aggressor: Option<GroupId>,
    /// Whether it may leave more than stood there before us.
    pub(super) sense: Sense,
    pub(super) now: Time,
    pub(super) lease: Time,
}

/// Which way a hold may move a knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Never over what stood there.
    Tighter,
    /// Over it: a victim's.
    Lift,
}

impl<H: KnobHandle, S: Store> Actuator<H, S> {
    /// Writes for real. `left` are records that an earlier run's restore could not give back: they
    /// are kept and tried again.
    #[must_use]
    pub fn enforcing(
        page: Bytes,
        journal: Journal<S>,
        left: Vec<(SlotId, Record)>,
        writer: SlowWriter<H>,
        pulser: Pulser<H>,
    ) -> Actuator<H, S> {
        let mut holds = Vec::with_capacity(SLOTS);
        for (slot, record) in left {
            let hold = Hold {
                record,
                aggressor: None,
                wish: Wish::GiveBack,
                wanted: record.original,
                pulses: None,
                under_way: None,
                sense: Sense::Tighter,
                wrote: Wrote::default(),
                reasserted: 0,
                told: None,
            };
            put(&mut holds, slot, hold);
        }
        Actuator {
            tools: Some(Tools {
                journal,
                writer,
                pulser,
            }),
            only_tells: false,
            others: Others::default(),
            page,
            holds,
            news: Vec::with_capacity(SLOTS),
        }
    }

    /// Writes nothing, journals nothing.
    #[must_use]
    pub fn dry_run(page: Bytes) -> Actuator<H, S> {
        Actuator {
            tools: None,
            only_tells: true,
            others: Others::default(),
            page,
            holds: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Goes from enforcing to dry-run or back. Nothing is given back by that: whoever goes to
    /// dry-run does it himself ([`give_back_all`](Actuator::give_back_all)), and what could not be
    /// given back at once is tried again in either mode. Returns the mode that is in force: what was
    /// made for dry-run has no journal, and stays what it is.
    pub fn set_mode(&mut self, mode: Mode) -> Mode {
        self.only_tells = mode == Mode::DryRun || self.tools.is_none();
        if self.only_tells {
            Mode::DryRun
        } else {
            Mode::Enforce
        }
    }

    /// Carries one change out.
    ///
    /// A hold that is held already at the same value only has its lease renewed. A hold whose knob
    /// meanwhile got somebody else's value is let go ([`Written::Drifted`]), and nothing but a lift is
    /// held at more than what stood there before us. A release of what is
    /// not held is [`Written::Restored`].
    pub fn apply(
        &mut self,
        change: &Change,
        now: Time,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Outcome {
        let (group, knob, written) = match *change {
            Change::Hold {
                group,
                knob,
                value,
                aggressor: about,
                lease,
            }
            | Change::Lift {
                group,
                knob,
                value,
                victim: about,
                lease,
            } => {
                let written = match self.text(knob, value) {
                    Err(why) => Written::Failed(why),
                    Ok(text) => {
                        let want = Want {
                            group,
                            knob,
                            text,
                            pulses: match value {
                                KnobValue::Pulses(pulses) => Some(pulses),
                                _ => None,
                            },
                            aggressor: Some(about),
                            sense: match change {
                                Change::Lift { .. } => Sense::Lift,
                                _ => Sense::Tighter,
                            },
                            now,
                            lease: now + lease,
                        };
                        self.hold(&want, files)
                    }
                };
                (group, knob, written)
            }
            Change::Kill { group, knob } => (group, knob, self.kill(group, files)),
            Change::Release { group, knob } => (group, knob, self.release(group, knob, files)),
        };
        Outcome {
            group,
            knob,
            written,
        }
    }

    /// What is held, for status.
    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.holds.iter().flatten().map(Hold::view)
    }

    /// What stood in a knob before us; `None` where we do not hold it.
    #[must_use]
    pub fn original(&self, group: GroupId, knob: Knob) -> Option<&KnobText> {
        let hold = self.holds.get(self.find(group, knob)?)?.as_ref()?;
        Some(&hold.record.original)
    }

    /// What to write so that exactly this will be shown: a size is rounded as the kernel would.
    fn text(&self, knob: Knob, value: KnobValue) -> Result<KnobText, Absent> {
        let mut room = [0; knob::KNOB_TEXT];
        let text = knob::encode(knob::shown(value, self.page), &mut room);
        knob::decode(knob, text)?;
        KnobText::new(text).ok_or(Absent::Malformed)
    }

    fn hold(&mut self, want: &Want, files: &mut impl KnobFiles<Handle = H>) -> Written {
        if self.only_tells {
            return match files.read_knob(want.group, want.knob) {
                Ok(_) => Written::WouldWrite,
                Err(why) => Written::Failed(why),
            };
        }
        match self.find(want.group, want.knob) {
            Some(slot) => self.renew(slot, want, files),
            None => self.begin(want, files),
        }
    }

    /// The first hold of a knob.
    fn begin(&mut self, want: &Want, files: &mut impl KnobFiles<Handle = H>) -> Written {
        let original = match files.read_knob(want.group, want.knob) {
            Ok(original) => original,
            Err(why) => return Written::Failed(why),
        };
        if is_looser(want, &original) {
            // Somebody set it since the plan was made.
            return Written::Drifted;
        }
        let prepared = self.prepare(want, files);
        let inserted = prepared.and_then(|()| self.insert(want, Wish::Hold, original, files));
        match inserted {
            Ok(slot) => self.pursue(slot, original, Goal::Tighten, files),
            Err(why) => {
                self.settle_dependents(want.group, want.knob, files);
                Written::Failed(why)
            }
        }
    }

    /// A knob that is held already: the lease is renewed, and a new value written.
    fn renew(
        &mut self,
        slot: SlotId,
        want: &Want,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        if want.knob == Knob::CpuWeight && self.is_idle(want.group) {
            let same = self
                .hold_at(slot)
                .is_some_and(|hold| hold.wish == Wish::Hold && hold.wanted == want.text);
            if !same {
                return Written::Failed(Absent::Refused);
            }
        }
        if self
            .hold_at(slot)
            .is_some_and(|hold| is_looser(want, &hold.record.original))
        {
            return match self.release_slot(slot, files) {
                Written::Failed(why) => Written::Failed(why),
                _ => Written::Drifted,
            };
        }
        let Some((tools, hold)) = self.tools_and_hold(slot) else {
            return Written::Failed(Absent::Gone);
        };
        let settled = hold.wish == Wish::Hold && hold.record.next.is_none();
        let same = hold.wanted == want.text;
        hold.aggressor = want.aggressor;
        hold.record.lease = want.lease;
        hold.wish = Wish::Hold;
        hold.sense = want.sense;
        hold.wanted = want.text;
        hold.pulses = want.pulses;
        tools.journal.update(slot, &hold.record);
        match hold.under_way {
            Some(UnderWay::Pulsing(_)) => return self.pulse(slot, files),
            Some(_) => return Written::Queued,
            None => {}
        }
        if settled && same && want.pulses.is_none() {
            return Written::Done;
        }
        match self.prepare(want, files) {
            Ok(()) => {
                let written = self.advance(slot, Goal::Tighten, files);
                if want.knob == Knob::CpuIdle && !self.is_idle(want.group) {
                    // It was held at 1 and now is held at 0: the weight can be had again.
                    self.settle_dependents(want.group, want.knob, files);
                }
                written
            }
            Err(why) => {
                self.want_what_stands(slot);
                Written::Failed(why)
            }
        }
    }

    /// A new value was not even tried: the one before it is what we want and watch again.
    fn want_what_stands(&mut self, slot: SlotId) {
        if let Some(hold) = self.hold_mut(slot) {
            let record = &hold.record;
            hold.wanted = record.next.or(record.ours).unwrap_or(record.original);
        }
    }

    /// Not journaled: nobody is brought back to life.
    fn kill(&self, group: GroupId, files: &mut impl KnobFiles<Handle = H>) -> Written {
        if self.only_tells {
            return Written::WouldWrite;
        }
        match files.kill(group) {
            Ok(()) => Written::Killed,
            Err(why) => Written::NotKilled(why),
        }
    }

    fn release(
        &mut self,
        group: GroupId,
        knob: Knob,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        match self.find(group, knob) {
            Some(slot) => self.release_slot(slot, files),
            None if self.only_tells => Written::WouldWrite,
            None => Written::Restored,
        }
    }

    pub(super) fn release_slot(
        &mut self,
        slot: SlotId,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Written {
        let Some(hold) = self.hold_mut(slot) else {
            return Written::Restored;
        };
        hold.wish = Wish::GiveBack;
        match hold.under_way {
            Some(UnderWay::Pulsing(pulse)) => self.stop_pulses(slot, pulse, files),
            Some(_) => Written::Queued,
            None => self.advance(slot, Goal::GiveBack, files),
        }
    }

    /// Journals a knob that is not held yet. Nothing is written to the knob.
    pub(super) fn insert(
        &mut self,
        want: &Want,
        wish: Wish,
        original: KnobText,
        files: &mut impl KnobFiles<Handle = H>,
    ) -> Result<SlotId, Absent> {
        let tools = self.tools.as_mut().ok_or(Absent::JournalFull)?;
        let record = Record {
            group: want.group,
            path: StoredPath::new(files.path(want.group).unwrap_or_default()),
            knob: want.knob,
            original,
            ours: None,
            next: Some(want.text),
            idled: Idled::No,
            since: want.now,
            lease: want.lease,
        };
        let slot = tools.journal.insert(&record).ok_or(Absent::JournalFull)?;
        let hold = Hold {
            record,
            aggressor: want.aggressor,
            wish,
            wanted: want.text,
            pulses: want.pulses,
            under_way: None,
            sense: want.sense,
            wrote: Wrote::default(),
            reasserted: 0,
            told: None,
        };
        put(&mut self.holds, slot, hold);
        Ok(slot)
    }

    /// Forgets a knob, and gives back what was only held for its sake.
    pub(super) fn let_go(&mut self, slot: SlotId, files: &mut impl KnobFiles<Handle = H>) {
        let Some(hold) = self.holds.get_mut(slot).and_then(Option::take) else {
            return;
        };
        while matches!(self.holds.last(), Some(None)) {
            self.holds.pop();
        }
        if let Some(tools) = &mut self.tools {
            tools.journal.remove(slot);
        }
        self.settle_dependents(hold.record.group, hold.record.knob, files);
    }

    pub(super) fn find(&self, group: GroupId, knob: Knob) -> Option<SlotId> {
        self.holds
            .iter()
            .position(|hold| hold.as_ref().is_some_and(|hold| hold.is(group, knob)))
    }

    pub(super) fn hold_at(&self, slot: SlotId) -> Option<&Hold> {
        self.holds.get(slot)?.as_ref()
    }

    pub(super) fn hold_mut(&mut self, slot: SlotId) -> Option<&mut Hold> {
        self.holds.get_mut(slot)?.as_mut()
    }

    pub(super) fn tools_and_hold(&mut self, slot: SlotId) -> Option<(&mut Tools<H, S>, &mut Hold)> {
        let hold = self.holds.get_mut(slot)?.as_mut()?;
        Some((self.tools.as_mut()?, hold))
    }
}

/// Puts a hold at its slot.
fn put(holds: &mut Vec<Option<Hold>>, slot: SlotId, hold: Hold) {
    while holds.len() <= slot.min(SLOTS - 1) {
        holds.push(None);
    }
    if let Some(place) = holds.get_mut(slot) {
        *place = Some(hold);
    }
}
