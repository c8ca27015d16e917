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
    println!();
    for _ in 0..5 {
        let asked = now_us();
        let answer = governor.status();
        let took = Duration::from_micros(now_us() - asked);
        assert!(answer.status.success(), "status failed: {answer:?}");
        let status: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
        let lateness = find(&status, "p99_lateness").or_else(|| find(&status, "lateness"));
        let lateness = lateness.unwrap_or_else(|| panic!("no lateness in {status:#}"));
        table::row(&[
            "fork bomb".to_owned(),
            format!("status in {:.0} ms", took.as_secs_f64() * 1000.0),
            format!("lateness {lateness}"),
        ]);
        assert!(took <= ANSWER, "status took {took:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
    bomb.write("cgroup.kill", "1");
    drop(load);
}

/// The first value under a key that starts so, at any depth.
fn find<'a>(value: &'a serde_json::Value, key: &str) -> Option<&'a serde_json::Value> {
    let object = value.as_object()?;
    object
        .iter()
        .find(|(name, _)| name.contains(key))
        .map(|(_, value)| value)
        .or_else(|| object.values().find_map(|value| find(value, key)))
}
