//! The same told from a recording, by the program itself.
#![allow(
    clippy::disallowed_methods,
    reason = "writes the recordings that the program reads"
)]

use assert_cmd::Command;
use governor::model::{EventView, Explained, Policy, Time};
use governor::replay::{Looked, Notes, Replayer};
use governor::report::{Paint, explanation_text, moment};
use governor::trace::{Frame, Reader, Writer};
use predicates::prelude::*;
use predicates::str::contains;

use crate::attacked;
use crate::host::{Host, tree};

/// What a recording tells of a container at a moment.
fn replayed(recording: &[u8], name: &str, wall_us: i64) -> String {
    let mut replayer = Replayer::identity();
    let mut notes = Notes::default();
    let looked = replayer.look(Reader::new(recording), Some(wall_us), &mut notes);
    assert!(
        matches!(looked, Ok(Looked::There | Looked::Ended)),
        "{looked:?}"
    );
    assert!(notes.is_empty(), "{notes:?}");
    let Explained::One(mut one) = replayer.brain().explain_named(name) else {
        panic!("{name} is not one container");
    };
    one.wall_us = replayer.wall_us(Time(one.at_us));
    explanation_text(&one, None, Paint::Plain)
}

#[test]
fn a_recording_that_begins_after_an_intervention_tells_the_same_as_the_daemon_at_every_moment() {
    let mut host = attacked(Policy::default());
    host.fares("hog", 0.0, 0.0);
    host.run(20.0);
    assert!(host.knobs.is_empty());
    host.record();
    let mut told = Vec::new();
    let mut look = |host: &Host| {
        for name in ["redis", "hog", "batch", "ssh.service"] {
            let wall_us = host.explain(name).wall_us.unwrap();
            told.push((name, wall_us, host.text(name)));
        }
    };
    host.run(1.0);
    look(&host);
    host.fares("redis", 0.1, 0.2);
    host.fares("hog", 0.6, 0.05);
    host.run_until_held();
    look(&host);
    host.fares("redis", 0.6, 0.01);
    host.run(3.0);
    look(&host);
    host.fares("hog", 0.0, 0.0);
    host.run(2.5);
    look(&host);
    host.run(20.0);
    look(&host);
    let recording = host.recording();
    for (name, wall_us, text) in told {
        assert_eq!(replayed(&recording, name, wall_us), text, "{name}");
    }
}

/// A recording of an attack in a folder that lives as long as the test holds it, and its host.
fn recorded() -> (tempfile::TempDir, std::path::PathBuf, Host) {
    recorded_after(10.0)
}

/// Likewise, of an attack after so many seconds of calm.
fn recorded_after(calm_s: f64) -> (tempfile::TempDir, std::path::PathBuf, Host) {
    let mut host = Host::new(tree(&["redis", "hog"]), Policy::default());
    host.record();
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.run(calm_s);
    host.fares("redis", 0.3, 0.5);
    host.fares("hog", 0.6, 0.05);
    host.run_until_held();
    host.fares("redis", 0.6, 0.01);
    host.run(1.0);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("attack.gvt");
    std::fs::write(&file, host.recording()).unwrap();
    (dir, file, host)
}

fn governor(arguments: &[&str], trace: &std::path::Path) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("governor").unwrap();
    command.timeout(std::time::Duration::from_secs(30));
    command.args(arguments).arg("--trace").arg(trace).assert()
}

#[test]
fn explain_reads_a_recording_at_its_end_or_at_any_moment_of_it() {
    let (_dir, file, host) = recorded();
    governor(&["explain", "hog"], &file)
        .code(0)
        .stdout(host.text("hog"))
        .stderr("");
    let last = host.explain("hog").wall_us.unwrap();
    let ago = |us: i64| moment(0, Some(last - us));
    let at = |time: &str| governor(&["explain", "redis", "--at", time], &file);
    at(&ago(5_000_000))
        .code(0)
        .stdout(contains("redis (docker): calm for"));
    at("5s")
        .code(0)
        .stdout(contains("redis (docker): calm for"));
    at("0s").code(0).stdout(host.text("redis"));
    at(&ago(60_000_000))
        .code(1)
        .stderr(contains("after the moment that is asked for"));
    at("yesterday").code(2);
    governor(&["explain", "rdis"], &file)
        .code(1)
        .stderr(contains("did you mean `redis`?"));
}

#[test]
fn events_are_read_from_a_recording() {
    let (_dir, file, _) = recorded();
    governor(&["events"], &file)
        .code(0)
        .stdout(contains("Z tightened aggressor=hog victim=redis"));
    let assert = governor(&["events", "--json", "--since", "2s"], &file).code(0);
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<EventView>(line).unwrap().kind)
        .collect();
    assert_eq!(kinds, ["alarm", "nobody-to-blame", "tightened", "proved"]);
    governor(&["events", "--since", "100ms"], &file)
        .code(0)
        .stdout("");
}

