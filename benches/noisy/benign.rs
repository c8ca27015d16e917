//! What looks like an attack, and is none.

use super::record::{now_us, sleep_until, span_us};
use super::{size, span};
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Benign {
    /// A garbage collection: threads that walk through a heap once, at a fixed rhythm.
    Collect {
        /// The heap.
        #[arg(long, value_parser = size)]
        heap: usize,
        /// How often each page of it is looked at in one collection.
        #[arg(long, default_value_t = 20)]
        passes: u64,
        /// How many threads.
        #[arg(long)]
        threads: usize,
        /// From one collection to the next.
        #[arg(long, value_parser = span)]
        every: Duration,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// A database: writes a little all the time, and at a fixed rhythm has all of it written out at once.
    Checkpoint {
        /// Its file; made anew.
        #[arg(long)]
        path: PathBuf,
        /// What is written between two checkpoints.
        #[arg(long, value_parser = size)]
        size: usize,
        /// From one checkpoint to the next.
        #[arg(long, value_parser = span)]
        every: Duration,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
}

/// Goes on until the time is over.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn run(benign: &Benign) -> anyhow::Result<()> {
    match benign {
        Benign::Collect {
            heap,
            passes,
            threads,
            every,
            run_for,
        } => {
            collect(*heap, *passes, *threads, span_us(*every), end(*run_for));
            Ok(())
        }
        Benign::Checkpoint {
            path,
            size,
            every,
            run_for,
        } => checkpoint(path, *size, span_us(*every), end(*run_for)),
    }
}

fn end(run_for: Duration) -> u64 {
    now_us() + span_us(run_for)
}

const PAGE: usize = 4096;

fn collect(heap: usize, passes: u64, threads: usize, every_us: u64, end_us: u64) {
    let mut heap = vec![1_u8; heap.max(PAGE)];
    let part = heap.len().div_ceil(threads.max(1));
    let mut due = now_us();
    while due < end_us {
        sleep_until(due);
        std::thread::scope(|scope| {
            for part in heap.chunks_mut(part) {
                scope.spawn(move || {
                    for _ in 0..passes {
                        for object in part.iter_mut().step_by(64) {
                            *object = object.wrapping_add(1);
                        }
                    }
                });
            }
        });
        due += every_us;
    }
}

/// Between two checkpoints so many pieces are written.
const PIECES: u64 = 50;

fn checkpoint(path: &Path, size: usize, every_us: u64, end_us: u64) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let pieces = usize::try_from(PIECES)?;
    let piece = vec![7_u8; size / pieces];
    let mut due = now_us();
    while due < end_us {
        file.rewind()?;
        for _ in 0..pieces {
            sleep_until(due);
            file.write_all(&piece)?;
            due += every_us / PIECES;
        }
        file.sync_data()?;
    }
    Ok(())
}
