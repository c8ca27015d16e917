//! Several who harm one victim together: who joins an experiment that has just begun, and what all in it are left.

use super::blame::{Culprits, JOINT};
use super::brain::Brain;
use super::feed::{LITTLE, rested, same_pod, takes_at_once};
use super::intervention::{Intervention, Proof};
use super::ladder::Place;
use super::lever::{self, Lever};
use super::track::Track;
use super::window::Over;
use crate::model::{GroupId, Resource, Span, Time, WhyNobody};

/// Who takes this part of its entitlement over it, now that another one is held, has taken over: a neighbour that is a
/// little over what it may take has not, and waits for the verdict.
pub(super) const TAKES_OVER: f64 = 0.25;
/// No entitlement counts for fewer CPUs there.
pub(super) const LEAST: f64 = 0.1;

/// Who has used no more than this has begun nothing: the scheduler's slice is 4 ms, and one may be late by a little.
const SLICE: Span = Span::from_millis(5);

fn takes_over(track: &Track) -> bool {
    track.excess > TAKES_OVER * track.entitlement.max(LEAST)
}

/// Whether one has had its part of the last 100 ms, and more than a slice of the scheduler's. One that is known to need some CPU
/// is allowed for that as ever.
fn takes_its_part(track: &Track) -> bool {
    let used = track.cpu_use.change(Over::Moment);
    let enough = used.is_some_and(|used| used.to.usage.advance(used.from.usage) > SLICE);
    let is_new = track.demand.get() < LITTLE;
    enough && (track.excess > 0.0 || (is_new && track.usage(Over::Moment) > track.entitlement))
}

impl Brain {
    /// Who is as much to blame as those whose experiment has just begun. Of several who begin together one is over what
    /// it may take a few ticks before the others. (Seen with four hogs of one thread each: one was held after 40 ms, and
    /// the others waited for its verdict until 262.)
    pub(super) fn who_joins(
        &self,
        resource: Resource,
        victim: GroupId,
    ) -> Result<Culprits, WhyNobody> {
        let ledger = self
            .track(victim)
            .map(|track| &track.strain(resource).ledger);
        // One that is moved along, as the sidecar of a held one is, has joined already.
        let has_joined = |track: &Track| self.is_moved(track.group, resource);
        let has_taken_over = |track: &Track| {
            !track.protected
                && track.exonerated_for(resource, self.now).is_none()
                && takes_over(track)
        };
        let track = |id: GroupId| self.track(id);
        let is_new = |id| track(id).is_some_and(|track| !has_joined(track));
        let may_be = |id| track(id).is_some_and(|track| has_joined(track) || has_taken_over(track));
        // They have been at it for less time than those who are held already.
        let margin = self.policy.detect.margin * self.policy.detect.margin;
        let alike = ledger.map(|ledger| ledger.culprits(margin, may_be));
        // Of so many nobody stands out.
        let Some(Ok(alike)) = alike else {
            return Err(WhyNobody::Busy);
        };
        let alike = alike.and_then(|alike| alike.only(is_new));
        let joined = self.with_who_begins(alike.unwrap_or(Culprits::NOBODY), resource, victim);
        (joined != Culprits::NOBODY)
            .then_some(joined)
            .ok_or(WhyNobody::Busy)
    }

    /// Those who are to be held, and on the CPU who began in the same moment, if those and who is on trial already have just begun
    /// too: of several who begin together the scheduler has one run a little before the others. Not where all are more than one
    /// experiment holds. (Seen with four hogs of one thread each, of whom each got a slice in 20 ms: where each had to be blamed for
    /// itself, the last was held 50 ms after the first; now 0 to 23.)
    pub(super) fn with_who_begins(
        &self,
        found: Culprits,
        resource: Resource,
        victim: GroupId,
    ) -> Culprits {
        let Some(harmed) = self.track(victim).filter(|_| resource == Resource::Cpu) else {
            return found;
        };
        let proving = self.held.iter().filter(|held| {
            held.resource == resource
                && held.victim == victim
                && matches!(held.proof, Proof::Proving(_))
        });
        let proving = proving.map(|held| held.aggressor);
        let begun = |id| {
            self.track(id)
                .is_some_and(|one| self.has_begun(one, harmed))
        };
        let can_be_held = |id| self.first_step(resource, id, victim, found).is_some();
        if !found.iter().chain(proving.clone()).all(begun)
            || (found != Culprits::NOBODY && !found.iter().any(can_be_held))
        {
            return found;
        }
        let with = self.tracks.iter().filter(|track| {
            self.has_begun(track, harmed)
                && takes_its_part(track)
                && self.is_free(track, harmed)
                && found.iter().all(|id| id != track.id)
        });
        if proving.count() + found.iter().count() + with.clone().count() > JOINT {
            return found;
        }
        found.and(with.map(|track| track.id))
    }

