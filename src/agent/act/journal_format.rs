//! The journal's bytes: a header, and slots of two copies each. Pure; nothing here touches a file.
//!
//! ```text
//! file   = header (4096 bytes) , 256 slots
//! header = magic 8 | version u32 | slot length u32 | slots u32 | CRC-32 of these | … | pid u32 at 64
//! slot   = copy , copy          the valid copy with the higher sequence number counts
//! copy   = seq u64 | state u8 | record … | CRC-32 of all before it      (768 bytes)
//! ```
//!
//! An update writes the copy that does *not* count, so the process may be killed between any two
//! bytes: a copy that was cut off fails its CRC and the other one, the state before, still counts.
//! Every record carries the boot it belongs to, because limits die with the boot. Numbers are
//! little-endian; the file never leaves its host.

use crate::model::{GroupId, Knob, Original, Time};

/// The exact text of a knob, whoever wrote it.
pub type KnobText = Original;

/// The version that this governor writes and reads.
pub(super) const VERSION: u32 = 2;
/// The header's length; one page, so that slots are aligned.
pub(super) const HEADER_LEN: usize = 4096;
/// Length of one copy of a record.
pub(super) const COPY_LEN: usize = 768;
/// Length of a slot.
pub(super) const SLOT_LEN: usize = 2 * COPY_LEN;
/// How many knobs can be held at once.
pub const SLOTS: usize = 256;
/// Length of the whole file.
pub(super) const FILE_LEN: usize = HEADER_LEN + SLOTS * SLOT_LEN;
/// Where the holder's process id stands: only for a message, and outside the CRC.
pub(super) const PID_AT: usize = 64;
/// The longest path that is kept whole.
pub(super) const PATH_MAX: usize = 304;

const MAGIC: [u8; 8] = *b"GOVJRNL\n";
/// Magic, version, slot length, slots and their CRC.
const HEAD_USED: usize = 24;
const CRC_AT: usize = COPY_LEN - 4;
const FREE: u8 = 1;
const HELD: u8 = 2;

/// The kernel's random id of one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

/// The path of a group, or the beginning of one that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoredPath {
    len: u16,
    whole: bool,
    bytes: [u8; PATH_MAX],
}

/// One held knob: what it takes to give it back, even by another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The cgroup's identity.
    pub group: GroupId,
    /// Where it was.
    pub path: StoredPath,
    /// Which knob.
    pub knob: Knob,
    /// What stood there before us.
    pub original: KnobText,
    /// What stands there by our hand, read back.
    pub ours: Option<KnobText>,
    /// What we are about to write; set before the write, cleared after it was read back.
    pub next: Option<KnobText>,
    /// We set `cpu.idle` of this group, so this weight reads 0 meanwhile and 100 afterwards.
    pub idled: Idled,
    /// When the knob was first held.
    pub since: Time,
    /// Until when it is held unless renewed.
    pub lease: Time,
}

/// Whether the kernel itself may have changed a weight because we wrote `cpu.idle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idled {
    /// It has not.
    #[default]
    No,
    /// It may have: 0 and 100 are our doing too.
    ByUs,
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Zeros: a file that was just made.
    Blank,
    /// Ours.
    Good,
    /// Ours, but damaged: the records check themselves.
    Damaged,
    /// Written by a governor of another version.
    Other(u32),
    /// Not a journal.
    Foreign,
}

/// What one copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack while a slot is read; nothing here allocates"
)]
pub(super) enum SlotCopy {
    /// Zeros: never written.
    Blank,
    /// Cut off in the middle of a write, or damaged later.
    Damaged,
    /// Written at this point of the slot's life; `None` says that the slot is free.
    Valid(u64, Option<(BootId, Record)>),
}

impl BootId {
    /// From `/proc/sys/kernel/random/boot_id`: 32 hexadecimal digits, dashes and a newline
    /// ignored. `None` for anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<BootId> {
        let mut digits = text
            .trim_ascii()
            .iter()
            .filter(|byte| **byte != b'-')
            .map(|byte| char::from(*byte).to_digit(16));
        let mut id = [0; 16];
        for byte in &mut id {
            let high = digits.next()??;
            let low = digits.next()??;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        digits.next().is_none().then_some(BootId(id))
    }
}

