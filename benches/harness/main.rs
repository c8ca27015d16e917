//! `governor-bench`: noisy neighbours on real kernels, with and without somebody who helps.
//!
//!     scenarios (TOML) → runs → raw record (JSON lines) → figures → tables, JSON, CSV, a page
//!
//! Each step has its file or folder: [`scenario`] reads what is to happen, [`session`] interleaves the
//! runs, [`run`] plays one (with [`scene`], [`actor`], [`arm`], [`tool`], [`watch`], [`pulse`]),
//! [`record`] is what was seen, [`study`] makes figures of it, [`format`] shows them. The loads are
//! `benches/noisy`, inside this program: `governor-bench load`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own beside the daemon: it lives on clocks, files, processes and output"
)]

mod actor;
mod arm;
mod container;
mod format;
#[path = "../noisy/loads.rs"]
mod loads;
mod machine;
mod peer;
mod places;
mod porter;
mod pulse;
mod record;
mod run;
mod scenario;
mod scene;
mod session;
mod stop;
mod study;
mod tool;
mod watch;

use anyhow::Context;
use arm::Arm;
use clap::{Parser, Subcommand};
use container::{Containers, Runtime};
use session::{End, Order};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures what noisy neighbours do to a victim, and who helps against it.
#[derive(Parser)]
#[command(name = "governor-bench", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the scenarios.
    List(Scenarios),
    /// Run scenarios under several arms, and record everything (as root).
    Run(RunArgs),
    /// Make tables, JSON, CSV and one HTML page of records.
    Report {
        /// The records.
        #[arg(required = true, value_name = "RECORD")]
        records: Vec<PathBuf>,
        /// A folder for report.html, figures.json, figures.csv and latencies.hlog; without it only the
        /// table is printed.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print the catalogue of attacks as a table of Markdown instead.
        #[arg(long)]
        attacks: bool,
        /// Write the arms side by side instead, into this folder: a table of Markdown, and a picture for each machine.
        #[arg(long, value_name = "DIR", conflicts_with_all = ["attacks", "out"])]
        side_by_side: Option<PathBuf>,
        /// The folder of all scenarios, for the catalogue.
        #[arg(long, value_name = "DIR", default_value = "benches/scenarios")]
        scenarios: PathBuf,
        /// Fail where something that a scenario promises of the governor does not hold.
        #[arg(long)]
        strict: bool,
    },
    /// Compare two records: each figure of each arm, and by how much they differ.
    Compare {
        /// The first.
        a: PathBuf,
        /// The second.
        b: PathBuf,
        /// Fail where one of the main figures differs by more than this percentage.
        #[arg(long, value_name = "PERCENT")]
        within: Option<f64>,
    },
    /// Be one of the loads.
    Load(loads::Cli),
    /// Be the first process of a container.
    #[command(hide = true)]
    Porter {
        /// Where the harness listens.
        socket: PathBuf,
    },
}

#[derive(clap::Args)]
struct Scenarios {
    /// The scenarios' names; all if none is given.
    #[arg(value_name = "SCENARIO")]
    names: Vec<String>,
    /// Their folder.
    #[arg(long, value_name = "DIR", default_value = "benches/scenarios")]
    scenarios: PathBuf,
}

#[derive(clap::Args)]
struct RunArgs {
    #[command(flatten)]
    what: Scenarios,
    /// Rounds: in each, every arm has the same attack, whose phase differs from round to round.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// The arms.
    #[arg(long = "with", value_name = "ARM", value_enum, value_delimiter = ',',
        default_values_t = [Arm::None, Arm::Static, Arm::Governor, Arm::Oracle])]
    arms: Vec<Arm>,
    /// The governor's `runtime.budget`, as "5%"; the policy's default if absent.
    #[arg(long, value_name = "PART", value_parser = budget)]
    budget: Option<String>,
    /// Decides the attacks' phases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The record, which must not be there yet; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    /// The governor under test; the one beside this program if absent.
    #[arg(long, value_name = "FILE")]
    governor: Option<PathBuf>,
    /// Where loads may have files on a disk.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    data: PathBuf,
    /// A block device for loads that need one. WHAT IS ON IT IS LOST.
    #[arg(long, value_name = "DEVICE")]
    device: Option<PathBuf>,
    /// Trim the file system of --data before each run, and drop the page cache: what an earlier run left is not there, and a disk in memory
    /// gives back what was on it.
    #[arg(long)]
    afresh: bool,
    /// A device that is swap already made, for scenarios that need swap: it is on while they are played. Without it the host must have some.
    #[arg(long, value_name = "DEVICE")]
    swap: Option<PathBuf>,
    /// Put each victim and attacker into a container of this runtime, instead of a plain cgroup.
    #[arg(long, value_name = "RUNTIME", value_enum)]
    containers: Option<Runtime>,
    /// The containers' image, which must be there and have what the scenarios' programs need; the lab's is `lab`.
    #[arg(long, value_name = "IMAGE", default_value = "lab")]
    image: String,
}

