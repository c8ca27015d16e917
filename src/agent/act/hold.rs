//! One held knob, and what is under way with it.

use super::actuate::Sense;
use super::journal_format::{KnobText, Record};
use super::others::Wrote;
use super::pulser::Pulse;
use super::writer::Ticket;
use crate::model::{Absent, GroupId, Knob, Pulses, Time};

/// One held knob.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    /// As it stands in the journal.
    pub(super) record: Record,
    /// The container that this is about.
    pub(super) aggressor: Option<GroupId>,
    pub(super) wish: Wish,
    /// What shall stand while the wish is [`Wish::Hold`] or [`Wish::Serve`].
    pub(super) wanted: KnobText,
    /// Where that is to stand in pulses only: which.
    pub(super) pulses: Option<Pulses>,
    pub(super) under_way: Option<UnderWay>,
    /// Whether it may leave more than stood there before us.
    pub(super) sense: Sense,
    /// What it wrote, lately.
    pub(super) wrote: Wrote,
    /// How often it was set again after somebody else wrote it.
    pub(super) reasserted: u8,
    /// The failure that was told last; the same one is not told again.
    pub(super) told: Option<Absent>,
}

/// What shall become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// The plan holds it.
    Hold,
    /// Nobody asked for it, but this other knob of the group could not be held without.
    Serve(Knob),
    /// The original goes back; tried again until it does.
    GiveBack,
}

/// A write that another thread makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnderWay {
    /// It has no slot yet.
    Waiting,
    /// It is there.
    Writing(Ticket, Goal),
    /// The pulser has it, and writes as long as it does.
    Pulsing(Pulse),
}

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// To make it stand as wanted (the record's `next`).
    Tighten,
    /// The same, after it had been reverted.
    Reassert,
    /// To put the original back.
    GiveBack,
}

/// A held knob, for people.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Whose knob.
    pub group: GroupId,
    /// The group's path, or its beginning.
    pub path: &'a [u8],
    /// Which knob.
    pub knob: Knob,
    /// The container that this is about; `None` where an earlier run left it behind.
    pub aggressor: Option<GroupId>,
    /// What stood there before us.
    pub original: &'a KnobText,
    /// What stands there by our hand; `None` until the first write was read back.
    pub ours: Option<&'a KnobText>,
    /// Since when.
    pub since: Time,
    /// Until when, unless renewed.
    pub lease: Time,
    /// Whether it is held, or on its way back.
    pub phase: Phase,
}

/// Where a held knob stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is held, or being tightened.
    Held,
    /// Its original goes back, and has not arrived.
    GivingBack,
}

impl Hold {
    pub(super) fn is(&self, group: GroupId, knob: Knob) -> bool {
        self.record.group == group && self.record.knob == knob
    }

    pub(super) fn view(&self) -> Held<'_> {
        Held {
            group: self.record.group,
            path: self.record.path.as_bytes(),
            knob: self.record.knob,
            aggressor: self.aggressor,
            original: &self.record.original,
            ours: self.record.ours.as_ref(),
            since: self.record.since,
            lease: self.record.lease,
            phase: match self.wish {
                Wish::Hold | Wish::Serve(_) => Phase::Held,
                Wish::GiveBack => Phase::GivingBack,
            },
        }
    }
}
