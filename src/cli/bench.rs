//! `governor bench`: becomes the harness beside it, a program of its own so that the daemon has none of what
//! that needs.
#![allow(
    clippy::disallowed_methods,
    reason = "becomes another program; the command line, not the daemon"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::exit::{Exit, Failure};

const HARNESS: &str = "governor-bench";

/// Returns only where there is no harness.
pub(super) fn bench(words: &[OsString]) -> Result<Exit, Failure> {
    let own = std::env::current_exe().map_err(|why| Failure::new(Exit::Failed, why))?;
    let harness = own.with_file_name(HARNESS);
    // Asked for first: an attempt that fails leaves a process that dies of a closed pipe.
    if !harness.exists() {
        return Err(Failure::new(Exit::Failed, missing(&harness)));
    }
    let refused = Command::new(&harness).args(words).exec();
    let why = format!("{}: {refused}", harness.display());
    Err(Failure::new(Exit::Failed, why))
}

fn missing(harness: &Path) -> String {
    format!(
        "no {}: the harness is a program of its own: cargo build --release --features bench",
        harness.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_harness_is_told_how_to_get_it() {
        let failure = bench(&[]).expect_err("a test has no harness beside it");
        assert_eq!(failure.exit, Exit::Failed);
        assert!(
            failure.message.contains("--features bench"),
            "{}",
            failure.message
        );
    }
}
