//! From enforcing to dry-run and back, while things are held.

use super::super::Actuator;
use super::world::{Handle, PAGE, PATHS, World, weight};
use crate::host::Operation;
use crate::model::{Absent, Change, Knob, Mode, Written};

const ODD: &str = PATHS[0];
const PLAIN: &str = PATHS[2];

#[test]
fn in_dry_run_nothing_new_is_held_and_what_was_is_still_given_back() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    let mode = |world: &mut World, mode| world.run(|process, _| process.act.set_mode(mode));
    assert_eq!(mode(&mut world, Mode::DryRun), Some(Mode::DryRun));
    for path in [ODD, PLAIN] {
        let written = world.hold(path, Knob::CpuWeight, weight(2));
        assert_eq!(written, Some(Written::WouldWrite));
    }
    world
        .tree
        .fail(ODD, Some("cpu.weight"), Operation::Write, Absent::Busy);
    let failed = world.release(ODD, Knob::CpuWeight);
    assert_eq!(failed, Some(Written::Failed(Absent::Busy)));
    world.tree.heal();
    assert_eq!(
        world.check().unwrap().last().unwrap().written,
        Written::Restored
    );
    world.assert_as_without_us();
    world.assert_journal_empty();
    let written = world.release(ODD, Knob::CpuWeight);
    assert_eq!(written, Some(Written::WouldWrite));

    assert_eq!(mode(&mut world, Mode::Enforce), Some(Mode::Enforce));
    let written = world.hold(ODD, Knob::CpuWeight, weight(2));
    assert_eq!(written, Some(Written::Done));
    world.stop().unwrap();
    world.assert_as_without_us();
}

#[test]
fn a_kill_is_one_write_that_is_not_journaled_and_none_in_dry_run() {
    let mut world = World::new();
    let kill = |world: &mut World| {
        let group = world.tree.id(ODD).unwrap();
        let knob = Knob::PidsMax;
        world.apply(Change::Kill { group, knob })
    };
    assert_eq!(kill(&mut world), Some(Written::NotKilled(Absent::NoFile)));
    world.tree.set(ODD, "cgroup.kill", "\n");
    let killed = |world: &World| {
        let writes = world.tree.writes().into_iter();
        writes.filter(|write| write.file == "cgroup.kill").count()
    };
    let before = killed(&world);
    world.run(|process, _| process.act.set_mode(Mode::DryRun));
    assert_eq!(kill(&mut world), Some(Written::WouldWrite));
    assert_eq!(killed(&world), before);
    world.run(|process, _| process.act.set_mode(Mode::Enforce));
    assert_eq!(kill(&mut world), Some(Written::Killed));
    assert_eq!(killed(&world), before + 1);
    world.assert_journal_empty();
    let gone = Change::Kill {
        group: crate::model::GroupId(4_242),
        knob: Knob::PidsMax,
    };
    assert_eq!(world.apply(gone), Some(Written::NotKilled(Absent::Gone)));
}

#[test]
fn what_was_made_without_a_journal_never_writes() {
    let mut act = Actuator::<Handle, Vec<u8>>::dry_run(PAGE);
    assert_eq!(act.set_mode(Mode::Enforce), Mode::DryRun);
}
