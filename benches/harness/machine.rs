//! Where a record was made.

use crate::run::Setup;
use anyhow::Context;
use procfs::{Current, CurrentSI};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The facts that figures depend on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The harness's version.
    pub(crate) version: String,
    /// The kernel's release and version.
    pub(crate) kernel: String,
    /// What the processor calls itself.
    pub(crate) cpu: String,
    /// How many CPUs are on.
    pub(crate) cpus: usize,
    /// RAM, bytes.
    pub(crate) memory: u64,
    /// Swap, bytes.
    pub(crate) swap: u64,
    /// The lab's clock and emulator, `virtual tcg`; empty on a host of its own.
    pub(crate) lab: String,
    /// The containers' runtime and image; empty where the groups are plain.
    #[serde(default)]
    pub(crate) containers: String,
    /// The governor's `runtime.budget`; empty where it is the default.
    #[serde(default)]
    pub(crate) budget: String,
    /// Seconds since 1970.
    pub(crate) wall_s: u64,
    /// The seed of this call, which the scenarios' own are mixed with.
    pub(crate) seed: u64,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// `/proc` cannot be read, or the containers' runtime is missing.
    pub(crate) fn here(setup: &Setup) -> anyhow::Result<Machine> {
        let name = rustix::system::uname();
        let words = [name.release(), name.version()];
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let cpus = procfs::CpuInfo::current().context("/proc/cpuinfo")?;
        let memory = procfs::Meminfo::current().context("/proc/meminfo")?;
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Ok(Machine {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: words.join(" "),
            cpu: cpus.model_name(0).unwrap_or("unknown").to_owned(),
            cpus: cpus.num_cores(),
            memory: memory.mem_total,
            swap: memory.swap_total,
            lab: ["LAB_CLOCK", "LAB_ACCEL"]
                .into_iter()
                .filter_map(|name| std::env::var(name).ok())
                .collect::<Vec<_>>()
                .join(" "),
            containers: match &setup.containers {
                Some(containers) => containers.line()?,
                None => String::new(),
            },
            budget: setup.budget.clone().unwrap_or_default(),
            wall_s: wall.map_or(0, |wall| wall.as_secs()),
            seed: setup.seed,
        })
    }

    /// Whether figures of both may be put together.
    pub(crate) fn is_like(&self, other: &Machine) -> bool {
        let other = Machine {
            wall_s: self.wall_s,
            seed: self.seed,
            ..other.clone()
        };
        *self == other
    }

    /// In one line, for people.
    pub(crate) fn line(&self) -> String {
        let lab = match self.lab.as_str() {
            "" => String::new(),
            lab => format!(", in the lab ({lab})"),
        };
        let containers = match self.containers.as_str() {
            "" => String::new(),
            how => format!(", in containers ({how})"),
        };
        let budget = match self.budget.as_str() {
            "" => String::new(),
            part => format!(", the governor may use {part} of a CPU"),
        };
        let release = self.kernel.split(' ').next().unwrap_or_default();
        format!(
            "Linux {release}, {} × {}, {} MiB of RAM, {} MiB of swap{lab}{containers}{budget}",
            self.cpus,
            self.cpu,
            self.memory >> 20,
            self.swap >> 20
        )
    }
}

/// CPU time that a hypervisor has taken from this host since boot, microseconds; 0 where none is counted.
pub(crate) fn steal_us() -> u64 {
    let stat = procfs::KernelStats::current();
    stat.ok()
        .and_then(|stat| stat.total.steal_ms())
        .unwrap_or(0)
        * 1_000
}

/// Swap that is on as long as this lives.
pub(crate) struct Swap(Option<PathBuf>);

impl Swap {
    /// On this device, which is swap already made; without one the host must have some.
    ///
    /// # Errors
    /// There is none, or it cannot be turned on.
    pub(crate) fn on(device: Option<&Path>) -> anyhow::Result<Swap> {
        let Some(device) = device else {
            let areas = std::fs::read_to_string("/proc/swaps").context("/proc/swaps")?;
            anyhow::ensure!(
                areas.lines().count() > 1,
                "this scenario needs swap, and the host has none: name a device with --swap"
            );
            return Ok(Swap(None));
        };
        on("swapon", device)?;
        Ok(Swap(Some(device.to_owned())))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if let Some(device) = &self.0
            && let Err(why) = on("swapoff", device)
        {
            eprintln!("governor-bench: {why:#}");
        }
    }
}

/// Gives back what earlier runs left in memory: page cache, and what was on a disk in memory.
///
/// # Errors
/// The file system cannot be trimmed, or the cache not dropped.
pub(crate) fn forget(data: &Path) -> anyhow::Result<()> {
    const DROP: &str = "/proc/sys/vm/drop_caches";
    rustix::fs::sync();
    on("fstrim", data)?;
    std::fs::write(DROP, "3").context(DROP)
}

/// Runs a program of the host's on a device or a folder.
///
/// # Errors
/// It is not there, or failed.
fn on(program: &str, path: &Path) -> anyhow::Result<()> {
    let ended = Command::new(program).arg(path).status();
    let ended = ended.with_context(|| format!("run {program}"))?;
    anyhow::ensure!(ended.success(), "{program} {}: {ended}", path.display());
    Ok(())
}

/// Holds the host to few tasks for as long as this is alive, so that what is tried is tried on a small
/// host, wherever it is.
pub(crate) struct SmallHost {
    before: String,
}

/// The most tasks that the host may have.
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

impl SmallHost {
    /// With room for so many tasks more than there are.
    ///
    /// # Errors
    /// The limit cannot be read or written.
    pub(crate) fn with_room_for(more: u64) -> anyhow::Result<SmallHost> {
        let before = std::fs::read_to_string(THREADS_MAX).context(THREADS_MAX)?;
        let load = std::fs::read("/proc/loadavg").context("/proc/loadavg")?;
        let now = governor::kernel::loadavg::tasks(&load);
        let now = now.map_err(|why| anyhow::anyhow!("/proc/loadavg: {why:?}"))?;
        std::fs::write(THREADS_MAX, (now + more).to_string()).context(THREADS_MAX)?;
        Ok(SmallHost { before })
    }
}

impl Drop for SmallHost {
    fn drop(&mut self) {
        let _ = std::fs::write(THREADS_MAX, &self.before);
    }
}
