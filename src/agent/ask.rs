//! What can be asked of a running governor, and the asking.
//!
//! The protocol is one JSON line each way over the policy's Unix socket: `{"ask":"status"}` is
//! answered by `{"status":{...}}`, `{"ask":"explain","container":"redis"}` by `{"explained":{...}}`, and
//! anything that goes wrong by `{"refused":"why"}`. One connection carries one question. Only the answer
//! to `{"ask":"record"}` has something behind it: a trace. The client here blocks, with a deadline over
//! the whole exchange
//! and a bound on the answer, so that a daemon that is stuck cannot hold `governor status`.
#![allow(
    clippy::disallowed_methods,
    reason = "the deadline of a blocking exchange needs a clock"
)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use serde::{Deserialize, Serialize};

use crate::model::{EventView, Explained, Status};

/// The longest question that the daemon reads, in bytes, newline included.
pub const QUESTION_MAX: usize = 4096;

/// The longest answer that the client reads, in bytes: some 100,000 containers.
pub const ANSWER_MAX: u64 = 64 << 20;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// What is going on?
    Status,
    /// Give everything back that is held.
    Restore,
    /// Read the policy file again.
    Reload,
    /// Explain one container.
    Explain {
        /// Its name, path, runtime's id or unit.
        container: String,
    },
    /// What happened?
    Events {
        /// The run of the daemon that `after` belongs to; of another run, all events are wanted.
        #[serde(default)]
        run: Option<u64>,
        /// Only events with higher numbers.
        #[serde(default)]
        after: u64,
    },
    /// Tell all that is seen and done from now on, as a trace.
    Record,
}

