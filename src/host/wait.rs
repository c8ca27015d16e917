//! Where the control thread sleeps: until a moment, a doorbell, a change of the tree, or a nudge of
//! another thread.
//!
//! The moment is kept by a timer on the monotonic clock, exact to microseconds; a timeout of
//! `epoll_wait` would be rounded up to the next millisecond, and slackened.

use super::clock::FakeClock;
use super::doorbell::{Armed, Doorbells, RingsAt};
use super::errno::absent;
use super::fake::FakeTree;
use super::files::TreeFiles;
use super::forest::Forest;
use super::knob_watch::KnobWatch;
use super::linux::LinuxTree;
use crate::model::{GroupId, Knob, Reading, Resource, Time, Topology};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, read, write};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Why the loop woke. Several may be true at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// A doorbell rang: [`Wait::rung`] tells whose.
    pub doorbell: bool,
    /// Groups came or went. Not told again before [`Wait::watch_tree`], so that a flood of changes
    /// does not keep the loop awake.
    pub tree: bool,
    /// Somebody wrote a held knob. Not told again before [`Wait::watch_knobs`], for the same reason.
    pub knob: bool,
    /// Another thread wants something.
    pub nudge: bool,
    /// The moment has come.
    pub timed_out: bool,
}

/// What the control loop sleeps in.
pub trait Wait<T: TreeFiles> {
    /// Sleeps until `until` or an earlier reason; returns at once where `until` is past.
    fn wait(&mut self, until: Time) -> Wakes;

    /// Sleeps until `until`, deaf to doorbells and to changes of the tree, which are told by the next
    /// [`wait`](Wait::wait). Only another thread ends it earlier: then why is told.
    fn rest(&mut self, until: Time) -> Option<Wakes>;

    /// Whose doorbells rang in the last wait.
    fn rung(&self) -> &[(GroupId, Resource)];

    /// Arms the doorbells of what the topology watches and `may_ring`, and disarms the others; so many new ones
    /// at most.
    fn keep_doorbells(
        &mut self,
        forest: &mut Forest<T>,
        topology: &Topology,
        may_ring: &dyn Fn(GroupId) -> bool,
        new: usize,
    ) -> Armed;

    /// Wants to be told of changes in the tree again: to be called before the scan that answers
    /// one, so that none is lost in between.
    fn watch_tree(&mut self);

    /// Wants to be told of writes to these knobs and no others, from now on: to be called before the look
    /// that answers one, so that none is lost in between.
    fn watch_knobs(
        &mut self,
        forest: &mut Forest<T>,
        held: &mut dyn Iterator<Item = (GroupId, Knob)>,
    );
}

/// Wakes the loop from any thread.
#[derive(Clone, Debug)]
pub struct Nudger(Arc<OwnedFd>);

impl Nudger {
    /// The loop's next wait ends at once. Never blocks.
    pub fn nudge(&self) {
        // It can only fail where the loop was nudged 2^64 times already, and it wakes then too.
        let _ = write(self.0.as_fd(), &1u64.to_ne_bytes());
    }
}

/// The numbers under which epoll tells of what is no doorbell.
const TIMER: u64 = 0;
const NUDGE: u64 = 1;
const TREE: u64 = 2;
const KNOBS: u64 = 3;
const FIRST_DOORBELL: u64 = 4;

/// Events that are taken in one wake.
const EVENTS: usize = 64;

/// The real thing, on one epoll.
#[derive(Debug)]
pub struct Waiter {
    epoll: OwnedFd,
    timer: OwnedFd,
    nudge: Nudger,
    tree: Option<OwnedFd>,
    knobs: Option<KnobWatch>,
    doorbells: Doorbells,
    rung: Vec<(GroupId, Resource)>,
}

