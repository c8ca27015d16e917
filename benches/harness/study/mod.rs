//! Raw records to figures: grouped by session, scenario and arm; rounds that prove nothing discarded
//! by a stated rule, and counted; promises compared with what was measured.

pub(crate) mod acted;
pub(crate) mod fields;
pub(crate) mod figures;
pub(crate) mod lived;
pub(crate) mod spread;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod verdict;

use crate::arm::Arm;
use crate::machine::Machine;
use crate::record::{Line, Run, Victim};
use crate::scenario::{self, Harm, Scenario};
use anyhow::bail;
use fields::Field;
use figures::Figures;
use lived::Lived;
use spread::Spread;
use std::collections::HashMap;

/// A run in which the harness itself woke so late (99th percentile, milliseconds) is discarded: its figures
/// are those of a host that was too busy to be measured.
const LATE_MS: f64 = 100.0;
/// Likewise one in which a hypervisor took more than this part of the CPU time.
const STEAL: f64 = 0.05;

/// The rule by which runs are discarded, for people.
pub(crate) const RULE: &str = "A round counts only if its ungoverned run shows the harm that the scenario states. \
A run is discarded if the harness itself woke more than 100 ms late (99th percentile) or a hypervisor took more \
than 5 % of the CPU time, and if it came to no end.";

/// All that was recorded on one machine: each further call of `governor-bench run` there adds rounds.
pub(crate) struct Session {
    /// Where.
    pub(crate) machine: Machine,
    /// The seeds of the calls, each once.
    pub(crate) seeds: Vec<u64>,
    /// The rounds of earlier calls.
    rounds_before: u32,
    /// In the order of the record.
    pub(crate) scenarios: Vec<Study>,
    /// Runs that came to no end: scenario, arm, round, why.
    pub(crate) failed: Vec<(String, Arm, u32, String)>,
}

/// One scenario's runs.
pub(crate) struct Study {
    pub(crate) scenario: Scenario,
    /// In the order of [`Arm::ALL`].
    pub(crate) arms: Vec<ArmStudy>,
}

/// An arm's runs of a scenario.
pub(crate) struct ArmStudy {
    pub(crate) arm: Arm,
    /// Those that count.
    pub(crate) runs: Vec<Measured>,
    /// The rounds that do not, and why.
    pub(crate) discarded: Vec<(u32, String)>,
}

/// A run and its figures.
pub(crate) struct Measured {
    pub(crate) run: Run,
    pub(crate) figures: Figures,
}

impl ArmStudy {
    /// A figure over the runs that count.
    pub(crate) fn spread(&self, field: &Field) -> Option<Spread> {
        Spread::of(
            self.runs
                .iter()
                .filter_map(|one| field.of(&one.figures))
                .collect(),
        )
    }

    /// Its median, by the field's name.
    pub(crate) fn median(&self, field: &str) -> Option<f64> {
        Some(self.spread(fields::named(field)?)?.median)
    }
}

impl Study {
    /// The arm, if it was tried.
    pub(crate) fn arm(&self, arm: Arm) -> Option<&ArmStudy> {
        self.arms.iter().find(|one| one.arm == arm)
    }

    /// What was promised of the governor and is not so. `None`: there is nothing to tell it from.
    pub(crate) fn broken(&self) -> Option<Vec<String>> {
        let governor = self.arm(Arm::Governor)?;
        if governor.runs.is_empty() {
            return Some(vec!["no run of the governor counts".to_owned()]);
        }
        let mut broken = Vec::new();
        let holds = self.scenario.holds;
        let median = |name: &str| governor.median(name);
        if let (Some(most), Some(is)) = (holds.p99, median("p99_times"))
            && is > most
        {
            broken.push(format!("p99 is {is:.2} × alone, not {most}"));
        }
        for (least, name, what) in [
            (holds.answered, "answered", "of the requests are answered"),
            (
                holds.of_oracle,
                "of_oracle",
                "of what the oracle saves is saved",
            ),
        ] {
            if let (Some(least), Some(is)) = (least, median(name))
                && is < least
            {
                broken.push(format!(
                    "{:.1} % {what}, not {:.1} %",
                    is * 100.0,
                    least * 100.0
                ));
            }
        }
        let hard = governor
            .runs
            .iter()
            .filter(|one| one.figures.hard.is_some_and(|s| s > 0.0))
            .count();
        if holds.hard == Some(false) && hard > 0 {
            broken.push(format!("somebody was held hard in {hard} runs"));
        }
        let inexact = governor
            .runs
            .iter()
            .filter(|one| one.figures.exact != Some(1.0))
            .count();
        if inexact > 0 {
            broken.push(format!(
                "not everything was given back exactly in {inexact} runs"
            ));
        }
        Some(broken)
    }
}

