//! What is told to people: plain snapshots, filled by the loop, rendered by `report`.

use super::{Limit, Mode, Resource, Role, Rung, Verdict, Who};

/// One answer of `governor status`. Times are seconds, shares fractions of 1, sizes bytes.
/// An absent value is `None`, and is shown as `-`.
///
/// Fields that a newer or older daemon does not send read as their defaults, so that a client of one
/// version can show the answer of another.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Status {
    /// What answered.
    pub header: Header,
    /// The containers, in the order of the tree.
    pub containers: Vec<ContainerView>,
    /// What is held now.
    pub limits: Vec<LimitView>,
}

/// The governor itself.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Header {
    /// `daemon`, or `direct sample` where no daemon answered.
    pub source: String,
    /// The governor's version.
    pub version: String,
    /// Whether knobs are written.
    pub mode: Mode,
    /// The policy file, or `built-in`.
    pub policy: String,
    /// Seconds since the policy was loaded.
    pub policy_age_s: f64,
    /// Seconds since the daemon started.
    pub uptime_s: f64,
    /// `quiet`, `watch` or `alert`.
    pub pace: String,
    /// The tick now, in milliseconds.
    pub interval_ms: f64,
    /// PSI triggers armed.
    pub doorbells: u32,
    /// Seconds since this snapshot was taken, when it was answered.
    pub age_s: f64,
    /// Samples taken since the start.
    pub ticks: u64,
    /// The governor's own CPU use as a fraction of one CPU, over its last seconds.
    pub own_cpu: Option<f64>,
    /// How late the loop woke, 50th percentile, milliseconds.
    pub lateness_p50_ms: Option<f64>,
    /// How late the loop woke, 99th percentile, milliseconds.
    pub lateness_p99_ms: Option<f64>,
    /// The worst lateness, milliseconds.
    pub lateness_max_ms: Option<f64>,
    /// What does not work here and what that costs, one sentence each.
    pub degraded: Vec<String>,
    /// Other programs that manage cgroups on this host.
    pub other_managers: Vec<String>,
    /// Writes that failed since the start.
    pub cannot_act: u64,
    /// Values of somebody else found in held knobs since the start.
    pub drifts: u64,
    /// Containers that were killed since the start.
    pub kills: u64,
}

/// One container (or protected service).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ContainerView {
    /// Name for people.
    pub name: String,
    /// Who made it; `service` for a service of the host.
    pub runtime: String,
    /// Path from the cgroup root, lossily.
    pub path: String,
    /// CPUs used (1.0 is one whole CPU).
    pub cpu: Option<f64>,
    /// Part of the time it was throttled by a quota (its own or ours), over the CPUs.
    pub throttled: Option<f64>,
    /// Part of the time in which some task waited for a CPU.
    pub psi_cpu: Option<f64>,
    /// Part of the time in which some task waited for memory.
    pub psi_memory: Option<f64>,
    /// `memory.current`.
    pub memory: Option<u64>,
    /// `memory.swap.current`.
    pub swap: Option<u64>,
    /// The least of `memory.high` and `memory.max`; in JSON a number or `"max"`.
    pub memory_limit: Option<Limit<u64>>,
    /// Tasks, threads included.
    pub pids: Option<u64>,
    /// `pids.max`; in JSON a number or `"max"`.
    pub pids_max: Option<Limit<u64>>,
    /// What it is now.
    pub role: Role,
    /// Why it has this role, one sentence.
    pub why: String,
    /// Seconds since it has this role.
    pub since_s: Option<f64>,
}

/// One knob that is held.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LimitView {
    /// The name of the one whose knob it is: the aggressor, or the victim where its own is raised.
    pub container: String,
    /// Its path from the cgroup root, lossily: names need not be unique.
    pub path: String,
    /// The lever's path, lossily: the container's own group or a slice above it.
    pub lever: String,
    /// The victim's name.
    pub victim: String,
    /// Of which resource.
    pub resource: Resource,
    /// Which rung.
    pub rung: Rung,
    /// The file.
    pub knob: String,
    /// What stood there before us.
    pub original: String,
    /// What stands there now.
    pub now: String,
    /// `proving`, `confirmed`, `unproven` or `releasing`.
    pub proof: String,
    /// Seconds since the first write.
    pub age_s: f64,
    /// Seconds until it is given back unless renewed.
    pub lease_s: f64,
}

/// One event, with names instead of identities.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct EventView {
    /// Its number among all of this run of the daemon, from 1 on: where one is missing, it was lost.
    /// 0 in a recording.
    pub seq: u64,
    /// When, in microseconds of the host's monotonic clock.
    pub at_us: u64,
    /// When, in microseconds since 1970 (UTC).
    pub wall_us: Option<i64>,
    /// `alarm`, `nobody-to-blame`, `tightened`, `loosened`, `proved`, `released`, `cannot-act`, `drift`.
    pub kind: String,
    /// Who is blamed or held.
    pub aggressor: Option<Who>,
    /// Who is harmed.
    pub victim: Option<Who>,
    /// In which resource.
    pub resource: Option<Resource>,
    /// The path of the cgroup whose knob is written, lossily.
    pub lever: Option<String>,
    /// The file.
    pub knob: Option<String>,
    /// What stood there before us.
    pub original: Option<String>,
    /// What it is set to.
    pub to: Option<String>,
    /// What an experiment brought.
    pub verdict: Option<Verdict>,
    /// Why nobody is blamed, or why nothing can be done.
    pub why: Option<String>,
    /// The victim's harm, a fraction of time over about half a second.
    pub harm: f64,
    /// Its harm before the intervention; 0 where there is none.
    pub harm_before: f64,
    /// Its own quiet baseline, a fraction of time.
    pub baseline: f64,
    /// Its harm summed up, in seconds.
    pub bucket_s: f64,
    /// The suspects, the most blamed first.
    pub suspects: Vec<EventSuspect>,
    /// All of this as one line of text, as in the log.
    pub text: String,
}

/// One suspect of an event.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct EventSuspect {
    /// Who.
    pub who: Who,
    /// Its part of all blame, a fraction of 1.
    pub blame: f64,
    /// What it takes: CPUs, or bytes a second of growth.
    pub usage: f64,
    /// What it may take while others want more, in the same unit.
    pub entitlement: f64,
}
