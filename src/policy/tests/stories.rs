//! Stories of the whole brain on a simulated host: one CPU or more whose time is shared by weight,
//! memory that is swapped when it runs out. Coarse, but its feedback is closed: what the brain
//! holds changes what it sees next.

use std::collections::HashMap;

use crate::model::{
    Absent, Bytes, Change, ContainerSample, CpuMax, CpuUse, EventKind, GroupId, HostSample, Knob,
    KnobValue, Limit, MemoryUse, Outcome, Pace, Policy, Resource, Role, Sample, Share, Span, Stall,
    Step, Time, Topology, Verdict, Weight, WhyNobody, Written,
};
use crate::policy::Brain;
use crate::policy::track::tests::{container, service, tree};

pub(super) const TICK: Span = Span::from_millis(20);
const RAM: Bytes = Bytes::from_mib(2_048);

#[derive(Clone, Copy, Default)]
pub(super) struct Life {
    /// CPUs it wants.
    pub(super) wants: f64,
    /// Bytes a second it grows by, and what it has.
    pub(super) grows: f64,
    pub(super) has: f64,
    usage: f64,
    pub(super) stall: f64,
    pub(super) memory_stall: f64,
    throttled: f64,
}

pub(super) struct World {
    pub(super) now: Time,
    pub(super) tree: Topology,
    pub(super) lives: Vec<Life>,
    pub(super) knobs: HashMap<(GroupId, Knob), KnobValue>,
    /// Until when each knob stands unless it is renewed.
    pub(super) leases: HashMap<(GroupId, Knob), Time>,
    pub(super) brain: Brain,
    pub(super) idle: f64,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) told: Vec<EventKind>,
    pub(super) writes: Vec<(GroupId, Knob, KnobValue)>,
    pub(super) refuse: Option<Knob>,
    pub(super) pace: Pace,
    /// Whose pressure files cannot be read now.
    pub(super) unreadable: Vec<GroupId>,
    /// The last sample, and what the brain answered.
    pub(super) last: (Sample, Step),
}

impl World {
    pub(super) fn new(groups: &[crate::model::Group], policy: Policy) -> World {
        let tree = tree(groups);
        let mut brain = Brain::new(policy);
        brain.adopt(&tree, Time(0));
        World {
            now: Time(1_000_000),
            lives: vec![Life::default(); tree.groups.len()],
            tree,
            knobs: HashMap::new(),
            leases: HashMap::new(),
            brain,
            idle: 0.0,
            outcomes: Vec::new(),
            told: Vec::new(),
            writes: Vec::new(),
            refuse: None,
            pace: Pace::Quiet,
            unreadable: Vec::new(),
            last: Default::default(),
        }
    }

    /// The tree is another from now on; groups keep their identity as long as their order stays.
    pub(super) fn adopt(&mut self, groups: &[crate::model::Group]) {
        self.tree = tree(groups);
        self.lives.resize(self.tree.groups.len(), Life::default());
        self.brain.adopt(&self.tree, self.now);
    }

    /// Two siblings under the root: a victim that wants this much, and a hog that rests.
    pub(super) fn pair(wants: f64, policy: Policy) -> World {
        let mut world = World::new(&[container("/victim", 100), container("/hog", 100)], policy);
        world.life("/victim").wants = wants;
        world
    }

    fn at(&self, path: &str) -> usize {
        self.tree
            .groups
            .iter()
            .position(|group| group.path == path.as_bytes())
            .unwrap()
    }

    pub(super) fn id(&self, path: &str) -> GroupId {
        self.tree.groups[self.at(path)].id
    }

    pub(super) fn life(&mut self, path: &str) -> &mut Life {
        let at = self.at(path);
        &mut self.lives[at]
    }

    /// What a group's weight comes to among those that want CPU, from the root down.
    fn weight(&self, at: usize, open: &[usize]) -> f64 {
        let wants = |at: usize| {
            let mut open = open.iter();
            open.any(|&one| self.tree.lineage(one).any(|up| up == at))
        };
        let mut share = 1.0;
        for up in self.tree.lineage(at) {
            let Some(parent) = self.tree.groups[up].parent else {
                break;
            };
            let siblings = (0..self.tree.groups.len())
                .filter(|&other| other == up || self.tree.groups[other].parent == Some(parent))
                .filter(|&other| other == up || wants(other));
            let all: f64 = siblings.map(|other| self.own_weight(other)).sum();
            share *= self.own_weight(up) / all;
        }
        share
    }

