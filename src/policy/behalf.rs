//! On whose behalf does the host itself work?
//!
//! **Problem.** Lines that a logger of the host works over, cores that it writes out, what the kernel's own threads do: a container can
//! have others use the CPU, and takes hardly any itself. By what each takes nobody is to blame, or a service of the host, which is
//! never held.
//! **Approach.** What the host uses outside of all containers, over what it did in calm, is one series; by how much each container
//! uses more than its established demand, as a part of its use, another. Where the alarm of a container has been answered by
//! nobody for [`UNCLAIMED`], and that work is more than all that containers take too much, it is billed to the one that moves with it
//! the most (the cosine of both), of those who use a small part of it. His victims blame him for it as if he had taken it.
//! **The step.** He takes no more than he may, so that a weight keeps nothing from him: he is capped at a part of what he uses.
//! What the host does for him is mostly in proportion to that, a little later: there are lines in a pipe yet.
//! **The proof.** Not only must his victim be better off: what the host does must have fallen too. Else he is cleared of that, and of
//! nothing else, and the next one is asked. Who is held is billed for no more than what he uses can have caused: if the host works for
//! somebody else later, that is not his.
//! **Limits.** Only what begins is seen: what a container has had the host do all along was there in calm. And who has one who
//! does little work in step with his own doings, and stops as soon as that one is held, makes him look guilty for a while. Where a container
//! goes every two seconds nothing can be told, and nobody is asked.

use super::brain::Brain;
use super::feed::{LITTLE, same_pod};
use super::intervention::{Intervention, Proof};
use super::ladder::{self, Place};
use super::lever;
use super::track::Track;
use super::window::{Over, Windows};
use crate::model::{GroupId, Knobs, Resource, Span, Time};

/// So long nothing must answer an alarm.
const UNCLAIMED: Span = Span::from_secs(1);
/// The host's own work is somebody's if it is more than this part of the CPUs.
const LEAST: f64 = 0.1;
/// Who moves together with it by less than this is not asked; nor who uses more than this part of it himself: to cap him
/// would help whoever it was.
const TOGETHER: f64 = 0.8;
const HARDLY: f64 = 0.25;
/// What was seen of both is forgotten in this time, and what the host does in calm is learned in it.
const MEMORY: Span = Span::from_secs(10);
/// So long calm must have been seen.
const LEARNED: Span = Span::from_secs(3);
/// A first cap leaves this part of what was used: an experiment that tells, and that one who is innocent lives through.
const KEEPS: f64 = 0.25;
/// Who is held is billed for so many times what the host did for the same use before.
const WAVERS: f64 = 1.5;
/// CPUs that are no use to speak of.
const TRACE: f64 = 0.005;
/// So long after a container went its use is not told from the host's.
const UNSURE: Span = Span::from_secs(2);
/// Who is billed and not held for this long cannot be held.
const STUCK: Span = Span::from_secs(2);
/// After one was asked in vain nobody is for so long: the experiments of others shall have their turn.
const REST: Span = Span::from_secs(6);
/// So often the time until one is asked again doubles; that is forgotten so long after the last one has passed.
const DOUBLES: u32 = 5;
const FORGIVEN: Span = Span::from_secs(600);

/// What the host does outside of all containers, and who moves with it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Behalf {
    busy: Windows<Span>,
    /// CPUs that it uses in calm, and for how long that was learned.
    quiet: f64,
    learned: Span,
    /// CPUs that it uses over that, in the last half second.
    excess: f64,
    /// Likewise in the last two, where that is known.
    lasting: Option<f64>,
    /// CPU seconds that it used over that, since it is looked at.
    done: f64,
    /// Σ of the square of that over ten seconds.
    square: f64,
    /// When that was last looked at.
    at: Option<Time>,
    /// Before this the host's own work is not told from the use of a container that went, or of CPUs that came.
    unsure: Time,
    cpus: u32,
    /// Since when nothing answers an alarm, and the host works more than it did, and what it had done then.
    since: Option<(Time, f64)>,
    /// Nobody is asked before this.
    rests: Time,
    /// Who is billed and not held yet, and since when.
    billed: Option<(GroupId, Time)>,
}

/// What one is billed for.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bill {
    /// CPUs that the host uses on its behalf, as of this tick.
    pub cpus: f64,
    /// When it was last billed without being held for it, and for how many.
    at: Option<(Time, f64)>,
    /// It was not on its behalf, and is not looked at so before this; and how often that was found lately.
    not_until: Option<Time>,
    cleared: u32,
    /// Σ of what the host does times its rise, and of the square of that, over ten seconds.
    product: f64,
    square: f64,
}

