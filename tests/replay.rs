//! `governor replay` and `governor simulate` as a person at a shell meets them, on recordings of a host
//! that exists on paper.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and writes files"
)]

mod synthetic;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use assert_cmd::Command;
use governor::model::{Absent, Member, Runtime, Span};
use governor::replay::{Replayer, story};
use governor::trace::{Frame, Reader, Writer};
use predicates::prelude::*;
use predicates::str::contains;
use synthetic::{Host, Writes, attack, edit};

fn governor() -> Command {
    let mut command = Command::cargo_bin("governor").unwrap();
    command.timeout(std::time::Duration::from_secs(120));
    command
}

/// A folder with files in it, which goes away with it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn replay(trace: impl AsRef<[u8]>) -> assert_cmd::assert::Assert {
    let folder = Folder::new();
    let path = folder.file("trace.gvt", trace);
    governor().arg("replay").arg(path).assert()
}

fn replay_with(trace: impl AsRef<[u8]>, policy: &str) -> assert_cmd::assert::Assert {
    let folder = Folder::new();
    let path = folder.file("trace.gvt", trace);
    let policy = folder.file("tried.toml", policy);
    let mut command = governor();
    command.arg("replay").arg(path).arg("--policy").arg(policy);
    command.assert()
}

/// Two and a half minutes with an attack in the first and in the last: three segments.
fn long() -> Vec<u8> {
    let mut host = Host::new(3, 1, "", Vec::new());
    host.lives[0].wants = 0.8;
    for wants in [0.0, 8.0, 0.0, 0.0, 8.0] {
        host.lives[1].wants = wants;
        host.run(Span::from_secs(if wants > 0.0 { 10 } else { 45 }));
    }
    host.finish()
}

#[test]
fn a_recording_replayed_tells_its_story_and_decides_as_it_did() {
    let found = replay(attack("", None)).code(0);
    found
        .stdout(contains("recorded 2026-"))
        .stdout(contains(
            "on Linux 6.12.0-synthetic, enforcing the built-in policy",
        ))
        .stdout(contains(
            "tightened aggressor=c1 victim=c0 resource=cpu knob=cpu.weight",
        ))
        .stdout(contains(
            "proved aggressor=c1 victim=c0 resource=cpu verdict=confirmed",
        ))
        .stdout(contains("released aggressor=c1"))
        .stdout(contains("; nothing is missing\n"))
        .stdout(contains("\nidentical: "))
        .stdout(contains("\n-").not())
        .stdout(contains("\n+").not())
        .stderr("");
}

#[test]
fn every_checkpoint_is_compared_with_the_replayed_brain() {
    replay(long())
        .code(0)
        .stdout(contains("identical: ").and(contains(" busy, and 2 checkpoints\n")));
}

#[test]
fn segments_in_files_of_their_own_are_one_trace() {
    let folder = Folder::new();
    let mut parts: Vec<Vec<Frame>> = Vec::new();
    for frame in Reader::new(&long()[..]) {
        let frame = frame.unwrap();
        if matches!(frame, Frame::Start(_)) {
            parts.push(Vec::new());
        }
        parts.last_mut().unwrap().push(frame);
    }
    assert_eq!(parts.len(), 3);
    let mut command = governor();
    command.arg("replay");
    for (number, frames) in parts.iter().enumerate() {
        let (mut writer, mut bytes) = (Writer::new(), Vec::new());
        for frame in frames {
            writer.frame(frame, &mut bytes).unwrap();
        }
        writer.finish(&mut bytes).unwrap();
        command.arg(folder.file(&format!("{number}.gvt"), bytes));
    }
    let whole = replay(long()).get_output().stdout.clone();
    command.assert().code(0).stdout(whole);
}

#[test]
fn a_decision_that_differs_is_shown_with_both_texts_and_fails() {
    let mut left = 1;
    let changed = edit(&attack("", None), |mut frame| {
        if let Frame::Did(did) = &mut frame
            && left > 0
            && !did.changes.is_empty()
        {
            left -= 1;
            did.events.clear();
        }
        vec![frame]
    });
    replay(changed)
        .code(1)
        .stdout(contains("different: 1 of "))
        .stdout(contains("the first at 10."))
        .stdout(contains("  recorded  ").and(contains("  replayed  ")))
        .stdout(contains("\n+").and(contains("tightened")));
}

