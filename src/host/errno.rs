//! From the kernel's error numbers to the reason why a value is absent.

use crate::model::Absent;
use rustix::io::Errno;

/// The reason behind an error number.
///
/// ENOENT is [`Absent::NoFile`] here: whether its group is gone too, only a second look can tell.
pub(super) fn absent(errno: Errno) -> Absent {
    match errno {
        Errno::NODEV | Errno::SRCH | Errno::STALE => Absent::Gone,
        Errno::NOENT => Absent::NoFile,
        Errno::OPNOTSUPP | Errno::NOSYS => Absent::Unsupported,
        Errno::ACCESS | Errno::PERM => Absent::Denied,
        Errno::ROFS => Absent::ReadOnly,
        Errno::INVAL | Errno::RANGE => Absent::Refused,
        Errno::BUSY => Absent::Busy,
        other => Absent::Errno(other.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_cgroup_is_gone_although_rust_has_no_kind_for_its_errno() {
        assert_eq!(absent(Errno::NODEV), Absent::Gone);
    }

    #[test]
    fn an_errno_that_nobody_foresaw_is_kept() {
        assert_eq!(
            absent(Errno::MFILE),
            Absent::Errno(Errno::MFILE.raw_os_error())
        );
    }

    #[test]
    fn each_reason_that_an_operator_can_mend_is_told_apart() {
        assert_eq!(absent(Errno::ROFS), Absent::ReadOnly);
        assert_eq!(absent(Errno::ACCESS), Absent::Denied);
        assert_eq!(absent(Errno::PERM), Absent::Denied);
        assert_eq!(absent(Errno::OPNOTSUPP), Absent::Unsupported);
    }
}
