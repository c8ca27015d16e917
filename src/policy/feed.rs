//! What was done to whom in this tick, and who took too much meanwhile: entitlements, harm, buckets,
//! ledgers; and in calm, what is learned.

use super::answer;
use super::brain::{Brain, RESOURCES, SPARE};
use super::entitle::Claim;
use super::harm::Harm;
use super::lever;
use super::memory::Ends;
use super::strain::Doing;
use super::track::Track;
use super::window::Over;
use crate::model::{Bytes, Event, EventKind, Group, GroupId, Limit, Resource, Span, Time};

/// Excess begins clearly above the entitlement: usage is measured to a scheduler's tick, and one at
/// its established demand is above it half of the time.
pub(super) const NOISE: f64 = 1.1;
/// So long a stall is known after it was read last.
const KNOWN: Span = Span::from_secs(10);
/// CPUs that nobody is blamed for.
pub(super) const LITTLE: f64 = 0.02;
/// Part of RAM that one may have over its level and has not taken too much: the level is the least of ten
/// seconds, and a page over it makes nobody an aggressor, nor any less a victim.
const LITTLE_MEMORY: f64 = 0.01;
/// With this part of the CPUs idle one that takes more than its fair share, or half of the host, gets what it wants. (Seen with
/// a tenth: one that took 80 % of two CPUs, where the host's own work took 8 %, was never known to need it, and was held for a
/// service that waited for 3 % of its time.) Those who take less wait for [`SPARE`]: one after the other they could all get
/// known to need what is left of a steady neighbour's CPU, and then take it together.
const LEFT: f64 = 0.05;
/// With this part of the CPUs idle nobody keeps them from anybody.
const ROOM: f64 = 0.25;
/// So much stall is borne where there is such room: who wakes up on a CPU that is taken waits for the
/// scheduler to move it to one that is free, and no container's weight changes that. (Seen with two
/// CPUs and 0.8 of them idle: 2 to 6 % of half a second in services of the host, beside a container of
/// two threads that has been there all along.)
const PLACING: f64 = 0.1;
/// As many are suspected at once of harm to CPU: those who take the most over what they may. With thousands of containers
/// that all waver a little nobody else matters, and each victim would look at all of them. Of memory, or of one device, only
/// some dozens can have more than their part; and there the most of all need not be the most of what a victim waits for.
const TAKERS: usize = 64;
/// One that is held and waits more than this is looked at: is it still our hand?
const ROBBED: f64 = 0.1;
/// What a rhythm (a timer, a batch of requests) may put of a container's established demand into
/// 100 ms. More, by training, is not believed.
const RHYTHM: f64 = 1.5;
/// One that takes less than this many times its established demand over half a second does what it always did.
const HABITUAL: f64 = 1.25;
/// The part of its bursts that one is blamed for which does what it always did: somebody who does something new comes first,
/// and where there is nobody it comes next. (Seen with one that runs 12 of every 80 ms and eight spinners that run whenever
/// it does: in 100 ms both took about as much over what they may, and both were held.)
const BY_HABIT: f64 = 0.25;

/// CPUs over the entitlement, from the usage over about 100 ms and over half a second.
///
/// A newcomer is met in its first 100 ms. One that has an established demand is compared with it over
/// half a second: its mean was learnt over seconds, and a single 100 ms of its ordinary rhythm must not
/// make it the suspect in the very moment in which somebody else begins to take the CPU.
fn excess(moment: f64, half: f64, entitled: f64, demand: f64) -> f64 {
    let ordinary = entitled * NOISE + LITTLE;
    let burst = moment - ordinary.max(demand * RHYTHM + LITTLE);
    let lasting = moment.min(half) - ordinary;
    if half < demand * HABITUAL {
        lasting.max(burst.min(burst * BY_HABIT))
    } else {
        lasting.max(burst)
    }
}

/// Before the last 100 ms so much time must be known, to tell that one rested in it.
const RESTED: Span = Span::from_millis(300);

