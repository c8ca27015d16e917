//! Stories of what is held: that it stands as long as it should, that nobody else is held along, and
//! that everything is given back.

use super::world::World;
use crate::model::{
    Absent, EventKind, Group, GroupId, Knob, KnobValue, Others, Outcome, Policy, Resource, Role,
    Span, Time, Verdict, Weight, WhyNobody, Written,
};
use crate::policy::blame::Culprits;
use crate::policy::intervention::{Intervention, Proof};
use crate::policy::ladder::Place;
use crate::policy::seen::Move;
use crate::policy::track::tests::{container, pod_container, service};

/// A pair under attack, until the hog is held.
fn attacked(policy: Policy) -> World {
    let mut world = World::pair(0.8, policy);
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    assert_eq!(world.brain.held().count(), 1, "{:?}", world.told);
    world
}

/// A light victim whose slice has another container, so that it cannot be lifted: for it the hog goes down
/// to the idle rung.
fn for_the_idle_rung() -> World {
    let mut policy = Policy::default();
    policy.cpu.idle = true;
    let groups = [
        container("/v/victim", 100),
        container("/v/other", 100),
        container("/hog", 100),
    ];
    let mut world = World::new(&groups, policy);
    world.life("/v/victim").wants = 0.1;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    for _ in 0..400 {
        if world.wrote("/hog", Knob::CpuIdle) {
            return world;
        }
        world.tick();
    }
    panic!("no idle: {:?}", world.told);
}

#[test]
fn a_knob_of_a_lower_rung_stands_as_long_as_the_rung_above_it() {
    let mut cap = Policy::default();
    cap.cpu.weight_floor = Weight::new(50).unwrap();
    let mut capped = World::pair(0.9, cap);
    capped.run(10.0);
    capped.life("/hog").wants = 8.0;
    capped.run(8.0);
    let idle = (for_the_idle_rung(), Knob::CpuIdle);
    for (mut world, above) in [idle, (capped, Knob::CpuMax)] {
        let hog = world.id("/hog");
        assert!(world.wrote("/hog", above), "{:?}", world.told);
        for _ in 0..20 {
            if world.knobs.contains_key(&(hog, above)) {
                assert!(
                    world.knobs.contains_key(&(hog, Knob::CpuWeight)),
                    "{above:?} stands and the weight under it does not: {:?} {:?}",
                    world.knobs,
                    world.told
                );
            }
            world.run(4.0);
        }
        world.life("/hog").wants = 0.0;
        world.run(60.0);
        assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    }
}

