//! The command line: arguments in, text and an exit code out. The daemon's work is in `agent`.

mod check;
mod exit;

mod term;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

use crate::agent::PolicyFile;

/// Keeps one container from starving its neighbours.
#[derive(Debug, Parser)]
#[command(name = "governor", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check a policy file and show every problem at once.
    Check {
        /// The file; without it, the one that `run` would take.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
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
        Verb::Check { file } => check::check(&policy_file(file.as_deref())),
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
