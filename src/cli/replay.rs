//! `governor replay`: a trace fed to the brain again, its story, and the difference to what was done.

#![allow(
    clippy::disallowed_methods,
    reason = "cli opens the traces that an operator names"
)]

use std::fs::File;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use super::term::{Screen, Sink, complain};
use crate::agent::PolicyFile;
use crate::model::{Policy, Replayed};
use crate::replay::Replayer;
use crate::report::{clean, json_line, replayed_text, told_text, what_if_text};
use crate::trace::{Damage, Reader};

/// The last line of the JSON form.
#[derive(serde::Serialize)]
struct End<'r> {
    kind: &'static str,
    #[serde(flatten)]
    replayed: &'r Replayed,
}

/// Replays these files as one trace, in their order.
pub(super) fn replay(
    traces: &[PathBuf],
    tried: Option<&Path>,
    json: bool,
) -> Result<Exit, Failure> {
    let tried: Vec<_> = tried.into_iter().map(policy).collect::<Result<_, _>>()?;
    let what_if = !tried.is_empty();
    let mut replayer = Replayer::what_if(tried);
    let mut out = Sink::default();
    let mut problem = None;
    for path in traces {
        let shown = clean(&path.display().to_string()).into_owned();
        let ended = open(path).and_then(|file| {
            let read = replayer.read(Reader::new(file), |told| {
                let line = if json { line(&told)? } else { told_text(&told) };
                out.put(&line)
            })?;
            read.map_or(Ok(()), |damage| Err(of_trace(&shown, &damage)))
        });
        if let Err(failure) = ended {
            // What was told so far stands before it.
            out.flush()?;
            complain(&failure.message);
            problem.get_or_insert(failure.exit);
        }
        if out.is_closed() {
            return Ok(Exit::Done);
        }
    }
    let mut rest = Vec::new();
    let replayed = replayer.finish(&mut rest);
    if replayed.extent.ticks == 0 {
        let nothing = || {
            Failure::new(
                Exit::Invalid,
                "there is nothing to replay: no sample was recorded",
            )
        };
        return problem.ok_or_else(nothing);
    }
    for told in rest {
        out.put(&if json { line(&told)? } else { told_text(&told) })?;
    }
    if json {
        out.put(&line(&End {
            kind: "end",
            replayed: &replayed,
        })?)?;
    } else {
        let screen = Screen::here();
        out.put(&format!(
            "\n{}",
            replayed_text(&replayed, screen.width, screen.paint)
        ))?;
        if what_if {
            out.put(&format!("\n{}", what_if_text()))?;
        }
    }
    out.flush()?;
    Ok(problem.unwrap_or_else(|| judged(&replayed, what_if)))
}

/// What the replay says about the trace: the record's own brain must decide as it did.
fn judged(replayed: &Replayed, what_if: bool) -> Exit {
    let agreement = &replayed.agreement;
    let different = agreement.different > 0 || agreement.checkpoints_different > 0;
    if different && !what_if {
        Exit::Failed
    } else if replayed.extent.damaged > 0 || (agreement.compared == 0 && !what_if) {
        Exit::Degraded
    } else {
        Exit::Done
    }
}

fn line(value: &impl serde::Serialize) -> Result<String, Failure> {
    json_line(value)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))
}

/// A policy to be tried, with its name.
pub(super) fn policy(path: &Path) -> Result<(String, Policy), Failure> {
    let loaded = PolicyFile::named(path).load()?;
    Ok((loaded.name, loaded.policy))
}

/// A trace to be read.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    let shown = path.display().to_string();
    let shown = clean(&shown);
    let failed = |error: std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            std::io::ErrorKind::NotFound => Exit::Invalid,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("cannot open the trace {shown}: {error}"))
    };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        let message = format!(
            "{shown} is a folder: name its traces, or try a policy on all of them with `governor simulate {shown} --policy FILE`"
        );
        return Err(Failure::new(Exit::Invalid, message));
    }
    Ok(file)
}

/// What ended a trace before its end.
pub(super) fn of_trace(shown: &str, damage: &Damage) -> Failure {
    let exit = match damage {
        Damage::Foreign | Damage::Newer { .. } => Exit::Invalid,
        Damage::Unreadable(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::Denied
        }
        Damage::Unreadable(_) | Damage::Skipped { .. } | Damage::Torn { .. } => Exit::Failed,
    };
    Failure::new(exit, format!("{shown}: {damage}"))
}
