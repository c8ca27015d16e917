//! Everything about one container for somebody who asks: what it is, how it fares, what it may take and
//! why, what is held and until when. A look at the brain as the last step left it; it changes nothing,
//! and a replay that has seen the same tells the same.

use super::brain::{Brain, RESOURCES};
use super::chronicle::{Case, knob_view};
use super::entitle::Claim;
use super::harm::SATISFIED;
use super::intervention::{Intervention, Proof};
use super::ladder::Place;
use super::pulses;
use super::shared::Beside;
use super::track::Track;
use super::window::Over;
use crate::model::{
    EntitledBy, EntitledView, Excuse, Explained, Explanation, GroupId, HoldView, KnobValue, Member,
    ProofView, Resource, StrainView, Who,
};

/// A stall under this part of the time needs no excuse.
const NOTHING: f64 = 0.005;
/// The beginning of a runtime's id that is taken for the whole.
const KEY_LEAST: usize = 4;

impl Brain {
    /// Explains the container or protected service that is called so: by its name, its path from the
    /// cgroup root, the beginning of its runtime's id (four characters at least), or its unit. Who is
    /// near to a name that nobody has is for the caller to find.
    #[must_use]
    pub fn explain_named(&self, name: &str) -> Explained {
        let called = self.called(name);
        match called.as_slice() {
            [] => Explained::Nobody { nearest: None },
            [one] => self
                .explain(*one)
                .map_or(Explained::Nobody { nearest: None }, |explanation| {
                    Explained::One(Box::new(explanation))
                }),
            several => Explained::Several(several.iter().map(|&id| self.who(id)).collect()),
        }
    }

    /// Everything about one container; `None` if it is not known.
    #[must_use]
    pub fn explain(&self, id: GroupId) -> Option<Explanation> {
        let track = self.track(id)?;
        let group = self.tree.groups.get(track.group)?;
        let runtime = match &group.member {
            Member::Container { runtime, .. } => runtime.word(),
            _ => "service",
        };
        let views = |of: fn(&Intervention) -> GroupId| {
            let held = self.held.iter().filter(|held| of(held) == id);
            held.map(|held| self.hold_view(held)).collect()
        };
        let history = self.chronicle.of(id).map(|entry| {
            let mut held = self.held.iter();
            let imagined = held.any(|held| {
                held.imagined
                    && held.aggressor == entry.aggressor.0
                    && held.resource == entry.resource
            });
            entry.view(self.now, imagined)
        });
        Some(Explanation {
            at_us: self.now.0,
            wall_us: None,
            who: group.who(),
            runtime: runtime.to_owned(),
            mode: self.policy.mode,
            cpus: self.host.cpus.max(1),
            role: track.role,
            since_s: self.now.since(track.role_since).as_secs_f64(),
            protected: track.protected,
            strains: RESOURCES
                .map(|resource| self.strain_view(track, resource))
                .into(),
            held: views(|held| held.aggressor),
            helped: views(|held| held.victim),
            blamed: self.blamed(id),
            exonerated_s: RESOURCES
                .into_iter()
                .filter_map(|resource| track.exonerated_for(resource, self.now))
                .max()
                .map(|left| left.as_secs_f64()),
            history: history.collect(),
        })
    }

