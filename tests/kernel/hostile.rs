//! Bad input on a real kernel: subtrees without controllers, names that nobody should give, groups
//! that vanish, a second governor, a cgroup filesystem that cannot be written, and its own end.
//! Whatever happens, the others stay protected and nothing is left half-written.

use crate::daemon::{Daemon, governor, write_policy};
use crate::load::Load;
use crate::rig::{Group, ROOT, Rig};
use crate::scene::{heavy_victim, held_hog, odd_originals};
use libtest_mimic::Trial;
use rustix::mount::{MountFlags, mount_remount};
use rustix::time::{ClockId, clock_gettime, clock_settime};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = everywhere();
    // Whose host this is does not want its clock set.
    if Path::new("/lab").exists() {
        trials.push(crate::trial(
            "hostile::a_held_one_stays_held_when_the_time_of_day_leaps",
            clock,
        ));
    }
    trials
}

fn everywhere() -> Vec<Trial> {
    vec![
        crate::trial(
            "hostile::beside_ten_thousand_cgroups_a_hog_is_held_and_given_back",
            crowd,
        ),
        crate::trial(
            "hostile::a_subtree_without_controllers_leaves_the_others_protected",
            no_controllers,
        ),
        crate::trial(
            "hostile::names_with_escapes_bad_utf8_and_255_bytes_are_containers_like_any",
            names,
        ),
        crate::trial(
            "hostile::a_held_container_may_vanish_and_come_back_as_another",
            vanish,
        ),
        crate::trial("hostile::a_second_governor_is_refused", second_governor),
        crate::trial(
            "hostile::a_read_only_cgroup_filesystem_is_said_at_the_start",
            read_only,
        ),
        crate::trial(
            "hostile::sigterm_in_an_attack_gives_everything_back",
            sigterm,
        ),
        crate::trial(
            "hostile::after_sigkill_restore_gives_everything_back_without_a_daemon",
            sigkill_and_restore,
        ),
        crate::trial(
            "hostile::after_sigkill_the_next_start_gives_everything_back",
            sigkill_and_start,
        ),
        crate::trial(
            "hostile::a_reload_to_dry_run_gives_everything_back_and_a_reload_to_enforce_holds_again",
            modes,
        ),
    ]
}

const AT_ONCE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(30);
const CROWD: usize = 10_000;
const DAY: i64 = 86_400;

fn no_controllers() {
    let rig = Rig::new("bare");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    // A subtree in which nobody turned anything on: no cpu.weight, no memory.high, only PSI.
    let bare = rig.dir().join("slice");
    std::fs::create_dir_all(bare.join("scope")).unwrap();
    assert!(!bare.join("scope/cpu.weight").exists());
    let bare = Group::at(bare.join("scope"));
    let top = rig.path();
    let governor = rig.governor_over(&[&format!("{top}/slice/*"), &format!("{top}/*")], "");
    let in_bare = Load::start(&bare, "victim timer --work 1ms --every 50ms --for 12s");
    let work = heavy_victim(&victim, 10);
    let spinners = held_hog(&hog, 4);
    governor.status();
    spinners.finish();
    work.finish();
    in_bare.finish();
    assert!(governor.terminate().success());
}

