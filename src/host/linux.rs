//! The tree of cgroups as Linux shows it.
//!
//! Directories are opened one component below a held one, without following links, without leaving
//! the mount; files are opened below their held directory and never created. Held files are read
//! with `pread` at 0, which makes the kernel print them anew.

use super::KnobHandle;
use super::errno::absent;
use super::files::{Changes, HostFile, Listing, Opened, TreeFiles, is_component};
use super::raw;
use super::real_time::{self, Scheduled};
use super::watch::TreeWatch;
use crate::kernel::knob;
use crate::model::{Absent, GroupId, Reading};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, fstat, fstatfs, openat,
    openat2, seek, statat,
};
use rustix::io::{Errno, pread, read, retry_on_intr, write};
use std::mem::MaybeUninit;
use std::path::Path;

/// `f_type` of a cgroup2 mount (`CGROUP2_SUPER_MAGIC`).
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// Names are listed this many bytes at a time.
const LIST_BUFFER: usize = 16 * 1024;

/// The kernel gives a file's text in pieces of a page, on every machine at least this long.
const ONE_PIECE: usize = 4096;

/// Room for `io.max` with some tens of devices; all other knobs are one short line.
const KNOB_ROOM: usize = 4096;

/// Events are emptied this many bytes at a time.
const EVENTS_ROOM: usize = 512;

/// A file that every cgroup has as long as it is there.
const ALWAYS_THERE: &str = "cgroup.controllers";

/// The real tree below one directory.
#[derive(Debug)]
pub struct LinuxTree {
    root: OwnedFd,
    watch: Option<TreeWatch>,
    names: Box<[MaybeUninit<u8>]>,
}

/// A held cgroup directory.
#[derive(Debug)]
pub struct LinuxDir(OwnedFd);

/// A held file.
#[derive(Debug)]
pub struct LinuxFile(OwnedFd);

/// A knob opened to be compared and written, and its inotify where it was asked for.
#[derive(Debug)]
pub struct LinuxHandle(OwnedFd, Option<OwnedFd>);

/// Why a directory is not a root of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotARoot {
    /// It could not be opened.
    Unopened(Absent),
    /// It can be opened, but is no cgroup2 file system.
    OtherFilesystem,
}

impl LinuxTree {
    /// The tree below `root`, which must be a directory of a cgroup2 mount: under a wrong root
    /// everything would seem to work on ordinary files.
    ///
    /// # Errors
    /// What `root` is instead.
    pub fn open(root: &Path) -> Result<LinuxTree, NotARoot> {
        let tree = LinuxTree::open_any(root).map_err(NotARoot::Unopened)?;
        let kind = fstatfs(&tree.root).map_err(|errno| NotARoot::Unopened(absent(errno)))?;
        if u64::try_from(kind.f_type).ok() == Some(CGROUP2_MAGIC) {
            Ok(tree)
        } else {
            Err(NotARoot::OtherFilesystem)
        }
    }

    /// The tree below any directory; the tests' folders are no cgroups.
    pub(super) fn open_any(root: &Path) -> Reading<LinuxTree> {
        let root = openat(CWD, root, DIRECTORY, Mode::empty()).map_err(absent)?;
        Ok(LinuxTree {
            root,
            watch: TreeWatch::new().ok(),
            names: vec![MaybeUninit::uninit(); LIST_BUFFER].into_boxed_slice(),
        })
    }

    /// The descriptor that is readable while [`TreeFiles::changes`] has something to tell; `None`
    /// where the kernel gave us no inotify, and only re-scans see changes.
    #[must_use]
    pub fn changes_fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Opens a pressure file for a trigger, which lives as long as the descriptor.
    pub(super) fn open_trigger(&self, dir: &LinuxDir, name: &str) -> Reading<OwnedFd> {
        file(dir, name, BOTH)
    }

