//! `governor events`: what happened, and with `-f` what happens.
#![allow(
    clippy::disallowed_methods,
    reason = "whoever follows waits between two questions"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use super::moment::{Moment, parse};
use super::recorded::{Recorded, tell, wall_of};
use super::replay::of_trace;
use super::term::{complain, json_of, write_out};
use crate::agent::{Answer, Ask, AskError, Events, ask};
use crate::host::HostClock;
use crate::model::{EventView, Topology};
use crate::replay::Notes;
use crate::report::{event_view, moment};
use crate::trace::{self, Frame, Start};

/// A daemon under attack is given more than the second that it should need.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions of one who follows.
const PAUSE: Duration = Duration::from_millis(500);

/// What is shown.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Go on showing what happens.
    #[arg(long, short, conflicts_with = "trace")]
    follow: bool,
    /// Only what happened since then: a time of day (2026-11-24T03:00:00Z) or so long ago (5m; of a
    /// recording: before its end).
    #[arg(long, value_name = "TIME", value_parser = parse)]
    since: Option<Moment>,
    /// Show what this recording holds instead of asking the daemon; several files are read as one.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn events(args: &PolicyArgs, wanted: &Wanted) -> Result<Exit, Failure> {
    if !wanted.trace.is_empty() {
        return recorded(&Recorded::find(args, &wanted.trace)?, wanted);
    }
    let (loaded, warning) = args.at_any_rate();
    if let Some(warning) = warning {
        complain(&warning);
    }
    let socket = Path::new(&loaded.policy.runtime.socket);
    let now = i64::try_from(HostClock.wall_micros()).unwrap_or(i64::MAX);
    let mut reader = Reader {
        seen: None,
        since: wanted.since.map_or(i64::MIN, |since| since.wall_us(now)),
        json: wanted.json,
    };
    let heard = reader.take(question(socket, &reader)?)?;
    if wanted.follow && heard {
        reader.follow(socket)?;
    }
    Ok(Exit::Done)
}

/// The events that a recording holds.
fn recorded(recording: &Recorded, wanted: &Wanted) -> Result<Exit, Failure> {
    let since = wanted.since.map(|since| recording.wall_us(since));
    let since = since.transpose()?.unwrap_or(i64::MIN);
    let mut out = Ok(true);
    let mut notes = Notes::default();
    recording.each(|file, shown| {
        let mut held = Held::default();
        for frame in trace::Reader::new(file) {
            match frame {
                Ok(frame) => {
                    out = held.take(frame, since, wanted.json, &mut notes);
                    if !matches!(out, Ok(true)) {
                        return false;
                    }
                }
                Err(damage) => {
                    notes.push(of_trace(shown, &damage).message);
                    if damage.is_final() {
                        break;
                    }
                }
            }
        }
        true
    })?;
    out?;
    tell(&notes);
    Ok(if notes.is_empty() {
        Exit::Done
    } else {
        Exit::Degraded
    })
}

/// What of a recording is needed to tell its events.
#[derive(Default)]
struct Held {
    start: Option<Start>,
    tree: Topology,
}

impl Held {
    /// Prints what a frame tells; whether anybody still reads.
    fn take(
        &mut self,
        frame: Frame,
        since: i64,
        json: bool,
        notes: &mut Notes,
    ) -> Result<bool, Failure> {
        match frame {
            Frame::Start(start) => self.start = Some(start),
            Frame::Tree { tree, .. } => self.tree = tree,
            Frame::Gap { lost, .. } => {
                notes.push(format!(
                    "{lost} frames were not recorded: events may be missing"
                ));
            }
            Frame::Did(did) => {
                let mut text = String::new();
                for event in &did.events {
                    let wall_us = wall_of(self.start.as_ref(), event.at);
                    if wall_us.is_none_or(|wall| wall >= since) {
                        let view = EventView {
                            wall_us,
                            ..event_view(event, &self.tree)
                        };
                        text.push_str(&line(&view, json)?);
                    }
                }
                return write_out(&text);
            }
            Frame::Policy { .. }
            | Frame::Tick(_)
            | Frame::ReleasedAll { .. }
            | Frame::Checkpoint(_) => {}
        }
        Ok(true)
    }
}

fn question(socket: &Path, reader: &Reader) -> Result<Events, AskError> {
    let (run, after) = reader.seen.map_or((None, 0), |(run, seq)| (Some(run), seq));
    match ask(socket, Ask::Events { run, after }, PATIENCE)? {
        Answer::Events(events) => Ok(events),
        _ => Err(AskError::Malformed(
            socket.display().to_string(),
            "it answers another question".to_owned(),
        )),
    }
}

