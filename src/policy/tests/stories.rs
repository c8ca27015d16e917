//! Stories of the whole brain on a simulated host.

use super::world::{CONFIRMED, TICK, World, where_no_weight_reaches};
use crate::model::{
    Change, EventKind, GroupId, Knob, KnobValue, Others, Outcome, Pace, Policy, Resource, Role,
    Sample, Share, Span, Verdict, WhyNobody, Written,
};
use crate::policy::track::tests::{container, service, tree};

#[test]
fn a_hog_beside_a_heavy_victim_is_held_by_weight_until_it_ends_and_then_given_back() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    assert!(
        world.writes.is_empty() && world.told.is_empty(),
        "calm: {:?}",
        world.told
    );
    world.life("/hog").wants = 8.0;
    let attacked = world.now;
    while world.writes.is_empty() {
        world.tick();
    }
    assert!(world.now.since(attacked) <= Span::from_millis(150));
    world.run(20.0);
    assert!(world.has_told(CONFIRMED), "{:?}", world.told);
    assert_eq!(
        (world.role("/hog"), world.role("/victim")),
        (Role::Aggressor, Role::Victim)
    );
    assert!(
        !world.wrote("/victim", Knob::CpuWeight),
        "the victim is never held"
    );
    assert!(
        !world.wrote("/hog", Knob::CpuMax),
        "no cap where a weight reaches"
    );
    let held = world.brain.held().next().unwrap();
    assert_eq!((held.resource, held.proof), (Resource::Cpu, "confirmed"));
    world.life("/hog").wants = 0.0;
    world.run(20.0);
    assert!(
        world.knobs.is_empty(),
        "everything is given back: {:?}",
        world.knobs
    );
    assert!(world.has_told(|kind| matches!(kind, EventKind::Loosened { .. })));
    assert!(world.has_told(|kind| *kind == EventKind::Released));
    assert_eq!((world.role("/hog"), world.pace), (Role::Calm, Pace::Quiet));
}

#[test]
fn a_light_victim_is_saved_and_lifted_only_by_policy() {
    for idle in [false, true] {
        let mut policy = Policy::default();
        policy.cpu.idle = idle;
        let mut world = World::pair(0.1, policy);
        world.run(10.0);
        world.life("/hog").wants = 8.0;
        world.run(5.0);
        assert!(world.wrote("/hog", Knob::CpuWeight));
        assert_eq!(world.wrote("/victim", Knob::CpuWeight), idle);
        world.life("/hog").wants = 0.0;
        world.run(20.0);
        assert!(world.knobs.is_empty(), "{:?}", world.knobs);
    }
}

#[test]
fn nobody_is_capped_who_has_only_just_been_met() {
    let mut groups = vec![
        container("/machine.slice/victim", 100),
        container("/machine.slice/beside", 100),
        service("/system.slice/ssh.service"),
    ];
    let mut world = World::new(&groups, Policy::default());
    world.life("/machine.slice/victim").wants = 0.8;
    world.run(10.0);
    groups.push(container("/system.slice/hog", 100));
    world.adopt(&groups);
    world.life("/system.slice/hog").wants = 8.0;
    world.run(2.5);
    assert!(world.writes.is_empty(), "{:?}", world.told);
    world.run(2.5);
    assert!(world.wrote("/system.slice/hog", Knob::CpuMax));
}

#[test]
fn where_no_weight_reaches_the_hog_is_capped_and_the_cap_is_tried_back() {
    let mut world = World::new(&where_no_weight_reaches(), Policy::default());
    world.life("/machine.slice/victim").wants = 0.8;
    world.run(10.0);
    world.life("/system.slice/hog").wants = 8.0;
    world.run(5.0);
    assert!(
        world.wrote("/system.slice/hog", Knob::CpuMax),
        "{:?}",
        world.told
    );
    world.life("/system.slice/hog").wants = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_protected_hog_is_never_held_and_that_is_told() {
    let mut hog = container("/hog", 100);
    hog.protected = true;
    let mut world = World::new(&[container("/victim", 100), hog], Policy::default());
    world.life("/victim").wants = 0.8;
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(5.0);
    assert!(world.writes.is_empty());
    assert_eq!(
        world.pace,
        Pace::Quiet,
        "what cannot be ended is not looked at for ever"
    );
    assert!(world.has_told(|kind| *kind == EventKind::Alarm));
    assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::Protected)));
}

