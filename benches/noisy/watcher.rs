//! Attacks on who watches: on its sight, its time, and the files and locks that it needs. Each spins beside that,
//! so that somebody is harmed whom it should see.

use super::record::{now_us, sleep_until, span_us};
use super::{hog, span};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Watcher {
    /// Reads the pressure files of the host and of its own cgroup without a pause: each read takes what was
    /// gathered from those who read after it.
    Psi {
        /// So many readers.
        #[arg(long)]
        readers: u64,
        #[command(flatten)]
        spin: Spin,
    },
    /// Makes empty cgroups beside its own, as who starts containers without an end.
    Groups {
        /// How many.
        #[arg(long)]
        count: u64,
        /// With names that nobody should give: escapes, broken UTF-8, 255 bytes.
        #[arg(long)]
        hostile: bool,
        #[command(flatten)]
        spin: Spin,
    },
    /// Moves itself from one cgroup below its own to another without a pause.
    Moves {
        #[command(flatten)]
        spin: Spin,
    },
    /// Clients of a socket that ask byte by byte, and never read the answer.
    Clients {
        /// The socket.
        #[arg(long)]
        socket: PathBuf,
        /// So many at once.
        #[arg(long)]
        count: usize,
        #[command(flatten)]
        spin: Spin,
    },
}

#[derive(clap::Args)]
pub(crate) struct Spin {
    /// So many threads that spin beside it.
    #[arg(long)]
    spin: u64,
    /// How long.
    #[arg(long = "for", value_parser = span)]
    run_for: Duration,
}

/// Attacks until the time is over.
///
/// # Errors
/// It is in no cgroup v2, or may not do it.
pub(crate) fn run(watcher: &Watcher) -> anyhow::Result<()> {
    let (Watcher::Psi { spin, .. }
    | Watcher::Groups { spin, .. }
    | Watcher::Moves { spin }
    | Watcher::Clients { spin, .. }) = watcher;
    let end_us = now_us() + span_us(spin.run_for);
    let own = own_group()?;
    std::thread::scope(|scope| {
        scope.spawn(|| hog::spin(spin.spin, end_us));
        match watcher {
            Watcher::Psi { readers, .. } => psi(&own, *readers, end_us),
            Watcher::Groups { count, hostile, .. } => groups(&own, *count, *hostile, end_us),
            Watcher::Moves { .. } => moves(&own, end_us),
            Watcher::Clients { socket, count, .. } => {
                clients(socket, *count, end_us);
                Ok(())
            }
        }
    })
}

fn own_group() -> anyhow::Result<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = own.ok_or_else(|| anyhow::anyhow!("not in a cgroup v2"))?;
    Ok(Path::new("/sys/fs/cgroup").join(own))
}

fn psi(own: &Path, readers: u64, end_us: u64) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for resource in ["cpu", "memory", "io"] {
        files.push(File::open(format!("/proc/pressure/{resource}"))?);
        files.push(File::open(own.join(format!("{resource}.pressure")))?);
    }
    let files = &files;
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(move || {
                let mut text = [0_u8; 256];
                while now_us() < end_us {
                    for file in files {
                        let _ = file.read_at(&mut text, 0);
                    }
                }
            });
        }
    });
    Ok(())
}

fn groups(own: &Path, count: u64, hostile: bool, end_us: u64) -> anyhow::Result<()> {
    let beside = own.parent().unwrap_or(own);
    for number in 0..count {
        if now_us() >= end_us {
            break;
        }
        let mut name = format!("empty-{number}").into_bytes();
        if hostile {
            name.extend_from_slice(b" \x1b[2J\x1b]0;owned\x07\xff\xfe\"'$(reboot)");
            name.resize(if number % 2 == 0 { 255 } else { name.len() }, b'A');
        }
        std::fs::create_dir(beside.join(OsStr::from_bytes(&name)))?;
    }
    sleep_until(end_us);
    Ok(())
}

fn moves(own: &Path, end_us: u64) -> anyhow::Result<()> {
    let ends = [own.join("one"), own.join("two")];
    for end in &ends {
        std::fs::create_dir(end)?;
    }
    let me = std::process::id().to_string();
    while now_us() < end_us {
        for end in &ends {
            std::fs::write(end.join("cgroup.procs"), &me)?;
        }
    }
    Ok(())
}

/// More than any request is long.
const BYTES: usize = 1 << 20;

fn clients(socket: &Path, count: usize, end_us: u64) {
    let mut links: Vec<UnixStream> = Vec::new();
    let mut sent = 0;
    while now_us() < end_us {
        // Where nobody listens there is nobody to attack; who is hung up on comes again.
        if links.len() < count
            && let Ok(link) = UnixStream::connect(socket)
            && link.set_nonblocking(true).is_ok()
        {
            links.push(link);
            continue;
        }
        links.retain_mut(|link| {
            let mut byte = [0_u8];
            let hung_up = matches!(link.read(&mut byte), Ok(0));
            !hung_up && sent < BYTES && link.write(b"{").is_ok()
        });
        sent = (sent + 1) % BYTES;
        sleep_until(now_us() + 1_000);
    }
}