impl Bill {
    /// How well what it uses and what the host does move together, 0 to 1.
    fn together(&self, work: f64) -> f64 {
        let norm = (self.square * work).sqrt();
        if norm > 0.0 {
            (self.product / norm).min(1.0)
        } else {
            0.0
        }
    }
}

/// What is known of one who is held for it: CPUs that the host used for each of his, and all in all, before the first step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OnBehalf {
    dear: f64,
    work: f64,
    /// When the latest step had settled, or the experiment was prolonged, and what the host had done then.
    pub mark: Option<(Time, f64)>,
}

/// Whether what one is held for goes on in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    No,
    Yes,
    Untold,
}

/// The next place on the way back: twice as much, up to what is much for one who only has others work.
pub(super) fn looser(cpus: f64, own: &Knobs) -> Option<Place> {
    let next = 2.0 * cpus;
    let most = ladder::quota_of(own).unwrap_or(LEAST).min(LEAST);
    (next < most).then_some(Place::Cap(next))
}

impl Behalf {
    pub(super) const fn new() -> Behalf {
        Behalf {
            busy: Windows::new(),
            quiet: 0.0,
            learned: Span::ZERO,
            excess: 0.0,
            lasting: None,
            done: 0.0,
            square: 0.0,
            at: None,
            unsure: Time(0),
            cpus: 0,
            since: None,
            rests: Time(0),
            billed: None,
        }
    }

    /// A container has gone: what it used a moment ago looks like the host's.
    pub(super) fn lose_sight(&mut self, now: Time) {
        self.unsure = now + UNSURE;
    }
}

impl Brain {
    /// Bills what the host does outside of all containers to whom it does it for.
    pub(super) fn bill(&mut self) {
        self.weigh_own_work();
        for track in &mut self.tracks {
            track.bill.cpus = 0.0;
        }
        let mut left = self.behalf.excess;
        for at in 0..self.held.len() {
            let held = &self.held[at];
            let (id, Some(before)) = (held.aggressor, held.on_behalf) else {
                continue;
            };
            if let Some(track) = self.track_mut(id) {
                let caused = WAVERS * before.dear * track.usage(Over::Two);
                track.bill.cpus = caused.min(left).max(0.0);
                left -= track.bill.cpus;
            }
        }
        let now = self.now;
        let found = self.who_has_it_work(left);
        let before = self.behalf.billed.take();
        let Some(id) = found else { return };
        let since = before
            .filter(|(one, _)| *one == id)
            .map_or(now, |(_, since)| since);
        self.behalf.billed = Some((id, since));
        if let Some(track) = self.track_mut(id) {
            track.bill.cpus = left;
            track.bill.at = Some((now, left));
        }
        if now.since(since) >= STUCK {
            self.clear_of_others_work(id);
        }
    }

    /// CPUs that the host uses outside of all containers.
    fn own_work(&self, over: Over) -> f64 {
        let containers = self.tracks.iter().filter(|track| track.is_container);
        let taken: f64 = containers.map(|track| track.usage(over)).sum();
        self.behalf.busy.rate(over) - taken
    }

    /// Keeps both series.
    fn weigh_own_work(&mut self) {
        let (now, cpus) = (self.now, self.host.cpus);
        (self.behalf.excess, self.behalf.lasting) = (0.0, None);
        let Ok(busy) = self.host.cpu_busy else {
            // What is read next must not be compared with what was read long ago.
            (self.behalf.busy, self.behalf.at, self.behalf.since) = (Windows::new(), None, None);
            return;
        };
        self.behalf.busy.push(now, busy);
        if std::mem::replace(&mut self.behalf.cpus, cpus) != cpus {
            self.behalf.lose_sight(now);
        }
        let passed = now.since(self.behalf.at.replace(now).unwrap_or(now));
        if now < self.behalf.unsure || self.behalf.busy.whole(Over::Half).is_none() {
            self.behalf.since = None;
            return;
        }
        let (half, two) = (self.own_work(Over::Half), self.own_work(Over::Two));
        let is_held = self.held.iter().any(|held| held.on_behalf.is_some());
        let is_calm = !is_held && self.calm_since[Resource::Cpu as usize].is_some();
        let behalf = &mut self.behalf;
        let kept = (-passed.over(MEMORY)).exp();
        if is_calm {
            // At first the mean of all that was seen.
            behalf.learned = (behalf.learned + passed).min(MEMORY);
            behalf.quiet += (half.max(0.0) - behalf.quiet) * passed.over(behalf.learned);
        }
        behalf.excess = (half - behalf.quiet - LITTLE).max(0.0);
        let own = (two - behalf.quiet - LITTLE).max(0.0);
        behalf.lasting = behalf.busy.whole(Over::Two).map(|_| own);
        // Each moment counts for as long as it was, and each use for what it is more than ever: who moves is asked, not who is large.
        let seconds = passed.as_secs_f64();
        behalf.done += behalf.excess * seconds;
        behalf.square = behalf.square * kept + own * own * seconds;
        for track in &mut self.tracks {
            let used = track.usage(Over::Two);
            let rise = ((used - track.demand.get()) / (used + TRACE)).max(0.0);
            track.bill.product = track.bill.product * kept + own * rise * seconds;
            track.bill.square = track.bill.square * kept + rise * rise * seconds;
        }
    }

