//! A tool under test as a process in a group of its own: the governor, or one of its peers.

use crate::arm::Arm;
use crate::loads::record::now_us;
use crate::record;
use crate::scene::Scene;
use crate::stop;
use crate::{actor, peer};
use anyhow::{Context, bail};
use governor::model::{EventView, Status};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a tool may take to be ready, and to end when asked to.
const PATIENCE_US: u64 = 20_000_000;

/// Where tools find what they need.
pub(crate) struct ToolPlaces<'p> {
    /// The `governor` under test.
    pub(crate) governor: &'p Path,
    /// A folder of this run, in memory.
    pub(crate) work: &'p Path,
    /// Whether the groups are no containers, but are told to the governor as such.
    pub(crate) globs: bool,
    /// The governor's `runtime.budget`; `None`: the default.
    pub(crate) budget: Option<&'p str>,
}

/// What a tool has used since its start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    /// CPU time, with all that it started.
    cpu_us: u64,
    /// System calls of its own process that read or write: `syscr` and `syscw` of `/proc/PID/io`. A poll, a clock, an
    /// open and a fork are none of them.
    reads_writes: Option<u64>,
    /// How often its process's living threads left a CPU, by waiting or by force.
    switches: Option<u64>,
}

impl Spent {
    /// What came to it since then.
    pub(crate) fn since(self, before: Spent) -> Spent {
        let both = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Spent {
            cpu_us: self.cpu_us.saturating_sub(before.cpu_us),
            reads_writes: both(self.reads_writes, before.reads_writes),
            switches: both(self.switches, before.switches),
        }
    }
}

/// A running tool. Killed when dropped: who cares ends it by [`Tool::end`].
pub(crate) struct Tool {
    arm: Arm,
    child: Child,
    log: PathBuf,
    asks: Option<Asks>,
}

/// How the governor is asked.
struct Asks {
    program: PathBuf,
    policy: PathBuf,
}

impl Tool {
    /// `governor run` on this policy; returns when it answers.
    ///
    /// # Errors
    /// It is missing, or ends, or does not answer.
    pub(crate) fn governor(policy: &str, places: &ToolPlaces<'_>) -> anyhow::Result<Tool> {
        // In a folder of its own, as in /etc: the daemon watches the folder.
        let folder = places.work.join("etc");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("governor.toml");
        let work = places.work.display();
        let (containers, names) = if places.globs {
            let glob = Scene::glob();
            (
                format!("[containers]\npaths = [\"{glob}\"]\n"),
                "docker = []\n",
            )
        } else {
            (String::new(), "")
        };
        let budget = places.budget;
        let budget = budget.map_or(String::new(), |part| format!("budget = \"{part}\"\n"));
        let text = format!(
            "{policy}\n{containers}\
             [runtime]\nsocket = \"{work}/governor.sock\"\nstate = \"{work}\"\n{budget}{names}"
        );
        std::fs::write(&file, text)?;
        let words = [
            places.governor.as_os_str(),
            "run".as_ref(),
            "--config".as_ref(),
            file.as_os_str(),
        ];
        let mut tool = Tool::spawn(Arm::Governor, words, places)?;
        tool.asks = Some(Asks {
            program: places.governor.to_owned(),
            policy: file,
        });
        tool.until_ready(|tool| tool.status().is_some())?;
        Ok(tool)
    }

    /// A peer, with the settings that its manual names for the case.
    ///
    /// # Errors
    /// It is missing, or ends at once.
    pub(crate) fn peer(arm: Arm, places: &ToolPlaces<'_>) -> anyhow::Result<Tool> {
        let words = peer::command(arm, places.work)?;
        let mut tool = Tool::spawn(arm, words.iter().map(String::as_str), places)?;
        // None of them tells when it is ready, nor that what its start takes of the CPUs is over.
        let ready_us = now_us() + 3_000_000;
        tool.until_ready(|_| now_us() >= ready_us)?;
        Ok(tool)
    }

