//! An alarm's answer: whom to blame, and the first step on each.

use super::blame::{Crowd, Culprits};
use super::brain::Brain;
use super::intervention::{Intervention, Proof};
use super::ladder::{self, Bounds, FirstCpu, Place};
use super::lever::{self, Lever};
use super::lift::Lifting;
use super::shared::Beside;
use super::tasks;
use super::throttle::{self, Throttle};
use super::track::Track;
use super::window::Over;
use crate::model::{
    Absent, Bytes, DEVICES, End, Event, EventKind, GroupId, Knobs, Limit, Resource, Span, WhyNobody,
};

/// The same alarm's reasons are told no closer than this.
const TOLD_APART: Span = Span::from_secs(1);

/// No cap on one that has been known for less: nobody can tell yet what it needs, and a cap, other than
/// a weight, takes it away. (Seen after a restart of the governor in an attack: the victim was capped.)
pub(super) const KNOWN: Span = Span::from_secs(3);

impl Brain {
    /// Whether one may be capped at all, whatever else speaks for it.
    pub(super) fn may_cap(&self, suspect: &Track, own: &Knobs) -> bool {
        self.policy.cpu.cap && own.cpu_max.is_ok() && self.now.since(suspect.met) >= KNOWN
    }

    /// Answers the alarms of a resource, the worst first, until one of them leads to somebody. One
    /// that leads to nobody must not stand before the others.
    pub(super) fn answer(&mut self, resource: Resource) {
        let mut alarms = std::mem::take(&mut self.alarms);
        alarms.clear();
        alarms.extend(self.tracks.iter().filter_map(|track| {
            let bucket = &track.strain(resource).bucket;
            bucket.alarmed().then(|| (bucket.level(), track.id))
        }));
        alarms.sort_unstable_by(|a, b| b.cmp(a));
        if alarms.is_empty() {
            self.told[resource as usize] = None;
        }
        for (place, &(_, victim)) in alarms.iter().enumerate() {
            match self.blame(resource, victim) {
                Ok(()) | Err(WhyNobody::Busy) => break,
                Err(why) if place == 0 => self.tell_nobody(resource, victim, why),
                Err(_) => {}
            }
        }
        self.alarms = alarms;
    }

    /// Says why the worst alarm leads to nobody: when the answer is new, and not at every tick where
    /// two take turns.
    fn tell_nobody(&mut self, resource: Resource, victim: GroupId, why: WhyNobody) {
        let told = &mut self.told[resource as usize];
        let is_new = told.is_none_or(|(id, before, at)| {
            (id, before) != (victim, why) && self.now.since(at) >= TOLD_APART
        });
        if is_new {
            *told = Some((victim, why, self.now));
            let evidence = self.evidence(resource, victim, None);
            self.step.events.push(Event {
                at: self.now,
                kind: EventKind::Nobody(why),
                evidence,
            });
        }
    }

    pub(super) fn blame(&mut self, resource: Resource, victim: GroupId) -> Result<(), WhyNobody> {
        let found = self.whom(resource, victim)?;
        let mut acted = false;
        for aggressor in found.iter() {
            acted |= self.begin(resource, aggressor, victim, found);
        }
        if acted {
            self.go_on_with(victim, found);
            let case = self.case(resource, victim);
            for aggressor in found.iter() {
                self.chronicle.decided(aggressor, resource, &case);
            }
            Ok(())
        } else {
            Err(WhyNobody::NoLever)
        }
    }

