//! What is held, on what proof, and until when; and what was held before.

use super::event::resource_word;
use super::explain::{Page, amount, short, who};
use super::measure::{length, percent};
use super::table::{Align, Column, Keep, table};
use super::text::{clean, shorten};
use crate::model::{
    End, HoldView, KnobView, PastView, ProofView, Resource, Rung, StepView, Verdict, Wait,
};

const VALUE_MAX: usize = 40;
const PATH_MAX: usize = 160;
const STEPS_MAX: usize = 120;

/// One intervention that stands, as a block of labelled sentences.
pub(super) fn hold_text(hold: &HoldView, page: Page) -> String {
    let mut text = page.title(&format!(
        "HELD: {} for {} ({}), since {}",
        who(&hold.aggressor),
        who(&hold.victim),
        resource_word(hold.resource),
        length(hold.since_s)
    ));
    let knobs: Vec<String> = hold.knobs.iter().map(knob).collect();
    text.push_str(&page.list("how", &[format!("{}: {}", knobs.join(", "), meaning(hold))]));
    let lever = shorten(&hold.lever, PATH_MAX);
    text.push_str(&page.list("where", &[format!("{lever} in the cgroup tree")]));
    if let Some(within) = &hold.within {
        text.push_str(&page.list(
            "inside",
            &[format!(
                "{} of {} itself: the others in {} come first",
                knob(within),
                who(&hold.aggressor),
                shorten(&hold.lever, PATH_MAX)
            )],
        ));
    }
    if let Some(lifted) = &hold.lifted {
        text.push_str(&page.list(
            "beside",
            &[format!(
                "{} of {} itself, as long as nobody else suffers by that",
                knob(lifted),
                who(&hold.victim)
            )],
        ));
    }
    text.push_str(&page.list("proof", &[proof(hold)]));
    if let Some(ago) = hold.killed_s {
        text.push_str(&page.list("KILLED", &[killed(hold, ago)]));
    }
    text.push_str(&page.list("until", &until(hold)));
    text.push_str(&page.list(
        "lease",
        &[format!(
            "{} left, renewed as long as the governor lives and wants it; should it die, its next start or \
             `governor restore` puts the original back",
            length(hold.release.lease_s)
        )],
    ));
    text
}

fn knob(view: &KnobView) -> String {
    let original = view.original.as_deref().unwrap_or("?");
    format!(
        "{} {} → {}",
        clean(&view.knob),
        shorten(original, VALUE_MAX),
        shorten(&view.now, VALUE_MAX)
    )
}

/// What the rung does to the one that is held.
fn meaning(hold: &HoldView) -> String {
    let leaves = amount(hold.resource, hold.leaves);
    let may = amount(hold.resource, hold.entitlement);
    let takes = amount(hold.resource, hold.usage);
    let mut text = match hold.rung {
        Rung::Weight => {
            format!("it gets all the CPU that nobody else wants, and {leaves} for certain")
        }
        Rung::Idle => "it gets the CPU that nobody else wants, and no other".to_owned(),
        Rung::Cap => format!("it gets {leaves} at most, even if nobody wants the rest"),
        Rung::Freeze => format!(
            "it is stopped and goes on by turns, some fifty times a second, and gets {leaves} at most: its tasks run in real time, and obey no other limit"
        ),
        Rung::High => format!("above {leaves} the kernel takes memory back from it and slows it"),
        Rung::Swap => format!("no more than {leaves} of it may be in swap"),
        Rung::Clamp => format!("it keeps what it has, and starts no more above {leaves}"),
        Rung::Throttle => {
            let bytes = amount(Resource::Memory, hold.leaves);
            format!("it reads {bytes} of the device in a second at most, and writes as much")
        }
    };
    text.push_str(&match hold.resource {
        Resource::Cpu | Resource::Io => {
            format!("; it takes {takes} now, and is entitled to {may}")
        }
        Resource::Memory | Resource::Pids => {
            format!("; it has {takes} now, and is entitled to {may}")
        }
    });
    if hold.imagined {
        text.push_str("; NOT written (dry-run)");
    }
    text
}

