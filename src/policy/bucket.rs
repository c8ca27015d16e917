//! Has harm summed up to an alarm? A leaky bucket (CUSUM).
//!
//! `S = max(0, S + harm − k·t)`; alarm above `B`. The shape of the harm does not matter: a square
//! wave with a mean over `k` always alarms. The alarm ends at a quarter of `B`, so it cannot flap.

use crate::model::Span;

/// How much more than `B` may be kept: what is over does not make the alarm longer.
const KEPT: u64 = 3;
/// The alarm ends, and the bucket counts as calm, at this part of `B`.
const CALM: u64 = 4;

/// One leaky bucket.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bucket {
    level: Span,
    alarmed: bool,
}

/// What one feeding did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fed {
    /// The alarm began just now.
    pub began: bool,
    /// What of the content before, new harm included, is still there: 0 to 1. Whatever was summed
    /// with the bucket (blame) drains by the same factor.
    pub kept: f64,
}

impl Bucket {
    pub(super) const fn new() -> Bucket {
        Bucket {
            level: Span::ZERO,
            alarmed: false,
        }
    }

    /// Adds the harm of a time `over`, drains `tolerance` (time per time), compares with `size`.
    pub(super) fn feed(&mut self, harm: Span, over: Span, tolerance: f64, size: Span) -> Fed {
        let before = self.level + harm;
        let drained = before.0.saturating_sub(over.scaled(tolerance).0);
        self.level = Span(drained.min(size.0.saturating_mul(KEPT)));
        let was = self.alarmed;
        if self.level > size {
            self.alarmed = true;
        } else if self.level.0 < size.0 / CALM {
            self.alarmed = false;
        }
        Fed {
            began: self.alarmed && !was,
            kept: self.level.over(before),
        }
    }

    /// How full.
    pub(super) const fn level(&self) -> Span {
        self.level
    }

    /// Whether the alarm stands.
    pub(super) const fn alarmed(&self) -> bool {
        self.alarmed
    }

    /// Whether there is so little in it that nothing needs a closer look.
    pub(super) const fn calm(&self, size: Span) -> bool {
        !self.alarmed && self.level.0 < size.0 / CALM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: Span = Span::from_millis(8);
    const TICK: Span = Span::from_millis(20);

    #[test]
    fn half_a_tick_of_harm_alarms_at_once() {
        let mut bucket = Bucket::default();
        assert!(bucket.feed(Span::from_millis(10), TICK, 0.02, SIZE).began);
    }

    #[test]
    fn harm_under_the_tolerance_never_alarms() {
        let mut bucket = Bucket::default();
        for _ in 0..10_000 {
            bucket.feed(Span(300), TICK, 0.02, SIZE);
        }
        assert!(!bucket.alarmed());
    }

    #[test]
    fn the_alarm_ends_lower_than_it_begins() {
        let mut bucket = Bucket::default();
        bucket.feed(Span::from_millis(9), TICK, 0.02, SIZE);
        assert!(bucket.alarmed());
        bucket.feed(Span::ZERO, Span::from_millis(200), 0.02, SIZE);
        assert!(bucket.alarmed() && bucket.level() < SIZE);
        bucket.feed(Span::ZERO, Span::from_millis(200), 0.02, SIZE);
        assert!(bucket.calm(SIZE));
    }

    proptest! {
        #[test]
        fn a_square_wave_with_a_mean_over_the_tolerance_always_alarms(
            on in 1_u64..50, period in 50_u64..200,
        ) {
            let harmed = on as f64 / period as f64;
            prop_assume!(harmed > 0.03);
            let mut bucket = Bucket::default();
            let mut alarmed = false;
            for tick in 0..3_000_u64 {
                let harm = if tick % period < on { TICK } else { Span::ZERO };
                alarmed |= bucket.feed(harm, TICK, 0.02, SIZE).began;
            }
            prop_assert!(alarmed);
        }

        #[test]
        fn what_is_kept_is_a_fraction_and_the_level_is_bounded(
            harms in proptest::collection::vec(0_u64..1_000_000, 1..100),
        ) {
            let mut bucket = Bucket::default();
            for harm in harms {
                let fed = bucket.feed(Span(harm), TICK, 0.02, SIZE);
                prop_assert!((0.0..=1.0).contains(&fed.kept));
                prop_assert!(bucket.level().0 <= SIZE.0 * KEPT);
            }
        }
    }
}
