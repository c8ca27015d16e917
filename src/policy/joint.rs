//! Several who harm one victim together: who joins an experiment that has just begun, and what all in it are left.

use super::blame::{Culprits, JOINT};
use super::brain::Brain;
use super::feed::begins;
use super::intervention::Proof;
use super::ladder::Place;
use super::lever::{self, Lever};
use super::track::Track;
use crate::model::{GroupId, Resource, WhyNobody};

/// Who takes this part of its entitlement over it, now that another one is held, has taken over: a neighbour that is a
/// little over what it may take has not, and waits for the verdict.
pub(super) const TAKES_OVER: f64 = 0.25;
/// No entitlement counts for fewer CPUs there.
pub(super) const LEAST: f64 = 0.1;

fn takes_over(track: &Track) -> bool {
    track.excess > TAKES_OVER * track.entitlement.max(LEAST)
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
            !track.protected && track.exonerated(resource).is_none() && takes_over(track)
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
        let proving = self.held.iter().filter(|held| {
            held.resource == resource
                && held.victim == victim
                && matches!(held.proof, Proof::Proving(_))
        });
        let alike = alike.unwrap_or(Culprits::NOBODY);
        let joined = self.and_beginners(alike, resource, victim, proving.count());
        (joined != Culprits::NOBODY)
            .then_some(joined)
            .ok_or(WhyNobody::Busy)
    }

    /// Those who are to be held for the CPU, and who began in the same moment: of several who begin together the scheduler has one
    /// run a little before the others. (Seen with four hogs of one thread each: the first was held after 58 ms, and the last after 149.)
    pub(super) fn with_who_begins(
        &self,
        found: Culprits,
        resource: Resource,
        victim: GroupId,
    ) -> Culprits {
        let harmed = self.track(victim);
        let has_begun = |id| {
            let suspect = self.track(id).zip(harmed);
            suspect.is_some_and(|(track, harmed)| self.has_begun(track, harmed))
        };
        if resource == Resource::Cpu && found.iter().all(has_begun) {
            self.and_beginners(found, resource, victim, 0)
        } else {
            found
        }
    }

    /// Those, and who takes over from this victim and has just begun to; not those where all are more than one experiment holds, of
    /// which there are so many `already`.
    fn and_beginners(
        &self,
        found: Culprits,
        resource: Resource,
        victim: GroupId,
        already: usize,
    ) -> Culprits {
        let Some(&at) = self.index.get(&victim) else {
            return found;
        };
        let harmed = &self.tracks[at];
        let ledger = &harmed.strain(resource).ledger;
        let begun = self.suspects(at, resource).filter(|track| {
            track.is_container
                && !track.protected
                && self.has_begun(track, harmed)
                && takes_over(track)
                && track.exonerated(resource).is_none()
                && ledger.mark(track.id).is_some_and(|mark| mark.score > 0.0)
                && !self.is_moved(track.group, resource)
                && found.iter().all(|id| id != track.id)
        });
        if already + found.iter().count() + begun.clone().count() > JOINT {
            return found;
        }
        found.and(begun.map(|track| track.id))
    }

    /// Whether this one has begun just now. One that was met with the victim has not come: the governor has.
    fn has_begun(&self, track: &Track, harmed: &Track) -> bool {
        (self.is_newcomer(track) && track.met > harmed.met) || begins(track)
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
