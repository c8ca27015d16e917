//! A fork bomb: every process starts others until it is refused, and tries again.
//!
//! It refuses to explode where nothing bounds it: its own cgroup must have a `pids.max` that is at
//! most `--max`; but for `--unbounded`, which is for a machine that may be lost, or that has a small
//! `kernel.threads-max`. Each process knows the time at which all of them end.

use super::record::{now_us, span_us};
use super::span;
use std::process::Command;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Bomb {
    /// The largest `pids.max` of its own cgroup under which it starts.
    #[arg(long, required_unless_present = "unbounded", default_value_t = 0)]
    max: u64,
    /// Explode whatever bounds it.
    #[arg(long, conflicts_with = "max")]
    unbounded: bool,
    /// How long.
    #[arg(long = "for", value_parser = span)]
    run_for: Duration,
}

#[derive(clap::Args)]
pub(crate) struct Leaf {
    /// When to end, in microseconds of CLOCK_MONOTONIC.
    #[arg(long)]
    until: u64,
}

/// Explodes.
///
/// # Errors
/// Its own cgroup has no `pids.max`, or one above `--max`.
pub(crate) fn run(bomb: &Bomb) -> anyhow::Result<()> {
    let limit = if bomb.unbounded { 0 } else { own_pids_max()? };
    if limit > bomb.max {
        anyhow::bail!("pids.max is {limit}, more than --max {}", bomb.max);
    }
    let until = now_us() + span_us(bomb.run_for);
    leaf(&Leaf { until });
    Ok(())
}

/// One generation: starts children until the end, waiting a moment after each refusal.
pub(crate) fn leaf(leaf: &Leaf) {
    let mut children = Vec::new();
    while now_us() < leaf.until {
        let child = Command::new("/proc/self/exe")
            .args(super::before_the_load())
            .arg("forkbomb-leaf")
            .arg("--until")
            .arg(leaf.until.to_string())
            .spawn();
        match child {
            Ok(child) => children.push(child),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    for mut child in children {
        let _ = child.wait();
    }
}

fn own_pids_max() -> anyhow::Result<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup")?;
    let own = groups
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .ok_or_else(|| anyhow::anyhow!("not in a cgroup v2"))?;
    let file = format!("/sys/fs/cgroup{own}/pids.max");
    let limit = std::fs::read_to_string(&file).map_err(|e| anyhow::anyhow!("{file}: {e}"))?;
    limit
        .trim()
        .parse()
        .map_err(|_| anyhow::anyhow!("{file} is {:?}: no bound", limit.trim()))
}
