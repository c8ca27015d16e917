//! The journal of held knobs: every original, written down before its knob is first touched.
//!
//! **Problem.** The process may be killed between any two instructions, and whoever comes after it
//! must know what stood in each knob, also where the knob was being tightened at that moment.
//! **Approach.** A slot per held knob in a mapped file ([`journal_format`]). Before a write
//! the record says `next`; after reading back it says `ours`. Whichever copy of it survives, the
//! value found in the knob is its original, `ours` or `next`, or it is somebody else's.
//! **Limits.** [`SLOTS`] knobs at once; one more is refused and its knob not touched.
//!
//! [`journal_format`]: super::journal_format

use std::path::{Path, PathBuf};

use super::journal_format::{
    self as format, BootId, COPY_LEN, FILE_LEN, HEADER_LEN, Header, PID_AT, Record, SLOT_LEN,
    SLOTS, SlotCopy,
};
use crate::host::map::{StateFile, StateFileError, StateMap};

/// The journal's name in the state folder.
pub(super) const FILE_NAME: &str = "journal";

/// Where the journal's bytes are. In tests: memory that can be cut off in the middle of a write.
pub trait Store {
    /// All bytes, the whole file.
    fn bytes(&self) -> &[u8];
    /// Stores `bytes` at `at`; done when this returns, whatever happens to the process afterwards.
    fn write(&mut self, at: usize, bytes: &[u8]);
}

impl Store for StateMap {
    fn bytes(&self) -> &[u8] {
        StateMap::bytes(self)
    }
    fn write(&mut self, at: usize, bytes: &[u8]) {
        StateMap::write(self, at, bytes);
    }
}

/// Why there is no journal. Nothing was written to it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file could not be had.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// Something else is in its place.
    #[error("{path}: this is no journal of governor: move it away, or set another `state` folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A governor of another version wrote it.
    #[error(
        "{path}: written by another version of governor (journal version {version}, this one knows {known}): \
         run that one's `governor restore` and remove the file, or reboot",
        known = format::VERSION
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// Something wrong in a journal that does not stop the rest of it from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The header is damaged; the records check themselves.
    Header,
    /// The file was this many bytes short: records at its end are lost.
    Short(u64),
    /// One copy of this slot is cut off or damaged; the other was used.
    HalfSlot(usize),
    /// Both copies of this slot are damaged: what it held is not known.
    LostSlot(usize),
    /// This many records are of an earlier boot, whose limits died with it.
    OtherBoot(usize),
    /// The pages could not be locked in memory.
    NotPinned,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Header => f.write_str("the journal's header is damaged; its records are used"),
            Fault::Short(bytes) => write!(
                f,
                "the journal is {bytes} bytes short: what stood there is lost; \
                 compare the limits of containers with their runtimes' settings"
            ),
            Fault::HalfSlot(slot) => write!(
                f,
                "journal slot {slot}: one copy was cut off in the middle; the state before it is used"
            ),
            Fault::LostSlot(slot) => write!(
                f,
                "journal slot {slot}: damaged, and what it held is lost; \
                 compare the limits of containers with their runtimes' settings"
            ),
            Fault::OtherBoot(count) => write!(
                f,
                "{count} record(s) of an earlier boot dropped: limits do not outlive a boot"
            ),
            Fault::NotPinned => f.write_str(
                "the journal's memory cannot be locked (RLIMIT_MEMLOCK, CAP_IPC_LOCK): swap may delay it",
            ),
        }
    }
}

/// A slot of the journal, 0 to [`SLOTS`] - 1.
pub type SlotId = usize;

/// What a journal held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Records of this boot, in the order in which originals are put back.
    pub records: Vec<(SlotId, Record)>,
    /// What was wrong.
    pub faults: Vec<Fault>,
}

/// One slot, as it stands in the file.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which copy counts.
    current: usize,
    /// Its sequence number; 0 where nothing was ever written.
    seq: u64,
    /// Whether a record is in it.
    used: bool,
}

/// The journal.
#[derive(Debug)]
pub struct Journal<S> {
    store: S,
    boot: BootId,
    slots: Vec<Slot>,
}

