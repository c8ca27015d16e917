//! The claims of this room: what is read, and what is told.

mod globs;
mod shipped;

use super::keys::KEYS;
use super::*;
use crate::model::{Bytes, Mode, Share, Span, Weight};

fn problems(text: &str) -> Problems {
    parse(text).expect_err("the text is unsound")
}

/// The only problem of a text.
fn problem(text: &str) -> Problem {
    let problems = problems(text);
    assert_eq!(problems.count(), 1, "{problems}");
    problems.all()[0].clone()
}

#[test]
fn an_empty_text_is_the_default_policy() {
    assert_eq!(parse("").unwrap(), Policy::default());
    assert_eq!(
        parse_bytes(b"\xef\xbb\xbf# only a mark\r\n").unwrap(),
        Policy::default()
    );
}

#[test]
fn every_key_is_read_into_its_own_place() {
    let text = r#"
        mode = "dry-run"
        [detect]
        tolerance = "3%"
        bucket = "9ms"
        baseline = "1 %"
        baseline_max = "6.5%"
        margin = 2
        verify = "1s 500ms"
        relief = "30%"
        exonerate = "1m"
        [cpu]
        enforce = false
        guarantee = "50%"
        weight_floor = 0x0a
        idle = true
        cap = false
        freeze = false
        cap_floor = 0.5
        on_behalf = false
        on_behalf_floor = 0.2
        cap_period = "20ms"
        demand_max = "80%"
        [memory]
        enforce = false
        reserve = "0%"
        floor = "1.5GiB"
        swap = false
        kill = true
        kill_within = "10s"
        [pids]
        enforce = false
        reserve = "5%"
        floor = 500
        kill = true
        [io]
        enforce = false
        floor = "512KiB"
        floor_operations = 9
        [release]
        quiet = "3s"
        hold = "4s"
        hold_max = "1h"
        step = "1s"
        lease = "1m"
        escape = "20s"
        others = "alert"
        [runtime]
        budget = "2.5%"
        socket = "/run/other/sock"
        state = "/run/other"
        rescan = "1m"
        docker = []
        [record]
        enabled = false
        keep = "10m"
        size = "1GiB"
        incidents = ""
        incidents_max = 1000
        [containers]
        paths = ["/jobs/*"]
    "#;
    let policy = parse(text).unwrap();
    assert_eq!(difference(&Policy::default(), &policy).len(), KEYS.len());
    assert_eq!(policy.mode, Mode::DryRun);
    assert_eq!(policy.detect.baseline, Share::new(0.01));
    assert_eq!(policy.detect.margin, 2.0);
    assert_eq!(policy.detect.verify, Span::from_millis(1_500));
    assert_eq!(policy.cpu.weight_floor, Weight::new(10).unwrap());
    assert_eq!(policy.memory.floor, Bytes::from_mib(1_536));
    assert_eq!(policy.runtime.budget, Share::new(0.025));
    assert_eq!(policy.containers, ["/jobs/*"]);
}

