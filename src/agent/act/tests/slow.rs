//! What is handed to the slow writer, and must be back although it does not get to it.

use super::super::journal_format::tests::text;
use super::super::{SlotId, SlowWriter};
use super::world::{PATHS, Process, World, bytes};
use crate::host::{FakeHandle, FakeTree, Operation, TreeFiles, open_path};
use crate::model::{Absent, Device, IoMax, Knob, KnobValue, Limit, Outcome, Written};

const ODD: &str = PATHS[0];
const PLAIN: &str = PATHS[2];
const SET: &str = "67108864";

const DISK: Device = Device {
    major: 253,
    minor: 0,
};

fn at_most(reads: u64) -> KnobValue {
    let max = IoMax {
        rbps: Limit::Max,
        wbps: Limit::Max,
        riops: Limit::At(reads),
        wiops: Limit::Max,
    };
    KnobValue::IoMax(DISK, max)
}

/// A first limit, which the writer has not begun to write.
fn ask(world: &mut World, path: &str) {
    let written = world.hold(path, Knob::MemoryHigh, bytes(64 << 20));
    assert_eq!(written, Some(Written::Queued));
}

/// The end, when the writer was waited for in vain.
fn end_now(process: &mut Process) -> Vec<Outcome> {
    let mut out = Vec::new();
    process.act.give_back_all(&mut process.files, &mut out);
    assert_eq!(out, [], "nothing to tell before the writer is given up");
    process.act.give_back_now(&mut process.files, &mut out);
    out
}

#[test]
fn a_write_that_waits_behind_one_that_hangs_is_not_made_after_everything_was_given_back() {
    let mut world = World::new();
    ask(&mut world, PLAIN);
    world.run(|process, _| process.slow.begin()).unwrap();
    // The kernel has set it, and reclaims.
    world.tree.set(PLAIN, "memory.high", &format!("{SET}\n"));
    ask(&mut world, ODD);
    let out = world.run(|process, _| end_now(process)).unwrap();
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|one| one.written == Written::Restored));
    world.assert_as_without_us();
    world.assert_journal_empty();
    world
        .run(|process, _| {
            assert!(!process.act.pending());
            process.slow.end(true);
            process.slow.work();
            assert!(process.slow.is_free());
        })
        .unwrap();
    let writes: Vec<String> = world.tree.writes().into_iter().map(|w| w.text).collect();
    assert_eq!(writes, ["max"], "the original of the one that stood");
    world.assert_as_without_us();
}

#[test]
fn a_write_that_may_still_come_keeps_its_record_until_its_original_is_back_after_it() {
    let mut world = World::new();
    ask(&mut world, ODD);
    world.run(|process, _| process.slow.begin()).unwrap();
    let out = world.run(|process, _| end_now(process)).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].written, Written::Failed(Absent::Busy));
    let kept: Vec<SlotId> = world
        .disk
        .found()
        .records
        .iter()
        .map(|(slot, _)| *slot)
        .collect();
    assert_eq!(kept, [0]);
    world.run(|process, _| process.slow.end(false)).unwrap();
    assert_eq!(world.text(ODD, Knob::MemoryHigh).as_deref(), Some(SET));
    let told: Vec<Written> = (0..3)
        .flat_map(|_| world.poll().unwrap())
        .map(|one| one.written)
        .collect();
    assert_eq!(told, [Written::Restored]);
    world.assert_as_without_us();
    world.assert_journal_empty();
    assert!(world.run(|process, _| process.slow.is_free()).unwrap());
}

#[test]
fn a_limit_goes_with_its_device_and_that_is_told() {
    let mut world = World::new();
    let written = world.hold(ODD, Knob::IoMax(DISK), at_most(100));
    assert_eq!(written, Some(Written::Queued));
    world.run(|process, _| process.slow.work()).unwrap();
    assert_eq!(world.poll().unwrap()[0].written, Written::Done);
    world.tree.set(ODD, "io.max", "");
    world
        .tree
        .fail(ODD, Some("io.max"), Operation::Write, Absent::Gone);
    assert_eq!(world.check(), Some(vec![]), "it is tried once more");
    world.run(|process, _| process.slow.work()).unwrap();
    assert_eq!(
        world.poll().unwrap()[0].written,
        Written::Failed(Absent::Gone)
    );
    world.assert_journal_empty();
    assert_eq!(world.check(), Some(vec![]));
}

#[test]
fn a_writer_that_is_dropped_makes_no_further_write() {
    let tree = FakeTree::new();
    tree.add(PLAIN);
    let dir = open_path(&mut tree.clone(), PLAIN.as_bytes()).unwrap().dir;
    let (writer, slow) = SlowWriter::<FakeHandle>::without_thread();
    let handle = tree.clone().detach(&dir, "memory.high").unwrap();
    writer.submit(handle, text("max"), text(SET)).unwrap();
    drop(writer);
    assert!(!slow.work());
    assert!(tree.writes().is_empty());
}