impl Journal<StateMap> {
    /// Opens the journal in the folder `state`, locks it, and makes it if it is missing.
    ///
    /// # Errors
    /// Another governor holds it, or the file is not usable; the text has the remedy.
    pub fn open(state: &Path, boot: BootId) -> Result<(Journal<StateMap>, Found), JournalError> {
        let path = state.join(FILE_NAME);
        let file = StateFile::open_or_make(&path, PID_AT as u64)?;
        Journal::from_file(file, path, boot)
    }

    /// Opens the journal in the folder `state` if there is one.
    ///
    /// # Errors
    /// As [`open`](Journal::open).
    pub fn open_existing(
        state: &Path,
        boot: BootId,
    ) -> Result<Option<(Journal<StateMap>, Found)>, JournalError> {
        let path = state.join(FILE_NAME);
        match StateFile::open(&path, PID_AT as u64)? {
            Some(file) => Journal::from_file(file, path, boot).map(Some),
            None => Ok(None),
        }
    }

    fn from_file(
        file: StateFile,
        path: PathBuf,
        boot: BootId,
    ) -> Result<(Journal<StateMap>, Found), JournalError> {
        let mut head = [0; 64];
        match format::read_header(file.head(&mut head)?) {
            Header::Foreign => return Err(JournalError::Foreign { path }),
            Header::Other(version) => return Err(JournalError::Other { path, version }),
            Header::Blank | Header::Good | Header::Damaged => {}
        }
        let short = (FILE_LEN as u64).saturating_sub(file.len());
        let was_empty = file.is_empty();
        let map = file.map(FILE_LEN, PID_AT)?;
        let pinned = map.pinned().is_ok();
        let (journal, mut found) = Journal::load(map, boot);
        if short > 0 && !was_empty {
            found.faults.push(Fault::Short(short));
        }
        if !pinned {
            found.faults.push(Fault::NotPinned);
        }
        Ok((journal, found))
    }
}

impl<S: Store> Journal<S> {
    /// Reads what is there. A blank or damaged header is written anew, records of another boot are
    /// freed; both are told as faults (but for the blank header of a new file).
    pub fn load(store: S, boot: BootId) -> (Journal<S>, Found) {
        let mut found = Found::default();
        let header = format::read_header(store.bytes());
        if header == Header::Damaged {
            found.faults.push(Fault::Header);
        }
        let mut journal = Journal {
            store,
            boot,
            slots: vec![Slot::default(); SLOTS],
        };
        let mut other_boot = 0;
        for index in 0..SLOTS {
            let copies = [0, 1].map(|copy| journal.copy(index, copy));
            match copies {
                [SlotCopy::Damaged, SlotCopy::Damaged] => found.faults.push(Fault::LostSlot(index)),
                [SlotCopy::Damaged, _] | [_, SlotCopy::Damaged] => {
                    found.faults.push(Fault::HalfSlot(index));
                }
                _ => {}
            }
            let Some((current, seq, held)) = newest(copies) else {
                continue;
            };
            if let Some(slot) = journal.slots.get_mut(index) {
                *slot = Slot {
                    current,
                    seq,
                    used: held.is_some(),
                };
            }
            match held {
                Some((of, record)) if of == boot => found.records.push((index, record)),
                Some(_) => {
                    other_boot += 1;
                    journal.remove(index);
                }
                None => {}
            }
        }
        if other_boot > 0 {
            found.faults.push(Fault::OtherBoot(other_boot));
        }
        if header != Header::Good {
            journal.store.write(0, &format::header());
        }
        found
            .records
            .sort_by_key(|(_, record)| (record.knob, record.group));
        (journal, found)
    }

    /// Writes down a newly held knob. `None`: the journal is full and the knob must not be written.
    pub fn insert(&mut self, record: &Record) -> Option<SlotId> {
        let index = self.slots.iter().position(|slot| !slot.used)?;
        self.put(index, Some(record));
        Some(index)
    }

    /// Writes down a change of a held knob.
    pub fn update(&mut self, slot: SlotId, record: &Record) {
        self.put(slot, Some(record));
    }

