//! Attacks, and what the ladders do about them.

use super::{pair, seconds, spin, work};
use crate::daemon::Daemon;
use crate::load::Load;
use crate::pids::SmallHost;
use crate::rig::{Group, Rig};
use crate::scene::heavy_victim;
use std::thread::sleep;
use std::time::Duration;

pub(super) fn hog(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 21);
    spin(&scene.hog, 8, 8_000).finish();
    scene.work.finish();
    scene.governor
}

pub(super) fn light_victim(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let hog = rig.container("hog");
    let governor = rig.governor("");
    let _work = work(&victim, "5ms", 22);
    seconds(4);
    spin(&hog, 8, 8_000).finish();
    seconds(8);
    governor
}

pub(super) fn two_hogs(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let hogs = [rig.container("one"), rig.container("two")];
    let governor = rig.governor("");
    let _work = heavy_victim(&victim, 20);
    let spinners = hogs.each_ref().map(|hog| spin(hog, 4, 7_000));
    spinners.into_iter().for_each(Load::finish);
    seconds(8);
    governor
}

/// The second comes a moment after the first, and the victim rests between its requests.
pub(super) fn two_light(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let (one, two) = (rig.container("one"), rig.container("two"));
    let governor = rig.governor("");
    let _work = work(&victim, "10ms", 18);
    seconds(4);
    let first = spin(&one, 3, 5_000);
    sleep(Duration::from_millis(70));
    let second = spin(&two, 5, 5_000);
    first.finish();
    second.finish();
    seconds(7);
    governor
}

pub(super) fn relay(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let (one, two) = (rig.container("one"), rig.container("two"));
    let governor = rig.governor("");
    let _work = heavy_victim(&victim, 24);
    let bursts = "burst --threads 4 --on 600ms --every 1200ms --for 10s";
    let first = Load::start(&one, bursts);
    sleep(Duration::from_millis(600));
    let second = Load::start(&two, bursts);
    first.finish();
    second.finish();
    seconds(8);
    governor
}

pub(super) fn square_wave(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 22);
    let wave = "burst --threads 8 --on 100ms --every 400ms --for 8s";
    Load::start(&scene.hog, wave).finish();
    seconds(9);
    scene.governor
}

/// A tenth of the CPU, in bursts of no more than its fifth of any 100 ms: the victim waits for each, and leaves twice as much.
pub(super) fn within_its_share(rig: &Rig) -> Daemon {
    let scene = pair(rig, "", 14);
    let bursts = "burst --threads 8 --on 20ms --every 200ms --for 5s";
    Load::start(&scene.hog, bursts).finish();
    seconds(4);
    scene.governor
}

/// The hog is guaranteed all that it is entitled to.
pub(super) fn guarantee(rig: &Rig) -> Daemon {
    let scene = pair(rig, "[cpu]\nguarantee = \"100%\"\n", 20);
    spin(&scene.hog, 8, 8_000).finish();
    seconds(7);
    scene.governor
}

/// The hog is entitled to half, and all of that is to be guaranteed.
pub(super) fn half_weight(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    let governor = rig.governor("[cpu]\nguarantee = \"100%\"\nweight_floor = 15\n");
    let _work = work(&victim, "10ms", 20);
    seconds(4);
    spin(&hog, 8, 6_000).finish();
    seconds(8);
    governor
}

/// The hog's own weight is the least that the policy allows to write.
pub(super) fn low_weight(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    hog.write("cpu.weight", "30");
    let governor = rig.governor("[cpu]\nweight_floor = 30\ncap = false\n");
    let _work = heavy_victim(&victim, 14);
    spin(&hog, 8, 4_000).finish();
    seconds(5);
    governor
}

/// The hog's weight is a hundred times the victim's.
pub(super) fn high_weight(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    hog.write("cpu.weight", "10000");
    let governor = rig.governor("[cpu]\nguarantee = \"100%\"\n");
    let _work = work(&victim, "20ms", 18);
    seconds(4);
    spin(&hog, 8, 5_000).finish();
    seconds(7);
    governor
}

