//! Stories of a disk: who takes it from others is throttled, and nobody else is.

use super::world::{CONFIRMED, DISK, DISK_RATE, World};
use crate::model::{
    Absent, End, EventKind, Group, IoMax, Knob, KnobValue, Limit, Outcome, Pace, PerDevice, Policy,
    Resource, Role, Span, Time, Verdict, WhyNobody, Written,
};
use crate::policy::ladder::Place;
use crate::policy::track::tests::container;

const CLEARED: fn(&EventKind) -> bool = |kind| *kind == EventKind::Proved(Verdict::Exonerated);

/// A victim that reads now and then, and another one that rests; both known for a while.
fn calm(groups: &[Group], reads: f64) -> World {
    let mut world = World::new(groups, Policy::default());
    world.life("/victim").reads = reads;
    world.life("/hog").reads = 1.0;
    world.run(12.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
    world
}

fn pair(reads: f64) -> World {
    calm(&[container("/victim", 100), container("/hog", 100)], reads)
}

/// A flood that is held, which was proved.
fn held() -> World {
    let mut world = pair(50.0);
    world.life("/hog").reads = 10_000.0;
    world.run(3.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    world
}

fn throttle(world: &World, path: &str) -> Option<u64> {
    let knob = Knob::IoMax(DISK);
    match world.knobs.get(&(world.id(path), knob))? {
        KnobValue::IoMax(_, max) => match max.riops {
            Limit::At(most) => Some(most),
            Limit::Max => None,
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flood_of_reads_is_throttled_within_a_second_and_given_back_when_it_is_over() {
    let mut world = pair(50.0);
    world.life("/hog").reads = 10_000.0;
    world.run(1.0);
    assert!(throttle(&world, "/hog").is_some(), "{:?}", world.told);
    world.run(4.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert_eq!(world.role("/hog"), Role::Aggressor);
    assert_eq!(throttle(&world, "/victim"), None);
    world.life("/hog").reads = 1.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    assert_eq!(world.role("/hog"), Role::Calm);
}

#[test]
fn a_newcomer_is_throttled_for_one_who_was_there_before_and_for_no_other_newcomer() {
    let groups = [container("/victim", 100), container("/hog", 100)];
    let mut world = World::new(&groups[..1], Policy::default());
    world.life("/victim").reads = 50.0;
    world.run(12.0);
    world.adopt(&groups);
    world.life("/hog").reads = 10_000.0;
    world.run(1.0);
    assert!(throttle(&world, "/hog").is_some(), "{:?}", world.told);
    // As after a restart of the governor in an attack.
    let mut world = World::new(&groups, Policy::default());
    world.brain.adopt(&world.tree, world.now);
    world.life("/victim").reads = 50.0;
    world.life("/hog").reads = 10_000.0;
    world.run(1.5);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    world.run(3.0);
    assert!(throttle(&world, "/hog").is_some(), "{:?}", world.told);
}

#[test]
fn a_throttle_is_tried_back_and_set_again_while_the_flood_lasts() {
    let mut world = pair(50.0);
    world.life("/hog").reads = 10_000.0;
    world.run(60.0);
    let retightened = world.told.iter().filter(
        |kind| matches!(kind, EventKind::Tightened { knob, .. } if knob.resource() == Resource::Io),
    );
    assert!(retightened.count() >= 2, "{:?}", world.told);
    assert!(world.has_told(|kind| matches!(kind, EventKind::Loosened { .. })));
    assert_eq!(world.role("/hog"), Role::Aggressor);
}

#[test]
fn one_that_wants_all_that_it_is_kept_from_gets_it_at_once_and_is_watched_closely() {
    let mut world = pair(50.0);
    world.life("/hog").reads = 10_000.0;
    let tried = |world: &World| world.has_told(|kind| matches!(kind, EventKind::Loosened { .. }));
    while !tried(&world) {
        world.run(0.02);
        assert!(world.now < Time(60_000_000), "{:?}", world.told);
    }
    assert_eq!(world.pace, Pace::Alert);
    let operations = throttle(&world, "/hog").unwrap();
    assert!(operations > 200, "{operations}: half of the disk at least");
}

#[test]
fn one_that_reads_all_the_time_alone_is_left_alone() {
    let mut world = calm(&[container("/victim", 100), container("/hog", 100)], 0.5);
    world.life("/hog").reads = 10_000.0;
    world.life("/victim").reads = 0.0;
    world.run(30.0);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn one_that_always_waits_for_its_reads_is_no_victim_of_one_that_reads_now_and_then() {
    let mut world = pair(390.0);
    world.life("/hog").reads = 5.0;
    world.run(30.0);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn one_that_gets_a_tenth_of_what_it_read_before_is_a_victim_although_it_waited_before_too() {
    let mut world = pair(390.0);
    world.life("/hog").reads = 10_000.0;
    world.run(3.0);
    assert!(throttle(&world, "/hog").is_some(), "{:?}", world.told);
}

/// A limit of so many reads in a second.
fn limit(reads: u64) -> PerDevice<IoMax> {
    let mut own = PerDevice::NONE;
    let max = IoMax {
        riops: Limit::At(reads),
        ..IoMax::NONE
    };
    own.put(DISK, max, |_| 0);
    own
}

#[test]
fn who_stands_at_a_limit_of_its_own_or_of_its_slice_is_no_victim() {
    let alone = [container("/victim", 100), container("/hog", 100)];
    let in_slice = [container("/slice/victim", 100), container("/hog", 100)];
    for (mut groups, victim) in [(alone, "/victim"), (in_slice, "/slice/victim")] {
        groups[0].knobs.io_max = Ok(limit(100));
        let mut world = World::new(&groups, Policy::default());
        let slice = world
            .tree
            .groups
            .iter_mut()
            .find(|group| group.path == b"/slice");
        if let Some(slice) = slice {
            slice.knobs.io_max = Ok(limit(100));
            let tree = world.tree.clone();
            world.brain.adopt(&tree, world.now);
        }
        world.life(victim).reads = 5.0;
        world.life("/hog").reads = 1.0;
        world.run(12.0);
        world.life("/hog").reads = 250.0;
        // What the kernel lets pass at once.
        world.life(victim).done += 10.0;
        world.life(victim).reads = 10_000.0;
        world.run(10.0);
        assert!(world.writes.is_empty(), "{:?}", world.writes);
    }
}

#[test]
fn what_the_host_does_is_no_containers_doing() {
    let mut world = World::new(
        &[container("/victim", 100), container("/hog", 100)],
        Policy::default(),
    );
    world.life("/victim").reads = 20.0;
    world.life("/hog").reads = 40.0;
    world.run(12.0);
    world.host_rate = 380.0;
    world.run(10.0);
    assert!(world.has_told(|kind| *kind == EventKind::Alarm));
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn one_that_hides_how_long_it_waits_earns_nothing_by_a_head_start() {
    let mut world = pair(0.0);
    world.hides.push(world.id("/hog"));
    world.life("/hog").reads = 10_000.0;
    world.run(20.0);
    world.life("/victim").reads = 50.0;
    world.run(3.0);
    assert!(throttle(&world, "/hog").is_some(), "{:?}", world.told);
}

#[test]
fn a_flood_that_grows_slowly_is_met_too() {
    let mut world = pair(50.0);
    world.hides.push(world.id("/hog"));
    let mut reads = 300.0;
    for _ in 0..60 {
        world.life("/hog").reads = reads;
        reads *= 1.04;
        world.run(1.0);
    }
    assert!(throttle(&world, "/hog").is_some(), "{:?}", world.told);
}

#[test]
fn no_throttle_leaves_more_than_the_original_one() {
    let mut groups = [container("/victim", 100), container("/hog", 100)];
    let mut own = PerDevice::NONE;
    let max = IoMax {
        riops: Limit::At(350),
        wiops: Limit::At(7),
        ..IoMax::NONE
    };
    own.put(DISK, max, |_| 0);
    groups[1].knobs.io_max = Ok(own);
    let mut world = calm(&groups, 100.0);
    world.life("/hog").reads = 10_000.0;
    world.run(5.0);
    let knob = Knob::IoMax(DISK);
    let written = world.writes.iter().filter(|write| write.1 == knob);
    let mut count = 0;
    for (_, _, value) in written {
        let KnobValue::IoMax(_, max) = value else {
            panic!("{value:?}");
        };
        assert_eq!(max.wiops, Limit::At(7));
        assert!(
            matches!(max.riops, Limit::At(most) if most < 350),
            "{max:?}"
        );
        count += 1;
    }
    assert!(count > 0, "{:?}", world.told);
}

#[test]
fn a_throttle_that_brings_nothing_is_taken_back_and_its_container_exonerated() {
    let mut world = pair(50.0);
    world.life("/hog").reads = 200.0;
    // The victim waits for something that nobody's reads have to do with.
    for _ in 0..175 {
        world.life("/victim").io_stall += 0.015;
        world.tick();
    }
    assert!(world.has_told(CLEARED), "{:?}", world.told);
    assert_eq!(throttle(&world, "/hog"), None);
}

#[test]
fn a_throttle_shows_nothing_while_the_disk_works_off_what_it_had_before() {
    let mut world = pair(50.0);
    world.life("/hog").writes = true;
    // Five seconds of what the disk does, handed over at once, and the victim's reads behind all that. It waits for room to hand
    // over more.
    let queued = 5.0 * DISK_RATE;
    world.life("/hog").done += queued;
    world.host_reads -= queued;
    world.life("/victim").reads = 0.0;
    world.life("/hog").reads = 100.0;
    let end = world.now + Span::from_secs(5);
    while world.now < end {
        let before = world.now;
        world.tick();
        let passed = world.now.since(before).as_secs_f64();
        world.host_reads += DISK_RATE * passed;
        world.life("/victim").io_stall += passed;
        world.life("/hog").io_stall += passed;
    }
    world.life("/victim").reads = 50.0;
    world.run(3.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert!(!world.has_told(CLEARED), "{:?}", world.told);
}

#[test]
fn who_takes_the_disk_under_a_throttle_too_is_left_less_and_not_cleared() {
    let mut world = pair(50.0);
    world.life("/hog").reads = 10_000.0;
    // Far more at once than the disk does in a second: a part of that is no limit.
    while throttle(&world, "/hog").is_none() {
        world.life("/hog").done += 300.0;
        world.tick();
        assert!(world.now < Time(30_000_000), "{:?}", world.told);
    }
    assert!(throttle(&world, "/hog").unwrap() as f64 > DISK_RATE);
    world.run(12.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert!(!world.has_told(CLEARED), "{:?}", world.told);
    assert!((throttle(&world, "/hog").unwrap() as f64) < DISK_RATE);
}

#[test]
fn where_nobody_takes_too_much_of_the_disk_nobody_is_blamed() {
    let mut world = pair(20.0);
    for _ in 0..100 {
        world.life("/victim").io_stall += 0.018;
        world.tick();
    }
    assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::NoExcess)));
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn while_memory_is_short_waiting_for_the_disk_is_answered_there() {
    let mut world = World::new(
        &[container("/victim", 100), container("/hog", 100)],
        Policy::default(),
    );
    world.life("/victim").has = 1.8e9;
    world.life("/victim").reads = 50.0;
    world.run(12.0);
    // All of that is reading what was taken from it.
    for _ in 0..250 {
        world.life("/hog").reads = 10_000.0;
        let before = world.life("/victim").io_stall;
        world.tick();
        let waited = world.life("/victim").io_stall - before;
        world.life("/victim").memory_stall += waited;
    }
    assert_eq!(throttle(&world, "/hog"), None, "{:?}", world.told);
}

#[test]
fn where_the_policy_does_not_enforce_it_nothing_is_written() {
    let mut policy = Policy::default();
    policy.io.enforce = false;
    let mut world = World::new(&[container("/victim", 100), container("/hog", 100)], policy);
    world.life("/victim").reads = 50.0;
    world.run(12.0);
    world.life("/hog").reads = 10_000.0;
    world.run(5.0);
    assert!(world.has_told(|kind| *kind == EventKind::Alarm));
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn one_whose_writes_come_every_few_seconds_is_not_given_back_in_between() {
    let mut world = pair(50.0);
    world.hides.push(world.id("/hog"));
    world.life("/hog").writes = true;
    for _ in 0..2 {
        world.life("/hog").reads = 10_000.0;
        world.run(3.0);
        world.life("/hog").reads = 1.0;
        world.run(4.0);
    }
    let loosened = |kind: &EventKind| matches!(kind, EventKind::Loosened { .. });
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert!(!world.has_told(loosened), "{:?}", world.told);
    world.run(30.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn one_that_comes_again_all_at_once_is_left_no_more_than_what_helped_before() {
    let mut world = held();
    let helped = throttle(&world, "/hog").unwrap();
    world.life("/hog").reads = 1.0;
    world.run(20.0);
    assert_eq!(throttle(&world, "/hog"), None);
    // Handed over at once, and done by the disk one after the other.
    world.life("/hog").reads = 10_000.0;
    while throttle(&world, "/hog").is_none() {
        world.life("/hog").done += 60.0;
        world.run(0.02);
        assert!(world.now < Time(60_000_000), "{:?}", world.told);
    }
    assert!(throttle(&world, "/hog").unwrap() <= helped);
}

#[test]
fn what_was_not_proved_is_not_remembered_as_what_helped() {
    let mut world = held();
    let held = &mut world.brain.held[0];
    let (Some(proved), Place::Throttle(now)) = (held.proved_at, held.place) else {
        panic!("{held:?}");
    };
    held.tightest = now
        .tighter(&Policy::default())
        .map(Place::Throttle)
        .unwrap();
    held.place = held.tightest;
    let hog = world.id("/hog");
    world.brain.release(0, End::Groundless);
    let remembered = world
        .brain
        .track(hog)
        .and_then(|track| track.on(DISK)?.proved);
    assert_eq!(remembered.map(Place::Throttle), Some(proved));
}

#[test]
fn a_limit_whose_device_went_ends_and_nobody_is_cleared_by_that() {
    let mut world = held();
    world.life("/hog").reads = 1.0;
    world.outcomes.push(Outcome {
        group: world.id("/hog"),
        knob: Knob::IoMax(DISK),
        written: Written::Failed(Absent::Gone),
    });
    world.run(1.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    assert!(!world.has_told(CLEARED), "{:?}", world.told);
    assert!(!world.has_told(|kind| matches!(kind, EventKind::CannotAct { .. })));
}
