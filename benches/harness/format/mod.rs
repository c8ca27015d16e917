//! Figures for people and machines. Each function returns text; the one list of figures drives all.

pub(crate) mod attacks;
pub(crate) mod compare;
mod csv;
mod hlog;
mod json;
mod page;
mod plot;
pub(crate) mod side;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use crate::scenario::find::Found;
use crate::study::Session;
use crate::study::fields::Unit;
use comfy_table::{Table, presets};

/// Every file of a report: name and content.
///
/// # Errors
/// A picture cannot be drawn.
pub(crate) fn files(sessions: &[Session]) -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("report.html", page::page(sessions)?),
        ("figures.json", json::json(sessions)?),
        ("figures.csv", csv::csv(sessions)?),
        ("latencies.hlog", hlog::hlog(sessions)?),
    ])
}

/// The scenarios, a line each.
pub(crate) fn list(found: &[Found]) -> String {
    let mut table = plain(&["scenario", "class", "a run", "what happens"]);
    for one in found {
        let scenario = &one.scenario;
        let seconds = scenario.length().div_ceil(1_000_000);
        table.add_row([
            scenario.name.clone(),
            scenario.class.word().to_owned(),
            format!("{seconds} s"),
            scenario.title.clone(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// A table without lines, which greps well.
fn plain(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(head);
    table
}

/// A figure with as many digits as matter.
pub(crate) fn show(value: f64, unit: Unit) -> String {
    if value.is_infinite() {
        return "never".to_owned();
    }
    match unit {
        Unit::Ms if value >= 10_000.0 => format!("{:.1} s", value / 1e3),
        Unit::Ms => format!("{} ms", digits(value)),
        Unit::Seconds => format!("{value:.1} s"),
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Times => digits(value),
        Unit::Count => format!("{value:.0}"),
        Unit::PerSecond => format!("{value:.1} /s"),
        Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
    }
}

fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
