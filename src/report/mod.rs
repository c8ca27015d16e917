//! Status and events for people and for programs: snapshots in, strings out. Prints nothing.
//!
//! Every name that is shown may be hostile (a container chooses it): [`clean`] is the only way in
//! which foreign text reaches a line.

mod checks;
mod event;
mod explain;
mod explain_hold;
mod explain_suspects;
mod json;
mod measure;
mod replay;
mod status;
mod table;
mod text;

pub use checks::{Check, Checks, Finding, checks_text};
pub use event::{event_level, event_line, event_view};
pub use explain::{explanation_text, moment};
pub use json::{json_line, json_text};
pub use replay::{replayed_text, simulated_text, tally_text, told_text, what_if_text};
pub use status::{status_text, warnings};
pub use table::Paint;
pub use text::{clean, shorten};

#[cfg(test)]
mod tests;
