//! When the next tick is due, and who is read in it: within the governor's own CPU budget.
//!
//! While no bucket holds anything, everybody is read at a slow tick; the more there are, the slower.
//! Beyond a second a tick, they are read in turns. In an alert, those that matter are read at the
//! fastest tick that PSI bears, and the rest in turns as the budget affords.

use crate::model::{GroupId, Pace, Share, Span, Time};

/// The tick of a quiet host with few containers.
const QUIET: Span = Span::from_millis(100);
/// The tick while what is held stands in calm. Every look takes the CPU from a victim for a moment,
/// and CFS may give it to the held one next; new harm rings a doorbell.
const WATCH: Span = Span::from_secs(1);
/// The slowest tick.
const SLOWEST: Span = Span::from_secs(1);
/// The CPU time that a container is taken to cost before the first measurement.
const COST_UNKNOWN: Span = Span(50);
/// As many of those that matter are read at every fast tick.
const MATTER_MOST: usize = 64;

/// The state of the turns, and of the jitter.
#[derive(Debug)]
pub(super) struct Pacing {
    /// The fastest tick: five jiffies.
    fastest: Span,
    budget: Share,
    next_in_turn: usize,
    jitter: u64,
}

impl Pacing {
    pub(super) const fn new(fastest: Span, budget: Share, seed: u64) -> Pacing {
        Pacing {
            fastest,
            budget,
            next_in_turn: 0,
            jitter: seed | 1,
        }
    }

    pub(super) const fn set_budget(&mut self, budget: Share) {
        self.budget = budget;
    }

    /// The tick for this pace, before jitter.
    pub(super) fn interval(&self, pace: Pace, watched: usize, cost: Option<Span>) -> Span {
        match pace {
            Pace::Alert => self.fastest,
            Pace::Quiet | Pace::Watch => {
                let least = if pace == Pace::Watch { WATCH } else { QUIET };
                let all = self.cost_of(watched, cost).0 as f64;
                let due = all / self.budget.get().max(0.001);
                Span(due as u64).clamp(least.max(self.fastest), SLOWEST)
            }
        }
    }

    /// When the tick after `now` is due: up to a tenth later than the interval, by chance, so that
    /// nobody can stay in step with it; never earlier, for PSI's sake.
    pub(super) fn due(&mut self, now: Time, interval: Span) -> Time {
        // xorshift64: no more is asked of it than not to be guessed from outside.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        now + interval + Span(self.jitter % (interval.0 / 10 + 1))
    }

    /// Fills `ids` with those that are read in this tick.
    pub(super) fn choose(
        &mut self,
        all: &[GroupId],
        matters: &[GroupId],
        everybody: bool,
        interval: Span,
        cost: Option<Span>,
        ids: &mut Vec<GroupId>,
    ) {
        ids.clear();
        let one = cost.unwrap_or(COST_UNKNOWN).0.max(1);
        let affordable = (interval.0 as f64 * self.budget.get() / one as f64) as usize;
        if everybody || all.len() <= affordable.max(1) {
            ids.extend_from_slice(all);
            return;
        }
        ids.extend(matters.iter().take(MATTER_MOST));
        for _ in 0..affordable.clamp(1, all.len()) {
            self.next_in_turn = (self.next_in_turn + 1) % all.len();
            let id = all[self.next_in_turn];
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }

    fn cost_of(&self, watched: usize, cost: Option<Span>) -> Span {
        Span(
            cost.unwrap_or(COST_UNKNOWN)
                .0
                .saturating_mul(watched as u64),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Span = Span::from_millis(20);

    fn pacing() -> Pacing {
        Pacing::new(FAST, Share::new(0.01), 42)
    }

    #[test]
    fn an_alert_ticks_as_fast_as_psi_bears_whatever_the_number() {
        assert_eq!(pacing().interval(Pace::Alert, 10_000, Some(Span(10))), FAST);
    }

    #[test]
    fn a_quiet_host_ticks_slower_the_more_there_is_to_read() {
        let interval = |watched| pacing().interval(Pace::Quiet, watched, Some(Span(10)));
        assert_eq!(interval(10), QUIET);
        assert_eq!(interval(200), Span::from_millis(200));
        assert_eq!(interval(10_000), SLOWEST);
    }

    #[test]
    fn jitter_is_late_by_up_to_a_tenth_and_never_early() {
        let mut pacing = pacing();
        let due: Vec<u64> = (0..100).map(|_| pacing.due(Time(0), FAST).0).collect();
        assert!(due.iter().all(|due| (20_000..=22_000).contains(due)));
        assert!(due.iter().any(|d| *d != due[0]));
    }

    #[test]
    fn those_that_matter_are_always_read_and_the_rest_in_turns_within_the_budget() {
        let all: Vec<GroupId> = (0..1_000).map(GroupId).collect();
        let matters = [GroupId(7), GroupId(8)];
        let mut pacing = pacing();
        let mut ids = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            pacing.choose(&all, &matters, false, FAST, Some(Span(10)), &mut ids);
            assert!(ids.contains(&GroupId(7)) && ids.contains(&GroupId(8)));
            assert!(ids.len() <= 2 + 20);
            seen.extend(ids.iter().copied());
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn few_are_all_read_at_every_tick() {
        let all: Vec<GroupId> = (0..10).map(GroupId).collect();
        let mut ids = Vec::new();
        pacing().choose(&all, &[], false, FAST, Some(Span(10)), &mut ids);
        assert_eq!(ids, all);
    }
}
