//! The slow writer: one pre-started thread for the writes that may take seconds.
//!
//! **Problem.** Writing `memory.high` below the usage makes the *writer* reclaim inside `write()`
//! (kernels before 6.16, and always some); the control thread must tick on meanwhile.
//! **Approach.** A mailbox of fixed size. Every slot belongs to exactly one side at any time, as
//! its `turn` says, so the mutex around its content is never contended and never waited for: it is
//! there to prove to the compiler what `turn` already guarantees. Handing over allocates nothing.
//! **Limits.** [`SLOTS`] writes under way; a further one is refused and tried again by the caller.
//! That the newest intent wins is the caller's doing: it has at most one write of a knob under way
//! and keeps only the latest wish for afterwards.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};

use super::journal_format::KnobText;
use crate::host::KnobHandle;
use crate::model::Reading;

/// How many writes may be under way.
pub(super) const SLOTS: usize = 64;

/// The slot is the control thread's, and empty.
const FREE: u8 = 0;
/// The slot is the writer's: a write is asked for or under way.
const ASKED: u8 = 1;
/// The slot is the control thread's, and holds a result.
const ANSWERED: u8 = 2;

/// A write under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(usize);

/// What the two threads share.
#[derive(Debug)]
pub(super) struct Mailbox<H> {
    slots: [Slot<H>; SLOTS],
    stop: AtomicBool,
}

#[derive(Debug)]
struct Slot<H> {
    turn: AtomicU8,
    content: Mutex<Content<H>>,
}

#[derive(Debug)]
enum Content<H> {
    Nothing,
    Job(H, KnobText),
    Result(Reading<()>),
}

/// The control thread's end. Dropping it ends the writer once its present write is done; nobody
/// waits for that.
#[derive(Debug)]
pub struct SlowWriter<H> {
    mailbox: Arc<Mailbox<H>>,
    thread: Option<Thread>,
}

impl<H: KnobHandle> SlowWriter<H> {
    /// Starts the thread, named `governor-slow`.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start() -> std::io::Result<SlowWriter<H>> {
        let mailbox = Arc::new(Mailbox::new());
        let theirs = Arc::clone(&mailbox);
        let handle: JoinHandle<()> = std::thread::Builder::new()
            .name("governor-slow".to_owned())
            .stack_size(64 << 10)
            .spawn(move || {
                while !theirs.stop.load(Ordering::Acquire) {
                    if !theirs.work() {
                        std::thread::park();
                    }
                }
            })?;
        Ok(SlowWriter {
            mailbox,
            thread: Some(handle.thread().clone()),
        })
    }

    /// A mailbox whose writes are made by whoever calls [`Mailbox::work`].
    #[cfg(test)]
    pub(super) fn without_thread() -> (SlowWriter<H>, Arc<Mailbox<H>>) {
        let mailbox = Arc::new(Mailbox::new());
        let ours = SlowWriter {
            mailbox: Arc::clone(&mailbox),
            thread: None,
        };
        (ours, mailbox)
    }

    /// Hands a write over. `None`: all slots are taken; try again later.
    pub fn submit(&self, handle: H, text: KnobText) -> Option<Ticket> {
        let (index, slot) = self
            .mailbox
            .slots
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.turn.load(Ordering::Acquire) == FREE)?;
        *slot.content.try_lock().ok()? = Content::Job(handle, text);
        slot.turn.store(ASKED, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
        Some(Ticket(index))
    }

    /// The result of a write; `None` while it is under way. A result is told once.
    pub fn result(&self, ticket: Ticket) -> Option<Reading<()>> {
        let slot = self.mailbox.slots.get(ticket.0)?;
        if slot.turn.load(Ordering::Acquire) != ANSWERED {
            return None;
        }
        let content = std::mem::replace(&mut *slot.content.try_lock().ok()?, Content::Nothing);
        slot.turn.store(FREE, Ordering::Release);
        match content {
            Content::Result(result) => Some(result),
            Content::Nothing | Content::Job(..) => None,
        }
    }
}

impl<H> Drop for SlowWriter<H> {
    fn drop(&mut self) {
        self.mailbox.stop.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

impl<H: KnobHandle> Mailbox<H> {
    fn new() -> Mailbox<H> {
        Mailbox {
            slots: std::array::from_fn(|_| Slot {
                turn: AtomicU8::new(FREE),
                content: Mutex::new(Content::Nothing),
            }),
            stop: AtomicBool::new(false),
        }
    }

    /// Makes every write that is asked for; whether there was any.
    pub(super) fn work(&self) -> bool {
        let mut any = false;
        for slot in &self.slots {
            if slot.turn.load(Ordering::Acquire) == ASKED {
                slot.write();
                any = true;
            }
        }
        any
    }
}

impl<H: KnobHandle> Slot<H> {
    /// The slot stays ours during the write, and so does its lock: nobody else asks for it.
    fn write(&self) {
        // A poisoned lock would mean that a write panicked; its slot is then simply taken over.
        let mut content = self
            .content
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Content::Job(handle, text) = &mut *content {
            let result = handle.write(text.as_bytes());
            // Closes the file, too.
            *content = Content::Result(result);
        }
        drop(content);
        self.turn.store(ANSWERED, Ordering::Release);
    }
}
