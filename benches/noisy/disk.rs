//! Loads on block devices: readers and writers past the page cache, writers into it, and who asks for all of it
//! to be written at once.

use super::record::{self, now_us, serve, span_us};
use super::victim::Rhythm;
use super::{at_once, size, span};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Disk {
    /// A victim: one read of 4 KiB for each request, somewhere on the device or in the file.
    Read {
        /// A block device, or a file.
        #[arg(long)]
        path: PathBuf,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// A victim: 4 KiB appended to a file, and synced, for each request.
    Fsync {
        /// The file; made anew.
        #[arg(long)]
        path: PathBuf,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// Reads or writes past the page cache, as many at once as there are threads.
    Flood {
        /// A block device, or a file. Writing overwrites it.
        #[arg(long)]
        path: PathBuf,
        /// How many at once.
        #[arg(long)]
        threads: u64,
        /// How much in one operation, in whole blocks of 4 KiB.
        #[arg(long, value_parser = size, default_value = "4KiB")]
        size: usize,
        /// Writes instead of reads.
        #[arg(long)]
        write: bool,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Writes into the page cache as fast as it takes it, over and over the same file.
    Dirty {
        /// The file; made anew.
        #[arg(long)]
        path: PathBuf,
        /// Its size.
        #[arg(long, value_parser = size)]
        size: usize,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Asks for everything to be written, over and over.
    Sync {
        /// How many at once.
        #[arg(long)]
        threads: u64,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
}

/// Runs the load to its end.
///
/// # Errors
/// The device or file cannot be read or written.
pub(crate) fn run(disk: &Disk) -> anyhow::Result<()> {
    match disk {
        Disk::Read { path, rhythm } => {
            let device = Direct::open(path, BLOCK, false)?;
            let mut at = 0;
            let requests = serve(rhythm.schedule(), || device.next(&mut at));
            record::print("disk-read", requests?)
        }
        Disk::Fsync { path, rhythm } => {
            let mut file = File::create(path)?;
            let requests = serve(rhythm.schedule(), || {
                file.write_all(&[7_u8; BLOCK])?;
                Ok(file.sync_all()?)
            });
            record::print("disk-fsync", requests?)
        }
        Disk::Flood {
            path,
            threads,
            size,
            write,
            run_for,
        } => flood(path, *threads, *size, *write, end(*run_for)),
        Disk::Dirty {
            path,
            size,
            run_for,
        } => dirty(path, *size, end(*run_for)),
        Disk::Sync { threads, run_for } => {
            sync(*threads, end(*run_for));
            Ok(())
        }
    }
}

fn end(run_for: Duration) -> u64 {
    now_us() + span_us(run_for)
}

const BLOCK: usize = 4096;
/// A stride that is prime to most counts of blocks visits all of them in no helpful order.
const STRIDE: u64 = 7919;

/// A device past the page cache, block after block.
struct Direct {
    file: File,
    blocks: u64,
    size: usize,
    write: bool,
}

impl Direct {
    fn open(path: &Path, size: usize, write: bool) -> anyhow::Result<Direct> {
        let mut file = File::options()
            .read(!write)
            .write(write)
            .custom_flags(libc::O_DIRECT)
            .open(path)
            .map_err(|e| anyhow::anyhow!("open {}: {e}", path.display()))?;
        let size = size.next_multiple_of(BLOCK);
        // The metadata of a device tell no length.
        let blocks = file.seek(SeekFrom::End(0))? / size as u64;
        anyhow::ensure!(blocks > 0, "{}: shorter than one block", path.display());
        Ok(Direct {
            file,
            blocks,
            size,
            write,
        })
    }

    /// One operation, somewhere else than the last.
    fn next(&self, at: &mut u64) -> anyhow::Result<()> {
        *at = (*at + STRIDE) % self.blocks;
        let mut room = vec![7_u8; self.size + BLOCK];
        // What goes past the cache goes from and to whole blocks of memory.
        let from = room.as_ptr().align_offset(BLOCK);
        let Some(block) = room.get_mut(from..from + self.size) else {
            anyhow::bail!("no aligned block");
        };
        let place = *at * self.size as u64;
        if self.write {
            Ok(self.file.write_all_at(block, place)?)
        } else {
            Ok(self.file.read_exact_at(block, place)?)
        }
    }
}

fn flood(path: &Path, threads: u64, size: usize, write: bool, end_us: u64) -> anyhow::Result<()> {
    let device = Direct::open(path, size, write)?;
    let one = |thread: u64| {
        let mut at = thread * device.blocks / threads.max(1);
        while now_us() < end_us {
            device.next(&mut at)?;
        }
        anyhow::Ok(())
    };
    at_once(threads, one)
}

fn dirty(path: &Path, size: usize, end_us: u64) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let piece = vec![7_u8; 256 << 10];
    let mut written = 0;
    while now_us() < end_us {
        if written + piece.len() > size {
            file.rewind()?;
            written = 0;
        }
        file.write_all(&piece)?;
        written += piece.len();
    }
    Ok(())
}

fn sync(threads: u64, end_us: u64) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                while now_us() < end_us {
                    rustix::fs::sync();
                }
            });
        }
    });
}
