//! Other programs that write into cgroups on this host, so that who fights over a knob has a name.
//!
//! Two things tell of them. The cgroup of a unit, which no container can forge. And, because the agents of Kubernetes
//! nodes run in containers themselves, the name of a process (`/proc/PID/comm`), which every process
//! chooses for itself: it is worth a line for people, and nothing is decided by it.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where the host is looked at"
)]

use std::path::Path;

/// Another program that writes into cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name; one of ours, never of the host's.
    pub name: &'static str,
    /// What it does there, and what we do about it.
    pub does: &'static str,
    /// By what it was recognised. Of a process the cgroup is lossy and not escaped.
    pub seen: String,
}

/// How one is recognised.
struct Known {
    name: &'static str,
    does: &'static str,
    /// The cgroup of its unit.
    unit: Option<&'static str>,
    /// The name of its process, of which the kernel keeps 15 bytes.
    comm: Option<&'static str>,
}

const KUBELET: &str = "rewrites its own slices about every minute; governor leaves those to it";
const KILLS: &str = "kills under memory pressure; governor tightens before that, and both may act";
const QUOTAS: &str = "writes quotas of containers by itself; what it writes is treated as \
     `release.others` says, but let only one of the two act on a container";

const fn unit(name: &'static str, unit: &'static str, does: &'static str) -> Known {
    Known {
        name,
        does,
        unit: Some(unit),
        comm: None,
    }
}

const fn process(name: &'static str, comm: &'static str, does: &'static str) -> Known {
    Known {
        name,
        does,
        unit: None,
        comm: Some(comm),
    }
}

/// The name under which another governor is told.
pub const GOVERNOR: &str = "another governor";

static KNOWN: [Known; 20] = [
    unit("kubelet", "system.slice/kubelet.service", KUBELET),
    unit("k3s", "system.slice/k3s.service", KUBELET),
    unit("k3s-agent", "system.slice/k3s-agent.service", KUBELET),
    unit("systemd-oomd", "system.slice/systemd-oomd.service", KILLS),
    unit("oomd", "system.slice/oomd.service", KILLS),
    unit("earlyoom", "system.slice/earlyoom.service", KILLS),
    unit("nohang", "system.slice/nohang.service", KILLS),
    unit("cgconfig", "system.slice/cgconfig.service", QUOTAS),
    unit("cgrulesengd", "system.slice/cgred.service", QUOTAS),
    unit("uresourced", "system.slice/uresourced.service", QUOTAS),
    unit(
        "systemd",
        "init.scope",
        "daemon-reload and set-property revert direct writes; governor sets them again, \
         a bounded number of times",
    ),
    process("kubelet", "kubelet", KUBELET),
    process("koordlet", "koordlet", QUOTAS),
    process("katalyst-agent", "katalyst-agent", QUOTAS),
    process("crane-agent", "crane-agent", QUOTAS),
    process("rubik", "rubik", QUOTAS),
    process("caelus", "caelus", QUOTAS),
    process("cgrulesengd", "cgrulesengd", QUOTAS),
    process("ananicy", "ananicy-cpp", QUOTAS),
    process(
        GOVERNOR,
        "governor",
        "two that hold the same knobs take each other's limits for originals: stop one of them",
    ),
];

/// More processes than this are not looked at.
const PROCESSES: usize = 100_000;

/// The other managers of cgroups: those whose units have a cgroup under `root`, and those who run now. We
/// ourselves are none.
#[must_use]
pub fn managers(root: Option<&Path>) -> Vec<Manager> {
    managers_in(root, Path::new("/proc"))
}

