//! What is held, hand to hand: how its knobs are written, renewed and given back, and what became of that.

use super::brain::Brain;
use super::ladder::Place;
use super::lift::Lifting;
use super::shared::Beside;
use crate::model::{
    Absent, Change, End, EventKind, GroupId, Knob, Others, Outcome, Resource, Rung, Span, Written,
};

/// A lease is renewed when this part of it has passed.
const RENEW: f64 = 1.0 / 3.0;

impl Brain {
    /// Going from one rung to another gives the left one's knob back, where both cannot stand.
    pub(super) fn leave(&mut self, at: usize, from: Place, to: Place) {
        let held = &self.held[at];
        if from.rung() != to.rung() {
            let (knob, _) = from.value(&held.bounds, &self.policy);
            self.step.changes.push(Change::Release {
                group: held.lever,
                knob,
            });
        }
    }

    pub(super) fn write(&mut self, at: usize, place: Place, tighter: bool) {
        let held = &mut self.held[at];
        held.go_to(place);
        held.changed = self.now;
        held.stood = None;
        let (knob, value) = place.value(&held.bounds, &self.policy);
        let (lever, aggressor) = (held.lever, held.aggressor);
        self.chronicle
            .step(held, place, tighter, self.now, &self.policy);
        self.step.changes.push(Change::Hold {
            group: lever,
            knob,
            value,
            aggressor,
            lease: self.policy.release.lease,
        });
        let kind = if tighter {
            EventKind::Tightened { lever, knob, value }
        } else {
            EventKind::Loosened { lever, knob, value }
        };
        self.tell(kind, at);
    }

    /// Holds the aggressor's own weight, where the lever is a slice that holds others too.
    pub(super) fn hold_within(&mut self, at: usize) {
        let held = &self.held[at];
        let Some(within) = held.within else { return };
        let (knob, value) = within.value();
        let (group, aggressor) = (within.group, held.aggressor);
        self.step.changes.push(Change::Hold {
            group,
            knob,
            value,
            aggressor,
            lease: self.policy.release.lease,
        });
        let lever = group;
        self.tell(EventKind::Tightened { lever, knob, value }, at);
    }

    /// To hold this one brought no relief, or failed.
    pub(super) fn exonerate(&mut self, aggressor: GroupId, resource: Resource) {
        let (now, first) = (self.now, self.policy.detect.exonerate);
        if let Some(track) = self.track_mut(aggressor) {
            track.exonerate(resource, now, first);
        }
    }

    /// The same for one that is held, of what it is held for.
    pub(super) fn clear(&mut self, at: usize) {
        let held = &self.held[at];
        let (aggressor, resource) = (held.aggressor, held.resource);
        if held.on_behalf.is_some() {
            self.clear_of_others_work(aggressor);
        } else {
            self.exonerate(aggressor, resource);
        }
    }

    /// Puts everything of one intervention back.
    pub(super) fn release(&mut self, at: usize, end: End) {
        self.tell(EventKind::Released, at);
        self.unlift(at, Lifting::No);
        let held = self.held.remove(at);
        self.chronicle.ended(&held, self.now, end);
        let shared = self.held.iter().any(|other| {
            other.lever == held.lever
                && other.resource == held.resource
                && other.place.shares_knobs(held.place)
        });
        if !shared {
            let on_device = [held.place.value(&held.bounds, &self.policy).0];
            let is_frozen = held.places().any(|place| place.rung() == Rung::Freeze);
            // All of the ladder's knobs: those of lower rungs may still stand. Of a device there is only one.
            let knobs: &[Knob] = match held.resource {
                Resource::Cpu if is_frozen => &[
                    Knob::CgroupFreeze,
                    Knob::CpuIdle,
                    Knob::CpuWeight,
                    Knob::CpuMax,
                ],
                Resource::Cpu => &[Knob::CpuIdle, Knob::CpuWeight, Knob::CpuMax],
                Resource::Memory => &[Knob::MemorySwapMax, Knob::MemoryHigh],
                Resource::Pids => &[Knob::PidsMax],
                Resource::Io => &on_device,
            };
            let group = held.lever;
            let releases = knobs.iter().map(|&knob| Change::Release { group, knob });
            self.step.changes.extend(releases);
        }
        if let Some(Beside { group, .. }) = held.within {
            let knob = Knob::CpuWeight;
            self.step.changes.push(Change::Release { group, knob });
        }
        if let Some(track) = self.track_mut(held.victim) {
            track.strain_mut(held.resource).residual = 0.0;
        }
        let now = self.now;
        // Who lost a limit by somebody else's hand did not come back to it by his own.
        if held.proved
            && end != End::Drifted
            && end != End::Exonerated
            && let Some(track) = self.track_mut(held.aggressor)
        {
            track.strike(now);
            if let Some(Place::Throttle(limit)) = held.proved_at
                && let Some(on) = track.on_mut(limit.device)
            {
                on.proved = Some(limit);
            }
        }
    }