    fn own_weight(&self, at: usize) -> f64 {
        let id = self.tree.groups[at].id;
        if self.knobs.get(&(id, Knob::CpuIdle)) == Some(&KnobValue::Idle(true)) {
            return 0.3;
        }
        match self.knobs.get(&(id, Knob::CpuWeight)) {
            Some(KnobValue::Weight(weight)) => f64::from(weight.get()),
            _ => f64::from(
                self.tree.groups[at]
                    .knobs
                    .cpu_weight
                    .unwrap_or(Weight::DEFAULT)
                    .get(),
            ),
        }
    }

    fn cap(&self, at: usize) -> f64 {
        match self.knobs.get(&(self.tree.groups[at].id, Knob::CpuMax)) {
            Some(KnobValue::CpuMax(CpuMax {
                quota: Limit::At(quota),
                period,
            })) => quota.over(*period),
            _ => f64::INFINITY,
        }
    }

    /// One tick of the host: one CPU shared by weight among siblings, then one step of the brain.
    pub(super) fn tick(&mut self) {
        let seconds = TICK.as_secs_f64();
        self.now = self.now + TICK;
        let busy: Vec<usize> = (0..self.lives.len())
            .filter(|&at| self.lives[at].wants > 0.0)
            .collect();
        let mut got = vec![0.0; self.lives.len()];
        let mut left = 1.0;
        for _ in 0..8 {
            let open: Vec<usize> = busy
                .iter()
                .copied()
                .filter(|&at| got[at] < self.lives[at].wants.min(self.cap(at)) - 1e-9)
                .collect();
            let weights: f64 = open.iter().map(|&at| self.weight(at, &open)).sum();
            if left < 1e-9 || open.is_empty() {
                break;
            }
            let share = left / weights;
            for &at in &open {
                let most = self.lives[at].wants.min(self.cap(at)) - got[at];
                let more = (share * self.weight(at, &open)).min(most);
                got[at] += more;
                left -= more;
            }
        }
        self.idle += left * seconds;
        for &at in &busy {
            let others: f64 = busy
                .iter()
                .filter(|&&o| o != at)
                .map(|&o| got[o] * self.weight(o, &busy))
                .sum();
            let waits = 1.0 - got[at] / self.lives[at].wants.max(0.01);
            // One that gets all it wants still waits for a slice now and then.
            let slices = self.lives[at].wants.min(1.0) * others / (others + self.weight(at, &busy));
            let life = &mut self.lives[at];
            life.usage += got[at] * seconds;
            if got[at] < life.wants - 1e-6 || others > 0.0 {
                life.stall += seconds * waits.max(slices * 0.8).clamp(0.0, 1.0);
            }
        }
        for at in busy {
            if self.lives[at].wants > self.cap(at) {
                self.lives[at].throttled += seconds * 0.8;
            }
        }
        self.memory(seconds);
        self.step();
    }

    fn memory(&mut self, seconds: f64) {
        let total: f64 = self.lives.iter().map(|life| life.has).sum();
        let short = total > 0.97 * RAM.0 as f64;
        for at in 0..self.lives.len() {
            let limit = match self.knobs.get(&(self.tree.groups[at].id, Knob::MemoryHigh)) {
                Some(KnobValue::Bytes(Limit::At(high))) => high.0 as f64,
                _ => f64::INFINITY,
            };
            let life = &mut self.lives[at];
            life.has = (life.has + life.grows * seconds).min(limit.max(0.0));
            if life.grows > 0.0 && life.has >= limit {
                life.memory_stall += seconds * 0.5;
            }
            if short && life.has > 0.0 && life.grows <= 0.0 {
                life.memory_stall += seconds * 0.6;
            }
        }
    }

