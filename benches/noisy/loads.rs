//! The loads: victims that measure what they suffer and hogs that make them suffer, one subcommand each.
//!
//! Every load ends by itself (`--for`), whatever happens to its starter. A victim is an *open loop*:
//! a request's latency counts from the moment it was scheduled, so a stall is paid by every request
//! that it delays and not only by the one that met it. Victims print one JSON line ([`record`]) with
//! every request on CLOCK_MONOTONIC; percentiles are the reader's business, who knows the attack's
//! start.
#[path = "benign.rs"]
mod benign;
#[path = "bomb.rs"]
mod bomb;
#[path = "disk.rs"]
mod disk;
#[path = "evasion.rs"]
mod evasion;
#[path = "hog.rs"]
mod hog;
#[path = "real_time.rs"]
mod real_time;
#[path = "record.rs"]
pub(crate) mod record;
#[path = "rewriter.rs"]
mod rewriter;
#[cfg(feature = "bench")]
#[path = "served.rs"]
mod served;
#[path = "storm.rs"]
mod storm;
#[path = "victim.rs"]
mod victim;
#[path = "watcher.rs"]
mod watcher;

use clap::{Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A load's command line.
#[derive(Parser)]
#[command(name = "noisy", about = "Loads: victims that measure, and hogs")]
pub(crate) struct Cli {
    /// Enter this cgroup (its directory) before anything else.
    #[arg(long, global = true)]
    join: Option<PathBuf>,
    /// End when the starter does, as by SIGTERM; kept by what `exec` becomes.
    #[arg(long, global = true)]
    leash: bool,
    /// Be a real-time one (SCHED_FIFO) of this priority.
    #[arg(long, global = true, value_name = "PRIORITY")]
    real_time: Option<i32>,
    /// Then wait until this moment, in microseconds of CLOCK_MONOTONIC.
    #[arg(long, global = true)]
    at: Option<u64>,
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
    /// Reads and writes block devices and files.
    #[command(subcommand)]
    Disk(disk::Disk),
    /// Takes in ways of its own.
    #[command(subcommand)]
    Storm(storm::Storm),
    /// Takes, and hides it.
    #[command(subcommand)]
    Evasion(evasion::Evasion),
    /// Takes, and attacks who watches.
    #[command(subcommand)]
    Watcher(watcher::Watcher),
    /// Only looks like an attack.
    #[command(subcommand)]
    Benign(benign::Benign),
    /// Writes one value to a file again and again, as managers of cgroups do.
    Rewriter(rewriter::Rewriter),
    /// Ends at once.
    #[command(hide = true)]
    Nothing,
    /// Becomes another program, inside `--join`.
    Exec {
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// Runs the load to its end.
///
/// # Errors
/// It cannot enter its cgroup, or what it works with failed.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    if let Some(group) = &cli.join {
        join(group)?;
    }
    if cli.leash {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        // The starter may be spared where memory ends; a load is not.
        let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    }
    if let Some(priority) = cli.real_time {
        real_time::fifo(priority)?;
    }
    if let Some(at) = cli.at {
        record::sleep_until(at);
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
        Load::Disk(disk) => disk::run(&disk),
        Load::Storm(storm) => storm::run(&storm),
        Load::Evasion(evasion) => evasion::run(&evasion),
        Load::Watcher(watcher) => watcher::run(&watcher),
        Load::Benign(benign) => benign::run(&benign),
        Load::Rewriter(rewriter) => rewriter::run(&rewriter),
        Load::Nothing => Ok(()),
        Load::Exec { command } => exec(&command),
    }
}

/// A shell's exit code for a program that is not there.
pub(crate) const NOT_FOUND: i32 = 127;

/// The word of a process that a victim starts and waits for.
const BRIEF: &str = "a-process-that-has-nothing-to-do";

/// Whether this is such a process, and has nothing to do. It is asked before the command line is read as a person's, which takes an
/// emulated machine longer than the process itself (seen: 145 ms with it, 57 without), and a victim is to wait for the host alone. What attackers start by the thousand is
/// not made so cheap: emulators take long for many short processes.
pub(crate) fn is_brief() -> bool {
    std::env::args_os().nth(1).is_some_and(|word| word == BRIEF)
}

/// Starts this program with these words, and waits for its end.
fn start_and_end<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> std::io::Result<()> {
    let child = Command::new("/proc/self/exe").args(words).spawn();
    child?.wait().map(drop)
}

/// The word before a load's own: none in `noisy`, `load` in `governor-bench`.
fn before_the_load() -> Option<OsString> {
    std::env::args_os().nth(1).filter(|word| word == "load")
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
    let refused = Command::new(program).args(arguments).exec();
    if refused.kind() == std::io::ErrorKind::NotFound {
        eprintln!("{program}: not found");
        std::process::exit(NOT_FOUND);
    }
    anyhow::bail!("exec {program}: {refused}")
}

/// Does one thing on so many threads, until all of them have ended.
///
/// # Errors
/// One of them failed.
fn at_once(threads: u64, one: impl Fn(u64) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let one = &one;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || one(thread)))
            .collect();
        for thread in running {
            match thread.join() {
                Ok(ended) => ended?,
                Err(_) => anyhow::bail!("a thread died"),
            }
        }
        Ok(())
    })
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
