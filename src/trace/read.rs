//! Bytes to frames, past any damage.
//!
//! A block is believed when its CRC is right. Where none begins, or its CRC is wrong, the bytes are
//! skipped one by one until the next that is; what was skipped is told once, with its place, and the
//! frames after it follow. Nothing but what the bytes hold is made room for.

use std::io::{ErrorKind, Read};

use super::Frame;
use super::block::{HEADER, Header, MAGIC, unseal};
use super::encode::{Decoder, NoFrame};
use super::varint::Cursor;

/// As much is read at once.
const CHUNK: usize = 64 << 10;
/// A file in which so many bytes are no block is no trace: the rest is not looked through.
const FOREIGN_AFTER: u64 = 32 << 20;
/// CRCs of so many bytes may be in vain for each byte of the file. One that was made to cost us more is
/// skipped by whole blocks.
const VAIN: u64 = 16;

/// What is wrong with a trace.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Bytes that are no block, or a block that was changed. What follows it is read on.
    #[error("{bytes} bytes at {at} are damaged and were skipped")]
    Skipped {
        /// Where they begin, in bytes from the start.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// The last block is cut off, as when a recording is broken off. All before it was read.
    #[error(
        "the end is cut off: the last {bytes} bytes, at {at}, are no whole block and were skipped"
    )]
    Torn {
        /// Where it begins, in bytes from the start.
        at: u64,
        /// How much of it there is, in bytes.
        bytes: u64,
    },
    /// Not one block was found.
    #[error("this is no governor trace; `governor record` makes one")]
    Foreign,
    /// It was written by a newer governor, in a format that did not exist yet.
    #[error(
        "the trace is of format {format}, and this governor reads up to {}; use a newer governor",
        super::FORMAT
    )]
    Newer {
        /// Its format.
        format: u32,
    },
    /// It could not be read.
    #[error("cannot read the trace: {0}")]
    Unreadable(std::io::Error),
}

impl Damage {
    /// Whether nothing can follow it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Damage::Skipped { .. } | Damage::Torn { .. })
    }
}

/// The frames of a trace, in order, with what is wrong between them. Ends after what is
/// [final](Damage::is_final).
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// What was read; from `start` on it is not used yet.
    bytes: Vec<u8>,
    start: usize,
    /// How many bytes of the trace lie before `start`.
    position: u64,
    at_end: bool,
    /// The frames of the current block, used up to `used`.
    plain: Vec<u8>,
    used: usize,
    decoder: Decoder,
    /// The current block's place and length.
    block: (u64, u64),
    /// Whether any block was good.
    met: bool,
    over: bool,
    vain: u64,
}

/// What bytes that are no block look like.
#[derive(Clone, Copy, Debug)]
enum Looks {
    /// The first part of a block.
    CutOff,
    /// A block that was changed.
    Damaged,
    /// The first block of this newer format, if no block of ours follows.
    Newer(u32),
    /// Something else.
    Foreign,
}

impl<R: Read> Reader<R> {
    /// Reads a trace. The input need not be buffered.
    pub fn new(input: R) -> Reader<R> {
        Reader {
            input,
            bytes: Vec::new(),
            start: 0,
            position: 0,
            at_end: false,
            plain: Vec::new(),
            used: 0,
            decoder: Decoder::default(),
            block: (0, 0),
            met: false,
            over: false,
            vain: 0,
        }
    }

