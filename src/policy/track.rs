//! Everything known about one container (or protected service).

use super::behalf::Bill;
use super::conduct::Exonerated;
use super::harm::{self, CpuStall, Harm};
use super::ladder::Place;
use super::learn::{Demand, Level, QuietWait};
use super::on_device::OnDevice;
use super::pulses::RealTime;
use super::strain::Strain;
use super::window::{Change, Over, Windows};
use crate::model::{
    Absent, Bytes, ContainerSample, CpuUse, GroupId, Limit, MemoryUse, Policy, Resource, Role,
    Span, Stall, Time,
};

/// One container.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    pub id: GroupId,
    /// When it was first met.
    pub met: Time,
    /// Its place in the topology.
    pub group: usize,
    pub protected: bool,
    pub is_container: bool,
    /// Whether this tick read its stall, by resource: a reading counts once.
    pub fresh: [bool; Resource::ALL.len()],
    pub cpu_use: Windows<CpuUse>,
    pub cpu_psi: Windows<Span>,
    /// What was throttled up to the last two readings of the stall, the older first. A stall is not read at
    /// every tick: both must be of the same time to be compared.
    #[serde(default)]
    throttled: [Option<Span>; 2],
    pub memory_use: Windows<Bytes>,
    pub memory_psi: Windows<Span>,
    pub memory: Option<MemoryUse>,
    /// What [`memory`](Self::memory) was at the reading before.
    memory_before: Option<MemoryUse>,
    pub tasks: Option<u64>,
    pub tasks_use: Windows<u64>,
    #[serde(default)]
    pub(super) real_time: RealTime,
    pub devices: Vec<OnDevice>,
    pub io_psi: Windows<Span>,
    pub io_quiet: QuietWait,
    pub cpu: Strain,
    pub mem: Strain,
    pub pids: Strain,
    pub io: Strain,
    pub demand: Demand,
    pub level: Level<Bytes>,
    pub tasks_level: Level<u64>,
    /// CPUs it may use while others want more, as of this tick.
    pub entitlement: f64,
    /// CPUs over its entitlement, over about 100 ms.
    pub excess: f64,
    /// What the host does on its behalf.
    pub bill: Bill,
    /// Part of RAM over its entitled level, if it grows or thrashes.
    pub memory_excess: f64,
    /// Likewise, over the level alone: it may still have less than its part.
    pub memory_gain: f64,
    /// Part of all tasks of the host that it is about to start, if it grows over its level.
    pub tasks_excess: f64,
    /// Part of a device that it takes over its entitlement; of the one where that is most.
    pub io_excess: f64,
    /// Whether somebody takes more than it may of a device on which this one works.
    pub io_taken: bool,
    /// Since when it has harm that nothing answers.
    pub alert_since: Option<Time>,
    /// When calm was last learned from, and when demand was.
    learned: Option<Time>,
    credited: Option<Time>,
    /// CPU time that others kept from it, up to a bound: it may catch up.
    pub(super) owed: Span,
    /// Since when, and until when, it is not suspected first, by resource.
    pub(super) exonerated: [Option<Exonerated>; Resource::ALL.len()],
    /// How often it was exonerated lately: doubles the time until it is looked at again.
    pub cleared: u32,
    /// How often it had to be held again soon after release: doubles the hold.
    pub strikes: u32,
    /// When the last strike was.
    pub struck: Option<Time>,
    /// When somebody else's value in one of its knobs was last taken for a new beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) yielded: Option<Time>,
    /// Hard rungs that turned out wrong, lately.
    pub wrong: u32,
    pub role: Role,
    pub role_since: Time,
}

/// One that loses this part of its memory in a second while it waits for memory has it taken.
const TAKEN: f64 = 0.005;
/// Who stalls for this part of the time, though the host has CPU to spare, is taken to get less than it needs.
const STALLED: f64 = 0.1;
/// One that waits this many times as long as the others use the CPU may have waited for them: both are measured to a
/// scheduler's tick.
const WAITED: f64 = 1.1;
/// The time since the last learning, where it is time again; the first look only starts the clock.
fn due(last: &mut Option<Time>, now: Time) -> Option<Span> {
    let passed = now.since(*last.get_or_insert(now));
    (passed >= Span::from_millis(500)).then(|| {
        *last = Some(now);
        passed
    })
}

