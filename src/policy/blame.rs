//! Who moved together with the harm, and by what margin?
//!
//! Per victim, each suspect's blame is the sum of `harm × excess` over the ticks. It drains with
//! the victim's bucket, so a burst that is over when the alarm comes is still blamed. The sum is
//! weighted by how well the two moved together (the cosine of their two series), so a steady
//! neighbour is told from one whose phases are the harm's.

use crate::model::{Contender, GroupId, Share};

/// Suspects kept per victim: the least blamed one makes room.
const SUSPECTS: usize = 12;
/// As many as may be held jointly: more than that is a busy host, not an aggressor.
pub(super) const JOINT: usize = 4;

/// Who moves together with the harm by less than this is not blamed: where the harm goes on and a
/// suspect's excess ended, only an ever smaller trace of it is left, and would else be all that is.
const TOGETHER: f64 = 0.1;

/// One suspect's sums for one victim.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: GroupId,
    /// Σ harm × excess.
    product: f64,
    /// Σ excess².
    excess: f64,
}

/// The blame of all suspects for one victim in one resource.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    entries: [Option<Entry>; SUSPECTS],
    /// Σ harm².
    harm: f64,
}

/// How one suspect stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    /// Its blame; zero where the two do not move together.
    pub score: f64,
    /// How well its excess and the harm move together, 0 to 1.
    pub together: f64,
}

/// Those to be held, the most blamed first, with the blame of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Culprits {
    who: [Option<GroupId>; JOINT],
}

impl Culprits {
    pub(super) const NOBODY: Culprits = Culprits { who: [None; JOINT] };

    /// The blamed, the most blamed first.
    pub(super) fn iter(&self) -> impl Iterator<Item = GroupId> {
        self.who.iter().flatten().copied()
    }

    /// This one alone.
    pub(super) fn one(id: GroupId) -> Culprits {
        Culprits::NOBODY.and([id].into_iter())
    }

    /// Those, and further ones as far as there is room.
    pub(super) fn and(mut self, others: impl Iterator<Item = GroupId>) -> Culprits {
        for other in others {
            if !self.who.contains(&Some(other))
                && let Some(room) = self.who.iter_mut().find(|one| one.is_none())
            {
                *room = Some(other);
            }
        }
        self
    }

    /// Those of them; `None` where none is.
    pub(super) fn only(self, are: impl Fn(GroupId) -> bool) -> Option<Culprits> {
        let who = self.who.map(|one| one.filter(|id| are(*id)));
        who.iter().any(Option::is_some).then_some(Culprits { who })
    }
}

impl Ledger {
    pub(super) const fn new() -> Ledger {
        Ledger {
            entries: [None; SUSPECTS],
            harm: 0.0,
        }
    }

    /// Adds one tick: how much harm the victim had (as a rate), and how much each suspect took
    /// over its entitlement (in the resource's unit).
    pub(super) fn add(&mut self, harm: f64, suspects: impl Iterator<Item = (GroupId, f64)>) {
        self.harm += harm * harm;
        for (id, excess) in suspects {
            if excess <= 0.0 {
                continue;
            }
            let known = self
                .entries
                .iter()
                .position(|e| e.is_some_and(|e| e.id == id));
            let Some(slot) = known.or_else(|| self.room(harm * excess)) else {
                continue;
            };
            let entry = self.entries[slot].get_or_insert(Entry {
                id,
                product: 0.0,
                excess: 0.0,
            });
            if entry.id != id {
                *entry = Entry {
                    id,
                    product: 0.0,
                    excess: 0.0,
                };
            }
            entry.product += harm * excess;
            entry.excess += excess * excess;
        }
    }

    /// Keeps this part of everything: called with what the bucket kept.
    pub(super) fn drain(&mut self, kept: f64) {
        self.harm *= kept;
        for slot in &mut self.entries {
            if let Some(entry) = slot {
                entry.product *= kept;
                entry.excess *= kept;
                if entry.product <= f64::MIN_POSITIVE && entry.excess <= f64::MIN_POSITIVE {
                    *slot = None;
                }
            }
        }
    }

