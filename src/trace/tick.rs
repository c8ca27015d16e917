//! A sample to deltas and back.
//!
//! Each container that was met since the last key has a slot with its last values, and so has the host. What is written
//! of it: the slot (as the distance from the one before, mostly one ahead), when it was read (as the distance from the one
//! before), a mask, and what the mask says has changed. A container in which nothing moved is five bytes.
//!
//! The mask has for each reading a bit for each of its values and one that says that it is absent. A
//! value's bit: it changed, and its delta follows. If the reading is absent, the first value's bit
//! says that the reason is another than last time, and its number follows.

use std::collections::HashMap;

use super::device;
use super::host::{self, HOST};
use super::threads;
use super::varint::{Cursor, put, put_delta};
use crate::model::{
    Absent, Bytes, ContainerSample, CpuUse, DEVICES, GroupId, HostSample, Knob, MemoryUse, Outcome,
    Reading, Sample, Span, Stall, Time, Written,
};

/// The most containers, and the most outcomes, of one tick, and the most containers between two keys.
pub(super) const SLOTS_MAX: usize = 16_384;

/// Values of each of a container's readings. Before the last are its devices, each with its number; where there are
/// fewer their values are 0. The last is whether it runs in real time; older formats, which do not know of it, tell 0.
const CONTAINER: [usize; 8 + DEVICES] = [2, 2, 2, 2, 1, 2, 1, 5, 5, 5, 5, 1];
/// The first format that has the host's tasks. Where the format is older no bit of the mask speaks of them.
const WITH_TASKS: u32 = 2;
/// The first format that has what containers do on devices.
const WITH_IO: u32 = 3;
/// Likewise the host's free memory.
const WITH_FREE: u32 = 6;
/// And how long its CPUs were busy.
const WITH_BUSY: u32 = 7;

/// The most values of one reading.
pub(super) const VALUES: usize = 5;

/// The values, or the number of the reason why there are none.
pub(super) type Plain = Result<[u64; VALUES], u64>;

/// The last of one reading: its values, and its last reason.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    values: [u64; VALUES],
    reason: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    id: GroupId,
    last: [Last; CONTAINER.len()],
}

/// What both sides know of the ticks since the last key.
#[derive(Clone, Debug, Default)]
pub(super) struct Deltas {
    at: u64,
    host: [Last; HOST.len()],
    slots: Vec<Slot>,
    /// Where in `slots`; kept by the writing side only.
    places: HashMap<GroupId, usize>,
}

impl Deltas {
    /// Forgets everything: what follows stands alone.
    pub(super) fn reset(&mut self) {
        self.at = 0;
        self.host = Default::default();
        self.slots.clear();
        self.places.clear();
    }

    /// Whether a sample of so many containers can be written without a reset before it.
    pub(super) fn has_room(&self, containers: usize) -> bool {
        self.slots.len() + containers <= SLOTS_MAX
    }

    /// Appends the sample.
    pub(super) fn put(&mut self, sample: &Sample, into: &mut Vec<u8>) {
        put_delta(self.at, sample.at.0, into);
        self.at = sample.at.0;
        put_readings(&HOST, &host::out(&sample.host), &mut self.host, into);
        put(sample.containers.len() as u64, into);
        let (mut next, mut at) = (0, sample.at.0);
        for read in &sample.containers {
            let place = self.place(read.id, next);
            put_delta(next as u64, place as u64, into);
            if place == self.slots.len() {
                put(read.id.0, into);
                self.places.insert(read.id, place);
                self.slots.push(Slot::new(read.id));
            }
            next = place + 1;
            put_delta(at, read.at.0, into);
            at = read.at.0;
            if let Some(slot) = self.slots.get_mut(place) {
                put_readings(&CONTAINER, &container_out(read), &mut slot.last, into);
            }
        }
        put(sample.outcomes.len() as u64, into);
        for outcome in &sample.outcomes {
            put_outcome(outcome, into);
        }
    }

