//! Recorded situations, each with the story that the brain makes of it: `traces/NAME.gvt` is what a real
//! kernel showed to the real daemon, `traces/NAME.txt` what `governor replay` tells of it. The first line
//! of a story is the one guarantee that it pins.
//!
//! A story that changes is no failure by itself, but somebody must have looked at it:
//!
//!     make stories    # tells all of them anew: then look at `git diff tests/traces`
//!     make traces     # records all of them anew, in the lab

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test runner: reads and writes the files that it tests"
)]

use governor::replay::{self, Replayer};
use governor::trace::{Frame, Reader, Writer};
use libtest_mimic::{Arguments, Failed, Trial};
use similar::TextDiff;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A trace is small enough to be kept for ever.
const BYTES_MAX: u64 = 64 << 10;
/// So many guarantees are pinned at least.
const STORIES_MIN: usize = 16;

fn main() -> ExitCode {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let stories: Vec<Story> = names(&traces)
        .into_iter()
        .map(|name| Story::new(&traces, name))
        .collect();
    match std::env::var("STORIES").as_deref() {
        Ok("tell") => stories.iter().for_each(Story::tell),
        // After a recording of these: this brain must decide as the one that was recorded just now.
        Ok("recorded") => {
            let names = std::env::var("RECORDED").unwrap_or_default();
            let is_new = |story: &&Story| names.split_whitespace().any(|name| name == story.name);
            stories.iter().filter(is_new).for_each(Story::keep);
            stories.iter().for_each(Story::tell);
        }
        // For tests/mutants: the first difference is enough.
        Ok("judge") => return ExitCode::from(u8::from(!stories.iter().all(Story::holds))),
        _ => {}
    }
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("every_story_pins_a_guarantee_of_its_own", {
            let stories = stories.clone();
            move || collected(&stories)
        }),
        Trial::test("every_trace_has_a_story_and_every_story_a_trace", {
            let stories = stories.clone();
            move || paired(&stories)
        }),
    ];
    trials.extend(stories.into_iter().map(|story| {
        let name = format!("{}: {}", story.name, story.guarantee());
        Trial::test(name, move || story.compare())
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// All traces and all stories, by name.
fn names(traces: &Path) -> BTreeSet<String> {
    fs::read_dir(traces)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "gvt" || end == "txt")
        })
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[derive(Clone)]
struct Story {
    name: String,
    trace: PathBuf,
    text: PathBuf,
}

impl Story {
    fn new(traces: &Path, name: String) -> Story {
        Story {
            trace: traces.join(format!("{name}.gvt")),
            text: traces.join(format!("{name}.txt")),
            name,
        }
    }

    /// The first line of the story; empty for a trace that nobody has looked at.
    fn guarantee(&self) -> String {
        let text = fs::read_to_string(&self.text).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    }

    fn frames(&self) -> impl Iterator<Item = Frame> {
        let trace = fs::File::open(&self.trace).unwrap();
        let name = self.name.clone();
        Reader::new(trace).map(move |frame| frame.unwrap_or_else(|why| panic!("{name}: {why}")))
    }

    /// What the brain of today makes of the trace.
    fn told(&self) -> String {
        let trace = fs::File::open(&self.trace).unwrap();
        replay::story(trace, None).unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }

    /// Writes the story as it is told today, under the guarantee that it has.
    fn tell(&self) {
        let text = format!("{}\n\n{}", self.guarantee(), self.told());
        fs::write(&self.text, text).unwrap();
    }

    /// Fails unless every recorded decision comes out again, byte for byte.
    fn must_agree(&self) {
        let mut replayer = Replayer::identity();
        for frame in self.frames() {
            replayer.feed(frame, &mut Vec::new());
        }
        let replayed = replayer.finish(&mut Vec::new());
        let (all, same) = (replayed.extent.ticks, &replayed.agreement);
        let whole = same.is_identical() && same.compared == all && replayed.remarks.is_empty();
        assert!(whole, "{}: {replayed:#?}", self.name);
        eprintln!("{}: {all} decisions, all as recorded", self.name);
    }

    /// Keeps a new recording, if all of it comes out again; without its checkpoints, which only the
    /// version that made them can read. One that begins with its daemon needs none.
    fn keep(&self) {
        self.must_agree();
        let (mut writer, mut out) = (Writer::new(), Vec::new());
        for frame in self.frames() {
            if !matches!(frame, Frame::Checkpoint(_)) {
                writer.frame(&frame, &mut out).unwrap();
            }
        }
        writer.finish(&mut out).unwrap();
        fs::write(&self.trace, out).unwrap();
    }

    fn holds(&self) -> bool {
        self.compare().is_ok()
    }

    fn compare(&self) -> Result<(), Failed> {
        let expected = fs::read_to_string(&self.text)?;
        let told = format!("{}\n\n{}", self.guarantee(), self.told());
        if told == expected {
            return Ok(());
        }
        let diff = TextDiff::from_lines(&expected, &told);
        let diff = diff
            .unified_diff()
            .header("as it was", "as it is told now")
            .to_string();
        Err(format!(
            "the story of {} is another:\n{diff}\nIf that is right: `make stories`.",
            self.name
        )
        .into())
    }

    /// The kernel on which it was recorded.
    fn kernel(&self) -> String {
        let start = self.frames().find_map(|frame| match frame {
            Frame::Start(start) => Some(start.kernel),
            _ => None,
        });
        start.unwrap_or_default()
    }
}

fn paired(stories: &[Story]) -> Result<(), Failed> {
    for story in stories {
        for file in [&story.trace, &story.text] {
            if !file.exists() {
                return Err(format!("there is no {}", file.display()).into());
            }
        }
    }
    Ok(())
}

fn collected(stories: &[Story]) -> Result<(), Failed> {
    let guarantees: BTreeSet<String> = stories.iter().map(Story::guarantee).collect();
    assert!(guarantees.len() >= STORIES_MIN, "{}", guarantees.len());
    assert_eq!(guarantees.len(), stories.len(), "two stories say the same");
    assert!(!guarantees.contains(""), "a story says nothing");
    for kernel in ["6.1.", "6.12."] {
        assert!(
            stories
                .iter()
                .any(|story| story.kernel().starts_with(kernel))
        );
    }
    for story in stories {
        let size = fs::metadata(&story.trace)?.len();
        assert!(size <= BYTES_MAX, "{} has {size} bytes", story.name);
    }
    Ok(())
}