/// Whether one used hardly any CPU in the 400 ms before the last 100.
pub(super) fn rested(track: &Track) -> bool {
    let [moment, half] = [Over::Moment, Over::Half].map(|over| track.cpu_use.whole(over));
    moment.zip(half).is_some_and(|(moment, half)| {
        let over = half.over.advance(moment.over);
        over >= RESTED && moment.from.usage.advance(half.from.usage).over(over) < LITTLE
    })
}

/// Whether one took more than it may in the last tick: too short a time to be blamed for it, but long enough to look no further
/// at those who are held.
pub(super) fn takes_at_once(track: &Track) -> bool {
    track.usage(Over::Tick) > track.entitlement * NOISE + LITTLE
}

impl Brain {
    pub(super) fn entitle(&mut self) {
        let capacity = f64::from(self.host.cpus.max(1));
        self.claims.clear();
        self.claims.extend(self.tracks.iter().map(|track| Claim {
            group: track.group,
            active: track.active(),
            demand: track.demand.get(),
        }));
        self.shares
            .cpu(&self.tree, &self.claims, capacity, &mut self.entitlements);
        let containers = self.containers();
        let ram = self.host.memory_total.unwrap_or_default();
        let guarantee = self.policy.cpu.guarantee.get();
        for (track, &entitled) in self.tracks.iter_mut().zip(&self.entitlements) {
            track.entitlement = entitled;
            track.excess = excess(
                track.usage(Over::Moment),
                track.usage(Over::Half),
                entitled,
                track.demand.get(),
            );
            if track.catches_up() {
                track.excess = track.excess.min(0.0);
            }
            let part = |bytes: Bytes| bytes.0 as f64 / ram.0.max(1) as f64;
            let may = part(track.level.get()).max(1.0 / containers as f64);
            let grows = track.growth(Over::Two) > ram.0 as f64 * 0.005;
            let weighed = |over: f64| if grows { over } else { over * 0.25 };
            track.memory_excess = weighed(part(track.size()) - may - LITTLE_MEMORY);
            let gained = part(track.size()) - part(track.level.get()) - LITTLE_MEMORY;
            track.memory_gain = weighed(gained);
        }
        // One that is held takes too much while it takes more than it is guaranteed; one that has been found to need
        // what it takes meanwhile is looked at as everybody else.
        for held in self
            .held
            .iter()
            .filter(|held| held.resource == Resource::Cpu)
        {
            if let Some(track) = self
                .index
                .get(&held.aggressor)
                .and_then(|&at| self.tracks.get_mut(at))
                && track.demand.get() < track.entitlement
            {
                track.excess = track.usage(Over::Moment) - track.entitlement * guarantee;
            }
        }
        self.bill();
    }

    /// Feeds every bucket and ledger; whether anything is in any of them.
    pub(super) fn sum_harm(&mut self) -> bool {
        let shortage = self.is_short();
        let ends = self.ends();
        self.look_for_takers(ends.filler);
        let mut any = [false; RESOURCES.len()];
        for at in 0..self.tracks.len() {
            for (resource, any) in RESOURCES.into_iter().zip(&mut any) {
                if self.tracks[at].fresh[resource as usize] {
                    match resource {
                        Resource::Cpu => self.feed_cpu(at),
                        Resource::Memory => self.feed_memory(at, shortage, ends),
                        Resource::Pids => self.feed_tasks(at),
                        Resource::Io => self.feed_io(at, shortage),
                    }
                } else {
                    self.forget_old(at, resource);
                }
                *any |= !self.tracks[at]
                    .strain(resource)
                    .bucket
                    .calm(self.policy.bucket(resource));
            }
        }
        for (since, any) in self.calm_since.iter_mut().zip(any) {
            *since = if any { None } else { since.or(Some(self.now)) };
        }
        any.contains(&true)
    }