    fn opened(fd: OwnedFd) -> Reading<Opened<LinuxDir>> {
        let facts = fstat(&fd).map_err(absent)?;
        Ok(Opened {
            id: GroupId(facts.st_ino),
            owner: facts.st_uid,
            dir: LinuxDir(fd),
        })
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const WRITE: OFlags = OFlags::WRONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// For triggers, and for knobs that another thread writes: since 6.16 such a write of `memory.high`
/// does not reclaim.
const BOTH: OFlags = OFlags::RDWR
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens one component below a held directory, on the same mount.
fn below(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match retry_on_intr(|| openat2(dir, name, flags, Mode::empty(), resolve)) {
        // Before Linux 5.6, and under some sandboxes. The name is one component: it cannot lead
        // out of the directory.
        Err(Errno::NOSYS) => retry_on_intr(|| openat(dir, name, flags, Mode::empty())),
        other => other,
    }
}

/// Opens a file of a group, and tells a missing file from a missing group.
fn file(dir: &LinuxDir, name: &str, flags: OFlags) -> Reading<OwnedFd> {
    below(dir.0.as_fd(), name.as_bytes(), flags).map_err(|errno| match errno {
        Errno::NOENT if !is_there(dir) => Absent::Gone,
        other => absent(other),
    })
}

fn is_there(dir: &LinuxDir) -> bool {
    statat(&dir.0, ALWAYS_THERE, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// One write with all of the text, as the kernel's files want it.
pub(super) fn write_whole(fd: &OwnedFd, text: &[u8]) -> Reading<()> {
    match retry_on_intr(|| write(fd, text)) {
        Ok(written) if written == text.len() => Ok(()),
        Ok(_) => Err(Absent::Refused),
        Err(errno) => Err(absent(errno)),
    }
}

impl TreeFiles for LinuxTree {
    type Dir = LinuxDir;
    type File = LinuxFile;
    type Handle = LinuxHandle;

    fn root(&mut self) -> Reading<Opened<LinuxDir>> {
        // A descriptor of its own: a shared one would share the position of listings.
        let fd = openat(&self.root, c".", DIRECTORY, Mode::empty()).map_err(absent)?;
        LinuxTree::opened(fd)
    }

    fn open(&mut self, parent: &LinuxDir, name: &[u8]) -> Reading<Opened<LinuxDir>> {
        if !is_component(name) {
            return Err(Absent::Malformed);
        }
        let fd = below(parent.0.as_fd(), name, DIRECTORY).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Absent::Gone,
            other => absent(other),
        })?;
        LinuxTree::opened(fd)
    }

    fn children(&mut self, dir: &LinuxDir, out: &mut Listing) -> Reading<()> {
        // Two links are the directory's own: most services have no child.
        if fstat(&dir.0).map_err(absent)?.st_nlink == 2 {
            return Ok(());
        }
        seek(&dir.0, SeekFrom::Start(0)).map_err(absent)?;
        let mut entries = RawDir::new(&dir.0, &mut self.names);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::INTR) => continue,
                Err(Errno::NOENT) => return Err(Absent::Gone),
                Err(errno) => return Err(absent(errno)),
            };
            let name = entry.file_name().to_bytes();
            let is_group = entry.file_type() == FileType::Directory && is_component(name);
            if is_group && !out.push(name, GroupId(entry.ino())) {
                break;
            }
        }
        Ok(())
    }

    fn read(&mut self, dir: &LinuxDir, name: &str, room: &mut [u8]) -> Reading<usize> {
        let fd = file(dir, name, READ)?;
        let mut length = 0;
        while let Some(rest) = room.get_mut(length..).filter(|rest| !rest.is_empty()) {
            let more = retry_on_intr(|| read(&fd, &mut *rest)).map_err(absent)?;
            length += more;
            // What is shorter than a page comes in one piece, and no second call has to ask.
            if more == 0 || length < ONE_PIECE {
                break;
            }
        }
        Ok(length)
    }

    fn write(&mut self, dir: &LinuxDir, name: &str, text: &[u8]) -> Reading<()> {
        write_whole(&file(dir, name, WRITE)?, text)
    }

    fn hold(&mut self, dir: &LinuxDir, name: &str) -> Reading<LinuxFile> {
        file(dir, name, READ).map(LinuxFile)
    }

    fn hold_host(&mut self, file: HostFile) -> Reading<LinuxFile> {
        let path = match file {
            HostFile::Stat => c"/proc/stat",
            HostFile::Meminfo => c"/proc/meminfo",
            HostFile::Loadavg => c"/proc/loadavg",
            HostFile::CpuPressure => c"/proc/pressure/cpu",
            HostFile::ThreadsMax => c"/proc/sys/kernel/threads-max",
            HostFile::PidMax => c"/proc/sys/kernel/pid_max",
        };
        openat(CWD, path, READ, Mode::empty())
            .map(LinuxFile)
            .map_err(absent)
    }

    fn reread(&mut self, file: &LinuxFile, room: &mut [u8]) -> Reading<usize> {
        retry_on_intr(|| pread(&file.0, &mut *room, 0)).map_err(absent)
    }

    fn scheduled(&mut self, thread: u32) -> Option<Scheduled> {
        raw::has_real_time(thread).map(|real_time| match real_time {
            false => Scheduled::Ordinary,
            true if real_time::is_running(thread) => Scheduled::Running,
            true => Scheduled::Asleep,
        })
    }

    fn detach(&mut self, dir: &LinuxDir, name: &str) -> Reading<LinuxHandle> {
        Ok(LinuxHandle(file(dir, name, BOTH)?, None))
    }

    fn watch(&mut self, dir: &LinuxDir, id: GroupId) -> Reading<()> {
        self.watch
            .as_mut()
            .ok_or(Absent::Unsupported)?
            .add(dir.0.as_fd(), id)
    }

    fn watch_entry(&mut self, dir: &LinuxDir, id: GroupId) -> Reading<()> {
        self.watch
            .as_mut()
            .ok_or(Absent::Unsupported)?
            .add_entry(dir.0.as_fd(), id)
    }

    fn forget_entry(&mut self, id: GroupId) {
        if let Some(watch) = &mut self.watch {
            watch.forget_entry(id);
        }
    }

    fn changes(&mut self, changed: &mut Vec<GroupId>) -> Changes {
        self.watch
            .as_mut()
            .map_or(Changes::Lost, |watch| watch.drain(changed))
    }
}

