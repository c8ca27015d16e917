//! `governor status`: what the daemon says or, where none runs, what one look shows.
#![allow(
    clippy::disallowed_methods,
    reason = "a direct sample waits half a second between its two readings"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{Exit, Failure};
use super::term::{Screen, complain, print, print_json};
use super::{PolicyArgs, direct, tree};
use crate::agent::{Answer, Ask, AskError, Loaded, ask, ask_for_names};
use crate::host::{HostClock, Survey};
use crate::model::Status;
use crate::report::status_text;

/// A daemon under attack is given more than the second that it should need.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn status(args: &PolicyArgs, json: bool) -> Result<Exit, Failure> {
    let (loaded, warning) = args.at_any_rate();
    let socket = Path::new(&loaded.policy.runtime.socket);
    let status = match ask(socket, Ask::Status, PATIENCE) {
        Ok(Answer::Status(status)) => *status,
        Ok(_) => {
            let message = "the governor answered another question";
            return Err(Failure::new(Exit::Failed, message));
        }
        Err(nobody) if nobody.is_nobody() => without_daemon(&loaded, &nobody)?,
        Err(error) => return Err(error.into()),
    };
    if json {
        print_json(&status)?;
    } else {
        let screen = Screen::here();
        print(&status_text(&status, screen.width, screen.paint))?;
    }
    if let Some(warning) = warning {
        complain(&warning);
    }
    Ok(Exit::Done)
}

fn without_daemon(loaded: &Loaded, nobody: &AskError) -> Result<Status, Failure> {
    let unasked = |failure: Failure| Failure {
        message: format!(
            "{nobody}; nor can a direct sample be taken: {}",
            failure.message
        ),
        ..failure
    };
    let survey = Survey::take();
    let forest = tree::open(&survey).map_err(unasked)?;
    let runtimes = loaded.policy.runtime.docker.iter().map(PathBuf::from);
    let names = ask_for_names(&runtimes.collect::<Vec<_>>());
    let mut status = direct::sample(forest, &HostClock, std::thread::sleep, loaded, &names)?;
    status.header.degraded.push(format!(
        "{nobody}; this is one direct sample, and nobody is protected"
    ));
    let names = survey.managers.iter().map(|one| one.name.to_owned());
    status.header.other_managers = names.collect();
    Ok(status)
}
