//! Ctrl-C and its like: noted at once, obeyed at the next wait, so that everything is put away first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The harness was asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub(crate) struct Stopped;

/// From now on SIGINT, SIGTERM and SIGHUP are noted instead of killing.
///
/// # Errors
/// The system refuses.
pub(crate) fn listen() -> std::io::Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(asked))?;
    }
    Ok(())
}

/// # Errors
/// [`Stopped`], once a signal came.
pub(crate) fn check() -> Result<(), Stopped> {
    match ASKED.get() {
        Some(asked) if asked.load(Ordering::Relaxed) => Err(Stopped),
        _ => Ok(()),
    }
}
