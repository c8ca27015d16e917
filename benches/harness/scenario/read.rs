//! The reading of a scenario's file, and what no single value can tell.

use super::table::{Notes, Table};
use super::value::{self, KNOBS};
use super::{Actor, Class, Clock, Harm, Holds, Limits, Phases, Scenario};
use crate::run::ATTACKERS_EARLY_US;
use crate::study::lived::UNDER_WAY_US;
use governor::config::{Problem, Problems, nearest};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeTable;

/// The scenario of this text; `name` is the file's.
///
/// # Errors
/// All that is wrong with the text.
pub(crate) fn read(name: &str, text: &str) -> Result<Scenario, Problems> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problems = errors.iter().map(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            Problem::new(
                at..at + 1,
                "this is not TOML".to_owned(),
                error
                    .message()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                "a line is [section], [[entry]] or key = value".to_owned(),
            )
        });
        return Err(Problems::new(text, problems.collect()));
    }
    let mut notes = Notes::about(text);
    let top = Table::new(String::new(), 0..0, root.get_ref());
    match whole(name, top, &mut notes) {
        Some(scenario) if notes.all.is_empty() => Ok(scenario),
        _ => Err(Problems::new(text, notes.all)),
    }
}

/// `None` only where a problem was noted.
fn whole(name: &str, mut top: Table<'_, '_>, notes: &mut Notes<'_>) -> Option<Scenario> {
    let title = top.required(notes, "title", "\"what happens, in a line\"", value::text);
    let row = top.optional(notes, "row", "\"a row of the catalogue\"", value::text);
    let classes = r#""cpu", "memory", "io", "pids", "mixed", "framing", "governor" or "benign""#;
    let class = top.required(notes, "class", classes, value::class);
    let clock = top.optional(notes, "clock", r#""any" or "real""#, value::clock);
    let seed = top.optional(notes, "seed", "a whole number", value::whole);
    let room = top.optional(notes, "room", "a whole number of tasks", value::whole);
    let swap = top.optional(notes, "swap", "true or false", value::flag);
    let policy = top.optional(
        notes,
        "policy",
        "the governor's policy, in '''",
        value::text,
    );
    let phases = phases(&mut top, notes);
    let victims = actors(&mut top, notes, Part::Victim);
    let attackers = actors(&mut top, notes, Part::Attacker);
    let helpers = actors(&mut top, notes, Part::Helper);
    let names = unique(victims.iter().chain(&attackers).chain(&helpers), notes);
    let given = limits(&mut top, notes, "given", &names);
    let fixed = limits(&mut top, notes, "static", &names);
    let oracle = limits(&mut top, notes, "oracle", &names);
    let harm = harm(&mut top, notes);
    let holds = holds(&mut top, notes);
    if harm == Harm::default() && class.is_some_and(|class| class != Class::Benign) {
        let remedy = "write [harm] with p99 = 5, or the class \"benign\"";
        let why = "an attack that cannot show its harm proves nothing";
        notes.add(top.place(), "`harm` lacks".to_owned(), why, remedy);
    }
    let policy = policy.unwrap_or_default();
    check_policy(&policy, &top, notes);
    top.end(notes);
    Some(Scenario {
        name: name.to_owned(),
        title: title?,
        row,
        class: class?,
        clock: clock.unwrap_or(Clock::Any),
        seed: seed.unwrap_or(1),
        phases: phases?,
        victims: victims.into_iter().map(|(_, actor)| actor).collect(),
        attackers: attackers.into_iter().map(|(_, actor)| actor).collect(),
        helpers: helpers.into_iter().map(|(_, actor)| actor).collect(),
        policy,
        room,
        swap: swap.unwrap_or(false),
        given,
        fixed,
        oracle,
        harm,
        holds,
    })
}

/// The policy's own reader says what is wrong with it.
fn check_policy(policy: &str, top: &Table<'_, '_>, notes: &mut Notes<'_>) {
    let Err(problems) = governor::config::parse(policy) else {
        return;
    };
    let place = top.names().find(|(_, name, _)| *name == "policy");
    let place = place.map_or(0..0, |(span, ..)| span);
    for problem in problems.all() {
        let message = format!("`policy`: {}", problem.message);
        notes.add(place.clone(), message, &problem.why, &problem.remedy);
    }
}

const SECOND: u64 = 1_000_000;
/// A longer part measures nothing that a shorter one does not.
const LONGEST: u64 = 600 * SECOND;

fn phases(top: &mut Table<'_, '_>, notes: &mut Notes<'_>) -> Option<Phases> {
    let Some(mut table) = top.below(notes, "phases") else {
        let remedy = "write [phases] with alone, attacked and recovery";
        notes.add(
            top.place(),
            "`phases` lacks".to_owned(),
            "it must be here",
            remedy,
        );
        return None;
    };
    let expected = r#"a length of time such as "10s""#;
    let alone = table.required(notes, "alone", expected, value::span);
    let attacked = table.required(notes, "attacked", expected, value::span);
    let recovery = table.required(notes, "recovery", expected, value::span);
    let settle = table.optional(notes, "settle", expected, value::span);
    let prepare = table.optional(notes, "prepare", expected, value::span);
    let place = table.place();
    table.end(notes);
    let phases = Phases {
        prepare: prepare.unwrap_or(SECOND / 2),
        alone: alone?,
        settle: settle.unwrap_or(SECOND),
        attacked: attacked?,
        recovery: recovery?,
    };
    if phases.settle + ATTACKERS_EARLY_US + UNDER_WAY_US >= phases.alone {
        let message =
            "`phases.alone` is hardly longer than `phases.settle` and two seconds".to_owned();
        let why =
            "attackers are started two seconds before their attack: nothing is left to be judged";
        notes.add(place.clone(), message, why, "make `alone` longer");
    }
    for (name, length) in [("alone", phases.alone), ("attacked", phases.attacked)] {
        if !(SECOND..=LONGEST).contains(&length) {
            let message = format!("`phases.{name}` is impossible");
            let why = "less than a second, or more than ten minutes";
            notes.add(place.clone(), message, why, "choose a length in between");
        }
    }
    Some(phases)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Victim,
    Attacker,
    Helper,
}

const VICTIM: &str = r#""victim …" (governor-bench load --help)"#;
const ATTACKER: &str = r#""hog …" (governor-bench load --help), or `program`"#;

/// Those that could be read, each with its place.
fn actors(
    top: &mut Table<'_, '_>,
    notes: &mut Notes<'_>,
    part: Part,
) -> Vec<(std::ops::Range<usize>, Actor)> {
    let key = match part {
        Part::Victim => "victim",
        Part::Attacker => "attacker",
        Part::Helper => "helper",
    };
    let entries = top.list(notes, key);
    let wanted = part != Part::Helper;
    if wanted && entries.is_empty() && !notes.all.iter().any(|one| one.message.contains(key)) {
        let remedy = format!("add an entry [[{key}]] with name and load");
        notes.add(top.place(), format!("no `{key}`"), "one is needed", &remedy);
    }
    let mut all = Vec::new();
    for mut entry in entries {
        let name = entry.required(notes, "name", "a short name", value::name);
        let program = match part {
            Part::Victim | Part::Attacker => entry.optional(
                notes,
                "program",
                "a program and its arguments, or a script",
                value::program,
            ),
            Part::Helper => None,
        };
        let load = match part {
            Part::Victim => entry.required(notes, "load", VICTIM, value::victim),
            // It is either.
            Part::Attacker if program.is_some() => Some(Vec::new()),
            Part::Attacker | Part::Helper => entry.required(notes, "load", ATTACKER, value::load),
        };
        let mut actor = Actor {
            name: name.unwrap_or_default(),
            load: load.unwrap_or_default(),
            program,
            ..Actor::default()
        };
        if part == Part::Attacker {
            attacker(&mut actor, &mut entry, notes);
        }
        let place = entry.place();
        entry.end(notes);
        if !actor.name.is_empty() && (!actor.load.is_empty() || actor.program.is_some()) {
            all.push((place, actor));
        }
    }
    all
}

/// What only an attacker has.
fn attacker(actor: &mut Actor, entry: &mut Table<'_, '_>, notes: &mut Notes<'_>) {
    let expected = r#"a length of time such as "2s""#;
    let after = entry.optional(notes, "after", expected, value::span);
    actor.after = after.unwrap_or(0);
    actor.lasts = entry.optional(notes, "lasts", expected, value::span);
    let children = entry.optional(notes, "children", "a number of groups", value::whole);
    actor.children = children.unwrap_or(0);
    let fresh = entry.optional(notes, "fresh", "true or false", value::flag);
    actor.fresh = fresh.unwrap_or(false);
    if actor.program.is_some() && actor.lasts.is_some() {
        let message = "`attacker.lasts` is for loads".to_owned();
        let why = "a program knows by itself when it ends, or lasts as long as the attack";
        notes.add(entry.place(), message, why, "say it in the program's words");
    }
    if actor.fresh && actor.children > 0 {
        let message = "`attacker.children` of one that is `fresh`".to_owned();
        let why = "a group that comes late has none below it";
        notes.add(entry.place(), message, why, "leave one of them out");
    }
}

type Placed = (std::ops::Range<usize>, Actor);

/// The names of all, and a problem for each that stands twice.
fn unique<'p>(all: impl Iterator<Item = &'p Placed>, notes: &mut Notes<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (place, actor) in all {
        if !names.insert(actor.name.clone()) {
            let message = format!("two are called `{}`", actor.name);
            let why = "each has a cgroup of its own";
            notes.add(place.clone(), message, why, "give one of them another name");
        }
    }
    names
}

