//! `noisy`: the loads. Victims that measure what they suffer and hogs that make them suffer, one
//! subcommand each; for the kernel tests, the campaigns and the demo, never for a shipped package.
//!
//! Every load ends by itself (`--for`), whatever happens to its starter. A victim is an *open loop*:
//! a request's latency counts from the moment it was scheduled, so a stall is paid by every request
//! that it delays and not only by the one that met it. Victims print one JSON line ([`record`]) with
//! every request on CLOCK_MONOTONIC; percentiles are the reader's business, who knows the attack's
//! start.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a load lives on clocks, files, threads and standard output; it is no room of the daemon"
)]

mod bomb;
mod hog;
mod record;
mod victim;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Parser)]
#[command(name = "noisy", about = "Loads for the kernel tests and the demo")]
struct Cli {
    /// Enter this cgroup (its directory) before anything else.
    #[arg(long, global = true)]
    join: Option<PathBuf>,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Takes a resource and gives nothing.
    #[command(subcommand)]
    Hog(hog::Hog),
    /// Does steady work and measures how late it is.
    #[command(subcommand)]
    Victim(victim::Victim),
    /// Processes that start processes, where `pids.max` bounds them.
    Forkbomb(bomb::Bomb),
    /// One generation of a fork bomb.
    #[command(hide = true)]
    ForkbombLeaf(bomb::Leaf),
    /// Threads that spin for a moment, rest, and spin again.
    Burst(hog::Burst),
    /// Reads a file over and over: the page cache fills and is used.
    Cachewarm(hog::Cachewarm),
    /// Becomes another program, inside `--join`.
    Exec {
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(group) = &cli.join {
        join(group)?;
    }
    match cli.load {
        Load::Hog(hog) => {
            hog::run(&hog);
            Ok(())
        }
        Load::Victim(victim) => victim::run(&victim),
        Load::Forkbomb(bomb) => bomb::run(&bomb),
        Load::ForkbombLeaf(leaf) => {
            bomb::leaf(&leaf);
            Ok(())
        }
        Load::Burst(burst) => {
            hog::burst(&burst);
            Ok(())
        }
        Load::Cachewarm(warm) => hog::cachewarm(&warm),
        Load::Exec { command } => exec(&command),
    }
}

fn join(group: &Path) -> anyhow::Result<()> {
    let procs = group.join("cgroup.procs");
    std::fs::write(&procs, "0").map_err(|e| anyhow::anyhow!("enter {}: {e}", procs.display()))
}

fn exec(command: &[String]) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    let Some((program, arguments)) = command.split_first() else {
        anyhow::bail!("exec: no program");
    };
    let refused = std::process::Command::new(program).args(arguments).exec();
    anyhow::bail!("exec {program}: {refused}")
}

/// `"5ms"`, `"10s"`.
fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| e.to_string())
}

/// `"64MiB"`, in bytes.
fn size(text: &str) -> Result<usize, String> {
    let bytes: bytesize::ByteSize = text.parse()?;
    usize::try_from(bytes.as_u64()).map_err(|e| e.to_string())
}
