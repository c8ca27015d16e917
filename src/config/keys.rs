//! The one table of keys. It drives reading, the suggestions for unknown keys, the texts of
//! problems, the difference of two policies, and the test that the shipped file documents all.

use crate::model::{Bytes, Matcher, Mode, Others, Policy, Share, Span, Weight};

/// Where a key's value stands in a policy.
pub(super) type At<T> = fn(&mut Policy) -> &mut T;

/// One key of the file.
pub(super) struct Key {
    /// The table it stands in; empty for the top of the file.
    pub(super) section: &'static str,
    /// Its name there.
    pub(super) name: &'static str,
    /// What it holds, its range, and where that is kept.
    pub(super) field: Field,
    /// What other tools call it: such a word is answered with this key's name.
    pub(super) also: &'static [&'static str],
}

/// What a key holds: how it is read, its range (both ends included), where it is kept.
pub(super) enum Field {
    /// `mode`.
    Mode(At<Mode>),
    /// `release.others`.
    Others(At<Others>),
    /// `true` or `false`.
    Flag(At<bool>),
    /// A percentage; the range in percent.
    Share(At<Share>, f64, f64),
    /// A length of time.
    Span(At<Span>, Span, Span),
    /// A size.
    Bytes(At<Bytes>, Bytes, Bytes),
    /// A `cpu.weight`, at most this much.
    Weight(At<Weight>, Weight),
    /// A plain number.
    Number(At<f64>, f64, f64),
    /// A whole number.
    Count(At<u32>, u32, u32),
    /// An absolute path of at most so many bytes.
    Path(At<String>, usize),
    /// The same, or nothing.
    PathOrNone(At<String>, usize),
    /// Absolute paths, each of at most so many bytes.
    Paths(At<Vec<String>>, usize),
    /// Globs over cgroup paths.
    Globs(At<Vec<String>>),
}

/// What a key of a `[[protect]]` entry holds.
#[derive(Clone, Copy)]
pub(super) enum EntryField {
    /// A glob over names.
    Name,
    /// A glob over cgroup paths.
    Path,
    /// A runtime's word.
    Runtime,
}

/// The section whose entries are [`Matcher`]s.
pub(super) const PROTECT: &str = "protect";

/// The keys of a `[[protect]]` entry.
pub(super) const ENTRY_KEYS: [(&str, EntryField); 3] = [
    ("name", EntryField::Name),
    ("path", EntryField::Path),
    ("runtime", EntryField::Runtime),
];

/// The longest path of a Unix socket: `sun_path` less its NUL.
const SOCKET_MAX: usize = 107;
/// The longest path: `PATH_MAX` less its NUL.
const PATH_MAX: usize = 4095;

const fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

const fn s(s: u64) -> Span {
    Span::from_secs(s)
}

const fn key(section: &'static str, name: &'static str, field: Field) -> Key {
    Key {
        section,
        name,
        field,
        also: &[],
    }
}

impl Key {
    const fn also(mut self, words: &'static [&'static str]) -> Key {
        self.also = words;
        self
    }

    /// The name with its section: `cpu.guarantee`.
    pub(super) fn full(&self) -> String {
        full(self.section, self.name)
    }
}