/// Weights so small that there are few between them.
pub(super) fn small_weights(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    victim.write("cpu.weight", "5");
    hog.write("cpu.weight", "4");
    let governor = rig.governor("");
    let _work = heavy_victim(&victim, 16);
    spin(&hog, 8, 4_000).finish();
    seconds(7);
    governor
}

/// Victim and hog share a slice, and the slice shares the CPU with one that the policy protects.
pub(super) fn nested(rig: &Rig) -> Daemon {
    let (victim, hog) = (
        rig.container("a.slice/victim"),
        rig.container("a.slice/hog"),
    );
    let beside = rig.container("b.slice/beside");
    let policy = format!("[[protect]]\npath = \"{}/b.slice/*\"\n", rig.path());
    let governor = rig.governor_over(&[&format!("{}/*/*", rig.path())], &policy);
    let _work = work(&victim, "6ms", 22);
    seconds(4);
    let _spinner = spin(&beside, 1, 12_000);
    seconds(3);
    spin(&hog, 8, 6_000).finish();
    seconds(6);
    governor
}

/// The victim's own weight is raised beside the hog's, which is enough.
pub(super) fn lifted(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    let governor = rig.governor("[cpu]\nidle = true\n");
    let _work = work(&victim, "5ms", 20);
    seconds(4);
    spin(&hog, 8, 6_000).finish();
    seconds(8);
    governor
}

/// The victim shares its slice, so that its weight cannot be raised alone.
pub(super) fn idle_rung(rig: &Rig) -> Daemon {
    let victim = rig.container("v.slice/victim");
    rig.container("v.slice/other");
    let hog = rig.container("hog");
    let containers = ["v.slice/*", "hog"].map(|name| format!("{}/{name}", rig.path()));
    let governor = rig.governor_over(&[&containers[0], &containers[1]], "[cpu]\nidle = true\n");
    let _work = work(&victim, "5ms", 24);
    seconds(4);
    spin(&hog, 8, 8_000).finish();
    seconds(9);
    governor
}

/// No weight under 50 is allowed: that is not enough, and a cap comes next.
pub(super) fn floor_then_cap(rig: &Rig) -> Daemon {
    let scene = pair(rig, "[cpu]\nweight_floor = 50\n", 30);
    spin(&scene.hog, 8, 16_000).finish();
    seconds(10);
    scene.governor
}

/// As above, and no cap is allowed.
pub(super) fn no_cap(rig: &Rig) -> Daemon {
    let scene = pair(rig, "[cpu]\nweight_floor = 40\ncap = false\n", 18);
    spin(&scene.hog, 8, 6_000).finish();
    seconds(7);
    scene.governor
}

/// Victim and hog in slices of their own, and somebody else in the hog's.
fn apart(rig: &Rig) -> (Group, Group, Group) {
    let victim = rig.container("a.slice/victim");
    let hog = rig.container("b.slice/hog");
    (victim, hog, rig.container("b.slice/other"))
}

/// A governor over what is [`apart`], with that somebody protected: no weight reaches.
fn governor_apart(rig: &Rig, policy: &str) -> Daemon {
    let protect = format!("[[protect]]\npath = \"{}/b.slice/other\"\n", rig.path());
    let containers = ["a", "b"].map(|slice| format!("{}/{slice}.slice/*", rig.path()));
    rig.governor_over(
        &[&containers[0], &containers[1]],
        &format!("{policy}{protect}"),
    )
}

/// One of two in a slice takes the CPU from one in another slice.
pub(super) fn one_of_two(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    let governor = rig.governor_over(&[&format!("{}/*/*", rig.path())], "");
    let _work = heavy_victim(&victim, 20);
    spin(&hog, 8, 7_000).finish();
    seconds(8);
    governor
}

