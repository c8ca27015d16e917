//! The real `governor run`, as a process of its own in a cgroup of its own.

use crate::load::program;
use crate::rig::{Group, ROOT};
use cgroups_rs::fs::cgroup_builder::CgroupBuilder;
use cgroups_rs::fs::hierarchies::V2;
use governor::model::Status;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The daemon's own cgroup, where its unit would be.
const HOME: &str = "governor.service";

/// How long the daemon may take to answer after its start, and to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running daemon. Killed without mercy when dropped: a test that cares ends it by
/// [`Daemon::terminate`] or [`Daemon::kill`].
pub(crate) struct Daemon {
    child: Child,
    work: PathBuf,
    home: Group,
}

impl Daemon {
    /// Writes the policy and starts the daemon in `work`; returns when it answers.
    pub(crate) fn start(work: &Path, containers: &[&str], policy: &str) -> Daemon {
        write_policy(work, containers, policy);
        let mut daemon = Daemon::spawn(work);
        daemon.must_answer();
        daemon
    }

    /// Starts a daemon on the policy that stands in `work` already, as after a crash.
    pub(crate) fn start_again(work: &Path) -> Daemon {
        let mut daemon = Daemon::spawn(work);
        daemon.must_answer();
        daemon
    }

    /// Starts it without waiting for anything.
    pub(crate) fn spawn(work: &Path) -> Daemon {
        CgroupBuilder::new(HOME)
            .build(Box::new(V2::new()))
            .unwrap_or_else(|e| panic!("make cgroup {HOME}: {e}"));
        let home = Group::at(Path::new(ROOT).join(HOME));
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(work.join("governor.log"))
            .unwrap();
        let child = Command::new(program("noisy"))
            .arg("--join")
            .arg(home.dir())
            .arg("exec")
            .arg(program("governor"))
            .arg("run")
            .arg("--config")
            .arg(policy_file(work))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("start governor: {e}"));
        Daemon {
            child,
            work: work.to_owned(),
            home,
        }
    }

    fn must_answer(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.try_status().is_none() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("governor run ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < end,
                "governor run does not answer after {PATIENCE:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What `governor status --json` gets from this daemon; fails when it gets no answer.
    pub(crate) fn status(&self) -> Status {
        self.try_status()
            .unwrap_or_else(|| panic!("the governor does not answer:\n{}", self.log()))
    }

    /// `None` while no daemon answers.
    fn try_status(&self) -> Option<Status> {
        let answer = governor(&self.work, &["status", "--json"]);
        let status: Status = serde_json::from_slice(&answer.stdout).ok()?;
        // Without a daemon, `status` looks by itself and says so.
        (answer.status.success() && status.header.source == "daemon").then_some(status)
    }

    /// Everything that it said so far, on stdout and stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.work.join("governor.log")).unwrap_or_default()
    }

    /// CPU time that it and all before it in its cgroup have used, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        self.home.cpu_us()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal(Signal::TERM);
        let log = self.work.join("governor.log");
        self.ended_within(PATIENCE).unwrap_or_else(|| {
            let log = fs::read_to_string(log).unwrap_or_default();
            panic!("governor did not end after SIGTERM:\n{log}")
        })
    }

    /// Its end by itself; `None` if it still runs after this time.
    pub(crate) fn ended_within(mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL; returns when it is dead.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("KERNEL_LOG").is_some() {
            eprintln!("--- governor's log ---\n{}---", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a folder of its own, as in `/etc`: the daemon watches the folder, and its log beside the policy
/// would look like a change of it.
fn policy_file(work: &Path) -> PathBuf {
    work.join("etc/governor.toml")
}

/// Writes the policy for a daemon in `work`, with all of the daemon's files in there too.
pub(crate) fn write_policy(work: &Path, containers: &[&str], policy: &str) {
    let directory = work.display();
    let text = format!(
        "{policy}\n\
         [containers]\n\
         paths = {containers:?}\n\
         [runtime]\n\
         socket = \"{directory}/governor.sock\"\n\
         state = \"{directory}\"\n\
         docker = []\n"
    );
    let file = policy_file(work);
    fs::create_dir_all(work.join("etc")).unwrap();
    fs::write(&file, text).unwrap();
    let check = Command::new(program("governor"))
        .arg("check")
        .arg(&file)
        .output();
    let check = check.unwrap_or_else(|e| panic!("governor check: {e}"));
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
}

/// Runs a subcommand of `governor` on the policy in `work` to its end.
pub(crate) fn governor(work: &Path, arguments: &[&str]) -> Output {
    Command::new(program("governor"))
        .args(arguments)
        .arg("--config")
        .arg(policy_file(work))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("governor {arguments:?}: {e}"))
}
