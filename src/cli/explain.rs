//! `governor explain`: everything about one container.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PolicyArgs;
use super::exit::{Exit, Failure};
use super::moment::{self, Moment};
use super::recorded::Recorded;
use super::term::{Screen, complain, print, print_json};
use crate::agent::{Answer, Ask, ask};
use crate::model::{Explained, Who};
use crate::report::{clean, explanation_text, shorten};

/// A daemon under attack is given more than the second that it should need.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names in a complaint.
const TOLD: usize = 20;
const NAME_MAX: usize = 120;

/// Where to look: at the daemon, or where something was recorded.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// Explain from this recording instead of asking the daemon; several files are read as one.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// As it was then: a time of day (2026-11-24T03:00:00Z), or so long ago (5m; of a recording: before
    /// its end). Without --trace from the flight recorder.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<Moment>,
}

pub(super) fn explain(
    args: &PolicyArgs,
    container: &str,
    place: &Where,
    json: bool,
) -> Result<Exit, Failure> {
    if place.trace.is_empty() && place.at.is_none() {
        show(live(args, container)?, container, json)?;
        return Ok(Exit::Done);
    }
    let recorded = Recorded::find(args, &place.trace)?;
    let (explained, doubts) = recorded.explain(container, place.at)?;
    show(explained, container, json)?;
    Ok(if doubts.is_empty() {
        Exit::Done
    } else {
        Exit::Degraded
    })
}

fn live(args: &PolicyArgs, container: &str) -> Result<Explained, Failure> {
    let (loaded, warning) = args.at_any_rate();
    if let Some(warning) = warning {
        complain(&warning);
    }
    let question = Ask::Explain {
        container: container.to_owned(),
    };
    let socket = Path::new(&loaded.policy.runtime.socket);
    match ask(socket, question, PATIENCE) {
        Ok(Answer::Explained(explained)) => Ok(explained),
        Ok(_) => {
            let message = "the governor answered another question";
            Err(Failure::new(Exit::Failed, message))
        }
        Err(nobody) if nobody.is_nobody() => Err(Failure::new(
            Exit::Failed,
            format!("{nobody}; --at and --trace tell what was recorded"),
        )),
        Err(error) => Err(error.into()),
    }
}

fn show(explained: Explained, container: &str, json: bool) -> Result<(), Failure> {
    match explained {
        Explained::One(explanation) if json => print_json(&explanation),
        Explained::One(explanation) => {
            let screen = Screen::here();
            print(&explanation_text(&explanation, screen.width, screen.paint))
        }
        Explained::Several(several) => Err(Failure::new(
            Exit::Failed,
            several_text(&several, container),
        )),
        Explained::Nobody { nearest } => {
            let container = shorten(container, NAME_MAX);
            let meant = nearest.map_or_else(
                || "`governor status` lists all".to_owned(),
                |name| format!("did you mean `{}`?", shorten(&name, NAME_MAX)),
            );
            let message = format!("no container is called `{container}`; {meant}");
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

fn several_text(several: &[Who], container: &str) -> String {
    let mut text = format!(
        "{} containers are called `{}`; name one by its path:",
        several.len(),
        shorten(container, NAME_MAX)
    );
    for who in several.iter().take(TOLD) {
        text.push_str(&format!("\n  {}", clean(&who.path)));
    }
    if several.len() > TOLD {
        text.push_str(&format!("\n  and {} more", several.len() - TOLD));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namesakes_are_told_apart_by_their_paths_and_a_crowd_of_them_is_counted() {
        let who = |path: String| Who {
            name: "web".to_owned(),
            path,
        };
        let several: Vec<Who> = (0..25).map(|n| who(format!("/a/\x1b{n}"))).collect();
        let text = several_text(&several, "web");
        assert!(text.starts_with("25 containers are called `web`; name one by its path:\n"));
        assert!(
            text.contains("\n  /a/\\x1b0\n") && text.ends_with("\n  and 5 more"),
            "{text}"
        );
    }
}