impl StoredPath {
    /// Keeps a path, cut at 304 bytes.
    #[must_use]
    pub fn new(path: &[u8]) -> StoredPath {
        let kept = path.get(..PATH_MAX).unwrap_or(path);
        let mut bytes = [0; PATH_MAX];
        for (to, from) in bytes.iter_mut().zip(kept) {
            *to = *from;
        }
        StoredPath {
            len: kept.len() as u16,
            whole: kept.len() == path.len(),
            bytes,
        }
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// As the host wants it for finding the group again.
    #[must_use]
    pub fn hint(&self) -> crate::host::PathHint<'_> {
        if self.whole {
            crate::host::PathHint::Whole(self.as_bytes())
        } else {
            crate::host::PathHint::Beginning(self.as_bytes())
        }
    }
}

impl std::fmt::Debug for StoredPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = if self.whole { "" } else { "…" };
        write!(f, "{}{end}", self.as_bytes().escape_ascii())
    }
}

/// The header of a new journal.
#[must_use]
pub(super) fn header() -> [u8; HEAD_USED] {
    let mut head = [0; HEAD_USED];
    let mut pen = Pen::new(&mut head);
    pen.put(&MAGIC);
    pen.put(&VERSION.to_le_bytes());
    pen.put(&(SLOT_LEN as u32).to_le_bytes());
    pen.put(&(SLOTS as u32).to_le_bytes());
    seal(&mut head);
    head
}

/// Reads the beginning of a file; what is missing counts as zeros.
#[must_use]
pub(super) fn read_header(file: &[u8]) -> Header {
    let mut head = [0; HEAD_USED];
    for (to, from) in head.iter_mut().zip(file) {
        *to = *from;
    }
    let good = header();
    let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if head == good {
        Header::Good
    } else if head == [0; HEAD_USED] {
        Header::Blank
    } else if head[..8] != MAGIC {
        Header::Foreign
    } else if is_sealed(&head) && version != VERSION {
        Header::Other(version)
    } else {
        Header::Damaged
    }
}

/// The copy to write at point `seq` of a slot's life; `None` frees the slot.
#[must_use]
pub(super) fn encode(seq: u64, held: Option<(BootId, &Record)>) -> [u8; COPY_LEN] {
    let mut copy = [0; COPY_LEN];
    let mut pen = Pen::new(&mut copy);
    pen.put(&seq.to_le_bytes());
    match held {
        None => pen.put(&[FREE]),
        Some((boot, record)) => {
            let (knob, major, minor) = record.knob.number();
            pen.put(&[
                HELD,
                knob,
                u8::from(record.idled == Idled::ByUs),
                u8::from(record.path.whole),
            ]);
            pen.put(&major.to_le_bytes());
            pen.put(&minor.to_le_bytes());
            pen.put(&boot.0);
            pen.put(&record.group.0.to_le_bytes());
            pen.put(&record.since.0.to_le_bytes());
            pen.put(&record.lease.0.to_le_bytes());
            pen.text(Some(&record.original));
            pen.text(record.ours.as_ref());
            pen.text(record.next.as_ref());
            pen.put(&record.path.len.to_le_bytes());
            pen.put(&record.path.bytes);
        }
    }
    seal(&mut copy);
    copy
}

/// Reads one copy.
#[must_use]
pub(super) fn decode(copy: &[u8]) -> SlotCopy {
    if copy.iter().all(|byte| *byte == 0) {
        return SlotCopy::Blank;
    }
    if copy.len() != COPY_LEN || !is_sealed(copy) {
        return SlotCopy::Damaged;
    }
    read_copy(copy).unwrap_or(SlotCopy::Damaged)
}

