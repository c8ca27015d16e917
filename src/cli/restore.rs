//! `governor restore`: everything that is held is given back, by the daemon or, where none runs,
//! from the journal that it left.

use std::path::Path;
use std::time::Duration;

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use super::term::{complain, print};
use super::tree;
use crate::agent::act::{BootId, RestoreReport, restore_all};
use crate::agent::{Answer, Ask, Restored, ask};
use crate::host::{Survey, boot_id};
use crate::model::RuntimePolicy;
use crate::report::clean;

/// The daemon has half a minute; a little more for the way.
const PATIENCE: Duration = Duration::from_secs(35);

pub(super) fn restore(args: &PolicyArgs) -> Result<Exit, Failure> {
    let (loaded, warning) = args.at_any_rate();
    let runtime = &loaded.policy.runtime;
    if let Some(warning) = warning {
        complain(&warning);
    }
    match ask(Path::new(&runtime.socket), Ask::Restore, PATIENCE) {
        Ok(Answer::Restored(restored)) => by_daemon(&restored),
        Ok(_) => Err(Failure::new(
            Exit::Failed,
            "the governor answered another question",
        )),
        Err(nobody) if nobody.is_nobody() => without_daemon(runtime),
        Err(error) => Err(error.into()),
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

fn without_daemon(runtime: &RuntimePolicy) -> Result<Exit, Failure> {
    let boot = boot_id()
        .ok()
        .and_then(|text| BootId::parse(&text))
        .ok_or_else(|| {
            Failure::new(Exit::Host, "this boot's identity cannot be read from /proc")
        })?;
    let mut forest = tree::open(&Survey::take())?;
    let report = restore_all(Path::new(&runtime.state), boot, &mut forest)?;
    tell(&report)
}

fn tell(report: &RestoreReport) -> Result<Exit, Failure> {
    let text = report.to_string();
    print(if text.is_empty() {
        "no governor runs, and none left anything behind\n"
    } else {
        &text
    })?;
    Ok(if report.failed() == 0 {
        Exit::Done
    } else {
        Exit::Degraded
    })
}
