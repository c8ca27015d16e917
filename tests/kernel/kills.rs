//! SIGKILL at random moments, hundreds of times: whoever comes afterwards finds every original.
//!
//! Two campaigns. In the first a process of our own ([`hammer`]) does nothing but hold, tighten and
//! release knobs as fast as it can, so that most kills land inside a write, between a write and its
//! journal, or in the journal itself. In the second the real daemon is killed in the middle of an
//! attack. Each kill is followed by `governor restore`, or by another start and its clean end, and
//! then every knob is compared byte for byte; the originals are odd, so that no default passes for one.

use crate::daemon::{Daemon, governor, write_policy};
use crate::disk;
use crate::load::Load;
use crate::rig::{Group, Rig};
use crate::scene::odd_originals;
use crate::table;
use governor::agent::act::{Actuator, BootId, Journal, Pulser, SlowWriter, restore};
use governor::host::{Forest, KnobFiles, Limits, LinuxTree, PathHint, boot_id};
use governor::model::{
    Bytes, Change, CpuMax, GroupId, IoMax, Knob, KnobValue, Limit, Pulses, Span, Time, Weight,
};
use libtest_mimic::Trial;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "kills::a_process_killed_while_it_writes_knobs_leaves_nothing_behind",
            hammered,
        ),
        crate::trial(
            "kills::a_daemon_killed_in_an_attack_leaves_nothing_behind",
            attacked,
        ),
    ]
}

/// `KERNEL_KILLS=N`: how many kills a campaign has.
fn kills() -> u32 {
    std::env::var("KERNEL_KILLS").map_or(20, |n| n.parse().expect("KERNEL_KILLS"))
}

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a campaign has seen, for its table.
#[derive(Default)]
struct Tally {
    kills: u32,
    /// Kills that left a limit in some knob.
    held: u32,
    by_restore: u32,
    by_start: u32,
    /// Every knob that a kill left behind with our value, and how often.
    knobs: std::collections::BTreeMap<&'static str, u32>,
}

