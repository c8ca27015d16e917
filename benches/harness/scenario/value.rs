//! Single values of a scenario's file.

use super::{Class, Clock};
use crate::loads;
use crate::places::CPUS;
use clap::Parser;
use toml::de::DeValue;

/// Knobs that a scenario may set.
pub(super) const KNOBS: [&str; 12] = [
    "cgroup.freeze",
    "cpu.idle",
    "cpu.max",
    "cpu.max.burst",
    "cpu.weight",
    "io.max",
    "io.weight",
    "memory.high",
    "memory.low",
    "memory.max",
    "memory.swap.max",
    "pids.max",
];

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or("this is no string")?;
    Ok(text.to_owned())
}

/// Microseconds.
pub(super) fn span(value: &DeValue<'_>) -> Result<u64, String> {
    let read = humantime::parse_duration(&text(value)?)
        .map_err(|_| r#"not a length of time such as "400ms" or "10s""#)?;
    u64::try_from(read.as_micros()).map_err(|_| "too long".to_owned())
}

pub(super) fn whole(value: &DeValue<'_>) -> Result<u64, String> {
    let DeValue::Integer(integer) = value else {
        return Err("this is no whole number".to_owned());
    };
    u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|e| e.to_string())
}

/// A number over 0.
pub(super) fn times(value: &DeValue<'_>) -> Result<f64, String> {
    let digits = match value {
        DeValue::Integer(integer) => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        _ => return Err("this is no number".to_owned()),
    };
    let read: f64 = digits.parse().map_err(|_| "this is no plain number")?;
    if read.is_finite() && read > 0.0 {
        Ok(read)
    } else {
        Err("a number over 0 is needed".to_owned())
    }
}

/// A percentage, as a fraction of 1.
pub(super) fn share(value: &DeValue<'_>) -> Result<f64, String> {
    let text = text(value)?;
    let digits = text.strip_suffix('%').ok_or("the % lacks")?;
    let read: f64 = digits.trim().parse().map_err(|_| "not a number")?;
    if (0.0..=100.0).contains(&read) {
        Ok(read / 100.0)
    } else {
        Err("not between 0 and 100".to_owned())
    }
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "neither true nor false".to_owned())
}

/// The name of a cgroup: short, and free of anything that a path or a table could misread.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    if text.is_empty() || text.len() > 32 || !text.chars().all(plain) {
        return Err("a name has 1 to 32 small letters, digits and -".to_owned());
    }
    Ok(text)
}

pub(super) fn class(value: &DeValue<'_>) -> Result<Class, String> {
    word(&text(value)?, &Class::WORDS)
}

pub(super) fn clock(value: &DeValue<'_>) -> Result<Clock, String> {
    word(&text(value)?, &Clock::WORDS)
}

fn word<T: Copy>(text: &str, words: &[(T, &str)]) -> Result<T, String> {
    let found = words.iter().find(|(_, word)| *word == text);
    found
        .map(|(one, _)| *one)
        .ok_or_else(|| "no such word".to_owned())
}

/// A program and its arguments; several lines are a script of `sh`.
pub(super) fn program(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let text = text(value)?;
    if text.trim().contains('\n') {
        return Ok(vec!["sh".to_owned(), "-ec".to_owned(), text]);
    }
    words(value)
}

fn words(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let words: Vec<String> = text(value)?.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Err("no words".to_owned());
    }
    Ok(words)
}

/// The words of a victim's load: one that can be told when its first request is due.
pub(super) fn victim(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let words = load(value)?;
    let first = ["--for", "1s", "--start-at", "1"];
    if tried(&words, &first).is_err() {
        return Err("no victim, but a load that measures nothing".to_owned());
    }
    Ok(words)
}

/// The words of any load, tried on the loads' own parser.
pub(super) fn load(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let words = words(value)?;
    if let Some(own) = words.iter().find(|word| TIMES.contains(&word.as_str())) {
        return Err(format!("{own} is the harness's to give"));
    }
    tried(&words, &["--for", "1s"])?;
    Ok(words)
}

/// What the loads' parser says of these words.
fn tried(words: &[String], times: &[&str]) -> Result<(), String> {
    // A number is wanted where one will stand.
    let words = words.iter().map(|word| match word.as_str() {
        CPUS => "1",
        other => other,
    });
    let line = std::iter::once("load")
        .chain(words)
        .chain(times.iter().copied());
    // The first line tells what is wrong, the rest how the command is used.
    loads::Cli::try_parse_from(line).map(drop).map_err(|why| {
        let why = why.to_string();
        let first = why.lines().next().unwrap_or_default();
        first.trim_start_matches("error: ").to_owned()
    })
}

/// What the harness itself says to a load.
const TIMES: [&str; 5] = ["--for", "--start-at", "--at", "--join", "--leash"];
