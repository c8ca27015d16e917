//! What must be there before the loop begins: the side thread, the journal with what an earlier run
//! left, the slow writer; then this thread is put above the containers.

use std::sync::Arc;

use super::act::{Actuator, BootId, Fault, Journal, JournalError, SlowWriter, restore};
use super::pacing::Pacing;
use super::publish::Gauges;
use super::run::Loop;
use super::{Loaded, PolicyFile, Side, SideError, SideSetup};
use crate::config::{ContainerGlobs, Protect};
use crate::host::map::StateMap;
use crate::host::{
    Clock, Forest, HostClock, Limits, LinuxTree, RingsAt, Sampler, Survey, Waiter,
    be_spared_by_oom, boot_id, lock_memory, own_group, psi_interval, raise_file_limit,
    run_in_real_time,
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

pub(super) type Knobs = Actuator<<Forest<LinuxTree> as crate::host::KnobFiles>::Handle, StateMap>;

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
        let side = Side::start(SideSetup::new(file, Arc::clone(&loaded), nudge))?;
        let mut forest = Forest::new(tree, Limits::default());
        let knobs = open_knobs(&loaded, &mut forest)?;
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
            pacing: Pacing::new(fastest, loaded.policy.runtime.budget, now.0),
            own: own_group().ok(),
            loaded,
            survey,
            forest,
            tree: Topology::default(),
            sampler,
            waiter,
            knobs,
            side,
            gauges,
            watched: Vec::new(),
            matters: Vec::new(),
            silent: Vec::new(),
            ids: Vec::new(),
            sample: Sample::default(),
            pace: Pace::Quiet,
            names_seen: 0,
            scan_due: None,
            full_scan: now,
            chores: now,
        })
    }
}

/// The actuator: in enforcing mode with the journal, from which what an earlier run left is given
/// back first.
fn open_knobs(loaded: &Loaded, forest: &mut Forest<LinuxTree>) -> Result<Knobs, RunError> {
    let page = Bytes(rustix::param::page_size() as u64);
    if loaded.policy.mode == Mode::DryRun {
        return Ok(Actuator::dry_run(page));
    }
    let system = |what| move |why| RunError::System { what, why };
    let boot = boot_id()
        .and_then(|text| BootId::parse(&text).ok_or(Absent::Malformed))
        .map_err(system("read this boot's identity"))?;
    let state = std::path::Path::new(&loaded.policy.runtime.state);
    let (mut journal, found) = Journal::open(state, boot)?;
    for fault in &found.faults {
        if !matches!(fault, Fault::NotPinned) {
            tracing::warn!("journal: {fault}");
        }
    }
    let report = restore(&mut journal, found, forest);
    for line in report.to_string().lines() {
        tracing::info!("an earlier run left: {line}");
    }
    let writer = SlowWriter::start().map_err(|error| RunError::System {
        what: "start the slow writer",
        why: error
            .raw_os_error()
            .map_or(Absent::Malformed, Absent::Errno),
    })?;
    Ok(Actuator::enforcing(page, journal, report.left(), writer))
}
