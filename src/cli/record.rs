//! `governor record`: what a running governor sees and does, into a file, until it is told to end.
//!
//! The bytes come sealed and are written as they come, so that whatever ends this (a signal, a disk that
//! is full, the daemon), the file can be read up to there. Hashing names means taking the trace apart:
//! that is done here, and not in the daemon, on a thread that reads what this one receives.
#![allow(
    clippy::disallowed_methods,
    reason = "cli tells how long it took, and tests open files"
)]

use std::fs::File;
use std::hash::RandomState;
use std::io::{Error, Read, Result as IoResult, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use super::term::{complain, print};
use crate::agent::ask_to_record;
use crate::agent::record::{SUFFIX, stamp};
use crate::host::{Folder, HostClock};
use crate::model::{Bytes, Span, Time};
use crate::report::clean;
use crate::trace::{Damage, Frame, Reader, Writer};

/// A daemon under attack is given more than the second that it should need.
const PATIENCE: Duration = Duration::from_secs(10);
/// With hashed names, a crash costs so much of the recording.
const FLUSH: Span = Span::from_secs(1);
/// Chunks that wait to be hashed. Where the disk is slower than the daemon, the socket fills next, and then
/// the daemon ends it.
const CHUNKS: usize = 64;

/// What stands in the place of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Plain,
    Hashed,
}

/// What ended a recording.
enum Ended {
    Asked,
    ByDaemon,
}

pub(super) fn record(
    args: &PolicyArgs,
    out: &Path,
    length: Option<Duration>,
    names: Names,
) -> Result<Exit, Failure> {
    let (loaded, warning) = args.at_any_rate();
    if let Some(warning) = warning {
        complain(&warning);
    }
    let socket = Path::new(&loaded.policy.runtime.socket);
    let (stream, first) = ask_to_record(socket, PATIENCE)?;
    let name = format!("{}{SUFFIX}", stamp(HostClock.wall_micros()));
    let path = clean(&out.join(&name).display().to_string()).into_owned();
    let cannot = |what: &str, error: &Error| {
        Failure::new(Exit::Failed, format!("cannot {what} {path}: {error}"))
    };
    let file = Folder::make(out)
        .and_then(|folder| folder.create(&name))
        .map_err(|error| cannot("make", &error))?;
    let measured = file.try_clone().map_err(|error| cannot("open", &error))?;
    let mut sink = Sink::new(file, names).map_err(|error| cannot("write", &error))?;
    complain(&format!("recording to {path}; Ctrl-C ends it"));
    let began = Instant::now();
    let received = receive(stream, &first, &mut sink, length);
    let written = sink.finish();
    let size = Bytes(measured.metadata().map_or(0, |found| found.len()));
    let kept = format!("the {size} before it are in {path} and can be read");
    // What the disk says explains why receiving ended.
    let ended = match (written, received) {
        (Err(error), _) => Err(format!("the recording ended: {error}; {kept}")),
        (Ok(()), Err(error)) => Err(format!("cannot record: {error}; {kept}")),
        (Ok(()), Ok(Ended::ByDaemon)) => Err(format!(
            "the governor ended the recording: it stops, or this was too slow for it; {kept}"
        )),
        (Ok(()), Ok(Ended::Asked)) => Ok(()),
    };
    ended.map_err(|message| Failure::new(Exit::Failed, message))?;
    let took = Duration::from_secs(began.elapsed().as_secs());
    let took = humantime::format_duration(took);
    print(&format!("recorded {size} in {took}: {path}\n"))?;
    Ok(Exit::Done)
}

/// Feeds the sink until somebody ends it. A sink that fails ends it, too; it tells why itself.
fn receive(
    stream: std::os::unix::net::UnixStream,
    first: &[u8],
    sink: &mut Sink,
    length: Option<Duration>,
) -> IoResult<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        stream.set_nonblocking(true)?;
        let mut stream = UnixStream::from_std(stream)?;
        // No length: longer than anybody waits.
        let end = tokio::time::sleep(length.unwrap_or(Duration::from_secs(1 << 32)));
        tokio::pin!(end);
        let mut chunk = first.to_vec();
        loop {
            if sink.take(&chunk).is_err() {
                return Ok(Ended::Asked);
            }
            chunk.clear();
            chunk.reserve(64 << 10);
            tokio::select! {
                _ = interrupt.recv() => return Ok(Ended::Asked),
                _ = terminate.recv() => return Ok(Ended::Asked),
                () = &mut end => return Ok(Ended::Asked),
                read = stream.read_buf(&mut chunk) => match read? {
                    0 => return Ok(Ended::ByDaemon),
                    _ => continue,
                },
            }
        }
    })
}

/// Where the bytes go.
enum Sink {
    Plain {
        file: File,
        failed: Option<Error>,
    },
    Hashed {
        chunks: SyncSender<Vec<u8>>,
        thread: JoinHandle<IoResult<()>>,
    },
}

/// It failed; [`Sink::finish`] says why.
struct SinkFailed;

