//! An attack on a disk with a file system, in real time: ext4 on a slow disk (40 MB/s, 400 operations a second), on
//! `/data`. The victim appends to a file and syncs it; the hog writes into the page cache as fast as that takes it.
//!
//! Part of the campaigns on the full system: two docker containers, whose loads write from inside their cgroups. Arms are
//! interleaved in pairs, without control and governed. A pair counts only where the arm without control shows
//! the harm: the host is shared.

use crate::container::{Container, Runtime};
use crate::load::{Load, Window, now_us, sleep_until};
use crate::rig::{Group, Rig};
use crate::table;
use libtest_mimic::Trial;
use std::time::Duration;

pub(crate) fn trial() -> Trial {
    crate::trial("full::storage::docker_beside_dirty_pages", dirty_pages)
}

const HOG: &str = "disk dirty --path /data/dirty --size 256MiB";
const SECOND_US: u64 = 1_000_000;
const QUIET_US: u64 = 7 * SECOND_US;
const ATTACK_US: u64 = 15 * SECOND_US;
const GIVEN_BACK: Duration = Duration::from_secs(90);
/// An arm without control shows the harm where the p99 is so many times what it is alone.
const HARMED: f64 = 3.0;
/// So many pairs more than wanted may fail to show it.
const UNHARMED_MOST: usize = 3;

fn dirty_pages() {
    assert!(
        std::fs::exists("/data/lost+found").unwrap(),
        "this test needs an ext4 on a slow disk at /data"
    );
    let rig = Rig::new("full-storage");
    let containers = ["victim", "hog"].map(|name| Container::start(Runtime::Docker, name));
    let [victim, hog] = containers.each_ref().map(|container| &container.group);
    table::head(&[
        "attack",
        "arm",
        "alone p50 / p99 ms",
        "attacked p50 / p99 ms",
        "answered",
    ]);
    let mut ratios = Vec::new();
    let mut unharmed = 0;
    while ratios.len() < crate::full::pairs() {
        let pair = ratios.len() + unharmed + 1;
        let ungoverned = arm(victim, hog);
        ungoverned.print(&format!("no control {pair}"));
        let originals = (victim.knobs(), hog.knobs());
        let governor = rig.governor_over(&[], "");
        let governed = arm(victim, hog);
        governed.print(&format!("governed {pair}"));
        hog.must_be_given_back(&originals.1, GIVEN_BACK);
        victim.must_be_given_back(&originals.0, Duration::ZERO);
        let log = governor.log();
        assert!(governor.terminate().success(), "{log}");
        if std::env::var_os("KERNEL_SLOW").is_some() {
            println!("{log}");
        }
        if ungoverned.ratio() < HARMED {
            unharmed += 1;
            assert!(
                unharmed <= UNHARMED_MOST,
                "{unharmed} arms without control show no harm"
            );
            continue;
        }
        ratios.push(governed.ratio() / ungoverned.ratio());
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    assert!(
        median < 0.5,
        "governed the p99 is {median:.2} of what it is without control"
    );
}

struct Arm {
    alone: Window,
    attacked: Window,
}

fn arm(victim: &Group, hog: &Group) -> Arm {
    let first_due = now_us() + SECOND_US;
    let seconds = (QUIET_US + ATTACK_US) / SECOND_US;
    let work = Load::start(
        victim,
        &format!(
            "disk fsync --path /data/victim --every 100ms --for {seconds}s --start-at {first_due}"
        ),
    );
    let start = first_due + QUIET_US;
    sleep_until(start);
    let writer = Load::start(hog, &format!("{HOG} --for {}s", ATTACK_US / SECOND_US));
    let record = work.record();
    drop(writer);
    Arm {
        alone: record.window(first_due + SECOND_US, start),
        attacked: record.window(start + SECOND_US, start + ATTACK_US),
    }
}

impl Arm {
    fn ratio(&self) -> f64 {
        self.attacked.percentile(0.99).ms() / self.alone.percentile(0.99).ms()
    }

    fn print(&self, arm: &str) {
        table::row(&[
            "dirty pages".to_owned(),
            arm.to_owned(),
            table::latencies(&self.alone),
            table::latencies(&self.attacked),
            table::answered(&self.attacked),
        ]);
    }
}
