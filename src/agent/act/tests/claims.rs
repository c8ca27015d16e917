//! One claim a test.

use super::super::journal_format::tests::{BOOT, record, text};
use super::super::{Actuator, Journal, Pulser, REASSERTS, SLOTS, SlowWriter, Undone};
use super::world::{
    Files, Handle, Kernel, LEASE, PAGE, PATHS, World, bytes, cpu_max, hold, weight,
};
use crate::host::{FakeTree, KnobFiles, Operation};
use crate::model::{Absent, Knob, KnobValue, Time, Written};

const ODD: &str = PATHS[0];
const IDLE: &str = PATHS[1];
const PLAIN: &str = PATHS[2];

/// All writes so far, as `file text`.
fn writes(tree: &FakeTree) -> Vec<String> {
    let writes = tree.writes();
    writes
        .iter()
        .map(|w| format!("{} {}", w.file, w.text))
        .collect()
}

#[test]
fn a_hold_is_one_write_and_its_renewal_is_none() {
    let mut world = World::new();
    for _ in 0..3 {
        let written = world.hold(ODD, Knob::CpuWeight, weight(5));
        assert_eq!(written, Some(Written::Done));
    }
    assert_eq!(world.check(), Some(vec![]));
    assert_eq!(writes(&world.tree), ["cpu.weight 5"]);
    assert_eq!(world.release(ODD, Knob::CpuWeight), Some(Written::Restored));
    assert_eq!(writes(&world.tree), ["cpu.weight 5", "cpu.weight 37"]);
    world.assert_journal_empty();
}

#[test]
fn a_value_that_stands_already_is_held_without_a_write() {
    let mut world = World::new();
    assert_eq!(
        world.hold(ODD, Knob::CpuWeight, weight(37)),
        Some(Written::Done)
    );
    assert_eq!(world.release(ODD, Knob::CpuWeight), Some(Written::Restored));
    assert!(writes(&world.tree).is_empty());
    world.assert_journal_empty();
}

#[test]
fn a_size_is_written_as_the_kernel_will_show_it() {
    let mut world = World::new();
    let written = world.hold(ODD, Knob::MemorySwapMax, bytes(10_000_000));
    assert_eq!(written, Some(Written::Done));
    assert_eq!(writes(&world.tree), ["memory.swap.max 9998336"]);
}

#[test]
fn a_quota_below_the_burst_lowers_the_burst_first_and_raises_it_last() {
    let mut world = World::new();
    assert_eq!(
        world.hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000)),
        Some(Written::Done)
    );
    assert_eq!(
        world.hold(ODD, Knob::CpuMax, cpu_max(5_000, 70_000)),
        Some(Written::Done)
    );
    assert_eq!(world.release(ODD, Knob::CpuMax), Some(Written::Restored));
    let wanted = [
        "cpu.max.burst 0",
        "cpu.max 10000 70000",
        "cpu.max 5000 70000",
        "cpu.max 150000 70000",
        "cpu.max.burst 20000",
    ];
    assert_eq!(writes(&world.tree), wanted);
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_quota_above_the_burst_leaves_the_burst_alone() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuMax, cpu_max(30_000, 70_000))
        .unwrap();
    assert_eq!(writes(&world.tree), ["cpu.max 30000 70000"]);
}

