//! The catalogue of attacks as one table of Markdown: what each does, and whether it is contained.

use super::show;
use crate::arm::Arm;
use crate::scenario::Class;
use crate::scenario::find::Found;
use crate::study::fields::Unit;
use crate::study::verdict::{self, Attribution, Verdict};
use crate::study::{RULE, Session, Study};
use std::collections::{BTreeMap, BTreeSet};

/// The table; `known` are all scenarios, lest one that was not run be forgotten.
pub(crate) fn attacks(sessions: &[Session], known: &[Found]) -> String {
    let mut text = String::new();
    for session in sessions {
        text.push_str(&format!("- {}\n", session.line()));
    }
    text.push_str(&format!("\n{}\n\n{RULE}\n\n", verdict::RULE));
    text.push_str("`nobody → governed (hand)`: p99 under attack over p99 alone, median over the rounds that count.\n");
    for (title, benign) in [("Attacks", false), ("Benign", true)] {
        text.push_str(&format!(
            "\n## {title}\n\n{}",
            table(sessions, known, benign)
        ));
    }
    text.push_str(&sums(sessions, known));
    text
}

/// A scenario's place in the catalogue.
fn row(found: &Found) -> &str {
    found.scenario.row.as_deref().unwrap_or("–")
}

fn is_benign(found: &Found) -> bool {
    found.scenario.class == Class::Benign
}

fn study<'s>(session: &'s Session, found: &Found) -> Option<&'s Study> {
    let mut studies = session.scenarios.iter();
    studies.find(|study| study.scenario.name == found.scenario.name)
}

fn table(sessions: &[Session], known: &[Found], benign: bool) -> String {
    let mut head = "| row | scenario |".to_owned();
    let mut rule = "|---|---|".to_owned();
    for session in sessions {
        let kernel = session.machine.kernel.split('-').next().unwrap_or_default();
        head.push_str(&format!(
            " {kernel}: rounds | nobody → governed (hand) | verdict |"
        ));
        rule.push_str("---|---|---|");
    }
    let mut lines: Vec<(&str, String)> = Vec::new();
    for found in known.iter().filter(|found| is_benign(found) == benign) {
        let scenario = &found.scenario;
        let mut line = format!(
            "| {} | `{}`: {} |",
            row(found),
            scenario.name,
            scenario.title
        );
        for session in sessions {
            line.push_str(&cells(study(session, found)));
        }
        lines.push((row(found), line));
    }
    lines.sort_by(|a, b| a.0.cmp(b.0));
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    format!("{head}\n{rule}\n{}\n", lines.join("\n"))
}

fn cells(study: Option<&Study>) -> String {
    let Some(study) = study else {
        return " – | – | not measured |".to_owned();
    };
    let times = |arm| {
        let times = study.arm(arm).and_then(|arm| arm.median("p99_times"));
        times.map_or("–".to_owned(), |times| show(times, Unit::Times))
    };
    let rounds = study.arm(Arm::Governor).map_or(0, |arm| arm.runs.len());
    let verdict = match study.verdict() {
        Verdict::Unknown => "no round counts".to_owned(),
        Verdict::Contained if study.scenario.class == Class::Benign => "left alone".to_owned(),
        Verdict::Contained => "contained".to_owned(),
        Verdict::Not(why) => format!("**not**: {}", why.join("; ")),
    };
    format!(
        " {rounds} | {} → {} ({}) | {verdict} |",
        times(Arm::None),
        times(Arm::Governor),
        times(Arm::Oracle),
    )
}

/// How many rows hold, and who was acted upon.
fn sums(sessions: &[Session], known: &[Found]) -> String {
    let mut rows: BTreeMap<(bool, &str), BTreeSet<&str>> = BTreeMap::new();
    for found in known.iter().filter(|found| found.scenario.row.is_some()) {
        let outcomes = rows.entry((is_benign(found), row(found))).or_default();
        for session in sessions {
            outcomes.insert(match study(session, found).map(Study::verdict) {
                None | Some(Verdict::Unknown) => "not measured",
                Some(Verdict::Contained) => "contained",
                Some(Verdict::Not(_)) => "not contained",
            });
        }
    }
    let mut text = "\n## Sums\n\n".to_owned();
    for (benign, what, good) in [
        (false, "rows of attacks", "contained"),
        (true, "benign rows", "left alone"),
    ] {
        let of = rows.iter().filter(|((is, _), _)| *is == benign);
        let (mut held, mut not, mut partly, mut unknown) = (0, Vec::new(), Vec::new(), Vec::new());
        for ((_, row), outcomes) in of {
            let seen = outcomes.contains("contained");
            if outcomes.contains("not contained") {
                not.push(*row);
            } else if !seen {
                unknown.push(*row);
            } else if outcomes.contains("not measured") {
                partly.push(*row);
            } else {
                held += 1;
            }
        }
        let all = held + not.len() + partly.len() + unknown.len();
        text.push_str(&format!(
            "- {held} of {all} {what} {good} in all of their scenarios"
        ));
        for (what, rows) in [
            ("partly measured, and so in what was", partly),
            ("not in all", not),
            ("not measured", unknown),
        ] {
            if !rows.is_empty() {
                text.push_str(&format!("; {what}: {}", rows.join(", ")));
            }
        }
        text.push_str(".\n");
    }
    text.push_str(&format!(
        "- Attribution over all governed runs that count: {}.\n",
        Attribution::of(sessions).line()
    ));
    text
}