impl Waiter {
    /// Sleeps over this tree, with at most `most` doorbells, and room for as many watched knobs.
    ///
    /// # Errors
    /// Why the kernel gave none of the descriptors that it takes.
    pub fn new(tree: &LinuxTree, rings_at: RingsAt, most: usize) -> Reading<Waiter> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(absent)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(absent)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let nudge = eventfd(0, flags).map_err(absent)?;
        let tree = match tree.changes_fd() {
            // A descriptor of our own: the tree keeps its, and may go first.
            Some(fd) => Some(rustix::io::fcntl_dupfd_cloexec(fd, 0).map_err(absent)?),
            None => None,
        };
        // Without it, what others write is seen when the knobs are read back.
        let knobs = KnobWatch::new(most).ok();
        let once = EventFlags::IN | EventFlags::ONESHOT;
        for (fd, number, flags) in [
            (Some(timer.as_fd()), TIMER, EventFlags::IN),
            (Some(nudge.as_fd()), NUDGE, EventFlags::IN),
            (tree.as_ref().map(AsFd::as_fd), TREE, once),
            (knobs.as_ref().map(AsFd::as_fd), KNOBS, once),
        ] {
            if let Some(fd) = fd {
                epoll::add(&epoll, fd, EventData::new_u64(number), flags).map_err(absent)?;
            }
        }
        Ok(Waiter {
            epoll,
            timer,
            nudge: Nudger(Arc::new(nudge)),
            tree,
            knobs,
            doorbells: Doorbells::new(rings_at, most, FIRST_DOORBELL),
            rung: Vec::with_capacity(EVENTS),
        })
    }

    /// A hand for other threads to wake this loop with.
    #[must_use]
    pub fn nudger(&self) -> Nudger {
        self.nudge.clone()
    }

    /// Whether the timer will end a sleep at this moment.
    fn set_timer(&self, until: Time) -> bool {
        // A time of zero would stop the timer.
        let at = Itimerspec {
            it_interval: Timespec::default(),
            it_value: timespec(until.max(Time(1))),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &at).is_ok()
    }

    fn take(&mut self, event: Event, wakes: &mut Wakes) {
        match event.data.u64() {
            TIMER => wakes.timed_out = true,
            NUDGE => {
                wakes.nudge = true;
                let _ = read(self.nudge.0.as_fd(), &mut [0; 8]);
            }
            TREE => wakes.tree = true,
            KNOBS => wakes.knob = true,
            number => {
                let flags = event.flags;
                if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                    self.doorbells.disarm(number);
                } else if let Some(whose) = self.doorbells.whose(number) {
                    wakes.doorbell = true;
                    self.rung.push(whose);
                }
            }
        }
    }
}

impl Wait<LinuxTree> for Waiter {
    fn rest(&mut self, until: Time) -> Option<Wakes> {
        if !self.set_timer(until) {
            return None;
        }
        loop {
            let mut fds = [
                PollFd::new(&self.timer, PollFlags::IN),
                PollFd::from_borrowed_fd(self.nudge.0.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                Ok(_) if !fds[1].revents().is_empty() => {}
                _ => return None,
            }
            let _ = read(self.nudge.0.as_fd(), &mut [0; 8]);
            return Some(Wakes {
                nudge: true,
                ..Wakes::default()
            });
        }
    }

    fn wait(&mut self, until: Time) -> Wakes {
        self.rung.clear();
        if !self.set_timer(until) {
            return Wakes {
                timed_out: true,
                ..Wakes::default()
            };
        }
        let mut wakes = Wakes::default();
        while wakes == Wakes::default() {
            let mut room = [const { MaybeUninit::uninit() }; EVENTS];
            match epoll::wait(&self.epoll, &mut room, None) {
                Ok((events, _)) => {
                    for event in events {
                        self.take(*event, &mut wakes);
                    }
                }
                Err(Errno::INTR) => {}
                // Nothing that is documented; the loop must not sleep for ever over it.
                Err(_) => wakes.timed_out = true,
            }
        }
        wakes
    }

    fn rung(&self) -> &[(GroupId, Resource)] {
        &self.rung
    }

    fn keep_doorbells(
        &mut self,
        forest: &mut Forest<LinuxTree>,
        topology: &Topology,
        may_ring: &dyn Fn(GroupId) -> bool,
        new: usize,
    ) -> Armed {
        let epoll = self.epoll.as_fd();
        self.doorbells.keep(epoll, forest, topology, may_ring, new)
    }

    fn watch_tree(&mut self) {
        if let Some(tree) = &self.tree {
            let flags = EventFlags::IN | EventFlags::ONESHOT;
            // It is registered; there is nothing that could fail.
            let _ = epoll::modify(&self.epoll, tree, EventData::new_u64(TREE), flags);
        }
    }

    fn watch_knobs(
        &mut self,
        forest: &mut Forest<LinuxTree>,
        held: &mut dyn Iterator<Item = (GroupId, Knob)>,
    ) {
        if let Some(knobs) = &mut self.knobs {
            knobs.keep(forest, held);
            let flags = EventFlags::IN | EventFlags::ONESHOT;
            let _ = epoll::modify(&self.epoll, &*knobs, EventData::new_u64(KNOBS), flags);
        }
    }
}

fn timespec(time: Time) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.0 / 1_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(time.0 % 1_000_000 * 1_000).unwrap_or(0),
    }
}

