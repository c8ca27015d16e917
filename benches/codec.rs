//! What each codec of `src/kernel` costs on a captured file, and a PSI file beside procfs' own parser.
//!
//! `cargo bench --bench codec`. Both PSI parsers run in one process on the same captured bytes;
//! procfs takes a `BufRead` and keeps the averages too.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    missing_docs,
    reason = "a bench reads its captured files; criterion's macros make functions without words"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use governor::kernel::{
    boot_config, controllers, cpu_max, flat, knob, loadavg, meminfo, mountinfo, nested, pids,
    proc_stat, psi, schedstat, self_cgroup, single,
};
use governor::model::{Bytes, Knob, Span};
use procfs::{CpuPressure, FromBufRead};
use std::hint::black_box;

fn fixture(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/6.12/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a captured file")
}

/// One parser on one captured file.
fn read<T>(criterion: &mut Criterion, file: &str, parse: impl Fn(&[u8]) -> T) {
    let text = fixture(file);
    criterion.bench_function(&format!("codec/{file}"), |bench| {
        bench.iter(|| parse(black_box(&text)));
    });
}

fn parsers(criterion: &mut Criterion) {
    read(criterion, "cpu.pressure", psi::parse);
    read(criterion, "cpu.stat", flat::cpu_stat);
    read(criterion, "memory.stat", flat::memory_stat);
    read(criterion, "memory.events", flat::memory_events);
    read(criterion, "cgroup.events", flat::group_events);
    read(criterion, "cgroup.stat", flat::group_stat);
    read(criterion, "pids.events", flat::pids_events);
    read(criterion, "io.stat", |text| {
        nested::io_stat(text).map(Iterator::count)
    });
    read(criterion, "io.max", |text| {
        nested::io_max(text).map(Iterator::count)
    });
    read(criterion, "memory.current", single::bytes);
    read(criterion, "pids.current", single::count);
    read(criterion, "cpu.weight", single::weight);
    read(criterion, "cpu.idle", single::truth);
    read(criterion, "cpu.max", cpu_max::parse);
    read(criterion, "cgroup.controllers", controllers::parse);
    read(criterion, "proc_stat", proc_stat::parse);
    read(criterion, "proc_loadavg", loadavg::tasks);
    read(criterion, "proc_meminfo", meminfo::parse);
    read(criterion, "proc_1_schedstat", schedstat::parse);
    read(criterion, "proc_self_cgroup", |text| {
        self_cgroup::parse(text).map(<[u8]>::len)
    });
    read(criterion, "proc_self_mountinfo", mountinfo::cgroup_mounts);
    let pressure = fixture("cpu.pressure");
    criterion.bench_function("codec/cpu.pressure by procfs", |bench| {
        bench.iter(|| CpuPressure::from_buf_read(black_box(&pressure[..])).map(|p| p.some.total));
    });
    criterion.bench_function("codec/cgroup.procs of 1,000", |bench| {
        let text: String = (1..=1_000).map(|pid| format!("{pid}\n")).collect();
        bench.iter(|| pids::parse(black_box(text.as_bytes())).count());
    });
    criterion.bench_function("codec/boot config", |bench| {
        let other = "CONFIG_X=y\n".repeat(1_000);
        let text = format!("{other}CONFIG_HZ=250\n");
        bench.iter(|| boot_config::hz(black_box(text.as_bytes())));
    });
}

fn writers(criterion: &mut Criterion) {
    for knob in Knob::FILES {
        let text = fixture(knob.file());
        let value = knob::decode(knob, &text).expect("a captured knob");
        criterion.bench_function(&format!("codec/write {}", knob.file()), |bench| {
            let mut room = [0; knob::KNOB_TEXT];
            bench.iter(|| {
                let shown = knob::shown(black_box(value), Bytes(4_096));
                knob::encode(shown, &mut room).len()
            });
        });
    }
    let text = fixture("io.max");
    let mut lines = nested::io_max(&text).expect("a captured file");
    let (device, max) = lines.next().expect("a device").expect("its limits");
    criterion.bench_function("codec/write io.max", |bench| {
        let mut room = [0; nested::IO_MAX_TEXT];
        bench.iter(|| nested::write_io_max(device, black_box(max), &mut room).len());
    });
    criterion.bench_function("codec/write a psi trigger", |bench| {
        let mut room = [0; psi::TRIGGER_MAX];
        let (stall, window) = (Span::from_millis(50), Span::from_secs(1));
        bench.iter(|| {
            psi::trigger(psi::StallKind::Some, black_box(stall), window, &mut room).map(<[u8]>::len)
        });
    });
}

criterion_group!(benches, parsers, writers);
criterion_main!(benches);
