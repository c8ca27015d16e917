//! The validated policy: what the operator wants. Made by `config` from TOML, used by `policy`,
//! `host` and `agent`. Every field's default is the shipped file's.

use super::{Bytes, Resource, Runtime, Share, Span, Weight};

/// Everything that an operator can set.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `mode`.
    pub mode: Mode,
    /// `[detect]`.
    pub detect: DetectPolicy,
    /// `[cpu]`.
    pub cpu: CpuPolicy,
    /// `[memory]`.
    pub memory: MemoryPolicy,
    /// `[pids]`.
    pub pids: PidsPolicy,
    /// `[io]`.
    pub io: IoPolicy,
    /// `[release]`.
    pub release: ReleasePolicy,
    /// `[runtime]`.
    pub runtime: RuntimePolicy,
    /// `[record]`.
    pub record: RecordPolicy,
    /// `[protect]`: containers and services that are never held, and whose harm is measured.
    pub protect: Vec<Matcher>,
    /// `[containers]`: further cgroups that are containers, by path glob.
    pub containers: Vec<String>,
}

/// Whether knobs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide and act.
    #[default]
    Enforce,
    /// Decide and tell; write nothing, but give back what an earlier run left.
    DryRun,
}

/// What is done about a held knob that somebody else wrote to a third value, neither ours nor the
/// original. (The original itself is set again in all of them, a bounded number of times.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// Their value stands and is the original from then on; what is held is decided anew.
    #[default]
    Yield,
    /// Ours is set again, a bounded number of times; their value is what goes back in the end.
    Reassert,
    /// Their value stands and is told; the container is not looked at first for a while.
    Alert,
}

/// `[detect]`: when stall is harm, and when harm is an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectPolicy {
    /// `tolerance`: harm per time that drains from the bucket (the `k` of the CUSUM).
    pub tolerance: Share,
    /// `bucket`: summed harm over tolerance that raises the alarm (the `B`).
    pub bucket: Span,
    /// `baseline`: the quiet stall taken for a container that has no history.
    pub baseline: Share,
    /// `baseline_max`: no learned baseline counts for more than this.
    pub baseline_max: Share,
    /// `margin`: how many times the next suspect's blame the most blamed must have.
    pub margin: f64,
    /// `verify`: how long a CPU step has to show relief. Steps on memory and on devices have five times as long.
    pub verify: Span,
    /// `relief`: the fall of harm, as a fraction of what it was, that counts as relief.
    pub relief: Share,
    /// `exonerate`: how long one that was wrongly held is not looked at first.
    pub exonerate: Span,
}

/// `[cpu]`: the CPU ladder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuPolicy {
    /// `enforce`: false watches and tells only.
    pub enforce: bool,
    /// `guarantee`: the part of its entitlement that the first weight guarantees the held one.
    pub guarantee: Share,
    /// `weight_floor`: no weight under this is written.
    pub weight_floor: Weight,
    /// `idle`: whether the `cpu.idle` rung may be used after weight.
    pub idle: bool,
    /// `cap`: whether `cpu.max` may be used where no weight reaches.
    pub cap: bool,
    /// `freeze`: whether one whose tasks run in real time, and obey no other rung, may be frozen in pulses.
    pub freeze: bool,
    /// `cap_floor`: no quota under this many CPUs is written. Times `cap_period` it is at least
    /// 1 ms, the least quota that the kernel takes.
    pub cap_floor: f64,
    /// `on_behalf`: whether one that takes no more than it may is capped for what the host does on its behalf.
    pub on_behalf: bool,
    /// `on_behalf_floor`: no quota under this many CPUs is written for that. It may be less than `cap_floor`.
    pub on_behalf_floor: f64,
    /// `cap_period`: the period of a quota, where the original has none.
    pub cap_period: Span,
    /// `demand_max`: the most of the host that one container's established demand may claim.
    pub demand_max: Share,
}

/// `[memory]`: the memory ladder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPolicy {
    /// `enforce`: false watches and tells only.
    pub enforce: bool,
    /// `reserve`: when MemAvailable falls under this part of RAM while a container grows over its
    /// entitlement, that counts as harm before anybody stalls.
    pub reserve: Share,
    /// `floor`: no `memory.high` under this is written.
    pub floor: Bytes,
    /// `swap`: whether `memory.swap.max` may be used.
    pub swap: bool,
    /// `kill`: whether one that takes the last memory in spite of its limits is killed.
    pub kill: bool,
    /// `kill_within`: it is, when memory and swap are at their end in this time.
    pub kill_within: Span,
}

/// `[pids]`: the ladder of tasks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PidsPolicy {
    /// `enforce`: false watches and tells only.
    pub enforce: bool,
    /// `reserve`: the part of the tasks that the host can have which is kept free. Containers that grow so
    /// fast that less would be left in twenty seconds are harm.
    pub reserve: Share,
    /// `floor`: no `pids.max` under this is written, or under an equal part of what the host can have where
    /// that is less.
    pub floor: u32,
    /// `kill`: whether one that has taken all tasks, and is clamped, is killed.
    pub kill: bool,
}

/// `[io]`: the ladder of block devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IoPolicy {
    /// `enforce`: false watches and tells only.
    pub enforce: bool,
    /// `floor`: no limit of bytes in a second under this is written.
    pub floor: Bytes,
    /// `floor_operations`: no limit of operations in a second under this is written.
    pub floor_operations: u32,
}