    /// Finds who may be to blame in this tick once, not for each victim anew.
    fn look_for_takers(&mut self, filler: Option<GroupId>) {
        let tracks = &self.tracks;
        for (resource, takers) in RESOURCES.into_iter().zip(&mut self.takers) {
            let excess = |at: usize| tracks.get(at).map_or(0.0, |track| track.excess(resource));
            let may_be = |at: &usize| {
                excess(*at) > 0.0
                    && tracks
                        .get(*at)
                        .is_some_and(|track| track.is_container || track.protected)
            };
            takers.clear();
            takers.extend((0..tracks.len()).filter(may_be));
            // Harm that is about to come by somebody's doing is nobody else's.
            if let (Resource::Memory, Some(filler)) = (resource, filler) {
                takers.retain(|at| tracks.get(*at).is_some_and(|track| track.id == filler));
            }
            if resource == Resource::Cpu && takers.len() > TAKERS {
                let most_first =
                    |a: &usize, b: &usize| excess(*b).total_cmp(&excess(*a)).then(a.cmp(b));
                takers.select_nth_unstable_by(TAKERS, most_first);
                takers.truncate(TAKERS);
                takers.sort_unstable();
            }
        }
    }

    /// Nobody stays a victim by what was read long ago.
    fn forget_old(&mut self, at: usize, resource: Resource) {
        let strain = self.tracks[at].strain_mut(resource);
        if strain.bucket.level() > Span::ZERO
            && strain.at().is_none_or(|at| self.now.since(at) >= KNOWN)
        {
            strain.reset();
        }
    }

    pub(super) fn feed_cpu(&mut self, at: usize) {
        let group = self.tracks[at].group;
        let Some((when, over, mut harm)) = self.tracks[at].cpu_harm(self.host.cpus) else {
            return;
        };
        let is_new = self.now.since(self.tracks[at].met) < answer::KNOWN;
        if is_new && self.spare(Over::Half) >= SPARE {
            // There is CPU left, and nobody knows yet what either side needs: who begins waits for a turn.
            harm.amount = Span::ZERO;
        }
        if self.is_moved(group, Resource::Cpu) && !self.is_robbed(at) {
            // It waits by our hand: that is answered by raising it, not by blaming its victim.
            harm.amount = Span::ZERO;
        }
        self.tracks[at].keep_account(harm.amount > Span::ZERO);
        self.feed(at, Resource::Cpu, when, over, harm);
        let id = self.tracks[at].id;
        let mut held = self.held.iter();
        let doing = if held.any(|held| held.resource == Resource::Cpu && held.victim == id) {
            Doing::Answered
        } else if self.suspects(at, Resource::Cpu).next().is_some() {
            Doing::Somebody
        } else {
            Doing::Nobody
        };
        self.tracks[at].strain_mut(Resource::Cpu).share(when, doing);
    }

    /// Whether one that is held gets less than it was left, though it is known to need that, because
    /// somebody who is not held takes too much: what it waits for then is not our hand alone. Hogs in a
    /// crowd, of whom one is held before the other, are known to need nothing.
    fn is_robbed(&self, at: usize) -> bool {
        let held = &self.tracks[at];
        let left = held.entitlement * self.policy.cpu.guarantee.get();
        held.demand.get() >= left
            && held.cpu_psi.rate(Over::Half) > ROBBED
            && held.usage(Over::Half) < left
            && self.tracks.iter().any(|other| {
                other.is_container
                    && !other.protected
                    && other.id != held.id
                    && !self.is_moved(other.group, Resource::Cpu)
                    && other.excess > left
            })
    }

    /// What is tolerated of this one's harm: time per time.
    pub(super) fn tolerance(&self, track: &Track, resource: Resource) -> f64 {
        let slack = match resource {
            Resource::Cpu if self.spare(Over::Tick) >= ROOM => PLACING,
            _ => 0.0,
        };
        track.strain(resource).tolerance(&self.policy) + slack
    }

