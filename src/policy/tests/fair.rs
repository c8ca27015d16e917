//! Stories of fairness: who is no aggressor though it is large, who is a victim though it is large, and
//! for whom a limit stands, is handed on, or goes back.

use super::world::World;
use crate::model::{
    Bytes, EventKind, Group, GroupId, Knob, KnobValue, Policy, Resource, Role, Span, Time, Verdict,
    Weight,
};
use crate::policy::blame::Culprits;
use crate::policy::intervention::Proof;
use crate::policy::ladder::Place;
use crate::policy::track::tests::{container, pod_container};
use crate::policy::window::Over;

/// Lets it go on for so long while this one stalls a lot, whatever runs beside it.
fn moaning(world: &mut World, path: &str, seconds: f64) {
    for _ in 0..(seconds * 50.0) as usize {
        world.life(path).stall += 0.012;
        world.tick();
    }
}

fn three() -> [Group; 3] {
    [
        container("/hog", 100),
        container("/second", 100),
        container("/victim", 100),
    ]
}

/// A victim that is known to need 80 % of the CPU, and for so long a hog beside it.
fn beside_a_hog(groups: &[Group], hog: &str, seconds: f64) -> World {
    let mut world = World::new(groups, Policy::default());
    world.life("/victim").wants = 0.8;
    world.run(10.0);
    world.life(hog).wants = 8.0;
    world.run(seconds);
    world
}

/// A victim and a second one harmed by a hog that is held.
fn two_harmed() -> World {
    let mut world = World::new(&three(), Policy::default());
    world.life("/victim").wants = 0.5;
    world.life("/second").wants = 0.05;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    let held: Vec<_> = world.brain.held().map(|held| held.victim).collect();
    assert_eq!(held, [world.id("/victim")], "{:?}", world.told);
    world
}

#[test]
fn a_database_that_was_there_first_and_gains_a_page_is_no_aggressor() {
    let groups: Vec<Group> = ["/database", "/a", "/b", "/c"]
        .into_iter()
        .map(|path| container(path, 100))
        .collect();
    let mut world = World::new(&groups, Policy::default());
    // MemAvailable stands below the reserve by design.
    world.life("/database").has = 1_950e6;
    world.life("/database").grows = 4_096.0;
    world.life("/a").has = 50e6;
    world.run(30.0);
    assert!(world.writes.is_empty(), "{:?}", world.told);
}

/// Bursts that meet: one is at work for 60 % of the time, and whenever the other is.
fn meet(world: &mut World, seconds: f64) {
    for tick in 0..(seconds * 50.0) as usize {
        world.life("/steady").wants = f64::from(u8::from(tick % 5 < 3));
        world.life("/small").wants = f64::from(u8::from(matches!(tick % 10, 0 | 1 | 5)));
        world.tick();
    }
}

fn neighbours() -> World {
    let groups = [container("/steady", 100), container("/small", 100)];
    World::new(&groups, Policy::default())
}

#[test]
fn who_begins_beside_another_that_begins_blames_nobody_while_there_is_cpu_left() {
    let mut world = neighbours();
    meet(&mut world, 2.0);
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn two_that_meet_are_known_to_need_what_they_take_and_are_left_alone() {
    let mut world = neighbours();
    meet(&mut world, 60.0);
    let steady = world.brain.track(world.id("/steady")).unwrap();
    assert!(steady.demand.get() > 0.4, "{}", steady.demand.get());
    assert!(world.writes.is_empty(), "{:?}", world.told);
}

#[test]
fn one_that_is_held_and_is_found_to_need_what_it_takes_takes_nothing_from_anybody() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    // It gets 45 % of the CPU now, and is entitled to half of it.
    world.life("/victim").wants = 0.55;
    world.run(1.0);
    let hog = world.id("/hog");
    let excess = |world: &World| world.brain.track(hog).unwrap().excess;
    assert!(excess(&world) > 0.1, "{}", excess(&world));
    let track = world.brain.track_mut(hog).unwrap();
    track.demand.learn(1.0, Span::from_secs(2), 1.0);
    world.tick();
    assert!(excess(&world) < 0.0, "{}", excess(&world));
}

#[test]
fn of_two_that_share_what_a_victim_leaves_neither_is_raised_while_the_other_is_held() {
    let mut world = World::new(&three(), Policy::default());
    world.life("/victim").wants = 0.8;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.life("/second").wants = 8.0;
    world.run(3.0);
    let held: Vec<_> = world.brain.held().map(|held| held.aggressor).collect();
    assert_eq!(held.len(), 2, "{:?}", world.told);
    let before = world.writes.len();
    world.run(10.0);
    assert_eq!(world.writes.len(), before, "{:?}", &world.writes[before..]);
}

