//! Did it help, shall it go on, when is it given back?
//!
//! ```text
//! begin ─► Proving ──fell──► Confirmed ──harm over target──► Proving (one step tighter)
//!             │                  │  ▲                            └─no fall─► the step is undone
//!             │no fall           │quiet, hold over, no longer wanted
//!             ▼                  ▼  │harm came back: strike, hold doubles
//!         Exonerated         Releasing ──original reached──► Released
//!         (all undone)
//! ```
//! Where the first step did not reach the suspect, Proving goes on with the least weight, then with a cap, before
//! anything is concluded.
//! *Unproven* (the suspect rested by itself) stands where Confirmed does, but never tightens.

use super::behalf::{self, OnBehalf, Vain};
use super::ladder::{self, Bounds, Place};
use super::lift::Lifting;
use super::seen::{Move, Seen};
use super::shared::Beside;
use crate::model::{GroupId, Policy, Resource, Span, Time, Verdict, Weight};

/// How far the proof is.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) enum Proof {
    /// The experiment runs until then.
    Proving(Time),
    /// Harm fell.
    Confirmed,
    /// It cannot be said.
    Unproven,
    /// On the way back; the next step is due then.
    Releasing(Time),
}

/// One held lever.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intervention {
    pub resource: Resource,
    pub lever: GroupId,
    pub aggressor: GroupId,
    /// The victim with the most harm when it began.
    pub victim: GroupId,
    pub bounds: Bounds,
    pub place: Place,
    /// The places of lower rungs whose knobs still stand below [`place`](Self::place), lowest first.
    pub under: [Option<Place>; 2],
    /// The aggressor's own weight, where the lever is a slice that holds others too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Beside>,
    /// Whether the victim's own weight is raised meanwhile.
    #[serde(default, skip_serializing_if = "Lifting::is_no")]
    pub lifting: Lifting,
    /// Whether the lever still moves nobody but the aggressor, and the aggressor may be held.
    pub grounded: bool,
    /// Where the way back begins.
    pub tightest: Place,
    /// Where a step that brings no relief goes back to; `None`: the first step.
    pub undo: Option<Place>,
    pub proof: Proof,
    /// Whether harm ever fell by it.
    pub proved: bool,
    /// Where it stood when harm fell last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_at: Option<Place>,
    /// The victim's harm before the first step, and before the latest.
    pub harm_at_first: f64,
    pub harm_before: f64,
    /// Whether it is only told and not written: then nothing can be proved.
    pub imagined: bool,
    /// Whether it was set for harm that was about to come: nothing was measured before it that could fall.
    #[serde(default)]
    pub foreseen: bool,
    /// What was known before the first step, if it is held for what the host does on its behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf: Option<OnBehalf>,
    /// Since when nobody is harmed whom this one is held for, or whom its aggressor is blamed by.
    pub calm_since: Option<Time>,
    /// Since when new harm may, at every tick, be the doing of another one, who has just begun or is blamed far more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stirred: Option<Time>,
    /// When it was last seen to want more of its device than this leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Time>,
    /// The victim's cumulative harm when the latest step had settled, and when that was.
    pub mark: Option<(Time, Span)>,
    pub since: Time,
    pub changed: Time,
    pub renewed: Time,
    /// The least time it stands.
    pub hold: Span,
    /// How often it was tried back, and harm came back with that.
    #[serde(default)]
    pub tries: u32,
    /// No further tightening before this.
    pub settled: Time,
    /// No raise before this.
    pub no_raise: Time,
    /// Since when its latest place is known to stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood: Option<Time>,
    /// When it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<Time>,
}

/// After a good rung this part of the first harm may remain without a further step.
const REMAINS: f64 = 0.2;
/// The time until it is tried back is doubled so often at most.
const TRIES: u32 = 5;
/// A limit has this many times the verify time to be reached.
const PATIENCE: f64 = 5.0;
/// A victim has this many times the verify time to begin to catch up.
const BACKLOG: f64 = 2.0;
/// The time that the usage is about which tells whether a weight has reached.
pub(super) const USAGE: Span = Span::from_millis(500);
/// An experiment waits so long for a measurement beyond its end: three of the slowest ticks.
const UNMEASURED: Span = Span::from_millis(3_300);

impl Intervention {
    /// How long an experiment takes: memory and devices move slower.
    pub(super) fn verify(&self, policy: &Policy) -> Span {
        match self.resource {
            // What has been handed over is worked off first.
            Resource::Cpu if self.on_behalf.is_some() => policy.detect.verify.scaled(5.0),
            Resource::Cpu | Resource::Pids => policy.detect.verify,
            Resource::Memory | Resource::Io => policy.detect.verify.scaled(5.0),
        }
    }

