//! The walk over the parsed text. It never stops at a problem: every key is looked at.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{self, ENTRY_KEYS, KEYS, Key, PROTECT, full};
use super::problem::{Problem, visible};
use super::suggest;
use super::value::{LIST_MAX, type_word};
use crate::model::{Matcher, Policy};

/// How much of an unknown name is shown.
const NAME_SHOWN: usize = 60;
/// How much of a wrong value is shown.
const VALUE_SHOWN: usize = 60;

/// From this many problems on, unknown names are not compared with the known ones.
const SUGGESTED_MAX: usize = 500;

/// What the walk has so far.
pub(super) struct Walk<'t> {
    text: &'t str,
    /// The defaults, with every sound key of the text in its place.
    pub(super) policy: Policy,
    /// The keys that the text has, in the order met.
    pub(super) seen: Vec<Seen>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
}

/// A key that the text has.
pub(super) struct Seen {
    /// With its section.
    pub(super) key: String,
    /// Where its value stands.
    pub(super) span: Range<usize>,
    /// Whether the value was taken.
    pub(super) sound: bool,
}

impl<'t> Walk<'t> {
    /// Walks the whole document.
    pub(super) fn over(text: &'t str, root: &DeTable<'_>) -> Walk<'t> {
        let mut walk = Walk {
            text,
            policy: Policy::default(),
            seen: Vec::new(),
            problems: Vec::new(),
        };
        for (name, value) in root.iter() {
            if let Some(key) = keys::find("", name.get_ref()) {
                walk.key(key, value);
            } else if name.get_ref() == PROTECT {
                walk.protect(name, value);
            } else if keys::sections().any(|section| section == name.get_ref().as_ref()) {
                walk.section(name, value);
            } else {
                walk.unknown("", name);
            }
        }
        walk
    }

    fn section(&mut self, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let section = name.get_ref().as_ref();
        let Some(table) = value.get_ref().as_table() else {
            let remedy = format!("write the keys below a line [{section}]");
            let what = format!("`{section}` is a section");
            return self.problem(
                name.span(),
                what,
                format!("this is {}", type_word(value.get_ref())),
                remedy,
            );
        };
        for (name, value) in table.iter() {
            if let Some(key) = keys::find(section, name.get_ref()) {
                self.key(key, value);
            } else {
                self.unknown(section, name);
            }
        }
    }

    fn key(&mut self, key: &Key, value: &Spanned<DeValue<'_>>) {
        let mut wrong = Vec::new();
        key.field.read(value, &mut self.policy, &mut |span, why| {
            wrong.push((span, why))
        });
        self.seen.push(Seen {
            key: key.full(),
            span: value.span(),
            sound: wrong.is_empty(),
        });
        let remedy = format!(
            "write {}; the default is {}",
            key.field.expected(),
            key.field.show(&Policy::default())
        );
        for (span, why) in wrong {
            self.problem(
                span.clone(),
                self.cannot_be(&key.full(), span),
                why,
                remedy.clone(),
            );
        }
    }

    fn protect(&mut self, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let entries = value.get_ref().as_array();
        let tables = entries.filter(|all| all.iter().all(|one| one.get_ref().is_table()));
        let Some(entries) = tables else {
            let what = "`protect` is a list of entries".to_owned();
            let why = match value.get_ref() {
                DeValue::Table(_) => "this is one section".to_owned(),
                other => format!("this is {}", type_word(other)),
            };
            return self.problem(
                name.span(),
                what,
                why,
                "begin each entry with a line [[protect]]".to_owned(),
            );
        };
        if entries.len() > LIST_MAX {
            let why = format!("more than {LIST_MAX} entries");
            return self.problem(
                name.span(),
                "`protect` is too long".to_owned(),
                why,
                "use globs".to_owned(),
            );
        }
        for entry in entries.iter() {
            if let Some(table) = entry.get_ref().as_table() {
                self.entry(entry.span(), table);
            }
        }
    }

    fn entry(&mut self, span: Range<usize>, table: &DeTable<'_>) {
        let before = self.problems.len();
        let mut matcher = Matcher::default();
        for (name, value) in table.iter() {
            let known = ENTRY_KEYS.iter().find(|(known, _)| known == name.get_ref());
            let Some((_, field)) = known else {
                self.unknown(PROTECT, name);
                continue;
            };
            if let Err(why) = field.read(value.get_ref(), &mut matcher) {
                let what = self.cannot_be(&full(PROTECT, name.get_ref()), value.span());
                self.problem(
                    value.span(),
                    what,
                    why,
                    format!("write {}", field.expected()),
                );
            }
        }
        if self.problems.len() > before {
            return;
        }
        if matcher == Matcher::default() {
            let what = "`protect` has an empty entry".to_owned();
            let remedy = "give it a name, a path or a runtime, or remove it; to hold nobody at all, \
                          write mode = \"dry-run\"";
            return self.problem(
                span,
                what,
                "it would protect everything".to_owned(),
                remedy.to_owned(),
            );
        }
        if !self.policy.protect.contains(&matcher) {
            self.policy.protect.push(matcher);
        }
    }

    fn unknown(&mut self, section: &str, name: &Spanned<DeString<'_>>) {
        let shown = visible(name.get_ref(), NAME_SHOWN);
        let message = match section {
            "" => format!("`{shown}` is neither a key nor a section"),
            PROTECT => format!("`{shown}` is no key of [[protect]]"),
            _ => format!("`{shown}` is no key of [{section}]"),
        };
        // Nobody reads the thousandth suggestion, and each costs a comparison with every key.
        let few = self.problems.len() < SUGGESTED_MAX;
        let meant = few
            .then(|| suggest::meant(section, name.get_ref()))
            .flatten();
        let remedy = match &meant {
            Some(meant) => format!("did you mean {}?", meant.text),
            None => format!("known are {}", suggest::known(section)),
        };
        self.problem(name.span(), message, "unknown".to_owned(), remedy);
        if let (Some(last), Some(meant)) = (self.problems.last_mut(), meant) {
            last.nearest = Some(meant.key);
        }
    }

    /// A message that names the key and what stands there.
    fn cannot_be(&self, key: &str, span: Range<usize>) -> String {
        let stands = visible(self.text.get(span).unwrap_or_default(), VALUE_SHOWN);
        format!("`{key}` cannot be {stands}")
    }

    /// Notes a problem. Its line and column are found when all are known.
    pub(super) fn problem(
        &mut self,
        span: Range<usize>,
        message: String,
        why: String,
        remedy: String,
    ) {
        self.problems.push(Problem::new(span, message, why, remedy));
    }

    /// Where the value of a key stands, if the text has it.
    pub(super) fn seen(&self, key: &str) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.key == key)
    }
}

/// The names of a section's keys.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    if section == PROTECT {
        return ENTRY_KEYS.iter().map(|(name, _)| *name).collect();
    }
    let keys = KEYS.iter().filter(|key| key.section == section);
    let sections = keys::sections().filter(|_| section.is_empty());
    keys.map(|key| key.name).chain(sections).collect()
}
