//! What no single key can tell: values that do not go together.

use super::globs;
use super::keys;
use super::walk::Walk;
use crate::model::{Policy, Span};

/// The kernel refuses a `cpu.max` quota under this.
const QUOTA_LEAST: Span = Span::from_millis(1);

/// Two keys, and what must hold of them.
struct Rule {
    lower: (&'static str, &'static str),
    upper: (&'static str, &'static str),
    holds: fn(&Policy) -> bool,
    why: &'static str,
}

const RULES: [Rule; 4] = [
    Rule {
        lower: ("detect", "baseline"),
        upper: ("detect", "baseline_max"),
        holds: |p| p.detect.baseline <= p.detect.baseline_max,
        why: "no baseline counts for more than `detect.baseline_max`",
    },
    Rule {
        lower: ("release", "step"),
        upper: ("release", "hold"),
        holds: |p| p.release.step <= p.release.hold,
        why: "a step back takes no longer than the hold before it",
    },
    Rule {
        lower: ("release", "hold"),
        upper: ("release", "hold_max"),
        holds: |p| p.release.hold <= p.release.hold_max,
        why: "the hold doubles up to `release.hold_max`",
    },
    Rule {
        lower: ("cpu", "cap_floor"),
        upper: ("cpu", "cap_period"),
        holds: |p| p.cpu.cap_period.scaled(p.cpu.cap_floor) >= QUOTA_LEAST,
        why: "the least quota, `cap_floor` times `cap_period`, is under the kernel's 1ms",
    },
];

/// Adds what is wrong between keys to the walk's problems.
pub(super) fn check(walk: &mut Walk<'_>) {
    for rule in &RULES {
        broken(walk, rule);
    }
    host_globs(walk);
}

fn broken(walk: &mut Walk<'_>, rule: &Rule) {
    let names = [rule.lower, rule.upper].map(|(section, name)| keys::full(section, name));
    let seen = [walk.seen(&names[0]), walk.seen(&names[1])];
    // A key that has a problem of its own stands at its default, which nobody wrote.
    let own_problem = seen.iter().flatten().any(|seen| !seen.sound);
    let place = seen.iter().flatten().map(|seen| seen.span.clone()).next();
    let (false, false, Some(place)) = ((rule.holds)(&walk.policy), own_problem, place) else {
        return;
    };
    let shown = [rule.lower, rule.upper].map(|(section, name)| {
        keys::find(section, name).map_or_else(String::new, |key| key.field.show(&walk.policy))
    });
    let message = format!(
        "`{}` {} and `{}` {} do not go together",
        names[0], shown[0], names[1], shown[1]
    );
    let remedy = format!("lower `{}` or raise `{}`", names[0], names[1]);
    let remedy = match rule.lower {
        ("cpu", _) => format!("raise `{}` or `{}`", names[0], names[1]),
        _ => remedy,
    };
    walk.problem(place, message, rule.why.to_owned(), remedy);
}

/// No glob may take a group of the host for a container.
fn host_globs(walk: &mut Walk<'_>) {
    let Some(place) = walk.seen("containers.paths").map(|seen| seen.span.clone()) else {
        return;
    };
    for glob in walk.policy.containers.clone() {
        if let Some(group) = globs::host_group(&glob) {
            let shown = super::problem::visible(&glob, 60);
            walk.problem(
                place.clone(),
                format!("`containers.paths` has {shown:?}"),
                format!("it matches the host's own {group}"),
                "write a glob that only the containers' own groups match".to_owned(),
            );
        }
    }
}
