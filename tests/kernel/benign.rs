//! What looks like an attack and is none: never a hard cap (`cpu.max`, `memory.high`,
//! `memory.swap.max`). Weights may move: they take nothing that somebody else does not use.

use crate::load::Load;
use crate::rig::Rig;
use crate::scene::{heavy_victim, no_hard_cap_for};
use libtest_mimic::Trial;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial("benign::a_hog_alone_on_the_host_is_left_alone", hog_alone),
        crate::trial(
            "benign::one_throttled_by_its_own_quota_makes_nobody_guilty",
            own_quota,
        ),
        crate::trial(
            "benign::one_at_its_own_quota_beside_a_busy_neighbour_makes_nobody_guilty",
            own_quota_and_neighbour,
        ),
        crate::trial("benign::bursts_of_200_ms_are_not_capped", bursts),
        crate::trial(
            "memory::benign::page_cache_warm_up_with_free_memory_is_not_capped",
            cache_warm_up,
        ),
    ]
}

fn hog_alone() {
    let rig = Rig::new("hog-alone");
    let hog = rig.group("hog");
    let _idle = rig.group("idle");
    let originals = hog.knobs();
    let _governor = rig.governor("");
    let load = Load::start(&hog, "hog cpu --threads 8 --for 10s");
    no_hard_cap_for(&rig, &[&hog], Duration::from_secs(12));
    load.finish();
    hog.must_never_have_had_a_quota();
    assert_eq!(hog.knobs(), originals, "nobody needed anything from it");
}

fn own_quota() {
    let rig = Rig::new("own-quota");
    let limited = rig.group("limited");
    let quiet = rig.group("quiet");
    limited.write("cpu.max", "20000 100000");
    let _governor = rig.governor("");
    let load = Load::start(&limited, "hog cpu --threads 4 --for 10s");
    no_hard_cap_for(&rig, &[&limited, &quiet], Duration::from_secs(12));
    load.finish();
}

fn own_quota_and_neighbour() {
    let rig = Rig::new("own-quota-busy");
    let limited = rig.group("limited");
    let busy = rig.group("busy");
    limited.write("cpu.max", "20000 100000");
    let _governor = rig.governor("");
    let neighbour = Load::start(&busy, "hog cpu --threads 1 --for 14s");
    std::thread::sleep(Duration::from_secs(2));
    let load = Load::start(&limited, "hog cpu --threads 4 --for 10s");
    no_hard_cap_for(&rig, &[&limited, &busy], Duration::from_secs(12));
    load.finish();
    neighbour.finish();
    busy.must_never_have_had_a_quota();
}

fn bursts() {
    let rig = Rig::new("bursts");
    let victim = rig.group("victim");
    let cron = rig.group("cron");
    let _governor = rig.governor("");
    let work = heavy_victim(&victim, 26);
    let load = Load::start(&cron, "burst --threads 4 --on 200ms --every 5s --for 20s");
    no_hard_cap_for(&rig, &[&victim, &cron], Duration::from_secs(21));
    load.finish();
    work.finish();
    cron.must_never_have_had_a_quota();
    victim.must_never_have_had_a_quota();
}

/// The file is larger than the cache can keep at once only if memory is short, and it is not.
const WARM_FILE_MIB: usize = 160;

fn cache_warm_up() {
    let rig = Rig::new("cachewarm");
    let reader = rig.group("reader");
    let victim = rig.group("victim");
    let file = std::path::Path::new("/data/warm");
    assert!(
        std::path::Path::new("/data").is_dir(),
        "no disk on /data: page cache needs one"
    );
    let mebibyte = vec![7_u8; 1 << 20];
    let mut out = std::fs::File::create(file).unwrap();
    for _ in 0..WARM_FILE_MIB {
        std::io::Write::write_all(&mut out, &mebibyte).unwrap();
    }
    out.sync_all().unwrap();
    std::fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
    let _governor = rig.governor("");
    let work = Load::start(&victim, "victim request --every 20ms --for 14s");
    std::thread::sleep(Duration::from_secs(3));
    let load = Load::start(&reader, &format!("cachewarm {} --for 10s", file.display()));
    no_hard_cap_for(&rig, &[&reader, &victim], Duration::from_secs(11));
    load.finish();
    work.finish();
    std::fs::remove_file(file).unwrap();
}
