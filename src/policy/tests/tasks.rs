//! Stories of tasks: who runs the host, or a slice, out of them is clamped, and nobody else is.

use super::world::{CONFIRMED, TASKS, World};
use crate::model::{
    Absent, EventKind, Group, Knob, KnobValue, Limit, Others, Outcome, Policy, Resource, Role,
    Verdict, WhyNobody, Written,
};
use crate::policy::track::tests::container;

/// A victim and another one that have run for a while, with 20 tasks each.
fn calm(groups: &[Group]) -> World {
    let mut world = World::new(groups, Policy::default());
    for life in &mut world.lives {
        life.tasks = 20.0;
    }
    world.run(12.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
    world
}

fn pair() -> World {
    calm(&[container("/victim", 100), container("/bomb", 100)])
}

/// The same two, who have had so many tasks for long.
fn established(victim: f64, bomb: f64) -> World {
    let mut world = World::new(
        &[container("/victim", 100), container("/bomb", 100)],
        Policy::default(),
    );
    world.life("/victim").tasks = victim;
    world.life("/bomb").tasks = bomb;
    world.run(12.0);
    world
}

fn clamp(world: &World, path: &str) -> Option<u64> {
    match world.knobs.get(&(world.id(path), Knob::PidsMax))? {
        KnobValue::Tasks(Limit::At(tasks)) => Some(*tasks),
        other => panic!("{other:?}"),
    }
}

fn until_clamped(world: &mut World) -> f64 {
    let start = world.now;
    for _ in 0..5_000 {
        if world.wrote("/bomb", Knob::PidsMax) {
            return world.now.since(start).as_secs_f64();
        }
        world.tick();
    }
    panic!("no clamp: {:?}", world.told);
}

#[test]
fn a_fork_bomb_is_clamped_long_before_the_host_runs_out_and_given_back_when_it_is_over() {
    let mut world = pair();
    world.life("/bomb").starts = 3_000.0;
    let after = until_clamped(&mut world);
    assert!(after <= 0.25, "{after}");
    world.run(5.0);
    assert_eq!(clamp(&world, "/bomb"), Some(1_024));
    assert_eq!(clamp(&world, "/victim"), None);
    assert_eq!(world.role("/bomb"), Role::Aggressor);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    let bomb = world.life("/bomb");
    (bomb.starts, bomb.tasks) = (0.0, 0.0);
    world.run(30.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    assert!(world.has_told(|kind| *kind == EventKind::Released));
}

#[test]
fn one_that_goes_on_forking_is_tried_back_as_long_as_there_is_room_and_no_longer() {
    let mut world = pair();
    world.life("/bomb").starts = 3_000.0;
    world.run(1_200.0);
    let trials = world.told.iter();
    let trials = trials.filter(|kind| matches!(kind, EventKind::Loosened { .. }));
    assert!(trials.count() >= 3, "{:?}", world.told);
    assert!(clamp(&world, "/bomb").is_some());
    let tasks = world.life("/bomb").tasks;
    assert!(tasks < 0.6 * TASKS as f64, "{tasks} {:?}", world.told);
}

#[test]
fn one_that_was_clamped_and_needs_some_more_gets_it() {
    let mut world = pair();
    world.life("/bomb").starts = 3_000.0;
    until_clamped(&mut world);
    world.run(3.0);
    // As it turns out it was a server that starts 1,900 threads.
    world.life("/bomb").starts = 50.0;
    for _ in 0..4_000 {
        world.tick();
        if world.life("/bomb").tasks >= 1_900.0 {
            world.life("/bomb").starts = 0.0;
        }
    }
    assert!(world.life("/bomb").tasks >= 1_900.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_slow_leak_is_clamped_before_the_reserve_is_gone() {
    let mut world = established(20.0, 5_000.0);
    world.life("/bomb").starts = 20.0;
    until_clamped(&mut world);
    let has = world.life("/bomb").tasks;
    assert!(
        has > 0.8 * TASKS as f64 && has < 0.9 * TASKS as f64,
        "{has}"
    );
    world.run(60.0);
    let most = 0.91 * TASKS as f64;
    assert!(world.life("/bomb").tasks < most, "{:?}", world.told);
}

#[test]
fn a_server_that_starts_its_threads_is_no_fork_bomb() {
    let mut world = pair();
    world.life("/bomb").starts = 2_000.0;
    world.run(0.06);
    world.life("/bomb").starts = 0.0;
    world.run(20.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn one_that_has_had_many_for_long_is_nobodys_aggressor() {
    let world = established(60.0, 6_900.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn one_that_its_own_limit_stops_in_time_is_left_alone() {
    let mut bomb = container("/bomb", 100);
    bomb.knobs.pids_max = Ok(Limit::At(2_000));
    let mut world = calm(&[container("/victim", 100), bomb]);
    world.life("/bomb").starts = 3_000.0;
    world.run(10.0);
    assert_eq!(world.life("/bomb").tasks, 2_000.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn one_that_has_outgrown_the_limit_it_was_seen_with_is_no_better_hidden_than_others() {
    let mut bomb = container("/bomb", 100);
    bomb.knobs.pids_max = Ok(Limit::At(30));
    let mut world = calm(&[container("/victim", 100), bomb]);
    // Raised, and not read again yet.
    world.tree.groups[2].knobs.pids_max = Ok(Limit::Max);
    world.life("/bomb").starts = 3_000.0;
    assert!(until_clamped(&mut world) <= 0.25);
}

#[test]
fn two_bombs_are_clamped_one_after_the_other_and_neither_is_cleared() {
    let groups = ["/victim", "/bomb", "/other"].map(|path| container(path, 100));
    let mut world = calm(&groups);
    world.life("/bomb").starts = 3_000.0;
    world.life("/other").starts = 1_500.0;
    world.run(10.0);
    assert!(clamp(&world, "/bomb").is_some() && clamp(&world, "/other").is_some());
    assert!(!world.has_told(|kind| *kind == EventKind::Proved(Verdict::Exonerated)));
    let all: f64 = world.lives.iter().map(|life| life.tasks).sum();
    assert!(all < 0.9 * TASKS as f64, "{all}");
}

#[test]
fn of_a_crowd_that_leaks_alike_as_many_are_clamped_as_it_takes() {
    let crowd = ["/victim", "/bomb", "/b", "/c", "/d", "/e", "/f"];
    let mut world = calm(&crowd.map(|path| container(path, 100)));
    for leak in &crowd[1..] {
        world.life(leak).starts = 40.0;
    }
    world.run(60.0);
    let all: f64 = world.lives.iter().map(|life| life.tasks).sum();
    // Each may have its share, and the first had some more.
    assert!(all < 0.95 * TASKS as f64, "{all} {:?}", world.told);
}

#[test]
fn a_newcomer_under_its_share_is_not_stopped_at_what_it_has_because_another_has_most() {
    let mut world = established(6_250.0, 10.0);
    world.life("/bomb").starts = 100.0;
    world.run(3.0);
    assert_eq!(clamp(&world, "/victim"), None);
    assert!(clamp(&world, "/bomb").is_none_or(|most| most >= 1_024));
}

#[test]
fn what_is_only_told_ends_no_harm() {
    let mut world = pair();
    world.life("/bomb").starts = 3_000.0;
    until_clamped(&mut world);
    let group = world.id("/bomb");
    world.outcomes = vec![Outcome {
        group,
        knob: Knob::PidsMax,
        written: Written::WouldWrite,
    }];
    world.knobs.clear();
    world.run(0.3);
    assert!(
        world
            .brain
            .harms()
            .any(|harm| harm.resource == Resource::Pids && harm.total.0 > 50_000)
    );
}

#[test]
fn without_a_knob_or_with_the_policy_against_it_the_alarm_says_so() {
    let mut policy = Policy::default();
    policy.pids.enforce = false;
    let mut bomb = container("/bomb", 100);
    let mut off = World::new(&[container("/victim", 100), bomb.clone()], policy);
    bomb.knobs.pids_max = Err(crate::model::Absent::NoFile);
    let bare = World::new(&[container("/victim", 100), bomb], Policy::default());
    for world in [&mut off, &mut { bare }] {
        world.life("/bomb").tasks = 20.0;
        world.life("/victim").tasks = 20.0;
        world.run(12.0);
        world.life("/bomb").starts = 3_000.0;
        world.run(1.0);
        assert!(world.writes.is_empty());
        assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::NoLever)));
    }
}

#[test]
fn a_clamp_that_cannot_be_written_or_is_somebody_elses_is_not_tried_at_every_tick() {
    for written in [Written::Failed(Absent::Denied), Written::Drifted] {
        let mut world = pair();
        let mut policy = Policy::default();
        policy.release.others = Others::Alert;
        world.brain.set_policy(policy);
        world.life("/bomb").starts = 3_000.0;
        until_clamped(&mut world);
        let group = world.id("/bomb");
        let before = world.told.len();
        world.outcomes = vec![Outcome {
            group,
            knob: Knob::PidsMax,
            written,
        }];
        world.run(1.0);
        let again = world.told[before..].iter();
        let again = again.filter(|kind| matches!(kind, EventKind::Tightened { .. }));
        assert_eq!(again.count(), 0, "{written:?} {:?}", world.told);
        assert_eq!(clamp(&world, "/bomb"), None, "{written:?}");
    }
}

#[test]
fn who_was_cleared_of_the_cpu_is_not_cleared_of_tasks() {
    let mut world = pair();
    let bomb = world.id("/bomb");
    world.brain.exonerate(bomb, Resource::Cpu);
    world.life("/bomb").starts = 3_000.0;
    assert!(until_clamped(&mut world) <= 0.25);
}

#[test]
fn no_clamp_stays_under_a_floor_that_is_raised() {
    let mut world = pair();
    world.life("/bomb").starts = 3_000.0;
    until_clamped(&mut world);
    world.life("/bomb").starts = 0.0;
    let mut policy = Policy::default();
    policy.pids.floor = 1_500;
    world.brain.set_policy(policy);
    world.run(0.1);
    // Its pace may bring it the next one at once.
    let most = clamp(&world, "/bomb");
    assert!(
        most.is_none_or(|most| most >= 1_500),
        "{most:?} {:?}",
        world.told
    );
}
