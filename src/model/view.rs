//! What is told to people: plain snapshots, filled by the loop, rendered by `report`.

use super::{Limit, Mode, Resource, Role, Rung};

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
    /// The aggressor's name.
    pub container: String,
    /// The aggressor's path from the cgroup root, lossily: names need not be unique.
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