#[test]
fn idling_keeps_the_weight_and_gives_it_back_after_idle() {
    let mut world = World::new();
    let idle = KnobValue::Idle(true);
    assert_eq!(world.hold(ODD, Knob::CpuIdle, idle), Some(Written::Done));
    assert_eq!(world.text(ODD, Knob::CpuWeight).as_deref(), Some("0"));
    assert_eq!(world.check(), Some(vec![]));
    assert_eq!(world.release(ODD, Knob::CpuIdle), Some(Written::Restored));
    assert_eq!(
        writes(&world.tree),
        ["cpu.idle 1", "cpu.idle 0", "cpu.weight 37"]
    );
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_held_weight_survives_idling_and_is_held_again_after_it() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world
        .hold(ODD, Knob::CpuIdle, KnobValue::Idle(true))
        .unwrap();
    let other = world.hold(ODD, Knob::CpuWeight, weight(6));
    assert_eq!(
        other,
        Some(Written::Failed(Absent::Refused)),
        "not while idle"
    );
    assert_eq!(
        world.hold(ODD, Knob::CpuWeight, weight(5)),
        Some(Written::Done)
    );
    world.release(ODD, Knob::CpuIdle).unwrap();
    assert_eq!(world.text(ODD, Knob::CpuWeight).as_deref(), Some("5"));
    assert_eq!(world.check(), Some(vec![]));
    world.release(ODD, Knob::CpuWeight).unwrap();
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_weight_that_is_released_while_idle_goes_back_right_after_idle() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world
        .hold(ODD, Knob::CpuIdle, KnobValue::Idle(true))
        .unwrap();
    assert_eq!(world.release(ODD, Knob::CpuWeight), Some(Written::Queued));
    assert_eq!(world.release(ODD, Knob::CpuIdle), Some(Written::Restored));
    let told = world.poll().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].knob, told[0].written),
        (Knob::CpuWeight, Written::Restored)
    );
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_group_that_was_idle_before_us_gets_its_idle_back() {
    let mut world = World::new();
    let written = world.hold(IDLE, Knob::CpuWeight, weight(5));
    assert_eq!(written, Some(Written::Failed(Absent::Refused)));
    world.assert_journal_empty();
    world
        .hold(IDLE, Knob::CpuIdle, KnobValue::Idle(false))
        .unwrap();
    assert_eq!(world.text(IDLE, Knob::CpuWeight).as_deref(), Some("100"));
    world.release(IDLE, Knob::CpuIdle).unwrap();
    world.assert_as_without_us();
}

#[test]
fn a_weight_is_let_go_where_somebody_else_set_idle_after_us() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuIdle, KnobValue::Idle(true))
        .unwrap();
    world
        .tree
        .fail(ODD, Some("cpu.weight"), Operation::Write, Absent::Busy);
    assert_eq!(world.release(ODD, Knob::CpuIdle), Some(Written::Restored));
    world.tree.heal();
    assert!(world.other_writes(ODD, Knob::CpuIdle, "1"));
    world.process = None;
    let report = world.start();
    assert!(
        matches!(report.items[0].undone, Undone::Drifted(_)),
        "{report}"
    );
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_weight_waits_for_an_idle_that_cannot_be_taken_back() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuIdle, KnobValue::Idle(true))
        .unwrap();
    world
        .tree
        .fail(ODD, Some("cpu.idle"), Operation::Write, Absent::Busy);
    for _ in 0..2 {
        world.process = None;
        let report = world.start();
        assert_eq!(report.failed(), 2, "{report}");
        world.check().unwrap();
        world
            .run(|process, _| {
                process
                    .act
                    .give_back_now(&mut process.files, &mut process.out)
            })
            .unwrap();
    }
    world.tree.heal();
    world.stop().unwrap();
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_group_that_the_host_forgot_is_found_again_and_not_taken_for_gone() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world.run(|process, _| process.files.forget()).unwrap();
    assert_eq!(world.check(), Some(vec![]));
    world.run(|process, _| process.files.forget()).unwrap();
    assert_eq!(world.release(ODD, Knob::CpuWeight), Some(Written::Restored));
    world.assert_as_without_us();
}

#[test]
fn somebody_elses_value_is_left_and_told_once() {
    for look_first in [true, false] {
        let mut world = World::new();
        world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
        assert!(world.other_writes(ODD, Knob::CpuWeight, "55"));
        if look_first {
            let told = world.check().unwrap();
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].written, Written::Drifted);
            assert_eq!(world.check(), Some(vec![]));
            let again = world.release(ODD, Knob::CpuWeight);
            assert_eq!(again, Some(Written::Restored), "nothing is held any more");
        } else {
            let written = world.release(ODD, Knob::CpuWeight);
            assert_eq!(written, Some(Written::Drifted));
        }
        assert_eq!(world.text(ODD, Knob::CpuWeight).as_deref(), Some("55"));
        world.assert_journal_empty();
    }
}

