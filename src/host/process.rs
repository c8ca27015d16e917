//! What keeps the control thread alive and in time while the host is being starved.
//!
//! Each measure stands alone: where one is refused (no privilege, a container around us) the
//! governor runs on without it, and says what that costs.

use super::errno::absent;
use super::raw;
use crate::model::Absent;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read, write};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for ten thousand groups with nine files each.
const FILES_WANTED: u64 = 131_072;

/// Well before a container, behind what must never be killed (-1000).
const OOM_SCORE: &[u8] = b"-900";

/// A real-time thread that runs for so long without once sleeping has gone mad: the kernel kills
/// it, and the next start gives back what was held. In microseconds.
const RUNAWAY: u64 = 2_000_000;

/// The loop's real-time priority: above what containers have in real time (all but the highest), since the loop
/// must still run when one of them takes all CPUs. (With the lowest one, a container's thread of any higher
/// priority on each CPU would keep the governor from ever answering it.)
const LOOP: i32 = 98;

/// That of the thread that freezes: when somebody is thawed who takes all CPUs in real time, it must run to freeze him
/// again.
const ABOVE_ALL: i32 = 99;

/// A measure that could not be taken, and what that costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprotected {
    /// [`lock_memory`].
    #[error(
        "cannot lock memory ({0}): when the host runs out of memory the governor may be paged out and wake late; run it as root, or with LimitMEMLOCK=infinity"
    )]
    Memory(Absent),
    /// [`be_spared_by_oom`].
    #[error(
        "cannot lower oom_score_adj ({0}): the kernel's OOM killer may choose the governor; run it with CAP_SYS_RESOURCE, or with OOMScoreAdjust=-900"
    )]
    Oom(Absent),
    /// [`run_in_real_time`].
    #[error(
        "cannot run in real time ({0}): with many busy tasks the governor may wake late; run it with CAP_SYS_NICE, or with a high CPUWeight"
    )]
    RealTime(Absent),
    /// [`raise_file_limit`].
    #[error("cannot open more than {most} files ({why}): beyond about {} containers some are not read; run it with LimitNOFILE={FILES_WANTED}", .most / 8)]
    Files {
        /// Why not more.
        why: Absent,
        /// The limit that it stays at.
        most: u64,
    },
}

/// Locks what the process has in memory now, and all that comes later as soon as it is touched. So
/// the code is all there and never read from a starved disk, and the stacks of threads to come
/// (megabytes that they never use) take nothing.
///
/// # Errors
/// [`Unprotected::Memory`]; nothing is locked then that was not before.
pub fn lock_memory() -> Result<(), Unprotected> {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    // Only without CAP_IPC_LOCK does the limit matter, and then this may well be refused.
    let _ = setrlimit(Resource::Memlock, unlimited);
    mlockall(MlockAllFlags::CURRENT)
        .and_then(|()| mlockall(MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT))
        .map_err(|errno| Unprotected::Memory(absent(errno)))
}

/// Makes the kernel's OOM killer choose somebody else first.
///
/// # Errors
/// [`Unprotected::Oom`].
pub fn be_spared_by_oom() -> Result<(), Unprotected> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    openat(CWD, c"/proc/self/oom_score_adj", flags, Mode::empty())
        .and_then(|fd| {
            let mut room = [0; 8];
            let length = read(&fd, &mut room)?;
            if is_spared(room.get(..length).unwrap_or_default()) {
                return Ok(());
            }
            write(&fd, OOM_SCORE).map(drop)
        })
        .map_err(|errno| Unprotected::Oom(absent(errno)))
}

/// Whether a score is as low as ours or lower: a unit's own is not to be raised.
fn is_spared(score: &[u8]) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<i32>().ok();
    number(score).is_some_and(|score| number(OOM_SCORE).is_some_and(|ours| score <= ours))
}

/// Puts the *calling thread* above all ordinary ones, and above nearly all real-time ones (SCHED_RR; threads and
/// processes that it starts are ordinary again). Should it ever run for two seconds without
/// sleeping, the kernel kills the process.
///
/// # Errors
/// [`Unprotected::RealTime`]; the thread stays an ordinary one.
pub fn run_in_real_time() -> Result<(), Unprotected> {
    run_at(LOOP)
}

