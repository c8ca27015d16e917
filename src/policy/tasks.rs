//! Who runs the host out of tasks?
//!
//! Nobody waits for a task that cannot be had: the fork fails, at once and for everybody. So there is no
//! stall to measure, and the harm is what is about to come: at the pace of the last half second nothing
//! but the reserve would be left in twenty. One that has little more than it had in calm is not looked at
//! for that, however fast it got it: a container that starts is no fork bomb.
//!
//! Nor is there anything to prove: who is clamped starts no more. So several are clamped one after the
//! other without an experiment, and nobody is cleared because others go on.

use super::brain::Brain;
use super::harm::Harm;
use super::intervention::{Intervention, Proof};
use super::ladder::{self, Place};
use super::track::Track;
use super::window::Over;
use crate::model::{GroupId, Limit, Resource, Span};

/// So far ahead it is looked, in seconds. The slow leak is met by it before the cliff, and a bomb when it has
/// started a fortieth of what is left within half a second.
const AHEAD: f64 = 20.0;
/// So many tasks over what it had in calm make nobody an aggressor.
const LITTLE: f64 = 64.0;
/// One stands at its clamp when it has this part of it.
const AT_CLAMP: f64 = 0.9;
/// Harm that is about to come counts as this much of the time.
const IMMINENT: f64 = 0.5;

impl Brain {
    /// What each is about to start, and whether the host runs out of tasks by it.
    pub(super) fn foresee_tasks(&mut self) {
        self.tasks_run_out = false;
        let most = self.host.tasks_max.unwrap_or(0) as f64;
        let (fair, free) = (self.fair_tasks(), self.tasks_free());
        let mut gains = 0.0;
        for at in 0..self.tracks.len() {
            let track = &self.tracks[at];
            let takes = most > 0.0
                && track.is_container
                && track.has_tasks() > Self::may_have_tasks(track, fair);
            let gain = if takes { self.tasks_gain(track) } else { 0.0 };
            gains += gain;
            self.tracks[at].tasks_excess = gain / most.max(1.0);
        }
        self.tasks_run_out = gains > 0.0 && gains > free;
    }

    /// Feeds one container's bucket of this: it is harmed where the host runs out, and not by it.
    pub(super) fn feed_tasks(&mut self, at: usize) {
        let track = &self.tracks[at];
        let (Some(when), Some(change)) = (track.tasks_use.at(), track.tasks_use.change(Over::Tick))
        else {
            return;
        };
        let innocent = track.tasks_excess <= 0.0 && !self.holds(track.id, Resource::Pids);
        let harm = Harm {
            amount: if self.tasks_run_out && innocent {
                change.over.scaled(IMMINENT)
            } else {
                Span::ZERO
            },
            ..Harm::default()
        };
        self.feed(at, Resource::Pids, when, change.over, harm);
    }

    /// So many more may be started before less than the reserve is left.
    pub(super) fn tasks_free(&self) -> f64 {
        let most = self.host.tasks_max.unwrap_or(0) as f64;
        let usable = most * (1.0 - self.policy.pids.reserve.get());
        (usable - self.host.tasks.unwrap_or(0) as f64).max(0.0)
    }

    /// What is free and is not left to anybody else than this one by a clamp.
    pub(super) fn tasks_unclaimed(&self, by: GroupId) -> f64 {
        let others = self.held.iter().filter(|held| held.aggressor != by);
        let left = others.map(|held| match (held.place, self.track(held.aggressor)) {
            (Place::Clamp(clamp), Some(track)) => (clamp as f64 - track.has_tasks()).max(0.0),
            _ => 0.0,
        });
        (self.tasks_free() - left.sum::<f64>()).max(0.0)
    }

    /// An equal part of the tasks that the host can have, less the reserve.
    pub(super) fn fair_tasks(&self) -> f64 {
        let most = self.host.tasks_max.unwrap_or(0) as f64;
        most * (1.0 - self.policy.pids.reserve.get()) / self.containers() as f64
    }

    /// What one may have without a question: a little more than in calm; and no more than its share.
    pub(super) fn may_have_tasks(track: &Track, fair: f64) -> f64 {
        fair.min(track.tasks_level.get() as f64 + LITTLE)
    }

    /// One stands at its clamp, and the next step back would give it more than is free. What is given there
    /// is taken for good.
    pub(super) fn has_no_tasks_for(&self, held: &Intervention, next: Option<Place>) -> bool {
        let (Place::Clamp(clamp), Some(track)) = (held.place, self.track(held.aggressor)) else {
            return false;
        };
        let (clamp, has) = (clamp as f64, track.has_tasks());
        let next = match next {
            Some(Place::Clamp(next)) => next,
            _ => ladder::original_clamp(&held.bounds),
        };
        has >= AT_CLAMP * clamp
            && next as f64 - has.max(clamp) > self.tasks_unclaimed(held.aggressor)
    }

    /// How many it is about to start, by its pace and up to its own limit and to ours. On the way back ours
    /// is on trial, and bounds nothing; nor does one that was never written.
    fn tasks_gain(&self, track: &Track) -> f64 {
        let ours = self.held.iter().find_map(|held| match held.place {
            Place::Clamp(clamp)
                if held.aggressor == track.id
                    && !held.imagined
                    && !matches!(held.proof, Proof::Releasing(_)) =>
            {
                Some(clamp)
            }
            _ => None,
        });
        let group = self.tree.groups.get(track.group);
        let own = group.and_then(|group| match group.knobs.pids_max {
            Ok(Limit::At(most)) => Some(most),
            _ => None,
        });
        let most = ours.unwrap_or(u64::MAX).min(own.unwrap_or(u64::MAX)) as f64;
        let left = (most - track.has_tasks()).max(0.0);
        (track.tasks_pace().max(0.0) * AHEAD).min(left)
    }
}
