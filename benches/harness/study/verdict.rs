//! Whether an attack was contained, and whether the right ones were acted upon: from the record, by the rules that
//! [`RULE`] tells.

use super::fields::named;
use super::figures::Figures;
use super::{ArmStudy, Measured, Session, Study};
use crate::arm::Arm;
use crate::scenario::Class;
use std::collections::BTreeSet;

/// The rules, for people.
pub(crate) const RULE: &str = "Contained: in the median over the rounds the victim has at least 90 % of the answers that it has \
alone, and its p99 while the attack lasts, its first moment included, is at most twice what it is alone or 1.2 times what it is \
with the hand; nobody but the aggressors is refused a fork or met by the kernel's OOM killer. Where the harm is that something ends \
(the scenario states no p99 as harm), the answers and that nobody else is refused or killed are all that counts. Framing: besides, no innocent is \
held. On the governor: besides, its loop wakes at most 50 ms late (99th percentile). Benign: nobody is held by more than a \
weight, and nobody at all in a round whose ungoverned run harms nobody: at least 90 % of the answers, p99 at most 1.5 times alone.";

const THROUGHPUT: f64 = 0.9;
const TIMES_ALONE: f64 = 2.0;
const TIMES_ORACLE: f64 = 1.2;
/// Who is kept waiting half as long again as alone is harmed, though no attack is needed to do that.
const TIMES_HARMED: f64 = 1.5;
const LATE_MS: f64 = 50.0;

/// What the record says of the governor in one scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing: no run of it counts.
    Unknown,
    /// It did what is wanted.
    Contained,
    /// It did not: why.
    Not(Vec<String>),
}

impl Study {
    /// See [`RULE`].
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(governor) = self.arm(Arm::Governor).filter(|arm| !arm.runs.is_empty()) else {
            return Verdict::Unknown;
        };
        let mut why = if self.scenario.class == Class::Benign {
            self.needless(governor)
        } else {
            let mut why = self.suffers(governor);
            why.extend(self.hit(governor));
            why
        };
        match self.scenario.class {
            Class::Framing => {
                let held = governor.count(|figures| figures.wrong.is_some_and(|s| s > 0.0));
                why.extend((held > 0).then(|| format!("an innocent was held in {held} runs")));
            }
            Class::Governor => {
                let late = governor
                    .median("tool_lateness_ms")
                    .filter(|ms| *ms > LATE_MS);
                why.extend(late.map(|ms| format!("its loop woke {ms:.0} ms late")));
            }
            _ => {}
        }
        let inexact = governor.count(|figures| figures.exact != Some(1.0));
        why.extend(
            (inexact > 0).then(|| format!("not all was given back exactly in {inexact} runs")),
        );
        if why.is_empty() {
            Verdict::Contained
        } else {
            Verdict::Not(why)
        }
    }

    /// What the victims still have to suffer.
    fn suffers(&self, arm: &ArmStudy) -> Vec<String> {
        let mut why = Vec::new();
        let throughput = arm.median("throughput").unwrap_or(0.0);
        if throughput < THROUGHPUT {
            why.push(format!("{:.0} % of the answers", throughput * 100.0));
        }
        let times = arm.median("p99_times").unwrap_or(f64::INFINITY);
        let p99 = arm.median("p99_ms").unwrap_or(f64::INFINITY);
        let oracle = self.arm(Arm::Oracle).and_then(|arm| arm.median("p99_ms"));
        let like_oracle = oracle.is_some_and(|ms| p99 <= TIMES_ORACLE * ms);
        // Who is killed or refused has no latency, and who is not was hardly ever late.
        let ends = self.scenario.harm.p99.is_none();
        if times > TIMES_ALONE && !like_oracle && !ends {
            let ms =
                named("p99_ms").map_or(String::new(), |field| crate::format::show(p99, field.unit));
            let hand = oracle.map_or(String::new(), |ms| {
                format!(", {:.1} × the hand's", p99 / ms)
            });
            why.push(format!("p99 {ms}: {times:.1} × alone{hand}"));
        }
        why
    }

    /// Whom an end of something met that was not the aggressors'.
    fn hit(&self, arm: &ArmStudy) -> Option<String> {
        let victims: BTreeSet<&str> = self
            .scenario
            .victims
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let hit = arm.runs.iter().filter(|one| {
            let run = &one.run;
            let killed = run
                .oom_kills
                .iter()
                .any(|(group, kills)| *kills > 0 && victims.contains(group.as_str()));
            killed || run.victims.iter().any(|victim| victim.refused > 0)
        });
        let hit = hit.count();
        (hit > 0).then(|| format!("a victim was refused a fork or killed in {hit} runs"))
    }

    /// What was done although nobody needed it.
    fn needless(&self, governor: &ArmStudy) -> Vec<String> {
        let hard = governor.count(|figures| figures.hard.is_some_and(|s| s > 0.0));
        let mut why: Vec<String> = (hard > 0)
            .then(|| format!("somebody was held hard in {hard} runs"))
            .into_iter()
            .collect();
        let needless = governor
            .runs
            .iter()
            .filter(|one| one.figures.interventions > 0 && !self.harmed_in(one.run.round));
        let needless = needless.count();
        why.extend(
            (needless > 0).then(|| format!("somebody was held for nobody in {needless} runs")),
        );
        why
    }

    /// Whether the ungoverned run of a round shows that somebody was harmed.
    fn harmed_in(&self, round: u32) -> bool {
        let alone = self.arm(Arm::None).into_iter().flat_map(|arm| &arm.runs);
        let mut here = alone.filter(|one| one.run.round == round);
        here.any(|one| {
            one.figures.throughput.is_some_and(|part| part < THROUGHPUT)
                || one.figures.times.is_some_and(|times| times > TIMES_HARMED)
        })
    }

    /// The governor's runs that tell of attribution: of a benign scenario those in which nobody was harmed,
    /// because where somebody was, it may act.
    fn telling(&self) -> impl Iterator<Item = &Measured> {
        let runs = self
            .arm(Arm::Governor)
            .into_iter()
            .flat_map(|arm| &arm.runs);
        runs.filter(|one| self.scenario.class != Class::Benign || !self.harmed_in(one.run.round))
    }
}

