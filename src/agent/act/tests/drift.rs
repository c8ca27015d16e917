//! Somebody else writes what we hold, or are about to: walked for every knob.

use super::super::REASSERTS;
use super::world::{PATHS, World, bytes, cpu_max, weight};
use crate::host::Operation;
use crate::model::{Absent, Knob, KnobValue, Others, Written};

const ODD: &str = PATHS[0];
const PLAIN: &str = PATHS[2];

/// What is told of the group's knobs in one look.
fn look(world: &mut World) -> Vec<(Knob, Written)> {
    let told = world.check().unwrap().into_iter();
    let told = told
        .chain(world.poll().unwrap())
        .chain(world.poll().unwrap());
    told.map(|outcome| (outcome.knob, outcome.written))
        .collect()
}

#[test]
fn a_hold_never_leaves_more_than_what_stood_there_before_it() {
    let mut world = World::new();
    for (knob, value) in [
        (Knob::CpuWeight, weight(38)),
        (Knob::CpuMax, cpu_max(200_000, 70_000)),
        (Knob::MemoryHigh, bytes(200 << 20)),
    ] {
        assert_eq!(
            world.hold(ODD, knob, value),
            Some(Written::Drifted),
            "{knob:?}"
        );
        world.poll().unwrap();
    }
    assert!(world.tree.writes().is_empty());
    world.assert_journal_empty();
    // The way back ends at the original, whatever the plan takes that for.
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    let over = world.hold(ODD, Knob::CpuWeight, weight(60));
    assert_eq!(over, Some(Written::Drifted));
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_third_value_stays_and_is_told_for_every_knob() {
    for (knob, value, third) in [
        (Knob::CpuWeight, weight(5), "55"),
        (Knob::CpuIdle, KnobValue::Idle(true), "0"),
        (Knob::CpuMax, cpu_max(10_000, 70_000), "60000 50000"),
        (Knob::MemoryHigh, bytes(64 << 20), "99999744"),
        (Knob::MemorySwapMax, bytes(1 << 20), "8388608"),
    ] {
        let mut world = World::new();
        world.hold(ODD, knob, value).unwrap();
        world.poll().unwrap();
        assert!(world.other_writes(ODD, knob, third));
        let told = look(&mut world);
        let wanted = if knob == Knob::CpuIdle {
            // There is no third value: this is a revert.
            Written::Reasserted
        } else {
            Written::Drifted
        };
        assert_eq!(told, [(knob, wanted)]);
        world.stop().unwrap();
        world.assert_as_without_us();
        world.assert_journal_empty();
    }
}

#[test]
fn a_revert_is_set_again_a_bounded_number_of_times_for_every_knob() {
    for (knob, value, original) in [
        (Knob::CpuWeight, weight(5), "37"),
        (Knob::CpuIdle, KnobValue::Idle(true), "0"),
        (Knob::CpuMax, cpu_max(10_000, 70_000), "150000 70000"),
        (Knob::MemoryHigh, bytes(64 << 20), "126418944"),
        (Knob::MemorySwapMax, bytes(1 << 20), "max"),
    ] {
        let mut world = World::new();
        world.hold(ODD, knob, value).unwrap();
        world.poll().unwrap();
        for _ in 0..REASSERTS {
            assert!(world.other_writes(ODD, knob, original), "{knob:?}");
            assert_eq!(look(&mut world), [(knob, Written::Reasserted)]);
        }
        assert!(world.other_writes(ODD, knob, original));
        assert_eq!(look(&mut world), [(knob, Written::GaveUp)]);
        world.stop().unwrap();
        world.assert_journal_empty();
    }
}

#[test]
fn a_foreign_memory_high_that_comes_before_our_slow_write_is_not_overwritten() {
    let mut world = World::new();
    world.hold(ODD, Knob::MemoryHigh, bytes(64 << 20)).unwrap();
    // The writer has not begun yet.
    assert!(world.other_writes(ODD, Knob::MemoryHigh, "99999744"));
    let told = look(&mut world);
    assert_eq!(told, [(Knob::MemoryHigh, Written::Drifted)]);
    assert_eq!(
        world.text(ODD, Knob::MemoryHigh).as_deref(),
        Some("99999744")
    );
    world.assert_journal_empty();
}

#[test]
fn a_foreign_quota_under_the_old_burst_does_not_keep_the_burst_for_ever() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000))
        .unwrap();
    assert_eq!(world.text(ODD, Knob::CpuMaxBurst).as_deref(), Some("0"));
    // With our burst of 0 this is taken; the old burst of 20 ms does not fit it any more.
    assert!(world.other_writes(ODD, Knob::CpuMax, "3000 50000"));
    let told = look(&mut world);
    assert_eq!(told.first(), Some(&(Knob::CpuMax, Written::Drifted)));
    for _ in 0..3 {
        look(&mut world);
    }
    assert!(!world.process.as_ref().unwrap().act.pending(), "{told:?}");
    world.assert_journal_empty();
    assert_eq!(world.text(ODD, Knob::CpuMax).as_deref(), Some("3000 50000"));
}

#[test]
fn a_group_that_is_held_by_nobody_is_free_for_the_next_hold() {
    let mut world = World::new();
    world.hold(PLAIN, Knob::CpuWeight, weight(5)).unwrap();
    assert!(world.other_writes(PLAIN, Knob::CpuWeight, "55"));
    look(&mut world);
    assert_eq!(
        world.hold(PLAIN, Knob::CpuWeight, weight(5)),
        Some(Written::Done)
    );
    world.release(PLAIN, Knob::CpuWeight).unwrap();
    assert_eq!(world.text(PLAIN, Knob::CpuWeight).as_deref(), Some("55"));
}