    /// Each suspect's blame, the most blamed first; ties in order of identity, so that equal
    /// inputs give equal decisions.
    pub(super) fn ranked(&self) -> impl Iterator<Item = (GroupId, f64)> {
        let mut scores = [(GroupId(u64::MAX), 0.0); SUSPECTS];
        for (score, entry) in scores.iter_mut().zip(self.entries.iter().flatten()) {
            *score = (entry.id, self.score(entry));
        }
        scores.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scores.into_iter().filter(|(_, score)| *score > 0.0)
    }

    /// Those who stand out: the most blamed, joined by all within `margin` of it. `None` where
    /// nobody is left, `Err` where so many are alike that nobody stands out.
    pub(super) fn culprits(
        &self,
        margin: f64,
        may_be_held: impl Fn(GroupId) -> bool,
    ) -> Result<Option<Culprits>, Crowd> {
        let mut who = [None; JOINT];
        let mut top = 0.0;
        for (place, (id, score)) in self.ranked().filter(|(id, _)| may_be_held(*id)).enumerate() {
            if place == 0 {
                top = score;
            } else if score * margin <= top {
                break;
            }
            *who.get_mut(place).ok_or(Crowd)? = Some(id);
        }
        Ok(who[0].map(|_| Culprits { who }))
    }

    /// The most blamed alone, however many are alike; `None` where nobody is left.
    pub(super) fn most_blamed(&self, may_be_held: impl Fn(GroupId) -> bool) -> Option<Culprits> {
        let (id, _) = self.ranked().find(|(id, _)| may_be_held(*id))?;
        Some(Culprits::one(id))
    }

    /// Whether one of those others is blamed, and `margin` times as much as each of these. Asked only of those who are blamed so much.
    pub(super) fn is_outdone(
        &self,
        these: Culprits,
        margin: f64,
        is_other: impl Fn(GroupId) -> bool,
    ) -> bool {
        let mut ranked = self.ranked();
        let of_these = ranked.find(|(id, _)| these.iter().any(|one| one == *id));
        let least = of_these.map_or(0.0, |(_, score)| score * margin);
        let far_more = self.ranked().take_while(|(_, score)| *score >= least);
        far_more.map(|(id, _)| id).any(is_other)
    }

    /// Whether this one is the most blamed, or within `margin` of it.
    pub(super) fn points_at(&self, id: GroupId, margin: f64) -> bool {
        let mut ranked = self.ranked();
        let top = ranked.next();
        top.is_some_and(|(first, most)| {
            first == id || ranked.any(|(other, score)| other == id && score * margin > most)
        })
    }

    /// The suspects as evidence; usage and entitlement are asked of the caller.
    pub(super) fn contenders(&self, look: impl Fn(GroupId) -> (f64, f64)) -> Vec<Contender> {
        let total: f64 = self.ranked().map(|(_, score)| score).sum();
        self.ranked()
            .take(JOINT + 1)
            .map(|(id, score)| {
                let (usage, entitlement) = look(id);
                Contender {
                    id,
                    blame: Share::new(score / total),
                    usage,
                    entitlement,
                }
            })
            .collect()
    }

    /// Knows nothing of this one any more.
    pub(super) fn forget(&mut self, id: GroupId) {
        for slot in &mut self.entries {
            if slot.is_some_and(|entry| entry.id == id) {
                *slot = None;
            }
        }
    }

    /// How this one stands; `None` where it took nothing over its entitlement, or so little that
    /// others made it lose its place.
    pub(super) fn mark(&self, id: GroupId) -> Option<Mark> {
        let mut entries = self.entries.iter().flatten();
        entries.find(|entry| entry.id == id).map(|entry| Mark {
            score: self.score(entry),
            together: self.together(entry),
        })
    }

    fn score(&self, entry: &Entry) -> f64 {
        let together = self.together(entry);
        if together < TOGETHER {
            return 0.0;
        }
        entry.product * together
    }

    fn together(&self, entry: &Entry) -> f64 {
        let norm = (self.harm * entry.excess).sqrt();
        if norm > 0.0 {
            (entry.product / norm).min(1.0)
        } else {
            0.0
        }
    }

    /// A free slot, else the least blamed one's if `product` is more.
    fn room(&self, product: f64) -> Option<usize> {
        if let Some(free) = self.entries.iter().position(Option::is_none) {
            return Some(free);
        }
        let least = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(i, entry)| entry.as_ref().map(|entry| (i, entry.product)))
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        (product > least.1).then_some(least.0)
    }
}

