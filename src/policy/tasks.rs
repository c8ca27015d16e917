//! Who runs the host, or a slice, out of tasks?
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
use super::pools::Pool;
use super::track::Track;
use super::window::Over;
use crate::model::{ContainerSample, Knobs, Limit, Resource, Span};

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
    /// What each is about to start, and which pools run out by it.
    pub(super) fn foresee_tasks(&mut self, read: &[ContainerSample]) {
        self.fill_pools(read);
        for at in 0..self.tracks.len() {
            let track = &self.tracks[at];
            // Most stand still: of those nothing else is looked at.
            let excess = if track.tasks_pace() > 0.0 {
                let parts = self.pools_of(track).map(|pool| self.part_of(track, pool));
                parts.fold(0.0, f64::max)
            } else {
                0.0
            };
            self.tracks[at].tasks_excess = excess;
        }
        for at in 0..self.pools.len() {
            let pool = &self.pools[at];
            let takers = self.tracks.iter().filter(|track| track.tasks_excess > 0.0);
            let below = takers.filter(|track| self.is_below(track, pool));
            let gains = below.map(|track| self.tasks_gain(track, pool)).sum();
            self.pools[at].runs_out = self.is_too_much(pool, gains);
        }
    }

    /// Feeds one container's bucket of this: it is harmed where a pool of its runs out, and not by it.
    pub(super) fn feed_tasks(&mut self, at: usize) {
        let track = &self.tracks[at];
        let (Some(when), Some(change)) = (track.tasks_use.at(), track.tasks_use.change(Over::Tick))
        else {
            return;
        };
        let is_harmed = !self.holds(track.id, Resource::Pids)
            && self.pools.iter().any(|pool| {
                pool.runs_out && self.is_below(track, pool) && self.tasks_gain(track, pool) <= 0.0
            });
        let harm = Harm {
            amount: if is_harmed {
                change.over.scaled(IMMINENT)
            } else {
                Span::ZERO
            },
            ..Harm::default()
        };
        self.feed(at, Resource::Pids, when, change.over, harm);
    }

    /// What one is about to start of that which both share; where something of that runs out, only of it.
    pub(super) fn tasks_excess_before(&self, suspect: &Track, harmed: &Track) -> f64 {
        let shared = || {
            let pools = self.pools_of(harmed);
            pools.filter(|pool| self.is_below(suspect, pool))
        };
        let is_short = shared().any(|pool| pool.runs_out);
        let parts = shared().filter(|pool| pool.runs_out == is_short);
        let parts = parts.map(|pool| self.part_of(suspect, pool));
        parts.fold(0.0, f64::max)
    }

    /// What one may have without a question: a little more than in calm; and no more than its share.
    pub(super) fn may_have_tasks(&self, track: &Track) -> f64 {
        may_have(track, self.fair_tasks(track))
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

    /// What it is about to start, as a part of a pool.
    fn part_of(&self, track: &Track, pool: &Pool) -> f64 {
        self.tasks_gain(track, pool) / pool.most.max(1.0)
    }

    /// How many of a pool it is about to start, by its pace and up to its own limit, to those of slices between the
    /// two, and to ours. On the way back ours is on trial, and bounds nothing; nor does one that was never written.
    fn tasks_gain(&self, track: &Track, pool: &Pool) -> f64 {
        let pace = track.tasks_pace();
        if !track.is_container
            || pace <= 0.0
            || track.has_tasks() <= may_have(track, self.fair_in(pool))
        {
            return 0.0;
        }
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
        let own = group.and_then(|group| own_limit(track, &group.knobs));
        let most = ours.unwrap_or(u64::MAX).min(own.unwrap_or(u64::MAX)) as f64;
        let left = (most - track.has_tasks()).max(0.0);
        let left = self
            .left_below(track, pool)
            .map_or(left, |slices| left.min(slices));
        (pace * AHEAD).min(left)
    }
}

/// Its own limit. One that it has outgrown was raised since it was read, maybe by itself: it hides nobody.
pub(super) fn own_limit(track: &Track, knobs: &Knobs) -> Option<u64> {
    match knobs.pids_max {
        Ok(Limit::At(most)) if track.has_tasks() <= most as f64 => Some(most),
        _ => None,
    }
}

/// So many may it have, with such an equal part of a pool.
fn may_have(track: &Track, fair: f64) -> f64 {
    fair.min(track.tasks_level.get() as f64 + LITTLE)
}
