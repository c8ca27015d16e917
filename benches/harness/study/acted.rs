//! What was done to whom, read from the knobs: whoever did it.

use crate::record::Run;
use std::collections::{BTreeMap, BTreeSet};

/// Holds that take something even from one whom nobody waits for.
const HARD: [&str; 7] = [
    "cgroup.freeze",
    "cpu.max",
    "io.max",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "pids.max",
];

/// A group that is thawed for no longer than this and then frozen again is frozen in pulses.
const PULSE_US: u64 = 20_000;

/// The writes without the thaws of pulses, which are one hold and no coming and going.
fn without_pulses(writes: Vec<(u64, f64)>) -> Vec<(u64, f64)> {
    let mut left: Vec<(u64, f64)> = Vec::new();
    for (at_us, allowed) in writes {
        match left.last() {
            Some((thawed_us, before)) if *before > allowed && at_us - thawed_us <= PULSE_US => {
                left.pop();
            }
            _ => left.push((at_us, allowed)),
        }
    }
    left
}

/// How much a knob's text allows: less is tighter. `None` where it limits nobody, or cannot be read.
fn allows(knob: &str, text: &str) -> Option<f64> {
    let number = |word: &str| match word {
        "max" => Some(f64::INFINITY),
        digits => digits.parse::<f64>().ok(),
    };
    match knob {
        "cpu.max" => {
            let (quota, period) = text.split_once(' ')?;
            Some(number(quota)? / number(period)?)
        }
        "cpu.idle" | "cgroup.freeze" => Some(-number(text)?),
        "io.max" => {
            let limits = text
                .split([' ', '\n'])
                .filter_map(|word| word.split_once('='));
            let tightness: f64 = limits
                .filter_map(|(_, limit)| Some(1.0 / number(limit)?))
                .sum();
            // An empty sum is a negative zero.
            Some(if tightness > 0.0 {
                1.0 / tightness
            } else {
                f64::INFINITY
            })
        }
        "cpu.weight" | "memory.high" | "memory.max" | "memory.swap.max" | "pids.max" => {
            number(text)
        }
        _ => None,
    }
}

/// A time in which a knob was tighter than before the run.
struct Held {
    group: String,
    from_us: u64,
    to_us: u64,
    hard: bool,
}

/// What was done in one run.
pub(crate) struct Acted<'r> {
    run: &'r Run,
    held: Vec<Held>,
    /// When a knob of an attacker became tighter, ascending.
    limits: Vec<u64>,
    /// How often one was tightened again after it had been loosened, while the attack lasted.
    turns: u32,
}

