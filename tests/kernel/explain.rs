//! What `governor explain` and `governor events` say of an attack on a real kernel.

use crate::daemon::{Daemon, governor};
use crate::rig::Rig;
use crate::scene::{heavy_victim, held_hog};
use governor::model::{EventView, Explanation};
use governor::report::{Paint, explanation_text, moment};
use libtest_mimic::Trial;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "explain::both_sides_of_a_fresh_attack_are_told_who_whom_how_much_and_until_when",
            fresh_attack,
        ),
        crate::trial(
            "explain::the_flight_recorder_tells_the_same_as_the_daemon_did",
            recorded_attack,
        ),
    ]
}

/// What a command prints, which must succeed.
fn said(rig: &Rig, daemon: &Daemon, arguments: &[&str]) -> String {
    let answer = governor(rig.work(), arguments);
    let (out, complaint) = (
        String::from_utf8_lossy(&answer.stdout).into_owned(),
        String::from_utf8_lossy(&answer.stderr).into_owned(),
    );
    assert!(
        answer.status.success(),
        "governor {arguments:?}: {out}{complaint}\n{}",
        daemon.log()
    );
    println!("$ governor {}\n{out}", arguments.join(" "));
    out
}

fn fresh_attack() {
    let rig = Rig::new("explain");
    let (victim, hog) = (rig.group("victim"), rig.group("hog"));
    let _idle = rig.container("idle");
    let daemon = rig.governor("");
    let _load = heavy_victim(&victim, 30);
    assert!(said(&rig, &daemon, &["explain", "victim"]).contains("Nothing is wrong"));
    let _attack = held_hog(&hog, 20);
    std::thread::sleep(Duration::from_millis(700));
    for (name, opening) in [
        (
            "victim",
            "It waited for what others took, so hog is held for it.",
        ),
        (
            "hog",
            "It took more than it may take while victim waited, so it is held.",
        ),
    ] {
        let text = said(&rig, &daemon, &["explain", name]);
        for part in [
            opening,
            "HELD: hog for victim (cpu)",
            "how     cpu.weight 100 → ",
            "proof   confirmed: victim waited ",
            " % of the time by others' doing before",
            "until   ",
            "first step back",
            "lease   ",
            "SUSPECTED of victim's harm (cpu) when that was decided",
        ] {
            assert!(
                text.contains(part),
                "no {part:?} in\n{text}\n{}",
                daemon.log()
            );
        }
        let row = |who: &str, what: &str| {
            let mut lines = text.lines();
            lines.any(|line| line.starts_with(who) && line.ends_with(what))
        };
        assert!(row("hog ", " held"), "{text}");
        assert!(row("idle ", "takes about what it may, or less"), "{text}");
    }
    let unknown = governor(rig.work(), &["explain", "victm"]);
    assert_eq!(unknown.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&unknown.stderr);
    assert!(complaint.contains("did you mean `victim`?"), "{complaint}");
    events(&rig, &daemon);
}

fn events(rig: &Rig, daemon: &Daemon) {
    let text = said(rig, daemon, &["events"]);
    for word in [
        "alarm victim=",
        "tightened aggressor=hog",
        "verdict=confirmed",
    ] {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
    let json = said(rig, daemon, &["events", "--json", "--since", "1h"]);
    let events: Vec<EventView> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .iter()
            .map(|event| event.seq)
            .eq(1..=events.len() as u64)
    );
    assert!(said(rig, daemon, &["events", "--since", "1ms"]).is_empty());
}

/// The daemon's answers in an attack, and what its flight recorder tells of the same moments later.
fn recorded_attack() {
    let rig = Rig::new("explain-recorded");
    let (victim, hog) = (rig.group("victim"), rig.group("hog"));
    let originals = hog.knobs();
    let daemon = rig.governor("");
    let _load = heavy_victim(&victim, 40);
    let _attack = held_hog(&hog, 5);
    let mut told = Vec::new();
    for _ in 0..8 {
        for name in ["victim", "hog"] {
            let answer = governor(rig.work(), &["explain", name, "--json"]);
            let live: Explanation = serde_json::from_slice(&answer.stdout)
                .unwrap_or_else(|error| panic!("{error}: {answer:?}\n{}", daemon.log()));
            told.push((name, live));
        }
        std::thread::sleep(Duration::from_millis(900));
    }
    // A block is written once a second.
    std::thread::sleep(Duration::from_secs(3));
    for (name, live) in told {
        let wall_us = live.wall_us.expect("a daemon knows the time of day");
        // Two clocks are not read at once, and no two samples are so near.
        let at = moment(0, Some(wall_us + 2_000));
        let answer = governor(rig.work(), &["explain", name, "--at", &at]);
        let recorded = String::from_utf8_lossy(&answer.stdout).into_owned();
        let live = explanation_text(&live, None, Paint::Plain);
        let without_time = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with("as of "));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(
            without_time(&recorded),
            without_time(&live),
            "of {name} at {at}: {}",
            String::from_utf8_lossy(&answer.stderr)
        );
    }
    // Harm that nobody is to blame for puts the end off.
    hog.must_be_given_back(&originals, Duration::from_secs(20));
    let text = said(&rig, &daemon, &["explain", "hog"]);
    assert!(text.contains("given back: not needed any more"), "{text}");
}