fn modes() {
    let rig = Rig::new("modes");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    odd_originals(&hog);
    let originals = hog.knobs();
    let governor = rig.governor("");
    let work = heavy_victim(&victim, 18);
    let spinners = held_hog(&hog, 12);
    rig.policy("mode = \"dry-run\"");
    hog.must_be_given_back(&originals, Duration::from_secs(3));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(hog.knobs(), originals, "nothing is written in dry-run");
    assert!(governor.log().contains("tightened"), "and all is told");
    rig.policy("mode = \"enforce\"");
    let end = Instant::now() + Duration::from_secs(3);
    while hog.knobs() == originals {
        assert!(Instant::now() < end, "not held again:\n{}", governor.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(governor.terminate().success());
    assert_eq!(hog.knobs(), originals);
    spinners.finish();
    work.finish();
}

fn names() {
    let rig = Rig::new("names");
    let victim = rig.group("victim");
    let long = "x".repeat(255);
    let newline = std::fs::create_dir(rig.dir().join("a\nb"));
    assert!(newline.is_err(), "the kernel takes no newline in a name");
    let hostile: [&[u8]; 5] = [
        b"\xff\xfe\x80",
        long.as_bytes(),
        b" . ",
        b"\x1b[2J\x07",
        b"\"quoted\\\",{}",
    ];
    let groups = hostile.map(|name| {
        let dir = rig.dir().join(OsStr::from_bytes(name));
        std::fs::create_dir(&dir).unwrap();
        Group::at(dir)
    });
    let governor = rig.governor("");
    let work = heavy_victim(&victim, 60);
    for hog in &groups {
        let originals = hog.knobs();
        let spinners = held_hog(hog, 4);
        shown_as_held(&governor);
        spinners.finish();
        hog.must_be_given_back(&originals, SOON);
    }
    let log = governor.log();
    assert!(
        !log.contains("\x1b[2J"),
        "a name reached the log as it was given: {log:?}"
    );
    drop(work);
    assert!(governor.terminate().success());
}

/// The status is a snapshot that may be a second old.
fn shown_as_held(governor: &Daemon) {
    let end = Instant::now() + 2 * AT_ONCE;
    while governor.status().limits.is_empty() {
        assert!(Instant::now() < end, "what is held is not in the status");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn vanish() {
    let rig = Rig::new("vanish");
    let victim = rig.group("victim");
    let governor = rig.governor("");
    let work = heavy_victim(&victim, 30);
    for weight in ["37", "250"] {
        let hog = rig.group("hog");
        hog.write("cpu.weight", weight);
        let originals = hog.knobs();
        let spinners = held_hog(&hog, 20);
        hog.write("cgroup.kill", "1");
        drop(spinners);
        remove_when_empty(&hog);
        governor.status();
        // The same name again is another container: what the old one's limit was is not its own.
        let hog = rig.group("hog");
        hog.write("cpu.weight", weight);
        std::thread::sleep(Duration::from_secs(1));
        hog.must_be_given_back(&originals, Duration::ZERO);
        remove_when_empty(&hog);
        std::thread::sleep(Duration::from_secs(2));
    }
    drop(work);
    assert!(governor.terminate().success());
}

fn remove_when_empty(group: &Group) {
    let end = Instant::now() + AT_ONCE;
    while std::fs::remove_dir(group.dir()).is_err() {
        assert!(Instant::now() < end, "{}", group.dir().display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn second_governor() {
    let rig = Rig::new("second");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    let first = rig.governor("");
    let work = heavy_victim(&victim, 12);
    let spinners = held_hog(&hog, 6);
    let second = Daemon::spawn(rig.work());
    let ended = second.ended_within(Duration::from_secs(5));
    let ended = ended.expect("a second governor must end by itself");
    assert_eq!(ended.code(), Some(5), "exit code of a second governor");
    let held = hog.knobs();
    // What the second one's unit does then must not undo the first one's work.
    let left = governor(rig.work(), &["restore", "--left-behind"]);
    assert_eq!(left.status.code(), Some(5), "{left:?}");
    assert_eq!(hog.knobs(), held, "{}", first.log());
    assert!(!first.log().contains("given back"), "{}", first.log());
    spinners.finish();
    work.finish();
    assert!(first.terminate().success());
}

/// Makes the cgroup filesystem read-only until dropped.
struct ReadOnly;

impl ReadOnly {
    fn new() -> ReadOnly {
        let flags = MountFlags::RDONLY | MountFlags::BIND;
        mount_remount(ROOT, flags, "").unwrap();
        ReadOnly
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        mount_remount(ROOT, MountFlags::BIND, "").unwrap();
    }
}

fn read_only() {
    let rig = Rig::new("read-only");
    let container = rig.group("container");
    let originals = container.knobs();
    write_policy(rig.work(), &[&format!("{}/*", rig.path())], "");
    let read_only = ReadOnly::new();
    let refused = governor(rig.work(), &["run"]);
    drop(read_only);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "it ran and could not act");
    assert!(said.contains("read-only"), "it must say why: {said}");
    container.must_be_given_back(&originals, Duration::ZERO);
}

/// A hog that is held in the middle of an attack, its originals odd.
struct Attack {
    rig: Rig,
    hog: Group,
    originals: Vec<(&'static str, Vec<u8>)>,
    governor: Daemon,
    loads: (Load, Load),
}

fn attack(name: &str) -> Attack {
    let rig = Rig::new(name);
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    odd_originals(&hog);
    let originals = hog.knobs();
    let governor = rig.governor("");
    let work = heavy_victim(&victim, 30);
    let spinners = held_hog(&hog, 25);
    Attack {
        rig,
        hog,
        originals,
        governor,
        loads: (work, spinners),
    }
}

fn sigterm() {
    let scene = attack("sigterm");
    let ended = scene.governor.terminate();
    assert!(ended.success(), "ended with {ended}");
    scene
        .hog
        .must_be_given_back(&scene.originals, Duration::ZERO);
}

fn sigkill_and_restore() {
    let scene = attack("restore");
    scene.governor.kill();
    assert_ne!(scene.hog.knobs(), scene.originals, "nothing was held");
    let restored = governor(scene.rig.work(), &["restore"]);
    assert!(restored.status.success(), "{restored:?}");
    scene
        .hog
        .must_be_given_back(&scene.originals, Duration::ZERO);
}

fn sigkill_and_start() {
    let scene = attack("start");
    scene.governor.kill();
    assert_ne!(scene.hog.knobs(), scene.originals, "nothing was held");
    drop(scene.loads);
    let next = Daemon::start_again(scene.rig.work());
    scene.hog.must_be_given_back(&scene.originals, AT_ONCE);
    assert!(next.terminate().success());
}

/// Where somebody has made ten thousand cgroups, on a host with one container that starves another.
fn crowd() {
    let rig = Rig::new("crowd");
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    let originals = hog.knobs();
    for number in 0..CROWD {
        std::fs::create_dir(rig.dir().join(format!("crowd-{number}"))).unwrap();
    }
    let governor = rig.governor("");
    let work = heavy_victim(&victim, 60);
    let spinners = held_hog(&hog, 20);
    shown_as_held(&governor);
    spinners.finish();
    hog.must_be_given_back(&originals, SOON);
    drop(work);
    assert!(governor.terminate().success());
}

/// The time of day leaps by a day, there and back, while somebody is held: limits and leases go on.
fn clock() {
    let scene = attack("clock");
    let leap = |seconds: i64| {
        let mut now = clock_gettime(ClockId::Realtime);
        now.tv_sec += seconds;
        clock_settime(ClockId::Realtime, now).unwrap();
    };
    for seconds in [DAY, -2 * DAY, DAY] {
        leap(seconds);
        std::thread::sleep(Duration::from_secs(2));
        assert_ne!(scene.hog.knobs(), scene.originals, "let go at {seconds} s");
        shown_as_held(&scene.governor);
    }
    drop(scene.loads);
    scene.hog.must_be_given_back(&scene.originals, SOON);
    assert!(scene.governor.terminate().success());
}