    pub(super) fn feed_memory(&mut self, at: usize, shortage: bool, ends: Ends) {
        let limit = self.own_limit(self.tracks[at].group);
        // Below a limit, its own or a slice's, it may be that limit that takes its pages, and nobody else.
        let is_limited = |up| self.own_limit(up) != Limit::Max;
        let limited = self.tree.lineage(self.tracks[at].group).any(is_limited);
        let lacks = shortage || (!limited && self.tracks[at].loses_memory());
        let Some((when, over, mut harm)) = self.tracks[at].memory_harm(lacks, limit) else {
            return;
        };
        let innocent = self.tracks[at].memory_excess <= 0.0;
        let held = self.holds(self.tracks[at].id, Resource::Memory);
        if !innocent || held {
            harm.amount = Span::ZERO;
        } else if ends.cliff || (ends.filler.is_some() && self.has_to_lose(&self.tracks[at])) {
            // Harm that is about to come.
            harm.amount = harm.amount.max(over.scaled(0.5));
        }
        self.feed(at, Resource::Memory, when, over, harm);
    }

    /// The least memory limit that a group has without us.
    pub(super) fn own_limit(&self, group: usize) -> Limit<Bytes> {
        let knobs = self.tree.groups.get(group).map(|group| group.knobs);
        let own = |limit| match limit {
            Some(Ok(Limit::At(bytes))) => bytes,
            _ => Bytes(u64::MAX),
        };
        let least = own(knobs.map(|k| k.memory_high)).min(own(knobs.map(|k| k.memory_max)));
        if least.0 == u64::MAX {
            Limit::Max
        } else {
            Limit::At(least)
        }
    }

    /// Those who may have done harm to this one in this tick: who takes too much, but for itself and its pod.
    pub(super) fn suspects(
        &self,
        at: usize,
        resource: Resource,
    ) -> impl Iterator<Item = &Track> + Clone {
        let harmed = &self.tracks[at];
        let owner = self.tree.groups.get(harmed.group);
        let takers = self.takers[resource as usize].iter();
        takers
            .filter_map(|&at| self.tracks.get(at))
            .filter(move |suspect| {
                suspect.id != harmed.id && !same_pod(owner, self.tree.groups.get(suspect.group))
            })
    }

    pub(super) fn feed(
        &mut self,
        at: usize,
        resource: Resource,
        when: Time,
        over: Span,
        harm: Harm,
    ) {
        let victim = self.tracks[at].id;
        let tolerance = self.tolerance(&self.tracks[at], resource);
        let size = self.policy.bucket(resource);
        let fed = self.tracks[at]
            .strain_mut(resource)
            .feed(when, over, harm, tolerance, size);
        let rate = harm.amount.over(over);
        let mut ledger = std::mem::take(&mut self.tracks[at].strain_mut(resource).ledger);
        if rate > 0.0 || !self.tracks[at].strain(resource).bucket.calm(size) {
            let suspects = self.suspects(at, resource);
            let (harmed, now) = (&self.tracks[at], self.now);
            let excess = |suspect: &Track| match resource {
                Resource::Memory => suspect.memory_excess_before(harmed),
                Resource::Io => suspect.excess_before(harmed, now),
                Resource::Pids => self.tasks_excess_before(suspect, harmed),
                _ => suspect.excess(resource),
            };
            ledger.add(rate, suspects.map(|suspect| (suspect.id, excess(suspect))));
        }
        ledger.drain(fed.kept);
        self.tracks[at].strain_mut(resource).ledger = ledger;
        if fed.began {
            let evidence = self.evidence(resource, victim, None);
            self.step.events.push(Event {
                at: self.now,
                kind: EventKind::Alarm,
                evidence,
            });
        }
    }

