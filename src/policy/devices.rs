//! Who takes the block devices from whom?
//!
//! A disk is no CPU: nobody knows what it can give, and one that waits for it may do so by its own doing,
//! always. So harm is what one waits beyond what it would for the same work in calm: its own quiet wait
//! for each unit of work, half as much again, times the work that it does now. One that reads all the time
//! waits all the time, and is harmed only when it gets less for that.
//!
//! Usage is a part of what all take of a device together, in bytes and operations
//! ([`IoUse::cost`](crate::model::IoUse::cost)). The entitlement is an equal share: what one does not want is
//! shared by the others, and who waits wants all of it. It is raised to what one took while it hardly had to wait.

use super::brain::Brain;
use super::harm::Harm;
use super::ladder::{Bounds, Place};
use super::learn::Demand;
use super::track::Track;
use super::window::{Over, Windows};
use crate::model::{
    DEVICES, Device, IoMax, IoUse, KnobValue, Limit, OPERATION, PerDevice, Policy, Resource, Span,
    Time,
};

/// Excess begins clearly above the entitlement.
const NOISE: f64 = 1.1;
/// A part of a device that nobody is blamed for.
const LITTLE: f64 = 0.05;
/// So many operations in a second, or the bytes that cost as much, harm nobody.
const FEW: f64 = 16.0;
/// One that waits this part of the time wants as much as it can get.
const WAITS: f64 = 0.01;
/// Up to so many times the quiet wait is no harm: what a device takes for one operation varies by itself.
const SLOWER: f64 = 1.5;
/// One stands at a limit when it takes this part of it.
const AT_LIMIT: f64 = 0.8;
/// Devices that are looked at on one host.
const DEVICES_MOST: usize = 64;
/// A level is found in so many steps, or nearly: a crowd must not cost the loop its time.
const LEVELS: usize = 16;

/// What one container does on one device.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OnDevice {
    pub device: Device,
    pub used: Windows<IoUse>,
    /// Over half a second: cost in a second.
    rate: f64,
    /// What it took while it hardly had to wait: cost in a second.
    pub demand: Demand,
    /// Its part of what all take together.
    pub part: f64,
    /// The part that it may take while others want more.
    pub entitled: f64,
    /// What it takes over that.
    pub excess: f64,
}

/// How fast something is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    pub bytes: f64,
    pub operations: f64,
}

/// What all do on one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    device: Device,
    /// Cost in a second.
    total: f64,
    /// The share of one that wants all that it can get.
    level: f64,
}

impl OnDevice {
    fn new(device: Device) -> OnDevice {
        OnDevice {
            device,
            used: Windows::new(),
            rate: 0.0,
            demand: Demand::default(),
            part: 0.0,
            entitled: 0.0,
            excess: 0.0,
        }
    }

    /// Cost in a second.
    fn rate_over(&self, over: Over) -> f64 {
        self.gained(over, IoUse::cost)
    }

    /// Bytes and operations in a second.
    ///
    /// Over about 100 ms or half a second, whichever was faster: half a second may have begun before it did.
    pub(super) fn pace(&self) -> Pace {
        let fastest = |of: fn(&IoUse) -> u64| {
            let spans = [Over::Moment, Over::Half].into_iter();
            let paces = spans.map(|over| self.gained(over, of));
            paces.fold(0.0, f64::max)
        };
        Pace {
            bytes: fastest(|used| used.rbytes.0.saturating_add(used.wbytes.0)),
            operations: fastest(|used| used.rios.saturating_add(used.wios)),
        }
    }

    /// How fast one of its counters moved, in a second.
    fn gained(&self, over: Over, of: fn(&IoUse) -> u64) -> f64 {
        self.used.change(over).map_or(0.0, |change| {
            of(&change.to).saturating_sub(of(&change.from)) as f64 / change.over.as_secs_f64()
        })
    }
}

impl Track {
    /// Takes what it did on its devices. One that it does not use any more makes room for another.
    pub(super) fn observe_devices(&mut self, at: Time, read: &PerDevice<IoUse>) {
        self.devices
            .retain(|known| read.get(known.device).is_some());
        // A device that was not there at the reading before had done nothing for it until then; unless it
        // had no place among so many.
        let before = self.io_psi.at().filter(|_| read.iter().count() < DEVICES);
        for (device, used) in read.iter() {
            let known = self.devices.iter().position(|known| known.device == device);
            let place = known.unwrap_or_else(|| {
                let mut new = OnDevice::new(device);
                if let Some(before) = before {
                    new.used.push(before, IoUse::default());
                }
                self.devices.push(new);
                self.devices.len() - 1
            });
            if let Some(known) = self.devices.get_mut(place) {
                known.used.push(at, used);
                known.rate = known.rate_over(Over::Half);
            }
        }
    }

