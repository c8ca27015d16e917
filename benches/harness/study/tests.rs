//! Records on paper, in which every figure can be told by hand.

use super::fields::named;
use super::{Session, sessions};
use crate::arm::Arm;
use crate::machine::Machine;
use crate::record::{Death, Line, Run, Sample, Tool, Usage, Victim, Written};

pub(crate) const SCENARIO: &str = r#"
title = "on paper"
class = "cpu"
[phases]
alone = "5s"
attacked = "10s"
recovery = "5s"
[[victim]]
name = "victim"
load = "victim timer --work 5ms --every 100ms"
[[attacker]]
name = "hog"
load = "hog cpu --threads 8"
[static.hog]
"cpu.max" = "10000 100000"
[harm]
p99 = 2
[holds]
p99 = 1.5
hard = false
"#;

pub(super) const MS: u64 = 1_000;
const SECOND: u64 = 1_000_000;
const ATTACK: u64 = 105 * SECOND;

/// A victim asks every 100 ms and is answered after 10 ms; in the attack after what `latency` says, for a
/// moment in milliseconds since its start.
pub(super) fn run(arm: Arm, latency: impl Fn(u64) -> Option<u64>) -> Run {
    let mut run = Run {
        scenario: "paper".to_owned(),
        arm,
        round: 1,
        first_us: ATTACK - 5 * SECOND,
        attack_us: ATTACK,
        attack_end_us: ATTACK + 10 * SECOND,
        end_us: ATTACK + 15 * SECOND,
        restored_us: Some(ATTACK + 11 * SECOND),
        ..Run::default()
    };
    let mut requests = Vec::new();
    for due in (run.first_us..run.end_us).step_by(100_000) {
        let under_attack = (ATTACK..run.attack_end_us).contains(&due);
        let ms = if under_attack {
            latency((due - ATTACK) / MS)
        } else {
            Some(10)
        };
        requests.push((due, ms.map(|ms| ms * MS)));
    }
    run.victims.push(Victim {
        name: "victim".to_owned(),
        requests,
        refused: 0,
    });
    for group in ["victim", "hog"] {
        let knobs = [("cpu.weight", "100"), ("cpu.max", "max 100000")];
        let knobs = knobs.map(|(knob, text)| (knob.to_owned(), text.to_owned()));
        run.before.insert(group.to_owned(), knobs.into());
    }
    run.after = run.before.clone();
    // The victim has 0.1 CPUs, the hog 0.8.
    for tenth in 0..=150 {
        let at_us = run.attack_us + tenth * 100_000;
        let group = |cpu_us| Usage {
            cpu_us,
            tasks: 9,
            ..Usage::default()
        };
        run.samples.push(Sample {
            at_us,
            late_us: 0,
            groups: vec![group(tenth * 10_000), group(tenth * 80_000)],
        });
    }
    run
}

pub(super) fn wrote(run: &mut Run, ms: u64, group: &str, knob: &str, text: &str) {
    run.writes.push(Written {
        at_us: ATTACK + ms * MS,
        group: group.to_owned(),
        knob: knob.to_owned(),
        text: text.to_owned(),
    });
}

pub(crate) fn session(runs: Vec<Run>) -> Session {
    played(SCENARIO, runs)
}

/// Runs of a scenario of this text.
pub(super) fn played(text: &str, runs: Vec<Run>) -> Session {
    let mut lines = vec![
        Line::Machine(Machine {
            cpus: 1,
            ..Machine::default()
        }),
        Line::Scenario {
            name: "paper".to_owned(),
            text: text.to_owned(),
        },
    ];
    lines.extend(runs.into_iter().map(|run| Line::Run(Box::new(run))));
    sessions(lines).expect("a sound record").remove(0)
}

fn figure(session: &Session, arm: Arm, name: &str) -> Option<f64> {
    let arm = session.scenarios[0].arm(arm).expect("the arm was run");
    let field = named(name).expect("a figure of this name");
    field.of(&arm.runs[0].figures)
}

/// Nothing, a hand, and a governor that needs a second: the first ten requests wait 500 ms, then 12.
pub(crate) fn three() -> Vec<Run> {
    let none = run(Arm::None, |_| Some(1_010));
    let oracle = run(Arm::Oracle, |_| Some(10));
    let mut governor = run(Arm::Governor, |ms| Some(if ms < 1_000 { 500 } else { 12 }));
    wrote(&mut governor, 200, "hog", "cpu.weight", "10");
    wrote(&mut governor, 900, "hog", "cpu.weight", "1");
    wrote(&mut governor, 11_000, "hog", "cpu.weight", "100");
    vec![none, governor, oracle]
}