#[test]
fn a_checkpoint_that_differs_is_told_and_the_replay_goes_on_with_it() {
    let mut number = 0;
    let changed = edit(&long(), |frame| {
        if let Frame::Checkpoint(text) = &frame {
            number += 1;
            if number == 2 {
                let cut = text.replace("\"strikes\":0", "\"strikes\":3");
                assert_ne!(&cut, text);
                return vec![Frame::Checkpoint(cut)];
            }
        }
        vec![frame]
    });
    replay(changed)
        .code(1)
        .stdout(contains("the recorded brain is not the replayed one here"))
        .stdout(contains("different: 0 of ").and(contains(" 2 of 2 checkpoints\n")));
}

#[test]
fn of_a_truncated_trace_all_but_its_end_is_replayed() {
    let trace = long();
    let found = replay(&trace[..trace.len() - 50]).code(6);
    found
        .stdout(contains("tightened aggressor=c1"))
        .stdout(contains("the end is cut off"))
        .stdout(contains("identical: "))
        .stdout(contains("; 1 damaged place of "));
}

#[test]
fn after_flipped_bits_the_rest_is_replayed_and_compared_from_the_next_checkpoint_on() {
    let mut trace = long();
    let place = trace.len() / 4;
    trace[place] ^= 0x10;
    let found = replay(&trace).code(6);
    found
        .stdout(contains("are damaged and were skipped"))
        .stdout(contains("identical: "))
        .stdout(contains(" were not compared: "))
        .stdout(contains("different").not());
}

#[test]
fn a_gap_is_told_and_what_follows_is_compared_from_the_next_checkpoint_on() {
    let mut ticks = 0;
    let holed = edit(&long(), |frame| {
        if let Frame::Tick(sample) = &frame {
            ticks += 1;
            match ticks {
                100 => {
                    return vec![Frame::Gap {
                        at: sample.at,
                        lost: 50,
                    }];
                }
                101..150 => return Vec::new(),
                _ => {}
            }
        }
        vec![frame]
    });
    replay(holed)
        .code(0)
        .stdout(contains("(50 frames were not recorded here"))
        .stdout(contains("; 50 frames lost by the recorder"))
        .stdout(contains("identical: "))
        .stdout(contains(" were not compared: "));
}

/// A recording that lost its checkpoints, and the count of what its daemon had seen before.
fn bare(ticks: Option<u64>) -> Vec<u8> {
    edit(&attack("", None), |mut frame| {
        if let Frame::Start(start) = &mut frame {
            start.ticks = ticks;
        }
        match frame {
            Frame::Checkpoint(_) => Vec::new(),
            frame => vec![frame],
        }
    })
}

#[test]
fn without_a_checkpoint_nothing_is_said_to_be_identical() {
    for ticks in [None, Some(3)] {
        replay(bare(ticks))
            .code(6)
            .stdout(contains("not compared: the trace has no checkpoint"))
            .stdout(contains("tightened aggressor=c1"));
    }
}

#[test]
fn a_recording_that_begins_with_its_daemon_needs_no_checkpoint() {
    replay(bare(Some(0)))
        .code(0)
        .stdout(contains("identical: "));
}