    /// Whom a victim's harm leads to, or why to nobody.
    pub(super) fn whom(&self, resource: Resource, victim: GroupId) -> Result<Culprits, WhyNobody> {
        // Of tasks nothing has to be proved: who is clamped starts no more, whoever else does. So one after
        // the other is, however many are alike.
        let one_by_one = resource == Resource::Pids;
        let mut proving = self
            .held
            .iter()
            .filter(|held| held.resource == resource && matches!(held.proof, Proof::Proving(_)));
        if !one_by_one && let Some(first) = proving.next() {
            let is_open = |held: &Intervention| held.is_open_to(victim, self.now, &self.policy);
            return if is_open(first) && proving.all(is_open) {
                self.who_joins(resource, victim)
            } else {
                Err(WhyNobody::Busy)
            };
        }
        let track = self.track(victim).ok_or(WhyNobody::NoExcess)?;
        let ledger = &track.strain(resource).ledger;
        let margin = self.policy.detect.margin;
        let is_held = |id: GroupId| match resource {
            Resource::Io => self.is_throttled_before(id, track),
            _ => self.holds(id, resource),
        };
        let free = |id: GroupId| {
            !is_held(id)
                && self
                    .track(id)
                    .is_some_and(|t| !t.protected && t.exonerated_for(resource, self.now).is_none())
        };
        let crowd = |Crowd| WhyNobody::NoMargin;
        if one_by_one && let Some(found) = ledger.most_blamed(free) {
            return Ok(found);
        }
        if let Some(found) = ledger.culprits(margin, free).map_err(crowd)? {
            // Most of it is the doing of somebody who is held already. (Seen beside a fork bomb that was held and went on: one who
            // starts a process now and then was held for 29 % of what a service waited, and starved beside the bomb.)
            if ledger.is_outdone(found, self.margin_over(found, track, resource), is_held) {
                return Err(WhyNobody::AtFloor);
            }
            return Ok(self.with_who_begins(found, resource, victim));
        }
        // Exoneration gives no immunity from the first rung: when nobody else is left.
        let late = |id: GroupId| {
            !is_held(id)
                && self
                    .track(id)
                    .filter(|t| !t.protected)
                    .and_then(|t| t.exonerated(resource))
                    .is_some_and(|one| one.is_late(self.now))
        };
        if let Some(found) = ledger.culprits(margin, late).map_err(crowd)? {
            return Ok(found);
        }
        if ledger.ranked().any(|(id, _)| self.holds(id, resource)) {
            return Err(WhyNobody::AtFloor);
        }
        let protected = |(id, _)| self.track(id).map(|track| track.protected);
        Err(match ledger.ranked().find_map(protected) {
            Some(true) => WhyNobody::Protected,
            Some(false) => WhyNobody::Exonerated,
            None => WhyNobody::NoExcess,
        })
    }

    /// The first step on one aggressor; whether there was a lever for it.
    pub(super) fn begin(
        &mut self,
        resource: Resource,
        aggressor: GroupId,
        victim: GroupId,
        with: Culprits,
    ) -> bool {
        let now = self.now;
        let Some(first) = self.first_step(resource, aggressor, victim, with) else {
            return false;
        };
        let FirstStep {
            lever,
            place,
            bounds,
            within,
            lift,
            harm,
        } = first;
        let inside = within.map(|within| within.group);
        // One knob has one hand: who is moved by what is held already needs no second hold.
        let is_moved = |group: GroupId| {
            let mut held = self.held.iter().filter(|held| held.resource == resource);
            held.any(|held| {
                (held.lever == group || held.moved() == group) && held.place.shares_knobs(place)
            })
        };
        if is_moved(lever) || inside.is_some_and(is_moved) {
            return true;
        }
        self.give_back(resource, victim);
        for group in inside.into_iter().chain([lever]) {
            // One that was a victim a moment ago.
            if let Some(lifter) = self.lifter(group) {
                self.unlift(lifter, Lifting::Refused);
            }
        }
        let mut held = Intervention {
            resource,
            lever,
            aggressor,
            victim,
            bounds,
            place,
            under: [None; 2],
            within,
            lifting: Lifting::No,
            grounded: true,
            tightest: place,
            undo: None,
            proof: Proof::Confirmed,
            proved: false,
            proved_at: None,
            harm_at_first: harm,
            harm_before: self.suffered_before(resource, aggressor, victim, harm),
            imagined: false,
            on_behalf: self.on_behalf(aggressor, place, &bounds.original),
            foreseen: resource == Resource::Memory
                && self
                    .track(victim)
                    .is_some_and(|harmed| self.is_foreseen(harmed)),
            calm_since: None,
            stirred: None,
            wanted: None,
            mark: None,
            since: now,
            changed: now,
            renewed: now,
            hold: self.hold_of(aggressor),
            tries: 0,
            settled: now,
            no_raise: now,
            stood: None,
            killed: None,
        };
        held.bounds.cap_floor = held.cap_floor(&self.policy);
        held.proof = Proof::Proving(now + held.verify(&self.policy));
        self.chronicle
            .begin(&held, self.who(aggressor), self.who(victim));
        self.held.push(held);
        for at in 0..self.tracks.len() {
            if self.is_moved(self.tracks[at].group, resource) {
                self.tracks[at].strain_mut(resource).reset();
            }
        }
        // The others in a slice are safe before it is moved.
        self.hold_within(self.held.len() - 1);
        let at = self.held.len() - 1;
        self.write(at, place, true);
        if let Some(lift) = lift {
            self.lead(at, lift);
        }
        true
    }