/// As above, and the other one in the slice begins to work, and then wants all.
pub(super) fn other_wakes(rig: &Rig) -> Daemon {
    let (victim, hog, other) = apart(rig);
    let governor = rig.governor_over(&[&format!("{}/*/*", rig.path())], "");
    let _work = work(&victim, "25ms", 26);
    seconds(4);
    let _spinners = spin(&hog, 8, 14_000);
    seconds(3);
    work(&other, "10ms", 4).finish();
    spin(&other, 2, 4_000).finish();
    seconds(10);
    governor
}

/// The hog's slice has a service of the host in it, and the victim one of its own.
pub(super) fn beside_services(rig: &Rig) -> Daemon {
    let victim = rig.container("a.slice/victim");
    let hog = rig.container("b.slice/hog");
    let service = rig.container("b.slice/host.service");
    let containers = ["a.slice/victim", "b.slice/hog"].map(|at| format!("{}/{at}", rig.path()));
    let governor = rig.governor_over(&[&containers[0], &containers[1]], "");
    let _work = heavy_victim(&victim, 26);
    let _serves = work(&service, "1ms", 26);
    seconds(1);
    spin(&hog, 8, 8_000).finish();
    seconds(14);
    governor
}

/// The same with a victim that is harmed a little, and a policy that guarantees the hog a lot.
pub(super) fn beside_services_mildly(rig: &Rig) -> Daemon {
    let victim = rig.container("a.slice/victim");
    let hog = rig.container("b.slice/hog");
    let _service = rig.container("b.slice/host.service");
    let containers = ["a.slice/victim", "b.slice/hog"].map(|at| format!("{}/{at}", rig.path()));
    let policy = "[cpu]\nguarantee = \"60%\"\n";
    let governor = rig.governor_over(&[&containers[0], &containers[1]], policy);
    let _work = work(&victim, "5ms", 22);
    seconds(4);
    spin(&hog, 8, 8_000).finish();
    seconds(8);
    governor
}

pub(super) fn cap(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    let governor = governor_apart(rig, "");
    let _work = heavy_victim(&victim, 40);
    spin(&hog, 8, 18_000).finish();
    seconds(16);
    governor
}

/// Two threads in real time for 80 of every 200 ms: no weight and no cap reaches them, pulses do, and they are tried
/// back while the hog goes on.
pub(super) fn real_time(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.container("victim"), rig.container("hog"));
    let governor = rig.governor("");
    let _work = work(&victim, "5ms", 32);
    seconds(4);
    let bursts = "burst --real-time 10 --threads 2 --on 80ms --every 200ms --for 16s";
    Load::start(&hog, bursts).finish();
    seconds(10);
    governor
}

/// The first cap is not enough, and the next ones are.
pub(super) fn cap_steps(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    let policy = "[detect]\nrelief = \"10%\"\n\
                  [cpu]\nguarantee = \"80%\"\ncap_floor = 0.25\ncap_period = \"20ms\"\n";
    let governor = governor_apart(rig, policy);
    let _work = work(&victim, "10ms", 26);
    seconds(4);
    spin(&hog, 8, 8_000).finish();
    seconds(12);
    governor
}

/// The cap leaves the hog half of the CPU in long turns, which does not help at all.
pub(super) fn wrong_caps(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    let policy = "[detect]\nrelief = \"60%\"\n[cpu]\nguarantee = \"100%\"\ncap_period = \"50ms\"\n";
    let governor = governor_apart(rig, policy);
    let _work = work(&victim, "10ms", 34);
    seconds(4);
    spin(&hog, 8, 24_000).finish();
    seconds(2);
    governor
}

/// The hog has a quota of its own, in short periods, and is to be left next to nothing.
pub(super) fn own_period(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    hog.write("cpu.max", "3200 8000");
    let policy = "[cpu]\nguarantee = \"1%\"\ncap_floor = 0.001\ncap_period = \"1s\"\n";
    let governor = governor_apart(rig, policy);
    let _work = heavy_victim(&victim, 26);
    spin(&hog, 8, 6_000).finish();
    seconds(14);
    governor
}

