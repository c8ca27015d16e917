//! Attacks that are no plain hogs: the harm is in how they take it.

use super::record::{now_us, sleep_until, span_us};
use super::{at_once, size, span};
use rustix::fs::MemfdFlags;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Storm {
    /// Pairs of threads that wake each other, and sleep.
    Wake {
        /// Threads, two and two.
        #[arg(long)]
        threads: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Threads that do nothing but let others run.
    Yield {
        /// How many.
        #[arg(long)]
        threads: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Pipes that are filled and kept: memory of the kernel that is no process's own.
    Pipes {
        /// Growth per second.
        #[arg(long, value_parser = size)]
        rate: usize,
        /// The size at which it stops growing.
        #[arg(long, value_parser = size)]
        max: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Files that are made, synced, renamed and removed: little bytes, all of them the journal's.
    Metadata {
        /// A folder; made anew.
        #[arg(long)]
        folder: PathBuf,
        /// So many at the same time.
        #[arg(long)]
        threads: u64,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Processes that are started and end at once.
    Fork {
        /// So many at the same time.
        #[arg(long)]
        at_once: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Reads a file from start to end, over and over: as fast as it can be had, where nothing of it is on the disk.
    Read {
        /// The file; made anew, of nothing but a hole.
        #[arg(long)]
        file: PathBuf,
        /// Its size.
        #[arg(long, value_parser = size)]
        size: usize,
        /// How often each piece of it is read in a row: what is read twice the kernel takes for needed.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        passes: u32,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Fills a file in memory that has no name, and keeps it: a tmpfs that no size limits, and no process's own memory.
    Fill {
        /// Growth per second.
        #[arg(long, value_parser = size)]
        rate: usize,
        /// The size at which it stops growing.
        #[arg(long, value_parser = size)]
        max: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
}

/// Takes until the time is over.
///
/// # Errors
/// A file cannot be made or read.
pub(crate) fn run(storm: &Storm) -> anyhow::Result<()> {
    match storm {
        Storm::Wake { threads, run_for } => wake(*threads, now_us() + span_us(*run_for)),
        Storm::Yield { threads, run_for } => yields(*threads, now_us() + span_us(*run_for)),
        Storm::Pipes { rate, max, run_for } => {
            pipes(*rate, *max, now_us() + span_us(*run_for))?;
        }
        Storm::Metadata {
            folder,
            threads,
            run_for,
        } => metadata(folder, *threads, now_us() + span_us(*run_for))?,
        Storm::Fork { at_once, run_for } => fork(*at_once, now_us() + span_us(*run_for)),
        Storm::Read {
            file,
            size,
            passes,
            run_for,
        } => read(file, *size, *passes, now_us() + span_us(*run_for))?,
        Storm::Fill { rate, max, run_for } => fill(*rate, *max, now_us() + span_us(*run_for))?,
    }
    Ok(())
}

fn wake(threads: usize, end_us: u64) {
    let pairs: Vec<(Mutex<bool>, Condvar)> = (0..threads.div_ceil(2))
        .map(|_| Default::default())
        .collect();
    std::thread::scope(|scope| {
        for (turn, woken) in &pairs {
            for mine in [false, true] {
                scope.spawn(move || {
                    // A panic of the other would be the end of this one, too.
                    while let Ok(guard) = turn.lock() {
                        let wait = Duration::from_millis(100);
                        let Ok((mut turn, _)) =
                            woken.wait_timeout_while(guard, wait, |turn| *turn != mine)
                        else {
                            break;
                        };
                        *turn = !mine;
                        woken.notify_one();
                        if now_us() >= end_us {
                            break;
                        }
                    }
                });
            }
        }
    });
}

fn yields(threads: usize, end_us: u64) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                while now_us() < end_us {
                    std::thread::yield_now();
                }
            });
        }
    });
}

/// What one pipe holds: the most that anybody may ask for.
const PIPE: usize = 1 << 20;

fn pipes(rate: usize, max: usize, end_us: u64) -> anyhow::Result<()> {
    let ends = 2 * (max / PIPE) as u64 + 64;
    let files = rustix::process::Rlimit {
        current: Some(ends),
        maximum: Some(ends),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files)?;
    let mut kept = Vec::new();
    let content = vec![7_u8; PIPE];
    let every_us = (PIPE as u64 * 1_000_000) / (rate as u64).max(1);
    let mut due = now_us();
    while now_us() < end_us {
        if kept.len() * PIPE < max
            && let Ok((reads, mut writes)) = std::io::pipe()
            && rustix::pipe::fcntl_setpipe_size(&writes, PIPE).is_ok()
            && writes.write_all(&content).is_ok()
        {
            kept.push((reads, writes));
        }
        due += every_us;
        sleep_until(due);
    }
    Ok(())
}

fn metadata(folder: &Path, threads: u64, end_us: u64) -> anyhow::Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir(folder)?;
    let one = |thread: u64| -> anyhow::Result<()> {
        let [young, old] = ["young", "old"].map(|name| folder.join(format!("{name}-{thread}")));
        while now_us() < end_us {
            std::fs::File::create(&young)?.sync_all()?;
            std::fs::rename(&young, &old)?;
            std::fs::remove_file(&old)?;
        }
        Ok(())
    };
    at_once(threads, one)
}

fn fork(at_once: usize, end_us: u64) {
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(move || {
                while now_us() < end_us {
                    let word = super::before_the_load().into_iter();
                    if super::start_and_end(word.chain(["nothing".into()])).is_err() {
                        sleep_until(now_us() + 1_000);
                    }
                }
            });
        }
    });
}

fn read(path: &Path, size: usize, passes: u32, end_us: u64) -> anyhow::Result<()> {
    let mut piece = vec![0_u8; 1 << 20];
    std::fs::File::create(path)?.set_len(size as u64)?;
    let file = std::fs::File::open(path)?;
    for at in (0..size as u64).step_by(piece.len()).cycle() {
        for _ in 0..passes {
            if now_us() >= end_us {
                return Ok(());
            }
            file.read_at(&mut piece, at)?;
        }
    }
    Ok(())
}

fn fill(rate: usize, max: usize, end_us: u64) -> anyhow::Result<()> {
    let mut file = std::fs::File::from(rustix::fs::memfd_create("fill", MemfdFlags::CLOEXEC)?);
    let slice = vec![7_u8; (rate / 100).max(4096)];
    let (mut written, mut due) = (0, now_us());
    while now_us() < end_us {
        if written < max && file.write_all(&slice).is_ok() {
            written += slice.len();
        }
        due += 10_000;
        sleep_until(due);
    }
    Ok(())
}
