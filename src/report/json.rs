//! JSON for programs that may end up on a terminal all the same.

use std::fmt::Write;

use super::text::is_plain;

/// The value as indented JSON with a newline at the end. What a terminal would not simply show is
/// escaped also where JSON would let it stand: the delete character, C1 controls, direction marks.
///
/// # Errors
/// If the value cannot be written as JSON: a map whose keys are no strings.
pub fn json_text(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(shown(&serde_json::to_string_pretty(value)?))
}

/// As [`json_text`], in one line: for what goes on and on.
///
/// # Errors
/// If the value cannot be written as JSON: a map whose keys are no strings.
pub fn json_line(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(shown(&serde_json::to_string(value)?))
}

fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c == '\n' || is_plain(c) {
            shown.push(c);
        } else {
            // Only strings hold such characters, and there an escape means the same.
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown.push('\n');
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_moves_or_reorders_a_terminal_is_escaped() {
        let shown = json_text(&["a\u{9b}2J\u{202e}\u{7f}\u{e0041}é"]).unwrap();
        assert_eq!(
            shown,
            "[\n  \"a\\u009b2J\\u202e\\u007f\\udb40\\udc41é\"\n]\n"
        );
    }

    proptest! {
        #[test]
        fn every_text_reads_back_as_it_was(text in ".*") {
            let shown = json_text(&text).unwrap();
            prop_assert!(!shown.trim_end().chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
