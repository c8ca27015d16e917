//! A replay's story line by line, what stands at its end, and what many traces say about some policies.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::Style;

use super::explain::moment;
use super::measure::length;
use super::table::{Align, Column, Keep, Paint, table};
use super::text::{clean, shorten};
use crate::model::{
    Agreement, By, Difference, Extent, Knob, Mode, Replayed, Rung, Simulated, Tally, Told,
    TraceHead,
};

/// How much of two decisions that differ is shown around the first difference.
const BEFORE: usize = 80;
const AFTER: usize = 160;
/// What a trace cannot tell, said with every table of tried policies.
const CAVEAT: &str = "The recorded world does not react to a tried policy. A hold that the record had too is judged by what followed;\n\
    one that it had not is `untried`: no trace can tell what it would have brought. What the recorded limits spared\n\
    the victims stays spared, so a policy that acts later looks better here than it is.\n";

/// One line of a story, with its newline: `-` before what only was recorded, `+` before what only is
/// replayed, and the seconds since the trace's start.
#[must_use]
pub fn told_text(told: &Told) -> String {
    match told {
        Told::Began(head) => head_text(head),
        Told::Event { at_s, by, event } => {
            let text = &event.text;
            let mark = match by {
                By::Both => ' ',
                By::Record => '-',
                By::Replay => '+',
            };
            format!("{mark}{at_s:>10.3} s  {text}\n")
        }
        Told::Note { at_s, text } => format!(" {at_s:>10.3} s  ({text})\n"),
    }
}

