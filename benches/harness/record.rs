//! The raw record: everything that was seen, one JSON object a line, written as soon as it is whole.
//! Studies, tables and pictures are made from it later and again.
//!
//! Times are microseconds of CLOCK_MONOTONIC, which every process of a boot shares.

use crate::arm::Arm;
use crate::machine::Machine;
use anyhow::Context;
use governor::model::EventView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// Where what follows was made.
    Machine(Machine),
    /// A scenario, as it stood in its file.
    Scenario {
        /// Its name.
        name: String,
        /// The file's text.
        text: String,
    },
    /// One run of a scenario under an arm.
    Run(Box<Run>),
    /// A run that came to no end.
    Failed {
        /// Of which scenario.
        scenario: String,
        /// Under which arm.
        arm: Arm,
        /// In which round.
        round: u32,
        /// Why.
        why: String,
    },
}

/// What one run showed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// Who was to help.
    pub(crate) arm: Arm,
    /// Runs of one round have the same phases; from 1.
    pub(crate) round: u32,
    /// When the victims' first request was due.
    pub(crate) first_us: u64,
    /// When the attack began.
    pub(crate) attack_us: u64,
    /// When it ended.
    pub(crate) attack_end_us: u64,
    /// When the last request was due, at most.
    pub(crate) end_us: u64,
    /// What the victims lived through.
    pub(crate) victims: Vec<Victim>,
    /// The groups, all 100 ms.
    pub(crate) samples: Vec<Sample>,
    /// Every change of a knob that somebody wrote.
    pub(crate) writes: Vec<Written>,
    /// Each group's knobs before anybody could touch them.
    pub(crate) before: Knobs,
    /// And when all was over.
    pub(crate) after: Knobs,
    /// When all knobs stood as before again, after the attack; `None`: not while anybody waited.
    pub(crate) restored_us: Option<u64>,
    /// CPU time that a hypervisor took from this host while the attack lasted.
    pub(crate) steal_us: u64,
    /// Who ended before the harness wanted it.
    pub(crate) deaths: Vec<Death>,
    /// Groups in which the kernel's OOM killer or somebody's `cgroup.kill` struck.
    pub(crate) oom_kills: BTreeMap<String, u64>,
    /// The governor's own story.
    pub(crate) events: Vec<EventView>,
    /// What the tool itself took, from the first request to the attack's end.
    pub(crate) tool: Option<Tool>,
}

impl Run {
    /// Whether every knob that is still there stands byte for byte as before.
    pub(crate) fn given_back(&self, now: &Knobs) -> bool {
        now.iter()
            .all(|(group, knobs)| self.before.get(group) == Some(knobs))
    }
}

/// Group, knob, exact text.
pub(crate) type Knobs = BTreeMap<String, BTreeMap<String, String>>;

/// A victim's requests: when each was due, and how much later its answer was there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Victim {
    /// Its name.
    pub(crate) name: String,
    /// `None`: never, in the 30 s after the last was due.
    pub(crate) requests: Vec<(u64, Option<u64>)>,
    /// Forks that the kernel refused it.
    #[serde(default)]
    pub(crate) refused: u64,
}

/// All groups at one moment.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// When it was taken.
    pub(crate) at_us: u64,
    /// How much later than due: the harness's own lateness.
    pub(crate) late_us: u64,
    /// Each group, in the order of the scenario.
    pub(crate) groups: Vec<Usage>,
}

/// One group. Totals are since its creation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time.
    pub(crate) cpu_us: u64,
    /// `memory.current`, bytes.
    pub(crate) memory: u64,
    /// `pids.current`.
    pub(crate) tasks: u64,
    /// `some total` of `cpu.pressure`.
    pub(crate) psi_cpu_us: u64,
    /// Likewise of `memory.pressure`.
    pub(crate) psi_memory_us: u64,
    /// Likewise of `io.pressure`.
    pub(crate) psi_io_us: u64,
}

/// A knob's new text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    /// When the harness saw it.
    pub(crate) at_us: u64,
    /// Whose.
    pub(crate) group: String,
    /// The file.
    pub(crate) knob: String,
    /// What stands there now.
    pub(crate) text: String,
}

/// An end that the harness did not order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Death {
    /// When the harness saw it.
    pub(crate) at_us: u64,
    /// Who.
    pub(crate) who: String,
    /// In the system's words.
    pub(crate) how: String,
}

/// What a tool cost.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tool {
    /// CPU time.
    pub(crate) cpu_us: u64,
    /// Over so much time.
    pub(crate) over_us: u64,
    /// How often its process read or wrote by a system call, over that time.
    #[serde(default)]
    pub(crate) reads_writes: Option<u64>,
    /// How often its threads left a CPU, over that time.
    #[serde(default)]
    pub(crate) switches: Option<u64>,
    /// The most memory that its process had, bytes.
    pub(crate) rss: Option<u64>,
    /// The 99th percentile of how late its loop woke, in milliseconds; the governor's only.
    pub(crate) lateness_p99_ms: Option<f64>,
    /// Whether it ended in peace when asked to.
    pub(crate) ended_well: bool,
}

/// Writes lines as they come; none is lost when a later one fails.
pub(crate) struct Writer {
    out: Box<dyn Write>,
}

impl Writer {
    /// Into this file, which must not be there yet; `-` is standard output.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Writer> {
        let out: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(std::io::stdout())
        } else {
            let file = std::fs::File::options()
                .write(true)
                .create_new(true)
                .open(path);
            Box::new(file.with_context(|| format!("the record {}", path.display()))?)
        };
        Ok(Writer { out })
    }

    /// Appends one line, in one write.
    ///
    /// # Errors
    /// The disk is full, or standard output is gone.
    pub(crate) fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.out
            .write_all(text.as_bytes())
            .context("the record cannot be written")?;
        self.out.flush().context("the record cannot be written")
    }
}

/// The lines of records, with what could not be read of them.
///
/// # Errors
/// A file cannot be read at all, or holds no line of a record.
pub(crate) fn read(paths: &[std::path::PathBuf]) -> anyhow::Result<(Vec<Line>, Vec<String>)> {
    let mut lines = Vec::new();
    let mut warnings = Vec::new();
    for path in paths {
        let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
        let before = lines.len();
        for (number, line) in std::io::BufReader::new(file).lines().enumerate() {
            let line = line.with_context(|| path.display().to_string())?;
            // A console's log holds other lines, too.
            let Some(start) = line.find("{\"line\":") else {
                continue;
            };
            match serde_json::from_str(line.get(start..).unwrap_or_default()) {
                Ok(line) => lines.push(line),
                Err(why) => {
                    let place = format!("{}:{}", path.display(), number + 1);
                    warnings.push(format!("{place}: a damaged line is left out: {why}"));
                }
            }
        }
        if lines.len() == before {
            anyhow::bail!("{} holds no line of a record", path.display());
        }
    }
    Ok((lines, warnings))
}
