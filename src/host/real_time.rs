//! Does a container run in real time? Then it obeys neither `cpu.weight` nor `cpu.idle` nor `cpu.max`.
//!
//! **Approach.** Its threads are listed (`cgroup.threads`) and each is asked for its policy: a fact, where usage over a
//! limit would be a guess. Where most have an ordinary one, only one that runs at two looks in a row counts: many a container
//! has a thread of real time that wakes up now and then, and takes the CPU with all its others, which obey.
//! **Limits.** The first [`THREADS_MAX`] threads, of the first page: a container may start them faster than they are
//! asked. Only those in its own group: groups further down, as a container with its own service manager and those of crun
//! have, are known to nobody here. Who hides there is met where a cap stands and is passed all the same.

use super::files::TreeFiles;
use super::sample::text;
use crate::model::{Absent, Reading, Span, Time};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{read, retry_on_intr};
use std::ffi::CStr;
use std::io::Write;

/// As many threads are asked at most: each takes a system call.
const THREADS_MAX: usize = 64;
/// One page of the list.
const ROOM: usize = 4096;
/// The path of a thread's `stat`, and that file's beginning: its name has 15 bytes at most.
const PATH: usize = 40;
const STAT: usize = 64;
/// The same container is asked no closer than this.
const APART: Span = Span::from_millis(200);

/// How a thread is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    /// By an ordinary policy.
    Ordinary,
    /// In real time (SCHED_FIFO, SCHED_RR or SCHED_DEADLINE), and sleeps.
    Asleep,
    /// In real time, and runs or wants to.
    Running,
}

/// The threads of one container.
#[derive(Debug)]
pub(super) struct Threads<F> {
    file: Reading<F>,
    asked: Option<Time>,
    /// Whether one of few ran in real time at the last look.
    ran: bool,
}

impl<F> Default for Threads<F> {
    fn default() -> Threads<F> {
        Threads {
            file: Err(Absent::NotRead),
            asked: None,
            ran: false,
        }
    }
}

impl<F> Threads<F> {
    /// Whether it runs in real time; `None` where it was looked a moment ago, or nothing can be told. The file
    /// is opened at the first look: few containers ever matter.
    pub(super) fn look<T: TreeFiles<File = F>>(
        &mut self,
        files: &mut T,
        dir: &T::Dir,
        room: &mut [u8],
        at: Time,
    ) -> Option<bool> {
        if self.asked.is_some_and(|before| at.since(before) < APART) {
            return None;
        }
        if self.file.is_err() {
            self.file = files.hold(dir, "cgroup.threads");
        }
        let page = room.get_mut(..ROOM)?;
        let list = text(files, &self.file, page).ok()?;
        let mut lines = list.split(|&byte| byte == b'\n');
        let threads = lines.by_ref().take(THREADS_MAX);
        let threads = threads.filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok());
        let (mut ordinary, mut asleep, mut running) = (0_usize, 0_usize, 0_usize);
        for thread in threads {
            match files.scheduled(thread) {
                Some(Scheduled::Running) => running += 1,
                Some(Scheduled::Asleep) => asleep += 1,
                Some(Scheduled::Ordinary) => ordinary += 1,
                None => {}
            }
        }
        let is_all = lines.next().is_none_or(<[u8]>::is_empty);
        let before = std::mem::take(&mut self.ran);
        let seen = if asleep + running > ordinary {
            Some(true)
        } else if running > 0 {
            // Twice in a row: one that wakes up now and then was met by chance.
            self.ran = true;
            before.then_some(true)
        } else if asleep == 0 && ordinary > 0 && is_all {
            Some(false)
        } else {
            None
        };
        // One of few may run in a moment: it is looked again at the next tick.
        if seen.is_some() || (asleep, running) == (0, 0) {
            self.asked = Some(at);
        }
        seen
    }
}

/// Whether a thread runs, or wants to, in this moment (`R` in proc_pid_stat(5)). Asked of the thread, not of the process: that
/// file sums up all threads of it, which takes a millisecond with ten thousand of them.
pub(super) fn is_running(thread: u32) -> bool {
    let (mut path, mut room) = ([0; PATH], [0; STAT]);
    let mut pen = &mut path[..];
    let read = write!(pen, "/proc/{thread}/task/{thread}/stat\0")
        .ok()
        .and_then(|()| {
            let path = CStr::from_bytes_until_nul(&path).ok()?;
            let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
            retry_on_intr(|| read(&file, &mut room)).ok()
        });
    read.and_then(|length| room.get(..length))
        .is_some_and(is_running_in)
}

