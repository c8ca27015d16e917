//! A group that is frozen in pulses, the writes of others meanwhile, and every end of it.

use std::time::Duration;

use super::super::pulser::{End, Pulser};
use super::world::{LEASE, PATHS, World};
use crate::host::{FakeHandle, FakeTree, Operation, TreeFiles, open_path};
use crate::model::{Absent, Knob, KnobValue, Mode, Outcome, Pulses, Span, Time, Written};

const PLAIN: &str = PATHS[2];
const KNOB: Knob = Knob::CgroupFreeze;

fn pulses(thawed: u64) -> Pulses {
    Pulses {
        thawed: Span::from_millis(thawed),
        period: Span::from_millis(20),
    }
}

fn hold(world: &mut World, thawed: u64) -> Option<Written> {
    world.hold(PLAIN, KNOB, KnobValue::Pulses(pulses(thawed)))
}

fn text(world: &World) -> String {
    world.text(PLAIN, KNOB).unwrap()
}

/// So many milliseconds later.
fn later(world: &mut World, millis: u64) -> Vec<Written> {
    world.now = world.now + Span::from_millis(millis);
    told(world.poll().unwrap())
}

fn told(outcomes: Vec<Outcome>) -> Vec<Written> {
    outcomes.into_iter().map(|one| one.written).collect()
}

/// Somebody else writes it, also where that is what stands there.
fn other_writes(world: &World, text: &str) {
    let mut tree = world.tree.clone();
    let dir = open_path(&mut tree, PLAIN.as_bytes()).unwrap().dir;
    tree.write(&dir, KNOB.file(), text.as_bytes()).unwrap();
}

/// One that is frozen for the first time.
fn frozen() -> World {
    let mut world = World::new();
    assert_eq!(hold(&mut world, 5), Some(Written::Queued));
    assert_eq!(world.poll().map(told), Some(vec![Written::Done]));
    assert_eq!(text(&world), "1");
    world
}

/// The same, in its part of the period.
fn thawed() -> World {
    let mut world = frozen();
    assert_eq!(later(&mut world, 15), []);
    assert_eq!(text(&world), "0");
    world
}

#[test]
fn it_is_frozen_and_thawed_by_turns_for_as_long_as_asked() {
    let mut world = frozen();
    let stood: String = (0..40)
        .map(|_| {
            later(&mut world, 1);
            text(&world)
        })
        .collect();
    let period = ["1".repeat(14), "0".repeat(5), "1".to_owned()].concat();
    assert_eq!(stood, period.repeat(2));
    assert_eq!(hold(&mut world, 10), Some(Written::Done), "no further hold");
    // From its next change on.
    later(&mut world, 15);
    let ran: usize = (0..40)
        .map(|_| {
            later(&mut world, 1);
            usize::from(text(&world) == "0")
        })
        .sum();
    assert_eq!(ran, 20);
}

#[test]
fn the_journal_knows_both_before_the_first_pulse() {
    let mut world = World::new();
    hold(&mut world, 5);
    assert_eq!(text(&world), "0");
    let found = world.disk.found();
    let [(_, record)] = &found.records[..] else {
        panic!("{found:?}");
    };
    assert_eq!(record.original.as_bytes(), b"0");
    assert_eq!(record.next.as_ref().unwrap().as_bytes(), b"1");
}

#[test]
fn given_back_it_is_thawed_whenever_that_is() {
    for mut world in [frozen(), thawed()] {
        assert_eq!(world.release(PLAIN, KNOB), Some(Written::Queued));
        assert_eq!(later(&mut world, 0), [Written::Restored]);
        assert_eq!(text(&world), "0");
        world.assert_journal_empty();
        assert_eq!(later(&mut world, 100), []);
        assert_eq!(text(&world), "0");
    }
}

#[test]
fn one_that_is_wanted_again_before_it_was_given_back_goes_on() {
    let mut world = frozen();
    assert_eq!(world.release(PLAIN, KNOB), Some(Written::Queued));
    hold(&mut world, 5);
    let mut stood = String::new();
    for _ in 0..40 {
        later(&mut world, 1);
        stood += &text(&world);
    }
    assert!(stood.contains("0111") && stood.contains("1000"), "{stood}");
    world.stop().unwrap();
    assert_eq!(text(&world), "0");
}