#[test]
fn a_large_one_that_is_a_page_over_its_level_is_a_victim_all_the_same() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/victim").has = 1_200e6;
    world.run(15.0);
    world.life("/victim").has += 8_192.0;
    world.life("/hog").grows = 200e6;
    let mut harmed = false;
    for _ in 0..400 {
        world.tick();
        harmed |= world.role("/victim") == Role::Victim;
    }
    assert!(harmed, "{:?}", world.told);
    assert!(world.wrote("/hog", Knob::MemoryHigh), "{:?}", world.told);
    assert!(!world.wrote("/victim", Knob::MemoryHigh));
}

#[test]
fn a_victim_that_vanishes_hands_its_limit_on_to_another_one_of_the_same_aggressor() {
    let mut world = two_harmed();
    let (hog, second) = (world.id("/hog"), world.id("/second"));
    moaning(&mut world, "/second", 0.3);
    world.adopt(&[container("/hog", 100), container("/second", 100)]);
    world.tick();
    let held: Vec<_> = world.brain.held().map(|held| held.victim).collect();
    assert_eq!(held, [second], "{:?}", world.told);
    assert!(world.knobs.contains_key(&(hog, Knob::CpuWeight)));
}

#[test]
fn a_memory_limit_whose_victim_vanishes_goes_back_in_steps_and_only_where_there_is_room() {
    let mut world = World::new(
        &[container("/hog", 100), container("/victim", 100)],
        Policy::default(),
    );
    world.life("/victim").has = 300e6;
    world.run(15.0);
    world.life("/hog").grows = 300e6;
    world.run(20.0);
    let high = (world.id("/hog"), Knob::MemoryHigh);
    assert!(world.knobs.contains_key(&high), "{:?}", world.told);
    world.life("/hog").memory_stall += 1.0;
    world.adopt(&[container("/hog", 100)]);
    world.run(2.0);
    assert!(
        world.knobs.contains_key(&high),
        "all of it went back at once: {:?}",
        world.told
    );
    world.life("/hog").grows = 0.0;
    world.life("/hog").has = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn one_that_rests_is_given_back_and_never_capped_though_its_victim_is_never_calm() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(3.0);
    assert_eq!(world.brain.held().count(), 1, "{:?}", world.told);
    world.life("/hog").wants = 0.0;
    world.life("/victim").wants = 0.3;
    moaning(&mut world, "/victim", 15.0);
    assert!(world.knobs.is_empty(), "{:?}", world.told);
    assert!(!world.wrote("/hog", Knob::CpuMax), "{:?}", world.told);
}

#[test]
fn who_is_held_in_vain_is_left_alone_for_longer_each_time() {
    let mut world = World::pair(0.3, Policy::default());
    world.run(10.0);
    // It takes more than it may, but the victim's stall is not by its doing.
    world.life("/hog").wants = 0.75;
    moaning(&mut world, "/victim", 60.0);
    let vain = |kind: &&EventKind| matches!(kind, EventKind::Proved(Verdict::Exonerated));
    let times = world.told.iter().filter(vain).count();
    assert!((1..=6).contains(&times), "{times}: {:?}", world.told);
}

#[test]
fn a_floor_that_is_raised_holds_for_what_is_held_already() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/victim").has = 300e6;
    world.run(15.0);
    world.life("/hog").grows = 300e6;
    world.run(12.0);
    let high = (world.id("/hog"), Knob::MemoryHigh);
    assert!(world.knobs.contains_key(&high), "{:?}", world.told);
    let mut policy = Policy::default();
    policy.memory.floor = Bytes::from_mib(2_000);
    world.brain.set_policy(policy);
    world.tick();
    assert!(!world.knobs.contains_key(&high), "{:?}", world.knobs);
}

