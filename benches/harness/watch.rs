//! Who writes which knob, and when: inotify tells every write into the groups' files, whoever makes it,
//! without anybody having to ask the kernel all the time.

use crate::loads::record::now_us;
use crate::record::{Knobs, Written};
use crate::scene::{Group, KNOBS, Scene};
use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A thread that notes every change of a knob until it is asked for its notes.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    thread: JoinHandle<Vec<Written>>,
}

/// What is watched: groups may come later.
struct Seen {
    inotify: OwnedFd,
    groups: Mutex<Vec<(i32, Group)>>,
}

impl Seen {
    fn add(&self, group: &Group) -> anyhow::Result<()> {
        // Held over both, lest the thread meet a write before it knows whose it is.
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let id = inotify::add_watch(&self.inotify, group.dir(), inotify::WatchFlags::MODIFY)
            .with_context(|| format!("inotify on {}", group.dir().display()))?;
        groups.push((id, group.clone()));
        Ok(())
    }
}

/// How often the thread looks whether it shall stop.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

impl Watch {
    /// Notes changes from here on.
    ///
    /// # Errors
    /// The kernel has no inotify to give.
    pub(crate) fn start(scene: &Scene) -> anyhow::Result<Watch> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .context("inotify")?;
        let seen = Arc::new(Seen {
            inotify,
            groups: Mutex::default(),
        });
        for group in scene.groups().iter().filter(|group| group.dir().exists()) {
            seen.add(group)?;
        }
        let known = scene.knobs();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("knobs".to_owned())
            .spawn({
                let seen = Arc::clone(&seen);
                move || notes(&seen, known, &stopped)
            })?;
        Ok(Watch { stop, seen, thread })
    }

    /// Notes this group's changes, too.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn add(&self, group: &Group) -> anyhow::Result<()> {
        self.seen.add(group)
    }

    /// What was noted.
    ///
    /// # Errors
    /// The thread died.
    pub(crate) fn end(self) -> anyhow::Result<Vec<Written>> {
        self.stop.store(true, Ordering::Relaxed);
        let noted = self.thread.join();
        noted.map_err(|_| anyhow::anyhow!("the thread that watches knobs died"))
    }
}

fn notes(seen: &Seen, mut known: Knobs, stop: &AtomicBool) -> Vec<Written> {
    let mut noted = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::new(&seen.inotify, PollFlags::IN)];
        if !matches!(poll(&mut fds, Some(&LOOK)), Ok(1..)) {
            continue;
        }
        let at_us = now_us();
        let groups = seen.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = inotify::Reader::new(&seen.inotify, &mut buffer);
        while let Ok(event) = events.next() {
            let name = event.file_name().and_then(|name| name.to_str().ok());
            let knob = name.filter(|name| KNOBS.contains(name));
            let group = groups.iter().find(|(id, _)| *id == event.wd());
            if let (Some(knob), Some((_, group))) = (knob, group) {
                noted.extend(change(at_us, group, knob, &mut known));
            }
        }
    }
    noted
}

/// What changed, if anything: a knob may be written with what stands there already.
fn change(at_us: u64, group: &Group, knob: &str, known: &mut Knobs) -> Option<Written> {
    let text = group.read(knob)?;
    let before = known.entry(group.name().to_owned()).or_default();
    if before.get(knob) == Some(&text) {
        return None;
    }
    before.insert(knob.to_owned(), text.clone());
    Some(Written {
        at_us,
        group: group.name().to_owned(),
        knob: knob.to_owned(),
        text,
    })
}
