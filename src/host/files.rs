//! The seam between this program and the kernel's files: directories held open, names below them,
//! and text. Everything above it runs the same on a scripted tree as on Linux.
//!
//! A group is held by an open directory, never by its path: a path may mean another group a moment
//! later. All names are single components; no implementation follows a link or leaves the tree.

use super::KnobHandle;
use super::real_time::Scheduled;
use crate::model::{Absent, GroupId, Reading};

/// A tree of cgroups, or what a test makes look like one.
pub trait TreeFiles {
    /// A held directory.
    type Dir;
    /// A held file, to be read again and again.
    type File;
    /// A file opened for a thread of its own.
    type Handle: KnobHandle;

    /// The root of the tree.
    ///
    /// # Errors
    /// Why it could not be opened.
    fn root(&mut self) -> Reading<Opened<Self::Dir>>;

    /// The child directory of this name.
    ///
    /// # Errors
    /// [`Absent::Gone`] where there is none (any more), or why it could not be opened.
    fn open(&mut self, parent: &Self::Dir, name: &[u8]) -> Reading<Opened<Self::Dir>>;

    /// The child directories, up to the listing's limit. The listing is emptied first.
    ///
    /// # Errors
    /// Why they could not be listed. What was found before that stays in the listing.
    fn children(&mut self, dir: &Self::Dir, out: &mut Listing) -> Reading<()>;

    /// Reads a file from its beginning into `room`, as much as fits; returns how much that is.
    ///
    /// # Errors
    /// [`Absent::NoFile`] where the group has no such file, [`Absent::Gone`] where the group is
    /// gone itself, or why it could not be read.
    fn read(&mut self, dir: &Self::Dir, file: &str, room: &mut [u8]) -> Reading<usize>;

    /// Writes a file with one `write()`. Never creates one.
    ///
    /// # Errors
    /// As [`read`](TreeFiles::read); [`Absent::Refused`] for a value that the kernel does not take.
    fn write(&mut self, dir: &Self::Dir, file: &str, text: &[u8]) -> Reading<()>;

    /// Opens a file for reading it many times.
    ///
    /// # Errors
    /// As [`read`](TreeFiles::read).
    fn hold(&mut self, dir: &Self::Dir, file: &str) -> Reading<Self::File>;

    /// Opens a file of the whole host for reading it many times.
    ///
    /// # Errors
    /// Why it could not be opened.
    fn hold_host(&mut self, file: HostFile) -> Reading<Self::File>;

    /// Reads a held file from its beginning with one call; returns how much was read.
    ///
    /// # Errors
    /// [`Absent::Gone`] where its group is gone, or why it could not be read.
    fn reread(&mut self, file: &Self::File, room: &mut [u8]) -> Reading<usize>;

    /// How a thread of the host is scheduled; `None` where it has ended.
    fn scheduled(&mut self, thread: u32) -> Option<Scheduled>;

    /// Opens a file for another thread to write.
    ///
    /// # Errors
    /// As [`read`](TreeFiles::read).
    fn detach(&mut self, dir: &Self::Dir, file: &str) -> Reading<Self::Handle>;

    /// Asks to be told when a directory directly below this one comes or goes. Asking twice is
    /// asking once.
    ///
    /// # Errors
    /// Why it cannot be watched; only the slow re-scan sees changes there then.
    fn watch(&mut self, dir: &Self::Dir, id: GroupId) -> Reading<()>;

    /// Asks to be told when the first task enters this group or one below it, or its last one has left. Nobody is
    /// asked twice.
    ///
    /// # Errors
    /// Why it cannot be watched: [`Absent::NoFile`] where it does not tell, as the root.
    fn watch_entry(&mut self, dir: &Self::Dir, id: GroupId) -> Reading<()>;

    /// Does not want to be told that any more. It costs nothing where it was not asked for.
    fn forget_entry(&mut self, id: GroupId);

    /// Appends the watched groups below which something came or went since the last call, and those that were
    /// entered or left.
    fn changes(&mut self, changed: &mut Vec<GroupId>) -> Changes;
}