#[test]
fn harm_by_another_does_not_hold_one_that_is_on_its_way_back_again() {
    let mut world = World::new(&three(), Policy::default());
    world.life("/victim").wants = 0.3;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(3.0);
    // It goes back to honest work below its share.
    world.life("/hog").wants = 0.25;
    let hog = (world.id("/hog"), Knob::CpuWeight);
    let loosened = |world: &World| {
        let kinds = world.told.iter();
        kinds
            .filter(|kind| matches!(kind, EventKind::Loosened { .. }))
            .count()
    };
    for _ in 0..1_000 {
        if loosened(&world) > 0 {
            break;
        }
        world.tick();
    }
    assert!(loosened(&world) > 0, "{:?}", world.told);
    let tightened = |world: &World| {
        let writes = world.writes.iter();
        writes.filter(|(group, _, _)| *group == hog.0).count()
    };
    world.run(0.6);
    let before = tightened(&world);
    world.life("/second").wants = 8.0;
    world.run(5.0);
    assert!(world.wrote("/second", Knob::CpuWeight), "{:?}", world.told);
    world.life("/second").wants = 0.0;
    world.run(1.0);
    let after = tightened(&world);
    assert!(after <= before + 4, "{before} {after} {:?}", world.writes);
}

#[test]
fn a_memory_limit_is_not_given_back_while_there_is_no_room_for_what_would_be_taken() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/victim").has = 300e6;
    world.run(15.0);
    world.life("/hog").grows = 300e6;
    world.run(20.0);
    assert!(world.wrote("/hog", Knob::MemoryHigh), "{:?}", world.told);
    let held = world.writes.len();
    world.run(120.0);
    assert_eq!(world.writes.len(), held, "neither given back nor tightened");
    assert_eq!(world.knobs.len(), 1);
}

#[test]
fn a_steady_database_is_no_aggressor_and_page_cache_with_free_memory_is_no_harm() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/hog").has = 1_500e6;
    world.life("/victim").has = 100e6;
    world.run(15.0);
    for _ in 0..500 {
        world.life("/victim").memory_stall += 0.01;
        world.tick();
    }
    assert!(world.writes.is_empty());
}

#[test]
fn one_that_is_held_and_then_starved_by_another_is_given_back_and_the_other_is_held() {
    let mut world = World::new(&three(), Policy::default());
    world.life("/victim").wants = 0.2;
    world.life("/second").wants = 0.4;
    world.run(10.0);
    world.life("/second").wants = 8.0;
    world.run(1.0);
    assert!(world.wrote("/second", Knob::CpuWeight), "{:?}", world.told);
    // It asks for no more than its share from now on, and a worse one begins.
    world.life("/second").wants = 0.6;
    world.life("/victim").wants = 0.0;
    world.life("/hog").wants = 8.0;
    world.run(1.5);
    let weight = |path: &str| world.knobs.get(&(world.id(path), Knob::CpuWeight));
    assert!(weight("/hog").is_some(), "{:?}", world.told);
    assert_eq!(weight("/second"), None, "{:?}", world.told);
}

#[test]
fn with_cpus_idle_a_moments_wait_is_nobodys_doing() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/hog").wants = 0.7;
    for _ in 0..500 {
        // Three in a hundred, beside one that takes more than half of the CPU.
        world.life("/victim").stall += 0.0016;
        world.life("/victim").wants = 0.01;
        world.tick();
    }
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn those_who_begin_one_after_the_other_are_held_in_one_experiment_and_share_what_it_leaves() {
    let paths = ["/one", "/two", "/three", "/four"];
    let mut groups = vec![container("/victim", 100)];
    groups.extend(paths.map(|path| container(path, 100)));
    let mut world = World::new(&groups, Policy::default());
    world.life("/victim").wants = 0.8;
    world.run(10.0);
    for (at, path) in paths.into_iter().enumerate() {
        world.life(path).wants = 1.0;
        world.run(0.02 * at as f64);
    }
    world.run(0.3);
    assert_eq!(world.brain.held().count(), 4, "{:?}", world.told);
    let together: u32 = world
        .brain
        .held()
        .map(
            |held| match world.knobs.get(&(held.lever, Knob::CpuWeight)) {
                Some(KnobValue::Weight(weight)) => weight.get(),
                other => panic!("{other:?}"),
            },
        )
        .sum();
    assert!(together <= 12, "{together}: a tenth of all that is weighed");
    world.run(1.0);
    let confirmed = |kind: &&EventKind| matches!(kind, EventKind::Proved(Verdict::Confirmed));
    assert_eq!(
        world.told.iter().filter(confirmed).count(),
        4,
        "{:?}",
        world.told
    );
    let other = |kind: &EventKind| matches!(kind, EventKind::Proved(verdict) if *verdict != Verdict::Confirmed);
    assert!(!world.has_told(other), "{:?}", world.told);
}

