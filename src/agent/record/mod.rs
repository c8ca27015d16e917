//! The recorder: what goes into the brain and what comes out, kept for the last minutes, written to a
//! file where something was done, and streamed to who asks.
//!
//! Problem: the record of an attack is made during the attack, by the loop that has the least time for
//! it. Approach: the loop only turns frames into bytes in its own memory, and about once a second hands
//! what it has to a thread of normal priority, without waiting. That thread compresses and writes. If
//! it falls behind, what it cannot take is dropped and counted, and the trace says so.
//!
//! | file | does | runs in |
//! |---|---|---|
//! | `recorder` | frames to batches; when a segment begins | the loop |
//! | `keeper` | batches to blocks, and to everybody who wants them | its own thread |
//! | `ring` | the flight recorder: segment files, bounded in time and size | its own thread |
//! | `incident` | one file of the ring for each thing that happened | its own thread |
//! | `recording` | what the loop, the keeper and the side thread share | all |

mod incident;
mod keeper;
mod recorder;
mod recording;
mod ring;
#[cfg(test)]
mod tests;

pub use keeper::Keeper;
pub use recorder::{Moment, Recorder};
pub(super) use recording::Block;
pub use recording::Recording;

use std::time::{Duration, UNIX_EPOCH};

/// What the name of every trace ends with.
pub const SUFFIX: &str = ".gvt";

/// A moment for the name of a file: `20261124T034500Z`, so that names sort as things happened.
/// `wall_us` is in microseconds since 1970.
#[must_use]
pub fn stamp(wall_us: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_micros(wall_us);
    let mut time = humantime::format_rfc3339_seconds(time).to_string();
    time.retain(|one| !matches!(one, '-' | ':'));
    time
}
