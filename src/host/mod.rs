//! The only room that touches the system: directory fds, the clock, triggers, inotify, sockets of
//! runtimes. Everything else is told what was read.

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

    /// The group's path from the cgroup root; for messages and for the journal.
    fn path(&self, group: GroupId) -> Option<&[u8]>;
}
