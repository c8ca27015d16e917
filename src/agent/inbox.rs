//! What the side thread tells the control loop, without ever making it wait.
//!
//! A bounded channel that neither end blocks on: the side uses `try_send` and answers "busy" where
//! it is full, the loop uses `try_recv` once a tick. After each message the side rings the loop's
//! bell, so that a quiet loop wakes. Answers come back through a [`Reply`], a cell that is written
//! once and that the side looks at; nothing of the loop's waits for the side's scheduler or lock.
//! That the loop is to end is no message but a mark beside them: a full inbox does not lose it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use super::ask::Restored;
use super::policy_file::Loaded;
use crate::model::Explained;

/// How many requests can wait. Signals, reloads and restores are rare; status requests coalesce.
const CAPACITY: usize = 32;

/// Wakes the control loop; called from the side thread, must not block.
pub type Nudge = Arc<dyn Fn() + Send + Sync>;

/// A message to the loop.
#[derive(Debug)]
pub enum Request {
    /// A new policy, whole and valid, that differs from the one before.
    Policy(Arc<Loaded>),
    /// Give everything back that is held, answer, and go on.
    Restore(Reply<Restored>),
    /// Explain the container that is called so, as the last step left it.
    Explain(String, Reply<Explained>),
    /// Somebody reads the status: publish a fresh one.
    Refresh,
}

/// Where the loop puts an answer, once.
#[derive(Debug)]
pub struct Reply<T>(Arc<OnceLock<T>>);

/// The loop's end.
#[derive(Debug)]
pub struct Inbox {
    receiver: Receiver<Request>,
    stop: Arc<OnceLock<&'static str>>,
}

/// The side's end.
#[derive(Clone)]
pub struct Outbox {
    sender: SyncSender<Request>,
    stop: Arc<OnceLock<&'static str>>,
    nudge: Nudge,
}

/// Why a request did not reach the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The loop has not looked at its inbox for a while.
    #[error("the control loop is busy: its inbox is full")]
    Full,
    /// The loop has ended.
    #[error("the control loop has ended")]
    Closed,
}

/// The two ends of a new channel; `nudge` is rung after every message.
#[must_use]
pub fn inbox(nudge: Nudge) -> (Outbox, Inbox) {
    let (sender, receiver) = sync_channel(CAPACITY);
    let stop = Arc::new(OnceLock::new());
    let outbox = Outbox {
        sender,
        stop: Arc::clone(&stop),
        nudge,
    };
    (outbox, Inbox { receiver, stop })
}

impl Inbox {
    /// The next request, if there is one. Never waits.
    #[must_use]
    pub fn take(&self) -> Option<Request> {
        self.receiver.try_recv().ok()
    }

    /// Whether the loop is to give everything back and end, and who asked first (`SIGTERM`). Never waits.
    #[must_use]
    pub fn stop(&self) -> Option<&'static str> {
        self.stop.get().copied()
    }
}

impl Outbox {
    /// Hands a request over and wakes the loop. Never waits.
    ///
    /// # Errors
    /// If the loop is behind, or gone.
    pub fn send(&self, request: Request) -> Result<(), Undelivered> {
        let sent = self.sender.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => Undelivered::Full,
            TrySendError::Disconnected(_) => Undelivered::Closed,
        });
        (self.nudge)();
        sent
    }

    /// Asks the loop to give everything back and to end, however many requests wait; `by` says who asks.
    pub fn stop(&self, by: &'static str) {
        // Who asked first is told; to end once is enough.
        let _ = self.stop.set(by);
        (self.nudge)();
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl<T> Reply<T> {
    /// A reply for the loop to write, and the cell to look at.
    #[must_use]
    pub fn new() -> (Reply<T>, Arc<OnceLock<T>>) {
        let cell = Arc::new(OnceLock::new());
        (Reply(Arc::clone(&cell)), cell)
    }

    /// Writes the answer. Never waits.
    pub fn answer(self, value: T) {
        // The cell has one writer, and `self` is consumed: it cannot be set already.
        let _ = self.0.set(value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn every_message_rings_the_bell_and_a_full_inbox_says_so() {
        let rings = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&rings);
        let (outbox, inbox) = inbox(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        for _ in 0..CAPACITY {
            outbox.send(Request::Refresh).unwrap();
        }
        assert_eq!(outbox.send(Request::Refresh), Err(Undelivered::Full));
        assert_eq!(rings.load(Ordering::Relaxed) as usize, CAPACITY + 1);
        assert!(matches!(inbox.take(), Some(Request::Refresh)));
        outbox.send(Request::Refresh).unwrap();
        drop(inbox);
        assert_eq!(outbox.send(Request::Refresh), Err(Undelivered::Closed));
    }

    #[test]
    fn a_stop_reaches_the_loop_through_a_full_inbox() {
        let rings = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&rings);
        let (outbox, inbox) = inbox(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        while outbox.send(Request::Refresh).is_ok() {}
        assert_eq!(inbox.stop(), None);
        let before = rings.load(Ordering::Relaxed);
        outbox.stop("SIGTERM");
        outbox.stop("SIGINT");
        assert_eq!(rings.load(Ordering::Relaxed), before + 2);
        assert_eq!(inbox.stop(), Some("SIGTERM"));
    }

    #[test]
    fn an_empty_inbox_never_waits() {
        let (_outbox, inbox) = inbox(Arc::new(|| {}));
        assert!(inbox.take().is_none());
    }

    #[test]
    fn a_reply_that_is_dropped_leaves_the_cell_empty() {
        let (reply, cell) = Reply::<u8>::new();
        drop(reply);
        assert_eq!(cell.get(), None);
        let (reply, cell) = Reply::new();
        reply.answer(7u8);
        assert_eq!(cell.get(), Some(&7));
    }
}
