//! The rules of the rooms, read from the source: which room may use which, which files may touch the
//! system, and how long a file may be.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the source tree, which is what it tests"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use.
const ROOMS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("kernel", &["model"]),
    ("policy", &["model"]),
    ("config", &["model"]),
    ("report", &["model"]),
    ("trace", &["model"]),
    ("replay", &["model", "trace", "policy", "config", "report"]),
    ("host", &["model", "kernel"]),
    (
        "agent",
        &[
            "model", "kernel", "policy", "config", "report", "trace", "host",
        ],
    ),
    (
        "cli",
        &[
            "model", "kernel", "policy", "config", "report", "trace", "replay", "host", "agent",
        ],
    ),
];

/// Rooms and files that may do what `clippy.toml` disallows. The control loop is not among them: it
/// asks `host`.
const EDGES: &[&str] = &[
    "host/",
    "cli/",
    "main.rs",
    // The edges of the side thread, which the control loop never waits for.
    "agent/ask.rs",
    "agent/board.rs",
    "agent/log.rs",
    "agent/record/keeper.rs",
    // Its tests wait for the keeper's thread.
    "agent/record/tests/",
    "agent/side.rs",
    "agent/socket.rs",
    // Compiled for tests only: reads the captured files.
    "kernel/fixtures.rs",
];

/// The one file that may hold `unsafe`.
const UNSAFE: [&str; 1] = ["host/"];

/// A file is one step of the flow and fits in the head. Its own tests, at its end, do not count.
const LINES_MAX: usize = 450;

/// A file of tests is a list of claims, which is read one by one.
const TEST_LINES_MAX: usize = 600;

/// A file of `src`: its path from there, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                all.push(Source {
                    text: fs::read_to_string(&path).unwrap(),
                    path: path.strip_prefix(&root).unwrap().display().to_string(),
                });
            }
        }
    }
    assert!(all.len() > 20, "the source tree was not found");
    all
}

/// The text up to its tests, which stand last in a file.
fn of_the_daemon(text: &str) -> &str {
    let opens_tests = |at: &usize| {
        let mut lines = text[*at..].lines().skip_while(|line| line.starts_with('#'));
        lines
            .next()
            .is_some_and(|line| line.ends_with("mod tests {"))
    };
    let mut starts = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at);
    &text[..starts.find(opens_tests).unwrap_or(text.len())]
}

/// The text without line comments. A `//` in a string cuts its line too: what follows is text.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let end = line.find("//").unwrap_or(line.len());
        code.push_str(&line[..end]);
        code.push('\n');
    }
    code
}

/// The first names of every path that starts with `prefix`, those of a group `{a::B, c}` included.
fn heads<'c>(code: &'c str, prefix: &str) -> Vec<&'c str> {
    let mut heads = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|one| one.is_alphanumeric() || one == '_' || one == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.trim_start().strip_prefix('{') {
            Some(group) => heads.extend(group_heads(group)),
            None => heads.extend(word(rest)),
        }
    }
    heads
}

/// The first names of a group's members, up to its closing brace.
fn group_heads(group: &str) -> Vec<&str> {
    let mut heads = Vec::new();
    let (mut depth, mut expects) = (0_usize, true);
    for (at, one) in group.char_indices() {
        match one {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            _ if expects && !one.is_whitespace() => {
                heads.extend(word(&group[at..]));
                expects = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> Option<&str> {
    let end = text
        .find(|one: char| !one.is_alphanumeric() && one != '_')
        .unwrap_or(text.len());
    Some(&text[..end]).filter(|word| !word.is_empty())
}

/// The rooms that this file refers to and may not.
fn forbidden(source: &Source) -> Vec<String> {
    let room = source.path.split('/').next().unwrap_or_default();
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return Vec::new();
    };
    let code = code(&source.text);
    let is_room = |name: &str| ROOMS.iter().any(|(known, _)| *known == name);
    let mut used: Vec<&str> = heads(&code, "crate::");
    used.extend(heads(&code, "governor::"));
    // `super::` as often as the file is deep is the crate.
    let climb = "super::".repeat(depth(&source.path));
    used.extend(heads(&code, &climb));
    used.into_iter()
        .filter(|name| is_room(name) && *name != room && !allowed.contains(name))
        .map(|name| format!("{}: {room} may not use {name}", source.path))
        .collect()
}

/// How many modules are above the file's own: 1 for `config/mod.rs`, 2 for `config/keys.rs`.
fn depth(path: &str) -> usize {
    path.trim_end_matches("/mod.rs").split('/').count()
}

#[test]
fn a_room_uses_only_the_rooms_below_it() {
    let found: Vec<String> = sources().iter().flat_map(forbidden).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_edges_touch_the_system() {
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|source| code(of_the_daemon(&source.text)).contains("clippy::disallowed_methods"))
        .map(|source| source.path)
        .filter(|path| !EDGES.iter().any(|edge| path.starts_with(edge)))
        .collect();
    assert!(found.is_empty(), "not in the list of edges: {found:#?}");
}

#[test]
fn unsafe_code_stands_in_one_file_of_host() {
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|source| code(&source.text).contains("unsafe_code"))
        .map(|source| source.path)
        .collect();
    let elsewhere = |path: &String| !UNSAFE.iter().any(|place| path.starts_with(place));
    assert!(
        found.len() <= 1 && !found.iter().any(elsewhere),
        "{found:#?}"
    );
}

fn lines_max(path: &str) -> usize {
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        TEST_LINES_MAX
    } else {
        LINES_MAX
    }
}

#[test]
fn every_file_fits_in_the_head() {
    let found: Vec<String> = sources()
        .into_iter()
        .map(|source| (of_the_daemon(&source.text).lines().count(), source.path))
        .filter(|(lines, path)| *lines > lines_max(path))
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(found.is_empty(), "too long: {found:#?}");
}

#[test]
fn a_reference_is_seen_in_every_form() {
    for text in [
        "use crate::host::Clock;",
        "use crate::{model::Time, host};",
        "use crate::{\n    model::{Time, Span},\n    host::{self, Clock},\n};",
        "fn f() -> crate::host::Clock { g() }",
        "use super::super::host;",
        "pub(in crate::host) fn f() {}",
        "use crate :: host;",
    ] {
        let source = |path: &str| Source {
            path: path.to_owned(),
            text: text.replace(" :: ", "::"),
        };
        assert_eq!(forbidden(&source("policy/harm.rs")).len(), 1, "{text}");
        assert_eq!(forbidden(&source("cli/run.rs")).len(), 0, "{text}");
    }
    for text in [
        "// crate::host",
        "use crate::model::Time;",
        "use super::host;",
        "use other_crate::host;",
        "use crate::{model::host, policy::harm};",
    ] {
        let source = Source {
            path: "policy/harm.rs".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(forbidden(&source), Vec::<String>::new(), "{text}");
    }
}
