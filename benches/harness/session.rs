//! All runs of one call: scenarios one after the other, and within each the arms interleaved, round by
//! round, so that a drift of the host hits all of them alike. Each run is recorded as soon as it is over.

use crate::arm::Arm;
use crate::machine::Machine;
use crate::record::{Line, Run, Writer};
use crate::run::{Setup, play};
use crate::scenario::Clock;
use crate::scenario::find::Found;
use crate::stop::Stopped;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is to be run.
pub(crate) struct Order {
    pub(crate) scenarios: Vec<Found>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) rounds: u32,
    pub(crate) setup: Setup,
    /// Whether a bar may be shown: not where the record goes to the same terminal.
    pub(crate) progress: bool,
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All was run; so many runs came to no end.
    Through {
        /// So many.
        failed: u32,
    },
    /// A signal ended it.
    Stopped,
}

/// Runs everything, and records it.
///
/// # Errors
/// The record cannot be written: then nothing more is worth running.
pub(crate) fn go(order: &Order, record: &mut Writer) -> anyhow::Result<End> {
    let machine = Machine::here(&order.setup)?;
    let virtual_clock = machine.lab.starts_with("virtual");
    record.write(&Line::Machine(machine))?;
    let bar = bar(order);
    let mut failed = 0;
    for found in &order.scenarios {
        let scenario = &found.scenario;
        if virtual_clock && scenario.clock == Clock::Real {
            say(
                &bar,
                &format!("{}: left out, it needs real time", scenario.name),
            );
            continue;
        }
        if order.setup.containers.is_some() && scenario.moves_groups() {
            let why = "left out, its groups are made and moved as no container's are";
            say(&bar, &format!("{}: {why}", scenario.name));
            continue;
        }
        record.write(&Line::Scenario {
            name: scenario.name.clone(),
            text: found.text.clone(),
        })?;
        for round in 1..=order.rounds {
            for arm in order.arms.iter().filter(|arm| arm.applies(scenario)) {
                bar.set_message(format!("{}, {} {round}", scenario.name, arm.word()));
                let mut run = Run {
                    scenario: scenario.name.clone(),
                    arm: *arm,
                    round,
                    ..Run::default()
                };
                let played = play(&mut run, scenario, &order.setup);
                record.write(&Line::Run(Box::new(run)))?;
                bar.inc(1);
                let Err(why) = played else {
                    continue;
                };
                say(
                    &bar,
                    &format!("{}, {} {round}: {why:#}", scenario.name, arm.word()),
                );
                record.write(&Line::Failed {
                    scenario: scenario.name.clone(),
                    arm: *arm,
                    round,
                    why: format!("{why:#}"),
                })?;
                failed += 1;
                if why.is::<Stopped>() {
                    bar.finish_and_clear();
                    return Ok(End::Stopped);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(End::Through { failed })
}

/// On a terminal only; elsewhere it shows nothing.
fn bar(order: &Order) -> ProgressBar {
    let arms = |found: &Found| {
        order
            .arms
            .iter()
            .filter(|arm| arm.applies(&found.scenario))
            .count()
    };
    let runs: usize = order.scenarios.iter().map(arms).sum();
    let target = if order.progress {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let length = runs as u64 * u64::from(order.rounds);
    let bar = ProgressBar::with_draw_target(Some(length), target);
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {pos}/{len} runs, {eta} left: {msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// What cannot wait for the table; a hidden bar would swallow it.
fn say(bar: &ProgressBar, text: &str) {
    bar.suspend(|| eprintln!("governor-bench: {text}"));
}
