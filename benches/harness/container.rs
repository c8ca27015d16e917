//! Real containers, one for each victim and attacker: started with a [porter](crate::porter) in it, which takes
//! orders over a socket. The runtime is asked twice, to start one and to remove it, and never while anything is
//! measured.

use crate::loads::record::now_us;
use crate::places::Places;
use crate::{porter, stop};
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// Who makes containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Runtime {
    /// Docker.
    Docker,
    /// Podman, as root.
    Podman,
}

impl Runtime {
    /// Its command.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
        }
    }
}

/// How containers are made.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    /// Who makes them.
    pub(crate) runtime: Runtime,
    /// Of what: it has the programs of the scenarios. Nothing is fetched.
    pub(crate) image: String,
}

impl Containers {
    /// The runtime, its version and the image, for people.
    ///
    /// # Errors
    /// The runtime is missing.
    pub(crate) fn line(&self) -> anyhow::Result<String> {
        let version = ask(self.runtime, &["--version".into()])?;
        let version = version.lines().next().unwrap_or_default().trim();
        Ok(format!("{version}, image {}", self.image))
    }
}

/// A container. Removed when dropped.
pub(crate) struct Container {
    runtime: Runtime,
    name: String,
    link: UnixStream,
    socket: PathBuf,
}

/// Where cgroup v2 is mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Where this program is in a container.
const SELF: &str = "/governor-bench";
/// How long a container that was started may take to report.
const PATIENCE_US: u64 = 60_000_000;

impl Container {
    /// Starts one for this actor; returns it with its cgroup's directory.
    ///
    /// # Errors
    /// The runtime refuses, or the container does not report.
    pub(crate) fn start(
        how: &Containers,
        actor: &str,
        places: &Places,
    ) -> anyhow::Result<(Container, PathBuf)> {
        let name = format!("governor-bench-{actor}");
        // What a harness left that was killed.
        remove(how.runtime, &name);
        let socket = places.work().join(format!("{actor}.porter"));
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        // From here on it is removed, whatever comes.
        let started = Started(how.runtime, name);
        ask(how.runtime, &words(how, &started.1, &socket, places)?)?;
        let link = accept(&listener)
            .with_context(|| format!("the container {} does not report", started.1))?;
        let pid = rustix::net::sockopt::socket_peercred(&link)?.pid;
        let groups = std::fs::read(format!("/proc/{}/cgroup", pid.as_raw_pid()))?;
        let path = governor::kernel::self_cgroup::parse(&groups)
            .map_err(|why| anyhow::anyhow!("the container's cgroup: {why:?}"))?;
        let path = std::str::from_utf8(path)?.trim_start_matches('/');
        let (runtime, name) = started.keep();
        let container = Container {
            runtime,
            name,
            link,
            socket,
        };
        Ok((container, Path::new(ROOT).join(path)))
    }

    /// Runs the words of this very program in it; what waits for their end.
    ///
    /// # Errors
    /// The container is gone.
    pub(crate) fn run(&self, words: &[String]) -> anyhow::Result<Running> {
        let mut link = self.link.try_clone()?;
        writeln!(link, "{}", serde_json::to_string(words)?)?;
        Ok(Running {
            link,
            socket: self.socket.clone(),
        })
    }

    /// Kills what runs in it. It stays, and its cgroup with it.
    pub(crate) fn kill(&self) {
        let _ = (&self.link).write_all(b"\n");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.link.shutdown(Shutdown::Both);
        remove(self.runtime, &self.name);
    }
}

/// What runs in a container.
pub(crate) struct Running {
    link: UnixStream,
    socket: PathBuf,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn wait(self) -> std::io::Result<ExitStatus> {
        let mut line = String::new();
        BufReader::new(self.link).read_line(&mut line)?;
        let status = line
            .trim()
            .parse()
            .map_err(|_| std::io::Error::other("its container is gone"))?;
        Ok(ExitStatus::from_raw(status))
    }

    /// Where what it prints is.
    pub(crate) fn said(&self) -> PathBuf {
        porter::said(&self.socket)
    }

    /// Where its complaints are.
    pub(crate) fn complaints(&self) -> PathBuf {
        porter::complaints(&self.socket)
    }
}

/// A container that has not reported yet.
struct Started(Runtime, String);

impl Started {
    fn keep(mut self) -> (Runtime, String) {
        (self.0, std::mem::take(&mut self.1))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.1.is_empty() {
            remove(self.0, &self.1);
        }
    }
}

/// What makes a container that has the run's places where this program has them, and this program in it.
fn words(
    how: &Containers,
    name: &str,
    socket: &Path,
    places: &Places,
) -> anyhow::Result<Vec<OsString>> {
    let mut words: Vec<OsString> = [
        "run",
        "--detach",
        // With the harness the porter ends, and then nobody is there to remove it.
        "--rm",
        "--pull=never",
        "--network=none",
        // Podman has a limit of its own; who is to have one has it by the scenario.
        "--pids-limit=-1",
    ]
    .map(OsString::from)
    .into();
    words.push(format!("--name={name}").into());
    let own = std::env::current_exe()?;
    let mut mount = |from: &Path, to: &Path, how: &str| {
        words.push(format!("--volume={}:{}{how}", from.display(), to.display()).into());
    };
    mount(&own, Path::new(SELF), ":ro");
    for folder in [places.work(), places.data()] {
        mount(folder, folder, "");
    }
    if let Some(device) = places.device() {
        words.push(format!("--device={}", device.display()).into());
    }
    words.extend([how.image.as_str(), SELF, "porter"].map(OsString::from));
    words.push(socket.into());
    Ok(words)
}

fn accept(listener: &UnixListener) -> anyhow::Result<UnixStream> {
    let end_us = now_us() + PATIENCE_US;
    loop {
        stop::check()?;
        match listener.accept() {
            Ok((link, _)) => {
                link.set_nonblocking(false)?;
                return Ok(link);
            }
            Err(why) if why.kind() != std::io::ErrorKind::WouldBlock => return Err(why.into()),
            Err(_) if now_us() >= end_us => bail!("nothing within a minute"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Asks the runtime, and gives what it printed.
fn ask(runtime: Runtime, words: &[OsString]) -> anyhow::Result<String> {
    let answer = command(runtime)
        .args(words)
        .output()
        .with_context(|| format!("{} cannot be started", runtime.word()))?;
    if !answer.status.success() {
        let why = String::from_utf8_lossy(&answer.stderr);
        bail!("{} refuses: {}", runtime.word(), why.trim());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Removes it, whatever it does. It may be gone, or about to be: by its own end.
fn remove(runtime: Runtime, name: &str) {
    let _ = command(runtime).args(["rm", "--force", name]).output();
    for _ in 0..100 {
        let there = command(runtime)
            .args(["container", "inspect", name])
            .output();
        if !there.is_ok_and(|there| there.status.success()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("governor-bench: the container {name} could not be removed");
}

fn command(runtime: Runtime) -> Command {
    let mut command = Command::new(runtime.word());
    command.stdin(Stdio::null());
    // A Ctrl-C is for the harness, which ends all others in their order.
    command.process_group(0);
    command
}