#[test]
fn what_is_no_recording_or_a_damaged_one_is_told() {
    // The first block ends after the first step, and the second one is torn.
    let (dir, file, mut host) = recorded_after(6.0);
    host.run(2.0);
    let whole = host.recording();
    let torn = &whole[..whole.len() - 10];
    std::fs::write(&file, [&whole, torn].concat()).unwrap();
    governor(&["events"], &file)
        .code(6)
        .stdout(contains("tightened"))
        .stderr(contains("the end is cut off"));
    governor(&["explain", "hog"], &file)
        .code(6)
        .stdout(contains("HELD: hog for redis"))
        .stderr(contains("the end is cut off").and(contains("may lack it")));
    let none = dir.path().join("none");
    governor(&["explain", "hog"], &none).code(2).stdout("");
    std::fs::write(&none, "no trace at all, but long enough to look at").unwrap();
    governor(&["explain", "hog"], &none).code(2).stdout("");
}

/// A trace of these frames.
fn trace(frames: &[Frame]) -> Vec<u8> {
    let (mut writer, mut bytes) = (Writer::new(), Vec::new());
    for frame in frames {
        writer.frame(frame, &mut bytes).unwrap();
        writer.finish(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn where_it_is_not_known_what_the_brain_knew_that_is_told_and_is_no_success() {
    let (_dir, file, host) = recorded();
    let whole: Vec<Frame> = Reader::new(&host.recording()[..])
        .map(Result::unwrap)
        .collect();
    let first = whole
        .iter()
        .position(|frame| matches!(frame, Frame::Checkpoint(_)))
        .unwrap();
    let mut start = whole.clone();
    if let Frame::Start(start) = &mut start[0] {
        // The daemon has seen more than is in it.
        start.ticks = Some(7);
    }
    let explained = |frames: &[Frame]| {
        std::fs::write(&file, trace(frames)).unwrap();
        governor(&["explain", "hog"], &file)
    };
    let unknown = "what the governor knew before is not recorded";
    explained(&start).code(0).stderr("");
    let mut none = start.clone();
    none.remove(first);
    explained(&none).code(6).stderr(contains(unknown));
    let mut refused = start.clone();
    refused[first] = Frame::Checkpoint("{}".to_owned());
    explained(&refused)
        .code(6)
        .stderr(contains("a checkpoint cannot be read").and(contains(unknown)));
    // One that cannot be used makes nothing good, and one that can does.
    let gap = Frame::Gap {
        at: Time(0),
        lost: 3,
    };
    let mut late = start.clone();
    late.extend([gap, refused[first].clone()]);
    explained(&late)
        .code(6)
        .stderr(contains("3 frames before").and(contains("a checkpoint cannot be read")));
    late.push(Frame::Checkpoint(host.checkpoint()));
    explained(&late).code(0).stderr("");
}

#[test]
fn of_a_file_with_damage_everywhere_the_first_places_are_told_and_the_rest_counted() {
    let (_dir, file, host) = recorded();
    let frames: Vec<Frame> = Reader::new(&host.recording()[..])
        .map(Result::unwrap)
        .collect();
    let mut bytes = Vec::new();
    for frame in frames.iter().take(50) {
        bytes.extend(trace(std::slice::from_ref(frame)));
        bytes.extend_from_slice(b"no block");
    }
    std::fs::write(&file, bytes).unwrap();
    let lines = predicate::function(|said: &str| said.lines().count() == 4);
    governor(&["events"], &file)
        .code(6)
        .stderr(contains("and 47 more of the kind").and(lines));
}

#[test]
fn without_a_file_the_flight_recorders_segments_are_read_in_their_order() {
    let (dir, file, host) = recorded();
    let config = dir.path().join("governor.toml");
    let state = dir.path().join("state");
    std::fs::write(&config, format!("[runtime]\nstate = {state:?}\n")).unwrap();
    let explain = |time: &str| {
        let mut command = Command::cargo_bin("governor").unwrap();
        command.timeout(std::time::Duration::from_secs(30));
        command.args(["explain", "hog", "--at", time, "--config"]);
        command.arg(&config).assert()
    };
    let last = moment(0, host.explain("hog").wall_us);
    explain(&last).code(1).stderr(contains("flight recorder"));
    std::fs::create_dir_all(state.join("trace")).unwrap();
    explain(&last)
        .code(1)
        .stderr(contains("nothing is recorded in"));
    std::fs::copy(&file, state.join("trace/0000000009.gvt")).unwrap();
    std::fs::write(state.join("trace/notes.txt"), "no segment").unwrap();
    explain(&last).code(0).stdout(host.text("hog"));
    // One of before that cannot be read costs nothing: the next begins with all that was known.
    std::fs::write(state.join("trace/0000000008.gvt"), "no trace").unwrap();
    explain(&last).code(0).stdout(host.text("hog")).stderr("");
}
