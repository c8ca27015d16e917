//! How a hold ends, whether or not it was right: proofs, other hands, other wishes.

use super::{pair, seconds, spin, work};
use crate::daemon::Daemon;
use crate::rig::{Group, Rig};
use crate::scene::{heavy_victim, held_hog};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The victim rests while its hog is held; somebody else takes all there is.
pub(super) fn starved(rig: &Rig) -> Daemon {
    let groups = ["victim", "hog", "other"].map(|name| rig.container(name));
    let [victim, hog, other] = &groups;
    for group in &groups {
        group.write("cpu.weight", "10");
    }
    let governor = rig.governor("[detect]\nexonerate = \"2s\"\n");
    let _work = heavy_victim(victim, 6);
    let held = held_hog(hog, 22);
    seconds(2);
    let _takes = spin(other, 1, 19_000);
    held.finish();
    seconds(5);
    governor
}

/// When hog and victim have ended somebody else begins to wait for what nobody takes from him: the quota of his
/// slice.
pub(super) fn restless(rig: &Rig) -> Daemon {
    let (victim, hog) = (
        rig.container("a.slice/victim"),
        rig.container("a.slice/hog"),
    );
    let restless = rig.container("b.slice/restless");
    Group::at(rig.dir().join("b.slice")).write("cpu.max", "10000 100000");
    let governor = rig.governor_over(&[&format!("{}/*/*", rig.path())], "");
    let _work = work(&victim, "35ms", 8);
    seconds(4);
    spin(&hog, 8, 4_000).finish();
    sleep(Duration::from_millis(300));
    let _waits = work(&restless, "10ms", 10);
    seconds(9);
    governor
}

/// Somebody waits all the time, for the quota of his slice, and then a hog begins that is not in his way.
pub(super) fn own_slice(rig: &Rig) -> Daemon {
    let (victim, hog) = (
        rig.container("a.slice/victim"),
        rig.container("a.slice/hog"),
    );
    let waits = rig.container("b.slice/waits");
    Group::at(rig.dir().join("b.slice")).write("cpu.max", "10000 100000");
    let governor = rig.governor_over(&[&format!("{}/*/*", rig.path())], "");
    let _waits = work(&waits, "10ms", 18);
    let _work = work(&victim, "20ms", 18);
    seconds(5);
    spin(&hog, 8, 7_000).finish();
    seconds(5);
    governor
}

pub(super) fn repeat_offender(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 50);
    let originals = scene.hog.knobs();
    for _ in 0..3 {
        spin(&scene.hog, 8, 3_000).finish();
        scene
            .hog
            .must_be_given_back(&originals, Duration::from_secs(30));
        seconds(1);
    }
    scene.governor
}

/// The hog ends as soon as it is held, and the experiment goes on for a second.
pub(super) fn gone_too_soon(rig: &Rig) -> Daemon {
    let scene = pair(rig, "[detect]\nverify = \"1s\"\n", 20);
    held_hog(&scene.hog, 10);
    scene.hog.write("cgroup.kill", "1");
    seconds(15);
    scene.governor
}

/// Somebody writes a value of his own; then the hog is held anew, and it is this value that comes back.
pub(super) fn drift(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 26);
    let _spinners = held_hog(&scene.hog, 9);
    seconds(2);
    scene.hog.write("cpu.weight", "55");
    seconds(17);
    assert_eq!(scene.hog.read("cpu.weight"), "55\n");
    scene.governor
}

/// Somebody turns the cpu controller off: the knobs that stood there a moment ago are gone.
pub(super) fn cannot_write(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 12);
    let control = rig.dir().join("cgroup.subtree_control");
    std::fs::write(control, "-cpu").unwrap();
    spin(&scene.hog, 2, 4_000).finish();
    seconds(3);
    scene.governor
}

pub(super) fn dry_run(rig: &Rig) -> Daemon {
    let scene = pair(rig, "mode = \"dry-run\"\n", 20);
    spin(&scene.hog, 8, 6_000).finish();
    seconds(8);
    scene.governor
}

/// Who takes the CPU is no container and cannot be held; a bystander takes a little too much besides.
pub(super) fn exonerated(rig: &Rig) -> Daemon {
    let (victim, bystander) = (rig.container("victim"), rig.container("bystander"));
    let outside = rig.container("outside.service");
    outside.write("cpu.weight", "150");
    let of = |name: &str| format!("{}/{name}", rig.path());
    let governor = rig.governor_over(&[&of("victim"), &of("bystander")], "");
    let _work = heavy_victim(&victim, 20);
    let _taker = spin(&outside, 8, 10_000);
    spin(&bystander, 1, 10_000).finish();
    seconds(5);
    governor
}

/// The hog is held rightly; then somebody begins who is no container, and a tighter hold does not help.
pub(super) fn step_back(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    let outside = rig.container("outside.service");
    let of = |name: &str| format!("{}/{name}", rig.path());
    let governor = rig.governor_over(&[&of("victim"), &of("hog")], "");
    let _work = heavy_victim(&victim, 20);
    let _spinners = held_hog(&hog, 12);
    seconds(3);
    spin(&outside, 4, 5_000).finish();
    seconds(8);
    governor
}

fn remove(group: &Group) {
    let end = Instant::now() + Duration::from_secs(1);
    while std::fs::remove_dir(group.dir()).is_err() {
        assert!(Instant::now() < end, "{}", group.dir().display());
        sleep(Duration::from_millis(5));
    }
}

pub(super) fn victim_vanishes(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 20);
    let spinners = held_hog(&scene.hog, 5);
    seconds(1);
    scene.victim.write("cgroup.kill", "1");
    drop(scene.work);
    remove(&scene.victim);
    spinners.finish();
    seconds(2);
    scene.governor
}

pub(super) fn hog_vanishes(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 12);
    drop(held_hog(&scene.hog, 5));
    scene.hog.write("cgroup.kill", "1");
    remove(&scene.hog);
    seconds(4);
    scene.governor
}

/// The lever is the hog's slice, until somebody else comes to be in it.
pub(super) fn slice_shared(rig: &Rig) -> Daemon {
    let (victim, hog) = (
        rig.container("a.slice/victim"),
        rig.container("b.slice/hog"),
    );
    let slice = Group::at(rig.dir().join("b.slice"));
    let governor = rig.governor_over(&[&format!("{}/*/*", rig.path())], "");
    let _work = heavy_victim(&victim, 14);
    let untouched = slice.knobs();
    let _spinners = spin(&hog, 8, 6_000);
    seconds(2);
    assert_ne!(slice.knobs(), untouched);
    rig.container("b.slice/new");
    seconds(7);
    governor
}

pub(super) fn reload(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 20);
    let _spinners = held_hog(&scene.hog, 10);
    seconds(2);
    rig.policy("[cpu]\nenforce = false\n");
    seconds(5);
    scene.governor
}

pub(super) fn sigterm(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 12);
    let spinners = held_hog(&scene.hog, 4);
    seconds(2);
    // It is held when the daemon is told to end: that is the last thing in the trace.
    std::mem::forget(spinners);
    scene.governor
}
