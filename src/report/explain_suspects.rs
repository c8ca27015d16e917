//! Why this one and not another: the suspects of one victim's harm as a table.

use anstyle::{AnsiColor, Style};

use super::explain::{Page, amount, who};
use super::measure::{length, percent};
use super::table::{Align, Column, Keep, table};
use crate::model::{Fate, Resource, SuspectView};

/// Growth under this, in bytes a second, is not worth a word.
pub(super) const GROWS: f64 = 1_048_576.0;

/// The suspects, the most blamed first, and how many are not shown.
pub(super) fn suspects_table(
    suspects: &[SuspectView],
    others: u32,
    resource: Resource,
    page: Page,
) -> String {
    let columns = match resource {
        Resource::Cpu => columns(
            |one| {
                let takes = amount(Resource::Cpu, one.usage);
                match one.on_behalf {
                    cpus if cpus > 0.0 => {
                        format!("{takes}, +{} by the host", amount(Resource::Cpu, cpus))
                    }
                    _ => takes,
                }
            },
            |one| amount(Resource::Cpu, one.entitlement),
        ),
        Resource::Memory => columns(
            |one| {
                let has = amount(Resource::Memory, one.usage);
                match one.grows {
                    rate if rate >= GROWS => {
                        format!("{has}, +{}/s", amount(Resource::Memory, rate))
                    }
                    _ => has,
                }
            },
            |one| amount(Resource::Memory, one.entitlement),
        ),
        Resource::Io => columns(
            |one| amount(Resource::Io, one.usage),
            |one| amount(Resource::Io, one.entitlement),
        ),
        Resource::Pids => columns(
            |one| {
                let has = amount(Resource::Pids, one.usage);
                match one.grows {
                    rate if rate >= 1.0 => format!("{has}, +{rate:.0}/s"),
                    _ => has,
                }
            },
            |one| amount(Resource::Pids, one.entitlement),
        ),
    };
    let mut text = table(&columns, suspects, page.width, page.paint, |one| {
        if one.fate == Fate::Held {
            AnsiColor::Red.on_default()
        } else {
            Style::new()
        }
    });
    if others > 0 {
        text.push_str(&format!(
            "and {others} more, who are blamed for less or nothing\n"
        ));
    }
    text
}

fn columns(
    takes: fn(&SuspectView) -> String,
    may_take: fn(&SuspectView) -> String,
) -> [Column<SuspectView>; 5] {
    use Align::{Left, Right};
    [
        Column::new("SUSPECT", Left, Keep::Whole, |one| who(&one.who)),
        Column::new("BLAME %", Right, Keep::Whole, |one| {
            percent(Some(one.blame))
        }),
        Column::new("TAKES", Right, Keep::Whole, takes),
        Column::new("MAY TAKE", Right, Keep::IfRoom(1), may_take),
        Column::new("HELD, OR WHY NOT", Left, Keep::AtLeast(20), |one| {
            fate_text(&one.fate)
        }),
    ]
}

/// Whether a suspect is held, or why not.
pub(super) fn fate_text(fate: &Fate) -> String {
    match fate {
        Fate::Held => "held".to_owned(),
        Fate::Next => "stands out, and comes next".to_owned(),
        Fate::Protected => "protected by the policy".to_owned(),
        Fate::Exonerated { left_s } => {
            let left = length(*left_s);
            format!("cleared for {left} yet: to hold it brought no relief, or failed")
        }
        Fate::NoExcess => "takes about what it may, or less".to_owned(),
        Fate::CatchesUp => "catches up on what others kept from it".to_owned(),
        Fate::Apart { together } => format!(
            "takes more than it may, but not when the other waits (together {} %)",
            percent(Some(*together))
        ),
        Fate::Behind { times, margin } => format!(
            "blamed {} times less than the first (up to {margin} is held too)",
            if *times < 10_000.0 {
                percent(Some(*times / 100.0))
            } else {
                "10000 and more".to_owned()
            }
        ),
        Fate::SamePod => "of the same pod".to_owned(),
        Fate::Crowd => "one of many who are blamed alike".to_owned(),
        Fate::NoLever => "no knob that may be written moves it and nobody else".to_owned(),
    }
}