fn proof(hold: &HoldView) -> String {
    let victim = who(&hold.victim);
    let before = percent(Some(hold.harm_before));
    let now = percent(Some(hold.harm_now));
    let harm = match hold.resource {
        Resource::Cpu | Resource::Io => {
            format!("{victim} waited {before} % of the time by others' doing before, {now} % now")
        }
        // Not all of it was waiting: what is about to run out counts too.
        Resource::Memory | Resource::Pids => {
            format!("the harm to {victim} was {before} % of the time before, {now} % now")
        }
    };
    match hold.proof {
        ProofView::Proving => format!("being measured: {harm}"),
        ProofView::Confirmed => format!("confirmed: {harm}"),
        ProofView::Unproven => format!("unproven, so it is never tightened: {harm}"),
        ProofView::Releasing => format!("no longer needed, on the way back: {harm}"),
    }
}

/// Why it had to die.
fn killed(hold: &HoldView, ago: f64) -> String {
    let of = match hold.resource {
        Resource::Pids => "pids.kill lets it, and the tasks that it had taken were missed by all",
        _ => "memory.kill lets it, and the last memory was going to it in spite of the limit",
    };
    format!("{} ago, with cgroup.kill: {of}", length(ago))
}

/// What ends it, and when at the earliest.
fn until(hold: &HoldView) -> Vec<String> {
    let release = &hold.release;
    let mut sentences: Vec<String> = release.waits.iter().map(|one| wait(one, hold)).collect();
    let (verb, steps) = match hold.proof {
        ProofView::Releasing => ("the next step back", release.steps),
        _ => ("the first step back", release.steps),
    };
    let depends = release
        .waits
        .iter()
        .any(|wait| matches!(wait, Wait::Demand { .. } | Wait::Room | Wait::Harm { .. }));
    let mut text = match (release.earliest_s > 0.0, depends) {
        (false, false) => format!("{verb} comes at once"),
        (false, true) => format!("{verb} comes when that is so, not before"),
        (true, false) => format!(
            "{verb} comes in {} at the earliest",
            short(release.earliest_s)
        ),
        (true, true) => format!(
            "{verb} comes when all of that is so, not before, and in {} at the earliest",
            short(release.earliest_s)
        ),
    };
    text.push_str(&match steps {
        0 | 1 => "; it gives everything back".to_owned(),
        steps => format!(
            "; the last of {steps}, {} apart, gives everything back",
            short(release.step_s)
        ),
    });
    sentences.push(text);
    sentences
}

fn wait(wait: &Wait, hold: &HoldView) -> String {
    let (held, victim) = (who(&hold.aggressor), who(&hold.victim));
    match wait {
        Wait::Proof { left_s } => {
            format!(
                "it must be known whether this helps: {} to go",
                short(*left_s)
            )
        }
        Wait::Hold { left_s, of_s } => format!(
            "it stands for {} at least: {} to go",
            length(*of_s),
            short(*left_s)
        ),
        Wait::Quiet { left_s, of_s } => format!(
            "{victim}, and whoever else is harmed by {held}, must be calm for {}: {}",
            length(*of_s),
            if left_s < of_s {
                format!("{} to go", short(*left_s))
            } else {
                "not calm yet".to_owned()
            }
        ),
        Wait::Harm { harm, target } => format!(
            "{victim} must wait for {} % of the time at most: {} % now",
            percent(Some(*target)),
            percent(Some(*harm))
        ),
        Wait::Demand { trial_s: None } => {
            format!("{held} must want no more CPU than it gets: it still wants more")
        }
        Wait::Demand {
            trial_s: Some(trial),
        } => format!(
            "{held} must want no more CPU than it gets: it still wants more, and is tried back all the \
             same in {}",
            short(*trial)
        ),
        Wait::Room if hold.resource == Resource::Pids => {
            format!("there must be free tasks for what {held} would start: there are not")
        }
        Wait::Room => {
            format!("there must be free memory for what {held} would take: there is not")
        }
        Wait::Step { left_s } => {
            format!("the last step must show no harm: {} to go", short(*left_s))
        }
    }
}

