//! What the frames of a trace say by themselves, and where in it the replay stands.

use super::count::Count;
use super::harm::Account;
use super::world::World;
use crate::model::{By, Event, EventView, Policy, Time, Told, Topology, TraceHead};
use crate::report::event_view;
use crate::trace::Start;

/// The name of what was done, beside those of the policies that are tried.
pub const AS_RECORDED: &str = "as recorded";

/// What is known from the frames themselves.
pub(super) struct Record {
    pub start: Option<Start>,
    /// In which all moments are told.
    pub began: Option<Time>,
    pub tree: Topology,
    pub world: World,
    pub count: Count,
    pub account: Account,
    /// The last tick of this recording.
    pub last: Option<Time>,
    /// Ticks of the recording daemon up to there.
    pub ticks: u64,
    pub own_policy: bool,
    pub hashed: bool,
    /// Frames are missing since the last checkpoint.
    pub broken: bool,
    /// The head is told with the next tick: by then policy and tree are known.
    pub untold: bool,
}

impl Record {
    pub(super) fn new() -> Record {
        Record {
            start: None,
            began: None,
            tree: Topology::default(),
            world: World::default(),
            count: Count::new(AS_RECORDED),
            account: Account::default(),
            last: None,
            ticks: 0,
            own_policy: false,
            hashed: false,
            broken: false,
            untold: true,
        }
    }

    /// Since the trace's start.
    pub(super) fn seconds(&self, at: Time) -> f64 {
        at.since(self.began.unwrap_or(at)).as_secs_f64()
    }

    pub(super) fn noted(&self, at: Time, text: String) -> Told {
        Told::Note {
            at_s: self.seconds(at),
            text,
        }
    }

    fn is_same_boot(&self, start: &Start) -> bool {
        let boot = self.start.as_ref().map(|known| &known.boot_id);
        boot == Some(&start.boot_id)
    }

    /// Whether this is the next segment of the recording that is replayed: one before which its daemon
    /// had taken just the ticks that were replayed, or where frames are missing, at least those.
    pub(super) fn goes_on_with(&self, start: &Start) -> bool {
        self.is_same_boot(start)
            && self.last.is_some_and(|last| last <= start.at)
            && start
                .ticks
                .is_some_and(|ticks| ticks == self.ticks || self.broken && ticks > self.ticks)
    }

    /// Another recording begins.
    pub(super) fn begin(&mut self, start: Start) {
        let is_earlier = self.began.is_none_or(|began| start.at < began);
        if is_earlier || !self.is_same_boot(&start) {
            self.began = Some(start.at);
        }
        self.last = None;
        self.untold = true;
        self.world = World::default();
        self.account = Account::default();
        self.count.cut_off();
        self.start = Some(start);
    }

    /// The moment that was told last.
    pub(super) fn now(&self) -> Time {
        let start = self.start.as_ref().map(|start| start.at);
        self.last.or(start).unwrap_or_default()
    }

    pub(super) fn head(&self, policy: &Policy) -> TraceHead {
        let start = self.start.clone().unwrap_or_default();
        TraceHead {
            governor: start.governor,
            kernel: start.kernel,
            wall_us: start.wall_us,
            hashed: start.hashed,
            mode: policy.mode,
            own_policy: self.own_policy,
            containers: self.tree.watched().count(),
        }
    }

    /// The wall clock at this moment, in microseconds since 1970 (UTC).
    pub(super) fn wall_us(&self, at: Time) -> Option<i64> {
        let start = self.start.as_ref();
        start.map(|start| start.wall_us_at(at))
    }

    /// The events of both in their order: what only was recorded before what only would be told.
    pub(super) fn tell(
        &self,
        at_s: f64,
        recorded: &[Event],
        replayed: &[Event],
        told: &mut Vec<Told>,
    ) {
        let mut recorded = self.views(recorded);
        let replayed = self.views(replayed);
        let mut by = vec![By::Replay; replayed.len()];
        recorded.retain(|record| {
            let same =
                |(event, by): (&EventView, &By)| *by == By::Replay && event.text == record.text;
            let found = replayed.iter().zip(&by).position(same);
            if let Some(by) = found.and_then(|at| by.get_mut(at)) {
                *by = By::Both;
            }
            found.is_none()
        });
        let recorded = recorded.into_iter().map(|event| (By::Record, event));
        let events = recorded.chain(by.into_iter().zip(replayed));
        told.extend(events.map(|(by, event)| Told::Event {
            at_s,
            by,
            event: Box::new(event),
        }));
    }

    fn views(&self, events: &[Event]) -> Vec<EventView> {
        let view = |event: &Event| EventView {
            wall_us: self.wall_us(event.at),
            ..event_view(event, &self.tree)
        };
        events.iter().map(view).collect()
    }
}