/// A directory that was just opened, with what identifies it.
#[derive(Clone, Debug)]
pub struct Opened<D> {
    /// The held directory.
    pub dir: D,
    /// Its inode number.
    pub id: GroupId,
    /// The user that owns it: not 0 where a subtree was delegated to somebody.
    pub owner: u32,
}

/// Whether all changes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// The list tells all.
    Listed,
    /// Some were lost: everything must be looked at again.
    Lost,
}

/// Files of the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostFile {
    /// `/proc/stat`.
    Stat,
    /// `/proc/meminfo`.
    Meminfo,
    /// `/proc/loadavg`.
    Loadavg,
    /// `/proc/pressure/cpu`.
    CpuPressure,
    /// `/proc/sys/kernel/threads-max`.
    ThreadsMax,
    /// `/proc/sys/kernel/pid_max`.
    PidMax,
}

impl HostFile {
    /// All of them.
    pub const ALL: [HostFile; 6] = [
        HostFile::Stat,
        HostFile::Meminfo,
        HostFile::Loadavg,
        HostFile::CpuPressure,
        HostFile::ThreadsMax,
        HostFile::PidMax,
    ];
}

/// The names and identities of a directory's child directories; kept and used again, so that a
/// scan does not allocate for each name.
#[derive(Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    entries: Vec<(usize, GroupId)>,
    limit: usize,
    cut: bool,
}

impl Listing {
    /// Empties it, and sets how many children it takes at most.
    pub fn restart(&mut self, limit: usize) {
        self.names.clear();
        self.entries.clear();
        self.limit = limit;
        self.cut = false;
    }

    /// Takes one more child; `false` when it is full and the listing ends here.
    pub fn push(&mut self, name: &[u8], id: GroupId) -> bool {
        if self.entries.len() >= self.limit {
            self.cut = true;
            return false;
        }
        self.names.extend_from_slice(name);
        self.entries.push((self.names.len(), id));
        true
    }

    /// The children's names and the identities that they had when they were listed.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], GroupId)> {
        let mut start = 0;
        self.entries.iter().map(move |&(end, id)| {
            let name = self.names.get(start..end).unwrap_or_default();
            start = end;
            (name, id)
        })
    }

    /// Whether there are no children.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there were more children than the limit.
    #[must_use]
    pub const fn was_cut(&self) -> bool {
        self.cut
    }
}

/// Opens the directory of a path from the root, one component after the other, however long it is.
///
/// # Errors
/// [`Absent::Gone`] where the path leads nowhere, or why a directory of it could not be opened.
pub fn open_path<T: TreeFiles>(files: &mut T, path: &[u8]) -> Reading<Opened<T::Dir>> {
    let mut at = files.root()?;
    for name in path.split(|&byte| byte == b'/').filter(|n| !n.is_empty()) {
        at = files.open(&at.dir, name)?;
    }
    Ok(at)
}

/// Whether a name is one component, and not one that leads elsewhere.
pub(super) fn is_component(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|&byte| matches!(byte, b'/' | 0))
}

/// Reads a whole file that fits into `room`, and gives the text.
///
/// # Errors
/// As [`TreeFiles::read`]; [`Absent::Malformed`] for a file that fills all of `room` and may have
/// been cut.
pub fn read_text<'r, T: TreeFiles>(
    files: &mut T,
    dir: &T::Dir,
    file: &str,
    room: &'r mut [u8],
) -> Reading<&'r [u8]> {
    let length = files.read(dir, file, room)?;
    if length == room.len() {
        return Err(Absent::Malformed);
    }
    room.get(..length).ok_or(Absent::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_gives_back_what_it_was_given_and_stops_at_its_limit() {
        let mut listing = Listing::default();
        listing.restart(2);
        assert!(listing.push(b"a", GroupId(1)));
        assert!(listing.push(b"\xff\n", GroupId(2)));
        assert!(!listing.was_cut());
        assert!(!listing.push(b"c", GroupId(3)));
        assert!(listing.was_cut());
        let all: Vec<_> = listing.iter().collect();
        assert_eq!(all, [(&b"a"[..], GroupId(1)), (&b"\xff\n"[..], GroupId(2))]);
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_components() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
            assert!(!is_component(name));
        }
        for name in [&b"..."[..], b"a b", b"\xff"] {
            assert!(is_component(name));
        }
    }
}
