//! A brain that was written down and read again is the same brain.

use super::world::World;
use crate::model::{Group, Policy, Time, Topology};
use crate::policy::track::tests::container;
use crate::policy::{Brain, CheckpointError};

fn twin(world: &World) -> Brain {
    let text = world.brain.checkpoint().unwrap();
    Brain::resume(&text, Policy::default(), &world.tree).unwrap()
}

/// Both are given the same for so many seconds, and answer and become the same.
fn same(world: &mut World, twin: &mut Brain, seconds: u32) {
    for tick in 0..seconds * 50 {
        world.tick();
        let (sample, step) = &world.last;
        assert_eq!(twin.step(sample), step, "tick {tick}");
        if tick % 25 == 0 {
            assert_eq!(
                twin.checkpoint().unwrap(),
                world.brain.checkpoint().unwrap(),
                "tick {tick}"
            );
        }
    }
}

#[test]
fn a_resumed_brain_decides_the_same_in_calm_in_an_attack_and_after_it() {
    let mut world = World::pair(0.8, Policy::default());
    for (wants, seconds) in [(0.0, 3), (8.0, 1), (8.0, 4), (0.0, 2), (3.0, 3), (0.0, 12)] {
        let mut twin = twin(&world);
        world.life("/hog").wants = wants;
        same(&mut world, &mut twin, seconds);
    }
    assert!(!world.writes.is_empty(), "it was an attack");
}

#[test]
fn a_resumed_brain_decides_the_same_on_memory_and_on_another_tree() {
    let groups = |more: Option<Group>| {
        let both = ["/victim", "/hog"].map(|path| container(path, 100));
        both.into_iter().chain(more).collect::<Vec<_>>()
    };
    let mut world = World::new(&groups(None), Policy::default());
    world.life("/victim").has = 400e6;
    world.life("/hog").grows = 300e6;
    world.run(4.0);
    let mut twin = twin(&world);
    same(&mut world, &mut twin, 4);
    world.adopt(&groups(Some(container("/new", 100))));
    twin.adopt(&world.tree, world.now);
    world.life("/new").wants = 2.0;
    same(&mut world, &mut twin, 4);
    world.brain.release_all();
    twin.release_all();
    same(&mut world, &mut twin, 2);
    assert!(!world.writes.is_empty(), "it was an attack");
}

#[test]
fn a_brain_that_has_seen_nothing_is_a_checkpoint_too() {
    let text = Brain::new(Policy::default()).checkpoint().unwrap();
    let brain = Brain::resume(&text, Policy::default(), &Topology::default()).unwrap();
    assert_eq!(brain.checkpoint().unwrap(), text);
}

#[test]
fn what_is_no_checkpoint_is_refused_and_never_half_understood() {
    let world = World::pair(0.5, Policy::default());
    let text = world.brain.checkpoint().unwrap();
    let nothing = Topology::default();
    let resume = |text: &str, tree| Brain::resume(text, Policy::default(), tree).map(|_| ());
    assert!(matches!(
        resume(&text, &nothing),
        Err(CheckpointError::Tree(_))
    ));
    let next = text.replace("\"next\":0", "\"next\":12");
    let more = text.replacen("\"tracks\"", "\"later\":1,\"tracks\"", 1);
    for wrong in ["", "{}", "null", &text[..text.len() - 1], &next, &more] {
        assert!(
            matches!(resume(wrong, &world.tree), Err(CheckpointError::Text(_))),
            "{wrong}"
        );
    }
    assert_eq!(world.now, Time(1_000_000));
}