/// Waits by setting a fake clock to the end of the wait; its script may end it earlier.
pub struct FakeWaiter {
    clock: FakeClock,
    script: Box<dyn FnMut(Time) -> (Time, Wakes)>,
}

impl FakeWaiter {
    /// Every wait ends when its time has come.
    #[must_use]
    pub fn new(clock: FakeClock) -> FakeWaiter {
        let script = |until| {
            let timed_out = Wakes {
                timed_out: true,
                ..Wakes::default()
            };
            (until, timed_out)
        };
        FakeWaiter::scripted(clock, script)
    }

    /// `script` is told until when to wait, and tells when and why the wait ends. Whatever it
    /// changes in a tree on the way has happened meanwhile.
    pub fn scripted(
        clock: FakeClock,
        script: impl FnMut(Time) -> (Time, Wakes) + 'static,
    ) -> FakeWaiter {
        FakeWaiter {
            clock,
            script: Box::new(script),
        }
    }
}

impl Wait<FakeTree> for FakeWaiter {
    fn wait(&mut self, until: Time) -> Wakes {
        let (at, wakes) = (self.script)(until);
        self.clock.set(at);
        wakes
    }

    fn rest(&mut self, until: Time) -> Option<Wakes> {
        self.clock.set(until);
        None
    }

    fn rung(&self) -> &[(GroupId, Resource)] {
        &[]
    }

    fn keep_doorbells(
        &mut self,
        _forest: &mut Forest<FakeTree>,
        topology: &Topology,
        may_ring: &dyn Fn(GroupId) -> bool,
        _new: usize,
    ) -> Armed {
        let ringing = topology.watched().filter(|(_, group)| may_ring(group.id));
        let bells = ringing.count() * 2;
        Armed {
            bells: u32::try_from(bells).unwrap_or(u32::MAX),
            ..Armed::default()
        }
    }

    fn watch_tree(&mut self) {}

