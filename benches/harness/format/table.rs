//! The table at the end of a run.

use super::{plain, show};
use crate::study::fields::named;
use crate::study::verdict::{Attribution, Verdict};
use crate::study::{ArmStudy, RULE, Session, Study};

/// The columns, by the names of their figures.
const COLUMNS: [&str; 12] = [
    "p50_ms",
    "p99_ms",
    "p99_times",
    "answered",
    "harm_ms",
    "of_oracle",
    "first_limit_ms",
    "relief_ms",
    "attackers_keep",
    "precision",
    "wrong_s",
    "exact",
];

/// Sessions as tables, a row for each arm of each scenario; medians over the rounds that count.
pub(crate) fn table(sessions: &[Session]) -> String {
    let mut text = String::new();
    for session in sessions {
        text.push_str(&format!("\n{}\n\n", session.line()));
        text.push_str(&of_session(session));
        for study in &session.scenarios {
            text.push_str(&verdict(study));
        }
        for (scenario, arm, round, why) in &session.failed {
            text.push_str(&format!(
                "failed: {scenario}, {} {round}: {why}\n",
                arm.word()
            ));
        }
    }
    let attribution = Attribution::of(sessions).line();
    text.push_str(&format!("\nattribution: {attribution}\n\n{RULE}\n"));
    text
}

fn of_session(session: &Session) -> String {
    let fields: Vec<_> = COLUMNS.iter().filter_map(|name| named(name)).collect();
    let mut head = vec!["scenario", "arm", "rounds"];
    head.extend(fields.iter().map(|field| field.head));
    let mut table = plain(&head);
    for study in &session.scenarios {
        for arm in &study.arms {
            let mut row = vec![
                study.scenario.name.clone(),
                arm.arm.word().to_owned(),
                rounds(arm),
            ];
            for field in &fields {
                let spread = arm.spread(field);
                row.push(
                    spread.map_or_else(|| "–".to_owned(), |spread| show(spread.median, field.unit)),
                );
            }
            table.add_row(row);
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// `3`, or `2 (1 discarded)`.
pub(crate) fn rounds(arm: &ArmStudy) -> String {
    match arm.discarded.len() {
        0 => arm.runs.len().to_string(),
        discarded => format!("{} ({discarded} discarded)", arm.runs.len()),
    }
}

fn verdict(study: &Study) -> String {
    let name = &study.scenario.name;
    let mut text = String::new();
    for arm in &study.arms {
        for (round, why) in &arm.discarded {
            text.push_str(&format!(
                "discarded: {name}, {} {round}: {why}\n",
                arm.arm.word()
            ));
        }
    }
    match study.verdict() {
        Verdict::Unknown => {}
        Verdict::Contained => text.push_str(&format!("contained: {name}\n")),
        Verdict::Not(why) => {
            text.push_str(&format!("NOT CONTAINED: {name}: {}\n", why.join("; ")));
        }
    }
    match study.broken() {
        None => {}
        Some(broken) if broken.is_empty() => text.push_str(&format!("holds: {name}\n")),
        Some(broken) => {
            for why in broken {
                text.push_str(&format!("DOES NOT HOLD: {name}: {why}\n"));
            }
        }
    }
    text
}