    /// The names and paths of all who can be explained.
    pub fn everybody(&self) -> impl Iterator<Item = Who> + '_ {
        self.tree.watched().map(|(_, group)| group.who())
    }

    /// Whom a name means; the first way in which it means anybody counts.
    fn called(&self, name: &str) -> Vec<GroupId> {
        let watched = |is_meant: &dyn Fn(&crate::model::Group) -> bool| -> Vec<GroupId> {
            let groups = self.tree.watched().map(|(_, group)| group);
            groups
                .filter(|group| is_meant(group))
                .map(|group| group.id)
                .collect()
        };
        let by_name = watched(&|group| group.is_container() && group.name() == name);
        if !by_name.is_empty() {
            return by_name;
        }
        let by_path = watched(&|group| group.path == name.as_bytes());
        if !by_path.is_empty() {
            return by_path;
        }
        let by_key = watched(&|group| match &group.member {
            Member::Container { key, .. } => name.len() >= KEY_LEAST && key.starts_with(name),
            _ => false,
        });
        if !by_key.is_empty() {
            return by_key;
        }
        watched(&|group| !group.is_container() && group.who().name == name)
    }

    /// Who this is; one that is gone is told by the number of its cgroup.
    pub(super) fn who(&self, id: GroupId) -> Who {
        let group = self
            .track(id)
            .and_then(|track| self.tree.groups.get(track.group));
        group.map_or_else(
            || Who {
                name: format!("#{}", id.0),
                path: String::new(),
            },
            crate::model::Group::who,
        )
    }

    fn strain_view(&self, track: &Track, resource: Resource) -> StrainView {
        let strain = track.strain(resource);
        let (stalled, measured) = match resource {
            Resource::Cpu => (track.cpu_psi.rate(Over::Half), track.cpu_psi.at()),
            Resource::Memory => (track.memory_psi.rate(Over::Half), track.memory_psi.at()),
            // Nobody waits for a task: the fork fails.
            Resource::Pids => (0.0, track.tasks_use.at()),
            Resource::Io => (track.io_psi.rate(Over::Half), track.io_psi.at()),
        };
        let (stalled, harm) = (stalled.min(1.0), strain.rate(Over::Half));
        let size = self.policy.bucket(resource);
        let case = if strain.bucket.calm(size) {
            Case::default()
        } else {
            self.case(resource, track.id)
        };
        StrainView {
            resource,
            stalled,
            harm,
            excuse: if stalled > harm + NOTHING {
                self.excuse(track, resource)
            } else {
                None
            },
            imminent: matches!(resource, Resource::Memory | Resource::Pids)
                && harm > stalled + NOTHING,
            short_of: match resource {
                Resource::Pids if harm > 0.0 => self.short_of(track),
                _ => None,
            },
            baseline: strain.calm(&self.policy),
            tolerance: self.tolerance(track, resource),
            bucket_s: strain.bucket.level().as_secs_f64(),
            bucket_size_s: size.as_secs_f64(),
            alarmed: strain.bucket.alarmed(),
            measured_s: measured.map(|at| self.now.since(at).as_secs_f64()),
            entitled: self.entitled_view(track, resource),
            suspects: case.suspects,
            others: case.others,
            nobody: self.nobody(resource, track.id),
        }
    }

    /// Why what is left of a stall is no harm.
    fn excuse(&self, track: &Track, resource: Resource) -> Option<Excuse> {
        match resource {
            Resource::Cpu if self.is_moved(track.group, resource) => Some(Excuse::Held),
            Resource::Cpu if track.usage(Over::Moment) >= track.entitlement * SATISFIED => {
                Some(Excuse::Satisfied)
            }
            Resource::Cpu => (track.throttled(Over::Half) > 0.0).then_some(Excuse::Quota),
            Resource::Memory if self.holds(track.id, resource) => Some(Excuse::Held),
            Resource::Memory if track.is_at(self.own_limit(track.group)) => Some(Excuse::OwnLimit),
            Resource::Memory if track.memory_excess > 0.0 => Some(Excuse::Grows),
            Resource::Memory => Some(Excuse::Plenty),
            Resource::Pids => None,
            Resource::Io if self.holds(track.id, resource) => Some(Excuse::Held),
            Resource::Io if self.is_at_own_io_limit(track) => Some(Excuse::OwnLimit),
            Resource::Io if track.io_excess > 0.0 => Some(Excuse::Grows),
            Resource::Io => Some(Excuse::Work),
        }
    }

    fn entitled_view(&self, track: &Track, resource: Resource) -> EntitledView {
        let usage = self.takes(track, resource);
        let entitlement = self.may_take(track, resource);
        match resource {
            Resource::Cpu => {
                let capacity = f64::from(self.host.cpus.max(1));
                let claim = Claim {
                    group: track.group,
                    active: track.active(),
                    demand: track.demand.get(),
                };
                let demanded = self.shares.demanded(&self.tree, &self.claims, capacity);
                let from = self.shares.entitled(&self.tree, &claim, demanded, capacity);
                EntitledView {
                    usage,
                    entitlement,
                    by: if from.own >= from.left {
                        EntitledBy::Demand
                    // Not by the rounding of a sum.
                    } else if from.left < from.fair * 0.999 {
                        EntitledBy::Rest
                    } else {
                        EntitledBy::FairShare
                    },
                    fair: from.fair,
                    demand: track.demand.get(),
                    owed_s: track.owed().as_secs_f64(),
                    grows: 0.0,
                }
            }
            Resource::Memory => {
                let (fair, level) = (self.fair_memory(), track.level.get());
                EntitledView {
                    usage,
                    entitlement,
                    by: if level > fair {
                        EntitledBy::Demand
                    } else {
                        EntitledBy::FairShare
                    },
                    fair: fair.0 as f64,
                    demand: level.0 as f64,
                    owed_s: 0.0,
                    grows: track.growth(Over::Two),
                }
            }
            Resource::Pids => {
                let (fair, level) = (self.fair_tasks(track), track.tasks_level.get() as f64);
                EntitledView {
                    usage,
                    entitlement,
                    by: if entitlement < fair {
                        EntitledBy::Demand
                    } else {
                        EntitledBy::FairShare
                    },
                    fair,
                    demand: level,
                    owed_s: 0.0,
                    grows: track.tasks_pace(),
                }
            }
            Resource::Io => EntitledView {
                usage,
                entitlement,
                by: EntitledBy::FairShare,
                fair: entitlement,
                demand: 0.0,
                owed_s: 0.0,
                grows: 0.0,
            },
        }
    }

    fn hold_view(&self, held: &Intervention) -> HoldView {
        let beside = |beside: Beside| {
            let (knob, value) = beside.value();
            knob_view(knob, Some(KnobValue::Weight(beside.from)), value)
        };
        let seen = self.seen(held);
        let aggressor = self.track(held.aggressor);
        let lever = self.tree.find(held.lever);
        let entry = self.chronicle.standing(held.aggressor, held.resource);
        let case = entry.map_or_else(Case::default, |entry| entry.case.clone());
        let ago = |at| self.now.since(at).as_secs_f64();
        HoldView {
            aggressor: self.who(held.aggressor),
            victim: self.who(held.victim),
            resource: held.resource,
            rung: held.place.rung(),
            lever: lever.map_or_else(String::new, |(_, group)| group.who().path),
            knobs: held
                .places()
                .map(|place| {
                    let (knob, value) = place.value(&held.bounds, &self.policy);
                    knob_view(knob, held.bounds.original.value(knob), value)
                })
                .collect(),
            within: held.within.map(beside),
            lifted: held.lifting.lift().map(beside),
            leaves: self.leaves(held, lever.map(|(at, _)| at)),
            entitlement: aggressor.map_or(0.0, |track| self.may_take(track, held.resource)),
            usage: aggressor.map_or(0.0, |track| self.takes(track, held.resource)),
            proof: match held.proof {
                Proof::Proving(_) => ProofView::Proving,
                Proof::Confirmed => ProofView::Confirmed,
                Proof::Unproven => ProofView::Unproven,
                Proof::Releasing(_) => ProofView::Releasing,
            },
            imagined: held.imagined,
            killed_s: held.killed.map(ago),
            since_s: ago(held.since),
            changed_s: ago(held.changed),
            harm_before: held.harm_at_first,
            harm_now: seen.harm,
            release: self.release_view(held, &seen),
            suspects: case.suspects,
            others: case.others,
        }
    }

    /// What the place leaves the one that is held, whatever others want: CPUs, or bytes, or tasks.
    fn leaves(&self, held: &Intervention, lever: Option<usize>) -> f64 {
        match held.place {
            Place::Weight(weight) => lever.map_or(0.0, |lever| {
                let own = f64::from(weight.get());
                let beside = self.shares.beside(&self.tree, lever);
                let capacity = f64::from(self.host.cpus.max(1));
                capacity * self.shares.above(&self.tree, lever) * own / (own + beside)
            }),
            Place::Idle => 0.0,
            Place::Cap(cpus) => cpus,
            Place::Freeze(thawed) => pulses::part(thawed) * f64::from(self.host.cpus.max(1)),
            Place::High(bytes) | Place::Swap(bytes) => bytes.0 as f64,
            Place::Clamp(tasks) => tasks as f64,
            Place::Throttle(throttle) => throttle.rbytes.max(throttle.wbytes) as f64,
        }
    }
}
