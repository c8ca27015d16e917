//! The control loop allocates nothing, and the codecs are the part of it that runs most often: every
//! parser and writer that it uses is run here under an allocator that counts.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "the test reads the captured kernel files"
)]

mod counting;

use counting::allocations_of;
use governor::host::{FakeClock, FakeTree, Forest, Limits, Rules, Sampler};
use governor::kernel::{
    boot_config, controllers, cpu_max, flat, knob, loadavg, meminfo, nested, pids, proc_stat, psi,
    schedstat, self_cgroup, single,
};
use governor::model::{GroupId, Knob, Sample, Span};
use std::hint::black_box;

fn fixture(kernel: &str, file: &str) -> Vec<u8> {
    let path = format!(
        "{}/tests/fixtures/{kernel}/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&path).expect("a captured file")
}

/// Runs a parser on a file of both kernels: it must succeed and allocate nothing.
fn quiet<T, E: std::fmt::Debug>(file: &str, parse: impl Fn(&[u8]) -> Result<T, E>) {
    for kernel in ["6.1", "6.12"] {
        let text = fixture(kernel, file);
        let mut result = None;
        let allocations = allocations_of(|| result = Some(black_box(parse(black_box(&text)))));
        assert!(
            matches!(result, Some(Ok(_))),
            "{kernel} {file} was not read"
        );
        assert_eq!(allocations, 0, "{kernel} {file} allocated");
    }
}

#[test]
fn the_counter_counts() {
    assert!(allocations_of(|| drop(black_box(vec![0_u8; 100]))) > 0);
}

#[test]
fn reading_what_every_tick_reads_allocates_nothing() {
    for file in ["cpu.pressure", "memory.pressure", "proc_pressure_cpu"] {
        quiet(file, psi::parse);
    }
    quiet("cpu.stat", flat::cpu_stat);
    quiet("memory.current", single::bytes);
    quiet("memory.swap.current", single::bytes);
    quiet("pids.current", single::count);
    quiet("proc_stat", proc_stat::parse);
    quiet("proc_loadavg", loadavg::tasks);
    quiet("proc_meminfo", |text| {
        let all = meminfo::parse(text)?;
        all.total
            .and(all.available)
            .and(all.swap_total)
            .and(all.swap_free)
    });
}

#[test]
fn reading_what_suspects_and_held_groups_need_allocates_nothing() {
    quiet("memory.stat", flat::memory_stat);
    quiet("memory.events", flat::memory_events);
    quiet("cgroup.events", flat::group_events);
    quiet("cgroup.stat", flat::group_stat);
    quiet("pids.events", flat::pids_events);
    quiet("pids.max", single::limit);
    quiet("memory.max", single::bytes_limit);
    quiet("cpu.weight", single::weight);
    quiet("cpu.idle", single::truth);
    quiet("cpu.max", cpu_max::parse);
    quiet("io.stat", |text| {
        nested::io_stat(text)?.try_for_each(|found| found.map(|_| ()))
    });
    quiet("io.max", |text| {
        nested::io_max(text)?.try_for_each(|found| found.map(|_| ()))
    });
    quiet("cgroup.controllers", controllers::parse);
    quiet("proc_1_schedstat", schedstat::parse);
    quiet("proc_self_cgroup", |text| {
        self_cgroup::parse(text).map(<[u8]>::len)
    });
}

#[test]
fn decoding_and_encoding_every_knob_allocates_nothing() {
    for knob in Knob::FILES {
        quiet(knob.file(), |text| {
            let value = knob::decode(knob, text)?;
            let shown = knob::shown(value, governor::model::Bytes(4_096));
            let mut room = [0; knob::KNOB_TEXT];
            let again = knob::encode(shown, &mut room);
            assert!(knob::same(knob, text, again));
            Ok::<_, governor::model::Absent>(())
        });
    }
}

#[test]
fn arming_a_doorbell_and_listing_processes_allocates_nothing() {
    let allocations = allocations_of(|| {
        let mut room = [0; psi::TRIGGER_MAX];
        let line = psi::trigger(
            psi::StallKind::Some,
            Span::from_millis(50),
            Span::from_secs(1),
            &mut room,
        );
        assert!(line.is_ok());
        assert_eq!(pids::parse(b"1\n22\n333\n").count(), 3);
        assert_eq!(boot_config::hz(b"CONFIG_HZ=250\n"), Ok(250));
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_ticks_reading_allocates_nothing_once_it_is_under_way() {
    let tree = FakeTree::new();
    for n in 0..10 {
        let path = format!("/system.slice/docker-{n:064x}.scope");
        tree.add(&path);
        // Throttled further down, so that this is read too.
        let inner = format!("{path}/container");
        tree.add(&inner);
        tree.set(&inner, "cpu.max", "20000 100000\n");
    }
    let mut forest = Forest::new(tree, Limits::default());
    forest.scan_whole(&|_| false).expect("a root");
    let topology = forest.topology(&Rules {
        original: &|_, _| None,
        name: &|_, _| None,
        is_protected: &|_| false,
        own: None,
    });
    let mut sampler = Sampler::new(forest.files_mut(), Span::from_millis(20));
    sampler.hold(&mut forest, &topology);
    let ids: Vec<GroupId> = topology.watched().map(|(_, group)| group.id).collect();
    assert_eq!(ids.len(), 10);
    let clock = FakeClock::default();
    let mut out = Sample::default();
    sampler.sample(&mut forest, &clock, &ids, &mut out);
    let allocations = allocations_of(|| {
        for _ in 0..3 {
            clock.advance(Span::from_millis(20));
            sampler.sample(&mut forest, &clock, &ids, &mut out);
            assert!(out.containers.iter().all(|one| one.memory_stall.is_ok()));
        }
    });
    assert_eq!(allocations, 0);
}
