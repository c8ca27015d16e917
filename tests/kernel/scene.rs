//! The attack that most tests need: a heavy victim at work, and a hog that the governor holds.

use crate::load::{Load, now_us};
use crate::rig::{Group, Rig};
use std::time::{Duration, Instant};

/// How long after an attack's start the lever must have been moved in any test.
const PATIENCE: Duration = Duration::from_secs(3);

/// A victim that is at work for `seconds` (40 ms of CPU every 50 ms), and so long quiet that what it
/// needs is known.
pub(crate) fn heavy_victim(group: &Group, seconds: u32) -> Load {
    let start = now_us() + 100_000;
    let load = Load::start(
        group,
        &format!("victim timer --work 40ms --every 50ms --for {seconds}s --start-at {start}"),
    );
    std::thread::sleep(Duration::from_secs(4));
    load
}

/// Eight spinners for `seconds`; returns when the governor has moved their lever.
pub(crate) fn held_hog(group: &Group, seconds: u32) -> Load {
    let untouched = group.knobs();
    let hog = Load::start(group, &format!("hog cpu --threads 8 --for {seconds}s"));
    let end = Instant::now() + PATIENCE;
    while group.knobs() == untouched {
        assert!(
            Instant::now() < end,
            "nobody held {} for {PATIENCE:?}",
            group.dir().display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    hog
}

/// Gives the group values that nobody would guess, so that only a journal can bring them back.
pub(crate) fn odd_originals(group: &Group) {
    group.write("cpu.weight", "37");
    group.write("cpu.max", "950000 1000000");
    group.write("cpu.max.burst", "12345");
    group.write("memory.high", "1234567168");
}

/// The knobs that are hard: they take something away even from one whom nobody waits for.
const HARD: [&str; 5] = [
    "cpu.max",
    "io.max",
    "memory.high",
    "memory.max",
    "memory.swap.max",
];

/// Looks at the groups' hard knobs every 20 ms for so long, and fails when one of them is not what
/// it was at first.
pub(crate) fn no_hard_cap_for(rig: &Rig, groups: &[&Group], span: Duration) {
    let hard =
        |group: &Group| HARD.map(|knob| std::fs::read_to_string(group.dir().join(knob)).ok());
    let originals: Vec<_> = groups.iter().map(|group| hard(group)).collect();
    let end = Instant::now() + span;
    while Instant::now() < end {
        for (group, original) in groups.iter().zip(&originals) {
            let now = hard(group);
            assert_eq!(
                &now,
                original,
                "a hard knob of {} in {} was touched",
                group.dir().display(),
                rig.path()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