type Knobs = Vec<(&'static str, Vec<u8>)>;

impl Tally {
    /// Looks at what a kill left.
    fn killed(&mut self, groups: &[Group], originals: &[Knobs]) {
        self.kills += 1;
        let mut any = false;
        for (group, original) in groups.iter().zip(originals) {
            for (now, before) in group.knobs().iter().zip(original) {
                if now != before {
                    any = true;
                    *self.knobs.entry(now.0).or_default() += 1;
                }
            }
        }
        self.held += u32::from(any);
    }

    fn print(&self, campaign: &str) {
        table::head(&[
            "campaign",
            "SIGKILLs",
            "left a limit",
            "then `governor restore`",
            "then another start",
            "not byte for byte the original",
            "knobs that were left",
        ]);
        let knobs: Vec<String> = self.knobs.iter().map(|(k, n)| format!("{k} {n}")).collect();
        table::row(&[
            campaign.to_owned(),
            self.kills.to_string(),
            self.held.to_string(),
            self.by_restore.to_string(),
            self.by_start.to_string(),
            "0".to_owned(),
            knobs.join(", "),
        ]);
    }

    /// A campaign in which hardly any kill left a limit would prove nothing.
    fn must_have_bitten(&self) {
        assert!(
            self.held * 2 >= self.kills,
            "only {} of {} kills left a limit behind",
            self.held,
            self.kills
        );
    }
}

fn all_knobs(groups: &[Group]) -> Vec<Knobs> {
    groups.iter().map(Group::knobs).collect()
}

/// Byte for byte, now.
fn must_be_back(groups: &[Group], originals: &[Knobs]) {
    for (group, original) in groups.iter().zip(originals) {
        group.must_be_given_back(original, Duration::ZERO);
    }
}

fn restore_by_hand(work: &Path) {
    let output = governor(work, &["restore"]);
    assert!(
        output.status.success(),
        "governor restore: {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn hammered() {
    let rig = Rig::new("hammered");
    let groups = [rig.group("odd"), rig.group("idle"), rig.group("plain")];
    odd_originals(&groups[0]);
    groups[1].write("cpu.idle", "1");
    groups[1].write("memory.swap.max", "4096");
    write_policy(rig.work(), &[&format!("{}/*", rig.path())], "");
    let originals = all_knobs(&groups);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut tally = Tally::default();
    // These kills cost 20 ms each: ten times as many.
    for round in 0..10 * kills() {
        let mut hammer = Hammer::start(rig.work(), &groups, dice.roll(u64::MAX));
        std::thread::sleep(Duration::from_micros(200 + dice.roll(20_000)));
        hammer.kill();
        tally.killed(&groups, &originals);
        if round % 2 == 0 {
            restore_by_hand(rig.work());
            tally.by_restore += 1;
        } else {
            Hammer::start_and_end(rig.work(), &groups);
            tally.by_start += 1;
        }
        must_be_back(&groups, &originals);
    }
    tally.print("hammer");
    tally.must_have_bitten();
}

fn attacked() {
    let rig = Rig::new("attacked");
    // Beside the victim the hog's lever is its weight (and idle, where the policy allows it, with the
    // victim's own weight); the other hog shares its slice with a bystander: the weights of both reach it,
    // or, where the bystander is protected, only a quota.
    let groups = [
        rig.group("hog"),
        rig.group("other/hog"),
        // One with nobody in it would not be in the way.
        rig.container("other/bystander"),
        rig.group("victim"),
    ];
    odd_originals(&groups[0]);
    odd_originals(&groups[1]);
    let containers = ["hog", "victim", "other/*"].map(|name| format!("{}/{name}", rig.path()));
    let containers = containers.each_ref().map(String::as_str);
    let originals = all_knobs(&groups);
    let forever = "for 3600s";
    let _victim = Load::start(
        &groups[3],
        // Less than its fair share, so that it is a victim without a history of quiet.
        &format!("victim timer --work 15ms --every 50ms --{forever}"),
    );
    let _hogs = [0, 1]
        .map(|at: usize| Load::start(&groups[at], &format!("hog cpu --threads 8 --{forever}")));
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut tally = Tally::default();
    for round in 0..kills() {
        let idle = round % 4 >= 2;
        let mut policy = format!("[cpu]\nidle = {idle}\n");
        if round % 8 >= 4 {
            let path = format!("{}/other/bystander", rig.path());
            policy.push_str(&format!("[[protect]]\npath = \"{path}\"\n"));
        }
        let daemon = Daemon::start(rig.work(), &containers, &policy);
        // From before the first look at the tree to well into a hold.
        std::thread::sleep(Duration::from_millis(dice.roll(5_000)));
        daemon.kill();
        tally.killed(&groups, &originals);
        if round % 2 == 0 {
            restore_by_hand(rig.work());
            tally.by_restore += 1;
        } else {
            let status = Daemon::start_again(rig.work()).terminate();
            assert!(status.success(), "governor run after a crash: {status}");
            tally.by_start += 1;
        }
        must_be_back(&groups, &originals);
    }
    tally.print("attack");
    tally.must_have_bitten();
}

/// A process that holds and releases without pause.
struct Hammer(Child);

impl Hammer {
    /// Starts it, and returns when it has begun.
    fn start(work: &Path, groups: &[Group], seed: u64) -> Hammer {
        let child = Hammer::spawn(work, groups, &seed.to_string());
        let ready = work.join("hammering");
        let end = Instant::now() + Duration::from_secs(10);
        while !ready.exists() {
            assert!(Instant::now() < end, "the hammer does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::fs::remove_file(ready).unwrap();
        Hammer(child)
    }

    /// Starts it, lets it give back what an earlier one left, and waits for its clean end.
    fn start_and_end(work: &Path, groups: &[Group]) {
        let status = Hammer::spawn(work, groups, "end").wait().unwrap();
        assert!(status.success(), "the hammer ended with {status}");
    }

    fn spawn(work: &Path, groups: &[Group], seed: &str) -> Child {
        let this = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/init"));
        Command::new(this)
            .arg("hammer")
            .arg(work)
            .arg(seed)
            .args(groups.iter().map(Group::dir))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("start the hammer: {e}"))
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// `kernel hammer WORK SEED|end GROUP...`: what [`Hammer`] starts.
pub(crate) fn hammer() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let work = PathBuf::from(arguments.next().expect("WORK"));
    let seed = arguments.next().expect("SEED");
    let seed: Option<u64> = seed.to_str().and_then(|seed| seed.parse().ok());
    let boot = BootId::parse(&boot_id().unwrap()).unwrap();
    let root = Path::new(crate::rig::ROOT);
    let mut files = Forest::new(LinuxTree::open(root).unwrap(), Limits::default());
    let (mut journal, found) = Journal::open(&work, boot).unwrap();
    let report = restore(&mut journal, found, &mut files);
    let groups: Vec<GroupId> = arguments
        .map(|dir| {
            let dir = PathBuf::from(dir);
            let group = GroupId(std::fs::metadata(&dir).unwrap().ino());
            let path = Path::new("/").join(dir.strip_prefix(root).unwrap());
            let path = path.as_os_str().as_encoded_bytes();
            files.adopt(group, PathHint::Whole(path)).unwrap();
            group
        })
        .collect();
    assert_eq!(report.failed(), 0, "{report}");
    let page = Bytes(rustix::param::page_size() as u64);
    let (writer, pulser) = (SlowWriter::start().unwrap(), Pulser::start().unwrap());
    let mut act = Actuator::enforcing(page, journal, report.left(), writer, pulser);
    let Some(seed) = seed else {
        return ExitCode::SUCCESS;
    };
    std::fs::write(work.join("hammering"), "").unwrap();
    let on_device = disk::number().map(Knob::IoMax);
    let mut dice = Dice(seed | 1);
    let mut out = Vec::with_capacity(1_000);
    for step in 0.. {
        let group = groups[dice.roll(groups.len() as u64) as usize];
        let now = Time(step * 1_000);
        act.apply(&any_change(&mut dice, group, on_device), now, &mut files);
        act.poll(&mut files, &mut out);
        if step % 16 == 0 {
            act.check(&mut files, &mut out);
        }
        out.clear();
    }
    ExitCode::FAILURE
}

/// Three holds for every release.
fn any_change(dice: &mut Dice, group: GroupId, on_device: Option<Knob>) -> Change {
    let all: Vec<Knob> = Knob::FILES.into_iter().chain(on_device).collect();
    let knob = all[dice.roll(all.len() as u64) as usize];
    let value = match knob {
        Knob::CgroupFreeze => KnobValue::Pulses(Pulses {
            thawed: Span::from_millis(1 + dice.roll(10)),
            period: Span::from_millis(20),
        }),
        Knob::CpuIdle => KnobValue::Idle(dice.roll(2) == 0),
        Knob::CpuWeight => KnobValue::Weight(Weight::nearest(1.0 + dice.roll(30) as f64)),
        Knob::CpuMax | Knob::CpuMaxBurst => KnobValue::CpuMax(CpuMax {
            quota: Limit::At(Span(5_000 + dice.roll(20) * 1_000)),
            period: Span(100_000),
        }),
        Knob::MemoryHigh | Knob::MemorySwapMax => {
            KnobValue::Bytes(Limit::At(Bytes((64 << 20) + dice.roll(1 << 20))))
        }
        Knob::PidsMax => KnobValue::Tasks(Limit::At(100 + dice.roll(1_000))),
        Knob::IoMax(device) => {
            let max = IoMax {
                riops: Limit::At(10 + dice.roll(1_000)),
                ..IoMax::NONE
            };
            KnobValue::IoMax(device, max)
        }
    };
    let knob = match knob {
        // The burst is never held for itself.
        Knob::CpuMaxBurst => Knob::CpuMax,
        knob => knob,
    };
    if dice.roll(4) == 0 {
        return Change::Release { group, knob };
    }
    Change::Hold {
        group,
        knob,
        value,
        aggressor: group,
        lease: Span::from_secs(10),
    }
}
