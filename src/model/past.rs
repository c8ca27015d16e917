//! What was done before: interventions from their first step to their end, for [`Explanation`](super::Explanation).

use serde::{Deserialize, Serialize};

use super::{KnobView, Resource, Rung, Verdict, Who};

/// One intervention from its first step to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastView {
    /// Who was held.
    pub aggressor: Who,
    /// For whom.
    pub victim: Who,
    /// Of which resource.
    pub resource: Resource,
    /// It began so many seconds before now.
    pub began_s: f64,
    /// It stood, or has stood, for so many seconds.
    pub lasted_s: f64,
    /// Its first steps, in their order.
    pub steps: Vec<StepView>,
    /// So many more were taken after those.
    pub more_steps: u32,
    /// The victim's harm before the first step, a fraction of time.
    pub harm_before: f64,
    /// The victim's harm when the proof ended or, after that, at the end.
    pub harm_after: Option<f64>,
    /// What the experiment brought; `None` where it did not end.
    pub verdict: Option<Verdict>,
    /// Whether its lease ran out at some time: the governor did not run for so long.
    pub expired: bool,
    /// Whether it was only told and not written.
    pub imagined: bool,
    /// Whether the one that was held was killed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
    /// How it ended; `None`: it stands.
    pub end: Option<End>,
}

/// One step of an intervention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// So many seconds before now.
    pub ago_s: f64,
    /// The rung.
    pub rung: Rung,
    /// The knob and its values before us and from then on.
    pub knob: KnobView,
    /// Whether it was tightened; else it was loosened.
    pub tighter: bool,
}

/// How an intervention ended. Its originals went back, but where somebody else's value stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was not needed any more.
    Released,
    /// It brought no relief.
    Exonerated,
    /// The held one came to harm itself, by one that takes more.
    Harmed,
    /// Somebody else wrote the knob.
    Drifted,
    /// The knob could not be written.
    Failed,
    /// A side of it went away, the lever got another container, or the policy does not allow it now.
    Groundless,
    /// The operator asked, or the governor ended.
    Asked,
}
