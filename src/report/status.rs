//! `governor status` as text.

use anstyle::{AnsiColor, Style};

use super::measure::{ABSENT, count, length, of, percent, size};
use super::table::{Align, Column, Keep, Paint, loud, painted, table};
use super::text::{clean, shorten};
use crate::model::{ContainerView, Header, LimitView, Mode, Role, Rung, Status};

const NAME_MAX: usize = 32;
const WHY_MAX: usize = 160;
const PATH_MAX: usize = 120;

/// A container together with what is held of it.
struct Line<'a> {
    view: &'a ContainerView,
    limits: Vec<&'a LimitView>,
}

/// The whole answer: what answers, the containers, what is held, and at the end what is wrong.
/// `width` is the terminal's, in columns; `None` for no bound (a file, a pipe).
#[must_use]
pub fn status_text(status: &Status, width: Option<u16>, paint: Paint) -> String {
    let mut text = header(&status.header);
    text.push('\n');
    if status.containers.is_empty() {
        text.push_str("no containers\n");
    } else {
        let mut lines: Vec<Line<'_>> = status
            .containers
            .iter()
            .map(|view| Line {
                view,
                limits: limits_of(status, view),
            })
            .collect();
        // Containers first, each kind in the order of the tree.
        lines.sort_by_key(|line| line.view.runtime == "service");
        text.push_str(&table(&columns(), &lines, width, paint, |line| {
            role_style(line.view.role)
        }));
    }
    if !status.limits.is_empty() {
        text.push('\n');
        text.push_str(&table(
            &limit_columns(),
            &status.limits,
            width,
            paint,
            |limit| role_style_of_rung(limit.rung),
        ));
    }
    let warnings = warnings(status);
    if !warnings.is_empty() {
        text.push('\n');
    }
    for warning in warnings {
        text.push_str(&painted(&warning, loud(), paint));
        text.push('\n');
    }
    text
}

/// What the operator should know, the worst first, one line each.
#[must_use]
pub fn warnings(status: &Status) -> Vec<String> {
    let header = &status.header;
    let mut warnings = Vec::new();
    if header.cannot_act > 0 {
        warnings.push(format!(
            "CANNOT ACT: {} writes failed since the start; `governor doctor` tells why",
            header.cannot_act
        ));
    }
    if header.kills > 0 {
        warnings.push(format!(
            "KILLED: {} containers since the start, as the policy lets; `governor events` tells which",
            header.kills
        ));
    }
    if header.drifts > 0 {
        warnings.push(format!(
            "DRIFT: {} held knobs were changed by somebody else and left to them",
            header.drifts
        ));
    }
    if header.age_s > 1.0 {
        warnings.push(format!(
            "OLD: the control loop last reported {} ago",
            length(header.age_s)
        ));
    }
    for sentence in &header.degraded {
        warnings.push(format!("degraded: {}", clean(sentence)));
    }
    for manager in &header.other_managers {
        warnings.push(format!("also manages cgroups here: {}", clean(manager)));
    }
    warnings
}

fn header(header: &Header) -> String {
    let mode = match header.mode {
        Mode::Enforce => "enforce",
        Mode::DryRun => "dry-run",
    };
    let mut text = format!(
        "governor {} ({})",
        clean(&header.version),
        clean(&header.source)
    );
    // Without a daemon nothing is enforced, whatever the policy says.
    if header.uptime_s > 0.0 {
        text.push_str(&format!("  mode {mode}  up {}", length(header.uptime_s)));
    }
    text.push_str(&format!("\npolicy  {}", shorten(&header.policy, PATH_MAX)));
    if header.policy_age_s > 0.0 {
        text.push_str(&format!(", loaded {} ago", length(header.policy_age_s)));
    }
    text.push('\n');
    if header.ticks > 0 {
        let late = |ms: Option<f64>| ms.map_or_else(|| ABSENT.to_owned(), |ms| format!("{ms:.1}"));
        text.push_str(&format!(
            "loop    {}, every {:.0} ms, {} doorbells, {} ticks\n\
             self    {} % of a CPU, late p50 {} / p99 {} / max {} ms\n",
            clean(&header.pace),
            header.interval_ms,
            header.doorbells,
            header.ticks,
            header
                .own_cpu
                .map_or_else(|| ABSENT.to_owned(), |cpu| format!("{:.2}", cpu * 100.0)),
            late(header.lateness_p50_ms),
            late(header.lateness_p99_ms),
            late(header.lateness_max_ms),
        ));
    }
    text
}

