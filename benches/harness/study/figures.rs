//! The figures of one run, and the one list of them: tables, JSON, CSV and pages are made from it.

use super::acted::{Acted, Hold};
use super::lived::Lived;
use crate::arm::Arm;
use crate::record::Run;
use crate::scenario::{Class, Scenario};
use std::collections::BTreeSet;

/// In what a figure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// A fraction of 1, told in percent.
    Share,
    /// So many times.
    Times,
    /// A count.
    Count,
    /// A second.
    PerSecond,
    /// Bytes, told in MiB.
    Bytes,
}

/// One figure of a run.
pub(crate) struct Field {
    /// Its name in JSON and CSV.
    pub(crate) name: &'static str,
    /// Its head in tables.
    pub(crate) head: &'static str,
    /// Its unit.
    pub(crate) unit: Unit,
    /// What it means.
    pub(crate) means: &'static str,
    get: fn(&Figures) -> Option<f64>,
}

impl Field {
    /// Its value in a run; `None` where the run has none.
    pub(crate) fn of(&self, figures: &Figures) -> Option<f64> {
        (self.get)(figures)
    }
}

/// Every figure, in the order of tables.
pub(crate) const FIELDS: &[Field] = &[
    field(
        "alone_p50_ms",
        "alone p50",
        Unit::Ms,
        "latency before the attack, median",
        |f| f.alone[0],
    ),
    field(
        "alone_p99_ms",
        "alone p99",
        Unit::Ms,
        "latency before the attack, 99th percentile",
        |f| f.alone[1],
    ),
    field(
        "alone_p999_ms",
        "alone p99.9",
        Unit::Ms,
        "latency before the attack, 99.9th percentile",
        |f| f.alone[2],
    ),
    field(
        "alone_max_ms",
        "alone max",
        Unit::Ms,
        "latency before the attack, the longest",
        |f| f.alone[3],
    ),
    field(
        "alone_per_s",
        "alone",
        Unit::PerSecond,
        "answers a second before the attack",
        |f| f.alone[4],
    ),
    field(
        "p50_ms",
        "p50",
        Unit::Ms,
        "latency while the attack lasts, median",
        |f| f.attacked[0],
    ),
    field(
        "p99_ms",
        "p99",
        Unit::Ms,
        "latency while the attack lasts, 99th percentile",
        |f| f.attacked[1],
    ),
    field(
        "p999_ms",
        "p99.9",
        Unit::Ms,
        "latency while the attack lasts, 99.9th percentile",
        |f| f.attacked[2],
    ),
    field(
        "max_ms",
        "max",
        Unit::Ms,
        "latency while the attack lasts, the longest",
        |f| f.attacked[3],
    ),
    field(
        "per_s",
        "answers",
        Unit::PerSecond,
        "answers a second while the attack lasts",
        |f| f.attacked[4],
    ),
    field(
        "recovery_p50_ms",
        "after p50",
        Unit::Ms,
        "latency after the attack, median",
        |f| f.recovery[0],
    ),
    field(
        "recovery_p99_ms",
        "after p99",
        Unit::Ms,
        "latency after the attack, 99th percentile",
        |f| f.recovery[1],
    ),
    field(
        "recovery_p999_ms",
        "after p99.9",
        Unit::Ms,
        "latency after the attack, 99.9th percentile",
        |f| f.recovery[2],
    ),
    field(
        "recovery_max_ms",
        "after max",
        Unit::Ms,
        "latency after the attack, the longest",
        |f| f.recovery[3],
    ),
    field(
        "recovery_per_s",
        "after",
        Unit::PerSecond,
        "answers a second after the attack",
        |f| f.recovery[4],
    ),
    field(
        "p99_times",
        "p99 × alone",
        Unit::Times,
        "p99 under attack over p99 alone",
        |f| f.times,
    ),
    field(
        "answered",
        "answered",
        Unit::Share,
        "requests due while the attack lasts that were answered in it",
        |f| f.answered,
    ),
    field(
        "isolation",
        "isolation",
        Unit::Share,
        "answers a second over those alone, mean over the attack's seconds",
        |f| f.isolation,
    ),
    field(
        "isolation_p01",
        "its worst",
        Unit::Share,
        "answers a second over those alone, 1st percentile of the attack's seconds",
        |f| f.isolation_p01,
    ),
    field(
        "harm_ms",
        "harm",
        Unit::Ms,
        "what all requests since the attack's start waited beyond what one takes alone, summed up",
        |f| f.harm,
    ),
    field(
        "of_oracle",
        "of the oracle",
        Unit::Share,
        "harm avoided over what the oracle avoids in the same round",
        |f| f.of_oracle,
    ),
    field(
        "detect_ms",
        "detected",
        Unit::Ms,
        "from the attack's start to the governor's first alarm or limit",
        |f| f.detect,
    ),
    field(
        "first_limit_ms",
        "first limit",
        Unit::Ms,
        "to the first limit on an attacker, or the first kill of one",
        |f| f.first_limit,
    ),
    field(
        "effective_limit_ms",
        "last limit",
        Unit::Ms,
        "to the last limit before the relief",
        |f| f.effective_limit,
    ),
    field(
        "relief_ms",
        "relief",
        Unit::Ms,
        "to the last request that took more than twice the p99 alone; none where that was in the attack's last second",
        |f| f.relief,
    ),
    field(
        "attackers_cpu_s",
        "attackers' CPU",
        Unit::Seconds,
        "CPU time that the attackers had",
        |f| f.attackers_cpu,
    ),
    field(
        "attackers_keep",
        "attackers keep",
        Unit::Share,
        "their part of the CPU time that the victims left",
        |f| f.keep,
    ),
    field(
        "attackers_memory",
        "attackers' memory",
        Unit::Bytes,
        "the most memory that they had",
        |f| f.memory,
    ),
    field(
        "attackers_tasks",
        "attackers' tasks",
        Unit::Count,
        "the most tasks that they had",
        |f| f.tasks,
    ),
    field(
        "precision",
        "precision",
        Unit::Share,
        "attackers among those that were held or killed",
        |f| f.precision,
    ),
    field(
        "recall",
        "recall",
        Unit::Share,
        "held or killed among the attackers",
        |f| f.recall,
    ),
    field(
        "wrong_s",
        "wrong",
        Unit::Seconds,
        "time in which an innocent group was held",
        |f| f.wrong,
    ),
    field(
        "hard_s",
        "held hard",
        Unit::Seconds,
        "time in which anybody was held by more than a weight",
        |f| f.hard,
    ),
    field(
        "turns",
        "turns",
        Unit::Count,
        "tightened again after loosening, while the attack lasted",
        |f| f.turns,
    ),
    field(
        "oom_kills",
        "OOM kills",
        Unit::Count,
        "kills by the kernel's OOM killer in the groups",
        |f| f.oom_kills,
    ),
    field(
        "deaths",
        "deaths",
        Unit::Count,
        "who ended before the harness wanted it",
        |f| f.deaths,
    ),
    field(
        "restored_ms",
        "given back",
        Unit::Ms,
        "from the attack's end until every knob stood as before; granularity 50 ms",
        |f| f.restored,
    ),
    field(
        "exact",
        "exact",
        Unit::Share,
        "whether every knob stood byte for byte as before, with the tool gone",
        |f| f.exact,
    ),
    field(
        "tool_cpu",
        "own CPU",
        Unit::Share,
        "CPU time of the tool over the time from the first request to the attack's end",
        |f| f.tool_cpu,
    ),
    field(
        "tool_rss",
        "own memory",
        Unit::Bytes,
        "the most memory that the tool's process had",
        |f| f.tool_rss,
    ),
    field(
        "tool_lateness_ms",
        "own lateness",
        Unit::Ms,
        "how late the governor's loop woke, 99th percentile",
        |f| f.tool_lateness,
    ),
    field(
        "harness_lateness_ms",
        "harness late",
        Unit::Ms,
        "how late the harness itself woke while the attack lasted, 99th percentile",
        |f| f.harness_lateness,
    ),
    field(
        "steal",
        "steal",
        Unit::Share,
        "CPU time that a hypervisor took while the attack lasted",
        |f| f.steal,
    ),
];