#[test]
fn who_begins_with_one_who_is_blamed_is_held_with_it_and_nobody_who_was_there_before() {
    let weights = [
        ("/victim", 100),
        ("/busy", 100),
        ("/hog", 100),
        ("/with", 40),
    ];
    let groups = weights.map(|(path, weight)| container(path, weight));
    let mut world = World::new(&groups[..2], Policy::default());
    world.life("/victim").wants = 0.7;
    world.life("/busy").wants = 0.1;
    world.run(10.0);
    world.adopt(&groups);
    world.life("/hog").wants = 1.0;
    world.life("/with").wants = 1.0;
    while world.writes.is_empty() {
        world.tick();
        assert!(world.now < Time(12_000_000), "{:?}", world.told);
    }
    // One slice is nobody's part: it is looked at once more.
    world.tick();
    let held: Vec<GroupId> = world.brain.held().map(|held| held.aggressor).collect();
    assert_eq!(held.len(), 2, "{:?}", world.told);
    assert!(held.contains(&world.id("/hog")) && held.contains(&world.id("/with")));
    world.run(3.0);
    assert!(!world.wrote("/busy", Knob::CpuWeight), "{:?}", world.writes);
}

#[test]
fn after_a_restart_in_an_attack_nobody_is_held_only_because_he_was_just_met() {
    let weights = [("/victim", 1_000), ("/hog", 100), ("/other", 40)];
    let groups = weights.map(|(path, weight)| container(path, weight));
    let mut world = World::new(&[], Policy::default());
    world.adopt(&groups);
    world.life("/victim").wants = 0.1;
    world.life("/hog").wants = 4.0;
    world.life("/other").wants = 1.0;
    while world.writes.is_empty() {
        moaning(&mut world, "/victim", 0.02);
        assert!(world.now < Time(3_000_000), "{:?}", world.told);
    }
    let held: Vec<GroupId> = world.brain.held().map(|held| held.aggressor).collect();
    assert_eq!(held, [world.id("/hog")], "{:?}", world.told);
}

#[test]
fn one_that_gets_what_it_wants_is_known_to_need_it_though_little_is_left_idle() {
    let mut world = neighbours();
    world.life("/steady").wants = 0.93;
    world.run(5.0);
    let steady = world.brain.track(world.id("/steady")).unwrap();
    assert!(steady.demand.get() > 0.85, "{}", steady.demand.get());
}

#[test]
fn who_takes_a_little_is_known_to_need_it_only_where_a_tenth_is_left() {
    for (wants, known) in [(0.09, true), (0.13, false)] {
        let mut world = neighbours();
        world.life("/steady").wants = 0.8;
        world.life("/small").wants = wants;
        world.run(5.0);
        let small = world.brain.track(world.id("/small")).unwrap();
        assert_eq!(small.demand.get() > 0.05, known, "{}", small.demand.get());
    }
}

#[test]
fn one_does_less_than_another_who_has_begun_and_may_be_held() {
    let mut groups = ["/victim", "/hog", "/other"].map(|path| container(path, 100));
    for may_be_held in [true, false] {
        groups[2].protected = !may_be_held;
        // It is held, and whether that helps is being looked at: nobody else is held meanwhile.
        let mut world = beside_a_hog(&groups, "/hog", 0.24);
        assert!(world.wrote("/hog", Knob::CpuWeight), "{:?}", world.told);
        let does_less = |world: &World| {
            let victim = world.brain.track(world.id("/victim")).unwrap();
            world.brain.does_less(world.id("/hog"), victim)
        };
        assert!(!does_less(&world));
        world.life("/other").wants = 8.0;
        world.run(0.12);
        assert!(!world.wrote("/other", Knob::CpuWeight), "{:?}", world.told);
        assert_eq!(does_less(&world), may_be_held, "{:?}", world.told);
    }
}

#[test]
fn who_has_just_begun_is_outdone_only_by_one_who_did_still_more() {
    let groups = ["/victim", "/hog", "/other"].map(|path| container(path, 100));
    let mut world = beside_a_hog(&groups, "/hog", 1.0);
    world.life("/other").wants = 8.0;
    world.run(0.06);
    let margin_over = |path, resource| {
        let harmed = world.brain.track(world.id("/victim")).unwrap();
        let found = Culprits::one(world.id(path));
        world.brain.margin_over(found, harmed, resource)
    };
    let margin = Policy::default().detect.margin;
    assert_eq!(margin_over("/other", Resource::Cpu), margin * margin);
    assert_eq!(margin_over("/other", Resource::Io), margin);
    assert_eq!(margin_over("/hog", Resource::Cpu), margin);
}