/// The hog's own quota is the least cap that the policy allows.
pub(super) fn own_quota_low(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    hog.write("cpu.max", "30000 100000");
    let policy = "[cpu]\ncap_floor = 0.3\n";
    let governor = governor_apart(rig, policy);
    let _work = heavy_victim(&victim, 12);
    spin(&hog, 8, 4_000).finish();
    seconds(3);
    governor
}

/// The cap stands at its floor when somebody else begins, who is no container.
pub(super) fn cap_floor(rig: &Rig) -> Daemon {
    let (victim, hog, _other) = apart(rig);
    let outside = rig.container("c.slice/outside.service");
    let governor = governor_apart(rig, "");
    let _work = heavy_victim(&victim, 16);
    let _spinners = spin(&hog, 8, 9_000);
    seconds(4);
    spin(&outside, 2, 3_000).finish();
    seconds(5);
    governor
}

pub(super) fn newcomer(rig: &Rig) -> Daemon {
    let victim = rig.container("a.slice/victim");
    rig.container("b.slice/other");
    let governor = governor_apart(rig, "");
    let _work = heavy_victim(&victim, 14);
    spin(&rig.group("b.slice/build"), 4, 2_000).finish();
    seconds(5);
    governor
}

/// Two pods under one slice of kubelet's; the hog's pod has a second container.
pub(super) fn pod(rig: &Rig) -> Daemon {
    let burstable = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable";
    let container = |pod: &str, id: char| {
        let id = id.to_string().repeat(16);
        rig.container(&format!(
            "{burstable}-pod{pod}.slice/cri-containerd-{id}.scope"
        ))
    };
    let victim = container("1a", 'a');
    let (hog, sidecar) = (container("2b", 'b'), container("2b", 'c'));
    let governor = rig.governor_over(&[], "");
    let _beside = work(&sidecar, "2ms", 24);
    let _work = heavy_victim(&victim, 24);
    spin(&hog, 8, 8_000).finish();
    seconds(9);
    governor
}

pub(super) fn protected_hog(rig: &Rig) -> Daemon {
    let policy = format!("[[protect]]\npath = \"{}/hog\"\n", rig.path());
    let scene = pair(rig, &policy, 12);
    spin(&scene.hog, 8, 4_000).finish();
    seconds(3);
    scene.governor
}

pub(super) fn protected_service(rig: &Rig) -> Daemon {
    let service = rig.container("login.service");
    let hog = rig.container("hog");
    let policy = format!("[[protect]]\npath = \"{}/*.service\"\n", rig.path());
    let governor = rig.governor_over(&[&format!("{}/hog", rig.path())], &policy);
    let _work = heavy_victim(&service, 20);
    spin(&hog, 8, 7_000).finish();
    seconds(8);
    governor
}

/// A container floods a logger of the host with lines, and hardly works itself.
pub(super) fn on_behalf(rig: &Rig) -> Daemon {
    let (victim, source) = (rig.container("victim"), rig.container("source"));
    let logger = rig.group("logger");
    let containers = ["victim", "source"].map(|name| format!("{}/{name}", rig.path()));
    let governor = rig.governor_over(&[&containers[0], &containers[1]], "");
    let socket = rig.work().join("log");
    let socket = socket.display();
    let _logger = Load::start(
        &logger,
        &format!("evasion logger --socket {socket} --for 34s"),
    );
    // What the host does in calm has to be known.
    seconds(4);
    let _work = heavy_victim(&victim, 24);
    let lines = format!("evasion log --socket {socket} --threads 8 --for 12s");
    Load::start(&source, &lines).finish();
    seconds(8);
    governor
}

/// What is about memory only: the loads that grow use much of an emulated CPU.
const MEMORY_ONLY: &str = "[cpu]\nenforce = false\n";

/// A database is large and steady, and it is the other one that grows.
pub(super) fn memory_runaway(rig: &Rig) -> Daemon {
    let (database, hog) = (rig.container("database"), rig.container("hog"));
    let large = "victim request --working-set 600MiB --pages 16 --every 100ms --for 60s";
    let _work = Load::start(&database, large);
    seconds(3);
    let governor = rig.governor(MEMORY_ONLY);
    seconds(11);
    Load::start(&hog, "hog memory --rate 90MiB --max 1500MiB --for 15s").finish();
    seconds(10);
    governor
}

