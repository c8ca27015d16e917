//! Attacks that hide: behind a rhythm, behind a neighbour, behind a helper who does the work for them.

use super::record::{churn, now_us, sleep_until, span_us};
use super::span;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Evasion {
    /// Spins from each refill of its own quota on, which it knows by being let run again after a gap; where no
    /// quota stops it, at its own rhythm.
    Phase {
        /// How many threads spin.
        #[arg(long)]
        threads: u64,
        /// How long after a refill.
        #[arg(long, value_parser = span)]
        on: Duration,
        /// From one refill to the next.
        #[arg(long, value_parser = span)]
        every: Duration,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Spins whenever another cgroup uses CPU time, lest anything tell the two apart.
    Mimic {
        /// The other's directory.
        #[arg(long)]
        of: PathBuf,
        /// How many threads spin.
        #[arg(long)]
        threads: u64,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// Sends lines to a logger as fast as it takes them.
    Log {
        /// The logger's socket.
        #[arg(long)]
        socket: PathBuf,
        /// So many at once.
        #[arg(long)]
        threads: u64,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
    /// A logger: works over each line that anybody sends.
    Logger {
        /// Its socket; made anew.
        #[arg(long)]
        socket: PathBuf,
        /// How long.
        #[arg(long = "for", value_parser = span)]
        run_for: Duration,
    },
}

/// Takes until the time is over.
///
/// # Errors
/// A socket or a file is not there.
pub(crate) fn run(evasion: &Evasion) -> anyhow::Result<()> {
    match evasion {
        Evasion::Phase {
            threads,
            on,
            every,
            run_for,
        } => phase(*threads, span_us(*on), span_us(*every), end(*run_for)),
        Evasion::Mimic {
            of,
            threads,
            run_for,
        } => mimic(of, *threads, end(*run_for))?,
        Evasion::Log {
            socket,
            threads,
            run_for,
        } => log(socket, *threads, end(*run_for))?,
        Evasion::Logger { socket, run_for } => logger(socket, end(*run_for))?,
    }
    Ok(())
}

fn end(run_for: Duration) -> u64 {
    now_us() + span_us(run_for)
}

/// Who does not run for so long was stopped.
const GAP_US: u64 = 10_000;

fn phase(threads: u64, on_us: u64, every_us: u64, end_us: u64) {
    let refill = AtomicU64::new(now_us());
    let one = || {
        while now_us() < end_us {
            let begun = refill.load(Ordering::Relaxed);
            let mut before = now_us();
            while before < begun + on_us {
                churn(1_200);
                let now = now_us();
                if now - before > GAP_US {
                    refill.fetch_max(now, Ordering::Relaxed);
                    break;
                }
                before = now;
            }
            let next = refill.load(Ordering::Relaxed) + every_us;
            if before >= begun + on_us {
                sleep_until(next);
                refill.fetch_max(next, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(one);
        }
    });
}

/// How often the mimic looks at its model, and how long it spins where that ran.
const LOOK_US: u64 = 5_000;

fn mimic(of: &Path, threads: u64, end_us: u64) -> anyhow::Result<()> {
    let stat = of.join("cpu.stat");
    let usage = || -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(&stat)?;
        let used = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        Ok(used.unwrap_or("0").parse()?)
    };
    let mut before = usage()?;
    let until = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while now_us() < end_us {
                    if now_us() < until.load(Ordering::Relaxed) {
                        churn(3_000);
                    } else {
                        sleep_until(now_us() + LOOK_US / 2);
                    }
                }
            });
        }
        while now_us() < end_us {
            sleep_until(now_us() + LOOK_US);
            let now = usage()?;
            if now > before {
                until.store(now_us() + 2 * LOOK_US, Ordering::Relaxed);
            }
            before = now;
        }
        Ok(())
    })
}

const LINE: [u8; 256] = [b'x'; 256];

fn log(socket: &Path, threads: u64, end_us: u64) -> anyhow::Result<()> {
    let links: Vec<UnixStream> = (0..threads)
        .map(|_| UnixStream::connect(socket))
        .collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        for mut link in links {
            scope.spawn(move || while now_us() < end_us && link.write_all(&LINE).is_ok() {});
        }
    });
    Ok(())
}

/// What a line costs: parsing, formatting, an index.
const LINE_ROUNDS: u64 = 1_200;

fn logger(socket: &Path, end_us: u64) -> anyhow::Result<()> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    std::thread::scope(|scope| {
        while now_us() < end_us {
            let Ok((mut link, _)) = listener.accept() else {
                sleep_until(now_us() + 10_000);
                continue;
            };
            scope.spawn(move || {
                let mut line = LINE;
                let patience = link
                    .set_nonblocking(false)
                    .and_then(|()| link.set_read_timeout(Some(Duration::from_secs(1))));
                while patience.is_ok() && now_us() < end_us && link.read_exact(&mut line).is_ok() {
                    churn(LINE_ROUNDS);
                }
            });
        }
    });
    Ok(())
}
