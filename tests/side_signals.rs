//! What signals do: alone in a process of its own, because they reach every thread of it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and needs files and a clock"
)]

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use governor::agent::{PolicyFile, Request, Side, SideSetup};
use rustix::process::{Signal, getpid, kill_process};

/// What comes within some seconds.
fn next<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if let Some(found) = look() {
            return Some(found);
        }
        sleep(Duration::from_millis(5));
    }
    None
}

fn asked_to_stop_by(side: &Side, signal: Signal) -> Option<&'static str> {
    assert_eq!(side.inbox.stop(), None);
    kill_process(getpid(), signal).unwrap();
    next(|| side.inbox.stop())
}

#[test]
fn hangup_reloads_and_terminate_asks_the_loop_to_end_instead_of_killing_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy/governor.toml");
    std::fs::create_dir(dir.path().join("policy")).unwrap();
    let text = format!(
        "[runtime]\nsocket = \"{}\"\ndocker = []\n",
        dir.path().join("s").display()
    );
    std::fs::write(&path, &text).unwrap();
    let file = PolicyFile::named(&path);
    let loaded = Arc::new(file.load().unwrap());
    let side = Side::start(SideSetup::new(file, loaded, Arc::new(|| {}))).unwrap();

    // The signal and the watch both see it; the loop is told once.
    std::fs::write(&path, format!("mode = \"dry-run\"\n{text}")).unwrap();
    kill_process(getpid(), Signal::HUP).unwrap();
    let reloaded = next(|| side.inbox.take());
    assert!(
        matches!(&reloaded, Some(Request::Policy(loaded)) if loaded.policy != Default::default())
    );

    assert_eq!(asked_to_stop_by(&side, Signal::TERM), Some("SIGTERM"));
    side.stop();
    assert!(!dir.path().join("s").exists());

    let file = PolicyFile::named(&path);
    let loaded = Arc::new(file.load().unwrap());
    let side = Side::start(SideSetup::new(file, loaded, Arc::new(|| {}))).unwrap();
    assert_eq!(asked_to_stop_by(&side, Signal::INT), Some("SIGINT"));
    side.stop();
}
