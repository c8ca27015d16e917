//! The order of the steps: observe → entitle → harm → learn → judge what is held → answer alarms.

use std::collections::HashMap;

use super::blame::Crowd;
use super::entitle::{Claim, Shares};
use super::intervention::{Intervention, Move, Proof, Seen};
use super::ladder::{self, Bounds, FirstCpu, Place};
use super::lever::{self, Lever};
use super::track::Track;
use super::window::{Over, Windows};
use crate::model::{
    Bytes, Change, Event, EventKind, Evidence, GroupId, HostSample, Limit, Outcome, Pace, Policy,
    Resource, Role, Sample, Span, Step, Time, Topology, Verdict, WhyNobody, Written,
};

/// The decisions of one governor. Pure: equal samples give equal steps.
#[derive(Clone, Debug)]
pub struct Brain {
    pub(super) policy: Policy,
    pub(super) tree: Topology,
    pub(super) tracks: Vec<Track>,
    index: HashMap<GroupId, usize>,
    pub(super) held: Vec<Intervention>,
    host: HostSample,
    idle: Windows<Span>,
    shares: Shares,
    claims: Vec<Claim>,
    entitlements: Vec<f64>,
    /// Since when no bucket of the resource holds anything.
    calm_since: [Option<Time>; 2],
    /// The last answer to an alarm, so that the same "nobody" is told once.
    told: [Option<(GroupId, WhyNobody)>; 2],
    pub(super) now: Time,
    step: Step,
}

const RESOURCES: [Resource; 2] = [Resource::Cpu, Resource::Memory];
/// The host has CPU to spare when this part of it was idle.
const SPARE: f64 = 0.1;
/// Excess begins clearly above the entitlement: usage is measured to a scheduler's tick, and one at
/// its established demand is above it half of the time.
const NOISE: f64 = 1.1;
/// CPUs that nobody is blamed for.
const LITTLE: f64 = 0.02;
/// A lease is renewed when this part of it has passed.
const RENEW: f64 = 1.0 / 3.0;

impl Brain {
    /// A brain that has seen nothing.
    #[must_use]
    pub fn new(policy: Policy) -> Brain {
        Brain {
            policy,
            tree: Topology::default(),
            tracks: Vec::new(),
            index: HashMap::new(),
            held: Vec::new(),
            host: HostSample::default(),
            idle: Windows::new(),
            shares: Shares::default(),
            claims: Vec::new(),
            entitlements: Vec::new(),
            calm_since: [None; 2],
            told: [None; 2],
            now: Time(0),
            step: Step::default(),
        }
    }

    /// Takes a new policy. What is held stays held, and is judged by the new policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes a changed tree: what is known of containers that are still there is kept.
    pub fn adopt(&mut self, tree: &Topology, at: Time) {
        let mut old: HashMap<GroupId, Track> = self
            .tracks
            .drain(..)
            .map(|track| (track.id, track))
            .collect();
        self.index.clear();
        for (group, node) in tree.watched() {
            let mut track = old
                .remove(&node.id)
                .unwrap_or_else(|| Track::new(node.id, at));
            track.group = group;
            track.protected = node.protected;
            track.is_container = node.is_container();
            self.index.insert(node.id, self.tracks.len());
            self.tracks.push(track);
        }
        self.tree = tree.clone();
    }

    /// One tick. The step is valid until the next call.
    pub fn step(&mut self, sample: &Sample) -> &Step {
        self.now = sample.at;
        self.step.changes.clear();
        self.step.events.clear();
        self.step.matters.clear();
        self.host = sample.host;
        for outcome in &sample.outcomes {
            self.learn_outcome(outcome);
        }
        self.observe(sample);
        self.entitle();
        let harmed = self.sum_harm();
        self.learn();
        self.judge();
        for resource in RESOURCES {
            self.answer(resource);
        }
        self.renew();
        self.set_pace(harmed);
        self.set_roles();
        &self.step
    }

