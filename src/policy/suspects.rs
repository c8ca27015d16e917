//! Who else was it, and why is that one not held? The ledger's answer in words for each suspect of
//! one victim. It repeats what [`whom`](Brain::whom) weighs and decides nothing.

use std::cmp::Ordering;

use super::blame::{Culprits, Mark};
use super::brain::{Brain, RESOURCES};
use super::chronicle::Case;
use super::feed::same_pod;
use super::track::Track;
use super::window::Over;
use crate::model::{BlameView, Bytes, Fate, GroupId, Resource, SuspectView, WhyNobody};

/// As many are told at most; the others are counted.
const TOLD: usize = 10;
/// As many are told even if nothing speaks against them: "and why not that one?"
const FEW: usize = 6;
/// Victims told of one suspect.
const VICTIMS_TOLD: usize = 4;

/// What is known of one suspect before it is told.
struct Weighed<'b> {
    track: &'b Track,
    mark: Option<Mark>,
    usage: f64,
}

impl Weighed<'_> {
    fn score(&self) -> f64 {
        self.mark.map_or(0.0, |mark| mark.score)
    }

    /// The most blamed first, then those who take the most over what they may.
    fn order(&self, other: &Self, resource: Resource) -> Ordering {
        let excess = |one: &Self| one.track.excess(resource);
        other
            .score()
            .total_cmp(&self.score())
            .then(excess(other).total_cmp(&excess(self)))
            .then(other.usage.total_cmp(&self.usage))
            .then(self.track.id.cmp(&other.track.id))
    }
}

impl Brain {
    /// The suspects of this one's harm, and what becomes of each.
    pub(super) fn case(&self, resource: Resource, victim: GroupId) -> Case {
        let Some(harmed) = self.track(victim) else {
            return Case::default();
        };
        let ledger = &harmed.strain(resource).ledger;
        let others = self.tracks.iter().filter(|track| track.id != victim);
        let mut weighed: Vec<Weighed<'_>> = others
            .map(|track| {
                let mark = ledger.mark(track.id);
                let suspected = mark.is_some() || track.excess(resource) > 0.0;
                let usage = match resource {
                    // What made it suspect may be over long before half a second is.
                    Resource::Cpu if suspected => {
                        track.usage(Over::Moment).max(track.usage(Over::Half))
                    }
                    _ => self.takes(track, resource),
                };
                Weighed { track, mark, usage }
            })
            .collect();
        weighed.sort_unstable_by(|a, b| a.order(b, resource));
        let total: f64 = weighed.iter().map(Weighed::score).sum();
        let contest = Contest::new(self, resource, harmed, &weighed);
        let matters = |one: &&Weighed<'_>| one.mark.is_some() || one.track.excess(resource) > 0.0;
        let told = weighed.iter().filter(matters).count().clamp(FEW, TOLD);
        let suspects: Vec<SuspectView> = weighed
            .iter()
            .take(told)
            .map(|one| SuspectView {
                who: self.who(one.track.id),
                blame: if total > 0.0 {
                    one.score() / total
                } else {
                    0.0
                },
                usage: one.usage,
                entitlement: self.may_take(one.track, resource),
                grows: match resource {
                    Resource::Cpu | Resource::Io => 0.0,
                    Resource::Memory => one.track.growth(Over::Two),
                    Resource::Pids => one.track.tasks_pace(),
                },
                on_behalf: match resource {
                    Resource::Cpu => one.track.bill.cpus,
                    _ => 0.0,
                },
                fate: contest.fate(one),
            })
            .collect();
        let rest = weighed.len() - suspects.len();
        Case {
            suspects,
            others: u32::try_from(rest).unwrap_or(u32::MAX),
        }
    }

    /// Why the alarm of this one leads to nobody now; `None` where there is none, or it led to somebody.
    pub(super) fn nobody(&self, resource: Resource, victim: GroupId) -> Option<WhyNobody> {
        let strain = self.track(victim)?.strain(resource);
        if !strain.bucket.alarmed() {
            return None;
        }
        match self.whom(resource, victim) {
            Err(why) => Some(why),
            Ok(found) => {
                let has_lever = |id| self.first_step(resource, id, victim, found).is_some();
                (!found.iter().any(has_lever)).then_some(WhyNobody::NoLever)
            }
        }
    }

