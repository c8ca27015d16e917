//! What this host has and lacks: looked at once, for `governor doctor` and for the list of what is
//! degraded. Looks only; the trigger it arms for a moment is disarmed when its file is closed.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where the host is looked at"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::clock::{Clock, HostClock};
use super::errno::absent;
use super::jiffies;
use super::managers::{Manager, managers};
use super::root::{NoRoot, TreeRoot, tree_root};
use crate::kernel::controllers::{self, Controllers};
use crate::kernel::psi::{self, StallKind, TRIGGER_MAX};
use crate::kernel::{boot_config, meminfo};
use crate::model::{Absent, Bytes, Limit, Reading, Span, Time, Topology};

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The kernel's release: `6.1.0-13-amd64`.
    pub kernel: String,
    /// Timer interrupts a second; absent where the kernel's build is not told.
    pub hz: Reading<u32>,
    /// The tree to govern.
    pub root: Result<TreeRoot, NoRoot>,
    /// Whether PSI can be read.
    pub psi: Reading<()>,
    /// The windows that triggers may have.
    pub trigger: Trigger,
    /// What the root of the tree gives its children.
    pub controllers: Reading<Controllers>,
    /// Whether a knob could be written: one was opened for writing, nothing was written.
    pub writable: Reading<()>,
    /// What we are allowed.
    pub capabilities: Reading<Capabilities>,
    /// How much memory may be locked.
    pub memlock: Limit<Bytes>,
    /// Swap, all of it.
    pub swap: Reading<Bytes>,
    /// Other programs that manage cgroups here.
    pub managers: Vec<Manager>,
}

/// Which PSI triggers the kernel lets us arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Windows of ten milliseconds and more.
    Short,
    /// Windows of half a second and more: before Linux 6.4.
    Long,
    /// Only multiples of two seconds: CAP_SYS_RESOURCE is missing.
    Unprivileged,
    /// None, for this reason.
    None(Absent),
}

/// The capabilities that make a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// CAP_SYS_RESOURCE: short trigger windows, own `oom_score_adj`.
    pub resource: bool,
    /// CAP_SYS_NICE: a real-time control thread.
    pub nice: bool,
    /// CAP_IPC_LOCK: memory locked without a limit.
    pub lock: bool,
    /// CAP_DAC_OVERRIDE: knobs of other users' cgroups.
    pub override_dac: bool,
}

/// A group that holds containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path from the root of the tree, lossily.
    pub path: String,
    /// How many containers it holds directly.
    pub containers: usize,
    /// The controllers that they have.
    pub given: Reading<Controllers>,
}

impl Survey {
    /// Looks at everything.
    #[must_use]
    pub fn take() -> Survey {
        let root = find_root();
        let point = root.as_ref().ok().map(|root| root.point.as_path());
        let at_root = |file: &str| point.map(|point| point.join(file)).ok_or(Absent::NoFile);
        Survey {
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            hz: hz(),
            psi: read(Path::new("/proc/pressure/cpu")).and_then(|text| psi::parse(&text).map(drop)),
            trigger: trigger(),
            controllers: at_root("cgroup.subtree_control")
                .and_then(|file| read(&file))
                .and_then(|text| controllers::parse(&text)),
            writable: point.map_or(Err(Absent::NoFile), writable),
            capabilities: capabilities(),
            memlock: getrlimit(Resource::Memlock)
                .current
                .map_or(Limit::Max, |bytes| Limit::At(Bytes(bytes))),
            swap: read(Path::new("/proc/meminfo"))
                .and_then(|text| meminfo::parse(&text))
                .and_then(|meminfo| meminfo.swap_total),
            managers: managers(point),
            root,
        }
    }

    /// The groups of the tree that hold containers, with the controllers that they give them.
    #[must_use]
    pub fn places(&self, topology: &Topology) -> Vec<Place> {
        match &self.root {
            Ok(root) => places(&root.point, topology),
            Err(_) => Vec::new(),
        }
    }
}

/// The groups of `topology` that hold containers, with the controllers that they give them.
fn places(root: &Path, topology: &Topology) -> Vec<Place> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for group in topology.groups.iter().filter(|group| group.is_container()) {
        if let Some(parent) = group.parent {
            *counts.entry(parent).or_default() += 1;
        }
    }
    let place = |(parent, containers): (usize, usize)| {
        let path = &topology.groups.get(parent)?.path;
        let below = OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path));
        let given = read(&root.join(below).join("cgroup.subtree_control"))
            .and_then(|text| controllers::parse(&text));
        Some(Place {
            path: String::from_utf8_lossy(path).into_owned(),
            containers,
            given,
        })
    };
    counts.into_iter().filter_map(place).collect()
}

