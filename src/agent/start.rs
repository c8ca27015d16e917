//! What must be there before the loop begins: the side thread, the journal with what an earlier run
//! left, the slow writer; then this thread is put above the containers.

use std::path::Path;
use std::sync::Arc;

use super::act::{
    Actuator, BootId, Fault, Found, Journal, JournalError, Places, Pulser, RestoreReport,
    SlowWriter, is_in_use, restore, restore_left, usual_state,
};
use super::discover::ScanTurns;
use super::glance::Glance;
use super::pacing::Pacing;
use super::publish::Gauges;
use super::record::{Keeper, Recorder, Recording};
use super::run::Loop;
use super::{Loaded, PolicyFile, Side, SideError, SideSetup};
use crate::config::{ContainerGlobs, Protect};
use crate::host::map::StateMap;
use crate::host::{
    Clock, Forest, HostClock, KnobFiles, Limits, LinuxTree, RingsAt, Sampler, Survey, TreeFiles,
    Waiter, be_spared_by_oom, boot_id, lock_memory, note_state, own_group, psi_interval,
    raise_file_limit, run_in_real_time, states_file,
};
use crate::model::{Absent, Bytes, Mode, Pace, Sample, Share, Span, Topology};
use crate::policy::Brain;

/// Doorbells ring at this part of stalled time: well above what a calm container shows.
const RING: f64 = 0.1;
/// As many doorbells at most: each costs a kernel thread and its memory.
const DOORBELLS: usize = 512;

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The side thread.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something of the system that is needed from the start.
    #[error("cannot {what}: {why}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: Absent,
    },
}

pub(super) type Knobs<T = LinuxTree> = Actuator<<T as TreeFiles>::Handle, StateMap>;

impl Loop {
    pub(super) fn start(
        survey: Survey,
        tree: LinuxTree,
        file: PolicyFile,
        loaded: Arc<Loaded>,
    ) -> Result<Loop, RunError> {
        let clock = HostClock;
        let mut gauges = Gauges::new(clock.now());
        gauges.degrade(raise_file_limit().err());
        let rings_at = RingsAt::new(survey.trigger, Share::new(RING));
        let (rings_at, most) = match rings_at {
            Ok(rings_at) => (rings_at, DOORBELLS),
            Err(why) => {
                gauges.degraded.push(format!(
                    "no doorbells ({why}): harm is seen at the next tick"
                ));
                (
                    RingsAt {
                        threshold: Span::from_secs(1),
                        window: Span::from_secs(2),
                    },
                    0,
                )
            }
        };
        let system = |what| move |why| RunError::System { what, why };
        let waiter = Waiter::new(&tree, rings_at, most).map_err(system("make the waiter"))?;
        let nudger = waiter.nudger();
        let nudge: super::Nudge = Arc::new(move || nudger.nudge());
        // The side comes first: its folder is for everybody, the journal's file is not.
        let recording = Arc::new(Recording::default());
        let mut setup = SideSetup::new(file, Arc::clone(&loaded), nudge);
        setup.recording = Arc::clone(&recording);
        let side = Side::start(setup)?;
        let recorder = start_recorder(recording, &loaded, &survey)?;
        let mut forest = Forest::new(tree, Limits::default());
        let knobs = open_knobs(&loaded, &usual_state(), &mut forest)?;
        let fastest = psi_interval(survey.hz);
        let sampler = Sampler::new(forest.files_mut(), fastest);
        // The threads are all started: what follows is for this one, and for all memory.
        gauges.degrade(be_spared_by_oom().err());
        gauges.degrade(run_in_real_time().err());
        gauges.degrade(lock_memory().err());
        let now = clock.now();
        Ok(Loop {
            globs: ContainerGlobs::new(&loaded.policy),
            protect: Protect::new(&loaded.policy),
            brain: Brain::new(loaded.policy.clone()),
            pacing: Pacing::new(
                fastest,
                loaded.policy.runtime.budget,
                now,
                clock.thread_cpu(),
            ),
            glance: Glance::new(fastest, now),
            own: own_group().ok(),
            loaded,
            forest,
            tree: Topology::default(),
            sampler,
            waiter,
            knobs,
            side,
            recorder,
            gauges,
            watched: Vec::new(),
            matters: Vec::new(),
            newcomers: 0,
            held: Vec::new(),
            silent: Vec::new(),
            bells_due: false,
            deaf: false,
            ids: Vec::new(),
            sample: Sample::default(),
            pace: Pace::Quiet,
            names_seen: 0,
            scans: ScanTurns::new(now),
            rescanned: now,
            chores: now,
            written: false,
            looked: now,
            met: false,
        })
    }
}