fn read_copy(copy: &[u8]) -> Option<SlotCopy> {
    let mut eye = Eye(copy.get(..CRC_AT)?);
    let seq = eye.u64()?;
    match eye.byte()? {
        FREE => Some(SlotCopy::Valid(seq, None)),
        HELD => {
            let knob = eye.byte()?;
            let idled = match eye.byte()? {
                0 => Idled::No,
                _ => Idled::ByUs,
            };
            let whole = eye.byte()? != 0;
            let (major, minor) = (eye.u32()?, eye.u32()?);
            let knob = Knob::from_number(knob, major, minor)?;
            let boot = BootId(eye.array()?);
            let group = GroupId(eye.u64()?);
            let since = Time(eye.u64()?);
            let lease = Time(eye.u64()?);
            let original = eye.text()??;
            let ours = eye.text()?;
            let next = eye.text()?;
            let len = u16::from_le_bytes(eye.array()?);
            let bytes: [u8; PATH_MAX] = eye.array()?;
            let record = Record {
                group,
                path: StoredPath { len, whole, bytes },
                knob,
                original,
                ours,
                next,
                idled,
                since,
                lease,
            };
            (usize::from(len) <= PATH_MAX).then_some(SlotCopy::Valid(seq, Some((boot, record))))
        }
        _ => None,
    }
}

/// Puts the CRC-32 of everything before them into the last four bytes.
fn seal(bytes: &mut [u8]) {
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(body).to_le_bytes();
    }
}

fn is_sealed(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<4>()
        .is_some_and(|(body, crc)| crc32fast::hash(body).to_le_bytes() == *crc)
}

/// Writes fields one after the other. The layout is fixed and fits ([`LAYOUT_FITS`]).
struct Pen<'a> {
    room: &'a mut [u8],
    at: usize,
}

/// A text's length (or [`NO_TEXT`]) and its bytes.
const TEXT_LEN: usize = 1 + crate::model::ORIGINAL_MAX;
const NO_TEXT: u8 = u8::MAX;
const LAYOUT_FITS: () = assert!(8 + 4 + 8 + 16 + 3 * 8 + 3 * TEXT_LEN + 2 + PATH_MAX <= CRC_AT);

