//! Other writers during an intervention: what the policy names comes of it, and the right value stands in
//! the end.
//!
//! The right value is always the newest that somebody else wanted: what would stand there if the governor had
//! never been. On the virtual clock a hand and a rewriter write; on the full system (`KERNEL_RIG=full`)
//! so do `systemctl daemon-reload` and `docker update`, and `systemctl show` of the scope is the same afterwards
//! as if there had been no governor.

use crate::container::{Container, Runtime, keep_quotas_on, systemctl};
use crate::daemon::{Daemon, governor};
use crate::load::{Load, now_us};
use crate::rig::{Group, ROOT, Rig};
use crate::scene::{heavy_victim, held_hog, odd_originals};
use crate::table;
use governor::model::LimitView;
use libtest_mimic::Trial;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        crate::trial(
            "writers::with_yield_a_hand_edit_is_the_new_original_and_the_harm_is_answered_anew",
            yields,
        ),
        crate::trial(
            "writers::with_reassert_a_hand_edit_goes_back_in_the_end_also_after_a_crash",
            reasserts,
        ),
        crate::trial("writers::with_alert_a_hand_edit_stands_and_is_told", alerts),
        crate::trial("writers::a_revert_is_set_again_in_every_policy", reverted),
        crate::trial(
            "writers::a_rewriter_has_its_value_in_the_end_in_every_policy",
            rewritten,
        ),
        crate::trial(
            "writers::a_write_by_another_process_raises_inotify_on_the_knob_and_a_read_does_not",
            told_by_inotify,
        ),
    ]
}

/// The campaign; `KERNEL_RUNS` runs of each writer.
pub(crate) fn full_trials() -> Vec<Trial> {
    vec![crate::trial(
        "full::writers::whoever_writes_what_the_policy_names_comes_of_it",
        campaign,
    )]
}

const KNOB: &str = "cpu.weight";
const POLICIES: [&str; 3] = ["yield", "reassert", "alert"];
/// One that was exonerated several times is not held again for up to eight seconds.
const PATIENCE: Duration = Duration::from_secs(40);
const GIVEN_BACK: Duration = Duration::from_secs(30);
/// What somebody else writes: between our values and the originals.
const THEIRS: &str = "60";

/// A policy that gives back soon, so that a run is short.
fn policy(others: &str) -> String {
    format!(
        "[detect]\nexonerate = \"2s\"\n\
         [release]\nquiet = \"100ms\"\nhold = \"100ms\"\nhold_max = \"200ms\"\nstep = \"50ms\"\n\
         others = \"{others}\"\n"
    )
}

