//! The terminal: how wide it is, whether it wants colours, and writing to it.
#![allow(
    clippy::disallowed_methods,
    reason = "cli is the room that reads the environment"
)]

use std::io::{ErrorKind, IsTerminal, Write};

use super::exit::{Exit, Failure};
use crate::report::{Paint, clean, json_line, json_text};

/// Where standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Screen {
    /// In columns; `None` where it is no terminal.
    pub(super) width: Option<u16>,
    pub(super) paint: Paint,
}

impl Screen {
    /// As standard output and the environment have it: colours only on a terminal, and never with
    /// a `NO_COLOR` that is not empty.
    pub(super) fn here() -> Screen {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Screen {
                width: None,
                paint: Paint::Plain,
            };
        }
        let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        Screen {
            width: size.map(|size| size.ws_col).filter(|&columns| columns > 0),
            paint: if colourless {
                Paint::Plain
            } else {
                Paint::Colour
            },
        }
    }
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    write_out(text).map(|_| ())
}

/// Standard output for what is long: written in large pieces, and no more once nobody reads it.
#[derive(Debug, Default)]
pub(super) struct Sink {
    held: String,
    closed: bool,
}

/// So much is held back before it is written.
const PIECE: usize = 64 << 10;

impl Sink {
    /// Writes this text, now or later.
    pub(super) fn put(&mut self, text: &str) -> Result<(), Failure> {
        self.held.push_str(text);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is held back.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if !self.closed {
            self.closed = !write_out(&self.held)?;
        }
        self.held.clear();
        Ok(())
    }

    /// Whether the reader went away.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Writes to standard output; whether somebody still reads.
pub(super) fn write_out(text: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("cannot write to standard output: {error}"),
        )),
    }
}

/// Writes to standard error; where that fails there is nobody left to tell. One line is marked as
/// ours; more than one is a report of its own.
pub(super) fn complain(text: &str) {
    let lines: Vec<_> = text.trim_end().lines().map(clean).collect();
    let mark = if lines.len() > 1 { "" } else { "governor: " };
    let _ = writeln!(std::io::stderr().lock(), "{mark}{}", lines.join("\n"));
}

/// Writes a value as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&json_text(value).map_err(no_json)?)
}

/// A value as one line of JSON.
pub(super) fn json_of(value: &impl serde::Serialize) -> Result<String, Failure> {
    json_line(value).map_err(no_json)
}

fn no_json(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write JSON: {error}"))
}