#[test]
fn a_difference_names_the_key_and_both_values() {
    let new = parse("[release]\nhold = '90s'\n[[protect]]\nname = 'db'").unwrap();
    let difference = difference(&Policy::default(), &new);
    assert_eq!(difference.len(), 2);
    assert_eq!(difference[0].key, "release.hold");
    assert_eq!(
        (&*difference[0].old, &*difference[0].new),
        ("\"2s\"", "\"1m 30s\"")
    );
    assert_eq!(difference[1].key, "protect");
    assert!(
        difference[1].new.ends_with(r#", { name = "db" }]"#),
        "{:?}",
        difference[1]
    );
}

#[test]
fn a_problem_shows_its_line_and_says_what_to_write() {
    let shown = problems("[cpu]\n  guarantee = 40 # percent\n").render("governor.toml");
    assert_eq!(
        shown,
        r#"error: `cpu.guarantee` cannot be 40
 --> governor.toml:2:15
  |
2 |   guarantee = 40 # percent
  |               ^^ a bare number: the % and the quotes lack
  |
  = help: write a percentage from "1%" to "100%"; the default is "40%"

governor.toml: 1 problem
"#
    );
}

#[test]
fn all_problems_are_told_at_once_and_in_their_order() {
    let text = "mode = \"fast\"\n[cpu]\nidel = true\ncap = 1\n[release]\nhold = \"10\"\n[cup]\nidle = true\n";
    let told = problems(text).to_string();
    assert_eq!(
        told,
        r#"1:8: `mode` cannot be "fast": no such mode; write "enforce" or "dry-run"; the default is "enforce"
3:1: `idel` is no key of [cpu]: unknown; did you mean `idle`?
4:7: `cap` cannot be 1: this is an integer; write true or false, without quotes; the default is true
6:8: `release.hold` cannot be "10": not a length of time such as "400ms" or "10s"; write a length of time from "100ms" to "1h"; the default is "2s"
7:2: `cup` is neither a key nor a section: unknown; did you mean `cpu`?"#
            .replace("`cap`", "`cpu.cap`")
    );
}

#[test]
fn values_of_the_wrong_type_or_out_of_range_are_refused_with_the_reason() {
    for (text, why) in [
        ("mode = true", "this is true or false"),
        ("cpu.idle = 'yes'", "this is a string"),
        ("cpu.guarantee = '40'", "the % lacks"),
        ("cpu.guarantee = 'forty%'", "not a number"),
        ("cpu.guarantee = 'nan%'", "not a finite number"),
        ("cpu.guarantee = '101%'", "more than the most, \"100%\""),
        ("detect.tolerance = '0%'", "less than the least, \"0.1%\""),
        ("detect.tolerance = '-3%'", "less than the least, \"0.1%\""),
        (
            "detect.bucket = 8",
            "a bare number: the unit and the quotes lack",
        ),
        (
            "detect.bucket = '8'",
            "not a length of time such as \"400ms\" or \"10s\"",
        ),
        ("detect.bucket = '11s'", "more than the most, \"10s\""),
        ("detect.bucket = '1500001ns'", "finer than a microsecond"),
        (
            "detect.bucket = '500000years'",
            "more than the most, \"10s\"",
        ),
        (
            "detect.bucket = '99999999999999999years'",
            "not a length of time such as \"400ms\" or \"10s\"",
        ),
        ("detect.margin = '2'", "this is a string"),
        ("detect.margin = inf", "not a finite number"),
        ("detect.margin = 1e400", "not a finite number"),
        ("detect.margin = 0.5", "less than the least, 1"),
        ("cpu.weight_floor = 0", "less than the least, 1"),
        ("cpu.weight_floor = 1.0", "this is a number"),
        ("cpu.weight_floor = 101", "more than the most, 100"),
        (
            "cpu.weight_floor = 0xffffffffffffffffffff",
            "too large to be kept",
        ),
        ("cpu.cap_period = '2s'", "more than the most, \"1s\""),
        ("cpu.cap_period = '10us'", "less than the least, \"1ms\""),
        (
            "memory.floor = 67108864",
            "a bare number: the unit and the quotes lack",
        ),
        ("memory.floor = '64'", "the unit lacks"),
        (
            "memory.floor = '64 parsecs'",
            "not a size such as \"64MiB\" or \"2GiB\"",
        ),
        ("memory.floor = '1KiB'", "less than the least, \"4MiB\""),
        ("runtime.budget = '51%'", "more than the most, \"50%\""),
        ("runtime.socket = 'governor.sock'", "not an absolute path"),
        (
            "runtime.socket = \"/run/\\u0007\"",
            "holds a control character",
        ),
        ("runtime.state = 1979-05-27", "this is a date"),
        ("runtime.docker = '/run/docker.sock'", "this is a string"),
        (
            "runtime.docker = ['/run/docker.sock', 1]",
            "this is an integer",
        ),
        (
            "containers.paths = ['/a/[']",
            "unclosed character class; missing ']'",
        ),
        (
            "containers.paths = ['a/*']",
            "can match no path: they start with /",
        ),
        ("containers.paths = ['']", "an empty glob matches nothing"),
        (
            "containers.paths = ['/*.slice']",
            "it matches the host's own /system.slice",
        ),
        ("containers.paths = ['/**']", "it matches the host's own /"),
        ("'' = 1", "unknown"),
        ("['']\nmode = 'dry-run'", "unknown"),
        ("cpu = 3", "this is an integer"),
        ("[[cpu]]\nidle = true", "this is a list"),
        ("protect = 'sshd'", "this is a string"),
        ("[protect]\nname = 'a'", "this is one section"),
        ("protect = [1]", "this is a list"),
        ("[[protect]]", "it would protect everything"),
        ("[[protect]]\nname = 3", "this is an integer"),
        (
            "[[protect]]\nruntime = 'dokcer'",
            "no runtime has this word",
        ),
        (
            "[[protect]]\nname = 'a{b'",
            "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ),
    ] {
        assert_eq!(problem(text).why, why, "{text}");
    }
    let long = format!("runtime.socket = '/{}'", "s".repeat(107));
    assert_eq!(problem(&long).why, "longer than 107 bytes");
    let long = format!("containers.paths = ['/{}']", "s".repeat(512));
    assert_eq!(problem(&long).why, "longer than 512 bytes");
    let many = format!("runtime.docker = [{}]", "'/a',".repeat(1_001));
    assert_eq!(problem(&many).why, "more than 1000 entries");
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let told = problem("[release]\nhold = '10s'\nhold_max = '5s'");
    assert_eq!(
        told.message,
        r#"`release.hold` "10s" and `release.hold_max` "5s" do not go together"#
    );
    assert_eq!((told.line, told.column), (2, 8));
    // Against a default, the key that the file has is marked.
    assert_eq!(problem("\nrelease.step = '3s'").line, 2);
    assert_eq!(problem("\ndetect.baseline_max = '0.1%'").line, 2);
    assert_eq!(
        problem("cpu.cap_floor = 0.05").why,
        "the least quota, `cap_floor` times `cap_period`, is under the kernel's 1ms"
    );
    assert!(parse("[cpu]\ncap_floor = 0.05\ncap_period = '20ms'").is_ok());
    // A key that could not be read is not compared: its default is not what the file says.
    assert_eq!(
        problem("[release]\nhold = '10m'\nhold_max = '1 hourglass'").line,
        3
    );
}

#[test]
fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
    for (text, nearest) in [
        ("cpu.garantee = 1", "cpu.guarantee"),
        ("cpu.cap-floor = 1", "cpu.cap_floor"),
        ("cpu.CAP = true", "cpu.cap"),
        ("cpu.hold = '2s'", "release.hold"),
        ("hold = '2s'", "release.hold"),
        ("cpu.mode = 'enforce'", "mode"),
        ("modes = 'enforce'", "mode"),
        ("detect.threshold = '2%'", "detect.tolerance"),
        ("detect.for = '10s'", "detect.bucket"),
        ("release.cooldown = '10s'", "release.hold"),
        ("memory.threshold = '10%'", "memory.reserve"),
        ("[[protect]]\nnmae = 'a'", "protect.name"),
        ("[[protects]]\nname = 'a'", "protect"),
        ("[mem]", "memory"),
    ] {
        assert_eq!(problem(text).nearest.as_deref(), Some(nearest), "{text}");
    }
    let far = problem("[memory]\nzebra = 1");
    assert_eq!(far.nearest, None);
    assert_eq!(
        far.remedy,
        "known are `enforce`, `reserve`, `floor`, `swap`, `kill`, `kill_within`"
    );
}

#[test]
fn syntax_errors_are_told_with_the_problems_of_the_sound_lines() {
    let told = problems("[cpu]\nidle = yes\ncap = \nguarantee = 40%\ncap_floor = 'x'\nidle\n");
    let lines: Vec<usize> = told.all().iter().map(|one| one.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6], "{told}");
    let told = problem("[cpu\nidle = 1\n");
    assert_eq!((told.line, &*told.message), (1, "this is not TOML"));
    let told = problem("[cpu]\nidle = true\nidle = true\n");
    assert_eq!((told.line, &*told.why), (3, "duplicate key"));
}

