//! Mutation testing: breaks one thing at a time in the policy room, and asks the stories
//! (`tests/stories.rs`, and nothing else) whether they notice.
//!
//! Started by `tests/mutants/run`, with the repository, and the files to break (all that decide if none
//! is named). What survives is listed in `RESULTS.md`; a survivor that no input could tell from the
//! original is explained in `explained`.

mod sites;
mod tree;

use anyhow::{Context, Result, ensure};
use sites::Mutant;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A story told something else, or the program broke.
    Noticed,
    /// The stories did not end.
    Hung,
    Survived,
}

/// One file's mutants and what became of them.
struct Judged {
    file: String,
    unviable: usize,
    noticed: usize,
    hung: usize,
    survivors: Vec<String>,
    took: Duration,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let root = PathBuf::from(arguments.next().context("the repository's folder")?);
    let tree = tree::Tree::new(&root, root.join("target/mutants/tree"))?;
    let mut files: Vec<String> = arguments.collect();
    if files.is_empty() {
        files = tree.deciding()?;
    }
    let mut constants = sites::Constants::new();
    for file in tree.room()? {
        sites::constants(&tree.text(&file)?, &mut constants)?;
    }
    let (binary, _) = tree.compile(&files[0], &[])?;
    let started = Instant::now();
    ensure!(
        judge(&binary, tree.copy(), 0, Duration::from_secs(600))? == Fate::Survived,
        "the stories fail without any mutant"
    );
    let alone = started.elapsed();
    eprintln!("mutants: the stories alone take {alone:.1?}");
    let patience = Duration::from_secs(5).max(alone * 10);
    let mut all = Vec::new();
    for file in files {
        let text = tree.text(&file)?;
        let mutants = sites::find(&text, &constants)?;
        let judged = judge_file(&tree, &file, &text, &mutants, patience)?;
        eprintln!("mutants: {}", judged.row());
        all.push(judged);
        tree.restore(&file)?;
    }
    let explained = std::fs::read_to_string(root.join("tests/mutants/explained"))?;
    print!("{}", report(&all, &explained, alone));
    Ok(())
}

fn judge_file(
    tree: &tree::Tree,
    file: &str,
    text: &str,
    mutants: &[Mutant],
    patience: Duration,
) -> Result<Judged> {
    let started = Instant::now();
    let (binary, unviable) = tree.compile(file, mutants)?;
    let built = started.elapsed();
    eprintln!(
        "mutants: {file}: {} compiled in {built:.0?}",
        mutants.len() - unviable.len()
    );
    let mut judged = Judged {
        file: file.to_owned(),
        unviable: unviable.len(),
        noticed: 0,
        hung: 0,
        survivors: Vec::new(),
        took: Duration::ZERO,
    };
    for number in (1..=mutants.len()).filter(|number| !unviable.contains(number)) {
        match judge(&binary, tree.copy(), number, patience)? {
            Fate::Noticed => judged.noticed += 1,
            Fate::Hung => judged.hung += 1,
            Fate::Survived => judged
                .survivors
                .push(describe(file, text, &mutants[number - 1])),
        }
    }
    judged.took = started.elapsed();
    Ok(judged)
}

/// Runs the stories with this mutant alive. A mutant may take memory for ever: it gets 4 GiB.
fn judge(binary: &Path, folder: &Path, number: usize, patience: Duration) -> Result<Fate> {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 4194304; exec \"$0\""])
        .arg(binary)
        .current_dir(folder)
        .env("STORIES", "judge")
        .env("MUTANT", number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() {
                Fate::Survived
            } else {
                Fate::Noticed
            });
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(Fate::Hung);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One line: where, and the source line before and after.
fn describe(file: &str, text: &str, mutant: &Mutant) -> String {
    let from = text[..mutant.range.start]
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let to = text[mutant.range.end..]
        .find('\n')
        .map_or(text.len(), |at| mutant.range.end + at);
    let number = text[..from].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let before = blanks(&text[from..to]);
    let after = if mutant.range == mutant.body {
        format!("(all of it) {}", mutant.by)
    } else {
        blanks(&format!(
            "{}{}{}",
            &text[from..mutant.range.start],
            mutant.by,
            &text[mutant.range.end..to]
        ))
    };
    let before = match before.char_indices().nth(90) {
        Some((at, _)) => format!("{}…", &before[..at]),
        None => before,
    };
    format!(
        "{}:{number} {}: `{before}` → `{after}`",
        file.trim_start_matches("src/policy/"),
        mutant.function
    )
}

/// A survivor without its line's number, which changes with every edit above it.
fn name(survivor: &str) -> String {
    let (file, rest) = survivor.split_once(':').unwrap_or((survivor, ""));
    let rest = rest.trim_start_matches(|one: char| one.is_ascii_digit());
    format!("{file}{rest}")
}

impl Judged {
    fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {:.0} s |",
            self.file,
            self.unviable,
            self.noticed + self.hung,
            self.hung,
            self.survivors.len(),
            self.took.as_secs_f64()
        )
    }
}

/// The table, then the survivors: those that are explained with their reason.
fn report(all: &[Judged], explained: &str, alone: Duration) -> String {
    let mut out = String::new();
    let reasons: Vec<(&str, &str)> = explained
        .lines()
        .filter_map(|line| line.split_once(" ## "))
        .collect();
    let _ = writeln!(
        out,
        "The stories alone take {:.1} s.\n\n| file | do not compile | noticed | of them never ended | survived | took |\n|---|---|---|---|---|---|",
        alone.as_secs_f64()
    );
    for judged in all {
        let _ = writeln!(out, "{}", judged.row());
    }
    for judged in all.iter().filter(|judged| !judged.survivors.is_empty()) {
        let _ = writeln!(out, "\nSurvivors in {}:\n", judged.file);
        for survivor in &judged.survivors {
            let name = name(survivor);
            let reason = reasons.iter().find(|(of, _)| *of == name);
            let _ = match reason {
                Some((_, why)) => writeln!(out, "- {survivor}. Explained: {why}"),
                None => writeln!(out, "- {survivor}"),
            };
        }
    }
    out
}
