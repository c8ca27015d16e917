//! The order of the steps: observe → entitle → harm → learn → judge what is held → answer alarms.

use std::collections::HashMap;

use super::behalf::Behalf;
use super::chronicle::Chronicle;
use super::devices::Shared;
use super::entitle::{Claim, Shares};
use super::intervention::{Intervention, Proof};
use super::ladder::Place;
use super::on_device::OnDevice;
use super::pools::{self, Pool};
use super::track::Track;
use super::window::{Over, Windows};
use crate::model::{
    Bytes, End, Event, EventKind, Evidence, GroupId, HostSample, Pace, Policy, Resource, Role,
    Sample, Span, Step, Time, Topology, WhyNobody,
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
    /// MemAvailable.
    pub(super) available: Windows<Bytes>,
    /// MemFree.
    pub(super) free: Windows<Bytes>,
    /// MemAvailable and free swap.
    pub(super) left: Windows<Bytes>,
    /// When somebody was killed last.
    pub(super) killed: [Option<Time>; RESOURCES.len()],
    pub(super) shares: Shares,
    pub(super) claims: Vec<Claim>,
    pub(super) entitlements: Vec<f64>,
    /// Since when no bucket of the resource holds anything.
    pub(super) calm_since: [Option<Time>; RESOURCES.len()],
    /// The last answer to an alarm, so that the same "nobody" is told once.
    pub(super) told: [Option<(GroupId, WhyNobody, Time)>; RESOURCES.len()],
    /// Where tasks come from: the host, and slices with a limit; filled anew by each step.
    pub(super) pools: Vec<Pool>,
    /// What all do on each device; made anew by each step.
    pub(super) devices: Vec<Shared>,
    /// What the whole host does on each device.
    pub(super) disks: Vec<OnDevice>,
    /// What the host does outside of all containers, and for whom.
    pub(super) behalf: Behalf,
    /// Who takes more than it may in this tick, for each resource: places in `tracks`.
    pub(super) takers: [Vec<usize>; RESOURCES.len()],
    /// The alarms of one resource, the worst first; here for its room only.
    pub(super) alarms: Vec<(Span, GroupId)>,
    /// What was done before; nothing is decided by it.
    pub(super) chronicle: Chronicle,
    pub(super) now: Time,
    pub(super) step: Step,
}

pub(super) const RESOURCES: [Resource; 4] = Resource::ALL;
/// The host has CPU to spare when this part of it was idle.
pub(super) const SPARE: f64 = 0.1;

