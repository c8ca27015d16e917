//! Real containers of real runtimes.

use crate::rig::{Group, ROOT};
use std::path::Path;
use std::process::{Command, Stdio};

/// Who makes a container.
#[derive(Clone, Copy)]
pub(crate) enum Runtime {
    Docker,
    Podman,
}

impl Runtime {
    fn command(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
        }
    }
}

/// A container that does nothing by itself. Removed when dropped.
pub(crate) struct Container {
    runtime: Runtime,
    name: String,
    /// The cgroup in which its processes are.
    pub(crate) group: Group,
}

/// Keeps one quota in force on the host, in a cgroup that nobody is in.
///
/// The first quota of a host and the end of its last one make the kernel patch its own code; under
/// QEMU's multi-threaded emulation a CPU that runs it meanwhile can die of that ("Oops: int3" in
/// `update_cfs_group`). With this one there is neither a first nor a last during a test.
pub(crate) fn keep_quotas_on() {
    let group = Path::new(ROOT).join("quota-stays-on");
    std::fs::create_dir_all(&group).unwrap();
    Group::at(group).write("cpu.max", "100000 100000");
}

/// The image that the lab's full system has for both runtimes.
const IMAGE: &str = "lab";

/// The image: `KERNEL_IMAGE`, or what the lab has.
fn image() -> String {
    std::env::var("KERNEL_IMAGE").unwrap_or_else(|_| IMAGE.to_owned())
}

impl Container {
    /// Starts one that sleeps.
    pub(crate) fn start(runtime: Runtime, name: &str) -> Container {
        Container::start_with(runtime, name, &[], &["sleep", "100000"])
    }

    /// Starts one with these options for the runtime, running this command.
    pub(crate) fn start_with(
        runtime: Runtime,
        name: &str,
        options: &[&str],
        command: &[&str],
    ) -> Container {
        let _ = run(runtime, &["rm", "-f", name]);
        let mut arguments = vec!["run", "-d", "--name", name];
        arguments.extend(options);
        let image = image();
        arguments.push(&image);
        arguments.extend(command);
        run(runtime, &arguments).unwrap_or_else(|why| panic!("{why}"));
        let pid = run(runtime, &["inspect", "-f", "{{.State.Pid}}", name])
            .unwrap_or_else(|why| panic!("{why}"));
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
        let path = groups
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .expect("a container in cgroup v2");
        Container {
            runtime,
            name: name.to_owned(),
            group: Group::at(Path::new(ROOT).join(path)),
        }
    }

    /// Every cgroup whose knobs may be held for this container's sake: its own and those above it.
    pub(crate) fn levers(&self) -> impl Iterator<Item = Group> {
        self.group
            .dir()
            .ancestors()
            .take_while(|dir| *dir != Path::new(ROOT))
            .map(|dir| Group::at(dir.to_owned()))
    }
}

/// Properties of a unit that move by themselves.
fn is_measured(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default();
    [
        "Current",
        "NSec",
        "Bytes",
        "Operations",
        "Packets",
        "Available",
        "Peak",
        "Monotonic",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

impl Container {
    /// Its path from the root of the cgroups.
    pub(crate) fn path(&self) -> String {
        let path = self.group.dir().strip_prefix(ROOT).unwrap();
        format!("/{}", path.display())
    }

    /// What `systemctl show` says of its scope, without what is measured.
    pub(crate) fn shown(&self) -> Vec<String> {
        let shown = systemctl(&["show", &self.scope()]);
        let lines = shown.lines().filter(|line| !is_measured(line));
        lines.map(str::to_owned).collect()
    }

    /// The weight that systemd knows of for its scope; the kernel's default where it knows none.
    pub(crate) fn weight(&self) -> String {
        let shown = systemctl(&["show", "-p", "CPUWeight", "--value", &self.scope()]);
        match shown.trim() {
            "[not set]" => "100".to_owned(),
            weight => weight.to_owned(),
        }
    }

    fn scope(&self) -> String {
        let name = self.group.dir().file_name().unwrap();
        name.to_string_lossy().into_owned()
    }

    /// Changes its limits by its runtime.
    pub(crate) fn update(&self, options: &[&str]) {
        let mut arguments = vec!["update"];
        arguments.extend(options);
        arguments.push(&self.name);
        run(self.runtime, &arguments).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Runs `systemctl`, and gives what it printed.
pub(crate) fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "systemctl {arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = run(self.runtime, &["rm", "-f", &self.name]);
    }
}

/// Runs a command of the runtime, and gives what it printed.
fn run(runtime: Runtime, arguments: &[&str]) -> Result<String, String> {
    let what = || format!("{} {}", runtime.command(), arguments.join(" "));
    let output = Command::new(runtime.command())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", what()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {said}", what()))
    }
}