impl Sink {
    fn new(file: File, names: Names) -> IoResult<Sink> {
        if names == Names::Plain {
            return Ok(Sink::Plain { file, failed: None });
        }
        let (chunks, receiver) = sync_channel(CHUNKS);
        let thread = std::thread::Builder::new().spawn(move || hash(receiver, file))?;
        Ok(Sink::Hashed { chunks, thread })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SinkFailed> {
        match self {
            Sink::Plain { file, failed } => file.write_all(bytes).map_err(|error| {
                *failed = Some(error);
                SinkFailed
            }),
            Sink::Hashed { chunks, .. } => chunks.send(bytes.to_vec()).map_err(|_| SinkFailed),
        }
    }

    /// Writes what is left; why it failed, if it did.
    fn finish(self) -> IoResult<()> {
        match self {
            Sink::Plain { failed, .. } => failed.map_or(Ok(()), Err),
            Sink::Hashed { chunks, thread } => {
                drop(chunks);
                let ended = thread.join();
                ended.unwrap_or_else(|_| Err(Error::other("the thread that hashes names died")))
            }
        }
    }
}

/// What was received, as something to read from.
struct Chunks {
    receiver: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        while self.used == self.chunk.len() {
            let Ok(chunk) = self.receiver.recv() else {
                return Ok(0);
            };
            (self.chunk, self.used) = (chunk, 0);
        }
        let mut rest = self.chunk.get(self.used..).unwrap_or_default();
        let read = std::io::Read::read(&mut rest, into)?;
        self.used += read;
        Ok(read)
    }
}

/// Copies the trace with names hashed. The key is in nobody's hands and dies with the process.
fn hash(receiver: Receiver<Vec<u8>>, mut file: File) -> IoResult<()> {
    let key = RandomState::new();
    let mut reader = Reader::new(Chunks {
        receiver,
        chunk: Vec::new(),
        used: 0,
    });
    let mut writer = Writer::new();
    let mut out = Vec::new();
    let mut flushed = Time::default();
    for item in &mut reader {
        match item {
            Ok(mut frame) => {
                frame.hash_names(&key);
                if let Frame::Policy { text, .. } = &mut frame {
                    *text = without_globs(text);
                }
                let now = match &frame {
                    Frame::Tick(sample) => sample.at,
                    _ => flushed,
                };
                writer.frame(&frame, &mut out).map_err(Error::other)?;
                if now.since(flushed) >= FLUSH {
                    flushed = now;
                    writer.finish(&mut out).map_err(Error::other)?;
                }
            }
            Err(Damage::Torn { .. }) => {}
            Err(damage) => return Err(Error::other(damage)),
        }
        file.write_all(&out)?;
        out.clear();
    }
    writer.finish(&mut out).map_err(Error::other)?;
    file.write_all(&out)
}

/// A policy's text without what may name a container: its globs and its comments. What they matched
/// stands in the tree.
fn without_globs(text: &str) -> String {
    let Ok(mut table) = text.parse::<toml::Table>() else {
        return String::new();
    };
    for section in ["protect", "containers"] {
        table.remove(section);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_policy_without_its_globs_names_nobody_and_decides_the_same() {
        let text = "# for SECRET\nmode = \"dry-run\"\n[cpu]\nidle = true\n[containers]\npaths = [\"/SECRET/*\"]\n[[protect]]\nname = \"SECRET*\"\n";
        let without = without_globs(text);
        assert!(!without.contains("SECRET"), "{without}");
        let (before, after) = (
            config::parse(text).unwrap(),
            config::parse(&without).unwrap(),
        );
        assert_eq!((before.mode, before.cpu), (after.mode, after.cpu));
        assert_eq!(without_globs(""), "");
    }

    #[test]
    fn what_is_hashed_is_the_same_trace_and_what_came_is_kept() {
        let mut frames = Vec::new();
        for second in 0..5 {
            frames.push(Frame::Tick(crate::model::Sample {
                at: Time(second * 600_000),
                ..Default::default()
            }));
        }
        let (mut writer, mut trace) = (Writer::new(), Vec::new());
        for frame in &frames {
            writer.frame(frame, &mut trace).unwrap();
        }
        writer.finish(&mut trace).unwrap();
        // Received in pieces, and broken off.
        trace.extend_from_slice(b"gvt1\x07");
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut sink = Sink::new(file.reopen().unwrap(), Names::Hashed).unwrap();
        for piece in trace.chunks(7) {
            assert!(sink.take(piece).is_ok());
        }
        sink.finish().unwrap();
        let read: Result<Vec<Frame>, Damage> = Reader::new(file.reopen().unwrap()).collect();
        assert_eq!(read.unwrap(), frames);
    }

    #[test]
    fn a_disk_that_is_slow_lets_no_more_wait_than_a_few_chunks() {
        let (reader, pipe) = std::io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
        let mut sink = Sink::new(pipe, Names::Hashed).unwrap();
        let (mut writer, mut trace) = (Writer::new(), Vec::new());
        let noise: String = (0..100_000_u64)
            .map(|n| format!("{:x}", n.wrapping_mul(n)))
            .collect();
        writer.frame(&Frame::Checkpoint(noise), &mut trace).unwrap();
        writer.finish(&mut trace).unwrap();
        let (taken, count) = std::sync::mpsc::channel();
        let feeder = std::thread::spawn(move || {
            for chunk in trace.chunks(trace.len() / 8).cycle().take(8 * 40) {
                if sink.take(chunk).is_err() {
                    break;
                }
                taken.send(()).unwrap();
            }
        });
        // Nobody reads the pipe: it stands still soon.
        while count.recv_timeout(Duration::from_secs(1)).is_ok() {}
        assert!(!feeder.is_finished(), "all of it was taken");
        drop(reader);
        feeder.join().unwrap();
    }

    #[test]
    fn a_full_disk_is_told_by_both_kinds_of_sink() {
        for names in [Names::Plain, Names::Hashed] {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let mut sink = Sink::new(full, names).unwrap();
            let (mut writer, mut trace) = (Writer::new(), Vec::new());
            writer
                .frame(&Frame::Checkpoint("x".repeat(100_000)), &mut trace)
                .unwrap();
            drop(sink.take(&trace));
            let error = sink.finish().unwrap_err();
            assert!(error.to_string().contains("No space left"), "{error}");
        }
    }
}
