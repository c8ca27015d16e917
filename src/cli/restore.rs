//! `governor restore`: everything that is held is given back, by the daemon or, where none runs,
//! from the journals that were left. A journal that the policy does not lead to is found, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use super::term::{complain, print};
use super::tree;
use crate::agent::act::{BootId, Places, is_in_use, restore_left, usual_state};
use crate::agent::{Answer, Ask, Restored, ask};
use crate::host::{KnobFiles, Survey, boot_id, states_file};
use crate::report::clean;

/// The daemon has half a minute; a little more for the way.
const PATIENCE: Duration = Duration::from_secs(35);

/// Where the policy says that everything is.
struct Known {
    socket: PathBuf,
    state: PathBuf,
    /// Whether it could be read; else these are the built-in places.
    by_policy: bool,
}

/// Whether a daemon gave back what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    Answered,
    NotAsked,
}

pub(super) fn restore(args: &PolicyArgs) -> Result<Exit, Failure> {
    let known = known(args);
    match ask(&known.socket, Ask::Restore, PATIENCE) {
        Ok(Answer::Restored(restored)) => {
            let held = by_daemon(&restored)?;
            Ok(held.max(left(&known, Daemon::Answered)?))
        }
        Ok(_) => Err(Failure::new(
            Exit::Failed,
            "the governor answered another question",
        )),
        Err(nobody) if nobody.is_nobody() => left(&known, Daemon::NotAsked),
        Err(error) => Err(error.into()),
    }
}

/// What a dead governor left, and nothing of one that runs: for a unit whose start was refused because
/// another governor runs, which must not undo that one's work.
pub(super) fn left_behind(args: &PolicyArgs) -> Result<Exit, Failure> {
    left(&known(args), Daemon::NotAsked)
}

fn known(args: &PolicyArgs) -> Known {
    let (loaded, warning) = args.at_any_rate();
    if let Some(warning) = &warning {
        complain(warning);
    }
    let runtime = loaded.policy.runtime;
    Known {
        socket: runtime.socket.into(),
        state: runtime.state.into(),
        by_policy: warning.is_none(),
    }
}

fn by_daemon(restored: &Restored) -> Result<Exit, Failure> {
    let mut text = format!(
        "the governor gave back {} knobs ({} left to others, {} gone with their cgroups)\n",
        restored.restored, restored.drifted, restored.gone
    );
    for failure in &restored.failed {
        text.push_str(&format!("NOT restored: {}\n", clean(failure)));
    }
    print(&text)?;
    Ok(if restored.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Degraded
    })
}

fn left(known: &Known, daemon: Daemon) -> Result<Exit, Failure> {
    let boot = boot_id()
        .ok()
        .and_then(|text| BootId::parse(&text))
        .ok_or_else(|| {
            Failure::new(Exit::Host, "this boot's identity cannot be read from /proc")
        })?;
    let mut forest = tree::open(&Survey::take())?;
    from_journals(known, &usual_state(), daemon, boot, &mut forest)
}

