//! The one list of figures: tables, JSON, CSV and pages are made from it.

use super::figures::Figures;

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
        "throughput",
        "throughput",
        Unit::Share,
        "answers a second while the attack lasts over those alone",
        |f| f.throughput,
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
        "what all requests since the attack's start waited beyond what one takes alone (in the median over all runs), summed up",
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
        "interventions",
        "held",
        Unit::Count,
        "times in which a group was held without a gap",
        |f| Some(f64::from(f.interventions)),
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
        "tool_reads_writes_per_s",
        "own reads, writes",
        Unit::PerSecond,
        "system calls of the tool's process that read or write (syscr and syscw of its /proc/PID/io), over the \
         same time; the kernel counts no others without a tracer",
        |f| f.tool_reads_writes,
    ),
    field(
        "tool_switches_per_s",
        "own switches",
        Unit::PerSecond,
        "how often a thread of the tool's process left a CPU, by waiting or by force, over the same time",
        |f| f.tool_switches,
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
