//! The last rung, where the policy lets it: who starves the host in spite of its limit dies, alone, and before the
//! kernel kills.

use crate::load::{Load, now_us};
use crate::rig::{Group, Rig};
use crate::table;
use libtest_mimic::Trial;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![crate::trial(
        "last::one_that_memory_high_does_not_stop_is_killed_before_the_kernel_kills",
        memory,
    )]
}

const GIVEN_BACK: Duration = Duration::from_secs(60);
/// On 6.1 the bomb's growth fell to 1 MiB/s once when memory was all but full, and its time was over before it was: then nobody has to be killed,
/// and the attack shows nothing.
const TRIES: usize = 3;

fn tasks(group: &Group) -> u64 {
    group.read("pids.current").trim().parse().unwrap()
}

/// How often the kernel's own OOM killer has killed since the boot.
fn oom_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap();
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("oom_kill "));
    count.unwrap().parse().unwrap()
}

/// `memory.high` makes each thread wait for up to two seconds for each quarter of a megabyte. Eight hundred of them
/// grow on; and with three eighths of the usual reserve what is left when they are met is too little for them. (With half of it 6.1
/// once made them wait in time.)
fn memory() {
    table::head(&[
        "800 threads that grow, no swap",
        "killed by the kernel",
        "by the governor",
        "client p50 / p99 ms",
        "answered",
    ]);
    let attack = |kill: bool| {
        let rig = Rig::new("last-memory");
        let victim = rig.group("victim");
        let bomb = rig.group("bomb");
        let originals = bomb.knobs();
        let daemon = rig.governor(&format!(
            "[cpu]\nenforce = false\n[pids]\nenforce = false\n[memory]\nreserve = \"3%\"\nkill = {kill}\n"
        ));
        let client = Load::start(
            &victim,
            "victim request --working-set 8MiB --pages 64 --every 50ms --for 30s",
        );
        std::thread::sleep(Duration::from_secs(5));
        let before = oom_kills();
        let load = Load::start(
            &bomb,
            "hog memory --rate 400MiB --max 8GiB --threads 800 --for 24s",
        );
        let (began, start) = (now_us(), Instant::now());
        let mut begun = false;
        while start.elapsed() < Duration::from_secs(22) && !(begun && tasks(&bomb) == 0) {
            begun |= tasks(&bomb) > 0;
            std::thread::sleep(Duration::from_millis(20));
        }
        let by_kernel = oom_kills() - before;
        bomb.write("cgroup.kill", "1");
        drop(load);
        std::thread::sleep(Duration::from_secs(1));
        let by_governor = daemon.status().header.kills;
        let window = client.record().window(began, now_us());
        table::row(&[
            format!("kill = {kill}"),
            by_kernel.to_string(),
            by_governor.to_string(),
            table::latencies(&window),
            table::answered(&window),
        ]);
        bomb.must_be_given_back(&originals, GIVEN_BACK);
        (by_kernel, by_governor, window.answered(), daemon.log())
    };
    let mut last = String::new();
    assert!(
        (0..TRIES).any(|_| {
            let (by_kernel, by_governor, _, log) = attack(false);
            assert_eq!(by_governor, 0, "it said:\n{log}");
            last = log;
            by_kernel > 0
        }),
        "the kernel never killed; the governor said:\n{last}"
    );
    assert!(
        (0..TRIES).any(|_| {
            let (by_kernel, by_governor, answered, log) = attack(true);
            assert!(
                by_kernel == 0 && by_governor <= 1 && answered > 0.95,
                "{by_kernel}, {by_governor}, {answered} answered; it said:\n{log}"
            );
            last = log;
            by_governor == 1
        }),
        "the governor never killed; it said:\n{last}"
    );
}