#[test]
fn a_hog_alone_on_the_host_is_nobodys_aggressor() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/hog").wants = 8.0;
    world.run(20.0);
    assert!(world.writes.is_empty() && world.role("/hog") == Role::Calm);
}

#[test]
fn one_whose_holding_brings_no_relief_is_exonerated_and_everything_undone() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    // Harm that nothing changes which is done to the hog.
    let hog = world.id("/hog");
    for _ in 0..100 {
        world.life("/victim").stall += 0.012;
        world.tick();
        world.knobs.remove(&(hog, Knob::CpuWeight));
        world.knobs.remove(&(hog, Knob::CpuMax));
    }
    assert!(world.has_told(|kind| *kind == EventKind::Proved(Verdict::Exonerated)));
    assert!(world.has_told(|kind| *kind == EventKind::Released));
}

#[test]
fn where_a_weight_is_set_and_changes_nothing_a_cap_is_tried_before_anybody_is_cleared() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    let hog = world.id("/hog");
    for _ in 0..100 {
        world.tick();
        world.knobs.remove(&(hog, Knob::CpuWeight));
    }
    assert!(!world.has_told(|kind| *kind == EventKind::Proved(Verdict::Exonerated)));
    assert!(world.has_told(|kind| *kind == EventKind::Proved(Verdict::Confirmed)));
    assert!(world.knobs.contains_key(&(hog, Knob::CpuMax)));
}

#[test]
fn a_newcomer_is_not_capped_however_little_a_weight_changes() {
    let victim = || container("/victim", 100);
    let mut world = World::new(&[victim()], Policy::default());
    world.life("/victim").wants = 0.8;
    world.run(10.0);
    world.adopt(&[victim(), container("/hog", 100)]);
    world.life("/hog").wants = 8.0;
    let hog = world.id("/hog");
    for _ in 0..100 {
        world.tick();
        world.knobs.remove(&(hog, Knob::CpuWeight));
    }
    let knobs: Vec<Knob> = world.writes.iter().map(|write| write.1).collect();
    assert!(knobs.contains(&Knob::CpuWeight), "{:?}", world.told);
    assert!(!knobs.contains(&Knob::CpuMax), "{:?}", world.told);
}

#[test]
fn a_write_that_fails_is_told_and_not_tried_for_ever() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.refuse = Some(Knob::CpuWeight);
    world.life("/hog").wants = 8.0;
    world.run(1.0);
    assert!(world.has_told(|kind| matches!(kind, EventKind::CannotAct { .. })));
    let tries = world
        .told
        .iter()
        .filter(|k| matches!(k, EventKind::Tightened { .. }))
        .count();
    assert_eq!(tries, 1);
}

#[test]
fn somebody_elses_value_ends_the_intervention() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    let group = world.id("/hog");
    world.outcomes.push(Outcome {
        group,
        knob: Knob::CpuWeight,
        written: Written::Drifted,
    });
    world.tick();
    assert!(world.has_told(|kind| matches!(kind, EventKind::Drift { .. })));
    assert_eq!(world.brain.held().count(), 0);
}

/// A world in which the hog is held, and what happened when somebody else wrote its weight, as often as told.
fn written_by_others(others: Others, times: usize, apart_s: f64) -> World {
    let mut policy = Policy::default();
    policy.release.others = others;
    let mut world = World::pair(0.8, policy);
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    let group = world.id("/hog");
    for _ in 0..times {
        let knob = Knob::CpuWeight;
        assert!(world.knobs.remove(&(group, knob)).is_some());
        world.outcomes.push(Outcome {
            group,
            knob,
            written: Written::Drifted,
        });
        world.run(apart_s);
    }
    world
}

