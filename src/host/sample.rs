//! One tick's reading: the counters of the containers that are asked for, and the host's.
//!
//! Files are held open and read with one `pread` each into one buffer; in the steady state nothing
//! is allocated. Every file fails alone, with its reason.
//!
//! A PSI file that is read too often loses what it should count (each read drops what a CPU
//! gathered in less than a jiffy), so that one that was read a moment ago is answered with
//! [`Absent::NotRead`] instead.

use super::clock::Clock;
use super::files::{HostFile, TreeFiles};
use super::forest::Forest;
use super::quota::InnerQuotas;
use super::real_time::Threads;
use crate::kernel::{flat, loadavg, meminfo, nested, proc_stat, psi, single};
use crate::model::{
    Absent, Bytes, ContainerSample, CpuUse, GroupId, HostSample, IoUse, MemoryUse, PerDevice,
    Reading, SLICES, Sample, Span, Stall, Time, Topology,
};
use std::collections::HashMap;

/// The largest of the files is `/proc/stat`, with 100 bytes for each CPU before what we want.
const ROOM: usize = 64 * 1024;

/// A tick that comes this much early reads PSI all the same: waking is not exact to the jiffy.
const PSI_GRACE: Span = Span(1_000);

/// The part of a new measurement in the smoothed cost.
const COST_GAIN: f64 = 0.1;

/// Reads containers that it holds.
#[derive(Debug)]
pub struct Sampler<T: TreeFiles> {
    held: HashMap<GroupId, Held<T::File>>,
    /// `pids.current` of slices with a limit that bounds several.
    slices: Vec<(GroupId, Reading<T::File>)>,
    stat: Reading<T::File>,
    meminfo: Reading<T::File>,
    loadavg: Reading<T::File>,
    cpu_pressure: Reading<T::File>,
    /// `kernel.threads-max` and `kernel.pid_max`.
    tasks_limits: [Reading<T::File>; 2],
    /// `io.stat` of the cgroup root.
    io_stat: Reading<T::File>,
    psi_interval: Span,
    room: Box<[u8]>,
    rounds: u64,
    reviewed: usize,
    /// Microseconds of CPU time for one container.
    cost: Option<f64>,
}

/// The held files of one container.
#[derive(Debug)]
struct Held<F> {
    cpu_stat: Reading<F>,
    cpu_pressure: Reading<F>,
    memory: Reading<F>,
    swap: Reading<F>,
    memory_pressure: Reading<F>,
    tasks: Reading<F>,
    io_stat: Reading<F>,
    io_pressure: Reading<F>,
    quotas: InnerQuotas<F>,
    threads: Threads<F>,
    pressure_read: Option<Time>,
    round: u64,
}

impl<T: TreeFiles> Sampler<T> {
    /// Holds no container yet. `psi_interval` is the least time between two reads of one PSI file:
    /// five jiffies ([`psi_interval`](super::psi_interval)).
    pub fn new(files: &mut T, psi_interval: Span) -> Sampler<T> {
        let root = files.root();
        let io_stat = root.and_then(|root| files.hold(&root.dir, "io.stat"));
        Sampler {
            io_stat,
            held: HashMap::new(),
            slices: Vec::new(),
            stat: files.hold_host(HostFile::Stat),
            meminfo: files.hold_host(HostFile::Meminfo),
            loadavg: files.hold_host(HostFile::Loadavg),
            cpu_pressure: files.hold_host(HostFile::CpuPressure),
            tasks_limits: [HostFile::ThreadsMax, HostFile::PidMax]
                .map(|file| files.hold_host(file)),
            psi_interval,
            room: vec![0; ROOM].into_boxed_slice(),
            rounds: 0,
            reviewed: 0,
            cost: None,
        }
    }

    /// Holds the files of all that the topology watches, and lets go of the others. Files that were
    /// missing are looked for again.
    pub fn hold(&mut self, forest: &mut Forest<T>, topology: &Topology) {
        self.rounds += 1;
        for (_, group) in topology.watched() {
            let held = self.held.entry(group.id).or_insert_with(Held::nothing);
            held.round = self.rounds;
            if let Ok((files, dir)) = forest.held(group.id) {
                held.open(files, dir);
            }
        }
        let current = self.rounds;
        self.held.retain(|_, held| held.round == current);
        self.hold_slices(forest, topology);
    }

