//! What `governor::kernel` says of kernel files, asked of this kernel.

use crate::rig::{Group, Rig};
use governor::kernel::{
    controllers, flat, knob, loadavg, meminfo, mountinfo, nested, pids, proc_stat, psi, schedstat,
    self_cgroup, single,
};
use governor::model::{Bytes, CpuMax, Knob, KnobValue, Limit, Reading, Span, Weight};
use libtest_mimic::Trial;
use std::fs;
use std::io::Write;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "codec::what_we_say_a_knob_shows_is_what_the_kernel_shows",
            shown,
        ),
        crate::trial(
            "codec::an_idle_group_takes_no_weight_and_forgets_the_one_it_had",
            idle,
        ),
        crate::trial("codec::the_kernel_arms_our_trigger_lines", triggers),
        crate::trial(
            "codec::every_file_of_a_group_and_of_proc_is_read",
            every_file,
        ),
    ]
}

fn shown() {
    let rig = Rig::new("codec-shown");
    let group = rig.group("a");
    let page = Bytes(rustix::param::page_size() as u64);
    let cpu_max = |quota, period| {
        KnobValue::CpuMax(CpuMax {
            quota,
            period: Span(period),
        })
    };
    // A quota below the burst is refused: bursts come last.
    let mut table = vec![
        (Knob::CpuMax, cpu_max(Limit::At(Span(1_000)), 1_000)),
        (Knob::CpuMax, cpu_max(Limit::At(Span(30_001)), 99_999)),
        (Knob::CpuMax, cpu_max(Limit::At(Span(7_000_000)), 1_000_000)),
        (Knob::CpuMax, cpu_max(Limit::Max, 25_000)),
        (Knob::CpuMaxBurst, KnobValue::Burst(Span(5_001))),
        (Knob::CpuMaxBurst, KnobValue::Burst(Span::ZERO)),
    ];
    for weight in (1..=10_000).step_by(97).chain([2, 37, 100, 10_000]) {
        let weight = Weight::new(weight).expect("1 to 10000");
        table.push((Knob::CpuWeight, KnobValue::Weight(weight)));
    }
    let sizes = [
        0,
        1,
        page.0 - 1,
        page.0,
        1_000_000,
        (i64::MAX as u64 / page.0) * page.0 - 1,
        (i64::MAX as u64 / page.0) * page.0,
        u64::MAX,
    ];
    for which in [Knob::MemoryHigh, Knob::MemorySwapMax] {
        table.extend(sizes.map(|size| (which, KnobValue::Bytes(Limit::At(Bytes(size))))));
        table.push((which, KnobValue::Bytes(Limit::Max)));
    }
    let tasks = [Limit::At(0), Limit::At(1), Limit::At(4_194_304), Limit::Max];
    table.extend(tasks.map(|most| (Knob::PidsMax, KnobValue::Tasks(most))));
    for (which, value) in table {
        let mut room = [0; knob::KNOB_TEXT];
        let text = std::str::from_utf8(knob::encode(value, &mut room)).expect("ASCII");
        group.write(which.file(), text);
        let mut room = [0; knob::KNOB_TEXT];
        let mut wanted = knob::encode(knob::shown(value, page), &mut room).to_vec();
        wanted.push(b'\n');
        let stands = group.read(which.file());
        assert_eq!(stands.as_bytes(), wanted, "{} = {text}", which.file());
        assert_eq!(
            knob::decode(which, stands.as_bytes()),
            Ok(knob::shown(value, page))
        );
    }
}

fn idle() {
    let rig = Rig::new("codec-idle");
    let group = rig.group("a");
    group.write("cpu.weight", "37");
    group.write("cpu.idle", "1");
    // 0 on 6.1, 1 on 6.12: never what it was.
    let meanwhile = group.read("cpu.weight");
    assert!(
        matches!(meanwhile.as_str(), "0\n" | "1\n"),
        "shows {meanwhile:?}"
    );
    let refused = fs::write(group.dir().join("cpu.weight"), "37").expect_err("idle");
    assert_eq!(refused.raw_os_error(), Some(22), "EINVAL");
    group.write("cpu.idle", "0");
    assert_eq!(
        single::weight(group.read("cpu.weight").as_bytes()),
        Ok(Weight::DEFAULT)
    );
}