#[test]
fn with_yield_harm_under_somebody_elses_value_is_answered_anew_at_once() {
    let world = written_by_others(Others::Yield, 1, 1.0);
    assert_eq!(world.brain.held().count(), 1, "{:?}", world.told);
    let world = written_by_others(Others::Alert, 1, 1.0);
    assert_eq!(world.brain.held().count(), 0, "{:?}", world.told);
    let world = written_by_others(Others::Reassert, 1, 1.0);
    assert_eq!(world.brain.held().count(), 0, "{:?}", world.told);
}

#[test]
fn the_way_back_ends_at_the_newest_original() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    assert_eq!(world.brain.held().count(), 1);
    world.adopt(&[container("/victim", 100), container("/hog", 40)]);
    world.life("/hog").wants = 0.0;
    world.writes.clear();
    world.run(30.0);
    assert_eq!(world.brain.held().count(), 0);
    let over = |(_, _, value): &&(GroupId, Knob, KnobValue)| matches!(value, KnobValue::Weight(weight) if weight.get() >= 40);
    assert_eq!(world.writes.iter().find(over), None, "{:?}", world.writes);
}

#[test]
fn with_yield_one_who_writes_on_is_not_answered_each_time() {
    let world = written_by_others(Others::Yield, 2, 1.0);
    assert_eq!(world.brain.held().count(), 0, "{:?}", world.told);
    let world = written_by_others(Others::Yield, 3, 12.0);
    assert_eq!(world.brain.held().count(), 1, "{:?}", world.told);
}

#[test]
fn without_enforcement_there_are_alarms_and_no_writes() {
    let mut policy = Policy::default();
    policy.cpu.enforce = false;
    let mut world = World::pair(0.8, policy);
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(5.0);
    assert!(world.writes.is_empty());
    assert!(world.has_told(|kind| *kind == EventKind::Nobody(WhyNobody::NoLever)));
}

#[test]
fn a_memory_hog_is_held_before_the_cliff_and_given_back() {
    let mut world = World::pair(0.0, Policy::default());
    world.life("/victim").has = 300e6;
    world.run(15.0);
    world.life("/hog").grows = 300e6;
    world.run(12.0);
    assert!(world.wrote("/hog", Knob::MemoryHigh), "{:?}", world.told);
    assert!(!world.wrote("/victim", Knob::MemoryHigh));
    world.life("/hog").grows = 0.0;
    world.life("/hog").has = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}

#[test]
fn a_vanished_victim_releases_and_release_all_leaves_nothing() {
    let mut world = World::pair(0.8, Policy::default());
    world.run(10.0);
    world.life("/hog").wants = 8.0;
    world.run(2.0);
    assert_eq!(world.brain.held().count(), 1);
    let mut gone = world.brain.clone();
    gone.adopt(&tree(&[]), world.now);
    gone.step(&Sample {
        at: world.now + TICK,
        ..Sample::default()
    });
    assert_eq!(gone.held().count(), 0);
    let step = world.brain.release_all();
    assert!(step.changes.iter().any(|c| matches!(
        c,
        Change::Release {
            knob: Knob::CpuWeight,
            ..
        }
    )));
    assert_eq!(world.brain.held().count(), 0);
}

#[test]
fn equal_samples_give_equal_decisions_and_a_policy_can_change_on_the_way() {
    let story = || {
        let mut world = World::pair(0.8, Policy::default());
        world.run(10.0);
        world.life("/hog").wants = 8.0;
        world.run(3.0);
        let mut strict = Policy::default();
        strict.detect.tolerance = Share::new(0.01);
        world.brain.set_policy(strict);
        world.run(3.0);
        (world.told, world.writes)
    };
    assert_eq!(story(), story());
}