    /// Holds the slices whose limit of tasks counts: one in what was delegated to a user is not the host's, and its
    /// owner could hide or frame a container by writing it.
    fn hold_slices(&mut self, forest: &mut Forest<T>, topology: &Topology) {
        let mut before = std::mem::take(&mut self.slices);
        for (_, group) in topology.shared_limits() {
            if forest.owner(group.id) != Some(0) || self.slices.len() >= SLICES {
                continue;
            }
            let known = before.iter().position(|(id, _)| *id == group.id);
            let known = known.map(|at| before.swap_remove(at).1);
            let file = match known {
                Some(Ok(file)) => Ok(file),
                _ => forest
                    .held(group.id)
                    .and_then(|(files, dir)| files.hold(dir, "pids.current")),
            };
            self.slices.push((group.id, file));
        }
    }

    /// Looks again for quotas that the next `count` containers have set inside themselves.
    pub fn review(&mut self, forest: &mut Forest<T>, topology: &Topology, count: usize) {
        let groups = &topology.groups;
        for _ in 0..count.min(groups.len()) {
            self.reviewed = self.reviewed.wrapping_add(1) % groups.len();
            let held = groups
                .get(self.reviewed)
                .and_then(|group| Some((group.id, self.held.get_mut(&group.id)?)));
            if let Some((id, held)) = held
                && let Ok((files, dir)) = forest.held(id)
            {
                held.quotas.look(files, dir);
            }
        }
    }

    /// Reads the host and these containers into `out`; what was there is overwritten, its room and
    /// its outcomes are kept. An id that is not held is left out.
    pub fn sample(
        &mut self,
        forest: &mut Forest<T>,
        clock: &dyn Clock,
        ids: &[GroupId],
        out: &mut Sample,
    ) {
        let files = forest.files_mut();
        out.at = clock.now();
        out.host = self.host(files);
        out.containers.clear();
        let start = clock.thread_cpu();
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                let at = clock.now();
                let sample = held.read(files, &mut self.room, *id, at, self.psi_interval);
                out.containers.push(sample);
            }
        }
        self.learn_cost(clock.thread_cpu().advance(start), out.containers.len());
        for (id, file) in &self.slices {
            let mut sample = ContainerSample::unread(*id, out.at);
            sample.tasks = text(files, file, &mut self.room).and_then(single::count);
            out.containers.push(sample);
        }
    }

    /// How long some task has waited for a CPU on the whole host, in all; of many CPUs the mean. Whoever asks keeps
    /// the least time between two reads.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn host_cpu_stall(&mut self, files: &mut T) -> Reading<Span> {
        pressure(files, &self.cpu_pressure, &mut self.room).map(|stall| stall.some)
    }

    /// Looks whether those of `out` that are in `whose` run in real time, each a few times a second at most.
    pub fn look_for_real_time(
        &mut self,
        forest: &mut Forest<T>,
        whose: &[GroupId],
        out: &mut Sample,
    ) {
        for sample in &mut out.containers {
            if whose.contains(&sample.id)
                && let Some(held) = self.held.get_mut(&sample.id)
                && let Ok((files, dir)) = forest.held(sample.id)
            {
                let (threads, room) = (&mut held.threads, &mut self.room);
                sample.real_time = threads.look(files, dir, room, sample.at);
            }
        }
    }

    /// The CPU time that reading one container takes, smoothed; `None` before the first.
    #[must_use]
    pub fn cost(&self) -> Option<Span> {
        self.cost.map(|micros| Span(micros.ceil() as u64))
    }

    /// How many containers are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held.len()
    }

    fn learn_cost(&mut self, spent: Span, containers: usize) {
        if containers == 0 {
            return;
        }
        let now = spent.micros() as f64 / containers as f64;
        let before = self.cost.unwrap_or(now);
        self.cost = Some(before + COST_GAIN * (now - before));
    }

    fn host(&mut self, files: &mut T) -> HostSample {
        let room = &mut self.room;
        let stat = text(files, &self.stat, room).and_then(proc_stat::parse);
        let memory = text(files, &self.meminfo, room).and_then(meminfo::parse);
        HostSample {
            cpus: stat.map_or(1, |stat| stat.online),
            cpu_idle: stat.map(|stat| stat.idle),
            cpu_busy: stat.map(|stat| stat.busy),
            memory_total: memory.and_then(|memory| memory.total),
            memory_available: memory.and_then(|memory| memory.available),
            memory_free: memory.and_then(|memory| memory.free),
            swap_total: memory.and_then(|memory| memory.swap_total),
            swap_free: memory.and_then(|memory| memory.swap_free),
            tasks: text(files, &self.loadavg, room).and_then(loadavg::tasks),
            tasks_max: tasks_max(files, &self.tasks_limits, room),
            io: text(files, &self.io_stat, room).and_then(devices),
        }
    }
}

