//! The one call of the loads that Rust cannot check.
#![allow(
    unsafe_code,
    reason = "no safe wrapper exists; see the SAFETY comment of the call"
)]

/// Makes this thread, and those that it starts, real-time ones (SCHED_FIFO).
///
/// # Errors
/// The kernel's: no permission, or a priority that is none.
pub(super) fn fifo(priority: i32) -> std::io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the call reads one `sched_param` behind a pointer that is valid for its length, and keeps none of
    // it. Thread 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