    /// The least cap that the policy allows here.
    pub(super) fn cap_floor(&self, policy: &Policy) -> f64 {
        if self.on_behalf.is_some() {
            policy.cpu.on_behalf_floor
        } else {
            policy.cpu.cap_floor
        }
    }

    /// The highest group that it moves on purpose: in a slice with others the aggressor's own.
    pub(super) fn moved(&self) -> GroupId {
        self.within.map_or(self.lever, |within| within.group)
    }

    /// Everywhere it stands: the knobs of lower rungs, then the place itself.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let [lowest, lower] = self.under;
        [lowest, lower, Some(self.place)].into_iter().flatten()
    }

    /// Where it stands on the rung next below.
    pub(super) fn below(&self) -> Option<Place> {
        self.under.iter().flatten().last().copied()
    }

    /// The next place on the way back from where it stands, or from there; `None` where that is the original.
    pub(super) fn looser(&self, place: Place) -> Option<Place> {
        match place {
            // The limit of memory below it goes back in steps of its own.
            Place::Swap(_) => self.below(),
            Place::Cap(cpus) if self.on_behalf.is_some() => {
                behalf::looser(cpus, &self.bounds.original)
            }
            place => ladder::looser(place, self.tightest, &self.bounds),
        }
    }

    /// The experiment goes on until then; what the host has done so far is no result of it.
    pub(super) fn go_on(&mut self, until: Time) {
        self.proof = Proof::Proving(until);
        if let Some(on_behalf) = &mut self.on_behalf {
            on_behalf.mark = None;
        }
    }

    /// Goes to another place. The rung that is left for a higher one still stands below it; where
    /// the way leads back to a lower rung, the higher one was left.
    pub(super) fn go_to(&mut self, place: Place) {
        let same = |other: Place| other.rung() == place.rung();
        if let Some(at) = self.under.iter().position(|under| under.is_some_and(same)) {
            self.under
                .iter_mut()
                .skip(at)
                .for_each(|under| *under = None);
        } else if !same(self.place)
            && let Some(free) = self.under.iter_mut().find(|under| under.is_none())
        {
            *free = Some(self.place);
        }
        self.place = place;
    }

    /// How much of the way from the tightest place back to the original is gone: 0 to 1. Only weights go back
    /// by degrees; another rung is not on its way.
    pub(super) fn way_back(&self) -> f64 {
        let (Place::Weight(now), Place::Weight(least)) = (self.place, self.tightest) else {
            return 0.0;
        };
        let weight = |weight: Weight| f64::from(weight.get());
        let all = weight(ladder::original_weight(&self.bounds)) - weight(least);
        if all <= 0.0 {
            return 0.0;
        }
        ((weight(now) - weight(least)) / all).clamp(0.0, 1.0)
    }

    /// Whether the latest step has settled, so that harm from here on is its result.
    pub(super) fn settled_since(&self, policy: &Policy) -> Time {
        self.changed + self.verify(policy).scaled(0.25)
    }

    /// Whether others who do the same to this victim may still join its experiment: it is the first step on the CPU, and nothing
    /// has been counted yet.
    pub(super) fn is_open_to(&self, victim: GroupId, now: Time, policy: &Policy) -> bool {
        self.resource == Resource::Cpu
            && self.victim == victim
            && matches!(self.proof, Proof::Proving(_))
            && matches!(self.place, Place::Weight(_))
            && self.undo.is_none()
            && self.mark.is_none()
            && now < self.since + self.verify(policy)
    }

    /// Whether a further step on the weight is on trial: it is nothing that has to be known now, where another one takes over.
    pub(super) fn is_further_weight(&self) -> bool {
        matches!(self.proof, Proof::Proving(_))
            && matches!(self.place, Place::Weight(_))
            && self.undo.is_some()
    }

    /// Begins to count the harm that the latest step leaves, once it has settled. A limit that the
    /// usage has not come down to yet (`pending`) proves nothing: the experiment waits for it, but
    /// not for ever.
    pub(super) fn settle(&mut self, seen: &Seen, policy: &Policy) {
        let verify = self.verify(policy);
        if self.mark.is_some() || seen.now < self.settled_since(policy) {
            return;
        }
        let Proof::Proving(ends) = &mut self.proof else {
            return;
        };
        if seen.pending && seen.now < self.changed + verify.scaled(PATIENCE) {
            *ends = (*ends).max(seen.now + verify.scaled(0.75));
        } else {
            self.mark = Some((seen.measured_at, seen.total));
        }
    }

    /// What to do now.
    pub(super) fn judge(&self, seen: &Seen, policy: &Policy) -> Move {
        if seen.groundless {
            return Move::Release;
        }
        if seen.overtaken
            && let Some(before) = self.undo
        {
            return Move::StepBack(before);
        }
        match self.proof {
            Proof::Proving(ends) if seen.now < ends && !self.is_spoilt(seen, policy) => Move::Keep,
            // On a slow tick the end may come before anything was measured. It is waited for, and not
            // for ever: a victim that cannot be read proves nothing.
            Proof::Proving(ends)
                if seen.measured < self.verify(policy).scaled(0.25)
                    && seen.now.since(ends) < UNMEASURED =>
            {
                Move::Keep
            }
            Proof::Proving(_) => self.end_experiment(seen, policy),
            Proof::Confirmed | Proof::Unproven => self.standing(seen, policy),
            // One that rests has not brought the harm back: somebody else did.
            Proof::Releasing(_) if seen.alarmed && !seen.rests => Move::Retighten(self.tightest),
            Proof::Releasing(due) if seen.now < due || self.is_full(seen) => Move::Keep,
            Proof::Releasing(_) => seen.looser.map_or(Move::Release, Move::Loosen),
        }
    }

    /// Whether another one has taken over: an experiment that tells nothing would keep that one from being looked at.
    fn is_spoilt(&self, seen: &Seen, policy: &Policy) -> bool {
        seen.relayed
            && seen.measured >= self.verify(policy).scaled(0.25)
            && seen.harm > self.needed(policy).max(seen.tolerance)
    }

    /// Harm that counts as relief.
    fn needed(&self, policy: &Policy) -> f64 {
        self.harm_before * (1.0 - policy.detect.relief.get())
    }

    fn end_experiment(&self, seen: &Seen, policy: &Policy) -> Move {
        if self.imagined || self.foreseen {
            Move::Judge(Verdict::Unproven)
        } else if self.resource == Resource::Pids {
            // It starts no more. Whether others do is not its doing.
            Move::Judge(Verdict::Confirmed)
        } else if seen.rests || seen.measured == Span::ZERO {
            // A further step that nothing is known of is not kept.
            self.undo
                .map_or(Move::Judge(Verdict::Unproven), Move::StepBack)
        } else if seen.in_vain == Vain::Untold {
            if seen.now < self.changed + self.verify(policy).scaled(BACKLOG) {
                Move::Keep
            } else {
                // As above.
                self.undo
                    .map_or(Move::Judge(Verdict::Unproven), Move::StepBack)
            }
        } else if seen.in_vain == Vain::Yes {
            // What was handed over before the step may be worked off yet. (Seen with a logger: for two seconds.) Else, whatever
            // helped its victim, it was not this.
            let is_better = seen.harm <= self.needed(policy).max(seen.tolerance);
            if is_better && seen.now < self.changed + self.verify(policy).scaled(BACKLOG) {
                Move::GoOn
            } else {
                self.undo.map_or(Move::Exonerate, Move::StepBack)
            }
        } else if seen.harm <= self.needed(policy).max(seen.tolerance) {
            Move::Judge(Verdict::Confirmed)
        } else if seen.short && seen.now < self.changed + self.verify(policy).scaled(PATIENCE) {
            // Pages have to be read again and room be made for them. (Seen on 6.1, where a limit came when
            // memory had run out: after two seconds its victim was no better off yet.)
            Move::Keep
        } else if seen.relayed {
            Move::Judge(Verdict::Unproven)
        } else if let (Some(place), None) = (seen.beyond, self.undo) {
            // Who takes what it took is neither guilty nor cleared by that. (Seen on 6.12 with two CPUs: where a
            // service of great weight comes and goes, the scheduler leaves both threads of a victim on one CPU and
            // a hog of weight 10 alone on the other.)
            if seen.now < self.changed + USAGE {
                Move::Keep
            } else {
                Move::Reach(place)
            }
        } else if seen.behind
            && seen.served
            && seen.now < self.changed + self.verify(policy).scaled(BACKLOG)
        {
            // It waits with what was kept from it before. (Seen with redis: harm of 16 % in the 40 ms before the step, and of
            // 23 % in the 400 after it; the hog was cleared, and went on for two seconds.)
            Move::GoOn
        } else {
            self.undo.map_or(Move::Exonerate, Move::StepBack)
        }
    }

    fn standing(&self, seen: &Seen, policy: &Policy) -> Move {
        // The host works as much as ever, though he hardly does: for somebody else.
        if seen.in_vain == Vain::Yes
            && !self.imagined
            && seen.now >= self.changed + self.verify(policy)
        {
            return Move::Exonerate;
        }
        let over_target = seen.harm > self.target(seen.tolerance, policy);
        if self.proof == Proof::Confirmed
            && (over_target || seen.behind)
            && !seen.rests
            && !seen.stirred
            && seen.now >= self.settled
            && seen.now >= self.changed + self.verify(policy)
            && let Some(place) = seen.tighter
            && self.may_take(place, seen)
            // To catch up a weight is enough, which takes nothing once that is done.
            && (over_target || !place.rung().is_hard())
        {
            return Move::Tighten(place);
        }
        let age = seen.now.since(self.since);
        // Whatever harms the victim, it is not one that rests.
        let calm = (seen.calm_for >= policy.release.quiet && !over_target) || seen.rested;
        let is_due = calm && (!seen.wants || self.may_try(seen, policy));
        if age >= self.hold && (is_due || (self.is_owed() && self.may_try(seen, policy))) {
            return self.first_back(seen).map_or(Move::Release, Move::Loosen);
        }
        if seen.starves
            && !seen.behind
            && seen.calm_for >= Span::from_millis(500)
            && seen.now >= self.no_raise
            && let Some(place) = seen.raised
        {
            return Move::Raise(place);
        }
        Move::Keep
    }

    /// A hard rung after a work-conserving one only while at least half of the first harm is left.
    fn may_take(&self, place: Place, seen: &Seen) -> bool {
        !place.rung().is_hard()
            || self.place.rung().is_hard()
            || seen.harm > 0.5 * self.harm_at_first
    }

    /// Whether the way back of a limit of memory or of tasks has no room for the next step: what is given
    /// there is taken for good, while a CPU is only shared for as long as it is given.
    pub(super) fn is_full(&self, seen: &Seen) -> bool {
        matches!(self.resource, Resource::Memory | Resource::Pids) && seen.wants
    }

    /// A rung that takes away what nobody uses is tried back after the escape time, whatever the
    /// held one wants: with a cap, wanting cannot be told from needing. With memory it can: there is
    /// room or there is none. So is one that takes CPU and was never proved: whether harm comes back
    /// is the proof that is still owed.
    fn may_try(&self, seen: &Seen, policy: &Policy) -> bool {
        self.is_tried_back() && seen.now.since(self.changed) >= self.tried_after(policy)
    }

    /// How long after its latest step it is tried back: twice as long each time that harm came back with it, and where a trial is
    /// dear and it was proved: on a device the victim waits through the queue, and whoever runs in real time takes all CPUs.
    pub(super) fn tried_after(&self, policy: &Policy) -> Span {
        let is_slow = self.proved && matches!(self.place, Place::Throttle(_) | Place::Freeze(_));
        let doubled = self.tries.min(TRIES) + u32::from(is_slow);
        let escape = policy.release.escape.scaled(f64::from(1_u32 << doubled));
        escape
            .min(policy.release.hold_max.max(policy.release.escape))
            .max(self.hold)
    }

    /// Where the first step back leads to; `None`: to the original. Of one that wants all that it is kept from there is no use in going slowly. It would take each
    /// step, and the victim would wait through all of them. (Seen on a disk that gives 400 operations: of each trial's
    /// second every read waited twice as long, and of half of it not enough to alarm.)
    pub(super) fn first_back(&self, seen: &Seen) -> Option<Place> {
        let took = match (self.place, self.bounds.took) {
            (Place::Throttle(now), Some(took)) if seen.wants => {
                Some(Place::Throttle(now.most(took)))
            }
            _ => None,
        };
        took.filter(|place| *place != self.place).or(seen.looser)
    }

    /// Whether it is tried back some time, whatever the held one wants.
    pub(super) fn is_tried_back(&self) -> bool {
        self.is_owed() || self.place.is_tried_back()
    }

    /// Whether the proof is still owed, and is had by trying it back.
    pub(super) fn is_owed(&self) -> bool {
        matches!(self.resource, Resource::Cpu | Resource::Io) && self.proof == Proof::Unproven
    }

    /// Harm under this is good enough. The idle rung, where allowed, is asked for the last bit.
    pub(super) fn target(&self, tolerance: f64, policy: &Policy) -> f64 {
        match self.place {
            Place::Weight(_) if policy.cpu.idle => tolerance * 0.25,
            _ => tolerance.max(REMAINS * self.harm_at_first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Absent, Bytes, Knobs};
    use crate::policy::throttle::Throttle;

    fn weight(value: u32) -> Place {
        Place::Weight(Weight::new(value).unwrap())
    }

    fn held(proof: Proof, place: Place) -> Intervention {
        Intervention {
            resource: Resource::Cpu,
            lever: GroupId(1),
            aggressor: GroupId(1),
            victim: GroupId(2),
            bounds: Bounds {
                original: Knobs::absent(Absent::NotRead),
                cap_floor: 0.05,
                high_floor: Bytes(0),
                cpus: 1,
                ram: Bytes(0),
                tasks: 0,
                took: None,
            },
            place,
            under: [None; 2],
            within: None,
            lifting: Lifting::No,
            grounded: true,
            tightest: place,
            undo: None,
            proof,
            proved: false,
            proved_at: None,
            harm_at_first: 0.5,
            harm_before: 0.5,
            imagined: false,
            foreseen: false,
            on_behalf: None,
            calm_since: None,
            stirred: None,
            wanted: None,
            mark: None,
            since: Time(0),
            changed: Time(0),
            renewed: Time(0),
            hold: Span::from_secs(2),
            tries: 0,
            settled: Time(0),
            no_raise: Time(0),
            stood: None,
            killed: None,
        }
    }

    fn seen(now_ms: u64) -> Seen {
        Seen {
            frozen: None,
            in_vain: Vain::No,
            now: Time(now_ms * 1_000),
            groundless: false,
            total: Span::ZERO,
            measured_at: Time(now_ms * 1_000),
            measured: Span::from_millis(300),
            harm: 0.0,
            alarmed: false,
            tolerance: 0.025,
            calm_for: Span::ZERO,
            rests: false,
            rested: false,
            behind: false,
            served: false,
            wants: true,
            starves: false,
            relayed: false,
            overtaken: false,
            stirred: false,
            pending: false,
            short: false,
            tighter: Some(weight(4)),
            beyond: None,
            looser: Some(weight(31)),
            raised: Some(weight(13)),
        }
    }

    const PROVING: Proof = Proof::Proving(Time(400_000));

    #[test]
    fn an_experiment_is_not_judged_before_its_time() {
        assert_eq!(
            held(PROVING, weight(9)).judge(&seen(399), &Policy::default()),
            Move::Keep
        );
    }

    #[test]
    fn a_fall_confirms_and_no_fall_exonerates() {
        let intervention = held(PROVING, weight(9));
        let judge = |harm| intervention.judge(&Seen { harm, ..seen(400) }, &Policy::default());
        assert_eq!(judge(0.1), Move::Judge(Verdict::Confirmed));
        assert_eq!(judge(0.45), Move::Exonerate);
    }

    #[test]
    fn who_is_held_for_what_the_host_does_is_cleared_where_that_goes_on_whoever_is_better_off() {
        let vain = |now_ms, harm| Seen {
            in_vain: Vain::Yes,
            harm,
            ..seen(now_ms)
        };
        let mut held = held(PROVING, Place::Cap(0.003));
        let policy = Policy::default();
        assert_eq!(held.judge(&vain(400, 0.1), &policy), Move::GoOn);
        assert_eq!(held.judge(&vain(400, 0.5), &policy), Move::Exonerate);
        assert_eq!(held.judge(&vain(800, 0.1), &policy), Move::Exonerate);
        held.undo = Some(Place::Cap(0.006));
        assert_eq!(
            held.judge(&vain(800, 0.1), &policy),
            Move::StepBack(Place::Cap(0.006))
        );
        held.proof = Proof::Confirmed;
        assert_eq!(held.judge(&vain(399, 0.0), &policy), Move::Keep);
        assert_eq!(held.judge(&vain(400, 0.0), &policy), Move::Exonerate);
        held.imagined = true;
        assert_eq!(held.judge(&vain(400, 0.0), &policy), Move::Keep);
        held.imagined = false;
        (held.proof, held.undo) = (PROVING, None);
        let untold = |now_ms| Seen {
            in_vain: Vain::Untold,
            ..vain(now_ms, 0.0)
        };
        assert_eq!(held.judge(&untold(700), &policy), Move::Keep);
        assert_eq!(
            held.judge(&untold(800), &policy),
            Move::Judge(Verdict::Unproven)
        );
        held.undo = Some(Place::Cap(0.006));
        assert_eq!(
            held.judge(&untold(800), &policy),
            Move::StepBack(Place::Cap(0.006))
        );
    }

    #[test]
    fn for_one_who_is_served_and_behind_an_experiment_goes_on_before_anybody_is_cleared() {
        let intervention = held(PROVING, weight(9));
        let judge = |now_ms, behind, served, harm| {
            let seen = Seen {
                behind,
                served,
                harm,
                ..seen(now_ms)
            };
            intervention.judge(&seen, &Policy::default())
        };
        assert_eq!(judge(400, true, true, 0.6), Move::GoOn);
        assert_eq!(
            judge(400, true, false, 0.6),
            Move::Exonerate,
            "another one takes it"
        );
        assert_eq!(judge(400, false, true, 0.6), Move::Exonerate);
        assert_eq!(judge(800, true, true, 0.6), Move::Exonerate, "for ever");
        let relieved = judge(400, true, true, 0.1);
        assert_eq!(relieved, Move::Judge(Verdict::Confirmed));
    }

    #[test]
    fn a_weight_that_did_not_reach_clears_nobody() {
        let mut intervention = held(PROVING, weight(9));
        let unreached = |now_ms, harm| Seen {
            beyond: Some(Place::Cap(0.3)),
            harm,
            ..seen(now_ms)
        };
        let policy = Policy::default();
        let judge = |seen| intervention.judge(&seen, &policy);
        assert_eq!(judge(unreached(499, 0.5)), Move::Keep);
        assert_eq!(
            judge(unreached(500, 0.5)),
            Move::Reach(Place::Cap(0.3)),
            "what was used before the step is not in it"
        );
        assert_eq!(
            judge(unreached(500, 0.1)),
            Move::Judge(Verdict::Confirmed),
            "a fall is a fall"
        );
        intervention.undo = Some(weight(18));
        assert_eq!(
            intervention.judge(&unreached(500, 0.5), &policy),
            Move::StepBack(weight(18)),
            "a further step is undone alone"
        );
    }

    #[test]
    fn relief_has_more_time_while_memory_is_short_and_not_for_ever() {
        let mut memory = held(Proof::Proving(Time(2_000_000)), Place::High(Bytes(1 << 30)));
        memory.resource = Resource::Memory;
        let judge = |now_ms, harm| {
            let short = Seen {
                short: true,
                harm,
                measured: Span::from_secs(2),
                ..seen(now_ms)
            };
            memory.judge(&short, &Policy::default())
        };
        assert_eq!(judge(2_000, 0.1), Move::Judge(Verdict::Confirmed));
        assert_eq!(judge(2_000, 0.5), Move::Keep);
        assert_eq!(judge(9_900, 0.5), Move::Keep);
        assert_eq!(judge(10_000, 0.5), Move::Exonerate);
    }

    #[test]
    fn one_that_rests_of_its_own_accord_proves_nothing() {
        let resting = Seen {
            rests: true,
            ..seen(400)
        };
        let verdict = held(PROVING, weight(9)).judge(&resting, &Policy::default());
        assert_eq!(verdict, Move::Judge(Verdict::Unproven));
        let unproven = held(Proof::Unproven, weight(9));
        let harmed = Seen {
            harm: 0.5,
            ..seen(5_000)
        };
        assert_eq!(unproven.judge(&harmed, &Policy::default()), Move::Keep);
    }

    #[test]
    fn a_further_step_that_brings_nothing_is_undone_alone() {
        let mut intervention = held(PROVING, weight(4));
        intervention.undo = Some(weight(9));
        let judged = intervention.judge(
            &Seen {
                harm: 0.5,
                ..seen(400)
            },
            &Policy::default(),
        );
        assert_eq!(judged, Move::StepBack(weight(9)));
    }

    #[test]
    fn a_further_weight_is_undone_at_once_when_another_one_takes_over() {
        let mut intervention = held(PROVING, weight(4));
        assert!(!intervention.is_further_weight());
        intervention.undo = Some(weight(9));
        assert!(intervention.is_further_weight());
        for (overtaken, next) in [(true, Move::StepBack(weight(9))), (false, Move::Keep)] {
            let early = Seen {
                overtaken,
                measured: Span::ZERO,
                ..seen(40)
            };
            assert_eq!(intervention.judge(&early, &Policy::default()), next);
        }
        intervention.place = Place::Cap(0.3);
        assert!(!intervention.is_further_weight());
    }

    #[test]
    fn a_relay_is_not_exonerated() {
        let relayed = Seen {
            harm: 0.5,
            relayed: true,
            ..seen(400)
        };
        let judged = held(PROVING, weight(9)).judge(&relayed, &Policy::default());
        assert_eq!(judged, Move::Judge(Verdict::Unproven));
    }

    #[test]
    fn a_relay_is_seen_before_the_experiment_ends() {
        let mut intervention = held(Proof::Proving(Time(2_000_000)), weight(9));
        intervention.resource = Resource::Io;
        let judge = |relayed, measured| {
            let early = Seen {
                harm: 0.5,
                relayed,
                measured: Span::from_millis(measured),
                ..seen(1_100)
            };
            intervention.judge(&early, &Policy::default())
        };
        assert_eq!(judge(true, 600), Move::Judge(Verdict::Unproven));
        assert_eq!(judge(true, 400), Move::Keep);
        assert_eq!(judge(false, 600), Move::Keep);
    }

    #[test]
    fn what_a_good_rung_leaves_is_no_reason_to_tighten() {
        let intervention = held(Proof::Confirmed, weight(9));
        let judge = |harm| {
            intervention.judge(
                &Seen {
                    harm,
                    ..seen(1_000)
                },
                &Policy::default(),
            )
        };
        assert_eq!(judge(0.08), Move::Keep);
        assert_eq!(judge(0.2), Move::Tighten(weight(4)));
    }

    #[test]
    fn new_harm_that_is_more_likely_anothers_doing_is_no_reason_to_tighten() {
        let harmed = Seen {
            harm: 0.2,
            stirred: true,
            ..seen(1_000)
        };
        let intervention = held(Proof::Confirmed, weight(9));
        assert_eq!(intervention.judge(&harmed, &Policy::default()), Move::Keep);
    }

    #[test]
    fn one_that_is_behind_is_helped_to_catch_up_by_weights_alone() {
        let behind = Seen {
            behind: true,
            ..seen(1_000)
        };
        let judge = |seen| held(Proof::Confirmed, weight(9)).judge(&seen, &Policy::default());
        assert_eq!(judge(behind), Move::Tighten(weight(4)));
        let capped = Seen {
            tighter: Some(Place::Cap(0.2)),
            ..behind
        };
        assert_eq!(judge(capped), Move::Keep);
        let starving = Seen {
            starves: true,
            calm_for: Span::from_secs(1),
            ..capped
        };
        assert_eq!(judge(starving), Move::Keep, "nor is the other raised");
    }

    #[test]
    fn a_weight_stands_while_the_held_one_wants_and_goes_when_it_does_not() {
        let intervention = held(Proof::Confirmed, weight(9));
        let calm = Seen {
            calm_for: Span::from_secs(60),
            ..seen(60_000)
        };
        assert_eq!(intervention.judge(&calm, &Policy::default()), Move::Keep);
        let sated = Seen {
            wants: false,
            ..calm
        };
        assert_eq!(
            intervention.judge(&sated, &Policy::default()),
            Move::Loosen(weight(31))
        );
        let early = Seen {
            now: Time(1_900_000),
            ..sated
        };
        assert_eq!(intervention.judge(&early, &Policy::default()), Move::Keep);
    }

    #[test]
    fn a_cap_is_tried_back_after_the_escape_time_whatever_the_held_one_wants() {
        let intervention = held(Proof::Confirmed, Place::Cap(0.2));
        let calm = Seen {
            calm_for: Span::from_secs(60),
            looser: Some(Place::Cap(0.3)),
            ..seen(9_999)
        };
        assert_eq!(intervention.judge(&calm, &Policy::default()), Move::Keep);
        let later = Seen {
            now: Time(10_000_000),
            ..calm
        };
        assert_eq!(
            intervention.judge(&later, &Policy::default()),
            Move::Loosen(Place::Cap(0.3))
        );
        let again = Intervention {
            tries: 1,
            ..intervention
        };
        assert_eq!(again.judge(&later, &Policy::default()), Move::Keep);
        let twice_as_late = Seen {
            now: Time(20_000_000),
            ..later
        };
        assert_eq!(
            again.judge(&twice_as_late, &Policy::default()),
            Move::Loosen(Place::Cap(0.3))
        );
        let often = Intervention {
            tries: 99,
            ..intervention
        };
        let most = Policy::default().release.hold_max;
        assert_eq!(often.tried_after(&Policy::default()), most);
        let tried_after = |place, proved| {
            let held = Intervention {
                place,
                proved,
                ..intervention.clone()
            };
            held.tried_after(&Policy::default()).0 / 1_000_000
        };
        let throttle = Place::Throttle(Throttle {
            device: crate::model::Device { major: 8, minor: 0 },
            rbytes: 1 << 20,
            wbytes: 1 << 20,
            rios: 20,
            wios: 20,
        });
        for place in [throttle, Place::Freeze(Span::from_millis(4))] {
            assert_eq!(
                (tried_after(place, false), tried_after(place, true)),
                (10, 20)
            );
        }
        assert_eq!(tried_after(Place::Cap(0.3), true), 10);
    }

    #[test]
    fn a_throttle_is_tried_back_at_once_where_all_that_it_keeps_is_wanted_and_else_in_steps() {
        let at = |rios| {
            Place::Throttle(Throttle {
                device: crate::model::Device { major: 8, minor: 0 },
                rbytes: 1 << 20,
                wbytes: 1 << 20,
                rios,
                wios: 20,
            })
        };
        let mut intervention = held(Proof::Confirmed, at(50));
        let Place::Throttle(took) = at(400) else {
            panic!("a throttle is a throttle");
        };
        // It wrote nothing: the kernel takes no limit of nothing.
        intervention.bounds.took = Some(Throttle { wios: 0, ..took });
        let due = Seen {
            wants: true,
            looser: Some(at(138)),
            calm_for: Span::from_secs(60),
            ..seen(10_000)
        };
        let next = |wants| intervention.judge(&Seen { wants, ..due }, &Policy::default());
        assert_eq!(next(true), Move::Loosen(at(400)));
        assert_eq!(next(false), Move::Loosen(at(138)));
    }

    #[test]
    fn an_experiment_waits_until_the_usage_is_under_its_limit_but_not_for_ever() {
        let policy = Policy::default();
        let mut intervention = held(Proof::Proving(Time(2_000_000)), Place::High(Bytes(1)));
        intervention.resource = Resource::Memory;
        for ms in (0..=10_000).step_by(100) {
            let pending = Seen {
                pending: true,
                harm: 0.5,
                ..seen(ms)
            };
            intervention.settle(&pending, &policy);
            assert_eq!(intervention.mark.is_some(), ms == 10_000, "{ms}");
            assert_eq!(intervention.judge(&pending, &policy), Move::Keep, "{ms}");
        }
        let late = Seen {
            harm: 0.5,
            measured: Span::from_secs(1),
            ..seen(12_000)
        };
        assert_eq!(intervention.judge(&late, &policy), Move::Exonerate);
    }

    #[test]
    fn harm_on_the_way_back_goes_back_to_the_tightest() {
        let mut intervention = held(Proof::Releasing(Time(9_000_000)), weight(54));
        intervention.tightest = weight(9);
        let alarmed = Seen {
            alarmed: true,
            ..seen(8_000)
        };
        assert_eq!(
            intervention.judge(&alarmed, &Policy::default()),
            Move::Retighten(weight(9))
        );
        let somebody_else = Seen {
            rests: true,
            ..alarmed
        };
        assert_eq!(
            intervention.judge(&somebody_else, &Policy::default()),
            Move::Keep
        );
    }

    #[test]
    fn a_hard_rung_follows_a_weight_only_while_half_of_the_harm_is_left() {
        let intervention = held(Proof::Confirmed, weight(1));
        let harmed = Seen {
            tighter: Some(Place::Cap(0.2)),
            ..seen(1_000)
        };
        let judge = |harm| intervention.judge(&Seen { harm, ..harmed }, &Policy::default());
        assert_eq!(judge(0.2), Move::Keep);
        assert_eq!(judge(0.3), Move::Tighten(Place::Cap(0.2)));
    }

    #[test]
    fn without_a_measurement_nothing_is_proved() {
        let intervention = held(PROVING, weight(9));
        let judge = |now_ms| {
            let blind = Seen {
                measured: Span::ZERO,
                ..seen(now_ms)
            };
            intervention.judge(&blind, &Policy::default())
        };
        assert_eq!(judge(1_400), Move::Keep);
        assert_eq!(judge(4_000), Move::Judge(Verdict::Unproven));
    }

    #[test]
    fn what_was_never_written_proves_nothing() {
        let mut intervention = held(PROVING, weight(9));
        intervention.imagined = true;
        for harm in [0.0, 0.5] {
            let judged = intervention.judge(&Seen { harm, ..seen(400) }, &Policy::default());
            assert_eq!(judged, Move::Judge(Verdict::Unproven));
        }
    }

    #[test]
    fn one_that_was_never_proved_is_tried_back_after_the_escape_time() {
        let calm = Seen {
            calm_for: Span::from_secs(60),
            ..seen(10_000)
        };
        let judge = |proof| held(proof, weight(9)).judge(&calm, &Policy::default());
        assert_eq!(judge(Proof::Unproven), Move::Loosen(weight(31)));
        assert_eq!(judge(Proof::Confirmed), Move::Keep);
    }

    #[test]
    fn the_trial_release_of_one_that_starves_is_the_way_back_and_no_raise() {
        let starving = Seen {
            starves: true,
            calm_for: Span::from_secs(60),
            ..seen(60_000)
        };
        let judged = held(Proof::Unproven, weight(9)).judge(&starving, &Policy::default());
        assert_eq!(judged, Move::Loosen(weight(31)));
    }

    #[test]
    fn without_its_victim_it_is_released_at_once() {
        let orphan = Seen {
            groundless: true,
            ..seen(1)
        };
        assert_eq!(
            held(PROVING, weight(9)).judge(&orphan, &Policy::default()),
            Move::Release
        );
    }

    #[test]
    fn one_that_starves_below_its_entitlement_is_raised_when_victims_are_calm() {
        let starving = Seen {
            starves: true,
            calm_for: Span::from_millis(600),
            ..seen(1_500)
        };
        let judged = held(Proof::Confirmed, weight(9)).judge(&starving, &Policy::default());
        assert_eq!(judged, Move::Raise(weight(13)));
    }
}
