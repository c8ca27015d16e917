//! Why: everything about one container for somebody who asks. Filled by `policy`, shown by `report`.
//!
//! Moments are told as seconds before or after [`Explanation::at_us`], shares as fractions of 1, CPU
//! in CPUs (1.0 is one whole CPU), memory in bytes. So the same text comes from a daemon that runs and
//! from its recording.

use serde::{Deserialize, Serialize};

use super::{Mode, PastView, Resource, Role, Rung, WhyNobody};

/// A container or a service of the host, for people. Both texts are hostile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// Its name; of a service the unit.
    pub name: String,
    /// Its path from the cgroup root, lossily; names need not be unique.
    pub path: String,
}

impl Who {
    /// The longest text that is kept of a name or a path, in characters.
    pub const KEPT: usize = 200;

    /// The same with longer texts cut, as a brain's history keeps it.
    #[must_use]
    pub fn short(self) -> Who {
        let cut = |mut text: String| {
            let kept = Who::kept(&text).len();
            if kept < text.len() {
                text.truncate(kept);
                text.push('…');
                text.shrink_to_fit();
            }
            text
        };
        Who {
            name: cut(self.name),
            path: cut(self.path),
        }
    }

    /// What is kept of a text.
    #[must_use]
    pub fn kept(text: &str) -> &str {
        let end = text.char_indices().nth(Who::KEPT).map(|(at, _)| at);
        end.and_then(|end| text.get(..end)).unwrap_or(text)
    }
}

/// What a question by a container's name leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explained {
    /// To this one.
    One(Box<Explanation>),
    /// To all of these, which are called so.
    Several(Vec<Who>),
    /// To nobody; the name that was probably meant, if one is near.
    Nobody {
        /// That name.
        nearest: Option<String>,
    },
}

/// Everything about one container at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// The moment: that of the last sample, in microseconds of the host's monotonic clock.
    pub at_us: u64,
    /// The same moment in microseconds since 1970 (UTC), where it is known.
    pub wall_us: Option<i64>,
    /// Who.
    pub who: Who,
    /// Who made it; `service` for a service of the host.
    pub runtime: String,
    /// Whether knobs are written.
    pub mode: Mode,
    /// CPUs of the host.
    pub cpus: u32,
    /// What it is.
    pub role: Role,
    /// For how long it has been that.
    pub since_s: f64,
    /// Whether the policy protects it.
    pub protected: bool,
    /// What it waits for and what it may take, by resource.
    pub strains: Vec<StrainView>,
    /// What is held of it.
    pub held: Vec<HoldView>,
    /// What is held of others for it.
    pub helped: Vec<HoldView>,
    /// Whose harm it is blamed for now.
    pub blamed: Vec<BlameView>,
    /// For how long yet it is not suspected first, because to hold it brought no relief or failed.
    pub exonerated_s: Option<f64>,
    /// The interventions that it had a part in, the newest first; those that stand included.
    pub history: Vec<PastView>,
}

/// One resource of one container: how it fares, and what it may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StrainView {
    /// Which resource.
    pub resource: Resource,
    /// Part of the time, over about half a second, in which some task of it waited.
    pub stalled: f64,
    /// Part of the time in which it waited by others' doing; the rest was its own, or no harm.
    pub harm: f64,
    /// Why the rest does not count; `None` where there is no rest that matters.
    pub excuse: Option<Excuse>,
    /// Memory and tasks only: the harm is what is about to come, because they run out.
    pub imminent: bool,
    /// Tasks only: the path of the slice whose limit runs out; `None` where it is the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_of: Option<String>,
    /// Part of the time that it waits in calm.
    pub baseline: f64,
    /// Part of the time that it may wait in all before harm is summed up.
    pub tolerance: f64,
    /// Harm summed up over the tolerance, in seconds.
    pub bucket_s: f64,
    /// More than this is an alarm, in seconds.
    pub bucket_size_s: f64,
    /// Whether the alarm is on.
    pub alarmed: bool,
    /// How old the measurement is; `None` before the first.
    pub measured_s: Option<f64>,
    /// What it may take.
    pub entitled: EntitledView,
    /// Who is suspected of its harm now, the most blamed first; empty while there is none.
    pub suspects: Vec<SuspectView>,
    /// So many more take no more than they may, or are blamed for less than those in the list.
    pub others: u32,
    /// Why its alarm leads to nobody now.
    pub nobody: Option<WhyNobody>,
}

/// Why a stall is no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excuse {
    /// It gets what it is entitled to: it waits for itself.
    Satisfied,
    /// Its own CPU quota holds it.
    Quota,
    /// It is held: it waits by our hand.
    Held,
    /// Memory is not short on this host: what it reads again was merely not kept.
    Plenty,
    /// It would wait as long for the same work in calm, or nearly; or memory is short, and is answered first.
    Work,
    /// It stands at its own memory limit.
    OwnLimit,
    /// It is one of those who take too much memory.
    Grows,
}

/// What a container may take while others want more, and where that comes from. CPUs, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntitledView {
    /// What it takes.
    pub usage: f64,
    /// What it may take.
    pub entitlement: f64,
    /// What decided that.
    pub by: EntitledBy,
    /// Its share by weight among those who want some now.
    pub fair: f64,
    /// What it has shown to need while there was enough.
    pub demand: f64,
    /// CPU time that others kept from it and that it may still catch up on, in seconds.
    pub owed_s: f64,
    /// Memory only: growth in bytes a second; negative when it shrinks.
    pub grows: f64,
}

