//! The door: the Unix socket that `governor status` knocks at, and who may come in.
//!
//! Made so that nothing is left half-done: a lock beside the socket is taken first, so that two
//! governors that start together cannot both think the other's socket stale; then the new socket is
//! made under another name, given its mode, and renamed over whatever a dead governor left behind.
#![allow(
    clippy::disallowed_methods,
    reason = "the folder, the lock and the socket are made here, once, at start-up"
)]

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::ask::Ask;

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Another governor answers there.
    #[error("another governor runs: it holds {0}")]
    Another(String),
    /// What stands at the path is not ours to replace.
    #[error("{0} exists and is no socket; remove it, or set runtime.socket to another path")]
    NotASocket(String),
    /// The system said no.
    #[error("cannot {operation} {path}: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Who asks, as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Effective user when it connected.
    pub uid: u32,
    /// Effective group when it connected.
    pub gid: u32,
}

/// Whether a peer may ask this.
pub type Allow = Arc<dyn Fn(Peer, Ask) -> bool + Send + Sync>;

/// A bound socket, and the lock that keeps a second governor out. Dropping it removes the socket.
#[derive(Debug)]
pub(super) struct Door {
    /// The listener, non-blocking.
    pub(super) listener: UnixListener,
    path: PathBuf,
    inode: u64,
    /// The group that owns the socket.
    pub(super) gid: u32,
    _lock: File,
}

/// Root and the daemon's own user may ask anything, the socket's group may read.
#[must_use]
pub fn owner_rule(own_uid: u32, socket_gid: u32) -> Allow {
    Arc::new(move |peer, ask| {
        peer.uid == 0 || peer.uid == own_uid || (ask.only_looks() && peer.gid == socket_gid)
    })
}

impl Door {
    /// Makes the socket at `path`: folder 0755 if it is missing, socket 0660.
    ///
    /// # Errors
    /// If another governor runs, the path is taken by something else, or the system says no.
    pub(super) fn open(path: &Path) -> Result<Door, DoorError> {
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)
                .map_err(failed("create the folder", folder))?;
        }
        let lock = lock(&beside(path, ".lock"), path)?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(DoorError::NotASocket(path.display().to_string()));
            }
            // A governor that does not use the lock, or whose lock file was removed.
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(DoorError::Another(path.display().to_string()));
            }
            Ok(_) => tracing::info!("replacing the socket {} of a dead governor", path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", path)(error)),
        }
        let fresh = beside(path, ".new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &fresh)(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&fresh).map_err(failed("bind", &fresh))?;
        listener
            .set_nonblocking(true)
            .map_err(failed("prepare", &fresh))?;
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o660))
            .map_err(failed("set the mode of", &fresh))?;
        let made = std::fs::symlink_metadata(&fresh).map_err(failed("look at", &fresh))?;
        std::fs::rename(&fresh, path).map_err(failed("rename the new socket to", path))?;
        Ok(Door {
            listener,
            path: path.to_owned(),
            inode: made.ino(),
            gid: made.gid(),
            _lock: lock,
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Only what is still ours: an operator may have replaced it.
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|at| at.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Takes the lock file at `path` for as long as the file is open.
fn lock(path: &Path, socket: &Path) -> Result<File, DoorError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(failed("open the lock", path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DoorError::Another(socket.display().to_string())),
        Err(errno) => Err(failed("lock", path)(errno.into())),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failed<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> DoorError + use<'a> {
    move |error| DoorError::Io {
        operation,
        path: path.display().to_string(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_for_its_owner_and_group_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/here/s");
        let door = Door::open(&path).unwrap();
        let mode = |at: &Path| std::fs::metadata(at).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(&dir.path().join("made/here")), 0o755);
        drop(door);
        assert!(!path.exists(), "the socket goes with the door");
    }

    #[test]
    fn a_socket_that_a_dead_governor_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let _door = Door::open(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_second_governor_is_told_that_another_runs_and_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _door = Door::open(&path).unwrap();
        assert!(matches!(Door::open(&path), Err(DoorError::Another(_))));
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_listener_that_holds_no_lock_is_another_governor_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(Door::open(&path), Err(DoorError::Another(_))));
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(Door::open(&path), Err(DoorError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_door_does_not_remove_what_somebody_put_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let door = Door::open(&path).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        drop(door);
        assert!(path.exists());
    }

    #[test]
    fn root_and_the_owner_may_ask_anything_the_group_may_read_and_nobody_else() {
        let allow = owner_rule(991, 44);
        let peer = |uid, gid| Peer { uid, gid };
        assert!(allow(peer(0, 0), Ask::Restore));
        assert!(allow(peer(991, 7), Ask::Reload));
        assert!(allow(peer(1000, 44), Ask::Status));
        assert!(!allow(peer(1000, 44), Ask::Restore));
        let run = None;
        assert!(allow(peer(1000, 44), Ask::Events { run, after: 0 }));
        assert!(!allow(peer(1000, 1000), Ask::Status));
    }
}
