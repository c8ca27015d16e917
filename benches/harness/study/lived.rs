//! What one victim lived through: its requests in windows, and what they waited.

use crate::record::{Run, Victim};
use crate::run::ATTACKERS_EARLY_US;

/// So long after its last request was due a victim still waited.
const GAVE_UP_US: u64 = 30_000_000;
/// A request that was due so long before the attackers' processes were started has been answered by then. Whole
/// periods of most rhythms, lest the rate before the attack be off by a part of a request.
pub(crate) const UNDER_WAY_US: u64 = 100_000;
const SECOND_US: u64 = 1_000_000;

/// The requests that were due in one window. Latencies are milliseconds; a request that was never
/// answered has an infinite one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Ascending.
    latencies: Vec<f64>,
    answered: usize,
    span_us: u64,
}

impl Window {
    /// Those of the victim that were due from `from_us` on and before `to_us`.
    pub(crate) fn of(victim: &Victim, from_us: u64, to_us: u64) -> Window {
        let mut window = Window {
            span_us: to_us.saturating_sub(from_us),
            ..Window::default()
        };
        for (due, latency) in &victim.requests {
            let end = latency.map(|latency| due + latency);
            if (from_us..to_us).contains(due) {
                window.latencies.push(ms(*latency));
                window.answered += usize::from(end.is_some_and(|end| end < to_us));
            }
        }
        window.latencies.sort_by(f64::total_cmp);
        window
    }

    /// The smallest latency that at least this part of the requests did not exceed, milliseconds.
    pub(crate) fn percentile(&self, part: f64) -> Option<f64> {
        let rank = (part * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.max(1) - 1).copied()
    }

    /// The longest.
    pub(crate) fn max(&self) -> Option<f64> {
        self.latencies.last().copied()
    }

    /// The part of those due in the window that was also answered in it.
    pub(crate) fn answered(&self) -> Option<f64> {
        let due = self.latencies.len();
        (due > 0).then(|| self.answered as f64 / due as f64)
    }

    /// Answers a second.
    pub(crate) fn throughput(&self) -> Option<f64> {
        let seconds = self.span_us as f64 / SECOND_US as f64;
        (seconds > 0.0 && !self.latencies.is_empty()).then(|| self.answered as f64 / seconds)
    }
}

fn ms(latency: Option<u64>) -> f64 {
    latency.map_or(f64::INFINITY, |us| us as f64 / 1_000.0)
}

/// A victim's whole run.
pub(crate) struct Lived<'r> {
    victim: &'r Victim,
    run: &'r Run,
    /// Before the attack, without the time to settle, and until the attackers' processes were started.
    pub(crate) alone: Window,
    /// While the attack lasted.
    pub(crate) attacked: Window,
    /// After it.
    pub(crate) recovery: Window,
}

impl<'r> Lived<'r> {
    pub(crate) fn new(victim: &'r Victim, run: &'r Run, settle_us: u64) -> Lived<'r> {
        Lived {
            victim,
            run,
            alone: Window::of(
                victim,
                run.first_us + settle_us,
                run.attack_us - ATTACKERS_EARLY_US - UNDER_WAY_US,
            ),
            attacked: Window::of(victim, run.attack_us, run.attack_end_us),
            // The last request is due before the end at the latest.
            recovery: Window::of(victim, run.attack_end_us, run.end_us),
        }
    }

    /// p99 under attack over p99 alone.
    pub(crate) fn times(&self) -> Option<f64> {
        let alone = self.alone.percentile(0.99).filter(|ms| *ms > 0.0)?;
        Some(self.attacked.percentile(0.99)? / alone)
    }

    /// What all requests since the attack's start waited beyond what one takes `alone`, milliseconds. One that was never
    /// answered has waited until the victim gave up.
    pub(crate) fn harm(&self, alone: f64) -> Option<f64> {
        let last = self.victim.requests.last()?.0;
        let since = self
            .victim
            .requests
            .iter()
            .filter(|(due, _)| *due >= self.run.attack_us);
        let waited = since.map(|(due, latency)| {
            let us = latency.unwrap_or_else(|| (last + GAVE_UP_US).saturating_sub(*due));
            (us as f64 / 1_000.0 - alone).max(0.0)
        });
        Some(waited.sum())
    }

    /// For each second of the attack the answers in it, as a part of what there are alone; none counts for
    /// more than all, because catching up later makes nothing good.
    pub(crate) fn isolation(&self) -> Vec<f64> {
        let Some(rate) = self.alone.throughput().filter(|rate| *rate > 0.0) else {
            return Vec::new();
        };
        let run = self.run;
        let seconds = (run.attack_end_us - run.attack_us) / SECOND_US;
        let mut answers = vec![0_u64; usize::try_from(seconds).unwrap_or(0)];
        for (due, latency) in &self.victim.requests {
            let since = latency.and_then(|latency| (due + latency).checked_sub(run.attack_us));
            let second = since.and_then(|us| usize::try_from(us / SECOND_US).ok());
            if let Some(count) = second.and_then(|second| answers.get_mut(second)) {
                *count += 1;
            }
        }
        answers
            .into_iter()
            .map(|count| (count as f64 / rate).min(1.0))
            .collect()
    }

    /// From the attack's start to the last request in it that took more than twice the p99 that there is
    /// alone, milliseconds; 0 if none did, `None` if there was still one in the attack's last second.
    pub(crate) fn relief(&self) -> Option<f64> {
        let good = 2.0 * self.alone.percentile(0.99)?;
        let run = self.run;
        let attacked = self.victim.requests.iter();
        let bad = attacked.filter(|(due, latency)| {
            (run.attack_us..run.attack_end_us).contains(due) && ms(*latency) > good
        });
        let last = bad.map(|(due, _)| *due).max().unwrap_or(run.attack_us);
        let is_over = last + SECOND_US <= run.attack_end_us;
        is_over.then(|| (last - run.attack_us) as f64 / 1_000.0)
    }
}