/// What was held before, and stands; the newest first.
pub(super) fn past_table(history: &[PastView], page: Page) -> String {
    use Align::{Left, Right};
    let column = Column::<PastView>::new;
    let columns = [
        column("BEGAN", Right, Keep::Whole, |one| {
            format!("{} ago", length(one.began_s))
        }),
        column("LASTED", Right, Keep::IfRoom(1), |one| length(one.lasted_s)),
        column("HELD", Left, Keep::Whole, |one| who(&one.aggressor)),
        column("FOR", Left, Keep::Whole, |one| who(&one.victim)),
        column("STEPS", Left, Keep::AtLeast(20), steps),
        column("HARM %", Right, Keep::Whole, |one| {
            format!(
                "{} → {}",
                percent(Some(one.harm_before)),
                percent(one.harm_after)
            )
        }),
        column("VERDICT", Left, Keep::Whole, verdict),
        column("END", Left, Keep::AtLeast(10), |one| {
            end(one.end).to_owned()
        }),
    ];
    table(&columns, history, page.width, page.paint, |_| {
        anstyle::Style::new()
    })
}

/// `cpu.weight 100→17→8, 3 steps back`.
fn steps(past: &PastView) -> String {
    let mut text = String::new();
    let mut last: Option<&str> = None;
    let mut back = 0;
    for StepView { knob, tighter, .. } in &past.steps {
        if !tighter {
            back += 1;
            continue;
        }
        text.push_str(&steps_back(back));
        if last != Some(&knob.knob) || back > 0 {
            let gap = if text.is_empty() { "" } else { ", " };
            let original = knob.original.as_deref().unwrap_or("?");
            text.push_str(&format!("{gap}{} {}", knob.knob, value(knob, original)));
            last = Some(&knob.knob);
        }
        back = 0;
        text.push_str(&format!("→{}", value(knob, &knob.now)));
    }
    text.push_str(&steps_back(back));
    if past.more_steps > 0 {
        text.push_str(&format!(", and {} more", past.more_steps));
    }
    shorten(&text, STEPS_MAX)
}

fn steps_back(steps: usize) -> String {
    match steps {
        0 => String::new(),
        1 => ", 1 step back".to_owned(),
        steps => format!(", {steps} steps back"),
    }
}

/// A value in short: of a quota the CPUs.
fn value(knob: &KnobView, text: &str) -> String {
    let parts = text.split_once(' ').filter(|_| knob.knob == "cpu.max");
    let Some((quota, period)) = parts else {
        return text.to_owned();
    };
    match (quota.parse::<f64>(), period.parse::<f64>()) {
        (Ok(quota), Ok(period)) if period > 0.0 => format!("{:.2}", quota / period),
        _ => quota.to_owned(),
    }
}

fn verdict(past: &PastView) -> String {
    let mut text = match past.verdict {
        Some(Verdict::Confirmed) => "confirmed",
        Some(Verdict::Exonerated) => "exonerated",
        Some(Verdict::Unproven) => "unproven",
        None if past.end.is_none() => "being measured",
        None => "not measured",
    }
    .to_owned();
    if past.expired {
        text.push_str(", expired");
    }
    if past.killed {
        text.push_str(", KILLED");
    }
    if past.imagined {
        text.push_str(", dry-run");
    }
    text
}

const fn end(end: Option<End>) -> &'static str {
    match end {
        None => "stands",
        Some(End::Released) => "given back: not needed any more",
        Some(End::Exonerated) => "undone: it brought no relief",
        Some(End::Harmed) => "given back: it came to harm itself, by one that takes more",
        Some(End::Drifted) => "left: somebody else wrote the knob",
        Some(End::Failed) => "undone: the knob could not be written",
        Some(End::Groundless) => "given back: one is gone, or the policy is another",
        Some(End::Asked) => "given back: asked for",
    }
}