/// The tree to govern on this host.
///
/// # Errors
/// Why there is none.
pub fn find_root() -> Result<TreeRoot, NoRoot> {
    read(Path::new("/proc/self/mountinfo")).map_or(Err(NoRoot::None), |text| tree_root(&text))
}

/// The text of the kernel's identity of this boot.
///
/// # Errors
/// Why it could not be read.
pub fn boot_id() -> Reading<Vec<u8>> {
    read(Path::new("/proc/sys/kernel/random/boot_id"))
}

fn absent_io(error: &std::io::Error) -> Absent {
    Errno::from_io_error(error).map_or(Absent::Malformed, absent)
}

fn read(path: &Path) -> Reading<Vec<u8>> {
    std::fs::read(path).map_err(|error| absent_io(&error))
}

/// From where distributions keep the kernel's build configuration, else from its count of jiffies.
fn hz() -> Reading<u32> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let places = [
        PathBuf::from(format!("/boot/config-{release}")),
        PathBuf::from(format!("/lib/modules/{release}/config")),
        PathBuf::from(format!("/usr/lib/modules/{release}/config")),
    ];
    let configured = |place: &PathBuf| read(place).and_then(|text| boot_config::hz(&text)).ok();
    places.iter().find_map(configured).map_or_else(
        || {
            let text = read(Path::new("/proc/schedstat"))?;
            jiffies::hz(&text, HostClock.now().since(Time(0)))
        },
        Ok,
    )
}

/// Arms triggers of three kinds, the best first.
fn trigger() -> Trigger {
    let kinds = [
        (Trigger::Short, 1, 10),
        (Trigger::Long, 50, 500),
        (Trigger::Unprivileged, 200, 2_000),
    ];
    let mut refusal = Absent::NoFile;
    for (kind, threshold, window) in kinds {
        match arm(Span::from_millis(threshold), Span::from_millis(window)) {
            Ok(()) => return kind,
            Err(why) => refusal = why,
        }
    }
    Trigger::None(refusal)
}

fn arm(threshold: Span, window: Span) -> Reading<()> {
    let mut room = [0; TRIGGER_MAX];
    let line = psi::trigger(StallKind::Some, threshold, window, &mut room)?;
    let mut file = open_for_writing(Path::new("/proc/pressure/cpu"))?;
    file.write_all(line).map_err(|error| absent_io(&error))
}

/// Whether some knob below the root can be opened for writing.
fn writable(root: &Path) -> Reading<()> {
    // The root itself has no knobs: its children have.
    let children = std::fs::read_dir(root).map_err(|error| absent_io(&error))?;
    let mut outcome = Err(Absent::NoFile);
    for child in children.flatten().filter(|child| child.path().is_dir()) {
        outcome = open_for_writing(&child.path().join("cpu.weight")).map(drop);
        if !matches!(outcome, Err(Absent::NoFile | Absent::Gone)) {
            break;
        }
    }
    outcome
}

/// Never creates a file.
fn open_for_writing(path: &Path) -> Reading<File> {
    File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)
        .map_err(|error| absent_io(&error))
}

fn capabilities() -> Reading<Capabilities> {
    let text = read(Path::new("/proc/self/status"))?;
    effective(&text).ok_or(Absent::Malformed)
}

/// From the line `CapEff:`, a tab and a hexadecimal mask.
fn effective(status: &[u8]) -> Option<Capabilities> {
    let line = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"CapEff:"))?;
    let digits = std::str::from_utf8(line.trim_ascii()).ok()?;
    let mask = u64::from_str_radix(digits, 16).ok()?;
    let has = |number: u32| mask & (1 << number) != 0;
    Some(Capabilities {
        resource: has(24),
        nice: has(23),
        lock: has(14),
        override_dac: has(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_found_by_their_label() {
        let root = b"CapPrm:\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n";
        assert!(effective(root).unwrap().nice);
        assert_eq!(effective(b"CapEff:\t0\n"), Some(Capabilities::default()));
        assert_eq!(
            effective(b"CapEff:\t0000000001000000\n"),
            Some(Capabilities {
                resource: true,
                ..Capabilities::default()
            })
        );
        assert_eq!(effective(b"CapInh:\t0\n"), None);
        assert_eq!(effective(b"CapEff:\tnonsense\n"), None);
    }

    #[test]
    fn a_survey_of_any_host_comes_to_an_end_with_a_reason_for_everything() {
        let survey = Survey::take();
        assert!(!survey.kernel.is_empty());
        if survey.root.is_err() {
            assert_eq!(survey.controllers, Err(Absent::NoFile));
            assert_eq!(survey.writable, Err(Absent::NoFile));
        }
    }
}