/// Every knob with a third value, and what we hold.
const THIRD: [(Knob, &str, &str); 3] = [
    (Knob::CpuWeight, "55", "56"),
    (Knob::CpuMax, "60000 50000", "70000 50000"),
    (Knob::MemoryHigh, "99999744", "99995648"),
];

fn held(knob: Knob) -> KnobValue {
    match knob {
        Knob::CpuWeight => weight(5),
        Knob::CpuMax => cpu_max(10_000, 70_000),
        _ => bytes(64 << 20),
    }
}

#[test]
fn with_reassert_ours_stands_again_and_theirs_goes_back_in_the_end() {
    for (knob, third, _) in THIRD {
        let mut world = World::new().with(Others::Reassert);
        world.hold(ODD, knob, held(knob)).unwrap();
        world.poll().unwrap();
        let ours = world.text(ODD, knob);
        assert!(world.other_writes(ODD, knob, third));
        assert_eq!(look(&mut world), [(knob, Written::Reasserted)], "{knob:?}");
        assert_eq!(world.text(ODD, knob), ours);
        world.release(ODD, knob).unwrap();
        world.poll().unwrap();
        assert_eq!(world.text(ODD, knob).as_deref(), Some(third));
        world.stop().unwrap();
        world.assert_as_without_us();
        world.assert_journal_empty();
    }
}

#[test]
fn with_reassert_one_who_writes_on_is_left_with_his_value_in_the_end() {
    for (knob, one, other) in THIRD {
        let mut world = World::new().with(Others::Reassert);
        world.hold(ODD, knob, held(knob)).unwrap();
        world.poll().unwrap();
        for at in 0..REASSERTS {
            let third = if at % 2 == 0 { one } else { other };
            assert!(world.other_writes(ODD, knob, third));
            assert_eq!(look(&mut world), [(knob, Written::Reasserted)], "{knob:?}");
        }
        assert!(world.other_writes(ODD, knob, other));
        assert_eq!(look(&mut world), [(knob, Written::GaveUp)], "{knob:?}");
        assert_eq!(world.text(ODD, knob).as_deref(), Some(other));
        world.stop().unwrap();
        world.assert_as_without_us();
        world.assert_journal_empty();
    }
}

#[test]
fn with_reassert_a_value_that_is_tighter_than_ours_stays() {
    let mut world = World::new().with(Others::Reassert);
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    assert!(world.other_writes(ODD, Knob::CpuWeight, "2"));
    assert_eq!(look(&mut world), [(Knob::CpuWeight, Written::Drifted)]);
    assert_eq!(world.text(ODD, Knob::CpuWeight).as_deref(), Some("2"));
    world.assert_journal_empty();
}

#[test]
fn an_earlier_value_of_ours_that_somebody_writes_again_never_becomes_an_original() {
    for others in [Others::Yield, Others::Reassert, Others::Alert] {
        let mut world = World::new().with(others);
        for ours in [9, 7, 5] {
            world.hold(ODD, Knob::CpuWeight, weight(ours)).unwrap();
        }
        let write = |world: &mut World, text: &str| {
            world.tree.set(ODD, "cpu.weight", &format!("{text}\n"));
        };
        for at in 0..REASSERTS {
            write(&mut world, if at % 2 == 0 { "9" } else { "7" });
            assert_eq!(look(&mut world), [(Knob::CpuWeight, Written::Reasserted)]);
        }
        write(&mut world, "9");
        assert_eq!(look(&mut world), [(Knob::CpuWeight, Written::GaveUp)]);
        world.assert_as_without_us();
        world.assert_journal_empty();
    }
}

#[test]
fn an_idle_that_somebody_sets_is_theirs_though_we_had_set_it_before() {
    let mut world = World::new();
    for ours in [true, false] {
        world
            .hold(ODD, Knob::CpuIdle, KnobValue::Idle(ours))
            .unwrap();
    }
    assert!(world.other_writes(ODD, Knob::CpuIdle, "1"));
    world.stop().unwrap();
    world.assert_as_without_us();
}

#[test]
fn an_earlier_value_of_ours_is_known_after_a_crash_once_it_was_met() {
    let mut world = World::new();
    for ours in [9, 7, 5] {
        world.hold(ODD, Knob::CpuWeight, weight(ours)).unwrap();
    }
    world.tree.set(ODD, "cpu.weight", "9\n");
    // The write after it was met does not come to pass.
    world
        .tree
        .fail(ODD, Some("cpu.weight"), Operation::Write, Absent::Busy);
    look(&mut world);
    world.tree.heal();
    world.process = None;
    world.start();
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn an_adopted_original_outlives_a_crash_at_any_step() {
    for step in 0.. {
        let mut world = World::new().with(Others::Reassert);
        world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
        world.hold(ODD, Knob::CpuMax, held(Knob::CpuMax)).unwrap();
        world.other_writes(ODD, Knob::CpuWeight, "55");
        world.other_writes(ODD, Knob::CpuMax, "60000 50000");
        world.fuse.light(step);
        let whole = world.check().is_some()
            && world.hold(ODD, Knob::CpuWeight, weight(4)).is_some()
            && world.check().is_some();
        world.fuse.put_out();
        let report = (!whole).then(|| world.start());
        assert!(report.is_none_or(|report| report.failed() == 0));
        if whole {
            world.process = None;
            world.start();
        }
        world.assert_as_without_us();
        world.assert_journal_empty();
        if whole {
            assert!(step > 10, "only {step} steps");
            break;
        }
    }
}
