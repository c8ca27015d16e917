//! The plain content of a block to the block, and back.

use super::{BLOCK_FULL, Encoder, FRAME_MAX, Frame, TooLarge};

/// What every block begins with; the digit is the format of blocks.
pub(super) const MAGIC: [u8; 4] = *b"gvt1";
/// Magic, length and CRC.
pub(super) const HEADER: usize = 12;
/// The longest plain content: a block that was almost full, and the longest frame with its head.
pub(super) const PLAIN_MAX: usize = BLOCK_FULL + FRAME_MAX + 16;
/// The longest payload: LZ4 lengthens what it cannot shorten by a 255th, and the size stands before it.
pub(super) const PAYLOAD_MAX: usize = PLAIN_MAX + PLAIN_MAX / 255 + 64;

/// Appends one block of these frames, which [`Encoder`] made since its last [key](Encoder::key).
/// Of no frames no block is made.
///
/// # Errors
/// If they are more than [`BLOCK_FULL`] and one longest frame; then nothing is appended.
pub fn seal(frames: &[u8], into: &mut Vec<u8>) -> Result<(), TooLarge> {
    if frames.is_empty() {
        return Ok(());
    }
    let size = u32::try_from(frames.len()).map_err(|_| TooLarge)?;
    if frames.len() > PLAIN_MAX {
        return Err(TooLarge);
    }
    let start = into.len();
    let payload = start + HEADER + size_of::<u32>();
    into.resize(
        payload + lz4_flex::block::get_maximum_output_size(frames.len()),
        0,
    );
    let room = into.get_mut(payload..).unwrap_or_default();
    let Ok(packed) = lz4_flex::block::compress_into(frames, room) else {
        // There is room for the worst.
        into.truncate(start);
        return Err(TooLarge);
    };
    into.truncate(payload + packed);
    let (_, block) = into.split_at_mut(start);
    let (header, payload) = block.split_at_mut(HEADER);
    if let Some(first) = payload.first_chunk_mut() {
        *first = size.to_le_bytes();
    }
    let head = Header {
        length: payload.len(),
        crc: crc32fast::hash(payload),
    };
    header.copy_from_slice(&head.to_bytes());
    Ok(())
}

/// The head of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Of the payload, in bytes.
    pub length: usize,
    crc: u32,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let length = self.length as u32;
        let parts = [MAGIC, length.to_le_bytes(), self.crc.to_le_bytes()];
        for (to, part) in bytes.chunks_exact_mut(4).zip(parts) {
            to.copy_from_slice(&part);
        }
        bytes
    }

    /// `None` where no block begins.
    pub(super) fn parse(bytes: &[u8]) -> Option<Header> {
        Header::parse_after(bytes, MAGIC)
    }

    /// As [`parse`](Header::parse), of a block that begins with this.
    pub(super) fn parse_after(bytes: &[u8], wanted: [u8; 4]) -> Option<Header> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let crc = rest.first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        (*magic == wanted && length <= PAYLOAD_MAX).then_some(Header {
            length,
            crc: u32::from_le_bytes(*crc),
        })
    }

    pub(super) fn fits(self, payload: &[u8]) -> bool {
        crc32fast::hash(payload) == self.crc
    }
}

/// The frames of a payload, in place of what was in `plain`; `None` where it is none.
pub(super) fn unseal(payload: &[u8], plain: &mut Vec<u8>) -> Option<()> {
    let (size, packed) = payload.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    // LZ4 makes at most 255 bytes of one: a size that cannot be is not made room for.
    if size > PLAIN_MAX || size > packed.len().saturating_mul(255) {
        return None;
    }
    plain.clear();
    plain.resize(size, 0);
    let written = lz4_flex::block::decompress_into(packed, plain).ok()?;
    (written == size).then_some(())
}

/// Frames to whole blocks: for who writes a trace and does not care where its blocks end.
#[derive(Debug, Default)]
pub struct Writer {
    encoder: Encoder,
    frames: Vec<u8>,
}

impl Writer {
    /// One that has written nothing.
    #[must_use]
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Takes a frame; appends a block to `out` where one is full.
    ///
    /// # Errors
    /// If the frame is too large; then it is left out.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        self.encoder.frame(frame, &mut self.frames)?;
        if self.frames.len() >= BLOCK_FULL {
            self.finish(out)?;
        }
        Ok(())
    }

    /// Appends what is left as a block to `out`. Frames may follow.
    ///
    /// # Errors
    /// Never: what is left fits a block.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let sealed = seal(&self.frames, out);
        self.frames.clear();
        self.encoder.key();
        sealed
    }
}
