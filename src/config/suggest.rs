//! For a key that is not known: the one that was probably meant.

use super::keys::{KEYS, PROTECT, full};
use super::walk::names;

/// A longer name is no slip of the pen, and would only cost time.
const NAME_MAX: usize = 40;

/// Likewise for names that people did not choose for keys: a pod's name may be long.
const LONGEST: usize = 64;

/// A known key.
pub(super) struct Meant {
    /// With its section, as it may be searched for.
    pub(super) key: String,
    /// For people: with where it belongs, if that is elsewhere.
    pub(super) text: String,
}

/// The key (or section) that `name` in `section` was probably meant to be: misspelt, in the wrong
/// section, or by the word that other tools use.
pub(super) fn meant(section: &str, name: &str) -> Option<Meant> {
    if name.chars().count() > NAME_MAX {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let here = |one: &str| Meant {
        key: full(section, one),
        text: format!("`{one}`"),
    };
    nearest(&name, names(section).into_iter())
        .filter(|(slips, _)| *slips <= 1)
        .map(|(_, one)| here(one))
        .or_else(|| elsewhere(section, &name))
        .or_else(|| by_other_word(section, &name))
        .or_else(|| nearest(&name, names(section).into_iter()).map(|(_, one)| here(one)))
}

/// The keys of a section, for a list.
pub(super) fn known(section: &str) -> String {
    let names: Vec<String> = names(section)
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(", ")
}

fn elsewhere(section: &str, name: &str) -> Option<Meant> {
    let key = KEYS
        .iter()
        .find(|key| key.section != section && key.name == name)?;
    let place = match key.section {
        "" => "at the top of the file, before the first section".to_owned(),
        section => format!("in [{section}]"),
    };
    Some(Meant {
        key: key.full(),
        text: format!("`{}` {place}", key.name),
    })
}

fn by_other_word(section: &str, name: &str) -> Option<Meant> {
    let called = |key: &&super::keys::Key| key.also.contains(&name);
    let here = KEYS
        .iter()
        .find(|key| key.section == section && called(key));
    let key = here.or_else(|| KEYS.iter().filter(|_| section != PROTECT).find(called))?;
    Some(Meant {
        key: key.full(),
        text: match key.section {
            "" => format!("`{}`", key.name),
            place => format!("`{}` in [{place}]", key.name),
        },
    })
}

/// The nearest of `names` that is near enough, and by how many slips: a third of its letters may
/// differ; a beginning of three letters or more counts as one slip. Names too long for a slip of the
/// pen are passed over.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<(usize, &'n str)> {
    if name.chars().count() > LONGEST {
        return None;
    }
    let slips = |one: &str| {
        if name.len() >= 3 && one.starts_with(name) {
            1
        } else {
            strsim::damerau_levenshtein(name, one)
        }
    };
    names
        .filter(|one| one.chars().nth(LONGEST).is_none())
        .map(|one| (slips(one), one))
        .filter(|(slips, one)| *slips <= one.len().max(3) / 3)
        .min_by_key(|(slips, _)| *slips)
}
