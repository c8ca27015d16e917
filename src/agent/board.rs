//! What the control loop tells the side thread: its last status, and that it is alive.
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

use arc_swap::ArcSwapOption;

use crate::model::Status;

/// The notice board: written by the loop, read by the side.
#[derive(Debug, Default)]
pub struct Board {
    posted: ArcSwapOption<Posted>,
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
        Board::default()
    }

    /// Publishes a status. For the loop: at the end of a tick, at least once a second in alert and
    /// whenever a refresh is asked for.
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
    fn beats_count_the_rounds() {
        let board = Board::new();
        board.beat();
        board.beat();
        assert_eq!(board.beats(), 2);
    }
}
