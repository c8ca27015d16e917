//! A trace fed to the very same brain again: what would it have done, and is that what was done?
//!
//! Pure: frames in, lines and counts out; who reads the files is `cli`. Two questions are answered:
//!
//! - *Identity*, without a policy: the recorded policy's brain is fed all that the live one was fed, the
//!   outcomes of its writes included. Each decision is compared with the recorded one as text, byte for
//!   byte ([`decision_text`]), and so is each later checkpoint with the replayed brain. What differs was
//!   decided by something that the trace does not hold, or by another version of the brain.
//! - *What if*, with policies: the same samples are fed to a brain for each. The recorded world does not
//!   react to it. So where the record held the same lever at that time, its outcomes count (`Done`, or
//!   `Failed` where it could not be written); where it did not, a hold is answered as in a dry run
//!   ([`WouldWrite`](crate::model::Written::WouldWrite)): it never escalates and is neither confirmed nor exonerated, because a
//!   fall of harm, or none, would say nothing about it. Such interventions are counted as *untried*.
//!
//! Decisions are compared from the first checkpoint on: before it, and after a gap or damage, the live
//! brain knew what the trace does not tell. The brain goes on, and the next checkpoint sets it right.
//!
//! [`story`] is the whole of it for tests: a trace in, one stable text out.
//!
//! | file | does |
//! |---|---|
//! | `replayer` | takes the frames in their order |
//! | `record` | what the frames say by themselves |
//! | `live` | the recorded policy's brain, and whether it decides as recorded |
//! | `paper` | a tried policy's brain in a world that does not react |
//! | `world` | what the record held, and what it could not write |
//! | `rules` | the tried policy's globs over the recorded tree |
//! | `count` | interventions and how they ended |
//! | `harm` | stall above what is tolerated, and whether something was held against it |
//! | `story` | a trace as text |
//! | `look` | the brain as it was at a moment |

mod count;
mod harm;
mod live;
mod look;
mod paper;
mod record;
mod replayer;
mod rules;
mod story;
mod world;

pub use live::{REPLAYED, decision_text};
pub use look::{Looked, Notes};
pub use record::AS_RECORDED;
pub use replayer::Replayer;
pub use story::story;
