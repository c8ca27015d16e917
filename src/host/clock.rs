//! The clock. All else is told what time it is.

use crate::model::{Span, Time};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What tells the time.
pub trait Clock {
    /// Now, on a clock that never jumps.
    fn now(&self) -> Time;

    /// The CPU time that the calling thread has used so far.
    fn thread_cpu(&self) -> Span;
}

/// The host's clock: `CLOCK_MONOTONIC`, which [`Time`] counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> Time {
        Time(micros(clock_gettime(ClockId::Monotonic)))
    }

    fn thread_cpu(&self) -> Span {
        Span(micros(clock_gettime(ClockId::ThreadCPUTime)))
    }
}

impl HostClock {
    /// The CPU time that the whole process has used so far.
    #[must_use]
    pub fn process_cpu(&self) -> Span {
        Span(micros(clock_gettime(ClockId::ProcessCPUTime)))
    }

    /// The time of day, in microseconds since 1970; for logs only, it may jump.
    #[must_use]
    pub fn wall_micros(&self) -> u64 {
        micros(clock_gettime(ClockId::Realtime))
    }

    /// The time of day at a moment of [`Clock::now`], in microseconds since 1970, by what both clocks
    /// show now; for people only.
    #[must_use]
    pub fn wall_at(&self, at: Time) -> i64 {
        let signed = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX);
        let now = self.now();
        signed(self.wall_micros()) - signed(now.0) + signed(at.0)
    }
}

fn micros(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}

/// A clock that goes on only when it is told to. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct FakeClock {
    now: Arc<AtomicU64>,
    cpu: Arc<AtomicU64>,
}

impl FakeClock {
    /// Goes on to this moment; never back.
    pub fn set(&self, now: Time) {
        self.now.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Goes on by so much.
    pub fn advance(&self, by: Span) {
        self.now.fetch_add(by.0, Ordering::Relaxed);
    }

    /// The thread seems to use so much CPU time.
    pub fn burn(&self, cpu: Span) {
        self.cpu.fetch_add(cpu.0, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Time {
        Time(self.now.load(Ordering::Relaxed))
    }

    fn thread_cpu(&self) -> Span {
        Span(self.cpu.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_clock_goes_on_and_thread_time_is_within_process_time() {
        let clock = HostClock;
        let (start, cpu) = (clock.now(), clock.thread_cpu());
        while clock.thread_cpu().advance(cpu) < Span(1_000) {}
        assert!(clock.now().since(start) >= Span(900));
        assert!(clock.process_cpu() >= clock.thread_cpu().advance(cpu));
        assert!(clock.wall_micros() > 1_600_000_000_000_000);
    }

    #[test]
    fn a_fake_clock_never_runs_back() {
        let clock = FakeClock::default();
        clock.set(Time(50));
        clock.clone().set(Time(20));
        assert_eq!(clock.now(), Time(50));
        clock.advance(Span(5));
        assert_eq!(clock.now(), Time(55));
    }
}
