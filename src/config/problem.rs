//! What is wrong with a policy: all of it at once, each with its place, and how that is shown.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// No more problems than this are kept: a file with more is not a policy.
const KEPT: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place in bytes from the start of the text.
    pub span: Range<usize>,
    /// The line of its start, from 1.
    pub line: usize,
    /// The column of its start in characters, from 1.
    pub column: usize,
    /// Which key and what about it; holds no control characters.
    pub message: String,
    /// What is wrong there, in a few words.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
    /// For an unknown key: the known one that was probably meant.
    pub nearest: Option<String>,
}

/// All that is wrong with one text, in the order of the places. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    text: String,
    all: Vec<Problem>,
    dropped: usize,
}

impl Problem {
    /// A problem whose line and column are found by [`Problems::new`].
    #[must_use]
    pub fn new(span: Range<usize>, message: String, why: String, remedy: String) -> Problem {
        Problem {
            span,
            line: 1,
            column: 1,
            message,
            why,
            remedy,
            nearest: None,
        }
    }
}

impl Problems {
    /// Sorts `all` (not empty), and finds the line and column of each in `text`.
    #[must_use]
    pub fn new(text: &str, mut all: Vec<Problem>) -> Problems {
        all.sort_by_key(|problem| (problem.span.start, problem.span.end));
        let dropped = all.len().saturating_sub(KEPT);
        all.truncate(KEPT);
        let starts = line_starts(text);
        for problem in &mut all {
            (problem.line, problem.column) = position(text, &starts, problem.span.start);
        }
        Problems {
            text: text.to_owned(),
            all,
            dropped,
        }
    }

    /// The problems, first place first; at most fifty are kept.
    #[must_use]
    pub fn all(&self) -> &[Problem] {
        &self.all
    }

    /// How many there are, those that were not kept included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len() + self.dropped
    }

    /// The problems for a terminal, without colours: each with its line of the file, the place marked.
    #[must_use]
    pub fn render(&self, file_name: &str) -> String {
        let file_name = visible(file_name, 200);
        let renderer = Renderer::plain();
        let mut shown = String::new();
        for problem in &self.all {
            let (line, span) = self.line_of(problem);
            let snippet = Snippet::source(line)
                .line_start(problem.line)
                .path(file_name.as_str())
                .annotation(
                    AnnotationKind::Primary
                        .span(span)
                        .label(problem.why.as_str()),
                );
            let report = [Level::ERROR
                .primary_title(problem.message.as_str())
                .element(snippet)
                .element(Level::HELP.message(problem.remedy.as_str()))];
            shown.push_str(&renderer.render(&report));
            shown.push_str("\n\n");
        }
        let count = self.count();
        let (noun, hidden) = (
            if count == 1 { "problem" } else { "problems" },
            self.dropped,
        );
        shown.push_str(&format!("{file_name}: {count} {noun}"));
        if hidden > 0 {
            shown.push_str(&format!(", {hidden} of them not shown"));
        }
        shown.push('\n');
        shown
    }

    /// The line that a problem starts in, and the part of it that is meant: a span over several
    /// lines is cut at the end of the first.
    fn line_of(&self, problem: &Problem) -> (&str, Range<usize>) {
        let at = floor(&self.text, problem.span.start);
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).unwrap_or_default();
        let line = line.split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let from = floor(line, at.saturating_sub(start));
        let to = floor(line, problem.span.end.saturating_sub(start)).max(from);
        (line, from..to)
    }
}

/// One line each, as `line:column: message: why; remedy`.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.all.iter().enumerate() {
            let newline = if number == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        if self.dropped > 0 {
            write!(f, "\nand {} more", self.dropped)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            line,
            column,
            message,
            why,
            remedy,
            ..
        } = self;
        write!(f, "{line}:{column}: {message}: {why}; {remedy}")
    }
}

impl std::error::Error for Problems {}

/// Where each line starts.
pub(super) fn line_starts(text: &str) -> Vec<usize> {
    let after = text.match_indices('\n').map(|(newline, _)| newline + 1);
    std::iter::once(0).chain(after).collect()
}

/// The index in `starts` of the line that holds the byte `at`.
pub(super) fn line_index(starts: &[usize], at: usize) -> usize {
    starts
        .partition_point(|start| *start <= at)
        .saturating_sub(1)
}

fn position(text: &str, starts: &[usize], at: usize) -> (usize, usize) {
    let at = floor(text, at);
    let line = line_index(starts, at);
    let start = starts.get(line).copied().unwrap_or_default();
    let column = text.get(start..at).unwrap_or_default().chars().count();
    (line + 1, column + 1)
}

/// The nearest start of a character at or before `at`, inside the text.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// Text of the file as part of a message: control and direction characters escaped, cut at `most`
/// characters.
pub(super) fn visible(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (number, one) in text.chars().enumerate() {
        if number == most {
            shown.push('…');
            break;
        }
        let direction = matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if one.is_control() || direction || matches!(one, '\u{2028}' | '\u{2029}') {
            shown.extend(one.escape_unicode());
        } else {
            shown.push(one);
        }
    }
    shown
}