impl<F> Held<F> {
    fn nothing() -> Held<F> {
        Held {
            cpu_stat: Err(Absent::NotRead),
            cpu_pressure: Err(Absent::NotRead),
            memory: Err(Absent::NotRead),
            swap: Err(Absent::NotRead),
            memory_pressure: Err(Absent::NotRead),
            tasks: Err(Absent::NotRead),
            io_stat: Err(Absent::NotRead),
            io_pressure: Err(Absent::NotRead),
            quotas: InnerQuotas::default(),
            threads: Threads::default(),
            pressure_read: None,
            round: 0,
        }
    }

    /// Opens what is not open yet.
    fn open<T: TreeFiles<File = F>>(&mut self, files: &mut T, dir: &T::Dir) {
        let is_new = matches!(self.cpu_stat, Err(Absent::NotRead));
        for (file, name) in [
            (&mut self.cpu_stat, "cpu.stat"),
            (&mut self.cpu_pressure, "cpu.pressure"),
            (&mut self.memory, "memory.current"),
            (&mut self.swap, "memory.swap.current"),
            (&mut self.memory_pressure, "memory.pressure"),
            (&mut self.tasks, "pids.current"),
            (&mut self.io_stat, "io.stat"),
            (&mut self.io_pressure, "io.pressure"),
        ] {
            if file.is_err() {
                *file = files.hold(dir, name);
            }
        }
        if is_new {
            self.quotas.look(files, dir);
        }
    }

    fn read<T: TreeFiles<File = F>>(
        &mut self,
        files: &mut T,
        room: &mut [u8],
        id: GroupId,
        at: Time,
        psi_interval: Span,
    ) -> ContainerSample {
        let mut sample = ContainerSample::unread(id, at);
        sample.cpu = self.cpu(files, room);
        if self.may_read_pressure(at, psi_interval) {
            self.pressure_read = Some(at);
            sample.cpu_stall = pressure(files, &self.cpu_pressure, room);
            sample.memory_stall = pressure(files, &self.memory_pressure, room);
            self.io(files, room, &mut sample);
        }
        sample.memory = self.memory(files, room);
        sample.tasks = text(files, &self.tasks, room).and_then(single::count);
        sample
    }

    /// `cpu.stat` does not tell of throttling by a quota further down, so that it is added.
    fn cpu<T: TreeFiles<File = F>>(&mut self, files: &mut T, room: &mut [u8]) -> Reading<CpuUse> {
        let mut cpu = text(files, &self.cpu_stat, room).and_then(flat::cpu_stat)?;
        cpu.throttled = cpu.throttled + self.quotas.throttled(files, room);
        Ok(cpu)
    }

    fn memory<T: TreeFiles<File = F>>(&self, files: &mut T, room: &mut [u8]) -> Reading<MemoryUse> {
        let current = text(files, &self.memory, room).and_then(single::bytes)?;
        let swap = match text(files, &self.swap, room).and_then(single::bytes) {
            // Without swap accounting there is no such file.
            Err(Absent::NoFile) => Bytes(0),
            other => other?,
        };
        Ok(MemoryUse { current, swap })
    }

