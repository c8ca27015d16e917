//! Stories of the last rung: who is killed where the policy lets it, and who never is.

use super::world::{TASKS, World};
use crate::model::{Absent, EventKind, GroupId, Knob, Outcome, Policy, Resource, Written};
use crate::policy::track::tests::container;

const MIB: f64 = 1_048_576.0;

fn killing() -> Policy {
    let mut policy = Policy::default();
    (policy.pids.kill, policy.memory.kill) = (true, true);
    policy
}

/// A victim, one that will take too much, and others.
fn calm(policy: Policy, others: &[&str]) -> World {
    let paths = ["/victim", "/bomb"].iter().chain(others);
    let groups: Vec<_> = paths.map(|path| container(path, 100)).collect();
    let mut world = World::new(&groups, policy);
    for path in ["/victim", "/bomb"].iter().chain(others) {
        let life = world.life(path);
        (life.tasks, life.has) = (20.0, 200.0 * MIB);
    }
    world.run(12.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
    world
}

/// A bomb that has all tasks before anybody can look.
fn exploded(policy: Policy) -> World {
    let mut world = calm(policy, &[]);
    world.life("/bomb").starts = 400_000.0;
    world
}

/// One that grows whatever `memory.high` says.
fn bursting(policy: Policy) -> World {
    let mut world = calm(policy, &[]);
    let bomb = world.life("/bomb");
    (bomb.grows, bomb.breaks) = (150.0 * MIB, true);
    world
}

fn used(world: &World) -> f64 {
    world.lives.iter().map(|life| life.has).sum::<f64>() / MIB
}

fn only(world: &World, path: &str) -> Vec<GroupId> {
    vec![world.id(path)]
}

#[test]
fn by_default_nobody_is_killed() {
    for mut world in [exploded(Policy::default()), bursting(Policy::default())] {
        world.run(20.0);
        assert_eq!(world.killed, []);
    }
}

#[test]
fn a_bomb_that_took_all_tasks_before_its_clamp_stood_is_killed_once_and_alone() {
    let mut world = exploded(killing());
    world.run(0.25);
    assert!(world.wrote("/bomb", Knob::PidsMax), "{:?}", world.told);
    assert_eq!(world.killed, [], "the clamp comes first");
    world.run(5.0);
    assert_eq!(world.killed, only(&world, "/bomb"), "{:?}", world.told);
    assert!(world.has_told(|kind| *kind == EventKind::Killed));
    world.run(30.0);
    assert_eq!(world.killed, only(&world, "/bomb"));
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    let bomb = world.id("/bomb");
    assert!(world.brain.explain(bomb).unwrap().history[0].killed);
}

#[test]
fn a_bomb_that_is_clamped_in_time_lives() {
    let mut world = calm(killing(), &[]);
    world.life("/bomb").starts = 3_000.0;
    world.run(60.0);
    assert!(world.wrote("/bomb", Knob::PidsMax));
    assert_eq!(world.killed, []);
}

#[test]
fn who_starts_some_where_others_have_nearly_all_is_not_killed_for_it() {
    // Four have had their equal parts for long, and a little more.
    let others = ["/a", "/b", "/c", "/d"];
    let groups = others.iter().chain(&["/victim"]);
    let groups: Vec<_> = groups.map(|path| container(path, 100)).collect();
    let mut world = World::new(&groups, killing());
    for path in others {
        world.life(path).tasks = 0.24 * TASKS as f64;
    }
    world.life("/victim").tasks = 20.0;
    world.run(15.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
    world.life("/victim").starts = 300.0;
    world.run(20.0);
    assert!(world.life("/victim").tasks > 200.0, "{:?}", world.told);
    assert_eq!(world.killed, [], "{:?}", world.told);
}

#[test]
fn one_that_grows_on_over_its_limit_is_killed_before_memory_is_at_its_end() {
    let mut world = bursting(killing());
    let mut most = 0.0_f64;
    for _ in 0..1_000 {
        world.tick();
        most = most.max(used(&world));
    }
    assert!(world.wrote("/bomb", Knob::MemoryHigh), "{:?}", world.told);
    assert_eq!(world.killed, only(&world, "/bomb"), "{:?}", world.told);
    assert!(most < 2_040.0, "{most} MiB of 2048");
    world.run(40.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn nobody_is_killed_before_his_limit_is_known_to_stand() {
    let mut world = bursting(killing());
    while !world.wrote("/bomb", Knob::MemoryHigh) {
        world.tick();
    }
    for outcome in &mut world.outcomes {
        outcome.written = Written::Queued;
    }
    world.run(1.2);
    assert_eq!(world.killed, [], "{:?}", world.told);
}

#[test]
fn one_that_its_limit_stops_lives() {
    let mut world = calm(killing(), &[]);
    world.life("/bomb").grows = 150.0 * MIB;
    world.run(30.0);
    assert!(world.wrote("/bomb", Knob::MemoryHigh));
    assert_eq!(world.killed, []);
}

#[test]
fn who_is_held_and_rests_does_not_die_for_another() {
    let mut world = calm(killing(), &["/other"]);
    let bomb = world.life("/bomb");
    bomb.grows = 150.0 * MIB;
    while !world.wrote("/bomb", Knob::MemoryHigh) {
        world.tick();
    }
    let other = world.life("/other");
    (other.grows, other.breaks) = (150.0 * MIB, true);
    world.run(10.0);
    assert!(
        !world.killed.contains(&world.id("/bomb")),
        "{:?}",
        world.told
    );
}

#[test]
fn what_is_only_told_kills_nobody() {
    for (mut world, knob) in [
        (exploded(killing()), Knob::PidsMax),
        (bursting(killing()), Knob::MemoryHigh),
    ] {
        while !world.wrote("/bomb", knob) {
            world.tick();
        }
        let group = world.id("/bomb");
        let written = Written::WouldWrite;
        world.outcomes = vec![Outcome {
            group,
            knob,
            written,
        }];
        world.run(20.0);
        assert_eq!(world.killed, [], "{:?}", world.told);
    }
}

#[test]
fn the_protected_and_those_that_the_policy_does_not_hold_live() {
    let mut spared = exploded(killing());
    let mut groups = spared.tree.groups[1..].to_vec();
    groups[1].protected = true;
    spared.adopt(&groups);
    let mut policy = killing();
    (policy.pids.enforce, policy.memory.enforce) = (false, false);
    for mut world in [spared, exploded(policy.clone()), bursting(policy)] {
        world.run(10.0);
        assert_eq!(world.killed, [], "{:?}", world.told);
    }
}

#[test]
fn one_that_cannot_be_killed_is_told_and_stays_clamped() {
    let mut world = exploded(killing());
    while world.killed.is_empty() {
        world.tick();
    }
    let group = world.id("/bomb");
    let written = Written::NotKilled(Absent::Denied);
    let knob = Knob::PidsMax;
    world.outcomes = vec![Outcome {
        group,
        knob,
        written,
    }];
    world.tick();
    let why = Absent::Denied;
    assert!(
        world.told.contains(&EventKind::CannotKill { why }),
        "{:?}",
        world.told
    );
    assert!(
        world
            .brain
            .held()
            .any(|held| held.resource == Resource::Pids)
    );
}