impl KnobHandle for LinuxHandle {
    fn replace(&mut self, standing: &[u8], text: &[u8]) -> Reading<()> {
        let mut room = [0; KNOB_ROOM];
        let length = retry_on_intr(|| pread(&self.0, &mut room, 0)).map_err(absent)?;
        if !knob::stands(room.get(..length).unwrap_or_default(), standing) {
            return Err(Absent::Refused);
        }
        write_whole(&self.0, text)
    }

    fn listen(&mut self) -> Reading<()> {
        let ear = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(absent)?;
        watch_file(&ear, &self.0)?;
        self.1 = Some(ear);
        Ok(())
    }

    fn was_written(&mut self) -> bool {
        let Some(ear) = &self.1 else { return true };
        // As many as fit tell no more than one does.
        let mut room = [0; EVENTS_ROOM];
        let mut heard = false;
        loop {
            match retry_on_intr(|| read(ear, &mut room)) {
                Ok(length) if length > 0 => heard = true,
                Ok(_) | Err(Errno::AGAIN) => return heard,
                Err(_) => return true,
            }
        }
    }
}

/// Watches an open file itself, whatever stands at its path now.
fn watch_file(ear: &OwnedFd, file: &OwnedFd) -> Reading<()> {
    // inotify takes paths only: this one is that of the open file.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    add_watch(ear, path, WatchFlags::MODIFY)
        .map(drop)
        .map_err(absent)
}

impl AsFd for LinuxDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests work on a folder")]
mod tests {
    use super::super::files::{open_path, read_text};
    use super::*;
    use std::fs;

