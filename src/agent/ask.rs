//! What can be asked of a running governor, and the asking.
//!
//! The protocol is one JSON line each way over the policy's Unix socket: `{"ask":"status"}` is
//! answered by `{"status":{...}}`, and anything that goes wrong by `{"refused":"why"}`. One
//! connection carries one question. The client here blocks, with a deadline over the whole exchange
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

use crate::model::Status;

/// The longest question that the daemon reads, in bytes, newline included.
pub const QUESTION_MAX: usize = 4096;

/// The longest answer that the client reads, in bytes: some 100,000 containers.
pub const ANSWER_MAX: u64 = 64 << 20;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// What is going on?
    Status,
    /// Give everything back that is held.
    Restore,
    /// Read the policy file again.
    Reload,
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
    /// To anything: why not.
    Refused(String),
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
    while !text.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Late(name(), patience));
        }
        stream.set_read_timeout(Some(left)).map_err(classify)?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(classify(error)),
        }
        if text.len() as u64 > ANSWER_MAX {
            return Err(AskError::Malformed(name(), "it is too long".to_owned()));
        }
    }
    match serde_json::from_slice(&text) {
        Ok(Answer::Refused(why)) => Err(AskError::Refused(why)),
        Ok(answer) => Ok(answer),
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
