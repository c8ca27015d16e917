//! Roles and reasons for people.

use super::brain::{Brain, RESOURCES};
use super::intervention::Proof;
use super::window::Over;
use crate::model::{GroupId, Knob, KnobValue, Pace, Resource, Role, Rung, Span, Time};

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
    /// The victim's side of the fork, where its weight is raised meanwhile.
    pub lifted: Option<GroupId>,
    /// The aggressor's own group, where the lever is a slice that holds others too.
    pub within: Option<GroupId>,
    /// `proving`, `confirmed`, `unproven` or `releasing`.
    pub proof: &'static str,
    /// Since the first write.
    pub age: Span,
}

/// One container's harm in one resource, as far as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HarmView {
    /// Whose.
    pub victim: GroupId,
    /// By lack of what.
    pub resource: Resource,
    /// When it was measured last.
    pub at: Time,
    /// All of it since the container was first met.
    pub total: Span,
    /// The part of the time that is no harm, whatever rung stands: its calm, and the policy's tolerance.
    pub tolerated: f64,
}

impl Brain {
    /// How soon it wanted the next sample after the last one.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        self.step.pace
    }

    /// The harm of everybody whose harm was measured at all.
    pub fn harms(&self) -> impl Iterator<Item = HarmView> + '_ {
        let tolerance = self.policy.detect.tolerance.get();
        self.tracks.iter().flat_map(move |track| {
            RESOURCES.into_iter().filter_map(move |resource| {
                let strain = track.strain(resource);
                Some(HarmView {
                    victim: track.id,
                    resource,
                    at: strain.at()?,
                    total: strain.total(),
                    tolerated: tolerance + strain.calm(&self.policy),
                })
            })
        })
    }

    /// Whether something has been held since before this tick that is meant to end this victim's harm:
    /// held for it, or held of one that its harm is blamed on.
    #[must_use]
    pub fn is_answered(&self, victim: GroupId, resource: Resource) -> bool {
        let margin = self.policy.detect.margin;
        self.track(victim).is_some_and(|track| {
            let ledger = &track.strain(resource).ledger;
            self.held.iter().any(|held| {
                held.resource == resource
                    && held.since < self.now
                    && (held.victim == victim || ledger.points_at(held.aggressor, margin))
            })
        })
    }

    /// What is held now.
    pub fn held(&self) -> impl Iterator<Item = HeldView> + '_ {
        self.held.iter().map(|held| HeldView {
            lever: held.lever,
            aggressor: held.aggressor,
            victim: held.victim,
            resource: held.resource,
            rung: held.place.rung(),
            wanted: held.place.value(&held.bounds, &self.policy),
            within: held.within.map(|within| within.group),
            lifted: held.lifting.lift().map(|lift| lift.group),
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
                    Resource::Pids => "pids:",
                    Resource::Io => "io:",
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
