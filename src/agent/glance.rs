//! A look at one file between two quiet ticks: how long tasks have waited for a CPU on the whole host.
//!
//! A quiet tick reads every container, so it cannot come often; and the kernel rings a doorbell 50 ms after the first
//! wait, no sooner. One file can be read every few milliseconds for next to nothing. It names nobody: where the host waits
//! far more than it just did, the tick comes at once.
//!
//! Of many CPUs the file tells the mean, so that a few that are fought for do not show there; nor does a jump where the
//! host waits all the time; and whoever makes it jump again and again, for nothing, spends what may be spent. Then
//! harm is seen by the tick and by doorbells, as without this.

use super::run::Loop;
use crate::host::{Clock, HostClock, Wait, Wakes};
use crate::model::{Pace, Reading, Share, Span, Time};

/// The time between two looks, where PSI bears it.
const APART: Span = Span::from_millis(25);
/// The host stirs where it waited for this part of the time between two looks more than it used to, of what is left to wait.
const JUMP: f64 = 0.5;
/// A time of so many looks is compared likewise: a tick may have been in it. Over a longer one what is usual adds up.
const LONGEST: f64 = 4.0;
/// A file that cannot be read is looked for again after this.
const UNREAD: Span = Span::from_secs(10);
/// The part of a new look in what the host is used to: half of a change within half a second.
const GAIN: f64 = 0.03;
/// Ticks that met nobody may cost this part of the budget,
const SPENT: f64 = 0.1;
/// and at once what that gives in this time.
const SAVED: Span = Span::from_secs(10);

/// What the host is used to, and what may be spent on looking for nothing.
#[derive(Debug)]
pub(super) struct Glance {
    apart: Span,
    next: Time,
    /// The last look, and the waiting up to then.
    before: Option<(Time, Span)>,
    /// The part of the time in which somebody waits, smoothed.
    usual: f64,
    /// CPU time that may be spent, in microseconds, and when it was last added to.
    credit: (f64, Time),
}

impl Glance {
    /// `fastest` is the least time between two reads of a PSI file.
    pub(super) fn new(fastest: Span, now: Time) -> Glance {
        Glance {
            apart: APART.max(fastest),
            next: now,
            before: None,
            usual: 0.0,
            credit: (0.0, now),
        }
    }

    /// When to look next.
    pub(super) const fn due(&self) -> Time {
        self.next
    }

    /// A tick is over: the next look comes a full time later.
    pub(super) fn ticked(&mut self, now: Time) {
        self.next = self.next.max(now + self.apart);
    }

    /// Takes what was seen: the host's waiting for a CPU up to now, in all. Whether to tick at once.
    pub(super) fn stirs(&mut self, now: Time, waited: Reading<Span>, budget: Share) -> bool {
        self.next = now + self.apart;
        self.save(now, budget);
        let Ok(waited) = waited else {
            self.before = None;
            self.next = now + UNREAD;
            return false;
        };
        let Some((at, before)) = self.before.replace((now, waited)) else {
            return false;
        };
        let passed = now.since(at);
        if passed > self.apart.scaled(LONGEST) {
            return false;
        }
        let more = waited.advance(before).over(passed).min(1.0) - self.usual;
        let jump = more * passed.over(self.apart);
        let least = JUMP * (1.0 - self.usual);
        self.usual += GAIN * more;
        jump > least && self.credit.0 > 0.0
    }

    /// The tick that was made at once met nobody, and took so much CPU time.
    pub(super) fn met_nobody(&mut self, cost: Span, budget: Share) {
        self.credit.0 = (self.credit.0 - cost.0 as f64).max(-given_in(SAVED, budget));
    }

    fn save(&mut self, now: Time, budget: Share) {
        let saved = self.credit.0 + given_in(now.since(self.credit.1), budget);
        self.credit = (saved.min(given_in(SAVED, budget)), now);
    }
}

/// What may be spent of the budget of such a time, in microseconds.
fn given_in(time: Span, budget: Share) -> f64 {
    time.0 as f64 * SPENT * budget.get()
}

