//! What is calm for this container, and what is its established demand?
//!
//! Both are learned in calm only, so that an attack can neither teach that stalling is normal nor
//! that taking everything is a habit.

use crate::model::Span;

/// The quiet stall of one container in one resource: a fraction of time.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Baseline {
    learned: Option<f64>,
}

/// How fast a baseline may move: this much a second, so that nobody can train it by short storms.
const SLEW: f64 = 0.001;

impl Baseline {
    pub(super) const fn new() -> Baseline {
        Baseline { learned: None }
    }

    /// What counts as calm: the learned value under the policy's cap, else the policy's default.
    pub(super) fn get(&self, default: f64, most: f64) -> f64 {
        self.learned.unwrap_or(default).min(most)
    }

    /// Moves towards what was seen in calm over `passed`.
    pub(super) fn learn(&mut self, seen: f64, passed: Span, default: f64, most: f64) {
        let now = self.learned.unwrap_or(default);
        let reach = SLEW * passed.as_secs_f64();
        self.learned = Some((now + (seen - now).clamp(-reach, reach)).clamp(0.0, most));
    }
}

/// What a container waits in calm for each unit of its work on devices: microseconds for a unit of
/// [`cost`](crate::model::IoUse::cost).
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuietWait {
    learned: Option<f64>,
}

/// Without history an operation may take as long as on a slow disk: 10 ms.
const WAIT_DEFAULT: f64 = 10_000.0 / crate::model::OPERATION as f64;
/// And never more than this counts as quiet: 50 ms.
const WAIT_MOST: f64 = 50_000.0 / crate::model::OPERATION as f64;
/// The most by which a measurement raises what is known, and the part of the way that it lowers it, at each
/// learning, of which there are two in a second: nobody trains it by an attack that grows slowly, and a pattern
/// that waits more for each unit of work is remembered for a while.
const WAIT_UP: f64 = 0.005;
const WAIT_DOWN: f64 = 0.02;
/// Less work than two operations tells nothing.
const WORK_LEAST: f64 = 2.0 * crate::model::OPERATION as f64;

impl QuietWait {
    /// For one unit of work, to be [scaled](Span::scaled) by how much there is.
    pub(super) fn get(&self) -> Wait {
        Wait(self.learned.unwrap_or(WAIT_DEFAULT))
    }

    /// Takes what was waited in calm, and the work that was done meanwhile. Where others take the device (`is_taken`)
    /// a longer wait is not learned.
    pub(super) fn learn(&mut self, waited: Span, work: f64, is_taken: bool) {
        if work < WORK_LEAST {
            return;
        }
        let seen = waited.micros() as f64 / work;
        let now = self.learned.unwrap_or(seen.min(WAIT_DEFAULT));
        let next = if seen <= now {
            now + (seen - now) * WAIT_DOWN
        } else if is_taken {
            now
        } else {
            seen.min(now * (1.0 + WAIT_UP) + 1.0)
        };
        self.learned = Some(next.clamp(0.0, WAIT_MOST));
    }
}

/// A wait for a unit of work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wait(f64);

impl Wait {
    /// For so much work.
    pub(super) fn scaled(self, work: f64) -> Span {
        Span((self.0 * work) as u64)
    }
}

/// What a container has shown to need, in calm: CPUs.
///
/// Credit is given only for windows in which the host had idle CPU left and the container did not
/// stall: then its usage was its demand. It decays only while unused.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Demand {
    cpus: f64,
}

/// Unused credit halves in this time.
const HALF_LIFE: Span = Span::from_secs(600);

impl Demand {
    /// In CPUs; zero where nothing is established.
    pub(super) const fn get(&self) -> f64 {
        self.cpus
    }

    /// Takes a calm window's usage; `most` is what the policy lets one container claim.
    pub(super) fn learn(&mut self, usage: f64, passed: Span, most: f64) {
        let halvings = passed.as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.cpus = usage
            .max(self.cpus * 0.5_f64.powf(halvings))
            .clamp(0.0, most);
    }
}

/// The level of memory, or of tasks, that a container has held in calm for about ten seconds.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level<V> {
    held: V,
}

impl<V: Copy> Level<V> {
    pub(super) const fn get(&self) -> V {
        self.held
    }

    /// Takes the size at which it was met, as long as nothing better is known: one that was there, and does
    /// not grow, is no aggressor, however large it is.
    pub(super) fn meet(&mut self, size: V) {
        self.held = size;
    }

    /// Takes the least size of the last ten calm seconds; what is not used any more is given up.
    pub(super) fn learn(&mut self, least: V) {
        self.held = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_moves_slowly_and_never_over_the_cap() {
        let mut baseline = Baseline::default();
        assert_eq!(baseline.get(0.005, 0.05), 0.005);
        baseline.learn(1.0, Span::from_secs(1), 0.005, 0.05);
        assert!((baseline.get(0.005, 0.05) - 0.006).abs() < 1e-9);
        baseline.learn(1.0, Span::from_secs(1_000), 0.005, 0.05);
        assert_eq!(baseline.get(0.005, 0.05), 0.05);
    }

    #[test]
    fn a_quiet_wait_rises_and_falls_slowly_and_has_a_limit() {
        let mut quiet = QuietWait::default();
        let one = |quiet: &QuietWait| quiet.get().scaled(1.0);
        assert_eq!(one(&quiet), Span(625));
        quiet.learn(Span::from_secs(9), 1.0, false);
        assert_eq!(one(&quiet), Span(625), "too little work");
        quiet.learn(Span(10_000), 100.0, false);
        assert_eq!(one(&quiet), Span(100));
        quiet.learn(Span(30_000), 100.0, true);
        assert_eq!(one(&quiet), Span(100), "others take it");
        quiet.learn(Span(30_000), 100.0, false);
        assert_eq!(one(&quiet), Span(101));
        quiet.learn(Span::ZERO, 100.0, false);
        assert_eq!(one(&quiet), Span(99));
        for _ in 0..10_000 {
            quiet.learn(Span::from_secs(100), 100.0, false);
        }
        assert_eq!(one(&quiet), Span(3_125));
        let mut slow = QuietWait::default();
        slow.learn(Span::from_secs(9), 100.0, false);
        assert_eq!(
            one(&slow),
            Span(629),
            "the first measurement may be of an attack"
        );
    }

    #[test]
    fn demand_rises_at_once_decays_by_half_in_ten_minutes_and_is_capped() {
        let mut demand = Demand::default();
        demand.learn(0.8, Span::from_secs(2), 0.9);
        assert_eq!(demand.get(), 0.8);
        demand.learn(0.0, Span::from_secs(600), 0.9);
        assert!((demand.get() - 0.4).abs() < 1e-9);
        demand.learn(2.0, Span::from_secs(2), 0.9);
        assert_eq!(demand.get(), 0.9);
    }
}