/// Makes figures of the lines of records.
///
/// # Errors
/// A scenario in the record is not valid any more, or a line stands before what it needs.
pub(crate) fn sessions(lines: Vec<Line>) -> anyhow::Result<Vec<Session>> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut current = None;
    for line in lines {
        if let Line::Machine(machine) = line {
            current = Some(begin(&mut sessions, machine));
            continue;
        }
        let Some(session) = current.and_then(|at: usize| sessions.get_mut(at)) else {
            bail!("the record does not begin with its machine");
        };
        session.take(line)?;
    }
    for session in &mut sessions {
        let failed = std::mem::take(&mut session.failed);
        for study in &mut session.scenarios {
            study.sum_harm();
            study.discard(&failed);
            study.compare_with_oracle();
        }
        session.failed = failed;
    }
    Ok(sessions)
}

/// Where the lines after this machine's belong.
fn begin(sessions: &mut Vec<Session>, machine: Machine) -> usize {
    let known = sessions
        .iter()
        .position(|one| one.machine.is_like(&machine));
    if let Some(session) = known.and_then(|at| sessions.get_mut(at)) {
        if !session.seeds.contains(&machine.seed) {
            session.seeds.push(machine.seed);
        }
        let runs = session
            .scenarios
            .iter()
            .flat_map(|study| &study.arms)
            .flat_map(|arm| &arm.runs);
        let last = runs.map(|one| one.run.round).max();
        session.rounds_before = last.unwrap_or(session.rounds_before);
    }
    known.unwrap_or_else(|| {
        sessions.push(Session {
            seeds: vec![machine.seed],
            machine,
            rounds_before: 0,
            scenarios: Vec::new(),
            failed: Vec::new(),
        });
        sessions.len() - 1
    })
}

impl Session {
    /// Where and from which seeds, in one line, for people.
    pub(crate) fn line(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        format!("{}; seed {}", self.machine.line(), seeds.join(", "))
    }

    fn take(&mut self, line: Line) -> anyhow::Result<()> {
        match line {
            Line::Machine(_) => {}
            Line::Scenario { name, text } => {
                let scenario = scenario::read(&name, &text)
                    .map_err(|problems| anyhow::anyhow!("{}", problems.render(&name)))?;
                match self
                    .scenarios
                    .iter_mut()
                    .find(|study| study.scenario.name == name)
                {
                    None => self.scenarios.push(Study {
                        scenario,
                        arms: Vec::new(),
                    }),
                    // What is promised may have been changed since: the last word counts.
                    Some(known) if known.scenario.plays_like(&scenario) => {
                        known.scenario = scenario
                    }
                    Some(_) => {
                        bail!("{name} is not the same scenario in all records of one machine")
                    }
                }
            }
            Line::Run(mut run) => {
                run.round += self.rounds_before;
                let cpus = self.machine.cpus;
                let study = self
                    .scenarios
                    .iter_mut()
                    .find(|study| study.scenario.name == run.scenario);
                let Some(study) = study else {
                    bail!("a run of {}, which the record does not hold", run.scenario);
                };
                study.take(*run, cpus);
            }
            Line::Failed {
                scenario,
                arm,
                round,
                why,
            } => {
                let round = round + self.rounds_before;
                self.failed.push((scenario, arm, round, why));
            }
        }
        Ok(())
    }
}

