//! The thread that may wait: batches to blocks, and to the ring, to incidents and to clients.
//!
//! What fails here (a full tmpfs, a disk that is gone) is told once in the log and stands in every
//! status until it works again; it never reaches the loop.
#![allow(
    clippy::disallowed_methods,
    reason = "one of the few named threads is started here, before the loop"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::incident::Incidents;
use super::recording::Recording;
use super::ring::Ring;
use crate::host::HostClock;
use crate::model::{RecordPolicy, Span, Time};
use crate::trace::{BLOCK_FULL, FRAME_MAX, seal};

/// Batches that can wait: about a minute of them.
const CAPACITY: usize = 64;
/// Bytes of batches that can wait: as many of the usual size, or some that hold one large frame.
const WAITING_MAX: usize = FRAME_MAX + CAPACITY * BLOCK_FULL;
/// How long the end of the process waits for the last batches.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
const DRAIN_TICK: Duration = Duration::from_millis(10);
/// What could not be written is tried again so much later.
pub(super) const AGAIN: Span = Span::from_secs(10);

/// The frames of one block, and what the keeper must know of them.
#[derive(Debug)]
pub(super) struct Batch {
    /// As [`Encoder`](crate::trace::Encoder) made them since its last key.
    pub bytes: Vec<u8>,
    pub frames: u32,
    /// Frames that were lost before it, as it tells itself.
    pub gap: u32,
    /// When it was handed over.
    pub at: Time,
    /// The trace begins (anew) with it.
    pub begins: bool,
    /// An intervention began: whose name it has.
    pub incident: Option<String>,
    /// Whether nothing was held at any of its ticks; `None` where it has none.
    pub calm: Option<bool>,
}

impl Batch {
    pub(super) const fn new() -> Batch {
        Batch {
            bytes: Vec::new(),
            frames: 0,
            gap: 0,
            at: Time(0),
            begins: false,
            incident: None,
            calm: None,
        }
    }
}

/// What the loop tells the keeper.
#[derive(Debug)]
pub(super) enum Message {
    Batch(Batch),
    Policy(RecordPolicy),
    End,
}

impl Message {
    /// The bytes that wait in it.
    fn size(&self) -> usize {
        match self {
            Message::Batch(batch) => batch.bytes.len(),
            Message::Policy(_) | Message::End => 0,
        }
    }
}

/// The loop's end of the thread.
#[derive(Debug)]
pub struct Keeper {
    sender: SyncSender<Message>,
    /// The bytes of the batches that wait.
    waiting: Arc<AtomicUsize>,
    /// Buffers that are empty again.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread. The ring is kept below the folder `state`; nothing is written before the
    /// first policy is told.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(recording: Arc<Recording>, state: &Path) -> Result<Keeper, std::io::Error> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let (emptied, spare) = sync_channel(2);
        let waiting = Arc::new(AtomicUsize::new(0));
        let work = Work {
            recording,
            waiting: Arc::clone(&waiting),
            folder: state.join("trace"),
            policy: None,
            ring: None,
            ring_again: None,
            ring_trouble: None,
            incidents: Incidents::default(),
            packed: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("governor-record".to_owned())
            .stack_size(256 << 10)
            .spawn(move || work.run(&receiver, &emptied))?;
        Ok(Keeper {
            sender,
            waiting,
            spare,
            thread,
        })
    }

    /// One that takes nothing by itself, and has room for so many messages.
    #[cfg(test)]
    pub(super) fn without_thread(capacity: usize) -> (Keeper, Receiver<Message>) {
        let (sender, receiver) = sync_channel(capacity);
        let keeper = Keeper {
            sender,
            waiting: Arc::default(),
            spare: sync_channel(1).1,
            thread: std::thread::spawn(|| {}),
        };
        (keeper, receiver)
    }

    /// Hands a message over, or gives it back where the thread is behind.
    pub(super) fn give(&self, message: Message) -> Result<(), Message> {
        let size = message.size();
        // Only this thread makes it more.
        if self.waiting.load(Ordering::Relaxed).saturating_add(size) > WAITING_MAX {
            return Err(message);
        }
        self.waiting.fetch_add(size, Ordering::Relaxed);
        let given = self.sender.try_send(message);
        if given.is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
        self.thread.thread().unpark();
        given.map_err(|error| match error {
            TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
        })
    }

    /// An empty batch, in a buffer that was used before where there is one.
    pub(super) fn room(&self) -> Batch {
        Batch {
            bytes: self.spare.try_recv().unwrap_or_default(),
            ..Batch::new()
        }
    }

