//! What is held: what is seen of it, what its judgement leads to, and what became of its writes.

use super::brain::{Brain, SPARE};
use super::feed::LITTLE;
use super::harm::SATISFIED;
use super::intervention::{Intervention, Proof, USAGE};
use super::joint::{LEAST, TAKES_OVER};
use super::ladder::{self, Place};
use super::lever;
use super::memory::SHORT;
use super::seen::{Move, Seen};
use super::track::Track;
use super::window::Over;
use crate::model::{Bytes, End, EventKind, GroupId, Resource, Rung, Span, Verdict};

/// One who takes over this part of a device more than it may, while another is held there, has taken over.
const RELAYED: f64 = 0.25;

/// One to whom more CPU time than this is owed is behind.
const BEHIND: Span = Span::from_millis(50);

impl Brain {
    /// Whether this container is held on this resource.
    pub(super) fn holds(&self, id: GroupId, resource: Resource) -> bool {
        self.held
            .iter()
            .any(|held| held.aggressor == id && held.resource == resource)
    }

    /// Whether what is held on this resource moves this group: it is the lever, or below it. One that
    /// is moved along with its pod waits by our hand as the aggressor does.
    pub(super) fn is_moved(&self, group: usize, resource: Resource) -> bool {
        !self.held.is_empty()
            && self.tree.lineage(group).any(|up| {
                let id = self.tree.groups[up].id;
                self.held
                    .iter()
                    .any(|held| held.moved() == id && held.resource == resource)
            })
    }

