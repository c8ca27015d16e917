//! The slow writer: one pre-started thread for the writes that may take seconds.
//!
//! **Problem.** The first `io.max` of a device may wait for all that is under way there, and
//! writing `memory.high` below the usage makes the *writer* reclaim inside `write()`
//! (kernels before 6.16, and always some); the control thread must tick on meanwhile.
//! **Approach.** A mailbox of fixed size. Every slot belongs to exactly one side at any time, as
//! its `turn` says, so the mutex around its content is never contended and never waited for: it is
//! there to prove to the compiler what `turn` already guarantees. Handing over allocates nothing.
//! A write that has not begun can be taken back, and one that has can be left to itself: nothing is
//! written later that nobody knows of any more, and no slot is lost.
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
/// A write is asked for: whoever takes the slot from here has it.
const ASKED: u8 = 1;
/// The slot is the writer's: the write is under way.
const WRITING: u8 = 2;
/// The slot is the writer's, and nobody asks for the result.
const LEFT: u8 = 3;
/// The slot is the control thread's, and holds a result.
const ANSWERED: u8 = 4;

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
#[allow(
    clippy::large_enum_variant,
    reason = "one place that both threads use; nothing here allocates"
)]
enum Content<H> {
    Nothing,
    /// Where this still stands, write that.
    Job(H, KnobText, KnobText),
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

    /// Hands a write over, to be made where `standing` still stands by then. `None`: all slots are
    /// taken; try again later.
    pub fn submit(&self, handle: H, standing: KnobText, text: KnobText) -> Option<Ticket> {
        let (index, slot) = self
            .mailbox
            .slots
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.turn.load(Ordering::Acquire) == FREE)?;
        *slot.content.try_lock().ok()? = Content::Job(handle, standing, text);
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
        match slot.clear()? {
            Content::Result(result) => Some(result),
            Content::Nothing | Content::Job(..) => None,
        }
    }

    /// Takes a write back whose result nobody needs any more. `false`: it is under way, may still
    /// come, and its ticket is still good.
    pub fn take_back(&self, ticket: Ticket) -> bool {
        let Some(slot) = self.mailbox.slots.get(ticket.0) else {
            return true;
        };
        // Only we answer for a slot that is asked, once it is taken from there.
        if !slot.turn_from(ASKED, ANSWERED) && slot.turn.load(Ordering::Acquire) == WRITING {
            return false;
        }
        slot.clear();
        true
    }

    /// Leaves a write to itself that is under way: its slot is free when it ends.
    pub fn leave(&self, ticket: Ticket) {
        if let Some(slot) = self.mailbox.slots.get(ticket.0)
            && !slot.turn_from(WRITING, LEFT)
        {
            // It has ended meanwhile.
            slot.clear();
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

    /// Makes every write that is asked for, until it is to stop; whether there was any.
    pub(super) fn work(&self) -> bool {
        let mut any = false;
        for slot in &self.slots {
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            if slot.turn_from(ASKED, WRITING) {
                slot.write();
                any = true;
            }
        }
        any
    }

    /// Takes the turn for what is asked, as a writer does that gets no further.
    #[cfg(test)]
    pub(super) fn begin(&self) {
        self.slots.iter().for_each(|slot| {
            slot.turn_from(ASKED, WRITING);
        });
    }

    /// Does what was begun; or answers, where the kernel had it done already.
    #[cfg(test)]
    pub(super) fn end(&self, is_done: bool) {
        let begun = |slot: &&Slot<H>| matches!(slot.turn.load(Ordering::Acquire), WRITING | LEFT);
        for slot in self.slots.iter().filter(begun) {
            if is_done {
                *slot.content.lock().unwrap() = Content::Result(Ok(()));
            }
            slot.write();
        }
    }

    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        let is_free = |slot: &Slot<H>| slot.turn.load(Ordering::Acquire) == FREE;
        self.slots.iter().all(is_free)
    }
}

impl<H> Slot<H> {
    /// Takes the turn, if it is at `from`.
    fn turn_from(&self, from: u8, to: u8) -> bool {
        self.turn
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Empties a slot that is the control thread's, and frees it.
    fn clear(&self) -> Option<Content<H>> {
        let content = std::mem::replace(&mut *self.content.try_lock().ok()?, Content::Nothing);
        self.turn.store(FREE, Ordering::Release);
        Some(content)
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
        if let Content::Job(handle, standing, text) = &mut *content {
            let result = handle.replace(standing.as_bytes(), text.as_bytes());
            // Closes the file, too.
            *content = Content::Result(result);
        }
        drop(content);
        if !self.turn_from(WRITING, ANSWERED) {
            self.clear();
        }
    }
}
