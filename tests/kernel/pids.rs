//! Fork bombs and leaks: who would run the host out of tasks is clamped in time, and the governor outlives
//! it and can talk about it.

use crate::load::{Load, now_us};
use crate::rig::{Group, Rig};
use crate::table;
use libtest_mimic::Trial;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "pids::status_answers_within_a_second_while_a_fork_bomb_runs",
            status_under_a_fork_bomb,
        ),
        crate::trial("pids::a_fork_bomb_without_any_limit_is_clamped", bomb),
        crate::trial(
            "pids::a_fork_bomb_below_a_slice_with_a_limit_leaves_the_others_there_room",
            bomb_in_a_slice,
        ),
        crate::trial("pids::a_slow_leak_is_clamped_before_the_cliff", leak),
    ]
}

/// From the moment at which the bomb has this many tasks more than at its start …
const BEGUN: u64 = 64;
/// … its clamp must be in force within this time.
const CLAMPED: Duration = Duration::from_millis(250);
const GIVEN_BACK: Duration = Duration::from_secs(60);

fn tasks(group: &Group) -> u64 {
    group.read("pids.current").trim().parse().unwrap()
}

fn is_clamped(group: &Group) -> bool {
    group.read("pids.max").trim() != "max"
}

/// How many tasks the host may have; lowered for as long as this is alive, so that what is tried is tried
/// on a small host, wherever it is.
pub(crate) struct SmallHost(String);

impl SmallHost {
    const FILE: &str = "/proc/sys/kernel/threads-max";

    /// With so many more tasks than there are.
    pub(crate) fn with_room_for(more: u64) -> SmallHost {
        let before = std::fs::read_to_string(SmallHost::FILE).unwrap();
        let load = std::fs::read("/proc/loadavg").unwrap();
        let now = governor::kernel::loadavg::tasks(&load).unwrap();
        std::fs::write(SmallHost::FILE, (now + more).to_string()).unwrap();
        SmallHost(before)
    }

    /// How many more there can be now.
    fn room() -> u64 {
        let most = std::fs::read_to_string(SmallHost::FILE).unwrap();
        let load = std::fs::read("/proc/loadavg").unwrap();
        let now = governor::kernel::loadavg::tasks(&load).unwrap();
        most.trim().parse::<u64>().unwrap().saturating_sub(now)
    }
}

impl Drop for SmallHost {
    fn drop(&mut self) {
        let _ = std::fs::write(SmallHost::FILE, &self.0);
    }
}

