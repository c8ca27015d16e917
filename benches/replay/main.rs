//! What recordings cost: to be made, and to be replayed.
//!
//! `cargo bench --bench replay` prints the figures of both, in one run; see [`record`] and [`hour`].
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark: it lives on clocks, files and output, and fails by panicking"
)]

mod hour;
mod record;
#[path = "../../tests/synthetic/mod.rs"]
mod synthetic;

/// On a host that exists on paper.
const CONTAINERS: usize = 100;
const CPUS: u32 = 8;

fn main() {
    record::measure();
    hour::measure();
}