#[test]
fn a_tightening_never_overwrites_somebody_elses_value() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world.other_writes(ODD, Knob::CpuWeight, "55");
    assert_eq!(
        world.hold(ODD, Knob::CpuWeight, weight(2)),
        Some(Written::Drifted)
    );
    assert_eq!(
        world.hold(ODD, Knob::CpuWeight, weight(2)),
        Some(Written::Done)
    );
    world.stop().unwrap();
    assert_eq!(
        world.text(ODD, Knob::CpuWeight).as_deref(),
        Some("55"),
        "the new original"
    );
}

#[test]
fn a_weight_that_only_our_waking_made_possible_goes_with_it() {
    for kernel in [Kernel::V6_1, Kernel::V6_12] {
        let mut world = World::like(kernel);
        world
            .hold(IDLE, Knob::CpuIdle, KnobValue::Idle(false))
            .unwrap();
        world.hold(IDLE, Knob::CpuWeight, weight(1)).unwrap();
        world.process = None;
        let report = world.start();
        assert_eq!(report.failed(), 0, "{report}");
        world.assert_as_without_us();
        world.assert_journal_empty();
    }
}

#[test]
fn somebody_elses_value_stays_theirs_even_where_it_is_what_we_want_next() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world.other_writes(ODD, Knob::CpuWeight, "2");
    let written = world.hold(ODD, Knob::CpuWeight, weight(2));
    assert_eq!(written, Some(Written::Drifted));
    world.stop().unwrap();
    world.assert_as_without_us();
}

#[test]
fn a_group_that_was_idle_before_us_can_be_held_awake_and_idle_again() {
    let mut world = World::new();
    world
        .hold(IDLE, Knob::CpuIdle, KnobValue::Idle(false))
        .unwrap();
    world
        .hold(IDLE, Knob::CpuIdle, KnobValue::Idle(true))
        .unwrap();
    world.stop().unwrap();
    world.assert_as_without_us();
}

#[test]
fn a_reverted_value_is_set_again_a_bounded_number_of_times() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000))
        .unwrap();
    for _ in 0..REASSERTS {
        // What `daemon-reload` does.
        assert!(world.other_writes(ODD, Knob::CpuMax, "150000 70000"));
        assert!(world.other_writes(ODD, Knob::CpuMaxBurst, "20000"));
        let told = world.check().unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].written, Written::Reasserted);
    }
    world.other_writes(ODD, Knob::CpuMax, "150000 70000");
    let told = world.check().unwrap();
    assert_eq!(told[0].written, Written::GaveUp);
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_lease_that_is_not_renewed_ends() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world.now = world.now + LEASE;
    world.hold(PLAIN, Knob::CpuWeight, weight(5)).unwrap();
    let told = world.expire().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].written, Written::Restored);
    assert_eq!(world.text(ODD, Knob::CpuWeight).as_deref(), Some("37"));
    assert_eq!(world.text(PLAIN, Knob::CpuWeight).as_deref(), Some("5"));
}

#[test]
fn a_vanished_group_is_forgotten_without_a_word() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000))
        .unwrap();
    world.vanish(ODD);
    assert_eq!(world.check(), Some(vec![]));
    world.assert_journal_empty();
}

#[test]
fn a_successor_under_the_same_path_is_never_touched() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world.vanish(ODD);
    world.appear(ODD);
    world.process = None;
    let report = world.start();
    assert_eq!(report.items[0].undone, Undone::Gone);
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_slow_write_is_answered_at_once_and_the_newest_wish_wins() {
    let mut world = World::new();
    for mib in [64, 48, 32] {
        let written = world.hold(ODD, Knob::MemoryHigh, bytes(mib << 20));
        assert_eq!(written, Some(Written::Queued));
    }
    assert!(writes(&world.tree).is_empty(), "the writer has not run yet");
    let mut told = world.poll().unwrap();
    told.extend(world.poll().unwrap());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].written, Written::Done);
    let wanted = ["memory.high 67108864", "memory.high 33554432"];
    assert_eq!(
        writes(&world.tree),
        wanted,
        "48 MiB was outdated before it could be written"
    );
    world.stop().unwrap();
    world.assert_as_without_us();
}

