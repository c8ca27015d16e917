//! Nouns of the project: units, identities, time, what was read, what shall be done.
//!
//! Nothing here reads a clock, a file or the environment, and nothing here decides.
//! Every other room speaks in these types; this room uses no other room.

mod absent;
mod device;
mod explain;
mod knob;
mod past;
mod plan;
mod policy;
mod replay;
mod sample;
#[cfg(test)]
mod tests;
mod time;
mod topology;
mod unit;
mod view;

use absent::unread;
pub use absent::{Absent, Reading};
pub use device::{DEVICES, Device, IoMax, IoUse, OPERATION, PerDevice};
pub use explain::{
    BlameView, EntitledBy, EntitledView, Excuse, Explained, Explanation, Fate, HoldView, KnobView,
    ProofView, ReleaseView, StrainView, SuspectView, Wait, Who,
};
pub use knob::{CpuMax, Knob, KnobValue, ORIGINAL_MAX, Original, Pulses};
pub use past::{End, PastView, StepView};
pub use plan::{
    Change, Contender, Event, EventKind, Evidence, Outcome, Pace, Resource, Role, Rung, Step,
    Verdict, WhyNobody, Written,
};
pub use policy::{
    CpuPolicy, DetectPolicy, IoPolicy, Matcher, MemoryPolicy, Mode, Others, PidsPolicy, Policy,
    RecordPolicy, ReleasePolicy, RuntimePolicy,
};
pub use replay::{
    Agreement, By, Difference, Extent, Paces, Replayed, Simulated, SimulatedTrace, Tally, Told,
    TraceHead,
};
pub use sample::{ContainerSample, CpuUse, HostSample, MemoryUse, Sample, Stall};
pub use time::{Span, Time};
pub use topology::{Group, GroupId, Knobs, Member, Runtime, SLICES, Topology};
pub use unit::{Bytes, Limit, Share, Weight};
pub use view::{ContainerView, EventSuspect, EventView, Header, LimitView, Status};