fn wait_until(what: &str, governor: &Daemon, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(
            Instant::now() < end,
            "not within {PATIENCE:?}: {what}; it said:\n{}",
            governor.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The limit on this group's weight, as the governor tells it.
fn limit(governor: &Daemon, group: &Group) -> Option<LimitView> {
    let dir = group.dir().display().to_string();
    let mut limits = governor.status().limits.into_iter();
    limits.find(|one| one.knob == KNOB && dir.ends_with(&one.lever))
}

/// Whether it is held, and this goes back in the end.
fn is_held_over(governor: &Daemon, group: &Group, original: &str) -> bool {
    // To ask costs the guest more than all else here: not as long as the file says enough.
    group.read(KNOB).trim() != original
        && limit(governor, group)
            .is_some_and(|limit| limit.original == original && group.read(KNOB).trim() == limit.now)
}

/// A rig with a victim and a hog of odd originals, held under this policy.
struct Held {
    governor: Daemon,
    victim: Load,
    hog: Group,
    spinners: Load,
    rig: Rig,
}

fn held(name: &str, others: &str) -> Held {
    let rig = Rig::new(name);
    let victim = rig.group("victim");
    let hog = rig.group("hog");
    odd_originals(&hog);
    hog.write(KNOB, "137");
    let governor = rig.governor(&policy(others));
    let victim = heavy_victim(&victim, 90);
    let spinners = held_hog(&hog, 80);
    wait_until("it is told as held", &governor, || {
        is_held_over(&governor, &hog, "137")
    });
    Held {
        governor,
        victim,
        hog,
        spinners,
        rig,
    }
}

impl Held {
    /// The attack ends, and everything is as before but for this weight.
    fn ends_with(self, weight: &str) {
        drop(self.spinners);
        let originals = with_weight(&self.hog.knobs(), weight);
        self.hog.must_be_given_back(&originals, GIVEN_BACK);
        assert!(self.governor.terminate().success());
        self.hog.must_be_given_back(&originals, Duration::ZERO);
        drop(self.victim);
        drop(self.rig);
    }
}

fn yields() {
    let held = held("yields", "yield");
    held.hog.write(KNOB, THEIRS);
    wait_until("it is held over the new original", &held.governor, || {
        is_held_over(&held.governor, &held.hog, THEIRS)
    });
    assert!(held.governor.log().contains("drift"), "and it is told");
    held.ends_with(THEIRS);
}

fn reasserts() {
    let held = held("reasserts", "reassert");
    held.hog.write(KNOB, THEIRS);
    wait_until("ours stands over the new original", &held.governor, || {
        is_held_over(&held.governor, &held.hog, THEIRS)
    });
    assert!(
        !held.governor.log().contains("drift"),
        "the limit never ended"
    );
    held.governor.kill();
    assert_ne!(
        held.hog.read(KNOB).trim(),
        THEIRS,
        "killed while it is held"
    );
    let restored = governor(held.rig.work(), &["restore"]);
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(held.hog.read(KNOB).trim(), THEIRS);
}

fn alerts() {
    let held = held("alerts", "alert");
    held.hog.write(KNOB, THEIRS);
    wait_until("it is told", &held.governor, || {
        held.governor.log().contains("drift")
    });
    assert_eq!(held.hog.read(KNOB).trim(), THEIRS, "and stands");
    held.ends_with(THEIRS);
}

fn reverted() {
    for others in POLICIES {
        let held = held("reverted", others);
        held.hog.write(KNOB, "137");
        wait_until("ours stands again", &held.governor, || {
            is_held_over(&held.governor, &held.hog, "137")
        });
        assert!(!held.governor.log().contains("drift"), "{others}");
        held.ends_with("137");
    }
}

/// A program that writes one value again and again, as kubelet does; from the root's own cgroup.
fn rewriter(group: &Group, text: &str, every: Duration, seconds: u32) -> Load {
    let file = group.dir().join(KNOB);
    let what = format!(
        "rewriter --file {} --text {text} --every {}ms --for {seconds}s",
        file.display(),
        every.as_millis()
    );
    Load::start(&Group::at(ROOT.into()), &what)
}

fn rewritten() {
    for others in POLICIES {
        let held = held("rewritten", others);
        rewriter(&held.hog, THEIRS, Duration::from_millis(300), 10).finish();
        held.governor.status();
        held.ends_with(THEIRS);
    }
}

/// The fact by which the daemon sees other writers at once. A reader that is told of what it reads itself
/// would never sleep.
fn told_by_inotify() {
    use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
    let rig = Rig::new("inotify");
    let group = rig.group("a");
    let beside = rig.group("b");
    let inotify = init(CreateFlags::NONBLOCK).unwrap();
    let knobs = ["cpu.weight", "cpu.max", "memory.high", "pids.max"];
    for knob in knobs {
        add_watch(&inotify, group.dir().join(knob), WatchFlags::MODIFY).unwrap();
    }
    let told = || {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&inotify, &mut buffer);
        let mut count = 0;
        while let Ok(event) = reader.next() {
            assert!(event.events().contains(ReadFlags::MODIFY));
            count += 1;
        }
        count
    };
    assert_eq!(told(), 0);
    for knob in knobs {
        group.read(knob);
        beside.write(knob, "5000");
    }
    assert_eq!(told(), 0, "neither a read nor a write elsewhere is told");
    for knob in knobs {
        let file = group.dir().join(knob);
        let what = format!("rewriter --file {} --text 7000 --for 0s", file.display());
        Load::start(&beside, &what).finish();
        assert_eq!(told(), 1, "{knob}");
    }
}

/// Who writes in the campaign, in the order of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    DaemonReload,
    Update,
    Hand,
    Kubelet,
}

const WRITERS: [(Writer, &str); 4] = [
    (Writer::DaemonReload, "systemctl daemon-reload"),
    (Writer::Update, "docker update --cpu-shares"),
    (Writer::Hand, "a hand edit"),
    (Writer::Kubelet, "a rewriter, every 400 ms"),
];

/// CPU shares that docker writes in turns.
const SHARES: [&str; 2] = ["1500", "2500"];

/// So many runs with this policy: all with the default, fewer with the others.
fn runs_of(others: &str, runs: usize) -> usize {
    match others {
        "yield" => runs,
        _ => runs.div_ceil(10),
    }
}