    pub(super) fn seen(&self, held: &Intervention) -> Seen {
        let now = self.now;
        let resource = held.resource;
        let victim = self.track(held.victim);
        let aggressor = self.track(held.aggressor);
        let strain = victim.map(|track| track.strain(resource));
        let total = strain.map_or(Span::ZERO, |strain| strain.total());
        let measured_at = strain.and_then(|strain| strain.at()).unwrap_or(now);
        // What a step has brought is told by the harm since it settled, not by that before it.
        let (measured, harm) = match held.mark {
            Some((at, mark))
                if matches!(held.proof, Proof::Proving(_))
                    || now.since(at) < Span::from_secs(2) =>
            {
                let measured = measured_at.since(at);
                (measured, total.advance(mark).over(measured))
            }
            _ => (
                Span::ZERO,
                strain.map_or(0.0, |strain| strain.rate(Over::Two)),
            ),
        };
        let calm_for = held.calm_since.map_or(Span::ZERO, |since| now.since(since));
        let entitled = aggressor.map_or(0.0, |track| track.entitlement);
        let guaranteed = entitled * self.policy.cpu.guarantee.get();
        let usage = aggressor.map_or(0.0, |track| track.usage(Over::Half));
        let waits = aggressor.map_or(0.0, |track| track.cpu_psi.rate(Over::Half));
        let swapped = aggressor
            .and_then(|track| track.memory)
            .map_or(Bytes(0), |m| m.swap);
        let idle = self.spare(Over::Two) >= SPARE;
        let throttled = aggressor.is_some_and(|track| track.throttled(Over::Two) > 0.01);
        let short = SHORT * self.policy.memory.reserve.get();
        let wants = match (resource, held.place) {
            (Resource::Cpu, Place::Cap(_)) => throttled,
            (Resource::Cpu, Place::Freeze(thawed)) => {
                aggressor.is_some_and(|track| !track.rests_frozen(thawed, Over::Two))
            }
            (Resource::Cpu, _) => !idle && waits > 0.05,
            // There must be room for what it would take.
            (Resource::Memory, _) => {
                let step = aggressor.map_or(0.0, |track| Self::would_take(track, held));
                self.available().is_some_and(|now| now - step < short)
                    || (held.foreseen && self.reaches_brim(step))
            }
            (Resource::Pids, place) => {
                let next = ladder::looser(place, held.tightest, &held.bounds);
                self.has_no_tasks_for(held, next)
            }
            (Resource::Io, _) => self.outgrew(held, Over::Two),
        };
        let rests = |over: Over| {
            aggressor.is_some_and(|track| match (resource, held.place) {
                (_, Place::Freeze(thawed)) => track.rests_frozen(thawed, over),
                (Resource::Cpu, _) => {
                    track.cpu_psi.rate(over) < 0.05
                        && track.usage(over) < 0.5 * entitled
                        && !throttled
                }
                (Resource::Io, _) => track.io_psi.rate(over) < 0.05 && !self.outgrew(held, over),
                (Resource::Memory | Resource::Pids, _) => false,
            })
        };
        let relayed = self.tracks.iter().any(|track| {
            let took_over = match resource {
                Resource::Cpu => track.excess > TAKES_OVER * entitled.max(LEAST),
                Resource::Io => track.io_excess > RELAYED,
                Resource::Memory | Resource::Pids => false,
            };
            track.is_container
                && track.id != held.victim
                && !self.holds(track.id, resource)
                && took_over
        }) || self.goes_on_elsewhere(held);
        let frozen = self.frozen_instead(held);
        let may = |place: &Place| {
            self.allowed(held.aggressor, *place) && self.leaves_others(held, *place)
        };
        Seen {
            now,
            groundless: !held.grounded
                || aggressor.is_none()
                || !held.places().all(|place| self.permits(held, place))
                || held.within.is_some_and(|within| {
                    within.to < within.from && !self.permits(held, Place::Weight(within.to))
                }),
            total,
            measured_at,
            measured,
            harm,
            alarmed: self.accuser(held).is_some(),
            tolerance: strain.map_or(0.0, |strain| {
                let borne = strain.calm(&self.policy).max(strain.shared);
                self.policy.detect.tolerance.get() + borne
            }),
            calm_for,
            rests: rests(Over::Half),
            rested: rests(Over::Two),
            behind: resource == Resource::Cpu
                && victim.is_some_and(|track| {
                    track.owed() > BEHIND && track.cpu_psi.rate(Over::Half) > LITTLE
                }),
            served: victim.is_some_and(|track| {
                let needs = track.entitlement.min(track.demand.get());
                track.usage(Over::Moment) >= needs * SATISFIED
            }) && !self.is_helped_by_another(held),
            wants,
            starves: resource == Resource::Cpu && waits > 0.1 && usage < 0.9 * entitled && !idle,
            relayed,
            overtaken: self.is_overtaken(held),
            stirred: resource == Resource::Cpu
                && held.proof == Proof::Confirmed
                && self.is_stirred(held),
            pending: aggressor.is_some_and(|track| track.is_over(held.place))
                || (self.works_off(held) && !relayed),
            short: resource == Resource::Memory && self.is_short(),
            in_vain: self.in_vain(held),
            tighter: frozen.filter(|_| now >= held.changed + USAGE).or_else(|| {
                ladder::tighter(held.place, guaranteed, swapped, &held.bounds, &self.policy)
                    .filter(may)
            }),
            beyond: frozen.or_else(|| self.beyond(held, guaranteed).filter(may)),
            frozen,
            looser: held.looser(held.place),
            raised: ladder::raised(held.place, &held.bounds),
        }
    }

    /// What a held one would take at once of the next step back, as a part of RAM: all of it where it
    /// stands at its limit and waits there.
    fn would_take(track: &Track, held: &Intervention) -> f64 {
        let full = match (held.place, track.memory) {
            (Place::High(high), Some(memory)) => memory.current.0 >= high.scaled(0.9).0,
            (_, memory) => memory.is_some(),
        };
        if full && track.memory_psi.rate(Over::Two) > 0.01 {
            ladder::HIGH_STEP_BACK
        } else {
            0.0
        }
    }

    /// Who has an alarm that this one's aggressor is to blame for, its own victim before all others.
    pub(super) fn accuser(&self, held: &Intervention) -> Option<GroupId> {
        let margin = self.policy.detect.margin;
        let accusers = self.tracks.iter().filter(|track| {
            let strain = track.strain(held.resource);
            strain.bucket.alarmed() && strain.ledger.points_at(held.aggressor, margin)
        });
        let worst = accusers.max_by_key(|track| {
            let level = track.strain(held.resource).bucket.level();
            (track.id == held.victim, level, track.id)
        });
        worst.map(|track| track.id)
    }

