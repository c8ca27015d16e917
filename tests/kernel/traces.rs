//! The situations of `tests/traces`: each is played before the real daemon, and what that recorded of
//! it comes out on the console. `kernel record [NAME...]`, started by `tests/traces/record`.
//!
//! Nothing is judged here. What the brain makes of a situation stands in the story beside its trace,
//! and `tests/stories.rs` compares.

mod attacks;
mod benign;
mod disks;
mod endings;

use crate::daemon::Daemon;
use crate::load::Load;
use crate::rig::{Group, Rig};
use crate::scene::heavy_victim;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

/// One situation: its trace's name, the kernel that it is at home on, and how it is played. Loads
/// that are still running at its end go away with the rig.
type Scene = (&'static str, &'static str, fn(&Rig) -> Daemon);

const SCENES: &[Scene] = &[
    ("hog", "6.12", attacks::hog),
    ("light-victim", "6.12", attacks::light_victim),
    ("two-hogs", "6.1", attacks::two_hogs),
    ("two-light", "6.12", attacks::two_light),
    ("relay", "6.12", attacks::relay),
    ("square-wave", "6.1", attacks::square_wave),
    ("within-its-share", "6.12", attacks::within_its_share),
    ("guarantee", "6.1", attacks::guarantee),
    ("half-weight", "6.12", attacks::half_weight),
    ("low-weight", "6.1", attacks::low_weight),
    ("high-weight", "6.12", attacks::high_weight),
    ("small-weights", "6.1", attacks::small_weights),
    ("nested", "6.12", attacks::nested),
    ("idle-rung", "6.12", attacks::idle_rung),
    ("lifted", "6.1", attacks::lifted),
    ("floor-then-cap", "6.12", attacks::floor_then_cap),
    ("no-cap", "6.1", attacks::no_cap),
    ("cap", "6.12", attacks::cap),
    ("cap-steps", "6.1", attacks::cap_steps),
    ("own-quota-low", "6.1", attacks::own_quota_low),
    ("cap-floor", "6.12", attacks::cap_floor),
    ("wrong-caps", "6.1", attacks::wrong_caps),
    ("own-period", "6.12", attacks::own_period),
    ("real-time", "6.12", attacks::real_time),
    ("one-of-two", "6.1", attacks::one_of_two),
    ("other-wakes", "6.12", attacks::other_wakes),
    ("beside-services", "6.12", attacks::beside_services),
    (
        "beside-services-mildly",
        "6.12",
        attacks::beside_services_mildly,
    ),
    ("newcomer", "6.1", attacks::newcomer),
    ("pod", "6.1", attacks::pod),
    ("protected-hog", "6.1", attacks::protected_hog),
    ("protected-service", "6.12", attacks::protected_service),
    ("on-behalf", "6.1", attacks::on_behalf),
    ("memory-runaway", "6.12", attacks::memory_runaway),
    ("memory-no-room", "6.12", attacks::memory_no_room),
    ("memory-ladder", "6.1", attacks::memory_ladder),
    ("memory-own-limit", "6.12", attacks::memory_own_limit),
    ("memory-low-limit", "6.1", attacks::memory_low_limit),
    ("memory-no-swap", "6.12", attacks::memory_no_swap),
    ("fork-bomb", "6.12", attacks::fork_bomb),
    ("task-leak", "6.1", attacks::task_leak),
    ("task-room", "6.12", attacks::task_room),
    ("task-share", "6.1", attacks::task_share),
    ("task-crowd", "6.12", attacks::task_crowd),
    ("task-limit-higher", "6.1", attacks::task_limit_higher),
    ("disk-flood", "6.12", disks::flooded),
    ("disk-tried-back", "6.1", disks::tried_back),
    ("disk-two-floods", "6.12", disks::two_floods),
    ("disk-own-limit", "6.1", disks::own_limit),
    ("disk-alone", "6.12", disks::alone),
    ("disk-limited", "6.1", disks::limited),
    ("own-task-limit", "6.12", benign::own_task_limit),
    ("many-threads", "6.1", benign::many_threads),
    ("memory-with-room", "6.1", benign::memory_with_room),
    ("starved", "6.1", endings::starved),
    ("restless", "6.12", endings::restless),
    ("own-slice", "6.12", endings::own_slice),
    ("repeat-offender", "6.12", endings::repeat_offender),
    ("gone-too-soon", "6.1", endings::gone_too_soon),
    ("drift", "6.12", endings::drift),
    ("cannot-write", "6.1", endings::cannot_write),
    ("dry-run", "6.12", endings::dry_run),
    ("exonerated", "6.1", endings::exonerated),
    ("step-back", "6.12", endings::step_back),
    ("crowd", "6.1", benign::crowd),
    ("relay-of-many", "6.1", attacks::relay_of_many),
    ("victim-vanishes", "6.1", endings::victim_vanishes),
    ("hog-vanishes", "6.12", endings::hog_vanishes),
    ("slice-shared", "6.1", endings::slice_shared),
    ("reload", "6.12", endings::reload),
    ("sigterm", "6.1", endings::sigterm),
    ("alone", "6.1", benign::alone),
    ("own-quota", "6.12", benign::own_quota),
    ("cron-bursts", "6.1", benign::cron_bursts),
    ("make-j", "6.12", benign::make_j),
    ("neighbours", "6.12", benign::neighbours),
    ("same-pod", "6.1", benign::same_pod),
    ("catches-up", "6.12", benign::catches_up),
    ("at-own-limit", "6.1", benign::at_own_limit),
    ("start-storm", "6.1", benign::start_storm),
];