/// [`long`], of containers and a service whose names tell, are longer than what is kept, or no UTF-8.
fn long_of_secrets() -> Vec<u8> {
    let mut host = Host::new(4, 1, "", Vec::new());
    let deep = "/SECRET".repeat(40);
    let paths: [Vec<u8>; 4] = [
        b"/kubepods.slice/kubepods-podSECRET.slice/kubepods-SECRET.scope".to_vec(),
        [deep.as_bytes(), b"/\xff\xfeSECRET"].concat(),
        format!("{deep}/SECRET{}.service", "-".repeat(230)).into_bytes(),
        b"/x/SECRET.service".to_vec(),
    ];
    for (at, path) in paths.into_iter().enumerate() {
        let group = &mut host.tree.groups[at + 1];
        group.path = path;
        group.protected = at > 1;
        if let Member::Container { key, name, .. } = &mut group.member {
            *key = format!("SECRET{at}");
            *name = format!("SECRET{}", "é".repeat(at * 300));
        }
        if group.protected {
            group.member = Member::Service;
        }
    }
    host.brain.adopt(&host.tree, host.now);
    host.begin_segment();
    host.lives[0].wants = 0.8;
    host.lives[3].wants = 0.01;
    for wants in [0.0, 8.0, 0.0, 0.0, 8.0] {
        host.lives[1].wants = wants;
        host.lives[2].wants = wants / 20.0;
        host.run(Span::from_secs(if wants > 0.0 { 10 } else { 45 }));
    }
    host.begin_segment();
    host.finish()
}

#[test]
fn with_hashed_names_no_frame_tells_one_and_it_is_replayed_as_recorded() {
    let key = std::hash::RandomState::new();
    let hashed = edit(&long_of_secrets(), |mut frame| {
        frame.hash_names(&key);
        vec![frame]
    });
    // It begins anew after the first intervention.
    let mut starts = 0;
    let after = edit(&hashed, |frame| {
        starts += i32::from(matches!(frame, Frame::Start(_)));
        if starts > 3 { vec![frame] } else { Vec::new() }
    });
    for trace in [hashed, after] {
        let mut holds = 0;
        for frame in Reader::new(&trace[..]) {
            let frame = frame.unwrap();
            let text = match &frame {
                Frame::Tree { tree, .. } => serde_json::to_string(tree).unwrap(),
                other => format!("{other:?}"),
            };
            assert!(!text.contains("SECRET"), "{text}");
            if let Frame::Checkpoint(text) = &frame {
                holds += usize::from(text.contains("\"path\":"));
            }
        }
        assert!(holds > 0, "no checkpoint remembers anybody");
        replay(trace)
            .code(0)
            .stdout(contains("tightened"))
            .stdout(contains("identical: ").and(contains(" busy, and ")));
    }
}

#[test]
fn joined_recordings_are_each_replayed_from_their_own_start() {
    let twice = [attack("", None), attack("", None)].concat();
    replay(twice)
        .code(0)
        .stdout(contains("are the files in their order?"))
        .stdout(contains("; 2 recordings; nothing is missing"))
        .stdout(contains("identical: "));
}

#[test]
fn what_is_no_trace_or_too_new_or_not_there_is_refused_with_its_remedy() {
    replay("mode = \"enforce\"\n".repeat(100))
        .code(2)
        .stdout("")
        .stderr(contains("trace.gvt: this is no governor trace"));
    replay("")
        .code(2)
        .stdout("")
        .stderr(contains("no sample was recorded"));
    let newer = edit(&attack("", None), |mut frame| {
        if let Frame::Start(start) = &mut frame {
            start.format = 99;
        }
        vec![frame]
    });
    replay(newer)
        .code(2)
        .stdout("")
        .stderr(contains("format 99").and(contains("newer governor")));
    let folder = Folder::new();
    let mut command = governor();
    let none = command.arg("replay").arg(folder.path().join("none"));
    none.assert()
        .code(2)
        .stderr(contains("cannot open the trace"));
    let mut command = governor();
    let dir = command.arg("replay").arg(folder.path());
    dir.assert().code(2).stderr(contains("governor simulate"));
}

#[test]
fn what_is_good_of_several_files_is_replayed_and_the_rest_told() {
    let folder = Folder::new();
    let mut command = governor();
    command
        .arg("replay")
        .arg(folder.file("not.gvt", "# a text\n"))
        .arg(folder.file("good.gvt", attack("", None)));
    command
        .assert()
        .code(2)
        .stderr(contains("not.gvt: this is no governor trace"))
        .stdout(contains("identical: "));
}

#[test]
fn a_tried_policy_is_shown_against_what_was_done() {
    let found = replay_with(attack("", None), "[cpu]\nenforce = false\n").code(0);
    found
        .stdout(contains("\n-").and(contains("tightened aggressor=c1")))
        .stdout(contains("\n+").not().or(contains("nobody-to-blame")))
        .stdout(contains("as recorded").and(contains("tried.toml")))
        .stdout(contains("The recorded world does not react"));
}

