//! One event as one line that can be searched for: what, who, whom, how much, from what to what,
//! and on what grounds.

use std::fmt::Write;

use tracing::Level;

use super::text::quoted;
use crate::model::{
    Event, EventKind, EventSuspect, EventView, Evidence, Group, GroupId, Knob, KnobValue, Resource,
    Span, Topology, Verdict, Who, WhyNobody,
};

const NAME_MAX: usize = 64;
const PATH_MAX: usize = 200;
/// Suspects in a line; the evidence keeps them all.
const SUSPECTS_MAX: usize = 5;

/// The event in words and `key=value` pairs, without a time (the log has its own). `topology` gives
/// names and the knobs' originals; a group that is gone from it is shown by its inode.
#[must_use]
pub fn event_line(event: &Event, topology: &Topology) -> String {
    let mut line = Line {
        text: word(event.kind).to_owned(),
        topology,
    };
    line.who(&event.evidence);
    match event.kind {
        EventKind::Tightened { lever, knob, value }
        | EventKind::Loosened { lever, knob, value }
        | EventKind::Lifted { lever, knob, value } => {
            line.change(lever, knob, value);
        }
        EventKind::Nobody(why) => line.pair("why", why_nobody(why)),
        EventKind::Proved(verdict) => line.pair("verdict", verdict_word(verdict)),
        EventKind::CannotAct { knob, why } => {
            line.pair("knob", knob.file());
            line.pair("why", &why.to_string());
        }
        EventKind::Drift { knob } => line.pair("knob", knob.file()),
        EventKind::CannotKill { why } => line.pair("why", &why.to_string()),
        EventKind::Alarm | EventKind::Released | EventKind::Killed => {}
    }
    line.grounds(&event.evidence);
    line.text
}

/// The event for programs, and its line; not numbered yet, and without the time of day.
#[must_use]
pub fn event_view(event: &Event, topology: &Topology) -> EventView {
    let evidence = &event.evidence;
    let who = |id: GroupId| {
        let gone = || Who {
            name: format!("#{}", id.0),
            path: String::new(),
        };
        let found = topology.find(id);
        found.map_or_else(gone, |(_, group)| Group::who(group))
    };
    let mut view = EventView {
        at_us: event.at.0,
        kind: word(event.kind).to_owned(),
        aggressor: evidence.aggressor.map(who),
        victim: evidence.victim.map(who),
        resource: evidence.resource,
        harm: evidence.harm,
        harm_before: evidence.harm_before,
        baseline: evidence.baseline,
        bucket_s: evidence.bucket.as_secs_f64(),
        suspects: evidence
            .suspects
            .iter()
            .map(|one| EventSuspect {
                who: who(one.id),
                blame: one.blame.get(),
                usage: one.usage,
                entitlement: one.entitlement,
            })
            .collect(),
        text: event_line(event, topology),
        ..EventView::default()
    };
    match event.kind {
        EventKind::Tightened { lever, knob, value }
        | EventKind::Loosened { lever, knob, value }
        | EventKind::Lifted { lever, knob, value } => {
            let found = topology.find(lever).map(|(_, group)| group);
            let original = found.and_then(|group| group.knobs.value(knob));
            view.lever = Some(who(lever).path);
            view.knob = Some(knob.file().to_owned());
            view.original = original.map(|value| value.to_string());
            view.to = Some(value.to_string());
        }
        EventKind::Nobody(why) => view.why = Some(why_nobody(why).to_owned()),
        EventKind::Proved(verdict) => view.verdict = Some(verdict),
        EventKind::CannotAct { knob, why } => {
            view.knob = Some(knob.file().to_owned());
            view.why = Some(why.to_string());
        }
        EventKind::Drift { knob } => view.knob = Some(knob.file().to_owned()),
        EventKind::CannotKill { why } => view.why = Some(why.to_string()),
        EventKind::Alarm | EventKind::Released | EventKind::Killed => {}
    }
    view
}

/// How loud the event is in a log.
#[must_use]
pub const fn event_level(kind: EventKind) -> Level {
    match kind {
        EventKind::CannotAct { .. } | EventKind::CannotKill { .. } => Level::ERROR,
        EventKind::Drift { .. } | EventKind::Killed => Level::WARN,
        EventKind::Alarm
        | EventKind::Nobody(_)
        | EventKind::Tightened { .. }
        | EventKind::Loosened { .. }
        | EventKind::Lifted { .. }
        | EventKind::Proved(_)
        | EventKind::Released => Level::INFO,
    }
}

struct Line<'a> {
    text: String,
    topology: &'a Topology,
}

