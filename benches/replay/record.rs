//! What recording costs, and how much is recorded.
//!
//! The recorder is given five minutes of 100 containers on a host that exists on paper, whose numbers all
//! waver and of whom one attacks for half a minute: what the loop gives it, with what the brain decided,
//! and checkpoints of a brain that has seen all of it; with its real thread and a real ring on a file
//! system. The CPU time of both is measured beside that of a loop that records nothing. Fails over 0.2 %
//! of a CPU or 1 KiB a container a second, or where the recorder lost anything.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use governor::agent::Loaded;
use governor::agent::record::{Keeper, Moment, Recorder, Recording};
use governor::model::{Bytes, Pace, Span, Step};
use governor::policy::Brain;
use governor::trace::{Frame, Reader};
use rustix::time::{ClockId, clock_gettime};

use super::synthetic::Host;
use super::{CONTAINERS, CPUS};

const SECONDS: u64 = 300;
const ATTACK: u64 = 30;
/// Part of a CPU, and bytes a container a second.
const CPU_MOST: f64 = 0.002;
const BYTES_MOST: f64 = 1_024.0;
/// A batch is handed over once a second: the keeper is given so long for each, and its room is not filled.
const PAUSE_EACH: usize = 10;
const PAUSE: Duration = Duration::from_millis(3);

pub(super) fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let trace = sampled();
    let mut frames = Reader::new(&trace[..]).map(Result::unwrap);
    let tree = frames.find_map(|frame| match frame {
        Frame::Tree { tree, .. } => Some(tree),
        _ => None,
    });
    let tree = tree.unwrap();
    let samples: Vec<_> = frames
        .filter_map(|frame| match frame {
            Frame::Tick(sample) => Some(sample),
            _ => None,
        })
        .collect();
    let loaded = loaded();
    let recording = Arc::new(Recording::default());
    let keeper = Keeper::start(Arc::clone(&recording), folder.path()).unwrap();
    let mut recorder = Recorder::new(keeper, recording, &loaded, "6.12.0-paper", "paper");
    let mut brain = Brain::new(loaded.policy);
    brain.adopt(&tree, samples[0].at);
    // Beforehand, so that it is not measured; and then its checkpoints are as long as they get.
    let mut pace = Pace::Quiet;
    let mut busy = 0;
    let steps: Vec<Step> = samples
        .iter()
        .map(|sample| {
            let step = brain.step(sample).clone();
            let idle = step.changes.is_empty() && step.events.is_empty() && step.pace == pace;
            pace = step.pace;
            busy += usize::from(!idle);
            step
        })
        .collect();
    let began = cpu();
    for (number, (sample, step)) in samples.iter().zip(&steps).enumerate() {
        if recorder.is_due(sample.at) {
            let now = Moment {
                at: sample.at,
                wall_us: sample.at.0,
            };
            recorder.begin(now, &tree, &brain);
        }
        recorder.ticked(sample, step, &[], |_| String::new());
        if number % PAUSE_EACH == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    recorder.stop(samples[samples.len() - 1].at);
    let with = cpu() - began;
    let without = idle(samples.len());
    let recorded = Recorded::of(folder.path());
    let share = with.saturating_sub(without).as_secs_f64() / SECONDS as f64;
    let each = recorded.bytes as f64 / (SECONDS as f64 * CONTAINERS as f64);
    println!(
        "recording {} ticks of {CONTAINERS} containers in {SECONDS} s, {} busy decisions and {} checkpoints: {:.1} ms, {:.3} % of a CPU (and {:.1} ms for the pauses), {each:.0} bytes a container a second",
        recorded.ticks,
        recorded.decisions,
        recorded.checkpoints,
        with.saturating_sub(without).as_secs_f64() * 1e3,
        share * 100.0,
        without.as_secs_f64() * 1e3
    );
    assert_eq!(recorded.ticks, samples.len(), "the recorder lost ticks");
    assert_eq!(recorded.decisions, busy);
    assert!(busy > 0 && recorded.checkpoints > 1);
    assert!(share <= CPU_MOST);
    assert!(each <= BYTES_MOST);
}

/// The CPU time of all threads.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// What the pauses cost.
fn idle(ticks: usize) -> Duration {
    let began = cpu();
    for _ in 0..ticks.div_ceil(PAUSE_EACH) {
        std::thread::sleep(PAUSE);
    }
    cpu() - began
}

/// Five minutes in which every container's numbers waver.
fn sampled() -> Vec<u8> {
    let mut host = Host::new(CONTAINERS, CPUS, "", Vec::new());
    host.noise = 0.2;
    for (at, life) in host.lives.iter_mut().enumerate() {
        life.wants = if at < 2 { 3.0 } else { 0.01 };
    }
    for wants in [0.01, 64.0, 0.01] {
        host.lives[7].wants = wants;
        let attacks = wants > 1.0;
        host.run(Span::from_secs(if attacks {
            ATTACK
        } else {
            (SECONDS - ATTACK) / 2
        }));
    }
    host.finish()
}

/// The built-in policy, with a ring that keeps all of it, and no incidents.
fn loaded() -> Loaded {
    let mut loaded = Loaded::built_in();
    loaded.policy.record.keep = Span::from_secs(2 * SECONDS);
    loaded.policy.record.size = Bytes::from_mib(256);
    loaded.policy.record.incidents.clear();
    loaded
}

/// What the ring holds.
#[derive(Default)]
struct Recorded {
    bytes: u64,
    ticks: usize,
    decisions: usize,
    checkpoints: usize,
}

impl Recorded {
    fn of(state: &Path) -> Recorded {
        let mut recorded = Recorded::default();
        for segment in std::fs::read_dir(state.join("trace")).unwrap() {
            let path = segment.unwrap().path();
            recorded.bytes += path.metadata().unwrap().len();
            for frame in Reader::new(std::fs::File::open(path).unwrap()) {
                match frame.unwrap() {
                    Frame::Tick(_) => recorded.ticks += 1,
                    Frame::Did(_) => recorded.decisions += 1,
                    Frame::Checkpoint(_) => recorded.checkpoints += 1,
                    _ => {}
                }
            }
        }
        recorded
    }
}
