//! The figures of one run.

use super::acted::{Acted, Hold};
use super::lived::Lived;
use crate::arm::Arm;
use crate::record::{Run, Victim};
use crate::scenario::{Class, Scenario};
use std::collections::BTreeSet;

/// p50, p99, p99.9, the longest, and answers a second.
type Phase = [Option<f64>; 5];

/// The figures of one run. The latencies are those of the victim that was hit worst.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(super) alone: Phase,
    pub(super) attacked: Phase,
    pub(super) recovery: Phase,
    pub(super) times: Option<f64>,
    pub(super) answered: Option<f64>,
    pub(super) throughput: Option<f64>,
    pub(super) isolation: Option<f64>,
    pub(super) isolation_p01: Option<f64>,
    pub(super) harm: Option<f64>,
    pub(super) of_oracle: Option<f64>,
    pub(super) detect: Option<f64>,
    pub(super) first_limit: Option<f64>,
    pub(super) effective_limit: Option<f64>,
    pub(super) relief: Option<f64>,
    pub(super) attackers_cpu: Option<f64>,
    pub(super) keep: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) tasks: Option<f64>,
    pub(super) precision: Option<f64>,
    pub(super) recall: Option<f64>,
    /// Times in which a group was held without a gap, since the attack's start.
    pub(super) interventions: u32,
    /// Of them those on an attacker.
    pub(super) right: u32,
    /// Attackers that were there.
    pub(super) aggressors: u32,
    /// Of them those that were held or killed.
    pub(super) found: u32,
    pub(super) wrong: Option<f64>,
    pub(super) hard: Option<f64>,
    pub(super) turns: Option<f64>,
    pub(super) oom_kills: Option<f64>,
    pub(super) deaths: Option<f64>,
    pub(super) restored: Option<f64>,
    pub(super) exact: Option<f64>,
    pub(super) tool_cpu: Option<f64>,
    pub(super) tool_reads_writes: Option<f64>,
    pub(super) tool_switches: Option<f64>,
    pub(super) tool_rss: Option<f64>,
    pub(super) tool_lateness: Option<f64>,
    pub(super) harness_lateness: Option<f64>,
    pub(super) steal: Option<f64>,
}

/// Whether a victim is dead, and has left no record: it answers nobody, and no figure of the others can be better than that.
fn is_killed(run: &Run, scenario: &Scenario) -> bool {
    run.victims.len() < scenario.victims.len()
}

impl Figures {
    /// Of this run of the scenario, on so many CPUs; all but what only other runs can tell: what it suffered, and how much of that the hand avoids.
    pub(crate) fn of(run: &Run, scenario: &Scenario, cpus: usize) -> Figures {
        let mut figures = Figures::default();
        figures.lived(run, scenario);
        figures.took(run, scenario, cpus);
        figures.acted(run, scenario);
        figures.cost(run, cpus);
        figures
    }

