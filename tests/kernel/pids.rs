//! A fork bomb of a thousand processes, which the governor must outlive and be able to talk about.

use crate::load::{Load, now_us};
use crate::rig::Rig;
use crate::table;
use libtest_mimic::Trial;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![crate::trial(
        "pids::status_answers_within_a_second_while_a_fork_bomb_runs",
        status_under_a_fork_bomb,
    )]
}

/// Guest time that one `governor status --json` may take, the start of its process included.
const ANSWER: Duration = Duration::from_secs(1);

fn status_under_a_fork_bomb() {
    let rig = Rig::new("fork-bomb");
    let bomb = rig.group("bomb");
    let _neighbour = rig.group("neighbour");
    bomb.write("pids.max", "1000");
    let governor = rig.governor("");
    std::thread::sleep(Duration::from_secs(2));
    let load = Load::start(&bomb, "forkbomb --max 1000 --for 20s");
    let end = Instant::now() + Duration::from_secs(15);
    while bomb.read("pids.current").trim().parse::<u32>().unwrap() < 990 {
        assert!(Instant::now() < end, "the bomb did not go off");
        std::thread::sleep(Duration::from_millis(50));
    }
    table::head(&["attack", "governor status", "the loop's p99 lateness"]);
    for _ in 0..5 {
        let asked = now_us();
        let status = governor.status();
        let took = Duration::from_micros(now_us() - asked);
        let lateness = status.header.lateness_p99_ms.expect("the loop's lateness");
        table::row(&[
            "fork bomb".to_owned(),
            format!("{:.0} ms", took.as_secs_f64() * 1000.0),
            format!("{lateness:.2} ms"),
        ]);
        assert!(took <= ANSWER, "status took {took:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
    bomb.write("cgroup.kill", "1");
    drop(load);
}