/// One of Docker's, and two of Podman's in a slice: the first of those begins to take all.
fn one_of_two_attacks() -> World {
    let groups = [
        container("/docker/victim", 100),
        container("/podman/hog", 100),
        container("/podman/other", 100),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/docker/victim").wants = 0.6;
    world.run(10.0);
    world.life("/podman/hog").wants = 8.0;
    world.run(5.0);
    world
}

#[test]
fn one_of_two_in_a_slice_is_held_by_the_weights_of_both() {
    let mut world = one_of_two_attacks();
    let weight = |world: &World, path: &str| {
        let key = (world.id(path), Knob::CpuWeight);
        world.knobs.get(&key).map(ToString::to_string)
    };
    assert_eq!(weight(&world, "/podman/hog").as_deref(), Some("1"));
    assert!(weight(&world, "/podman").is_some(), "{:?}", world.told);
    let capped = |path| world.wrote(path, Knob::CpuMax);
    assert!(!capped("/podman/hog") && !capped("/podman"));
    world.life("/podman/hog").wants = 0.0;
    world.run(30.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn two_of_one_pod_in_a_shared_slice_have_one_hold_of_their_pods_weight() {
    let groups = [
        container("/docker/victim", 100),
        pod_container("/pods/a/one", "a"),
        pod_container("/pods/a/two", "a"),
        pod_container("/pods/b/other", "b"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/docker/victim").wants = 0.3;
    world.run(10.0);
    let id = |path: &str| world.id(path);
    let (one, two) = (id("/pods/a/one"), id("/pods/a/two"));
    let (beside, victim) = (id("/pods/b/other"), id("/docker/victim"));
    // The pod's weight is the lever of the first, and would be the inner weight of the second.
    assert!(
        world
            .brain
            .begin(Resource::Cpu, one, beside, Culprits::one(one))
    );
    assert!(
        world
            .brain
            .begin(Resource::Cpu, two, victim, Culprits::one(two))
    );
    assert_eq!(world.brain.held().count(), 1);
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_sidecar_that_is_moved_along_does_not_begin_the_experiment_anew() {
    let groups = [
        container("/docker/victim", 100),
        pod_container("/pods/a/one", "a"),
        pod_container("/pods/a/two", "a"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/docker/victim").wants = 0.8;
    world.run(10.0);
    world.life("/pods/a/one").wants = 4.0;
    world.life("/pods/a/two").wants = 4.0;
    while world.brain.held().next().is_none() {
        world.tick();
    }
    world.tick();
    assert_eq!(world.brain.held().count(), 1, "one weight moves both");
    let joins = world
        .brain
        .who_joins(Resource::Cpu, world.id("/docker/victim"));
    assert_eq!(joins, Err(WhyNobody::Busy));
}

#[test]
fn who_wakes_in_a_held_slice_gets_what_it_may_take() {
    let mut world = one_of_two_attacks();
    world.life("/podman/other").wants = 0.2;
    world.run(3.0);
    let before = world.last.0.containers.clone();
    world.run(2.0);
    let id = world.id("/podman/other");
    let used = |containers: &[crate::model::ContainerSample]| {
        let other = containers.iter().find(|one| one.id == id).unwrap();
        other.cpu.unwrap().usage.as_secs_f64()
    };
    let got = (used(&world.last.0.containers) - used(&before)) / 2.0;
    assert!(got > 0.19, "{got} {:?} {:?}", world.knobs, world.told);
    let slice = world.id("/podman");
    assert!(world.knobs.contains_key(&(slice, Knob::CpuWeight)));
    // It wants all that it may take: the slice is not held any more, or hardly.
    world.life("/podman/other").wants = 8.0;
    world.run(1.0);
    let before = world.last.0.containers.clone();
    world.run(2.0);
    let got = (used(&world.last.0.containers) - used(&before)) / 2.0;
    assert!(got > 0.35, "{got} {:?} {:?}", world.knobs, world.told);
}

#[test]
fn a_victim_is_lifted_beside_the_idle_rung_until_somebody_suffers_by_it() {
    let mut policy = Policy::default();
    policy.cpu.idle = true;
    let groups = [
        container("/victim", 100),
        container("/hog", 100),
        container("/other", 100),
    ];
    let mut world = World::new(&groups, policy);
    world.life("/victim").wants = 0.1;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(4.0);
    let lifted = (world.id("/victim"), Knob::CpuWeight);
    assert_eq!(
        world.knobs.get(&lifted).map(ToString::to_string).as_deref(),
        Some("400"),
        "{:?}",
        world.told
    );
    // The lifted one goes mad itself.
    world.life("/victim").wants = 8.0;
    world.life("/other").wants = 0.4;
    world.run(3.0);
    assert_ne!(
        world.knobs.get(&lifted).map(ToString::to_string).as_deref(),
        Some("400"),
        "{:?}",
        world.told
    );
    world.life("/victim").wants = 0.0;
    world.life("/hog").wants = 0.0;
    world.run(30.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

/// A light victim that is lifted, beside one that rests.
fn lifted() -> World {
    let mut policy = Policy::default();
    policy.cpu.idle = true;
    let groups = [container("/victim", 100), container("/hog", 100)];
    let mut world = World::new(&groups, policy);
    world.life("/victim").wants = 0.1;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    assert!(is_lifted(&world), "{:?}", world.told);
    world
}

fn is_lifted(world: &World) -> bool {
    let lifted = world.knobs.get(&(world.id("/victim"), Knob::CpuWeight));
    lifted.is_some_and(|weight| weight.to_string() == "400")
}

#[test]
fn a_lift_that_is_not_to_be_had_ends_alone_and_what_is_held_stays() {
    for written in [Written::Drifted, Written::Failed(Absent::ReadOnly)] {
        let mut world = lifted();
        let group = world.id("/victim");
        world.outcomes.push(Outcome {
            group,
            knob: Knob::CpuWeight,
            written,
        });
        world.run(2.0);
        assert!(!is_lifted(&world), "{written:?}: {:?}", world.knobs);
        assert_eq!(world.brain.held().count(), 1, "{written:?}");
        assert!(world.has_told(|kind| matches!(
            kind,
            EventKind::Drift { .. } | EventKind::CannotAct { .. }
        )));
    }
}

#[test]
fn a_lift_ends_with_the_policy_that_allows_it_and_where_its_group_gets_another_container() {
    let mut world = lifted();
    let mut policy = Policy::default();
    policy.cpu.weight_floor = Weight::MIN;
    world.brain.set_policy(policy);
    world.run(0.1);
    assert!(!is_lifted(&world), "{:?}", world.knobs);

    let mut world = lifted();
    let hog = world.id("/hog");
    world.adopt(&[
        container("/victim", 100),
        container("/hog", 100),
        container("/victim/inner", 100),
    ]);
    world.run(0.1);
    assert!(!is_lifted(&world), "{:?}", world.knobs);
    assert!(world.knobs.contains_key(&(hog, Knob::CpuWeight)));
}

#[test]
fn somebody_elses_value_in_a_knob_of_a_lower_rung_ends_all_of_it() {
    let mut world = for_the_idle_rung();
    let mut policy = world.brain.policy.clone();
    policy.release.others = Others::Alert;
    world.brain.set_policy(policy);
    world.tick();
    let group = world.id("/hog");
    world.knobs.remove(&(group, Knob::CpuWeight));
    world.outcomes.push(Outcome {
        group,
        knob: Knob::CpuWeight,
        written: Written::Drifted,
    });
    world.tick();
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    assert_eq!(world.brain.held().count(), 0);
}

#[test]
fn a_container_that_the_policy_protects_from_now_on_is_given_back_at_once() {
    let mut world = attacked(Policy::default());
    let mut hog = container("/hog", 100);
    hog.protected = true;
    world.adopt(&[container("/victim", 100), hog]);
    world.tick();
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    world.writes.clear();
    world.run(5.0);
    assert!(world.writes.is_empty(), "and is not held again");
}

#[test]
fn one_that_is_protected_between_the_harm_and_the_alarm_is_not_held() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.tick();
    let mut hog = container("/hog", 100);
    hog.protected = true;
    world.adopt(&[container("/victim", 100), hog]);
    world.run(5.0);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn what_the_policy_no_longer_allows_is_given_back() {
    let mut world = attacked(Policy::default());
    let mut policy = Policy::default();
    policy.cpu.enforce = false;
    world.brain.set_policy(policy);
    world.tick();
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_slice_that_got_another_container_is_no_lever_any_more() {
    let groups = [
        container("/machine.slice/libpod-hog", 100),
        container("/system.slice/victim", 100),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/system.slice/victim").wants = 0.8;
    world.run(10.0);
    world.life("/machine.slice/libpod-hog").wants = 8.0;
    // The simulation knows only weights of those that run; what matters is where they are written.
    world.run(0.3);
    assert!(
        world.wrote("/machine.slice", Knob::CpuWeight),
        "{:?}",
        world.told
    );
    let [hog, victim] = groups;
    world.adopt(&[hog, victim, container("/machine.slice/libpod-new", 100)]);
    world.tick();
    let slice = world.id("/machine.slice");
    assert!(
        !world.knobs.contains_key(&(slice, Knob::CpuWeight)),
        "the newcomer is held along: {:?}",
        world.knobs
    );
}

#[test]
fn a_pod_with_a_protected_container_is_not_moved_as_a_whole() {
    let protected = |mut group: Group| {
        group.protected = true;
        group
    };
    let groups = [
        pod_container("/pods/a/hog", "a"),
        protected(pod_container("/pods/a/kept", "a")),
        pod_container("/pods/b/victim", "b"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/pods/b/victim").wants = 0.8;
    world.run(10.0);
    world.life("/pods/a/hog").wants = 8.0;
    world.run(2.0);
    assert!(
        !world.wrote("/pods/a", Knob::CpuWeight),
        "{:?}",
        world.writes
    );
    assert!(
        world.wrote("/pods/a/hog", Knob::CpuMax),
        "{:?}",
        world.writes
    );
}

#[test]
fn one_that_is_moved_along_with_its_pod_waits_by_our_hand_and_blames_nobody() {
    let groups = [
        pod_container("/pods/a/hog", "a"),
        pod_container("/pods/a/kept", "a"),
        pod_container("/pods/b/victim", "b"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/pods/b/victim").wants = 0.3;
    world.life("/pods/a/kept").wants = 0.1;
    world.run(10.0);
    world.life("/pods/a/hog").wants = 8.0;
    world.run(0.3);
    assert!(world.wrote("/pods/a", Knob::CpuWeight), "{:?}", world.told);
    world.life("/pods/a/kept").wants = 0.05;
    for _ in 0..8 {
        world.life("/pods/a/kept").stall += 0.012;
        world.tick();
    }
    assert_ne!(world.role("/pods/a/kept"), Role::Victim);
}

#[test]
fn one_that_merely_went_away_is_no_failure() {
    let mut world = attacked(Policy::default());
    let group = world.id("/hog");
    world.outcomes.push(Outcome {
        group,
        knob: Knob::CpuWeight,
        written: Written::Failed(Absent::Gone),
    });
    world.tick();
    assert_eq!(world.brain.held().count(), 0);
    assert!(!world.has_told(|kind| matches!(kind, EventKind::CannotAct { .. })));
}

#[test]
fn what_a_container_needs_is_known_though_somebody_else_stalls_all_the_time() {
    let groups = [
        container("/victim", 100),
        container("/hog", 100),
        container("/restless", 100),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/victim").wants = 0.8;
    for _ in 0..600 {
        world.life("/restless").stall += 0.002;
        world.tick();
    }
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    world.writes.clear();
    world.life("/hog").wants = 8.0;
    world.run(10.0);
    assert!(world.wrote("/hog", Knob::CpuWeight), "{:?}", world.told);
    assert!(!world.wrote("/victim", Knob::CpuWeight), "{:?}", world.told);
}

/// Docker's hog beside the services of the host, and a victim in a slice of its own.
fn beside_services() -> World {
    let mut ssh = service("/system.slice/ssh.service");
    ssh.protected = true;
    let groups = [
        container("/machine.slice/victim", 100),
        container("/system.slice/hog", 100),
        ssh,
        service("/system.slice/cron.service"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/machine.slice/victim").wants = 0.75;
    world.life("/system.slice/ssh.service").wants = 0.02;
    world.run(10.0);
    world.life("/system.slice/hog").wants = 8.0;
    world.run(3.0);
    world
}

#[test]
fn beside_services_of_the_host_the_victims_side_is_raised_and_goes_back_in_steps() {
    let mut world = beside_services();
    let (side, own) = (world.id("/machine.slice"), world.id("/system.slice/hog"));
    let slice = world.id("/system.slice");
    let weight = |world: &World, id: GroupId| match world.knobs.get(&(id, Knob::CpuWeight)) {
        Some(KnobValue::Weight(weight)) => weight.get(),
        _ => 100,
    };
    let raised = weight(&world, side);
    assert!((200..=400).contains(&raised), "{raised} {:?}", world.told);
    assert_eq!(weight(&world, own), 1);
    assert!(world.told.contains(&EventKind::Proved(Verdict::Confirmed)));
    // Long after the lease: it is renewed.
    world.run(20.0);
    assert_eq!(weight(&world, side), raised);
    world.life("/system.slice/hog").wants = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    let moved = |id| {
        world
            .writes
            .iter()
            .filter(move |(group, _, _)| *group == id)
    };
    assert_eq!(moved(slice).count(), 0, "a slice with services is moved");
    assert!(moved(side).count() >= 3, "in steps: {:?}", world.writes);
    let values: Vec<u32> = moved(side)
        .map(|(_, _, value)| match value {
            KnobValue::Weight(weight) => weight.get(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(values.windows(2).all(|two| two[1] < two[0]), "{values:?}");
    assert!(!world.wrote("/system.slice/hog", Knob::CpuMax));
}

#[test]
fn a_raised_side_goes_back_where_it_takes_more_than_it_may_and_a_service_waits() {
    let mut world = beside_services();
    let side = (world.id("/machine.slice"), Knob::CpuWeight);
    assert!(world.knobs.contains_key(&side), "{:?}", world.told);
    // The raised one takes more than it may, and a service waits for what the hog leaves now.
    world.life("/machine.slice/victim").wants = 8.0;
    world.life("/system.slice/ssh.service").wants = 0.3;
    world.life("/system.slice/hog").wants = 0.0;
    world.run(1.0);
    assert!(!world.knobs.contains_key(&side), "{:?}", world.told);
    let own = (world.id("/system.slice/hog"), Knob::CpuWeight);
    assert!(world.knobs.contains_key(&own), "{:?}", world.told);
}

#[test]
fn the_least_weight_stands_only_where_it_was_proved_to_help() {
    let least = Place::Weight(Weight::MIN);
    for verdict in [Verdict::Confirmed, Verdict::Unproven] {
        let mut world = attacked(Policy::default());
        let held = world.brain.held[0].clone();
        let (first, seen) = (held.place, world.brain.seen(&held));
        assert!(matches!(first, Place::Weight(weight) if weight > Weight::MIN));
        world.brain.carry_out(0, Move::Reach(least), &seen);
        assert_eq!(world.brain.held[0].place, least);
        world.brain.carry_out(0, Move::Judge(verdict), &seen);
        let stands = match verdict {
            Verdict::Confirmed => least,
            _ => first,
        };
        let held = &world.brain.held[0];
        assert_eq!((held.place, held.tightest), (stands, stands), "{verdict:?}");
    }
}

#[test]
fn after_a_weight_that_has_not_reached_comes_the_least_one_and_then_a_cap_but_for_one_just_met() {
    let mut world = attacked(Policy::default());
    // It takes what the victim leaves, which is more than it may.
    world.life("/victim").wants = 0.1;
    world.run(0.6);
    let mut held = world.brain.held[0].clone();
    let beyond = |world: &World, held: &Intervention| world.brain.seen(held).beyond;
    let least = Place::Weight(Weight::MIN);
    assert_eq!(beyond(&world, &held), Some(least));
    held.place = least;
    assert!(matches!(beyond(&world, &held), Some(Place::Cap(_))));
    let (hog, now) = (world.id("/hog"), world.now);
    world.brain.track_mut(hog).unwrap().met = now;
    assert_eq!(beyond(&world, &held), None);
}

#[test]
fn an_experiment_that_goes_on_is_judged_by_all_of_it() {
    let mut world = attacked(Policy::default());
    let held = world.brain.held[0].clone();
    let seen = world.brain.seen(&held);
    world.brain.held[0].mark = Some((Time(1), Span(2)));
    world.brain.carry_out(0, Move::GoOn, &seen);
    let held = &world.brain.held[0];
    assert_eq!(held.mark, Some((Time(1), Span(2))));
    assert_eq!(
        held.proof,
        Proof::Proving(world.now + Span::from_millis(300))
    );
}

#[test]
fn nobody_in_a_slice_is_left_less_than_another_in_it_who_is_held() {
    let mut world = one_of_two_attacks();
    let held = &mut world.brain.held[0];
    held.within.as_mut().unwrap().to = Weight::new(25).unwrap();
    let (other, _) = world.tree.find(world.id("/podman/other")).unwrap();
    let (hog, _) = world.tree.find(world.id("/podman/hog")).unwrap();
    let within = |own| world.brain.within(own).unwrap().to.get();
    assert_eq!(within(other), 25);
    assert_eq!(within(hog), 1, "its own hold is none beside it");
}

#[test]
fn a_floor_that_is_raised_over_its_own_weight_in_a_slice_ends_a_hold() {
    let mut world = one_of_two_attacks();
    let mut held = world.brain.held[0].clone();
    held.place = Place::Weight(Weight::new(50).unwrap());
    let mut policy = Policy::default();
    policy.cpu.weight_floor = Weight::new(20).unwrap();
    world.brain.set_policy(policy);
    assert!(world.brain.seen(&held).groundless);
    held.within.as_mut().unwrap().to = Weight::new(20).unwrap();
    assert!(!world.brain.seen(&held).groundless);
}