fn limits_of<'a>(status: &'a Status, view: &ContainerView) -> Vec<&'a LimitView> {
    status
        .limits
        .iter()
        .filter(|limit| limit.path == view.path)
        .collect()
}

/// The containers' fields, the one place where they are listed.
fn columns<'a>() -> [Column<Line<'a>>; 11] {
    use Align::{Left, Right};
    let column = Column::<Line<'a>>::new;
    [
        column("NAME", Left, Keep::Whole, |line| name(&line.view.name)),
        column("RUNTIME", Left, Keep::IfRoom(5), |line| {
            shorten(&line.view.runtime, NAME_MAX)
        }),
        column("CPU %", Right, Keep::Whole, |line| percent(line.view.cpu)),
        column("THROTTLED %", Right, Keep::IfRoom(6), |line| {
            percent(line.view.throttled)
        }),
        column("PSI cpu/mem", Right, Keep::Whole, |line| {
            format!(
                "{}/{}",
                percent(line.view.psi_cpu),
                percent(line.view.psi_memory)
            )
        }),
        column("MEM / LIMIT", Right, Keep::IfRoom(2), |line| {
            of(line.view.memory, line.view.memory_limit, size)
        }),
        column("PIDS / MAX", Right, Keep::IfRoom(4), |line| {
            of(line.view.pids, line.view.pids_max, count)
        }),
        column("ROLE", Left, Keep::Whole, |line| {
            role(line.view.role).to_owned()
        }),
        column("LIMITS", Left, Keep::AtLeast(24), |line| {
            limits(&line.limits)
        }),
        column("SINCE", Right, Keep::IfRoom(3), |line| {
            line.view.since_s.map_or_else(|| ABSENT.to_owned(), length)
        }),
        column("WHY", Left, Keep::AtLeast(16), |line| {
            shorten(&line.view.why, WHY_MAX)
        }),
    ]
}

/// The fields of what is held.
fn limit_columns() -> [Column<LimitView>; 9] {
    use Align::{Left, Right};
    let column = Column::<LimitView>::new;
    [
        column("HELD", Left, Keep::Whole, |limit| name(&limit.container)),
        column("KNOB", Left, Keep::Whole, |limit| {
            shorten(&limit.knob, NAME_MAX)
        }),
        column("ORIGINAL", Right, Keep::Whole, |limit| {
            shorten(&limit.original, NAME_MAX)
        }),
        column("NOW", Right, Keep::Whole, |limit| {
            shorten(&limit.now, NAME_MAX)
        }),
        column("FOR VICTIM", Left, Keep::Whole, |limit| name(&limit.victim)),
        column("PROOF", Left, Keep::Whole, |limit| {
            shorten(&limit.proof, NAME_MAX)
        }),
        column("AGE", Right, Keep::IfRoom(1), |limit| length(limit.age_s)),
        column("LEASE", Right, Keep::IfRoom(2), |limit| {
            length(limit.lease_s)
        }),
        column("LEVER", Left, Keep::AtLeast(16), |limit| {
            shorten(&limit.lever, PATH_MAX)
        }),
    ]
}

/// A name is never an empty cell: the columns after it would seem to have moved.
pub(super) fn name(name: &str) -> String {
    if name.trim().is_empty() {
        "(no name)".to_owned()
    } else {
        shorten(name, NAME_MAX)
    }
}

/// `cpu.weight 100→4 28s`, the lease left at the end.
fn limits(limits: &[&LimitView]) -> String {
    if limits.is_empty() {
        return ABSENT.to_owned();
    }
    let shown: Vec<String> = limits
        .iter()
        .map(|limit| {
            format!(
                "{} {}→{} {}",
                shorten(&limit.knob, NAME_MAX),
                shorten(&limit.original, NAME_MAX),
                shorten(&limit.now, NAME_MAX),
                length(limit.lease_s)
            )
        })
        .collect();
    shown.join(", ")
}

pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Calm => "calm",
        Role::Victim => "victim",
        Role::Suspect => "suspect",
        Role::Aggressor => "aggressor",
        Role::Protected => "protected",
    }
}

pub(super) fn role_style(role: Role) -> Style {
    match role {
        Role::Calm | Role::Protected => Style::new(),
        Role::Victim => AnsiColor::Yellow.on_default(),
        Role::Suspect => AnsiColor::Magenta.on_default(),
        Role::Aggressor => AnsiColor::Red.on_default(),
    }
}

fn role_style_of_rung(rung: Rung) -> Style {
    if rung.is_hard() {
        AnsiColor::Red.on_default()
    } else {
        Style::new()
    }
}
