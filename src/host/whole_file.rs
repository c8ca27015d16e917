//! A small file, whole: never half of the old and half of the new one.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where operators' files are read"
)]

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How often a file that changes under us is read again before we give up.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// Why a file could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// ENOENT.
    #[error("no such file")]
    NotFound,
    /// EACCES or EPERM.
    #[error("permission denied")]
    Denied,
    /// A folder, device, socket or FIFO.
    #[error("not a regular file")]
    NotRegular,
    /// Longer than the caller takes.
    #[error("too large: more than {max} bytes")]
    TooLarge {
        /// The bound, in bytes.
        max: u64,
    },
    /// It was written or replaced during every attempt.
    #[error("it keeps changing while it is read")]
    Changing,
    /// Anything else.
    #[error("{0}")]
    Io(std::io::Error),
}

/// Reads the file `path` of at most `max` bytes. A file that is written or replaced meanwhile
/// is read again, a few times; a FIFO does not make us wait.
///
/// # Errors
/// See [`FileError`].
pub fn read_whole(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        if let Some(bytes) = read_once(path, max)? {
            return Ok(bytes);
        }
    }
    Err(FileError::Changing)
}

/// One attempt; `None` if the file was not the same before and after.
fn read_once(path: &Path, max: u64) -> Result<Option<Vec<u8>>, FileError> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(classify)?;
    let before = regular(&file)?;
    if before.len() > max {
        return Err(FileError::TooLarge { max });
    }
    let mut bytes = Vec::new();
    Read::by_ref(&mut file)
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(classify)?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLarge { max });
    }
    let after = regular(&file)?;
    let stands = match std::fs::metadata(path) {
        Ok(stands) => stands,
        // Removed between the two halves of a replacement: the next attempt says what is true.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(classify(error)),
    };
    let same = stamp(&before) == stamp(&after) && stamp(&after) == stamp(&stands);
    Ok((same && bytes.len() as u64 == after.len()).then_some(bytes))
}

fn regular(file: &File) -> Result<Metadata, FileError> {
    let found = file.metadata().map_err(classify)?;
    if found.is_file() {
        Ok(found)
    } else {
        Err(FileError::NotRegular)
    }
}

/// What changes when the content does.
fn stamp(found: &Metadata) -> (u64, u64, u64, i64, i64) {
    let (device, inode, size) = (found.dev(), found.ino(), found.size());
    (device, inode, size, found.mtime(), found.mtime_nsec())
}

fn classify(error: std::io::Error) -> FileError {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => FileError::NotFound,
        Some(libc::EACCES | libc::EPERM) => FileError::Denied,
        // What opening a socket gives.
        Some(libc::ENXIO) => FileError::NotRegular,
        _ => FileError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 1 << 16;

    #[test]
    fn a_file_that_is_not_there_a_folder_and_a_socket_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| read_whole(&dir.path().join(name), MAX).unwrap_err();
        assert!(matches!(read("none"), FileError::NotFound));
        assert!(matches!(read("."), FileError::NotRegular));
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(matches!(read("s"), FileError::NotRegular));
    }

    #[test]
    fn a_fifo_without_a_writer_does_not_hang_the_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(matches!(read_whole(&path, MAX), Err(FileError::NotRegular)));
    }

    #[test]
    fn an_endless_file_is_refused_at_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        std::fs::write(&path, vec![b'#'; 100]).unwrap();
        assert!(matches!(
            read_whole(&path, 99),
            Err(FileError::TooLarge { max: 99 })
        ));
        assert_eq!(read_whole(&path, 100).unwrap().len(), 100);
        assert!(read_whole(Path::new("/dev/zero"), MAX).is_err());
    }

    #[test]
    fn a_file_that_is_replaced_all_the_time_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let (small, large) = ("a".repeat(10), "b".repeat(40_000));
        std::fs::write(&path, &small).unwrap();
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0.. {
                    if ended.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    let text = if round % 2 == 0 { &large } else { &small };
                    let next = path.with_extension("next");
                    std::fs::write(&next, text).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                }
            });
            for _ in 0..200 {
                match read_whole(&path, MAX) {
                    Ok(text) => assert!(text == small.as_bytes() || text == large.as_bytes()),
                    Err(error) => assert!(matches!(error, FileError::Changing), "{error}"),
                }
            }
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            writer.join().unwrap();
        });
    }
}