fn campaign() {
    keep_quotas_on();
    let runs: usize = std::env::var("KERNEL_RUNS").map_or(1, |n| n.parse().expect("KERNEL_RUNS"));
    let victim = Container::start(Runtime::Docker, "victim");
    let hog = Container::start(Runtime::Docker, "hog");
    let before = hog.group.knobs();
    let mut hog = Known { hog, before };
    let work = Load::start(
        &victim.group,
        &format!(
            "victim timer --work 10ms --every 50ms --threads 2 --for 4h --start-at {}",
            now_us() + 1_000_000
        ),
    );
    std::thread::sleep(Duration::from_secs(8));
    table::head(&[
        "policy",
        "who writes cpu.weight of the held container",
        "as the policy names",
        "right value and same `systemctl show` after the last one",
        "theirs stood at first, p50 / max ms",
    ]);
    for others in POLICIES {
        let rig = Rig::new(&format!("full-writers-{others}"));
        // The services of the host are victims too, and the victim must not be held for them.
        let spared = victim.path();
        // And the hog, who attacks again and again, must not be taken for one who needs that, or be capped.
        let due = "[cpu]\ndemand_max = \"10%\"\ncap = false\n";
        let policy = format!("{}{due}[[protect]]\npath = \"{spared}\"\n", policy(others));
        let governor = rig.governor_over(&[], &policy);
        let mut stood = WRITERS.map(|_| Vec::new());
        let mut ended = WRITERS.map(|_| 0);
        for run in 0..runs_of(others, runs) {
            // Each comes first, and last, as often as the others.
            let order = (0..WRITERS.len()).map(|at| (at + run) % WRITERS.len());
            let last = one_run(&governor, &rig, &mut hog, others, run, order, &mut stood);
            ended[last] += 1;
        }
        for (at, (writer, name)) in WRITERS.into_iter().enumerate() {
            let count = stood[at].len();
            assert!(count > 0, "{others}: {name} met nobody who was held");
            stood[at].sort();
            let ms = |at: usize, rank: usize| format!("{:.0}", stood[at][rank].as_secs_f64() * 1e3);
            let stands = others == "alert" && writer != Writer::DaemonReload;
            table::row(&[
                others.to_owned(),
                name.to_owned(),
                format!("{count} of {count}"),
                format!("{0} of {0}", ended[at]),
                if stands {
                    "on".to_owned()
                } else {
                    format!("{} / {}", ms(at, count / 2), ms(at, count - 1))
                },
            ]);
        }
        assert!(governor.terminate().success());
    }
    drop(work);
}

/// What stands in a knob, from the first look to the last, and since when.
struct Watched {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Instant, String)>>,
}

