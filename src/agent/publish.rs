//! What the loop tells of itself and of what it sees.

use std::collections::{HashMap, HashSet};

use hdrhistogram::Histogram;

use super::Board;
use super::run::Loop;
use super::view::measured;
use crate::host::{Clock, HostClock, Scan, Unprotected};
use crate::model::{
    Absent, ContainerSample, Event, EventView, GroupId, Header, Knob, LimitView, Outcome, Pace,
    Sample, Span, Status, Time, Topology, Written,
};
use crate::report::{event_level, event_view};

/// Lateness is kept from a microsecond to a minute, to two digits.
const LATEST: u64 = 60_000_000;

/// The loop's own figures.
pub(super) struct Gauges {
    started: Time,
    policy_since: Time,
    ticks: u64,
    lateness: Option<Histogram<u64>>,
    cpu_at: (Time, Span),
    own_cpu: Option<f64>,
    cannot_act: u64,
    drifts: u64,
    kills: u64,
    scan_note: Option<String>,
    pub(super) doorbells: u32,
    pub(super) degraded: Vec<String>,
    /// For rates over about a second: the last reading, and the one about a second before.
    readings: HashMap<GroupId, (ContainerSample, ContainerSample)>,
    cpus: u32,
}

impl Gauges {
    pub(super) fn new(now: Time) -> Gauges {
        Gauges {
            started: now,
            policy_since: now,
            ticks: 0,
            lateness: Histogram::new_with_bounds(1, LATEST, 2).ok(),
            cpu_at: (now, HostClock.process_cpu()),
            own_cpu: None,
            cannot_act: 0,
            drifts: 0,
            kills: 0,
            scan_note: None,
            doorbells: 0,
            degraded: Vec::new(),
            readings: HashMap::new(),
            cpus: 1,
        }
    }

    pub(super) fn degrade(&mut self, why: Option<Unprotected>) {
        self.degraded.extend(why.map(|why| why.to_string()));
    }

    pub(super) fn late(&mut self, by: Span) {
        if let Some(lateness) = &mut self.lateness {
            lateness.saturating_record(by.0.max(1));
        }
    }

    pub(super) const fn policy_taken(&mut self, now: Time) {
        self.policy_since = now;
    }

    pub(super) fn scanned(&mut self, scan: &Scan) {
        self.scan_note = (scan.left_out > 0).then(|| {
            format!(
                "{} cgroups are left out: there are too many, or their paths are too long",
                scan.left_out
            )
        });
    }

    /// Forgets what was read of those who are gone.
    pub(super) fn keep_only(&mut self, watched: &[GroupId]) {
        let known: HashSet<GroupId> = watched.iter().copied().collect();
        self.readings.retain(|id, _| known.contains(id));
    }

    pub(super) fn sampled(&mut self, sample: &Sample) {
        self.ticks += 1;
        self.cpus = sample.host.cpus;
        // Of a slice nothing is shown.
        let is_slice = |read: &&ContainerSample| read.cpu == Err(Absent::NotRead);
        for read in sample.containers.iter().filter(|read| !is_slice(read)) {
            let pair = self.readings.entry(read.id).or_insert((*read, *read));
            if read.at.since(pair.0.at) >= Span::from_secs(1) {
                pair.0 = pair.1;
            }
            pair.1 = *read;
        }
    }

    pub(super) fn count(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome.written {
                Written::Failed(Absent::Gone) => {}
                Written::Failed(_) => self.cannot_act += 1,
                Written::Drifted | Written::GaveUp => self.drifts += 1,
                Written::Killed => self.kills += 1,
                Written::NotKilled(why) if why != Absent::Gone => self.cannot_act += 1,
                _ => {}
            }
        }
    }

    fn percentile(&self, quantile: f64) -> Option<f64> {
        let lateness = self
            .lateness
            .as_ref()
            .filter(|lateness| !lateness.is_empty())?;
        Some(lateness.value_at_quantile(quantile) as f64 / 1e3)
    }
}

/// Tells the log of every knob that was set again after somebody else wrote it. What is let go is an event.
pub(super) fn tell_set_again(outcomes: &[Outcome], tree: &Topology) {
    let again = outcomes
        .iter()
        .filter(|outcome| outcome.written == Written::Reasserted);
    for outcome in again {
        let name = tree
            .find(outcome.group)
            .map_or_else(String::new, |(_, group)| group.name());
        let (knob, name) = (outcome.knob.file(), name.escape_debug());
        tracing::warn!("somebody else wrote {knob} of {name}: ours is set again");
    }
}

/// Tells events to the log and to those who ask for them.
pub(super) fn tell(events: &[Event], tree: &Topology, board: &Board) {
    let told = events.iter().map(|event| {
        let view = event_view(event, tree);
        let text = &view.text;
        match event_level(event.kind) {
            level if level == tracing::Level::ERROR => tracing::error!("{text}"),
            level if level == tracing::Level::WARN => tracing::warn!("{text}"),
            level if level == tracing::Level::INFO => tracing::info!("{text}"),
            _ => tracing::debug!("{text}"),
        }
        EventView {
            wall_us: Some(HostClock.wall_at(event.at)),
            ..view
        }
    });
    board.tell(told.collect());
}

