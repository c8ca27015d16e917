//! Frames to the plain content of a block.

use serde::{Deserialize, Serialize};

use super::tick::{Deltas, SLOTS_MAX};
use super::varint::{Cursor, put};
use super::{Did, FORMAT, FRAME_MAX, Frame, Start};
use crate::model::{Change, Event, Mode, Pace, Sample, Step, Time, Topology};

/// Tags of frames. A tag is never used again for something else.
mod tag {
    pub(super) const START: u8 = 1;
    pub(super) const POLICY: u8 = 2;
    pub(super) const TREE: u8 = 3;
    pub(super) const KEY_TICK: u8 = 4;
    pub(super) const TICK: u8 = 5;
    pub(super) const DID: u8 = 6;
    pub(super) const RELEASED_ALL: u8 = 7;
    pub(super) const CHECKPOINT: u8 = 8;
    pub(super) const GAP: u8 = 9;
}

/// The frame is longer than [`FRAME_MAX`], or is a tick of more containers than a trace can tell apart.
/// It is left out of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame is too large for a trace")]
pub struct TooLarge;

/// Turns frames into bytes, and remembers the last values so that a tick is written as what changed.
///
/// Each call appends one frame. A block must begin where [`key`](Encoder::key) was called.
#[derive(Debug)]
pub struct Encoder {
    deltas: Deltas,
    /// The next tick is the first since the key.
    fresh: bool,
    body: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            deltas: Deltas::default(),
            fresh: true,
            body: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct PolicyText {
    text: String,
    mode: Mode,
}

#[derive(Deserialize)]
struct TreeText {
    at: Time,
    tree: Topology,
}

#[derive(Serialize, Deserialize)]
struct Moment {
    at: Time,
}

#[derive(Serialize, Deserialize)]
struct Lost {
    at: Time,
    lost: u32,
}

impl Encoder {
    /// One that begins with a key.
    #[must_use]
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// The next tick is written whole: a block may begin here.
    pub fn key(&mut self) {
        self.deltas.reset();
        self.fresh = true;
    }

    /// Appends any frame.
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn frame(&mut self, frame: &Frame, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        match frame {
            Frame::Start(start) => self.start(start, into),
            Frame::Policy { text, mode } => self.policy(text, *mode, into),
            Frame::Tree { at, tree } => self.tree(*at, tree, into),
            Frame::Tick(sample) => self.tick(sample, into),
            Frame::Did(did) => self.rare(tag::DID, did, into),
            Frame::ReleasedAll { at } => self.released_all(*at, into),
            Frame::Checkpoint(text) => self.checkpoint(text, into),
            Frame::Gap { at, lost } => self.gap(*at, *lost, into),
        }
    }

    /// Appends [`Frame::Start`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn start(&mut self, start: &Start, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        self.rare(tag::START, start, into)
    }

    /// Appends [`Frame::Policy`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn policy(&mut self, text: &str, mode: Mode, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        #[derive(Serialize)]
        struct Borrowed<'t> {
            text: &'t str,
            mode: Mode,
        }
        self.rare(tag::POLICY, &Borrowed { text, mode }, into)
    }

    /// Appends [`Frame::Tree`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn tree(&mut self, at: Time, tree: &Topology, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        #[derive(Serialize)]
        struct Borrowed<'t> {
            at: Time,
            tree: &'t Topology,
        }
        self.rare(tag::TREE, &Borrowed { at, tree }, into)
    }

    /// Appends [`Frame::Tick`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn tick(&mut self, sample: &Sample, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        if sample.containers.len().max(sample.outcomes.len()) > SLOTS_MAX {
            return Err(TooLarge);
        }
        if !self.deltas.has_room(sample.containers.len()) {
            self.key();
        }
        self.body.clear();
        self.deltas.put(sample, &mut self.body);
        let tag = if self.fresh { tag::KEY_TICK } else { tag::TICK };
        self.fresh = false;
        append(tag, &self.body, into)
    }

    /// Appends [`Frame::Did`], from the brain's own step.
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn did(&mut self, at: Time, step: &Step, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        /// As [`Did`], field by field.
        #[derive(Serialize)]
        struct Borrowed<'s> {
            at: Time,
            changes: &'s [Change],
            events: &'s [Event],
            pace: Pace,
        }
        let did = Borrowed {
            at,
            changes: &step.changes,
            events: &step.events,
            pace: step.pace,
        };
        self.rare(tag::DID, &did, into)
    }

    /// Appends [`Frame::ReleasedAll`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn released_all(&mut self, at: Time, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        self.rare(tag::RELEASED_ALL, &Moment { at }, into)
    }

    /// Appends [`Frame::Checkpoint`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn checkpoint(&mut self, text: &str, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        append(tag::CHECKPOINT, text.as_bytes(), into)
    }

    /// Appends [`Frame::Gap`].
    ///
    /// # Errors
    /// If it is too large; then nothing is appended.
    pub fn gap(&mut self, at: Time, lost: u32, into: &mut Vec<u8>) -> Result<(), TooLarge> {
        self.rare(tag::GAP, &Lost { at, lost }, into)
    }

    fn rare(
        &mut self,
        tag: u8,
        frame: &impl Serialize,
        into: &mut Vec<u8>,
    ) -> Result<(), TooLarge> {
        self.body.clear();
        // Text of numbers and strings into memory: it cannot fail.
        serde_json::to_writer(&mut self.body, frame).map_err(|_| TooLarge)?;
        append(tag, &self.body, into)
    }
}