/// Each is told once; of governors two, because one of them is expected by whoever is none himself.
fn managers_in(root: Option<&Path>, proc: &Path) -> Vec<Manager> {
    let mut found = Vec::new();
    let mut tell = |known: &Known, seen: String| {
        let most = if known.name == GOVERNOR { 2 } else { 1 };
        let told = found.iter().filter(|one: &&Manager| one.name == known.name);
        if told.count() < most {
            let (name, does) = (known.name, known.does);
            found.push(Manager { name, does, seen });
        }
    };
    for known in &KNOWN {
        if let (Some(root), Some(unit)) = (root, known.unit)
            && root.join(unit).is_dir()
        {
            tell(known, format!("the unit's cgroup /{unit}"));
        }
    }
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    for entry in entries.take(PROCESSES) {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if let Some(known) = known_process(&entry.path())
            && pid != std::process::id()
        {
            let cgroup = cgroup_of(&entry.path());
            tell(
                known,
                format!("process {pid}, which calls itself so, in {cgroup}"),
            );
        }
    }
    found
}

fn known_process(folder: &Path) -> Option<&'static Known> {
    let comm = std::fs::read(folder.join("comm")).ok()?;
    let comm = comm.trim_ascii_end();
    let known = KNOWN
        .iter()
        .find(|known| known.comm.is_some_and(|name| name.as_bytes() == comm))?;
    // `governor status` is no manager.
    if known.name == GOVERNOR {
        let line = std::fs::read(folder.join("cmdline")).ok()?;
        let mut words = line.split(|&byte| byte == 0).skip(1);
        words.find(|word| *word == b"run")?;
    }
    Some(known)
}

fn cgroup_of(folder: &Path) -> String {
    let text = std::fs::read(folder.join("cgroup")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    path.unwrap_or("a cgroup that is not known").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, comm: &str, line: &[u8], cgroup: &str) {
        let folder = proc.join(pid.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
        std::fs::write(folder.join("cmdline"), line).unwrap();
        std::fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
    }

    fn names(found: &[Manager]) -> Vec<&str> {
        found.iter().map(|manager| manager.name).collect()
    }

    #[test]
    fn a_manager_is_told_by_the_cgroup_of_its_unit() {
        let dir = tempfile::tempdir().unwrap();
        let none = dir.path().join("none");
        assert!(managers_in(Some(dir.path()), &none).is_empty());
        std::fs::create_dir_all(dir.path().join("system.slice/kubelet.service")).unwrap();
        // A container may have any name; it has no unit of that name.
        std::fs::create_dir_all(dir.path().join("system.slice/docker-earlyoom.scope")).unwrap();
        let found = managers_in(Some(dir.path()), &none);
        assert_eq!(names(&found), ["kubelet"]);
        assert_eq!(
            found[0].seen,
            "the unit's cgroup /system.slice/kubelet.service"
        );
    }

    #[test]
    fn the_agent_of_a_node_is_told_by_its_process_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path();
        let pod = "/kubepods.slice/kubepods-podx.slice/cri-containerd-1.scope";
        process(proc, 41, "koordlet", b"/koordlet\0-v=4\0", pod);
        process(proc, 42, "koordlet", b"/koordlet\0-v=4\0", pod);
        process(proc, 43, "koordlet-not", b"/x\0", "/");
        std::fs::create_dir_all(proc.join("44")).unwrap();
        let found = managers_in(None, proc);
        assert_eq!(names(&found), ["koordlet"]);
        assert!(found[0].seen.ends_with(pod), "{:?}", found[0]);
    }

    #[test]
    fn another_governor_is_one_that_runs_and_is_not_we() {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path();
        process(proc, 7, "governor", b"governor\0status\0", "/");
        process(
            proc,
            std::process::id(),
            "governor",
            b"governor\0run\0",
            "/",
        );
        assert!(managers_in(None, proc).is_empty());
        process(
            proc,
            8,
            "governor",
            b"/usr/bin/governor\0run\0--config\0x\0",
            "/",
        );
        assert_eq!(names(&managers_in(None, proc)), [GOVERNOR]);
        for pid in 9..12 {
            process(proc, pid, "governor", b"governor\0run\0", "/");
        }
        assert_eq!(names(&managers_in(None, proc)), [GOVERNOR; 2]);
    }
}