    /// A victim that is gone is followed by another one of the same aggressor, if there is one. Else what
    /// is held goes back, in steps: to drop a limit of memory at once would bring on what it was for.
    fn hand_over(&mut self, at: usize) {
        let held = &self.held[at];
        if self.track(held.victim).is_some() {
            return;
        }
        let heir = self.accuser(held);
        let now = self.now;
        let held = &mut self.held[at];
        held.mark = None;
        match heir {
            Some(heir) => held.victim = heir,
            None if matches!(held.proof, Proof::Releasing(_)) => {}
            None => held.proof = Proof::Releasing(now),
        }
    }

    /// Whether somebody is harmed whom this one concerns: its victim, or one whose harm its aggressor
    /// is blamed for. Others' harm does not keep it: who is never calm would else keep every limit of
    /// the host for ever.
    fn disturbs(&self, held: &Intervention) -> bool {
        let size = self.policy.bucket(held.resource);
        let margin = self.policy.detect.margin;
        self.tracks.iter().any(|track| {
            let strain = track.strain(held.resource);
            !strain.bucket.calm(size)
                && (track.id == held.victim || strain.ledger.points_at(held.aggressor, margin))
        })
    }

    /// Whether the policy lets this place be held at all: its rung, and so far down.
    fn permits(&self, held: &Intervention, place: Place) -> bool {
        let policy = &self.policy;
        let rung = match place {
            Place::Weight(weight) => weight >= policy.cpu.weight_floor,
            Place::Idle => policy.cpu.idle,
            Place::Cap(cpus) => {
                let is_on = policy.cpu.cap && (policy.cpu.on_behalf || held.on_behalf.is_none());
                is_on && cpus >= held.cap_floor(policy)
            }
            Place::Freeze(_) => policy.cpu.freeze,
            Place::High(high) => high >= ladder::page(policy.memory.floor),
            Place::Swap(_) => policy.memory.swap,
            Place::Clamp(_) => true,
            Place::Throttle(throttle) => throttle.is_permitted(policy),
        };
        rung && self.policy.enforces(held.resource)
    }

    /// Looks again whether what is held still moves nobody but its aggressor: a slice may have got
    /// another container, and the policy may protect from now on what it did not.
    pub(super) fn look_at_grounds(&mut self) {
        for held in &mut self.held {
            let lever = self.tree.find(held.lever);
            let aggressor = self.tree.find(held.aggressor);
            if let Some((_, group)) = lever {
                // Somebody may have written another one since: that is where the way back ends.
                held.bounds.original = group.knobs;
            }
            held.grounded = match (lever, aggressor) {
                (Some((lever, _)), Some((at, group))) => {
                    let moves = match held.within.map(|within| self.tree.find(within.group)) {
                        None => lever::moves_only(&self.tree, lever, at),
                        Some(Some((own, _))) => lever::is_shared(&self.tree, lever, own, at),
                        Some(None) => false,
                    };
                    group.is_container() && moves
                }
                _ => false,
            };
        }
    }

    /// Whether somebody else is held for the same victim, and was proved: what it has now may be by that.
    fn is_helped_by_another(&self, held: &Intervention) -> bool {
        self.held.iter().any(|other| {
            other.resource == held.resource
                && other.victim == held.victim
                && other.aggressor != held.aggressor
                && other.proof == Proof::Confirmed
        })
    }

    /// The least weight, which guarantees nothing, is for one that it was proved against. Else the first one stands again.
    fn settle_on_weight(&mut self, at: usize, verdict: Verdict) {
        let held = &mut self.held[at];
        if let (Place::Weight(now), Place::Weight(first)) = (held.place, held.tightest)
            && now < first
        {
            if verdict == Verdict::Confirmed {
                held.tightest = held.place;
            } else {
                self.write(at, Place::Weight(first), false);
            }
        }
    }

    /// Hard rungs that turned out wrong have a budget per suspect, refilled by time. A clamp is never wrong.
    pub(super) fn allowed(&self, aggressor: GroupId, place: Place) -> bool {
        const WRONG: u32 = 3;
        !place.rung().is_hard()
            || place.rung() == Rung::Clamp
            || self
                .track(aggressor)
                .is_some_and(|track| track.wrong < WRONG)
    }

