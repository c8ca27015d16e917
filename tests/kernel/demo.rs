//! `make demo`: redis in a container under a steady load, a hog in another, and what the governor
//! makes of it, told on the terminal. `tests/demo/run` starts it, in the lab or on this host.
//!
//! The container has one redis for each CPU, each under an open loop at a fixed rate, sized so that it needs about
//! 60 % of a CPU: more than the half that a fair split with a newcomer leaves it. (One redis alone cannot
//! be starved by a fair split: it never wants more than one CPU.) The clients are real-time tasks: they wait
//! for no CPU, so that what is measured is redis, and the scheduler does not count them when it spreads the
//! others over the CPUs. (Clients of great weight drew all redis to one of them.)

use crate::container::{Container, Runtime, keep_quotas_on};
use crate::daemon::{Daemon, governor, write_policy};
use crate::load::{Load, Window, now_us, program, sleep_until};
use crate::rig::{Group, ROOT};
use crate::table;
use cgroups_rs::fs::cgroup_builder::CgroupBuilder;
use cgroups_rs::fs::hierarchies::V2;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Requests a second for each redis, and what each shall cost it.
const RATE: u64 = 50;
const EVERY: &str = "20ms";
const COST_US: f64 = 12_000.0;
const SECOND_US: u64 = 1_000_000;
const STAGE: &str = "governor-demo";

/// Tells the story. Fails when the governor did not end the attack, or gave something back wrong.
pub(crate) fn run() -> ExitCode {
    let stage = Stage::build();
    say("");
    say(&format!(
        "  {0} redis in a container, {RATE} requests a second each; a hog of {1} threads in another (kernel {2}, {0} CPUs)",
        cpus(),
        hog_threads(),
        table::kernel(),
    ));
    say("");
    say("                     redis p50        p99   answered    the hog's CPU");
    let alone = stage.act("alone", 7);
    let hog = stage.hog(11);
    let attacked = stage.act("attacked", 9);
    hog.end();

    let originals = stage.knobs();
    let daemon = stage.govern();
    // What redis needs is learnt while it is at work and nobody is in its way.
    for load in stage.steady(12) {
        load.finish();
    }
    let hog = stage.hog(14);
    std::thread::sleep(Duration::from_secs(1));
    let governed = stage.act("governed", 9);
    say("");
    let status = governor(&stage.work, &["status"]);
    for line in String::from_utf8_lossy(&status.stdout).lines() {
        say(&format!("  {line}"));
    }
    say("");
    hog.end();
    let waited = Instant::now();
    let returned = stage.given_back(&originals);
    let released = stage.act("released", 6);
    let ended = daemon.terminate().success();
    let exact = stage.knobs() == originals;
    say("");
    match returned {
        true => say(&format!(
            "  {:.0} s after the attack nothing was held; with the governor gone, {} knobs of both containers are {}.",
            waited.elapsed().as_secs_f64() - 6.0,
            originals.len(),
            if exact {
                "byte for byte what they were"
            } else {
                "NOT what they were"
            },
        )),
        false => say("  The limits were NOT given back."),
    }
    // The last request of a window may be answered just after it.
    let saved = governed.percentile(0.99) < attacked.percentile(0.99)
        && governed.answered() >= attacked.answered() - 0.01;
    say(&format!(
        "  p99 alone {}, attacked {}, governed {}, released {}.",
        p99(&alone),
        p99(&attacked),
        p99(&governed),
        p99(&released)
    ));
    if exact && returned && ended && saved {
        ExitCode::SUCCESS
    } else {
        say("  The demo failed.");
        ExitCode::FAILURE
    }
}

