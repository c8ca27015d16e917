//! What looks like an attack and is none.

use super::{seconds, spin, work};
use crate::daemon::Daemon;
use crate::load::Load;
use crate::pids::SmallHost;
use crate::rig::{Group, Rig};
use crate::scene::heavy_victim;

/// One grows, another is large, and there is memory for both.
pub(super) fn memory_with_room(rig: &Rig) -> Daemon {
    let (database, build) = (rig.container("database"), rig.container("build"));
    let large = "victim request --working-set 600MiB --pages 16 --every 100ms --for 30s";
    let _work = Load::start(&database, large);
    let governor = rig.governor("[cpu]\nenforce = false\n");
    seconds(4);
    Load::start(&build, "hog memory --rate 90MiB --max 500MiB --for 8s").finish();
    seconds(2);
    governor
}

/// A bomb that its own limit stops long before the slice runs out.
pub(super) fn own_task_limit(rig: &Rig) -> Daemon {
    let (victim, bomb) = (rig.container("victim"), rig.container("bomb"));
    let _small = SmallHost::with_room_for(3_000);
    bomb.write("pids.max", "200");
    let governor = rig.governor("[cpu]\nenforce = false\n");
    let _work = work(&victim, "5ms", 12);
    seconds(3);
    Load::start(&bomb, "forkbomb --max 200 --for 4s").finish();
    seconds(3);
    governor
}

/// A server that starts a hundred threads at once.
pub(super) fn many_threads(rig: &Rig) -> Daemon {
    let (victim, server) = (rig.container("victim"), rig.container("server"));
    let governor = rig.governor("");
    let _work = work(&victim, "5ms", 12);
    seconds(3);
    Load::start(&server, "hog tasks --rate 2000 --max 100 --for 5s").finish();
    seconds(2);
    governor
}

pub(super) fn crowd(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let crowd = ["a", "b", "c", "d", "e", "f"].map(|name| rig.container(name));
    let governor = rig.governor("");
    let _work = heavy_victim(&victim, 14);
    let spinners = crowd.each_ref().map(|one| spin(one, 1, 4_000));
    spinners.into_iter().for_each(Load::finish);
    seconds(5);
    governor
}

pub(super) fn alone(rig: &Rig) -> Daemon {
    let hog = rig.container("hog");
    rig.container("idle");
    let governor = rig.governor("");
    seconds(2);
    spin(&hog, 8, 8_000).finish();
    seconds(2);
    governor
}

pub(super) fn own_quota(rig: &Rig) -> Daemon {
    let (limited, busy) = (rig.container("limited"), rig.container("busy"));
    limited.write("cpu.max", "20000 100000");
    let governor = rig.governor("");
    let _neighbour = work(&busy, "20ms", 14);
    seconds(3);
    spin(&limited, 4, 8_000).finish();
    seconds(2);
    governor
}

pub(super) fn cron_bursts(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let cron = rig.container("cron");
    let governor = rig.governor("");
    let _work = heavy_victim(&victim, 26);
    Load::start(&cron, "burst --threads 4 --on 200ms --every 5s --for 15s").finish();
    seconds(6);
    governor
}

/// Compilers: many short, busy processes, three quarters of the time.
pub(super) fn make_j(rig: &Rig) -> Daemon {
    let web = rig.container("web");
    let build = rig.container("build");
    let governor = rig.governor("");
    let _work = work(&web, "10ms", 24);
    seconds(4);
    Load::start(
        &build,
        "burst --threads 6 --on 450ms --every 600ms --for 8s",
    )
    .finish();
    seconds(8);
    governor
}

/// Two that are known to need what they take, and more than half of the host together.
pub(super) fn neighbours(rig: &Rig) -> Daemon {
    let (one, two) = (rig.container("one"), rig.container("two"));
    let governor = rig.governor("");
    let _one = work(&one, "22ms", 14);
    let _two = work(&two, "20ms", 14);
    seconds(15);
    governor
}

pub(super) fn start_storm(rig: &Rig) -> Daemon {
    let victim = rig.container("victim");
    let governor = rig.governor("");
    let _work = work(&victim, "10ms", 16);
    seconds(4);
    let storm: Vec<Group> = (0..8).map(|n| rig.group(&format!("new-{n}"))).collect();
    let starts: Vec<Load> = storm.iter().map(|new| spin(new, 2, 300)).collect();
    starts.into_iter().for_each(Load::finish);
    seconds(9);
    governor
}

/// Two containers of one pod, and nobody else.
pub(super) fn same_pod(rig: &Rig) -> Daemon {
    let pod = "kubepods.slice/kubepods-pod3c.slice/cri-containerd-";
    let (hog, sidecar) = (
        rig.container(&format!("{pod}aaaaaaaaaaaaaaaa.scope")),
        rig.container(&format!("{pod}bbbbbbbbbbbbbbbb.scope")),
    );
    let governor = rig.governor_over(&[], "");
    let _work = heavy_victim(&sidecar, 12);
    spin(&hog, 8, 4_000).finish();
    seconds(3);
    governor
}

/// One that nobody could help works off what has waited, and somebody small waits for it.
pub(super) fn catches_up(rig: &Rig) -> Daemon {
    let (victim, small, hog) = (
        rig.container("victim"),
        rig.container("small"),
        rig.container("hog"),
    );
    let policy = format!("[[protect]]\npath = \"{}/hog\"\n", rig.path());
    let governor = rig.governor(&policy);
    let _work = work(&victim, "30ms", 20);
    seconds(4);
    let _small = work(&small, "4ms", 16);
    seconds(3);
    spin(&hog, 4, 3_000).finish();
    seconds(8);
    governor
}

/// Memory is short, and one stalls for the sake of its own limit.
pub(super) fn at_own_limit(rig: &Rig) -> Daemon {
    let (database, limited) = (rig.container("database"), rig.container("limited"));
    limited.write("memory.high", "40M");
    let large = "victim request --working-set 1500MiB --pages 16 --every 100ms --for 60s";
    let _work = Load::start(&database, large);
    seconds(6);
    let governor = rig.governor("[cpu]\nenforce = false\n");
    seconds(3);
    let _waits = Load::start(&limited, "hog memory --rate 20MiB --max 60MiB --for 8s");
    seconds(9);
    governor
}