    /// Who is held, and now comes to harm by one that takes more, is given everything back: it would
    /// else pay for the other's doing.
    fn give_back(&mut self, resource: Resource, victim: GroupId) {
        let Some(group) = self.track(victim).map(|track| track.group) else {
            return;
        };
        for at in (0..self.held.len()).rev() {
            let moves = |id| {
                self.tree
                    .lineage(group)
                    .any(|up| self.tree.groups[up].id == id)
            };
            let held = &self.held[at];
            if held.resource == resource && moves(held.moved()) {
                self.release(at, End::Harmed);
            }
        }
    }

    /// What a victim suffered before the first step: its harm since the bucket began to fill; and where the aggressor has begun
    /// since, no less than that of the last 100 ms. (Seen with a victim that waits a little all along, and a hog that was held 60 ms
    /// after it began: 9 % were counted before that, and 25 after it, so that it was cleared.)
    pub(super) fn suffered_before(
        &self,
        resource: Resource,
        aggressor: GroupId,
        victim: GroupId,
        harm: f64,
    ) -> f64 {
        match (resource, self.track(aggressor), self.track(victim)) {
            (Resource::Cpu, Some(suspect), Some(harmed)) if self.has_begun(suspect, harmed) => {
                harm.max(harmed.cpu.rate(Over::Moment))
            }
            _ => harm,
        }
    }