    fn step(&mut self) {
        let used: f64 = self.lives.iter().map(|life| life.has).sum();
        let micros = |seconds: f64| Span((seconds * 1e6) as u64);
        let containers = self
            .tree
            .watched()
            .map(|(at, group)| {
                let life = self.lives[at];
                ContainerSample {
                    id: group.id,
                    at: self.now,
                    cpu: Ok(CpuUse {
                        usage: micros(life.usage),
                        throttled: micros(life.throttled),
                    }),
                    cpu_stall: if self.unreadable.contains(&group.id) {
                        Err(Absent::NotRead)
                    } else {
                        Ok(Stall {
                            some: micros(life.stall),
                            full: Span::ZERO,
                        })
                    },
                    memory: Ok(MemoryUse {
                        current: Bytes(life.has as u64),
                        swap: Bytes(0),
                    }),
                    memory_stall: Ok(Stall {
                        some: micros(life.memory_stall),
                        full: Span::ZERO,
                    }),
                    tasks: Ok(8),
                }
            })
            .collect();
        let available = (RAM.0 as f64 - used).max(0.0) as u64;
        let sample = Sample {
            at: self.now,
            host: HostSample {
                cpus: 1,
                cpu_idle: Ok(micros(self.idle)),
                memory_total: Ok(RAM),
                memory_available: Ok(Bytes(available)),
                swap_total: Ok(Bytes(0)),
                swap_free: Ok(Bytes(0)),
            },
            containers,
            outcomes: std::mem::take(&mut self.outcomes),
        };
        let step = self.brain.step(&sample).clone();
        self.last = (sample, step.clone());
        self.pace = step.pace;
        self.told.extend(step.events.iter().map(|event| event.kind));
        for change in step.changes {
            let (group, knob, written) = match change {
                Change::Hold { group, knob, .. } | Change::Lift { group, knob, .. }
                    if self.refuse == Some(knob) =>
                {
                    (group, knob, Written::Failed(Absent::Denied))
                }
                Change::Hold {
                    group,
                    knob,
                    value,
                    lease,
                    ..
                }
                | Change::Lift {
                    group,
                    knob,
                    value,
                    lease,
                    ..
                } => {
                    self.leases.insert((group, knob), self.now + lease);
                    if self.knobs.insert((group, knob), value) != Some(value) {
                        self.writes.push((group, knob, value));
                    }
                    (group, knob, Written::Done)
                }
                Change::Release { group, knob } => {
                    self.leases.remove(&(group, knob));
                    self.knobs.remove(&(group, knob));
                    (group, knob, Written::Restored)
                }
            };
            self.outcomes.push(Outcome {
                group,
                knob,
                written,
            });
        }
        let now = self.now;
        let knobs = &mut self.knobs;
        self.leases.retain(|key, until| {
            let stands = *until > now;
            if !stands {
                knobs.remove(key);
            }
            stands
        });
    }

    pub(super) fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds / TICK.as_secs_f64()).round() as u64 {
            self.tick();
        }
    }

    pub(super) fn wrote(&self, path: &str, knob: Knob) -> bool {
        let id = self.id(path);
        self.writes
            .iter()
            .any(|write| (write.0, write.1) == (id, knob))
    }

    pub(super) fn has_told(&self, wanted: fn(&EventKind) -> bool) -> bool {
        self.told.iter().any(wanted)
    }

    pub(super) fn role(&self, path: &str) -> Role {
        self.brain.role(self.id(path)).unwrap().0
    }
}

pub(super) const CONFIRMED: fn(&EventKind) -> bool =
    |kind| *kind == EventKind::Proved(Verdict::Confirmed);

#[test]
fn a_hog_beside_a_heavy_victim_is_held_by_weight_until_it_ends_and_then_given_back() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    assert!(
        world.writes.is_empty() && world.told.is_empty(),
        "calm: {:?}",
        world.told
    );
    world.life("/hog").wants = 8.0;
    let attacked = world.now;
    while world.writes.is_empty() {
        world.tick();
    }
    assert!(world.now.since(attacked) <= Span::from_millis(150));
    world.run(20.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert_eq!(
        (world.role("/hog"), world.role("/victim")),
        (Role::Aggressor, Role::Victim)
    );
    assert!(
        !world.wrote("/victim", Knob::CpuWeight),
        "the victim is never held"
    );
    assert!(
        !world.wrote("/hog", Knob::CpuMax),
        "no cap where a weight reaches"
    );
    let held = world.brain.held().next().unwrap();
    assert_eq!((held.resource, held.proof), (Resource::Cpu, "confirmed"));
    world.life("/hog").wants = 0.0;
    world.run(20.0);
    assert!(
        world.knobs.is_empty(),
        "everything is given back: {:?}",
        world.knobs
    );
    assert!(world.has_told(|kind| matches!(kind, EventKind::Loosened { .. })));
    assert!(world.has_told(|kind| *kind == EventKind::Released));
    assert_eq!((world.role("/hog"), world.pace), (Role::Calm, Pace::Quiet));
}

#[test]
fn a_light_victim_is_saved_and_lifted_only_by_policy() {
    for idle in [false, true] {
        let mut policy = Policy::default();
        policy.cpu.idle = idle;
        let mut world = World::pair(0.1, policy);
        world.run(10.0);
        world.life("/hog").wants = 8.0;
        world.run(5.0);
        assert!(world.wrote("/hog", Knob::CpuWeight));
        assert_eq!(world.wrote("/victim", Knob::CpuWeight), idle);
        world.life("/hog").wants = 0.0;
        world.run(20.0);
        assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    }
}

