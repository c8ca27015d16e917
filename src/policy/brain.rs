//! The order of the steps: observe → entitle → harm → learn → judge what is held → answer alarms.

use std::collections::HashMap;

use super::entitle::{Claim, Shares};
use super::intervention::{Intervention, Proof};
use super::track::Track;
use super::window::{Over, Windows};
use crate::model::{
    Event, EventKind, Evidence, GroupId, HostSample, Pace, Policy, Resource, Role, Sample, Span,
    Step, Time, Topology, WhyNobody,
};

/// The decisions of one governor. Pure: equal samples give equal steps.
#[derive(Clone, Debug)]
pub struct Brain {
    pub(super) policy: Policy,
    pub(super) tree: Topology,
    pub(super) tracks: Vec<Track>,
    pub(super) index: HashMap<GroupId, usize>,
    pub(super) held: Vec<Intervention>,
    pub(super) host: HostSample,
    pub(super) idle: Windows<Span>,
    pub(super) shares: Shares,
    pub(super) claims: Vec<Claim>,
    pub(super) entitlements: Vec<f64>,
    /// Since when no bucket of the resource holds anything.
    pub(super) calm_since: [Option<Time>; 2],
    /// The last answer to an alarm, so that the same "nobody" is told once.
    pub(super) told: [Option<(GroupId, WhyNobody)>; 2],
    /// Since when there is harm that nothing answers.
    alert_since: Option<Time>,
    pub(super) now: Time,
    pub(super) step: Step,
}

pub(super) const RESOURCES: [Resource; 2] = [Resource::Cpu, Resource::Memory];
/// The host has CPU to spare when this part of it was idle.
pub(super) const SPARE: f64 = 0.1;

/// Harm that nothing has answered for so long is looked at no faster than calm: it is nobody's doing
/// that we could end, and would else cost the fastest tick for ever.
const URGENT: Span = Span::from_secs(2);

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
            alert_since: None,
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

    pub(super) fn track_mut(&mut self, id: GroupId) -> Option<&mut Track> {
        self.index.get(&id).and_then(|&at| self.tracks.get_mut(at))
    }

    pub(super) fn observe(&mut self, sample: &Sample) {
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
    pub(super) fn spare(&self, over: Over) -> f64 {
        self.idle.rate(over) / f64::from(self.host.cpus.max(1))
    }

    /// MemAvailable as a part of RAM.
    pub(super) fn available(&self) -> Option<f64> {
        let (total, available) = (
            self.host.memory_total.ok()?,
            self.host.memory_available.ok()?,
        );
        Some(available.0 as f64 / total.0.max(1) as f64)
    }

    pub(super) fn set_pace(&mut self, harmed: bool) {
        let unanswered = self.tracks.iter().any(|track| {
            RESOURCES.into_iter().any(|resource| {
                !track
                    .strain(resource)
                    .bucket
                    .calm(self.policy.detect.bucket)
                    && !self.answers(track.id, resource)
            })
        });
        let standing =
            |held: &Intervention| matches!(held.proof, Proof::Confirmed | Proof::Unproven);
        self.alert_since = unanswered.then(|| self.alert_since.unwrap_or(self.now));
        let urgent = self
            .alert_since
            .is_some_and(|since| self.now.since(since) < URGENT);
        self.step.pace = if urgent {
            Pace::Alert
        } else if !harmed && !unanswered && !self.held.is_empty() && self.held.iter().all(standing)
        {
            Pace::Watch
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

    /// Whether something is held for this victim.
    fn answers(&self, victim: GroupId, resource: Resource) -> bool {
        self.held
            .iter()
            .any(|held| held.victim == victim && held.resource == resource)
    }

    pub(super) fn set_roles(&mut self) {
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

    pub(super) fn tell(&mut self, kind: EventKind, at: usize) {
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

    pub(super) fn evidence(
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
