//! A simulated host: one CPU or more whose time is shared by weight, memory that is swapped when it runs
//! out, tasks, one disk. Coarse, but its feedback is closed: what the brain holds changes what it sees next.

use std::collections::HashMap;

use crate::model::{
    Absent, Bytes, Change, ContainerSample, CpuMax, CpuUse, Device, EventKind, GroupId, HostSample,
    IoUse, Knob, KnobValue, Limit, MemoryUse, Outcome, Pace, PerDevice, Policy, Pulses, Role,
    Sample, Span, Stall, Step, Time, Topology, Verdict, Weight, Written,
};
use crate::policy::Brain;
use crate::policy::track::tests::{container, service, tree};

pub(super) const TICK: Span = Span::from_millis(20);
const RAM: Bytes = Bytes::from_mib(2_048);
/// Tasks that the host can have.
pub(super) const TASKS: u64 = 7_000;
/// The disk.
pub(super) const DISK: Device = Device {
    major: 254,
    minor: 16,
};
/// Operations that it does in a second.
pub(super) const DISK_RATE: f64 = 400.0;
/// Operations that one who wants more than all of it has under way at once.
const DEEP: f64 = 32.0;

#[derive(Clone, Copy, Default)]
pub(super) struct Life {
    /// CPUs it wants.
    pub(super) wants: f64,
    /// Whether it runs in real time: before all others, whatever its weight and its cap are.
    pub(super) real_time: bool,
    /// Bytes a second it grows by, and what it has.
    pub(super) grows: f64,
    pub(super) has: f64,
    /// Whether it grows on in spite of `memory.high`, or into swap, and what it has there.
    pub(super) breaks: bool,
    pub(super) swaps: bool,
    swapped: f64,
    /// Tasks that it has, and starts in a second.
    pub(super) tasks: f64,
    pub(super) starts: f64,
    /// Reads of 4 KiB that it wants in a second, one after the other; more than the disk can do at once.
    pub(super) reads: f64,
    /// Whether all of that is writes.
    pub(super) writes: bool,
    pub(super) done: f64,
    pub(super) io_stall: f64,
    pub(super) usage: f64,
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
    /// Those all of whose memory is page cache that can be taken.
    pub(super) cached: Vec<GroupId>,
    /// Whether the page cache of nobody here has all that is left of RAM.
    pub(super) is_full: bool,
    /// Reads that the host did for nobody, and does in a second.
    pub(super) host_reads: f64,
    pub(super) host_rate: f64,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) told: Vec<EventKind>,
    pub(super) writes: Vec<(GroupId, Knob, KnobValue)>,
    pub(super) refuse: Option<Knob>,
    pub(super) pace: Pace,
    /// Whose waiting for the disk does not show, as with reads under way that nobody waits for.
    pub(super) hides: Vec<GroupId>,
    /// Whose threads cannot be asked.
    pub(super) unasked: Vec<GroupId>,
    /// Whose pressure files cannot be read now.
    pub(super) unreadable: Vec<GroupId>,
    /// Who was killed.
    pub(super) killed: Vec<GroupId>,
    /// Slices that somebody but root may write: they are not read.
    pub(super) delegated: Vec<GroupId>,
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
            cached: Vec::new(),
            is_full: false,
            host_reads: 0.0,
            host_rate: 0.0,
            outcomes: Vec::new(),
            told: Vec::new(),
            writes: Vec::new(),
            refuse: None,
            pace: Pace::Quiet,
            hides: Vec::new(),
            unasked: Vec::new(),
            unreadable: Vec::new(),
            killed: Vec::new(),
            delegated: Vec::new(),
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

    /// The part of the time in which it is not frozen.
    fn thawed(&self, at: usize) -> f64 {
        match self
            .knobs
            .get(&(self.tree.groups[at].id, Knob::CgroupFreeze))
        {
            Some(KnobValue::Pulses(Pulses { thawed, period })) => thawed.over(*period),
            _ => 1.0,
        }
    }

    /// One tick of the host: one CPU shared by weight among siblings, then one step of the brain.
    pub(super) fn tick(&mut self) {
        self.tick_after(TICK);
    }

    /// The same where the tick comes so long after the one before.
    pub(super) fn tick_after(&mut self, span: Span) {
        let seconds = span.as_secs_f64();
        self.now = self.now + span;
        let mut left = 1.0;
        for at in 0..self.lives.len() {
            if self.lives[at].real_time {
                let got = (self.lives[at].wants * self.thawed(at)).min(left);
                self.lives[at].usage += got * seconds;
                left -= got;
            }
        }
        let free = left;
        let busy: Vec<usize> = (0..self.lives.len())
            .filter(|&at| self.lives[at].wants > 0.0 && !self.lives[at].real_time)
            .collect();
        let mut got = vec![0.0; self.lives.len()];
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
            // While somebody runs in real time nobody else does.
            let waits = (1.0 - got[at] / self.lives[at].wants.max(0.01))
                .max((1.0 - free) * self.lives[at].wants.min(1.0));
            // One that gets all it wants still waits for a slice now and then.
            let slices = self.lives[at].wants.min(1.0) * others / (others + self.weight(at, &busy));
            let life = &mut self.lives[at];
            life.usage += got[at] * seconds;
            if got[at] < life.wants - 1e-6 || others > 0.0 || free < 1.0 {
                life.stall += seconds * waits.max(slices * 0.8).clamp(0.0, 1.0);
            }
        }
        for at in busy {
            if self.lives[at].wants > self.cap(at) {
                self.lives[at].throttled += seconds * 0.8;
            }
        }
        self.memory(seconds);
        self.tasks(seconds);
        self.disk(seconds);
        self.step();
    }

    fn memory(&mut self, seconds: f64) {
        let total: f64 = self.lives.iter().map(|life| life.has).sum();
        let short = total - self.cached() > 0.97 * RAM.0 as f64;
        for at in 0..self.lives.len() {
            let breaks = self.lives[at].breaks;
            let limit = match self.knobs.get(&(self.tree.groups[at].id, Knob::MemoryHigh)) {
                Some(KnobValue::Bytes(Limit::At(high))) if !breaks => high.0 as f64,
                _ => f64::INFINITY,
            };
            let life = &mut self.lives[at];
            life.has = (life.has + life.grows * seconds).min(limit.max(0.0));
            if life.grows > 0.0 && life.has >= limit {
                life.memory_stall += seconds * 0.5;
                life.swapped += life.grows * seconds * f64::from(u8::from(life.swaps));
            }
            if short && life.has > 0.0 && life.grows <= 0.0 {
                life.memory_stall += seconds * 0.6;
            }
        }
    }

    /// How much of what all have is page cache.
    fn cached(&self) -> f64 {
        let all = self.tree.groups.iter().zip(&self.lives);
        let cached = all.filter(|(group, _)| self.cached.contains(&group.id));
        cached.map(|(_, life)| life.has).sum()
    }

    /// Tasks of all that is below a group.
    pub(super) fn tasks_below(&self, group: usize) -> f64 {
        let below = |at: &usize| self.tree.lineage(*at).any(|up| up == group);
        let all = (0..self.lives.len()).filter(below);
        all.map(|at| self.lives[at].tasks).sum()
    }

    /// Where there are no more to be had, of its own, of a slice's above it or of the host's, forks fail.
    fn tasks(&mut self, seconds: f64) {
        let all: f64 = self.lives.iter().map(|life| life.tasks).sum();
        let mut left = (TASKS as f64 - all).max(0.0);
        for at in 0..self.lives.len() {
            let group = &self.tree.groups[at];
            let limit = |limit: Option<KnobValue>| match limit {
                Some(KnobValue::Tasks(Limit::At(most))) => most as f64,
                _ => f64::INFINITY,
            };
            let own = group.knobs.value(Knob::PidsMax);
            let most = limit(self.knobs.get(&(group.id, Knob::PidsMax)).copied().or(own));
            let above = self.tree.lineage(at).skip(1);
            let above = above.map(|up| {
                limit(self.tree.groups[up].knobs.value(Knob::PidsMax)) - self.tasks_below(up)
            });
            let above = above.fold(f64::INFINITY, f64::min);
            let life = &mut self.lives[at];
            let more = (life.starts * seconds).min((most - life.tasks).min(above).max(0.0));
            life.tasks += more.min(left);
            left -= more.min(left);
        }
    }

    /// Who is throttled gets what he is left. Of the rest who has more under way gets more done; and who waits
    /// for a turn waits all the time.
    fn disk(&mut self, seconds: f64) {
        let queue = |reads: f64| {
            if reads > DISK_RATE {
                DEEP
            } else {
                reads.min(1.0)
            }
        };
        self.host_reads += self.host_rate * seconds;
        let (mut left, mut queued) = (DISK_RATE - self.host_rate, 0.0);
        for at in 0..self.lives.len() {
            let (reads, throttle) = (self.lives[at].reads, self.throttle(at));
            if reads > throttle {
                left -= throttle;
            } else {
                queued += queue(reads);
            }
        }
        let wanted: f64 = self.lives.iter().map(|life| life.reads).sum();
        let wanted = wanted + self.host_rate;
        for at in 0..self.lives.len() {
            let throttle = self.throttle(at);
            let life = &mut self.lives[at];
            let turn = left * queue(life.reads) / f64::max(queued, 1.0);
            let done = if life.reads > throttle {
                throttle
            } else if wanted > DISK_RATE {
                life.reads.min(turn)
            } else {
                life.reads
            };
            life.done += done * seconds;
            let waits = if done < life.reads - 1e-6 {
                1.0
            } else {
                done / DISK_RATE
            };
            life.io_stall += waits * seconds;
        }
    }

    fn throttle(&self, at: usize) -> f64 {
        let id = self.tree.groups[at].id;
        let own = self.tree.groups[at].knobs.value(Knob::IoMax(DISK));
        match self.knobs.get(&(id, Knob::IoMax(DISK))).copied().or(own) {
            Some(KnobValue::IoMax(_, max)) => match if self.lives[at].writes {
                max.wiops
            } else {
                max.riops
            } {
                Limit::At(most) if (most as f64) < DISK_RATE => most as f64,
                _ => f64::INFINITY,
            },
            _ => f64::INFINITY,
        }
    }

    fn step(&mut self) {
        let used: f64 = self.lives.iter().map(|life| life.has).sum();
        let micros = |seconds: f64| Span((seconds * 1e6) as u64);
        let slices = self.tree.shared_limits();
        let slices = slices.filter(|(_, group)| !self.delegated.contains(&group.id));
        let slices = slices.map(|(at, group)| ContainerSample {
            tasks: Ok(self.tasks_below(at) as u64),
            ..ContainerSample::unread(group.id, self.now)
        });
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
                        swap: Bytes(life.swapped as u64),
                    }),
                    memory_stall: Ok(Stall {
                        some: micros(life.memory_stall),
                        full: Span::ZERO,
                    }),
                    tasks: Ok(life.tasks as u64),
                    io: Ok(work_of(life.done, life.writes)),
                    io_stall: Ok(Stall {
                        some: if self.hides.contains(&group.id) {
                            Span::ZERO
                        } else {
                            micros(life.io_stall)
                        },
                        full: Span::ZERO,
                    }),
                    real_time: (self.last.1.matters.contains(&group.id)
                        && !self.unasked.contains(&group.id))
                    .then_some(life.real_time),
                }
            })
            .chain(slices)
            .collect();
        let free = (RAM.0 as f64 - used).max(0.0);
        let available = (free + self.cached()) as u64;
        let free = if self.is_full { 1e7 } else { free } as u64;
        let sample = Sample {
            at: self.now,
            host: HostSample {
                cpus: 1,
                cpu_idle: Ok(micros(self.idle)),
                cpu_busy: Ok(micros(self.lives.iter().map(|life| life.usage).sum())),
                memory_total: Ok(RAM),
                memory_available: Ok(Bytes(available)),
                memory_free: Ok(Bytes(free)),
                swap_total: Ok(Bytes(0)),
                swap_free: Ok(Bytes(0)),
                tasks: Ok(self.lives.iter().map(|life| life.tasks as u64).sum()),
                tasks_max: Ok(TASKS),
                io: Ok(work_of(
                    self.lives.iter().map(|life| life.done).sum::<f64>() + self.host_reads,
                    false,
                )),
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
                Change::Kill { group, knob } => {
                    let at = self.tree.find(group).map(|(at, _)| at).unwrap();
                    let life = &mut self.lives[at];
                    (life.tasks, life.starts, life.has, life.grows) = (0.0, 0.0, 0.0, 0.0);
                    self.killed.push(group);
                    (group, knob, Written::Killed)
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

fn work_of(done: f64, writes: bool) -> PerDevice<IoUse> {
    let mut all = PerDevice::NONE;
    let mut used = IoUse::default();
    let (bytes, operations) = if writes {
        (&mut used.wbytes, &mut used.wios)
    } else {
        (&mut used.rbytes, &mut used.rios)
    };
    (*bytes, *operations) = (Bytes((done * 4096.0) as u64), done as u64);
    if done >= 1.0 {
        all.put(DISK, used, IoUse::cost);
    }
    all
}

pub(super) const CONFIRMED: fn(&EventKind) -> bool =
    |kind| *kind == EventKind::Proved(Verdict::Confirmed);

/// A hog whose slice holds a service of the host, and a victim whose slice holds another container: no weight is between them.
pub(super) fn where_no_weight_reaches() -> [crate::model::Group; 4] {
    [
        container("/machine.slice/victim", 100),
        container("/machine.slice/beside", 100),
        container("/system.slice/hog", 100),
        service("/system.slice/ssh.service"),
    ]
}