#[test]
fn a_release_follows_the_slow_write_that_is_under_way() {
    let mut world = World::new();
    world.hold(ODD, Knob::MemoryHigh, bytes(64 << 20)).unwrap();
    assert_eq!(world.release(ODD, Knob::MemoryHigh), Some(Written::Queued));
    world.poll().unwrap();
    let told = world.poll().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].written, Written::Restored);
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn what_hangs_in_the_slow_writer_can_be_given_back_without_it() {
    let mut world = World::new();
    world.hold(ODD, Knob::MemoryHigh, bytes(64 << 20)).unwrap();
    world.poll().unwrap();
    world.hold(ODD, Knob::MemoryHigh, bytes(32 << 20)).unwrap();
    world
        .run(|process, _| {
            process
                .act
                .give_back_all(&mut process.files, &mut process.out);
            assert!(process.act.pending());
            process
                .act
                .give_back_now(&mut process.files, &mut process.out);
            assert!(!process.act.pending());
        })
        .unwrap();
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_refused_first_write_leaves_no_trace() {
    let mut world = World::new();
    let tiny = cpu_max(100, 70_000);
    let written = world.hold(ODD, Knob::CpuMax, tiny);
    assert_eq!(written, Some(Written::Failed(Absent::Refused)));
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_refused_change_keeps_the_hold_before_it() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000))
        .unwrap();
    let written = world.hold(ODD, Knob::CpuMax, cpu_max(100, 70_000));
    assert_eq!(written, Some(Written::Failed(Absent::Refused)));
    assert_eq!(
        world.text(ODD, Knob::CpuMax).as_deref(),
        Some("10000 70000")
    );
    assert_eq!(world.check(), Some(vec![]));
    world.stop().unwrap();
    world.assert_as_without_us();
}

#[test]
fn what_cannot_be_given_back_is_told_once_and_tried_until_it_can() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world
        .tree
        .fail(ODD, Some("cpu.weight"), Operation::Write, Absent::Busy);
    let written = world.release(ODD, Knob::CpuWeight);
    assert_eq!(written, Some(Written::Failed(Absent::Busy)));
    assert_eq!(world.check().unwrap().len(), 1);
    assert_eq!(
        world.check(),
        Some(vec![]),
        "the same failure is not told twice"
    );
    // Also over a restart.
    world.process = None;
    assert_eq!(world.start().failed(), 1);
    world.tree.heal();
    let told = world.check().unwrap();
    assert_eq!(told[0].written, Written::Restored);
    world.assert_as_without_us();
    world.assert_journal_empty();
}

#[test]
fn a_full_journal_leaves_the_knob_alone() {
    let mut journal = Journal::load(vec![0; super::super::journal_format::FILE_LEN], BOOT).0;
    for _ in 0..SLOTS {
        journal.insert(&record()).unwrap();
    }
    let mut files: Files = World::new().process.unwrap().files;
    let (writer, _slow) = SlowWriter::<Handle>::without_thread();
    let (pulser, _pulses) = Pulser::without_thread();
    let mut act = Actuator::enforcing(PAGE, journal, Vec::new(), writer, pulser);
    let group = files.tree.id(ODD).unwrap();
    for (knob, value) in [
        (Knob::CpuMax, cpu_max(10_000, 70_000)),
        (Knob::CpuIdle, KnobValue::Idle(true)),
        (Knob::CpuWeight, weight(5)),
    ] {
        let outcome = act.apply(&hold(group, knob, value), Time(0), &mut files);
        assert_eq!(outcome.written, Written::Failed(Absent::JournalFull));
    }
    assert!(files.tree.writes().is_empty());
}

