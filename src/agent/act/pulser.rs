//! The pulser: one pre-started thread that freezes and thaws groups by turns.
//!
//! **Problem.** Pulses of milliseconds are nothing for the control loop, which looks every 20 ms at its best; and whoever
//! is thawed may take all CPUs in real time, until he is frozen again.
//! **Approach.** A thread above all others, which sleeps but for the writes. Every slot belongs to one side at any time,
//! as its `turn` says, as with the [slow writer](super::writer): nobody waits for a lock. Before each write it hears
//! whether anybody else has written the file, and reads what stands there: both are somebody's wish (`docker pause`),
//! and end the pulses at once, with what stands there left.
//! **States.** Free, pulsing, to be stopped, ended. What is ended stands thawed, or as somebody else wants it.
//! **Limits.** [`SLOTS`] groups. A write by somebody else between our look and our write, or within the microseconds
//! after it, is lost. Should the thread die, the control thread gives back what it held; should the
//! process die, the journal tells the next one. A thread that is late, since the kernel's lock of all
//! cgroups is somebody else's, is as late with the other side.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::host::{Clock, HostClock, KnobHandle, run_above_all};
use crate::model::{Absent, Pulses, Span, Time};

/// How many groups may be pulsed.
pub(super) const SLOTS: usize = 4;

/// The thread sleeps for so long at least between two looks.
const PAUSE: Span = Span::from_millis(1);

/// The slot is the control thread's, and empty.
const FREE: u8 = 0;
/// The slot is the pulser's.
const PULSING: u8 = 1;
/// The slot is the pulser's, and shall not be.
const STOP: u8 = 2;
/// The slot is the control thread's, and tells how it ended.
const ENDED: u8 = 3;

const FROZEN: &[u8] = b"1";
const THAWED: &[u8] = b"0";

/// A group that is pulsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pulse(usize);

/// How pulses ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As asked: what stood there before stands again.
    Stopped,
    /// Somebody else wrote the file: what stands there is his.
    Theirs,
    /// The group is gone.
    Gone,
    /// The file could not be written or listened to; what stands there is to be looked at.
    Failed(Absent),
}

/// What the two threads share.
#[derive(Debug)]
pub(super) struct Table<H> {
    slots: [Slot<H>; SLOTS],
    stop: AtomicBool,
    /// Rings when a slot has ended.
    bell: (Mutex<()>, Condvar),
}

#[derive(Debug)]
struct Slot<H> {
    turn: AtomicU8,
    /// Microseconds.
    thawed: AtomicU64,
    period: AtomicU64,
    /// Whether it was frozen once.
    begun: AtomicBool,
    content: Mutex<Content<H>>,
}

#[derive(Debug)]
struct Content<H> {
    handle: Option<H>,
    /// What we wrote last.
    frozen: bool,
    listens: bool,
    due: Time,
    end: End,
}

/// The control thread's end. Dropping it thaws everybody and ends the pulser; nobody waits for that.
#[derive(Debug)]
pub struct Pulser<H> {
    table: Arc<Table<H>>,
    thread: Option<JoinHandle<()>>,
}

