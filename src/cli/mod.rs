//! The command line: arguments in, text and an exit code out. The daemon's work is in `agent`.

mod bench;
mod check;
mod direct;
mod doctor;
mod events;
mod exit;
mod explain;
mod moment;
mod record;
mod recorded;
mod replay;
mod restore;
mod run;
mod simulate;
mod status;
mod term;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

use crate::agent::{Loaded, PolicyFile};

/// Keeps one container from starving its neighbours.
#[derive(Debug, Parser)]
#[command(name = "governor", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Govern this host until SIGTERM, then give everything back.
    Run {
        #[command(flatten)]
        policy: PolicyArgs,
        /// Decide and tell; write nothing, but give back what an earlier run left.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the containers, what is held and why; without a daemon, from one direct sample.
    Status {
        #[command(flatten)]
        policy: PolicyArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Explain one container: what it is and why, who harms it or whom it harms, what is held and why not
    /// of the others, and what would end that.
    Explain {
        /// Its name, its cgroup's path, the beginning of its id, or a protected service's unit.
        #[arg(value_name = "CONTAINER")]
        container: String,
        #[command(flatten)]
        place: explain::Where,
        #[command(flatten)]
        policy: PolicyArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what happened: alarms, limits and their proof, releases.
    Events {
        #[command(flatten)]
        wanted: events::Wanted,
        #[command(flatten)]
        policy: PolicyArgs,
    },
    /// Check a policy file and show every problem at once.
    Check {
        /// The file; without it, the one that `run` would take.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Tell whether this host can be governed, what will be degraded, and what helps.
    Doctor {
        #[command(flatten)]
        policy: PolicyArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Feed a trace to the brain again: its story, and whether the decisions are those that were made.
    #[command(
        long_about = "Feed a trace to the brain again, and tell its story: each event with the seconds since the \
        trace's start, and at the end whether the decisions are byte for byte those that were made.\n\n\
        With --policy the story is that of another policy: what it would have done (+) instead of what was done \
        (-). The recorded world does not react to it, so what it holds on paper only stays unjudged."
    )]
    Replay {
        /// The files of one trace, in their order.
        #[arg(value_name = "TRACE", required = true)]
        traces: Vec<PathBuf>,
        /// Try this policy in place of the recorded one.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Print JSON: one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Try policies on all traces of a folder, and compare what each would have done.
    Simulate {
        /// The folder; its *.gvt files are the traces.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// A policy to be tried; may be given several times.
        #[arg(long, value_name = "FILE", required = true)]
        policy: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write what a running governor sees and does to a file, as a trace, until Ctrl-C.
    Record {
        #[command(flatten)]
        policy: PolicyArgs,
        /// The folder of the file, which is named by the time.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// For how long: `90s`, `10m`.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        length: Option<Duration>,
        /// Replace all names of containers, so that the trace can be given away. (A file that an
        /// intervention left holds them, and is called by one.)
        #[arg(long)]
        hash_names: bool,
    },
    /// Give everything back that is held, through the daemon or, where none runs, from its journal.
    Restore {
        #[command(flatten)]
        policy: PolicyArgs,
        /// Give back only what a dead governor left; one that runs keeps what it holds.
        #[arg(long)]
        left_behind: bool,
    },
    /// Measure what noisy neighbours do with and without a governor: becomes `governor-bench`.
    #[command(disable_help_flag = true)]
    Bench {
        /// Its words; `--help` tells which.
        #[arg(
            value_name = "ARG",
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        words: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct PolicyArgs {
    /// The policy file; without it /etc/governor/governor.toml, then
    /// /usr/lib/governor/governor.toml, then what is built in.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl PolicyArgs {
    fn file(&self) -> PolicyFile {
        policy_file(self.config.as_deref())
    }

    /// The policy, or where it cannot be had, the built-in one with the reason: to ask a daemon
    /// that runs, or to give back, must not fail because the file was broken meanwhile.
    fn at_any_rate(&self) -> (Loaded, Option<String>) {
        match self.file().load() {
            Ok(loaded) => (loaded, None),
            Err(error) => {
                let why = format!("using the built-in socket and state folder: {error}");
                (Loaded::built_in(), Some(why))
            }
        }
    }
}

fn policy_file(named: Option<&Path>) -> PolicyFile {
    named.map_or_else(PolicyFile::usual, PolicyFile::named)
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match Cli::command().after_help(Exit::table()).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let outcome = match cli.verb {
        Verb::Run { policy, dry_run } => run::run(&policy, dry_run),
        Verb::Status { policy, json } => status::status(&policy, json),
        Verb::Explain {
            container,
            place,
            policy,
            json,
        } => explain::explain(&policy, &container, &place, json),
        Verb::Events { wanted, policy } => events::events(&policy, &wanted),
        Verb::Check { file } => check::check(&policy_file(file.as_deref())),
        Verb::Doctor { policy, json } => doctor::doctor(&policy, json),
        Verb::Replay {
            traces,
            policy,
            json,
        } => replay::replay(&traces, policy.as_deref(), json),
        Verb::Simulate { dir, policy, json } => simulate::simulate(&dir, &policy, json),
        Verb::Record {
            policy,
            out,
            length,
            hash_names,
        } => {
            let names = if hash_names {
                record::Names::Hashed
            } else {
                record::Names::Plain
            };
            record::record(&policy, &out, length, names)
        }
        Verb::Restore {
            policy,
            left_behind: true,
        } => restore::left_behind(&policy),
        Verb::Restore { policy, .. } => restore::restore(&policy),
        Verb::Bench { words } => bench::bench(&words),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            term::complain(&failure.message);
            failure.exit.into()
        }
    }
}

/// What clap has to say: help and version are no failures.
fn usage(error: &clap::Error) -> ExitCode {
    let said = error.print();
    if error.use_stderr() {
        Exit::Invalid.into()
    } else if said.is_err() {
        Exit::Failed.into()
    } else {
        Exit::Done.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
