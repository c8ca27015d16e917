//! `governor run`: the daemon. Here is what must be right before it starts; the rest is `agent`'s.
#![allow(
    clippy::disallowed_methods,
    reason = "cli is the room that reads the environment"
)]

use std::io::IsTerminal;
use std::sync::Arc;

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use crate::agent::{LogStyle, Times, start_log};
use crate::host::{Survey, open_tree};
use crate::report::Paint;

/// The log's filter in the environment: `info`, `debug`, `governor::agent=trace`.
const FILTER: &str = "GOVERNOR_LOG";

pub(super) fn run(args: &PolicyArgs, dry_run: bool) -> Result<Exit, Failure> {
    let mut file = args.file();
    if dry_run {
        file = file.with_dry_run();
    }
    let loaded = Arc::new(file.load()?);
    let survey = Survey::take();
    let tree = open_tree(&survey, None, loaded.policy.mode)?;
    let _log = start_log(&log_style())
        .map_err(|error| Failure::new(Exit::Invalid, format!("{FILTER}: {error}")))?;
    crate::agent::run(survey, tree, file, loaded)?;
    Ok(Exit::Done)
}

/// The journal adds its own time; colours are for terminals.
fn log_style() -> LogStyle {
    let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    LogStyle {
        filter: std::env::var(FILTER).unwrap_or_else(|_| "info".to_owned()),
        times: if std::env::var_os("JOURNAL_STREAM").is_some() {
            Times::Left
        } else {
            Times::Shown
        },
        paint: if std::io::stderr().is_terminal() && !colourless {
            Paint::Colour
        } else {
            Paint::Plain
        },
    }
}