impl Ask {
    /// Whether it only looks, and changes nothing.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        match self {
            Ask::Status | Ask::Explain { .. } | Ask::Events { .. } | Ask::Record => true,
            Ask::Restore | Ask::Reload => false,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::Restore`].
    Restored(Restored),
    /// To [`Ask::Reload`]: what changed, one line each; empty where nothing did.
    Reloaded(Vec<String>),
    /// To [`Ask::Explain`].
    Explained(Explained),
    /// To [`Ask::Events`].
    Events(Events),
    /// To [`Ask::Record`]: the bytes of a trace follow until either side ends it.
    Recording,
    /// To anything: why not.
    Refused(String),
}

/// The events that a daemon still knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// The run of the daemon that numbered them.
    pub run: u64,
    /// The events, oldest first. Their numbers have no gaps; where the first is not the one after that
    /// which was asked for, those between are lost.
    pub events: Vec<EventView>,
}

/// What became of everything that was held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restored {
    /// Knobs whose originals stand again.
    pub restored: u32,
    /// Knobs that hold somebody else's value: left alone.
    pub drifted: u32,
    /// Knobs whose cgroup is gone.
    pub gone: u32,
    /// Knobs that could not be put back, and why, one line each.
    pub failed: Vec<String>,
}

impl Restored {
    /// Tells it in the log.
    pub(super) fn log(&self) {
        tracing::info!(
            restored = self.restored,
            left_to_others = self.drifted,
            gone = self.gone,
            "given back"
        );
        for failure in &self.failed {
            tracing::error!("NOT given back: {failure}; run `governor restore`");
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no socket: no governor runs, or it uses another one.
    #[error("no governor runs: there is no socket at {0}")]
    NoSocket(String),
    /// A socket file is there and nobody listens: the governor died.
    #[error("no governor runs: the socket {0} was left behind by one that died")]
    Stale(String),
    /// The file system does not let us in.
    #[error("permission denied on the socket {0}; ask as root, or as a member of its group")]
    Denied(String),
    /// The daemon took too long.
    #[error("the governor at {0} did not answer within {1:?}")]
    Late(String, Duration),
    /// The daemon refused, for this reason.
    #[error("the governor refused: {0}")]
    Refused(String),
    /// The answer was no answer to the question.
    #[error("the governor at {0} gave an answer that is not understood: {1}")]
    Malformed(String, String),
    /// Anything else.
    #[error("cannot ask the governor at {0}: {1}")]
    Io(String, std::io::Error),
}

impl AskError {
    /// Whether this says that no daemon runs, so that the work may be done without one.
    #[must_use]
    pub const fn is_nobody(&self) -> bool {
        matches!(self, AskError::NoSocket(_) | AskError::Stale(_))
    }
}

/// Asks the governor whose socket is `socket`; gives up `patience` after the call.
///
/// # Errors
/// See [`AskError`]; a refusal of the daemon is one of them.
pub fn ask(socket: &Path, question: Ask, patience: Duration) -> Result<Answer, AskError> {
    exchange(socket, question, patience).map(|(answer, ..)| answer)
}

/// Asks the governor to record: the connection on which the trace comes, and the part of it that came
/// already.
///
/// # Errors
/// As [`ask`].
pub fn ask_to_record(socket: &Path, patience: Duration) -> Result<(UnixStream, Vec<u8>), AskError> {
    match exchange(socket, Ask::Record, patience)? {
        (Answer::Recording, stream, rest) => Ok((stream, rest)),
        (other, ..) => Err(AskError::Malformed(
            socket.display().to_string(),
            format!("{other:?}"),
        )),
    }
}

/// The answer, the connection, and what came on it behind the answer.
fn exchange(
    socket: &Path,
    question: Ask,
    patience: Duration,
) -> Result<(Answer, UnixStream, Vec<u8>), AskError> {
    let name = || socket.display().to_string();
    let deadline = Instant::now() + patience;
    let classify = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Late(name(), patience),
        _ => AskError::Io(name(), error),
    };
    let mut stream = connect(socket, patience).map_err(|error| match error.kind() {
        ErrorKind::NotFound => AskError::NoSocket(name()),
        ErrorKind::ConnectionRefused => AskError::Stale(name()),
        ErrorKind::PermissionDenied => AskError::Denied(name()),
        _ => classify(error),
    })?;
    let mut line = serde_json::to_vec(&question)
        .map_err(|error| AskError::Malformed(name(), error.to_string()))?;
    line.push(b'\n');
    // A daemon that refuses us by sight has closed its reading half: its reason is still to be read.
    match stream.write_all(&line) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(classify(error)),
        _ => {}
    }
    let mut text = Vec::new();
    let mut chunk = [0; 64 << 10];
    let end = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Late(name(), patience));
        }
        stream.set_read_timeout(Some(left)).map_err(classify)?;
        let looked = text.len();
        match stream.read(&mut chunk) {
            Ok(0) => break text.len(),
            Ok(read) => text.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(classify(error)),
        }
        let new = text.get(looked..).unwrap_or_default();
        if let Some(at) = new.iter().position(|byte| *byte == b'\n') {
            break looked + at + 1;
        }
        if text.len() as u64 > ANSWER_MAX {
            return Err(AskError::Malformed(name(), "it is too long".to_owned()));
        }
    };
    let rest = text.split_off(end);
    match serde_json::from_slice(&text) {
        Ok(Answer::Refused(why)) => Err(AskError::Refused(why)),
        Ok(answer) => Ok((answer, stream, rest)),
        Err(error) => Err(AskError::Malformed(name(), error.to_string())),
    }
}

/// Connects with a deadline: where a daemon has stopped accepting, its backlog is full sooner or
/// later, and a plain connect would wait for ever. Writes have the same deadline.
fn connect(socket: &Path, patience: Duration) -> std::io::Result<UnixStream> {
    let stream = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sockopt::set_socket_timeout(&stream, sockopt::Timeout::Send, Some(patience))?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    Ok(UnixStream::from(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_json_object_with_one_key() {
        let text = serde_json::to_string(&Ask::Status).unwrap();
        assert_eq!(text, r#"{"ask":"status"}"#);
        assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), Ask::Status);
    }

    #[test]
    fn an_unknown_question_is_refused_by_the_parser() {
        assert!(serde_json::from_str::<Ask>(r#"{"ask":"kill"}"#).is_err());
        assert!(serde_json::from_str::<Ask>(r#""status""#).is_err());
    }

    #[test]
    fn an_answer_of_another_version_is_read_with_defaults() {
        let text = r#"{"status":{"header":{"source":"daemon","new_field":1}}}"#;
        let Answer::Status(status) = serde_json::from_str(text).unwrap() else {
            panic!("not a status");
        };
        assert_eq!(status.header.source, "daemon");
        assert_eq!(status.header.ticks, 0);
    }

    #[test]
    fn a_missing_socket_says_that_no_governor_runs() {
        let error = ask(
            Path::new("/nonexistent/governor.sock"),
            Ask::Status,
            Duration::from_secs(1),
        )
        .unwrap_err();
        assert!(matches!(error, AskError::NoSocket(_)));
        assert!(error.is_nobody());
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = ask(&path, Ask::Status, Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, AskError::Stale(_)), "{error}");
    }

    #[test]
    fn a_daemon_that_stopped_accepting_long_ago_is_given_up_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let began = Instant::now();
        let mut crowd = Vec::new();
        while let Ok(stream) = connect(&path, Duration::from_millis(50)) {
            crowd.push(stream);
            assert!(crowd.len() < 100_000);
        }
        let error = ask(&path, Ask::Status, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, AskError::Late(..)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_daemon_that_never_answers_is_given_up_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let began = Instant::now();
        let error = ask(&path, Ask::Status, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, AskError::Late(..)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
