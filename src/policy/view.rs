//! Roles and reasons for people.

use super::brain::Brain;
use super::intervention::Proof;
use super::window::Over;
use crate::model::{GroupId, Knob, KnobValue, Resource, Role, Rung, Span};

/// One held knob as the brain sees it; the texts that stand in the file are the actuator's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldView {
    /// Whose knob.
    pub lever: GroupId,
    /// The one that is held.
    pub aggressor: GroupId,
    /// For whom.
    pub victim: GroupId,
    /// Of which resource.
    pub resource: Resource,
    /// Which rung.
    pub rung: Rung,
    /// Which knob, and what is wanted there.
    pub wanted: (Knob, KnobValue),
    /// `proving`, `confirmed`, `unproven` or `releasing`.
    pub proof: &'static str,
    /// Since the first write.
    pub age: Span,
}

impl Brain {
    /// What is held now.
    pub fn held(&self) -> impl Iterator<Item = HeldView> + '_ {
        self.held.iter().map(|held| HeldView {
            lever: held.lever,
            aggressor: held.aggressor,
            victim: held.victim,
            resource: held.resource,
            rung: held.place.rung(),
            wanted: held.place.value(&held.bounds, &self.policy),
            proof: match held.proof {
                Proof::Proving(_) => "proving",
                Proof::Confirmed => "confirmed",
                Proof::Unproven => "unproven",
                Proof::Releasing(_) => "releasing",
            },
            age: self.now.since(held.since),
        })
    }

    /// The role of a container, why it has it, and since when.
    #[must_use]
    pub fn role(&self, id: GroupId) -> Option<(Role, String, Span)> {
        let track = self.track(id)?;
        let cpu = track.cpu.rate(Over::Half) * 100.0;
        let memory = track.mem.rate(Over::Half) * 100.0;
        let calm = track.cpu.calm(&self.policy) * 100.0;
        let held = self.held.iter().find(|held| held.aggressor == id);
        let why = match (track.role, held) {
            (Role::Aggressor, Some(held)) => format!(
                "{} harm of its victim was {:.1} % before",
                match held.resource {
                    Resource::Cpu => "cpu:",
                    Resource::Memory => "memory:",
                },
                held.harm_at_first * 100.0
            ),
            (Role::Victim, _) => {
                format!(
                    "waits by others' doing: cpu {cpu:.1} % (calm {calm:.1}), memory {memory:.1} %"
                )
            }
            (Role::Suspect, _) => format!(
                "uses {:.2} CPUs, entitled to {:.2}",
                track.usage(Over::Half),
                track.entitlement
            ),
            (Role::Protected, _) => "by policy".to_owned(),
            (Role::Calm | Role::Aggressor, _) => String::new(),
        };
        Some((track.role, why, self.now.since(track.role_since)))
    }
}
