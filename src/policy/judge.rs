//! What is held: what is seen of it, what its judgement leads to, and what became of its writes.

use super::brain::{Brain, SPARE};
use super::intervention::{Intervention, Move, Proof, Seen};
use super::ladder::{self, Place};
use super::window::Over;
use crate::model::{
    Bytes, Change, EventKind, GroupId, Knob, Outcome, Resource, Span, Verdict, Written,
};

/// A lease is renewed when this part of it has passed.
const RENEW: f64 = 1.0 / 3.0;

impl Brain {
    /// Whether this container is held on this resource.
    pub(super) fn holds(&self, id: GroupId, resource: Resource) -> bool {
        self.held
            .iter()
            .any(|held| held.aggressor == id && held.resource == resource)
    }

    pub(super) fn seen(&self, held: &Intervention) -> Seen {
        let now = self.now;
        let resource = held.resource;
        let victim = self.track(held.victim);
        let aggressor = self.track(held.aggressor);
        let strain = victim.map(|track| track.strain(resource));
        let total = strain.map_or(Span::ZERO, |strain| strain.total());
        let harm = match held.mark {
            Some((at, mark)) if matches!(held.proof, Proof::Proving(_)) => {
                total.advance(mark).over(now.since(at))
            }
            _ => strain.map_or(0.0, |strain| strain.rate(Over::Two)),
        };
        let calm_for =
            self.calm_since[resource as usize].map_or(Span::ZERO, |since| now.since(since));
        let entitled = aggressor.map_or(0.0, |track| track.entitlement);
        let usage = aggressor.map_or(0.0, |track| track.usage(Over::Half));
        let waits = aggressor.map_or(0.0, |track| track.cpu_psi.rate(Over::Half));
        let swapped = aggressor
            .and_then(|track| track.memory)
            .map_or(Bytes(0), |m| m.swap);
        let idle = self.spare(Over::Two) >= SPARE;
        let throttled = aggressor.is_some_and(|track| track.throttled(Over::Two) > 0.01);
        let wants = match (resource, held.place) {
            (Resource::Cpu, Place::Cap(_)) => throttled,
            (Resource::Cpu, _) => !idle && waits > 0.05,
            (Resource::Memory, _) => self
                .available()
                .is_some_and(|available| available < 2.0 * self.policy.memory.reserve.get()),
        };
        let rests =
            resource == Resource::Cpu && waits < 0.05 && usage < 0.5 * entitled && !throttled;
        Seen {
            now,
            orphaned: victim.is_none() || aggressor.is_none(),
            total,
            harm,
            alarmed: strain.is_some_and(|strain| strain.bucket.alarmed()),
            tolerance: strain.map_or(0.0, |strain| {
                self.policy.detect.tolerance.get() + strain.calm(&self.policy)
            }),
            calm_for,
            rests,
            wants,
            starves: resource == Resource::Cpu && waits > 0.1 && usage < 0.9 * entitled && !idle,
            relayed: resource == Resource::Cpu
                && self.tracks.iter().any(|track| {
                    track.is_container
                        && track.id != held.victim
                        && !self.holds(track.id, resource)
                        && track.excess > 0.25 * entitled.max(0.1)
                }),
            tighter: ladder::tighter(held.place, entitled, swapped, &held.bounds, &self.policy)
                .filter(|place| self.allowed(held.aggressor, *place)),
            looser: ladder::looser(held.place, held.tightest, &held.bounds),
            raised: ladder::raised(held.place, &held.bounds),
        }
    }

    /// Hard rungs that turned out wrong have a budget per suspect, refilled by time.
    pub(super) fn allowed(&self, aggressor: GroupId, place: Place) -> bool {
        const WRONG: u32 = 3;
        !place.rung().is_hard()
            || self
                .track(aggressor)
                .is_some_and(|track| track.wrong < WRONG)
    }

    pub(super) fn judge(&mut self) {
        for at in (0..self.held.len()).rev() {
            let seen = self.seen(&self.held[at]);
            let held = &mut self.held[at];
            if matches!(held.proof, Proof::Proving(_))
                && held.mark.is_none()
                && seen.now >= held.settled_since(&self.policy)
            {
                held.mark = Some((seen.now, seen.total));
            }
            let next = held.judge(&seen, &self.policy);
            self.carry_out(at, next, &seen);
        }
    }

