//! A tried policy's brain: it sees the recorded samples, and its writes are on paper only.

use std::collections::BTreeMap;

use super::count::Count;
use super::live::decision;
use super::rules::Rules;
use super::world::World;
use crate::config::Protect;
use crate::model::{
    Change, GroupId, Knob, Mode, Outcome, Policy, Resource, Sample, Span, Time, Topology, Written,
};
use crate::policy::Brain;
use crate::trace::Did;

/// The record may hold the same lever by so much of the time of an experiment later, and its outcome
/// still counts for both.
const LATER: f64 = 0.5;
/// An experiment on memory takes so many times that on CPU.
const MEMORY_SLOWER: f64 = 5.0;

pub(super) struct Paper {
    policy: Policy,
    rules: Rules,
    pub brain: Brain,
    pub count: Count,
    /// What the brain is told with the next sample.
    due: Vec<Outcome>,
    asked: BTreeMap<(GroupId, Knob), Asked>,
}

/// A knob that this brain holds.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When the record held the same lever last; at first, when it was asked for.
    backed: Time,
    /// Whether the brain was told that the world does not react.
    imagined: bool,
}

impl Paper {
    pub(super) fn new(name: &str, policy: Policy) -> Paper {
        Paper {
            rules: Rules::new(&policy),
            brain: Brain::new(policy.clone()),
            count: Count::new(name),
            policy,
            due: Vec::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Another recording begins; the tree is told after it.
    pub(super) fn restart(&mut self) {
        self.brain = Brain::new(self.policy.clone());
        self.forget();
    }

    /// Goes on from what the recorded brain knew, and from what it held.
    /// It has the recorded tree then, until it [adopts](Paper::adopt) its own.
    pub(super) fn resume(&mut self, checkpoint: &str, tree: &Topology, at: Time) {
        // Where the text cannot be read, that is told of the recorded policy's brain.
        if let Ok(brain) = Brain::resume(checkpoint, self.policy.clone(), tree) {
            self.brain = brain;
            self.forget();
            let backed = Asked {
                backed: at,
                imagined: false,
            };
            let held = self.brain.held().map(|held| (held.lever, held.wanted.0));
            self.asked = held.map(|key| (key, backed)).collect();
        }
    }

    fn forget(&mut self) {
        self.count.cut_off();
        self.due.clear();
        self.asked.clear();
    }

    /// Takes the recorded tree, with whom this policy protects in place of whom the recorded one did.
    pub(super) fn adopt(&mut self, tree: &Topology, recorded: &Protect, hashed: bool, at: Time) {
        self.brain
            .adopt(&self.rules.applied(tree, recorded, hashed), at);
    }

    pub(super) fn release_all(&mut self, at: Time) -> Did {
        self.forget();
        decision(at, self.brain.release_all())
    }

    /// One recorded tick; its outcomes, which are those of the record's writes, are as before after it.
    pub(super) fn step(&mut self, sample: &mut Sample, world: &World) -> Did {
        self.hear(&sample.outcomes);
        self.doubt(sample.at, world);
        std::mem::swap(&mut self.due, &mut sample.outcomes);
        self.count.outcomes(&sample.outcomes);
        let did = decision(sample.at, self.brain.step(sample));
        std::mem::swap(&mut self.due, &mut sample.outcomes);
        self.due.clear();
        self.count.decided(&did);
        for change in &did.changes {
            self.write(change, sample.at, world);
        }
        did
    }

    /// What went wrong with a knob that the record holds too goes wrong here.
    fn hear(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let wrong = matches!(
                outcome.written,
                Written::Failed(_) | Written::Drifted | Written::GaveUp
            );
            if wrong && self.asked.remove(&(outcome.group, outcome.knob)).is_some() {
                self.due.push(*outcome);
            }
        }
    }

    /// Tells the brain which of its holds the recorded world did not react to.
    fn doubt(&mut self, now: Time, world: &World) {
        for (&(group, knob), asked) in &mut self.asked {
            if world.holds(group, knob.resource()) {
                asked.backed = now;
            } else if !asked.imagined && now.since(asked.backed) >= later(&self.policy, knob) {
                asked.imagined = true;
                self.due.push(Outcome {
                    group,
                    knob,
                    written: Written::WouldWrite,
                });
            }
        }
    }

    fn write(&mut self, change: &Change, now: Time, world: &World) {
        let (group, knob, written) = match *change {
            // On paper nobody dies.
            Change::Kill { group, knob } => (group, knob, Written::WouldWrite),
            Change::Release { group, knob } => {
                self.asked.remove(&(group, knob));
                (group, knob, Written::Restored)
            }
            Change::Hold { group, knob, .. } | Change::Lift { group, knob, .. } => {
                let written = match world.refuses(group, knob) {
                    _ if self.policy.mode == Mode::DryRun => Written::WouldWrite,
                    Some(why) => Written::Failed(why),
                    None => Written::Done,
                };
                if written == Written::Done {
                    self.asked.entry((group, knob)).or_insert(Asked {
                        backed: now,
                        imagined: false,
                    });
                }
                (group, knob, written)
            }
        };
        self.due.push(Outcome {
            group,
            knob,
            written,
        });
    }

    /// What this policy names that the trace has not.
    pub(super) fn unmet(&self, hashed: bool) -> Vec<String> {
        self.rules.unmet(hashed)
    }
}

fn later(policy: &Policy, knob: Knob) -> Span {
    let verify = policy.detect.verify;
    match knob.resource() {
        Resource::Cpu | Resource::Pids => verify.scaled(LATER),
        Resource::Memory | Resource::Io => verify.scaled(LATER * MEMORY_SLOWER),
    }
}
