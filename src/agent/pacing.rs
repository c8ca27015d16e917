//! When the next tick is due, and who is read in it: within the governor's own CPU budget.
//!
//! What the loop really used is counted, whatever it used it for, and drawn from an allowance: the
//! budget goes into it, up to what a minute gives. So an alert after calm is met at the fastest tick for
//! many seconds, and one that never ends (somebody may keep it up on purpose) costs no more than the
//! budget in the mean. With the allowance spent, ticks come as far apart as pays for them, doorbells
//! or not: later, at most a second apart, and never not at all.
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
/// The allowance holds what the budget gives in this time.
const SAVED: Span = Span::from_secs(60);
/// The part of a new round in the smoothed cost of one.
const ROUND_GAIN: f64 = 0.1;
/// Debts are paid back in about so many rounds.
const PAID_IN: f64 = 10.0;
/// So few are all read at every tick while there is an allowance. (Seen with four hogs, of whom two were read at each tick: the
/// first was held 48 ms before the last.)
const FEW: usize = 8;
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
    /// CPU time that may be used, in microseconds; negative where more was used.
    allowance: f64,
    /// When it was last settled, and the CPU time that the loop had used by then.
    settled: (Time, Span),
    /// CPU time of one round of the loop, smoothed, in microseconds.
    round: f64,
}

impl Pacing {
    /// Begins with the whole allowance. `cpu` is the CPU time that the loop has used before.
    pub(super) fn new(fastest: Span, budget: Share, now: Time, cpu: Span) -> Pacing {
        Pacing {
            fastest,
            budget,
            next_in_turn: 0,
            // Not to be guessed from outside: microseconds since boot, when the daemon started.
            jitter: now.0 | 1,
            allowance: SAVED.0 as f64 * budget.get(),
            settled: (now, cpu),
            round: 0.0,
        }
    }

    pub(super) fn set_budget(&mut self, budget: Share) {
        self.budget = budget;
        self.allowance = self.allowance.min(self.most());
    }

    /// A round of the loop is over: `cpu` is all the CPU time that the loop has used so far.
    /// Gives what it used of it since the round before.
    pub(super) fn settle(&mut self, now: Time, cpu: Span) -> Span {
        let (at, before) = self.settled;
        let cost = cpu.advance(before);
        let used = cost.0 as f64;
        let given = now.since(at).0 as f64 * self.budget.get();
        self.allowance = (self.allowance + given - used).clamp(-self.most(), self.most());
        self.round += ROUND_GAIN * (used - self.round);
        self.settled = (now, cpu);
        cost
    }

    /// Before this moment there is no tick, whoever rings: pressure files must not be read sooner,
    /// and what is spent is spent.
    pub(super) fn earliest(&self) -> Time {
        self.settled.0 + self.fastest.max(self.affordable_interval())
    }

    /// The tick for this pace, before jitter.
    pub(super) fn interval(&self, pace: Pace, watched: usize, cost: Option<Span>) -> Span {
        let wanted = match pace {
            Pace::Alert => self.fastest,
            Pace::Quiet | Pace::Watch => {
                let least = if pace == Pace::Watch { WATCH } else { QUIET };
                // The emptier the allowance, the more is left over for it: up to a half.
                let thrift = 2.0 - (self.allowance / self.most()).clamp(0.0, 1.0);
                let all = self.cost_of(watched, cost).0 as f64;
                let due = all * thrift / self.budget();
                Span(due as u64).clamp(least.max(self.fastest), SLOWEST)
            }
        };
        wanted.max(self.affordable_interval())
    }

    /// Zero while there is an allowance; else what pays for the rounds, and for the debt by and by.
    fn affordable_interval(&self) -> Span {
        if self.allowance > 0.0 {
            return Span::ZERO;
        }
        let due = (self.round - self.allowance / PAID_IN) / self.budget();
        Span(due as u64).min(SLOWEST)
    }

    fn budget(&self) -> f64 {
        self.budget.get().max(0.001)
    }