/// Where an entitlement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntitledBy {
    /// Its fair share by weight.
    FairShare,
    /// Its established demand, which is more than the fair share.
    Demand,
    /// What the others' established demand leaves of its fair share.
    Rest,
}

/// One suspect of one victim's harm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuspectView {
    /// Who.
    pub who: Who,
    /// Its part of all blame, a fraction of 1.
    pub blame: f64,
    /// What it takes: CPUs, or bytes.
    pub usage: f64,
    /// What it may take, in the same unit.
    pub entitlement: f64,
    /// Memory only: growth in bytes a second.
    pub grows: f64,
    /// CPUs that the host itself uses on its behalf, outside of all containers.
    #[serde(default)]
    pub on_behalf: f64,
    /// Whether it is held for it, or why not.
    pub fate: Fate,
}

/// Whether a suspect is held, or why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Fate {
    /// It is held.
    Held,
    /// It stands out and comes next: once the experiment under way has ended, if the policy lets it.
    Next,
    /// The policy protects it.
    Protected,
    /// To hold it lately brought no relief, or failed: it is not looked at first.
    Exonerated {
        /// For so long yet.
        left_s: f64,
    },
    /// It takes no more than it may.
    NoExcess,
    /// It takes more than it may, but only what others kept from it before.
    CatchesUp,
    /// It takes more than it may, but not when the other is harmed.
    Apart {
        /// How well the two move together: 0 not at all, 1 in step.
        together: f64,
    },
    /// It is blamed for much less than the one that is blamed most.
    Behind {
        /// That one is blamed for so many times more.
        times: f64,
        /// Up to so many times they would be held together.
        margin: f64,
    },
    /// It belongs to the same pod, which is one unit.
    SamePod,
    /// So many are blamed alike that nobody stands out.
    Crowd,
    /// No knob that may be written moves it and nobody else.
    NoLever,
}

/// One whose harm the explained one is blamed for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlameView {
    /// Who is harmed.
    pub victim: Who,
    /// In which resource.
    pub resource: Resource,
    /// Its part of all blame for this one, a fraction of 1.
    pub blame: f64,
    /// Whether it is held for it, or why not.
    pub fate: Fate,
}

/// One intervention that stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldView {
    /// Who is held.
    pub aggressor: Who,
    /// For whom.
    pub victim: Who,
    /// Of which resource.
    pub resource: Resource,
    /// The rung it stands on.
    pub rung: Rung,
    /// The path of the cgroup whose knobs are held, lossily.
    pub lever: String,
    /// The knobs, in the order in which they were taken.
    pub knobs: Vec<KnobView>,
    /// The aggressor's own weight, where the lever is a slice that holds others too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<KnobView>,
    /// The victim's own knob, where that is raised meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<KnobView>,
    /// What this leaves it whatever others want: CPUs, or bytes.
    pub leaves: f64,
    /// What it may take while others want more, in the same unit.
    pub entitlement: f64,
    /// What it takes now.
    pub usage: f64,
    /// How far the proof is.
    pub proof: ProofView,
    /// Whether it is only told and not written.
    pub imagined: bool,
    /// So many seconds ago it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed_s: Option<f64>,
    /// For how long it has stood.
    pub since_s: f64,
    /// When the last step was, in seconds before now.
    pub changed_s: f64,
    /// The victim's harm before the first step, a fraction of time.
    pub harm_before: f64,
    /// The victim's harm now.
    pub harm_now: f64,
    /// What ends it.
    pub release: ReleaseView,
    /// The suspects when it was decided, the most blamed first.
    pub suspects: Vec<SuspectView>,
    /// So many more were no suspects then.
    pub others: u32,
}

/// One knob that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnobView {
    /// The file.
    pub knob: String,
    /// What stood there before us; `None` where that could not be read.
    pub original: Option<String>,
    /// What stands there now.
    pub now: String,
}

/// How far a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofView {
    /// The experiment runs.
    Proving,
    /// Harm fell.
    Confirmed,
    /// It cannot be said.
    Unproven,
    /// It is being given back, step by step.
    Releasing,
}

/// What ends an intervention, and when at the earliest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReleaseView {
    /// What the next step back still waits for; empty: for nothing.
    pub waits: Vec<Wait>,
    /// The next step back comes in so many seconds at the earliest.
    pub earliest_s: f64,
    /// Steps from here to the original.
    pub steps: u32,
    /// Seconds between two of them.
    pub step_s: f64,
    /// It is given back in so many seconds unless it is renewed, which is done as long as the governor
    /// wants it.
    pub lease_s: f64,
}

/// Something that a step back waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// The end of the experiment.
    Proof {
        /// In so many seconds.
        left_s: f64,
    },
    /// The least time that a limit stands.
    Hold {
        /// For so many seconds yet.
        left_s: f64,
        /// Of so many.
        of_s: f64,
    },
    /// Calm of those who are harmed.
    Quiet {
        /// For so many seconds yet.
        left_s: f64,
        /// Of so many.
        of_s: f64,
    },
    /// The victim's harm is still too much.
    Harm {
        /// So much, a fraction of time.
        harm: f64,
        /// Up to here it is good enough.
        target: f64,
    },
    /// The one that is held still wants what is kept from it.
    Demand {
        /// In so many seconds it is tried back all the same; `None`: it is not.
        trial_s: Option<f64>,
    },
    /// There is no free memory for what the one that is held would take.
    Room,
    /// The time between two steps.
    Step {
        /// For so many seconds yet.
        left_s: f64,
    },
}