/// The recorder, with the thread that writes what it records.
fn start_recorder(
    recording: Arc<Recording>,
    loaded: &Loaded,
    survey: &Survey,
) -> Result<Recorder, RunError> {
    let state = Path::new(&loaded.policy.runtime.state);
    let keeper =
        Keeper::start(Arc::clone(&recording), state).map_err(|error| RunError::System {
            what: "start the recorder's thread",
            why: why(&error),
        })?;
    let boot = boot_id().unwrap_or_default();
    let boot = String::from_utf8_lossy(&boot);
    Ok(Recorder::new(
        keeper,
        recording,
        loaded,
        &survey.kernel,
        boot.trim(),
    ))
}

fn why(error: &std::io::Error) -> Absent {
    error
        .raw_os_error()
        .map_or(Absent::Malformed, Absent::Errno)
}

/// The actuator. What an earlier run left is given back first, in either mode: that limits nobody, and
/// what a dry-run cannot give back it tries again, and tells.
/// `usual` is the folder in which every governor's state folder can be found.
pub(super) fn open_knobs<T: TreeFiles>(
    loaded: &Loaded,
    usual: &Path,
    forest: &mut Forest<T>,
) -> Result<Knobs<T>, RunError> {
    let page = Bytes(rustix::param::page_size() as u64);
    let mode = loaded.policy.mode;
    let system = |what| move |why| RunError::System { what, why };
    let boot = boot_id()
        .and_then(|text| BootId::parse(&text).ok_or(Absent::Malformed))
        .map_err(system("read this boot's identity"))?;
    let state = Path::new(&loaded.policy.runtime.state);
    give_back_elsewhere(state, usual, boot, forest);
    let opened = match mode {
        Mode::Enforce => Some(Journal::open(state, boot)?),
        Mode::DryRun => left_journal(state, boot)?,
    };
    let Some((mut journal, found)) = opened else {
        return Ok(Actuator::dry_run(page));
    };
    for fault in &found.faults {
        if !matches!(fault, Fault::NotPinned) {
            tracing::warn!("journal: {fault}");
        }
    }
    let report = restore(&mut journal, found, forest);
    tell_restored(&report);
    let left = report.left();
    if mode == Mode::DryRun && left.is_empty() {
        return Ok(Actuator::dry_run(page));
    }
    let writer = SlowWriter::start().map_err(|error| RunError::System {
        what: "start the slow writer",
        why: why(&error),
    })?;
    let pulser = Pulser::start().map_err(|error| RunError::System {
        what: "start the pulser",
        why: why(&error),
    })?;
    let mut knobs = Actuator::enforcing(page, journal, left, writer, pulser);
    knobs.set_others(loaded.policy.release.others);
    knobs.set_mode(mode);
    Ok(knobs)
}

/// What earlier runs left in other folders is given back; and our own is noted, so that it is found likewise.
fn give_back_elsewhere(state: &Path, usual: &Path, boot: BootId, files: &mut impl KnobFiles) {
    let places = Places::beside(state, usual);
    let left = restore_left(&places.others, boot, files);
    tell_restored(&left.report);
    for (folder, why) in left.unused.iter().filter(|(_, why)| !is_in_use(why)) {
        tracing::warn!("what is left in {} is not known: {why}", folder.display());
    }
    let file = states_file(usual);
    if let Some(why) = &places.unread {
        tracing::warn!("cannot read {}: {why}", file.display());
    }
    if !places.finds_own
        && let Err(why) = note_state(usual, state)
    {
        tracing::warn!(
            "cannot write {}: {why}: `governor restore` finds {} by the policy only",
            file.display(),
            state.display()
        );
    }
}