    fn most(&self) -> f64 {
        SAVED.0 as f64 * self.budget()
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
        let affordable = (interval.0 as f64 * self.budget() / one as f64) as usize;
        let few = if self.allowance > 0.0 { FEW } else { 1 };
        if everybody || all.len() <= affordable.max(few) {
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
        Pacing::new(FAST, Share::new(0.01), Time(0), Span(0))
    }

    #[test]
    fn an_alert_ticks_as_fast_as_psi_bears_whatever_the_number() {
        assert_eq!(pacing().interval(Pace::Alert, 10_000, Some(Span(10))), FAST);
    }

    /// Rounds of this cost at this pace for so long, with a doorbell ringing all the time; how many
    /// there were, and the part of a CPU that they took.
    fn keep_up(pacing: &mut Pacing, pace: Pace, round: Span, seconds: u64) -> (u64, f64) {
        let (mut now, mut cpu) = pacing.settled;
        let (start, spent, mut rounds) = (now, cpu, 0);
        while now.since(start) < Span::from_secs(seconds) {
            // A quiet round reads all of them, an alert's a few.
            let watched = if pace == Pace::Quiet {
                round.0 / 11
            } else {
                10
            };
            now = now + pacing.interval(pace, watched as usize, Some(Span(10)));
            assert!(
                now >= pacing.earliest(),
                "a doorbell is not earlier than an alert"
            );
            cpu = cpu + round;
            pacing.settle(now, cpu);
            rounds += 1;
        }
        (rounds, cpu.advance(spent).over(now.since(start)))
    }

    #[test]
    fn an_alert_that_never_ends_costs_the_budget_in_the_mean_and_its_first_seconds_are_fast() {
        let mut pacing = pacing();
        let dear = Span(900);
        assert_eq!(keep_up(&mut pacing, Pace::Alert, dear, 10).0, 500);
        keep_up(&mut pacing, Pace::Alert, dear, 60);
        let (rounds, used) = keep_up(&mut pacing, Pace::Alert, dear, 600);
        assert!((0.008..=0.0105).contains(&used), "{used}");
        assert!(rounds > 600 * 8, "it does not go blind: {rounds}");
    }

    #[test]
    fn an_allowance_that_was_spent_is_there_again_after_calm() {
        let mut pacing = pacing();
        keep_up(&mut pacing, Pace::Alert, Span(900), 120);
        keep_up(&mut pacing, Pace::Watch, Span(900), 70);
        assert_eq!(keep_up(&mut pacing, Pace::Alert, Span(900), 10).0, 500);
    }

    #[test]
    fn a_quiet_host_of_any_size_saves_for_an_alert() {
        for round in [100, 2_200, 9_000] {
            let mut pacing = pacing();
            keep_up(&mut pacing, Pace::Alert, Span(2_000), 60);
            let (_, used) = keep_up(&mut pacing, Pace::Quiet, Span(round), 300);
            assert!(used <= 0.0105, "{round}: {used}");
            let (rounds, _) = keep_up(&mut pacing, Pace::Alert, Span(2_000), 3);
            assert_eq!(rounds, 150, "{round}: {}", pacing.allowance);
        }
    }

    #[test]
    fn where_a_round_is_cheap_no_alert_is_ever_slowed() {
        let mut pacing = pacing();
        assert_eq!(keep_up(&mut pacing, Pace::Alert, Span(100), 600).0, 30_000);
    }

    #[test]
    fn a_single_dear_round_delays_the_next_ones_by_a_second_each_at_most() {
        let mut pacing = pacing();
        pacing.settle(Time(1_000), Span::from_secs(30));
        let most = pacing.interval(Pace::Alert, 10, None);
        assert_eq!((most, pacing.earliest()), (SLOWEST, Time(1_000) + SLOWEST));
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
        let dear = Some(Span(1_000));
        pacing().choose(&all[..FEW], &[], false, FAST, dear, &mut ids);
        assert_eq!(ids, all[..FEW], "as long as there is an allowance");
        let mut spent = pacing();
        spent.settle(Time(1), Span::from_secs(5));
        spent.choose(&all[..FEW], &[], false, FAST, dear, &mut ids);
        assert_eq!(ids.len(), 1);
    }
}
