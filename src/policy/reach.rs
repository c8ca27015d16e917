//! What may follow where the first step has not reached its aggressor, who still takes more than it may?
//!
//! On several CPUs the scheduler spreads tasks by load, and one of little weight may have a CPU alone. The least weight comes next,
//! then a cap. Whom neither reaches is [frozen](super::pulses).
//!
//! On a device a first limit is a part of what was handed over in the moment before. Who hands over at once what the device works
//! off for seconds may be left more by that than the device can do: half of it comes next, while it takes more than its part. Who
//! obeys his limit on a device that is slow by itself looks the same, so that ends after a while.

use super::brain::Brain;
use super::feed::{LITTLE, NOISE};
use super::intervention::Intervention;
use super::ladder::{self, Place};
use super::window::Over;
use crate::model::Span;

/// For so long one that is held on a device is not cleared, and gets less, while it takes more than its part.
const UNCLEARED: Span = Span::from_secs(10);

impl Brain {
    /// The next place of one that its first step has not reached; `None` where it has.
    pub(super) fn beyond(&self, held: &Intervention, guaranteed: f64) -> Option<Place> {
        let aggressor = self.track(held.aggressor)?;
        let victim = self.track(held.victim)?;
        // One at its own quota takes no more, whoever else is held: what it leaves is the others'.
        let has_too_much = || {
            aggressor.usage(Over::Half) > aggressor.entitlement * NOISE + LITTLE
                && victim.throttled(Over::Two) <= 0.01
        };
        let floor = self.policy.cpu.weight_floor;
        match held.place {
            Place::Throttle(limit) => {
                let on = aggressor.on(limit.device)?;
                let tighter = limit.tighter(&self.policy)?;
                let takes = on.excess > 0.0 && self.now < held.since + UNCLEARED;
                takes.then_some(Place::Throttle(tighter))
            }
            Place::Weight(_) | Place::Idle if has_too_much() => match held.place {
                Place::Weight(weight) if weight > floor => Some(Place::Weight(floor)),
                _ if self.may_cap(aggressor, &held.bounds.original) => {
                    ladder::first_cap(guaranteed, &held.bounds)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
