//! Everything known about one container (or protected service).

use super::blame::Ledger;
use super::bucket::{Bucket, Fed};
use super::harm::{self, CpuStall, Harm};
use super::learn::{Baseline, Demand, Level};
use super::window::{Over, Windows};
use crate::model::{
    Bytes, ContainerSample, CpuUse, GroupId, Limit, MemoryUse, Policy, Resource, Role, Span, Stall,
    Time,
};

/// One resource's strain on one container: what was done to it, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Strain {
    /// Cumulative harm, so that its rate can be asked over any span.
    harm: Windows<Span>,
    total: Span,
    /// When the bucket began to fill, and the cumulative harm then.
    began: Option<(Time, Span)>,
    pub bucket: Bucket,
    pub ledger: Ledger,
    pub baseline: Baseline,
    /// What remained after a rung that helped: relief is judged by the fall, not by an absolute
    /// zero, so this much more is tolerated while that rung stands.
    pub residual: f64,
    /// The last tick's harm with its bounds.
    pub last: Harm,
}

/// One container.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub id: GroupId,
    /// Its place in the topology.
    pub group: usize,
    pub protected: bool,
    pub is_container: bool,
    /// Whether this tick read it.
    pub fresh: bool,
    pub cpu_use: Windows<CpuUse>,
    pub cpu_psi: Windows<Span>,
    pub memory_use: Windows<Bytes>,
    pub memory_psi: Windows<Span>,
    pub memory: Option<MemoryUse>,
    pub tasks: Option<u64>,
    pub cpu: Strain,
    pub mem: Strain,
    pub demand: Demand,
    pub level: Level,
    /// CPUs it may use while others want more, as of this tick.
    pub entitlement: f64,
    /// CPUs over its entitlement, over about 100 ms.
    pub excess: f64,
    /// Part of RAM over its entitled level, if it grows or thrashes.
    pub memory_excess: f64,
    /// When it was last (re)considered for learning.
    learned: Option<Time>,
    /// Until when it is not suspected first, and how often that has happened.
    pub exonerated: Option<Time>,
    /// How often it had to be held again soon after release: doubles the hold.
    pub strikes: u32,
    /// When the last strike was.
    pub struck: Option<Time>,
    /// Hard rungs that turned out wrong, lately.
    pub wrong: u32,
    pub role: Role,
    pub role_since: Time,
}

impl Strain {
    const fn new() -> Strain {
        Strain {
            harm: Windows::new(),
            total: Span::ZERO,
            began: None,
            bucket: Bucket::new(),
            ledger: Ledger::new(),
            baseline: Baseline::new(),
            residual: 0.0,
            last: Harm {
                amount: Span::ZERO,
                own_least: Span::ZERO,
                own_most: Span::ZERO,
            },
        }
    }

    /// Takes one tick's harm.
    pub(super) fn feed(&mut self, at: Time, over: Span, harm: Harm, policy: &Policy) -> Fed {
        if self.bucket.level() == Span::ZERO {
            self.began = Some((at - over, self.total));
        }
        self.total = self.total + harm.amount;
        self.harm.push(at, self.total);
        self.last = harm;
        let tolerance = self.tolerance(policy);
        self.bucket
            .feed(harm.amount, over, tolerance, policy.detect.bucket)
    }

    /// Forgets the harm that was summed so far: its sufferer is held now.
    pub(super) fn reset(&mut self) {
        self.bucket = Bucket::new();
        self.ledger = Ledger::new();
        self.began = None;
    }

    /// Harm as a fraction of time.
    pub(super) fn rate(&self, over: Over) -> f64 {
        self.harm.rate(over)
    }

    /// Cumulative harm.
    pub(super) const fn total(&self) -> Span {
        self.total
    }

    /// Harm as a fraction of the time since the bucket began to fill: undiluted by the calm before.
    pub(super) fn filling(&self, now: Time) -> f64 {
        self.began.map_or(0.0, |(at, total)| {
            self.total.advance(total).over(now.since(at))
        })
    }

    /// What counts as calm for this one.
    pub(super) fn calm(&self, policy: &Policy) -> f64 {
        self.baseline.get(
            policy.detect.baseline.get(),
            policy.detect.baseline_max.get(),
        )
    }