    pub(super) fn judge(&mut self) {
        for at in (0..self.held.len()).rev() {
            self.hand_over(at);
            let disturbs = self.disturbs(&self.held[at]);
            let now = self.now;
            let since = &mut self.held[at].calm_since;
            *since = if disturbs { None } else { since.or(Some(now)) };
            let stirs = self.somebody_stirs(&self.held[at]);
            let since = &mut self.held[at].stirred;
            *since = since.filter(|_| stirs).or(stirs.then_some(now));
            if self.outgrows(&self.held[at]) {
                self.held[at].wanted = Some(now);
            }
            if self.lets_go_to_freeze(at) {
                continue;
            }
            let seen = self.seen(&self.held[at]);
            let at_once = self.by_real_time(&self.held[at], &seen);
            let held = &mut self.held[at];
            held.settle(&seen, &self.policy);
            self.mark_others_work(at);
            let held = &self.held[at];
            let next = at_once.unwrap_or_else(|| held.judge(&seen, &self.policy));
            if self.tend_slice(at) {
                self.carry_out(at, next, &seen);
            }
            self.tend_lift(at);
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
                self.chronicle.judged(&self.held[at], verdict, seen.harm);
                let held = &mut self.held[at];
                held.proof = if verdict == Verdict::Confirmed {
                    held.proved = true;
                    held.proved_at = Some(held.place);
                    Proof::Confirmed
                } else {
                    Proof::Unproven
                };
                self.tell(EventKind::Proved(verdict), at);
                if verdict == Verdict::Confirmed {
                    self.accept_residual(at, seen.harm);
                }
                self.settle_on_weight(at, verdict);
            }
            Move::GoOn => self.held[at].go_on(now + verify.scaled(0.75)),
            Move::Tighten(place) => {
                let held = &mut self.held[at];
                held.undo = Some(held.place);
                held.harm_before = seen.harm;
                held.proof = Proof::Proving(now + verify);
                held.mark = None;
                held.tightest = place;
                self.write(at, place, true);
            }
            Move::Reach(place) => {
                let held = &mut self.held[at];
                // What a device works off meanwhile is no measure of what it was before.
                if held.resource != Resource::Io {
                    held.harm_before = held.harm_before.max(seen.harm);
                }
                held.proof = Proof::Proving(now + verify);
                held.mark = None;
                // The first weight is where it goes back to unless the least one is proved to help.
                if place.rung().is_hard() {
                    held.tightest = place;
                }
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
                if !seen.overtaken {
                    self.accept_residual(at, seen.harm);
                }
                self.write(at, place, false);
            }
            Move::Exonerate => {
                let verdict = Verdict::Exonerated;
                self.chronicle.judged(&self.held[at], verdict, seen.harm);
                self.tell(EventKind::Proved(Verdict::Exonerated), at);
                self.clear(at);
                let held = &self.held[at];
                let counts = held.place.rung().is_hard() && held.on_behalf.is_none();
                if let Some(track) = self.track_mut(aggressor).filter(|_| counts) {
                    track.wrong = track.wrong.saturating_add(1);
                }
                self.release(at, End::Exonerated);
            }
            Move::Loosen(place) => {
                let held = &mut self.held[at];
                held.proof = Proof::Releasing(now + self.policy.release.step);
                let was = held.place;
                self.leave(at, was, place);
                self.write(at, place, false);
                self.follow(at);
            }
            Move::Raise(place) => {
                self.held[at].no_raise = now + self.policy.detect.exonerate;
                self.write(at, place, false);
            }
            Move::Retighten(place) => {
                if let Some(accuser) = self.accuser(&self.held[at]) {
                    self.held[at].victim = accuser;
                }
                let held = &mut self.held[at];
                held.tries += u32::from(held.is_tried_back());
                held.proof = Proof::Confirmed;
                held.since = now;
                if let Some(track) = self.track_mut(aggressor) {
                    track.strike(now);
                }
                self.held[at].hold = self.hold_of(aggressor);
                self.write(at, place, true);
                self.follow(at);
            }
            Move::Release if seen.groundless => self.release(at, End::Groundless),
            Move::Release => self.release(at, End::Released),
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
}
