//! What was done before: the interventions with their steps, figures, verdicts and ends.
//!
//! It belongs to the brain and is filled where the brain decides, so that a replay has the same
//! history as the daemon had, and a checkpoint carries it on. Nothing is decided by it. It is bounded:
//! in all, in how much of it is about one container (who is held again and again must not push the
//! others' history out), in the steps of one intervention, and in the length of names.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::intervention::Intervention;
use super::ladder::Place;
use crate::model::{
    End, GroupId, Knob, KnobValue, KnobView, PastView, Policy, Resource, Rung, StepView,
    SuspectView, Time, Verdict, Who,
};

/// Interventions kept in all, and of one container.
const KEPT: usize = 64;
const KEPT_OF_ONE: usize = 8;
/// Steps kept of one intervention: the first ones tell the way down.
const STEPS: usize = 12;

/// The history.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Chronicle {
    /// Oldest first.
    entries: VecDeque<Entry>,
}

/// One intervention.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub resource: Resource,
    pub aggressor: (GroupId, Who),
    pub victim: (GroupId, Who),
    pub began: Time,
    steps: Vec<Taken>,
    more_steps: u32,
    harm_before: f64,
    harm_after: Option<f64>,
    verdict: Option<Verdict>,
    expired: bool,
    imagined: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    killed: bool,
    end: Option<(Time, End)>,
    /// Who was suspected when it was decided.
    pub case: Case,
}

/// The suspects of one victim's harm at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Case {
    /// The most blamed first.
    pub suspects: Vec<SuspectView>,
    /// So many more are not in the list.
    pub others: u32,
}

/// One step.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Taken {
    at: Time,
    rung: Rung,
    knob: Knob,
    original: Option<KnobValue>,
    value: KnobValue,
    tighter: bool,
}

impl Chronicle {
    /// An intervention begins.
    pub(super) fn begin(&mut self, held: &Intervention, aggressor: Who, victim: Who) {
        let of_this = |entry: &Entry| entry.aggressor.0 == held.aggressor;
        let too_many = self.entries.iter().filter(|entry| of_this(entry)).count() >= KEPT_OF_ONE;
        let room = if too_many {
            self.entries.iter().position(of_this)
        } else if self.entries.len() >= KEPT {
            let ended = self.entries.iter().position(|entry| entry.end.is_some());
            Some(ended.unwrap_or(0))
        } else {
            None
        };
        if let Some(at) = room {
            self.entries.remove(at);
        }
        self.entries.push_back(Entry {
            resource: held.resource,
            aggressor: (held.aggressor, aggressor.short()),
            victim: (held.victim, victim.short()),
            began: held.since,
            steps: Vec::new(),
            more_steps: 0,
            harm_before: held.harm_at_first,
            harm_after: None,
            verdict: None,
            expired: false,
            imagined: false,
            killed: false,
            end: None,
            case: Case::default(),
        });
    }

    /// Who was suspected when this intervention was decided.
    pub(super) fn decided(&mut self, aggressor: GroupId, resource: Resource, case: &Case) {
        if let Some(entry) = self.standing_mut(aggressor, resource) {
            entry.case = case.clone();
            for suspect in &mut entry.case.suspects {
                suspect.who = std::mem::take(&mut suspect.who).short();
            }
        }
    }

    /// It goes to another place.
    pub(super) fn step(
        &mut self,
        held: &Intervention,
        place: Place,
        tighter: bool,
        at: Time,
        policy: &Policy,
    ) {
        let Some(entry) = self.standing_mut(held.aggressor, held.resource) else {
            return;
        };
        if entry.steps.len() >= STEPS {
            entry.more_steps = entry.more_steps.saturating_add(1);
            return;
        }
        let (knob, value) = place.value(&held.bounds, policy);
        entry.steps.push(Taken {
            at,
            rung: place.rung(),
            knob,
            original: held.bounds.original.value(knob),
            value,
            tighter,
        });
    }

    /// An experiment ended, with so much harm left.
    pub(super) fn judged(&mut self, held: &Intervention, verdict: Verdict, harm: f64) {
        if let Some(entry) = self.standing_mut(held.aggressor, held.resource) {
            entry.verdict = Some(verdict);
            entry.harm_after = Some(harm);
        }
    }

    /// Its lease ran out.
    pub(super) fn expired(&mut self, held: &Intervention) {
        if let Some(entry) = self.standing_mut(held.aggressor, held.resource) {
            entry.expired = true;
        }
    }

    /// It was killed.
    pub(super) fn killed(&mut self, held: &Intervention) {
        if let Some(entry) = self.standing_mut(held.aggressor, held.resource) {
            entry.killed = true;
        }
    }

    /// It is over.
    pub(super) fn ended(&mut self, held: &Intervention, at: Time, end: End) {
        if let Some(entry) = self.standing_mut(held.aggressor, held.resource) {
            entry.imagined = held.imagined;
            entry.end = Some((at, end));
        }
    }

    /// The one that stands on this container.
    pub(super) fn standing(&self, aggressor: GroupId, resource: Resource) -> Option<&Entry> {
        let mut entries = self.entries.iter().rev();
        entries.find(|entry| entry.stands(aggressor, resource))
    }

    fn standing_mut(&mut self, aggressor: GroupId, resource: Resource) -> Option<&mut Entry> {
        let mut entries = self.entries.iter_mut().rev();
        entries.find(|entry| entry.stands(aggressor, resource))
    }

    /// Those in which this one had a part, the newest first.
    pub(super) fn of(&self, id: GroupId) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter().rev();
        entries.filter(move |entry| entry.aggressor.0 == id || entry.victim.0 == id)
    }
}

impl Entry {
    fn stands(&self, aggressor: GroupId, resource: Resource) -> bool {
        self.end.is_none() && self.aggressor.0 == aggressor && self.resource == resource
    }

    /// As it is told at this moment. `imagined` of one that stands is the intervention's.
    pub(super) fn view(&self, now: Time, imagined: bool) -> PastView {
        let ago = |at: Time| now.since(at).as_secs_f64();
        let until = self.end.map_or(now, |(at, _)| at);
        PastView {
            aggressor: self.aggressor.1.clone(),
            victim: self.victim.1.clone(),
            resource: self.resource,
            began_s: ago(self.began),
            lasted_s: until.since(self.began).as_secs_f64(),
            steps: self
                .steps
                .iter()
                .map(|step| StepView {
                    ago_s: ago(step.at),
                    rung: step.rung,
                    knob: knob_view(step.knob, step.original, step.value),
                    tighter: step.tighter,
                })
                .collect(),
            more_steps: self.more_steps,
            harm_before: self.harm_before,
            harm_after: self.harm_after,
            verdict: self.verdict,
            expired: self.expired,
            imagined: self.imagined || imagined,
            killed: self.killed,
            end: self.end.map(|(_, end)| end),
        }
    }
}

/// A knob's values as texts.
pub(super) fn knob_view(knob: Knob, original: Option<KnobValue>, now: KnobValue) -> KnobView {
    KnobView {
        knob: knob.file().to_owned(),
        original: original.map(|value| value.to_string()),
        now: now.to_string(),
    }
}