    /// The drain of the bucket: tolerance above the baseline, or above what a good rung left.
    pub(super) fn tolerance(&self, policy: &Policy) -> f64 {
        policy.detect.tolerance.get() + self.calm(policy).max(self.residual)
    }
}

impl Track {
    pub(super) fn new(id: GroupId, at: Time) -> Track {
        Track {
            id,
            group: 0,
            protected: false,
            is_container: true,
            fresh: false,
            cpu_use: Windows::new(),
            cpu_psi: Windows::new(),
            memory_use: Windows::new(),
            memory_psi: Windows::new(),
            memory: None,
            tasks: None,
            cpu: Strain::new(),
            mem: Strain::new(),
            demand: Demand::default(),
            level: Level::default(),
            entitlement: 0.0,
            excess: 0.0,
            memory_excess: 0.0,
            learned: None,
            exonerated: None,
            strikes: 0,
            struck: None,
            wrong: 0,
            role: Role::Calm,
            role_since: at,
        }
    }

    pub(super) const fn strain(&self, resource: Resource) -> &Strain {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.mem,
        }
    }

    pub(super) const fn strain_mut(&mut self, resource: Resource) -> &mut Strain {
        match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.mem,
        }
    }

    /// Over its entitlement by this much, in the resource's unit.
    pub(super) const fn excess(&self, resource: Resource) -> f64 {
        match resource {
            Resource::Cpu => self.excess,
            Resource::Memory => self.memory_excess,
        }
    }

    /// Takes what was read. A reading that is absent leaves its window as it was: it never looks
    /// like calm, because rates are differences of what *was* read.
    pub(super) fn observe(&mut self, sample: &ContainerSample) {
        self.fresh = true;
        if let Ok(cpu) = sample.cpu {
            self.cpu_use.push(sample.at, cpu);
        }
        if let Ok(Stall { some, .. }) = sample.cpu_stall {
            self.cpu_psi.push(sample.at, some);
        }
        if let Ok(Stall { some, .. }) = sample.memory_stall {
            self.memory_psi.push(sample.at, some);
        }
        if let Ok(memory) = sample.memory {
            self.memory = Some(memory);
            self.memory_use.push(
                sample.at,
                Bytes(memory.current.0.saturating_add(memory.swap.0)),
            );
        }
        if let Ok(tasks) = sample.tasks {
            self.tasks = Some(tasks);
        }
    }

    /// CPUs used.
    pub(super) fn usage(&self, over: Over) -> f64 {
        self.cpu_use.change(over).map_or(0.0, |change| {
            change.to.usage.advance(change.from.usage).over(change.over)
        })
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

    /// Whether it uses or wants CPU now.
    pub(super) fn active(&self) -> bool {
        self.usage(Over::Half) > 0.005 || self.cpu_psi.rate(Over::Half) > 0.01
    }

    /// This tick's CPU harm, and the time it is about.
    pub(super) fn cpu_harm(&self, cpus: u32) -> Option<(Time, Span, Harm)> {
        let psi = self.cpu_psi.change(Over::Tick)?;
        let throttled = self
            .cpu_use
            .change(Over::Tick)
            .map_or(Span::ZERO, |change| {
                change.to.throttled.advance(change.from.throttled)
            });
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

    /// This tick's memory harm, and the time it is about.
    pub(super) fn memory_harm(
        &self,
        shortage: bool,
        limit: Limit<Bytes>,
    ) -> Option<(Time, Span, Harm)> {
        let psi = self.memory_psi.change(Over::Tick)?;
        let used = self.memory.map_or(Bytes(0), |memory| memory.current);
        let at_own_limit = match limit {
            Limit::At(limit) => used.0 >= limit.scaled(0.95).0,
            Limit::Max => false,
        };
        let harm = harm::memory(psi.over, psi.to.advance(psi.from), shortage, at_own_limit);
        Some((self.memory_psi.at()?, psi.over, harm))
    }

    /// Learns from calm: baselines, demand, level. Called only while no bucket holds anything;
    /// `spare` tells whether the host had idle CPU over the last two seconds.
    pub(super) fn learn(
        &mut self,
        at: Time,
        spare: bool,
        plenty: bool,
        cpus: u32,
        policy: &Policy,
    ) {
        let Some(last) = self.learned else {
            self.learned = Some(at);
            return;
        };
        let passed = at.since(last);
        if passed < Span::from_millis(500) {
            return;
        }
        self.learned = Some(at);
        let (default, most) = (
            policy.detect.baseline.get(),
            policy.detect.baseline_max.get(),
        );
        if self.cpu_psi.whole(Over::Two).is_some() {
            let stall = self.cpu_psi.rate(Over::Two);
            self.cpu.baseline.learn(stall, passed, default, most);
            if spare && stall < policy.detect.tolerance.get() + self.cpu.calm(policy) {
                let claim = policy.cpu.demand_max.get() * f64::from(cpus);
                self.demand.learn(self.usage(Over::Two), passed, claim);
            }
        }
        if self.memory_psi.whole(Over::Two).is_some() {
            self.mem
                .baseline
                .learn(self.memory_psi.rate(Over::Two), passed, default, most);
        }
        if plenty && self.memory_use.whole(Over::Ten).is_some() {
            self.level
                .learn(self.memory_use.long().min().unwrap_or_default());
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

    /// A repeat offence: the hold doubles for each strike.
    pub(super) fn strike(&mut self, at: Time) {
        self.strikes = (self.strikes + 1).min(16);
        self.struck = Some(at);
    }

    /// Strikes decay: one a minute without another.
    pub(super) fn forgive(&mut self, at: Time) {
        if let Some(struck) = self.struck
            && at.since(struck) >= Span::from_secs(60)
        {
            self.strikes = self.strikes.saturating_sub(1);
            self.wrong = self.wrong.saturating_sub(1);
            self.struck = (self.strikes > 0 || self.wrong > 0).then_some(at);
        }
    }
}

#[cfg(test)]
pub(in crate::policy) mod tests {
    use crate::model::{
        Absent, CpuMax, Group, GroupId, Knobs, Limit, Member, Runtime, Span, Topology, Weight,
    };

    fn group(path: &str, member: Member, weight: u32) -> Group {
        Group {
            id: GroupId(0),
            parent: None,
            path: path.as_bytes().to_vec(),
            member,
            knobs: Knobs {
                cpu_weight: Weight::new(weight).ok_or(Absent::Malformed),
                cpu_idle: Ok(false),
                cpu_max: Ok(CpuMax {
                    quota: Limit::Max,
                    period: Span::from_millis(100),
                }),
                cpu_max_burst: Ok(Span::ZERO),
                memory_high: Ok(Limit::Max),
                memory_max: Ok(Limit::Max),
                memory_swap_max: Ok(Limit::Max),
            },
            protected: false,
        }
    }

    fn contained(key: &str, pod: Option<&str>) -> Member {
        Member::Container {
            runtime: Runtime::Docker,
            key: key.to_owned(),
            name: key.to_owned(),
            pod: pod.map(str::to_owned),
        }
    }

    pub(in crate::policy) fn container(path: &str, weight: u32) -> Group {
        group(path, contained(path, None), weight)
    }

    pub(in crate::policy) fn pod_container(path: &str, pod: &str) -> Group {
        group(path, contained(path, Some(pod)), 100)
    }

    pub(in crate::policy) fn helper(path: &str, of: &str) -> Group {
        group(path, Member::Helper { of: of.to_owned() }, 100)
    }

    pub(in crate::policy) fn service(path: &str) -> Group {
        group(path, Member::Service, 100)
    }

    /// A tree of these groups with all their ancestors; identities are the indices.
    pub(in crate::policy) fn tree(groups: &[Group]) -> Topology {
        let mut tree = Topology {
            groups: vec![group("/", Member::Inner, 100)],
        };
        for wanted in groups {
            let path = String::from_utf8(wanted.path.clone()).unwrap();
            let mut parent = 0;
            for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
                let here = &path.as_bytes()[..at];
                let known = tree.groups.iter().position(|group| group.path == here);
                parent = known.unwrap_or_else(|| {
                    let mut new = if at == path.len() {
                        wanted.clone()
                    } else {
                        group(&path[..at], Member::Inner, 100)
                    };
                    new.parent = Some(parent);
                    new.id = GroupId(tree.groups.len() as u64);
                    tree.groups.push(new);
                    tree.groups.len() - 1
                });
            }
        }
        tree
    }
}