fn limits(
    top: &mut Table<'_, '_>,
    notes: &mut Notes<'_>,
    key: &'static str,
    groups: &BTreeSet<String>,
) -> Limits {
    let mut limits = Limits::new();
    let Some(table) = top.below(notes, key) else {
        return limits;
    };
    for (span, group, value) in table.names() {
        let Some(knobs) = value
            .get_ref()
            .as_table()
            .filter(|_| groups.contains(group))
        else {
            let message = format!("`{key}.{}` is nobody", group.escape_debug());
            let remedy = match nearest(group, groups.iter().map(String::as_str)) {
                Some((_, meant)) => format!("did you mean [{key}.{meant}]?"),
                None => format!("write [{key}.NAME] with the name of a victim or an attacker"),
            };
            notes.add(
                span,
                message,
                "no victim or attacker has this name",
                &remedy,
            );
            continue;
        };
        let knobs = Table::new(format!("{key}.{group}"), value.span(), knobs);
        limits.insert(group.to_owned(), knobs_of(&knobs, notes));
    }
    limits
}

fn knobs_of(table: &Table<'_, '_>, notes: &mut Notes<'_>) -> BTreeMap<String, String> {
    let mut knobs = BTreeMap::new();
    for (span, knob, value) in table.names() {
        if !KNOBS.contains(&knob) {
            let remedy = match nearest(knob, KNOBS.into_iter()) {
                Some((_, meant)) => format!("did you mean \"{meant}\"?"),
                None => format!("known are \"{}\"", KNOBS.join("\", \"")),
            };
            let message = format!("`{}` is no knob", knob.escape_debug());
            notes.add(span, message, "unknown (quote its name)", &remedy);
            continue;
        }
        match value::text(value.get_ref()) {
            Ok(text) => {
                knobs.insert(knob.to_owned(), text);
            }
            Err(why) => {
                let message = format!("`{knob}` cannot be {}", notes.stands(value.span()));
                notes.add(
                    value.span(),
                    message,
                    &why,
                    "write the file's text, in quotes",
                );
            }
        }
    }
    knobs
}

const TIMES: &str = "how many times what it is alone, such as 1.3";
const SHARE: &str = r#"a percentage such as "95%""#;

fn harm(top: &mut Table<'_, '_>, notes: &mut Notes<'_>) -> Harm {
    let Some(mut table) = top.below(notes, "harm") else {
        return Harm::default();
    };
    let harm = Harm {
        p99: table.optional(notes, "p99", TIMES, value::times),
        answered: table.optional(notes, "answered", SHARE, value::share),
    };
    table.end(notes);
    harm
}

fn holds(top: &mut Table<'_, '_>, notes: &mut Notes<'_>) -> Holds {
    let Some(mut table) = top.below(notes, "holds") else {
        return Holds::default();
    };
    let holds = Holds {
        p99: table.optional(notes, "p99", TIMES, value::times),
        answered: table.optional(notes, "answered", SHARE, value::share),
        of_oracle: table.optional(notes, "of_oracle", SHARE, value::share),
        hard: table.optional(notes, "hard", "true or false", value::flag),
    };
    table.end(notes);
    holds
}
