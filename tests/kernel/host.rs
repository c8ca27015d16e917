//! What the host room stands on: identity, watching, doorbells and throttling as this kernel does
//! them, and the scripted kernel of the unit tests held against the real one.

use crate::load::{Load, now_us};
use crate::rig::{Group, ROOT, Rig};
use governor::host::{
    Clock, Extent, FakeTree, Forest, HostClock, KnobFiles, Limits, LinuxTree, RingsAt, Rules,
    Sampler, Survey, TreeFiles, Wait, Waiter, Wakes, open_path, psi_interval,
};
use governor::model::{Absent, GroupId, Knob, Reading, Sample, Share, Span, Topology};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "host::a_successor_under_the_same_path_is_another",
            successor,
        ),
        crate::trial("host::groups_made_at_once_are_all_found", nested),
        crate::trial(
            "host::a_container_is_met_when_its_first_task_enters_it_and_stays_until_it_goes",
            vacant,
        ),
        crate::trial(
            "host::a_doorbell_rings_for_stall_and_goes_with_its_group",
            doorbell,
        ),
        crate::trial("host::throttling_further_down_is_counted", throttled),
        crate::trial(
            "host::knobs_take_and_refuse_what_the_scripted_kernel_does",
            knobs,
        ),
        crate::trial(
            "host::the_tick_is_known_without_a_build_configuration",
            tick,
        ),
    ]
}

/// The forest over the whole host, with the direct children of a rig as containers.
struct Known {
    forest: Forest<LinuxTree>,
    containers: String,
}

impl Known {
    fn new(rig: &Rig) -> Known {
        let tree = LinuxTree::open(Path::new(ROOT)).expect("a cgroup2 root");
        Known {
            forest: Forest::new(tree, Limits::default()),
            containers: format!("{}/", rig.path()),
        }
    }

    fn scan(&mut self, extent: Extent) -> Topology {
        let is_container = |path: &[u8]| {
            let below = path.strip_prefix(self.containers.as_bytes());
            below.is_some_and(|name| !name.contains(&b'/'))
        };
        while self
            .forest
            .scan(extent, &is_container)
            .expect("a root")
            .unfinished
        {}
        self.forest.topology(&Rules {
            original: &|_, _| None,
            name: &|_, _| None,
            is_protected: &|_| false,
            own: None,
        })
    }
}

fn find(topology: &Topology, name: &str) -> Option<GroupId> {
    let mut watched = topology.watched();
    watched
        .find(|(_, group)| group.path.ends_with(name.as_bytes()))
        .map(|(_, group)| group.id)
}

fn successor() {
    let rig = Rig::new("successor");
    let group = rig.group("one");
    let somebody = Load::idle(&group);
    let mut known = Known::new(&rig);
    let old = find(&known.scan(Extent::All), "/one").expect("it is there");
    group.write("cpu.weight", "37");
    let text = known
        .forest
        .read_knob(old, Knob::CpuWeight)
        .expect("it is held");
    assert_eq!(text.as_bytes(), b"37");
    let mut handle = known
        .forest
        .detach(old, Knob::MemoryHigh)
        .expect("it is held");
    drop(somebody);
    fs::remove_dir(group.dir()).unwrap();
    assert_eq!(
        known.forest.read_knob(old, Knob::CpuWeight),
        Err(Absent::Gone)
    );
    let _somebody = rig.container("one");
    for _ in 0..2 {
        let gone = Err(Absent::Gone);
        assert_eq!(known.forest.read_knob(old, Knob::CpuWeight).map(drop), gone);
        assert_eq!(known.forest.write_knob(old, Knob::CpuWeight, b"1"), gone);
        assert_eq!(
            governor::host::KnobHandle::replace(&mut handle, b"max", b"4096"),
            gone
        );
        let new = find(&known.scan(Extent::Changed), "/one").expect("it is told");
        assert_ne!(new, old);
    }
    assert_eq!(group.read("cpu.weight"), "100\n");
}