impl ArmStudy {
    /// In how many of its runs that is so.
    fn count(&self, is: impl Fn(&Figures) -> bool) -> usize {
        self.runs.iter().filter(|one| is(&one.figures)).count()
    }
}

/// Who was acted upon, over all governed runs. An intervention is a time in which a group was held without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct Attribution {
    /// All.
    pub(crate) interventions: u32,
    /// Those on a true aggressor.
    pub(crate) right: u32,
    /// All aggressors, of each run.
    pub(crate) aggressors: u32,
    /// Those that were held.
    pub(crate) found: u32,
}

impl Attribution {
    /// Over these sessions.
    pub(crate) fn of(sessions: &[Session]) -> Attribution {
        let studies = sessions.iter().flat_map(|session| &session.scenarios);
        let mut all = Attribution::default();
        for study in studies {
            for one in study.telling() {
                let figures = &one.figures;
                all.interventions += figures.interventions;
                if study.scenario.class != Class::Benign {
                    all.right += figures.right;
                    all.found += figures.found;
                    all.aggressors += figures.aggressors;
                }
            }
        }
        all
    }

    /// The part of the interventions that is right; `None` without any.
    pub(crate) fn precision(&self) -> Option<f64> {
        share(self.right, self.interventions)
    }

    /// The part of the aggressors that was found.
    pub(crate) fn recall(&self) -> Option<f64> {
        share(self.found, self.aggressors)
    }

    /// The lower end of the 95 % interval of the precision (Wilson).
    pub(crate) fn precision_low(&self) -> Option<f64> {
        let part = self.precision()?;
        let (n, z) = (f64::from(self.interventions), 1.96_f64);
        let spread = z * (part * (1.0 - part) / n + z * z / (4.0 * n * n)).sqrt();
        Some((part + z * z / (2.0 * n) - spread) / (1.0 + z * z / n))
    }

    /// In one line, for people.
    pub(crate) fn line(&self) -> String {
        let percent = |part: Option<f64>| {
            part.map_or("–".to_owned(), |part| format!("{:.1} %", part * 100.0))
        };
        format!(
            "{} of {} interventions on a true aggressor: precision {} (95 %: at least {}); {} of {} aggressors held: recall {}",
            self.right,
            self.interventions,
            percent(self.precision()),
            percent(self.precision_low()),
            self.found,
            self.aggressors,
            percent(self.recall()),
        )
    }
}