    /// Ends the thread when it has written what it was given, or leaves it to its disk.
    pub(super) fn stop(self) {
        let mut ends = false;
        for _ in 0..DRAIN_WITHIN.as_millis() / DRAIN_TICK.as_millis() {
            ends = ends || self.give(Message::End).is_ok();
            if self.thread.is_finished() {
                return;
            }
            std::thread::sleep(DRAIN_TICK);
        }
    }
}

/// What the thread owns.
struct Work {
    recording: Arc<Recording>,
    waiting: Arc<AtomicUsize>,
    folder: PathBuf,
    policy: Option<RecordPolicy>,
    ring: Option<Ring>,
    /// When a ring that failed is tried again.
    ring_again: Option<Time>,
    ring_trouble: Option<String>,
    incidents: Incidents,
    packed: Vec<u8>,
}

impl Work {
    fn run(mut self, messages: &Receiver<Message>, emptied: &SyncSender<Vec<u8>>) {
        loop {
            match messages.try_recv() {
                Ok(Message::Batch(batch)) => {
                    let size = batch.bytes.len();
                    let mut bytes = self.take(batch);
                    self.waiting.fetch_sub(size, Ordering::Relaxed);
                    bytes.clear();
                    if bytes.capacity() <= 4 * BLOCK_FULL {
                        // Where enough of them wait, it is freed.
                        drop(emptied.try_send(bytes));
                    }
                }
                Ok(Message::Policy(policy)) => self.obey(policy),
                Ok(Message::End) | Err(TryRecvError::Disconnected) => break,
                // What was sent since the look has left its token: then this returns at once.
                Err(TryRecvError::Empty) => std::thread::park(),
            }
        }
        self.incidents.finish(self.ring.as_ref());
    }

    fn obey(&mut self, policy: RecordPolicy) {
        self.recording.keep_ring(policy.enabled);
        if !policy.enabled {
            // What was kept so far stays where it is, until a ring is kept again.
            self.ring = None;
            self.ring_again = None;
            self.ring_trouble = None;
        } else if let Some(ring) = &mut self.ring {
            ring.set_bounds(policy.keep, policy.size);
        }
        self.incidents.obey(&policy);
        self.policy = Some(policy);
        self.tell();
    }

    /// Writes the batch to everybody; gives its buffer back.
    fn take(&mut self, batch: Batch) -> Vec<u8> {
        self.packed.clear();
        if seal(&batch.bytes, &mut self.packed).is_err() {
            // The loop keeps within the bound.
            return batch.bytes;
        }
        self.recording.give(&self.packed, batch.begins);
        if let Err(error) = self.keep(&batch) {
            self.ring = None;
            self.ring_again = Some(batch.at + AGAIN);
            self.trouble(error);
        }
        if let Some(name) = batch.incident {
            self.incidents
                .begin(&name, batch.at, HostClock.wall_micros());
        }
        let calm = batch.calm == Some(true);
        self.incidents.look(batch.at, calm, self.ring.as_ref());
        self.tell();
        batch.bytes
    }

    /// Appends the packed block to the ring, if one is kept.
    fn keep(&mut self, batch: &Batch) -> std::io::Result<()> {
        let Some(policy) = self.policy.as_ref().filter(|policy| policy.enabled) else {
            return Ok(());
        };
        if self.ring_again.is_some_and(|again| batch.at < again) {
            return Ok(());
        }
        let ring = match &mut self.ring {
            Some(ring) => ring,
            None => self.ring.insert(Ring::open(
                &self.folder,
                policy.keep,
                policy.size,
                batch.at,
            )?),
        };
        if batch.begins {
            ring.turn(batch.at)?;
        }
        let written = ring.append(&self.packed, batch.at)?;
        if ring.is_stale() || !ring.is_begun() {
            self.recording.begin_anew();
        }
        if written {
            self.ring_again = None;
            if self.ring_trouble.take().is_some() {
                tracing::info!("the recent past is kept again");
            }
        }
        Ok(())
    }

    fn trouble(&mut self, error: std::io::Error) {
        let sentence = format!(
            "the recent past is not kept in {}: {error}",
            self.folder.display()
        );
        if self.ring_trouble.as_ref() != Some(&sentence) {
            tracing::warn!("{sentence}");
        }
        self.ring_trouble = Some(sentence);
    }

    fn tell(&self) {
        let both = [self.ring_trouble.as_deref(), self.incidents.trouble()];
        let both: Vec<&str> = both.into_iter().flatten().collect();
        self.recording
            .set_note((!both.is_empty()).then(|| both.join("; ")));
    }
}