    /// Calm is learned in calm only: nothing in any bucket, nothing held. Demand is learned wherever
    /// there is CPU to spare: else the short stalls of one that nobody can help would keep all others
    /// from what they are known to need.
    pub(super) fn learn(&mut self) {
        let calm = self.calm_since.iter().all(Option::is_some) && self.held.is_empty();
        // Over half a second too: two seconds that were idle before would credit a hog that begins.
        let spare = self.spare(Over::Two).min(self.spare(Over::Half));
        let plenty = self
            .available()
            .is_none_or(|available| available > 2.0 * self.policy.memory.reserve.get());
        let cpus = f64::from(self.host.cpus.max(1));
        let most = self.policy.cpu.demand_max.get() * cpus;
        let busy = 1.0 - self.spare(Over::Two);
        let now = self.now;
        for (at, track) in self.tracks.iter_mut().enumerate() {
            track.forgive(now);
            if calm {
                track.learn(now, plenty, &self.policy);
            } else {
                track.pause_learning();
            }
            // A weight takes nothing from it that nobody else wants; a cap does.
            let capped = self
                .held
                .iter()
                .any(|held| held.aggressor == track.id && held.place.rung().is_hard());
            let claim = self.claims.get(at);
            let fair = claim.map_or(0.0, |claim| self.shares.fair(&self.tree, claim));
            let much = track.usage(Over::Two) > fair.min(0.5) * cpus;
            if spare >= if much { LEFT } else { SPARE } && !capped {
                let others = busy - track.usage(Over::Two) / cpus;
                track.learn_demand(now, others, most);
            } else {
                track.pause_demand();
            }
        }
    }
}

/// Containers of one pod are one unit: they are not each other's victims.
pub(super) fn same_pod(victim: Option<&Group>, suspect: Option<&Group>) -> bool {
    match (victim, suspect) {
        (Some(victim), Some(suspect)) => lever::same_owner(victim, suspect),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{excess, rested};
    use crate::model::{GroupId, Span, Time};
    use crate::policy::track::{Track, tests::uses};

    /// One that is read so far apart and uses this part of a CPU, all but `before` the last 100 ms.
    fn read(apart_ms: u64, before: f64) -> Track {
        let mut track = Track::new(GroupId(1), Time(0));
        for ms in (0..=4_000).step_by(apart_ms as usize) {
            let early = Span::from_millis(ms.min(3_900)).scaled(before);
            let late = Span::from_millis(ms.saturating_sub(3_900)).scaled(0.5);
            uses(&mut track, ms, early + late);
        }
        track
    }

    #[test]
    fn one_has_rested_only_where_so_much_is_known_of_it() {
        assert!(rested(&read(20, 0.0)));
        assert!(rested(&read(100, 0.0)));
        assert!(!rested(&read(20, 0.1)));
        // A second apart, nobody knows.
        assert!(!rested(&read(1_000, 0.5)));
        assert!(!rested(&read(1_000, 0.0)));
    }

    #[test]
    fn a_newcomer_takes_too_much_from_its_first_tenth_of_a_second_on() {
        assert!(excess(1.0, 0.2, 0.5, 0.0) > 0.4);
    }

    #[test]
    fn the_ordinary_rhythm_of_one_that_gets_what_it_always_had_is_no_excess() {
        assert!(excess(1.6, 1.2, 1.2, 1.2) < 0.0);
    }

    #[test]
    fn one_that_lastingly_takes_more_than_it_ever_needed_is_met_whatever_its_rhythm() {
        assert!(excess(0.9, 0.9, 0.6, 0.6) > 0.2);
    }

    #[test]
    fn a_burst_of_one_that_does_what_it_always_did_comes_after_those_who_do_something_new() {
        let (habitual, new) = (excess(2.0, 1.0, 1.0, 1.0), excess(2.0, 1.0, 1.0, 0.7));
        assert!(habitual > 0.1, "no burst is believed");
        assert!(new > 3.0 * habitual, "{new} {habitual}");
        assert!(
            excess(0.5, 1.0, 1.0, 1.0) < -0.5,
            "what is no burst is none"
        );
    }
}