fn head_text(head: &TraceHead) -> String {
    let mode = match head.mode {
        Mode::Enforce => "enforcing",
        Mode::DryRun => "in dry-run with",
    };
    let policy = if head.own_policy {
        "a policy of its own"
    } else {
        "the built-in policy"
    };
    let hashed = if head.hashed { ", names hashed" } else { "" };
    format!(
        "recorded {} by governor {} on Linux {}, {mode} {policy}; {} at its start{hashed}\n",
        moment(0, Some(head.wall_us)),
        shorten(&head.governor, 40),
        shorten(&head.kernel, 80),
        counted(head.containers as u64, "container"),
    )
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// What stands at a replay's end: how much there was, whether it is what was done, and where policies
/// were tried, what each did.
#[must_use]
pub fn replayed_text(replayed: &Replayed, width: Option<u16>, paint: Paint) -> String {
    let mut text = extent_text(&replayed.extent);
    text.push_str(&agreement_text(&replayed.agreement));
    for remark in &replayed.remarks {
        text.push_str(&format!("note: {remark}\n"));
    }
    text.push('\n');
    text.push_str(&tallies_text(&replayed.tallies, width, paint));
    text
}

fn extent_text(extent: &Extent) -> String {
    let mut text = format!(
        "{} of {}, {} at most",
        length(extent.seconds),
        counted(extent.ticks, "tick"),
        counted(extent.containers as u64, "container"),
    );
    if extent.recordings > 1 {
        put(
            &mut text,
            format_args!("; {} recordings", extent.recordings),
        );
    }
    if extent.lost > 0 {
        put(
            &mut text,
            format_args!("; {} lost by the recorder", counted(extent.lost, "frame")),
        );
    }
    if extent.damaged > 0 {
        put(
            &mut text,
            format_args!(
                "; {} of {} bytes skipped",
                counted(extent.damaged, "damaged place"),
                extent.damaged_bytes
            ),
        );
    }
    if extent.lost == 0 && extent.damaged == 0 {
        text.push_str("; nothing is missing");
    }
    text.push('\n');
    text
}

fn agreement_text(agreement: &Agreement) -> String {
    let checkpoints = match agreement.checkpoints {
        0 => String::new(),
        count => format!(", and {}", counted(count, "checkpoint")),
    };
    let mut text = if agreement.compared == 0 {
        "not compared: the trace has no checkpoint, so what the recorded brain knew is not known\n"
            .to_owned()
    } else if agreement.is_identical() {
        format!(
            "identical: {}, {} of them busy{checkpoints}\n",
            counted(agreement.compared, "decision"),
            agreement.busy
        )
    } else {
        format!(
            "different: {} of {}, {} of {}\n",
            agreement.different,
            counted(agreement.compared, "decision"),
            agreement.checkpoints_different,
            counted(agreement.checkpoints, "checkpoint"),
        )
    };
    if agreement.compared > 0 && agreement.uncompared > 0 {
        put(
            &mut text,
            format_args!(
                "{} were not compared: before the first checkpoint, or after what is missing\n",
                counted(agreement.uncompared, "decision")
            ),
        );
    }
    if let Some(first) = &agreement.first {
        text.push_str(&difference_text(first));
    }
    text
}

fn difference_text(first: &Difference) -> String {
    let differs = first
        .recorded
        .bytes()
        .zip(first.replayed.bytes())
        .position(|(a, b)| a != b)
        .unwrap_or(first.recorded.len().min(first.replayed.len()));
    format!(
        "the first at {:.3} s, from its byte {differs} on\n  recorded  {}\n  replayed  {}\n",
        first.at_s,
        around(&first.recorded, differs),
        around(&first.replayed, differs)
    )
}

/// The text around a byte.
fn around(text: &str, at: usize) -> String {
    let floor = |at: usize| {
        (0..=at.min(text.len()))
            .rev()
            .find(|&at| text.is_char_boundary(at))
    };
    let from = floor(at.saturating_sub(BEFORE)).unwrap_or(0);
    let to = floor(at.saturating_add(AFTER)).unwrap_or(0);
    let cut = |is: bool| if is { "…" } else { "" };
    format!(
        "{}{}{}",
        cut(from > 0),
        clean(text.get(from..to).unwrap_or_default()),
        cut(to < text.len())
    )
}

/// What one policy did, in a few lines that can be compared.
#[must_use]
pub fn tally_text(tally: &Tally) -> String {
    format!(
        "interventions {}: confirmed {}, exonerated {}, unproven {}, untried {}, failed {}, open {}\n\
         rungs: {}\nheld: {}\ngiven back: {}\nharm {:.3} s, unanswered {:.3} s\n\
         ticks: quiet {}, watch {}, alert {}\n",
        tally.interventions,
        tally.confirmed,
        tally.exonerated,
        tally.unproven,
        tally.untried,
        tally.failed,
        tally.open,
        rungs(&tally.rungs),
        knobs(&tally.holds),
        knobs(&tally.releases),
        tally.harm_s,
        tally.unanswered_s,
        tally.paces.quiet,
        tally.paces.watch,
        tally.paces.alert
    )
}

fn rungs(counts: &BTreeMap<Rung, u64>) -> String {
    list(
        counts
            .iter()
            .map(|(rung, count)| (rung_word(*rung), *count)),
    )
}

fn knobs(counts: &BTreeMap<Knob, u64>) -> String {
    list(counts.iter().map(|(knob, count)| (knob.file(), *count)))
}

fn list(counts: impl Iterator<Item = (&'static str, u64)>) -> String {
    let parts: Vec<String> = counts
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

const fn rung_word(rung: Rung) -> &'static str {
    match rung {
        Rung::Weight => "weight",
        Rung::Idle => "idle",
        Rung::Cap => "cap",
        Rung::Freeze => "freeze",
        Rung::High => "high",
        Rung::Swap => "swap",
        Rung::Clamp => "clamp",
        Rung::Throttle => "throttle",
    }
}

const COLUMNS: &[Column<Tally>] = &[
    Column::new("POLICY", Align::Left, Keep::AtLeast(12), |tally| {
        tally.policy.clone()
    }),
    Column::new("TRACES", Align::Right, Keep::IfRoom(5), |tally| {
        tally.traces.to_string()
    }),
    Column::new("HELD", Align::Right, Keep::Whole, |tally| {
        tally.interventions.to_string()
    }),
    Column::new("RUNGS", Align::Left, Keep::AtLeast(12), |tally| {
        rungs(&tally.rungs)
    }),
    Column::new("HARD", Align::Right, Keep::Whole, |tally| {
        tally.hard.to_string()
    }),
    Column::new("CONFIRMED", Align::Right, Keep::IfRoom(3), |tally| {
        tally.confirmed.to_string()
    }),
    Column::new("FALSE", Align::Right, Keep::Whole, |tally| {
        tally.false_actions().to_string()
    }),
    Column::new("UNTRIED", Align::Right, Keep::Whole, |tally| {
        tally.untried.to_string()
    }),
    Column::new("FAILED", Align::Right, Keep::IfRoom(6), |tally| {
        tally.failed.to_string()
    }),
    Column::new("OPEN", Align::Right, Keep::IfRoom(4), |tally| {
        tally.open.to_string()
    }),
    Column::new("HARM s", Align::Right, Keep::IfRoom(1), |tally| {
        format!("{:.1}", tally.harm_s)
    }),
    Column::new("UNANSWERED s", Align::Right, Keep::Whole, |tally| {
        format!("{:.1}", tally.unanswered_s)
    }),
];

fn tallies_text(tallies: &[Tally], width: Option<u16>, paint: Paint) -> String {
    table(COLUMNS, tallies, width, paint, |_| Style::new())
}

/// The sums by policy, then what was wrong with which trace, then what no trace can tell.
#[must_use]
pub fn simulated_text(simulated: &Simulated, width: Option<u16>, paint: Paint) -> String {
    let mut text = tallies_text(&simulated.tallies, width, paint);
    text.push('\n');
    for trace in &simulated.traces {
        let extent = &trace.replayed.extent;
        let mut said = Vec::new();
        if extent.damaged > 0 || extent.lost > 0 {
            said.push(extent_text(extent).trim_end().to_owned());
        }
        said.extend(
            trace
                .problem
                .iter()
                .map(|problem| clean(problem).into_owned()),
        );
        for line in said {
            put(&mut text, format_args!("{}: {line}\n", clean(&trace.file)));
        }
    }
    let mut remarks: BTreeMap<&str, usize> = BTreeMap::new();
    for remark in simulated
        .traces
        .iter()
        .flat_map(|trace| &trace.replayed.remarks)
    {
        *remarks.entry(remark).or_default() += 1;
    }
    for (remark, count) in remarks {
        let of = simulated.traces.len();
        put(
            &mut text,
            format_args!("note: {remark} (in {count} of {of} traces)\n"),
        );
    }
    text.push_str(CAVEAT);
    text
}

/// What stands at the end of a replay with tried policies, besides [`replayed_text`].
#[must_use]
pub const fn what_if_text() -> &'static str {
    CAVEAT
}

fn put(text: &mut String, pieces: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(pieces);
}