impl Study {
    fn take(&mut self, run: Run, cpus: usize) {
        let figures = Figures::of(&run, &self.scenario, cpus);
        let order = |arm: Arm| Arm::ALL.into_iter().position(|one| one == arm);
        let at = match self.arms.iter().position(|one| one.arm == run.arm) {
            Some(at) => at,
            None => {
                let at = self
                    .arms
                    .partition_point(|one| order(one.arm) < order(run.arm));
                let fresh = ArmStudy {
                    arm: run.arm,
                    runs: Vec::new(),
                    discarded: Vec::new(),
                };
                self.arms.insert(at, fresh);
                at
            }
        };
        if let Some(arm) = self.arms.get_mut(at) {
            arm.runs.push(Measured { run, figures });
        }
    }

    /// Sums the harm of each run. What a request takes alone is the median over all runs of each run's median, the lower of
    /// two: a run in which the host was not quiet before the attack would else have suffered nothing in it.
    fn sum_harm(&mut self) {
        let settle = self.scenario.phases.settle;
        let mut alone: HashMap<String, Vec<f64>> = HashMap::new();
        for one in self.arms.iter().flat_map(|arm| &arm.runs) {
            for victim in &one.run.victims {
                let took = Lived::new(victim, &one.run, settle).alone.percentile(0.5);
                alone.entry(victim.name.clone()).or_default().extend(took);
            }
        }
        for all in alone.values_mut() {
            all.sort_by(f64::total_cmp);
        }
        let alone = |victim: &Victim| {
            let all = alone.get(&victim.name)?;
            all.get(all.len().saturating_sub(1) / 2).copied()
        };
        for one in self.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            one.figures.suffered(&one.run, &self.scenario, alone);
        }
    }

    /// Puts aside what proves nothing.
    fn discard(&mut self, failed: &[(String, Arm, u32, String)]) {
        let unharmed: Vec<u32> = self.arm(Arm::None).map_or_else(Vec::new, |none| {
            let harmless = none
                .runs
                .iter()
                .filter(|one| !harmed(self.scenario.harm, &one.figures));
            harmless.map(|one| one.run.round).collect()
        });
        let name = &self.scenario.name;
        for arm in &mut self.arms {
            let runs = std::mem::take(&mut arm.runs);
            for one in runs {
                let round = one.run.round;
                let end = failed.iter().find(|(scenario, on, at, _)| {
                    scenario == name && *on == arm.arm && *at == round
                });
                let late = one.figures.harness_lateness.unwrap_or(0.0);
                let steal = one.figures.steal.unwrap_or(0.0);
                let why = if let Some((.., why)) = end {
                    why.clone()
                } else if late > LATE_MS {
                    format!("the harness woke {late:.0} ms late")
                } else if steal > STEAL {
                    format!("{:.0} % of the CPU time was stolen", steal * 100.0)
                } else if unharmed.contains(&round) {
                    "the ungoverned run shows no harm".to_owned()
                } else {
                    arm.runs.push(one);
                    continue;
                };
                arm.discarded.push((round, why));
            }
        }
    }

    /// How much of the harm that the oracle avoids each run avoids, against its own round.
    fn compare_with_oracle(&mut self) {
        let harm = |arm: Arm, round: u32| {
            let runs = &self.arm(arm)?.runs;
            runs.iter().find(|one| one.run.round == round)?.figures.harm
        };
        let mut shares = Vec::new();
        for arm in &self.arms {
            for one in &arm.runs {
                let round = one.run.round;
                let saved = |here: f64| Some(harm(Arm::None, round)? - here);
                let most = harm(Arm::Oracle, round)
                    .and_then(saved)
                    .filter(|most| *most > 0.0);
                let share = most.and_then(|most| Some(saved(one.figures.harm?)? / most));
                shares.push(share.filter(|share| share.is_finite()));
            }
        }
        let runs = self.arms.iter_mut().flat_map(|arm| &mut arm.runs);
        for (one, share) in runs.zip(shares) {
            one.figures.of_oracle = share;
        }
    }
}

/// Whether an ungoverned run shows the harm that is needed.
fn harmed(harm: Harm, figures: &Figures) -> bool {
    let slow = harm
        .p99
        .map(|least| figures.times.is_some_and(|is| is >= least));
    let unanswered = harm
        .answered
        .map(|most| figures.answered.is_some_and(|is| is <= most));
    match (slow, unanswered) {
        (None, None) => true,
        (slow, unanswered) => slow == Some(true) || unanswered == Some(true),
    }
}
