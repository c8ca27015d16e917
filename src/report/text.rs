//! Foreign text made safe to show: nothing in it can move the cursor, colour the terminal, start a
//! new line, hide, reorder its neighbours, or push them off the screen.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what was cut out.
const CUT: char = '…';

/// The text with everything escaped that a terminal would not simply show: control characters,
/// characters without width (joiners, direction marks, combining marks), line separators.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            _ if is_plain(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if u32::from(c) < 0x80 => push(&mut shown, format_args!("\\x{:02x}", u32::from(c))),
            c => push(&mut shown, format_args!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(shown)
}

/// [`clean`], at most `max` columns wide: the middle of a longer text is cut out, because names of
/// containers that belong together begin alike and end differently.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    // A hostile text may be long: what cannot be shown is not even looked at.
    let (head, tail) = ends(text, max);
    let text = match tail {
        None => clean(head),
        Some(tail) => Cow::Owned(format!("{}{CUT}{}", clean(head), clean(tail))),
    };
    if text.width() <= max {
        return text.into_owned();
    }
    let room = max.saturating_sub(1);
    let back = room / 3;
    let front = take_width(text.chars(), room - back);
    let mut end = take_width(text.chars().rev(), back);
    end.reverse();
    front.into_iter().chain([CUT]).chain(end).collect()
}

/// A value in a `key=value` line: in quotation marks if it has a blank or a mark of its own.
#[must_use]
pub(super) fn quoted(text: &str, max: usize) -> String {
    let text = shorten(text, max);
    if text.is_empty() || text.contains([' ', '"', '=']) {
        format!("\"{}\"", text.replace('"', "'"))
    } else {
        text
    }
}

/// The first and last `max` characters of a text, or all of it.
fn ends(text: &str, max: usize) -> (&str, Option<&str>) {
    let at = text.char_indices().nth(max).map(|(at, _)| at);
    let from = text.char_indices().rev().nth(max).map(|(at, _)| at);
    match (at, from) {
        (Some(at), Some(from)) if at < from => (
            text.get(..at).unwrap_or_default(),
            Some(text.get(from..).unwrap_or_default()),
        ),
        _ => (text, None),
    }
}

fn take_width(chars: impl Iterator<Item = char>, max: usize) -> Vec<char> {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(1);
            used <= max
        })
        .collect()
}

/// Whether a terminal simply shows it.
pub(super) fn is_plain(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{2028}' | '\u{2029}' | '\u{ad}' => false,
        c => c.width().is_some_and(|width| width > 0),
    }
}

fn push(shown: &mut String, escape: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = shown.write_fmt(escape);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_of_the_terminal_are_shown_and_not_obeyed() {
        assert_eq!(
            clean("a\x1b[2J\nb\u{7f}\u{9b}"),
            "a\\x1b[2J\\nb\\x7f\\u{9b}"
        );
    }

    #[test]
    fn marks_that_hide_or_reorder_are_shown() {
        assert_eq!(
            clean("re\u{202e}sid\u{200b}\u{301}"),
            "re\\u{202e}sid\\u{200b}\\u{301}"
        );
    }

    #[test]
    fn ordinary_names_of_any_script_stay() {
        for name in ["redis-1", "контейнер", "容器", "a\\x2db.scope"] {
            assert_eq!(clean(name), name);
        }
    }

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        assert_eq!(
            shorten("kubepods-burstable-pod-12345678", 16),
            "kubepods-b…45678"
        );
        assert_eq!(shorten("short", 16), "short");
    }

    #[test]
    fn values_with_blanks_are_quoted_and_cannot_end_their_quotes() {
        assert_eq!(quoted("a b", 20), "\"a b\"");
        assert_eq!(quoted("x\" role=victim", 40), "\"x' role=victim\"");
        assert_eq!(quoted("", 20), "\"\"");
        assert_eq!(quoted("plain", 20), "plain");
    }

    proptest! {
        #[test]
        fn no_text_is_wider_than_asked_or_holds_a_control_character(text in "\\PC*|.*", max in 1usize..60) {
            let shown = shorten(&text, max);
            prop_assert!(shown.width() <= max, "{shown:?} is wider than {max}");
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
