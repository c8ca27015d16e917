//! How fast a recording is replayed, and in how much memory.
//!
//! A recording of an hour of 100 containers on a host that exists on paper, sampled ten times a second
//! (fifty times in its six attacks of twenty seconds), is given to `governor replay`; then its first six
//! minutes, to compare the memory. `cargo bench --bench replay -- --gigabytes 10` also repeats the hour
//! until that many went through a pipe. Prints what it measured, and fails where the hour takes 10 s or
//! more, or the memory grows with the length.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use governor::model::Span;

use super::synthetic::Host;
use super::{CONTAINERS, CPUS};

const HOUR: u64 = 3_600;
const SHORT: u64 = HOUR / 10;
const TEN_MINUTES: u64 = 600;
const ATTACK: u64 = 20;
/// What the hour may take.
const MOST: Duration = Duration::from_secs(10);
/// What a recording ten times as long may take more.
const MORE_KIB: u64 = 2_048;

pub(super) fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let (short, hour) = (
        folder.path().join("short.gvt"),
        folder.path().join("hour.gvt"),
    );
    record(SHORT, &short);
    let decisions = record(HOUR, &hour);
    let size = hour.metadata().unwrap().len();
    let each = size as f64 / (HOUR as f64 * CONTAINERS as f64);
    println!(
        "an hour of {CONTAINERS} containers: {:.1} MiB, {each:.0} bytes a container a second, {decisions} busy decisions",
        mib(size)
    );
    let of_short = replay(&short);
    let of_hour = replay(&hour);
    println!(
        "replayed in {:.2} s ({:.0} times as fast as it was), at most {} KiB of memory; its first {SHORT} s: {} KiB",
        of_hour.took.as_secs_f64(),
        HOUR as f64 / of_hour.took.as_secs_f64(),
        of_hour.peak_kib,
        of_short.peak_kib
    );
    println!("{}", of_hour.verdict);
    assert!(of_hour.verdict.starts_with("identical: "));
    assert!(of_hour.took < MOST, "{:?} for an hour", of_hour.took);
    assert!(of_hour.peak_kib < of_short.peak_kib + MORE_KIB);
    if let Some(gigabytes) = gigabytes() {
        stream(&hour, gigabytes << 30, of_hour.peak_kib);
    }
}

fn gigabytes() -> Option<u64> {
    let mut words = std::env::args().skip_while(|word| word != "--gigabytes");
    words.nth(1).map(|number| number.parse().unwrap())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// So many seconds of a host on which two containers are at work and most are idle, as it mostly is; every
/// ten minutes a third one takes all that it can get.
fn record(seconds: u64, path: &Path) -> u64 {
    let out = BufWriter::new(File::create(path).unwrap());
    let mut host = Host::new(CONTAINERS, CPUS, "", out);
    host.noise = 0.2;
    for (at, life) in host.lives.iter_mut().enumerate() {
        life.wants = if at < 2 { 3.0 } else { 0.01 };
    }
    let mut left = seconds;
    while left > 0 {
        let calm = left.min(TEN_MINUTES - ATTACK);
        host.run(Span::from_secs(calm));
        left -= calm;
        let attack = left.min(ATTACK);
        host.lives[7].wants = 64.0;
        host.run(Span::from_secs(attack));
        host.lives[7].wants = 0.01;
        left -= attack;
    }
    let decisions = host.decisions;
    host.finish();
    decisions
}

struct Replayed {
    took: Duration,
    peak_kib: u64,
    verdict: String,
}

fn start(trace: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_governor"))
        .arg("replay")
        .arg(trace)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn replay(trace: &Path) -> Replayed {
    let began = Instant::now();
    finish(start(trace), began)
}

/// Reads all that it says, and looks at its memory all the while.
fn finish(mut child: Child, began: Instant) -> Replayed {
    let mut said = String::new();
    let mut peak_kib = 0;
    let mut pipe = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        pipe.read_to_string(&mut said).unwrap();
        said
    });
    let status = loop {
        peak_kib = peak(&child).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = began.elapsed();
    let said = reader.join().unwrap();
    assert!(status.code().is_some(), "{status}");
    let verdict = said
        .lines()
        .find(|line| line.starts_with("identical") || line.starts_with("different"));
    Replayed {
        took,
        peak_kib,
        verdict: verdict.unwrap_or_default().to_owned(),
    }
}

/// The most memory that it had so far; `None` once it has ended.
fn peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The same hour again and again, through a pipe.
fn stream(hour: &Path, bytes: u64, usual_kib: u64) {
    let trace = std::fs::read(hour).unwrap();
    let began = Instant::now();
    let mut child = start(Path::new("/dev/stdin"));
    let mut pipe = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        let mut left = bytes;
        while left > 0 {
            pipe.write_all(&trace).unwrap();
            left = left.saturating_sub(trace.len() as u64);
        }
    });
    let replayed = finish(child, began);
    feeder.join().unwrap();
    println!(
        "{:.0} MiB through a pipe in {:.0} s, at most {} KiB of memory",
        mib(bytes),
        replayed.took.as_secs_f64(),
        replayed.peak_kib
    );
    assert!(replayed.peak_kib < usual_kib + MORE_KIB);
}
