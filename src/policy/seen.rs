//! What one intervention sees of the world in one tick, and what may follow from it.

use super::behalf::Vain;
use super::ladder::Place;
use crate::model::{Span, Time, Verdict};

/// What is seen of the world by one intervention in one tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub now: Time,
    /// Nothing speaks for it any more: a side of it is gone, the lever moves somebody else too, or
    /// the policy does not allow it now.
    pub groundless: bool,
    /// The victim's cumulative harm.
    pub total: Span,
    /// When harm was measured last.
    pub measured_at: Time,
    /// How much of the time since the latest step settled the victim's harm was measured.
    pub measured: Span,
    /// The victim's harm rate since the latest step settled, else over two seconds.
    pub harm: f64,
    /// Somebody's bucket alarms for whose harm the aggressor is to blame.
    pub alarmed: bool,
    /// What is tolerated without regard to what earlier rungs left.
    pub tolerance: f64,
    /// How long nobody has been harmed whom this concerns.
    pub calm_for: Span,
    /// The aggressor rests of its own accord: it neither takes nor wants.
    pub rests: bool,
    /// Likewise, over the last two seconds.
    pub rested: bool,
    /// The victim gets what it is entitled to, but is behind by what was kept from it before: what is due to it waits.
    pub behind: bool,
    /// The victim had all that it needs in the last 100 ms, and nobody else is held for it who was proved.
    pub served: bool,
    /// It still wants what this holds back.
    pub wants: bool,
    /// It gets less than it is entitled to, and waits.
    pub starves: bool,
    /// Another suspect took over what this one gave up.
    pub relayed: bool,
    /// A further weight is on trial, and another one has just begun and taken over: what the victim waits for from now on tells
    /// nothing of it, and that one is to be looked at.
    pub overtaken: bool,
    /// New harm is more likely the doing of another one: who has just begun, is blamed far more, or whose experiment runs.
    pub stirred: bool,
    /// The latest step shows nothing yet: its aggressor still has more memory than it leaves it, or the device works off what it
    /// was handed before.
    pub pending: bool,
    /// Memory is short: what was lost before the step comes back slowly.
    pub short: bool,
    /// Whether it is held for what the host does, and that has not fallen.
    pub in_vain: Vain,
    pub tighter: Option<Place>,
    /// What may follow a weight, or a throttle, that has not reached its aggressor, who still takes more than it may.
    pub beyond: Option<Place>,
    /// Where what stands does not reach it because it runs in real time: to freeze it does.
    pub frozen: Option<Place>,
    pub looser: Option<Place>,
    pub raised: Option<Place>,
}

/// What to do with an intervention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Move {
    Keep,
    /// The experiment ended well, or undecided; nothing is written.
    Judge(Verdict),
    /// The experiment goes on for a while: what was kept from the victim before still shows.
    GoOn,
    /// One step further, as a new experiment.
    Tighten(Place),
    /// The first step changed nothing about the suspect: a rung that does, as the same experiment.
    Reach(Place),
    /// The last step brought nothing: back to where it was.
    StepBack(Place),
    /// The first step brought nothing: everything is undone.
    Exonerate,
    /// One step on the way back.
    Loosen(Place),
    /// More for one that starves; it stays held.
    Raise(Place),
    /// Harm came back on the way back.
    Retighten(Place),
    /// Put the originals back.
    Release,
}
