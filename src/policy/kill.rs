//! When does one have to die for the others to live?
//!
//! Only where the policy says so, and only where the softer rung stands and was of no use: the host is about to
//! stand still all the same. The kernel would then kill too, but whom it likes. Who is killed must be proved to be
//! the cause by plain sums, taken since the limit stands: it took more than what lacks, and more than anybody else.
//! One who took no more than an equal part is never killed, however little is left. Nothing can be given back
//! afterwards: what was held of it is released as ever, or goes away with it.

use super::brain::Brain;
use super::intervention::{Intervention, Proof};
use super::ladder::Place;
use super::track::Track;
use super::window::Over;
use crate::model::{Absent, Bytes, Change, EventKind, Span, Written};

/// What a killed one leaves is seen after this time; nobody else dies before.
const APART: Span = Span::from_secs(2);
/// So long a limit of memory stands before what is taken since then is told from what was taken before.
const STOOD: Span = Span::from_millis(600);
/// With less than this part of the reserve left tasks have run out.
const OUT: f64 = 0.5;
/// Who takes this part of what the host loses is the cause.
const CAUSE: f64 = 0.5;

impl Brain {
    /// Kills at most one, where the policy lets it and nothing softer is left.
    pub(super) fn kill(&mut self) {
        let due = self.held.iter().position(|held| self.must_die(held));
        let Some((at, held)) = due.and_then(|at| Some((at, self.held.get_mut(at)?))) else {
            return;
        };
        held.killed = Some(self.now);
        let (knob, _) = held.place.value(&held.bounds, &self.policy);
        let group = held.aggressor;
        self.killed[held.resource as usize] = Some(self.now);
        self.chronicle.killed(held);
        self.step.changes.push(Change::Kill { group, knob });
        self.tell(EventKind::Killed, at);
    }

    /// One that went away by itself meanwhile needs no killing.
    pub(super) fn learn_of_kill(&mut self, at: usize, written: Written) {
        if let Written::NotKilled(why) = written
            && why != Absent::Gone
        {
            self.tell(EventKind::CannotKill { why }, at);
        }
    }

    /// Whether nothing softer helps against this one. Only ever once, and nothing that is only told helps or not.
    fn must_die(&self, held: &Intervention) -> bool {
        let last = self.killed[held.resource as usize];
        let Some(track) = self.track(held.aggressor) else {
            return false;
        };
        self.policy.kills(held.resource)
            && held.killed.is_none()
            && !held.imagined
            && held.grounded
            && track.is_container
            && !track.protected
            && !matches!(held.proof, Proof::Releasing(_))
            && last.is_none_or(|last| self.now.since(last) >= APART)
            && match held.place {
                Place::Clamp(_) => {
                    held.proof == Proof::Confirmed && self.has_taken_all_tasks(track)
                }
                Place::High(_) | Place::Swap(_) => {
                    held.stood
                        .is_some_and(|since| self.now.since(since) >= STOOD)
                        && self.takes_the_last_memory(track)
                }
                _ => false,
            }
    }

    /// Whether a pool of its has run out although it starts no more, by what it has taken since calm.
    fn has_taken_all_tasks(&self, track: &Track) -> bool {
        let gained = |track: &Track| track.has_tasks() - track.tasks_level.get() as f64;
        let mine = gained(track);
        self.pools_of(track).any(|pool| {
            let reserve = pool.most * self.policy.pids.reserve.get();
            let lacks = pool.tasks - (pool.most - reserve);
            let below = |other: &&Track| other.is_container && self.is_below(other, pool);
            pool.most - pool.tasks <= OUT * reserve
                && mine >= lacks
                && track.has_tasks() > self.fair_in(pool)
                && self
                    .tracks
                    .iter()
                    .filter(below)
                    .all(|other| gained(other) <= mine)
        })
    }

    /// Whether memory and swap are at their end within the policy's bound by what it takes in spite of its limit.
    /// That limit keeps what can be had back: what still grows is lost to the others.
    fn takes_the_last_memory(&self, track: &Track) -> bool {
        let Some(lost) = self.memory_lost() else {
            return false;
        };
        let bound = self.policy.memory.kill_within.as_secs_f64();
        let takes = |track: &Track| track.growth(Over::Half);
        let mine = takes(track);
        self.memory_left()
            .is_some_and(|left| left.0 as f64 <= lost * bound)
            && mine >= CAUSE * lost
            && track.memory_excess > 0.0
            && self
                .tracks
                .iter()
                .filter(|other| other.is_container)
                .all(|other| takes(other) <= mine)
    }

    /// What can still be had: MemAvailable and free swap.
    fn memory_left(&self) -> Option<Bytes> {
        self.left.newest()
    }

    /// What of that is lost in a second: by the last 100 ms or by the last half second, whichever is less. `None`
    /// where it is not.
    fn memory_lost(&self) -> Option<f64> {
        let lost = |over| {
            let change = self.left.change(over)?;
            let lost = change.from.0 as f64 - change.to.0 as f64;
            Some(lost / change.over.as_secs_f64())
        };
        let least = lost(Over::Moment)?.min(lost(Over::Half)?);
        (least > 0.0).then_some(least)
    }
}
