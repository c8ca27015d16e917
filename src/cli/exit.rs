//! What the exit codes mean. The one list of them: `--help` shows it, a test holds it to the manual.

use std::process::ExitCode;

use crate::agent::act::JournalError;
use crate::agent::{AskError, DoorError, LoadError, RunError, SideError};
use crate::host::map::StateFileError;
use crate::host::{FileError, Refusal};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something else failed; a replay came to other decisions.
    Failed = 1,
    /// The command line, the policy or a trace is not valid.
    Invalid = 2,
    /// This host cannot be governed: no cgroup v2, no PSI.
    Host = 3,
    /// Not permitted.
    Denied = 4,
    /// Another governor runs.
    Another = 5,
    /// It works less well than it should, something could not be given back, or a part of a trace could
    /// not be used.
    Degraded = 6,
}

impl Exit {
    /// All of them, in order.
    pub const ALL: [Exit; 7] = [
        Exit::Done,
        Exit::Failed,
        Exit::Invalid,
        Exit::Host,
        Exit::Denied,
        Exit::Another,
        Exit::Degraded,
    ];

    /// What it means, for `--help`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done; for check and doctor: nothing to complain about",
            Exit::Failed => {
                "failed for another reason, which is told; for replay: the decisions differ"
            }
            Exit::Invalid => "the command line, the policy or a trace is not valid",
            Exit::Host => "this host cannot be governed (no cgroup v2, no PSI)",
            Exit::Denied => "permission denied",
            Exit::Another => "another governor runs",
            Exit::Degraded => {
                "degraded: works less well here, something could not be given back, or a trace is damaged"
            }
        }
    }

    /// The table of `--help`.
    #[must_use]
    pub fn table() -> String {
        let lines = Exit::ALL.map(|exit| format!("  {}  {}", exit as u8, exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A command that failed: what to say and how to exit.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl ToString) -> Failure {
        Failure {
            exit,
            message: message.to_string(),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Failure {
        let exit = match &error {
            LoadError::Unreadable {
                why: FileError::Denied,
                ..
            } => Exit::Denied,
            LoadError::Unreadable {
                why: FileError::Io(_),
                ..
            } => Exit::Failed,
            LoadError::Unreadable { .. } | LoadError::Invalid(_) => Exit::Invalid,
        };
        Failure::new(exit, error)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Failure {
        let exit = match &error {
            AskError::Denied(_) => Exit::Denied,
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let exit = if refusal.is_permission() {
            Exit::Denied
        } else {
            Exit::Host
        };
        Failure::new(exit, refusal)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Failure {
        let exit = match &error {
            JournalError::File(StateFileError::InUse { .. }) => Exit::Another,
            JournalError::File(StateFileError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Denied
            }
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        match error {
            RunError::Side(error) => error.into(),
            RunError::Journal(error) => error.into(),
            RunError::System { .. } => Failure::new(Exit::Host, error.to_string()),
        }
    }
}

impl From<SideError> for Failure {
    fn from(error: SideError) -> Failure {
        let exit = match &error {
            SideError::Door(DoorError::Another(_)) => Exit::Another,
            SideError::Door(DoorError::Io { error, .. })
                if error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Denied
            }
            SideError::Door(DoorError::NotASocket(_)) => Exit::Invalid,
            SideError::Door(_) | SideError::Start { .. } => Exit::Failed,
        };
        Failure::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_help_once_and_in_order() {
        let table = Exit::table();
        for (number, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(exit as usize, number);
            assert_eq!(table.matches(exit.meaning()).count(), 1);
        }
    }
}
