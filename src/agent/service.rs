//! What the service manager is told. Without one (no `NOTIFY_SOCKET`) all of it does nothing.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use super::board::Board;
use super::inbox::{Outbox, Request};

/// Ready: the first sample was taken, or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins (`Type=notify-reload` wants the time with it).
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("no monotonic clock for the service manager: {error}"),
    }
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog for as long as the control loop goes round; a loop that is stuck is left to
/// the service manager, whose `ExecStopPost` gives everything back.
pub(super) async fn watchdog(board: Arc<Board>, outbox: Outbox) {
    let Some(every) = sd_notify::watchdog_enabled() else {
        return;
    };
    // A quiet loop may sleep long: it is rung half a period before the beat is wanted.
    let mut ticker = interval((every / 4).max(Duration::from_millis(100)));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = board.beats();
    loop {
        ticker.tick().await;
        let beats = board.beats();
        if beats != seen {
            seen = beats;
            tell(&[NotifyState::Watchdog]);
        } else {
            // Full or closed: the loop is stuck or gone, and that is what the watchdog is for.
            let _ = outbox.send(Request::Refresh);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell the service manager: {error}");
    }
}
