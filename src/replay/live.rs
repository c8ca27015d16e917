//! The recorded policy's brain, fed what the live one was fed; and whether it decides as recorded.

use super::count::Count;
use crate::config::{self, Protect};
use crate::model::{Agreement, Difference, Mode, Pace, Policy, Sample, Step, Time, Topology};
use crate::policy::Brain;
use crate::trace::Did;

/// The name of what this version does with the recorded policy.
pub const REPLAYED: &str = "replayed";

/// The text of a decision, as it is compared: the JSON in which a trace holds it.
#[must_use]
pub fn decision_text(did: &Did) -> String {
    // Structs, lists and numbers: nothing in it can fail to be JSON, and if it did, alike on both sides.
    serde_json::to_string(did).unwrap_or_else(|error| error.to_string())
}

/// A brain's step, as a trace holds it.
pub(super) fn decision(at: Time, step: &Step) -> Did {
    Did {
        at,
        changes: step.changes.clone(),
        events: step.events.clone(),
        pace: step.pace,
    }
}

/// The recorded policy's brain.
pub(super) struct Live {
    pub brain: Brain,
    pub policy: Policy,
    /// Of the recorded policy.
    pub protect: Protect,
    pub agreement: Agreement,
    pub count: Count,
    /// Whether the brain knows all that the live one knew.
    synced: bool,
    /// The recorded pace.
    pace: Pace,
}

impl Live {
    pub(super) fn new() -> Live {
        let policy = Policy::default();
        Live {
            brain: Brain::new(policy.clone()),
            protect: Protect::new(&policy),
            policy,
            agreement: Agreement::default(),
            count: Count::new(REPLAYED),
            synced: false,
            pace: Pace::Quiet,
        }
    }

    /// Another recording begins: what was known is of another world. `known`: the live brain had seen
    /// nothing then, either.
    pub(super) fn restart(&mut self, tree: &Topology, at: Time, known: bool) {
        self.brain = Brain::new(self.policy.clone());
        self.brain.adopt(tree, at);
        self.count.cut_off();
        self.synced = known;
        self.pace = Pace::Quiet;
    }

    pub(super) fn release_all(&mut self, at: Time) -> Did {
        self.count.cut_off();
        decision(at, self.brain.release_all())
    }

    /// Something is missing here: what the live brain saw in it is not known.
    pub(super) const fn lose_sync(&mut self) {
        self.synced = false;
    }

    /// Whether the brain knows all that the live one knew.
    pub(super) const fn is_synced(&self) -> bool {
        self.synced
    }

    /// Takes the recorded policy; whether it is another than before.
    ///
    /// # Errors
    /// If this version does not take its text: all its problems. The policy before it stays.
    pub(super) fn set_policy(&mut self, text: &str, mode: Mode) -> Result<bool, config::Problems> {
        let parsed = config::parse(text);
        let mut policy = match &parsed {
            Ok(policy) => policy.clone(),
            Err(_) => self.policy.clone(),
        };
        policy.mode = mode;
        let is_new = policy != self.policy;
        self.protect = Protect::new(&policy);
        self.brain.set_policy(policy.clone());
        self.policy = policy;
        parsed.map(|_| is_new)
    }

    pub(super) fn adopt(&mut self, tree: &Topology, at: Time) {
        self.brain.adopt(tree, at);
    }

    pub(super) fn step(&mut self, sample: &Sample) -> Did {
        self.count.outcomes(&sample.outcomes);
        let did = decision(sample.at, self.brain.step(sample));
        self.count.decided(&did);
        did
    }

    /// Compares a decision with the recorded one; where none was recorded, nothing was done and the pace
    /// stayed.
    pub(super) fn compare(&mut self, recorded: Option<&Did>, replayed: &Did, at_s: f64) {
        let before = self.pace;
        self.pace = recorded.map_or(before, |did| did.pace);
        let agreement = &mut self.agreement;
        if !self.synced {
            agreement.uncompared += 1;
            return;
        }
        agreement.compared += 1;
        let idle = |did: &Did| did.changes.is_empty() && did.events.is_empty();
        if recorded.is_none() && idle(replayed) && replayed.pace == before {
            return;
        }
        agreement.busy += 1;
        let implied = Did {
            at: replayed.at,
            pace: before,
            ..Did::default()
        };
        self.differ(recorded.unwrap_or(&implied), replayed, at_s);
    }

    /// Compares what was told and done when everything was given back, which is no tick.
    pub(super) fn compare_release(&mut self, recorded: &Did, replayed: &Did, at_s: f64) {
        if self.synced {
            self.differ(recorded, replayed, at_s);
        }
    }

    fn differ(&mut self, recorded: &Did, replayed: &Did, at_s: f64) {
        let (recorded, replayed) = (decision_text(recorded), decision_text(replayed));
        if recorded != replayed {
            self.agreement.different += 1;
            self.agreement.first.get_or_insert(Difference {
                at_s,
                recorded,
                replayed,
            });
        }
    }

    /// The recorded pace after the last tick.
    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }

    /// A tick of which it is not known whether its decision was recorded.
    pub(super) const fn skip(&mut self) {
        self.agreement.uncompared += 1;
    }

    /// Compares the recorded brain with the replayed one, and goes on with the recorded one; whether they
    /// are alike, or could not be compared.
    pub(super) fn check(&mut self, recorded: Brain, text: &str, at_s: f64) -> bool {
        let mut alike = true;
        if self.synced {
            self.agreement.checkpoints += 1;
            let replayed = self.brain.checkpoint();
            let replayed = replayed.unwrap_or_else(|why| why.to_string());
            alike = replayed == text;
            if !alike {
                self.agreement.checkpoints_different += 1;
                self.agreement.first.get_or_insert(Difference {
                    at_s,
                    recorded: text.to_owned(),
                    replayed,
                });
            }
        }
        if !(self.synced && alike) {
            self.pace = recorded.pace();
            self.brain = recorded;
            self.synced = true;
        }
        alike
    }
}
