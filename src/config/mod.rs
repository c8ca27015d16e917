//! The policy file: TOML text to a validated [`Policy`], with every problem reported at once.
//!
//! Problem: an operator who mistypes a key must hear of it before the daemon runs with a default in
//! its place, and must not have to mend one mistake to hear of the next.
//!
//! Approach: the spanned document is walked by hand, driven by one table of keys (`keys`), so that
//! each problem has its place, its value, its reason and its remedy. Syntax errors do not end the
//! walk either: the parser recovers, and what it recovered is looked at, except where a syntax error
//! makes it doubtful. A key that lacks takes its default; an empty text is the default policy.
//!
//! Lists are replaced by what the file says, but for `[[protect]]`: its entries are added to the
//! built-in ones, because naming one's database must not unprotect the host's own services.
//!
//! This room reads no file; who reads one hands over its text.

mod checks;
mod globs;
mod keys;
mod problem;
mod suggest;
#[cfg(test)]
mod tests;
mod value;
mod walk;

use toml::de::DeTable;

pub use globs::{ContainerGlobs, Protect};
pub use keys::{Difference, difference};
pub use problem::{Problem, Problems};
pub use suggest::nearest;

use crate::model::Policy;
use problem::{line_index, line_starts, visible};
use walk::Walk;

/// A longer text is no policy. Whoever reads the file need not read more than this and one byte.
pub const TEXT_MAX: usize = 256 * 1024;

/// A validated policy, or all that is wrong with the text.
///
/// # Errors
/// Every problem of the text: of its syntax, of single values, and between values.
pub fn parse(text: &str) -> Result<Policy, Problems> {
    if text.len() > TEXT_MAX {
        return Err(too_long(text.len()));
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut walk = Walk::over(text, root.get_ref());
    checks::check(&mut walk);
    let Walk {
        policy, problems, ..
    } = walk;
    let problems = with_syntax(text, problems, &errors);
    if problems.is_empty() {
        Ok(policy)
    } else {
        Err(Problems::new(text, problems))
    }
}

/// As [`parse`], for what stands in a file: any bytes.
///
/// # Errors
/// As [`parse`]; also if the bytes are not UTF-8, with the place of the first that is not.
pub fn parse_bytes(bytes: &[u8]) -> Result<Policy, Problems> {
    if bytes.len() > TEXT_MAX {
        return Err(too_long(bytes.len()));
    }
    let at = match std::str::from_utf8(bytes) {
        Ok(text) => return parse(text),
        Err(error) => error.valid_up_to(),
    };
    // The sound beginning stays as it is, so the place is the same in the shown text.
    let text = String::from_utf8_lossy(bytes);
    let problem = Problem::new(
        at..at + 1,
        "the policy is not text".to_owned(),
        "here is a byte that is not UTF-8".to_owned(),
        "save the file as UTF-8".to_owned(),
    );
    Err(Problems::new(&text, vec![problem]))
}

fn too_long(len: usize) -> Problems {
    let problem = Problem::new(
        0..0,
        "the policy is too long".to_owned(),
        format!("{len} bytes, and at most {TEXT_MAX} are read"),
        "is this the right file?".to_owned(),
    );
    Problems::new("", vec![problem])
}

/// The problems of the syntax, one a line, and those of the values that no syntax error makes
/// doubtful: not in the same line, not around one, and not after a section's head that is broken.
fn with_syntax(text: &str, values: Vec<Problem>, errors: &[toml::de::Error]) -> Vec<Problem> {
    if errors.is_empty() {
        return values;
    }
    let starts = line_starts(text);
    let mut broken: Vec<(usize, usize, &str)> = errors
        .iter()
        .map(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            (line_index(&starts, at), at, error.message())
        })
        .collect();
    broken.sort_by_key(|(line, at, _)| (*line, *at));
    broken.dedup_by_key(|(line, ..)| *line);

    let in_head = |line: usize| {
        let start = starts.get(line).copied().unwrap_or_default();
        let rest = text.get(start..).unwrap_or_default();
        rest.trim_start_matches([' ', '\t']).starts_with('[')
    };
    let doubtful_from = broken
        .iter()
        .find(|(line, ..)| in_head(*line))
        .map_or(usize::MAX, |(_, at, _)| *at);
    // Sorted by line and by place alike, so that a text of nothing but errors costs no more.
    let doubtful = |problem: &Problem| {
        let line = line_index(&starts, problem.span.start);
        let first_inside = broken.partition_point(|(_, at, _)| *at < problem.span.start);
        let inside = broken.get(first_inside);
        broken.binary_search_by_key(&line, |(bad, ..)| *bad).is_ok()
            || inside.is_some_and(|(_, at, _)| *at < problem.span.end)
            || problem.span.start >= doubtful_from
    };

    let syntax = broken.iter().map(|(_, at, message)| {
        let (why, remedy) = (visible(message, 200), remedy(message).to_owned());
        Problem::new(*at..*at + 1, "this is not TOML".to_owned(), why, remedy)
    });
    let sound = values.iter().filter(|problem| !doubtful(problem)).cloned();
    syntax.chain(sound).collect()
}

/// What helps against the parser's message.
fn remedy(message: &str) -> &'static str {
    if message.starts_with("duplicate key") {
        "a key and a section stand once: keep one of them"
    } else if message.starts_with("string values must be quoted") {
        "put the value in quotes, its unit too: \"20%\", \"400ms\", \"64MiB\""
    } else {
        "a line is a section, [cpu], or a key and its value, idle = false; text after # is ignored"
    }
}