#[test]
fn what_somebody_else_writes_meanwhile_stands_and_is_told() {
    for (world, theirs) in [
        (thawed(), "1"),
        (thawed(), "0"),
        (frozen(), "1"),
        (frozen(), "0"),
    ] {
        let mut world = world;
        other_writes(&world, theirs);
        assert_eq!(later(&mut world, 20), [Written::Drifted]);
        assert_eq!(text(&world), theirs);
        world.assert_journal_empty();
        assert_eq!(later(&mut world, 100), []);
        assert_eq!(text(&world), theirs, "it is nobody's but theirs");
    }
}

#[test]
fn a_pause_right_before_it_is_given_back_stands() {
    for mut world in [frozen(), thawed()] {
        other_writes(&world, "1");
        world.release(PLAIN, KNOB);
        assert_eq!(later(&mut world, 0), [Written::Drifted]);
        assert_eq!(text(&world), "1");
        world.assert_journal_empty();
    }
}

#[test]
fn one_that_is_paused_already_is_not_touched() {
    let mut world = World::new();
    other_writes(&world, "1");
    assert_eq!(hold(&mut world, 5), Some(Written::Drifted));
    assert_eq!(later(&mut world, 20), []);
    assert_eq!(text(&world), "1");
    world.assert_journal_empty();
}

#[test]
fn one_that_was_paused_since_it_was_looked_at_is_not_touched_either() {
    let mut world = World::new();
    assert_eq!(hold(&mut world, 5), Some(Written::Queued));
    other_writes(&world, "1");
    assert_eq!(later(&mut world, 0), [Written::Drifted]);
    assert_eq!(text(&world), "1");
    world.assert_journal_empty();
}

#[test]
fn killed_while_it_is_frozen_the_next_start_thaws_it() {
    let mut world = frozen();
    world.process = None;
    assert_eq!(text(&world), "1");
    let report = world.start();
    assert_eq!(report.failed(), 0, "{report}");
    assert_eq!(text(&world), "0");
    world.assert_journal_empty();
}

#[test]
fn when_the_lease_is_over_it_is_thawed() {
    let mut world = frozen();
    world.now = world.now + LEASE;
    assert_eq!(world.expire().map(told), Some(vec![]));
    assert_eq!(later(&mut world, 0), [Written::Restored]);
    assert_eq!(text(&world), "0");
}

#[test]
fn with_its_group_it_ends() {
    let mut world = frozen();
    world.vanish(PLAIN);
    assert_eq!(later(&mut world, 20), []);
    world.assert_journal_empty();
}

#[test]
fn in_a_dry_run_nothing_is_written() {
    let mut world = World::new();
    world.run(|process, _| process.act.set_mode(Mode::DryRun));
    assert_eq!(hold(&mut world, 5), Some(Written::WouldWrite));
    later(&mut world, 20);
    assert!(world.tree.writes().is_empty());
}

#[test]
fn one_that_cannot_be_written_is_given_back_and_told() {
    let mut world = thawed();
    let why = Absent::Errno(5);
    world
        .tree
        .fail(PLAIN, Some(KNOB.file()), Operation::Write, why);
    assert_eq!(later(&mut world, 20), [Written::Failed(why)]);
    assert_eq!(text(&world), "0");
    world.assert_journal_empty();
}

#[test]
fn at_the_end_a_pulser_that_does_not_answer_is_not_waited_for() {
    let mut world = frozen();
    let end = |world: &mut World| {
        let now = world.run(|process, _| {
            let mut out = Vec::new();
            process.act.give_back_now(&mut process.files, &mut out);
            out
        });
        told(now.unwrap())
    };
    assert_eq!(end(&mut world), [Written::Failed(Absent::Busy)]);
    assert_eq!(text(&world), "0");
    assert_eq!(world.disk.found().records.len(), 1, "it may still write");
}

