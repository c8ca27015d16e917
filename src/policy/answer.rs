//! An alarm's answer: whom to blame, and the first step on each.

use super::blame::Crowd;
use super::brain::Brain;
use super::intervention::{Intervention, Proof};
use super::ladder::{self, Bounds, FirstCpu};
use super::lever::{self, Lever};
use crate::model::{Absent, Bytes, Event, EventKind, GroupId, Knobs, Resource, WhyNobody};

impl Brain {
    /// Answers the worst alarm of a resource that is not being answered.
    pub(super) fn answer(&mut self, resource: Resource) {
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

    pub(super) fn blame(&mut self, resource: Resource, victim: GroupId) -> Result<(), WhyNobody> {
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
    pub(super) fn begin(
        &mut self,
        resource: Resource,
        aggressor: GroupId,
        victim: GroupId,
    ) -> bool {
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
            original: Knobs::absent(Absent::NotRead),
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
}
