//! `noisy`: the loads ([`loads`]) as a program of their own, for the kernel tests, the campaigns and the
//! demo, never for a shipped package. `governor-bench load` is the same.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a load lives on clocks, files, threads and standard output; it is no room of the daemon"
)]

mod loads;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    if loads::is_brief() {
        return Ok(());
    }
    loads::run(loads::Cli::parse())
}