#[test]
fn no_more_are_pulsed_than_there_is_room_for_and_the_others_are_not_held() {
    let tree = FakeTree::new();
    tree.add(PLAIN);
    let dir = open_path(&mut tree.clone(), PLAIN.as_bytes()).unwrap().dir;
    let handle = || tree.clone().detach(&dir, KNOB.file()).unwrap();
    let (pulser, table) = Pulser::<FakeHandle>::without_thread();
    let all: Vec<_> = std::iter::from_fn(|| pulser.begin(handle(), pulses(5))).collect();
    assert_eq!(all.len(), super::super::pulser::SLOTS);
    pulser.stop(all[3]);
    table.turn(Time(0));
    assert_eq!(pulser.ended(all[3]), Some(End::Stopped));
    assert_eq!(pulser.begin(handle(), pulses(5)), Some(all[3]));
}

#[test]
fn the_thread_itself_pulses_and_stands_still_as_soon_as_it_is_asked_to() {
    let tree = FakeTree::new();
    tree.add(PLAIN);
    let dir = open_path(&mut tree.clone(), PLAIN.as_bytes()).unwrap().dir;
    let handle = tree.clone().detach(&dir, KNOB.file()).unwrap();
    let pulser = Pulser::<FakeHandle>::start().unwrap();
    let pulse = pulser.begin(handle, pulses(5)).unwrap();
    for _ in 0..1_000 {
        if tree.writes().len() >= 6 {
            break;
        }
        assert_eq!(pulser.wait(pulse, Duration::from_millis(10)), None);
    }
    pulser.stop(pulse);
    let end = pulser.wait(pulse, Duration::from_secs(10));
    assert_eq!(end, Some(End::Stopped));
    assert_eq!(tree.text(PLAIN, KNOB.file()).as_deref(), Some("0\n"));
    let writes: String = tree.writes().into_iter().map(|write| write.text).collect();
    assert!(writes.starts_with("101010"), "{writes}");
}

#[test]
fn a_pulser_that_is_dropped_thaws_all() {
    let tree = FakeTree::new();
    tree.add(PLAIN);
    let dir = open_path(&mut tree.clone(), PLAIN.as_bytes()).unwrap().dir;
    let handle = tree.clone().detach(&dir, KNOB.file()).unwrap();
    let pulser = Pulser::<FakeHandle>::start().unwrap();
    let long = Pulses {
        thawed: Span::from_millis(1),
        period: Span::from_secs(60),
    };
    let pulse = pulser.begin(handle, long).unwrap();
    let stands = |text: &str| tree.text(PLAIN, KNOB.file()).as_deref() == Some(text);
    for _ in 0..1_000 {
        if stands("1\n") {
            break;
        }
        pulser.wait(pulse, Duration::from_millis(10));
    }
    assert!(stands("1\n"));
    drop(pulser);
    for _ in 0..1_000 {
        if stands("0\n") {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("it is still frozen");
}

#[test]
fn a_pause_between_the_pulsers_end_and_our_look_stands() {
    let mut world = frozen();
    assert_eq!(world.release(PLAIN, KNOB), Some(Written::Queued));
    world.run(|process, now| process.pulses.turn(now));
    assert_eq!(text(&world), "0");
    other_writes(&world, "1");
    assert_eq!(later(&mut world, 0), [Written::Drifted]);
    assert_eq!(text(&world), "1");
    world.assert_journal_empty();
}

#[test]
fn what_could_not_be_thawed_is_thawed_before_it_is_pulsed_again() {
    let mut world = frozen();
    let why = Absent::Errno(5);
    world
        .tree
        .fail(PLAIN, Some(KNOB.file()), Operation::Write, why);
    assert_eq!(later(&mut world, 20), [Written::Failed(why)]);
    assert_eq!(text(&world), "1");
    world.tree.heal();
    assert_eq!(hold(&mut world, 5), Some(Written::Queued));
    assert_eq!(text(&world), "0");
    later(&mut world, 0);
    assert_eq!(text(&world), "1");
    world.release(PLAIN, KNOB);
    later(&mut world, 0);
    assert_eq!(text(&world), "0");
    world.assert_journal_empty();
}