impl Loop {
    /// Publishes the state as it is now.
    pub(super) fn publish(&mut self) {
        let now = HostClock.now();
        let cpu = HostClock.process_cpu();
        let (at, before) = self.gauges.cpu_at;
        if now.since(at) >= Span::from_secs(5) || self.gauges.own_cpu.is_none() {
            self.gauges.own_cpu = Some(cpu.advance(before).over(now.since(at)));
            self.gauges.cpu_at = (now, cpu);
        }
        let interval = self.interval();
        let status = Status {
            header: self.header(now, interval),
            containers: self.containers(),
            limits: self.limits(now),
        };
        self.side.board.publish(status);
    }

    fn header(&self, now: Time, interval: Span) -> Header {
        let gauges = &self.gauges;
        Header {
            source: "daemon".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.loaded.policy.mode,
            policy: self.loaded.name.clone(),
            policy_age_s: now.since(gauges.policy_since).as_secs_f64(),
            uptime_s: now.since(gauges.started).as_secs_f64(),
            pace: match self.pace() {
                Pace::Quiet => "quiet",
                Pace::Watch => "watch",
                Pace::Alert => "alert",
            }
            .to_owned(),
            interval_ms: interval.0 as f64 / 1e3,
            doorbells: gauges.doorbells,
            ticks: gauges.ticks,
            own_cpu: gauges.own_cpu,
            lateness_p50_ms: gauges.percentile(0.5),
            lateness_p99_ms: gauges.percentile(0.99),
            lateness_max_ms: gauges.percentile(1.0),
            degraded: gauges
                .degraded
                .iter()
                .chain(&gauges.scan_note)
                .cloned()
                .collect(),
            cannot_act: gauges.cannot_act,
            drifts: gauges.drifts,
            kills: gauges.kills,
            ..Header::default()
        }
    }

    fn containers(&mut self) -> Vec<crate::model::ContainerView> {
        let mut views = Vec::with_capacity(self.gauges.readings.len());
        for (_, group) in self.tree.watched() {
            let id = group.id;
            let pids = self.forest.pids(id);
            let Some((older, newer)) = self.gauges.readings.get(&id) else {
                continue;
            };
            let mut view = measured(group, older, newer, pids, self.gauges.cpus);
            if let Some((role, why, since)) = self.brain.role(id) {
                view.role = role;
                view.why = why;
                view.since_s = Some(since.as_secs_f64());
            }
            views.push(view);
        }
        views
    }

    fn limits(&self, now: Time) -> Vec<LimitView> {
        let name = |id: GroupId| {
            self.tree
                .find(id)
                .map_or_else(|| "gone".to_owned(), |(_, group)| group.name())
        };
        let path = |id: GroupId| {
            self.tree.find(id).map_or_else(String::new, |(_, g)| {
                String::from_utf8_lossy(&g.path).into_owned()
            })
        };
        let text = |text: &crate::agent::act::KnobText| {
            String::from_utf8_lossy(text.as_bytes()).into_owned()
        };
        let stands = |group, knob| {
            let mut stands = self.knobs.held();
            stands.find(|one| one.group == group && one.knob == knob)
        };
        let mut views = Vec::new();
        for held in self.brain.held() {
            // The container whose knob it is, the lever, and the knob.
            let own = Some((held.aggressor, held.lever, held.wanted.0));
            let lifted = held
                .lifted
                .map(|group| (held.victim, group, Knob::CpuWeight));
            let within = held
                .within
                .map(|group| (held.aggressor, group, Knob::CpuWeight));
            let pulses = held.wanted.0.is_pulsed().then_some(held.wanted.1);
            for (container, lever, knob) in own.into_iter().chain(within).chain(lifted) {
                let Some(stands) = stands(lever, knob) else {
                    continue;
                };
                views.push(LimitView {
                    container: name(container),
                    path: path(container),
                    lever: path(lever),
                    victim: name(held.victim),
                    resource: held.resource,
                    rung: held.rung,
                    knob: knob.file().to_owned(),
                    original: text(stands.original),
                    now: match (stands.ours, pulses) {
                        (None, _) => "on its way".to_owned(),
                        (Some(_), Some(pulses)) if knob.is_pulsed() => pulses.to_string(),
                        (Some(ours), _) => text(ours),
                    },
                    proof: held.proof.to_owned(),
                    age_s: held.age.as_secs_f64(),
                    lease_s: stands.lease.since(now).as_secs_f64(),
                });
            }
        }
        views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_who_are_gone_nothing_is_kept() {
        let mut gauges = Gauges::new(Time(0));
        let mut sample = Sample::default();
        for id in 1..=3 {
            let mut read = ContainerSample::unread(GroupId(id), Time(0));
            read.cpu = Err(Absent::Gone);
            sample.containers.push(read);
        }
        gauges.sampled(&sample);
        gauges.keep_only(&[GroupId(2)]);
        let kept: Vec<_> = gauges.readings.into_keys().collect();
        assert_eq!(kept, [GroupId(2)]);
    }
}