    /// Gives everything back: for a clean exit, or when the operator asks.
    pub fn release_all(&mut self) -> &Step {
        self.step.changes.clear();
        self.step.events.clear();
        for at in (0..self.held.len()).rev() {
            self.release(at);
        }
        &self.step
    }

    /// Which container, if it is known.
    pub(super) fn track(&self, id: GroupId) -> Option<&Track> {
        self.index.get(&id).and_then(|&at| self.tracks.get(at))
    }

    fn track_mut(&mut self, id: GroupId) -> Option<&mut Track> {
        self.index.get(&id).and_then(|&at| self.tracks.get_mut(at))
    }

    fn observe(&mut self, sample: &Sample) {
        for track in &mut self.tracks {
            track.fresh = false;
        }
        for read in &sample.containers {
            if let Some(track) = self.track_mut(read.id) {
                track.observe(read);
            }
        }
        if let Ok(idle) = sample.host.cpu_idle {
            self.idle.push(sample.at, idle);
        }
    }

    /// Part of the host's CPU that was idle.
    fn spare(&self, over: Over) -> f64 {
        self.idle.rate(over) / f64::from(self.host.cpus.max(1))
    }

    fn entitle(&mut self) {
        let capacity = f64::from(self.host.cpus.max(1));
        self.claims.clear();
        self.claims.extend(self.tracks.iter().map(|track| Claim {
            group: track.group,
            active: track.active(),
            demand: track.demand.get(),
        }));
        self.shares
            .cpu(&self.tree, &self.claims, capacity, &mut self.entitlements);
        let containers = self
            .tracks
            .iter()
            .filter(|track| track.is_container)
            .count()
            .max(1);
        let ram = self.host.memory_total.unwrap_or_default();
        let guarantee = self.policy.cpu.guarantee.get();
        for (track, &entitled) in self.tracks.iter_mut().zip(&self.entitlements) {
            track.entitlement = entitled;
            track.excess = track.usage(Over::Moment) - entitled * NOISE - LITTLE;
            let part = |bytes: Bytes| bytes.0 as f64 / ram.0.max(1) as f64;
            let over = part(track.size()) - part(track.level.get()).max(1.0 / containers as f64);
            let grows = track.growth(Over::Two) > ram.0 as f64 * 0.005;
            track.memory_excess = if grows { over } else { over * 0.25 };
        }
        // One that is held takes too much while it takes more than it is guaranteed.
        for held in self
            .held
            .iter()
            .filter(|held| held.resource == Resource::Cpu)
        {
            if let Some(track) = self
                .index
                .get(&held.aggressor)
                .and_then(|&at| self.tracks.get_mut(at))
            {
                track.excess = track.usage(Over::Moment) - track.entitlement * guarantee;
            }
        }
    }

    /// MemAvailable as a part of RAM.
    fn available(&self) -> Option<f64> {
        let (total, available) = (
            self.host.memory_total.ok()?,
            self.host.memory_available.ok()?,
        );
        Some(available.0 as f64 / total.0.max(1) as f64)
    }

    /// Feeds every bucket and ledger; whether anything is in any of them.
    fn sum_harm(&mut self) -> bool {
        let reserve = self.policy.memory.reserve.get();
        let available = self.available();
        let shortage = available.is_some_and(|available| available < reserve * 2.5);
        let grower = self
            .tracks
            .iter()
            .any(|t| t.memory_excess > 0.0 && t.growth(Over::Half) > 0.0 && t.is_container);
        // The cliff is near and somebody runs towards it: harm that is about to come.
        let imminent = grower && available.is_some_and(|available| available < reserve);
        let mut any = [false; 2];
        for at in 0..self.tracks.len() {
            if self.tracks[at].fresh {
                self.feed_cpu(at);
                self.feed_memory(at, shortage, imminent);
            }
            for (resource, any) in RESOURCES.into_iter().zip(&mut any) {
                *any |= !self.tracks[at]
                    .strain(resource)
                    .bucket
                    .calm(self.policy.detect.bucket);
            }
        }
        for (since, any) in self.calm_since.iter_mut().zip(any) {
            *since = if any { None } else { since.or(Some(self.now)) };
        }
        any[0] || any[1]
    }