#[test]
fn nobody_is_capped_who_has_only_just_been_met() {
    let mut groups = vec![
        container("/machine.slice/victim", 100),
        container("/machine.slice/beside", 100),
        service("/system.slice/ssh.service"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/machine.slice/victim").wants = 0.8;
    world.run(10.0);
    groups.push(container("/system.slice/hog", 100));
    world.adopt(&groups);
    world.life("/system.slice/hog").wants = 8.0;
    world.run(2.5);
    assert!(world.writes.is_empty(), "{:?}", world.told);
    world.run(2.5);
    assert!(world.wrote("/system.slice/hog", Knob::CpuMax));
}

#[test]
fn where_no_weight_reaches_the_hog_is_capped_and_the_cap_is_tried_back() {
    let groups = [
        container("/machine.slice/victim", 100),
        container("/machine.slice/beside", 100),
        container("/system.slice/hog", 100),
        service("/system.slice/ssh.service"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/machine.slice/victim").wants = 0.8;
    world.run(10.0);
    world.life("/system.slice/hog").wants = 8.0;
    world.run(5.0);
    assert!(
        world.wrote("/system.slice/hog", Knob::CpuMax),
        "{:?}",
        world.told
    );
    world.life("/system.slice/hog").wants = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_protected_hog_is_never_held_and_that_is_told() {
    let mut hog = container("/hog", 100);
    hog.protected = true;
    let mut world = World::new(&[container("/victim", 100), hog], Policy::default());
    world.life("/victim").wants = 0.8;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(5.0);
    assert!(world.writes.is_empty());
    assert_eq!(
        world.pace,
        Pace::Quiet,
        "what cannot be ended is not looked at for ever"
    );
    assert!(world.has_told(|kind| *kind == EventKind::Alarm));
    assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::Protected)));
}

#[test]
fn a_hog_alone_on_the_host_is_nobodys_aggressor() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/hog").wants = 8.0;
    world.run(20.0);
    assert!(world.writes.is_empty() && world.role("/hog") == Role::Calm);
}

#[test]
fn one_whose_holding_brings_no_relief_is_exonerated_and_everything_undone() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    // Harm that no weight of the hog changes.
    for _ in 0..100 {
        world.life("/victim").stall += 0.012;
        world.tick();
        let hog = world.id("/hog");
        world.knobs.remove(&(hog, Knob::CpuWeight));
    }
    assert!(world.has_told(|kind| *kind == EventKind::Proved(Verdict::Exonerated)));
    assert!(world.has_told(|kind| *kind == EventKind::Released));
}

#[test]
fn a_write_that_fails_is_told_and_not_tried_for_ever() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.refuse = Some(Knob::CpuWeight);
    world.life("/hog").wants = 8.0;
    world.run(1.0);
    assert!(world.has_told(|kind| matches!(kind, EventKind::CannotAct { .. })));
    let tries = world
        .told
        .iter()
        .filter(|k| matches!(k, EventKind::Tightened { .. }))
        .count();
    assert_eq!(tries, 1);
}

#[test]
fn somebody_elses_value_ends_the_intervention() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    let group = world.id("/hog");
    world.outcomes.push(Outcome {
        group,
        knob: Knob::CpuWeight,
        written: Written::Drifted,
    });
    world.tick();
    assert!(world.has_told(|kind| matches!(kind, EventKind::Drift { .. })));
    assert_eq!(world.brain.held().count(), 0);
}

#[test]
fn without_enforcement_there_are_alarms_and_no_writes() {
    let mut policy = Policy::default();
    policy.cpu.enforce = false;
    let mut world = World::pair(0.8, policy);
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(5.0);
    assert!(world.writes.is_empty());
    assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::NoLever)));
}

#[test]
fn a_memory_hog_is_held_before_the_cliff_and_given_back() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/victim").has = 300e6;
    world.run(15.0);
    world.life("/hog").grows = 300e6;
    world.run(12.0);
    assert!(world.wrote("/hog", Knob::MemoryHigh), "{:?}", world.told);
    assert!(!world.wrote("/victim", Knob::MemoryHigh));
    world.life("/hog").grows = 0.0;
    world.life("/hog").has = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_vanished_victim_releases_and_release_all_leaves_nothing() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    assert_eq!(world.brain.held().count(), 1);
    let mut gone = world.brain.clone();
    gone.adopt(&tree(&[]), world.now);
    gone.step(&Sample {
        at: world.now + TICK,
        ..Sample::default()
    });
    assert_eq!(gone.held().count(), 0);
    let step = world.brain.release_all();
    assert!(step.changes.iter().any(|c| matches!(
        c,
        Change::Release {
            knob: Knob::CpuWeight,
            ..
        }
    )));
    assert_eq!(world.brain.held().count(), 0);
}

#[test]
fn equal_samples_give_equal_decisions_and_a_policy_can_change_on_the_way() {
    let story = || {
        let mut world = World::pair(0.8, Policy::default());
        world.run(10.0);
        world.life("/hog").wants = 8.0;
        world.run(3.0);
        let mut strict = Policy::default();
        strict.detect.tolerance = Share::new(0.01);
        world.brain.set_policy(strict);
        world.run(3.0);
        (world.told, world.writes)
    };
    assert_eq!(story(), story());
}
