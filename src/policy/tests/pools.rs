//! Stories of slices whose limit of tasks several share: who fills it is clamped, and nobody is hidden or framed by
//! a limit.

use super::world::World;
use crate::model::{Group, Knob, KnobValue, Limit, Policy, Resource};
use crate::policy::track::tests::{container, pod_container, slice};

/// With 20 tasks each, for a while.
fn calm(groups: &[Group]) -> World {
    let mut world = World::new(groups, Policy::default());
    for at in 0..world.lives.len() {
        if world.tree.groups[at].is_container() {
            world.lives[at].tasks = 20.0;
        }
    }
    world.run(12.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
    world
}

/// A slice with a limit, a victim and another one below it, and one beside it.
fn crowd(limit: u64) -> [Group; 4] {
    [
        slice("/slice", limit),
        container("/slice/victim", 100),
        container("/slice/bomb", 100),
        container("/beside", 100),
    ]
}

fn clamp(world: &World, path: &str) -> Option<u64> {
    match world.knobs.get(&(world.id(path), Knob::PidsMax))? {
        KnobValue::Tasks(Limit::At(tasks)) => Some(*tasks),
        other => panic!("{other:?}"),
    }
}

/// What a slice still has.
fn left(world: &World, limit: f64) -> f64 {
    limit - world.tasks_below(1)
}

#[test]
fn who_fills_its_slice_is_clamped_while_the_others_below_can_still_fork() {
    let mut world = calm(&crowd(1_000));
    world.life("/slice/bomb").starts = 1_000.0;
    world.run(2.0);
    let clamped = clamp(&world, "/slice/bomb").unwrap();
    assert!(clamped < 900, "{clamped}");
    world.run(3.0);
    assert!(left(&world, 1_000.0) >= 100.0, "{}", left(&world, 1_000.0));
    assert_eq!(clamp(&world, "/slice/victim"), None);
    let victim = world.id("/slice/victim");
    let held = world.brain.explain(victim).unwrap().helped;
    assert_eq!(held.len(), 1, "it is for the one that shares the slice");
    let bomb = world.life("/slice/bomb");
    (bomb.starts, bomb.tasks) = (0.0, 0.0);
    world.run(30.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn the_slice_that_runs_out_is_named() {
    let mut world = calm(&crowd(1_000));
    world.life("/slice/bomb").starts = 1_000.0;
    let victim = world.id("/slice/victim");
    let short = |world: &World| {
        let mut strains = world.brain.explain(victim).unwrap().strains.into_iter();
        let pids = strains.find(|strain| strain.resource == Resource::Pids);
        pids.unwrap().short_of
    };
    for _ in 0..50 {
        world.tick();
        if short(&world).is_some() {
            break;
        }
    }
    assert_eq!(short(&world).as_deref(), Some("/slice"));
}

#[test]
fn who_has_a_slice_of_its_own_to_fill_harms_nobody() {
    let groups = [
        slice("/own", 1_000),
        container("/own/bomb", 100),
        container("/victim", 100),
    ];
    let mut world = calm(&groups);
    world.life("/own/bomb").starts = 100.0;
    world.run(12.0);
    assert_eq!(world.life("/own/bomb").tasks, 1_000.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn what_a_slice_stops_in_time_is_no_harm_to_those_beside_it() {
    let mut world = calm(&crowd(1_000));
    world.life("/slice/bomb").starts = 1_000.0;
    world.run(20.0);
    let beside = world.id("/beside");
    let harmed = world.brain.harms();
    let harmed = harmed.filter(|harm| harm.victim == beside && harm.resource == Resource::Pids);
    assert_eq!(harmed.map(|harm| harm.total.0).sum::<u64>(), 0);
}

#[test]
fn containers_of_one_pod_do_not_harm_each_other_by_its_limit() {
    let groups = [
        slice("/pod", 1_000),
        pod_container("/pod/one", "a"),
        pod_container("/pod/bomb", "a"),
        container("/victim", 100),
    ];
    let mut world = calm(&groups);
    world.life("/pod/bomb").starts = 100.0;
    world.run(12.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn a_limit_in_what_is_somebody_elses_hides_nobody_from_the_host() {
    let mut world = calm(&crowd(1_000));
    // As its owner would have it, there is no room for a bomb; and then there is.
    let slice = world.id("/slice");
    world.delegated.push(slice);
    world.tree.groups[1].knobs.pids_max = Ok(Limit::Max);
    world.life("/slice/bomb").starts = 3_000.0;
    world.run(1.0);
    assert!(clamp(&world, "/slice/bomb").is_some(), "{:?}", world.told);
}

#[test]
fn a_limit_in_what_is_somebody_elses_frames_nobody() {
    let mut world = calm(&crowd(120));
    let slice = world.id("/slice");
    world.delegated.push(slice);
    world.life("/slice/bomb").starts = 5.0;
    world.run(20.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn a_grower_in_a_small_slice_is_not_blamed_first_for_what_another_does_to_the_host() {
    let groups = [
        slice("/slice", 2_000),
        container("/slice/victim", 100),
        container("/slice/grower", 100),
        container("/bomb", 100),
    ];
    let mut world = calm(&groups);
    world.life("/slice/grower").starts = 20.0;
    world.run(8.0);
    world.life("/bomb").starts = 3_000.0;
    world.run(1.0);
    let first = world.writes.first().map(|write| write.0);
    assert_eq!(first, Some(world.id("/bomb")), "{:?}", world.told);
}

#[test]
fn of_two_limits_one_above_the_other_the_one_that_runs_out_counts() {
    let groups = [
        slice("/out", 5_000),
        slice("/out/in", 1_000),
        container("/out/in/bomb", 100),
        container("/out/in/victim", 100),
        container("/out/other", 100),
    ];
    let mut world = calm(&groups);
    world.life("/out/in/bomb").starts = 1_000.0;
    world.run(5.0);
    assert!(clamp(&world, "/out/in/bomb").is_some_and(|most| most < 900));
    let other = world.id("/out/other");
    let mut harms = world.brain.harms();
    assert!(harms.all(|harm| harm.victim != other || harm.total.0 == 0));
}