/// Harm that nothing has answered for so long is looked at no faster than calm: it is nobody's doing
/// that we could end, and would else cost the fastest tick for ever.
const URGENT: Span = Span::from_secs(2);
/// For so long a new container is looked at as fast as in an alert: what begins with it is a start or an attack. (Seen
/// with one container after the other: while what was held stood in calm, the next was met after 260 ms.)
const NEWCOMER: Span = Span::from_millis(500);

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
            available: Windows::new(),
            free: Windows::new(),
            left: Windows::new(),
            killed: [None; RESOURCES.len()],
            shares: Shares::default(),
            claims: Vec::new(),
            entitlements: Vec::new(),
            calm_since: [None; RESOURCES.len()],
            told: [None; RESOURCES.len()],
            pools: Vec::new(),
            devices: Vec::new(),
            disks: Vec::new(),
            behalf: Behalf::new(),
            takers: Default::default(),
            alarms: Vec::new(),
            chronicle: Chronicle::default(),
            now: Time(0),
            step: Step::default(),
        }
    }

    /// Takes a new policy. What is held stays held, and is judged by the new policy from now on: its floors
    /// hold for what is held already, too.
    pub fn set_policy(&mut self, policy: Policy) {
        for held in &mut self.held {
            held.bounds.cap_floor = held.cap_floor(&policy);
            held.bounds.high_floor = held.bounds.high_floor.max(policy.memory.floor);
            // A clamp has no steps between: one under a floor that is higher now is given back.
            let is_raised = policy.pids.floor > self.policy.pids.floor;
            if let Place::Clamp(most) = held.place
                && is_raised
                && most < u64::from(policy.pids.floor)
            {
                held.grounded = false;
            }
        }
        self.policy = policy;
    }

    /// Takes a changed tree: what is known of containers that are still there is kept.
    pub fn adopt(&mut self, tree: &Topology, at: Time) {
        let before = self.tracks.len();
        let mut here = vec![false; before];
        for (group, node) in tree.watched() {
            let place = match self.index.get(&node.id) {
                Some(&place) => place,
                None => {
                    self.index.insert(node.id, self.tracks.len());
                    self.tracks.push(Track::new(node.id, at));
                    self.tracks.len() - 1
                }
            };
            if let Some(here) = here.get_mut(place) {
                *here = true;
            }
            if let Some(track) = self.tracks.get_mut(place) {
                track.group = group;
                track.protected = node.protected;
                track.is_container = node.is_container();
            }
        }
        // A track is large: those that stay are not moved, as long as nobody goes.
        if here.contains(&false) {
            self.behalf.lose_sight(at);
            let mut here = here.into_iter();
            self.tracks.retain(|_| here.next().unwrap_or(true));
            self.index.clear();
            let places = self.tracks.iter().enumerate();
            self.index
                .extend(places.map(|(place, track)| (track.id, place)));
        }
        for takers in &mut self.takers {
            takers.clear();
            takers.reserve(self.tracks.len());
        }
        self.tree = tree.clone();
        self.pools = pools::of_host(tree);
        self.fill_pools(&[]);
        self.look_at_grounds();
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
        self.foresee_tasks(&sample.containers);
        self.weigh_devices();
        let harmed = self.sum_harm();
        self.learn();
        self.judge();
        for resource in RESOURCES {
            self.answer(resource);
        }
        self.kill();
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
            self.release(at, End::Asked);
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
            track.fresh = [false; RESOURCES.len()];
        }
        for read in &sample.containers {
            if let Some(track) = self.track_mut(read.id) {
                track.observe(read);
            }
        }
        if let Ok(idle) = sample.host.cpu_idle {
            self.idle.push(sample.at, idle);
        }
        if let Ok(free) = sample.host.memory_free {
            self.free.push(sample.at, free);
        }
        if let Ok(available) = sample.host.memory_available {
            self.available.push(sample.at, available);
            if let Ok(swap) = sample.host.swap_free {
                let left = Bytes(available.0.saturating_add(swap.0));
                self.left.push(sample.at, left);
            }
        }
        if let Ok(disks) = sample.host.io {
            self.observe_disks(sample.at, &disks);
        }
    }

    /// Part of the host's CPU that was idle.
    pub(super) fn spare(&self, over: Over) -> f64 {
        self.idle.rate(over) / f64::from(self.host.cpus.max(1))
    }

    /// How many containers share the host; at least one.
    pub(super) fn containers(&self) -> usize {
        let containers = self.tracks.iter().filter(|track| track.is_container);
        containers.count().max(1)
    }

    /// Bytes as a part of RAM.
    pub(super) fn part_of_ram(&self, bytes: Bytes) -> f64 {
        let ram = self.host.memory_total.unwrap_or_default();
        bytes.0 as f64 / ram.0.max(1) as f64
    }

    /// A container that has just come.
    pub(super) fn is_newcomer(&self, track: &Track) -> bool {
        track.is_container && self.now.since(track.met) < NEWCOMER
    }

    pub(super) fn set_pace(&mut self, harmed: bool) {
        let (mut urgent, mut unanswered) = (false, false);
        // Who has just come is watched closely, whatever the doorbells say; so is who got back a device, or CPUs, that he
        // had taken from others; and so are all after a step on the CPU, lest whoever begins then is met late. (Seen with two
        // hogs half a second apart: the second was seen to have begun 100 ms after it had.)
        let is_recent = |since: Time| self.now.since(since) < NEWCOMER;
        urgent |= self.tracks.iter().any(|track| self.is_newcomer(track));
        urgent |= self.held.iter().any(|held| {
            let watched = match held.proof {
                Proof::Releasing(_) => held.place.is_tried_back(),
                _ => held.resource == Resource::Cpu,
            };
            watched && is_recent(held.changed)
        });
        for at in 0..self.tracks.len() {
            let track = &self.tracks[at];
            let alert = RESOURCES.into_iter().any(|resource| {
                self.strained(track, resource) && !self.answers(track.id, resource)
            });
            // Each for itself: an old alarm must not make a new one look old.
            let since = alert.then(|| track.alert_since.unwrap_or(self.now));
            urgent |= since.is_some_and(|since| self.now.since(since) < URGENT);
            unanswered |= alert;
            self.tracks[at].alert_since = since;
        }
        let standing =
            |held: &Intervention| matches!(held.proof, Proof::Confirmed | Proof::Unproven);
        self.step.pace = if urgent {
            Pace::Alert
        } else if !harmed && !unanswered && !self.held.is_empty() && self.held.iter().all(standing)
        {
            Pace::Watch
        } else {
            Pace::Quiet
        };
        self.say_who_matters();
    }

    /// Both sides of what is held come first, then who is harmed, then who takes much, then who has just come: as many as the
    /// loop affords are read at every tick, and nobody is pushed out by a crowd of the lesser. (Seen with a newcomer that was
    /// read when its turn came, at every third tick: it was held 44 ms later.)
    fn say_who_matters(&mut self) {
        let mut matters = std::mem::take(&mut self.step.matters);
        let rank = |track: &Track| {
            let held = |held: &Intervention| held.aggressor == track.id || held.victim == track.id;
            if self.held.iter().any(held) {
                Some(0)
            } else if RESOURCES.into_iter().any(|r| self.strained(track, r)) {
                Some(1)
            } else if RESOURCES.into_iter().any(|r| track.excess(r) > 0.0) {
                Some(2)
            } else {
                self.is_newcomer(track).then_some(3)
            }
        };
        let mut newcomers = 0;
        for wanted in 0..4 {
            let before = matters.len();
            let of_rank = self
                .tracks
                .iter()
                .filter(|track| rank(track) == Some(wanted));
            matters.extend(of_rank.map(|track| track.id));
            newcomers = matters.len() - before;
        }
        self.step.newcomers = newcomers;
        self.step.matters = matters;
    }

    fn strained(&self, track: &Track, resource: Resource) -> bool {
        let size = self.policy.bucket(resource);
        !track.strain(resource).bucket.calm(size)
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
                && (track.excess > 0.02
                    || track.memory_excess > 0.0
                    || track.tasks_excess > 0.0
                    || track.io_excess > 0.0)
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
                Resource::Pids => (suspect.has_tasks(), self.may_have_tasks(suspect)),
                Resource::Io => suspect
                    .worst_before(track, self.now)
                    .map_or((0.0, 0.0), |on| (on.part, on.entitled)),
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
