//! Loads that run in a cgroup, and what victims among them lived through.

use crate::rig::Group;
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Microseconds of CLOCK_MONOTONIC, the clock of every load's record.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

/// Sleeps until this moment of CLOCK_MONOTONIC; not at all if it has passed.
pub(crate) fn sleep_until(at_us: u64) {
    let left = at_us.saturating_sub(now_us());
    std::thread::sleep(std::time::Duration::from_micros(left));
}

/// A program of ours: `KERNEL_NOISY=/path/of/noisy`, or `/bin/noisy` as in the light rig.
pub(crate) fn program(name: &str) -> PathBuf {
    let variable = format!("KERNEL_{}", name.to_uppercase());
    std::env::var_os(variable).map_or_else(|| PathBuf::from(format!("/bin/{name}")), PathBuf::from)
}

/// A running `noisy`. Killed when dropped.
pub(crate) struct Load {
    child: Child,
    what: String,
}

impl Load {
    /// Starts `noisy ARGUMENTS` inside the group; the arguments are split at blanks.
    pub(crate) fn start(group: &Group, arguments: &str) -> Load {
        let child = Command::new(program("noisy"))
            .arg("--join")
            .arg(group.dir())
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("start noisy {arguments}: {e}"));
        Load {
            child,
            what: arguments.to_owned(),
        }
    }

    /// Somebody who is in the group, below it too, and does next to nothing; returns when he is in.
    pub(crate) fn idle(group: &Group) -> Load {
        let load = Load::start(group, "burst --threads 1 --on 1ms --every 1h --for 2h");
        let end = now_us() + 10_000_000;
        while !group.read("cgroup.events").contains("populated 1") {
            assert!(now_us() < end, "nobody entered {}", group.dir().display());
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        load
    }

    /// Waits until it ended by itself, which must have been in peace.
    pub(crate) fn finish(self) {
        self.output();
    }

    /// Waits for the record of a victim.
    pub(crate) fn record(self) -> Record {
        let what = self.what.clone();
        Record::parse(&self.output()).unwrap_or_else(|why| panic!("noisy {what}: {why}"))
    }

    fn output(mut self) -> String {
        use std::io::Read;
        let mut text = String::new();
        let mut pipe = self.child.stdout.take().expect("stdout is piped");
        pipe.read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "noisy {} ended with {status}", self.what);
        text
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a request ended. The order is that of how bad it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Latency {
    /// Answered so many microseconds after it was due.
    After(u64),
    /// Not answered before the victim gave up, 30 s after its last request was due.
    Never,
}

impl Latency {
    /// Milliseconds; infinite for `Never`.
    pub(crate) fn ms(self) -> f64 {
        match self {
            Latency::After(us) => us as f64 / 1000.0,
            Latency::Never => f64::INFINITY,
        }
    }
}

/// Every request of a victim.
pub(crate) struct Record {
    requests: Vec<(u64, Latency)>,
}

impl Record {
    fn parse(line: &str) -> anyhow::Result<Record> {
        #[derive(serde::Deserialize)]
        struct Line {
            requests: Vec<(u64, Option<u64>)>,
        }
        let line: Line = serde_json::from_str(line.trim())?;
        let requests = line.requests.into_iter();
        Ok(Record {
            requests: requests
                .map(|(due, latency)| (due, latency.map_or(Latency::Never, Latency::After)))
                .collect(),
        })
    }

    /// What became of the requests that were due in the window (microseconds of CLOCK_MONOTONIC).
    pub(crate) fn window(&self, from_us: u64, to_us: u64) -> Window {
        let mut latencies: Vec<Latency> = self
            .requests
            .iter()
            .filter(|(due, _)| (from_us..to_us).contains(due))
            .map(|(_, latency)| *latency)
            .collect();
        assert!(!latencies.is_empty(), "no request was due in the window");
        latencies.sort_unstable();
        let in_time = self
            .requests
            .iter()
            .filter(|(due, latency)| match latency {
                Latency::After(us) => (from_us..to_us).contains(due) && due + us < to_us,
                Latency::Never => false,
            })
            .count();
        Window { latencies, in_time }
    }
}

impl Record {
    /// The requests from this moment on that took more than `over_ms`: when they were due after it, and
    /// how long they took, in milliseconds.
    pub(crate) fn slow(&self, from_us: u64, over_ms: f64) -> impl Iterator<Item = (u64, f64)> {
        self.requests
            .iter()
            .filter(move |(due, latency)| *due >= from_us && latency.ms() > over_ms)
            .map(move |(due, latency)| ((due - from_us) / 1_000, latency.ms()))
    }
}

/// The requests of one window.
pub(crate) struct Window {
    latencies: Vec<Latency>,
    in_time: usize,
}

impl Window {
    /// The smallest latency that at least this part of the requests did not exceed.
    pub(crate) fn percentile(&self, part: f64) -> Latency {
        let count = self.latencies.len();
        let rank = (part * count as f64).ceil() as usize;
        self.latencies[rank.clamp(1, count) - 1]
    }

    /// The part of the requests that took more than this, in milliseconds.
    pub(crate) fn over(&self, ms: f64) -> f64 {
        let over = self.latencies.iter().filter(|latency| latency.ms() > ms);
        over.count() as f64 / self.latencies.len() as f64
    }

    /// The requests of both windows.
    pub(crate) fn and(mut self, other: Window) -> Window {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        self.in_time += other.in_time;
        self
    }

    /// How many were due.
    pub(crate) fn due(&self) -> usize {
        self.latencies.len()
    }

    /// The part of those due in the window that was also answered in it.
    pub(crate) fn answered(&self) -> f64 {
        self.in_time as f64 / self.latencies.len() as f64
    }
}
