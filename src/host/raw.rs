//! The calls that Rust cannot check: all of them are here, each with the reason why it is sound.
#![allow(
    unsafe_code,
    reason = "no safe wrapper exists; see the SAFETY comment of each call"
)]

use std::io;
use std::os::fd::OwnedFd;

use memmap2::{MmapMut, MmapOptions};

/// Maps the first `length` bytes of a state file, shared and writable.
///
/// # Errors
/// The kernel's.
pub(super) fn map_state(fd: &OwnedFd, length: usize) -> io::Result<MmapMut> {
    // SAFETY: the mapping must not outlive the file's length. The file is regular, ours and mode
    // 0600, every governor takes the lock we hold before it touches the file, and none ever
    // shortens it. Only root could, who can stop this process in simpler ways. No Rust reference
    // into the map is handed to another process, and what another process stored before is read as
    // plain bytes that are checked (CRC) before use.
    unsafe { MmapOptions::new().len(length).map_mut(fd) }
}

/// Makes the calling thread a real-time one (SCHED_RR) of this priority, 1 to 99; threads and
/// processes that it starts are ordinary again.
///
/// # Errors
/// The kernel's.
pub(super) fn round_robin(sched_priority: i32) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the call reads one `sched_param` behind a pointer that is valid for its length, and
    // keeps none of it. Thread 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a thread has a real-time policy (SCHED_FIFO, SCHED_RR or SCHED_DEADLINE); `None` where there is no such thread
/// (any more).
pub(super) fn has_real_time(thread: u32) -> Option<bool> {
    let thread = libc::pid_t::try_from(thread).ok().filter(|id| *id > 0)?;
    // SAFETY: the call takes a number, and gives one.
    let policy = unsafe { libc::sched_getscheduler(thread) };
    let policy = u32::try_from(policy).ok()? & !libc::SCHED_RESET_ON_FORK.cast_unsigned();
    Some(
        [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE]
            .iter()
            .any(|real_time| real_time.cast_unsigned() == policy),
    )
}
