//! Stories of alarms: whose harm counts, and that one that leads to nobody hides no other.

use super::world::World;
use crate::model::{Bytes, EventKind, Group, Knob, Limit, Pace, Policy, Step, Time, WhyNobody};
use crate::policy::track::tests::{container, pod_container};

/// Lets it go on for so long while this one stalls a lot, whatever runs beside it.
fn moaning(world: &mut World, path: &str, ticks: usize) {
    for _ in 0..ticks {
        world.life(path).stall += 0.012;
        world.tick();
    }
}

/// A victim, a hog, and one of the hog's pod that has needs of its own.
fn with_a_moaner() -> World {
    let groups: [Group; 3] = [
        container("/victim", 100),
        pod_container("/pods/p/hog", "p"),
        pod_container("/pods/p/moaner", "p"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/victim").wants = 0.3;
    world.life("/pods/p/moaner").wants = 0.1;
    world.run(10.0);
    world.life("/pods/p/moaner").wants = 0.05;
    world
}

#[test]
fn a_stall_counts_once_however_often_its_file_cannot_be_read_again() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/victim").wants = 0.3;
    world.run(0.3);
    world.life("/victim").stall += 0.006;
    world.tick();
    let victim = world.id("/victim");
    world.unreadable.push(victim);
    world.run(1.0);
    assert!(!world.has_told(|kind| *kind == EventKind::Alarm));
}

#[test]
fn one_whose_stall_cannot_be_read_any_more_is_no_victim_for_ever() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    let victim = world.id("/victim");
    world.unreadable.push(victim);
    world.life("/hog").wants = 0.0;
    world.run(40.0);
    assert!(world.knobs.is_empty(), "{:?}", world.told);
}

#[test]
fn an_alarm_that_leads_to_nobody_hides_no_other() {
    let mut world = with_a_moaner();
    moaning(&mut world, "/pods/p/moaner", 50);
    assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::NoExcess)));
    world.life("/pods/p/hog").wants = 8.0;
    moaning(&mut world, "/pods/p/moaner", 50);
    assert!(world.wrote("/pods", Knob::CpuWeight), "{:?}", world.told);
}

#[test]
fn one_that_is_never_calm_does_not_keep_a_limit_that_is_not_for_it() {
    let groups = [
        container("/victim", 100),
        container("/hog", 100),
        container("/moaner", 100),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/victim").wants = 0.3;
    world.life("/moaner").wants = 0.1;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    assert_eq!(world.brain.held().count(), 1, "{:?}", world.told);
    world.life("/hog").wants = 0.0;
    world.life("/moaner").wants = 0.05;
    moaning(&mut world, "/moaner", 1_000);
    assert!(world.knobs.is_empty(), "{:?}", world.told);
    assert_eq!(world.brain.held().count(), 0, "and is not held again");
}

#[test]
fn an_old_alarm_that_nothing_answers_does_not_slow_the_answer_to_a_new_one() {
    let mut world = with_a_moaner();
    moaning(&mut world, "/pods/p/moaner", 250);
    assert_eq!(world.pace, Pace::Quiet);
    world.life("/victim").wants = 0.1;
    let mut alert = false;
    for _ in 0..10 {
        world.life("/victim").stall += 0.012;
        moaning(&mut world, "/pods/p/moaner", 1);
        alert |= world.pace == Pace::Alert;
    }
    assert!(alert);
}

#[test]
fn who_has_just_come_is_watched_closely_for_half_a_second() {
    let mut world = World::pair(0.3, Policy::default());
    world.run(5.0);
    assert_eq!(world.pace, Pace::Quiet);
    world.adopt(&["/victim", "/hog", "/new"].map(|path| container(path, 100)));
    world.run(0.4);
    assert_eq!(world.pace, Pace::Alert);
    let new = world.id("/new");
    assert!(world.last.1.matters.contains(&new), "{:?}", world.last.1);
    world.run(0.2);
    assert_eq!(world.pace, Pace::Quiet);
    assert!(!world.last.1.matters.contains(&new), "{:?}", world.last.1);
}

#[test]
fn a_crowd_of_newcomers_hides_nobody_who_takes_much() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(5.0);
    let crowd: Vec<String> = (0..80).map(|n| format!("/new-{n}")).collect();
    let mut groups = vec![container("/victim", 100), container("/hog", 100)];
    groups.extend(crowd.iter().map(|path| container(path, 100)));
    let mut worse = container("/worse", 100);
    worse.protected = true;
    groups.push(worse);
    world.adopt(&groups);
    world.life("/worse").wants = 8.0;
    world.run(0.2);
    assert_eq!(world.brain.held().count(), 0, "{:?}", world.told);
    let Step {
        matters, newcomers, ..
    } = &world.last.1;
    let place = |path| matters.iter().position(|id| *id == world.id(path));
    assert!(place("/worse").is_some_and(|place| place < matters.len() - 80));
    assert_eq!(
        (*newcomers, place("/new-79")),
        (80, Some(matters.len() - 1))
    );
}

#[test]
fn after_a_step_on_the_cpu_who_begins_is_watched_for_as_closely_for_half_a_second() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    while world.writes.is_empty() {
        world.tick();
        assert!(world.now < Time(12_000_000), "{:?}", world.told);
    }
    for _ in 0..24 {
        world.tick();
        assert_eq!(world.pace, Pace::Alert);
    }
    world.run(0.1);
    assert_ne!(world.pace, Pace::Alert);
}

#[test]
fn who_loses_pages_with_memory_to_spare_is_harmed_but_not_below_a_limit_of_its_slice() {
    for limited in [false, true] {
        let groups = [container("/slice/victim", 100), container("/hog", 100)];
        let mut world = World::new(&groups, Policy::default());
        let mut all = world.tree.groups.iter_mut();
        let slice = all.find(|group| group.path == b"/slice");
        if let (Some(slice), true) = (slice, limited) {
            slice.knobs.memory_max = Ok(Limit::At(Bytes(400_000_000)));
        }
        let tree = world.tree.clone();
        world.brain.adopt(&tree, world.now);
        world.life("/slice/victim").has = 2e8;
        world.run(12.0);
        world.life("/slice/victim").grows = -9e6;
        for _ in 0..100 {
            world.life("/slice/victim").memory_stall += 0.018;
            world.tick();
        }
        let alarmed = world.has_told(|kind| *kind == EventKind::Alarm);
        assert_eq!(alarmed, !limited, "{:?}", world.told);
    }
}

#[test]
fn who_loses_pages_loses_them_to_who_grew_even_under_an_equal_part() {
    for (has, is_larger) in [(6e8, true), (1e8, false)] {
        let mut world = World::pair(0.0, Policy::default());
        world.life("/victim").has = 2e8;
        world.run(12.0);
        world.life("/hog").has = has;
        world.life("/hog").grows = 2e7;
        world.life("/victim").grows = -9e6;
        for _ in 0..60 {
            world.life("/victim").memory_stall += 0.018;
            world.tick();
        }
        assert!(world.has_told(|kind| *kind == EventKind::Alarm));
        let held = world.wrote("/hog", Knob::MemoryHigh);
        assert_eq!(held, is_larger, "{:?}", world.told);
    }
}
