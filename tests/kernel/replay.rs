//! What the real daemon recorded of itself, replayed by the same binary on the same kernel: every decision
//! must come out again byte for byte, in attacks and in what only looks like one.

use crate::load::program;
use crate::rig::Rig;
use crate::scene::{heavy_victim, held_hog};
use crate::{table, traces};
use governor::model::Replayed;
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Attacks and benign loads in turns: `KERNEL_RUNS` of them are played, ten in the full form.
const SCENES: [&str; 10] = [
    "hog",
    "alone",
    "cap",
    "cron-bursts",
    "two-hogs",
    "own-quota",
    "memory-runaway",
    "reload",
    "idle-rung",
    "repeat-offender",
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "replay::a_live_recording_decides_byte_for_byte_as_it_did",
            live_recordings,
        ),
        crate::trial(
            "replay::what_a_client_records_and_what_an_incident_leaves_are_replayed_too",
            clients_and_incidents,
        ),
    ]
}

/// What `governor replay` says of these files, in the form for programs; its last line is the end.
fn replay(files: &[PathBuf]) -> (String, Replayed) {
    let output = Command::new(program("governor"))
        .args(["replay", "--json"])
        .args(files)
        .output()
        .unwrap_or_else(|e| panic!("governor replay: {e}"));
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{files:?}: {complaint}{said}");
    let end = said.lines().last().unwrap_or_default();
    let end = serde_json::from_str(end).unwrap_or_else(|e| panic!("{e}: {end}\n{complaint}"));
    (said, end)
}

/// The traces in a folder.
fn traces_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("nothing was written to {}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn record(rig: &Rig, out: &Path, more: &[&str]) -> Child {
    Command::new(program("governor"))
        .args(["record", "--for", "12s", "--out"])
        .arg(out)
        .args(more)
        .arg("--config")
        .arg(rig.work().join("etc/governor.toml"))
        .spawn()
        .unwrap_or_else(|e| panic!("governor record: {e}"))
}

fn clients_and_incidents() {
    let rig = Rig::new("record");
    let [plain, hashed, incidents] = ["plain", "hashed", "incidents"].map(|of| rig.work().join(of));
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    let policy = format!("[record]\nincidents = \"{}\"\n", incidents.display());
    let governor = rig.governor(&policy);
    let clients = [
        record(&rig, &plain, &[]),
        record(&rig, &hashed, &["--hash-names"]),
    ];
    let work = heavy_victim(&victim, 14);
    let spinners = held_hog(&hog, 4);
    spinners.finish();
    for mut client in clients {
        assert!(client.wait().unwrap().success(), "{}", governor.log());
    }
    work.finish();
    assert!(governor.terminate().success());
    for (folder, names) in [(&plain, true), (&hashed, false), (&incidents, true)] {
        let files = traces_in(folder);
        assert_eq!(files.len(), 1, "{files:?}");
        let (said, end) = replay(&files);
        assert!(end.agreement.is_identical(), "{folder:?}: {end:#?}");
        assert!(said.contains("tightened"), "{folder:?}: {said}");
        assert_eq!(said.contains("/hog"), names, "{folder:?}: {said}");
    }
}

fn live_recordings() {
    let runs: usize = std::env::var("KERNEL_RUNS").map_or(2, |n| n.parse().expect("KERNEL_RUNS"));
    table::head(&[
        "recording",
        "ticks",
        "decisions compared",
        "of them busy",
        "checkpoints",
        "different",
    ]);
    let mut busy = 0;
    let mut broken = Vec::new();
    for name in SCENES.into_iter().take(runs) {
        let rig = Rig::new(name);
        let daemon = traces::play(name, &rig);
        assert!(daemon.terminate().success());
        let (_, replayed) = replay(&traces::segments(rig.work()));
        let agreement = &replayed.agreement;
        let different = agreement.different + agreement.checkpoints_different;
        table::row(&[
            name.to_owned(),
            replayed.extent.ticks.to_string(),
            agreement.compared.to_string(),
            agreement.busy.to_string(),
            agreement.checkpoints.to_string(),
            different.to_string(),
        ]);
        busy += agreement.busy;
        let whole = agreement.compared == replayed.extent.ticks && replayed.extent.damaged == 0;
        if !(whole && agreement.is_identical()) {
            broken.push(format!("{name}: {replayed:#?}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(busy > 0, "nothing was ever decided: nothing is proved");
}
