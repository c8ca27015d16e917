//! `governor` keeps one container from starving its neighbours.
//!
//! The rooms, in the order of the data; arrows point downwards only (`tests/rooms.rs` checks it):
//!
//! | room | does | uses |
//! |---|---|---|
//! | [`model`] | nouns, units, identities, time | nothing |
//! | [`kernel`] | text of kernel files to and from types | model |
//! | [`policy`] | windows, harm, blame, ladder: `Brain::step`, pure | model |
//! | [`config`] | TOML to a validated policy | model |
//! | [`report`] | status and events to text and JSON | model |
//! | [`trace`] | what went into a brain and came out, to bytes and back | model |
//! | [`replay`] | a trace fed to the brain again | model, trace, policy, config, report |
//! | [`host`] | the only room that touches the system | model, kernel |
//! | [`agent`] | the loop | all above |
//! | [`cli`] | arguments, exit codes, stdout | all above |

pub mod agent;
pub mod cli;
pub mod config;
pub mod host;
pub mod kernel;
pub mod model;
pub mod policy;
pub mod replay;
pub mod report;
pub mod trace;