fn share(part: u32, of: u32) -> Option<f64> {
    (of > 0).then(|| f64::from(part) / f64::from(of))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SCENARIO, played, run, session, three, wrote};
    use super::*;

    fn verdict(session: &Session) -> Verdict {
        session.scenarios[0].verdict()
    }

    /// Nobody helps: 20 times alone. The governor's attack is as `latency` says, the hand's is 30 ms.
    fn tried(text: &str, latency: impl Fn(u64) -> Option<u64>) -> Session {
        let mut governor = run(Arm::Governor, latency);
        wrote(&mut governor, 200, "hog", "cpu.weight", "10");
        wrote(&mut governor, 11_000, "hog", "cpu.weight", "100");
        let runs = vec![
            run(Arm::None, |_| Some(200)),
            governor,
            run(Arm::Oracle, |_| Some(30)),
        ];
        played(text, runs)
    }

    #[test]
    fn twice_alone_is_contained_and_so_is_what_the_hand_gives() {
        let contained = |ms| verdict(&tried(SCENARIO, |_| Some(ms))) == Verdict::Contained;
        assert!(contained(20), "twice alone");
        assert!(contained(36), "1.2 times the hand's");
        assert!(!contained(37), "more than both");
    }

    #[test]
    fn where_the_harm_is_that_something_ends_a_late_answer_is_one() {
        let text = SCENARIO.replace("p99 = 2\n", "answered = \"99%\"\n");
        assert_ne!(text, SCENARIO);
        let late = |part: u64| verdict(&tried(&text, move |ms| (ms < part).then_some(37)));
        assert_eq!(late(u64::MAX), Verdict::Contained);
        assert!(matches!(late(8_000), Verdict::Not(_)));
    }

    #[test]
    fn who_has_no_answers_is_not_contained_however_fast_the_others_are() {
        let session = tried(SCENARIO, |ms| (ms < 8_000).then_some(10));
        let Verdict::Not(why) = verdict(&session) else {
            panic!("a fifth was never answered");
        };
        assert!(why[0].contains("80 % of the answers"), "{why:?}");
    }

    #[test]
    fn a_victim_that_was_refused_a_fork_is_not_contained() {
        let mut runs = three();
        runs[1] = run(Arm::Governor, |_| Some(10));
        runs[1].victims[0].refused = 1;
        let Verdict::Not(why) = verdict(&session(runs)) else {
            panic!("it was refused");
        };
        assert_eq!(why, ["a victim was refused a fork or killed in 1 runs"]);
    }

    #[test]
    fn who_frames_fails_where_an_innocent_is_held() {
        let text = SCENARIO.replace("\"cpu\"", "\"framing\"");
        let mut runs = three();
        runs[1] = run(Arm::Governor, |_| Some(10));
        assert_eq!(verdict(&played(&text, runs)), Verdict::Contained);
        let mut runs = three();
        runs[1] = run(Arm::Governor, |_| Some(10));
        wrote(&mut runs[1], 100, "victim", "cpu.weight", "10");
        wrote(&mut runs[1], 900, "victim", "cpu.weight", "100");
        let Verdict::Not(why) = verdict(&played(&text, runs)) else {
            panic!("the victim was held");
        };
        assert_eq!(why, ["an innocent was held in 1 runs"]);
    }

    #[test]
    fn a_benign_one_may_be_held_softly_where_it_harms_and_never_where_it_does_not() {
        let text = SCENARIO
            .replace("\"cpu\"", "\"benign\"")
            .replace("[harm]\np99 = 2\n", "");
        assert_eq!(verdict(&tried(&text, |_| Some(100))), Verdict::Contained);
        let mut runs = three();
        runs[0] = run(Arm::None, |_| Some(11));
        let harmless = played(&text, runs);
        let Verdict::Not(why) = verdict(&harmless) else {
            panic!("it was held for nobody");
        };
        assert_eq!(why, ["somebody was held for nobody in 1 runs"]);
        let attribution = Attribution::of(&[harmless]);
        assert_eq!((attribution.interventions, attribution.right), (1, 0));
    }

    #[test]
    fn precision_counts_each_time_that_somebody_was_held() {
        let mut runs = three();
        wrote(&mut runs[1], 1_000, "victim", "cpu.weight", "50");
        wrote(&mut runs[1], 2_000, "victim", "cpu.weight", "100");
        wrote(&mut runs[1], 3_000, "victim", "cpu.weight", "50");
        wrote(&mut runs[1], 4_000, "victim", "cpu.weight", "100");
        let all = Attribution::of(&[session(runs)]);
        let counts = (all.interventions, all.right, all.aggressors, all.found);
        assert_eq!(counts, (3, 1, 1, 1));
        assert_eq!(all.recall(), Some(1.0));
    }

    #[test]
    fn of_300_right_ones_98_percent_are_certain_and_of_294_they_are_not() {
        let low = |right| {
            let all = Attribution {
                interventions: 300,
                right,
                ..Attribution::default()
            };
            all.precision_low().expect("there are some")
        };
        assert!((low(300) - 0.9874).abs() < 1e-4, "{}", low(300));
        assert!(low(294) < 0.98);
    }
}