    fn lived(&mut self, run: &Run, scenario: &Scenario) {
        let settle = scenario.phases.settle;
        let all: Vec<Lived<'_>> = run
            .victims
            .iter()
            .map(|victim| Lived::new(victim, run, settle))
            .collect();
        let worst = all.iter().max_by(|a, b| {
            let key = |one: &Lived<'_>| one.times().unwrap_or(f64::INFINITY);
            key(a).total_cmp(&key(b))
        });
        if let Some(worst) = worst {
            let phase = |window: &super::lived::Window| {
                let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| window.percentile(part));
                [p50, p99, p999, window.max(), window.throughput()]
            };
            self.alone = phase(&worst.alone);
            self.attacked = phase(&worst.attacked);
            self.recovery = phase(&worst.recovery);
            self.times = worst.times();
            self.answered = worst.attacked.answered();
            let mut seconds = worst.isolation();
            seconds.sort_by(f64::total_cmp);
            self.throughput = self.attacked[4]
                .zip(self.alone[4])
                .map(|(is, was)| is / was);
            self.isolation =
                (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64);
            // Of less than a hundred seconds the 1st percentile is the worst.
            self.isolation_p01 = seconds.get(seconds.len() / 100).copied();
            self.relief = worst.relief();
        }
        if is_killed(run, scenario) {
            self.attacked = [Some(f64::INFINITY); 5];
            self.attacked[4] = Some(0.0);
            self.times = Some(f64::INFINITY);
            (self.answered, self.isolation, self.isolation_p01) = (Some(0.0), Some(0.0), Some(0.0));
            self.throughput = Some(0.0);
            self.relief = None;
        }
    }

    /// What all victims waited beyond what a request of each takes `alone`, milliseconds.
    pub(super) fn suffered(
        &mut self,
        run: &Run,
        scenario: &Scenario,
        alone: impl Fn(&Victim) -> Option<f64>,
    ) {
        let harm =
            |victim: &Victim| Lived::new(victim, run, scenario.phases.settle).harm(alone(victim)?);
        self.harm = if is_killed(run, scenario) {
            Some(f64::INFINITY)
        } else {
            let all: Option<f64> = run.victims.iter().map(harm).sum();
            all.filter(|_| !run.victims.is_empty())
        };
    }

    /// What the attackers had while the attack lasted.
    fn took(&mut self, run: &Run, scenario: &Scenario, cpus: usize) {
        let inside = |at_us: u64| (run.attack_us..=run.attack_end_us).contains(&at_us);
        let samples: Vec<_> = run
            .samples
            .iter()
            .filter(|sample| inside(sample.at_us))
            .collect();
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            return;
        };
        let split = scenario.victims.len();
        let cpu = |from: usize, to: usize| -> f64 {
            let sum = |sample: &crate::record::Sample| {
                let groups = sample.groups.get(from..to).unwrap_or_default();
                groups.iter().map(|group| group.cpu_us).sum::<u64>()
            };
            sum(last).saturating_sub(sum(first)) as f64 / 1e6
        };
        let (victims, attackers) = (cpu(0, split), cpu(split, first.groups.len()));
        let seconds = (last.at_us - first.at_us) as f64 / 1e6;
        let left = cpus as f64 * seconds - victims;
        self.attackers_cpu = Some(attackers);
        self.keep = (left > 0.0).then(|| (attackers / left).min(1.0));
        let most = |get: fn(&crate::record::Usage) -> u64| {
            let sums = samples.iter().map(|sample| {
                let groups = sample.groups.get(split..).unwrap_or_default();
                groups.iter().map(get).sum::<u64>()
            });
            sums.max().map(|most| most as f64)
        };
        self.memory = most(|usage| usage.memory);
        self.tasks = most(|usage| usage.tasks);
        let mut late: Vec<f64> = samples
            .iter()
            .map(|sample| sample.late_us as f64 / 1e3)
            .collect();
        late.sort_by(f64::total_cmp);
        let rank = (0.99 * late.len() as f64).ceil() as usize;
        self.harness_lateness = late.get(rank.max(1) - 1).copied();
    }

    fn acted(&mut self, run: &Run, scenario: &Scenario) {
        let attackers: BTreeSet<&str> = scenario
            .attackers
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let acted = Acted::new(run, &attackers);
        let benign = scenario.class == Class::Benign;
        let alarm = run.events.iter().find(|event| {
            event.at_us >= run.attack_us && matches!(event.kind.as_str(), "alarm" | "tightened")
        });
        self.detect = alarm.map(|event| (event.at_us - run.attack_us) as f64 / 1e3);
        self.first_limit = acted.first_limit(&attackers);
        self.effective_limit = acted.effective_limit(self.relief);
        let whom = acted.whom();
        for (group, times) in acted.interventions() {
            self.interventions += times;
            self.right += if attackers.contains(group) { times } else { 0 };
        }
        // One that was to come later than the run went on was never there.
        let there = attackers
            .iter()
            .filter(|one| run.before.contains_key(**one));
        self.aggressors = u32::try_from(there.count()).unwrap_or(u32::MAX);
        let found = whom.iter().filter(|one| attackers.contains(*one)).count();
        self.found = u32::try_from(found).unwrap_or(u32::MAX);
        let right = whom.iter().filter(|one| attackers.contains(*one)).count() as f64;
        if !benign && run.arm != Arm::None {
            self.precision = (!whom.is_empty()).then(|| right / whom.len() as f64);
            self.recall = (run.arm != Arm::Static).then(|| right / attackers.len() as f64);
        }
        // Who only looks like an attacker may be held while somebody waits, but only softly.
        self.wrong = Some(
            acted.held_s(|group, hold| match (benign, attackers.contains(group)) {
                (true, true) => hold == Hold::Hard,
                (false, true) => false,
                (_, false) => true,
            }),
        );
        self.hard = Some(acted.held_s(|_, hold| hold == Hold::Hard));
        self.turns = Some(f64::from(acted.turns()));
        self.deaths = Some(run.deaths.len() as f64);
        self.oom_kills = Some(run.oom_kills.values().sum::<u64>() as f64);
    }

    fn cost(&mut self, run: &Run, cpus: usize) {
        let ended = run.tool.as_ref().is_none_or(|tool| tool.ended_well);
        self.exact = Some(f64::from(u8::from(ended && run.given_back(&run.after))));
        self.restored = run
            .restored_us
            .map(|at_us| at_us.saturating_sub(run.attack_end_us) as f64 / 1e3);
        if let Some(tool) = &run.tool {
            let over_us = (tool.over_us > 0).then_some(tool.over_us as f64);
            let a_second = |count: Option<u64>| Some(count? as f64 * 1e6 / over_us?);
            self.tool_cpu = over_us.map(|over_us| tool.cpu_us as f64 / over_us);
            self.tool_reads_writes = a_second(tool.reads_writes);
            self.tool_switches = a_second(tool.switches);
            self.tool_rss = tool.rss.map(|bytes| bytes as f64);
            self.tool_lateness = tool.lateness_p99_ms;
        } else {
            self.restored = None;
        }
        let window = (run.attack_end_us - run.attack_us) as f64 * cpus as f64;
        self.steal = (window > 0.0).then(|| run.steal_us as f64 / window);
    }
}