impl Watched {
    fn start(group: &Group) -> Watched {
        let end = Arc::new(AtomicBool::new(false));
        let (group, ends) = (group.clone(), Arc::clone(&end));
        let look = move || group.read(KNOB).trim().to_owned();
        // The first look is before anybody writes, however late the thread begins.
        let mut seen = vec![(Instant::now(), look())];
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let text = look();
                if seen.last().is_none_or(|(_, last)| *last != text) {
                    seen.push((Instant::now(), text));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        Watched { end, thread }
    }

    /// What stood before this text was first there, and how long it did; nothing, and no time, where it was never seen.
    fn first(self, text: &str) -> (String, Duration) {
        self.end.store(true, Ordering::Relaxed);
        let seen = self.thread.join().unwrap();
        let Some(at) = seen.iter().skip(1).position(|(_, now)| now == text) else {
            return (String::new(), Duration::ZERO);
        };
        let (since, _) = &seen[at + 1];
        let until = seen.get(at + 2).map_or(*since, |(until, _)| *until);
        (seen[at].1.clone(), until - *since)
    }
}

/// The knobs of a group, and what stands in them.
type Knobs = Vec<(&'static str, Vec<u8>)>;

/// One that attacks again and again, and what its knobs are as long as nobody holds it.
struct Known {
    hog: Container,
    before: Knobs,
}

fn with_weight(knobs: &[(&'static str, Vec<u8>)], weight: &str) -> Knobs {
    let mut knobs = knobs.to_vec();
    for (knob, text) in &mut knobs {
        if *knob == KNOB {
            *text = format!("{weight}\n").into_bytes();
        }
    }
    knobs
}

fn weight_in(knobs: &[(&'static str, Vec<u8>)]) -> String {
    let mut knobs = knobs.iter();
    let (_, text) = knobs.find(|(knob, _)| *knob == KNOB).expect("a weight");
    String::from_utf8_lossy(text).trim().to_owned()
}

/// One attack, met by all writers in this order, on one whose knobs shall be as they were `before` in the end, but for the weight.
/// (They are not read anew: one that is found to be an aggressor in the last moment of an attack may be held for a moment after it.)
/// How long the value of each stood is added, and the last one told.
fn one_run(
    governor: &Daemon,
    rig: &Rig,
    known: &mut Known,
    others: &str,
    run: usize,
    order: impl Iterator<Item = usize>,
    stood: &mut [Vec<Duration>; WRITERS.len()],
) -> usize {
    let Known { hog, before } = known;
    let group = &hog.group;
    let spinners = Load::start(group, "hog cpu --threads 8 --for 300s");
    let mut original = weight_in(before);
    let (mut expected, mut last, mut goes_on) = (Vec::new(), 0, false);
    for at in order {
        wait_until("it is held", governor, || {
            is_held_over(governor, group, &original)
        });
        let told = governor.log().len();
        let watched = Watched::start(group);
        let (theirs, rewrites) = write(WRITERS[at].0, hog, run);
        let mut is_met = true;
        if others == "alert" && theirs != original {
            let is_told = || governor.log()[told..].contains("drift");
            wait_until("it is told, or was not held", governor, || {
                is_told() || is_held_over(governor, group, &theirs)
            });
            is_met = is_told();
            assert!(!is_met || group.read(KNOB).trim() == theirs, "and stands");
        } else {
            wait_until("ours stands over theirs", governor, || {
                is_held_over(governor, group, &theirs)
            });
            let ended = governor.log()[told..].contains("drift");
            // One who goes on uses up how often it is set again, for those who come after him as well.
            goes_on |= WRITERS[at].0 == Writer::Kubelet;
            let may_end = others != "reassert" || goes_on;
            assert!(may_end || !ended, "the limit ended");
        }
        let (before, for_so_long) = watched.first(&theirs);
        // One who was let go before they wrote was met by nobody: that does not count.
        assert!(is_met || before == original, "over {before}, and not told");
        if is_met {
            stood[at].push(for_so_long);
        }
        // What a writer itself does to it is no doing of ours.
        expected = hog.shown();
        if let Some(rewrites) = rewrites {
            rewrites.finish();
        }
        (original, last) = (theirs, at);
    }
    drop(spinners);
    // Every tenth ends by itself, the others at once.
    if !run.is_multiple_of(10) {
        let restored = governor_restore(rig);
        assert!(restored.status.success(), "{restored:?}");
    }
    must_end_with(governor, group, before, &original);
    *before = with_weight(before, &original);
    let shown = hog.shown();
    let other = shown.iter().find(|line| !expected.contains(line));
    assert_eq!(other, None, "systemctl show");
    assert_eq!(shown.len(), expected.len(), "systemctl show");
    last
}

/// One writer writes; what would stand there then without us, and what still goes on.
fn write(writer: Writer, hog: &Container, run: usize) -> (String, Option<Load>) {
    match writer {
        Writer::DaemonReload => {
            systemctl(&["daemon-reload"]);
            (hog.weight(), None)
        }
        Writer::Update => {
            hog.update(&["--cpu-shares", SHARES[run % SHARES.len()]]);
            (hog.weight(), None)
        }
        Writer::Hand => {
            let theirs = ["80", "81"][run % 2];
            hog.group.write(KNOB, theirs);
            (theirs.to_owned(), None)
        }
        Writer::Kubelet => {
            let theirs = ["90", "91"][run % 2];
            let rewrites = rewriter(&hog.group, theirs, Duration::from_millis(400), 2);
            (theirs.to_owned(), Some(rewrites))
        }
    }
}

fn governor_restore(rig: &Rig) -> std::process::Output {
    governor(rig.work(), &["restore"])
}

/// All knobs are as before but for this weight, nothing is held, and so it stays for a moment.
fn must_end_with(
    governor: &Daemon,
    group: &Group,
    before: &[(&'static str, Vec<u8>)],
    weight: &str,
) {
    let after = with_weight(before, weight);
    let mut since: Option<Instant> = None;
    wait_until(&format!("{weight} stands in the end"), governor, || {
        let so = group.knobs() == after && limit(governor, group).is_none();
        since = so.then(|| since.unwrap_or_else(Instant::now));
        since.is_some_and(|since| since.elapsed() > Duration::from_millis(300))
    });
}