    /// The sample that was put; `None` where the bytes are none.
    pub(super) fn take(&mut self, from: &mut Cursor<'_>, format: u32) -> Option<Sample> {
        let mut sample = Sample::default();
        self.at = from.delta(self.at)?;
        sample.at = Time(self.at);
        sample.host = host::all_in(&take_readings(&HOST, &mut self.host, from)?)?;
        let none = HostSample::default();
        if format < WITH_TASKS {
            (sample.host.tasks, sample.host.tasks_max) = (none.tasks, none.tasks_max);
        }
        if format < WITH_IO {
            sample.host.io = none.io;
        }
        if format < WITH_FREE {
            sample.host.memory_free = none.memory_free;
        }
        if format < WITH_BUSY {
            sample.host.cpu_busy = none.cpu_busy;
        }
        let count = from.count(SLOTS_MAX)?;
        // Each takes four bytes at least: what the bytes cannot hold is not made room for.
        sample.containers.reserve_exact(count.min(from.len() / 4));
        let (mut next, mut at) = (0, sample.at.0);
        for _ in 0..count {
            let place = usize::try_from(from.delta(next as u64)?).ok()?;
            if place == self.slots.len() && place < SLOTS_MAX {
                self.slots.push(Slot::new(GroupId(from.number()?)));
            }
            let slot = self.slots.get_mut(place)?;
            next = place + 1;
            at = from.delta(at)?;
            let read = take_readings(&CONTAINER, &mut slot.last, from)?;
            let mut read = container_in(slot.id, Time(at), &read)?;
            if format < WITH_IO {
                let none = ContainerSample::unread(slot.id, Time(at));
                (read.io, read.io_stall) = (none.io, none.io_stall);
            }
            sample.containers.push(read);
        }
        for _ in 0..from.count(SLOTS_MAX)? {
            sample.outcomes.push(take_outcome(from)?);
        }
        Some(sample)
    }

    /// The slot of `id`, which is mostly `next`; one past the last where it is new.
    fn place(&self, id: GroupId, next: usize) -> usize {
        if self.slots.get(next).is_some_and(|slot| slot.id == id) {
            return next;
        }
        self.places.get(&id).copied().unwrap_or(self.slots.len())
    }
}

impl Slot {
    fn new(id: GroupId) -> Slot {
        Slot {
            id,
            last: Default::default(),
        }
    }
}

fn put_readings(widths: &[usize], now: &[Plain], last: &mut [Last], into: &mut Vec<u8>) {
    let (mut mask, mut bit) = (0_u64, 0);
    for ((width, now), last) in widths.iter().zip(now).zip(&*last) {
        match now {
            Ok(values) => {
                for (at, (new, old)) in values.iter().zip(last.values).take(*width).enumerate() {
                    mask |= u64::from(*new != old) << (bit + at);
                }
            }
            Err(reason) => {
                mask |= u64::from(*reason != last.reason) << bit | 1 << (bit + width);
            }
        }
        bit += width + 1;
    }
    put(mask, into);
    for ((width, now), last) in widths.iter().zip(now).zip(last) {
        match now {
            Ok(values) => {
                for (new, old) in values.iter().zip(&mut last.values).take(*width) {
                    if new != old {
                        put_delta(*old, *new, into);
                        *old = *new;
                    }
                }
            }
            Err(reason) => {
                if *reason != last.reason {
                    put(*reason, into);
                    last.reason = *reason;
                }
            }
        }
    }
}

fn take_readings<const N: usize>(
    widths: &[usize; N],
    last: &mut [Last; N],
    from: &mut Cursor<'_>,
) -> Option<[Plain; N]> {
    let mut mask = from.number()?;
    let mut read = [Ok([0; VALUES]); N];
    for ((width, last), read) in widths.iter().zip(last).zip(&mut read) {
        if mask & 1 << width == 0 {
            for (at, value) in last.values.iter_mut().take(*width).enumerate() {
                if mask & 1 << at != 0 {
                    *value = from.delta(*value)?;
                }
            }
            *read = Ok(last.values);
        } else {
            if mask & 1 != 0 {
                last.reason = from.number()?;
            }
            *read = Err(last.reason);
        }
        mask >>= width + 1;
    }
    (mask == 0).then_some(read)
}

/// A reading of up to two values; of one that has fewer the others are 0.
pub(super) fn pair<T>(reading: Reading<T>, values: impl Fn(T) -> [u64; 2]) -> Plain {
    let widen = |[first, second]: [u64; 2]| [first, second, 0, 0, 0];
    reading.map(values).map(widen).map_err(reason_out)
}

pub(super) fn unpair<T>(plain: &Plain, value: impl Fn([u64; 2]) -> T) -> Option<Reading<T>> {
    Some(match plain {
        Ok([first, second, ..]) => Ok(value([*first, *second])),
        Err(reason) => Err(reason_in(*reason)?),
    })
}

fn container_out(read: &ContainerSample) -> [Plain; CONTAINER.len()] {
    let stall = |reading| pair(reading, |stall: Stall| [stall.some.0, stall.full.0]);
    let device = |at| Ok(device::out(&read.io, at));
    [
        pair(read.cpu, |cpu| [cpu.usage.0, cpu.throttled.0]),
        stall(read.cpu_stall),
        pair(read.memory, |memory| [memory.current.0, memory.swap.0]),
        stall(read.memory_stall),
        pair(read.tasks, |tasks| [tasks, 0]),
        stall(read.io_stall),
        pair(read.io, |_| [0, 0]),
        device(0),
        device(1),
        device(2),
        device(3),
        Ok([threads::out(read.real_time), 0, 0, 0, 0]),
    ]
}