fn nested() {
    let rig = Rig::new("nested");
    rig.group("first");
    let mut known = Known::new(&rig);
    known.scan(Extent::All);
    // Nobody can watch a directory that is made together with its parents.
    let deep = rig.dir().join("../nested/a.slice/b.slice");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(rig.dir().join("second/inner")).unwrap();
    let _somebody =
        [&deep, &rig.dir().join("second/inner")].map(|dir| Load::idle(&Group::at(dir.clone())));
    let topology = known.scan(Extent::Changed);
    let has = |end: &str| {
        let mut groups = topology.groups.iter();
        groups.any(|group| group.path.ends_with(end.as_bytes()))
    };
    assert!(has("/nested/a.slice") && has("/nested/second"));
    assert!(!has("/second/inner"), "a container was walked into");
    // A slice directly in the rig is a container here: what is below belongs to it.
    assert!(!has("/a.slice/b.slice"));
}

/// The kernel's own word for who is in a group, told a moment later.
fn vacant() {
    let rig = Rig::new("vacant");
    let (one, other) = (rig.group("one"), rig.group("other/inner"));
    let mut known = Known::new(&rig);
    let has = |topology: &Topology| ["/one", "/other"].map(|name| find(topology, name).is_some());
    assert_eq!(has(&known.scan(Extent::All)), [false, false]);
    let mut told = |wanted: [bool; 2]| {
        let end = now_us() + 1_000_000;
        while has(&known.scan(Extent::Changed)) != wanted {
            assert!(now_us() < end, "not {wanted:?} after a second");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    };
    // A freezer's change is told in the same file, and is nobody's entry.
    one.write("cgroup.freeze", "1");
    one.write("cgroup.freeze", "0");
    std::thread::sleep(std::time::Duration::from_millis(50));
    told([false, false]);
    let below = Load::idle(&other);
    told([false, true]);
    drop(below);
    std::thread::sleep(std::time::Duration::from_millis(50));
    told([false, true]);
    let somebody = Load::idle(&one);
    told([true, true]);
    drop(somebody);
    fs::remove_dir(one.dir()).unwrap();
    told([false, true]);
}

fn doorbell() {
    let rig = Rig::new("doorbell");
    let group = rig.group("stalled");
    let idle = Load::idle(&group);
    rig.container("calm");
    // They have begun, and whoever waited for that.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut known = Known::new(&rig);
    let topology = known.scan(Extent::All);
    let rings_at = RingsAt::new(Survey::take().trigger, Share::new(0.025)).expect("triggers");
    let mut waiter = Waiter::new(known.forest.files(), rings_at, 100).expect("descriptors");
    let armed = waiter.keep_doorbells(&mut known.forest, &topology, &|_| true, 99);
    assert_eq!((armed.bells, armed.left_out, armed.failed), (4, 0, None));
    let soon = |ms| HostClock.now() + Span::from_millis(ms);
    let timed_out = Wakes {
        timed_out: true,
        ..Wakes::default()
    };
    assert_eq!(
        waiter.wait(soon(1_000)),
        timed_out,
        "it rang in a calm group"
    );

    let load = Load::start(&group, "hog cpu --threads 4 --for 60s");
    let start = HostClock.now();
    let wakes = waiter.wait(soon(10_000));
    assert!(wakes.doorbell, "{wakes:?}");
    let stalled = find(&topology, "/stalled").expect("it is there");
    assert!(waiter.rung().iter().all(|&(id, _)| id == stalled));
    println!(
        "rang {} after the load was started",
        HostClock.now().since(start)
    );

    drop((load, idle));
    while waiter.wait(soon(1_000)) != timed_out {}
    fs::remove_dir(group.dir()).unwrap();
    while waiter.wait(soon(200)) != timed_out {}
    waiter.watch_tree();
    let topology = known.scan(Extent::Changed);
    assert_eq!(
        waiter
            .keep_doorbells(&mut known.forest, &topology, &|_| true, 99)
            .bells,
        2
    );
}

fn throttled() {
    let rig = Rig::new("throttled");
    let inner = rig.group("pod/container");
    inner.write("cpu.max", "10000 100000");
    let _somebody = Load::idle(&inner);
    let mut known = Known::new(&rig);
    let topology = known.scan(Extent::All);
    let interval = psi_interval(Survey::take().hz);
    let mut sampler = Sampler::new(known.forest.files_mut(), interval);
    sampler.hold(&mut known.forest, &topology);
    let id = find(&topology, "/pod").expect("it is there");
    let mut out = Sample::default();
    let mut read = |sampler: &mut Sampler<LinuxTree>| {
        sampler.sample(&mut known.forest, &HostClock, &[id], &mut out);
        out.containers.first().copied().expect("it is held")
    };
    read(&mut sampler);
    let load = Load::start(&inner, "hog cpu --threads 2 --for 60s");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let top = fs::read_to_string(inner.dir().join("../cpu.stat")).unwrap();
    assert!(
        top.contains("throttled_usec 0"),
        "the kernel sums it now: {top}"
    );
    let sample = read(&mut sampler);
    let cpu = sample.cpu.expect("cpu.stat");
    assert!(cpu.throttled > Span::from_millis(500), "{cpu:?}");
    assert!(cpu.usage > Span::from_millis(50), "{cpu:?}");
    assert!(sample.tasks.expect("it was throttled") >= 2);
    assert!(sample.cpu_stall.expect("cpu.pressure").some > Span::from_millis(100));
    drop(load);
}

/// The same writes to the real kernel and to the scripted one: same outcome, same text after it.
fn knobs() {
    let rig = Rig::new("knobs");
    let group = rig.group("one");
    let mut real = LinuxTree::open(Path::new(ROOT)).expect("a cgroup2 root");
    let mut fake = FakeTree::new();
    fake.add("/one");
    let path = format!("{}/one", rig.path());
    let real_dir = open_path(&mut real, path.as_bytes())
        .expect("it is there")
        .dir;
    let fake_dir = open_path(&mut fake, b"/one").expect("it is there").dir;
    for (file, text) in [
        ("cpu.weight", "37"),
        ("cpu.weight", "0"),
        ("cpu.weight", "10001"),
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "20000"),
        ("cpu.max.burst", "60000"),
        ("cpu.max", "10000 100000"),
        ("cpu.max", "500 100000"),
        ("cpu.max", "max 2000000"),
        ("cpu.max", "max 250000"),
        ("cpu.max.burst", "0"),
        ("cpu.idle", "1"),
        ("cpu.weight", "37"),
        ("cpu.idle", "0"),
        ("cpu.idle", "2"),
        ("memory.high", "10000"),
        ("memory.high", "max"),
        ("memory.high", "none"),
        ("memory.swap.max", "1000000"),
        ("memory.swap.max", "max"),
        ("io.nothing", "1"),
    ] {
        let outcome: Reading<()> = real.write(&real_dir, file, text.as_bytes());
        let told = fake.write(&fake_dir, file, text.as_bytes());
        assert_eq!(outcome, told, "{text:?} to {file}");
        for knob in Knob::FILES {
            let (seen, scripted) = (group.read(knob.file()), fake.text("/one", knob.file()));
            // An idle group's weight is shown as 0 by 6.1 and as 1 by 6.12; it means nothing.
            if knob == Knob::CpuWeight && group.read("cpu.idle") == "1\n" {
                assert!(["0\n", "1\n"].contains(&seen.as_str()), "{seen:?}");
                continue;
            }
            let knob = knob.file();
            assert_eq!(Some(seen), scripted, "{knob} after {text:?} to {file}");
        }
    }
}

fn tick() {
    let survey = Survey::take();
    // The lab's kernels are Debian's; natively the build configuration decides.
    let hz = survey.hz.expect("HZ");
    assert!([100, 250, 300, 1000].contains(&hz), "{hz}");
    println!("HZ={hz}");
}