    /// What it did on devices, and its waiting for them: one tells nothing without the other, so that without the
    /// io controller neither is read.
    fn io<T: TreeFiles<File = F>>(
        &self,
        files: &mut T,
        room: &mut [u8],
        sample: &mut ContainerSample,
    ) {
        sample.io = text(files, &self.io_stat, room).and_then(devices);
        sample.io_stall = match sample.io {
            Ok(_) => pressure(files, &self.io_pressure, room),
            Err(why) => Err(why),
        };
    }

    fn may_read_pressure(&self, at: Time, interval: Span) -> bool {
        self.pressure_read
            .is_none_or(|before| at.since(before) + PSI_GRACE >= interval)
    }
}

/// The lesser of the host's two limits of tasks; one that cannot be read limits nothing.
fn tasks_max<T: TreeFiles>(
    files: &mut T,
    [threads, pids]: &[Reading<T::File>; 2],
    room: &mut [u8],
) -> Reading<u64> {
    let mut limit = |file| text(files, file, room).and_then(single::count);
    match (limit(threads), limit(pids)) {
        (Ok(threads), Ok(pids)) => Ok(threads.min(pids)),
        (threads, pids) => threads.or(pids),
    }
}

/// The devices on which most was done; those on which nothing was are left out.
fn devices(text: &[u8]) -> Reading<PerDevice<IoUse>> {
    let mut all = PerDevice::NONE;
    // A line that is not understood hides no other device.
    for (device, stat) in nested::io_stat(text)?.flatten() {
        let used = stat.used();
        if used != IoUse::default() {
            all.put(device, used, IoUse::cost);
        }
    }
    Ok(all)
}

fn pressure<T: TreeFiles>(
    files: &mut T,
    file: &Reading<T::File>,
    room: &mut [u8],
) -> Reading<Stall> {
    text(files, file, room).and_then(psi::parse)
}

