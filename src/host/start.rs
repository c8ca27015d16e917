//! Whether the governor can work on this host at all: the tree to act on, or a refusal that says
//! what helps. What only makes it worse is no refusal, and is told as degraded.

use super::errno::absent;
use super::linux::{LinuxTree, NotARoot};
use super::root::NoRoot;
use super::survey::Survey;
use crate::kernel::self_cgroup;
use crate::model::{Absent, Mode, Reading, Span};
use rustix::fs::{CWD, Mode as Permissions, OFlags, openat};
use rustix::io::{read, retry_on_intr};
use std::path::{Path, PathBuf};

/// A PSI file that is read more often than every five jiffies loses what it should count.
const JIFFIES: u64 = 5;

/// The slowest timer of any distribution: with it we never read too often.
const HZ_UNKNOWN: u32 = 100;

/// Room for our own line of `/proc/self/cgroup`, which has a path of any length.
const CGROUP_ROOM: usize = 16 * 1024;

/// Why the governor cannot work here, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no tree of cgroup v2 with the controllers.
    #[error(transparent)]
    NoRoot(#[from] NoRoot),
    /// The root cannot be opened.
    #[error("cannot open {}: {why}; run governor as root", root.display())]
    Unopened {
        /// The root.
        root: PathBuf,
        /// Why not.
        why: Absent,
    },
    /// The given root is something else.
    #[error("{} is no cgroup v2 file system; give the directory where cgroup2 is mounted", root.display())]
    NoCgroup {
        /// The root.
        root: PathBuf,
    },
    /// Nothing can be written.
    #[error("{} is mounted read-only: no limit can be set; mount it writable (in a container: -v /sys/fs/cgroup:/sys/fs/cgroup:rw), or watch only with --dry-run", root.display())]
    ReadOnly {
        /// The root.
        root: PathBuf,
    },
    /// Knobs cannot be opened for writing.
    #[error("no knob can be written ({0}): run governor as root, or watch only with --dry-run")]
    NotPermitted(Absent),
    /// There is no PSI.
    #[error(
        "pressure (PSI) cannot be read ({0}), so that harm cannot be measured; boot with psi=1 (the kernel needs CONFIG_PSI)"
    )]
    NoPressure(Absent),
}

impl Refusal {
    /// Whether more privilege would help, and nothing else.
    #[must_use]
    pub const fn is_permission(&self) -> bool {
        matches!(
            self,
            Refusal::NotPermitted(_)
                | Refusal::Unopened {
                    why: Absent::Denied,
                    ..
                }
                | Refusal::NoPressure(Absent::Denied)
        )
    }
}

/// Opens the tree to act on. `root` is taken instead of the mount that the survey found.
///
/// # Errors
/// Why the governor cannot work on this host in this mode.
pub fn open_tree(survey: &Survey, root: Option<&Path>, mode: Mode) -> Result<LinuxTree, Refusal> {
    let root = match (root, &survey.root) {
        (Some(root), _) => root,
        (None, Ok(found)) => &found.point,
        (None, Err(why)) => return Err(why.clone().into()),
    };
    let tree = LinuxTree::open(root).map_err(|why| match why {
        NotARoot::Unopened(why) => Refusal::Unopened {
            root: root.to_owned(),
            why,
        },
        NotARoot::OtherFilesystem => Refusal::NoCgroup {
            root: root.to_owned(),
        },
    })?;
    judge(survey, root, mode)?;
    Ok(tree)
}

