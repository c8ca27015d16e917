//! What one tick read from the kernel: the brain's only view of the world besides the topology.

use super::{Bytes, GroupId, IoUse, Outcome, PerDevice, Reading, Span, Time};

/// One tick's readings. Counters are cumulative, exactly as the kernel gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// When the reading began.
    pub at: Time,
    /// The whole machine.
    pub host: HostSample,
    /// The containers (and protected services) that were read in this tick, in no given order.
    /// One that is not here was not read: its last values stand. And groups above them with a
    /// [limit of tasks](super::Topology::shared_limits) that only the host's root can write; of those nothing but
    /// the tasks is read.
    pub containers: Vec<ContainerSample>,
    /// What became of the changes of earlier steps.
    pub outcomes: Vec<Outcome>,
}

/// The whole machine's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostSample {
    /// CPUs that are online; at least 1.
    pub cpus: u32,
    /// Cumulative idle plus iowait time, summed over CPUs (`/proc/stat`).
    pub cpu_idle: Reading<Span>,
    /// Cumulative time in which they ran programs or the kernel for them (user, nice and system of `/proc/stat`): no interrupts, and none that a
    /// hypervisor took.
    #[serde(default = "super::unread")]
    pub cpu_busy: Reading<Span>,
    /// `MemTotal`.
    pub memory_total: Reading<Bytes>,
    /// `MemAvailable`: what can be had without swapping, as the kernel estimates it.
    pub memory_available: Reading<Bytes>,
    /// `MemFree`: what nobody uses, not even the page cache. Where it ends the kernel begins to take pages from somebody.
    #[serde(default = "super::unread")]
    pub memory_free: Reading<Bytes>,
    /// `SwapTotal`.
    pub swap_total: Reading<Bytes>,
    /// `SwapFree`.
    pub swap_free: Reading<Bytes>,
    /// Tasks that exist, threads included (the second number of the fourth field of `/proc/loadavg`).
    #[serde(default = "super::unread")]
    pub tasks: Reading<u64>,
    /// How many can exist: the lesser of `kernel.threads-max` and `kernel.pid_max`.
    #[serde(default = "super::unread")]
    pub tasks_max: Reading<u64>,
    /// What all do on devices: `io.stat` of the cgroup root, those on which most was done.
    #[serde(default = "super::unread")]
    pub io: Reading<PerDevice<IoUse>>,
}

/// One container's counters and levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContainerSample {
    /// Whose.
    pub id: GroupId,
    /// When this container's files were read: a sweep over many takes time.
    pub at: Time,
    /// `cpu.stat`.
    pub cpu: Reading<CpuUse>,
    /// `cpu.pressure`.
    pub cpu_stall: Reading<Stall>,
    /// `memory.current`, `memory.swap.current`.
    pub memory: Reading<MemoryUse>,
    /// `memory.pressure`.
    pub memory_stall: Reading<Stall>,
    /// `pids.current`: tasks, threads included.
    pub tasks: Reading<u64>,
    /// `io.stat`: the devices on which it has done most.
    #[serde(default = "super::unread")]
    pub io: Reading<PerDevice<IoUse>>,
    /// `io.pressure`.
    #[serde(default = "super::unread")]
    pub io_stall: Reading<Stall>,
    /// Whether some of its own tasks run in real time (SCHED_FIFO, SCHED_RR or SCHED_DEADLINE). `None` where nobody has
    /// looked: only those who matter are looked at, now and then.
    #[serde(default)]
    pub real_time: Option<bool>,
}

/// `cpu.stat`, cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CpuUse {
    /// CPU time used.
    pub usage: Span,
    /// Time spent throttled by a quota, *summed over CPUs*; zero without the cpu controller.
    pub throttled: Span,
}

/// `memory.*` levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemoryUse {
    /// `memory.current`.
    pub current: Bytes,
    /// `memory.swap.current`; zero where swap accounting is absent.
    pub swap: Bytes,
}

/// A PSI file's cumulative totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stall {
    /// Time in which at least one task waited.
    pub some: Span,
    /// Time in which all non-idle tasks waited.
    pub full: Span,
}

impl Default for HostSample {
    fn default() -> HostSample {
        HostSample {
            cpus: 1,
            cpu_idle: Err(super::Absent::NotRead),
            memory_total: Err(super::Absent::NotRead),
            memory_available: Err(super::Absent::NotRead),
            cpu_busy: Err(super::Absent::NotRead),
            memory_free: Err(super::Absent::NotRead),
            swap_total: Err(super::Absent::NotRead),
            swap_free: Err(super::Absent::NotRead),
            tasks: Err(super::Absent::NotRead),
            tasks_max: Err(super::Absent::NotRead),
            io: Err(super::Absent::NotRead),
        }
    }
}

impl ContainerSample {
    /// A sample in which nothing was read.
    #[must_use]
    pub const fn unread(id: GroupId, at: Time) -> ContainerSample {
        use super::Absent::NotRead;
        ContainerSample {
            id,
            at,
            cpu: Err(NotRead),
            cpu_stall: Err(NotRead),
            memory: Err(NotRead),
            memory_stall: Err(NotRead),
            tasks: Err(NotRead),
            io: Err(NotRead),
            io_stall: Err(NotRead),
            real_time: None,
        }
    }
}
