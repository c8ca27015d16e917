//! What does the victim get, where the policy allows the idle rung?
//!
//! **Problem.** Neither a low weight nor `cpu.idle` keeps the held one off the CPU at every moment on a
//! scheduler that picks the least virtual runtime, idle or not (CFS, before Linux 6.6). One that wakes is
//! placed half a scheduling latency (3 ms) before the others. Once it has had that, a kernel thread that
//! wakes and sleeps again hands the CPU to the held group for the rest of a tick (seen on 6.1: up to six of
//! 160 requests of 5 ms were 4 ms late by that, and none with the victim's weight at four times its own).
//! **Approach.** While a victim of one who is held by weight or idle has nothing to lose by it, its own
//! side of the fork gets four times its weight: its virtual time passes slower, and the credit of the
//! wakening lasts four times as long. It is the mirror image of the lever, under the same conditions: a
//! group that moves nobody else.
//! Where the aggressor's slice holds services of the host, or something protected, and must not be moved, such
//! a lift is the lever itself: the two sides' ratio is what counts, and the victim's is raised as far as the
//! slice would else have been lowered. The others in the slice come first in what is left to it, by the
//! least weight for the aggressor's own group.
//! **Limits.** It is more than the victim's due where others want the CPU too. Who comes to harm while
//! the lifted one takes more than it may ends the lift, for as long as this intervention lasts; shares
//! and entitlements are reckoned with the original weight all along. One that is not the lever only where the
//! policy says `idle`: its victims are those to whom milliseconds matter.

use super::brain::Brain;
use super::intervention::Intervention;
use super::ladder::{FirstCpu, Place};
use super::lever::{self, Lever};
use super::shared::Beside;
use super::track::Track;
use super::window::Over;
use crate::model::{Absent, Change, EventKind, GroupId, Knob, Resource, Span, Weight, Written};

/// How many times its weight a victim gets. No more even where it is the lever: what else runs in the
/// aggressor's slice, and is watched by nobody, keeps a fifth of the CPUs beside it if the two weigh the same.
const TIMES: u32 = 4;

/// So long after a step the harm before it is out of half a second's mean.
const SETTLED: Span = Span::from_secs(1);
/// Harm over what is tolerated by which one starves beside one that is raised; less is a wait for its turn.
const STARVES: f64 = 0.1;

/// Whether the victim of an intervention is lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lifting {
    /// Not now.
    #[default]
    No,
    /// It is: the victim, or the group above it that holds nobody else.
    Stands(Beside),
    /// It is, and that is what separates the two: it goes back in steps, as what is held does.
    Leads {
        /// What stands.
        lift: Beside,
        /// What stood before the way back began.
        full: Weight,
    },
    /// It was, and somebody suffered by it, or wrote it: not again.
    Refused,
}

impl Lifting {
    /// The lift that stands.
    pub(super) const fn lift(self) -> Option<Beside> {
        match self {
            Lifting::Stands(lift) | Lifting::Leads { lift, .. } => Some(lift),
            Lifting::No | Lifting::Refused => None,
        }
    }

    /// Nothing to write down.
    pub(super) fn is_no(&self) -> bool {
        *self == Lifting::No
    }
}

impl Brain {
    /// Lifts the victim as long as the policy and the rung are such, and ends the lift where somebody else
    /// suffers by it: the lifted one takes more than it may.
    pub(super) fn tend_lift(&mut self, at: usize) {
        let Some(held) = self.held.get(at) else {
            return;
        };
        let may = self.policy.cpu.idle && matches!(held.place, Place::Weight(_) | Place::Idle);
        match held.lifting {
            Lifting::No if may => {
                if let Some(lift) = self.lift_for(held) {
                    self.lift(at, Lifting::Stands(lift), lift);
                }
            }
            Lifting::Stands(_) if !may => self.unlift(at, Lifting::No),
            Lifting::Stands(lift) if self.harms_others(held, lift) => {
                self.unlift(at, Lifting::Refused);
            }
            Lifting::Leads { lift, .. }
                if self.harms_others(held, lift) || self.starves_others(held) =>
            {
                self.unlift(at, Lifting::Refused);
            }
            _ => {}
        }
    }

    /// Whether somebody suffers while the lifted one takes more than it may, or shares its group by now.
    fn harms_others(&self, held: &Intervention, lift: Beside) -> bool {
        let victim = held.victim;
        let Some(track) = self.track(victim) else {
            return true;
        };
        let size = self.policy.detect.bucket;
        let suffers = |other: &Track| other.id != victim && !other.cpu.bucket.calm(size);
        let alone = self
            .tree
            .find(lift.group)
            .is_some_and(|(at, _)| lever::moves_only(&self.tree, at, track.group));
        !alone || (track.excess > 0.0 && self.tracks.iter().any(suffers))
    }