    /// What it does on this device.
    pub(super) fn on(&self, device: Device) -> Option<&OnDevice> {
        self.devices.iter().find(|known| known.device == device)
    }

    /// Whether it may wait for this device. One whose work others do for it (the journal of a file system) has
    /// no devices of its own, and may wait for any.
    fn may_wait_for(&self, device: Device) -> bool {
        self.devices.is_empty() || self.on(device).is_some()
    }

    /// Whether it wants all of its devices that it can get.
    fn waits_for_devices(&self) -> bool {
        self.io_psi.rate(Over::Half) > WAITS
    }

    /// What it takes over its entitlement of a device that this one may wait for: the most of it.
    pub(super) fn excess_before(&self, victim: &Track) -> f64 {
        let shared = self
            .devices
            .iter()
            .filter(|on| victim.may_wait_for(on.device));
        shared.map(|on| on.excess).fold(0.0, f64::max)
    }

    /// What it does on the device on which it keeps this one waiting the most.
    pub(super) fn worst_before(&self, victim: &Track) -> Option<&OnDevice> {
        let shared = self
            .devices
            .iter()
            .filter(|on| victim.may_wait_for(on.device));
        // Of one disk that is seen as two the whole of it comes last.
        shared.max_by(|a, b| a.excess.total_cmp(&b.excess).then(b.device.cmp(&a.device)))
    }

    /// The device of which it takes most over its entitlement.
    pub(super) fn worst_device(&self) -> Option<&OnDevice> {
        self.devices
            .iter()
            .max_by(|a, b| a.excess.total_cmp(&b.excess))
    }

    /// This tick's harm by devices, and the time it is about.
    pub(super) fn io_harm(
        &self,
        short: bool,
        own: &PerDevice<IoMax>,
    ) -> Option<(Time, Span, Harm)> {
        let psi = self.io_psi.change(Over::Tick)?;
        let stalled = Span(psi.to.advance(psi.from).0.min(psi.over.0));
        let at = self.io_psi.at()?;
        // Its own limit holds it, or memory does: pages that were taken are read again, and that is
        // answered where memory is.
        if short || self.devices.iter().any(|on| on.is_at(own.get(on.device))) {
            let harm = Harm {
                amount: Span::ZERO,
                own_least: Span::ZERO,
                own_most: stalled,
            };
            return Some((at, psi.over, harm));
        }
        // Its work over half a second, too: an operation is counted when it begins, and waited for later.
        let rate = |over| {
            self.devices
                .iter()
                .map(|on| on.rate_over(over))
                .sum::<f64>()
        };
        let work = rate(Over::Tick).max(rate(Over::Half)) * psi.over.as_secs_f64();
        let quiet = self.io_quiet.get().scaled(work);
        let own_least = quiet.min(stalled);
        let own_most = quiet.scaled(SLOWER).min(stalled);
        let harm = Harm {
            amount: stalled.advance(own_most),
            own_least,
            own_most,
        };
        Some((at, psi.over, harm))
    }

    /// Learns in calm what it waits for each unit of its work.
    pub(super) fn learn_io_quiet(&mut self) {
        let Some(psi) = self.io_psi.whole(Over::Two) else {
            return;
        };
        // What was done, not how fast: a device may be known for less than that.
        let done = self.devices.iter().filter_map(|on| {
            let change = on.used.change(Over::Two)?;
            Some(change.to.cost().saturating_sub(change.from.cost()))
        });
        let work = done.sum::<u64>() as f64;
        self.io_quiet.learn(psi.to.advance(psi.from), work);
    }

    /// Learns what it takes where it hardly has to wait.
    pub(super) fn learn_io_demand(&mut self, passed: Span) {
        const HARDLY: f64 = 0.1;
        if self.io_psi.whole(Over::Two).is_none() || self.io_psi.rate(Over::Two) >= HARDLY {
            return;
        }
        for on in &mut self.devices {
            let rate = on.rate_over(Over::Two);
            on.demand.learn(rate, passed, f64::MAX);
        }
    }
}

