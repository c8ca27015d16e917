//! The victims: steady work at a fixed rate, and a record of how late each piece of it was.

use super::record::{self, Request, Schedule, now_us, serve, thread_cpu_us};
use super::{size, span};
use std::fs::File;
use std::io::{BufRead, Read, Seek, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Victim {
    /// A timer loop: wakes at a fixed rate and needs some CPU time each time.
    Timer {
        /// CPU time of one request.
        #[arg(long, value_parser = span)]
        work: Duration,
        /// Threads, each with the whole rhythm.
        #[arg(long, default_value_t = 1)]
        threads: u64,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// Requests over a socket pair to a thread that walks through a working set in memory.
    Request {
        /// Anonymous memory that is kept and touched.
        #[arg(long, value_parser = size, default_value = "64MiB")]
        working_set: usize,
        /// Pages of it that one request touches.
        #[arg(long, default_value_t = 256)]
        pages: usize,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// Reads of pages all over a file that it has made, and read once, so that it is in the cache.
    Reader {
        /// The file; made anew.
        #[arg(long)]
        file: PathBuf,
        /// Its size.
        #[arg(long, value_parser = size)]
        working_set: usize,
        /// Pages that one request reads.
        #[arg(long)]
        pages: usize,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// A process that is started and waited for.
    Fork {
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// A client of redis servers: it counts the bits of a string in each of them.
    Redis {
        /// `HOST:PORT`, or the path of a unix socket; once for each server. All have the same rhythm.
        #[arg(long, required = true)]
        address: Vec<String>,
        /// The string's length: how much one request costs the server, and only the server.
        #[arg(long, value_parser = size, required_unless_present = "cost")]
        bitmap: Option<usize>,
        /// Instead of a length: how long a request shall take while nobody else wants anything, as it is when the client starts.
        #[arg(long, value_parser = span, conflicts_with = "bitmap")]
        cost: Option<Duration>,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// A client of a web server.
    #[cfg(feature = "bench")]
    Http {
        #[command(flatten)]
        http: super::served::Web,
        #[command(flatten)]
        rhythm: Rhythm,
    },
    /// A client of a PostgreSQL server, as its user `postgres`.
    #[cfg(feature = "bench")]
    Postgres {
        #[command(flatten)]
        postgres: super::served::Rows,
        #[command(flatten)]
        rhythm: Rhythm,
    },
}

#[derive(clap::Args)]
pub(crate) struct Rhythm {
    /// The time between two requests.
    #[arg(long, value_parser = span)]
    every: Duration,
    /// How much later than that each request may be due: evenly spread, and the same at every run.
    #[arg(long, value_parser = span, default_value = "0s")]
    later: Duration,
    /// How long requests are scheduled.
    #[arg(long = "for", value_parser = span)]
    run_for: Duration,
    /// The first request, in microseconds of CLOCK_MONOTONIC; now if absent.
    #[arg(long)]
    start_at: Option<u64>,
}

impl Rhythm {
    pub(super) fn schedule(&self) -> Schedule {
        Schedule::new(self.start_at, self.every, self.run_for).later_by(self.later)
    }

    /// With time to connect, where nobody says when to begin.
    #[cfg(feature = "bench")]
    fn schedule_of_a_client(&self) -> Schedule {
        let start_us = self.start_at.unwrap_or_else(|| now_us() + PATIENCE_US);
        Schedule::new(Some(start_us), self.every, self.run_for).later_by(self.later)
    }
}

/// Runs a victim to its end and prints its record.
///
/// # Errors
/// What it works with (a socket, a server) failed.
pub(crate) fn run(victim: &Victim) -> anyhow::Result<()> {
    match victim {
        Victim::Timer {
            work,
            threads,
            rhythm,
        } => record::print("timer", timer(*work, *threads, rhythm.schedule())?),
        Victim::Request {
            working_set,
            pages,
            rhythm,
        } => {
            // The working set is made before the first request is due: its making is no request.
            let link = keeper(*working_set, *pages)?;
            record::print("request", request(link, rhythm.schedule())?)
        }
        Victim::Reader {
            file,
            working_set,
            pages,
            rhythm,
        } => {
            let file = cached_file(file, *working_set)?;
            let reads = reader(&file, *working_set / PAGE, *pages, rhythm.schedule());
            record::print("reader", reads?)
        }
        Victim::Fork { rhythm } => {
            let (requests, refused) = forks(rhythm.schedule());
            record::print_refused("fork", requests, refused)
        }
        Victim::Redis {
            address,
            bitmap,
            cost,
            rhythm,
        } => {
            // One server after the other: two that are asked at once would wait for each other.
            let connect = |address: &String| {
                let mut client = Redis::connect(address)?;
                match cost {
                    Some(cost) => client.size_by(record::span_us(*cost))?,
                    None => client.resize(bitmap.unwrap_or_default())?,
                }
                Ok(client)
            };
            let clients = address.iter().map(connect).collect::<anyhow::Result<_>>()?;
            record::print("redis", all_redis(clients, rhythm.schedule())?)
        }
        #[cfg(feature = "bench")]
        Victim::Http { http, rhythm } => {
            record::print("http", http.run(rhythm.schedule_of_a_client())?)
        }
        #[cfg(feature = "bench")]
        Victim::Postgres { postgres, rhythm } => {
            record::print("postgres", postgres.run(rhythm.schedule_of_a_client())?)
        }
    }
}

fn timer(work: Duration, threads: u64, schedule: Schedule) -> anyhow::Result<Vec<Request>> {
    let work_us = record::span_us(work);
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let one = || {
            serve(schedule, || {
                burn(work_us);
                Ok(())
            })
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        for thread in running {
            match thread.join() {
                Ok(requests) => all.extend(requests?),
                Err(_) => anyhow::bail!("a thread of the timer victim died"),
            }
        }
        Ok(all)
    })
}

/// Uses this much CPU time, however long that takes. The clock is asked seldom at first, and at the end every
/// few microseconds: asking costs as much as the work does.
fn burn(work_us: u64) {
    const LEAST: u64 = 60;
    let (start, mut rounds) = (thread_cpu_us(), LEAST);
    let (mut done, mut spent) = (0, 0);
    while spent < work_us {
        record::churn(rounds);
        done += rounds;
        spent = thread_cpu_us().saturating_sub(start);
        // Half of what is left, by the pace so far; a clock that has hardly moved yet tells none.
        let half = work_us.saturating_sub(spent).saturating_mul(done) / spent.max(1) / 2;
        rounds = half.clamp(LEAST, 16 * rounds);
    }
}

const PAGE: usize = 4096;
/// A stride that is prime to most counts of pages visits all of them in no helpful order.
const STRIDE: usize = 7919;

/// Starts the thread that owns the working set and answers one byte with one byte.
fn keeper(working_set: usize, pages: usize) -> anyhow::Result<UnixStream> {
    let (near, mut far) = UnixStream::pair()?;
    let (ready, made) = mpsc::channel();
    std::thread::spawn(move || {
        let mut memory = vec![1_u8; working_set.max(PAGE)];
        let count = memory.len() / PAGE;
        let mut at = 0;
        let mut byte = [0_u8];
        let _ = ready.send(());
        while far.read_exact(&mut byte).is_ok() {
            for _ in 0..pages {
                at = (at + STRIDE) % count;
                if let Some(cell) = memory.get_mut(at * PAGE) {
                    *cell = cell.wrapping_add(1);
                }
            }
            if far.write_all(&byte).is_err() {
                break;
            }
        }
    });
    made.recv()?;
    Ok(near)
}

fn request(mut link: UnixStream, schedule: Schedule) -> anyhow::Result<Vec<Request>> {
    serve(schedule, || {
        let mut byte = [0_u8];
        link.write_all(&byte)?;
        link.read_exact(&mut byte)?;
        Ok(())
    })
}

fn cached_file(path: &Path, size: usize) -> anyhow::Result<File> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let mebibyte = vec![7_u8; 1 << 20];
    for _ in 0..size >> 20 {
        file.write_all(&mebibyte)?;
    }
    file.sync_all()?;
    // Read twice: only what is used again is kept before what was used once.
    for _ in 0..2 {
        file.rewind()?;
        std::io::copy(&mut file, &mut std::io::sink())?;
    }
    // Reads all over the file gain nothing from reading ahead.
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
    Ok(file)
}

fn reader(
    file: &File,
    count: usize,
    pages: usize,
    schedule: Schedule,
) -> anyhow::Result<Vec<Request>> {
    let mut page = [0_u8; PAGE];
    let mut at = 0;
    serve(schedule, || {
        for _ in 0..pages {
            at = (at + STRIDE) % count.max(1);
            file.read_exact_at(&mut page, (at * PAGE) as u64)?;
        }
        Ok(())
    })
}

/// A refused fork is tried again until it is granted: whoever asked waits so long. Also tells how many were
/// refused.
fn forks(schedule: Schedule) -> (Vec<Request>, u64) {
    let mut requests = Vec::new();
    let mut refused = 0;
    for due in schedule.due() {
        record::sleep_until(due);
        while super::start_and_end([super::BRIEF]).is_err() && !schedule.over() {
            refused += 1;
            record::sleep_until(now_us() + 5_000);
        }
        requests.push((
            due,
            (!schedule.over()).then(|| now_us().saturating_sub(due)),
        ));
    }
    (requests, refused)
}

trait Stream: Read + Write + Send {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A client that sends on time whether or not answers came (requests are pipelined), so that a
/// stalled server is paid for by every request that was due meanwhile.
struct Redis {
    tx: Box<dyn Stream>,
    rx: std::io::BufReader<Box<dyn Stream>>,
}

/// The request.
const COUNT: &str = "BITCOUNT noisy:bitmap\r\n";
/// How often the length is corrected where a cost is asked for, and of how many requests each time.
const SIZINGS: usize = 3;
const ASKED: usize = 15;

/// A server that has only just been started is asked again for so long.
const PATIENCE_US: u64 = 10_000_000;

fn patiently<T>(connect: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    let end_us = now_us() + PATIENCE_US;
    loop {
        match connect() {
            Err(_) if now_us() < end_us => record::sleep_until(now_us() + 50_000),
            done => return done,
        }
    }
}

/// How long an answer may take before the rest counts as never answered.
const SILENCE: Duration = Duration::from_secs(15);

impl Redis {
    fn connect(address: &str) -> anyhow::Result<Redis> {
        let (tx, rx): (Box<dyn Stream>, Box<dyn Stream>) = if address.contains('/') {
            let tx = patiently(|| UnixStream::connect(address))?;
            let rx = tx.try_clone()?;
            rx.set_read_timeout(Some(SILENCE))?;
            (Box::new(tx), Box::new(rx))
        } else {
            let tx = patiently(|| TcpStream::connect(address))?;
            tx.set_nodelay(true)?;
            let rx = tx.try_clone()?;
            rx.set_read_timeout(Some(SILENCE))?;
            (Box::new(tx), Box::new(rx))
        };
        let rx = std::io::BufReader::new(rx);
        Ok(Redis { tx, rx })
    }

    fn ask(&mut self, command: &str) -> anyhow::Result<()> {
        self.tx.write_all(command.as_bytes())?;
        answer(&mut self.rx)
    }

    /// Makes the string this long.
    fn resize(&mut self, bitmap: usize) -> anyhow::Result<()> {
        let last = bitmap.saturating_mul(8).saturating_sub(1);
        self.ask("DEL noisy:bitmap\r\n")?;
        self.ask(&format!("SETBIT noisy:bitmap {last} 1\r\n"))
    }

    /// Makes the string so long that to count it takes this time on this machine: by the median of what a megabyte takes,
    /// and then of what that comes to.
    fn size_by(&mut self, cost_us: u64) -> anyhow::Result<()> {
        let mut bitmap = 1 << 20;
        for _ in 0..SIZINGS {
            self.resize(bitmap)?;
            let mut took = [0; ASKED];
            for took in &mut took {
                let before = now_us();
                self.ask(COUNT)?;
                *took = now_us().saturating_sub(before).max(1);
            }
            took.sort_unstable();
            let factor = cost_us as f64 / took[ASKED / 2] as f64;
            bitmap = (bitmap as f64 * factor) as usize;
        }
        self.resize(bitmap)
    }

    fn run(self, schedule: Schedule) -> anyhow::Result<Vec<Request>> {
        let Redis { mut tx, rx } = self;
        let (sent, due) = mpsc::channel::<u64>();
        let reader = std::thread::spawn(move || collect(rx, &due));
        for due in schedule.due() {
            record::sleep_until(due);
            // The reader is told first: an answer never arrives without somebody to count it.
            let _ = sent.send(due);
            if tx.write_all(COUNT.as_bytes()).is_err() {
                break;
            }
        }
        drop(sent);
        let mut requests = reader
            .join()
            .map_err(|_| anyhow::anyhow!("the reader of answers died"))?;
        // What could not even be sent was never answered either.
        requests.extend(schedule.due().skip(requests.len()).map(|due| (due, None)));
        Ok(requests)
    }
}

/// The requests of all clients, by when they were due.
fn all_redis(clients: Vec<Redis>, schedule: Schedule) -> anyhow::Result<Vec<Request>> {
    let running: Vec<_> = clients
        .into_iter()
        .map(|client| std::thread::spawn(move || client.run(schedule)))
        .collect();
    let mut all = Vec::new();
    for client in running {
        all.extend(
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client died"))??,
        );
    }
    all.sort_unstable_by_key(|(due, _)| *due);
    Ok(all)
}

/// Pairs each answer with the request that was due; after a silence the rest is unanswered.
fn collect(mut answers: impl BufRead, due: &mpsc::Receiver<u64>) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut silent = false;
    while let Ok(due) = due.recv() {
        silent = silent || answer(&mut answers).is_err();
        let latency = (!silent).then(|| now_us().saturating_sub(due));
        requests.push((due, latency));
    }
    requests
}

/// Reads one reply of the redis protocol: a status or a number.
fn answer(rx: &mut impl BufRead) -> anyhow::Result<()> {
    let mut line = String::new();
    if rx.read_line(&mut line)? == 0 {
        anyhow::bail!("the server hung up");
    }
    if !line.starts_with(['+', ':']) {
        anyhow::bail!("the server said {line:?}");
    }
    Ok(())
}
