//! Giving back what an earlier run left behind: at the next start, or by hand with the daemon dead.
//!
//! The journal says which cgroups (by identity), which knobs, and what stood there. A knob is
//! forgotten only after its original is back or is known to be nobody's business of ours any more;
//! being killed in the middle and starting again is therefore harmless, as often as one likes.

use std::fmt;
use std::path::Path;

use super::journal::{Fault, Found, Journal, JournalError, SlotId, Store};
use super::journal_format::{BootId, Record};
use super::undo::{self, Undone};
use crate::host::KnobFiles;
use crate::model::Knob;

/// What became of everything that an earlier run held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// The knobs, in the order in which they were put back.
    pub items: Vec<RestoreItem>,
    /// What was wrong with the journal.
    pub faults: Vec<Fault>,
}

/// One knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreItem {
    /// Where its record is; still there only if it failed.
    pub slot: SlotId,
    /// What the journal said.
    pub record: Record,
    /// What came of it.
    pub undone: Undone,
}

impl RestoreReport {
    /// How many knobs still hold our value because they could not be written.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// The records that stay in the journal, for another attempt.
    #[must_use]
    pub fn left(&self) -> Vec<(SlotId, Record)> {
        self.failures()
            .map(|item| (item.slot, item.record))
            .collect()
    }

    fn failures(&self) -> impl Iterator<Item = &RestoreItem> {
        self.items
            .iter()
            .filter(|item| matches!(item.undone, Undone::Failed(_)))
    }
}

impl fmt::Display for RestoreReport {
    /// One line a knob and a fault; nothing at all where there was nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.items {
            writeln!(f, "{item}")?;
        }
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RestoreItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.record.knob.file();
        let original = self.record.original.as_bytes().escape_ascii();
        write!(f, "{:?} {file}: ", self.record.path)?;
        match self.undone {
            Undone::Restored => write!(f, "restored to \"{original}\""),
            Undone::AlreadyOriginal => write!(f, "already \"{original}\""),
            Undone::Drifted(found) => write!(
                f,
                "left at \"{}\", which somebody else wrote since (before us: \"{original}\")",
                found.as_bytes().escape_ascii()
            ),
            Undone::Gone => f.write_str("the cgroup is gone, and its limits with it"),
            Undone::Failed(why) => write!(
                f,
                "NOT restored to \"{original}\": {why}; kept in the journal for another attempt"
            ),
        }
    }
}

/// Opens the journal in the folder `state` and gives everything back. `None`: there is no journal.
///
/// # Errors
/// The journal cannot be used, or a running governor holds it. Nothing was written then.
pub fn restore_all(
    state: &Path,
    boot: BootId,
    files: &mut impl KnobFiles,
) -> Result<Option<RestoreReport>, JournalError> {
    let opened = Journal::open_existing(state, boot)?;
    Ok(opened.map(|(mut journal, found)| restore(&mut journal, found, files)))
}

/// Gives back what was found in a journal, in the order that the kernel's rules demand.
pub fn restore<S: Store>(
    journal: &mut Journal<S>,
    found: Found,
    files: &mut impl KnobFiles,
) -> RestoreReport {
    let mut report = RestoreReport {
        items: Vec::with_capacity(found.records.len()),
        faults: found.faults,
    };
    for (slot, record) in found.records {
        // As long as our idle stands, a weight cannot be told and not be written; nor can a burst as
        // long as our quota does.
        let first = match record.knob {
            Knob::CpuWeight => Some(Knob::CpuIdle),
            Knob::CpuMaxBurst => Some(Knob::CpuMax),
            _ => None,
        };
        let waits_for = report
            .failures()
            .find(|item| item.record.group == record.group && Some(item.record.knob) == first);
        let undone = match waits_for {
            Some(item) => item.undone,
            None => undo::give_back(&record, files),
        };
        if !matches!(undone, Undone::Failed(_)) {
            journal.remove(slot);
        }
        report.items.push(RestoreItem {
            slot,
            record,
            undone,
        });
    }
    report
}