fn main() -> ExitCode {
    if loads::is_brief() {
        return ExitCode::SUCCESS;
    }
    match run(Cli::parse().verb) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("governor-bench: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// As a shell tells it of a program that Ctrl-C ended.
const STOPPED: u8 = 130;

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List(what) => {
            let found = scenario::find::find(&what.scenarios, &what.names)?;
            print!("{}", format::list(&found));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Run(args) => measure(args),
        Verb::Report {
            records,
            out,
            attacks,
            side_by_side,
            scenarios,
            strict,
        } => {
            if let Some(folder) = side_by_side {
                write_all(&folder, format::side::files(&sessions(&records)?)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            if attacks {
                let known = scenario::find::find(&scenarios, &[])?;
                print!("{}", format::attacks::attacks(&sessions(&records)?, &known));
                return Ok(ExitCode::SUCCESS);
            }
            report(&records, out.as_deref(), strict)
        }
        Verb::Compare { a, b, within } => {
            let [a, b] = [a, b].map(|path| sessions(&[path]));
            let (text, differ) = format::compare::compare(&a?, &b?, within);
            print!("{text}");
            Ok(if differ {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
        Verb::Load(load) => {
            loads::run(load)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Porter { socket } => {
            porter::run(&socket)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the governor's own policy takes there, so that a wrong one is told before anything was played.
fn budget(text: &str) -> Result<String, String> {
    let part = text
        .strip_suffix('%')
        .and_then(|part| part.parse::<f64>().ok());
    match part {
        Some(0.1..=50.0) => Ok(text.to_owned()),
        _ => Err("it is between \"0.1%\" and \"50%\"".to_owned()),
    }
}

fn measure(args: RunArgs) -> anyhow::Result<ExitCode> {
    let scenarios = scenario::find::find(&args.what.scenarios, &args.what.names)?;
    if !rustix::process::geteuid().is_root() {
        anyhow::bail!("this needs root: it makes cgroups, and starts a governor");
    }
    stop::listen()?;
    let governor = match args.governor {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("governor"),
    };
    if args.arms.contains(&Arm::Governor) && !governor.exists() {
        anyhow::bail!(
            "no {}: name the governor with --governor",
            governor.display()
        );
    }
    // Nor may the kernel choose it where memory ends: the record would end, too.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
    let watch_a_slice = [Arm::SystemdOomd, Arm::Oomd];
    if args.containers.is_some() && args.arms.iter().any(|arm| watch_a_slice.contains(arm)) {
        anyhow::bail!(
            "systemd-oomd and oomd are told to watch one slice, and containers are in others: \
             leave out --containers or these arms"
        );
    }
    // Above those that are measured: what is late here is not theirs.
    let _ = rustix::process::setpriority_process(None, -20);
    let mut record = record::Writer::create(&args.record)?;
    let order = Order {
        progress: args.record.as_os_str() != "-",
        scenarios,
        arms: args.arms,
        rounds: args.rounds.max(1),
        setup: run::Setup {
            governor,
            data: args.data,
            device: args.device,
            swap: args.swap,
            afresh: args.afresh,
            containers: args.containers.map(|runtime| Containers {
                runtime,
                image: args.image,
            }),
            budget: args.budget,
            seed: args.seed,
        },
    };
    let end = session::go(&order, &mut record)?;
    if args.record.as_os_str() != "-" {
        report(&[args.record], None, false)?;
    }
    Ok(match end {
        End::Through { failed: 0 } => ExitCode::SUCCESS,
        End::Through { .. } => ExitCode::FAILURE,
        End::Stopped => ExitCode::from(STOPPED),
    })
}

fn sessions(records: &[PathBuf]) -> anyhow::Result<Vec<study::Session>> {
    let (lines, warnings) = record::read(records)?;
    for warning in warnings {
        eprintln!("governor-bench: {warning}");
    }
    study::sessions(lines)
}

fn write_all<N: AsRef<Path>>(folder: &Path, files: Vec<(N, String)>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn report(records: &[PathBuf], out: Option<&Path>, strict: bool) -> anyhow::Result<ExitCode> {
    let sessions = sessions(records)?;
    print!("{}", format::table::table(&sessions));
    if let Some(folder) = out {
        write_all(folder, format::files(&sessions)?)?;
    }
    let broken = sessions
        .iter()
        .flat_map(|session| &session.scenarios)
        .filter_map(study::Study::broken);
    let broken = broken.flatten().count()
        + sessions
            .iter()
            .map(|session| session.failed.len())
            .sum::<usize>();
    Ok(if strict && broken > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