    /// A folder that looks like a cgroup with one child.
    fn folder() -> (tempfile::TempDir, LinuxTree) {
        let folder = tempfile::tempdir().unwrap();
        for path in ["", "a"] {
            let path = folder.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(ALWAYS_THERE), "").unwrap();
            fs::write(path.join("cpu.weight"), "100\n").unwrap();
        }
        let tree = LinuxTree::open_any(folder.path()).unwrap();
        (folder, tree)
    }

    #[test]
    fn an_ordinary_folder_is_refused_as_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let answer = LinuxTree::open(folder.path());
        assert!(matches!(answer, Err(NotARoot::OtherFilesystem)));
        let answer = LinuxTree::open(&folder.path().join("none"));
        assert!(matches!(answer, Err(NotARoot::Unopened(Absent::NoFile))));
    }

    #[test]
    fn a_child_is_listed_with_the_inode_that_it_has_when_opened() {
        let (_folder, mut tree) = folder();
        let root = tree.root().unwrap();
        let mut listing = Listing::default();
        for _ in 0..2 {
            listing.restart(10);
            tree.children(&root.dir, &mut listing).unwrap();
            let children: Vec<_> = listing.iter().collect();
            let child = tree.open(&root.dir, b"a").unwrap();
            assert_eq!(children, [(&b"a"[..], child.id)]);
        }
    }

    #[test]
    fn a_missing_file_of_a_group_that_is_there_is_told_from_a_group_that_is_gone() {
        let (folder, mut tree) = folder();
        let group = open_path(&mut tree, b"/a").unwrap();
        let mut room = [0; 64];
        let mut read = |tree: &mut LinuxTree| tree.read(&group.dir, "cpu.idle", &mut room);
        assert_eq!(read(&mut tree), Err(Absent::NoFile));
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert_eq!(read(&mut tree), Err(Absent::Gone));
        assert!(matches!(open_path(&mut tree, b"/a"), Err(Absent::Gone)));
    }

    #[test]
    fn writing_never_creates_a_file() {
        let (folder, mut tree) = folder();
        let group = open_path(&mut tree, b"/a").unwrap();
        assert_eq!(
            tree.write(&group.dir, "cpu.idle", b"1"),
            Err(Absent::NoFile)
        );
        assert!(!folder.path().join("a/cpu.idle").exists());
        assert!(tree.detach(&group.dir, "cpu.idle").is_err());
        tree.write(&group.dir, "cpu.weight", b"37").unwrap();
        let mut room = [0; 64];
        let text = read_text(&mut tree, &group.dir, "cpu.weight", &mut room).unwrap();
        assert!(text.starts_with(b"37"));
    }

    #[test]
    fn a_link_is_not_followed_out_of_the_tree() {
        let (folder, mut tree) = folder();
        std::os::unix::fs::symlink("/", folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("a/cpu.idle")).unwrap();
        assert!(matches!(open_path(&mut tree, b"/out"), Err(Absent::Gone)));
        assert!(matches!(
            open_path(&mut tree, b"/a/../.."),
            Err(Absent::Malformed)
        ));
        let group = open_path(&mut tree, b"/a").unwrap();
        assert!(tree.hold(&group.dir, "cpu.idle").is_err());
        assert!(tree.write(&group.dir, "cpu.idle", b"1").is_err());
    }

    #[test]
    fn a_held_file_is_read_anew_each_time_and_through_its_own_room() {
        let (folder, mut tree) = folder();
        let group = open_path(&mut tree, b"/a").unwrap();
        let held = tree.hold(&group.dir, "cpu.weight").unwrap();
        let mut room = [0; 64];
        assert_eq!(tree.reread(&held, &mut room), Ok(4));
        fs::write(folder.path().join("a/cpu.weight"), "37\n").unwrap();
        assert_eq!(tree.reread(&held, &mut room), Ok(3));
        assert_eq!(&room[..3], b"37\n");
        assert_eq!(tree.reread(&held, &mut room[..2]), Ok(2));
    }

    #[test]
    fn a_text_that_fills_its_room_may_be_cut_and_is_not_taken() {
        let (_folder, mut tree) = folder();
        let root = tree.root().unwrap();
        let mut room = [0; 4];
        let text = read_text(&mut tree, &root.dir, "cpu.weight", &mut room);
        assert_eq!(text, Err(Absent::Malformed));
    }

    #[test]
    fn the_descriptor_of_changes_stands_for_every_watched_directory() {
        let (folder, mut tree) = folder();
        let group = open_path(&mut tree, b"/a").unwrap();
        tree.watch(&group.dir, group.id).unwrap();
        assert!(tree.changes_fd().is_some());
        fs::create_dir(folder.path().join("a/b")).unwrap();
        let mut changed = Vec::new();
        assert_eq!(tree.changes(&mut changed), Changes::Listed);
        assert_eq!(changed, [group.id]);
    }
}