    fn watch_knobs(
        &mut self,
        _forest: &mut Forest<FakeTree>,
        _held: &mut dyn Iterator<Item = (GroupId, Knob)>,
    ) {
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests use a folder and threads")]
mod tests {
    use super::super::clock::{Clock, HostClock};
    use super::super::files::open_path;
    use super::super::forest::{Extent, Limits, Rules};
    use super::*;
    use crate::model::{Absent, Span};
    use std::fs;

    const RINGS_AT: RingsAt = RingsAt {
        threshold: Span(5_000),
        window: Span(200_000),
    };

    fn rig() -> (tempfile::TempDir, LinuxTree, Waiter) {
        let folder = tempfile::tempdir().unwrap();
        let tree = LinuxTree::open_any(folder.path()).unwrap();
        let waiter = Waiter::new(&tree, RINGS_AT, 100).unwrap();
        (folder, tree, waiter)
    }

    fn soon(ms: u64) -> Time {
        HostClock.now() + Span::from_millis(ms)
    }

    const TIMED_OUT: Wakes = Wakes {
        doorbell: false,
        tree: false,
        knob: false,
        nudge: false,
        timed_out: true,
    };

    #[test]
    fn a_wait_ends_when_its_time_has_come_and_not_before() {
        let (_folder, _tree, mut waiter) = rig();
        for _ in 0..5 {
            let until = HostClock.now() + Span(2_500);
            assert_eq!(waiter.wait(until), TIMED_OUT);
            assert!(HostClock.now() >= until);
        }
        assert_eq!(waiter.wait(Time(0)), TIMED_OUT);
    }

    #[test]
    fn a_rest_hears_another_thread_and_nothing_else_which_the_next_wait_tells() {
        let (folder, mut tree, mut waiter) = rig();
        let root = tree.root().unwrap();
        tree.watch(&root.dir, root.id).unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        let until = soon(5);
        assert_eq!(waiter.rest(until), None);
        assert!(HostClock.now() >= until);
        waiter.nudger().nudge();
        let told = waiter.rest(soon(60_000)).unwrap();
        assert!(told.nudge && !told.tree);
        assert_eq!(waiter.rest(Time(0)), None, "a nudge is told once");
        assert!(waiter.wait(soon(60_000)).tree);
    }

    #[test]
    fn another_threads_nudge_ends_a_wait_once() {
        let (_folder, _tree, mut waiter) = rig();
        let nudger = waiter.nudger();
        let thread = std::thread::spawn(move || {
            nudger.nudge();
            nudger.clone().nudge();
        });
        assert!(waiter.wait(soon(60_000)).nudge);
        thread.join().unwrap();
        waiter.wait(Time(0));
        assert_eq!(waiter.wait(Time(0)), TIMED_OUT);
    }

    #[test]
    fn a_flood_of_changes_wakes_once_until_the_tree_is_watched_again() {
        let (folder, mut tree, mut waiter) = rig();
        let root = open_path(&mut tree, b"/").unwrap();
        tree.watch(&root.dir, root.id).unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        assert!(waiter.wait(soon(60_000)).tree);
        fs::create_dir(folder.path().join("b")).unwrap();
        assert_eq!(waiter.wait(Time(0)), TIMED_OUT);
        // What came in the meantime is not lost.
        waiter.watch_tree();
        assert!(waiter.wait(soon(60_000)).tree);
        waiter.watch_tree();
        tree.changes(&mut Vec::new());
        assert_eq!(waiter.wait(Time(0)), TIMED_OUT);
    }

    #[test]
    fn a_pressure_file_that_cannot_ring_is_told_and_leaves_nothing_armed() {
        let folder = tempfile::tempdir().unwrap();
        let scope = folder.path().join(format!("docker-{:064x}.scope", 1));
        fs::create_dir(&scope).unwrap();
        for file in ["cpu.pressure", "memory.pressure"] {
            fs::write(scope.join(file), "").unwrap();
        }
        let tree = LinuxTree::open_any(folder.path()).unwrap();
        let mut waiter = Waiter::new(&tree, RINGS_AT, 100).unwrap();
        let mut forest = Forest::new(tree, Limits::default());
        forest.scan(Extent::All, &|_| false).unwrap();
        let topology = forest.topology(&Rules {
            original: &|_, _| None,
            name: &|_, _| None,
            is_protected: &|_| false,
            own: None,
        });
        assert_eq!(topology.watched().count(), 1);
        // An ordinary file takes the line, but epoll does not take the file.
        let all = |_: GroupId| true;
        let later = waiter.keep_doorbells(&mut forest, &topology, &all, 0);
        assert_eq!((later.later, later.failed), (2, None));
        let none = waiter.keep_doorbells(&mut forest, &topology, &|_| false, 9);
        assert_eq!(none, Armed::default());
        let armed = waiter.keep_doorbells(&mut forest, &topology, &all, 9);
        assert_eq!(armed.bells, 0);
        assert_eq!(armed.failed, Some(Absent::Denied));
        let mut few = Waiter::new(forest.files(), RINGS_AT, 0).unwrap();
        assert_eq!(
            few.keep_doorbells(&mut forest, &topology, &all, 9).left_out,
            2
        );
    }

    #[test]
    fn a_fake_wait_moves_a_fake_clock() {
        let clock = FakeClock::default();
        let mut waiter = FakeWaiter::new(clock.clone());
        assert_eq!(waiter.wait(Time(500)), TIMED_OUT);
        assert_eq!(clock.now(), Time(500));
        let mut waiter = FakeWaiter::scripted(clock.clone(), |until| {
            let doorbell = Wakes {
                doorbell: true,
                ..Wakes::default()
            };
            (Time(until.0 - 100), doorbell)
        });
        assert!(waiter.wait(Time(1_000)).doorbell);
        assert_eq!(clock.now(), Time(900));
    }
}
