//! The terminal: how wide it is, whether it wants colours, and writing to it.
#![allow(
    clippy::disallowed_methods,
    reason = "cli is the room that reads the environment"
)]

use std::io::{ErrorKind, IsTerminal, Write};

use super::exit::{Exit, Failure};
use crate::report::{Paint, clean, json_text};

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
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Failed,
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
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
    let text = json_text(value)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))?;
    print(&text)
}
