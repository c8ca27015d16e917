//! What was recorded, where no daemon is asked: the files that an operator names, or the flight
//! recorder's segments.
#![allow(
    clippy::disallowed_methods,
    reason = "cli lists the flight recorder's folder"
)]

use std::fs::File;
use std::path::{Path, PathBuf};

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use super::moment::Moment;
use super::replay::{of_trace, open};
use super::term::complain;
use crate::host::HostClock;
use crate::model::{Explained, Time};
use crate::replay::{Looked, Notes, Replayer};
use crate::report::{clean, moment};
use crate::trace::{Frame, Reader, Start};

/// What a trace's file is called.
const SUFFIX: &str = "gvt";

/// A recording: its files in their order.
pub(super) struct Recorded {
    files: Vec<PathBuf>,
    /// Whether they are the flight recorder's, of which the oldest may go at any time.
    is_ring: bool,
}

impl Recorded {
    /// The files that were named or, where none were, the flight recorder's.
    pub(super) fn find(args: &PolicyArgs, named: &[PathBuf]) -> Result<Recorded, Failure> {
        if !named.is_empty() {
            return Ok(Recorded {
                files: named.to_vec(),
                is_ring: false,
            });
        }
        let (loaded, _) = args.at_any_rate();
        let folder = Path::new(&loaded.policy.runtime.state).join("trace");
        let files = segments(&folder)?;
        if files.is_empty() {
            let folder = folder.display().to_string();
            let message = format!(
                "nothing is recorded in {}; name a recording with --trace",
                clean(&folder)
            );
            return Err(Failure::new(Exit::Failed, message));
        }
        Ok(Recorded {
            files,
            is_ring: true,
        })
    }

    /// In microseconds since 1970; what is told as so long ago counts from now or, in a recording that
    /// was named, from its end.
    pub(super) fn wall_us(&self, at: Moment) -> Result<i64, Failure> {
        let now = i64::try_from(HostClock.wall_micros()).unwrap_or(i64::MAX);
        Ok(match at {
            Moment::At(_) => at.wall_us(now),
            Moment::Ago(_) if self.is_ring => at.wall_us(now),
            Moment::Ago(_) => at.wall_us(self.end()?),
        })
    }

    /// The last sample's time of day.
    fn end(&self) -> Result<i64, Failure> {
        let mut end = None;
        self.each(|file, _| {
            let mut start = None;
            for frame in Reader::new(file) {
                match frame {
                    Ok(Frame::Start(found)) => start = Some(found),
                    Ok(Frame::Tick(sample)) => end = wall_of(start.as_ref(), sample.at).or(end),
                    Ok(_) => {}
                    Err(damage) if damage.is_final() => break,
                    Err(_) => {}
                }
            }
            true
        })?;
        end.ok_or_else(nothing)
    }

    /// Opens each file, and goes on while `read` says so.
    pub(super) fn each(&self, mut read: impl FnMut(File, &str) -> bool) -> Result<(), Failure> {
        for path in &self.files {
            let file = match open(path) {
                Ok(file) => file,
                // The recorder has just removed it: what is next begins anew.
                Err(_) if self.is_ring && !path.exists() => continue,
                Err(failure) => return Err(failure),
            };
            if !read(file, &clean(&path.display().to_string())) {
                break;
            }
        }
        Ok(())
    }

    /// The container that is called so as it was at this moment; `None`: at the recording's end. With what
    /// makes that doubtful, which was told.
    pub(super) fn explain(
        &self,
        container: &str,
        at: Option<Moment>,
    ) -> Result<(Explained, Notes), Failure> {
        let until = at.map(|at| self.wall_us(at)).transpose()?;
        let mut replayer = Replayer::identity();
        let mut notes = Notes::default();
        let mut ended = Ok(());
        self.each(
            |file, shown| match replayer.look(Reader::new(file), until, &mut notes) {
                Ok(Looked::Ended) => true,
                Ok(Looked::There) => false,
                Ok(Looked::Later(begins)) => {
                    let message = format!(
                        "{shown} begins at {}, after the moment that is asked for",
                        moment(0, Some(begins))
                    );
                    ended = Err(Failure::new(Exit::Failed, message));
                    false
                }
                Err(damage) => {
                    notes.push(of_trace(shown, &damage).message);
                    true
                }
            },
        )?;
        ended?;
        if replayer.is_empty() {
            tell(&notes);
            return Err(nothing());
        }
        replayer.doubts(&mut notes);
        tell(&notes);
        let mut explained = replayer.brain().explain_named(container);
        match &mut explained {
            Explained::One(one) => one.wall_us = replayer.wall_us(Time(one.at_us)),
            Explained::Nobody { nearest } => {
                let everybody: Vec<_> = replayer.brain().everybody().collect();
                let names = everybody.iter().map(|who| who.name.as_str());
                let near = crate::config::nearest(container, names);
                *nearest = near.map(|(_, name)| name.to_owned());
            }
            Explained::Several(_) => {}
        }
        Ok((explained, notes))
    }
}

/// The time of day of a moment in a recording that began so.
pub(super) fn wall_of(start: Option<&Start>, at: Time) -> Option<i64> {
    start.map(|start| start.wall_us_at(at))
}

/// Complains about what is wrong with a recording.
pub(super) fn tell(notes: &Notes) {
    for note in notes.lines() {
        complain(&note);
    }
}

fn nothing() -> Failure {
    Failure::new(Exit::Invalid, "nothing was recorded there: no sample")
}

/// The flight recorder's segments, oldest first: their names sort so.
fn segments(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Failed,
        };
        let folder = folder.display().to_string();
        let message = format!(
            "cannot read the flight recorder's folder {}: {error}; name a recording with --trace",
            clean(&folder)
        );
        Failure::new(exit, message)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
