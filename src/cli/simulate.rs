//! `governor simulate`: what some policies would have done in all traces of a folder.

#![allow(
    clippy::disallowed_methods,
    reason = "cli lists the folder that an operator names"
)]

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use super::replay::{of_trace, open, policy};
use super::term::{Screen, complain, print, print_json};
use crate::model::{Policy, Simulated, SimulatedTrace};
use crate::replay::Replayer;
use crate::report::{clean, simulated_text};
use crate::trace::Reader;

/// How the name of a trace ends.
const ENDING: &str = "gvt";

pub(super) fn simulate(dir: &Path, policies: &[PathBuf], json: bool) -> Result<Exit, Failure> {
    let policies: Vec<_> = policies
        .iter()
        .map(|path| policy(path))
        .collect::<Result<_, _>>()?;
    let mut simulated = Simulated::default();
    let mut whole = true;
    let mut first = None;
    for path in traces(dir)? {
        let (trace, problem) = one(&path, &policies);
        whole &= problem.is_none() && trace.replayed.extent.damaged == 0;
        first = first.or(problem);
        simulated.add(trace);
    }
    if simulated.tallies.is_empty() {
        for trace in &simulated.traces {
            complain(trace.problem.as_deref().unwrap_or_default());
        }
        let message = format!(
            "nothing in {} could be replayed",
            clean(&dir.display().to_string())
        );
        // As `replay` of the same files ends.
        return Err(Failure::new(first.unwrap_or(Exit::Invalid), message));
    }
    if json {
        print_json(&simulated)?;
    } else {
        let screen = Screen::here();
        print(&simulated_text(&simulated, screen.width, screen.paint))?;
    }
    Ok(if whole { Exit::Done } else { Exit::Degraded })
}

/// With how `replay` of what could not be replayed of it would end.
fn one(path: &Path, policies: &[(String, Policy)]) -> (SimulatedTrace, Option<Exit>) {
    let shown = clean(&path.display().to_string()).into_owned();
    let mut replayer = Replayer::what_if(policies.to_vec());
    let read = open(path).map(|file| {
        let read = replayer.read(Reader::new(file), |_| Ok::<(), Infallible>(()));
        let Ok(damage) = read;
        damage.map(|damage| of_trace(&shown, &damage))
    });
    let problem = match read {
        Ok(ended) => ended,
        Err(failure) => Some(failure),
    };
    let exit = problem.as_ref().map(|failure| failure.exit);
    let trace = SimulatedTrace {
        problem: problem.map(|failure| failure.message),
        replayed: replayer.finish(&mut Vec::new()),
        file: shown,
    };
    (trace, exit)
}

/// The traces of a folder, in the order of their names.
fn traces(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = dir.display().to_string();
    let shown = clean(&shown);
    let failed = |error: std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Invalid,
        };
        Failure::new(exit, format!("cannot list the folder {shown}: {error}"))
    };
    let mut traces = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            traces.push(path);
        }
    }
    if traces.is_empty() {
        let message =
            format!("no trace (*.{ENDING}) in {shown}; `governor record --out {shown}` makes one");
        return Err(Failure::new(Exit::Invalid, message));
    }
    traces.sort();
    Ok(traces)
}
