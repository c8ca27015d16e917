//! A disk of the virtual clock (`null_blk`: 2.5 ms for each operation, one after the other): who floods it is
//! throttled, who uses it alone is not, and the line of `io.max` is given back byte for byte.

use crate::daemon::Daemon;
use crate::load::{Load, Window, now_us, sleep_until};
use crate::rig::{Group, Rig};
use crate::table;
use governor::model::Device;
use libtest_mimic::Trial;
use rustix::fs::{major, minor};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("disk::a_flood_of_reads_is_throttled", || {
            flooded(
                "flood of reads",
                &format!("disk flood --path {DISK} --threads 32"),
            );
        }),
        crate::trial("disk::a_flood_of_writes_is_throttled", || {
            flooded(
                "flood of writes",
                &format!("disk flood --path {DISK} --threads 32 --write --size 16KiB"),
            );
        }),
        crate::trial("disk::one_that_reads_alone_is_left_alone", alone),
        crate::trial("disk::an_own_limit_is_given_back_byte_for_byte", own_limit),
        crate::trial(
            "disk::a_stack_of_devices_that_appears_is_throttled_and_may_vanish",
            stack,
        ),
    ]
}

const DISK: &str = "/dev/nullb0";
const GIVEN_BACK: Duration = Duration::from_secs(60);
const HEAD: [&str; 7] = [
    "attack",
    "arm",
    "alone p50 / p99 ms",
    "attacked p50 / p99 ms",
    "answered",
    "first write",
    "hog's operations",
];
const SECOND_US: u64 = 1_000_000;
/// What is left to the hog still takes its turns: three of them may be before a request.
const AHEAD_MS: f64 = 3.0 * 2.5;

/// The disk's number; `None` on a host without one.
pub(crate) fn number() -> Option<Device> {
    let device = std::fs::metadata(DISK).ok()?.rdev();
    Some(Device {
        major: major(device),
        minor: minor(device),
    })
}

fn needed() -> Device {
    number().unwrap_or_else(|| {
        panic!(
            "this test needs {DISK}: modprobe null_blk queue_mode=2 submit_queues=1 hw_queue_depth=1 \
             irqmode=2 completion_nsec=2500000"
        )
    })
}