#[test]
fn what_no_record_can_judge_is_neither_right_nor_wrong() {
    let trace = attack("mode = \"dry-run\"\n", None);
    let (replayed, _) = tried(&trace, "");
    let tally = &replayed.tallies[1];
    assert!(tally.interventions > 0);
    assert_eq!(tally.untried, tally.interventions, "{tally:#?}");
    assert_eq!(tally.false_actions(), 0, "{tally:#?}");
    assert!(tally.harm_s > 3.0, "{tally:#?}");
}

#[test]
fn the_same_policy_tried_comes_to_the_same_counts() {
    for trace in [attack("", None), long()] {
        let (replayed, agreed) = tried(&trace, "");
        assert!(agreed);
        let [recorded, tally] = &replayed.tallies[..] else {
            panic!("{:#?}", replayed.tallies);
        };
        assert!(recorded.confirmed > 0);
        let renamed = governor::model::Tally {
            policy: recorded.policy.clone(),
            ..tally.clone()
        };
        assert_eq!(&renamed, recorded);
    }
}

#[test]
fn a_knob_that_the_record_could_not_write_cannot_be_written_on_paper() {
    let writes = Writes::Fail(Absent::ReadOnly);
    let trace = attack("", Some(writes));
    let (replayed, _) = tried(&trace, "");
    let [recorded, tally] = &replayed.tallies[..] else {
        panic!("{:#?}", replayed.tallies);
    };
    assert!(recorded.failed > 0);
    assert_eq!(tally.failed, recorded.failed, "{tally:#?}");
}

/// What a policy does in a trace, and whether the record itself came out again.
fn tried(trace: &[u8], policy: &str) -> (governor::model::Replayed, bool) {
    let policy = governor::config::parse(policy).unwrap();
    let mut replayer = Replayer::what_if(vec![("tried".to_owned(), policy)]);
    let read = replayer.read(Reader::new(trace), |_| Ok::<(), ()>(()));
    assert!(matches!(read, Ok(None)));
    let replayed = replayer.finish(&mut Vec::new());
    let agreed = replayed.agreement.is_identical();
    (replayed, agreed)
}

#[test]
fn whom_a_tried_policy_protects_is_not_held() {
    let policy = "[[protect]]\nname = \"c1\"\n";
    let found = replay_with(attack("", None), policy).code(0);
    let said = String::from_utf8(found.get_output().stdout.clone()).unwrap();
    let told = |line: &&str| line.starts_with('+') && line.contains("tightened aggressor=c1");
    assert_eq!(said.lines().filter(told).count(), 0, "{said}");
    assert!(!said.contains("matches nothing"), "{said}");
}

#[test]
fn what_a_policy_names_and_the_trace_has_not_is_told() {
    let policy = "[[protect]]\nname = \"postgres*\"\n[containers]\npaths = [\"/none/*\"]\n";
    replay_with(attack("", None), policy)
        .code(0)
        .stdout(contains(
            "[[protect]] name = \"postgres*\" matches nothing in the trace",
        ))
        .stdout(contains(
            "[containers] \"/none/*\" matches nothing in the trace",
        ));
}

#[test]
fn what_is_a_container_by_the_recorded_policy_only_is_told() {
    let by_policy = edit(&attack("", None), |mut frame| {
        if let Frame::Tree { tree, .. } = &mut frame {
            for group in &mut tree.groups {
                if let Member::Container { runtime, .. } = &mut group.member {
                    *runtime = Runtime::Policy;
                }
            }
        }
        vec![frame]
    });
    let note = "some that were containers by the recorded policy's [containers] are none";
    replay_with(&by_policy, "").code(0).stdout(contains(note));
    replay_with(&by_policy, "[containers]\npaths = [\"/c*\"]\n")
        .code(0)
        .stdout(contains(note).not().and(contains("\n-").not()));
}

