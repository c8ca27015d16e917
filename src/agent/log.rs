//! The log: lines go to standard error from a thread of their own, so that a journal or a disk that
//! does not take them holds nobody, least of all the control loop.
//!
//! A line is handed over without waiting; where the thread is behind by [`CAPACITY`] lines, the
//! next ones are dropped and counted, and the count is told when there is room again. The receiver
//! does not sleep on the channel, where a sender would meet its lock, but parks: waking it is one
//! atomic word and at most one system call.
#![allow(
    clippy::disallowed_methods,
    reason = "one of the few named threads is started here, before the loop"
)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that can wait.
const CAPACITY: usize = 1024;
/// How long the end of the process waits for the last lines.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// What of the log is wanted, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStyle {
    /// Directives of `tracing`: `info`, `debug`, `governor=trace`.
    pub filter: String,
    /// Whether each line begins with the time; the journal has its own.
    pub times: Times,
    /// Whether levels are coloured.
    pub paint: crate::report::Paint,
}

/// Whether log lines carry a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// They do.
    Shown,
    /// Whoever takes them adds it.
    Left,
}

/// Keeps the log going; writes what is left when it is dropped.
#[derive(Debug)]
pub struct Log {
    lines: Option<Lines>,
    thread: JoinHandle<()>,
}

/// Hands lines over.
#[derive(Clone, Debug)]
struct Lines {
    sender: SyncSender<Option<Vec<u8>>>,
    dropped: Arc<AtomicU64>,
    receiver: Thread,
}

/// Starts the thread and makes it the log of the whole process.
///
/// # Errors
/// If the thread cannot be started, the filter is not understood, or there is a log already.
pub fn start_log(style: &LogStyle) -> Result<Log, std::io::Error> {
    let filter = EnvFilter::try_new(&style.filter).map_err(std::io::Error::other)?;
    let (log, lines) = writer(std::io::stderr())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(style.paint == crate::report::Paint::Colour)
        .with_writer(lines);
    match style.times {
        Times::Shown => builder.try_init(),
        Times::Left => builder.without_time().try_init(),
    }
    .map_err(std::io::Error::other)?;
    Ok(log)
}

/// The thread that writes to `out`, and what hands lines to it.
fn writer(out: impl Write + Send + 'static) -> Result<(Log, Lines), std::io::Error> {
    let (sender, receiver) = sync_channel(CAPACITY);
    let dropped = Arc::new(AtomicU64::new(0));
    let lost = Arc::clone(&dropped);
    let thread = std::thread::Builder::new()
        .name("governor-log".to_owned())
        .stack_size(256 << 10)
        .spawn(move || write_lines(&receiver, &lost, out))?;
    let lines = Lines {
        sender,
        dropped,
        receiver: thread.thread().clone(),
    };
    let log = Log {
        lines: Some(lines.clone()),
        thread,
    };
    Ok((log, lines))
}

fn write_lines(receiver: &Receiver<Option<Vec<u8>>>, dropped: &AtomicU64, mut out: impl Write) {
    let tell_dropped = |out: &mut dyn Write| {
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            drop(writeln!(out, " WARN {count} log lines were dropped"));
        }
    };
    loop {
        match receiver.try_recv() {
            // A log that cannot be written cannot be complained about.
            Ok(Some(line)) => drop(out.write_all(&line)),
            Ok(None) | Err(TryRecvError::Disconnected) => return tell_dropped(&mut out),
            Err(TryRecvError::Empty) => {
                tell_dropped(&mut out);
                // A line that came since the look has left its token: then this returns at once.
                std::thread::park();
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The end mark stands behind every line that was handed over before. An output that is stuck
        // must not keep the process from ending.
        let ticks = DRAIN_WITHIN.as_millis() / DRAIN_TICK.as_millis();
        let mut end = self.lines.take();
        for _ in 0..ticks {
            if end
                .as_ref()
                .is_some_and(|lines| lines.sender.try_send(None).is_ok())
            {
                self.thread.thread().unpark();
                end = None;
            }
            if self.thread.is_finished() {
                return;
            }
            std::thread::sleep(DRAIN_TICK);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.sender.try_send(Some(bytes.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.receiver.unpark();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink {
        text: Arc<Mutex<Vec<u8>>>,
        /// Held by a test to make every write wait.
        gate: Arc<Mutex<()>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _open = self.gate.lock().unwrap();
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_that_was_handed_over_is_written_before_the_end() {
        let sink = Sink::default();
        let (log, mut lines) = writer(sink.clone()).unwrap();
        for number in 0..500 {
            writeln!(lines, "{number}").unwrap();
        }
        drop(log);
        let text = String::from_utf8(sink.text.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 500);
        assert_eq!(text.lines().last(), Some("499"));
    }

    #[test]
    fn an_output_that_is_stuck_for_ever_does_not_keep_the_process_from_ending() {
        let sink = Sink::default();
        let (log, mut lines) = writer(sink.clone()).unwrap();
        let _stuck = sink.gate.lock().unwrap();
        for _ in 0..2 * CAPACITY {
            lines.write_all(b"x\n").unwrap();
        }
        // On a machine that is busy with other things, too: what is shown is that it ends.
        let began = Instant::now();
        drop(log);
        assert!(began.elapsed() < 30 * DRAIN_WITHIN);
    }

    #[test]
    fn a_stuck_output_holds_nobody_and_what_was_lost_is_told() {
        let sink = Sink::default();
        let (log, mut lines) = writer(sink.clone()).unwrap();
        let stuck = sink.gate.lock().unwrap();
        let began = Instant::now();
        for _ in 0..3 * CAPACITY {
            lines.write_all(b"x\n").unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        drop(stuck);
        drop(log);
        let text = String::from_utf8(sink.text.lock().unwrap().clone()).unwrap();
        assert!(text.contains("log lines were dropped"), "{}", text.len());
    }
}
