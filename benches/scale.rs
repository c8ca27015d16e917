//! What a tick, a journal entry and an answer cost, by the number of containers, and what a quiet tick allocates: it
//! fails if that is anything.
//!
//! `cargo bench --bench scale`. The host is on paper (`tests/synthetic`) and its numbers all waver. Sweeps need real
//! cgroups (with `SWEEPS_ONLY` in the environment they are all): as root on a host with cgroup v2 they are made, read as the daemon reads them, and removed; elsewhere
//! that part is left out, loudly. `tests/bench/micro` runs all of it in the lab.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench: it makes files and cgroups, and fails by panicking"
)]

#[path = "../tests/counting/mod.rs"]
mod counting;
#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use counting::allocations_of;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use governor::agent::act::{BootId, Idled, Journal, KnobText, Record, StoredPath};
use governor::config::ContainerGlobs;
use governor::host::{Forest, HostClock, Limits, LinuxTree, Rules, Sampler};
use governor::model::{ContainerView, GroupId, Knob, Policy, Sample, Span, Status, Time, Topology};
use governor::policy::Brain;
use governor::report::{Paint, json_text, status_text};
use std::hint::black_box;
use std::path::Path;
use synthetic::Host;

const SIZES: [usize; 4] = [10, 100, 1_000, 5_000];
/// Ticks of one measurement.
const TICKS: usize = 5;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if std::env::var_os("SWEEPS_ONLY").is_none() {
        steps(&mut criterion);
        journal(&mut criterion);
        status(&mut criterion);
    }
    sweeps(&mut criterion);
    criterion.final_summary();
}

