//! The campaigns on the full system: real docker and podman containers on two CPUs in real time.
//!
//! A container is made by its runtime and kept over all arms; loads are started straight into its
//! cgroup, so that an attack begins at a known microsecond and not whenever a runtime gets round to
//! it. Arms are interleaved in pairs, without control and governed, and the median pair is judged:
//! the host is shared, and its noise comes in waves. Pairs that it disturbed visibly are discarded. Runs only with `KERNEL_RIG=full`, which
//! `tests/kernel/campaign` sets.

use crate::container::{Container, Runtime, keep_quotas_on};
use crate::load::{Load, Window, now_us, sleep_until};
use crate::rig::{Group, Rig};
use crate::table;
use libtest_mimic::Trial;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    let heavy = [
        ("full::heavy::docker_beside_docker", DOCKER_DOCKER),
        ("full::heavy::docker_beside_podman", DOCKER_PODMAN),
        ("full::heavy::podman_beside_podman", PODMAN_PODMAN),
        (
            "full::heavy::docker_beside_one_of_two_in_podman",
            DOCKER_PODMAN_TWO,
        ),
        ("full::heavy::podman_beside_docker", PODMAN_DOCKER),
    ];
    let mut trials: Vec<Trial> = heavy
        .into_iter()
        .map(|(name, case)| {
            Trial::test(name, move || {
                heavy_case(&case);
                Ok(())
            })
        })
        .collect();
    trials.push(crate::trial(
        "full::memory::docker_beside_a_host_wide_hog_with_swap",
        memory,
    ));
    trials.push(crate::storage::trial());
    trials
}