impl OnDevice {
    /// Whether it takes what a limit lets it.
    pub(super) fn is_at(&self, limit: Option<IoMax>) -> bool {
        let Some(IoMax {
            rbps,
            wbps,
            riops,
            wiops,
        }) = limit
        else {
            return false;
        };
        // Who has just come to its limit waits from then on.
        let reaches = |most: Option<u64>, of: fn(&IoUse) -> u64| {
            let spans = [Over::Tick, Over::Moment, Over::Half].into_iter();
            let mut paces = spans.map(|over| self.gained(over, of));
            most.is_some_and(|most| paces.any(|pace| pace >= AT_LIMIT * most as f64))
        };
        let bytes = |limit| match limit {
            Limit::Max => None,
            Limit::At(crate::model::Bytes(most)) => Some(most),
        };
        let count = |limit| match limit {
            Limit::Max => None,
            Limit::At(most) => Some(most),
        };
        reaches(bytes(rbps), |used| used.rbytes.0)
            || reaches(bytes(wbps), |used| used.wbytes.0)
            || reaches(count(riops), |used| used.rios)
            || reaches(count(wiops), |used| used.wios)
    }
}

impl Place {
    /// Whether one wants more of its device than this place leaves it: it takes all of that, or waits.
    pub(super) fn is_outgrown_by(self, track: &Track, bounds: &Bounds, policy: &Policy) -> bool {
        match self.value(bounds, policy) {
            (_, KnobValue::IoMax(device, max)) => {
                let is_at = |on: &OnDevice| on.is_at(Some(max));
                track.io_psi.rate(Over::Two) > 0.1 || track.on(device).is_some_and(is_at)
            }
            _ => false,
        }
    }
}

impl Brain {
    /// What each may take of its devices, and takes over that.
    pub(super) fn weigh_devices(&mut self) {
        if !self
            .tracks
            .iter()
            .any(|track| track.fresh[Resource::Io as usize])
        {
            return;
        }
        let mut all = std::mem::take(&mut self.devices);
        all.clear();
        for track in &self.tracks {
            for on in &track.devices {
                if let Some(shared) = all.iter_mut().find(|shared| shared.device == on.device) {
                    shared.total += on.rate;
                } else if all.len() < DEVICES_MOST {
                    all.push(Shared {
                        device: on.device,
                        total: on.rate,
                        level: 1.0,
                    });
                }
            }
        }
        for shared in &mut all {
            shared.level = self.level(*shared);
        }
        let most = self.policy.cpu.demand_max.get();
        for track in &mut self.tracks {
            for on in &mut track.devices {
                let shared = all.iter().find(|shared| shared.device == on.device);
                let rate = on.rate;
                let Some(shared) = shared.filter(|_| rate >= FEW * OPERATION as f64) else {
                    (on.part, on.excess) = (0.0, 0.0);
                    continue;
                };
                let needed = (on.demand.get() / shared.total).min(most);
                on.part = rate / shared.total;
                on.entitled = shared.level.max(needed).min(1.0);
                on.excess = on.part - on.entitled * NOISE - LITTLE;
            }
            track.io_excess = track.worst_device().map_or(0.0, |on| on.excess);
        }
        self.devices = all;
    }

    /// The share of one that wants all that it can get, where those who want less are given that.
    fn level(&self, shared: Shared) -> f64 {
        // The part that each wants; all of it where it waits.
        let claims = || {
            let users = self
                .tracks
                .iter()
                .filter(|track| track.may_wait_for(shared.device));
            users.filter_map(|track| {
                let rate = track.on(shared.device).map_or(0.0, |on| on.rate);
                let part = rate / shared.total.max(f64::MIN_POSITIVE);
                // One that is held waits for us, and gets no more.
                if track.waits_for_devices() && !self.holds(track.id, Resource::Io) {
                    Some(f64::INFINITY)
                } else {
                    (part > 0.0).then_some(part)
                }
            })
        };
        let mut level = 0.0;
        for _ in 0..LEVELS {
            let (mut left, mut wanting) = (1.0, 0.0);
            for claim in claims() {
                if claim <= level {
                    left -= claim;
                } else {
                    wanting += 1.0;
                }
            }
            if wanting == 0.0 {
                return 1.0;
            }
            let next = left / wanting;
            // It rises until nobody more is content.
            if next <= level + 1e-9 {
                return level;
            }
            level = next;
        }
        level
    }

    /// Feeds one container's bucket of waiting for devices.
    pub(super) fn feed_io(&mut self, at: usize, short: bool) {
        let track = &self.tracks[at];
        let own = self.tree.groups.get(track.group);
        let own = own.and_then(|group| group.knobs.io_max.ok());
        let Some((when, over, mut harm)) = track.io_harm(short, &own.unwrap_or_default()) else {
            return;
        };
        if track.io_excess > 0.0 || self.holds(track.id, Resource::Io) {
            harm.amount = Span::ZERO;
        }
        self.feed(at, Resource::Io, when, over, harm);
    }
}