    fn spawn<W: AsRef<std::ffi::OsStr>>(
        arm: Arm,
        words: impl IntoIterator<Item = W>,
        places: &ToolPlaces<'_>,
    ) -> anyhow::Result<Tool> {
        let log = places.work.join("tool.log");
        let file = std::fs::File::create(&log)?;
        let child = actor::load(Scene::tool().dir())
            .args(["exec", "--"])
            .args(words)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {}", arm.word()))?;
        Ok(Tool {
            arm,
            child,
            log,
            asks: None,
        })
    }

    fn until_ready(&mut self, ready: impl Fn(&Tool) -> bool) -> anyhow::Result<()> {
        let end_us = now_us() + PATIENCE_US;
        while !ready(self) {
            stop::check()?;
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.arm.word(), self.said());
            }
            if now_us() >= end_us {
                bail!(
                    "{} is not ready after 20 s:\n{}",
                    self.arm.word(),
                    self.said()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn ask(&self, words: &[&str]) -> Option<Vec<u8>> {
        let asks = self.asks.as_ref()?;
        let answer = Command::new(&asks.program)
            .args(words)
            .arg("--config")
            .arg(&asks.policy)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        answer
            .ok()
            .filter(|answer| answer.status.success())
            .map(|answer| answer.stdout)
    }

    /// `None` while no daemon answers: without one, `status` looks by itself and says so.
    fn status(&self) -> Option<Status> {
        let status: Status = serde_json::from_slice(&self.ask(&["status", "--json"])?).ok()?;
        (status.header.source == "daemon").then_some(status)
    }

    /// Its own story so far.
    pub(crate) fn events(&self) -> Vec<EventView> {
        let told = self.ask(&["events", "--json"]).unwrap_or_default();
        let told = String::from_utf8_lossy(&told);
        told.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What it has used since its start.
    pub(crate) fn spent(&self) -> Spent {
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        let process = procfs::process::Process::new(pid).ok();
        let io = process.as_ref().and_then(|process| process.io().ok());
        Spent {
            cpu_us: Scene::tool().number("cpu.stat", "usage_usec"),
            reads_writes: io.map(|io| io.syscr + io.syscw),
            switches: process.as_ref().and_then(switches),
        }
    }

    /// Asks it to end, and tells what it cost: so much over so much time.
    ///
    /// # Errors
    /// The system fails.
    pub(crate) fn end(&mut self, spent: Spent, over_us: u64) -> anyhow::Result<record::Tool> {
        let pid = i32::try_from(self.child.id())?;
        let lateness = self
            .status()
            .and_then(|status| status.header.lateness_p99_ms);
        let process = procfs::process::Process::new(pid).and_then(|process| process.status());
        let rss = process
            .ok()
            .and_then(|status| status.vmhwm)
            .map(|kib| kib << 10);
        if let Some(pid) = Pid::from_raw(pid) {
            kill_process(pid, Signal::TERM)?;
        }
        let end_us = now_us() + PATIENCE_US;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break Some(status);
            }
            if now_us() >= end_us {
                break None;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Ok(record::Tool {
            cpu_us: spent.cpu_us,
            reads_writes: spent.reads_writes,
            switches: spent.switches,
            over_us,
            rss,
            lateness_p99_ms: lateness,
            // A peer may have no handler: then the signal it was sent is its end.
            ended_well: status.is_some_and(|status| status.success() || self.asks.is_none()),
        })
    }
}

/// Of all threads: the process's own file tells of its first one only.
fn switches(process: &procfs::process::Process) -> Option<u64> {
    let mut sum = 0;
    for thread in process.tasks().ok()?.flatten() {
        let status = thread.status().ok()?;
        sum += status.voluntary_ctxt_switches? + status.nonvoluntary_ctxt_switches?;
    }
    Some(sum)
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.stop();
        if self.arm == Arm::SystemdOomd {
            peer::put_away();
        }
    }
}

impl Tool {
    /// Ends it, gently first: the governor gives everything back on SIGTERM, and a run that was stopped wants
    /// that, too.
    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
