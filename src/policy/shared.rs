//! How low may a slice go that holds others besides the aggressor?
//!
//! **Problem.** The fork between victim and aggressor may lie above a slice with other containers in it
//! (one of two in Podman's `machine.slice`, beside one of Docker). A cap on the aggressor is left there,
//! and it protects badly: no quota that was tried by hand brought the victim's p99 under 2 × alone on two
//! CPUs, while the weights of the way down give 1.1 × and leave the aggressor all that nobody else wants.
//! **Approach.** Two weights: the slice gets what the others in it need and the aggressor's guarantee, and
//! the aggressor's own group the least weight beside those others, so that what the slice has is theirs
//! first. What they need is looked at in every tick: one that waits needs all it may take, and one that is
//! held itself what it is guaranteed.
//! **Limits.** A slice with a service of the host in it, whose needs nobody measures, is no lever (there the
//! victim's side is raised, [`lift`](super::lift)), nor one with something that the policy protects, nor one
//! whose weight kubelet keeps, nor one in which the aggressor lies deeper than one step: there is the cap.

use super::brain::Brain;
use super::intervention::Intervention;
use super::ladder::{self, FirstCpu, Place};
use super::window::Over;
use crate::model::{End, GroupId, Knob, KnobValue, Resource, Weight};

/// What others in the slice use may grow by so much before the slice is looked at again.
const MARGIN: f64 = 1.25;
/// One that stalls for this part of about 100 ms waits.
const WAITS: f64 = 0.05;

/// A second weight that an intervention holds beside its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beside {
    /// Whose.
    pub group: GroupId,
    /// What it is without us.
    pub from: Weight,
    /// What it is now.
    pub to: Weight,
}

impl Beside {
    /// The knob, and what shall stand there.
    pub(super) const fn value(self) -> (Knob, KnobValue) {
        (Knob::CpuWeight, KnobValue::Weight(self.to))
    }
}

impl Brain {
    /// The least weight for the aggressor's own group among the others in its slice, and not less than one of them has who is
    /// held himself: it would be that one's prey.
    pub(super) fn within(&self, own: usize) -> Option<Beside> {
        let group = self.tree.groups.get(own)?;
        let from = group.knobs.cpu_weight.ok()?;
        let weights = self.held.iter().filter_map(|held| {
            let (at, _) = self.tree.find(held.moved())?;
            let is_beside = at != own && self.tree.groups[at].parent == group.parent;
            match (held.place, held.within) {
                _ if !is_beside => None,
                (_, Some(within)) => Some(within.to),
                (Place::Weight(weight), None) => Some(weight),
                _ => None,
            }
        });
        let least = weights.max().unwrap_or(self.policy.cpu.weight_floor);
        let to = least.max(self.policy.cpu.weight_floor).min(from);
        Some(Beside {
            group: group.id,
            from,
            to,
        })
    }

    /// CPUs that the others in a slice need now, those below `own` left out.
    pub(super) fn needed_beside(&self, slice: usize, own: GroupId) -> f64 {
        let lies_beside = |group: usize| {
            let mut is_below = false;
            for up in self.tree.lineage(group) {
                if self.tree.groups[up].id == own {
                    return false;
                }
                is_below |= up == slice;
            }
            is_below
        };
        let others = self.tracks.iter().filter(|track| lies_beside(track.group));
        others
            .map(|track| {
                if self.holds(track.id, Resource::Cpu) {
                    track.entitlement * self.policy.cpu.guarantee.get()
                } else if track.cpu_psi.rate(Over::Moment) > WAITS {
                    track.entitlement.max(track.demand.get())
                } else {
                    track.usage(Over::Half) * MARGIN
                }
            })
            .sum()
    }

    /// The least weight of a held slice that leaves the others in it what they need; `None` where the
    /// lever holds nobody else.
    fn least_of_slice(&self, held: &Intervention) -> Option<Weight> {
        let own = held.within?.group;
        let (slice, _) = self.tree.find(held.lever)?;
        Some(ladder::weight_for(&FirstCpu {
            guaranteed: 0.0,
            others: self.needed_beside(slice, own),
            shared: f64::from(self.host.cpus.max(1)) * self.shares.above(&self.tree, slice),
            beside: self.shares.beside(&self.tree, slice),
            harm: 0.0,
        }))
    }

    /// Whether a place leaves the others in a held slice what they need. A slice has no place but weights:
    /// all others would take from those others too.
    pub(super) fn leaves_others(&self, held: &Intervention, place: Place) -> bool {
        match (self.least_of_slice(held), place) {
            (None, _) => true,
            (Some(least), Place::Weight(weight)) => weight >= least,
            (Some(_), _) => false,
        }
    }

    /// Raises a held slice whose others need more than it has; whether what is held there goes on.
    pub(super) fn tend_slice(&mut self, at: usize) -> bool {
        let Some(held) = self.held.get(at) else {
            return false;
        };
        let (Some(least), Place::Weight(weight)) = (self.least_of_slice(held), held.place) else {
            return true;
        };
        if weight >= least {
            return true;
        }
        if least >= ladder::original_weight(&held.bounds) {
            // All of the slice is needed: there is nothing to take from it.
            self.release(at, End::Released);
            return false;
        }
        self.write(at, Place::Weight(least), false);
        true
    }
}
