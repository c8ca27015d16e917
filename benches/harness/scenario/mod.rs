//! A scenario: who suffers, who attacks, when, under which limits, and what must hold.
//!
//! Scenarios are data, TOML files of `benches/scenarios`; [`read`] turns one into this, with every
//! mistake told at once, each with its place, its reason and its remedy.

pub(crate) mod find;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use read::read;

use std::collections::BTreeMap;

/// One experiment. Times are microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scenario {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// What happens, in one line.
    pub(crate) title: String,
    /// The row of the catalogue of attacks (or of its benign list) that it stands for.
    pub(crate) row: Option<String>,
    /// What is fought for.
    pub(crate) class: Class,
    /// On which clocks it says something.
    pub(crate) clock: Clock,
    /// Decides the attack's phase in each round, together with the round's number.
    pub(crate) seed: u64,
    /// How long each part lasts.
    pub(crate) phases: Phases,
    /// Who does steady work and measures it.
    pub(crate) victims: Vec<Actor>,
    /// Who takes; in a benign scenario whoever only looks like it.
    pub(crate) attackers: Vec<Actor>,
    /// Who works for whoever asks, in groups that are no containers: a logger, a dump's writer.
    pub(crate) helpers: Vec<Actor>,
    /// The governor's policy for this scenario, beside its containers: TOML.
    pub(crate) policy: String,
    /// The host may have so many tasks more than it has at the start; `None`: what it may have anyway.
    pub(crate) room: Option<u64>,
    /// Whether the host must have swap; on the virtual clock it has none else.
    pub(crate) swap: bool,
    /// Limits that stand in every arm.
    pub(crate) given: Limits,
    /// What an operator would have set for good: the arm `static`.
    pub(crate) fixed: Limits,
    /// What an all-knowing hand sets at the attack's start: the arm `oracle`.
    pub(crate) oracle: Limits,
    /// What the ungoverned arm must show, lest the round count for nothing.
    pub(crate) harm: Harm,
    /// What is promised of the governor's arm.
    pub(crate) holds: Holds,
}

/// Knobs of groups: group, knob, text.
pub(crate) type Limits = BTreeMap<String, BTreeMap<String, String>>;

/// What is fought for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// Block devices.
    Io,
    /// Tasks.
    Pids,
    /// Several of them.
    Mixed,
    /// Who is blamed: an innocent victim is to look guilty.
    Framing,
    /// The governor's own sight and time.
    Governor,
    /// Nothing: it only looks like it.
    Benign,
}

impl Class {
    /// Each with its word in a scenario.
    pub(crate) const WORDS: [(Class, &'static str); 8] = [
        (Class::Cpu, "cpu"),
        (Class::Memory, "memory"),
        (Class::Io, "io"),
        (Class::Pids, "pids"),
        (Class::Mixed, "mixed"),
        (Class::Framing, "framing"),
        (Class::Governor, "governor"),
        (Class::Benign, "benign"),
    ];

    /// Its word in a scenario.
    pub(crate) fn word(self) -> &'static str {
        let found = Class::WORDS.into_iter().find(|(class, _)| *class == self);
        found.map_or("", |(_, word)| word)
    }
}

/// On which clocks a scenario says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Any: it needs neither a disk nor a second CPU.
    Any,
    /// Real time only.
    Real,
}

impl Clock {
    /// Each with its word in a scenario.
    pub(crate) const WORDS: [(Clock, &'static str); 2] =
        [(Clock::Any, "any"), (Clock::Real, "real")];
}

/// How long each part of a run lasts, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phases {
    /// From the start of the victims to their first request.
    pub(crate) prepare: u64,
    /// From the first request to the attack.
    pub(crate) alone: u64,
    /// The beginning of `alone` that is not judged.
    pub(crate) settle: u64,
    /// The attack.
    pub(crate) attacked: u64,
    /// From the attack's end to the last request.
    pub(crate) recovery: u64,
}

/// Somebody in a cgroup of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Actor {
    /// Its name and that of its cgroup.
    pub(crate) name: String,
    /// The words of its load (`governor-bench load --help`), without `--for` and `--start-at`. None for an attacker
    /// that is a program.
    pub(crate) load: Vec<String>,
    /// A program that runs in the cgroup instead; a victim's load is its client, in a cgroup of its own.
    pub(crate) program: Option<Vec<String>>,
    /// An attacker: from the attack's start to its own, in microseconds.
    pub(crate) after: u64,
    /// An attacker: how long, in microseconds; to the attack's end if absent.
    pub(crate) lasts: Option<u64>,
    /// An attacker: it runs in each of so many groups below its own; 0: in its own.
    pub(crate) children: u64,
    /// An attacker: its group is made at its own start, and goes with it.
    pub(crate) fresh: bool,
}

/// What the ungoverned arm must show. Where both are given one of them is enough; where neither is,
/// every round counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Harm {
    /// p99 at least so many times what it is alone.
    pub(crate) p99: Option<f64>,
    /// At most this part of the requests answered while the attack lasts.
    pub(crate) answered: Option<f64>,
}

/// What is promised of the governor's arm, in the median over the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Holds {
    /// p99 at most so many times what it is alone.
    pub(crate) p99: Option<f64>,
    /// At least this part of the requests answered while the attack lasts.
    pub(crate) answered: Option<f64>,
    /// At least this part of what the oracle saves.
    pub(crate) of_oracle: Option<f64>,
    /// Whether the attackers may be held hard: by more than a weight.
    pub(crate) hard: Option<bool>,
}

impl Scenario {
    /// Whether runs of both are runs of the same, whatever is promised of them.
    pub(crate) fn plays_like(&self, other: &Scenario) -> bool {
        let other = Scenario {
            title: self.title.clone(),
            row: self.row.clone(),
            harm: self.harm,
            holds: self.holds,
            ..other.clone()
        };
        *self == other
    }

    /// Whether somebody works on the cgroups themselves, which containers cannot.
    pub(crate) fn moves_groups(&self) -> bool {
        let all = self.victims.iter().chain(&self.attackers);
        let mut all = all.chain(&self.helpers);
        all.any(|one| {
            let mut words = one.load.iter();
            one.fresh || one.children > 0 || words.any(|word| word.contains("{groups}"))
        })
    }

    /// From the first request to the end of the recovery, in microseconds; without the attack's phase.
    pub(crate) fn length(&self) -> u64 {
        self.phases.alone + self.phases.attacked + self.phases.recovery
    }
}