impl<'r> Acted<'r> {
    pub(crate) fn new(run: &'r Run, attackers: &BTreeSet<&str>) -> Acted<'r> {
        let mut acted = Acted {
            run,
            held: Vec::new(),
            limits: Vec::new(),
            turns: 0,
        };
        let mut knobs: BTreeMap<(&str, &str), Vec<(u64, f64)>> = BTreeMap::new();
        for write in &run.writes {
            if let Some(allowed) = allows(&write.knob, &write.text) {
                let knob = (write.group.as_str(), write.knob.as_str());
                knobs.entry(knob).or_default().push((write.at_us, allowed));
            }
        }
        for ((group, knob), writes) in knobs {
            let writes = match knob {
                "cgroup.freeze" => without_pulses(writes),
                _ => writes,
            };
            let before = run.before.get(group).and_then(|knobs| knobs.get(knob));
            let Some(before) = before.and_then(|text| allows(knob, text)) else {
                continue;
            };
            acted.follow(group, knob, before, &writes, attackers.contains(group));
        }
        acted.limits.sort_unstable();
        acted
    }

    /// One knob's changes.
    fn follow(
        &mut self,
        group: &str,
        knob: &str,
        before: f64,
        writes: &[(u64, f64)],
        attacker: bool,
    ) {
        let hard = HARD.contains(&knob);
        let end_us = self.run.restored_us.unwrap_or(self.run.end_us);
        let (mut last, mut loosened) = (before, false);
        for (at, (at_us, allowed)) in writes.iter().enumerate() {
            let next_us = writes.get(at + 1).map_or(end_us, |(next, _)| *next);
            if *allowed < before {
                self.held.push(Held {
                    group: group.to_owned(),
                    from_us: *at_us,
                    to_us: next_us.max(*at_us),
                    hard,
                });
            }
            if *allowed < last && *allowed < before {
                if attacker {
                    self.limits.push(*at_us);
                }
                self.turns += u32::from(loosened && *at_us < self.run.attack_end_us);
                loosened = false;
            }
            loosened |= *allowed > last;
            last = *allowed;
        }
    }

    /// From the attack's start to the first limit of an attacker or the first kill of one, milliseconds.
    pub(crate) fn first_limit(&self, attackers: &BTreeSet<&str>) -> Option<f64> {
        let deaths = self.run.deaths.iter();
        let kills = deaths
            .filter(|death| attackers.contains(death.who.as_str()))
            .map(|death| death.at_us);
        let all = self.limits.iter().copied().chain(kills);
        all.filter(|at_us| *at_us >= self.early())
            .min()
            .map(|at_us| self.since(at_us))
    }

    /// The last tightening of an attacker before the relief came, milliseconds since the attack's start.
    pub(crate) fn effective_limit(&self, relief_ms: Option<f64>) -> Option<f64> {
        let relief = relief_ms?;
        let mut since = self
            .limits
            .iter()
            .filter(|at_us| **at_us >= self.early())
            .map(|at_us| self.since(*at_us));
        since.rfind(|ms| *ms <= relief)
    }

    /// The hand moves a moment before the attack.
    fn early(&self) -> u64 {
        self.run.attack_us.saturating_sub(100_000)
    }

    fn since(&self, at_us: u64) -> f64 {
        at_us.saturating_sub(self.run.attack_us) as f64 / 1_000.0
    }

    /// Whom something was done to since the attack's start: held, or killed.
    pub(crate) fn whom(&self) -> BTreeSet<&str> {
        let held = self
            .held
            .iter()
            .filter(|held| held.to_us > self.run.attack_us);
        let killed = self.run.deaths.iter().map(|death| death.who.as_str());
        held.map(|held| held.group.as_str()).chain(killed).collect()
    }

    /// How often each group was held since the attack's start: what follows without a gap is one time.
    pub(crate) fn interventions(&self) -> BTreeMap<&str, u32> {
        let mut spans: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for held in &self.held {
            if held.to_us > self.run.attack_us {
                let group = spans.entry(&held.group).or_default();
                group.push((held.from_us, held.to_us));
            }
        }
        let times = |mut spans: Vec<(u64, u64)>| {
            spans.sort_unstable();
            let (mut times, mut reached) = (0, 0);
            for (from, to) in spans {
                times += u32::from(from > reached);
                reached = reached.max(to);
            }
            times
        };
        spans
            .into_iter()
            .map(|(group, spans)| (group, times(spans)))
            .collect()
    }

    /// Seconds in which groups that `innocent` names were held.
    pub(crate) fn held_s(&self, innocent: impl Fn(&str, Hold) -> bool) -> f64 {
        let mut spans: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for held in &self.held {
            let hold = if held.hard { Hold::Hard } else { Hold::Soft };
            if innocent(&held.group, hold) {
                spans
                    .entry(&held.group)
                    .or_default()
                    .push((held.from_us, held.to_us));
            }
        }
        let total: u64 = spans.into_values().map(union).sum();
        total as f64 / 1e6
    }

    /// See [`Acted`].
    pub(crate) fn turns(&self) -> u32 {
        self.turns
    }
}

/// How much a hold takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing that nobody else wants.
    Soft,
    /// More than that.
    Hard,
}

/// The time that at least one of the spans covers.
fn union(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (from, to) in spans {
        total += to.saturating_sub(from.max(reached));
        reached = reached.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::without_pulses;

    #[test]
    fn pulses_are_one_hold_and_two_freezes_apart_are_two() {
        let (frozen, thawed) = (-1.0, 0.0);
        let mut writes = Vec::new();
        for pulse in 0..50 {
            writes.push((pulse * 20_000, frozen));
            writes.push((pulse * 20_000 + 16_000, thawed));
        }
        let end = 49 * 20_000 + 16_000;
        assert_eq!(without_pulses(writes.clone()), [(0, frozen), (end, thawed)]);
        writes.push((end + 500_000, frozen));
        let apart = [(0, frozen), (end, thawed), (end + 500_000, frozen)];
        assert_eq!(without_pulses(writes), apart);
    }
}
