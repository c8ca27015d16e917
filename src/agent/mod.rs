//! The loop: discover, sample, step, act, journal, restore; and the side thread that serves it.

pub mod act;
mod ask;
mod board;
mod discover;
mod glance;
mod inbox;
mod log;
mod managers;
mod names;
mod pacing;
mod policy_file;
mod policy_watch;
mod publish;
pub mod record;
mod run;
mod serve;
mod service;
mod side;
mod socket;
mod start;
mod view;

pub use ask::{
    ANSWER_MAX, Answer, Ask, AskError, Events, QUESTION_MAX, Restored, ask, ask_to_record,
};
pub use board::{Board, Posted};
pub use inbox::{Inbox, Nudge, Outbox, Reply, Request, Undelivered, inbox};
pub use log::{Log, LogStyle, Times, start_log};
pub use names::{Named, Names, NamesWanted, ask_for_names};
pub use policy_file::{BUILT_IN, LoadError, Loaded, PolicyFile, SEARCH};
pub use run::run;
pub use side::{Side, SideError, SideSetup};
pub use socket::{Allow, DoorError, Peer, owner_rule};
pub use start::RunError;
pub use view::measured;
