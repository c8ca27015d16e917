//! What is remembered of somebody's conduct: strikes of a repeat offender, exonerations, and what others wrote in its knobs.

use super::track::Track;
use crate::model::{Resource, Span, Time};

/// A time in which one is not suspected first.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exonerated {
    since: Time,
    /// It is over then.
    pub until: Time,
}

impl Exonerated {
    /// Whether it is so late in it that one may be held again where nobody else is left.
    pub(super) fn is_late(self, now: Time) -> bool {
        now.since(self.since) >= self.until.since(self.since).scaled(0.2)
    }
}

impl Track {
    /// A repeat offence: the hold doubles for each strike.
    pub(super) fn strike(&mut self, at: Time) {
        self.strikes = self.strikes.saturating_add(1).min(16);
        self.struck = Some(at);
    }

    /// To hold it brought no relief, or failed: it is not suspected first for a while, and for twice as long
    /// each time that it happens again, up to eight times: to be held in vain must be nobody's shelter.
    pub(super) fn exonerate(&mut self, resource: Resource, at: Time, first: Span) {
        let span = Span(first.0.saturating_mul(1 << self.cleared.min(3)));
        self.exonerated[resource as usize] = Some(Exonerated {
            since: at,
            until: at + span,
        });
        self.cleared = self.cleared.saturating_add(1);
        self.struck = Some(at);
    }

    /// Takes somebody else's value for a new beginning, unless that was done less than `apart` ago.
    pub(super) fn yields(&mut self, at: Time, apart: Span) -> bool {
        let may = self.yielded.is_none_or(|last| at.since(last) >= apart);
        if may {
            self.yielded = Some(at);
        }
        may
    }

    /// Its last exoneration of this resource, which may be over.
    pub(super) const fn exonerated(&self, resource: Resource) -> Option<Exonerated> {
        self.exonerated[resource as usize]
    }

    /// For how long yet it is not looked at first.
    pub(super) fn exonerated_for(&self, resource: Resource, now: Time) -> Option<Span> {
        let left = self.exonerated(resource)?.until.since(now);
        (left > Span::ZERO).then_some(left)
    }

    /// Strikes decay: one a minute without another.
    pub(super) fn forgive(&mut self, at: Time) {
        if let Some(struck) = self.struck
            && at.since(struck) >= Span::from_secs(60)
        {
            self.strikes = self.strikes.saturating_sub(1);
            self.wrong = self.wrong.saturating_sub(1);
            self.cleared = self.cleared.saturating_sub(1);
            if self.strikes == 0 {
                self.devices.iter_mut().for_each(|on| on.proved = None);
            }
            let left = self.strikes.max(self.wrong).max(self.cleared);
            self.struck = (left > 0).then_some(at);
        }
    }
}
