//! Tests of the room as a whole.

mod alarms;
mod behalf;
mod checkpoint;
mod devices;
mod fair;
mod frozen;
mod holding;
mod kills;
mod late;
mod memory;
mod pools;
mod stories;
mod tasks;
mod world;