/// What speaks against working with a tree that can be opened.
fn judge(survey: &Survey, root: &Path, mode: Mode) -> Result<(), Refusal> {
    survey.psi.map_err(Refusal::NoPressure)?;
    if mode == Mode::DryRun {
        return Ok(());
    }
    let mounted_so = matches!(&survey.root, Ok(found) if found.read_only && found.point == root);
    match survey.writable {
        Err(why @ Absent::Denied) => Err(Refusal::NotPermitted(why)),
        Err(Absent::ReadOnly) => Err(Refusal::ReadOnly {
            root: root.to_owned(),
        }),
        _ if mounted_so => Err(Refusal::ReadOnly {
            root: root.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The least time between two reads of one PSI file, for a kernel with this HZ; where it is not
/// known, the longest that any kernel needs.
#[must_use]
pub fn psi_interval(hz: Reading<u32>) -> Span {
    let hz = u64::from(hz.unwrap_or(HZ_UNKNOWN).max(1));
    Span((JIFFIES * 1_000_000).div_ceil(hz))
}

/// The governor's own group, as a path from the root of the tree.
///
/// # Errors
/// Why it is not known: it cannot be read, or lies outside the cgroup namespace.
pub fn own_group() -> Reading<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = openat(CWD, c"/proc/self/cgroup", flags, Permissions::empty()).map_err(absent)?;
    let mut room = vec![0; CGROUP_ROOM];
    let length = retry_on_intr(|| read(&fd, room.as_mut_slice())).map_err(absent)?;
    let path = self_cgroup::parse(room.get(..length).unwrap_or_default())?;
    if path.starts_with(b"/..") {
        return Err(Absent::Unsupported);
    }
    Ok(path.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::root::TreeRoot;
    use super::super::survey::Trigger;
    use super::*;
    use crate::kernel::controllers;
    use crate::model::Limit;

    const ROOT: &str = "/sys/fs/cgroup";

    fn healthy() -> Survey {
        Survey {
            kernel: "6.12.0".to_owned(),
            hz: Ok(250),
            root: Ok(TreeRoot {
                point: ROOT.into(),
                read_only: false,
                partial: false,
            }),
            psi: Ok(()),
            trigger: Trigger::Short,
            controllers: controllers::parse(b"cpu memory\n"),
            writable: Ok(()),
            capabilities: Ok(Default::default()),
            memlock: Limit::Max,
            swap: Err(Absent::NotRead),
            managers: Vec::new(),
        }
    }

    fn judged(survey: &Survey, mode: Mode) -> Result<(), Refusal> {
        judge(survey, Path::new(ROOT), mode)
    }

    #[test]
    fn a_healthy_host_is_worked_on() {
        assert_eq!(judged(&healthy(), Mode::Enforce), Ok(()));
        // A tree in which nobody has a knob yet is no reason to refuse.
        let mut empty = healthy();
        empty.writable = Err(Absent::NoFile);
        assert_eq!(judged(&empty, Mode::Enforce), Ok(()));
    }

    #[test]
    fn where_nothing_can_be_written_the_governor_only_watches() {
        let mut by_mount = healthy();
        by_mount.root.as_mut().unwrap().read_only = true;
        let mut by_file = healthy();
        by_file.writable = Err(Absent::ReadOnly);
        for survey in [by_mount, by_file] {
            let refusal = judged(&survey, Mode::Enforce).unwrap_err();
            assert!(matches!(refusal, Refusal::ReadOnly { .. }));
            assert!(!refusal.is_permission());
            assert_eq!(judged(&survey, Mode::DryRun), Ok(()));
        }
        let mut denied = healthy();
        denied.writable = Err(Absent::Denied);
        let refusal = judged(&denied, Mode::Enforce).unwrap_err();
        assert!(refusal.is_permission());
        assert_eq!(judged(&denied, Mode::DryRun), Ok(()));
    }

    #[test]
    fn without_pressure_even_watching_is_refused() {
        let mut survey = healthy();
        survey.psi = Err(Absent::Unsupported);
        for mode in [Mode::Enforce, Mode::DryRun] {
            let refusal = judged(&survey, mode).unwrap_err();
            assert_eq!(refusal, Refusal::NoPressure(Absent::Unsupported));
        }
    }

    #[test]
    fn a_root_that_is_none_is_refused_and_an_explicit_one_is_taken_before_the_mounts() {
        let mut survey = healthy();
        survey.root = Err(NoRoot::V1);
        let refused = |root| open_tree(&survey, root, Mode::Enforce).unwrap_err();
        assert_eq!(refused(None), Refusal::NoRoot(NoRoot::V1));
        let folder = tempfile::tempdir().unwrap();
        let no_cgroup = refused(Some(folder.path()));
        assert!(matches!(no_cgroup, Refusal::NoCgroup { .. }));
        let none = folder.path().join("none");
        assert!(matches!(refused(Some(&none)), Refusal::Unopened { .. }));
    }

    #[test]
    fn every_refusal_says_what_helps() {
        let root = PathBuf::from(ROOT);
        let why = Absent::Denied;
        for (refusal, remedy) in [
            (
                Refusal::Unopened {
                    root: root.clone(),
                    why,
                },
                "as root",
            ),
            (Refusal::NoCgroup { root: root.clone() }, "where cgroup2 is"),
            (Refusal::ReadOnly { root }, "--dry-run"),
            (Refusal::NotPermitted(why), "as root"),
            (Refusal::NoPressure(Absent::Unsupported), "psi=1"),
        ] {
            let text = refusal.to_string();
            assert!(text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn the_interval_of_pressure_files_is_five_jiffies_and_never_too_short() {
        for (hz, micros) in [
            (Ok(1000), 5_000),
            (Ok(250), 20_000),
            (Ok(300), 16_667),
            (Ok(100), 50_000),
            (Err(Absent::NoFile), 50_000),
            (Ok(0), 5_000_000),
        ] {
            assert_eq!(psi_interval(hz), Span(micros));
        }
    }

    #[test]
    fn our_own_group_is_a_path_or_a_reason() {
        match own_group() {
            Ok(path) => assert!(path.starts_with(b"/")),
            Err(why) => assert_ne!(why, Absent::Malformed),
        }
    }
}