/// What runs a slice out of tasks is to be seen, and not what it does to the CPU.
const TASKS_ONLY: &str = "[cpu]\nenforce = false\n[memory]\nenforce = false\n";

pub(super) fn fork_bomb(rig: &Rig) -> Daemon {
    let (victim, bomb) = (rig.container("victim"), rig.container("bomb"));
    let _small = SmallHost::with_room_for(3_000);
    let governor = rig.governor(TASKS_ONLY);
    let _work = work(&victim, "5ms", 30);
    seconds(4);
    Load::start(&bomb, "forkbomb --unbounded --for 8s").finish();
    seconds(12);
    governor
}

pub(super) fn task_leak(rig: &Rig) -> Daemon {
    let (victim, leaky) = (rig.container("victim"), rig.container("leaky"));
    let _small = SmallHost::with_room_for(300);
    let governor = rig.governor(&format!("{TASKS_ONLY}[pids]\nfloor = 16\n"));
    let _work = work(&victim, "5ms", 30);
    seconds(4);
    Load::start(&leaky, "hog tasks --rate 15 --max 1000 --for 20s").finish();
    seconds(10);
    governor
}

/// One that has many begins to start more, and little is left.
pub(super) fn task_room(rig: &Rig) -> Daemon {
    let (victim, leaky) = (rig.container("victim"), rig.container("leaky"));
    let _small = SmallHost::with_room_for(400);
    let governor = rig.governor(&format!("{TASKS_ONLY}[pids]\nfloor = 16\n"));
    let _work = work(&victim, "5ms", 32);
    let _many = Load::start(&leaky, "hog tasks --rate 10 --max 150 --for 34s");
    seconds(26);
    Load::start(&leaky, "hog tasks --rate 60 --max 1000 --for 6s").finish();
    seconds(4);
    governor
}

/// A newcomer starts some, while another has had most of what there is for long.
pub(super) fn task_share(rig: &Rig) -> Daemon {
    let (large, newcomer) = (rig.container("large"), rig.container("newcomer"));
    let _small = SmallHost::with_room_for(500);
    let _many = Load::start(&large, "hog tasks --rate 2000 --max 400 --for 40s");
    seconds(2);
    let governor = rig.governor(TASKS_ONLY);
    seconds(12);
    Load::start(&newcomer, "hog tasks --rate 20 --max 1000 --for 8s").finish();
    seconds(10);
    governor
}

/// Five leak alike, so that none of them stands out.
pub(super) fn task_crowd(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let crowd = ["a", "b", "c", "d", "e"].map(|name| rig.container(name));
    let _small = SmallHost::with_room_for(900);
    let governor = rig.governor(&format!("{TASKS_ONLY}[pids]\nfloor = 16\n"));
    let _work = work(&victim, "5ms", 30);
    seconds(2);
    let leaks = crowd
        .each_ref()
        .map(|leaky| Load::start(leaky, "hog tasks --rate 15 --max 1000 --for 14s"));
    leaks.into_iter().for_each(Load::finish);
    seconds(8);
    governor
}

/// A bomb whose own limit would come too late.
pub(super) fn task_limit_higher(rig: &Rig) -> Daemon {
    let (victim, bomb) = (rig.container("victim"), rig.container("bomb"));
    let _small = SmallHost::with_room_for(1_040);
    bomb.write("pids.max", "1000");
    let governor = rig.governor(TASKS_ONLY);
    let _work = work(&victim, "5ms", 20);
    seconds(4);
    Load::start(&bomb, "forkbomb --max 1000 --for 3s").finish();
    seconds(10);
    governor
}