    /// How many times as much one who is held must do to this victim, that he alone is blamed for it and not those. If they have
    /// all just begun, and taken over, they have been at it for less time than he. (Seen with two hogs, half a second apart: the
    /// second was not held until 138 ms after it began.)
    pub(super) fn margin_over(&self, found: Culprits, harmed: &Track, resource: Resource) -> f64 {
        let margin = self.policy.detect.margin;
        let is_new = |id| {
            let track = self.track(id).filter(|track| takes_over(track));
            track.is_some_and(|track| self.has_begun(track, harmed))
        };
        if resource == Resource::Cpu && found.iter().all(is_new) {
            margin * margin
        } else {
            margin
        }
    }

    /// Whether this one has come just now, or rested until then. One that was met with the victim has not come: the governor has.
    pub(super) fn has_begun(&self, track: &Track, harmed: &Track) -> bool {
        let is_new = self.is_newcomer(track) && track.met > harmed.met;
        // Who hardly works himself always seems to have rested.
        !self.is_blamed_for_others(track) && (is_new || rested(track))
    }

    /// Whether this one may be held for the CPU of that one, and is not yet.
    fn is_free(&self, track: &Track, harmed: &Track) -> bool {
        let group = |track: &Track| self.tree.groups.get(track.group);
        track.is_container
            && !track.protected
            && track.id != harmed.id
            && !same_pod(group(harmed), group(track))
            && !self.is_moved(track.group, Resource::Cpu)
            && track.exonerated_for(Resource::Cpu, self.now).is_none()
    }

    /// Whether this one is free, and there is a first step for it.
    fn may_be_held(&self, track: &Track, harmed: &Track) -> bool {
        let first = || self.first_step(Resource::Cpu, track.id, harmed.id, Culprits::one(track.id));
        self.is_free(track, harmed) && first().is_some()
    }

    /// Whether another one than this held one is more likely to do what harm there is now to its victim's CPU: one whose step is on
    /// trial; and for as long as that takes, one that has just begun, or is blamed far more. Then it is no reason to wait any longer,
    /// whoever begins next. (Seen with containers that live for two seconds: the one before, which was gone, was tightened, and
    /// 110 ms passed until that was judged.)
    pub(super) fn is_stirred(&self, held: &Intervention) -> bool {
        let mut others = self
            .held
            .iter()
            .filter(|other| other.resource == Resource::Cpu && other.aggressor != held.aggressor);
        let verify = held.verify(&self.policy);
        let waits = |since: Time| self.now.since(since) < verify;
        others.any(|other| matches!(other.proof, Proof::Proving(_)))
            || held.stirred.is_some_and(waits)
    }

    /// Whether somebody who may be held for the CPU of this one's victim has just begun to take it, or is blamed far more.
    pub(super) fn somebody_stirs(&self, held: &Intervention) -> bool {
        let harmed = self.track(held.victim);
        let Some(harmed) = harmed.filter(|_| held.resource == Resource::Cpu) else {
            return false;
        };
        let begins = |track: &Track| {
            takes_at_once(track) && self.has_begun(track, harmed) && self.is_free(track, harmed)
        };
        self.tracks.iter().any(begins) || self.does_less(held.aggressor, harmed)
    }

    /// Whether a further weight is on trial here, and somebody who is blamed by the same victim, and may be held for it, has just
    /// begun and taken over.
    pub(super) fn is_overtaken(&self, held: &Intervention) -> bool {
        let harmed = self.track(held.victim);
        let Some(harmed) =
            harmed.filter(|_| held.resource == Resource::Cpu && held.is_further_weight())
        else {
            return false;
        };
        let overtakes = |track: &Track| {
            takes_over(track) && self.has_begun(track, harmed) && self.may_be_held(track, harmed)
        };
        let mut blamed = harmed.cpu.ledger.ranked();
        blamed.any(|(id, _)| self.track(id).is_some_and(overtakes))
    }

