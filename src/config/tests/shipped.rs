//! The shipped file: the manual, the defaults, and the seed of random edits.

use proptest::prelude::*;

use crate::config::keys::{self, ENTRY_KEYS, KEYS, full};
use crate::config::{parse, parse_bytes};
use crate::model::{Bytes, Policy, Share, Span, Weight};

const SHIPPED: &str = include_str!("../../../config/governor.toml");

#[test]
fn the_shipped_file_is_the_default_policy() {
    assert_eq!(parse(SHIPPED).unwrap(), Policy::default());
}

#[test]
fn the_shipped_file_sets_every_key_below_its_own_words() {
    let mut section = "";
    let mut set = Vec::new();
    let mut explained = false;
    for line in SHIPPED.lines() {
        if let Some(name) = line.strip_prefix('[').filter(|_| !line.starts_with("[[")) {
            section = name.trim_end_matches(']');
        } else if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        } else if let Some((name, _)) = line
            .split_once(" = ")
            .filter(|_| !line.starts_with("path ="))
        {
            assert!(explained, "{section}.{name} has no words of its own");
            set.push(full(section, name));
        }
    }
    let known: Vec<String> = KEYS.iter().map(keys::Key::full).collect();
    assert_eq!(set, known);
    for (name, _) in ENTRY_KEYS {
        assert!(
            SHIPPED.contains(&format!("\n#   {name} ")),
            "{name} is not explained"
        );
    }
}

#[test]
fn the_shipped_file_tells_every_range() {
    for key in KEYS {
        let words = key.field.expected();
        let Some((_, range)) = words.split_once(" from ") else {
            continue;
        };
        let (least, most) = range.split_once(" to ").unwrap();
        // The same name may stand in several sections.
        let section = SHIPPED.split_once(&format!("\n[{}]\n", key.section));
        let section = section.map_or(SHIPPED, |(_, section)| section);
        let about = section.split(&format!("\n{} = ", key.name)).next().unwrap();
        let about = &about[about.len().saturating_sub(800)..];
        assert!(
            about.contains(&format!("{least} to {most}"))
                || about.contains(&format!("{least} (off) to {most}")),
            "{}: {least} to {most}",
            key.full()
        );
    }
}

/// A policy as a text that sets every key.
fn written(policy: &Policy) -> String {
    KEYS.iter()
        .map(|key| format!("{} = {}\n", key.full(), key.field.show(policy)))
        .collect()
}

proptest! {
    #[test]
    fn no_edit_of_the_shipped_file_panics_and_each_is_read_or_told(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20, "\\PC{0,6}|[\\[\\]=\"'\\\\\n\r\t#{},.%0-9a-z\u{0}\u{1b}]{0,8}"), 1..6)
    ) {
        let mut text = SHIPPED.to_owned();
        for (at, cut, with) in edits {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = at.index(starts.len());
            let to = (from + cut).min(starts.len() - 1);
            text.replace_range(starts[from]..starts[to], &with);
        }
        if let Err(told) = parse(&text) {
            prop_assert!(!told.all().is_empty());
            let shown = told.render("p");
            for one in told.all() {
                prop_assert!(shown.contains(&format!("p:{}:", one.line)), "{shown}");
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(told) = parse_bytes(&bytes) {
            let _ = told.render("p");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same(
        permille in 10u32..500, micros in 1_000u64..10_000_000, kib in 4_096u64..1_000_000_000, weight in 1u32..=100, margin in 1.0f64..100.0,
    ) {
        let mut policy = Policy::default();
        policy.detect.tolerance = Share::new(f64::from(permille) / 10.0 / 100.0);
        policy.detect.bucket = Span(micros);
        policy.detect.margin = margin;
        policy.memory.floor = Bytes(kib << 10);
        policy.cpu.weight_floor = Weight::new(weight).unwrap();
        prop_assert_eq!(parse(&written(&policy)).unwrap(), policy);
    }
}