/// The same, with the highest priority that there is.
///
/// # Errors
/// [`Unprotected::RealTime`].
pub fn run_above_all() -> Result<(), Unprotected> {
    run_at(ABOVE_ALL)
}

fn run_at(priority: i32) -> Result<(), Unprotected> {
    let refused = |errno| Unprotected::RealTime(absent(errno));
    let limit = Rlimit {
        current: Some(RUNAWAY),
        maximum: Some(RUNAWAY),
    };
    let before = getrlimit(Resource::Rttime);
    if before.maximum.is_none_or(|most| most > RUNAWAY) {
        setrlimit(Resource::Rttime, limit).map_err(refused)?;
    }
    raw::round_robin(priority).map_err(|error| {
        let why = Errno::from_io_error(&error).map_or(Absent::Refused, absent);
        Unprotected::RealTime(why)
    })
}

/// Raises the number of files that may be open, as far as it is allowed. Returns the number.
///
/// # Errors
/// [`Unprotected::Files`], with the number that it stays at.
pub fn raise_file_limit() -> Result<u64, Unprotected> {
    let before = getrlimit(Resource::Nofile);
    let current = before.current.unwrap_or(u64::MAX);
    if current >= FILES_WANTED {
        return Ok(current);
    }
    // Raising the hard limit needs a privilege; the soft one can always be raised to it.
    let hard = before.maximum.unwrap_or(u64::MAX);
    let mut refused = Absent::Denied;
    for most in [FILES_WANTED.max(hard), hard] {
        let wanted = Rlimit {
            current: Some(FILES_WANTED.min(most)),
            maximum: Some(most).filter(|&most| most != u64::MAX),
        };
        match setrlimit(Resource::Nofile, wanted) {
            Ok(()) if most >= FILES_WANTED => return Ok(FILES_WANTED),
            Ok(()) => return Err(Unprotected::Files { why: refused, most }),
            Err(errno) => refused = absent(errno),
        }
    }
    Err(Unprotected::Files {
        why: refused,
        most: current,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_its_cost_and_its_remedy() {
        let table = [
            (Unprotected::Memory(Absent::Denied), "LimitMEMLOCK"),
            (Unprotected::Oom(Absent::Denied), "OOMScoreAdjust"),
            (Unprotected::RealTime(Absent::Denied), "CAP_SYS_NICE"),
            (
                Unprotected::Files {
                    why: Absent::Denied,
                    most: 1024,
                },
                "about 128 containers",
            ),
        ];
        for (error, remedy) in table {
            let text = error.to_string();
            assert!(text.contains("permission denied"), "{text}");
            assert!(text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn a_score_that_spares_us_more_than_ours_stays() {
        let table = [
            ("-999\n", true),
            ("-900\n", true),
            ("0\n", false),
            ("", false),
        ];
        for (score, spared) in table {
            assert_eq!(is_spared(score.as_bytes()), spared, "{score}");
        }
    }

    #[test]
    fn the_file_limit_is_raised_as_far_as_it_may_be() {
        let most = match raise_file_limit() {
            Ok(most) => most,
            Err(Unprotected::Files { most, .. }) => most,
            Err(other) => panic!("{other}"),
        };
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(u64::MAX), most);
        assert_eq!(raise_file_limit().is_ok(), most >= FILES_WANTED);
    }

    /// In a thread of its own, which ends with the test. The limit that it leaves behind concerns
    /// real-time threads only.
    #[test]
    fn a_thread_either_runs_in_real_time_or_says_why_not() {
        #[allow(clippy::disallowed_methods, reason = "the test's own thread")]
        let thread = std::thread::spawn(run_in_real_time);
        match thread.join().unwrap() {
            Ok(()) => {
                let limit = getrlimit(Resource::Rttime).maximum;
                assert!(limit.is_some_and(|most| most <= RUNAWAY));
            }
            Err(error) => assert!(matches!(error, Unprotected::RealTime(_)), "{error}"),
        }
    }
}
