//! What the brain wants done and why. A plan leaves nothing to choose at execution, so that
//! dry-run and replay are the same plan without the writes.

use super::{Absent, GroupId, Knob, KnobValue, Share, Span, Time};

/// A resource that one container can starve another of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// Tasks: the process identifiers that all share.
    Pids,
    /// Block devices.
    Io,
}

impl Resource {
    /// All of them, in the order in which their alarms are answered.
    pub const ALL: [Resource; 4] = [
        Resource::Cpu,
        Resource::Memory,
        Resource::Pids,
        Resource::Io,
    ];
}

/// What the brain wants after one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Writes, to be carried out in this order.
    pub changes: Vec<Change>,
    /// What happened, with its evidence; also when nothing was done.
    pub events: Vec<Event>,
    /// How soon the brain wants to see the next sample.
    pub pace: Pace,
    /// The containers that matter now (who is held, victims and suspects of a bucket that is not empty, and who has just come):
    /// they are read at every fast tick, the others when the budget affords it.
    pub matters: Vec<GroupId>,
    /// How many of them, at the end, are there only because they have just come: of those the threads need not be asked.
    pub newcomers: usize,
}

/// How fast to tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// No bucket holds anything: slow sweeps, doorbells armed.
    #[default]
    Quiet,
    /// What is held stands, and all is calm: every look costs the victim, so few are taken.
    Watch,
    /// Harm is being summed that nothing answers yet: the fastest tick that PSI can bear.
    Alert,
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Hold a knob at a value: journal the original if this is new, then write.
    Hold {
        /// The lever: whose knob.
        group: GroupId,
        /// Which knob.
        knob: Knob,
        /// To what.
        value: KnobValue,
        /// The container that this is about (the lever itself may be a slice above it).
        aggressor: GroupId,
        /// How long it stands unless renewed.
        lease: Span,
    },
    /// Hold a knob at a value that gives its group more than stood there: the one change that does. As
    /// with a hold the original is journaled first.
    Lift {
        /// The victim's side of the fork.
        group: GroupId,
        /// Which knob.
        knob: Knob,
        /// To what.
        value: KnobValue,
        /// The container that this is for.
        victim: GroupId,
        /// How long it stands unless renewed.
        lease: Span,
    },
    /// Kill everything in a group and below it (`cgroup.kill`). There is no way back.
    Kill {
        /// The container.
        group: GroupId,
        /// The knob that was of no use.
        knob: Knob,
    },
    /// Put the original back and forget it.
    Release {
        /// Whose knob.
        group: GroupId,
        /// Which knob.
        knob: Knob,
    },
}

/// What became of one [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// Whose knob.
    pub group: GroupId,
    /// Which knob.
    pub knob: Knob,
    /// What happened.
    pub written: Written,
}

/// The result of a write or of a look at a held knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// It stands as asked, read back.
    Done,
    /// Journaled and on its way; what becomes of it is told later: by the slow writer, or when
    /// another knob that must go first is given back.
    Queued,
    /// Dry-run: it would have been written.
    WouldWrite,
    /// The original is back and the journal entry is gone.
    Restored,
    /// It had been reverted to the original and was set again.
    Reasserted,
    /// Somebody else wrote another value: it stays theirs, we let go.
    Drifted,
    /// It was reverted too often: we let go.
    GaveUp,
    /// It could not be written, or did not stick.
    Failed(Absent),
    /// Everything in the group was killed. The knob is that which stood until then.
    Killed,
    /// It could not be killed; what is held of it stands.
    NotKilled(Absent),
}

