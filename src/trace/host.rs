//! What was read of the host as the readings of a tick, and back.

use super::device;
use super::tick::{Plain, pair, unpair};
use crate::model::{Bytes, DEVICES, HostSample, Span};

/// Values of each of the host's readings. The number of CPUs is one that is never absent; the last are the memory that is free, and
/// how long the CPUs were busy.
pub(super) const HOST: [usize; 11 + DEVICES] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 5, 1, 1];

/// The host's readings as values.
pub(super) fn out(host: &HostSample) -> [Plain; HOST.len()] {
    let bytes = |reading| pair(reading, |Bytes(bytes)| [bytes, 0]);
    let device = |at| Ok(device::out(&host.io, at));
    [
        pair(Ok(host.cpus), |cpus| [u64::from(cpus), 0]),
        pair(host.cpu_idle, |Span(idle)| [idle, 0]),
        bytes(host.memory_total),
        bytes(host.memory_available),
        bytes(host.swap_total),
        bytes(host.swap_free),
        pair(host.tasks, |tasks| [tasks, 0]),
        pair(host.tasks_max, |tasks| [tasks, 0]),
        pair(host.io, |_| [0, 0]),
        device(0),
        device(1),
        device(2),
        device(3),
        bytes(host.memory_free),
        pair(host.cpu_busy, |Span(busy)| [busy, 0]),
    ]
}

/// And back; `None` where they are none.
pub(super) fn all_in(
    [
        cpus,
        idle,
        total,
        available,
        swap,
        swap_free,
        tasks,
        tasks_max,
        io,
        devices @ ..,
        free,
        busy,
    ]: &[Plain; HOST.len()],
) -> Option<HostSample> {
    let count = |plain| unpair(plain, |[tasks, _]| tasks);
    let bytes = |plain| unpair(plain, |[bytes, _]| Bytes(bytes));
    Some(HostSample {
        cpus: u32::try_from((*cpus).ok()?[0]).ok()?,
        cpu_idle: unpair(idle, |[idle, _]| Span(idle))?,
        cpu_busy: unpair(busy, |[busy, _]| Span(busy))?,
        memory_total: bytes(total)?,
        memory_available: bytes(available)?,
        memory_free: bytes(free)?,
        swap_total: bytes(swap)?,
        swap_free: bytes(swap_free)?,
        tasks: count(tasks)?,
        tasks_max: count(tasks_max)?,
        io: unpair(io, |_| device::all_in(devices))?,
    })
}