/// Prints events once each, and says where some are missing.
struct Reader {
    /// The run of the daemon and the number of the last event.
    seen: Option<(u64, u64)>,
    since: i64,
    json: bool,
}

impl Reader {
    /// Prints what is new; whether anybody still reads.
    fn take(&mut self, answer: Events) -> Result<bool, Failure> {
        if let Some(note) = self.note(&answer) {
            complain(&note);
        }
        let last = answer.events.last().map(|event| event.seq);
        let known = self.seen.filter(|(run, _)| *run == answer.run);
        self.seen = Some((answer.run, last.or(known.map(|(_, seq)| seq)).unwrap_or(0)));
        let mut text = String::new();
        for event in &answer.events {
            if event.wall_us.is_none_or(|wall| wall >= self.since) {
                text.push_str(&line(event, self.json)?);
            }
        }
        write_out(&text)
    }

    /// Goes on until nobody reads any more.
    fn follow(&mut self, socket: &Path) -> Result<(), Failure> {
        let mut alone = false;
        loop {
            std::thread::sleep(PAUSE);
            match question(socket, self) {
                Ok(events) => {
                    alone = false;
                    if !self.take(events)? {
                        return Ok(());
                    }
                }
                // It may be started again: whoever follows waits for that.
                Err(error) if error.is_nobody() || matches!(error, AskError::Late(..)) => {
                    if !alone {
                        complain(&format!("{error}; waiting for one"));
                    }
                    alone = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What a reader must know before the next lines.
    fn note(&self, answer: &Events) -> Option<String> {
        let first = answer.events.first();
        match self.seen {
            Some((run, _)) if run != answer.run => {
                Some("the governor was started again; its events are numbered anew".to_owned())
            }
            Some((_, last)) => {
                let lost = first?.seq.saturating_sub(last + 1);
                (lost > 0).then(|| format!("{lost} events are lost: they came too fast"))
            }
            None => {
                let before = first?.seq.saturating_sub(1);
                let reaches = first?.wall_us.is_some_and(|wall| wall <= self.since);
                (before > 0 && !reaches && self.since != i64::MIN).then(|| {
                    format!("{before} earlier events are not kept any more; the log has them")
                })
            }
        }
    }
}

/// One event as it is printed.
fn line(event: &EventView, json: bool) -> Result<String, Failure> {
    if json {
        json_of(event)
    } else {
        let at = moment(event.at_us, event.wall_us);
        Ok(format!("{at} {}\n", crate::report::clean(&event.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(run: u64, numbers: std::ops::Range<u64>) -> Events {
        let event = |seq| EventView {
            seq,
            wall_us: Some(seq as i64 * 1_000_000),
            ..EventView::default()
        };
        Events {
            run,
            events: numbers.map(event).collect(),
        }
    }

    fn reader(seen: Option<(u64, u64)>, since: i64) -> Reader {
        Reader {
            seen,
            since,
            json: false,
        }
    }

    #[test]
    fn what_is_missing_is_never_silent() {
        let follows = reader(Some((7, 10)), i64::MIN);
        assert_eq!(follows.note(&events(7, 11..13)), None);
        assert_eq!(follows.note(&events(7, 1..1)), None);
        let lost = follows.note(&events(7, 14..16)).unwrap();
        assert!(lost.starts_with("3 events are lost"), "{lost}");
        assert!(
            follows
                .note(&events(8, 1..3))
                .unwrap()
                .contains("started again")
        );
        let since = reader(None, 5_000_000);
        assert!(
            since
                .note(&events(7, 9..11))
                .unwrap()
                .starts_with("8 earlier events")
        );
        assert_eq!(
            since.note(&events(7, 4..11)),
            None,
            "it reaches back far enough"
        );
        assert_eq!(reader(None, i64::MIN).note(&events(7, 9..11)), None);
    }

    #[test]
    fn a_line_begins_with_the_time_and_hostile_text_is_escaped() {
        let event = EventView {
            wall_us: Some(1_763_953_200_500_000),
            text: "alarm victim=\x1b[2Jx".to_owned(),
            ..EventView::default()
        };
        let shown = line(&event, false).unwrap();
        assert_eq!(shown, "2025-11-24T03:00:00.500Z alarm victim=\\x1b[2Jx\n");
        let json = line(&event, true).unwrap();
        assert!(!json.trim_end().chars().any(char::is_control), "{json}");
    }
}