/// Something worth telling, with its evidence.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What.
    pub kind: EventKind,
    /// On what grounds.
    pub evidence: Evidence,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A victim's bucket ran over.
    Alarm,
    /// The alarm found nobody to blame.
    Nobody(WhyNobody),
    /// A knob is tightened (the first time or further).
    Tightened {
        /// Whose knob.
        lever: GroupId,
        /// Which knob.
        knob: Knob,
        /// To what.
        value: KnobValue,
    },
    /// A held knob is loosened a step.
    Loosened {
        /// Whose knob.
        lever: GroupId,
        /// Which knob.
        knob: Knob,
        /// To what.
        value: KnobValue,
    },
    /// The victim's own knob is raised beside what is held for it.
    Lifted {
        /// Whose knob.
        lever: GroupId,
        /// Which knob.
        knob: Knob,
        /// To what.
        value: KnobValue,
    },
    /// What was held of it was of no use, and it is killed: the policy lets it.
    Killed,
    /// It should have been killed, and could not be.
    CannotKill {
        /// Why not.
        why: Absent,
    },
    /// The experiment ended.
    Proved(Verdict),
    /// The intervention is over and its originals go back.
    Released,
    /// The wanted write failed: the governor cannot act here.
    CannotAct {
        /// Which knob.
        knob: Knob,
        /// Why not.
        why: Absent,
    },
    /// Somebody else's value was found in a held knob; it is left alone.
    Drift {
        /// Which knob.
        knob: Knob,
    },
}

/// The outcome of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Harm fell by more than chance explains, or came back on release.
    Confirmed,
    /// Harm did not fall: undone, another suspect is looked for.
    Exonerated,
    /// Neither can be said (the suspect rested by itself, nothing was measured, or it is a dry-run):
    /// never escalates, and is tried back.
    Unproven,
}

/// Why an alarm led to no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNobody {
    /// Nobody takes more than it is entitled to.
    NoExcess,
    /// No suspect stands out from the next.
    NoMargin,
    /// All who take too much are protected, or are the host's own services.
    Protected,
    /// All who take too much were lately exonerated.
    Exonerated,
    /// All who take too much are already held at the floor of what the policy allows.
    AtFloor,
    /// The one to blame has no knob that can be written.
    NoLever,
    /// Another experiment on this resource is under way.
    Busy,
}

/// On what grounds: numbers, not prose.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// Which resource; `None` where it is about none.
    pub resource: Option<Resource>,
    /// The victim with the most harm.
    pub victim: Option<GroupId>,
    /// Its harm as a fraction of time, over about the last half second.
    pub harm: f64,
    /// Its harm before the intervention, where there is one.
    pub harm_before: f64,
    /// Its own quiet baseline.
    pub baseline: f64,
    /// How full its bucket is.
    pub bucket: Span,
    /// Stall taken out as its own doing, least and most (its own quota).
    pub own: (Span, Span),
    /// The one that is blamed or held.
    pub aggressor: Option<GroupId>,
    /// The suspects, the most blamed first.
    pub suspects: Vec<Contender>,
}

/// One suspect in an evidence.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Contender {
    /// Who.
    pub id: GroupId,
    /// Its part of all blame for this victim.
    pub blame: Share,
    /// What it used: CPUs, or bytes a second of growth, or tasks, or its part of the busiest device that both use.
    pub usage: f64,
    /// What it may use while others want more, in the same unit.
    pub entitlement: f64,
}

/// What a container is now.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Neither harmed nor blamed.
    #[default]
    Calm,
    /// Harmed beyond its own doing.
    Victim,
    /// Blamed, not (yet) held.
    Suspect,
    /// Held.
    Aggressor,
    /// May be a victim, is never held.
    Protected,
}

/// A step of a resource's ladder.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// `cpu.weight`: work-conserving.
    Weight,
    /// `cpu.idle`: work-conserving, preempted at once.
    Idle,
    /// `cpu.max`: a hard cap.
    Cap,
    /// `cgroup.freeze` in pulses: the one that real-time tasks obey.
    Freeze,
    /// `memory.high`: a soft limit.
    High,
    /// `memory.swap.max`.
    Swap,
    /// `pids.max`: what is there goes on, and no more can be started.
    Clamp,
    /// `io.max` on one device.
    Throttle,
}

impl Rung {
    /// Whether this rung takes something away that nobody else would use.
    #[must_use]
    pub const fn is_hard(self) -> bool {
        matches!(
            self,
            Rung::Cap | Rung::Freeze | Rung::Swap | Rung::Clamp | Rung::Throttle
        )
    }
}