impl Track {
    pub(super) fn new(id: GroupId, at: Time) -> Track {
        Track {
            id,
            met: at,
            group: 0,
            protected: false,
            is_container: true,
            fresh: [false; Resource::ALL.len()],
            cpu_use: Windows::new(),
            cpu_psi: Windows::new(),
            throttled: [None; 2],
            memory_use: Windows::new(),
            memory_psi: Windows::new(),
            memory: None,
            memory_before: None,
            tasks: None,
            tasks_use: Windows::new(),
            real_time: RealTime::default(),
            devices: Vec::new(),
            io_psi: Windows::new(),
            io_quiet: QuietWait::default(),
            cpu: Strain::new(),
            mem: Strain::new(),
            pids: Strain::new(),
            io: Strain::new(),
            demand: Demand::default(),
            level: Level::default(),
            tasks_level: Level::default(),
            entitlement: 0.0,
            excess: 0.0,
            bill: Bill::default(),
            memory_excess: 0.0,
            memory_gain: 0.0,
            tasks_excess: 0.0,
            io_excess: 0.0,
            io_taken: false,
            alert_since: None,
            learned: None,
            credited: None,
            owed: Span::ZERO,
            exonerated: [None; Resource::ALL.len()],
            cleared: 0,
            strikes: 0,
            struck: None,
            yielded: None,
            wrong: 0,
            role: Role::Calm,
            role_since: at,
        }
    }