fn tell_restored(report: &RestoreReport) {
    for line in report.to_string().lines() {
        tracing::info!("an earlier run left: {line}");
    }
}

/// The journal that another run left; `None` where there is none, or one that runs has it.
fn left_journal(
    state: &Path,
    boot: BootId,
) -> Result<Option<(Journal<StateMap>, Found)>, RunError> {
    match Journal::open_existing(state, boot) {
        Err(error) if is_in_use(&error) => {
            tracing::info!("nothing is left behind in the state folder: {error}");
            Ok(None)
        }
        opened => Ok(opened?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Extent, FakeTree, Operation};
    use crate::model::{Change, Knob, KnobValue, Time, Weight, Written};

    const HOG: &str = "/system.slice/hog.service";

    /// With this folder for its state, and the usual one beside it.
    fn open(state: &Path, mode: Mode, forest: &mut Forest<FakeTree>) -> Knobs<FakeTree> {
        let mut loaded = Loaded::built_in();
        loaded.policy.mode = mode;
        loaded.policy.runtime.state = state.to_str().unwrap().to_owned();
        open_knobs(&loaded, &state.parent().unwrap().join("usual"), forest).unwrap()
    }

    /// What a governor left that was killed while it held a weight.
    fn killed() -> (tempfile::TempDir, FakeTree, Forest<FakeTree>) {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let tree = FakeTree::new();
        let group = tree.add(HOG);
        let mut forest = Forest::new(tree.clone(), Limits::default());
        forest.scan(Extent::All, &|_| false).unwrap();
        let mut knobs = open(&state, Mode::Enforce, &mut forest);
        let change = Change::Hold {
            group,
            knob: Knob::CpuWeight,
            value: KnobValue::Weight(Weight::new(4).unwrap()),
            aggressor: group,
            lease: Span::from_secs(10),
        };
        let outcome = knobs.apply(&change, Time(0), &mut forest);
        assert_eq!(outcome.written, Written::Done);
        (dir, tree, forest)
    }

    #[test]
    fn a_dry_run_gives_back_what_a_killed_governor_left() {
        let (dir, tree, mut forest) = killed();
        let knobs = open(&dir.path().join("state"), Mode::DryRun, &mut forest);
        assert_eq!(tree.text(HOG, "cpu.weight").as_deref(), Some("100\n"));
        assert!(knobs.held().next().is_none());
    }

    #[test]
    fn what_a_dry_run_cannot_give_back_is_told_to_who_asks_and_tried_again() {
        let (dir, tree, mut forest) = killed();
        tree.fail(HOG, Some("cpu.weight"), Operation::Write, Absent::Busy);
        let mut knobs = open(&dir.path().join("state"), Mode::DryRun, &mut forest);
        let mut told = Vec::new();
        knobs.give_back_all(&mut forest, &mut told);
        let written: Vec<Written> = told.drain(..).map(|one| one.written).collect();
        assert_eq!(written, [Written::Failed(Absent::Busy)]);
        tree.heal();
        knobs.check(&mut forest, &mut told);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].written, Written::Restored);
        assert_eq!(tree.text(HOG, "cpu.weight").as_deref(), Some("100\n"));
    }

    #[test]
    fn a_dry_run_leaves_alone_what_a_running_governor_holds_and_makes_no_journal() {
        let (dir, tree, mut forest) = killed();
        let held = open(&dir.path().join("state"), Mode::Enforce, &mut forest);
        tree.set(HOG, "cpu.weight", "4\n");
        open(&dir.path().join("state"), Mode::DryRun, &mut forest);
        assert_eq!(tree.text(HOG, "cpu.weight").as_deref(), Some("4\n"));
        drop(held);
        let none = dir.path().join("none");
        open(&none, Mode::DryRun, &mut forest);
        assert!(!none.exists());
    }

    #[test]
    fn what_was_left_in_another_state_folder_is_given_back_before_anything_else() {
        for mode in [Mode::Enforce, Mode::DryRun] {
            let (dir, tree, mut forest) = killed();
            open(&dir.path().join("other"), mode, &mut forest);
            assert_eq!(tree.text(HOG, "cpu.weight").as_deref(), Some("100\n"));
        }
    }
}
