//! A trace: everything that went into a [`Brain`](../policy/struct.Brain.html), in order, and what it
//! answered. Feeding it again is replaying it.
//!
//! This room is the format and its codec, pure: bytes in, frames out, and the way back. A trace is a
//! row of blocks; a block is
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the magic `gvt1` |
//! | 4 | length of the payload, little-endian |
//! | 4 | CRC-32 of the payload, little-endian |
//! | … | the payload: an LZ4 block of frames, its plain size before it |
//!
//! and a frame is a tag, a varint length and a body. All frames but [`Frame::Tick`] are rare, and are
//! JSON, so that an old trace stays readable: unknown fields are ignored. A tick is binary: deltas
//! against the last value of the same container *in this block*, which makes every block readable
//! alone. Traces can therefore be joined by `cat`, a torn tail costs one block, and after damage the
//! [`Reader`] goes on at the next block whose CRC is right.
//!
//! | file | does |
//! |---|---|
//! | `varint` | numbers to bytes and back |
//! | `tick` | a sample to deltas and back |
//! | `device` | what was done on a device to values of a tick and back |
//! | `threads` | the same of what was seen of threads |
//! | `encode` | frames to the plain content of a block |
//! | `block` | that content to a block and back |
//! | `read` | bytes to frames, past any damage |
//! | `anonymous` | names to hashes |
//! | `bound` | trees that are too large |

mod anonymous;
mod block;
mod bound;
mod device;
mod encode;
mod host;
mod read;
#[cfg(test)]
mod tests;
mod threads;
mod tick;
mod varint;

pub use block::{Writer, seal};
pub use bound::within_bounds;
pub use encode::{Encoder, TooLarge};
pub use read::{Damage, Reader};

use serde::{Deserialize, Serialize};

use crate::model::{Change, Event, Mode, Pace, Sample, Time, Topology};

/// The number of the format that is written, and the newest that is read.
pub const FORMAT: u32 = 7;

/// The longest frame, in bytes. The tree of the most groups that are known at once fits.
pub const FRAME_MAX: usize = 8 << 20;

/// From this many bytes of frames on a block is full. A reader takes blocks of this and one
/// [longest frame](FRAME_MAX) more.
pub const BLOCK_FULL: usize = 64 << 10;

/// One entry of a trace.
///
/// A trace begins with [`Start`], [`Policy`](Frame::Policy), [`Tree`](Frame::Tree) and, where it was
/// calm enough, [`Checkpoint`](Frame::Checkpoint); these may come again later, in the same order, where
/// a new segment of the same daemon begins or the trace of another one was joined.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all frames are ticks, the largest"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Where a segment begins: who recorded, and when.
    Start(Start),
    /// `Brain::new` or `Brain::set_policy`.
    Policy {
        /// The policy file's TOML text; empty for the built-in policy.
        text: String,
        /// The mode in force, which may be less than the file asks for.
        mode: Mode,
    },
    /// `Brain::adopt`.
    Tree {
        /// When.
        at: Time,
        /// The tree.
        tree: Topology,
    },
    /// `Brain::step`, outcomes of earlier changes included.
    Tick(Sample),
    /// What the recorded brain answered to the tick, or to the release of all, before.
    Did(Did),
    /// `Brain::release_all`; what it answered follows, but in what earlier versions recorded.
    ReleasedAll {
        /// When.
        at: Time,
    },
    /// The brain whole, as the text that `Brain::checkpoint` made.
    Checkpoint(String),
    /// The recorder was behind: frames are missing here.
    Gap {
        /// When it was noticed.
        at: Time,
        /// How many frames.
        lost: u32,
    },
}

/// Who recorded, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The number of the format; [`FORMAT`] for what this version writes.
    pub format: u32,
    /// The governor's version.
    pub governor: String,
    /// The kernel's release.
    pub kernel: String,
    /// The boot, as the kernel names it; moments of two boots cannot be compared.
    pub boot_id: String,
    /// The ticks that the daemon had taken before it, where that is known: 0 where it begins with the
    /// daemon; and where they are those of the segment before, nothing lies between the two.
    #[serde(default)]
    pub ticks: Option<u64>,
    /// The wall clock at `at`, in microseconds since 1970 (UTC).
    pub wall_us: i64,
    /// The monotonic clock, in which all moments of the segment are told.
    pub at: Time,
    /// Whether names were replaced by hashes.
    pub hashed: bool,
}

impl Start {
    /// The time of day at a moment of this segment, in microseconds since 1970 (UTC).
    #[must_use]
    pub fn wall_us_at(&self, at: Time) -> i64 {
        let signed = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX);
        let passed = signed(at.0).saturating_sub(signed(self.at.0));
        self.wall_us.saturating_add(passed)
    }
}

/// What the recorded brain answered to the tick before. Only there where it had changes or events, or
/// its pace was another than at the tick before; and after [`Frame::ReleasedAll`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Did {
    /// The tick's time, or the release's.
    pub at: Time,
    /// The writes that it wanted, in their order.
    pub changes: Vec<Change>,
    /// What it told.
    pub events: Vec<Event>,
    /// How soon it wanted the next sample.
    pub pace: Pace,
}