    /// Whether this victim blames another one, who may be held and is not, far more than this one.
    pub(super) fn does_less(&self, aggressor: GroupId, harmed: &Track) -> bool {
        let may_be_held = |id| {
            let track = self.track(id);
            track.is_some_and(|track| self.may_be_held(track, harmed))
        };
        let (ledger, margin) = (&harmed.cpu.ledger, self.policy.detect.margin);
        ledger.is_outdone(Culprits::one(aggressor), margin, may_be_held)
            && ledger.culprits(margin, may_be_held).is_ok()
    }

    /// Those whose experiment others have joined: it begins anew, and their first step with it, which was made as if the others
    /// kept their full weight.
    pub(super) fn go_on_with(&mut self, victim: GroupId, joined: Culprits) {
        let now = self.now;
        for at in 0..self.held.len() {
            let held = &self.held[at];
            if held.since == now || !held.is_open_to(victim, now, &self.policy) {
                continue;
            }
            let first = self.first_step(Resource::Cpu, held.aggressor, victim, joined);
            let same = first.filter(|first| first.lever == held.lever);
            let deeper = same.map(|first| first.place).filter(|first| {
                matches!((first, held.place), (Place::Weight(new), Place::Weight(old)) if *new < old)
            });
            let verify = held.verify(&self.policy);
            let held = &mut self.held[at];
            held.changed = now;
            held.proof = Proof::Proving(now + verify);
            if let Some(place) = deeper {
                held.tightest = place;
                self.write(at, place, true);
            }
        }
    }

    /// What competes with the weight of this group: of those who are held beside it what they are left, and nothing of those
    /// who are to be held `with` it.
    pub(super) fn beside(&self, at: usize, harmed: usize, with: Culprits) -> f64 {
        let parent = self.tree.groups.get(at).and_then(|group| group.parent);
        let is_beside = |other: usize| {
            other != at && self.tree.groups.get(other).and_then(|group| group.parent) == parent
        };
        let mut beside = self.shares.beside(&self.tree, at);
        for held in &self.held {
            // The weight stands below a cap that came later, too.
            let weight = held.places().find_map(|place| match place {
                Place::Weight(weight) => Some(f64::from(weight.get())),
                _ => None,
            });
            if let (Some(left), Some((lever, _))) = (weight, self.tree.find(held.lever))
                && is_beside(lever)
            {
                let full = self.shares.active_weight(&self.tree, lever);
                beside -= (full - left).max(0.0);
            }
        }
        let mut lowered = [None; JOINT];
        for (slot, id) in lowered.iter_mut().zip(with.iter()) {
            let suspect = self.track(id).filter(|_| !self.holds(id, Resource::Cpu));
            *slot = suspect.and_then(|suspect| lever::find(&self.tree, suspect.group, harmed));
        }
        for (place, slot) in lowered.iter().enumerate() {
            if let Some(Lever::Weight(lever)) = slot
                && is_beside(*lever)
                && !lowered[..place].contains(slot)
            {
                beside -= self.shares.active_weight(&self.tree, *lever);
            }
        }
        beside.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::track::tests::uses;

    #[test]
    fn one_that_is_entitled_to_next_to_nothing_has_not_begun_with_a_hog_for_a_slice_that_it_used() {
        let joins = |over_ms: u64, used_ms: u64, entitlement: f64, excess: f64| {
            let mut track = Track::new(GroupId(1), Time(0));
            uses(&mut track, 1_000, Span::ZERO);
            uses(&mut track, 1_000 + over_ms, Span::from_millis(used_ms));
            (track.entitlement, track.excess) = (entitlement, excess);
            takes_its_part(&track)
        };
        assert!(!joins(100, 4, 0.0, 0.02), "one slice");
        assert!(
            !joins(20, 4, 0.1, 0.07),
            "one slice, of one that has just been met"
        );
        assert!(joins(100, 6, 0.05, -0.015));
        assert!(!joins(100, 6, 0.07, -0.04), "it may have more");
    }
}
