//! A copy of the source tree that can be broken: all mutants of a file are compiled at once, and an
//! environment variable says at run time which of them lives.

use crate::sites::Mutant;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

/// What is added to the copy's `lib.rs`. Mutant 0 is nobody: the code as it is.
const SWITCH: &str = r#"
/// The mutant that lives in this process.
pub(crate) fn mutant() -> usize {
    static ALIVE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *ALIVE.get_or_init(|| {
        std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    })
}
"#;

/// Files of the policy room that tell people what was decided and why, or write it down. Stories are of
/// decisions; what is told has tests of its own.
const TELLING: [&str; 6] = [
    "/checkpoint.rs",
    "/chronicle.rs",
    "/explain.rs",
    "/release.rs",
    "/suspects.rs",
    "/view.rs",
];

pub struct Tree {
    root: PathBuf,
    copy: PathBuf,
}

impl Tree {
    /// Everything but `src` is the original itself.
    pub fn new(root: &Path, copy: PathBuf) -> Result<Tree> {
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        fs::create_dir_all(&copy)?;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name();
            if !["target", "src", ".git", "Cargo.toml"]
                .iter()
                .any(|not| name == *not)
            {
                std::os::unix::fs::symlink(entry.path(), copy.join(&name))?;
            }
        }
        let tree = Tree {
            root: root.to_owned(),
            copy,
        };
        copy_folder(&root.join("src"), &tree.copy.join("src"))?;
        // Without its program: nobody here starts it, and linking it takes longer than all else.
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        let (before, program) = manifest.split_once("[[bin]]").context("no [[bin]]")?;
        let after = program.split_once("\n\n").context("no end of [[bin]]")?.1;
        fs::write(tree.copy.join("Cargo.toml"), format!("{before}{after}"))?;
        fs::remove_file(tree.copy.join("src/main.rs"))?;
        let lib = tree.copy.join("src/lib.rs");
        let text = fs::read_to_string(&lib)?;
        fs::write(lib, text + SWITCH)?;
        // A constant function cannot ask which mutant lives.
        for file in tree.room()? {
            let file = tree.copy.join(file);
            let text = fs::read_to_string(&file)?;
            fs::write(file, text.replace("const fn ", "fn "))?;
        }
        Ok(tree)
    }

    /// The files of the room that decide.
    pub fn deciding(&self) -> Result<Vec<String>> {
        let mut files = self.room()?;
        files.retain(|file| !TELLING.iter().any(|name| file.ends_with(name)));
        Ok(files)
    }

    /// The policy room's files, without those of its tests.
    pub fn room(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.root.join("src/policy"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".rs") && name != "mod.rs" {
                files.push(format!("src/policy/{name}"));
            }
        }
        files.sort();
        Ok(files)
    }

    /// A file's text as it stands in the copy while it is whole.
    pub fn text(&self, file: &str) -> Result<String> {
        let text = fs::read_to_string(self.root.join(file)).with_context(|| file.to_owned())?;
        Ok(text.replace("const fn ", "fn "))
    }

    pub fn restore(&self, file: &str) -> Result<()> {
        fs::write(self.copy.join(file), self.text(file)?)?;
        Ok(())
    }

    /// Puts all of these mutants into the file and compiles; gives the stories' binary, and the numbers
    /// (from 1) of those that do not compile and were left out.
    pub fn compile(&self, file: &str, mutants: &[Mutant]) -> Result<(PathBuf, BTreeSet<usize>)> {
        let text = self.text(file)?;
        let mut unviable = BTreeSet::new();
        loop {
            let (broken, places) = with_mutants(&text, mutants, &unviable);
            fs::write(self.copy.join(file), broken)?;
            let (binary, errors) = self.build(file)?;
            if let Some(binary) = binary {
                return Ok((binary, unviable));
            }
            let blamed: Vec<usize> = errors
                .iter()
                .filter_map(|line| {
                    let place = places.iter().find(|(lines, _)| lines.contains(line));
                    place.map(|(_, mutant)| *mutant)
                })
                .collect();
            ensure!(
                !blamed.is_empty(),
                "{file} with its mutants does not compile"
            );
            unviable.extend(blamed);
        }
    }

    /// The stories' binary, or the lines of the file that the compiler complains of.
    fn build(&self, file: &str) -> Result<(Option<PathBuf>, Vec<usize>)> {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(&self.copy)
            .args(["test", "--no-run", "--locked", "--test", "stories"])
            .args(["--message-format", "json", "--target-dir"])
            .arg(self.root.join("target"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        let (mut binary, mut lines) = (None, Vec::new());
        for line in output.stdout.split(|byte| *byte == b'\n') {
            let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else {
                continue;
            };
            if message["target"]["name"] == "stories" && message["executable"].is_string() {
                binary = message["executable"].as_str().map(PathBuf::from);
            }
            if message["message"]["level"] != "error" {
                continue;
            }
            let spans = message["message"]["spans"].as_array();
            let primary = spans
                .into_iter()
                .flatten()
                .filter(|span| span["is_primary"] == true && span["file_name"] == file);
            lines
                .extend(primary.filter_map(|span| span["line_start"].as_u64().map(|l| l as usize)));
        }
        if output.status.success() {
            return Ok((binary, Vec::new()));
        }
        if lines.is_empty() {
            bail!(
                "the build failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok((None, lines))
    }

    /// Where the stories run: their files are found from there.
    pub fn copy(&self) -> &Path {
        &self.copy
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The text in which each function has all its bodies, and on which lines each mutant's stands.
fn with_mutants(
    text: &str,
    mutants: &[Mutant],
    without: &BTreeSet<usize>,
) -> (String, Vec<(Range<usize>, usize)>) {
    let mut out = String::new();
    let mut places = Vec::new();
    let mut done = 0;
    let mut at = 0;
    while at < mutants.len() {
        let body = mutants[at].body.clone();
        let end = mutants[at..]
            .iter()
            .position(|mutant| mutant.body != body)
            .map_or(mutants.len(), |more| at + more);
        out.push_str(&text[done..body.start]);
        out.push_str("match crate::mutant() {\n");
        for number in at + 1..=end {
            let mutant = &mutants[number - 1];
            if without.contains(&number) {
                continue;
            }
            let from = line(&out);
            let (before, after) = (body.start..mutant.range.start, mutant.range.end..body.end);
            let changed = format!("{}{}{}", &text[before], mutant.by, &text[after]);
            push_arm(
                &mut out,
                &number.to_string(),
                &changed,
                mutant.opaque.as_deref(),
            );
            places.push((from..line(&out), number));
        }
        push_arm(
            &mut out,
            "_",
            &text[body.clone()],
            mutants[at].opaque.as_deref(),
        );
        out.push('}');
        done = body.end;
        at = end;
    }
    out.push_str(&text[done..]);
    (out, places)
}

fn line(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// All arms of an opaque type are boxed, so that they are of one.
fn push_arm(out: &mut String, pattern: &str, body: &str, opaque: Option<&str>) {
    let _ = match opaque {
        None => write!(out, "{pattern} => {{{body}\n}}\n"),
        Some(bounds) => write!(
            out,
            "{pattern} => {{ let all: Box<dyn {bounds}> = Box::new({{{body}\n}}); all }}\n"
        ),
    };
}
