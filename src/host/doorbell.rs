//! Doorbells: PSI triggers, which the kernel rings when a group's tasks have stalled for too long
//! within a window. They let a quiet loop sleep.
//!
//! A ring says no more than "look now": whoever is woken reads the counters themselves, so that a
//! false ring (an unprivileged trigger has one at first) costs one look. Triggers keep accounts of
//! their own and lose nothing when the pressure files are read too often.
//!
//! Each group with a trigger costs a kernel thread, so that their number is bounded.

use super::errno::absent;
use super::forest::Forest;
use super::linux::LinuxTree;
use super::survey::Trigger;
use crate::kernel::psi::{self, StallKind, TRIGGER_MAX};
use crate::model::{Absent, GroupId, Reading, Resource, Share, Span, Topology};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{BorrowedFd, OwnedFd};
use std::collections::HashMap;

/// What a group has doorbells for. Of tasks nobody waits, so that no bell can ring for them.
const BELLS: [(Resource, &str); 2] = [
    (Resource::Cpu, "cpu.pressure"),
    (Resource::Memory, "memory.pressure"),
];

/// The windows that we take of those that the kernel allows. It looks ten times in each; a ring is
/// due after about two of those.
const SHORT: Span = Span(200_000);
const LONG: Span = Span(500_000);
const UNPRIVILEGED: Span = Span(2_000_000);

/// When a doorbell rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingsAt {
    /// So much stall…
    pub threshold: Span,
    /// …within this window.
    pub window: Span,
}

impl RingsAt {
    /// Rings when tasks stall for more than `share` of the time, as soon as the kernel can tell.
    ///
    /// # Errors
    /// Why the kernel arms none.
    pub fn new(kernel: Trigger, share: Share) -> Reading<RingsAt> {
        let window = match kernel {
            Trigger::Short => SHORT,
            Trigger::Long => LONG,
            Trigger::Unprivileged => UNPRIVILEGED,
            Trigger::None(why) => return Err(why),
        };
        let threshold = window.scaled(share.get()).max(Span(1));
        Ok(RingsAt { threshold, window })
    }
}

/// What is armed after `Doorbells::keep`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed {
    /// Doorbells that can ring.
    pub bells: u32,
    /// Those that are not there, because there are too many.
    pub left_out: u32,
    /// Those that are not there yet: they are armed next time.
    pub later: u32,
    /// The last reason why one could not be armed.
    pub failed: Option<Absent>,
}

/// The armed triggers, each registered in the waiter's epoll under its number.
#[derive(Debug)]
pub(super) struct Doorbells {
    rings_at: RingsAt,
    most: usize,
    bells: HashMap<u64, Bell>,
    numbers: HashMap<(GroupId, Resource), u64>,
    next: u64,
}

#[derive(Debug)]
struct Bell {
    group: GroupId,
    resource: Resource,
    /// The trigger lives as long as this is open.
    _trigger: OwnedFd,
}

impl Doorbells {
    /// None yet, and never more than `most`. Their numbers begin at `first`.
    pub(super) fn new(rings_at: RingsAt, most: usize, first: u64) -> Doorbells {
        Doorbells {
            rings_at,
            most,
            bells: HashMap::new(),
            numbers: HashMap::new(),
            next: first,
        }
    }

    /// Arms what the topology watches and `may_ring`, and disarms the others; so many new ones at most. To arm
    /// one takes the kernel the start of a thread, which waits for its turn among all that run.
    pub(super) fn keep(
        &mut self,
        epoll: BorrowedFd<'_>,
        forest: &mut Forest<LinuxTree>,
        topology: &Topology,
        may_ring: &dyn Fn(GroupId) -> bool,
        mut new: usize,
    ) -> Armed {
        let mut armed = Armed::default();
        let mut gone = std::mem::take(&mut self.numbers);
        for (_, group) in topology.watched() {
            if !may_ring(group.id) {
                continue;
            }
            for (resource, file) in BELLS {
                let key = (group.id, resource);
                if let Some(number) = gone.remove(&key) {
                    self.numbers.insert(key, number);
                } else if self.numbers.len() + gone.len() >= self.most {
                    armed.left_out += 1;
                } else if new == 0 {
                    armed.later += 1;
                } else {
                    new -= 1;
                    if let Err(why) = self.arm(epoll, forest, key, file) {
                        armed.failed = Some(why);
                    }
                }
            }
        }
        for number in gone.into_values() {
            self.bells.remove(&number);
        }
        armed.bells = u32::try_from(self.bells.len()).unwrap_or(u32::MAX);
        armed
    }

    /// Whose doorbell this number is.
    pub(super) fn whose(&self, number: u64) -> Option<(GroupId, Resource)> {
        let bell = self.bells.get(&number)?;
        Some((bell.group, bell.resource))
    }

    /// Takes down the doorbell of a group that is gone: it would ring for ever.
    pub(super) fn disarm(&mut self, number: u64) {
        if let Some(bell) = self.bells.remove(&number) {
            self.numbers.remove(&(bell.group, bell.resource));
        }
    }

    fn arm(
        &mut self,
        epoll: BorrowedFd<'_>,
        forest: &mut Forest<LinuxTree>,
        key: (GroupId, Resource),
        file: &str,
    ) -> Reading<()> {
        let (group, resource) = key;
        let (files, dir) = forest.held(group)?;
        let fd = files.open_trigger(dir, file)?;
        let mut room = [0; TRIGGER_MAX];
        let line = psi::trigger(
            StallKind::Some,
            self.rings_at.threshold,
            self.rings_at.window,
            &mut room,
        )?;
        super::linux::write_whole(&fd, line)?;
        let number = self.next;
        self.next += 1;
        let flags = EventFlags::PRI;
        epoll::add(epoll, &fd, EventData::new_u64(number), flags).map_err(absent)?;
        self.bells.insert(
            number,
            Bell {
                group,
                resource,
                _trigger: fd,
            },
        );
        self.numbers.insert(key, number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_the_kernel_allows() {
        let share = Share::new(0.025);
        for (kernel, threshold, window) in [
            (Trigger::Short, 5_000, 200_000),
            (Trigger::Long, 12_500, 500_000),
            (Trigger::Unprivileged, 50_000, 2_000_000),
        ] {
            let expected = RingsAt {
                threshold: Span(threshold),
                window: Span(window),
            };
            assert_eq!(RingsAt::new(kernel, share), Ok(expected));
        }
        let none = RingsAt::new(Trigger::None(Absent::Unsupported), share);
        assert_eq!(none, Err(Absent::Unsupported));
    }

    #[test]
    fn a_share_of_nothing_still_makes_a_trigger_that_the_kernel_takes() {
        let rings_at = RingsAt::new(Trigger::Short, Share::new(0.0)).unwrap();
        let mut room = [0; TRIGGER_MAX];
        assert!(
            psi::trigger(
                StallKind::Some,
                rings_at.threshold,
                rings_at.window,
                &mut room
            )
            .is_ok()
        );
    }
}
