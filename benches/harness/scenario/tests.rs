use super::find::find;
use super::{Clock, read};
use crate::arm::Arm;
use std::path::Path;

const SOUND: &str = r#"
title = "a hog beside a victim"
class = "cpu"

[phases]
alone = "6s"
attacked = "8s"
recovery = "3s"

[[victim]]
name = "victim"
load = "victim timer --work 5ms --every 50ms"

[[attacker]]
name = "hog"
load = "hog cpu --threads 8"

[oracle.hog]
"cpu.weight" = "1"

[harm]
p99 = 3
"#;

/// The problems of the sound text with one part of it replaced.
fn problems(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from:?} is not in the text");
    let read = read("tried", &SOUND.replacen(from, to, 1));
    read.expect_err("this is not valid").to_string()
}

#[test]
fn what_a_scenario_does_not_say_has_a_default() {
    let scenario = read("tried", SOUND).expect("a sound text");
    assert_eq!(scenario.seed, 1);
    assert_eq!(scenario.clock, Clock::Any);
    assert_eq!(scenario.phases.settle, 1_000_000);
    assert_eq!(scenario.length(), 17_000_000);
    let hog = &scenario.attackers[0];
    assert_eq!((hog.after, hog.children, hog.fresh), (0, 0, false));
}

#[test]
fn an_arm_without_limits_does_not_apply() {
    let scenario = read("tried", SOUND).expect("a sound text");
    assert!(Arm::Oracle.applies(&scenario));
    assert!(
        !Arm::Static.applies(&scenario),
        "no limits are given for it"
    );
    assert!(
        Arm::Earlyoom.applies(&scenario),
        "what it leaves alone is told by figures"
    );
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_one_that_was_meant() {
    let told = problems("recovery =", "recovry =");
    assert!(
        told.contains("8:1: `recovry` is no key of [phases]"),
        "{told}"
    );
    assert!(told.contains("did you mean `recovery`?"), "{told}");
    assert!(told.contains("`phases.recovery` lacks"), "{told}");
}

#[test]
fn impossible_phases_are_refused() {
    let told = problems("\"6s\"", "\"3100ms\"");
    assert!(
        told.contains("`phases.alone` is hardly longer than `phases.settle` and two seconds"),
        "{told}"
    );
    let told = problems("\"8s\"", "\"20ms\"");
    assert!(told.contains("`phases.attacked` is impossible"), "{told}");
    let told = problems("\"8s\"", "8");
    assert!(told.contains("`phases.attacked` cannot be 8"), "{told}");
}

#[test]
fn a_load_is_tried_on_the_loads_own_parser() {
    let told = problems("hog cpu --threads 8", "hog cpu --thread 8");
    assert!(told.contains("--thread"), "{told}");
    let told = problems("hog cpu --threads 8", "hog cpu --threads 8 --for 10s");
    assert!(told.contains("--for is the harness's to give"), "{told}");
    let told = problems(
        "victim timer --work 5ms --every 50ms",
        "hog cpu --threads 1",
    );
    assert!(told.contains("a load that measures nothing"), "{told}");
}

#[test]
fn limits_are_of_known_knobs_of_known_groups() {
    let told = problems("oracle.hog", "oracle.hug");
    assert!(told.contains("did you mean [oracle.hog]?"), "{told}");
    let told = problems("cpu.weight", "cpu.wait");
    assert!(told.contains("did you mean \"cpu.weight\"?"), "{told}");
}

#[test]
fn an_attack_must_say_what_harm_it_does() {
    let told = problems("[harm]\np99 = 3\n", "");
    assert!(told.contains("`harm` lacks"), "{told}");
    let benign = SOUND
        .replace("[harm]\np99 = 3\n", "")
        .replace("\"cpu\"", "\"benign\"");
    assert!(read("tried", &benign).is_ok());
}

#[test]
fn a_group_that_comes_late_has_none_below_it() {
    let told = problems(
        "name = \"hog\"",
        "name = \"hog\"\nfresh = true\nchildren = 8",
    );
    assert!(
        told.contains("`attacker.children` of one that is `fresh`"),
        "{told}"
    );
}

#[test]
fn a_helper_is_no_container_and_needs_no_victims_load() {
    let text = format!("{SOUND}\n[[helper]]\nname = \"logger\"\nload = \"hog cpu --threads 1\"\n");
    let scenario = read("tried", &text).expect("a sound text");
    assert_eq!(scenario.helpers[0].name, "logger");
    let told =
        read("tried", &text.replace("\"logger\"", "\"hog\"")).expect_err("that name is taken");
    assert!(told.to_string().contains("two are called `hog`"), "{told}");
}

#[test]
fn two_of_one_name_are_refused() {
    let told = problems("name = \"hog\"", "name = \"victim\"");
    assert!(told.contains("two are called `victim`"), "{told}");
}

#[test]
fn the_policy_of_a_scenario_is_read_by_the_policys_own_reader() {
    let told = problems("class = ", "policy = \"[cpu]\\nidel = true\"\nclass = ");
    assert!(
        told.contains("`policy`: `idel` is no key of [cpu]"),
        "{told}"
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let wrong = SOUND
        .replace("title", "titel")
        .replace("\"6s\"", "6")
        .replace("p99 = 3", "p98 = 3");
    let told = read("tried", &wrong)
        .expect_err("three mistakes")
        .to_string();
    for part in [
        "`title` lacks",
        "`titel` is no key",
        "`phases.alone` cannot be 6",
        "`p98` is no key of [harm]",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn the_shipped_scenarios_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scenarios");
    let found = find(&folder, &[]).unwrap_or_else(|why| panic!("{why:#}"));
    assert!(found.len() >= 10, "only {} were found", found.len());
}

const HOG: &str = r#"load = "hog cpu --threads 8""#;

#[test]
fn an_attacker_may_be_a_program() {
    let text = SOUND.replacen(HOG, r#"program = "stress-ng --cpu 8""#, 1);
    let scenario = read("tried", &text).expect("a sound text");
    let words = scenario.attackers[0].program.clone().unwrap_or_default();
    assert_eq!(words, ["stress-ng", "--cpu", "8"]);
}

#[test]
fn several_lines_are_a_script() {
    let script = "program = '''\nmkdir {work}/a\nexec stress-ng\n'''";
    let scenario = read("tried", &SOUND.replacen(HOG, script, 1)).expect("a sound text");
    let words = scenario.attackers[0].program.clone().unwrap_or_default();
    assert_eq!(words, ["sh", "-ec", "mkdir {work}/a\nexec stress-ng\n"]);
}

#[test]
fn how_long_a_program_lasts_is_not_the_harnesss_to_say() {
    let told = problems(HOG, "program = \"stress-ng --cpu 8\"\nlasts = \"2s\"");
    assert!(told.contains("`attacker.lasts` is for loads"), "{told}");
}

#[test]
fn an_attacker_without_load_and_program_is_told_of_both() {
    let told = problems(HOG, "");
    assert!(told.contains("`attacker.load` lacks"), "{told}");
    assert!(told.contains("or `program`"), "{told}");
}