/// The name, which is the thread's own choice, ends at the last parenthesis.
fn is_running_in(stat: &[u8]) -> bool {
    let end = stat.iter().rposition(|&byte| byte == b')');
    end.is_some_and(|end| stat.get(end + 1..end + 3) == Some(b" R"))
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeTree;
    use super::super::files::open_path;
    use super::Scheduled::{Asleep, Ordinary, Running};
    use super::*;

    /// What is seen of a group with these threads.
    fn seen(list: &str, threads: &[(u32, Scheduled)]) -> Option<bool> {
        let mut tree = FakeTree::new();
        tree.add("/a");
        tree.set("/a", "cgroup.threads", list);
        for &(thread, scheduled) in threads {
            tree.set_thread(thread, scheduled);
        }
        let dir = open_path(&mut tree, b"/a").unwrap().dir;
        let mut room = vec![0; 2 * ROOM];
        Threads::default().look(&mut tree, &dir, &mut room, Time(0))
    }

    #[test]
    fn where_most_threads_are_ordinary_one_look_tells_nothing_of_the_others() {
        let list = "7\n8\n9\n";
        let others = [(7, Ordinary), (8, Ordinary)];
        let with = |one| seen(list, &[others[0], others[1], (9, one)]);
        assert_eq!(with(Ordinary), Some(false));
        assert_eq!(with(Asleep), None, "it may run in a moment");
        assert_eq!(with(Running), None, "it may be by chance");
        let most = [(7, Ordinary), (8, Asleep), (9, Asleep)];
        assert_eq!(seen(list, &most), Some(true), "whoever runs now");
    }

    #[test]
    fn where_no_thread_is_left_to_be_asked_nothing_is_told() {
        assert_eq!(seen("", &[]), None);
        assert_eq!(seen("7\n", &[]), None);
    }

    #[test]
    fn a_thread_runs_whatever_it_calls_itself() {
        for (stat, runs) in [
            ("7 (a) R 1 7 7", true),
            ("7 (a) S 1 7 7", false),
            ("7 (a) R (b) S 1 7", false),
            ("7 () S) R 1", true),
            ("7 (a)", false),
            ("", false),
        ] {
            assert_eq!(is_running_in(stat.as_bytes()), runs, "{stat}");
        }
        assert!(is_running(
            rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .cast_unsigned()
        ));
        assert!(!is_running(0));
    }

    #[test]
    fn of_a_crowd_of_threads_no_more_than_the_first_are_asked() {
        let list: String = (1..200).map(|thread| format!("{thread}\n")).collect();
        let threads = (1..200).map(|thread| (thread, if thread > 64 { Running } else { Ordinary }));
        let threads: Vec<_> = threads.collect();
        assert_eq!(seen(&list, &threads), None, "not all were asked");
    }

    #[test]
    fn the_same_container_is_not_asked_at_every_tick_but_where_somebody_sleeps() {
        let mut tree = FakeTree::new();
        tree.add("/a");
        tree.set("/a", "cgroup.threads", "7\n8\n");
        tree.set_thread(7, Ordinary);
        tree.set_thread(8, Asleep);
        let dir = open_path(&mut tree, b"/a").unwrap().dir;
        let (mut threads, mut room) = (Threads::default(), vec![0; ROOM]);
        let mut look = |tree: &mut FakeTree, at| threads.look(tree, &dir, &mut room, Time(at));
        assert_eq!(look(&mut tree, 0), None);
        tree.set("/a", "cgroup.threads", "7\n8\n9\n");
        tree.set_thread(9, Ordinary);
        tree.set_thread(8, Running);
        assert_eq!(look(&mut tree, 20_000), None, "once");
        assert_eq!(look(&mut tree, 40_000), Some(true), "twice in a row");
        assert_eq!(look(&mut tree, 60_000), None, "not at every tick");
        tree.set_thread(8, Ordinary);
        assert_eq!(look(&mut tree, 40_000 + APART.0), Some(false));
    }
}