fn triggers() {
    let rig = Rig::new("codec-triggers");
    let group = rig.group("a");
    let own = group.dir().join("cpu.pressure");
    for file in [own.as_path(), "/proc/pressure/cpu".as_ref()] {
        for (kind, threshold, window) in [
            (psi::StallKind::Some, 50, 500),
            (psi::StallKind::Some, 500, 1_000),
            (psi::StallKind::Full, 10_000, 10_000),
        ] {
            let mut room = [0; psi::TRIGGER_MAX];
            let (threshold, window) = (Span::from_millis(threshold), Span::from_millis(window));
            let line = psi::trigger(kind, threshold, window, &mut room).expect("in range");
            // One trigger a descriptor.
            let mut doorbell = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(file)
                .unwrap_or_else(|e| panic!("open {}: {e}", file.display()));
            doorbell
                .write_all(line)
                .unwrap_or_else(|e| panic!("{kind:?} in {}: {e}", file.display()));
        }
    }
}

fn every_file() {
    let rig = Rig::new("codec-files");
    let group = rig.group("a");
    reads(&group, "cpu.stat", |text| flat::cpu_stat(text).map(drop));
    for file in ["cpu.pressure", "memory.pressure", "io.pressure"] {
        reads(&group, file, |text| psi::parse(text).map(drop));
    }
    reads(&group, "memory.stat", |text| {
        flat::memory_stat(text).map(drop)
    });
    reads(&group, "memory.events", |text| {
        flat::memory_events(text).map(drop)
    });
    reads(&group, "cgroup.events", |text| {
        flat::group_events(text).map(drop)
    });
    reads(&group, "cgroup.stat", |text| {
        flat::group_stat(text).map(drop)
    });
    reads(&group, "pids.events", |text| {
        flat::pids_events(text).map(drop)
    });
    for file in ["memory.current", "memory.swap.current", "pids.current"] {
        reads(&group, file, |text| single::count(text).map(drop));
    }
    for file in ["memory.max", "memory.low", "pids.max"] {
        reads(&group, file, |text| single::limit(text).map(drop));
    }
    for which in Knob::FILES {
        reads(&group, which.file(), |text| {
            knob::decode(which, text).map(drop)
        });
    }
    reads(&group, "io.stat", |text| {
        nested::io_stat(text)?.try_for_each(|found| found.map(drop))
    });
    reads(&group, "io.max", |text| {
        nested::io_max(text)?.try_for_each(|found| found.map(drop))
    });
    reads(&group, "cgroup.controllers", |text| {
        let set = controllers::parse(text)?;
        assert!(set.contains(controllers::Controller::Cpu));
        Ok(())
    });
    reads(&group, "cgroup.procs", |text| {
        pids::parse(text).try_for_each(|pid| pid.map(drop))
    });

    let proc =
        |file: &str| fs::read(format!("/proc/{file}")).unwrap_or_else(|e| panic!("{file}: {e}"));
    let cpus = proc_stat::parse(&proc("stat")).expect("/proc/stat");
    let parallel = std::thread::available_parallelism().map_or(0, |n| n.get() as u32);
    assert!(
        cpus.online >= parallel.max(1),
        "{cpus:?}, {parallel} usable"
    );
    let memory = meminfo::parse(&proc("meminfo")).expect("/proc/meminfo");
    assert!(memory.total.is_ok() && memory.available.is_ok() && memory.swap_free.is_ok());
    assert!(loadavg::tasks(&proc("loadavg")).is_ok_and(|tasks| tasks > 0));
    assert!(schedstat::parse(&proc("self/schedstat")).is_ok_and(|times| times.slices > 0));
    assert!(self_cgroup::parse(&proc("self/cgroup")).is_ok());
    let mounts = mountinfo::cgroup_mounts(&proc("self/mountinfo"));
    assert!(
        mounts
            .iter()
            .any(|mount| mount.point == crate::rig::ROOT.as_bytes()
                && mount.hierarchy == mountinfo::Hierarchy::V2),
        "{mounts:?}"
    );
}

fn reads(group: &Group, file: &str, parse: impl Fn(&[u8]) -> Reading<()>) {
    let text = group.read(file);
    assert_eq!(parse(text.as_bytes()), Ok(()), "{file}: {text:?}");
}
