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
    /// What it waits for neighbours who all take what they may: nobody's doing, so this much more is tolerated too.
    #[serde(default)]
    pub shared: f64,
    /// Since when its alarm has led to nobody.
    #[serde(default)]
    unclaimed: Option<Time>,
    /// Since when somebody has taken too much.
    #[serde(default)]
    claimed: Option<Time>,
    /// The last tick's harm with its bounds.
    pub last: Harm,
}

/// For so long an alarm must have led to nobody.
const UNCLAIMED: Span = Span::from_secs(2);
/// With somebody who takes too much it is forgotten after this long.
const FORGOTTEN: Span = Span::from_secs(2);
/// What one waits so wavers: so many times its mean is tolerated.
const WAVERS: f64 = 1.25;
/// More than this is never borne. (Seen: 12 of every 80 ms beside 30 of every 50, on one CPU, wait 13 %.)
const SHARED_MOST: f64 = 0.2;

/// Whose doing one's harm may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nobody takes too much.
    Nobody,
    /// Somebody does.
    Somebody,
    /// Somebody is held for it.
    Answered,
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
            shared: 0.0,
            unclaimed: None,
            claimed: None,
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

    /// Learns what it waits for neighbours who all take what they may: an alarm that stands and leads to nobody for
    /// [`UNCLAIMED`] tells it. It is forgotten as soon as it waits less, and a while after somebody has begun to take too much,
    /// unless that is answered: nobody shall get one used to what he will do later.
    pub(super) fn share(&mut self, at: Time, doing: Doing) {
        let waits = self.rate(Over::Two) * WAVERS;
        if !self.bucket.alarmed() {
            self.shared = self.shared.min(waits);
            self.unclaimed = None;
        }
        match doing {
            Doing::Answered => (self.unclaimed, self.claimed) = (None, None),
            Doing::Somebody => {
                self.unclaimed = None;
                if at.since(*self.claimed.get_or_insert(at)) >= FORGOTTEN {
                    self.shared = 0.0;
                }
            }
            Doing::Nobody => {
                self.claimed = None;
                if self.bucket.alarmed()
                    && at.since(*self.unclaimed.get_or_insert(at)) >= UNCLAIMED
                    && waits <= SHARED_MOST
                {
                    self.shared = waits;
                }
            }
        }
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

    /// The drain of the bucket: tolerance above the baseline, above what a good rung left, or above what is nobody's doing.
    pub(super) fn tolerance(&self, policy: &Policy) -> f64 {
        policy.detect.tolerance.get() + self.calm(policy).max(self.residual).max(self.shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Span = Span::from_millis(20);
    const SIZE: Span = Span::from_millis(8);

    /// So many seconds in which it waits this part of the time.
    fn waits(strain: &mut Strain, from: Time, seconds: u64, part: f64, doing: Doing) -> Time {
        let mut at = from;
        for _ in 0..seconds * 50 {
            at = at + TICK;
            let harm = Harm {
                amount: TICK.scaled(part),
                ..Harm::default()
            };
            let tolerance = 0.02 + strain.shared;
            strain.feed(at, TICK, harm, tolerance, SIZE);
            strain.share(at, doing);
        }
        at
    }

    /// One that has waited for its neighbours for five seconds.
    fn used_to_it() -> (Strain, Time) {
        let mut strain = Strain::new();
        let at = waits(&mut strain, Time(0), 2, 0.12, Doing::Nobody);
        assert!(strain.bucket.alarmed() && strain.shared == 0.0);
        let at = waits(&mut strain, at, 3, 0.12, Doing::Nobody);
        assert!(!strain.bucket.alarmed());
        assert!((0.12..0.16).contains(&strain.shared), "{}", strain.shared);
        (strain, at)
    }

    #[test]
    fn what_neighbours_wait_for_each_other_is_no_alarm_for_long_and_is_forgotten_when_they_do_not()
    {
        let (mut strain, at) = used_to_it();
        // Whoever comes then is met by what is added.
        let at = waits(&mut strain, at, 1, 0.4, Doing::Somebody);
        assert!(strain.bucket.alarmed() && strain.filling(at) > 0.3);
        let at = waits(&mut strain, at, 9, 0.12, Doing::Answered);
        assert!(!strain.bucket.alarmed() && strain.shared > 0.12);
        waits(&mut strain, at, 3, 0.0, Doing::Nobody);
        assert!(strain.shared == 0.0);
    }

    #[test]
    fn nobody_gets_one_used_to_what_he_does_later() {
        let (mut strain, at) = used_to_it();
        waits(&mut strain, at, 3, 0.12, Doing::Somebody);
        assert!(strain.bucket.alarmed() && strain.shared == 0.0);
    }

    #[test]
    fn harm_that_somebody_does_is_never_learned_nor_more_than_is_ever_borne() {
        let mut strain = Strain::new();
        waits(&mut strain, Time(0), 9, 0.12, Doing::Somebody);
        assert!(strain.bucket.alarmed() && strain.shared == 0.0);
        let mut starved = Strain::new();
        waits(&mut starved, Time(0), 9, 0.25, Doing::Nobody);
        assert!(starved.bucket.alarmed() && starved.shared == 0.0);
    }
}