#[test]
fn latencies_are_told_by_phase() {
    let session = session(three());
    let figure = |name| figure(&session, Arm::Governor, name);
    assert_eq!(figure("alone_p99_ms"), Some(10.0));
    assert_eq!(figure("p50_ms"), Some(12.0));
    assert_eq!(figure("p99_ms"), Some(500.0));
    assert_eq!(figure("p99_times"), Some(50.0));
    assert_eq!(figure("recovery_max_ms"), Some(10.0));
    assert_eq!(figure("answered"), Some(1.0));
}

#[test]
fn harm_is_what_was_waited_beyond_what_a_request_takes_alone() {
    let session = session(three());
    assert_eq!(
        figure(&session, Arm::None, "harm_ms"),
        Some(100.0 * 1_000.0)
    );
    assert_eq!(figure(&session, Arm::Oracle, "harm_ms"), Some(0.0));
    let governor = 10.0 * 490.0 + 90.0 * 2.0;
    assert_eq!(figure(&session, Arm::Governor, "harm_ms"), Some(governor));
    let of_oracle = figure(&session, Arm::Governor, "of_oracle");
    assert_eq!(of_oracle, Some((100_000.0 - governor) / 100_000.0));
}

#[test]
fn who_was_not_alone_before_the_attack_is_compared_with_those_who_were() {
    let mut runs = three();
    let attack_us = runs[1].attack_us;
    for (due, latency) in &mut runs[1].victims[0].requests {
        if *due < attack_us {
            *latency = Some(600_000);
        }
    }
    let governor = 10.0 * 490.0 + 90.0 * 2.0;
    let harm = figure(&session(runs), Arm::Governor, "harm_ms");
    assert_eq!(harm, Some(governor));
}

#[test]
fn a_request_that_is_never_answered_waits_until_the_victim_gives_up() {
    let mut runs = three();
    runs[0] = run(Arm::None, |ms| (ms >= 100).then_some(1_010));
    let session = session(runs);
    assert_eq!(figure(&session, Arm::None, "max_ms"), Some(f64::INFINITY));
    // The last request is due 14.9 s after the first of the attack, and 30 s are waited.
    let lost = 14_900.0 + 30_000.0 - 10.0;
    assert_eq!(
        figure(&session, Arm::None, "harm_ms"),
        Some(99.0 * 1_000.0 + lost)
    );
}

#[test]
fn limits_are_read_from_the_knobs() {
    let session = session(three());
    let figure = |name| figure(&session, Arm::Governor, name);
    assert_eq!(figure("first_limit_ms"), Some(200.0));
    assert_eq!(figure("relief_ms"), Some(900.0));
    assert_eq!(figure("effective_limit_ms"), Some(900.0));
    assert_eq!(figure("precision"), Some(1.0));
    assert_eq!(figure("recall"), Some(1.0));
    assert_eq!(figure("wrong_s"), Some(0.0));
    assert_eq!(figure("hard_s"), Some(0.0));
    assert_eq!(figure("turns"), Some(0.0));
    assert_eq!(
        figure("restored_ms"),
        None,
        "no tool was there to give anything back"
    );
}

#[test]
fn what_the_tool_cost_is_told_by_the_second() {
    let mut runs = three();
    runs[1].tool = Some(Tool {
        cpu_us: 60_000,
        over_us: 2_000_000,
        reads_writes: Some(500),
        switches: None,
        ..Tool::default()
    });
    let session = session(runs);
    let figure = |name| figure(&session, Arm::Governor, name);
    assert_eq!(figure("tool_cpu"), Some(0.03));
    assert_eq!(figure("tool_reads_writes_per_s"), Some(250.0));
    assert_eq!(figure("tool_switches_per_s"), None, "it was not counted");
}

#[test]
fn a_line_of_io_max_is_a_hold_until_it_is_gone() {
    let mut runs = three();
    runs[1].writes.clear();
    for knobs in runs[1].before.values_mut() {
        knobs.insert("io.max".to_owned(), String::new());
    }
    wrote(
        &mut runs[1],
        300,
        "hog",
        "io.max",
        "8:0 rbps=max wbps=max riops=200 wiops=max",
    );
    wrote(
        &mut runs[1],
        500,
        "hog",
        "io.max",
        "8:0 rbps=max wbps=max riops=100 wiops=max",
    );
    wrote(&mut runs[1], 2_300, "hog", "io.max", "");
    let session = session(runs);
    assert_eq!(
        figure(&session, Arm::Governor, "first_limit_ms"),
        Some(300.0)
    );
    assert_eq!(figure(&session, Arm::Governor, "hard_s"), Some(2.0));
    assert_eq!(figure(&session, Arm::Governor, "turns"), Some(0.0));
    assert_eq!(figure(&session, Arm::Governor, "recall"), Some(1.0));
}

