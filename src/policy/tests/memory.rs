use super::world::{CONFIRMED, World};
use crate::model::{EventKind, Group, Knob, KnobValue, Limit, Policy, Share, Time, Verdict};
use crate::policy::track::tests::container;

/// One who fills the page cache, and has taken ten seconds for so much of it, beside one who works with this much; 2,147 MB are all
/// there is, unless others' has the rest.
fn filling(works_with: f64, has: f64, is_full: bool) -> World {
    let world = World::pair(0.05, Policy::default());
    filling_in(world, works_with, has, is_full)
}

/// A victim, one who fills memory, and another one.
fn three(protected: bool) -> [Group; 3] {
    let mut hog = container("/hog", 100);
    hog.protected = protected;
    [container("/victim", 100), hog, container("/other", 100)]
}

fn filling_in(mut world: World, works_with: f64, has: f64, is_full: bool) -> World {
    world.life("/victim").wants = 0.05;
    world.is_full = is_full;
    world.life("/victim").has = works_with;
    if world.cached.is_empty() {
        world.cached.push(world.id("/hog"));
    }
    world.run(12.0);
    world.life("/hog").grows = has / 10.0;
    world.run(10.0);
    world.life("/hog").grows = 9e7;
    world
}

/// The same, when there is hardly anything left.
fn filled(works_with: f64, has: f64, is_full: bool) -> World {
    let mut world = filling(works_with, has, is_full);
    world.run(5.5);
    world
}

#[test]
fn who_fills_free_memory_with_most_of_it_is_held_before_pages_are_taken_from_anybody() {
    let mut world = filled(2e8, 1.4e9, false);
    assert!(world.wrote("/hog", Knob::MemoryHigh), "{:?}", world.told);
    let has = world.life("/hog").has;
    assert!(has < 1.9e9, "there was room: {has}");
    // It goes on, and has no more as long as there is no room for more.
    for _ in 0..60 {
        world.run(1.0);
        assert!(world.life("/hog").has <= has);
    }
    world.life("/hog").grows = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn it_is_enough_that_it_grows_no_more() {
    let mut world = filling(2e8, 1.4e9, false);
    let mut had = 0.0;
    while !world.wrote("/hog", Knob::MemoryHigh) {
        had = world.life("/hog").has;
        world.tick();
        assert!(world.now < Time(60_000_000), "{:?}", world.told);
    }
    let Some((_, _, KnobValue::Bytes(Limit::At(high)))) = world.writes.first() else {
        panic!("{:?}", world.writes);
    };
    assert!(high.0 as f64 > 0.99 * had, "{high:?} of {had}");
}

#[test]
fn a_page_cache_that_grows_is_nobodys_harm_unless_all_that_makes_it_so_is_true() {
    let is_left_alone = |why: &str, world: World| {
        let alarmed = world.has_told(|kind| *kind == EventKind::Alarm);
        assert!(!alarmed, "{why}: {:?}", world.told);
        assert!(world.writes.is_empty(), "{why}: {:?}", world.told);
    };
    is_left_alone("there is room", filled(2e8, 1e9, false));
    let mut off = Policy::default();
    off.memory.reserve = Share::new(0.0);
    let mut off = filling_in(World::pair(0.05, off), 2e8, 1.4e9, false);
    off.run(5.5);
    is_left_alone("the policy wants nothing foreseen", off);
    let less = World::new(&three(false), Policy::default());
    let mut less = filling_in(less, 1e9, 9e8, false);
    less.life("/hog").grows = 6e7;
    less.run(2.5);
    is_left_alone("half is more", less);
    let mut slow = filling(2e8, 1.4e9, false);
    slow.life("/hog").grows = 6e7;
    slow.run(6.0);
    slow.life("/hog").grows = 1e7;
    slow.run(9.5);
    is_left_alone("it grows slowly", slow);
    is_left_alone("it takes others'", filled(2e8, 1.4e9, true));
    let mut idle = filling(2e8, 1.4e9, false);
    idle.life("/victim").wants = 0.0;
    idle.run(5.5);
    is_left_alone("nobody works", idle);
    is_left_alone("nothing to lose", filled(1e7, 1.6e9, false));
    // Others' pages, which nobody needs, will give way.
    let mut grows = World::pair(0.05, Policy::default());
    grows.cached.push(grows.id("/victim"));
    let mut grows = filling_in(grows, 2e8, 1.4e9, false);
    grows.run(4.2);
    is_left_alone("it is no page cache", grows);
    let mut full = filling(2e8, 1.4e9, true);
    full.run(2.0);
    full.is_full = false;
    full.life("/hog").has = 1.8e9;
    full.run(1.0);
    is_left_alone("somebody made room just now", full);
}

#[test]
fn who_fills_free_memory_is_held_for_that_and_nobody_else_and_nothing_is_proved_by_it() {
    for protected in [false, true] {
        let world = World::new(&three(protected), Policy::default());
        let mut world = filling_in(world, 1e8, 1e9, false);
        // It gets more than it may, too, and grows on.
        world.cached.push(world.id("/other"));
        world.life("/hog").grows = 2e7;
        world.life("/other").grows = 2.4e8;
        world.run(3.1);
        world.life("/hog").grows = 9e7;
        world.life("/other").grows = 1e7;
        world.run(2.0);
        assert!(!world.wrote("/other", Knob::MemoryHigh), "{:?}", world.told);
        assert_ne!(
            world.wrote("/hog", Knob::MemoryHigh),
            protected,
            "{:?}",
            world.told
        );
        world.life("/other").grows = 0.0;
        world.run(3.0);
        assert!(!world.has_told(CONFIRMED), "{:?}", world.told);
    }
}

#[test]
fn who_grows_into_swap_under_its_limit_runs_to_no_end_and_is_not_cleared_for_that() {
    let mut world = World::new(&three(false), Policy::default());
    world.life("/victim").wants = 0.2;
    world.life("/victim").has = 300e6;
    world.run(12.0);
    (world.life("/hog").grows, world.life("/hog").swaps) = (200e6, true);
    while !world.wrote("/hog", Knob::MemoryHigh) {
        assert!(world.now < Time(30_000_000), "{:?}", world.told);
        world.tick();
    }
    // Now less is left than the reserve.
    world.life("/other").has = 250e6;
    world.run(15.0);
    let cleared = |kind: &EventKind| *kind == EventKind::Proved(Verdict::Exonerated);
    assert!(!world.has_told(cleared), "{:?}", world.told);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
}