/// Pairs of arms: `KERNEL_RUNS`.
pub(crate) fn pairs() -> usize {
    std::env::var("KERNEL_RUNS").map_or(1, |n| n.parse().expect("KERNEL_RUNS"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where the victim and the hog are, and what is promised there.
struct Case {
    name: &'static str,
    victim: Runtime,
    hog: Runtime,
    /// A third container in the hog's slice, so that the slice's weight would hit an innocent.
    bystander: Option<Runtime>,
    /// What a hand would choose: so many cgroups above the hog's own, this knob, this value.
    by_hand: (usize, &'static str, &'static str),
    /// p99 is at most this many times what it is alone.
    most: f64,
}

const DOCKER_DOCKER: Case = Case {
    name: "docker, docker",
    victim: Runtime::Docker,
    hog: Runtime::Docker,
    bystander: None,
    by_hand: (0, "cpu.weight", "1"),
    most: 1.5,
};

const DOCKER_PODMAN: Case = Case {
    name: "docker, podman",
    hog: Runtime::Podman,
    by_hand: (2, "cpu.weight", "1"),
    ..DOCKER_DOCKER
};

const PODMAN_PODMAN: Case = Case {
    name: "podman, podman",
    victim: Runtime::Podman,
    hog: Runtime::Podman,
    by_hand: (1, "cpu.weight", "1"),
    ..DOCKER_DOCKER
};

/// The hand has a cap here, the governor two weights: the slice's and the scope's. No cap that was tried by
/// hand did as well.
const DOCKER_PODMAN_TWO: Case = Case {
    name: "docker, one of two in podman",
    hog: Runtime::Podman,
    bystander: Some(Runtime::Podman),
    by_hand: (0, "cpu.max", "4000 10000"),
    most: 2.0,
    ..DOCKER_DOCKER
};

/// The hog's slice holds the services of the host, so that no weight of it may be moved. A hand that keeps to
/// that has a cap; the governor raises the victim's slice beside it.
const PODMAN_DOCKER: Case = Case {
    name: "podman, docker",
    victim: Runtime::Podman,
    by_hand: (0, "cpu.max", "4000 10000"),
    most: 2.0,
    ..DOCKER_DOCKER
};

/// A pair in whose quiet the p99 is more than so many times the median says nothing: the host, which
/// we share, took the CPU from the guest. It is discarded, counted and made again.
const NOISY: f64 = 1.7;
/// The short form's few pairs, on a machine that does other work, are held to no less than this. (Seen: 1.51 in the median
/// of three, whose ratios were 1.0, 1.4 and 1.8, where the quiet machine has 1.1 to 1.3, and nobody's control 50.)
const IN_SHORT: f64 = 2.0;
const SECOND_US: u64 = 1_000_000;
/// Quiet before an attack; the first second of it is not judged as `alone`.
const QUIET_US: u64 = 11 * SECOND_US;
const ATTACK_US: u64 = 10 * SECOND_US;
/// How long after the attack's end the last limit may stand.
const GIVEN_BACK: Duration = Duration::from_secs(60);

fn heavy_case(case: &Case) {
    keep_quotas_on();
    let rig = Rig::new("full-heavy");
    let victim = Container::start(case.victim, "victim");
    let hog = Container::start(case.hog, "hog");
    let _bystander = case
        .bystander
        .map(|runtime| Container::start(runtime, "bystander"));
    table::head(&[
        "victim, hog",
        "arm",
        "alone p50 / p99 ms",
        "attacked p50 / p99 ms",
        "answered in the window",
        "hog has of the rest",
        "p99 × alone",
    ]);
    by_hand(case, &victim.group, &hog);
    let mut ratios = Vec::new();
    let mut discarded = 0;
    let mut wanted = pairs();
    let most = match wanted {
        1 => case.most.max(IN_SHORT),
        _ => case.most,
    };
    while ratios.len() < wanted {
        let pair = ratios.len() + discarded + 1;
        let ungoverned = heavy_arm(&victim.group, &hog.group);
        ungoverned.print(case.name, &format!("no control {pair}"));
        let governor = rig.governor_over(&[], "");
        let originals: Vec<_> = hog.levers().map(|lever| (lever.knobs(), lever)).collect();
        let governed = heavy_arm(&victim.group, &hog.group);
        governed.print(case.name, &format!("governed {pair}"));
        for (knobs, lever) in &originals {
            lever.must_be_given_back(knobs, GIVEN_BACK);
        }
        if std::env::var_os("KERNEL_SLOW").is_some() {
            println!("{}", governor.log());
        }
        assert!(governor.terminate().success());
        // The quiet before both attacks of the pair: what the victim has here and now.
        let alone = ungoverned.alone.and(governed.alone);
        if alone.percentile(0.99).ms() > NOISY * alone.percentile(0.5).ms() {
            discarded += 1;
            assert!(
                discarded <= 3 + wanted,
                "the host is too busy to measure anything: {discarded} pairs were discarded"
            );
            continue;
        }
        let ratio = governed.attacked.percentile(0.99).ms() / alone.percentile(0.99).ms();
        ratios.push(ratio);
        if wanted == 1 && ratio > case.most {
            // A single pair has no median; in three one that went wrong is seen for what it is.
            wanted = 3;
        }
    }
    let count = ratios.len();
    let median = median(ratios);
    table::row(&[
        case.name.to_owned(),
        format!("median of {count}, {discarded} discarded"),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        format!("{median:.2} (at most {most})"),
    ]);
    assert!(median <= most, "p99 is {median:.2} × alone, not {most}");
}

/// What an all-knowing hand gets that moves the lever before the attack: the best that can be asked.
fn by_hand(case: &Case, victim: &Group, hog: &Container) {
    if pairs() == 1 {
        return;
    }
    let (up, knob, value) = case.by_hand;
    let lever = hog.levers().nth(up).expect("a lever for the hand");
    let original = lever.read(knob);
    lever.write(knob, value);
    let arm = heavy_arm(victim, &hog.group);
    lever.write(knob, &original);
    arm.print(case.name, &format!("by hand: {knob} {value}"));
}

/// One attack: what the victim had in the quiet before it, and in it.
struct Arm {
    alone: Window,
    attacked: Window,
    hog_share: f64,
}

fn heavy_arm(victim: &Group, hog: &Group) -> Arm {
    let first_due = now_us() + SECOND_US;
    let work = Load::start(
        victim,
        &format!(
            "victim timer --work 30ms --every 50ms --threads 2 --for 21s --start-at {first_due}"
        ),
    );
    let start = first_due + QUIET_US;
    sleep_until(start);
    let spinners = Load::start(hog, "hog cpu --threads 8 --for 10s");
    let (from, to) = (start + SECOND_US, start + ATTACK_US);
    sleep_until(from);
    let before = (victim.cpu_us(), hog.cpu_us());
    sleep_until(to);
    let after = (victim.cpu_us(), hog.cpu_us());
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    let left = (cpus * (to - from)).saturating_sub(after.0 - before.0) as f64;
    let record = work.record();
    spinners.finish();
    if std::env::var_os("KERNEL_SLOW").is_some() {
        for (due, took) in record.slow(start, 50.0) {
            println!("slow: due {due} ms after the attack's start, took {took:.0} ms");
        }
    }
    Arm {
        alone: record.window(first_due + SECOND_US, start),
        attacked: record.window(from, to),
        hog_share: (after.1 - before.1) as f64 / left,
    }
}

impl Arm {
    fn print(&self, case: &str, arm: &str) {
        table::row(&[
            case.to_owned(),
            arm.to_owned(),
            table::latencies(&self.alone),
            table::latencies(&self.attacked),
            table::answered(&self.attacked),
            format!("{:.1} %", self.hog_share * 100.0),
            format!(
                "{:.2}",
                self.attacked.percentile(0.99).ms() / self.alone.percentile(0.99).ms()
            ),
        ]);
    }
}

/// A victim that reads a file which fits into the page cache, until somebody wants all memory.
const MEMORY_VICTIM: &str =
    "victim reader --file /root/working-set --working-set 200MiB --pages 800 --every 50ms";
/// Less than RAM and swap together: the host survives it.
const MEMORY_HOG: &str = "hog memory --rate 800MiB --max 2700MiB --threads 8";
const MEMORY_ATTACK_S: u64 = 60;
/// An arm without control that leaves the victim more than this shows no harm.
const HARMED_BELOW: f64 = 0.5;
const SAVED_FROM: f64 = 0.9;

/// So many pairs may fail to show the harm without control: the host, which we share, was too slow for the hog.
const UNHARMED_MOST: usize = 2;

fn memory() {
    keep_quotas_on();
    let rig = Rig::new("full-memory");
    let victim = Container::start(Runtime::Docker, "victim");
    let hog = Container::start(Runtime::Docker, "hog");
    table::head(&[
        "victim, hog",
        "arm",
        "p50 / p99 ms",
        "answered in the window",
    ]);
    let mut answered = Vec::new();
    let mut unharmed = 0;
    let mut wanted = pairs();
    while answered.len() < wanted {
        let pair = answered.len() + unharmed + 1;
        let ungoverned = memory_arm(&victim.group, &hog.group);
        print_memory(&format!("no control {pair}"), &ungoverned);
        let originals = (victim.group.knobs(), hog.group.knobs());
        let governor = rig.governor_over(&[], "");
        let kills = oom_kills();
        let governed = memory_arm(&victim.group, &hog.group);
        let killed = oom_kills() - kills;
        print_memory(&format!("governed {pair}"), &governed);
        hog.group.must_be_given_back(&originals.1, GIVEN_BACK);
        victim
            .group
            .must_be_given_back(&originals.0, Duration::ZERO);
        let log = governor.log();
        assert!(governor.terminate().success(), "{log}");
        assert_eq!(killed, 0, "OOM kills; it said:\n{log}");
        if ungoverned.answered() >= HARMED_BELOW {
            unharmed += 1;
            let most = pairs() + UNHARMED_MOST;
            assert!(unharmed < most, "no arm without control shows the harm");
            continue;
        }
        answered.push(governed.answered());
        if governed.answered() < SAVED_FROM {
            println!("it said:\n{log}");
            // A single pair has no median; in three one that went wrong is seen for what it is.
            wanted = wanted.max(3);
        }
    }
    let count = answered.len();
    let missed = answered.iter().filter(|part| **part < SAVED_FROM).count();
    let median = median(answered);
    table::row(&[
        "docker, docker".to_owned(),
        format!("median of {count}, {unharmed} without harm"),
        String::new(),
        format!(
            "{:.0} % (promised {:.0})",
            median * 100.0,
            SAVED_FROM * 100.0
        ),
    ]);
    // Of a single pair that was made three one may have missed, of others none.
    let most = usize::from(pairs() == 1);
    assert!(
        missed <= most,
        "{missed} of {count} pairs missed what is promised"
    );
}

fn memory_arm(victim: &Group, hog: &Group) -> Window {
    let first_due = now_us() + 10 * SECOND_US;
    let seconds = MEMORY_ATTACK_S + QUIET_US / SECOND_US;
    let work = Load::start(
        victim,
        &format!("{MEMORY_VICTIM} --for {seconds}s --start-at {first_due}"),
    );
    let start = first_due + QUIET_US;
    sleep_until(start);
    let growth = Load::start(hog, &format!("{MEMORY_HOG} --for {MEMORY_ATTACK_S}s"));
    let record = work.record();
    drop(growth);
    record.window(start, start + MEMORY_ATTACK_S * SECOND_US)
}

fn print_memory(arm: &str, window: &Window) {
    table::row(&[
        "docker, docker".to_owned(),
        arm.to_owned(),
        table::latencies(window),
        table::answered(window),
    ]);
}

/// How often the kernel's OOM killer killed since boot.
fn oom_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        .expect("oom_kill in /proc/vmstat")
}
