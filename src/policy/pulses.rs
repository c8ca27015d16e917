//! The last rung of the CPU, for the one that no other reaches: to be frozen in pulses.
//!
//! **Problem.** Tasks that run in real time obey neither `cpu.weight` nor `cpu.idle` nor, where the kernel has no groups
//! of them, `cpu.max`. A privileged container may have such tasks, and takes all CPUs with them for as long as it likes.
//! **Approach.** Its own group is stopped and goes on by turns, so often that its clients are still answered. It runs for
//! the part that it is guaranteed, as under a first cap. That somebody runs in real time is known, not guessed: its
//! threads were asked. Where that cannot be seen, a cap that has stood for half a second and is passed tells it too,
//! because hardly anything else passes one.
//! **States.** While it is frozen it neither waits nor takes much, whatever it wants: it rests if it leaves nearly all of
//! the time in which it may run, and wants more as long as it does not.
//! **Limits.** On the way back the time doubles. No slice is ever frozen, nor who is paused already, nor one
//! with others below it, nor one of so many tasks that it would cost more than it saves. Who cannot be frozen is left to the
//! other rungs.

use super::brain::Brain;
use super::feed::LITTLE;
use super::intervention::{Intervention, Proof, USAGE};
use super::ladder::Place;
use super::lever;
use super::seen::{Move, Seen};
use super::track::Track;
use super::window::Over;
use crate::model::{End, KnobValue, Knobs, Pulses, Resource, Span, Time};

/// One period: who asks the frozen one for an answer waits for no longer than that.
const PERIOD: Span = Span::from_millis(20);
/// The least time for which it runs in each; a shorter one is lost in the kernel's own work.
const LEAST: Span = Span::from_millis(1);
/// The most to begin with, as a part.
const MOST: f64 = 0.5;
/// One that uses less than this part of the time in which it may run rests. (A burst now and then that is met by
/// the pulses uses a part of them only.)
const RESTS: f64 = 0.1;
/// One that takes so many times what a cap leaves it passes it: the kernel pays overruns back within some periods.
const PASSES: f64 = 1.5;
/// With more tasks than this each write takes the kernel too long (measured with 2,000 of them: 8 to 17 ms), and every one of them
/// is woken by it.
const TASKS_MOST: u64 = 256;
/// One that is frozen and has started more than this since is let go.
const CROWD: u64 = 2 * TASKS_MOST;
/// So long it is known that somebody runs in real time. What is held is looked at every second at least.
const KNOWN: Span = Span::from_secs(3);

/// The first place: the guaranteed CPUs, of as many as it can use at once.
fn first(guaranteed: f64, at_once: f64) -> Place {
    let part = guaranteed / at_once.max(1.0);
    Place::Freeze(PERIOD.scaled(part.clamp(0.0, MOST)).max(LEAST))
}

/// The next place down: half of the time.
pub(super) fn tighter(thawed: Span) -> Option<Place> {
    (thawed > LEAST).then(|| Place::Freeze(thawed.scaled(0.5).max(LEAST)))
}

/// The next place on the way back: twice the time, as long as that is not all of it.
pub(super) fn looser(thawed: Span) -> Option<Place> {
    let next = thawed.scaled(2.0);
    (next < PERIOD).then_some(Place::Freeze(next))
}

/// What stands for it.
pub(super) const fn value(thawed: Span) -> KnobValue {
    KnobValue::Pulses(Pulses {
        thawed,
        period: PERIOD,
    })
}

/// The part of the time in which it runs.
pub(super) fn part(thawed: Span) -> f64 {
    thawed.over(PERIOD)
}

/// What is known of how one runs.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RealTime {
    /// When some of its tasks were last seen to run in real time.
    seen: Option<Time>,
    /// It could not be frozen, and is not tried again before this.
    refused: Option<Time>,
}

impl Track {
    /// Takes what was seen of its threads.
    pub(super) fn observe_threads(&mut self, at: Time, real_time: Option<bool>) {
        match real_time {
            Some(true) => self.real_time.seen = Some(at),
            Some(false) => self.real_time.seen = None,
            None => {}
        }
    }

    /// To freeze it failed: the other rungs are what is left for a while. That says nothing about its guilt.
    pub(super) fn refuse_to_freeze(&mut self, until: Time) {
        self.real_time.refused = Some(until);
    }

    /// Whether it has had tasks that run in real time, a moment ago.
    fn is_real_time(&self, now: Time) -> bool {
        self.real_time.seen.is_some_and(|at| now.since(at) < KNOWN)
    }

    /// Whether it leaves nearly all of the time in which it may run.
    pub(super) fn rests_frozen(&self, thawed: Span, over: Over) -> bool {
        self.usage(over) < RESTS * part(thawed)
    }
}

impl Brain {
    /// The place at which one is frozen first; `None` where it must not be, or where its tasks are not known to run in
    /// real time and obey the other rungs.
    pub(super) fn frozen_first(
        &self,
        suspect: &Track,
        guaranteed: f64,
        own: &Knobs,
    ) -> Option<Place> {
        let may = suspect.is_real_time(self.now) && self.may_freeze(suspect, own);
        may.then(|| self.first_pulses(suspect, guaranteed))
    }

