//! What the groups use and wait for, ten times a second, and how late the harness itself was.

use crate::loads::record::{now_us, sleep_until};
use crate::record::{Sample, Usage};
use crate::scene::{Group, Scene};
use governor::kernel::{flat, psi, single};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Between two samples. Reading a PSI file more often than every five jiffies would blind it.
const EVERY_US: u64 = 100_000;

/// A thread that takes samples until it is asked for them.
pub(crate) struct Pulse {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Pulse {
    /// Samples from here on.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(scene: &Scene) -> anyhow::Result<Pulse> {
        let groups: Vec<Files> = scene.groups().iter().map(Files::of).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("pulse".to_owned())
            .spawn(move || samples(groups, &stopped))?;
        Ok(Pulse { stop, thread })
    }

    /// What was seen.
    ///
    /// # Errors
    /// The thread died.
    pub(crate) fn end(self) -> anyhow::Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        let samples = self.thread.join();
        samples.map_err(|_| anyhow::anyhow!("the thread that takes samples died"))
    }
}

/// A group's files, held open: opening needs memory and time, of which an attack leaves little.
struct Files {
    group: Group,
    /// Of a group that is gone the last that was seen.
    cpu_us: u64,
    cpu: Option<File>,
    memory: Option<File>,
    tasks: Option<File>,
    psi: [Option<File>; 3],
}

impl Files {
    fn of(group: &Group) -> Files {
        let open = |file: &str| File::open(group.dir().join(Path::new(file))).ok();
        Files {
            group: group.clone(),
            cpu_us: 0,
            cpu: open("cpu.stat"),
            memory: open("memory.current"),
            tasks: open("pids.current"),
            psi: ["cpu.pressure", "memory.pressure", "io.pressure"].map(open),
        }
    }

    fn usage(&mut self, buffer: &mut [u8]) -> Usage {
        // A group may come late.
        if self.cpu.is_none() {
            *self = Files::of(&self.group);
        }
        let mut one = |file: &Option<File>, parse: fn(&[u8]) -> Option<u64>| {
            let count = file.as_ref()?.read_at(buffer, 0).ok()?;
            parse(buffer.get(..count)?)
        };
        let cpu = one(&self.cpu, |text| {
            let [usage] = flat::lookup(text, [b"usage_usec"]).ok()?;
            usage
        });
        let count: fn(&[u8]) -> Option<u64> = |text| single::count(text).ok();
        let memory = one(&self.memory, count);
        let tasks = one(&self.tasks, count);
        let some: fn(&[u8]) -> Option<u64> =
            |text| psi::parse(text).ok().map(|psi| psi.some.micros());
        self.cpu_us = cpu.unwrap_or(self.cpu_us);
        let [psi_cpu, psi_memory, psi_io] = &self.psi;
        Usage {
            cpu_us: self.cpu_us,
            memory: memory.unwrap_or(0),
            tasks: tasks.unwrap_or(0),
            psi_cpu_us: one(psi_cpu, some).unwrap_or(0),
            psi_memory_us: one(psi_memory, some).unwrap_or(0),
            psi_io_us: one(psi_io, some).unwrap_or(0),
        }
    }
}

fn samples(mut groups: Vec<Files>, stop: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut due = now_us();
    while !stop.load(Ordering::Relaxed) {
        due += EVERY_US;
        sleep_until(due);
        let at_us = now_us();
        samples.push(Sample {
            at_us,
            late_us: at_us.saturating_sub(due),
            groups: groups
                .iter_mut()
                .map(|group| group.usage(&mut buffer))
                .collect(),
        });
        // What is missed is missed: no burst of samples makes up for it.
        due = due.max(now_us().saturating_sub(EVERY_US));
    }
    samples
}