#[test]
fn a_policy_that_is_not_valid_is_told_with_its_place_before_anything_is_read() {
    replay_with(attack("", None), "[cpu]\nidel = true\n")
        .code(2)
        .stdout("")
        .stderr(contains("tried.toml:2").and(contains("idle")));
}

#[test]
fn a_recorded_policy_that_is_not_valid_here_is_told_and_the_trace_is_replayed() {
    let changed = edit(&attack("", None), |frame| match frame {
        Frame::Policy { mode, .. } => vec![Frame::Policy {
            text: "[of_tomorrow]\nkey = 1\n".to_owned(),
            mode,
        }],
        frame => vec![frame],
    });
    replay(changed)
        .code(0)
        .stdout(contains(
            "the recorded policy is not valid for this version",
        ))
        .stdout(contains("identical: "));
}

#[test]
fn names_in_a_trace_do_not_reach_the_terminal_raw() {
    let hostile = edit(&attack("", None), |mut frame| {
        match &mut frame {
            Frame::Tree { tree, .. } => {
                for group in &mut tree.groups {
                    if let Member::Container { name, .. } = &mut group.member {
                        name.insert_str(0, "\x1b[2J\u{202e}");
                    }
                }
            }
            Frame::Start(start) => start.kernel = "\x1b]0;owned\x07".to_owned(),
            _ => {}
        }
        vec![frame]
    });
    let raw = || contains("\x1b").or(contains("\u{202e}"));
    replay(&hostile).code(0).stdout(raw().not());
    let folder = Folder::new();
    let mut command = governor();
    command.args(["replay", "--json"]);
    command.arg(folder.file("\x1b[31m.gvt", &hostile));
    command.assert().code(0).stdout(raw().not());
    let mut command = governor();
    command.args(["simulate", "--policy"]);
    command
        .arg(folder.file("tried.toml", ""))
        .arg(folder.path());
    command
        .assert()
        .code(0)
        .stdout(raw().not())
        .stderr(raw().not());
}

#[test]
fn as_json_each_line_is_an_object_and_the_last_is_the_end() {
    let folder = Folder::new();
    let mut command = governor();
    command.args(["replay", "--json"]);
    command.arg(folder.file("trace.gvt", attack("", None)));
    let found = command.assert().code(0);
    let said = String::from_utf8(found.get_output().stdout.clone()).unwrap();
    let lines: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["kind"], "began");
    assert!(
        lines
            .iter()
            .any(|line| line["kind"] == "event" && line["by"] == "both")
    );
    let end = lines.last().unwrap();
    assert_eq!(end["kind"], "end");
    assert_eq!(end["agreement"]["different"], 0);
    assert_eq!(end["tallies"][0]["policy"], "as recorded");
}

/// An attack in the midst of which everything is given back by hand.
fn given_back() -> Vec<u8> {
    let mut host = Host::new(3, 1, "", Vec::new());
    host.lives[0].wants = 0.8;
    host.run(Span::from_secs(10));
    host.lives[1].wants = 8.0;
    host.run(Span::from_secs(3));
    assert!(host.brain.held().next().is_some());
    host.release_all();
    host.lives[1].wants = 0.0;
    host.run(Span::from_secs(3));
    host.finish()
}

#[test]
fn what_is_told_when_all_is_given_back_is_in_the_recording_and_compared() {
    let folder = Folder::new();
    let trace = given_back();
    let mut command = governor();
    command.args(["events", "--trace"]);
    command.arg(folder.file("trace.gvt", &trace));
    let released = || contains("released aggressor=c1");
    command.assert().code(0).stdout(released());
    replay(&trace)
        .code(0)
        .stdout(released().and(contains("identical: ")));
    let after_release = |change: fn(&mut governor::trace::Did) -> bool| {
        let mut after = false;
        edit(&trace, |mut frame| {
            let mut stays = true;
            if let (Frame::Did(did), true) = (&mut frame, after) {
                stays = change(did);
            }
            after = matches!(frame, Frame::ReleasedAll { .. });
            if stays { vec![frame] } else { Vec::new() }
        })
    };
    let other = after_release(|did| {
        did.events.clear();
        true
    });
    replay(other).code(1).stdout(contains("\n+"));
    // As earlier versions recorded it.
    let old = after_release(|_| false);
    replay(old)
        .code(0)
        .stdout(contains("identical: ").and(released().not()));
}

