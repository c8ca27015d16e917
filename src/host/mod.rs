//! The only room that touches the system: directory fds, the clock, triggers, inotify, sockets of
//! runtimes. Everything else is told what was read.

mod clock;
mod doorbell;
mod errno;
mod fake;
mod files;
mod folder;
mod forest;
mod jiffies;
mod knob_watch;
mod linux;
mod managers;
pub mod map;
mod pids;
mod process;
mod quota;
mod raw;
mod real_time;
mod recognise;
mod root;
mod sample;
mod start;
mod states;
mod survey;
mod wait;
mod watch;
mod whole_file;

pub use clock::{Clock, FakeClock, HostClock};
pub use doorbell::{Armed, RingsAt};
pub use fake::{FakeDir, FakeFile, FakeHandle, FakeTree, FakeWrite, Operation};
pub use files::{Changes, HostFile, Listing, Opened, TreeFiles, open_path, read_text};
pub use folder::Folder;
pub use forest::{Extent, Forest, Limits, PATH_MAX, Rules, Scan};
pub use linux::{LinuxDir, LinuxFile, LinuxHandle, LinuxTree, NotARoot};
pub use managers::{GOVERNOR, Manager, managers};
pub use pids::Pids;
pub use process::{
    Unprotected, be_spared_by_oom, lock_memory, raise_file_limit, run_above_all, run_in_real_time,
};
pub use real_time::Scheduled;
pub use recognise::{NAME_MAX, recognise, shown};
pub use root::{NoRoot, TreeRoot, tree_root};
pub use sample::Sampler;
pub use start::{Refusal, open_tree, own_group, psi_interval};
pub use states::{note_state, noted_states, states_file};
pub use survey::{Capabilities, Place, Survey, Trigger, boot_id, find_root};
pub use wait::{FakeWaiter, Nudger, Wait, Waiter, Wakes};
pub use whole_file::{FileError, read_whole};

use crate::model::{GroupId, Knob, Original, Reading};

/// Reading and writing knobs of cgroups by identity: the seam between acting and the system.
///
/// An implementation keys by inode and a held directory fd; a cgroup that was removed and made
/// again under the same path is another [`GroupId`] and answers [`Absent::Gone`].
///
/// [`Absent::Gone`]: crate::model::Absent::Gone
pub trait KnobFiles {
    /// The exact text that stands in the knob now, without the trailing newline.
    ///
    /// # Errors
    /// Why it could not be read.
    fn read_knob(&mut self, group: GroupId, knob: Knob) -> Reading<Original>;

    /// Writes `text` with one `write()` call, never creating a file. Does not read back.
    ///
    /// # Errors
    /// Why it could not be written.
    fn write_knob(&mut self, group: GroupId, knob: Knob, text: &[u8]) -> Reading<()>;

    /// Kills everything in the group and below it, with one write to `cgroup.kill`.
    ///
    /// # Errors
    /// [`Absent::Gone`](crate::model::Absent::Gone) where the group is gone, or why it could not be written.
    fn kill(&mut self, group: GroupId) -> Reading<()>;

    /// The group's path from the cgroup root; for messages and for the journal.
    fn path(&self, group: GroupId) -> Option<&[u8]>;

    /// What another thread needs to write one knob.
    type Handle: KnobHandle;

    /// Opens the knob for another thread: a write that reclaims memory or waits for a device takes seconds, and the
    /// control thread does not wait for it. On Linux the file is opened to be read and written, with
    /// `O_NONBLOCK`: since 6.16 such a write does not reclaim, and older kernels ignore the flag.
    ///
    /// # Errors
    /// Why it could not be opened.
    fn detach(&mut self, group: GroupId, knob: Knob) -> Reading<Self::Handle>;

    /// Makes a group known that an earlier run has held, so that its knobs can be read and
    /// written. `hint` is where it was; only the identity decides.
    ///
    /// # Errors
    /// [`Absent::Gone`](crate::model::Absent::Gone) where no group has that identity any more.
    fn adopt(&mut self, group: GroupId, hint: PathHint<'_>) -> Reading<()>;
}

/// One knob of one group, opened for a thread of its own.
pub trait KnobHandle: Send + 'static {
    /// Writes `text` with one `write()` call where `standing` still [stands](crate::kernel::knob::stands) there,
    /// byte for byte but for the newline: it may have waited long for its turn, and somebody else may have written
    /// since. May take seconds.
    ///
    /// # Errors
    /// [`Absent::Refused`](crate::model::Absent::Refused) where something else stands there, which is
    /// left; else why it could not be read or written.
    fn replace(&mut self, standing: &[u8], text: &[u8]) -> Reading<()>;

    /// Hears of writes to the file from now on.
    ///
    /// # Errors
    /// Why it cannot.
    fn listen(&mut self) -> Reading<()>;

    /// Whether anybody has written the file since this was asked last, this handle itself included. `true` where
    /// that cannot be told. Does not wait.
    fn was_written(&mut self) -> bool;
}

/// Where a group was when it was held, from the cgroup root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathHint<'a> {
    /// The whole path: what is there now is the group, or the group is gone.
    Whole(&'a [u8]),
    /// Only the beginning of a path that was too long to keep: the group is the one below the
    /// last complete directory of it that has the identity.
    Beginning(&'a [u8]),
}