    pub(super) const fn strain(&self, resource: Resource) -> &Strain {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.mem,
            Resource::Pids => &self.pids,
            Resource::Io => &self.io,
        }
    }

    pub(super) const fn strain_mut(&mut self, resource: Resource) -> &mut Strain {
        match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.mem,
            Resource::Pids => &mut self.pids,
            Resource::Io => &mut self.io,
        }
    }

    /// Over its entitlement by this much, in the resource's unit.
    pub(super) const fn excess(&self, resource: Resource) -> f64 {
        match resource {
            Resource::Cpu if self.bill.cpus > 0.0 => self.excess.max(self.bill.cpus),
            Resource::Cpu => self.excess,
            Resource::Memory => self.memory_excess.max(self.memory_gain),
            Resource::Pids => self.tasks_excess,
            Resource::Io => self.io_excess,
        }
    }

    /// Takes what was read. A reading that is absent leaves its window as it was: it never looks
    /// like calm, because rates are differences of what *was* read.
    pub(super) fn observe(&mut self, sample: &ContainerSample) {
        if let Ok(cpu) = sample.cpu {
            self.cpu_use.push(sample.at, cpu);
        }
        if let Ok(Stall { some, .. }) = sample.cpu_stall {
            self.fresh[Resource::Cpu as usize] = true;
            if self.cpu_psi.at() < Some(sample.at) {
                let throttled = self.cpu_use.newest().map(|cpu| cpu.throttled);
                self.throttled = [self.throttled[1], throttled];
            }
            self.cpu_psi.push(sample.at, some);
        }
        if let Ok(Stall { some, .. }) = sample.memory_stall {
            self.fresh[Resource::Memory as usize] = true;
            self.memory_psi.push(sample.at, some);
        }
        if let Ok(memory) = sample.memory {
            let size = Bytes(memory.current.0.saturating_add(memory.swap.0));
            if self.memory_use.newest().is_none() {
                self.level.meet(size);
            }
            self.memory_before = self.memory.replace(memory);
            self.memory_use.push(sample.at, size);
        }
        match sample.tasks {
            Ok(tasks) => {
                self.fresh[Resource::Pids as usize] = true;
                if self.tasks.replace(tasks).is_none() {
                    self.tasks_level.meet(tasks);
                }
                self.tasks_use.push(sample.at, tasks);
            }
            // It starts no more, whatever its pace was.
            Err(Absent::Gone) => self.tasks_use = Windows::new(),
            Err(_) => {}
        }
        self.observe_threads(sample.at, sample.real_time);
        if let Ok(devices) = sample.io {
            self.observe_devices(sample.at, &devices);
        }
        if let Ok(Stall { some, .. }) = sample.io_stall {
            self.fresh[Resource::Io as usize] = true;
            self.io_psi.push(sample.at, some);
        }
    }

    /// CPUs used.
    pub(super) fn usage(&self, over: Over) -> f64 {
        let used = |c: Change<CpuUse>| c.to.usage.advance(c.from.usage).over(c.over);
        match over {
            Over::Moment => self.cpu_use.used_at_once(),
            _ => self.cpu_use.change(over).map_or(0.0, used),
        }
    }

    /// Throttled time per time, summed over CPUs.
    pub(super) fn throttled(&self, over: Over) -> f64 {
        self.cpu_use.change(over).map_or(0.0, |c| {
            c.to.throttled.advance(c.from.throttled).over(c.over)
        })
    }

    /// Memory and swap.
    pub(super) fn size(&self) -> Bytes {
        self.memory_use.newest().unwrap_or_default()
    }

    /// Growth of memory and swap, bytes a second; negative when it shrinks.
    pub(super) fn growth(&self, over: Over) -> f64 {
        self.memory_use.change(over).map_or(0.0, |c| {
            (c.to.0 as f64 - c.from.0 as f64) / c.over.as_secs_f64()
        })
    }

    /// Tasks, threads included; none where they were never read.
    pub(super) fn has_tasks(&self) -> f64 {
        self.tasks.unwrap_or(0) as f64
    }

    /// Tasks that it gains a second, by the last half second or by the last ten, whichever was faster. A
    /// time that is shorter counts as whole, so that one that was just met is not fast for that.
    pub(super) fn tasks_pace(&self) -> f64 {
        let pace = |over, least| {
            self.tasks_use
                .change(over)
                .map_or(0.0, |change: Change<u64>| {
                    let passed = change.over.max(least).as_secs_f64();
                    (change.to as f64 - change.from as f64) / passed
                })
        };
        pace(Over::Half, Span::from_millis(500)).max(pace(Over::Ten, Span::from_secs(10)))
    }

    /// Whether it has more memory than this place leaves it.
    pub(super) fn is_over(&self, place: Place) -> bool {
        match (place, self.memory) {
            (Place::High(high), Some(memory)) => memory.current > high.scaled(1.02),
            _ => false,
        }
    }

    /// Whether it stands at a limit of its own.
    pub(super) fn is_at(&self, limit: Limit<Bytes>) -> bool {
        // The stall was between the two readings: one that has just ended was at its limit before.
        let readings = self.memory.iter().chain(&self.memory_before);
        let used = readings.map(|memory| memory.current).max();
        let used = used.unwrap_or_default();
        match limit {
            Limit::At(limit) => used.0 >= limit.scaled(0.95).0,
            Limit::Max => false,
        }
    }

    /// Whether it uses or wants CPU now.
    pub(super) fn active(&self) -> bool {
        self.usage(Over::Half) > 0.005 || self.cpu_psi.rate(Over::Half) > 0.01
    }

    /// This tick's CPU harm, and the time it is about.
    pub(super) fn cpu_harm(&self, cpus: u32) -> Option<(Time, Span, Harm)> {
        let psi = self.cpu_psi.change(Over::Tick)?;
        let throttled = match self.throttled {
            [Some(from), Some(to)] => to.advance(from),
            _ => Span::ZERO,
        };
        let harm = harm::cpu(&CpuStall {
            over: psi.over,
            stalled: psi.to.advance(psi.from),
            throttled,
            tasks: self.tasks,
            cpus,
            usage: self.usage(Over::Moment),
            entitlement: self.entitlement,
        });
        Some((self.cpu_psi.at()?, psi.over, harm))
    }

    /// Whether its memory shrinks: pages of files that others push out are free memory to the host, and gone for this one. (Seen
    /// on 6.1: a reader of a file larger than RAM, and a victim that waited 90 % of the time while 60 % of RAM were available.)
    pub(super) fn loses_memory(&self) -> bool {
        self.growth(Over::Half) < -TAKEN * self.size().0 as f64
    }

    /// What it has over what it may while this one waits for memory. Who has less than it and loses some all the same loses it to whoever
    /// grew, an equal part or not. (Seen on 6.1: a stream of files had 44 % of RAM, beside one other container, when it began to
    /// push out the pages of that one, which had 10 %; and was found guilty of nothing until it had half.)
    pub(super) fn memory_excess_before(&self, harmed: &Track) -> f64 {
        if harmed.loses_memory() && harmed.size() < self.size() {
            self.memory_excess.max(self.memory_gain)
        } else {
            self.memory_excess
        }
    }

    /// This tick's memory harm, where the host or this one lacks some, and the time it is about.
    pub(super) fn memory_harm(
        &self,
        lacks: bool,
        limit: Limit<Bytes>,
    ) -> Option<(Time, Span, Harm)> {
        let psi = self.memory_psi.change(Over::Tick)?;
        let stalled = psi.to.advance(psi.from);
        let harm = harm::memory(psi.over, stalled, lacks, self.is_at(limit));
        Some((self.memory_psi.at()?, psi.over, harm))
    }

    /// Learns what it needs. Called only while the host has idle CPU over the last two seconds and
    /// this one has no hard limit of ours: then what it uses is what it needs, whoever else stalls.
    ///
    /// `others` is the part of the host's CPUs that the others used meanwhile. Who waits no longer than that may have waited
    /// for them; more is its own parallelism, as a hog's.
    pub(super) fn learn_demand(&mut self, at: Time, others: f64, most: f64) {
        let Some(passed) = due(&mut self.credited, at) else {
            return;
        };
        let stalled = self.cpu_psi.rate(Over::Two);
        if self.cpu_psi.whole(Over::Two).is_some() && stalled < (others * WAITED).max(STALLED) {
            self.demand.learn(self.usage(Over::Two), passed, most);
        }
    }

    /// Contention, or our limit, interrupts the learning of demand.
    pub(super) fn pause_demand(&mut self) {
        self.credited = None;
    }

    /// Learns from calm: baselines, level. Called only while no bucket holds anything.
    pub(super) fn learn(&mut self, at: Time, plenty: bool, policy: &Policy) {
        let Some(passed) = due(&mut self.learned, at) else {
            return;
        };
        let (default, most) = (
            policy.detect.baseline.get(),
            policy.detect.baseline_max.get(),
        );
        // What is borne of neighbours is no calm.
        if self.cpu.shared == 0.0 && self.cpu_psi.whole(Over::Two).is_some() {
            self.cpu
                .baseline
                .learn(self.cpu_psi.rate(Over::Two), passed, default, most);
        }
        if self.memory_psi.whole(Over::Two).is_some() {
            self.mem
                .baseline
                .learn(self.memory_psi.rate(Over::Two), passed, default, most);
        }
        self.learn_io_quiet();
        if plenty && self.memory_use.whole(Over::Ten).is_some() {
            self.level
                .learn(self.memory_use.long().min().unwrap_or_default());
        }
        if self.tasks_use.whole(Over::Ten).is_some() {
            self.tasks_level
                .learn(self.tasks_use.long().min().unwrap_or_default());
        }
    }

    /// Changes the role; remembers since when it is so.
    pub(super) fn become_role(&mut self, role: Role, at: Time) {
        if self.role != role {
            self.role = role;
            self.role_since = at;
        }
    }

    /// Contention interrupts learning: the next window must begin after it.
    pub(super) fn pause_learning(&mut self) {
        self.learned = None;
    }
}

#[cfg(test)]
pub(in crate::policy) mod tests;