/// Plays the scenes with these names, or all; only those at home on this kernel, unless
/// `TRACES_ANYWHERE` is set.
pub(crate) fn record() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(2).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| SCENES.iter().all(|scene| scene.0 != *name))
    {
        eprintln!("there is no scene {unknown:?}");
        return ExitCode::FAILURE;
    }
    let kernel = std::env::var("LAB_KERNEL").unwrap_or_default();
    let anywhere = std::env::var_os("TRACES_ANYWHERE").is_some();
    let mut failed = false;
    for (name, home, play) in SCENES {
        let asked = wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
        if asked && (anywhere || kernel == *home) {
            // One that fails has said why; the others are worth having.
            failed |= std::panic::catch_unwind(|| {
                let rig = Rig::new(name);
                let daemon = play(&rig);
                assert!(daemon.terminate().success());
                print_trace(name, rig.work());
            })
            .is_err();
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Plays the scene with this name.
pub(crate) fn play(name: &str, rig: &Rig) -> Daemon {
    let scene = SCENES.iter().find(|scene| scene.0 == name);
    let (.., play) = scene.unwrap_or_else(|| panic!("there is no scene {name}"));
    play(rig)
}

/// The ring's segments, oldest first: one after the other they are one trace.
pub(crate) fn segments(work: &Path) -> Vec<PathBuf> {
    let ring = work.join("trace");
    let mut segments: Vec<_> = std::fs::read_dir(&ring)
        .unwrap_or_else(|e| panic!("nothing was recorded in {}: {e}", ring.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    segments
}

/// The console is the only way out of a guest without disks.
fn print_trace(name: &str, work: &Path) {
    for segment in segments(work) {
        for line in std::fs::read(segment).unwrap().chunks(60) {
            let hex: String = line.iter().map(|byte| format!("{byte:02X}")).collect();
            println!("TRACE {name} {hex}");
        }
    }
    println!("TRACE {name} END");
}

fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds));
}

/// Threads that spin for so long.
fn spin(group: &Group, threads: u32, ms: u32) -> Load {
    Load::start(group, &format!("hog cpu --threads {threads} --for {ms}ms"))
}

/// A little work at a fixed rate, for so many seconds.
fn work(group: &Group, work: &str, seconds: u32) -> Load {
    Load::start(
        group,
        &format!("victim timer --work {work} --every 50ms --for {seconds}s"),
    )
}

/// What most scenes begin with: a heavy victim that is known, and a hog's cgroup.
struct Pair {
    governor: Daemon,
    victim: Group,
    hog: Group,
    work: Load,
}

fn pair(rig: &Rig, policy: &str, victim_for: u32) -> Pair {
    let victim = rig.container("victim");
    let hog = rig.container("hog");
    let governor = rig.governor(policy);
    let work = heavy_victim(&victim, victim_for);
    Pair {
        governor,
        victim,
        hog,
        work,
    }
}