impl Line<'_> {
    fn pair(&mut self, key: &str, value: &str) {
        self.put(format_args!(" {key}={}", quoted(value, PATH_MAX)));
    }

    fn put(&mut self, pieces: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(pieces);
    }

    fn name(&self, id: GroupId) -> String {
        let name = match self.topology.find(id) {
            Some((_, group)) => group.name(),
            None => format!("#{}", id.0),
        };
        quoted(&name, NAME_MAX)
    }

    fn who(&mut self, evidence: &Evidence) {
        if let Some(aggressor) = evidence.aggressor {
            let name = self.name(aggressor);
            self.put(format_args!(" aggressor={name}"));
        }
        if let Some(victim) = evidence.victim {
            let name = self.name(victim);
            self.put(format_args!(" victim={name}"));
        }
        if let Some(resource) = evidence.resource {
            self.put(format_args!(" resource={}", resource_word(resource)));
        }
    }

    fn change(&mut self, lever: GroupId, knob: Knob, value: KnobValue) {
        self.pair("knob", knob.file());
        let found = self.topology.find(lever).map(|(_, group)| group);
        if let Some(original) = found.and_then(|group| group.knobs.value(knob)) {
            self.pair("original", &original.to_string());
        }
        self.pair("to", &value.to_string());
        match found {
            Some(group) => self.pair("lever", &String::from_utf8_lossy(&group.path)),
            None => self.put(format_args!(" lever=#{}", lever.0)),
        }
    }

    fn grounds(&mut self, evidence: &Evidence) {
        if evidence.victim.is_none() {
            return;
        }
        let percent = |share: f64| share * 100.0;
        self.put(format_args!(" harm={:.1}%", percent(evidence.harm)));
        if evidence.harm_before > 0.0 {
            self.put(format_args!(
                " before={:.1}%",
                percent(evidence.harm_before)
            ));
        }
        self.put(format_args!(
            " baseline={:.1}% bucket={}",
            percent(evidence.baseline),
            evidence.bucket
        ));
        let (least, most) = evidence.own;
        if most > Span::ZERO {
            self.put(format_args!(" own={least}..{most}"));
        }
        for (rank, suspect) in evidence.suspects.iter().take(SUSPECTS_MAX).enumerate() {
            let name = self.name(suspect.id);
            self.put(format_args!(
                "{}{name}:blame={:.0}%,{}",
                if rank == 0 { " suspects=" } else { ";" },
                percent(suspect.blame.get()),
                usage(evidence.resource, suspect.usage, suspect.entitlement)
            ));
        }
        let more = evidence.suspects.len().saturating_sub(SUSPECTS_MAX);
        if more > 0 {
            self.put(format_args!(";+{more}"));
        }
    }
}

fn usage(resource: Option<Resource>, usage: f64, entitlement: f64) -> String {
    match resource {
        Some(Resource::Memory) => {
            let mib = f64::from(1 << 20);
            format!(
                "grows={:.1}MiB/s,of={:.1}MiB/s",
                usage / mib,
                entitlement / mib
            )
        }
        Some(Resource::Pids) => format!("has={usage:.0}tasks,of={entitlement:.0}tasks"),
        Some(Resource::Io) => format!("takes={:.0}%,of={:.0}%", usage * 100.0, entitlement * 100.0),
        // Over half a second: what was decided on may be shorter.
        Some(Resource::Cpu) | None => format!("used={usage:.2}cpu/0.5s,of={entitlement:.2}cpu"),
    }
}

const fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Alarm => "alarm",
        EventKind::Nobody(_) => "nobody-to-blame",
        EventKind::Tightened { .. } => "tightened",
        EventKind::Loosened { .. } => "loosened",
        EventKind::Lifted { .. } => "lifted",
        EventKind::Killed => "killed",
        EventKind::CannotKill { .. } => "cannot-kill",
        EventKind::Proved(_) => "proved",
        EventKind::Released => "released",
        EventKind::CannotAct { .. } => "cannot-act",
        EventKind::Drift { .. } => "drift",
    }
}

const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Exonerated => "exonerated",
        Verdict::Unproven => "unproven",
    }
}

const fn why_nobody(why: WhyNobody) -> &'static str {
    match why {
        WhyNobody::NoExcess => "nobody takes more than its entitlement",
        WhyNobody::NoMargin => "no suspect stands out from the next",
        WhyNobody::Protected => "all who take too much are protected",
        WhyNobody::Exonerated => "all who take too much were lately exonerated",
        WhyNobody::AtFloor => "all who take too much are held at their floor",
        WhyNobody::NoLever => "the one to blame has no knob that can be written",
        WhyNobody::Busy => "another experiment on this resource is under way",
    }
}

pub(super) const fn resource_word(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu",
        Resource::Memory => "memory",
        Resource::Pids => "pids",
        Resource::Io => "io",
    }
}
