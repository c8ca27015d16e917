//! What earlier runs left, wherever they kept their journals.
//!
//! **Problem.** The policy says where the journal is, and it can be changed or broken while something is
//! held: then nobody would look where the originals are.
//! **Approach.** A governor whose state folder is not the usual one notes it there before it holds anything.
//! Whoever gives back looks into his own, the usual one, and all that were noted since the boot.

use std::path::{Path, PathBuf};

use super::journal::JournalError;
use super::journal_format::BootId;
use super::restore::{RestoreReport, restore_all};
use crate::host::map::StateFileError;
use crate::host::{FileError, KnobFiles, noted_states};
use crate::model::Policy;

/// Where a journal may be, besides one's own folder.
#[derive(Debug)]
pub struct Places {
    /// The other folders, none twice.
    pub others: Vec<PathBuf>,
    /// Why the noted ones are not among them.
    pub unread: Option<FileError>,
    /// Whether those who look into the usual folder find one's own.
    pub finds_own: bool,
}

/// What was done in some places.
#[derive(Debug, Default)]
pub struct Left {
    /// All that was found.
    pub report: RestoreReport,
    /// How many journals there were.
    pub journals: usize,
    /// The folders whose journal could not be used. Nothing was written for it.
    pub unused: Vec<(PathBuf, JournalError)>,
}

/// The state folder of a policy that does not name one.
#[must_use]
pub fn usual_state() -> PathBuf {
    Policy::default().runtime.state.into()
}

impl Places {
    /// As they are known now.
    #[must_use]
    pub fn beside(own: &Path, usual: &Path) -> Places {
        let (noted, unread) = match noted_states(usual) {
            Ok(noted) => (noted, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut places = Places {
            others: Vec::new(),
            unread,
            finds_own: false,
        };
        for folder in std::iter::once(usual.to_owned()).chain(noted) {
            if folder == own {
                places.finds_own = true;
            } else if !places.others.contains(&folder) {
                places.others.push(folder);
            }
        }
        places
    }
}

/// Whether a governor that runs has the journal: then nothing is left in it.
#[must_use]
pub const fn is_in_use(why: &JournalError) -> bool {
    matches!(why, JournalError::File(StateFileError::InUse { .. }))
}

/// Gives back what is journaled in these folders, each failing alone.
pub fn restore_left<'a>(
    folders: impl IntoIterator<Item = &'a PathBuf>,
    boot: BootId,
    files: &mut impl KnobFiles,
) -> Left {
    let mut left = Left::default();
    for folder in folders {
        match restore_all(folder, boot, files) {
            Ok(None) => {}
            Ok(Some(report)) => {
                left.journals += 1;
                left.report.items.extend(report.items);
                left.report.faults.extend(report.faults);
            }
            Err(why) => left.unused.push((folder.clone(), why)),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::note_state;

    #[test]
    fn a_journal_is_looked_for_in_the_usual_and_every_noted_folder_once() {
        let usual = tempfile::tempdir().unwrap();
        let own = Path::new("/srv/own");
        let places = Places::beside(own, usual.path());
        assert_eq!(places.others, [usual.path()]);
        assert!(!places.finds_own);
        for noted in ["/srv/a", "/srv/own", "/srv/a"] {
            note_state(usual.path(), Path::new(noted)).unwrap();
        }
        let places = Places::beside(own, usual.path());
        assert_eq!(places.others, [usual.path(), Path::new("/srv/a")]);
        assert!(places.finds_own && places.unread.is_none());
        assert!(Places::beside(usual.path(), usual.path()).finds_own);
    }
}
