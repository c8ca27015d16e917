//! What was done to whom in this tick, and who took too much meanwhile: entitlements, harm, buckets,
//! ledgers; and in calm, what is learned.

use super::brain::{Brain, RESOURCES, SPARE};
use super::entitle::Claim;
use super::harm::Harm;
use super::lever;
use super::window::Over;
use crate::model::{Bytes, Event, EventKind, Group, Limit, Resource, Span, Time};

/// Excess begins clearly above the entitlement: usage is measured to a scheduler's tick, and one at
/// its established demand is above it half of the time.
const NOISE: f64 = 1.1;
/// CPUs that nobody is blamed for.
const LITTLE: f64 = 0.02;

impl Brain {
    pub(super) fn entitle(&mut self) {
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

    /// Feeds every bucket and ledger; whether anything is in any of them.
    pub(super) fn sum_harm(&mut self) -> bool {
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

    pub(super) fn feed_cpu(&mut self, at: usize) {
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

    pub(super) fn feed_memory(&mut self, at: usize, shortage: bool, imminent: bool) {
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

    pub(super) fn feed(
        &mut self,
        at: usize,
        resource: Resource,
        when: Time,
        over: Span,
        harm: Harm,
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
    pub(super) fn learn(&mut self) {
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
}

/// Containers of one pod are one unit: they are not each other's victims.
fn same_pod(victim: Option<&Group>, suspect: Option<&Group>) -> bool {
    match (victim, suspect) {
        (Some(victim), Some(suspect)) => lever::same_owner(victim, suspect),
        _ => false,
    }
}