    fn feed_cpu(&mut self, at: usize) {
        let id = self.tracks[at].id;
        let Some((when, over, mut harm)) = self.tracks[at].cpu_harm(self.host.cpus) else {
            return;
        };
        if self.holds(id, Resource::Cpu) {
            // It waits by our hand: that is answered by raising it, not by blaming its victim.
            harm.amount = Span::ZERO;
        }
        self.feed(at, Resource::Cpu, when, over, harm);
    }

    fn feed_memory(&mut self, at: usize, shortage: bool, imminent: bool) {
        let knobs = self
            .tree
            .groups
            .get(self.tracks[at].group)
            .map(|group| group.knobs);
        let own = |limit| match limit {
            Some(Ok(Limit::At(bytes))) => bytes,
            _ => Bytes(u64::MAX),
        };
        let least = own(knobs.map(|k| k.memory_high)).min(own(knobs.map(|k| k.memory_max)));
        let limit = if least.0 == u64::MAX {
            Limit::Max
        } else {
            Limit::At(least)
        };
        let Some((when, over, mut harm)) = self.tracks[at].memory_harm(shortage, limit) else {
            return;
        };
        let innocent = self.tracks[at].memory_excess <= 0.0;
        let held = self.holds(self.tracks[at].id, Resource::Memory);
        if !innocent || held {
            harm.amount = Span::ZERO;
        } else if imminent {
            harm.amount = harm.amount.max(over.scaled(0.5));
        }
        self.feed(at, Resource::Memory, when, over, harm);
    }

    fn feed(
        &mut self,
        at: usize,
        resource: Resource,
        when: Time,
        over: Span,
        harm: super::harm::Harm,
    ) {
        let victim = self.tracks[at].id;
        let group = self.tracks[at].group;
        let fed = self.tracks[at]
            .strain_mut(resource)
            .feed(when, over, harm, &self.policy);
        let rate = harm.amount.over(over);
        let mut ledger = std::mem::take(&mut self.tracks[at].strain_mut(resource).ledger);
        if rate > 0.0
            || !self.tracks[at]
                .strain(resource)
                .bucket
                .calm(self.policy.detect.bucket)
        {
            let owner = self.tree.groups.get(group);
            let suspects = self.tracks.iter().filter(|suspect| {
                suspect.id != victim
                    && suspect.is_container
                    && !suspect.protected
                    && suspect.excess(resource) > 0.0
                    && !same_pod(owner, self.tree.groups.get(suspect.group))
            });
            ledger.add(
                rate,
                suspects.map(|suspect| (suspect.id, suspect.excess(resource))),
            );
        }
        ledger.drain(fed.kept);
        self.tracks[at].strain_mut(resource).ledger = ledger;
        if fed.began {
            let evidence = self.evidence(resource, victim, None);
            self.step.events.push(Event {
                at: self.now,
                kind: EventKind::Alarm,
                evidence,
            });
        }
    }

    /// Learning happens in calm only: nothing in any bucket, nothing held.
    fn learn(&mut self) {
        let calm = self.calm_since.iter().all(Option::is_some) && self.held.is_empty();
        let spare = self.spare(Over::Two) >= SPARE;
        let plenty = self
            .available()
            .is_none_or(|available| available > 2.0 * self.policy.memory.reserve.get());
        let (now, cpus) = (self.now, self.host.cpus);
        for track in &mut self.tracks {
            track.forgive(now);
            if calm {
                track.learn(now, spare, plenty, cpus, &self.policy);
            } else {
                track.pause_learning();
            }
        }
    }

    /// Whether this container is held on this resource.
    pub(super) fn holds(&self, id: GroupId, resource: Resource) -> bool {
        self.held
            .iter()
            .any(|held| held.aggressor == id && held.resource == resource)
    }

