//! What was done to one container in one resource, and by whom.

use super::blame::Ledger;
use super::bucket::{Bucket, Fed};
use super::harm::Harm;
use super::learn::Baseline;
use super::window::{Over, Windows};
use crate::model::{Policy, Span, Time};

/// One resource's strain on one container: what was done to it, and by whom.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Strain {
    /// Cumulative harm, so that its rate can be asked over any span.
    harm: Windows<Span>,
    total: Span,
    /// When the bucket began to fill, and the cumulative harm then.
    began: Option<(Time, Span)>,
    pub bucket: Bucket,
    pub ledger: Ledger,
    pub baseline: Baseline,
    /// What remained after a rung that helped: relief is judged by the fall, not by an absolute
    /// zero, so this much more is tolerated while that rung stands.
    pub residual: f64,
    /// The last tick's harm with its bounds.
    pub last: Harm,
}

impl Strain {
    pub(super) const fn new() -> Strain {
        Strain {
            harm: Windows::new(),
            total: Span::ZERO,
            began: None,
            bucket: Bucket::new(),
            ledger: Ledger::new(),
            baseline: Baseline::new(),
            residual: 0.0,
            last: Harm {
                amount: Span::ZERO,
                own_least: Span::ZERO,
                own_most: Span::ZERO,
            },
        }
    }

    /// Takes one tick's harm, of which so much is tolerated (time per time).
    pub(super) fn feed(
        &mut self,
        at: Time,
        over: Span,
        harm: Harm,
        tolerance: f64,
        size: Span,
    ) -> Fed {
        if self.bucket.level() == Span::ZERO {
            self.began = Some((at - over, self.total));
        }
        self.total = self.total + harm.amount;
        self.harm.push(at, self.total);
        self.last = harm;
        self.bucket.feed(harm.amount, over, tolerance, size)
    }

    /// Forgets the harm that was summed so far: its sufferer is held now.
    pub(super) fn reset(&mut self) {
        self.bucket = Bucket::new();
        self.ledger = Ledger::new();
        self.began = None;
    }

    /// Harm as a fraction of time.
    pub(super) fn rate(&self, over: Over) -> f64 {
        self.harm.rate(over)
    }

    /// When harm was last measured; `None` before the first time.
    pub(super) fn at(&self) -> Option<Time> {
        self.harm.at()
    }

    /// Cumulative harm.
    pub(super) const fn total(&self) -> Span {
        self.total
    }

    /// Harm as a fraction of the time since the bucket began to fill: undiluted by the calm before.
    pub(super) fn filling(&self, now: Time) -> f64 {
        self.began.map_or(0.0, |(at, total)| {
            self.total.advance(total).over(now.since(at))
        })
    }

    /// What counts as calm for this one.
    pub(super) fn calm(&self, policy: &Policy) -> f64 {
        self.baseline.get(
            policy.detect.baseline.get(),
            policy.detect.baseline_max.get(),
        )
    }

    /// The drain of the bucket: tolerance above the baseline, or above what a good rung left.
    pub(super) fn tolerance(&self, policy: &Policy) -> f64 {
        policy.detect.tolerance.get() + self.calm(policy).max(self.residual)
    }
}
