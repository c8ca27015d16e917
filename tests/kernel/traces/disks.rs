//! A disk, and who takes it.

use super::seconds;
use crate::daemon::Daemon;
use crate::load::Load;
use crate::rig::{Group, Rig};

const DISK: &str = "/dev/nullb0";

/// A read every 25 ms, each of which takes a tenth of that alone.
fn reads(group: &Group, seconds: u32) -> Load {
    Load::start(
        group,
        &format!("disk read --path {DISK} --every 25ms --for {seconds}s"),
    )
}

fn flood(group: &Group, seconds: u32) -> Load {
    Load::start(
        group,
        &format!("disk flood --path {DISK} --threads 16 --for {seconds}s"),
    )
}

pub(super) fn flooded(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.group("victim"), rig.group("hog"));
    let governor = rig.governor("");
    let _work = reads(&victim, 26);
    seconds(6);
    flood(&hog, 8).finish();
    seconds(12);
    governor
}

/// The trial release after ten seconds, twice the escape time, brings the harm back.
pub(super) fn tried_back(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.group("victim"), rig.group("hog"));
    let governor = rig.governor("[release]\nescape = \"5s\"\n");
    let _work = reads(&victim, 40);
    seconds(6);
    flood(&hog, 18).finish();
    seconds(14);
    governor
}

pub(super) fn two_floods(rig: &Rig) -> Daemon {
    let victim = rig.group("victim");
    let hogs = [rig.group("one"), rig.group("two")];
    let governor = rig.governor("");
    let _work = reads(&victim, 26);
    seconds(6);
    let floods = hogs.each_ref().map(|hog| flood(hog, 8));
    floods.into_iter().for_each(Load::finish);
    seconds(12);
    governor
}

/// The hog's own limit of operations lies above what ours will be; that of bytes lies below.
pub(super) fn own_limit(rig: &Rig) -> Daemon {
    let (victim, hog) = (rig.group("victim"), rig.group("hog"));
    let device = crate::disk::number().expect("a disk");
    hog.write("io.max", &format!("{device} rbps=999424 riops=5000"));
    let governor = rig.governor("");
    let _work = reads(&victim, 26);
    seconds(6);
    flood(&hog, 8).finish();
    seconds(12);
    governor
}

pub(super) fn alone(rig: &Rig) -> Daemon {
    let (neighbour, reader) = (rig.group("neighbour"), rig.group("reader"));
    let governor = rig.governor("");
    let _work = Load::start(
        &neighbour,
        "victim timer --work 2ms --every 100ms --for 16s",
    );
    seconds(4);
    flood(&reader, 8).finish();
    seconds(3);
    governor
}

/// Waits for its own limit, beside one that reads a lot.
pub(super) fn limited(rig: &Rig) -> Daemon {
    let (busy, limited) = (rig.group("busy"), rig.group("limited"));
    let device = crate::disk::number().expect("a disk");
    limited.write("io.max", &format!("{device} riops=100"));
    let governor = rig.governor("");
    let _work = Load::start(
        &busy,
        &format!("disk read --path {DISK} --every 5ms --for 16s"),
    );
    let _few = reads(&limited, 5);
    seconds(5);
    flood(&limited, 6).finish();
    seconds(4);
    governor
}
