//! What a replay tells: plain lines and counts, filled by `replay`, rendered by `report`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EventView, Knob, Mode, Pace, Rung};

/// One line of a replay's story. Moments are seconds since the trace's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Told {
    /// A recording begins: the first, or that of another daemon or boot.
    Began(TraceHead),
    /// A brain told something.
    Event {
        /// When.
        at_s: f64,
        /// Which brain.
        by: By,
        /// What it told.
        event: Box<EventView>,
    },
    /// Something about the trace itself, or about what was done by hand; safe to show.
    Note {
        /// When.
        at_s: f64,
        /// One sentence.
        text: String,
    },
}

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Told in the record and in the replay, at the same tick and in the same words.
    Both,
    /// Told in the record only.
    Record,
    /// Told in the replay only.
    Replay,
}

/// Who recorded, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceHead {
    /// The governor's version.
    pub governor: String,
    /// The kernel's release.
    pub kernel: String,
    /// The wall clock where it begins, in microseconds since 1970 (UTC).
    pub wall_us: i64,
    /// Whether names were replaced by hashes.
    pub hashed: bool,
    /// Whether knobs were written.
    pub mode: Mode,
    /// Whether the policy was another than the built-in one.
    pub own_policy: bool,
    /// Containers (and protected services) at its first tick.
    pub containers: usize,
}

/// What stands at a replay's end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Replayed {
    /// What was there to replay.
    pub extent: Extent,
    /// Whether the recorded brain's decisions came out again.
    pub agreement: Agreement,
    /// As recorded first; then by policy those that were tried, in the order in which they were given, or
    /// where none was, what the replayed brain did with the recorded policy.
    pub tallies: Vec<Tally>,
    /// What a tried policy names that the trace has not, and what in the trace could not be used; one
    /// sentence each, safe to show.
    pub remarks: Vec<String>,
}

/// How much of a trace there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extent {
    /// From the first to the last tick, in seconds; pauses between joined recordings do not count.
    pub seconds: f64,
    /// Samples.
    pub ticks: u64,
    /// The most containers (and protected services) at once.
    pub containers: usize,
    /// Recordings of different daemons or boots.
    pub recordings: u64,
    /// Frames that the recorder lost.
    pub lost: u64,
    /// Damaged places that were skipped.
    pub damaged: u64,
    /// Their bytes.
    pub damaged_bytes: u64,
}

/// How far the replay's decisions are the record's, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Agreement {
    /// Ticks whose decisions were compared.
    pub compared: u64,
    /// Of these, those in which something was done or told, or the pace changed.
    pub busy: u64,
    /// Of the compared ones, those that differ; also where what was done when all was given back does.
    pub different: u64,
    /// Ticks that could not be compared: before the first checkpoint, after a gap or damage.
    pub uncompared: u64,
    /// Checkpoints that were compared with the replayed brain.
    pub checkpoints: u64,
    /// Of these, those that differ.
    pub checkpoints_different: u64,
    /// The first difference.
    pub first: Option<Difference>,
}

/// The first decision (or checkpoint) that is not the record's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// When, in seconds since the trace's start.
    pub at_s: f64,
    /// The recorded text.
    pub recorded: String,
    /// The replayed text.
    pub replayed: String,
}

/// What one policy did in a trace, or in many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// The policy's name; `as recorded` for what was done. Safe to show.
    pub policy: String,
    /// Traces.
    pub traces: u64,
    /// How often somebody began to be held.
    pub interventions: u64,
    /// Steps of tightening, by rung.
    pub rungs: BTreeMap<Rung, u64>,
    /// Interventions that came to a hard rung: a cap, or a limit of swap.
    pub hard: u64,
    /// Containers that were killed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub kills: u64,
    /// Interventions that were proved right.
    pub confirmed: u64,
    /// Interventions that brought no relief and were undone.
    pub exonerated: u64,
    /// Interventions that ended without any proof, though the record could have given one.
    pub unproven: u64,
    /// Interventions that the record cannot judge: it did not hold that container then, so its world
    /// could not react.
    pub untried: u64,
    /// Interventions that could not be written, or met somebody else's value.
    pub failed: u64,
    /// Interventions that still stood at the end, or when everything was given back by hand.
    pub open: u64,
    /// Victims' stall above what the recorded policy tolerates, in seconds, summed over all of them.
    pub harm_s: f64,
    /// That part of it during which nothing was held that could have ended it.
    pub unanswered_s: f64,
    /// Writes that were wanted, by knob; those that only renew included.
    pub holds: BTreeMap<Knob, u64>,
    /// Knobs to be given back.
    pub releases: BTreeMap<Knob, u64>,
    /// Ticks by the pace that was wanted after them.
    pub paces: Paces,
}

/// Ticks by pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Paces {
    /// [`Pace::Quiet`].
    pub quiet: u64,
    /// [`Pace::Watch`].
    pub watch: u64,
    /// [`Pace::Alert`].
    pub alert: u64,
}

/// What many traces say about some policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Simulated {
    /// The sums: as recorded first, then by policy.
    pub tallies: Vec<Tally>,
    /// Each trace, in the order of the names.
    pub traces: Vec<SimulatedTrace>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SimulatedTrace {
    /// The file.
    pub file: String,
    /// Why it, or its rest, could not be used.
    pub problem: Option<String>,
    /// What stands at its end.
    #[serde(flatten)]
    pub replayed: Replayed,
}

impl Agreement {
    /// Whether all that was compared is alike; `false` where nothing was compared.
    #[must_use]
    pub const fn is_identical(&self) -> bool {
        self.compared > 0 && self.different == 0 && self.checkpoints_different == 0
    }
}

impl Simulated {
    /// Adds a trace, and to the sums what was counted in it, if there was anything to count.
    pub fn add(&mut self, trace: SimulatedTrace) {
        if trace.replayed.extent.ticks > 0 {
            for (place, tally) in trace.replayed.tallies.iter().enumerate() {
                match self.tallies.get_mut(place) {
                    Some(sum) => sum.add(tally),
                    None => self.tallies.push(tally.clone()),
                }
            }
        }
        self.traces.push(trace);
    }
}

impl Tally {
    /// Interventions that were wrong, as far as the record can tell: exonerated, or ended without proof.
    #[must_use]
    pub const fn false_actions(&self) -> u64 {
        self.exonerated + self.unproven
    }

    /// Adds another trace's counts of the same policy.
    pub fn add(&mut self, other: &Tally) {
        self.traces += other.traces;
        self.interventions += other.interventions;
        self.hard += other.hard;
        self.kills += other.kills;
        self.confirmed += other.confirmed;
        self.exonerated += other.exonerated;
        self.unproven += other.unproven;
        self.untried += other.untried;
        self.failed += other.failed;
        self.open += other.open;
        self.harm_s += other.harm_s;
        self.unanswered_s += other.unanswered_s;
        self.paces.quiet += other.paces.quiet;
        self.paces.watch += other.paces.watch;
        self.paces.alert += other.paces.alert;
        add(&mut self.rungs, &other.rungs);
        add(&mut self.holds, &other.holds);
        add(&mut self.releases, &other.releases);
    }
}

impl Paces {
    /// Counts a tick.
    pub const fn count(&mut self, pace: Pace) {
        match pace {
            Pace::Quiet => self.quiet += 1,
            Pace::Watch => self.watch += 1,
            Pace::Alert => self.alert += 1,
        }
    }
}

fn add<K: Ord + Copy>(sums: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (key, count) in others {
        *sums.entry(*key).or_default() += count;
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}