/// Too many are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowd;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(found: Result<Option<Culprits>, Crowd>) -> Vec<u64> {
        found
            .unwrap()
            .map_or(Vec::new(), |c| c.iter().map(|id| id.0).collect())
    }

    #[test]
    fn who_is_held_and_does_most_of_it_outdoes_the_others() {
        let (held, other) = (GroupId(1), GroupId(2));
        for (excess, outdone) in [(0.4, true), (0.8, false)] {
            let mut ledger = Ledger::default();
            for _ in 0..40 {
                ledger.add(0.5, [(held, 1.0), (other, excess)].into_iter());
            }
            let found = Culprits::one(other);
            assert_eq!(ledger.is_outdone(found, 1.5, |id| id == held), outdone);
            assert!(!ledger.is_outdone(found, 1.5, |_| false));
        }
    }

    #[test]
    fn the_one_whose_excess_moves_with_the_harm_is_blamed_not_the_steady_one() {
        let mut ledger = Ledger::default();
        for tick in 0..40 {
            let on = f64::from(u8::from(tick % 4 == 0));
            ledger.add(
                on * 0.5,
                [(GroupId(1), on * 0.4), (GroupId(2), 0.25)].into_iter(),
            );
        }
        assert_eq!(ids(ledger.culprits(1.5, |_| true)), [1]);
    }

    #[test]
    fn two_alike_are_held_jointly_and_five_alike_are_nobody() {
        let mut ledger = Ledger::default();
        ledger.add(0.5, (1..=2).map(|id| (GroupId(id), 0.4)));
        ledger.add(0.5, [(GroupId(3), 0.05)].into_iter());
        assert_eq!(ids(ledger.culprits(1.5, |_| true)), [1, 2]);
        let mut crowd = Ledger::default();
        crowd.add(0.5, (1..=5).map(|id| (GroupId(id), 0.4)));
        assert_eq!(crowd.culprits(1.5, |_| true), Err(Crowd));
    }

    #[test]
    fn without_excess_nobody_is_blamed() {
        let mut ledger = Ledger::default();
        ledger.add(0.9, [(GroupId(1), 0.0), (GroupId(2), -1.0)].into_iter());
        assert_eq!(ledger.culprits(1.5, |_| true), Ok(None));
    }

    #[test]
    fn one_that_may_not_be_held_does_not_shield_the_next() {
        let mut ledger = Ledger::default();
        ledger.add(0.5, [(GroupId(1), 0.9), (GroupId(2), 0.3)].into_iter());
        assert_eq!(ids(ledger.culprits(1.5, |id| id != GroupId(1))), [2]);
    }

    #[test]
    fn a_burst_that_is_over_is_still_blamed_until_the_bucket_is_empty() {
        let mut ledger = Ledger::default();
        ledger.add(0.5, [(GroupId(1), 0.4)].into_iter());
        for _ in 0..10 {
            ledger.drain(0.9);
            ledger.add(0.0, [(GroupId(1), 0.0)].into_iter());
        }
        assert_eq!(ids(ledger.culprits(1.5, |_| true)), [1]);
        ledger.drain(0.0);
        assert_eq!(ledger.culprits(1.5, |_| true), Ok(None));
    }

    #[test]
    fn harm_that_goes_on_without_a_suspect_clears_it() {
        let mut ledger = Ledger::default();
        ledger.add(0.5, [(GroupId(1), 0.4)].into_iter());
        for _ in 0..20 {
            ledger.drain(0.7);
            ledger.add(0.5, [(GroupId(1), 0.0)].into_iter());
        }
        assert_eq!(ledger.culprits(1.5, |_| true), Ok(None));
    }

    #[test]
    fn a_flood_of_small_suspects_does_not_push_the_great_one_out() {
        let mut ledger = Ledger::default();
        ledger.add(0.5, [(GroupId(7), 0.4)].into_iter());
        ledger.add(0.5, (100..200).map(|id| (GroupId(id), 0.01)));
        assert_eq!(ledger.ranked().next().map(|(id, _)| id), Some(GroupId(7)));
    }
}