    /// The same for one that is held on another rung, which it has been seen not to obey; also where it passes a cap, if that has
    /// stood for as long as usage is told by.
    pub(super) fn frozen_instead(&self, held: &Intervention) -> Option<Place> {
        let track = self.track(held.aggressor)?;
        let guaranteed = track.entitlement * self.policy.cpu.guarantee.get();
        let passes = match held.place {
            Place::Freeze(_) => return None,
            // In the last tenth of a second too: who runs when a cap is written is stopped by the scheduler's next tick only.
            // That it has stood for half a second is waited for where this is asked.
            Place::Cap(cpus) => {
                let usage = track.usage(Over::Half).min(track.usage(Over::Moment));
                usage > cpus * PASSES + LITTLE
            }
            _ => false,
        };
        let may = held.resource == Resource::Cpu
            && held.lever == held.aggressor
            && (passes || track.is_real_time(self.now))
            && self.may_freeze(track, &held.bounds.original);
        let place = may.then(|| self.first_pulses(track, guaranteed))?;
        self.allowed(held.aggressor, place).then_some(place)
    }

    /// Whether one may be frozen at all: its own group, which nobody has paused.
    fn may_freeze(&self, track: &Track, own: &Knobs) -> bool {
        self.policy.cpu.freeze
            && own.cgroup_freeze == Ok(false)
            && track.tasks.is_some_and(|tasks| tasks <= TASKS_MOST)
            && track
                .real_time
                .refused
                .is_none_or(|until| until <= self.now)
            && lever::moves_only(&self.tree, track.group, track.group)
    }

    fn first_pulses(&self, track: &Track, guaranteed: f64) -> Place {
        // Most of its threads may sleep: what it takes now tells of how many it runs at once.
        let at_once = track.usage(Over::Half).max(track.usage(Over::Moment));
        let at_once = at_once.ceil().min(f64::from(self.host.cpus));
        first(guaranteed, at_once)
    }

    /// What follows at once for one who is held and runs in real time: its first step does nothing, and need not be
    /// waited for; and one that is frozen is let go where it has become a crowd.
    pub(super) fn by_real_time(&self, held: &Intervention, seen: &Seen) -> Option<Move> {
        let track = self.track(held.aggressor)?;
        let is_crowd = track.tasks.is_some_and(|tasks| tasks > CROWD);
        if matches!(held.place, Place::Freeze(_)) && is_crowd {
            return Some(Move::Release);
        }
        let is_first = matches!(held.proof, Proof::Proving(_)) && held.undo.is_none();
        let known = track.is_real_time(self.now);
        let place = seen
            .frozen
            .filter(|_| is_first && known && !seen.groundless)?;
        Some(Move::Reach(place))
    }

    /// Lets one go who is held with a slice, or through one, and was found to run in real time: only its own group can
    /// be frozen, which the alarm does that still stands. Whether it did.
    pub(super) fn lets_go_to_freeze(&mut self, at: usize) -> bool {
        let Some(held) = self.held.get(at) else {
            return false;
        };
        let is_first = matches!(held.proof, Proof::Proving(_)) && held.undo.is_none();
        // Or it has taken to it since.
        let is_passed = matches!(held.proof, Proof::Confirmed | Proof::Unproven)
            && self.now >= held.changed + USAGE
            && self.accuser(held).is_some();
        let track = self.track(held.aggressor);
        let frozen = track.filter(|_| (is_first || is_passed) && held.resource == Resource::Cpu);
        let frozen = frozen.filter(|_| held.lever != held.aggressor);
        let place = frozen.and_then(|track| {
            let own = self.tree.groups.get(track.group)?.knobs;
            self.frozen_first(track, 0.0, &own)
        });
        let does = place.is_some_and(|place| self.allowed(held.aggressor, place));
        if does {
            self.release(at, End::Groundless);
        }
        does
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn thawed(place: Place) -> Span {
        match place {
            Place::Freeze(thawed) => thawed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_runs_for_the_part_that_is_guaranteed_of_the_cpus_that_it_can_use() {
        let millis = |guaranteed, at_once| thawed(first(guaranteed, at_once)).0 / 1_000;
        assert_eq!(millis(0.36, 1.0), 7);
        assert_eq!(millis(0.8, 4.0), 4);
        assert_eq!(millis(0.0, 4.0), 1, "never none");
        assert_eq!(millis(3.0, 4.0), 10, "never more than half");
        assert_eq!(millis(0.2, 0.0), 4);
    }

    #[test]
    fn it_is_tightened_to_a_millisecond_and_loosened_by_doubling() {
        let down: Vec<u64> =
            std::iter::successors(Some(Place::Freeze(Span(7_200))), |p| tighter(thawed(*p)))
                .map(|place| thawed(place).0)
                .collect();
        assert_eq!(down, [7_200, 3_600, 1_800, 1_000]);
        let up: Vec<u64> =
            std::iter::successors(Some(Place::Freeze(Span(1_800))), |p| looser(thawed(*p)))
                .map(|place| thawed(place).0)
                .collect();
        assert_eq!(up, [1_800, 3_600, 7_200, 14_400]);
    }

    proptest! {
        #[test]
        fn whatever_is_guaranteed_it_runs_for_a_part_of_each_period(
            guaranteed in -1.0..1_000_f64,
            at_once in -1.0..1_000_f64,
        ) {
            let thawed = thawed(first(guaranteed, at_once));
            prop_assert!(LEAST <= thawed && thawed <= PERIOD.scaled(MOST));
        }
    }
}