/// The victim's client was there before the bomb, and is answered throughout.
fn bomb() {
    let _small = SmallHost::with_room_for(5_000);
    let rig = Rig::new("bomb");
    let victim = rig.group("victim");
    let bomb = rig.group("bomb");
    let originals = (victim.knobs(), bomb.knobs());
    let governor = rig.governor("");
    let start = now_us() + 100_000;
    let client = Load::start(
        &victim,
        &format!(
            "victim request --working-set 8MiB --pages 64 --every 50ms --for 18s --start-at {start}"
        ),
    );
    std::thread::sleep(Duration::from_secs(6));
    let before = tasks(&bomb);
    let load = Load::start(&bomb, "forkbomb --unbounded --for 8s");
    let exploded = now_us();
    let end = Instant::now() + Duration::from_secs(8);
    let (mut begun, mut most) = (None, 0);
    while !is_clamped(&bomb) {
        most = tasks(&bomb).max(most);
        if begun.is_none() && most >= before + BEGUN {
            begun = Some(now_us());
        }
        assert!(
            Instant::now() < end,
            "never clamped, at {most} tasks; it said:\n{}",
            governor.log()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    let clamped = now_us();
    let after = Duration::from_micros(clamped - begun.unwrap_or(clamped));
    let clamp = bomb.read("pids.max");
    std::thread::sleep(Duration::from_secs(4));
    let room = SmallHost::room();
    // A request that meets the death of a thousand tasks is answered after it, and is no matter of the clamp.
    let over = now_us();
    bomb.write("cgroup.kill", "1");
    drop(load);
    bomb.must_be_given_back(&originals.1, GIVEN_BACK);
    victim.must_be_given_back(&originals.0, Duration::ZERO);
    let window = client.record().window(exploded, over);
    table::head(&[
        "attack",
        "tasks when clamped",
        "clamp",
        "after its start by 64",
        "room left",
        "client p50 / p99 ms",
        "answered",
    ]);
    table::row(&[
        "fork bomb".to_owned(),
        most.to_string(),
        clamp.trim().to_owned(),
        format!("{} ms", after.as_millis()),
        room.to_string(),
        table::latencies(&window),
        table::answered(&window),
    ]);
    assert!(after <= CLAMPED, "clamped after {after:?}");
    // The clamp is tried back meanwhile; the others' room is what it is for.
    assert!(
        room >= 2_000,
        "{room} tasks are left; it said:\n{}",
        governor.log()
    );
    assert!(
        window.answered() > 0.99,
        "{} of the requests; it said:\n{}",
        window.answered(),
        governor.log()
    );
}

/// A slice may have 600 tasks, and two containers are below it. The one that forks now and then is refused for as
/// long as the other explodes, but not where that is clamped.
fn bomb_in_a_slice() {
    const LIMIT: u64 = 600;
    let rig = Rig::new("slice");
    let victim = rig.group("slice/victim");
    let bomb = rig.group("slice/bomb");
    let slice = Group::at(rig.dir().join("slice"));
    slice.write("pids.max", &LIMIT.to_string());
    let originals = (bomb.knobs(), slice.knobs());
    table::head(&[
        "slice of 600 tasks",
        "tasks of the bomb",
        "clamp",
        "room left",
        "fork p50 / p99 ms",
        "answered",
    ]);
    let attack = |name: &str| {
        let client = Load::start(&victim, "victim fork --every 100ms --for 11s");
        std::thread::sleep(Duration::from_secs(4));
        let load = Load::start(&bomb, "forkbomb --unbounded --for 6s");
        let exploded = now_us();
        std::thread::sleep(Duration::from_secs(5));
        let (has, room) = (tasks(&bomb), LIMIT.saturating_sub(tasks(&slice)));
        let clamp = bomb.read("pids.max").trim().to_owned();
        let over = now_us();
        bomb.write("cgroup.kill", "1");
        drop(load);
        let window = client.record().window(exploded + 1_000_000, over);
        table::row(&[
            name.to_owned(),
            has.to_string(),
            clamp.clone(),
            room.to_string(),
            table::latencies(&window),
            table::answered(&window),
        ]);
        (clamp, room, window.answered())
    };
    let (_, room, answered) = attack("nobody helps");
    assert!(
        room < 10 && answered < 0.5,
        "the bomb did no harm: {room} left, {answered} answered"
    );
    let governor = rig.governor_over(&[&format!("{}/slice/*", rig.path())], "");
    let (clamp, room, answered) = attack("governed");
    assert!(
        clamp != "max" && room >= 60 && answered > 0.95,
        "{clamp}, {room} left, {answered} answered; it said:\n{}",
        governor.log()
    );
    bomb.must_be_given_back(&originals.0, GIVEN_BACK);
    slice.must_be_given_back(&originals.1, Duration::ZERO);
}

fn leak() {
    let _small = SmallHost::with_room_for(500);
    let rig = Rig::new("leak");
    let victim = rig.group("victim");
    let leaky = rig.group("leaky");
    let originals = leaky.knobs();
    let governor = rig.governor("[pids]\nfloor = 16\n");
    let _client = Load::start(&victim, "victim timer --work 1ms --every 100ms --for 40s");
    let load = Load::start(&leaky, "hog tasks --rate 25 --max 2000 --for 32s");
    let end = Instant::now() + Duration::from_secs(30);
    while !is_clamped(&leaky) {
        assert!(
            Instant::now() < end,
            "never clamped; it said:\n{}",
            governor.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(3));
    let room = SmallHost::room();
    table::head(&["attack", "clamp", "room left"]);
    table::row(&[
        "leak of 25 a second".to_owned(),
        leaky.read("pids.max").trim().to_owned(),
        room.to_string(),
    ]);
    assert!(
        room >= 40,
        "{room} tasks are left; it said:\n{}",
        governor.log()
    );
    leaky.write("cgroup.kill", "1");
    drop(load);
    leaky.must_be_given_back(&originals, GIVEN_BACK);
}

/// Guest time that one `governor status --json` may take, the start of its process included.
const ANSWER: Duration = Duration::from_secs(1);

fn status_under_a_fork_bomb() {
    let rig = Rig::new("fork-bomb");
    let bomb = rig.group("bomb");
    let _neighbour = rig.container("neighbour");
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
