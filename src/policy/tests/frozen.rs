//! Stories of one that runs in real time, and obeys no rung but pulses.

use super::world::{CONFIRMED, World, where_no_weight_reaches};
use crate::model::{
    EventKind, GroupId, Knob, KnobValue, Outcome, Policy, Pulses, Span, Verdict, Written,
};
use crate::policy::track::tests::{container, service};

/// A pair whose hog begins, in real time, after ten calm seconds.
fn attacked(policy: Policy) -> World {
    let mut world = World::pair(0.3, policy);
    world.run(10.0);
    assert!(world.writes.is_empty(), "calm: {:?}", world.told);
    let hog = world.life("/hog");
    (hog.wants, hog.real_time) = (1.0, true);
    world
}

/// What stands now.
fn pulses(world: &World, path: &str) -> Option<Span> {
    match world.knobs.get(&(world.id(path), Knob::CgroupFreeze)) {
        Some(KnobValue::Pulses(Pulses { thawed, .. })) => Some(*thawed),
        _ => None,
    }
}

#[test]
fn one_that_runs_in_real_time_is_frozen_in_pulses_at_once_and_keeps_its_part() {
    let mut world = attacked(Policy::default());
    let began = world.now;
    while pulses(&world, "/hog").is_none() {
        world.tick();
    }
    assert!(world.now.since(began) <= Span::from_millis(100));
    world.run(5.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert!(!world.has_told(|kind| *kind == EventKind::Proved(Verdict::Exonerated)));
    let thawed = pulses(&world, "/hog").unwrap();
    assert!(Span::from_millis(1) <= thawed && thawed <= Span::from_millis(10));
    assert!(
        !world.wrote("/hog", Knob::CpuMax),
        "what it does not obey is not tried"
    );
    assert!(!world.wrote("/victim", Knob::CgroupFreeze));
}

#[test]
fn a_frozen_one_is_held_as_long_as_it_goes_on_and_then_given_everything_back() {
    let mut world = attacked(Policy::default());
    world.run(9.0);
    assert!(pulses(&world, "/hog").is_some());
    let released = |kind: &EventKind| *kind == EventKind::Released;
    assert!(!world.has_told(|kind| *kind == EventKind::Released));
    world.run(60.0);
    assert!(
        world.has_told(|kind| matches!(kind, EventKind::Loosened { .. })),
        "it is tried back, as a cap is"
    );
    assert!(pulses(&world, "/hog").is_some(), "and held again");
    world.told.retain(|kind| !released(kind));
    world.life("/hog").wants = 0.0;
    world.run(20.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn bursts_that_the_pulses_meet_are_no_rest() {
    let mut world = attacked(Policy::default());
    // 80 of every 200 ms, for eight seconds.
    for _ in 0..40 {
        world.life("/hog").wants = 1.0;
        world.run(0.08);
        world.life("/hog").wants = 0.0;
        world.run(0.12);
    }
    let given_back =
        |kind: &EventKind| matches!(kind, EventKind::Released | EventKind::Loosened { .. });
    assert!(!world.told.iter().any(given_back), "{:?}", world.told);
    assert!(pulses(&world, "/hog").is_some());
}

#[test]
fn who_does_not_run_in_real_time_is_never_frozen() {
    let mut world = attacked(Policy::default());
    world.life("/hog").real_time = false;
    world.life("/hog").wants = 8.0;
    world.run(20.0);
    assert!(world.wrote("/hog", Knob::CpuWeight));
    assert!(!world.wrote("/hog", Knob::CgroupFreeze));
}

#[test]
fn neither_the_policy_nor_a_pause_by_somebody_else_is_overruled() {
    let mut policy = Policy::default();
    policy.cpu.freeze = false;
    let mut world = attacked(policy);
    world.run(5.0);
    assert!(!world.wrote("/hog", Knob::CgroupFreeze));

    let mut hog = container("/hog", 100);
    hog.knobs.cgroup_freeze = Ok(true);
    let mut world = World::new(&[container("/victim", 100), hog], Policy::default());
    world.life("/victim").wants = 0.3;
    world.run(10.0);
    let hog = world.life("/hog");
    (hog.wants, hog.real_time) = (1.0, true);
    world.run(5.0);
    assert!(!world.wrote("/hog", Knob::CgroupFreeze));
}

#[test]
fn a_slice_that_holds_others_is_left_alone_and_the_hog_in_it_is_frozen() {
    let groups = [
        container("/machine.slice/victim", 100),
        container("/machine.slice/beside", 100),
        container("/other.slice/hog", 100),
        container("/other.slice/calm", 100),
        service("/system.slice/ssh.service"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/machine.slice/victim").wants = 0.3;
    world.run(10.0);
    let hog = world.life("/other.slice/hog");
    (hog.wants, hog.real_time) = (1.0, true);
    world.run(2.0);
    assert!(pulses(&world, "/other.slice/hog").is_some());
    assert!(pulses(&world, "/other.slice").is_none());
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
}

#[test]
fn one_that_takes_to_real_time_while_its_slice_is_held_is_frozen_too() {
    let groups = [
        container("/machine.slice/victim", 100),
        container("/other.slice/hog", 100),
        container("/other.slice/calm", 100),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/machine.slice/victim").wants = 0.6;
    world.run(10.0);
    world.life("/other.slice/hog").wants = 4.0;
    world.run(3.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert!(world.wrote("/other.slice", Knob::CpuWeight));
    world.life("/other.slice/hog").real_time = true;
    world.run(3.0);
    assert!(pulses(&world, "/other.slice/hog").is_some());
}

#[test]
fn one_whose_threads_nobody_can_ask_is_frozen_when_it_passes_its_cap() {
    let mut world = World::new(&where_no_weight_reaches(), Policy::default());
    let hog = world.id("/system.slice/hog");
    world.unasked.push(hog);
    world.life("/machine.slice/victim").wants = 0.3;
    world.run(10.0);
    let life = world.life("/system.slice/hog");
    (life.wants, life.real_time) = (1.0, true);
    world.run(3.0);
    assert!(world.wrote("/system.slice/hog", Knob::CpuMax));
    assert!(pulses(&world, "/system.slice/hog").is_some());
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
}

#[test]
fn somebody_elses_pause_ends_it_and_is_told() {
    let mut world = attacked(Policy::default());
    world.run(2.0);
    assert!(pulses(&world, "/hog").is_some());
    let group: GroupId = world.id("/hog");
    world.outcomes.push(Outcome {
        group,
        knob: Knob::CgroupFreeze,
        written: Written::Drifted,
    });
    world.life("/hog").wants = 0.0;
    world.tick();
    let knob = Knob::CgroupFreeze;
    assert!(world.told.contains(&EventKind::Drift { knob }));
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn who_cannot_be_frozen_is_not_cleared_by_that_and_the_other_rungs_are_left() {
    let mut world = attacked(Policy::default());
    world.refuse = Some(Knob::CgroupFreeze);
    world.run(2.0);
    assert!(world.wrote("/hog", Knob::CpuWeight), "{:?}", world.told);
    let refused = |kind: &EventKind| matches!(kind, EventKind::CannotAct { .. });
    assert_eq!(world.told.iter().filter(|kind| refused(kind)).count(), 1);
}

#[test]
fn one_of_too_many_tasks_is_not_frozen_nor_one_whose_hard_rungs_were_wrong_too_often() {
    let mut world = attacked(Policy::default());
    world.life("/hog").tasks = 300.0;
    world.run(3.0);
    assert!(!world.wrote("/hog", Knob::CgroupFreeze));
    assert!(world.wrote("/hog", Knob::CpuWeight));

    let mut world = attacked(Policy::default());
    let hog = world.id("/hog");
    world.brain.track_mut(hog).unwrap().wrong = 3;
    world.run(1.0);
    assert!(!world.wrote("/hog", Knob::CgroupFreeze));
    assert!(world.wrote("/hog", Knob::CpuWeight));
}

#[test]
fn who_starts_a_crowd_while_it_is_frozen_is_let_go_to_the_other_rungs() {
    let mut world = attacked(Policy::default());
    world.run(2.0);
    assert!(pulses(&world, "/hog").is_some());
    world.life("/hog").tasks = 600.0;
    world.run(0.5);
    assert!(pulses(&world, "/hog").is_none(), "{:?}", world.told);
}