    fn seen(&self, held: &Intervention) -> Seen {
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
    fn allowed(&self, aggressor: GroupId, place: Place) -> bool {
        const WRONG: u32 = 3;
        !place.rung().is_hard()
            || self
                .track(aggressor)
                .is_some_and(|track| track.wrong < WRONG)
    }

    fn judge(&mut self) {
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

    fn carry_out(&mut self, at: usize, next: Move, seen: &Seen) {
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
    fn accept_residual(&mut self, at: usize, harm: f64) {
        let held = &self.held[at];
        let (victim, resource) = (held.victim, held.resource);
        let most = held.harm_at_first * (1.0 - self.policy.detect.relief.get());
        if let Some(track) = self.track_mut(victim) {
            track.strain_mut(resource).residual = (harm * 1.25).min(most);
        }
    }

    /// Going from one rung to another gives the left one's knob back, where both cannot stand.
    fn leave(&mut self, at: usize, from: Place, to: Place) {
        let held = &self.held[at];
        if from.rung() != to.rung() {
            let (knob, _) = from.value(&held.bounds, &self.policy);
            self.step.changes.push(Change::Release {
                group: held.lever,
                knob,
            });
        }
    }

    fn write(&mut self, at: usize, place: Place, tighter: bool) {
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
    fn release(&mut self, at: usize) {
        self.tell(EventKind::Released, at);
        let held = self.held.remove(at);
        // A knob of a higher rung may stand with a lower one's.
        let knobs: &[crate::model::Knob] = match (held.resource, held.tightest.rung()) {
            (Resource::Cpu, crate::model::Rung::Cap) if held.lever == held.aggressor => {
                use crate::model::Knob::{CpuIdle, CpuMax, CpuWeight};
                &[CpuMax, CpuIdle, CpuWeight]
            }
            (Resource::Cpu, _) => {
                use crate::model::Knob::{CpuIdle, CpuMax, CpuWeight};
                &[CpuIdle, CpuWeight, CpuMax]
            }
            (Resource::Memory, _) => {
                use crate::model::Knob::{MemoryHigh, MemorySwapMax};
                &[MemorySwapMax, MemoryHigh]
            }
        };
        for &knob in knobs {
            if !self
                .held
                .iter()
                .any(|other| other.lever == held.lever && other.resource == held.resource)
            {
                self.step.changes.push(Change::Release {
                    group: held.lever,
                    knob,
                });
            }
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
    fn hold_of(&self, aggressor: GroupId) -> Span {
        let strikes = self.track(aggressor).map_or(0, |track| track.strikes);
        let hold = self
            .policy
            .release
            .hold
            .0
            .saturating_mul(1_u64 << strikes.min(16));
        Span(hold.min(self.policy.release.hold_max.0))
    }

    /// Answers the worst alarm of a resource that is not being answered.
    fn answer(&mut self, resource: Resource) {
        let worst = self
            .tracks
            .iter()
            .filter(|track| track.strain(resource).bucket.alarmed())
            .max_by_key(|track| (track.strain(resource).bucket.level(), track.id));
        let Some(victim) = worst.map(|track| track.id) else {
            self.told[resource as usize] = None;
            return;
        };
        if let Err(why) = self.blame(resource, victim) {
            let known = self.told[resource as usize] == Some((victim, why));
            if !known && why != WhyNobody::Busy {
                self.told[resource as usize] = Some((victim, why));
                let evidence = self.evidence(resource, victim, None);
                self.step.events.push(Event {
                    at: self.now,
                    kind: EventKind::Nobody(why),
                    evidence,
                });
            }
        }
    }

    fn blame(&mut self, resource: Resource, victim: GroupId) -> Result<(), WhyNobody> {
        if self
            .held
            .iter()
            .any(|h| h.resource == resource && matches!(h.proof, Proof::Proving(_)))
        {
            return Err(WhyNobody::Busy);
        }
        let track = self.track(victim).ok_or(WhyNobody::NoExcess)?;
        let ledger = &track.strain(resource).ledger;
        let margin = self.policy.detect.margin;
        let free = |id: GroupId| {
            !self.holds(id, resource)
                && self
                    .track(id)
                    .is_some_and(|t| t.exonerated.is_none_or(|until| until <= self.now))
        };
        let found = ledger
            .culprits(margin, free)
            .map_err(|Crowd| WhyNobody::NoMargin)?;
        let found = match found {
            Some(found) => found,
            // Exoneration gives no immunity from the first rung: when nobody else is left.
            None => {
                let late = |id: GroupId| {
                    !self.holds(id, resource)
                        && self
                            .track(id)
                            .and_then(|t| t.exonerated)
                            .is_some_and(|until| {
                                until - self.policy.detect.exonerate.scaled(0.8) <= self.now
                            })
                };
                match ledger
                    .culprits(margin, late)
                    .map_err(|Crowd| WhyNobody::NoMargin)?
                {
                    Some(found) => found,
                    None if ledger.ranked().any(|(id, _)| self.holds(id, resource)) => {
                        return Err(WhyNobody::AtFloor);
                    }
                    None if ledger.ranked().next().is_some() => return Err(WhyNobody::Exonerated),
                    None => return Err(WhyNobody::NoExcess),
                }
            }
        };
        let mut acted = false;
        for aggressor in found.iter() {
            acted |= self.begin(resource, aggressor, victim);
        }
        if acted {
            Ok(())
        } else {
            Err(WhyNobody::NoLever)
        }
    }

    /// The first step on one aggressor; whether there was a lever for it.
    fn begin(&mut self, resource: Resource, aggressor: GroupId, victim: GroupId) -> bool {
        let now = self.now;
        let (Some(suspect), Some(harmed)) = (self.track(aggressor), self.track(victim)) else {
            return false;
        };
        let harm = harmed.strain(resource).filling(now);
        let guarantee = self.policy.cpu.guarantee.get();
        let capacity = f64::from(self.host.cpus.max(1));
        let ram = self.host.memory_total.unwrap_or_default();
        let containers = self
            .tracks
            .iter()
            .filter(|track| track.is_container)
            .count()
            .max(1);
        let fair = ram.scaled(self.policy.cpu.guarantee.get() / containers as f64);
        let mut bounds = Bounds {
            original: crate::model::Knobs::absent(crate::model::Absent::NotRead),
            cap_floor: self.policy.cpu.cap_floor,
            high_floor: self.policy.memory.floor.max(suspect.level.get()).max(fair),
            cpus: self.host.cpus.max(1),
            ram,
        };
        let (group, place) = match resource {
            Resource::Cpu => {
                let entitled = suspect.entitlement;
                let Some(lever) = lever::find(&self.tree, suspect.group, harmed.group) else {
                    return false;
                };
                let (Lever::Weight(at) | Lever::Cap(at)) = lever;
                bounds.original = self.tree.groups[at].knobs;
                let first = FirstCpu {
                    guaranteed: entitled * guarantee,
                    entitled,
                    shared: capacity * self.shares.above(&self.tree, at),
                    beside: self.shares.beside(&self.tree, at),
                    harm,
                };
                match lever {
                    Lever::Weight(_) => (at, ladder::first_weight(&first, &bounds, &self.policy)),
                    Lever::Cap(_) if self.policy.cpu.cap && bounds.original.cpu_max.is_ok() => {
                        (at, ladder::first_cap(&first, &bounds))
                    }
                    Lever::Cap(_) => return false,
                }
            }
            Resource::Memory => {
                bounds.original = self.tree.groups[suspect.group].knobs;
                if bounds.original.memory_high.is_err() {
                    return false;
                }
                let current = suspect.memory.map_or(Bytes(0), |memory| memory.current);
                (suspect.group, ladder::first_high(current, &bounds))
            }
        };
        if !self.policy.enforces(resource) || !self.allowed(aggressor, place) {
            return false;
        }
        let lever = self.tree.groups[group].id;
        if self
            .held
            .iter()
            .any(|held| held.lever == lever && held.resource == resource)
        {
            return true;
        }
        let mut held = Intervention {
            resource,
            lever,
            aggressor,
            victim,
            bounds,
            place,
            tightest: place,
            undo: None,
            proof: Proof::Confirmed,
            proved: false,
            harm_at_first: harm,
            harm_before: harm,
            mark: None,
            since: now,
            changed: now,
            renewed: now,
            hold: self.hold_of(aggressor),
            settled: now,
            no_raise: now,
        };
        held.proof = Proof::Proving(now + held.verify(&self.policy));
        self.held.push(held);
        if let Some(track) = self.track_mut(aggressor) {
            track.strain_mut(resource).reset();
        }
        self.write(self.held.len() - 1, place, true);
        true
    }

    /// Renews leases in time: a hold of the same value is no write.
    fn renew(&mut self) {
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
    fn learn_outcome(&mut self, outcome: &Outcome) {
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

    fn set_pace(&mut self, harmed: bool) {
        let proving = self
            .held
            .iter()
            .any(|h| !matches!(h.proof, Proof::Confirmed | Proof::Unproven));
        self.step.pace = if harmed || proving {
            Pace::Alert
        } else {
            Pace::Quiet
        };
        for track in &self.tracks {
            let strained = RESOURCES.iter().any(|&resource| {
                !track
                    .strain(resource)
                    .bucket
                    .calm(self.policy.detect.bucket)
            });
            let suspect = track.excess > 0.0 || track.memory_excess > 0.0;
            if strained
                || suspect
                || self
                    .held
                    .iter()
                    .any(|h| h.aggressor == track.id || h.victim == track.id)
            {
                self.step.matters.push(track.id);
            }
        }
    }

    fn set_roles(&mut self) {
        let now = self.now;
        for at in 0..self.tracks.len() {
            let track = &self.tracks[at];
            let held = self.held.iter().any(|held| held.aggressor == track.id);
            let harmed = RESOURCES.iter().any(|&r| track.strain(r).bucket.alarmed())
                || self.held.iter().any(|held| held.victim == track.id);
            let role = if held {
                Role::Aggressor
            } else if harmed {
                Role::Victim
            } else if track.protected {
                Role::Protected
            } else if self.step.pace == Pace::Alert
                && (track.excess > 0.02 || track.memory_excess > 0.0)
            {
                Role::Suspect
            } else {
                Role::Calm
            };
            self.tracks[at].become_role(role, now);
        }
    }

    fn tell(&mut self, kind: EventKind, at: usize) {
        let Some(held) = self.held.get(at) else {
            return;
        };
        let (resource, victim, aggressor) = (held.resource, held.victim, held.aggressor);
        let before = held.harm_at_first;
        let mut evidence = self.evidence(resource, victim, Some(aggressor));
        evidence.harm_before = before;
        self.step.events.push(Event {
            at: self.now,
            kind,
            evidence,
        });
    }

    fn evidence(
        &self,
        resource: Resource,
        victim: GroupId,
        aggressor: Option<GroupId>,
    ) -> Evidence {
        let Some(track) = self.track(victim) else {
            return Evidence {
                resource: Some(resource),
                aggressor,
                ..Evidence::default()
            };
        };
        let strain = track.strain(resource);
        let look = |id: GroupId| {
            self.track(id).map_or((0.0, 0.0), |suspect| match resource {
                Resource::Cpu => (suspect.usage(Over::Half), suspect.entitlement),
                Resource::Memory => (suspect.growth(Over::Two), 0.0),
            })
        };
        Evidence {
            resource: Some(resource),
            victim: Some(victim),
            harm: strain.rate(Over::Half),
            harm_before: 0.0,
            baseline: strain.calm(&self.policy),
            bucket: strain.bucket.level(),
            own: (strain.last.own_least, strain.last.own_most),
            aggressor,
            suspects: strain.ledger.contenders(look),
        }
    }
}

/// Containers of one pod are one unit: they are not each other's victims.
fn same_pod(victim: Option<&crate::model::Group>, suspect: Option<&crate::model::Group>) -> bool {
    match (victim, suspect) {
        (Some(victim), Some(suspect)) => lever::same_owner(victim, suspect),
        _ => false,
    }
}
