//! The journal of held knobs, as a crash, a bad disk or a forger may have left it.
//!
//! The bytes are the copies of the first slots. Nothing would get past their checksums by chance, so
//! that each copy is sealed first, but for those whose first byte asks to be left as they are.

use crate::Target;
use governor::agent::act::{BootId, Found, Journal, Store};

pub(crate) const TARGET: Target = Target {
    name: "journal",
    check,
    seeds: &["tests/fuzz/kept/journal/held"],
};

const HEADER: usize = 4_096;
const COPY: usize = 512;
const SLOTS: usize = 3;
const BOOT: BootId = BootId([7; 16]);

/// A journal in memory that ends after its first slots: what lies behind is not there.
struct Memory(Vec<u8>);

impl Store for Memory {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn check(bytes: &[u8]) {
    let mut file = blank();
    for (copy, content) in bytes.chunks(1 + COPY).take(2 * SLOTS).enumerate() {
        let Some((how, content)) = content.split_first() else {
            continue;
        };
        let place = &mut file[HEADER + copy * COPY..][..COPY];
        place[..content.len()].copy_from_slice(content);
        if *how != b'!' {
            seal(place);
        }
    }
    let (_, found) = Journal::load(Memory(file.clone()), BOOT);
    let again = Journal::load(Memory(file), BOOT).1;
    assert_eq!(found, again);
    kept_and_found_again(&found);
}

/// What was read is what would be written.
fn kept_and_found_again(found: &Found) {
    assert!(found.records.len() <= SLOTS);
    let mut file = blank();
    for (slot, record) in &found.records {
        let (mut journal, _) = Journal::load(Shared(&mut file), BOOT);
        journal.update(*slot, record);
    }
    let again = Journal::load(Memory(file), BOOT).1;
    assert_eq!(again.records, found.records);
    assert_eq!(again.faults, []);
}

/// The same, where the bytes outlive the journal.
struct Shared<'a>(&'a mut Vec<u8>);

impl Store for Shared<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// A new journal: its header is written when it is first read.
fn blank() -> Vec<u8> {
    let mut file = vec![0; HEADER + 2 * SLOTS * COPY];
    Journal::load(Shared(&mut file), BOOT);
    file
}

fn seal(copy: &mut [u8]) {
    if let Some((body, crc)) = copy.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(body).to_le_bytes();
    }
}
