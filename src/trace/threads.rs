//! What was seen of a container's threads, to a value of a tick and back.

/// 0, which every slot begins with, is what formats tell that do not know of it: nobody looked.
pub(super) const fn out(real_time: Option<bool>) -> u64 {
    match real_time {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

/// `None` where the number means nothing.
pub(super) const fn value_in(number: u64) -> Option<Option<bool>> {
    match number {
        0 => Some(None),
        1 => Some(Some(false)),
        2 => Some(Some(true)),
        _ => None,
    }
}