fn say(line: &str) {
    println!("{line}");
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Four for each CPU.
fn hog_threads() -> usize {
    4 * cpus()
}

fn p99(window: &Window) -> String {
    table::ms(window.percentile(0.99)) + " ms"
}

/// The containers and the client.
struct Stage {
    work: PathBuf,
    redis: Container,
    hog: Container,
    client: Group,
    bitmap: usize,
}

impl Stage {
    fn build() -> Stage {
        let work = PathBuf::from(format!("/run/{STAGE}"));
        let _ = std::fs::remove_dir_all(&work);
        std::fs::create_dir_all(&work).unwrap();
        let share = format!("{}:/demo", work.display());
        let noisy = format!("{}:/noisy:ro", program("noisy").display());
        keep_quotas_on();
        say("  starting two containers");
        let server = |number| {
            format!(
                "redis-server --port 0 --unixsocket /demo/{number} --unixsocketperm 777 --save '' &"
            )
        };
        let servers: String = (0..cpus()).map(server).collect();
        let servers = servers + " wait";
        let redis = Container::start_with(
            Runtime::Docker,
            "governor-demo-redis",
            &["-v", &share],
            &["sh", "-c", &servers],
        );
        let hog = Container::start_with(
            Runtime::Docker,
            "governor-demo-hog",
            &["-v", &noisy],
            &["sleep", "100000"],
        );
        CgroupBuilder::new(STAGE)
            .build(Box::new(V2::new()))
            .expect("a cgroup for the client");
        let client = Group::at(Path::new(ROOT).join(STAGE));
        let end = Instant::now() + Duration::from_secs(20);
        while !(0..cpus()).all(|number| work.join(number.to_string()).exists()) {
            assert!(Instant::now() < end, "redis does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut stage = Stage {
            work,
            redis,
            hog,
            client,
            bitmap: 256 << 10,
        };
        stage.size_requests();
        stage
    }

    /// Finds the string whose bits cost redis what a request shall cost, on this machine as it is
    /// now: roughly by requests that are all due at once, then at the steady rate.
    fn size_requests(&mut self) {
        for (every, run_for, requests) in [
            ("1us", "50us", 50),
            ("1us", "50us", 50),
            (EVERY, "2s", 2 * RATE),
            (EVERY, "3s", 3 * RATE),
        ] {
            let before = self.redis.group.cpu_us();
            for load in self.load(every, run_for) {
                load.finish();
            }
            let requests = requests * cpus() as u64;
            let cost = (self.redis.group.cpu_us() - before) as f64 / requests as f64;
            let factor = (COST_US / cost.max(1.0)).clamp(0.1, 10.0);
            self.bitmap = (self.bitmap as f64 * factor) as usize;
        }
    }

    /// Requests to each redis so often, for so long.
    fn load(&self, every: &str, run_for: &str) -> Vec<Load> {
        let start = |number| {
            Load::start(
                &self.client,
                &format!(
                    "--real-time 1 victim redis --address {}/{number} --bitmap {} --every {every} --for {run_for}",
                    self.work.display(),
                    self.bitmap,
                ),
            )
        };
        (0..cpus()).map(start).collect()
    }

    /// The steady load.
    fn steady(&self, seconds: u64) -> Vec<Load> {
        self.load(EVERY, &format!("{seconds}s"))
    }

    /// Loads redis for so many seconds and tells what came of it.
    fn act(&self, name: &str, seconds: u64) -> Window {
        let from = now_us();
        let hog_before = self.hog.group.cpu_us();
        let loads = self.steady(seconds);
        sleep_until(from + seconds * SECOND_US);
        let to = now_us();
        let hog = (self.hog.group.cpu_us() - hog_before) as f64 / (to - from) as f64;
        let windows = loads.into_iter().map(|load| load.record().window(from, to));
        let window = windows.reduce(Window::and).expect("a CPU");
        say(&format!(
            "  {name:<16} {:>10} ms {:>7} ms {:>6.0} /s {hog:>12.2} CPUs",
            table::ms(window.percentile(0.5)),
            table::ms(window.percentile(0.99)),
            window.answered() * (RATE * cpus() as u64) as f64,
        ));
        window
    }

    /// Starts the hog inside its container; returns when it spins.
    fn hog(&self, seconds: u64) -> Hog {
        let before = self.hog.group.cpu_us();
        let child = Command::new("docker")
            .args(["exec", "governor-demo-hog", "/noisy", "hog", "cpu"])
            .args(["--threads", &hog_threads().to_string()])
            .args(["--for", &format!("{seconds}s")])
            .stdin(Stdio::null())
            .spawn()
            .expect("docker exec");
        let end = Instant::now() + Duration::from_secs(30);
        while self.hog.group.cpu_us() < before + 50_000 {
            assert!(Instant::now() < end, "the hog does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Hog { child }
    }

    fn govern(&self) -> Daemon {
        write_policy(&self.work, &[], "");
        // Where a CPU is emulated one percent of it buys a tick a second (seen). The policy's last table is
        // `[runtime]`.
        let mut policy = std::fs::File::options()
            .append(true)
            .open(self.work.join("etc/governor.toml"))
            .expect("the policy");
        policy.write_all(b"budget = \"10%\"\n").expect("the policy");
        Daemon::start_again(&self.work)
    }

    /// Every knob of both containers and of the slices above them.
    fn knobs(&self) -> Vec<(&'static str, Vec<u8>)> {
        let levers = self.redis.levers().chain(self.hog.levers());
        levers.flat_map(|lever| lever.knobs()).collect()
    }

    /// Whether everything is what it was, after at most a minute.
    fn given_back(&self, originals: &[(&'static str, Vec<u8>)]) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        while self.knobs() != originals {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::write(self.client.dir().join("cgroup.kill"), "1");
        let _ = std::fs::remove_dir(self.client.dir());
        let _ = std::fs::remove_dir_all(&self.work);
    }
}

/// A hog inside its container, which ends by itself.
struct Hog {
    child: Child,
}

impl Hog {
    fn end(mut self) {
        let _ = self.child.wait();
    }
}