#[test]
fn a_dry_run_reads_and_writes_nothing() {
    let mut files: Files = World::new().process.unwrap().files;
    let mut act = Actuator::<Handle, Vec<u8>>::dry_run(PAGE);
    let group = files.tree.id(ODD).unwrap();
    let mut apply = |files: &mut Files, change| act.apply(&change, Time(0), files).written;
    let change = hold(group, Knob::CpuWeight, weight(5));
    assert_eq!(apply(&mut files, change), Written::WouldWrite);
    files.tree.unset(ODD, "cpu.weight");
    assert_eq!(apply(&mut files, change), Written::Failed(Absent::NoFile));
    let release = crate::model::Change::Release {
        group,
        knob: Knob::CpuWeight,
    };
    assert_eq!(apply(&mut files, release), Written::WouldWrite);
    assert!(files.tree.writes().is_empty());
}

#[test]
fn a_value_of_another_knob_is_refused_before_anything_happens() {
    let mut world = World::new();
    let written = world.hold(ODD, Knob::CpuIdle, weight(5));
    assert_eq!(written, Some(Written::Failed(Absent::Malformed)));
    world.assert_journal_empty();
}

#[test]
fn what_is_held_can_be_seen_with_its_original() {
    let mut world = World::new();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    let group = world.tree.id(ODD).unwrap();
    let process = world.process.as_ref().unwrap();
    let held: Vec<_> = process.act.held().collect();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].path, ODD.as_bytes());
    assert_eq!(held[0].original.as_bytes(), b"37");
    assert_eq!(held[0].ours.unwrap().as_bytes(), b"5");
    assert_eq!(held[0].lease, world.now + LEASE);
    let original = process.act.original(group, Knob::CpuWeight);
    assert_eq!(original.unwrap().as_bytes(), b"37");
    assert_eq!(process.act.original(group, Knob::CpuMax), None);
}

#[test]
fn the_report_of_a_restore_is_one_line_a_knob() {
    let mut world = World::new();
    world
        .hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000))
        .unwrap();
    world.hold(ODD, Knob::CpuWeight, weight(5)).unwrap();
    world.hold(PLAIN, Knob::CpuWeight, weight(5)).unwrap();
    world.other_writes(ODD, Knob::CpuWeight, "55");
    world.vanish(PLAIN);
    world.process = None;
    let report = world.start().to_string();
    insta::assert_snapshot!(report, @r#"
    /system.slice/odd cpu.weight: left at "55", which somebody else wrote since (before us: "37")
    /plain cpu.weight: the cgroup is gone, and its limits with it
    /system.slice/odd cpu.max: restored to "150000 70000"
    /system.slice/odd cpu.max.burst: restored to "20000"
    "#);
}

#[test]
fn the_thread_of_the_slow_writer_writes_and_answers() {
    let mut files: Files = World::new().process.unwrap().files;
    let journal = Journal::load(vec![0; super::super::journal_format::FILE_LEN], BOOT).0;
    let group = files.tree.id(ODD).unwrap();
    let handle = files.tree.clone();
    let dir = crate::host::open_path(&mut files.tree, ODD.as_bytes())
        .unwrap()
        .dir;
    let writer = SlowWriter::start().unwrap();
    let inner = crate::host::TreeFiles::detach(&mut handle.clone(), &dir, "memory.high").unwrap();
    let ticket = writer
        .submit(inner, text("126418944"), text("8192"))
        .unwrap();
    let mut tries = 0;
    let result = loop {
        if let Some(result) = writer.result(ticket) {
            break result;
        }
        tries += 1;
        assert!(tries < 1_000_000_000, "the writer does not answer");
        std::hint::spin_loop();
    };
    assert_eq!(result, Ok(()));
    assert_eq!(writer.result(ticket), None, "a result is told once");
    assert_eq!(
        files.read_knob(group, Knob::MemoryHigh).unwrap().as_bytes(),
        b"8192"
    );
    drop(journal);
}