/// `Brain::step`, a quiet host: nobody is harmed, everybody's numbers waver.
fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for size in SIZES {
        let (tree, samples) = quiet_host(size);
        let (before, measured) = samples.split_at(samples.len() - TICKS);
        let mut brain = Brain::new(Policy::default());
        brain.adopt(&tree, before[0].at);
        for sample in before {
            brain.step(sample);
        }
        let warm = brain.clone();
        nothing_is_allocated(&format!("step/{size}"), || {
            for sample in measured {
                let step = brain.step(sample);
                assert!(
                    step.changes.is_empty() && step.events.is_empty(),
                    "something happens on the quiet host"
                );
            }
        });
        group.throughput(Throughput::Elements(TICKS as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bench, _| {
            let pass = |mut brain: Brain| {
                for sample in measured {
                    black_box(brain.step(sample));
                }
                brain
            };
            bench.iter_batched(|| warm.clone(), pass, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Tells what some quiet ticks allocated, and fails if it is anything.
fn nothing_is_allocated(what: &str, ticks: impl FnOnce()) {
    let count = allocations_of(ticks);
    eprintln!("{what}: {count} allocations in {TICKS} ticks");
    assert_eq!(count, 0, "a quiet tick allocates");
}

/// Ticks of a host on paper.
fn quiet_host(containers: usize) -> (Topology, Vec<Sample>) {
    let mut host = Host::untold(containers, 8, "", Vec::new());
    host.noise = 0.2;
    for life in &mut host.lives {
        life.wants = 4.0 / containers as f64;
    }
    let sample = || {
        let mut sample = host.quiet_sample();
        // With room for all that wavers in it, however many they are.
        sample.host.tasks_max = Ok(4 << 20);
        sample
    };
    let samples = std::iter::repeat_with(sample).take(TICKS + 20).collect();
    (host.tree, samples)
}

/// What stands before the first write of a knob, and after the last.
fn journal(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), BootId([7; 16])).unwrap();
    let record = Record {
        group: GroupId(1),
        path: StoredPath::new(b"/system.slice/docker-0123456789abcdef.scope"),
        knob: Knob::CpuWeight,
        original: KnobText::new(b"100").unwrap(),
        ours: None,
        next: Some(KnobText::new(b"4").unwrap()),
        idled: Idled::default(),
        since: Time(1),
        lease: Time(30_000_000),
    };
    criterion.bench_function("journal/insert and remove", |bench| {
        bench.iter(|| {
            let slot = journal.insert(black_box(&record)).expect("a free slot");
            journal.remove(slot);
        });
    });
}

/// An answer of `governor status`.
fn status(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("status");
    for size in SIZES {
        let mut status = Status::default();
        for number in 0..size {
            status.containers.push(ContainerView {
                name: format!("container-{number}"),
                runtime: "docker".to_owned(),
                path: format!("/system.slice/docker-{number:064x}.scope"),
                cpu: Some(0.5),
                psi_cpu: Some(0.01),
                memory: Some(64 << 20),
                pids: Some(10),
                ..ContainerView::default()
            });
        }
        group.bench_with_input(BenchmarkId::new("json", size), &status, |bench, status| {
            bench.iter(|| json_text(black_box(status)).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("text", size), &status, |bench, status| {
            bench.iter(|| status_text(black_box(status), Some(160), Paint::Plain));
        });
    }
    group.finish();
}

/// Where the cgroups of the sweeps are.
const ROOT: &str = "/sys/fs/cgroup";
const STAGE: &str = "governor-bench-sweep";

/// Empty cgroups, removed at the end.
struct Groups(usize);

impl Groups {
    fn make(count: usize) -> std::io::Result<Groups> {
        let controllers = "+cpu +memory +pids";
        // Where systemd runs they are on already, and they stay on.
        std::fs::write(format!("{ROOT}/cgroup.subtree_control"), controllers)?;
        std::fs::create_dir(format!("{ROOT}/{STAGE}"))?;
        // From here on it is removed, whatever comes.
        let groups = Groups(count);
        std::fs::write(
            format!("{ROOT}/{STAGE}/cgroup.subtree_control"),
            controllers,
        )?;
        for number in 0..count {
            std::fs::create_dir(format!("{ROOT}/{STAGE}/c{number}"))?;
        }
        Ok(groups)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for number in 0..self.0 {
            let _ = std::fs::remove_dir(format!("{ROOT}/{STAGE}/c{number}"));
        }
        let _ = std::fs::remove_dir(format!("{ROOT}/{STAGE}"));
    }
}

/// Reading every container once, on real cgroups without processes.
fn sweeps(criterion: &mut Criterion) {
    if !Path::new(ROOT).join("cgroup.controllers").exists() {
        eprintln!("sweep: LEFT OUT, no cgroup v2 on {ROOT}");
        return;
    }
    let mut group = criterion.benchmark_group("sweep");
    for size in SIZES {
        let groups = match Groups::make(size) {
            Ok(groups) => groups,
            Err(why) => {
                eprintln!("sweep/{size}: LEFT OUT, {why}");
                continue;
            }
        };
        group.throughput(Throughput::Elements(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bench, size| {
            let (mut forest, mut sampler, ids) = watching(*size);
            let mut out = Sample::default();
            let mut sweep = || sampler.sample(&mut forest, &HostClock, &ids, &mut out);
            sweep();
            nothing_is_allocated(&format!("sweep/{size}"), || {
                (0..TICKS).for_each(|_| sweep())
            });
            bench.iter(sweep);
        });
        drop(groups);
    }
    group.finish();
}

/// All of the stage's groups as containers, their files held.
fn watching(count: usize) -> (Forest<LinuxTree>, Sampler<LinuxTree>, Vec<GroupId>) {
    governor::host::raise_file_limit().expect("files to hold");
    let policy = Policy {
        containers: vec![format!("/{STAGE}/*")],
        ..Policy::default()
    };
    let globs = ContainerGlobs::new(&policy);
    let files = LinuxTree::open(Path::new(ROOT)).expect("a cgroup root");
    let limits = Limits {
        opened_per_scan: count + 1_000,
        ..Limits::default()
    };
    let mut forest = Forest::new(files, limits);
    let is_container = |path: &[u8]| globs.is_container(path);
    // Nobody is in these, and as new containers they would not be looked at: they are known before they are some.
    forest.scan_whole(&|_| false).expect("a scan");
    forest.recognise_again(&is_container);
    forest.scan_whole(&is_container).expect("a scan");
    let topology = forest.topology(&Rules {
        original: &|_, _| None,
        name: &|_, _| None,
        is_protected: &|_| false,
        own: None,
    });
    // Far over what one measurement takes, so that PSI is read in each sweep.
    let mut sampler = Sampler::new(forest.files_mut(), Span::ZERO);
    sampler.hold(&mut forest, &topology);
    let ids: Vec<GroupId> = topology.watched().map(|(_, group)| group.id).collect();
    assert_eq!(ids.len(), count, "not all groups are watched");
    (forest, sampler, ids)
}