impl<'a> Pen<'a> {
    fn new(room: &'a mut [u8]) -> Pen<'a> {
        let () = LAYOUT_FITS;
        Pen { room, at: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(place) = self.room.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
    }

    fn text(&mut self, text: Option<&KnobText>) {
        let mut field = [0; TEXT_LEN];
        field[0] = text.map_or(NO_TEXT, |text| text.as_bytes().len() as u8);
        let bytes = text.map(KnobText::as_bytes).unwrap_or_default();
        for (to, from) in field[1..].iter_mut().zip(bytes) {
            *to = *from;
        }
        self.put(&field);
    }
}

/// Reads fields one after the other.
struct Eye<'a>(&'a [u8]);

impl Eye<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Outer `None`: not of the format. Inner `None`: no text.
    fn text(&mut self) -> Option<Option<KnobText>> {
        let [len, bytes @ ..] = self.array::<TEXT_LEN>()?;
        if len == NO_TEXT {
            return Some(None);
        }
        let bytes = bytes.get(..usize::from(len))?;
        // No text is kept with its newline: one that has it was not written by us.
        KnobText::new(bytes)
            .filter(|text| text.as_bytes() == bytes)
            .map(Some)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Device;
    use proptest::prelude::*;

    pub(in crate::agent::act) const BOOT: BootId = BootId([7; 16]);

    pub(in crate::agent::act) fn text(text: &str) -> KnobText {
        KnobText::new(text.as_bytes()).unwrap()
    }

    pub(in crate::agent::act) fn record() -> Record {
        Record {
            group: GroupId(4_711),
            path: StoredPath::new(b"/system.slice/docker-\xff\n.scope"),
            knob: Knob::CpuMax,
            original: text("150000 70000"),
            ours: Some(text("20000 70000")),
            next: None,
            idled: Idled::No,
            since: Time(1),
            lease: Time(u64::MAX),
        }
    }

    fn any_text() -> impl Strategy<Value = KnobText> {
        prop::collection::vec(b'!'..=b'~', 0..=crate::model::ORIGINAL_MAX)
            .prop_map(|bytes| KnobText::new(&bytes).unwrap())
    }

    fn any_knob() -> impl Strategy<Value = Knob> {
        let on_device = (any::<u32>(), any::<u32>())
            .prop_map(|(major, minor)| Knob::IoMax(Device { major, minor }));
        prop_oneof![prop::sample::select(Knob::FILES.to_vec()), on_device]
    }

    fn any_record() -> impl Strategy<Value = Record> {
        (
            (any::<u64>(), any::<u64>(), any::<u64>()),
            prop::collection::vec(any::<u8>(), 0..2 * PATH_MAX),
            any_knob(),
            any_text(),
            prop::option::of(any_text()),
            prop::option::of(any_text()),
            any::<bool>(),
        )
            .prop_map(
                |((group, since, lease), path, knob, original, ours, next, idled)| Record {
                    group: GroupId(group),
                    path: StoredPath::new(&path),
                    knob,
                    original,
                    ours,
                    next,
                    idled: if idled { Idled::ByUs } else { Idled::No },
                    since: Time(since),
                    lease: Time(lease),
                },
            )
    }

    proptest! {
        #[test]
        fn every_record_comes_back_as_it_was(seq: u64, record in any_record()) {
            let copy = encode(seq, Some((BOOT, &record)));
            prop_assert_eq!(decode(&copy), SlotCopy::Valid(seq, Some((BOOT, record))));
        }

        #[test]
        fn a_flipped_bit_anywhere_is_noticed(bit in 0..COPY_LEN * 8) {
            let mut copy = encode(3, Some((BOOT, &record())));
            copy[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(&copy), SlotCopy::Damaged);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2 * COPY_LEN)) {
            let _ = decode(&bytes);
            let _ = read_header(&bytes);
            let _ = BootId::parse(&bytes);
        }

        #[test]
        fn no_sealed_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), COPY_LEN)) {
            seal(&mut bytes);
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_write_that_was_cut_off_anywhere_is_noticed() {
        let old = encode(2, Some((BOOT, &record())));
        let mut newer = record();
        newer.next = Some(text("10000 70000"));
        let new = encode(4, Some((BOOT, &newer)));
        for cut in 0..COPY_LEN {
            let mut copy = old;
            copy[..cut].copy_from_slice(&new[..cut]);
            if copy != old && copy != new {
                assert_eq!(decode(&copy), SlotCopy::Damaged, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_free_slot_and_a_blank_one_are_told_apart() {
        assert_eq!(decode(&encode(9, None)), SlotCopy::Valid(9, None));
        assert_eq!(decode(&[0; COPY_LEN]), SlotCopy::Blank);
        assert_eq!(decode(&[0; 3]), SlotCopy::Blank);
    }

    #[test]
    fn headers_are_told_apart() {
        let good = header();
        assert_eq!(read_header(&good), Header::Good);
        assert_eq!(read_header(b""), Header::Blank);
        assert_eq!(read_header(&[0; HEADER_LEN]), Header::Blank);
        assert_eq!(read_header(b"#!/bin/sh\n"), Header::Foreign);
        assert_eq!(read_header(&good[..20]), Header::Damaged);
        let mut newer = good;
        newer[8] = 3;
        assert_eq!(
            read_header(&newer),
            Header::Damaged,
            "a flipped bit is no version"
        );
        seal(&mut newer);
        assert_eq!(read_header(&newer), Header::Other(3));
    }

    #[test]
    fn a_boot_id_is_read_as_the_kernel_writes_it() {
        let id = BootId::parse(b"0123abcd-0000-0000-0000-0000000000ff\n").unwrap();
        assert_eq!(id.0[..4], [0x01, 0x23, 0xab, 0xcd]);
        assert_eq!(id.0[15], 0xff);
        for bad in [
            &b""[..],
            b"0123",
            b"0123abcd-0000-0000-0000-0000000000ff0",
            b"zz",
        ] {
            assert_eq!(BootId::parse(bad), None);
        }
    }

    #[test]
    fn a_long_path_is_kept_as_a_hint() {
        let long = vec![b'x'; 4096];
        let path = StoredPath::new(&long);
        let hint = crate::host::PathHint::Beginning(&long[..PATH_MAX]);
        assert_eq!(path.hint(), hint);
        assert_eq!(
            StoredPath::new(b"/a").hint(),
            crate::host::PathHint::Whole(b"/a")
        );
    }
}
