//! The command line: arguments in, text and an exit code out. The daemon's work is in `agent`.

mod check;
mod direct;
mod doctor;
mod exit;
mod restore;
mod run;
mod status;
mod term;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
        /// Decide and tell, write nothing.
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
    /// Give everything back that is held, through the daemon or, where none runs, from its journal.
    Restore {
        #[command(flatten)]
        policy: PolicyArgs,
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
        Verb::Check { file } => check::check(&policy_file(file.as_deref())),
        Verb::Doctor { policy, json } => doctor::doctor(&policy, json),
        Verb::Restore { policy } => restore::restore(&policy),
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
