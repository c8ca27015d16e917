//! A hog that runs in real time: neither its weight nor its cap reaches it, and it is frozen in pulses.

use crate::daemon::{Daemon, governor};
use crate::load::{Load, now_us, sleep_until};
use crate::rig::{Group, Rig};
use crate::table;
use libtest_mimic::Trial;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "frozen::the_neighbour_of_a_real_time_hog_is_served_while_that_is_frozen_in_pulses",
            served,
        ),
        crate::trial(
            "frozen::killed_while_somebody_is_frozen_the_governor_leaves_him_to_restore",
            killed,
        ),
        crate::trial(
            "frozen::a_pause_by_somebody_else_during_the_pulses_stands",
            paused,
        ),
    ]
}

const KNOB: &str = "cgroup.freeze";
/// Forty of a hundred milliseconds in real time: of always nobody else would come to run, this test neither.
const HOG: &str = "burst --real-time 10 --threads 2 --on 80ms --every 200ms";
const PATIENCE: Duration = Duration::from_secs(10);
const GIVEN_BACK: Duration = Duration::from_secs(60);
const ALONE_US: u64 = 5_000_000;
const ATTACK_US: u64 = 15_000_000;

struct Scene {
    governor: Daemon,
    hog: Group,
    rig: Rig,
    burst: Load,
    victim: Load,
    /// When the victim began, and when the hog did.
    from: u64,
    attacked: u64,
}

/// A victim at work for a while, then a hog beside it.
fn scene(name: &str) -> Scene {
    let rig = Rig::new(name);
    let (victim, hog) = (rig.group("victim"), rig.group("hog"));
    let governor = rig.governor("");
    let from = now_us() + 100_000;
    let seconds = (ALONE_US + ATTACK_US) / 1_000_000;
    let victim = Load::start(
        &victim,
        &format!("victim timer --work 5ms --every 50ms --for {seconds}s --start-at {from}"),
    );
    sleep_until(from + ALONE_US);
    let attacked = now_us();
    let burst = Load::start(&hog, &format!("{HOG} --for {seconds}s"));
    Scene {
        governor,
        hog,
        rig,
        burst,
        victim,
        from,
        attacked,
    }
}

impl Scene {
    /// Waits until it was seen frozen.
    fn must_be_frozen(&self) {
        let end = Instant::now() + PATIENCE;
        while self.hog.read(KNOB).trim() != "1" {
            assert!(
                Instant::now() < end,
                "never frozen; it said:\n{}",
                self.governor.log()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn served() {
    let scene = scene("frozen-served");
    scene.must_be_frozen();
    let used = scene.hog.cpu_us();
    let before = now_us();
    sleep_until(before + 3_000_000);
    let keeps = (scene.hog.cpu_us() - used) as f64 / (now_us() - before) as f64;
    let status = scene.governor.status();
    let limit = status.limits.iter().find(|limit| limit.knob == KNOB);
    let limit = limit.unwrap_or_else(|| panic!("{:?}", status.limits));
    assert_eq!(limit.original, "0");
    assert!(limit.now.contains("but for"), "{}", limit.now);
    let record = scene.victim.record();
    let alone = record.window(scene.from, scene.attacked);
    let attacked = record.window(scene.attacked, scene.attacked + ATTACK_US - 500_000);
    table::head(&["arm", "p50 / p99 ms", "hog keeps of a CPU"]);
    for (arm, window, keeps) in [("alone", &alone, 0.0), ("frozen", &attacked, keeps)] {
        table::row(&[
            arm.to_owned(),
            table::latencies(window),
            format!("{keeps:.3}"),
        ]);
    }
    let (is, was) = (attacked.percentile(0.95).ms(), alone.percentile(0.95).ms());
    assert!(is <= 2.5 * was, "p95 {is} ms, and {was} ms alone");
    assert!(keeps > 0.02, "it keeps nothing: {keeps}");
    drop(scene.burst);
    assert!(scene.governor.terminate().success());
    assert_eq!(scene.hog.read(KNOB).trim(), "0");
    drop(scene.rig);
}

fn killed() {
    let mut scene = scene("frozen-killed");
    // It may be killed in the part of a period in which nobody is frozen.
    for _ in 0..20 {
        scene.must_be_frozen();
        scene.governor.kill();
        if scene.hog.read(KNOB).trim() == "1" {
            let restored = governor(scene.rig.work(), &["restore"]);
            assert!(restored.status.success(), "{restored:?}");
            assert_eq!(scene.hog.read(KNOB).trim(), "0");
            return;
        }
        scene.governor = Daemon::start_again(scene.rig.work());
    }
    panic!("never killed while somebody was frozen");
}

fn paused() {
    let scene = scene("frozen-paused");
    scene.must_be_frozen();
    scene.hog.write(KNOB, "1");
    let end = Instant::now() + GIVEN_BACK;
    while scene
        .governor
        .status()
        .limits
        .iter()
        .any(|l| l.knob == KNOB)
    {
        assert!(Instant::now() < end, "{}", scene.governor.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let until = now_us() + 3_000_000;
    while now_us() < until {
        assert_eq!(scene.hog.read(KNOB).trim(), "1", "{}", scene.governor.log());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(scene.governor.terminate().success());
    assert_eq!(scene.hog.read(KNOB).trim(), "1", "it is theirs");
    scene.hog.write(KNOB, "0");
}
