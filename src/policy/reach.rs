//! What may follow where a weight has not reached its aggressor, who still takes more than it may?
//!
//! On several CPUs the scheduler spreads tasks by load, and a light one may have a CPU alone. The least weight comes next,
//! then a cap. Whom neither reaches is [frozen](super::pulses).

use super::brain::Brain;
use super::feed::{LITTLE, NOISE};
use super::intervention::Intervention;
use super::ladder::{self, Place};
use super::window::Over;
use crate::model::Resource;

impl Brain {
    /// The next place of one that its first step has not reached; `None` where it has.
    pub(super) fn beyond(&self, held: &Intervention, guaranteed: f64) -> Option<Place> {
        let aggressor = self.track(held.aggressor)?;
        let victim = self.track(held.victim)?;
        // One at its own quota takes no more, whoever else is held: what it leaves is the others'.
        let unreached = held.resource == Resource::Cpu
            && !held.place.rung().is_hard()
            && aggressor.usage(Over::Half) > aggressor.entitlement * NOISE + LITTLE
            && victim.throttled(Over::Two) <= 0.01;
        let floor = self.policy.cpu.weight_floor;
        match held.place {
            _ if !unreached => None,
            Place::Weight(weight) if weight > floor => Some(Place::Weight(floor)),
            _ if self.may_cap(aggressor, &held.bounds) => {
                ladder::first_cap(guaranteed, &held.bounds)
            }
            _ => None,
        }
    }
}