/// When the group's `io.max` is another than it was, or `None` after that long.
fn moved(group: &Group, original: &str, patience: Duration) -> Option<u64> {
    let end = now_us() + patience.as_micros() as u64;
    while group.read("io.max") == original {
        if now_us() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Some(now_us())
}

fn flooded(attack: &str, flood: &str) {
    needed();
    let rig = Rig::new("flood");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    let originals = (victim.knobs(), hog.knobs());
    table::head(&HEAD);
    let ungoverned = arm(&victim, &hog, DISK, flood);
    ungoverned.print(attack, "no control");
    let governor = rig.governor("");
    let governed = arm(&victim, &hog, DISK, flood);
    governed.print(attack, "governed");
    hog.must_be_given_back(&originals.1, GIVEN_BACK);
    victim.must_be_given_back(&originals.0, Duration::ZERO);
    assert!(
        p99(&ungoverned.attacked) > 4.0 * p99(&ungoverned.alone),
        "without control there is no harm"
    );
    governed.must_protect(&governor);
}

fn p99(window: &Window) -> f64 {
    window.percentile(0.99).ms()
}

struct Arm {
    alone: Window,
    /// The whole attack.
    attacked: Window,
    /// From its third second to the ninth: before the limit is tried back.
    settled: Window,
    first: Option<u64>,
    operations: u64,
}

fn arm(victim: &Group, hog: &Group, disk: &str, flood: &str) -> Arm {
    let original = hog.read("io.max");
    let first_due = now_us() + 200_000;
    let work = Load::start(
        victim,
        &format!("disk read --path {disk} --every 25ms --for 20s --start-at {first_due}"),
    );
    let start = first_due + 8 * SECOND_US;
    sleep_until(start);
    let before = operations(hog);
    let load = Load::start(hog, &format!("{flood} --for 11s"));
    let first = moved(hog, &original, Duration::from_secs(9));
    load.finish();
    let record = work.record();
    Arm {
        alone: record.window(first_due + SECOND_US, start),
        attacked: record.window(start, start + 11 * SECOND_US),
        settled: record.window(start + 3 * SECOND_US, start + 9 * SECOND_US),
        first: first.map(|at| at - start),
        operations: operations(hog) - before,
    }
}

fn operations(group: &Group) -> u64 {
    let stat = std::fs::read(group.dir().join("io.stat")).unwrap();
    let mut all = 0;
    for line in governor::kernel::nested::io_stat(&stat).unwrap() {
        let (_, stat) = line.unwrap();
        all += stat.rios + stat.wios;
    }
    all
}

impl Arm {
    fn must_protect(&self, governor: &Daemon) {
        let log = governor.log();
        assert!(self.first.is_some(), "never throttled; it said:\n{log}");
        assert!(
            p99(&self.settled) <= p99(&self.alone) + AHEAD_MS,
            "p99 is {} ms, {} alone; it said:\n{log}",
            p99(&self.settled),
            p99(&self.alone)
        );
        assert!(self.settled.answered() > 0.99, "{log}");
    }

    fn print(&self, attack: &str, name: &str) {
        let first = self.first.map(|us| format!("{} ms", us / 1_000));
        let window = if self.first.is_some() {
            &self.settled
        } else {
            &self.attacked
        };
        table::row(&[
            attack.to_owned(),
            name.to_owned(),
            table::latencies(&self.alone),
            table::latencies(window),
            table::answered(window),
            first.unwrap_or_else(|| "–".to_owned()),
            self.operations.to_string(),
        ]);
    }
}

fn alone() {
    needed();
    let rig = Rig::new("disk-alone");
    let neighbour = rig.group("neighbour");
    let reader = rig.group("reader");
    let originals = reader.knobs();
    let governor = rig.governor("");
    // A neighbour that does not use the disk.
    let _work = Load::start(
        &neighbour,
        "victim timer --work 2ms --every 100ms --for 20s",
    );
    std::thread::sleep(Duration::from_secs(5));
    let load = Load::start(
        &reader,
        &format!("disk flood --path {DISK} --threads 32 --for 10s"),
    );
    let touched = moved(&reader, "", Duration::from_secs(10));
    load.finish();
    assert_eq!(touched, None, "it said:\n{}", governor.log());
    reader.must_be_given_back(&originals, Duration::ZERO);
}

/// A hog with a limit of its own that is no protection: ours stands below it, and then the same line is there
/// again. So after a SIGKILL in the middle of it.
fn own_limit() {
    let device = needed();
    let rig = Rig::new("disk-own");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    hog.write("io.max", &format!("{device} rbps=104857600 wiops=77777"));
    let originals = hog.knobs();
    let original = hog.read("io.max");
    assert_eq!(
        original,
        format!("{device} rbps=104857600 wbps=max riops=max wiops=77777\n")
    );
    let governor = rig.governor("");
    let start = now_us() + 200_000;
    let _work = Load::start(
        &victim,
        &format!("disk read --path {DISK} --every 25ms --for 30s --start-at {start}"),
    );
    std::thread::sleep(Duration::from_secs(6));
    let load = Load::start(
        &hog,
        &format!("disk flood --path {DISK} --threads 32 --for 8s"),
    );
    let moved = moved(&hog, &original, Duration::from_secs(6));
    assert!(
        moved.is_some(),
        "never throttled; it said:\n{}",
        governor.log()
    );
    governor.kill();
    assert_ne!(
        hog.read("io.max"),
        original,
        "a killed daemon gives nothing back"
    );
    let restored = crate::daemon::governor(rig.work(), &["restore"]);
    assert!(restored.status.success(), "{restored:?}");
    hog.must_be_given_back(&originals, Duration::ZERO);
    drop(load);
}

/// A device that hands all on to the disk below: the kernel counts what is done on it for both.
struct Stack;

const STACK: &str = "/dev/mapper/governor-stack";

impl Stack {
    fn new() -> Stack {
        let sectors = (64 << 20) / 512;
        let table = format!("0 {sectors} linear {DISK} 0");
        dmsetup(&["create", "governor-stack", "--table", &table]).unwrap();
        Stack
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let removed = dmsetup(&["remove", STACK]);
        // A second panic would take the other tests with it.
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// There is no udev that could be waited for.
fn dmsetup(words: &[&str]) -> Result<(), String> {
    let mut command = Command::new("dmsetup");
    match command.env("DM_DISABLE_UDEV", "1").args(words).output() {
        Ok(done) if done.status.success() => Ok(()),
        other => Err(format!(
            "this test needs dmsetup and the module dm_mod; dmsetup {words:?}: {other:?}"
        )),
    }
}

/// It appears while the governor runs, and goes while somebody is held on it, or on the disk below.
fn stack() {
    needed();
    let rig = Rig::new("disk-stack");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    let originals = (victim.knobs(), hog.knobs());
    let governor = rig.governor("");
    std::thread::sleep(Duration::from_secs(2));
    let stack = Stack::new();
    let flood = format!("disk flood --path {STACK} --threads 32");
    let governed = arm(&victim, &hog, STACK, &flood);
    let held = hog.read("io.max");
    drop(stack);
    table::head(&HEAD);
    governed.print("flood of reads through a stack", "governed");
    governed.must_protect(&governor);
    assert!(!held.is_empty(), "it said:\n{}", governor.log());
    // On whichever of the two it was: a limit on the upper one went with it, and is forgotten.
    let end = Instant::now() + GIVEN_BACK;
    while !governor.status().limits.is_empty() {
        assert!(Instant::now() < end, "it said:\n{}", governor.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    hog.must_be_given_back(&originals.1, Duration::ZERO);
    victim.must_be_given_back(&originals.0, Duration::ZERO);
}
