//! The scenarios of a folder.

use super::{Scenario, read};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// A scenario and the text that it stands in, which goes into every record.
pub(crate) struct Found {
    pub(crate) scenario: Scenario,
    pub(crate) text: String,
}

/// Every scenario of the folder in the order of the names, or those named.
///
/// # Errors
/// A file cannot be read, or is not valid (all problems of all files are told), or a name is unknown.
pub(crate) fn find(folder: &Path, wanted: &[String]) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut wrong = String::new();
    for path in files(folder)? {
        let name = stem(&path);
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        match read(&name, &text) {
            Ok(scenario) => found.push(Found { scenario, text }),
            Err(problems) => wrong.push_str(&problems.render(&path.display().to_string())),
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.trim_end());
    }
    let unknown = wanted
        .iter()
        .find(|name| !found.iter().any(|one| one.scenario.name == **name));
    if let Some(unknown) = unknown {
        let known: Vec<String> = files(folder)?.iter().map(|path| stem(path)).collect();
        bail!(
            "no scenario `{unknown}` in {}: there are {}",
            folder.display(),
            known.join(", ")
        );
    }
    if found.is_empty() {
        bail!("no scenario (*.toml) in {}", folder.display());
    }
    // In the order asked for.
    found.sort_by_key(|one| wanted.iter().position(|name| *name == one.scenario.name));
    Ok(found)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
