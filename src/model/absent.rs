//! Why a value is not there. A missing value never looks like calm.

use std::fmt;

/// Why a kernel value could not be had.
///
/// Classified from `errno`, never from `std::io::ErrorKind`: reading a file of a removed cgroup
/// gives ENODEV, which has no kind of its own in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// The cgroup (or process) went away: ENODEV, or ENOENT on its held directory, or ESRCH.
    Gone,
    /// The file does not exist while its cgroup does: the controller is not enabled there, or this
    /// kernel does not have it.
    NoFile,
    /// The kernel has the file but not the feature (PSI off at boot: EOPNOTSUPP).
    Unsupported,
    /// EACCES or EPERM.
    Denied,
    /// EROFS.
    ReadOnly,
    /// The kernel refused the value: EINVAL, ERANGE.
    Refused,
    /// EBUSY: for example a value that the kernel cannot apply now.
    Busy,
    /// The text was not of the documented form, or lacked the label that was asked for.
    Malformed,
    /// It was not asked for in this sample (slow sweep, or read for suspects only).
    NotRead,
    /// The journal has no room for another original, so the knob was not touched.
    JournalFull,
    /// Any other `errno`, kept as the kernel gave it.
    Errno(i32),
}

/// A value, or the reason why there is none.
pub type Reading<T> = Result<T, Absent>;

/// What an older recording says of something that it has not.
pub(super) const fn unread<T>() -> Reading<T> {
    Err(Absent::NotRead)
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::Gone => f.write_str("the cgroup is gone"),
            Absent::NoFile => {
                f.write_str("no such file here (controller not enabled, or older kernel)")
            }
            Absent::Unsupported => f.write_str("not supported by the running kernel (PSI off?)"),
            Absent::Denied => f.write_str("permission denied"),
            Absent::ReadOnly => f.write_str("read-only file system"),
            Absent::Refused => f.write_str("refused by the kernel as invalid"),
            Absent::Busy => f.write_str("busy"),
            Absent::Malformed => f.write_str("not of the documented form"),
            Absent::NotRead => f.write_str("not read in this sample"),
            Absent::JournalFull => f.write_str("the journal is full: nothing was written"),
            Absent::Errno(code) => write!(f, "errno {code}"),
        }
    }
}

impl std::error::Error for Absent {}