    pub(super) fn carry_out(&mut self, at: usize, next: Move, seen: &Seen) {
        let now = self.now;
        let verify = self.held[at].verify(&self.policy);
        let Some(aggressor) = self.held.get(at).map(|held| held.aggressor) else {
            return;
        };
        match next {
            Move::Keep => {}
            Move::Judge(verdict) => {
                let held = &mut self.held[at];
                held.proved |= verdict == Verdict::Confirmed;
                held.proof = if verdict == Verdict::Confirmed {
                    Proof::Confirmed
                } else {
                    Proof::Unproven
                };
                self.accept_residual(at, seen.harm);
                self.tell(EventKind::Proved(verdict), at);
            }
            Move::Tighten(place) => {
                let held = &mut self.held[at];
                held.undo = Some(held.place);
                held.harm_before = seen.harm;
                held.proof = Proof::Proving(now + verify);
                held.mark = None;
                held.tightest = place;
                self.write(at, place, true);
            }
            Move::StepBack(place) => {
                let held = &mut self.held[at];
                held.proof = Proof::Confirmed;
                held.undo = None;
                held.tightest = place;
                held.settled = now + self.policy.detect.exonerate;
                let was = held.place;
                self.leave(at, was, place);
                self.accept_residual(at, seen.harm);
                self.write(at, place, false);
            }
            Move::Exonerate => {
                self.tell(EventKind::Proved(Verdict::Exonerated), at);
                let until = now + self.policy.detect.exonerate;
                let hard = self.held[at].place.rung().is_hard();
                if let Some(track) = self.track_mut(aggressor) {
                    track.exonerated = Some(until);
                    if hard {
                        track.wrong += 1;
                        track.struck = Some(now);
                    }
                }
                self.release(at);
            }
            Move::Loosen(place) => {
                let held = &mut self.held[at];
                if seen.starves && !matches!(held.proof, Proof::Releasing(_)) {
                    held.no_raise = now + self.policy.detect.exonerate;
                } else {
                    held.proof = Proof::Releasing(now + self.policy.release.step);
                }
                let was = held.place;
                self.leave(at, was, place);
                self.write(at, place, false);
            }
            Move::Retighten(place) => {
                self.held[at].proof = Proof::Confirmed;
                self.held[at].since = now;
                if let Some(track) = self.track_mut(aggressor) {
                    track.strike(now);
                }
                self.held[at].hold = self.hold_of(aggressor);
                self.write(at, place, true);
            }
            Move::Release => self.release(at),
        }
    }

    /// What a rung that helped leaves is tolerated while it stands: at most what counts as relief.
    pub(super) fn accept_residual(&mut self, at: usize, harm: f64) {
        let held = &self.held[at];
        let (victim, resource) = (held.victim, held.resource);
        let most = held.harm_at_first * (1.0 - self.policy.detect.relief.get());
        if let Some(track) = self.track_mut(victim) {
            track.strain_mut(resource).residual = (harm * 1.25).min(most);
        }
    }

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
        held.place = place;
        held.changed = self.now;
        held.renewed = self.now;
        let (knob, value) = place.value(&held.bounds, &self.policy);
        let (lever, aggressor) = (held.lever, held.aggressor);
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

    /// Puts everything of one intervention back.
    pub(super) fn release(&mut self, at: usize) {
        self.tell(EventKind::Released, at);
        let held = self.held.remove(at);
        let shared = self
            .held
            .iter()
            .any(|other| other.lever == held.lever && other.resource == held.resource);
        if !shared {
            // All of the ladder's knobs: those of lower rungs may still stand.
            let knobs: &[Knob] = match held.resource {
                Resource::Cpu => &[Knob::CpuIdle, Knob::CpuWeight, Knob::CpuMax],
                Resource::Memory => &[Knob::MemorySwapMax, Knob::MemoryHigh],
            };
            let group = held.lever;
            let releases = knobs.iter().map(|&knob| Change::Release { group, knob });
            self.step.changes.extend(releases);
        }
        if let Some(track) = self.track_mut(held.victim) {
            track.strain_mut(held.resource).residual = 0.0;
        }
        let now = self.now;
        if held.proved
            && let Some(track) = self.track_mut(held.aggressor)
        {
            track.strike(now);
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

    /// Renews leases in time: a hold of the same value is no write.
    pub(super) fn renew(&mut self) {
        let lease = self.policy.release.lease;
        for held in &mut self.held {
            if self.now.since(held.renewed) < lease.scaled(RENEW) {
                continue;
            }
            held.renewed = self.now;
            let (knob, value) = held.place.value(&held.bounds, &self.policy);
            let (group, aggressor) = (held.lever, held.aggressor);
            self.step.changes.push(Change::Hold {
                group,
                knob,
                value,
                aggressor,
                lease,
            });
        }
    }

    /// A write that failed, or a knob that is somebody else's now, ends the intervention.
    pub(super) fn learn_outcome(&mut self, outcome: &Outcome) {
        let at = self.held.iter().position(|held| {
            held.lever == outcome.group
                && held.place.value(&held.bounds, &self.policy).0 == outcome.knob
        });
        let Some(at) = at else { return };
        match outcome.written {
            Written::Failed(why) => {
                self.tell(
                    EventKind::CannotAct {
                        knob: outcome.knob,
                        why,
                    },
                    at,
                );
                let (aggressor, until) = (
                    self.held[at].aggressor,
                    self.now + self.policy.detect.exonerate,
                );
                if let Some(track) = self.track_mut(aggressor) {
                    track.exonerated = Some(until);
                }
                self.release(at);
            }
            Written::Drifted | Written::GaveUp => {
                self.tell(EventKind::Drift { knob: outcome.knob }, at);
                let (aggressor, until) = (
                    self.held[at].aggressor,
                    self.now + self.policy.detect.exonerate,
                );
                if let Some(track) = self.track_mut(aggressor) {
                    track.exonerated = Some(until);
                }
                self.release(at);
            }
            Written::Done
            | Written::Queued
            | Written::WouldWrite
            | Written::Restored
            | Written::Reasserted => {}
        }
    }
}