    /// Forgets a knob: its original is back, or it is no longer ours to give back.
    pub fn remove(&mut self, slot: SlotId) {
        self.put(slot, None);
    }

    fn copy(&self, index: usize, copy: usize) -> SlotCopy {
        let at = HEADER_LEN + index * SLOT_LEN + copy * COPY_LEN;
        // A file that ends early reads as if it had never been written.
        self.store
            .bytes()
            .get(at..at + COPY_LEN)
            .map_or(SlotCopy::Blank, format::decode)
    }

    /// Writes the copy of a slot that does not count, which makes it the one that counts.
    fn put(&mut self, index: usize, record: Option<&Record>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let seq = slot.seq.saturating_add(1);
        let copy = 1 - slot.current;
        let bytes = format::encode(seq, record.map(|record| (self.boot, record)));
        self.store
            .write(HEADER_LEN + index * SLOT_LEN + copy * COPY_LEN, &bytes);
        *slot = Slot {
            current: copy,
            seq,
            used: record.is_some(),
        };
    }
}

type Newest = (usize, u64, Option<(BootId, Record)>);

fn newest(copies: [SlotCopy; 2]) -> Option<Newest> {
    copies
        .into_iter()
        .enumerate()
        .filter_map(|(at, copy)| match copy {
            SlotCopy::Valid(seq, held) => Some((at, seq, held)),
            SlotCopy::Blank | SlotCopy::Damaged => None,
        })
        .max_by_key(|(_, seq, _)| *seq)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests work on files")]
mod tests {
    use super::super::journal_format::tests::{BOOT, record, text};
    use super::*;
    use crate::host::map::Holder;
    use std::fs;

    impl Store for Vec<u8> {
        fn bytes(&self) -> &[u8] {
            self
        }
        fn write(&mut self, at: usize, bytes: &[u8]) {
            self[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn blank() -> Vec<u8> {
        vec![0; FILE_LEN]
    }

    fn reload(journal: Journal<Vec<u8>>) -> (Journal<Vec<u8>>, Found) {
        Journal::load(journal.store, BOOT)
    }

    #[test]
    fn what_was_journaled_is_found_again_in_restore_order() {
        let (mut journal, found) = Journal::load(blank(), BOOT);
        assert_eq!(found, Found::default());
        let mut weight = record();
        weight.knob = crate::model::Knob::CpuWeight;
        let first = journal.insert(&record()).unwrap();
        let second = journal.insert(&weight).unwrap();
        let (_, found) = reload(journal);
        assert_eq!(found.records, [(second, weight), (first, record())]);
        assert!(found.faults.is_empty());
    }

    #[test]
    fn the_last_update_counts_and_a_removed_record_is_gone() {
        let (mut journal, _) = Journal::load(blank(), BOOT);
        let slot = journal.insert(&record()).unwrap();
        let mut newer = record();
        for next in ["1000 70000", "2000 70000", "3000 70000"] {
            newer.next = Some(text(next));
            journal.update(slot, &newer);
        }
        let (mut journal, found) = reload(journal);
        assert_eq!(found.records, [(slot, newer)]);
        journal.remove(slot);
        let (mut journal, found) = reload(journal);
        assert!(found.records.is_empty());
        assert_eq!(
            journal.insert(&record()),
            Some(slot),
            "its slot is free again"
        );
    }

    #[test]
    fn a_full_journal_refuses() {
        let (mut journal, _) = Journal::load(blank(), BOOT);
        for _ in 0..SLOTS {
            assert!(journal.insert(&record()).is_some());
        }
        assert_eq!(journal.insert(&record()), None);
        journal.remove(17);
        assert_eq!(journal.insert(&record()), Some(17));
    }

    #[test]
    fn an_update_that_was_cut_off_leaves_the_state_before_it() {
        let (mut journal, _) = Journal::load(blank(), BOOT);
        let slot = journal.insert(&record()).unwrap();
        let before = journal.store.clone();
        let mut newer = record();
        newer.next = Some(text("1000 70000"));
        journal.update(slot, &newer);
        let after = journal.store;
        for cut in 0..FILE_LEN {
            if before[cut] == after[cut] {
                continue;
            }
            let mut torn = before.clone();
            torn[..cut].copy_from_slice(&after[..cut]);
            let (_, found) = Journal::load(torn, BOOT);
            assert_eq!(found.records, [(slot, record())], "cut at {cut}");
        }
    }

    #[test]
    fn records_of_another_boot_are_void_and_told() {
        let (mut journal, _) = Journal::load(blank(), BOOT);
        journal.insert(&record()).unwrap();
        let (journal, found) = Journal::load(journal.store, BootId([8; 16]));
        assert!(found.records.is_empty());
        assert_eq!(found.faults, [Fault::OtherBoot(1)]);
        let (_, found) = reload(journal);
        assert_eq!(found, Found::default(), "and stay void");
    }

    #[test]
    fn damaged_slots_are_told_and_the_others_used() {
        let (mut journal, _) = Journal::load(blank(), BOOT);
        let slots: Vec<SlotId> = (0..3).map(|_| journal.insert(&record()).unwrap()).collect();
        for slot in &slots {
            journal.update(*slot, &record());
        }
        for copy in 0..2 {
            journal.store[HEADER_LEN + slots[1] * SLOT_LEN + copy * COPY_LEN + 40] ^= 4;
        }
        journal.store[9] ^= 1;
        let (_, found) = reload(journal);
        let places: Vec<SlotId> = found.records.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(places, [slots[0], slots[2]]);
        assert_eq!(found.faults, [Fault::Header, Fault::LostSlot(slots[1])]);
    }

    #[test]
    fn the_file_outlives_its_process_and_is_locked_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("governor");
        let (mut journal, found) = Journal::open(&state, BOOT).unwrap();
        assert!(found.records.is_empty());
        journal.insert(&record()).unwrap();
        let error = Journal::open(&state, BOOT).unwrap_err();
        let holder = Holder::Pid(std::process::id());
        assert!(
            matches!(&error, JournalError::File(StateFileError::InUse { holder: by, .. }) if *by == holder),
            "{error}"
        );
        drop(journal);
        let (_, found) = Journal::open(&state, BOOT).unwrap();
        assert_eq!(found.records, [(0, record())]);
    }

    #[test]
    fn what_is_no_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut newer = format::header();
        newer[8] = 9;
        let crc = crc32fast::hash(&newer[..20]).to_le_bytes();
        newer[20..].copy_from_slice(&crc);
        for (content, wanted) in [
            (&b"precious"[..], "no journal of governor"),
            (&newer, "another version of governor (journal version 9"),
        ] {
            fs::write(&path, content).unwrap();
            let error = Journal::open(folder.path(), BOOT).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_directory_a_link_and_a_pipe_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let refused = |what| {
            let error = Journal::open(folder.path(), BOOT).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        fs::create_dir(&path).unwrap();
        refused("a directory");
        fs::remove_dir(&path).unwrap();
        fs::write(folder.path().join("target"), "precious").unwrap();
        std::os::unix::fs::symlink("target", &path).unwrap();
        refused("a symbolic link");
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        refused("not a regular file");
    }

    #[test]
    fn a_shortened_journal_keeps_what_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), BOOT).unwrap();
        journal.insert(&record()).unwrap();
        journal.insert(&record()).unwrap();
        drop(journal);
        let path = folder.path().join(FILE_NAME);
        let len = HEADER_LEN + SLOT_LEN + 10;
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(len as u64))
            .unwrap();
        let (_, found) = Journal::open(folder.path(), BOOT).unwrap();
        assert_eq!(found.records, [(0, record())]);
        assert!(
            found
                .faults
                .contains(&Fault::Short((FILE_LEN - len) as u64))
        );
        assert_eq!(fs::metadata(&path).unwrap().len(), FILE_LEN as u64);
    }

    #[test]
    fn a_journal_that_is_not_there_is_not_made_for_a_restore() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("none");
        assert!(Journal::open_existing(&state, BOOT).unwrap().is_none());
        assert!(!state.exists());
    }
}