const fn field(
    name: &'static str,
    head: &'static str,
    unit: Unit,
    means: &'static str,
    get: fn(&Figures) -> Option<f64>,
) -> Field {
    Field {
        name,
        head,
        unit,
        means,
        get,
    }
}

/// The field of this name.
pub(crate) fn named(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// p50, p99, p99.9, the longest, and answers a second.
type Phase = [Option<f64>; 5];

/// The figures of one run. The latencies are those of the victim that was hit worst.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    alone: Phase,
    attacked: Phase,
    recovery: Phase,
    pub(super) times: Option<f64>,
    pub(super) answered: Option<f64>,
    isolation: Option<f64>,
    isolation_p01: Option<f64>,
    pub(super) harm: Option<f64>,
    pub(super) of_oracle: Option<f64>,
    detect: Option<f64>,
    first_limit: Option<f64>,
    effective_limit: Option<f64>,
    relief: Option<f64>,
    attackers_cpu: Option<f64>,
    keep: Option<f64>,
    memory: Option<f64>,
    tasks: Option<f64>,
    precision: Option<f64>,
    recall: Option<f64>,
    wrong: Option<f64>,
    pub(super) hard: Option<f64>,
    turns: Option<f64>,
    oom_kills: Option<f64>,
    deaths: Option<f64>,
    restored: Option<f64>,
    pub(super) exact: Option<f64>,
    tool_cpu: Option<f64>,
    tool_rss: Option<f64>,
    tool_lateness: Option<f64>,
    pub(super) harness_lateness: Option<f64>,
    pub(super) steal: Option<f64>,
}

impl Figures {
    /// Of this run of the scenario, on so many CPUs; all but what only other runs can tell.
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
        let killed = all.len() < scenario.victims.len();
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
            self.isolation =
                (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64);
            // Of less than a hundred seconds the 1st percentile is the worst.
            self.isolation_p01 = seconds.get(seconds.len() / 100).copied();
            self.relief = worst.relief();
        }
        self.harm = all
            .iter()
            .map(Lived::harm)
            .sum::<Option<f64>>()
            .filter(|_| !all.is_empty());
        if killed {
            // A dead victim answers nobody: no figure of the others can be better than that.
            self.attacked = [Some(f64::INFINITY); 5];
            self.attacked[4] = Some(0.0);
            (self.times, self.harm) = (Some(f64::INFINITY), Some(f64::INFINITY));
            (self.answered, self.isolation, self.isolation_p01) = (Some(0.0), Some(0.0), Some(0.0));
            self.relief = None;
        }
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
        self.exact = Some(f64::from(u8::from(ended && run.after == run.before)));
        self.restored = run
            .restored_us
            .map(|at_us| at_us.saturating_sub(run.attack_end_us) as f64 / 1e3);
        if let Some(tool) = &run.tool {
            self.tool_cpu = (tool.over_us > 0).then(|| tool.cpu_us as f64 / tool.over_us as f64);
            self.tool_rss = tool.rss.map(|bytes| bytes as f64);
            self.tool_lateness = tool.lateness_p99_ms;
        } else {
            self.restored = None;
        }
        let window = (run.attack_end_us - run.attack_us) as f64 * cpus as f64;
        self.steal = (window > 0.0).then(|| run.steal_us as f64 / window);
    }
}