/// `[release]`: how limits are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleasePolicy {
    /// `quiet`: how long victims must be quiet before the first step back.
    pub quiet: Span,
    /// `hold`: the least time a limit stands; doubles for repeat offenders, and decays.
    pub hold: Span,
    /// `hold_max`: what the doubling ends at.
    pub hold_max: Span,
    /// `step`: the time between two steps back.
    pub step: Span,
    /// `lease`: a limit that is not renewed for this long is given back.
    pub lease: Span,
    /// `escape`: how long a hard cap stands before it is given a trial release.
    pub escape: Span,
    /// `others`: what is done about a held knob that somebody else wrote.
    pub others: Others,
}

/// `[runtime]`: the governor itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimePolicy {
    /// `budget`: the part of one CPU that the governor may use in the mean.
    pub budget: Share,
    /// `socket`: where `governor status` asks.
    pub socket: String,
    /// `state`: the folder of the journal; should be on a tmpfs.
    pub state: String,
    /// `rescan`: the time in which every group is listed again, in turns, whatever inotify told.
    pub rescan: Span,
    /// `docker`: sockets of Docker-compatible APIs for names, tried in turn; may be empty.
    pub docker: Vec<String>,
}

/// `[record]`: what is kept of the recent past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPolicy {
    /// `enabled`: whether the recent past is kept at all.
    pub enabled: bool,
    /// `keep`: how much of it.
    pub keep: Span,
    /// `size`: and how many bytes at most.
    pub size: Bytes,
    /// `incidents`: the folder of one file for each intervention; empty for none.
    pub incidents: String,
    /// `incidents_max`: how many of them; at least 1.
    pub incidents_max: u32,
}

/// One `[[protect]]` entry: all fields that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Glob over the name.
    pub name: Option<String>,
    /// Glob over the cgroup path.
    pub path: Option<String>,
    /// The runtime.
    pub runtime: Option<Runtime>,
}

impl Default for Policy {
    fn default() -> Policy {
        let path = |glob: &str| Matcher {
            path: Some(glob.to_owned()),
            ..Matcher::default()
        };
        Policy {
            mode: Mode::Enforce,
            detect: DetectPolicy {
                tolerance: Share::new(0.02),
                bucket: Span::from_millis(8),
                baseline: Share::new(0.005),
                baseline_max: Share::new(0.05),
                margin: 1.5,
                verify: Span::from_millis(400),
                relief: Share::new(0.25),
                exonerate: Span::from_secs(10),
            },
            cpu: CpuPolicy {
                enforce: true,
                guarantee: Share::new(0.4),
                weight_floor: Weight::MIN,
                idle: false,
                cap: true,
                freeze: true,
                cap_floor: 0.1,
                on_behalf: true,
                on_behalf_floor: 0.001,
                cap_period: Span::from_millis(10),
                demand_max: Share::new(0.9),
            },
            memory: MemoryPolicy {
                enforce: true,
                reserve: Share::new(0.08),
                floor: Bytes::from_mib(64),
                swap: true,
                kill: false,
                kill_within: Span::from_secs(3),
            },
            pids: PidsPolicy {
                enforce: true,
                reserve: Share::new(0.1),
                floor: 1_024,
                kill: false,
            },
            io: IoPolicy {
                enforce: true,
                floor: Bytes::from_mib(1),
                floor_operations: 16,
            },
            release: ReleasePolicy {
                quiet: Span::from_secs(2),
                hold: Span::from_secs(2),
                hold_max: Span::from_secs(300),
                step: Span::from_millis(500),
                lease: Span::from_secs(30),
                escape: Span::from_secs(10),
                others: Others::Yield,
            },
            runtime: RuntimePolicy {
                budget: Share::new(0.01),
                socket: "/run/governor/governor.sock".to_owned(),
                state: "/run/governor".to_owned(),
                rescan: Span::from_secs(10),
                docker: vec![
                    "/run/docker.sock".to_owned(),
                    "/run/podman/podman.sock".to_owned(),
                ],
            },
            record: RecordPolicy {
                enabled: true,
                keep: Span::from_secs(300),
                size: Bytes::from_mib(16),
                incidents: "/var/lib/governor/incidents".to_owned(),
                incidents_max: 20,
            },
            protect: [
                "/init.scope",
                "/system.slice/ssh*.service",
                "/system.slice/systemd-*.service",
                "/system.slice/dbus*.service",
                "/system.slice/docker.service",
                "/system.slice/containerd.service",
                "/system.slice/crio.service",
                "/system.slice/podman.service",
                "/system.slice/kubelet.service",
                "/system.slice/k3s*.service",
                "/system.slice/governor.service",
            ]
            .into_iter()
            .map(path)
            .collect(),
            containers: Vec::new(),
        }
    }
}

impl Policy {
    /// Whether knobs of this resource may be written.
    #[must_use]
    pub const fn enforces(&self, resource: Resource) -> bool {
        match resource {
            Resource::Cpu => self.cpu.enforce,
            Resource::Memory => self.memory.enforce,
            Resource::Pids => self.pids.enforce,
            Resource::Io => self.io.enforce,
        }
    }

    /// Whether one that a limit of this resource does not stop may be killed.
    #[must_use]
    pub const fn kills(&self, resource: Resource) -> bool {
        match resource {
            Resource::Cpu | Resource::Io => false,
            Resource::Memory => self.memory.kill,
            Resource::Pids => self.pids.kill,
        }
    }

    /// The summed harm of this resource that raises an alarm. How long a device takes varies by itself, so
    /// that it takes four times as much there.
    #[must_use]
    pub fn bucket(&self, resource: Resource) -> Span {
        match resource {
            Resource::Cpu | Resource::Memory | Resource::Pids => self.detect.bucket,
            Resource::Io => self.detect.bucket.scaled(4.0),
        }
    }
}
