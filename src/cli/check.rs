//! `governor check`: every problem of a policy file at once.

use super::exit::{Exit, Failure};
use super::term::print;
use crate::agent::{BUILT_IN, PolicyFile};

pub(super) fn check(file: &PolicyFile) -> Result<Exit, Failure> {
    let loaded = file.load()?;
    let searched: Vec<String> = file
        .places()
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    let line = if loaded.name == BUILT_IN {
        format!(
            "no policy file at {}: the built-in policy holds\n",
            searched.join(" or ")
        )
    } else {
        format!("{}: valid\n", loaded.name)
    };
    print(&line)?;
    Ok(Exit::Done)
}
