//! What the control loop tells the side thread: its last status, its last events, and that it is alive.
//!
//! The loop swaps a pointer and adds to a counter; it never waits for a reader. A reader that wants
//! a fresher status than it finds asks for one by [`Request::Refresh`](super::Request) and looks
//! again.
#![allow(
    clippy::disallowed_methods,
    reason = "the age of a snapshot is told to people, nothing is decided by it"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::host::HostClock;
use crate::model::{EventView, Status};

/// Events kept for those who ask. Older ones are let go: the numbers of the others tell that.
const EVENTS: usize = 512;

/// The notice board: written by the loop, read by the side.
#[derive(Debug, Default)]
pub struct Board {
    run: u64,
    posted: ArcSwapOption<Posted>,
    told: ArcSwap<Vec<Arc<EventView>>>,
    beats: AtomicU64,
}

/// A status and when it was published.
#[derive(Debug)]
pub struct Posted {
    /// The status as the loop saw it.
    pub status: Status,
    at: Instant,
}

impl Board {
    /// An empty board.
    #[must_use]
    pub fn new() -> Board {
        Board {
            run: HostClock.wall_micros(),
            ..Board::default()
        }
    }

    /// What tells this run of the daemon from another one: the numbers of events begin anew in each.
    #[must_use]
    pub const fn run(&self) -> u64 {
        self.run
    }

    /// Numbers events and publishes them. For the loop, which is the only one to call it.
    pub fn tell(&self, events: Vec<EventView>) {
        if events.is_empty() {
            return;
        }
        let before = self.told.load();
        let last = before.last().map_or(0, |event| event.seq);
        let room = EVENTS.saturating_sub(events.len());
        let kept = before.iter().skip(before.len().saturating_sub(room));
        let numbered = events
            .into_iter()
            .zip(last + 1..)
            .map(|(event, seq)| Arc::new(EventView { seq, ..event }));
        let all: Vec<_> = kept.cloned().chain(numbered).collect();
        self.told.store(Arc::new(all));
    }

    /// The last events, oldest first.
    #[must_use]
    pub fn told(&self) -> Arc<Vec<Arc<EventView>>> {
        self.told.load_full()
    }

    /// Publishes a status. For the loop: at the end of a tick, whenever a refresh is asked for, and once a second
    /// on a host of few containers.
    pub fn publish(&self, status: Status) {
        let at = Instant::now();
        self.posted.store(Some(Arc::new(Posted { status, at })));
    }

    /// Says that the loop goes round. For the loop: once a tick.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the loop went round so far.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// The last status; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Posted>> {
        self.posted.load_full()
    }
}

impl Posted {
    /// How old it is.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_the_status_that_it_took_while_the_loop_publishes_the_next() {
        let board = Board::new();
        assert!(board.latest().is_none());
        let mut status = Status::default();
        status.header.ticks = 1;
        board.publish(status.clone());
        let taken = board.latest().unwrap();
        status.header.ticks = 2;
        board.publish(status);
        assert_eq!(taken.status.header.ticks, 1);
        assert_eq!(board.latest().unwrap().status.header.ticks, 2);
    }

    #[test]
    fn events_are_numbered_without_gaps_and_the_oldest_are_let_go() {
        let board = Board::new();
        assert!(board.told().is_empty());
        for _ in 0..EVENTS {
            board.tell(vec![EventView::default(); 3]);
        }
        let told = board.told();
        assert_eq!(told.len(), EVENTS);
        let last = 3 * EVENTS as u64;
        assert_eq!(told.last().unwrap().seq, last);
        assert!(told.windows(2).all(|two| two[0].seq + 1 == two[1].seq));
        board.tell(Vec::new());
        assert_eq!(board.told().last().unwrap().seq, last);
        board.tell(vec![EventView::default(); 2 * EVENTS]);
        assert_eq!(board.told().last().unwrap().seq, last + 2 * EVENTS as u64);
    }

    #[test]
    fn beats_count_the_rounds() {
        let board = Board::new();
        board.beat();
        board.beat();
        assert_eq!(board.beats(), 2);
    }
}