#[test]
fn there_is_no_relief_while_requests_are_slow_to_the_end() {
    let session = session(three());
    assert_eq!(figure(&session, Arm::None, "relief_ms"), None);
    assert_eq!(figure(&session, Arm::Oracle, "relief_ms"), Some(0.0));
}

#[test]
fn an_innocent_that_is_held_is_counted_by_the_second() {
    let mut runs = three();
    wrote(&mut runs[1], 1_000, "victim", "cpu.max", "5000 100000");
    wrote(&mut runs[1], 3_000, "victim", "cpu.max", "max 100000");
    let session = session(runs);
    assert_eq!(figure(&session, Arm::Governor, "wrong_s"), Some(2.0));
    assert_eq!(figure(&session, Arm::Governor, "hard_s"), Some(2.0));
    assert_eq!(figure(&session, Arm::Governor, "precision"), Some(0.5));
}

#[test]
fn a_raised_victim_is_not_held() {
    let mut runs = three();
    wrote(&mut runs[1], 1_000, "victim", "cpu.weight", "1000");
    let session = session(runs);
    assert_eq!(figure(&session, Arm::Governor, "wrong_s"), Some(0.0));
    assert_eq!(figure(&session, Arm::Governor, "precision"), Some(1.0));
}

#[test]
fn what_the_attackers_keep_is_what_the_victims_left() {
    let session = session(three());
    let keeps = figure(&session, Arm::Governor, "attackers_keep").expect("samples are there");
    assert!((keeps - 8.0 / 9.0).abs() < 1e-9, "{keeps}");
}

#[test]
fn a_round_without_harm_counts_for_nobody() {
    let mut runs = three();
    runs[0] = run(Arm::None, |_| Some(11));
    let session = session(runs);
    for arm in &session.scenarios[0].arms {
        assert!(arm.runs.is_empty());
        assert_eq!(arm.discarded.len(), 1);
        assert!(
            arm.discarded[0].1.contains("no harm"),
            "{:?}",
            arm.discarded
        );
    }
}

#[test]
fn a_run_in_which_the_harness_was_late_is_discarded_alone() {
    let mut runs = three();
    for sample in &mut runs[2].samples {
        sample.late_us = 300_000;
    }
    let session = session(runs);
    assert!(
        session.scenarios[0]
            .arm(Arm::Oracle)
            .expect("it was run")
            .runs
            .is_empty()
    );
    assert_eq!(
        session.scenarios[0]
            .arm(Arm::None)
            .expect("it was run")
            .runs
            .len(),
        1
    );
}

#[test]
fn a_victim_that_was_killed_is_worse_than_any_latency() {
    let mut runs = three();
    runs[1].victims.clear();
    runs[1].deaths.push(Death {
        at_us: ATTACK + SECOND,
        who: "victim".to_owned(),
        how: "signal: 9".to_owned(),
    });
    let session = session(runs);
    assert_eq!(
        figure(&session, Arm::Governor, "harm_ms"),
        Some(f64::INFINITY)
    );
    assert_eq!(figure(&session, Arm::Governor, "answered"), Some(0.0));
    assert_eq!(figure(&session, Arm::Governor, "precision"), Some(0.5));
}

#[test]
fn a_second_call_on_the_same_machine_adds_rounds() {
    let call = |seed, runs: Vec<Run>| {
        let machine = Line::Machine(Machine {
            cpus: 1,
            seed,
            ..Machine::default()
        });
        let scenario = Line::Scenario {
            name: "paper".to_owned(),
            text: SCENARIO.to_owned(),
        };
        let runs = runs.into_iter().map(|run| Line::Run(Box::new(run)));
        [machine, scenario]
            .into_iter()
            .chain(runs)
            .collect::<Vec<_>>()
    };
    let mut lines = call(1, three());
    lines.extend(call(2, three()));
    let sessions = sessions(lines).expect("a sound record");
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].seeds, [1, 2]);
    let rounds = &sessions[0].scenarios[0]
        .arm(Arm::Governor)
        .expect("it was run")
        .runs;
    assert_eq!(
        rounds.iter().map(|one| one.run.round).collect::<Vec<_>>(),
        [1, 2]
    );
    // Each is compared with its own round.
    assert!(rounds.iter().all(|one| one.figures.of_oracle.is_some()));
}

#[test]
fn a_broken_promise_is_told() {
    let session = session(three());
    let broken = session.scenarios[0].broken().expect("the governor was run");
    assert_eq!(broken, ["p99 is 50.00 × alone, not 1.5"]);
}