#[test]
fn bytes_that_are_not_text_are_told_with_their_place() {
    let told = parse_bytes(b"[cpu]\n# caf\xe9\n").unwrap_err();
    let first = &told.all()[0];
    assert_eq!((first.line, first.column), (2, 6));
    assert!(
        told.render("p").contains("2 | # caf\u{fffd}"),
        "{}",
        told.render("p")
    );
}

#[test]
fn a_text_that_is_too_long_is_not_looked_at() {
    let long = vec![b'#'; TEXT_MAX + 1];
    let told = parse_bytes(&long).unwrap_err();
    assert_eq!(told.all()[0].message, "the policy is too long");
    assert!(parse(std::str::from_utf8(&long).unwrap()).is_err());
    assert!(parse(&"#".repeat(TEXT_MAX)).is_ok());
}

#[test]
fn what_a_file_or_its_name_holds_cannot_steer_the_terminal() {
    let told = problems("\"\\u001b[2J\u{202e}\" = 1\n\"a\\nb\" = 2\n");
    let shown = told.render("evil\u{1b}]0;\n.toml");
    assert!(
        !shown.contains(['\u{1b}', '\u{202e}', '\u{7}']),
        "{shown:?}"
    );
    assert!(shown.contains("evil\\u{1b}]0;\\u{a}.toml:1:1"), "{shown}");
    assert_eq!(told.to_string().lines().count(), 2);
}

#[test]
fn a_flood_of_problems_is_counted_and_cut() {
    let text: String = (0..2_000).map(|n| format!("k{n} = 1\n")).collect();
    let told = problems(&text);
    assert_eq!((told.all().len(), told.count()), (50, 2_000));
    assert!(
        told.render("p")
            .ends_with("p: 2000 problems, 1950 of them not shown\n")
    );
    assert!(told.to_string().ends_with("\nand 1950 more"));
}
