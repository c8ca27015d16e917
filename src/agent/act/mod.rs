//! Acting on knobs, and giving them back.
//!
//! | module | step |
//! |---|---|
//! | `actuate` | a plan's changes in, outcomes out |
//! | `steps` | one knob: compare, write, read back, judge |
//! | `depend` | knobs that cannot be held alone |
//! | `watch` | what time does to held knobs: slow writes, leases, what others wrote |
//! | `others` | a knob that somebody else wrote: whose value counts |
//! | `undo` | one knob back to its original |
//! | `restore` | everything that an earlier run held |
//! | `left` | the same, wherever earlier runs kept their journals |
//! | `journal`, `journal_format` | originals, written down before a knob is touched |
//! | `pulses`, `pulser` | a group that is frozen in pulses, and the thread that makes them |
//! | `writer` | the thread for writes that may take seconds |

mod actuate;
mod depend;
mod hold;
mod journal;
mod journal_format;
mod left;
mod others;
mod pulser;
mod pulses;
mod restore;
mod steps;
mod undo;
mod watch;
mod writer;

pub use actuate::Actuator;
pub use hold::{Held, Phase};
pub use journal::{Fault, Found, Journal, JournalError, SlotId, Store};
pub use journal_format::{BootId, Idled, KnobText, Record, SLOTS, StoredPath};
pub use left::{Left, Places, is_in_use, restore_left, usual_state};
pub use others::REASSERTS;
pub use pulser::Pulser;
pub use restore::{RestoreItem, RestoreReport, restore, restore_all};
pub use undo::Undone;
pub use writer::SlowWriter;

#[cfg(test)]
mod tests;
