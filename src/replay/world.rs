//! What the record's governor held, and what it could not write: what a tried policy can know of a
//! world that does not react to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Absent, Change, GroupId, Knob, Outcome, Resource, Topology, Written};

/// The record's knobs.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    held: BTreeSet<(GroupId, Knob)>,
    refused: BTreeMap<(GroupId, Knob), Absent>,
}

impl World {
    /// What stood when the recording began.
    pub(super) fn begin(held: impl Iterator<Item = (GroupId, Knob)>) -> World {
        World {
            held: held.collect(),
            refused: BTreeMap::new(),
        }
    }

    /// Forgets the groups that are gone: their identities mean nothing any more.
    pub(super) fn adopt(&mut self, tree: &Topology) {
        if self.held.is_empty() && self.refused.is_empty() {
            return;
        }
        let there: BTreeSet<GroupId> = tree.groups.iter().map(|group| group.id).collect();
        self.held.retain(|(group, _)| there.contains(group));
        self.refused.retain(|(group, _), _| there.contains(group));
    }

    /// What became of the record's writes.
    pub(super) fn outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let key = (outcome.group, outcome.knob);
            match outcome.written {
                Written::Done | Written::Reasserted => {
                    self.refused.remove(&key);
                }
                Written::Failed(why) => {
                    // That it is gone says nothing about writing.
                    if why != Absent::Gone && self.held.contains(&key) {
                        self.refused.insert(key, why);
                    }
                    self.held.remove(&key);
                }
                Written::WouldWrite | Written::Drifted | Written::GaveUp => {
                    self.held.remove(&key);
                }
                Written::Queued | Written::Restored | Written::Killed | Written::NotKilled(_) => {}
            }
        }
    }

    /// What the record's brain wanted.
    pub(super) fn did(&mut self, changes: &[Change], tree: &Topology) {
        for change in changes {
            match *change {
                // Groups that are not in the tree could be without number.
                Change::Hold { group, knob, .. } | Change::Lift { group, knob, .. }
                    if tree.find(group).is_some() =>
                {
                    self.held.insert((group, knob));
                }
                Change::Hold { .. } | Change::Lift { .. } | Change::Kill { .. } => {}
                Change::Release { group, knob } => {
                    self.held.remove(&(group, knob));
                }
            }
        }
    }

    /// Everything was given back.
    pub(super) fn released_all(&mut self) {
        self.held.clear();
    }

    /// Whether the record held this lever on this resource, by whatever knob.
    pub(super) fn holds(&self, lever: GroupId, resource: Resource) -> bool {
        let mut held = self.held.iter();
        held.any(|(group, knob)| *group == lever && knob.resource() == resource)
    }

    /// Why this knob cannot be written, where the record shows that.
    pub(super) fn refuses(&self, group: GroupId, knob: Knob) -> Option<Absent> {
        self.refused.get(&(group, knob)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Group, KnobValue, Knobs, Member, Span, Weight};

    fn outcome(written: Written) -> Outcome {
        Outcome {
            group: GroupId(7),
            knob: Knob::CpuWeight,
            written,
        }
    }

    fn tree() -> Topology {
        Topology {
            groups: vec![Group {
                id: GroupId(7),
                parent: None,
                path: b"/".to_vec(),
                member: Member::Inner,
                knobs: Knobs::absent(Absent::NotRead),
                protected: false,
                complete: true,
            }],
        }
    }

    fn holding(group: GroupId) -> World {
        let mut world = World::default();
        let hold = Change::Hold {
            group,
            knob: Knob::CpuWeight,
            value: KnobValue::Weight(Weight::MIN),
            aggressor: group,
            lease: Span::from_secs(30),
        };
        world.did(&[hold], &tree());
        world
    }

    #[test]
    fn a_lever_is_held_by_any_knob_of_its_resource() {
        let world = holding(GroupId(7));
        assert!(world.holds(GroupId(7), Resource::Cpu));
        assert!(!world.holds(GroupId(7), Resource::Memory));
        assert!(!world.holds(GroupId(8), Resource::Cpu));
    }

    #[test]
    fn a_write_that_failed_is_known_until_one_succeeds() {
        let mut world = holding(GroupId(7));
        world.outcomes(&[outcome(Written::Failed(Absent::ReadOnly))]);
        assert!(!world.holds(GroupId(7), Resource::Cpu));
        let refused = world.refuses(GroupId(7), Knob::CpuWeight);
        assert_eq!(refused, Some(Absent::ReadOnly));
        world.outcomes(&[outcome(Written::Done)]);
        assert_eq!(world.refuses(GroupId(7), Knob::CpuWeight), None);
    }

    #[test]
    fn a_dry_run_held_nothing() {
        let mut world = holding(GroupId(7));
        world.outcomes(&[outcome(Written::WouldWrite)]);
        assert!(!world.holds(GroupId(7), Resource::Cpu));
    }

    #[test]
    fn groups_that_are_not_in_the_tree_are_not_remembered() {
        let mut world = holding(GroupId(99));
        assert!(!world.holds(GroupId(99), Resource::Cpu));
        world = holding(GroupId(7));
        world.adopt(&Topology::default());
        assert!(!world.holds(GroupId(7), Resource::Cpu));
    }
}
