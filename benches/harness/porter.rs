//! The first process of a container, which waits for what is to run there: `governor-bench porter SOCKET`.
//!
//! It connects to the harness's socket, and by that shows where it is. A line is one order: words for this very
//! program (JSON), or nothing: then everything else in the container is killed. What ran is answered by its wait
//! status. When the harness is gone so is the porter, and with it the container.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Where that which runs beside a socket writes.
pub(crate) fn said(socket: &Path) -> PathBuf {
    socket.with_extension("out")
}

/// Where it complains.
pub(crate) fn complaints(socket: &Path) -> PathBuf {
    socket.with_extension("err")
}

/// Is the porter until the harness is gone.
///
/// # Errors
/// It is not the first process of a container, or what it is to run cannot be started.
pub(crate) fn run(socket: &Path) -> anyhow::Result<()> {
    // Killing all others is meant for a container's processes.
    if std::process::id() != 1 {
        bail!("a porter is the first process of a container");
    }
    let mut link = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    let orders = link.try_clone()?;
    let (tell, told) = channel();
    // There before anything else runs: later the container may have no task to spare.
    std::thread::spawn(move || listen(orders, &tell));
    let words: Vec<String> = serde_json::from_str(&told.recv()?)?;
    let child = Command::new("/proc/self/exe")
        .args(words)
        .stdin(Stdio::null())
        .stdout(File::create(said(socket))?)
        .stderr(File::create(complaints(socket))?)
        .spawn()?;
    loop {
        // Those whose parents are gone are this one's to bury.
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid().unsigned_abs() == child.id() => {
                writeln!(link, "{}", status.as_raw())?;
            }
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

/// Hands on the first order, obeys those to kill, and ends the container with the link.
fn listen(orders: UnixStream, tell: &Sender<String>) {
    for order in BufReader::new(orders).lines() {
        match order {
            Ok(order) if order.is_empty() => {
                // The group of the first process: all but the one who says so, in one stroke.
                let _ = kill_process_group(Pid::INIT, Signal::KILL);
            }
            Ok(order) => {
                let _ = tell.send(order);
            }
            Err(_) => break,
        }
    }
    std::process::exit(0);
}
