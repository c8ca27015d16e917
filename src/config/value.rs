//! One value of the file to one field of the policy, and back to text. Units stand in the value.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::globs;
use super::keys::{EntryField, Field};
use crate::model::{Bytes, Matcher, Mode, Others, Policy, Runtime, Share, Span, Weight};

/// Says what is wrong with a value: where, and in a few words that stand under the place.
pub(super) type Wrong<'a> = &'a mut dyn FnMut(Range<usize>, String);

/// More entries than this in one list are a mistake, and would slow the matching of every cgroup.
pub(super) const LIST_MAX: usize = 1_000;

const MODES: [Mode; 2] = [Mode::Enforce, Mode::DryRun];

const OTHERS: [Others; 3] = [Others::Yield, Others::Reassert, Others::Alert];

const RUNTIMES: [Runtime; 8] = [
    Runtime::Docker,
    Runtime::Podman,
    Runtime::Containerd,
    Runtime::Crio,
    Runtime::Kubernetes,
    Runtime::Nspawn,
    Runtime::Lxc,
    Runtime::Policy,
];

impl Field {
    /// What may stand there, to follow "write ...".
    pub(super) fn expected(&self) -> String {
        match self {
            Field::Mode(_) => r#""enforce" or "dry-run""#.to_owned(),
            Field::Others(_) => r#""yield", "reassert" or "alert""#.to_owned(),
            Field::Flag(_) => "true or false, without quotes".to_owned(),
            Field::Share(_, least, most) => {
                let (least, most) = (percent(*least), percent(*most));
                format!("a percentage from {least} to {most}")
            }
            Field::Span(_, least, most) => {
                let (least, most) = (span_text(*least), span_text(*most));
                format!("a length of time from {least} to {most}")
            }
            Field::Bytes(_, least, most) => {
                let (least, most) = (bytes_text(*least), bytes_text(*most));
                format!("a size from {least} to {most}")
            }
            Field::Weight(_, most) => {
                format!(
                    "a whole number from {} to {}",
                    Weight::MIN.get(),
                    most.get()
                )
            }
            Field::Number(_, least, most) => format!("a number from {least} to {most}"),
            Field::Count(_, least, most) => format!("a whole number from {least} to {most}"),
            Field::Path(..) => "an absolute path in quotes".to_owned(),
            Field::PathOrNone(..) => r#"an absolute path in quotes, or """#.to_owned(),
            Field::Paths(..) => "a list of absolute paths, each in quotes".to_owned(),
            Field::Globs(_) => "a list of globs over cgroup paths, each in quotes".to_owned(),
        }
    }

    /// The value as it would stand in a file.
    pub(super) fn show(&self, policy: &Policy) -> String {
        // The table's functions lend the field mutably, for reading into it.
        let policy = &mut policy.clone();
        match self {
            Field::Mode(at) => quoted(mode_word(*at(policy))),
            Field::Others(at) => quoted(others_word(*at(policy))),
            Field::Flag(at) => at(policy).to_string(),
            Field::Share(at, ..) => percent(at(policy).get() * 100.0),
            Field::Span(at, ..) => span_text(*at(policy)),
            Field::Bytes(at, ..) => bytes_text(*at(policy)),
            Field::Weight(at, _) => at(policy).get().to_string(),
            Field::Number(at, ..) => at(policy).to_string(),
            Field::Count(at, ..) => at(policy).to_string(),
            Field::Path(at, _) | Field::PathOrNone(at, _) => quoted(at(policy)),
            Field::Paths(at, _) | Field::Globs(at) => {
                let shown: Vec<String> = at(policy).iter().map(|one| quoted(one)).collect();
                format!("[{}]", shown.join(", "))
            }
        }
    }

