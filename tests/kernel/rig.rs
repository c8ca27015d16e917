//! A fresh subtree of cgroups for one test, and the kernel's files in it.

use crate::daemon::{Daemon, write_policy};
use crate::load::Load;
use cgroups_rs::fs::cgroup_builder::CgroupBuilder;
use cgroups_rs::fs::hierarchies::V2;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// Where cgroup v2 is mounted.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// The top of every test's cgroups.
const LAB: &str = "lab";

/// One test's place: cgroups under `/lab/NAME`, files under `/run/lab-NAME`. All of it goes away,
/// with everything that still runs in it, when the rig is dropped.
pub(crate) struct Rig {
    name: String,
    work: PathBuf,
    /// The first process of each container.
    first: Mutex<Vec<Load>>,
}

impl Rig {
    /// A fresh place under this name, which must be unique among the rigs that are alive.
    pub(crate) fn new(name: &str) -> Rig {
        assert!(
            rustix::process::geteuid().is_root(),
            "kernel tests need root"
        );
        let controllers = fs::read_to_string(format!("{ROOT}/cgroup.controllers"))
            .unwrap_or_else(|e| panic!("kernel tests need cgroup v2 on {ROOT}: {e}"));
        for needed in ["cpu", "io", "memory", "pids"] {
            assert!(
                controllers.split_whitespace().any(|has| has == needed),
                "kernel tests need the {needed} controller at the root; there is {controllers:?}"
            );
        }
        let work = PathBuf::from(format!("/run/lab-{name}"));
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).unwrap();
        let rig = Rig {
            name: name.to_owned(),
            work,
            first: Mutex::default(),
        };
        remove(&rig.dir());
        rig
    }

    /// The directory of its cgroups; no process may live in it.
    pub(crate) fn dir(&self) -> PathBuf {
        Path::new(ROOT).join(LAB).join(&self.name)
    }

    /// The cgroup path of its cgroups, `/lab/NAME`.
    pub(crate) fn path(&self) -> String {
        format!("/{LAB}/{}", self.name)
    }

    /// A directory for the test's files, on a tmpfs in the light rig.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    /// Makes a cgroup with every controller on; `name` may have several parts (`slice/scope`), of
    /// which only the last may have processes.
    pub(crate) fn group(&self, name: &str) -> Group {
        let group = format!("{LAB}/{}/{name}", self.name);
        CgroupBuilder::new(&group)
            .build(Box::new(V2::new()))
            .unwrap_or_else(|e| panic!("make cgroup {group}: {e}"));
        let group = Group {
            dir: Path::new(ROOT).join(group),
        };
        // cgroups-rs says nothing when a controller could not be turned on.
        for file in [
            "cpu.weight",
            "cpu.pressure",
            "io.max",
            "memory.high",
            "pids.max",
        ] {
            assert!(
                group.dir.join(file).exists(),
                "{} has no {file}",
                group.dir.display()
            );
        }
        group
    }

    /// Makes a cgroup as [`Rig::group`] does, with an idle first process in it, as a container has one: who has been there
    /// for a while may be throttled and capped.
    pub(crate) fn container(&self, name: &str) -> Group {
        let group = self.group(name);
        let first = Load::idle(&group);
        self.first.lock().expect("no test goes on").push(first);
        group
    }

    /// Starts `governor run` with every direct child of this rig as a container, and further policy
    /// text (TOML tables) as given; waits until it answers.
    pub(crate) fn governor(&self, policy: &str) -> Daemon {
        self.governor_over(&[&format!("{}/*", self.path())], policy)
    }

    /// Replaces the policy of a running governor that [`Rig::governor`] started.
    pub(crate) fn policy(&self, policy: &str) {
        write_policy(&self.work, &[&format!("{}/*", self.path())], policy);
    }

    /// As [`Rig::governor`], with the globs of what a container is.
    pub(crate) fn governor_over(&self, containers: &[&str], policy: &str) -> Daemon {
        Daemon::start(&self.work, containers, policy)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        remove(&self.dir());
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// Kills what runs in the cgroup and below it, and removes all of it, deepest first.
fn remove(dir: &Path) {
    if !dir.exists() {
        return;
    }
    let _ = fs::write(dir.join("cgroup.kill"), "1");
    for _ in 0..200 {
        if try_remove(dir) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} could not be removed", dir.display());
}

fn try_remove(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return true;
    };
    let mut empty = true;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty &= try_remove(&entry.path());
        }
    }
    empty && fs::remove_dir(dir).is_ok()
}

/// A cgroup. Methods panic with the file's name when the kernel refuses.
#[derive(Clone)]
pub(crate) struct Group {
    dir: PathBuf,
}

/// Knobs that the governor may hold, and those that nobody may ever have touched.
const KNOBS: [&str; 9] = [
    "cpu.idle",
    "cpu.weight",
    "cpu.max",
    "cpu.max.burst",
    "io.max",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "pids.max",
];

impl Group {
    /// The cgroup at this directory, which exists.
    pub(crate) fn at(dir: PathBuf) -> Group {
        Group { dir }
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file's exact content.
    pub(crate) fn read(&self, file: &str) -> String {
        let file = self.dir.join(file);
        fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()))
    }

    /// Writes a knob, and is sure that the kernel took it.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.dir.join(file);
        fs::write(&file, text).unwrap_or_else(|e| panic!("{text:?} to {}: {e}", file.display()));
    }

    /// The number after `key` in a flat-keyed file such as `cpu.stat`.
    pub(crate) fn number(&self, file: &str, key: &str) -> u64 {
        let text = self.read(file);
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("no {key} in {}/{file}: {text:?}", self.dir.display()))
    }

    /// CPU time used so far, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        self.number("cpu.stat", "usage_usec")
    }

    /// The exact content of every knob that the kernel has here, for comparing later.
    pub(crate) fn knobs(&self) -> Vec<(&'static str, Vec<u8>)> {
        KNOBS
            .iter()
            .filter_map(|knob| Some((*knob, fs::read(self.dir.join(knob)).ok()?)))
            .collect()
    }

    /// Fails unless every knob is byte for byte what `originals` says, within `patience`.
    pub(crate) fn must_be_given_back(
        &self,
        originals: &[(&'static str, Vec<u8>)],
        patience: Duration,
    ) {
        let end = std::time::Instant::now() + patience;
        loop {
            let now = self.knobs();
            if now == originals {
                return;
            }
            assert!(
                std::time::Instant::now() < end,
                "not given back after {patience:?} in {}: {}",
                self.dir.display(),
                differences(originals, &now)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails if a CPU quota was ever in force here. Without one the kernel counts no periods.
    pub(crate) fn must_never_have_had_a_quota(&self) {
        let periods = self.number("cpu.stat", "nr_periods");
        assert_eq!(
            periods,
            0,
            "{} ran under a quota for {periods} periods",
            self.dir.display()
        );
    }
}

fn differences(before: &[(&str, Vec<u8>)], now: &[(&str, Vec<u8>)]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    before
        .iter()
        .zip(now)
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("{} was {:?} and is {:?}", a.0, text(&a.1), text(&b.1)))
        .collect::<Vec<_>>()
        .join(", ")
}