    /// Whether somebody who is not held still waits a lot, and gets less than it may, well after the victim was
    /// raised: what a service of the host needs is known by this alone.
    fn starves_others(&self, held: &Intervention) -> bool {
        self.now.since(held.changed) >= SETTLED
            && self.tracks.iter().any(|other| {
                other.id != held.victim
                    && !self.is_moved(other.group, Resource::Cpu)
                    && other.cpu.rate(Over::Half) > STARVES + self.tolerance(other, Resource::Cpu)
                    && other.usage(Over::Half) < other.entitlement
            })
    }

    /// The lift that an intervention may have; `None` where the victim shares its side of the fork, or
    /// somebody moves it already.
    fn lift_for(&self, held: &Intervention) -> Option<Beside> {
        let (victim, aggressor) = (self.track(held.victim)?, self.track(held.aggressor)?);
        let Some(Lever::Weight(at)) = lever::find(&self.tree, victim.group, aggressor.group) else {
            return None;
        };
        let group = &self.tree.groups[at];
        let from = group.knobs.cpu_weight.ok()?;
        let to = Weight::new(from.get().saturating_mul(TIMES))?;
        let is_free = !self.is_moved(at, Resource::Cpu) && self.lifter(group.id).is_none();
        is_free.then_some(Beside {
            group: group.id,
            from,
            to,
        })
    }

    /// How the victim's `side` is raised so that the aggressor's slice beside it keeps `first`'s guarantee, and
    /// what the others in it need, of what all at this fork share. `None` where that is all that it has.
    pub(super) fn raised(&self, side: usize, slice: usize, first: &FirstCpu) -> Option<Beside> {
        let group = self.tree.groups.get(side)?;
        let from = group.knobs.cpu_weight.ok()?;
        let other = f64::from(self.tree.groups.get(slice)?.knobs.cpu_weight.ok()?.get());
        let rest = (first.beside - other).max(0.0);
        let kept = first.kept();
        let most = Weight::nearest(f64::from(from.get()) * f64::from(TIMES));
        let to = Weight::nearest(other * (1.0 - kept) / kept - rest).min(most);
        let is_free = !self.is_moved(side, Resource::Cpu) && self.lifter(group.id).is_none();
        (is_free && to > from).then_some(Beside {
            group: group.id,
            from,
            to,
        })
    }

    /// Begins a lift that separates the two.
    pub(super) fn lead(&mut self, at: usize, lift: Beside) {
        let full = lift.to;
        self.lift(at, Lifting::Leads { lift, full }, lift);
    }

    /// A lift that leads follows the place on its way back, and forth again.
    pub(super) fn follow(&mut self, at: usize) {
        let held = &self.held[at];
        let Lifting::Leads { lift, full } = held.lifting else {
            return;
        };
        let way = held.way_back();
        let (from, most) = (f64::from(lift.from.get()), f64::from(full.get()));
        let to = Weight::nearest(from + (most - from) * (1.0 - way));
        if to != lift.to {
            let lift = Beside { to, ..lift };
            self.lift(at, Lifting::Leads { lift, full }, lift);
        }
    }

    fn lift(&mut self, at: usize, lifting: Lifting, lift: Beside) {
        let lease = self.policy.release.lease;
        let held = &mut self.held[at];
        held.lifting = lifting;
        let victim = held.victim;
        let (knob, value) = lift.value();
        self.step.changes.push(Change::Lift {
            group: lift.group,
            knob,
            value,
            victim,
            lease,
        });
        let lever = lift.group;
        self.tell(EventKind::Lifted { lever, knob, value }, at);
    }

    /// Gives the victim its own weight back.
    pub(super) fn unlift(&mut self, at: usize, then: Lifting) {
        let Some(held) = self.held.get_mut(at) else {
            return;
        };
        let lift = held.lifting.lift();
        held.lifting = then;
        if let Some(lift) = lift {
            let (group, knob) = (lift.group, Knob::CpuWeight);
            self.step.changes.push(Change::Release { group, knob });
        }
    }

    /// What became of a lift's write. A lift that is not to be had ends alone: what is held helps without.
    pub(super) fn learn_of_lift(&mut self, at: usize, written: Written) {
        match written {
            // It went away with its knobs: nothing failed.
            Written::Failed(Absent::Gone) => self.unlift(at, Lifting::Refused),
            Written::Failed(_) | Written::Drifted | Written::GaveUp => {
                let knob = Knob::CpuWeight;
                let told = match written {
                    Written::Failed(why) => EventKind::CannotAct { knob, why },
                    _ => EventKind::Drift { knob },
                };
                self.tell(told, at);
                self.unlift(at, Lifting::Refused);
            }
            Written::Done
            | Written::Queued
            | Written::WouldWrite
            | Written::Restored
            | Written::Reasserted
            | Written::Killed
            | Written::NotKilled(_) => {}
        }
    }

    /// The intervention that lifts this group.
    pub(super) fn lifter(&self, group: GroupId) -> Option<usize> {
        self.held
            .iter()
            .position(|held| held.lifting.lift().is_some_and(|lift| lift.group == group))
    }
}