impl Loop {
    /// Sleeps until `due` or an earlier reason. In calm the host is glanced at meanwhile: whether it was that which
    /// ended the sleep.
    pub(super) fn sleep(&mut self, due: Time) -> (Wakes, bool) {
        while self.pace == Pace::Quiet {
            // With the allowance spent there are no looks either.
            let at = self.glance.due().max(self.pacing.earliest());
            if at >= due {
                break;
            }
            // A doorbell may ring in the moment in which the time is over.
            let mut wakes = self.waiter.wait(at);
            wakes.timed_out = false;
            if wakes != Wakes::default() {
                return (wakes, false);
            }
            let waited = self.sampler.host_cpu_stall(self.forest.files_mut());
            let budget = self.loaded.policy.runtime.budget;
            if self.glance.stirs(HostClock.now(), waited, budget) {
                return (Wakes::default(), true);
            }
        }
        (self.waiter.wait(due), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Absent;

    const FAST: Span = Span::from_millis(20);
    const BUDGET: f64 = 0.01;

    /// A host on which somebody waits, and a glance at it.
    struct Host {
        glance: Glance,
        now: Time,
        waited: Span,
    }

    impl Host {
        fn new() -> Host {
            let now = Time(1_000_000);
            Host {
                glance: Glance::new(FAST, now),
                now,
                waited: Span(5_000_000),
            }
        }

        /// The next look, after waiting for this part of the time.
        fn look(&mut self, part: f64) -> bool {
            let apart = self.glance.apart;
            self.now = self.now + apart;
            self.waited = self.waited + apart.scaled(part);
            self.glance
                .stirs(self.now, Ok(self.waited), Share::new(BUDGET))
        }

        fn calm(mut self, part: f64, looks: u32) -> Host {
            for _ in 0..looks {
                self.look(part);
            }
            self
        }
    }

    #[test]
    fn a_host_that_waits_far_more_than_it_did_stirs() {
        let mut host = Host::new().calm(0.02, 40);
        assert!(!host.look(0.3));
        assert!(host.look(0.9));
    }

    #[test]
    fn one_that_always_waits_does_not_and_what_it_is_used_to_is_forgotten() {
        let mut host = Host::new().calm(0.8, 200);
        assert!(!host.look(0.85));
        assert!(host.look(1.0), "more than half of what is left");
        let mut host = host.calm(0.0, 200);
        assert!(host.look(1.0));
    }

    #[test]
    fn looking_for_nothing_costs_a_tenth_of_the_budget() {
        let mut host = Host::new().calm(0.0, 400);
        let cost = Span(2_000);
        let (start, mut spent) = (host.now, Span::ZERO);
        // It comes and goes, so that nobody gets used to it.
        for look in 0..40_000 {
            if host.look(if look % 8 == 0 { 1.0 } else { 0.0 }) {
                host.glance.met_nobody(cost, Share::new(BUDGET));
                spent = spent + cost;
            }
        }
        let part = spent.over(host.now.since(start)) / BUDGET;
        assert!((0.05..0.11).contains(&part), "{part} of the budget");
    }

    #[test]
    fn what_was_not_seen_for_long_or_could_not_be_read_is_no_jump() {
        let mut host = Host::new().calm(0.0, 400);
        host.now = host.now + Span::from_secs(3);
        assert!(!host.look(1.0));
        assert!(host.look(1.0));
        let unread = Err(Absent::NoFile);
        assert!(
            !host
                .glance
                .stirs(host.now + FAST, unread, Share::new(BUDGET))
        );
        host.glance.ticked(host.now + FAST);
        assert!(host.glance.due() >= host.now + UNREAD, "and not at once");
        assert!(!host.look(1.0), "nothing to compare it with");
        assert!(host.look(1.0));
    }

    #[test]
    fn a_tick_between_two_looks_hides_no_jump() {
        let mut host = Host::new().calm(0.02, 400);
        let tick = Span::from_millis(30);
        for (part, stirs) in [(0.2, false), (0.6, true)] {
            host.now = host.now + tick;
            host.waited = host.waited + tick.scaled(part);
            host.glance.ticked(host.now);
            assert_eq!(host.look(part), stirs);
            host = host.calm(0.02, 400);
        }
    }

    #[test]
    fn a_dear_tick_in_vain_is_paid_for_but_not_for_ever() {
        let mut host = Host::new().calm(0.0, 400);
        host.glance
            .met_nobody(Span::from_secs(1), Share::new(BUDGET));
        let mut host = host.calm(0.0, 200);
        assert!(!host.look(1.0), "five of ten seconds are over");
        let mut host = host.calm(0.0, 300);
        assert!(host.look(1.0));
    }

    #[test]
    fn the_file_is_read_no_more_often_than_psi_bears() {
        let slow = Span::from_millis(50);
        let mut glance = Glance::new(slow, Time(0));
        glance.ticked(Time(1_000));
        assert_eq!(glance.due(), Time(1_000) + slow);
        glance.stirs(Time(60_000), Ok(Span::ZERO), Share::new(BUDGET));
        assert_eq!(glance.due(), Time(60_000) + slow);
    }
}