    /// Reads `value` into its place, or says what is wrong with it and leaves the place alone.
    pub(super) fn read(&self, value: &Spanned<DeValue<'_>>, policy: &mut Policy, wrong: Wrong<'_>) {
        match self {
            Field::Mode(at) => keep(value, at(policy), mode(value.get_ref()), wrong),
            Field::Others(at) => keep(value, at(policy), others(value.get_ref()), wrong),
            Field::Flag(at) => keep(value, at(policy), flag(value.get_ref()), wrong),
            Field::Share(at, least, most) => {
                let read = share(value.get_ref()).and_then(|p| within(p, *least, *most, percent));
                keep(
                    value,
                    at(policy),
                    read.map(|p| Share::new(p / 100.0)),
                    wrong,
                );
            }
            Field::Span(at, least, most) => {
                let read = span(value.get_ref()).and_then(|s| within(s, *least, *most, span_text));
                keep(value, at(policy), read, wrong);
            }
            Field::Bytes(at, least, most) => {
                let read =
                    bytes(value.get_ref()).and_then(|b| within(b, *least, *most, bytes_text));
                keep(value, at(policy), read, wrong);
            }
            Field::Weight(at, most) => {
                keep(value, at(policy), weight(value.get_ref(), *most), wrong);
            }
            Field::Number(at, least, most) => {
                let read = number(value.get_ref())
                    .and_then(|n| within(n, *least, *most, |n| n.to_string()));
                keep(value, at(policy), read, wrong);
            }
            Field::Count(at, least, most) => {
                let read = whole(value.get_ref(), *least, *most);
                keep(value, at(policy), read, wrong);
            }
            Field::PathOrNone(at, most) => {
                let read = string(value.get_ref()).and_then(|text| match text {
                    "" => Ok(String::new()),
                    text => path(text, *most),
                });
                keep(value, at(policy), read, wrong);
            }
            Field::Path(at, most) => {
                let read = string(value.get_ref()).and_then(|text| path(text, *most));
                keep(value, at(policy), read, wrong);
            }
            Field::Paths(at, most) => list(value, at(policy), |text| path(text, *most), wrong),
            Field::Globs(at) => list(value, at(policy), globs::path_glob, wrong),
        }
    }
}

impl EntryField {
    /// What may stand there, to follow "write ...".
    pub(super) fn expected(self) -> String {
        match self {
            EntryField::Name => r#"a glob over names in quotes, such as "postgres*""#.to_owned(),
            EntryField::Path => {
                r#"a glob over cgroup paths in quotes, such as "/system.slice/ssh*.service""#
                    .to_owned()
            }
            EntryField::Runtime => {
                let words: Vec<String> = RUNTIMES.iter().map(|one| quoted(one.word())).collect();
                format!("one of {}", words.join(", "))
            }
        }
    }

    /// Reads `value` into its place, or says what is wrong with it.
    pub(super) fn read(self, value: &DeValue<'_>, into: &mut Matcher) -> Result<(), String> {
        let text = string(value)?;
        match self {
            EntryField::Name => into.name = Some(globs::name_glob(text)?),
            EntryField::Path => into.path = Some(globs::path_glob(text)?),
            EntryField::Runtime => {
                let known = RUNTIMES.into_iter().find(|one| one.word() == text);
                into.runtime = Some(known.ok_or("no runtime has this word")?);
            }
        }
        Ok(())
    }
}

fn keep<T>(value: &Spanned<DeValue<'_>>, place: &mut T, read: Result<T, String>, wrong: Wrong<'_>) {
    match read {
        Ok(read) => *place = read,
        Err(why) => wrong(value.span(), why),
    }
}

fn list(
    value: &Spanned<DeValue<'_>>,
    place: &mut Vec<String>,
    one: impl Fn(&str) -> Result<String, String>,
    wrong: Wrong<'_>,
) {
    let Some(array) = value.get_ref().as_array() else {
        return wrong(
            value.span(),
            format!("this is {}", type_word(value.get_ref())),
        );
    };
    if array.len() > LIST_MAX {
        return wrong(value.span(), format!("more than {LIST_MAX} entries"));
    }
    let mut all = Vec::with_capacity(array.len());
    let mut sound = true;
    for element in array.iter() {
        match string(element.get_ref()).and_then(&one) {
            Ok(text) => all.push(text),
            Err(why) => {
                sound = false;
                wrong(element.span(), why);
            }
        }
    }
    if sound {
        *place = all;
    }
}

fn within<T: PartialOrd + Copy>(
    value: T,
    least: T,
    most: T,
    text: impl Fn(T) -> String,
) -> Result<T, String> {
    if value < least {
        Err(format!("less than the least, {}", text(least)))
    } else if value > most {
        Err(format!("more than the most, {}", text(most)))
    } else {
        Ok(value)
    }
}

/// The type of a value, for people.
pub(super) fn type_word(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("this is {}", type_word(value)))
}

/// The text of a value with a unit, which is a string; a bare number is told that its unit lacks.
fn with_unit<'v>(value: &'v DeValue<'_>, lacks: &str) -> Result<&'v str, String> {
    match value {
        DeValue::Integer(_) | DeValue::Float(_) => Err(lacks.to_owned()),
        _ => string(value),
    }
}