    /// Who moves together the most with what is left of it, once an alarm has led to nobody for long enough.
    fn who_has_it_work(&mut self, left: f64) -> Option<GroupId> {
        let now = self.now;
        let proving = |held: &Intervention| {
            held.resource == Resource::Cpu && matches!(held.proof, Proof::Proving(_))
        };
        let is_much = left > LEAST * f64::from(self.host.cpus.max(1))
            && left > self.policy.detect.margin * self.taken_too_much();
        let is_asked = self.policy.cpu.on_behalf
            && self.behalf.learned >= LEARNED
            && is_much
            && self.unanswered().next().is_some()
            && !self.held.iter().any(proving);
        if !is_asked {
            self.behalf.since = None;
            return None;
        }
        let done = self.behalf.done;
        let (since, _) = *self.behalf.since.get_or_insert((now, done));
        if now.since(since) < UNCLAIMED || now < self.behalf.rests {
            return None;
        }
        let work = self.behalf.square;
        let asked = self.tracks.iter().filter_map(|track| {
            let together = track.bill.together(work);
            let is_asked = together >= TOGETHER && self.may_be_asked(track, left);
            is_asked.then_some((track, together))
        });
        // One who waits for the CPU himself comes last, of equals the smaller one first.
        let order = |(a, of_a): &(&Track, f64), (b, of_b): &(&Track, f64)| {
            let waits = |track: &Track| track.cpu.bucket.alarmed();
            let by_use = a.usage(Over::Two).total_cmp(&b.usage(Over::Two));
            waits(a)
                .cmp(&waits(b))
                .then(of_b.total_cmp(of_a))
                .then(by_use)
                .then(a.id.cmp(&b.id))
        };
        asked.min_by(order).map(|(track, _)| track.id)
    }

    /// Containers with an alarm that nothing answers.
    fn unanswered(&self) -> impl Iterator<Item = &Track> {
        let is_answered = |id| {
            let mut held = self.held.iter();
            held.any(|held| held.resource == Resource::Cpu && held.victim == id)
        };
        self.tracks.iter().filter(move |track| {
            track.is_container && track.cpu.bucket.alarmed() && !is_answered(track.id)
        })
    }

    /// What all containers take over what they may.
    fn taken_too_much(&self) -> f64 {
        let taken = self
            .tracks
            .iter()
            .filter(|track| track.is_container && !track.protected);
        taken.map(|track| track.excess.max(0.0)).sum()
    }

    /// Whether this one may be asked for the sake of somebody who is harmed.
    fn may_be_asked(&self, track: &Track, work: f64) -> bool {
        let group = |track: &Track| self.tree.groups.get(track.group);
        let place = group(track).and_then(|own| self.cap_on_behalf(track, &own.knobs));
        let most = (HARDLY * work).min(LEAST * f64::from(self.host.cpus.max(1)));
        let harms = |harmed: &Track| {
            harmed.id != track.id
                && !same_pod(group(harmed), group(track))
                && lever::find(&self.tree, track.group, harmed.group).is_some()
        };
        track.is_container
            && !track.protected
            && track.bill.not_until.is_none_or(|until| self.now >= until)
            && track.usage(Over::Two).max(track.usage(Over::Half)) <= most
            && track.exonerated_for(Resource::Cpu, self.now).is_none()
            && !self.is_moved(track.group, Resource::Cpu)
            && place.is_some_and(|place| self.allowed(track.id, place))
            && self.unanswered().any(harms)
    }

