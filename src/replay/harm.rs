//! How long did victims stall above what is tolerated? Measured once, by the recorded policy's brain,
//! so that a policy that tolerates more does not look better by that.

use std::collections::HashMap;

use crate::model::{GroupId, Resource, Span, Time};
use crate::policy::Brain;

/// Where the account of each stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    seen: HashMap<(GroupId, Resource), (Time, Span)>,
}

/// Harm above what is tolerated since the tick before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Harmed {
    pub victim: GroupId,
    pub resource: Resource,
    /// Of stall, above tolerance.
    pub seconds: f64,
}

impl Account {
    /// What the last step added.
    pub(super) fn settle(&mut self, brain: &Brain, into: &mut Vec<Harmed>) {
        into.clear();
        for view in brain.harms() {
            let key = (view.victim, view.resource);
            let before = self.seen.insert(key, (view.at, view.total));
            let Some((at, total)) = before.filter(|(at, _)| *at < view.at) else {
                continue;
            };
            let tolerated = view.tolerated * view.at.since(at).as_secs_f64();
            let seconds = view.total.advance(total).as_secs_f64() - tolerated;
            if seconds > 0.0 {
                into.push(Harmed {
                    victim: view.victim,
                    resource: view.resource,
                    seconds,
                });
            }
        }
    }

    /// Forgets those that the brain does not know any more.
    pub(super) fn adopt(&mut self, brain: &Brain) {
        if self.seen.is_empty() {
            return;
        }
        let there: HashMap<(GroupId, Resource), ()> = brain
            .harms()
            .map(|view| ((view.victim, view.resource), ()))
            .collect();
        self.seen.retain(|key, _| there.contains_key(key));
    }
}