    /// How many bytes of the trace were used up.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Reads on until so many bytes wait to be used, or the input ends.
    fn fill(&mut self, wanted: usize) -> Result<(), Damage> {
        while self.rest().len() < wanted && !self.at_end {
            self.bytes.drain(..self.start);
            self.start = 0;
            let have = self.bytes.len();
            self.bytes.resize(have + CHUNK, 0);
            let read = self
                .input
                .read(self.bytes.get_mut(have..).unwrap_or_default());
            self.bytes.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.at_end = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Damage::Unreadable(error)),
            }
        }
        Ok(())
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.position += bytes as u64;
    }

    /// The length of the block that begins here, if one does and is whole.
    fn block_here(&mut self) -> Result<Option<usize>, Damage> {
        self.fill(HEADER)?;
        let Some(header) = Header::parse(self.rest()) else {
            return Ok(None);
        };
        self.fill(HEADER + header.length)?;
        let payload = self.rest().get(HEADER..HEADER + header.length);
        let fits = payload.is_some_and(|payload| header.fits(payload));
        if !fits && payload.is_some() {
            self.vain += header.length as u64;
        }
        Ok(fits.then_some(HEADER + header.length))
    }

    /// Steps over what is no block: to the next place where one may begin.
    fn step_over(&mut self) {
        let step = if self.vain / VAIN > self.position + CHUNK as u64 * VAIN {
            Header::parse(self.rest()).map_or(1, |header| HEADER + header.length)
        } else {
            1
        };
        let after = self.rest().get(step..).unwrap_or_default();
        let next = after.windows(MAGIC.len()).position(|four| *four == MAGIC);
        // The last bytes may be the first of a magic.
        let next = next.unwrap_or_else(|| after.len().saturating_sub(MAGIC.len() - 1));
        self.advance((step + next).min(self.rest().len()));
    }

    /// Makes the next block the current one; `Ok(false)` at the end.
    fn next_block(&mut self) -> Result<bool, Damage> {
        let began = self.position;
        let mut looks = None;
        loop {
            if let Some(length) = self.block_here()? {
                if self.position > began {
                    // It is looked at again when this was told.
                    return Err(self.skipped(began));
                }
                self.take_block(length)?;
                return Ok(true);
            }
            let looks = match looks {
                Some(looks) => looks,
                None => *looks.insert(self.look()?),
            };
            if self.rest().is_empty() {
                return match looks {
                    _ if self.position == began => Ok(false),
                    Looks::CutOff => Err(Damage::Torn {
                        at: began,
                        bytes: self.position - began,
                    }),
                    Looks::Newer(format) => Err(Damage::Newer { format }),
                    Looks::Foreign if !self.met => Err(Damage::Foreign),
                    _ => Err(self.skipped(began)),
                };
            }
            self.step_over();
            if !self.met && self.position > FOREIGN_AFTER {
                return Err(match looks {
                    Looks::Newer(format) => Damage::Newer { format },
                    _ => Damage::Foreign,
                });
            }
        }
    }

    /// Takes the good block that begins here.
    fn take_block(&mut self, length: usize) -> Result<(), Damage> {
        self.met = true;
        self.block = (self.position, length as u64);
        self.used = 0;
        self.decoder.reset();
        let payload = self.bytes.get(self.start + HEADER..self.start + length);
        let content = payload.and_then(|payload| unseal(payload, &mut self.plain));
        self.advance(length);
        content.ok_or_else(|| {
            self.plain.clear();
            let (at, bytes) = self.block;
            Damage::Skipped { at, bytes }
        })
    }

    /// What it is that begins here and is no block; it was read as far as a block would go.
    fn look(&mut self) -> Result<Looks, Damage> {
        if let (0, Some(&magic @ [b'g', b'v', b't', digit @ b'2'..=b'9'])) =
            (self.position, self.rest().first_chunk())
        {
            let ours = self.is_block(magic)?;
            // A newer format is one of blocks: where one of ours fits, only the digit was changed.
            return Ok(if ours {
                Looks::Damaged
            } else {
                Looks::Newer(u32::from(digit - b'0'))
            });
        }
        let rest = self.rest();
        Ok(match Header::parse(rest) {
            Some(header) if rest.len() < HEADER + header.length => Looks::CutOff,
            Some(_) => Looks::Damaged,
            None if rest.starts_with(&MAGIC) && rest.len() >= HEADER => Looks::Damaged,
            None if rest.starts_with(&MAGIC) || MAGIC.starts_with(rest) => Looks::CutOff,
            None => Looks::Foreign,
        })
    }

    /// Whether what begins here with this magic is else a good block of ours.
    fn is_block(&mut self, magic: [u8; 4]) -> Result<bool, Damage> {
        let Some(header) = Header::parse_after(self.rest(), magic) else {
            return Ok(false);
        };
        self.fill(HEADER + header.length)?;
        let payload = self.rest().get(HEADER..HEADER + header.length);
        Ok(payload.is_some_and(|payload| header.fits(payload)))
    }

    fn skipped(&self, at: u64) -> Damage {
        Damage::Skipped {
            at,
            bytes: self.position - at,
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Frame, Damage>;

    fn next(&mut self) -> Option<Result<Frame, Damage>> {
        while !self.over {
            let mut cursor = Cursor::new(self.plain.get(self.used..).unwrap_or_default());
            if cursor.is_empty() {
                match self.next_block() {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(damage) => {
                        self.over = damage.is_final();
                        return Some(Err(damage));
                    }
                }
            }
            let frame = self.decoder.frame(&mut cursor);
            self.used = self.plain.len() - cursor.len();
            return Some(match frame {
                Ok(frame) => Ok(frame),
                Err(NoFrame::Newer(format)) => {
                    self.over = true;
                    Err(Damage::Newer { format })
                }
                Err(NoFrame::Malformed) => {
                    // What follows in this block may lean on it.
                    self.used = self.plain.len();
                    let (at, bytes) = self.block;
                    Err(Damage::Skipped { at, bytes })
                }
            });
        }
        None
    }
}