fn container_in(
    id: GroupId,
    at: Time,
    [
        cpu,
        cpu_stall,
        memory,
        memory_stall,
        tasks,
        io_stall,
        io,
        devices @ ..,
        real_time,
    ]: &[Plain; CONTAINER.len()],
) -> Option<ContainerSample> {
    let stall = |plain| {
        unpair(plain, |[some, full]| Stall {
            some: Span(some),
            full: Span(full),
        })
    };
    Some(ContainerSample {
        id,
        at,
        cpu: unpair(cpu, |[usage, throttled]| CpuUse {
            usage: Span(usage),
            throttled: Span(throttled),
        })?,
        cpu_stall: stall(cpu_stall)?,
        memory: unpair(memory, |[current, swap]| MemoryUse {
            current: Bytes(current),
            swap: Bytes(swap),
        })?,
        memory_stall: stall(memory_stall)?,
        tasks: unpair(tasks, |[tasks, _]| tasks)?,
        io: unpair(io, |_| device::all_in(devices))?,
        io_stall: stall(io_stall)?,
        real_time: threads::value_in((*real_time).ok()?[0])?,
    })
}

/// The number of [`Knob::IoMax`], after which the device's follows.
const ON_DEVICE: u8 = 8;

fn put_outcome(outcome: &Outcome, into: &mut Vec<u8>) {
    put(outcome.group.0, into);
    let (knob, major, minor) = outcome.knob.number();
    into.push(knob);
    if matches!(outcome.knob, Knob::IoMax(_)) {
        put(u64::from(major), into);
        put(u64::from(minor), into);
    }
    let number = match outcome.written {
        Written::Done => 0,
        Written::Queued => 1,
        Written::WouldWrite => 2,
        Written::Restored => 3,
        Written::Reasserted => 4,
        Written::Drifted => 5,
        Written::GaveUp => 6,
        Written::Failed(_) => 7,
        Written::Killed => 8,
        Written::NotKilled(_) => 9,
    };
    into.push(number);
    if let Written::Failed(why) | Written::NotKilled(why) = outcome.written {
        put(reason_out(why), into);
    }
}

fn take_outcome(from: &mut Cursor<'_>) -> Option<Outcome> {
    let group = GroupId(from.number()?);
    let number = from.byte()?;
    let mut part = || u32::try_from(from.number()?).ok();
    let (major, minor) = if number == ON_DEVICE {
        (part()?, part()?)
    } else {
        (0, 0)
    };
    Some(Outcome {
        group,
        knob: Knob::from_number(number, major, minor)?,
        written: match from.byte()? {
            0 => Written::Done,
            1 => Written::Queued,
            2 => Written::WouldWrite,
            3 => Written::Restored,
            4 => Written::Reasserted,
            5 => Written::Drifted,
            6 => Written::GaveUp,
            7 => Written::Failed(reason_in(from.number()?)?),
            8 => Written::Killed,
            9 => Written::NotKilled(reason_in(from.number()?)?),
            _ => return None,
        },
    })
}

/// Numbers from here on are an `errno`, which the kernel gives as a positive number.
const ERRNO: u64 = 32;

/// The number of a reason. 0, which every slot begins with, is the most frequent: not read.
fn reason_out(why: Absent) -> u64 {
    match why {
        Absent::NotRead => 0,
        Absent::Gone => 1,
        Absent::NoFile => 2,
        Absent::Unsupported => 3,
        Absent::Denied => 4,
        Absent::ReadOnly => 5,
        Absent::Refused => 6,
        Absent::Busy => 7,
        Absent::Malformed => 8,
        Absent::JournalFull => 9,
        Absent::Errno(code) => ERRNO + u64::from(code.cast_unsigned()),
    }
}

fn reason_in(number: u64) -> Option<Absent> {
    Some(match number {
        0 => Absent::NotRead,
        1 => Absent::Gone,
        2 => Absent::NoFile,
        3 => Absent::Unsupported,
        4 => Absent::Denied,
        5 => Absent::ReadOnly,
        6 => Absent::Refused,
        7 => Absent::Busy,
        8 => Absent::Malformed,
        9 => Absent::JournalFull,
        _ => Absent::Errno(
            u32::try_from(number.checked_sub(ERRNO)?)
                .ok()?
                .cast_signed(),
        ),
    })
}