/// The hog stands at its limit and wants more, and there is no room for more.
pub(super) fn memory_no_room(rig: &Rig) -> Daemon {
    let (database, hog) = (rig.container("database"), rig.container("hog"));
    let large = "victim request --working-set 700MiB --pages 16 --every 100ms --for 60s";
    let _work = Load::start(&database, large);
    seconds(3);
    let short = "[detect]\nverify = \"50ms\"\n";
    let governor = rig.governor(&format!("{MEMORY_ONLY}{short}"));
    seconds(11);
    Load::start(&hog, "hog memory --rate 150MiB --max 1500MiB --for 22s").finish();
    seconds(5);
    governor
}

/// The limit on the one is tightened to its floor, while another one's small leak goes on.
pub(super) fn memory_ladder(rig: &Rig) -> Daemon {
    let (one, leak) = (rig.group("one"), rig.group("leak"));
    let short = "[memory]\nfloor = \"1280MiB\"\n[detect]\nverify = \"50ms\"\n";
    let governor = rig.governor(&format!("{MEMORY_ONLY}{short}"));
    seconds(2);
    let grows = Load::start(&one, "hog memory --rate 150MiB --max 1700MiB --for 29s");
    Load::start(&leak, "hog memory --rate 12MiB --max 500MiB --for 29s").finish();
    grows.finish();
    seconds(6);
    governor
}

/// A database, and idle containers that make the shares small.
fn crowded(rig: &Rig, database: &str) -> Load {
    for idle in ["x", "y", "z"] {
        rig.container(idle);
    }
    let large = "victim request --pages 16 --every 100ms --for 60s --working-set";
    let load = Load::start(&rig.container("database"), &format!("{large} {database}"));
    seconds(5);
    load
}

/// The hog has a limit of its own, which is above ours: the way back ends there.
pub(super) fn memory_own_limit(rig: &Rig) -> Daemon {
    let hog = rig.container("hog");
    hog.write("memory.high", "1150M");
    let _work = crowded(rig, "700MiB");
    let governor = rig.governor(&format!("{MEMORY_ONLY}[memory]\nfloor = \"900MiB\"\n"));
    seconds(11);
    Load::start(&hog, "hog memory --rate 150MiB --max 1500MiB --for 9s").finish();
    seconds(8);
    governor
}

/// The hog has a limit of its own, which is the least that the policy allows to write.
pub(super) fn memory_low_limit(rig: &Rig) -> Daemon {
    let hog = rig.container("hog");
    hog.write("memory.high", "900M");
    let _work = crowded(rig, "1000MiB");
    let governor = rig.governor(&format!("{MEMORY_ONLY}[memory]\nfloor = \"900MiB\"\n"));
    seconds(11);
    Load::start(&hog, "hog memory --rate 200MiB --max 1200MiB --for 6s").finish();
    seconds(3);
    governor
}

/// The limit stands at its floor, and the hog has no swap to begin with.
pub(super) fn memory_no_swap(rig: &Rig) -> Daemon {
    let (one, leak) = (rig.container("one"), rig.container("leak"));
    one.write("memory.swap.max", "0");
    let short = "[memory]\nfloor = \"1300MiB\"\n[detect]\nverify = \"50ms\"\n";
    let governor = rig.governor(&format!("{MEMORY_ONLY}{short}"));
    seconds(2);
    let grows = Load::start(&one, "hog memory --rate 150MiB --max 1700MiB --for 28s");
    Load::start(&leak, "hog memory --rate 12MiB --max 500MiB --for 28s").finish();
    grows.finish();
    seconds(2);
    governor
}

/// Fourteen that take turns: each is the only one to blame for a moment, and none stands out.
pub(super) fn relay_of_many(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let many: Vec<Group> = (0..14)
        .map(|n| rig.container(&format!("turn-{n}")))
        .collect();
    let governor = rig.governor("");
    let _work = heavy_victim(&victim, 16);
    let mut turns = Vec::new();
    for one in &many {
        turns.push(Load::start(
            one,
            "burst --threads 2 --on 50ms --every 700ms --for 5s",
        ));
        sleep(Duration::from_millis(50));
    }
    turns.into_iter().for_each(Load::finish);
    seconds(4);
    governor
}
