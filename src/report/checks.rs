//! `governor doctor`: what was looked at, what was found, what it costs, what helps.

use anstyle::{AnsiColor, Style};

use super::table::{Align, Column, Keep, Paint, loud, painted, table};
use super::text::shorten;

const TEXT_MAX: usize = 400;

/// How one check came out, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// As it should be.
    Good,
    /// A fact to know; nothing is lost by it.
    Note,
    /// Something will not work, or less well.
    Degraded,
    /// The governor cannot work here.
    Unusable,
}

/// One line of the doctor's.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was looked at; a stable word for programs.
    pub name: &'static str,
    /// How it came out.
    pub finding: Finding,
    /// What was seen.
    pub seen: String,
    /// What it costs and what helps; empty where all is good.
    pub remedy: String,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checks {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// What the governor does not protect from on any host, one sentence each.
    pub not_claimed: Vec<&'static str>,
}

impl Checks {
    /// The worst finding.
    #[must_use]
    pub fn worst(&self) -> Finding {
        let findings = self.checks.iter().map(|check| check.finding);
        findings.max().unwrap_or(Finding::Good)
    }
}

/// The checks as a table, then every remedy as a sentence of its own, then what is not claimed.
#[must_use]
pub fn checks_text(checks: &Checks, width: Option<u16>, paint: Paint) -> String {
    let mut text = table(&columns(), &checks.checks, width, paint, |check| {
        style(check.finding)
    });
    let remedies = checks
        .checks
        .iter()
        .filter(|check| !check.remedy.is_empty());
    let mut lines: Vec<String> = remedies
        .map(|check| {
            let line = format!("{}: {}", check.name, shorten(&check.remedy, TEXT_MAX));
            painted(&line, style(check.finding), paint)
        })
        .collect();
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    if !checks.not_claimed.is_empty() {
        lines.push(String::new());
        lines.push("not claimed on any host:".to_owned());
        lines.extend(checks.not_claimed.iter().map(|what| format!("  {what}")));
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn columns() -> [Column<Check>; 3] {
    let column = Column::<Check>::new;
    [
        column("CHECK", Align::Left, Keep::Whole, |check| {
            check.name.to_owned()
        }),
        column("FINDING", Align::Left, Keep::Whole, |check| {
            match check.finding {
                Finding::Good => "good",
                Finding::Note => "note",
                Finding::Degraded => "degraded",
                Finding::Unusable => "UNUSABLE",
            }
            .to_owned()
        }),
        column("SEEN", Align::Left, Keep::AtLeast(20), |check| {
            shorten(&check.seen, TEXT_MAX)
        }),
    ]
}

fn style(finding: Finding) -> Style {
    match finding {
        Finding::Good | Finding::Note => Style::new(),
        Finding::Degraded => AnsiColor::Yellow.on_default(),
        Finding::Unusable => loud(),
    }
}
