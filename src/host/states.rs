//! Where governors of this boot keep their state, noted in the usual folder: a policy that was changed or
//! broken meanwhile does not hide a journal.
//!
//! One path after the other, each ended by a NUL. Nothing is ever taken out: the folder is on a tmpfs, and
//! lasts as long as the limits do.

use super::errno::absent;
use super::linux::write_whole;
use super::whole_file::{FileError, read_whole};
use crate::model::Reading;
use rustix::fs::{Mode, OFlags, mkdir, open};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "states";

/// Hundreds of folders.
const LENGTH_MAX: u64 = 64 << 10;

const APPEND: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::APPEND)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// The file in the usual folder.
#[must_use]
pub fn states_file(usual: &Path) -> PathBuf {
    usual.join(FILE_NAME)
}

/// The folders that were noted in the usual one, the first first; none where nothing was noted.
///
/// # Errors
/// The file is there and cannot be read.
pub fn noted_states(usual: &Path) -> Result<Vec<PathBuf>, FileError> {
    let text = match read_whole(&states_file(usual), LENGTH_MAX) {
        Err(FileError::NotFound) => return Ok(Vec::new()),
        read => read?,
    };
    let paths = text
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty());
    Ok(paths
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect())
}

/// Notes a folder in the usual one, which is made (mode 0755) where it is missing.
///
/// # Errors
/// It could not be written: nobody finds the folder then but by the policy.
pub fn note_state(usual: &Path, state: &Path) -> Reading<()> {
    match mkdir(usual, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(absent(errno)),
    }
    let file = open(states_file(usual), APPEND, Mode::from_raw_mode(0o644)).map_err(absent)?;
    let line = [state.as_os_str().as_bytes(), b"\0"].concat();
    write_whole(&file, &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_found_in_its_order_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let usual = dir.path().join("usual");
        assert!(noted_states(&usual).unwrap().is_empty());
        let odd = Path::new(OsStr::from_bytes(b"/srv/a\nb \xff"));
        for state in [odd, Path::new("/srv/other")] {
            note_state(&usual, state).unwrap();
        }
        let noted = noted_states(&usual).unwrap();
        assert_eq!(noted, [odd, Path::new("/srv/other")]);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(states_file(dir.path())).unwrap();
        assert!(noted_states(dir.path()).is_err());
        assert!(note_state(dir.path(), Path::new("/srv")).is_err());
    }
}
