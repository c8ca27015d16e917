//! What one container's files cost to read as text, and a PSI file beside procfs' own parser.
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
use governor::kernel::{cpu_max, flat, proc_stat, psi, single};
use procfs::{CpuPressure, FromBufRead};
use std::hint::black_box;

fn fixture(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/6.12/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a captured file")
}

fn codecs(criterion: &mut Criterion) {
    let pressure = fixture("cpu.pressure");
    let mut group = criterion.benchmark_group("psi");
    group.bench_function("ours", |bench| {
        bench.iter(|| psi::parse(black_box(&pressure)));
    });
    group.bench_function("procfs", |bench| {
        bench.iter(|| CpuPressure::from_buf_read(black_box(&pressure[..])).map(|p| p.some.total));
    });
    group.finish();

    let mut group = criterion.benchmark_group("text");
    let cpu_stat = fixture("cpu.stat");
    group.bench_function("cpu.stat", |bench| {
        bench.iter(|| flat::cpu_stat(black_box(&cpu_stat)));
    });
    let memory_stat = fixture("memory.stat");
    group.bench_function("memory.stat", |bench| {
        bench.iter(|| flat::memory_stat(black_box(&memory_stat)));
    });
    let current = fixture("memory.current");
    group.bench_function("memory.current", |bench| {
        bench.iter(|| single::bytes(black_box(&current)));
    });
    let max = fixture("cpu.max");
    group.bench_function("cpu.max", |bench| {
        bench.iter(|| cpu_max::parse(black_box(&max)));
    });
    let stat = fixture("proc_stat");
    group.bench_function("proc_stat", |bench| {
        bench.iter(|| proc_stat::parse(black_box(&stat)));
    });
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
