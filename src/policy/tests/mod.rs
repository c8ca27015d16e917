//! Tests of the room as a whole.

mod alarms;
mod checkpoint;
mod fair;
mod holding;
mod stories;
mod tasks;
mod world;