impl<H: KnobHandle> Pulser<H> {
    /// Starts the thread, named `governor-pulse`, above all others where that is allowed.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start() -> std::io::Result<Pulser<H>> {
        let table = Arc::new(Table::new());
        let theirs = Arc::clone(&table);
        let thread = std::thread::Builder::new()
            .name("governor-pulse".to_owned())
            .stack_size(64 << 10)
            .spawn(move || theirs.work(&HostClock))?;
        Ok(Pulser {
            table,
            thread: Some(thread),
        })
    }

    /// A table whose pulses are made by whoever calls [`Table::turn`].
    #[cfg(test)]
    pub(super) fn without_thread() -> (Pulser<H>, Arc<Table<H>>) {
        let table = Arc::new(Table::new());
        let ours = Pulser {
            table: Arc::clone(&table),
            thread: None,
        };
        (ours, table)
    }

    /// Pulses a group that is thawed, from now on. `None`: all slots are taken, or nobody is there to do it.
    pub(super) fn begin(&self, handle: H, pulses: Pulses) -> Option<Pulse> {
        if self.is_dead() {
            return None;
        }
        let mut slots = self.table.slots.iter().enumerate();
        let (index, slot) = slots.find(|(_, slot)| slot.turn.load(Ordering::Acquire) == FREE)?;
        *slot.content.try_lock().ok()? = Content {
            handle: Some(handle),
            frozen: false,
            listens: false,
            due: Time(0),
            end: End::Stopped,
        };
        slot.begun.store(false, Ordering::Relaxed);
        slot.set(pulses);
        slot.turn.store(PULSING, Ordering::Release);
        self.wake();
        Some(Pulse(index))
    }

    /// Pulses it like this, from the next change on.
    pub(super) fn change(&self, pulse: Pulse, pulses: Pulses) {
        if let Some(slot) = self.table.slots.get(pulse.0) {
            slot.set(pulses);
        }
    }

    /// Whether it was frozen once.
    pub(super) fn has_begun(&self, pulse: Pulse) -> bool {
        let slot = self.table.slots.get(pulse.0);
        slot.is_some_and(|slot| slot.begun.load(Ordering::Acquire))
    }

    /// Asks for the end.
    pub(super) fn stop(&self, pulse: Pulse) {
        if let Some(slot) = self.table.slots.get(pulse.0)
            && slot.turn_from(PULSING, STOP)
        {
            self.wake();
        }
    }

    /// How it ended, where that comes within this time.
    pub(super) fn wait(&self, pulse: Pulse, most: Duration) -> Option<End> {
        let (lock, bell) = &self.table.bell;
        let is_open = |(): &mut ()| {
            let slot = self.table.slots.get(pulse.0);
            self.works() && slot.is_some_and(|slot| slot.turn.load(Ordering::Acquire) != ENDED)
        };
        // A poisoned lock guards nothing.
        let locked = lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(bell.wait_timeout_while(locked, most, is_open));
        self.ended(pulse)
    }

    /// How it ended; `None` while it goes on. That is told once.
    pub(super) fn ended(&self, pulse: Pulse) -> Option<End> {
        let slot = self.table.slots.get(pulse.0)?;
        if slot.turn.load(Ordering::Acquire) != ENDED && !self.is_dead() {
            return None;
        }
        let mut content = match slot.content.try_lock() {
            Ok(content) => content,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        // Closes the file, too.
        content.handle = None;
        let end = match slot.turn.swap(FREE, Ordering::AcqRel) {
            ENDED => content.end,
            _ => End::Failed(Absent::Busy),
        };
        Some(end)
    }

    fn is_dead(&self) -> bool {
        self.thread.is_some() && !self.works()
    }

    fn works(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| !thread.is_finished())
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl<H> Drop for Pulser<H> {
    fn drop(&mut self) {
        self.table.stop.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl<H: KnobHandle> Table<H> {
    fn new() -> Table<H> {
        Table {
            slots: std::array::from_fn(|_| Slot {
                turn: AtomicU8::new(FREE),
                thawed: AtomicU64::new(0),
                period: AtomicU64::new(0),
                begun: AtomicBool::new(false),
                content: Mutex::new(Content {
                    handle: None,
                    frozen: false,
                    listens: false,
                    due: Time(0),
                    end: End::Stopped,
                }),
            }),
            stop: AtomicBool::new(false),
            bell: (Mutex::new(()), Condvar::new()),
        }
    }

    /// The thread, until it is to stop.
    fn work(&self, clock: &dyn Clock) {
        // The loop asks for the same, and says what it costs where that is refused.
        let _ = run_above_all();
        while !self.stop.load(Ordering::Acquire) {
            match self.turn(clock.now()) {
                Some(due) => {
                    // It always sleeps: above all others it would else be the hog, should the kernel be slow.
                    let left = due.since(clock.now()).max(PAUSE);
                    std::thread::park_timeout(Duration::from_micros(left.micros()));
                }
                None => std::thread::park(),
            }
        }
        for slot in &self.slots {
            slot.turn_from(PULSING, STOP);
        }
        self.turn(clock.now());
    }

    /// Makes every change that is due; when the next one is.
    pub(super) fn turn(&self, now: Time) -> Option<Time> {
        let mut next: Option<Time> = None;
        for slot in &self.slots {
            let due = match slot.turn.load(Ordering::Acquire) {
                PULSING => self.go_on(slot, now),
                STOP => {
                    self.end(slot, |content| content.stop());
                    None
                }
                _ => None,
            };
            next = match (next, due) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        next
    }

    /// One look at a slot that is pulsed.
    fn go_on(&self, slot: &Slot<H>, now: Time) -> Option<Time> {
        let mut content = slot.lock();
        if content.due <= now {
            match content.beat() {
                Ok(()) => {
                    content.due = now + slot.span(content.frozen);
                    slot.begun.store(true, Ordering::Release);
                }
                Err(end) => {
                    drop(content);
                    self.end(slot, |_| end);
                    return None;
                }
            }
        }
        Some(content.due)
    }

    /// Gives a slot back with how it ended.
    fn end(&self, slot: &Slot<H>, how: impl FnOnce(&mut Content<H>) -> End) {
        let mut content = slot.lock();
        content.end = how(&mut content);
        drop(content);
        slot.turn.store(ENDED, Ordering::Release);
        // Taken, so that nobody misses the bell between his look and his waiting.
        drop(self.bell.0.lock());
        self.bell.1.notify_all();
    }
}

impl<H> Slot<H> {
    fn turn_from(&self, from: u8, to: u8) -> bool {
        self.turn
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn set(&self, pulses: Pulses) {
        self.thawed.store(pulses.thawed.micros(), Ordering::Relaxed);
        self.period.store(pulses.period.micros(), Ordering::Relaxed);
    }

    /// How long it stays as it is now.
    fn span(&self, frozen: bool) -> Span {
        let thawed = Span(self.thawed.load(Ordering::Relaxed));
        if frozen {
            Span(self.period.load(Ordering::Relaxed)).advance(thawed)
        } else {
            thawed
        }
    }

    /// Never contended: only whose turn it is asks for it.
    fn lock(&self) -> MutexGuard<'_, Content<H>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: KnobHandle> Content<H> {
    /// Writes the other one of the two, where ours still stands and nobody else has written.
    fn beat(&mut self) -> Result<(), End> {
        let handle = self.handle.as_mut().ok_or(End::Gone)?;
        let failed = |why| match why {
            Absent::Refused => End::Theirs,
            Absent::Gone | Absent::NoFile => End::Gone,
            why => End::Failed(why),
        };
        if !self.listens {
            handle.listen().map_err(failed)?;
            self.listens = true;
        }
        if handle.was_written() {
            return Err(End::Theirs);
        }
        let (standing, text) = if self.frozen {
            (FROZEN, THAWED)
        } else {
            (THAWED, FROZEN)
        };
        handle.replace(standing, text).map_err(failed)?;
        self.frozen = !self.frozen;
        // Our own.
        handle.was_written();
        Ok(())
    }

    /// Thaws it, unless somebody else has written.
    fn stop(&mut self) -> End {
        if self.frozen {
            return self.beat().err().unwrap_or(End::Stopped);
        }
        let heard = self.listens && self.handle.as_mut().is_some_and(H::was_written);
        if heard { End::Theirs } else { End::Stopped }
    }
}
