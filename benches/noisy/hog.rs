//! The hogs: takers of one resource each, at a known rate, up to a known size, for a known time.

use super::record::{churn, now_us, sleep_until, span_us};
use super::{size, span};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Hog {
    /// Threads that spin.
    Cpu {
        /// How many.
        #[arg(long)]
        threads: u64,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Anonymous memory: grows to a size and then touches it over and over.
    Memory {
        /// Growth per second.
        #[arg(long, value_parser = size)]
        rate: usize,
        /// The size at which it stops growing.
        #[arg(long, value_parser = size)]
        max: usize,
        /// Threads, each with its own part of it.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Threads that sleep: leaked one after the other, and kept.
    Tasks {
        /// How many are started in a second.
        #[arg(long)]
        rate: u64,
        /// How many at most.
        #[arg(long)]
        max: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
}

#[derive(clap::Args)]
pub(crate) struct Burst {
    /// How many threads spin.
    #[arg(long)]
    threads: u64,
    /// How long each burst lasts.
    #[arg(long, value_parser = span)]
    on: Duration,
    /// From the start of one burst to the next.
    #[arg(long, value_parser = span)]
    every: Duration,
    /// How long bursts are started.
    #[arg(long = "for", value_parser = span)]
    run_for: Duration,
}

#[derive(clap::Args)]
pub(crate) struct Cachewarm {
    /// The file.
    file: PathBuf,
    /// How long.
    #[arg(long = "for", value_parser = span)]
    run_for: Duration,
}

/// Takes until the time is over.
pub(crate) fn run(hog: &Hog) {
    match hog {
        Hog::Cpu { threads, run_for } => {
            spin(*threads, now_us() + span_us(*run_for));
        }
        Hog::Memory {
            rate,
            max,
            threads,
            run_for,
        } => {
            memory(*rate, *max, *threads, now_us() + span_us(*run_for));
        }
        Hog::Tasks { rate, max, run_for } => tasks(*rate, *max, now_us() + span_us(*run_for)),
    }
}

/// Spins on so many threads until `end_us`.
pub(super) fn spin(threads: u64, end_us: u64) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                while now_us() < end_us {
                    churn(6_000);
                }
            });
        }
    });
}

/// Starts threads at `rate` per second, and tries again where one cannot be had.
fn tasks(rate: u64, max: usize, end_us: u64) {
    let every = 1_000_000 / rate.max(1);
    let mut threads = Vec::new();
    let mut due = now_us();
    while now_us() < end_us {
        if threads.len() < max {
            let sleeper = std::thread::Builder::new().stack_size(64 << 10);
            threads.extend(sleeper.spawn(move || sleep_until(end_us)));
        }
        due += every;
        sleep_until(due);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Bursts at a fixed rhythm. The threads are new each time, as a cron job's are.
pub(crate) fn burst(burst: &Burst) {
    let start = now_us();
    let every = span_us(burst.every).max(1);
    for n in 0..span_us(burst.run_for) / every {
        sleep_until(start + n * every);
        spin(burst.threads, now_us() + span_us(burst.on));
    }
}

const PAGE: usize = 4096;
/// Growth comes in slices of this length, with more threads in longer ones: it is memory that is wanted, not the CPU.
const SLICE_US: u64 = 10_000;
const THREADS: usize = 8;

/// Grows to `max` at `rate` per second and touches it over and over, each thread its own part.
fn memory(rate: usize, max: usize, threads: usize, end_us: u64) {
    let threads = threads.max(1);
    let slice_us = SLICE_US * threads.div_ceil(THREADS) as u64;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                let mut part = grow(rate / threads, max / threads, slice_us, end_us);
                touch(&mut part, end_us);
            });
        }
    });
}

fn grow(rate: usize, max: usize, slice_us: u64, end_us: u64) -> Vec<u8> {
    let mut memory: Vec<u8> = Vec::with_capacity(max);
    let slice = (rate * slice_us as usize / 1_000_000).max(PAGE);
    let mut due = now_us();
    while memory.len() < max && now_us() < end_us {
        // Bytes that are not zero: nothing can share or drop them.
        memory.resize((memory.len() + slice).min(max), 0x5a);
        due += slice_us;
        sleep_until(due);
    }
    memory
}

fn touch(memory: &mut [u8], end_us: u64) {
    while now_us() < end_us {
        for page in memory.chunks_mut(PAGE) {
            if let Some(byte) = page.first_mut() {
                *byte = byte.wrapping_add(1);
            }
            if now_us() >= end_us {
                break;
            }
        }
        // One that could not grow must not spin on nothing.
        sleep_until(now_us() + 1_000);
    }
}

/// Reads the file from start to end until the time is over.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn cachewarm(warm: &Cachewarm) -> anyhow::Result<()> {
    let end_us = now_us() + span_us(warm.run_for);
    let mut buffer = vec![0_u8; 1 << 20];
    while now_us() < end_us {
        let mut file = std::fs::File::open(&warm.file)?;
        while file.read(&mut buffer)? > 0 && now_us() < end_us {}
    }
    Ok(())
}