#[test]
fn policies_are_compared_over_a_folder_and_what_cannot_be_used_of_it_is_told() {
    let folder = Folder::new();
    let torn = long();
    folder.file("a.gvt", attack("", None));
    folder.file("b.gvt", &torn[..torn.len() / 4 * 3]);
    folder.file("c.gvt", "no trace at all");
    folder.file("readme.txt", "not looked at");
    let (a, b) = (
        folder.file("strict.toml", "[detect]\ntolerance = \"1%\"\n"),
        folder.file(
            "none.toml",
            "[cpu]\nenforce = false\n[memory]\nenforce = false\n",
        ),
    );
    let simulate = |json: bool| {
        let mut command = governor();
        command.arg("simulate").arg(folder.path());
        command.arg("--policy").arg(&a).arg("--policy").arg(&b);
        command.args(json.then_some("--json"));
        command.assert().code(6)
    };
    simulate(false)
        .stdout(contains("POLICY").and(contains("as recorded")))
        .stdout(contains("strict.toml").and(contains("none.toml")))
        .stdout(contains("b.gvt: ").and(contains("1 damaged place")))
        .stdout(contains("c.gvt: this is no governor trace"));
    let found = simulate(true);
    let json: serde_json::Value = serde_json::from_slice(&found.get_output().stdout).unwrap();
    assert_eq!(json["tallies"][0]["policy"], "as recorded");
    assert_eq!(json["tallies"][0]["traces"], 2);
    assert_eq!(json["tallies"][0]["interventions"], 2);
    assert_eq!(json["tallies"][2]["interventions"], 0);
    let harm = json["tallies"][0]["harm_s"].as_f64().unwrap();
    assert!(harm > 0.0);
    assert_eq!(json["tallies"][2]["harm_s"].as_f64().unwrap(), harm);
    assert_eq!(json["tallies"][2]["unanswered_s"].as_f64().unwrap(), harm);
    assert_eq!(json["traces"].as_array().unwrap().len(), 3);
}

#[test]
fn a_folder_without_a_trace_is_told_so() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", "");
    let simulate = |dir: &Path| {
        let mut command = governor();
        command
            .arg("simulate")
            .arg(dir)
            .arg("--policy")
            .arg(&policy);
        command.assert()
    };
    simulate(folder.path())
        .code(2)
        .stderr(contains("no trace (*.gvt)"));
    simulate(&folder.path().join("none"))
        .code(2)
        .stderr(contains("cannot list the folder"));
    folder.file("bad.gvt", "bad");
    simulate(folder.path())
        .code(2)
        .stderr(contains("bad.gvt: this is no governor trace"));
}

#[test]
fn the_story_is_the_same_text_each_time_and_knows_nothing_of_what_was_recorded_as_decided() {
    let trace = attack("", None);
    let told = story(&trace[..], None).unwrap();
    assert!(told.contains("tightened aggressor=c1"), "{told}");
    assert_eq!(told, story(&trace[..], None).unwrap());
    let silent = edit(&trace, |frame| match frame {
        Frame::Did(_) => Vec::new(),
        frame => vec![frame],
    });
    assert_eq!(told, story(&silent[..], None).unwrap());
    let policy = governor::config::parse("[cpu]\nenforce = false\n").unwrap();
    assert!(
        !story(&trace[..], Some(&policy))
            .unwrap()
            .contains("tightened")
    );
    assert!(story(&b"no trace"[..], None).is_err());
}

#[test]
fn a_trace_of_any_length_is_replayed_in_the_same_memory() {
    let trace = long();
    let peak = |times: usize| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_governor"))
            .args(["replay", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        for _ in 0..times {
            pipe.write_all(&trace).unwrap();
        }
        // It has read all but what the pipe holds, and waits for more.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        drop(pipe);
        assert!(child.wait().unwrap().code().is_some());
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap()
    };
    let (short, long) = (peak(10), peak(100));
    assert!(
        long < short + 1_024,
        "{short} KiB for a tenth, {long} KiB for all"
    );
}
