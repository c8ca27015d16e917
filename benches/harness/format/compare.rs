//! Two records side by side.

use super::{plain, show};
use crate::study::fields::{FIELDS, Field, named};
use crate::study::{ArmStudy, Session};

/// Those that two runs with one seed on the virtual clock must agree in.
const MAIN: [&str; 5] = ["p50_ms", "p99_ms", "per_s", "attackers_cpu_s", "detect_ms"];

/// A table of every figure that differs, the main ones always; and whether one of the main ones differs by
/// more than `within` percent, or is missing in one of the two.
pub(crate) fn compare(a: &[Session], b: &[Session], within: Option<f64>) -> (String, bool) {
    let mut table = plain(&["scenario", "arm", "figure", "a", "b", "b to a"]);
    let mut worst = 0.0_f64;
    let mut compared = 0;
    for (session, other) in a.iter().zip(b) {
        for study in &session.scenarios {
            let name = &study.scenario.name;
            let there = other
                .scenarios
                .iter()
                .find(|one| one.scenario.name == *name);
            for arm in &study.arms {
                let Some(there) = there.and_then(|there| there.arm(arm.arm)) else {
                    continue;
                };
                for (field, difference, row) in differences(arm, there) {
                    if MAIN.contains(&field.name) {
                        worst = worst.max(difference);
                        compared += 1;
                    }
                    let mut cells = vec![name.clone(), arm.arm.word().to_owned()];
                    cells.extend(row);
                    table.add_row(cells);
                }
            }
        }
    }
    let heads: Vec<&str> = MAIN
        .iter()
        .filter_map(|name| Some(named(name)?.head))
        .collect();
    let text = format!(
        "{}\n\n{compared} main figures ({}) were compared; they differ by at most {:.2} %\n",
        table.trim_fmt(),
        heads.join(", "),
        worst * 100.0
    );
    let differ = within.is_some_and(|within| worst * 100.0 > within || compared == 0);
    (text, differ)
}

/// The figures of one arm in both, with their relative difference.
fn differences<'f>(a: &ArmStudy, b: &ArmStudy) -> Vec<(&'f Field, f64, [String; 4])> {
    let mut rows = Vec::new();
    for field in FIELDS {
        let [here, there] = [a, b].map(|arm| arm.spread(field).map(|spread| spread.median));
        let difference = match (here, there) {
            (None, None) => continue,
            (Some(here), Some(there)) if here == there => 0.0,
            (Some(here), Some(there)) if here.is_finite() && there.is_finite() => {
                (here - there).abs() / here.abs().max(there.abs())
            }
            _ => f64::INFINITY,
        };
        if difference > 0.0 || MAIN.contains(&field.name) {
            let text = |value: Option<f64>| {
                value.map_or_else(|| "–".to_owned(), |value| show(value, field.unit))
            };
            let percent = if difference.is_finite() {
                format!("{:.2} %", difference * 100.0)
            } else {
                "one of them has none".to_owned()
            };
            rows.push((
                field,
                difference,
                [field.head.to_owned(), text(here), text(there), percent],
            ));
        }
    }
    rows
}