    /// Whose harm this one is blamed for now, the most of it first.
    pub(super) fn blamed(&self, id: GroupId) -> Vec<BlameView> {
        let mut victims = Vec::new();
        for victim in self.tracks.iter().filter(|track| track.id != id) {
            for resource in RESOURCES {
                let strain = victim.strain(resource);
                let score = strain.ledger.mark(id).map_or(0.0, |mark| mark.score);
                if score > 0.0 && !strain.bucket.calm(self.policy.bucket(resource)) {
                    victims.push((score, resource, victim.id));
                }
            }
        }
        victims.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        let own_path = self.who(id).path;
        victims
            .into_iter()
            .take(VICTIMS_TOLD)
            .filter_map(|(_, resource, victim)| {
                let mut case = self.case(resource, victim).suspects.into_iter();
                let own = case.find(|one| one.who.path == own_path)?;
                Some(BlameView {
                    victim: self.who(victim),
                    resource,
                    blame: own.blame,
                    fate: own.fate,
                })
            })
            .collect()
    }

    /// What it takes: CPUs over half a second, or bytes, or tasks, or its part of a device.
    pub(super) fn takes(&self, track: &Track, resource: Resource) -> f64 {
        match resource {
            Resource::Cpu => track.usage(Over::Half),
            Resource::Memory => track.size().0 as f64,
            Resource::Pids => track.has_tasks(),
            Resource::Io => track.main_device().map_or(0.0, |on| on.part),
        }
    }

    /// What it may take while others want more, in the same unit.
    pub(super) fn may_take(&self, track: &Track, resource: Resource) -> f64 {
        match resource {
            Resource::Cpu => track.entitlement,
            Resource::Memory => (track.level.get().max(self.fair_memory())).0 as f64,
            Resource::Pids => self.may_have_tasks(track),
            Resource::Io => track.main_device().map_or(1.0, |on| on.entitled),
        }
    }

    /// An equal part of RAM.
    pub(super) fn fair_memory(&self) -> Bytes {
        let ram = self.host.memory_total.unwrap_or_default();
        ram.scaled(1.0 / self.containers() as f64)
    }
}

/// What the suspects are weighed by.
struct Contest<'b> {
    brain: &'b Brain,
    resource: Resource,
    victim: &'b Track,
    /// Whom the brain would hold now.
    found: Result<Culprits, WhyNobody>,
    /// The blame of the most blamed one who counts.
    top: f64,
}

impl<'b> Contest<'b> {
    fn new(
        brain: &'b Brain,
        resource: Resource,
        victim: &'b Track,
        weighed: &[Weighed<'b>],
    ) -> Contest<'b> {
        let counts = |one: &&Weighed<'_>| {
            let track = one.track;
            brain.holds(track.id, resource)
                || (!track.protected && track.exonerated_for(resource, brain.now).is_none())
        };
        Contest {
            brain,
            resource,
            victim,
            found: brain.whom(resource, victim.id),
            top: weighed
                .iter()
                .filter(counts)
                .map(Weighed::score)
                .fold(0.0, f64::max),
        }
    }

    fn fate(&self, one: &Weighed<'_>) -> Fate {
        let (brain, track) = (self.brain, one.track);
        let group = |track: &Track| brain.tree.groups.get(track.group);
        if brain.holds(track.id, self.resource) {
            return Fate::Held;
        }
        if same_pod(group(self.victim), group(track)) {
            return Fate::SamePod;
        }
        let is_next = |found: &Culprits| found.iter().any(|id| id == track.id);
        let with = self.found.unwrap_or(Culprits::one(track.id));
        let step = || {
            let first = brain.first_step(self.resource, track.id, self.victim.id, with);
            first.map_or(Fate::NoLever, |_| Fate::Next)
        };
        if self.found.as_ref().is_ok_and(is_next) {
            return step();
        }
        let Some(mark) = one.mark else {
            return self.unmarked(track);
        };
        if mark.score <= 0.0 {
            let together = mark.together;
            return Fate::Apart { together };
        }
        if track.protected {
            return Fate::Protected;
        }
        if let Some(left) = track.exonerated_for(self.resource, brain.now) {
            return Fate::Exonerated {
                left_s: left.as_secs_f64(),
            };
        }
        let margin = brain.policy.detect.margin;
        if mark.score * margin <= self.top {
            let times = self.top / mark.score;
            return Fate::Behind { times, margin };
        }
        if matches!(self.found, Err(WhyNobody::NoMargin)) {
            return Fate::Crowd;
        }
        step()
    }

    /// One that nothing was summed of.
    fn unmarked(&self, track: &Track) -> Fate {
        if track.excess(self.resource) > 0.0 {
            Fate::Apart { together: 0.0 }
        } else if self.resource == Resource::Cpu && track.catches_up() {
            Fate::CatchesUp
        } else {
            Fate::NoExcess
        }
    }
}