    /// The least time the next limit on this one stands: doubled for every strike.
    pub(super) fn hold_of(&self, aggressor: GroupId) -> Span {
        let strikes = self.track(aggressor).map_or(0, |track| track.strikes);
        let hold = self
            .policy
            .release
            .hold
            .0
            .saturating_mul(1_u64 << strikes.min(16));
        Span(hold.min(self.policy.release.hold_max.0))
    }

    /// Renews the leases of all that stands, in time: a hold of the same value is no write. A write
    /// renews its own knob only, so it does not put this off.
    pub(super) fn renew(&mut self) {
        let lease = self.policy.release.lease;
        for held in &mut self.held {
            if self.now.since(held.renewed) < lease.scaled(RENEW) {
                continue;
            }
            held.renewed = self.now;
            let (group, aggressor) = (held.lever, held.aggressor);
            for place in held.places() {
                let (knob, value) = place.value(&held.bounds, &self.policy);
                self.step.changes.push(Change::Hold {
                    group,
                    knob,
                    value,
                    aggressor,
                    lease,
                });
            }
            if let Some(within) = held.within {
                let (knob, value) = within.value();
                self.step.changes.push(Change::Hold {
                    group: within.group,
                    knob,
                    value,
                    aggressor,
                    lease,
                });
            }
            if let Some(lift) = held.lifting.lift() {
                let (knob, value) = lift.value();
                self.step.changes.push(Change::Lift {
                    group: lift.group,
                    knob,
                    value,
                    victim: held.victim,
                    lease,
                });
            }
        }
    }

    /// A write that failed, or a knob that is somebody else's now, ends the intervention, on whatever
    /// rung it was: to hold on to the others would be half a hold, and to write it again a fight. With
    /// `yield` the container may be held again at once, from what stands there now.
    pub(super) fn learn_outcome(&mut self, outcome: &Outcome) {
        if outcome.knob == Knob::CpuWeight
            && let Some(at) = self.lifter(outcome.group)
        {
            return self.learn_of_lift(at, outcome.written);
        }
        let at = self.held.iter().position(|held| {
            let places = held.places();
            let knobs = places.map(|place| place.value(&held.bounds, &self.policy).0);
            let own = knobs.map(|knob| (held.lever, knob));
            let within = held.within.map(|within| (within.group, Knob::CpuWeight));
            own.chain(within)
                .any(|held| held == (outcome.group, outcome.knob))
        });
        let Some(at) = at else { return };
        let knob = outcome.knob;
        let (told, end) = match outcome.written {
            // It went away with its knobs: nothing failed.
            Written::Failed(Absent::Gone) => return self.release(at, End::Groundless),
            Written::Failed(why) => (EventKind::CannotAct { knob, why }, End::Failed),
            Written::Drifted | Written::GaveUp => (EventKind::Drift { knob }, End::Drifted),
            Written::WouldWrite => {
                if let Some(held) = self.held.get_mut(at) {
                    held.imagined = true;
                }
                return;
            }
            // Nobody asked for it: the lease ran out, and will be taken again when it is renewed.
            Written::Restored => {
                let held = &self.held[at];
                if self.now.since(held.renewed) >= self.policy.release.lease {
                    self.chronicle.expired(held);
                }
                return;
            }
            Written::Killed | Written::NotKilled(_) => {
                return self.learn_of_kill(at, outcome.written);
            }
            Written::Done => {
                let now = self.now;
                let held = &mut self.held[at];
                if held.place.value(&held.bounds, &self.policy).0 == knob {
                    held.stood.get_or_insert(now);
                }
                return;
            }
            Written::Queued | Written::Reasserted => return,
        };
        self.tell(told, at);
        if let Some(held) = self.held.get(at) {
            let aggressor = held.aggressor;
            if knob == Knob::CgroupFreeze && end == End::Failed {
                let until = self.now + self.policy.detect.exonerate;
                if let Some(track) = self.track_mut(aggressor) {
                    track.refuse_to_freeze(until);
                }
            } else if outcome.written != Written::Drifted || !self.yields(aggressor) {
                self.clear(at);
            }
        }
        self.release(at, end);
    }

    /// Whether somebody else's value is a new beginning for this container: not again before the time of an
    /// exoneration has passed, so that one who writes all the time is not answered all the time.
    fn yields(&mut self, aggressor: GroupId) -> bool {
        let (now, apart) = (self.now, self.policy.detect.exonerate);
        self.policy.release.others == Others::Yield
            && self
                .track_mut(aggressor)
                .is_some_and(|track| track.yields(now, apart))
    }
}
