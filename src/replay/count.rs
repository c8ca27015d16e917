//! How often was somebody held, how hard, and how did it end? Read from decisions alone, so that what
//! was done and what would have been done are counted alike.

use crate::model::{
    Change, Event, EventKind, GroupId, Knob, Outcome, Resource, Tally, Verdict, Written,
};
use crate::trace::Did;

/// As many are held at once as a host can have groups; a trace that tells more is not believed.
const OPEN_MAX: usize = 10_000;

/// The counts of one policy, and what is held now.
#[derive(Clone, Debug)]
pub(super) struct Count {
    tally: Tally,
    open: Vec<Open>,
}

/// An intervention that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    aggressor: GroupId,
    resource: Resource,
    lever: GroupId,
    hard: bool,
    proof: Proof,
    /// Some write of it failed, or met somebody else's value.
    failed: bool,
    /// It stood on paper only.
    untried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    None,
    Confirmed,
    Exonerated,
}

impl Count {
    pub(super) fn new(policy: &str) -> Count {
        let policy = policy.to_owned();
        Count {
            tally: Tally {
                policy,
                ..Tally::default()
            },
            open: Vec::new(),
        }
    }

    /// What the brain is told of its writes, before it decides.
    pub(super) fn outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if outcome.written == Written::WouldWrite {
                let resource = outcome.knob.resource();
                let of =
                    |open: &&mut Open| open.lever == outcome.group && open.resource == resource;
                for open in self.open.iter_mut().filter(of) {
                    open.untried = true;
                }
            }
        }
    }

    /// What it decided.
    pub(super) fn decided(&mut self, did: &Did) {
        self.tally.paces.count(did.pace);
        for change in &did.changes {
            let (sums, knob) = match change {
                Change::Hold { knob, .. } | Change::Lift { knob, .. } => {
                    (&mut self.tally.holds, *knob)
                }
                Change::Release { knob, .. } => (&mut self.tally.releases, *knob),
                Change::Kill { .. } => {
                    self.tally.kills += 1;
                    continue;
                }
            };
            *sums.entry(knob).or_default() += 1;
        }
        for event in &did.events {
            self.event(event);
        }
    }

    fn event(&mut self, event: &Event) {
        let evidence = &event.evidence;
        let key = (evidence.aggressor, evidence.resource);
        match event.kind {
            EventKind::Tightened { lever, knob, .. } => {
                let aggressor = evidence.aggressor.unwrap_or(lever);
                self.tightened(aggressor, lever, knob);
            }
            EventKind::Proved(Verdict::Confirmed) => self.of(key, |open| {
                open.proof = Proof::Confirmed;
            }),
            EventKind::Proved(Verdict::Exonerated) => self.of(key, |open| {
                open.proof = Proof::Exonerated;
            }),
            EventKind::CannotAct { .. } | EventKind::Drift { .. } => {
                self.of(key, |open| open.failed = true);
            }
            EventKind::Released => self.ended(key),
            EventKind::Proved(Verdict::Unproven)
            | EventKind::Alarm
            | EventKind::Nobody(_)
            | EventKind::Loosened { .. }
            | EventKind::Killed
            | EventKind::CannotKill { .. }
            | EventKind::Lifted { .. } => {}
        }
    }

    fn tightened(&mut self, aggressor: GroupId, lever: GroupId, knob: Knob) {
        let (resource, rung) = (knob.resource(), knob.rung());
        *self.tally.rungs.entry(rung).or_default() += 1;
        let known = |open: &Open| open.aggressor == aggressor && open.resource == resource;
        let at = match self.open.iter().position(known) {
            Some(at) => at,
            None if self.open.len() >= OPEN_MAX => return,
            None => {
                self.tally.interventions += 1;
                self.open.push(Open {
                    aggressor,
                    resource,
                    lever,
                    hard: false,
                    proof: Proof::None,
                    failed: false,
                    untried: false,
                });
                self.open.len() - 1
            }
        };
        if let Some(open) = self.open.get_mut(at)
            && rung.is_hard()
            && !open.hard
        {
            open.hard = true;
            self.tally.hard += 1;
        }
    }

    fn of(&mut self, key: (Option<GroupId>, Option<Resource>), change: impl Fn(&mut Open)) {
        let same = |open: &&mut Open| (Some(open.aggressor), Some(open.resource)) == key;
        self.open.iter_mut().filter(same).for_each(change);
    }

    fn ended(&mut self, key: (Option<GroupId>, Option<Resource>)) {
        let same = |open: &Open| (Some(open.aggressor), Some(open.resource)) == key;
        let Some(at) = self.open.iter().position(same) else {
            return;
        };
        let open = self.open.swap_remove(at);
        let tally = &mut self.tally;
        let sum = match open.proof {
            _ if open.failed => &mut tally.failed,
            Proof::Exonerated => &mut tally.exonerated,
            Proof::Confirmed => &mut tally.confirmed,
            Proof::None if open.untried => &mut tally.untried,
            Proof::None => &mut tally.unproven,
        };
        *sum += 1;
    }

    /// A victim's stall above what is tolerated, in seconds.
    pub(super) fn harmed(&mut self, seconds: f64, answered: bool) {
        self.tally.harm_s += seconds;
        if !answered {
            self.tally.unanswered_s += seconds;
        }
    }

    /// Everything was given back by hand, or another recording begins: nobody proved anything of what
    /// stood.
    pub(super) fn cut_off(&mut self) {
        self.tally.open += self.open.len() as u64;
        self.open.clear();
    }

    /// The counts; what still stands is open.
    pub(super) fn tally(&mut self) -> Tally {
        self.cut_off();
        let mut tally = self.tally.clone();
        tally.traces = 1;
        tally
    }
}