#[test]
fn who_begins_in_a_further_step_of_another_is_held_at_once_and_that_one_as_before() {
    let paths = ["/victim", "/hog", "/slice/other", "/slice/guarded"];
    let mut groups = paths.map(|path| container(path, 100));
    for may_be_held in [true, false] {
        // A slice with a protected one in it is no lever, and a cap is not allowed.
        groups[3].protected = !may_be_held;
        let mut world = beside_a_hog(&groups, "/hog", 1.0);
        world.brain.policy.cpu.cap = false;
        let (now, verify) = (world.now, Policy::default().detect.verify);
        let held = &mut world.brain.held[0];
        assert_eq!(held.proof, Proof::Confirmed);
        let before = held.place;
        held.undo = Some(before);
        held.place = Place::Weight(Weight::new(1).unwrap());
        held.changed = now;
        held.proof = Proof::Proving(now + verify);
        world.life("/slice/other").wants = 8.0;
        world.run(0.1);
        assert_eq!(world.wrote("/slice", Knob::CpuWeight), may_be_held);
        let held = &world.brain.held[0];
        let is_back = (held.place, held.proof) == (before, Proof::Confirmed);
        assert_eq!(is_back, may_be_held, "{:?}", world.told);
    }
}

#[test]
fn before_the_hold_of_one_who_has_begun_no_less_was_suffered_than_in_the_last_moment() {
    let groups = ["/victim", "/hog", "/busy"].map(|path| container(path, 100));
    let mut world = World::new(&groups, Policy::default());
    world.life("/victim").wants = 0.7;
    world.life("/busy").wants = 0.1;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(0.06);
    let victim = world.id("/victim");
    let recent = world.brain.track(victim).unwrap().cpu.rate(Over::Moment);
    assert!(recent > 0.05, "{recent}");
    for (resource, path, harm, before) in [
        (Resource::Cpu, "/hog", 0.05, recent),
        (Resource::Cpu, "/hog", 0.9, 0.9),
        (Resource::Cpu, "/busy", 0.05, 0.05),
        (Resource::Io, "/hog", 0.05, 0.05),
    ] {
        let aggressor = world.id(path);
        let suffered = world
            .brain
            .suffered_before(resource, aggressor, victim, harm);
        assert_eq!(suffered, before, "{resource:?} {path}");
    }
}

#[test]
fn one_that_is_moved_along_with_a_held_one_does_not_keep_it_from_being_tightened() {
    let groups = [
        container("/victim", 100),
        pod_container("/pod/one", "pod"),
        pod_container("/pod/two", "pod"),
    ];
    let mut world = beside_a_hog(&groups, "/pod/one", 1.0);
    assert!(world.wrote("/pod", Knob::CpuWeight), "{:?}", world.told);
    world.life("/pod/one").wants = 0.0;
    world.life("/pod/two").wants = 8.0;
    world.life("/victim").wants = 0.5;
    let is_stirred = |world: &World| world.brain.is_stirred(&world.brain.held[0]);
    moaning(&mut world, "/victim", 0.06);
    assert!(!is_stirred(&world), "{:?}", world.told);
    moaning(&mut world, "/victim", 0.44);
    let victim = world.brain.track(world.id("/victim")).unwrap();
    assert!(!world.brain.does_less(world.id("/pod/one"), victim));
    assert!(!is_stirred(&world), "{:?}", world.told);
}

#[test]
fn those_who_begin_one_after_the_other_keep_one_who_is_held_from_being_tightened_but_for_a_while() {
    let others: Vec<String> = (0..40).map(|n| format!("/other-{n}")).collect();
    let mut groups = vec![container("/victim", 100), container("/hog", 100)];
    groups.extend(others.iter().map(|path| container(path, 100)));
    let mut world = beside_a_hog(&groups, "/hog", 1.0);
    assert!(!world.brain.is_stirred(&world.brain.held[0]));
    let mut waits = Vec::new();
    // Each for a tick, and less than a slice: too little to be held for.
    for other in &others {
        world.life(other).wants = 0.2;
        world.tick();
        world.life(other).wants = 0.0;
        assert_eq!(world.brain.held.len(), 1, "{:?}", world.told);
        waits.push(world.brain.is_stirred(&world.brain.held[0]));
    }
    assert!(waits[..19].iter().all(|waits| *waits), "{waits:?}");
    assert!(!waits[22..].iter().any(|waits| *waits), "{waits:?}");
}
