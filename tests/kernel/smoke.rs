//! What the commands say on a real kernel when no daemon runs.

use crate::daemon::{governor, write_policy};
use crate::load::Load;
use crate::rig::Rig;
use governor::model::Status;
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "smoke::status_without_a_daemon_takes_one_sample_and_says_so",
            direct_status,
        ),
        crate::trial("smoke::doctor_can_govern_a_lab_kernel", doctor),
        crate::trial(
            "smoke::restore_with_nothing_held_and_no_daemon_succeeds",
            idle_restore,
        ),
    ]
}

fn direct_status() {
    let rig = Rig::new("direct");
    let busy = rig.group("busy");
    let _quiet = rig.container("quiet");
    let _vacant = rig.group("vacant");
    write_policy(rig.work(), &[&format!("{}/*", rig.path())], "");
    let load = Load::start(&busy, "hog cpu --threads 1 --for 3s");
    let answer = governor(rig.work(), &["status", "--json"]);
    assert!(answer.status.success(), "{answer:?}");
    let status: Status = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(status.header.source, "direct sample");
    let of = |name: &str| {
        let path = format!("{}/{name}", rig.path());
        let found = status.containers.iter().find(|one| one.path == path);
        found.unwrap_or_else(|| panic!("no {path} in {status:#?}"))
    };
    assert!(of("busy").cpu.expect("its CPU use") > 0.5);
    assert!(of("quiet").cpu.expect("its CPU use") < 0.1);
    let all = status.containers.iter();
    let nobodys = all.filter(|one| one.path.ends_with("/vacant"));
    assert_eq!(
        nobodys.count(),
        0,
        "where nobody is, there is nothing to tell"
    );
    load.finish();
}

fn doctor() {
    let rig = Rig::new("doctor");
    write_policy(rig.work(), &[], "");
    let answer = governor(rig.work(), &["doctor"]);
    let said = String::from_utf8_lossy(&answer.stdout);
    // 6: something is degraded, which on so bare a machine is true.
    assert!(
        matches!(answer.status.code(), Some(0 | 6)),
        "{said}{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    assert!(said.contains("PSI") || said.contains("pressure"), "{said}");
}

fn idle_restore() {
    let rig = Rig::new("idle-restore");
    let group = rig.group("container");
    let originals = group.knobs();
    write_policy(rig.work(), &[], "");
    let answer = governor(rig.work(), &["restore"]);
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(group.knobs(), originals);
}