fn append(tag: u8, body: &[u8], into: &mut Vec<u8>) -> Result<(), TooLarge> {
    if body.len() > FRAME_MAX {
        return Err(TooLarge);
    }
    into.push(tag);
    put(body.len() as u64, into);
    into.extend_from_slice(body);
    Ok(())
}

/// Why bytes are no frame.
#[derive(Debug)]
pub(super) enum NoFrame {
    Malformed,
    /// It is of this format, which is newer than ours.
    Newer(u32),
}

/// Turns the plain content of one block into frames.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    deltas: Deltas,
    keyed: bool,
    /// Of the segment that was begun last, where that is known.
    format: Option<u32>,
}

impl Decoder {
    /// Another block begins.
    pub(super) fn reset(&mut self) {
        self.deltas.reset();
        self.keyed = false;
    }

    /// The next frame.
    pub(super) fn frame(&mut self, from: &mut Cursor<'_>) -> Result<Frame, NoFrame> {
        let (tag, body) = take(from).ok_or(NoFrame::Malformed)?;
        Ok(match tag {
            tag::START => {
                let start = start(body)?;
                self.format = Some(start.format);
                Frame::Start(start)
            }
            tag::POLICY => {
                let PolicyText { text, mode } = json(body)?;
                Frame::Policy { text, mode }
            }
            tag::TREE => {
                let TreeText { at, tree } = json(body)?;
                Frame::Tree { at, tree }
            }
            tag::KEY_TICK | tag::TICK => {
                if tag == tag::KEY_TICK {
                    self.reset();
                    self.keyed = true;
                }
                let mut body = Cursor::new(body);
                let sample = self.deltas.take(&mut body, self.format.unwrap_or(FORMAT));
                let sample = sample.filter(|_| self.keyed);
                let whole = sample.filter(|_| body.is_empty());
                Frame::Tick(whole.ok_or(NoFrame::Malformed)?)
            }
            tag::DID => Frame::Did(json::<Did>(body)?),
            tag::RELEASED_ALL => Frame::ReleasedAll {
                at: json::<Moment>(body)?.at,
            },
            tag::CHECKPOINT => {
                let text = std::str::from_utf8(body).map_err(|_| NoFrame::Malformed)?;
                Frame::Checkpoint(text.to_owned())
            }
            tag::GAP => {
                let Lost { at, lost } = json(body)?;
                Frame::Gap { at, lost }
            }
            _ => return Err(NoFrame::Malformed),
        })
    }
}

fn take<'b>(from: &mut Cursor<'b>) -> Option<(u8, &'b [u8])> {
    let tag = from.byte()?;
    let length = from.count(FRAME_MAX)?;
    Some((tag, from.bytes(length)?))
}

/// The number of the format is looked at before all else, which a newer one may have changed.
fn start(body: &[u8]) -> Result<Start, NoFrame> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = json(body)?;
    if format > FORMAT {
        return Err(NoFrame::Newer(format));
    }
    json(body)
}

fn json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, NoFrame> {
    serde_json::from_slice(body).map_err(|_| NoFrame::Malformed)
}