    /// The first step on one aggressor, who is held `with` others; `None` where nothing may be written that moves
    /// it and nobody else.
    pub(super) fn first_step(
        &self,
        resource: Resource,
        aggressor: GroupId,
        victim: GroupId,
        with: Culprits,
    ) -> Option<FirstStep> {
        let (suspect, harmed) = (self.track(aggressor)?, self.track(victim)?);
        if suspect.protected {
            return None;
        }
        let harm = harmed.strain(resource).filling(self.now);
        let guarantee = self.policy.cpu.guarantee.get();
        let capacity = f64::from(self.host.cpus.max(1));
        let ram = self.host.memory_total.unwrap_or_default();
        let fair = ram.scaled(guarantee / self.containers() as f64);
        let mut bounds = Bounds {
            original: Knobs::absent(Absent::NotRead),
            cap_floor: self.policy.cpu.cap_floor,
            high_floor: self.policy.memory.floor.max(suspect.level.get()).max(fair),
            cpus: self.host.cpus.max(1),
            ram,
            tasks: self.host.tasks_max.unwrap_or(u64::MAX),
            took: None,
        };
        let mut lift = None;
        let (group, place, within) = match resource {
            Resource::Cpu => {
                let lever = lever::find(&self.tree, suspect.group, harmed.group)?;
                let guaranteed = suspect.entitlement * guarantee;
                // Of one that waited a little all along, the mean of its bucket's time tells too little.
                let severity = harm.max(harmed.cpu.rate(Over::Moment));
                let first = |at: usize, others: f64| FirstCpu {
                    guaranteed,
                    others,
                    shared: capacity * self.shares.above(&self.tree, at),
                    beside: self.beside(at, harmed.group, with),
                    harm: severity,
                };
                let mut weight = |at: usize, others: f64| {
                    bounds.original = self.tree.groups[at].knobs;
                    ladder::first_weight(&first(at, others), &bounds, &self.policy)
                };
                let by_weight = match lever {
                    Lever::Weight(at) => weight(at, 0.0).map(|place| (at, place, None)),
                    Lever::Shared { slice, own } => {
                        let within = self.within(own)?;
                        let others = self.needed_beside(slice, within.group);
                        weight(slice, others).map(|place| (slice, place, Some(within)))
                    }
                    Lever::Raised { side, slice, own } => {
                        let group = &self.tree.groups[own];
                        let others = self.needed_beside(slice, group.id);
                        let first = first(side, others);
                        lift = self.raised(side, slice, &first);
                        bounds.original = group.knobs;
                        let least = self.policy.cpu.weight_floor;
                        let lowers =
                            lift.is_some() && bounds.original.cpu_weight.is_ok_and(|w| w > least);
                        lowers.then_some((own, Place::Weight(least), None))
                    }
                    Lever::Cap(_) => None,
                };
                let mut cap = || {
                    // Where a weight reaches, the cap is set at its lever too: that moves the same.
                    let (Lever::Weight(at)
                    | Lever::Shared { own: at, .. }
                    | Lever::Raised { own: at, .. }
                    | Lever::Cap(at)) = lever;
                    bounds.original = self.tree.groups[at].knobs;
                    let may = self.may_cap(suspect, &bounds.original);
                    let place = ladder::first_cap(guaranteed, &bounds).filter(|_| may)?;
                    Some((at, place, None))
                };
                let own = self.tree.groups[suspect.group].knobs;
                match self
                    .frozen_first(suspect, guaranteed, &own)
                    .or_else(|| self.first_on_behalf(suspect, &own))
                    .filter(|place| self.allowed(aggressor, *place))
                {
                    Some(place) => {
                        bounds.original = own;
                        (suspect.group, place, None)
                    }
                    None if self.is_blamed_for_others(suspect) => return None,
                    None => by_weight.or_else(&mut cap)?,
                }
            }
            Resource::Memory => {
                bounds.original = self.tree.groups[suspect.group].knobs;
                if bounds.original.memory_high.is_err() {
                    return None;
                }
                let current = suspect.memory.map_or(Bytes(0), |memory| memory.current);
                let place = ladder::first_high(current, self.has_lost_memory(harmed), &bounds)?;
                (suspect.group, place, None)
            }
            Resource::Pids => {
                bounds.original = self.tree.groups[suspect.group].knobs;
                if bounds.original.pids_max.is_err() {
                    return None;
                }
                let own = tasks::own_limit(suspect, &bounds.original);
                bounds.original.pids_max = Ok(own.map_or(Limit::Max, Limit::At));
                let (has, fair) = (suspect.tasks?, self.fair_tasks(suspect));
                let free = self.tasks_unclaimed(aggressor);
                let place = ladder::first_clamp(has, free, fair, &bounds, &self.policy)?;
                (suspect.group, place, None)
            }
            Resource::Io => {
                bounds.original = self.tree.groups[suspect.group].knobs;
                // Where both have just been met nobody knows who of them was there first.
                let met = suspect.met.min(harmed.met);
                if bounds.original.io_max.is_err() || self.now.since(met) < KNOWN {
                    return None;
                }
                let on = suspect.worst_before(harmed, self.now)?;
                // With so many limits of its own that not all are known this one may be under one of them.
                let own = bounds.original.io_max.unwrap_or_default();
                if own.get(on.device).is_none() && own.iter().count() >= DEVICES {
                    return None;
                }
                let took = on.pace();
                let keeps = guarantee * (on.entitled / on.part.max(f64::EPSILON)).min(1.0);
                let place = throttle::first(on.device, took, on.proved, keeps, harm, &self.policy)?;
                bounds.took = Some(Throttle::of(on.device, took));
                (suspect.group, place, None)
            }
        };
        if !self.policy.enforces(resource) || !self.allowed(aggressor, place) {
            return None;
        }
        Some(FirstStep {
            lever: self.tree.groups[group].id,
            place,
            bounds,
            within,
            lift: lift.filter(|_| matches!(place, Place::Weight(_))),
            harm,
        })
    }
}

/// What a new intervention begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstStep {
    pub lever: GroupId,
    pub place: Place,
    pub bounds: Bounds,
    /// The aggressor's own weight, where the lever is a slice that holds others too.
    pub within: Option<Beside>,
    /// The victim's side of the fork, where that is raised beside a slice that must not be moved.
    pub lift: Option<Beside>,
    /// The victim's harm.
    pub harm: f64,
}
