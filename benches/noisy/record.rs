//! What a victim lived through: every request with its scheduled time and its latency.
//!
//! Times are microseconds of CLOCK_MONOTONIC, which every process of a boot shares: whoever knows
//! when the attack began can take percentiles over any window around it.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Microseconds since boot.
pub(crate) fn now_us() -> u64 {
    micros(clock_gettime(ClockId::Monotonic))
}

/// Microseconds of CPU time that this thread has had.
pub(crate) fn thread_cpu_us() -> u64 {
    micros(clock_gettime(ClockId::ThreadCPUTime))
}

fn micros(time: Timespec) -> u64 {
    // Neither clock is ever negative.
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

/// `span` in whole microseconds.
pub(crate) fn span_us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Sleeps until `at_us`; returns at once if that has passed.
pub(crate) fn sleep_until(at_us: u64) {
    let now = now_us();
    if at_us > now {
        std::thread::sleep(Duration::from_micros(at_us - now));
    }
}

/// How long after its last due request a victim still works off what is late.
const GIVE_UP_US: u64 = 30_000_000;

/// Plain work: about 150 instructions a round. They go from register to register in one straight line, once the
/// compiler has unrolled it, which an emulator runs several times as fast as what touches memory or jumps. No pause
/// instruction: emulated CPUs take ages over it.
pub(crate) fn churn(rounds: u64) {
    let mut x = std::hint::black_box(rounds | 1);
    for _ in 0..rounds {
        // Marsaglia's xorshift64, whose steps no compiler can merge.
        for _ in 0..16 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
    }
    std::hint::black_box(x);
}

/// The fixed rhythm of an open loop: when each request is due, whatever became of those before.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    start_us: u64,
    every_us: u64,
    count: u64,
    give_up_us: u64,
    later_us: u64,
}

impl Schedule {
    /// Requests `every` so often from `start_us` (or from now) on, for `run_for`. What is not done
    /// 30 s after the last was due counts as never done.
    pub(crate) fn new(start_us: Option<u64>, every: Duration, run_for: Duration) -> Schedule {
        let start_us = start_us.unwrap_or_else(now_us);
        let every_us = span_us(every).max(1);
        let count = span_us(run_for) / every_us;
        Schedule {
            start_us,
            every_us,
            count,
            give_up_us: start_us + count * every_us + GIVE_UP_US,
            later_us: 0,
        }
    }

    /// Each request up to this much later, less than the time between two: the same moments at every run, spread evenly.
    /// A period that the kernel's timer divides meets the same moment of a throttle's every time, or never.
    pub(crate) fn later_by(mut self, later: Duration) -> Schedule {
        self.later_us = span_us(later).min(self.every_us - 1);
        self
    }

    /// The moments at which requests are due.
    pub(crate) fn due(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |n| self.start_us + n * self.every_us + self.later(n))
    }

    fn later(self, n: u64) -> u64 {
        // Weyl's sequence of the golden ratio, whose parts are the most even of all.
        let part = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (part * self.later_us) >> 32
    }

    /// Whether the first request is due.
    #[cfg(feature = "bench")]
    pub(crate) fn begun(self) -> bool {
        now_us() >= self.start_us
    }

    /// Whether it is too late to begin another request.
    pub(crate) fn over(self) -> bool {
        now_us() >= self.give_up_us
    }
}

/// One request: when it was due, and how much later its answer was there; `None`: never.
pub(crate) type Request = (u64, Option<u64>);

/// Does every request of the schedule on this thread, one after the other.
///
/// # Errors
/// The first that `work` returns.
pub(crate) fn serve(
    schedule: Schedule,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Request>> {
    let mut requests = Vec::new();
    for due in schedule.due() {
        if schedule.over() {
            requests.push((due, None));
            continue;
        }
        sleep_until(due);
        work()?;
        requests.push((due, Some(now_us().saturating_sub(due))));
    }
    Ok(requests)
}

/// Prints the record: one line of JSON, `{"victim":"timer","requests":[[due_us,latency_us|null],…]}`.
///
/// # Errors
/// Standard output is gone.
pub(crate) fn print(victim: &str, requests: Vec<Request>) -> anyhow::Result<()> {
    print_refused(victim, requests, 0)
}

/// As [`print`], and that the kernel refused it so many forks.
///
/// # Errors
/// Likewise.
pub(crate) fn print_refused(
    victim: &str,
    mut requests: Vec<Request>,
    refused: u64,
) -> anyhow::Result<()> {
    use std::io::Write;
    requests.sort_unstable();
    let line = serde_json::json!({ "victim": victim, "requests": requests, "refused": refused });
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}
