//! Time is an argument: a plain number of microseconds.

use std::fmt;
use std::ops::{Add, Sub};

/// A moment on the host's monotonic clock, in microseconds since an arbitrary start (boot).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Time(pub u64);

/// A length of time in microseconds. Kernel counters of stall and of CPU use are spans too.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Span(pub u64);

impl Time {
    /// The time passed since `earlier`; zero where `earlier` is later (a clock never runs back,
    /// a caller may mix up two samples).
    #[must_use]
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// Nothing.
    pub const ZERO: Span = Span(0);

    /// From milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Span {
        Span(ms.saturating_mul(1_000))
    }

    /// From seconds, saturating.
    #[must_use]
    pub const fn from_secs(s: u64) -> Span {
        Span(s.saturating_mul(1_000_000))
    }

    /// Whole microseconds.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// As seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// How much a counter advanced from `earlier`; zero if it went back (a new cgroup, a reset).
    #[must_use]
    pub const fn advance(self, earlier: Span) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This span as a fraction of `whole`; zero where `whole` is zero.
    #[must_use]
    pub fn over(self, whole: Span) -> f64 {
        if whole.0 == 0 {
            0.0
        } else {
            self.0 as f64 / whole.0 as f64
        }
    }

    /// This span times a factor, rounded, never negative.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Span {
        Span((self.0 as f64 * factor).max(0.0).round() as u64)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..=999 => write!(f, "{}us", self.0),
            1_000..=9_999_999 => write!(f, "{}ms", self.0 / 1_000),
            _ => write!(f, "{}s", self.0 / 1_000_000),
        }
    }
}