fn mode(value: &DeValue<'_>) -> Result<Mode, String> {
    let text = string(value)?;
    let known = MODES.into_iter().find(|one| mode_word(*one) == text);
    Ok(known.ok_or("no such mode")?)
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::DryRun => "dry-run",
    }
}

fn others(value: &DeValue<'_>) -> Result<Others, String> {
    let text = string(value)?;
    let known = OTHERS.into_iter().find(|one| others_word(*one) == text);
    Ok(known.ok_or("no such word")?)
}

fn others_word(others: Others) -> &'static str {
    match others {
        Others::Yield => "yield",
        Others::Reassert => "reassert",
        Others::Alert => "alert",
    }
}

fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("this is {}", type_word(value)))
}

/// In percent.
fn share(value: &DeValue<'_>) -> Result<f64, String> {
    let text = with_unit(value, "a bare number: the % and the quotes lack")?;
    let digits = text.trim().strip_suffix('%').ok_or("the % lacks")?;
    finite(digits.trim_end())
}

fn span(value: &DeValue<'_>) -> Result<Span, String> {
    let text = with_unit(value, "a bare number: the unit and the quotes lack")?;
    let read = humantime::parse_duration(text)
        .map_err(|_| r#"not a length of time such as "400ms" or "10s""#)?;
    let micros = u64::try_from(read.as_micros()).map_err(|_| "too long to be kept")?;
    if read.subsec_nanos() % 1_000 != 0 {
        return Err("finer than a microsecond".to_owned());
    }
    Ok(Span(micros))
}

fn bytes(value: &DeValue<'_>) -> Result<Bytes, String> {
    let text = with_unit(value, "a bare number: the unit and the quotes lack")?.trim();
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err("the unit lacks".to_owned());
    }
    let read: bytesize::ByteSize = text
        .parse()
        .map_err(|_| r#"not a size such as "64MiB" or "2GiB""#)?;
    Ok(Bytes(read.as_u64()))
}

fn weight(value: &DeValue<'_>, most: Weight) -> Result<Weight, String> {
    let read = whole(value, Weight::MIN.get(), most.get())?;
    Ok(Weight::new(read).ok_or("not a weight")?)
}

fn whole(value: &DeValue<'_>, least: u32, most: u32) -> Result<u32, String> {
    let DeValue::Integer(integer) = value else {
        return Err(format!("this is {}", type_word(value)));
    };
    let read = i64::from_str_radix(integer.as_str(), integer.radix())
        .map_err(|_| "too large to be kept")?;
    let read = within(read, i64::from(least), i64::from(most), |n| n.to_string())?;
    u32::try_from(read).map_err(|_| "too large to be kept".to_owned())
}

fn number(value: &DeValue<'_>) -> Result<f64, String> {
    match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map(|read| read as f64)
            .map_err(|_| "too large to be kept".to_owned()),
        DeValue::Float(float) => finite(float.as_str()),
        _ => Err(format!("this is {}", type_word(value))),
    }
}

fn finite(digits: &str) -> Result<f64, String> {
    let read: f64 = digits.parse().map_err(|_| "not a number")?;
    if read.is_finite() {
        Ok(read)
    } else {
        Err("not a finite number".to_owned())
    }
}

fn path(text: &str, most: usize) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("not an absolute path".to_owned());
    }
    if text.len() > most {
        return Err(format!("longer than {most} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character".to_owned());
    }
    Ok(text.to_owned())
}

/// Text as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A percentage, without float noise: six decimals, no trailing zeros.
fn percent(percent: f64) -> String {
    let digits = format!("{percent:.6}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("\"{digits}%\"")
}

fn span_text(span: Span) -> String {
    let duration = Duration::from_micros(span.micros());
    format!("\"{}\"", humantime::format_duration(duration))
}

/// In the largest unit that keeps it exact.
fn bytes_text(bytes: Bytes) -> String {
    const UNITS: [(u32, &str); 5] = [
        (50, "PiB"),
        (40, "TiB"),
        (30, "GiB"),
        (20, "MiB"),
        (10, "KiB"),
    ];
    let exact = UNITS
        .into_iter()
        .find(|(shift, _)| bytes.0 != 0 && bytes.0.trailing_zeros() >= *shift);
    match exact {
        Some((shift, unit)) => format!("\"{}{unit}\"", bytes.0 >> shift),
        None => format!("\"{}B\"", bytes.0),
    }
}