/// The text of a held file, or the reason why there is none.
pub(super) fn text<'r, T: TreeFiles>(
    files: &mut T,
    file: &Reading<T::File>,
    room: &'r mut [u8],
) -> Reading<&'r [u8]> {
    let file = file.as_ref().map_err(|why| *why)?;
    let length = files.reread(file, room)?;
    room.get(..length).ok_or(Absent::Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::clock::FakeClock;
    use super::super::fake::{FakeTree, Operation};
    use super::super::forest::{Extent, Limits, Rules};
    use super::*;

    const INTERVAL: Span = Span(20_000);

    struct Rig {
        tree: FakeTree,
        forest: Forest<FakeTree>,
        sampler: Sampler<FakeTree>,
        topology: Topology,
        clock: FakeClock,
        out: Sample,
    }

    fn docker(n: u32) -> String {
        format!("/system.slice/docker-{n:064x}.scope")
    }

    impl Rig {
        /// With so many containers.
        fn new(containers: u32) -> Rig {
            let tree = FakeTree::new();
            for n in 0..containers {
                tree.add(docker(n));
            }
            let mut forest = Forest::new(tree.clone(), Limits::default());
            let sampler = Sampler::new(forest.files_mut(), INTERVAL);
            let mut rig = Rig {
                tree,
                forest,
                sampler,
                topology: Topology::default(),
                clock: FakeClock::default(),
                out: Sample::default(),
            };
            rig.scan();
            rig
        }

        fn scan(&mut self) {
            self.forest.scan(Extent::All, &|_| false).unwrap();
            self.topology = self.forest.topology(&Rules {
                original: &|_, _| None,
                name: &|_, _| None,
                is_protected: &|_| false,
                own: None,
            });
            self.sampler.hold(&mut self.forest, &self.topology);
        }

        /// A tick later.
        fn sample(&mut self) -> &Sample {
            self.clock.advance(INTERVAL);
            self.sample_now()
        }

        fn sample_now(&mut self) -> &Sample {
            let ids: Vec<GroupId> = self.topology.watched().map(|(_, g)| g.id).collect();
            self.sampler
                .sample(&mut self.forest, &self.clock, &ids, &mut self.out);
            &self.out
        }

        fn one(&mut self) -> ContainerSample {
            self.sample().containers[0]
        }
    }

    #[test]
    fn counters_and_levels_are_read_as_they_stand() {
        let mut rig = Rig::new(1);
        rig.tree.set(
            docker(0),
            "cpu.pressure",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=17\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
        );
        rig.tree.set(docker(0), "memory.current", "4096\n");
        rig.tree.set(docker(0), "memory.swap.current", "8192\n");
        rig.tree
            .set(docker(0), "cpu.stat", "usage_usec 7\nthrottled_usec 3\n");
        let sample = *rig.sample().containers.first().unwrap();
        assert_eq!(sample.at, Time(20_000));
        assert_eq!(
            sample.cpu,
            Ok(CpuUse {
                usage: Span(7),
                throttled: Span(3)
            })
        );
        assert_eq!(
            sample.cpu_stall,
            Ok(Stall {
                some: Span(17),
                full: Span(5)
            })
        );
        assert_eq!(
            sample.memory,
            Ok(MemoryUse {
                current: Bytes(4096),
                swap: Bytes(8192)
            })
        );
        let host = rig.out.host;
        assert_eq!(host.cpus, 2);
        assert_eq!(host.memory_available, Ok(Bytes(786_432 << 10)));
    }

    #[test]
    fn a_pressure_file_is_not_read_before_its_time() {
        let mut rig = Rig::new(1);
        assert!(rig.one().cpu_stall.is_ok());
        rig.clock.advance(Span(10_000));
        let early = rig.sample_now().containers[0];
        assert_eq!(early.cpu_stall, Err(Absent::NotRead));
        assert_eq!(early.memory_stall, Err(Absent::NotRead));
        assert!(early.cpu.is_ok() && early.memory.is_ok());
        rig.clock.advance(Span(9_500));
        assert!(rig.sample_now().containers[0].cpu_stall.is_ok());
    }

    #[test]
    fn of_a_slice_with_a_limit_the_tasks_are_read_where_only_root_may_write_it() {
        let mut rig = Rig::new(2);
        assert_eq!(rig.sample().containers.len(), 2);
        rig.tree.set("/system.slice", "pids.max", "500\n");
        rig.tree.set("/system.slice", "pids.current", "42\n");
        rig.forest.refresh(100);
        rig.scan();
        let slice = *rig.sample().containers.last().unwrap();
        let tasks = ContainerSample {
            tasks: Ok(42),
            ..ContainerSample::unread(slice.id, rig.out.at)
        };
        assert_eq!((rig.out.containers.len(), slice), (3, tasks));
        let mut users = Rig::new(0);
        users.tree.add("/system.slice");
        users.tree.set_owner("/system.slice", 1_000);
        users.tree.set("/system.slice", "pids.max", "500\n");
        users.tree.set("/system.slice", "pids.current", "42\n");
        users.tree.add(docker(0));
        users.tree.add(docker(1));
        users.scan();
        assert_eq!(users.sample().containers.len(), 2);
    }

    #[test]
    fn one_that_vanishes_is_gone_and_the_others_are_read() {
        let mut rig = Rig::new(3);
        rig.tree.remove(docker(1));
        let samples = &rig.sample().containers;
        assert_eq!(samples.len(), 3);
        assert_eq!(samples.iter().filter(|s| s.cpu.is_ok()).count(), 2);
        let gone = samples.iter().find(|s| s.cpu.is_err()).unwrap();
        assert_eq!(gone.cpu, Err(Absent::Gone));
        assert_eq!(gone.memory_stall, Err(Absent::Gone));
        rig.scan();
        assert_eq!(rig.sample().containers.len(), 2);
        assert_eq!(rig.sampler.count(), 2);
    }

    #[test]
    fn each_file_fails_alone_and_a_missing_one_is_looked_for_again() {
        let mut rig = Rig::new(0);
        rig.tree.add(docker(0));
        rig.tree.unset(docker(0), "memory.current");
        rig.tree.unset(docker(0), "memory.swap.current");
        let pressure = Some("cpu.pressure");
        rig.tree
            .fail(docker(0), pressure, Operation::Read, Absent::Unsupported);
        rig.scan();
        let sample = rig.one();
        assert_eq!(sample.memory, Err(Absent::NoFile));
        assert_eq!(sample.cpu_stall, Err(Absent::Unsupported));
        assert!(sample.cpu.is_ok() && sample.memory_stall.is_ok());
        rig.tree.set(docker(0), "memory.current", "1\n");
        rig.scan();
        // No swap accounting is no swap.
        let memory = rig.one().memory.unwrap();
        assert_eq!((memory.current, memory.swap), (Bytes(1), Bytes(0)));
    }

    #[test]
    fn tasks_are_counted_and_so_are_those_of_the_host_and_its_limit() {
        let mut rig = Rig::new(1);
        rig.tree.set(docker(0), "pids.current", "9\n");
        assert_eq!(rig.one().tasks, Ok(9));
        let host = rig.out.host;
        assert_eq!((host.tasks, host.tasks_max), (Ok(100), Ok(7_000)));
        rig.tree.set_host(HostFile::PidMax, "5000\n");
        rig.sample();
        assert_eq!(rig.out.host.tasks_max, Ok(5_000));
    }

    #[test]
    fn what_was_done_on_devices_is_read_and_the_waiting_for_them() {
        let mut rig = Rig::new(1);
        let stat = "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n\
                    8:16 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=9 dios=9\n";
        rig.tree.set(docker(0), "io.stat", stat);
        rig.tree.set(
            docker(0),
            "io.pressure",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=8\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
        );
        let sample = rig.one();
        let devices: Vec<_> = sample.io.unwrap().iter().collect();
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].0.to_string(), "8:0");
        assert_eq!((devices[0].1.rbytes, devices[0].1.rios), (Bytes(4_096), 1));
        assert_eq!(sample.io_stall.unwrap().some, Span(8));
        let mut bare = Rig::new(0);
        bare.tree.add(docker(0));
        bare.tree.unset(docker(0), "io.stat");
        bare.scan();
        let sample = bare.one();
        assert_eq!(sample.io, Err(Absent::NoFile));
        assert_eq!(sample.io_stall, Err(Absent::NoFile));
    }

    #[test]
    fn throttling_by_a_quota_further_down_counts_as_the_containers_own() {
        let mut rig = Rig::new(1);
        let inner = format!("{}/container", docker(0));
        rig.tree.add(&inner);
        rig.tree.set(&inner, "cpu.max", "20000 100000\n");
        rig.tree
            .set(&inner, "cpu.stat", "usage_usec 7\nthrottled_usec 400\n");
        // It came after its container was held: a review finds it.
        assert_eq!(rig.one().cpu.unwrap().throttled, Span(0));
        let all = rig.topology.groups.len();
        rig.sampler.review(&mut rig.forest, &rig.topology, all);
        assert_eq!(rig.one().cpu.unwrap().throttled, Span(400));
    }

    #[test]
    fn an_id_that_is_not_held_is_left_out_and_the_room_is_used_again() {
        let mut rig = Rig::new(2);
        rig.sample();
        let room = rig.out.containers.capacity();
        rig.sampler
            .sample(&mut rig.forest, &rig.clock, &[GroupId(999)], &mut rig.out);
        assert!(rig.out.containers.is_empty());
        rig.sample();
        assert_eq!(rig.out.containers.capacity(), room);
    }

    #[test]
    fn the_cost_of_one_container_is_learned() {
        struct Burning(FakeClock);
        impl Clock for Burning {
            fn now(&self) -> Time {
                self.0.burn(Span(30));
                self.0.now()
            }
            fn thread_cpu(&self) -> Span {
                self.0.thread_cpu()
            }
        }
        let mut rig = Rig::new(4);
        assert_eq!(rig.sampler.cost(), None);
        let ids: Vec<GroupId> = rig.topology.watched().map(|(_, g)| g.id).collect();
        let clock = Burning(rig.clock.clone());
        rig.sampler
            .sample(&mut rig.forest, &clock, &ids, &mut rig.out);
        assert_eq!(rig.sampler.cost(), Some(Span(30)));
    }
}