/// A key's name with its section, if it has one.
pub(super) fn full(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// Every key but those of `[[protect]]` entries, in the order of the shipped file.
pub(super) static KEYS: &[Key] = &[
    key("", "mode", Field::Mode(|p| &mut p.mode)).also(&["dry_run", "dry-run"]),
    key(
        "detect",
        "tolerance",
        Field::Share(|p| &mut p.detect.tolerance, 0.1, 50.0),
    )
    .also(&["threshold", "limit", "pressure"]),
    key(
        "detect",
        "bucket",
        Field::Span(|p| &mut p.detect.bucket, ms(1), s(10)),
    )
    .also(&["for", "window", "duration"]),
    key(
        "detect",
        "baseline",
        Field::Share(|p| &mut p.detect.baseline, 0.0, 20.0),
    ),
    key(
        "detect",
        "baseline_max",
        Field::Share(|p| &mut p.detect.baseline_max, 0.0, 50.0),
    ),
    key(
        "detect",
        "margin",
        Field::Number(|p| &mut p.detect.margin, 1.0, 100.0),
    ),
    key(
        "detect",
        "verify",
        Field::Span(|p| &mut p.detect.verify, ms(50), s(30)),
    ),
    key(
        "detect",
        "relief",
        Field::Share(|p| &mut p.detect.relief, 5.0, 95.0),
    ),
    key(
        "detect",
        "exonerate",
        Field::Span(|p| &mut p.detect.exonerate, s(1), s(3600)),
    )
    .also(&["avoid"]),
    key("cpu", "enforce", Field::Flag(|p| &mut p.cpu.enforce)).also(&["enabled", "enable"]),
    key(
        "cpu",
        "guarantee",
        Field::Share(|p| &mut p.cpu.guarantee, 1.0, 100.0),
    ),
    key(
        "cpu",
        "weight_floor",
        Field::Weight(|p| &mut p.cpu.weight_floor, Weight::DEFAULT),
    )
    .also(&["weight", "min_weight", "shares"]),
    key("cpu", "idle", Field::Flag(|p| &mut p.cpu.idle)),
    key("cpu", "cap", Field::Flag(|p| &mut p.cpu.cap)).also(&["quota", "max"]),
    key("cpu", "freeze", Field::Flag(|p| &mut p.cpu.freeze)).also(&["freezer", "pause"]),
    key(
        "cpu",
        "cap_floor",
        Field::Number(|p| &mut p.cpu.cap_floor, 0.001, 1024.0),
    )
    .also(&["floor", "min_cpus"]),
    key("cpu", "on_behalf", Field::Flag(|p| &mut p.cpu.on_behalf)).also(&["helpers", "outside"]),
    key(
        "cpu",
        "on_behalf_floor",
        Field::Number(|p| &mut p.cpu.on_behalf_floor, 0.001, 1024.0),
    ),
    key(
        "cpu",
        "cap_period",
        Field::Span(|p| &mut p.cpu.cap_period, ms(1), s(1)),
    )
    .also(&["period"]),
    key(
        "cpu",
        "demand_max",
        Field::Share(|p| &mut p.cpu.demand_max, 1.0, 100.0),
    ),
    key("memory", "enforce", Field::Flag(|p| &mut p.memory.enforce)).also(&["enabled", "enable"]),
    key(
        "memory",
        "reserve",
        Field::Share(|p| &mut p.memory.reserve, 0.0, 50.0),
    )
    .also(&["threshold", "available", "min_free"]),
    key(
        "memory",
        "floor",
        Field::Bytes(|p| &mut p.memory.floor, Bytes::from_mib(4), Bytes(1 << 50)),
    )
    .also(&["min", "low", "high_floor"]),
    key("memory", "swap", Field::Flag(|p| &mut p.memory.swap)),
    key("memory", "kill", Field::Flag(|p| &mut p.memory.kill)).also(&["oom", "oom_kill"]),
    key(
        "memory",
        "kill_within",
        Field::Span(|p| &mut p.memory.kill_within, ms(500), s(60)),
    ),
    key("pids", "enforce", Field::Flag(|p| &mut p.pids.enforce)).also(&["enabled", "enable"]),
    key(
        "pids",
        "reserve",
        Field::Share(|p| &mut p.pids.reserve, 0.0, 50.0),
    )
    .also(&["threshold", "min_free"]),
    key(
        "pids",
        "floor",
        Field::Count(|p| &mut p.pids.floor, 16, 4_194_304),
    )
    .also(&["min", "limit", "max"]),
    key("pids", "kill", Field::Flag(|p| &mut p.pids.kill)),
    key("io", "enforce", Field::Flag(|p| &mut p.io.enforce)).also(&["enabled", "enable"]),
    key(
        "io",
        "floor",
        Field::Bytes(|p| &mut p.io.floor, Bytes(4_096), Bytes(1 << 50)),
    )
    .also(&["min", "bps", "bandwidth"]),
    key(
        "io",
        "floor_operations",
        Field::Count(|p| &mut p.io.floor_operations, 1, 4_194_304),
    )
    .also(&["iops", "min_iops"]),
    key(
        "release",
        "quiet",
        Field::Span(|p| &mut p.release.quiet, ms(100), s(600)),
    ),
    key(
        "release",
        "hold",
        Field::Span(|p| &mut p.release.hold, ms(100), s(3600)),
    )
    .also(&["cooldown", "for"]),
    key(
        "release",
        "hold_max",
        Field::Span(|p| &mut p.release.hold_max, ms(100), s(86_400)),
    ),
    key(
        "release",
        "step",
        Field::Span(|p| &mut p.release.step, ms(50), s(60)),
    ),
    key(
        "release",
        "lease",
        Field::Span(|p| &mut p.release.lease, s(1), s(3600)),
    )
    .also(&["ttl", "timeout"]),
    key(
        "release",
        "escape",
        Field::Span(|p| &mut p.release.escape, s(1), s(3600)),
    ),
    key(
        "release",
        "others",
        Field::Others(|p| &mut p.release.others),
    )
    .also(&["drift", "conflict", "writers"]),
    key(
        "runtime",
        "budget",
        Field::Share(|p| &mut p.runtime.budget, 0.1, 50.0),
    )
    .also(&["interval", "cpu"]),
    key(
        "runtime",
        "socket",
        Field::Path(|p| &mut p.runtime.socket, SOCKET_MAX),
    ),
    key(
        "runtime",
        "state",
        Field::Path(|p| &mut p.runtime.state, PATH_MAX),
    )
    .also(&["journal", "state_dir"]),
    key(
        "runtime",
        "rescan",
        Field::Span(|p| &mut p.runtime.rescan, s(1), s(600)),
    ),
    key(
        "runtime",
        "docker",
        Field::Paths(|p| &mut p.runtime.docker, SOCKET_MAX),
    )
    .also(&["podman", "sockets"]),
    key("record", "enabled", Field::Flag(|p| &mut p.record.enabled)).also(&["enable"]),
    key(
        "record",
        "keep",
        Field::Span(|p| &mut p.record.keep, s(10), s(3600)),
    )
    .also(&["duration", "minutes"]),
    key(
        "record",
        "size",
        Field::Bytes(
            |p| &mut p.record.size,
            Bytes::from_mib(1),
            Bytes::from_mib(1024),
        ),
    )
    .also(&["max_size", "limit"]),
    key(
        "record",
        "incidents",
        Field::PathOrNone(|p| &mut p.record.incidents, PATH_MAX),
    )
    .also(&["dir", "folder", "path"]),
    key(
        "record",
        "incidents_max",
        Field::Count(|p| &mut p.record.incidents_max, 1, 1_000),
    )
    .also(&["max_incidents", "count"]),
    key("containers", "paths", Field::Globs(|p| &mut p.containers))
        .also(&["path", "globs", "match"]),
];

/// The sections, in the order of the shipped file; [`PROTECT`] is the last.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter()
        .filter_map(move |key| {
            // The top of the file, where the order begins, is no section.
            let new = key.section != last;
            last = key.section;
            new.then_some(key.section)
        })
        .chain([PROTECT])
}

/// The key of this section and name.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

/// One key whose value differs between two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key with its section: `cpu.guarantee`.
    pub key: String,
    /// Its old value as it would stand in a file.
    pub old: String,
    /// Its new value as it would stand in a file.
    pub new: String,
}

/// The keys whose values differ, in the order of the shipped file; for the log of a reload.
#[must_use]
pub fn difference(old: &Policy, new: &Policy) -> Vec<Difference> {
    let entries = |policy: &Policy| -> String {
        let shown: Vec<String> = policy.protect.iter().map(entry_text).collect();
        format!("[{}]", shown.join(", "))
    };
    KEYS.iter()
        .map(|key| (key.full(), key.field.show(old), key.field.show(new)))
        .chain([(PROTECT.to_owned(), entries(old), entries(new))])
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, new)| Difference { key, old, new })
        .collect()
}

fn entry_text(matcher: &Matcher) -> String {
    let fields = [
        ("name", matcher.name.as_deref()),
        ("path", matcher.path.as_deref()),
        ("runtime", matcher.runtime.map(crate::model::Runtime::word)),
    ];
    let shown: Vec<String> = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} = {}", super::value::quoted(value?))))
        .collect();
    format!("{{ {} }}", shown.join(", "))
}
