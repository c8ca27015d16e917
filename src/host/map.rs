//! A small file of state that is locked against a second user and mapped into memory.
//!
//! Mapped and locked there, a store into it needs no system call, no room on the file system and no
//! page from swap, so it works while an attacker has all of these. What was stored survives the
//! death of the process, because the pages belong to the file.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::raw;
use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// Why the state file cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// Another process holds it.
    #[error("{path}: in use by {holder}: only one governor can act on a host; stop that one first")]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process that holds it.
        holder: Holder,
    },
    /// It is a directory, a device, a pipe, or belongs to somebody else.
    #[error("{path}: {what}: move it away, or set another `state` folder")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A system call failed.
    #[error("{path}: cannot {what}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Who holds a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This process id, which it wrote there itself.
    Pid(u32),
    /// It has not (yet) written its process id.
    Unknown,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Holder::Pid(pid) => write!(f, "process {pid}"),
            Holder::Unknown => f.write_str("another process"),
        }
    }
}

/// No link is followed, and a pipe in its place does not block us.
const OPEN: OFlags = OFlags::RDWR
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// The open and locked file. The lock ends with this value and with the process.
#[derive(Debug)]
pub struct StateFile {
    fd: OwnedFd,
    path: PathBuf,
    len: u64,
}

/// The mapped file; still locked.
#[derive(Debug)]
pub struct StateMap {
    map: MmapMut,
    pinned: io::Result<()>,
    _lock: OwnedFd,
}

impl StateFile {
    /// Opens and locks `path`; makes it, and its folder (mode 0700), where they are missing.
    /// `pid_at` is where a holder writes its process id (4 bytes, little-endian).
    ///
    /// # Errors
    /// See [`StateFileError`]. Nothing was written then.
    pub fn open_or_make(path: &Path, pid_at: u64) -> Result<StateFile, StateFileError> {
        make_folder(path)?;
        match rustix::fs::open(path, OPEN | OFlags::CREATE, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => StateFile::lock(fd, path, pid_at),
            Err(errno) => Err(cannot_open(path, errno)),
        }
    }

    /// Opens and locks `path` if it is there.
    ///
    /// # Errors
    /// See [`StateFileError`]. Nothing was written then.
    pub fn open(path: &Path, pid_at: u64) -> Result<Option<StateFile>, StateFileError> {
        match rustix::fs::open(path, OPEN, Mode::empty()) {
            Ok(fd) => StateFile::lock(fd, path, pid_at).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(cannot_open(path, errno)),
        }
    }

    fn lock(fd: OwnedFd, path: &Path, pid_at: u64) -> Result<StateFile, StateFileError> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed(path, "stat it", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_ours(path, "not a regular file"));
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(not_ours(path, "owned by another user"));
        }
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let path = path.to_owned();
                let holder = read_holder(&fd, pid_at);
                return Err(StateFileError::InUse { path, holder });
            }
            Err(errno) => return Err(failed(path, "lock it", errno)),
        }
        Ok(StateFile {
            fd,
            path: path.to_owned(),
            len: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }

    /// How long it was when it was opened.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was empty when it was opened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its first bytes, as many as there are.
    ///
    /// # Errors
    /// The read failed.
    pub fn head<'a>(&self, room: &'a mut [u8]) -> Result<&'a [u8], StateFileError> {
        let read = rustix::io::pread(&self.fd, &mut *room, 0)
            .map_err(|errno| failed(&self.path, "read it", errno))?;
        Ok(room.get(..read).unwrap_or_default())
    }

    /// Gives it `len` bytes for good, maps and locks them, and writes our process id at `pid_at`.
    ///
    /// # Errors
    /// No room, or it cannot be mapped. That it cannot be *pinned* is no error: see
    /// [`StateMap::pinned`].
    pub fn map(self, len: usize, pid_at: usize) -> Result<StateMap, StateFileError> {
        let fail = |what, errno: Errno| failed(&self.path, what, errno);
        // Room is taken now: a store into a hole of a full file system would be a SIGBUS.
        match rustix::fs::fallocate(&self.fd, FallocateFlags::empty(), 0, len as u64) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => fill(&self.fd, self.len, len as u64)
                .map_err(|errno| fail("get room for it", errno))?,
            Err(errno) => return Err(fail("get room for it", errno)),
        }
        let mut map = raw::map_state(&self.fd, len).map_err(|source| StateFileError::Io {
            path: self.path.clone(),
            what: "map it",
            source,
        })?;
        let pinned = map.lock();
        if let Some(place) = map.get_mut(pid_at..pid_at.saturating_add(4)) {
            place.copy_from_slice(&std::process::id().to_le_bytes());
        }
        Ok(StateMap {
            map,
            pinned,
            _lock: self.fd,
        })
    }
}

impl StateMap {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Stores bytes; what would reach beyond the end is not stored at all.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at.saturating_add(bytes.len());
        if let Some(place) = self.map.get_mut(at..end) {
            place.copy_from_slice(bytes);
        }
        // The next system call (the write of a knob) must find this store done: no compiler may
        // move it behind. The processor's own order does not matter to a process that is killed.
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether its pages are locked in memory; an error costs only that swap may delay a store.
    ///
    /// # Errors
    /// Why they are not: RLIMIT_MEMLOCK without CAP_IPC_LOCK, mostly.
    pub fn pinned(&self) -> Result<(), &io::Error> {
        self.pinned.as_ref().copied()
    }
}

/// Makes the folder of a file, open to nobody else.
fn make_folder(path: &Path) -> Result<(), StateFileError> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| StateFileError::Io {
            path: folder.to_owned(),
            what: "make this folder",
            source,
        })
}

/// Zeros from `from` to `to`, for file systems that cannot allocate ahead.
fn fill(fd: &OwnedFd, from: u64, to: u64) -> Result<(), Errno> {
    let zeros = [0; 4096];
    let mut at = from;
    while at < to {
        let part = usize::try_from(to - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        let wrote = rustix::io::pwrite(fd, zeros.get(..part).unwrap_or_default(), at)?;
        if wrote == 0 {
            return Err(Errno::NOSPC);
        }
        at += wrote as u64;
    }
    Ok(())
}

fn read_holder(fd: &OwnedFd, pid_at: u64) -> Holder {
    let mut pid = [0; 4];
    match rustix::io::pread(fd, &mut pid, pid_at) {
        Ok(4) if pid != [0; 4] => Holder::Pid(u32::from_le_bytes(pid)),
        _ => Holder::Unknown,
    }
}

fn cannot_open(path: &Path, errno: Errno) -> StateFileError {
    match errno {
        Errno::LOOP => not_ours(path, "a symbolic link"),
        Errno::ISDIR => not_ours(path, "a directory"),
        Errno::NXIO => not_ours(path, "not a regular file"),
        errno => failed(path, "open it", errno),
    }
}

fn not_ours(path: &Path, what: &'static str) -> StateFileError {
    StateFileError::NotOurs {
        path: path.to_owned(),
        what,
    }
}

fn failed(path: &Path, what: &'static str, errno: Errno) -> StateFileError {
    StateFileError::Io {
        path: path.to_owned(),
        what,
        source: errno.into(),
    }
}