/// Gives back what stands in every journal that no governor has in use.
fn from_journals(
    known: &Known,
    usual: &Path,
    daemon: Daemon,
    boot: BootId,
    files: &mut impl KnobFiles,
) -> Result<Exit, Failure> {
    let places = Places::beside(&known.state, usual);
    let all = std::iter::once(&known.state).chain(&places.others);
    let left = restore_left(all, boot, files);
    print(&left.report.to_string())?;
    let mut exit = Exit::Done;
    if left.report.failed() > 0 {
        exit = Exit::Degraded;
    }
    if let Some(why) = &places.unread {
        let file = states_file(usual);
        complain(&format!("cannot read {}: {why}", file.display()));
        exit = Exit::Degraded;
    }
    for (folder, why) in left.unused {
        // Whoever runs with another policy than ours keeps what he holds, and it is no matter of ours.
        let is_other = known.by_policy && folder != known.state;
        if !is_in_use(&why) || (daemon == Daemon::NotAsked && !is_other) {
            return Err(why.into());
        }
    }
    if daemon == Daemon::Answered {
        return Ok(exit);
    }
    if !known.by_policy && left.journals == 0 {
        let message = format!(
            "no governor runs and none left a journal where one is looked for without a policy ({}); it may be \
             where the policy said: mend it, or name another with --config, and call `governor restore` again",
            usual.display()
        );
        return Err(Failure::new(Exit::Invalid, message));
    }
    if left.report.to_string().is_empty() && exit == Exit::Done {
        print("no governor runs, and none left anything behind\n")?;
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::act::{Actuator, Journal, Pulser, SlowWriter};
    use crate::host::{Extent, FakeTree, Forest, Limits, Operation, note_state};
    use crate::model::{Absent, Bytes, Change, Knob, KnobValue, Span, Time, Weight, Written};

    const HOG: &str = "/system.slice/hog.service";

    struct Host {
        dir: tempfile::TempDir,
        tree: FakeTree,
        forest: Forest<FakeTree>,
        boot: BootId,
    }

    impl Host {
        /// On which a governor with a state folder of its own was killed while it held a weight, if there
        /// was one.
        fn new(was_governed: bool) -> Host {
            let tree = FakeTree::new();
            let group = tree.add(HOG);
            let mut forest = Forest::new(tree.clone(), Limits::default());
            forest.scan(Extent::All, &|_| false).unwrap();
            let mut host = Host {
                dir: tempfile::tempdir().unwrap(),
                tree,
                forest,
                boot: BootId::parse(b"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0").unwrap(),
            };
            if was_governed {
                let state = host.at("state");
                note_state(&host.at("usual"), &state).unwrap();
                let journal = Journal::open(&state, host.boot).unwrap().0;
                let writer = SlowWriter::start().unwrap();
                let pulser = Pulser::start().unwrap();
                let mut act = Actuator::enforcing(Bytes(4096), journal, Vec::new(), writer, pulser);
                let change = Change::Hold {
                    group,
                    knob: Knob::CpuWeight,
                    value: KnobValue::Weight(Weight::new(4).unwrap()),
                    aggressor: group,
                    lease: Span::from_secs(10),
                };
                let outcome = act.apply(&change, Time(0), &mut host.forest);
                assert_eq!(outcome.written, Written::Done);
            }
            host
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Restores with a policy that names this folder, or with one that cannot be read.
        fn restore(&mut self, state: Option<&str>, daemon: Daemon) -> Result<Exit, Exit> {
            let usual = self.at("usual");
            let known = Known {
                socket: PathBuf::new(),
                state: self.at(state.unwrap_or("usual")),
                by_policy: state.is_some(),
            };
            from_journals(&known, &usual, daemon, self.boot, &mut self.forest)
                .map_err(|failure| failure.exit)
        }

        fn weight(&self) -> String {
            self.tree.text(HOG, "cpu.weight").unwrap()
        }
    }

    #[test]
    fn a_policy_that_was_broken_or_changed_meanwhile_hides_no_journal() {
        for state in [None, Some("elsewhere"), Some("state")] {
            let mut host = Host::new(true);
            assert_eq!(host.weight(), "4\n");
            assert_eq!(host.restore(state, Daemon::NotAsked), Ok(Exit::Done));
            assert_eq!(host.weight(), "100\n");
        }
    }

    #[test]
    fn a_broken_policy_and_no_journal_is_never_all_well() {
        let mut host = Host::new(false);
        assert_eq!(host.restore(None, Daemon::NotAsked), Err(Exit::Invalid));
        assert_eq!(
            host.restore(Some("state"), Daemon::NotAsked),
            Ok(Exit::Done)
        );
    }

    #[test]
    fn what_is_left_elsewhere_is_given_back_though_a_daemon_answered() {
        let mut host = Host::new(true);
        host.tree
            .fail(HOG, Some("cpu.weight"), Operation::Write, Absent::Busy);
        let restore = |host: &mut Host| host.restore(Some("elsewhere"), Daemon::Answered);
        assert_eq!(restore(&mut host), Ok(Exit::Degraded));
        host.tree.heal();
        assert_eq!(restore(&mut host), Ok(Exit::Done));
        assert_eq!(host.weight(), "100\n");
    }

    #[test]
    fn a_governor_that_runs_keeps_what_it_holds() {
        let mut host = Host::new(true);
        let _held = Journal::open(&host.at("state"), host.boot).unwrap();
        for (state, daemon, wanted) in [
            (Some("state"), Daemon::NotAsked, Err(Exit::Another)),
            (None, Daemon::NotAsked, Err(Exit::Another)),
            (Some("elsewhere"), Daemon::NotAsked, Ok(Exit::Done)),
            (Some("state"), Daemon::Answered, Ok(Exit::Done)),
        ] {
            assert_eq!(host.restore(state, daemon), wanted, "{state:?}");
            assert_eq!(host.weight(), "4\n");
        }
    }
}
