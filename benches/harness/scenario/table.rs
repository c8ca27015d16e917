//! One table of a scenario's file, read key by key: what lacks, what is wrong and what nobody knows is
//! noted with its place, and the reading goes on.

use governor::config::{Problem, nearest};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The problems so far, in the text that they are about.
pub(super) struct Notes<'t> {
    text: &'t str,
    pub(super) all: Vec<Problem>,
}

impl<'t> Notes<'t> {
    pub(super) fn about(text: &'t str) -> Notes<'t> {
        Notes {
            text,
            all: Vec::new(),
        }
    }

    /// Notes one.
    pub(super) fn add(&mut self, span: Range<usize>, message: String, why: &str, remedy: &str) {
        let problem = Problem::new(span, message, why.to_owned(), remedy.to_owned());
        self.all.push(problem);
    }

    /// The value that stands there, cut to what fits in a line.
    pub(super) fn stands(&self, span: Range<usize>) -> String {
        let text = self.text.get(span).unwrap_or_default();
        text.escape_debug().take(60).collect()
    }
}

/// A table whose keys are taken one after the other; what nobody took is unknown.
pub(super) struct Table<'d, 'i> {
    /// As in the file, `phases`; empty at its top.
    name: String,
    /// Where a missing key is told.
    place: Range<usize>,
    table: &'d DeTable<'i>,
    known: Vec<&'static str>,
}

/// How a value is read: what it is, or why it is none.
pub(super) type Read<T> = fn(&DeValue<'_>) -> Result<T, String>;

impl<'d, 'i> Table<'d, 'i> {
    pub(super) fn new(name: String, place: Range<usize>, table: &'d DeTable<'i>) -> Table<'d, 'i> {
        Table {
            name,
            place,
            table,
            known: Vec::new(),
        }
    }

    /// The raw value of a key.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// A key that may lack. `expected` tells what to write.
    pub(super) fn optional<T>(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
        expected: &str,
        read: Read<T>,
    ) -> Option<T> {
        let value = self.raw(key)?;
        match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(why) => {
                let stands = notes.stands(value.span());
                let message = format!("`{}` cannot be {stands}", self.full(key));
                notes.add(value.span(), message, &why, &format!("write {expected}"));
                None
            }
        }
    }

    /// A key that must be there.
    pub(super) fn required<T>(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
        expected: &str,
        read: Read<T>,
    ) -> Option<T> {
        if self.table.get(key).is_none() {
            let message = format!("`{}` lacks", self.full(key));
            let remedy = format!("write `{key}`, {expected}");
            notes.add(self.place.clone(), message, "it must be here", &remedy);
        }
        self.optional(notes, key, expected, read)
    }

    /// A table below this one, with its place.
    pub(super) fn below(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
    ) -> Option<Table<'d, 'i>> {
        let value = self.raw(key)?;
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{}` is a section", self.full(key));
            let remedy = format!("write its keys below a line [{}]", self.full(key));
            notes.add(value.span(), message, "this is none", &remedy);
            return None;
        };
        Some(Table::new(self.full(key), value.span(), table))
    }

    /// The entries of a list of tables, `[[key]]`.
    pub(super) fn list(&mut self, notes: &mut Notes<'_>, key: &'static str) -> Vec<Table<'d, 'i>> {
        let Some(value) = self.raw(key) else {
            return Vec::new();
        };
        let tables = value.get_ref().as_array().and_then(|all| {
            let tables = all
                .iter()
                .map(|one| Some((one.span(), one.get_ref().as_table()?)));
            tables.collect::<Option<Vec<_>>>()
        });
        let Some(tables) = tables else {
            let message = format!("`{key}` is a list of entries");
            let remedy = format!("begin each with a line [[{key}]]");
            notes.add(value.span(), message, "this is none", &remedy);
            return Vec::new();
        };
        let entry = |(span, table)| Table::new(key.to_owned(), span, table);
        tables.into_iter().map(entry).collect()
    }

    /// All keys with their places and values, for a table whose keys are names.
    pub(super) fn names(
        &self,
    ) -> impl Iterator<Item = (Range<usize>, &'d str, &'d Spanned<DeValue<'i>>)> {
        let entries = self.table.iter();
        entries.map(|(name, value)| (name.span(), name.get_ref().as_ref(), value))
    }

    /// Where a missing key would be told.
    pub(super) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Notes every key that was not asked for.
    pub(super) fn end(self, notes: &mut Notes<'_>) {
        for (span, name, _) in self.names() {
            if self.known.contains(&name) {
                continue;
            }
            let shown: String = name.escape_debug().take(60).collect();
            let place = match self.name.as_str() {
                "" => "a scenario".to_owned(),
                section => format!("[{section}]"),
            };
            let remedy = match nearest(name, self.known.iter().copied()) {
                Some((_, meant)) => format!("did you mean `{meant}`?"),
                None => format!("known are `{}`", self.known.join("`, `")),
            };
            notes.add(
                span,
                format!("`{shown}` is no key of {place}"),
                "unknown",
                &remedy,
            );
        }
    }

    fn full(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            section => format!("{section}.{key}"),
        }
    }
}