    /// A first cap on this one: less than it uses, and than its own quota.
    fn cap_on_behalf(&self, track: &Track, own: &Knobs) -> Option<Place> {
        let used = track.usage(Over::Two);
        let cap = (used * KEEPS).max(self.policy.cpu.on_behalf_floor);
        let most = ladder::quota_of(own).unwrap_or(f64::INFINITY);
        (cap < used.min(most) && self.may_cap(track, own)).then_some(Place::Cap(cap))
    }

    /// Whether so much of what the host does is far more than what this one takes too much itself.
    fn is_more(&self, bill: f64, track: &Track) -> bool {
        bill > self.policy.detect.margin * track.excess.max(0.0)
    }

    /// The first cap of one that the host works for, if that is what he takes too much.
    pub(super) fn first_on_behalf(&self, suspect: &Track, own: &Knobs) -> Option<Place> {
        self.is_more(suspect.bill.cpus, suspect)
            .then(|| self.cap_on_behalf(suspect, own))
            .flatten()
    }

    /// Whether what this one is blamed for is, or was a moment ago, what the host does on his behalf: no other step is one for that.
    pub(super) fn is_blamed_for_others(&self, suspect: &Track) -> bool {
        suspect
            .bill
            .at
            .is_some_and(|(at, bill)| self.now.since(at) < MEMORY && self.is_more(bill, suspect))
    }

    /// What is known of one who is now held by this first step, if that is one for what the host does for him.
    pub(super) fn on_behalf(
        &self,
        aggressor: GroupId,
        place: Place,
        own: &Knobs,
    ) -> Option<OnBehalf> {
        let track = self.track(aggressor)?;
        let work = self.mean_since(self.behalf.since?)?;
        (self.first_on_behalf(track, own)? == place).then(|| OnBehalf {
            dear: track.bill.cpus / track.usage(Over::Two).max(TRACE),
            work,
            mark: None,
        })
    }

    /// CPUs that the host used over what it does in calm since then; `None` where that is not told from the use of one who went.
    fn mean_since(&self, (at, done): (Time, f64)) -> Option<f64> {
        let passed = self.now.since(at);
        let is_known = passed >= UNCLAIMED.scaled(0.5) && self.behalf.unsure <= at;
        is_known.then(|| (self.behalf.done - done) / passed.as_secs_f64())
    }

    /// What the host has done by the time in which the latest step has settled is no result of that.
    pub(super) fn mark_others_work(&mut self, at: usize) {
        let (now, done) = (self.now, self.behalf.done);
        let held = &mut self.held[at];
        let settled = held.settled_since(&self.policy);
        if let Some(on_behalf) = &mut held.on_behalf
            && now >= settled
            && on_behalf.mark.is_none_or(|(at, _)| at < settled)
        {
            on_behalf.mark = Some((now, done));
        }
    }

    /// Whether this one is held for what the host does, and that has not fallen by it; [`Vain::Untold`] where that is not known.
    pub(super) fn in_vain(&self, held: &Intervention) -> Vain {
        let Some(before) = held.on_behalf else {
            return Vain::No;
        };
        let relief = self.policy.detect.relief.get();
        let now = match held.proof {
            Proof::Proving(_) => before.mark.and_then(|mark| self.mean_since(mark)),
            _ => self.behalf.lasting,
        };
        now.map_or(Vain::Untold, |now| {
            if now > before.work * (1.0 - relief) {
                Vain::Yes
            } else {
                Vain::No
            }
        })
    }

    /// To hold this one brought nothing: it is not on his behalf. That clears him of nothing else.
    pub(super) fn clear_of_others_work(&mut self, aggressor: GroupId) {
        let (now, first) = (self.now, self.policy.detect.exonerate);
        self.behalf.rests = now + REST;
        if let Some(track) = self.track_mut(aggressor) {
            let bill = &mut track.bill;
            let is_old = |until: Time| now.since(until) >= FORGIVEN;
            if bill.not_until.is_none_or(is_old) {
                bill.cleared = 0;
            }
            bill.not_until =
                Some(now + first.scaled(f64::from(1_u32 << bill.cleared.min(DOUBLES))));
            bill.cleared = bill.cleared.saturating_add(1);
            // Nobody blames it for that any more.
            bill.at = None;
        }
        for track in &mut self.tracks {
            track.cpu.ledger.forget(aggressor);
        }
    }
}
