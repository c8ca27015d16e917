//! The tools side by side, as Markdown and a picture for each machine: what a README shows.

use super::{plot, show};
use crate::arm::Arm;
use crate::study::fields::{Unit, named};
use crate::study::{ArmStudy, RULE, Session, Study};

/// The files: the table, and the picture of each session.
///
/// # Errors
/// A picture cannot be drawn.
pub(crate) fn files(sessions: &[Session]) -> anyhow::Result<Vec<(String, String)>> {
    let mut text = String::new();
    for session in sessions {
        text.push_str(&format!("- {}\n", session.line()));
    }
    text.push_str(&format!(
        "\n{RULE}\n\nMedian over the rounds that count, and from the least to the most that was seen.\n"
    ));
    let mut files = Vec::new();
    for session in sessions {
        let kernel = kernel(session);
        let picture = format!("side-by-side-{kernel}.svg");
        text.push_str(&format!(
            "\n## Linux {kernel}\n\n![Harm under each arm]({picture})\n"
        ));
        for (title, field) in [
            (
                "Harm: what all requests waited beyond what one takes alone",
                "harm_ms",
            ),
            ("p99 while the attack lasts", "p99_ms"),
            ("Answered while the attack lasts", "answered"),
        ] {
            text.push_str(&format!("\n{title}\n\n{}", table(session, field)));
        }
        text.push_str(&format!("\nThe governor\n\n{}", governor(session)));
        let harm = plot::side_by_side(&session.scenarios, "harm_ms")?;
        files.push((picture, plot::alone(&harm)));
    }
    files.push(("SIDE-BY-SIDE.md".to_owned(), text));
    Ok(files)
}

/// The kernel's version without its build.
fn kernel(session: &Session) -> &str {
    let release = &session.machine.kernel;
    release
        .split(|c: char| c != '.' && !c.is_ascii_digit())
        .next()
        .unwrap_or(release)
}

/// The arms that were tried in this session.
fn arms(session: &Session) -> impl Iterator<Item = Arm> + '_ {
    let tried = |arm: &Arm| session.scenarios.iter().any(|s| s.arm(*arm).is_some());
    Arm::ALL.into_iter().filter(tried)
}

/// A figure of every arm, a line for each scenario.
fn table(session: &Session, field: &str) -> String {
    let mut head = "| scenario |".to_owned();
    let mut rule = "|---|".to_owned();
    for arm in arms(session) {
        head.push_str(&format!(" {} |", arm.word()));
        rule.push_str("---|");
    }
    let mut text = format!("{head}\n{rule}\n");
    for study in &session.scenarios {
        text.push_str(&format!("| `{}` |", study.scenario.name));
        for arm in arms(session) {
            text.push_str(&format!(" {} |", cell(study.arm(arm), field)));
        }
        text.push('\n');
    }
    text
}

/// The median, and from where to where.
fn cell(arm: Option<&ArmStudy>, field: &str) -> String {
    let spread = arm.and_then(|arm| {
        let field = named(field)?;
        Some((arm.spread(field)?, field.unit))
    });
    match spread {
        None => "–".to_owned(),
        Some((spread, unit)) if spread.runs < 2 => show(spread.median, unit),
        Some((spread, unit)) => format!(
            "{} ({} – {})",
            show(spread.median, unit),
            show(spread.low, unit),
            show(spread.high, unit)
        ),
    }
}

/// How the governor stands among them.
fn governor(session: &Session) -> String {
    let mut text = "| scenario | rounds | of what the hand saves | who had less harm | first limit | relief | \
                    its CPU | given back exactly |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for study in &session.scenarios {
        let Some(arm) = study.arm(Arm::Governor) else {
            continue;
        };
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} | {} |\n",
            study.scenario.name,
            super::table::rounds(arm),
            cell(Some(arm), "of_oracle"),
            better(study, arm),
            cell(Some(arm), "first_limit_ms"),
            cell(Some(arm), "relief_ms"),
            cell(Some(arm), "tool_cpu"),
            cell(Some(arm), "exact"),
        ));
    }
    text
}

/// Which tools left less harm than the governor; the hand is none.
fn better(study: &Study, governor: &ArmStudy) -> String {
    let own = governor.median("harm_ms").unwrap_or(f64::INFINITY);
    let others = study.arms.iter().filter(|arm| {
        let is_tool = !matches!(arm.arm, Arm::Governor | Arm::Oracle);
        is_tool && arm.median("harm_ms").is_some_and(|harm| harm < own)
    });
    let better: Vec<String> = others
        .filter_map(|arm| {
            let harm = show(arm.median("harm_ms")?, Unit::Ms);
            Some(format!("{} ({harm})", arm.arm.word()))
        })
        .collect();
    if better.is_empty() {
        "nobody".to_owned()
    } else {
        better.join(", ")
    }
}
