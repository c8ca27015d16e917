//! Who takes the block devices from whom?
//!
//! A disk is no CPU: nobody knows what it can give, and one that waits for it may do so by its own doing,
//! always. So harm is what one waits beyond what it would for the same work in calm: its own quiet wait
//! for each unit of work, half as much again, times the work that it does now.
//!
//! Usage is a part of what is done on a device, by containers and by the host, in bytes and operations
//! ([`IoUse::cost`](crate::model::IoUse::cost)). The entitlement is an equal share: what one does not want is
//! shared by the others, and who waits wants all of it. What the host does is nobody's, and cannot be held.
//!
//! There is no established demand: one that takes a whole disk, and hides how long it waits, would earn it.

use super::brain::Brain;
use super::harm::Harm;
use super::intervention::Intervention;
use super::ladder::Place;
use super::on_device::OnDevice;
use super::throttle::Throttle;
use super::track::Track;
use super::window::Over;
use crate::model::{
    DEVICES, Device, GroupId, IoMax, IoUse, KnobValue, OPERATION, PerDevice, Resource, Span, Time,
};

/// Excess begins clearly above the entitlement.
const NOISE: f64 = 1.1;
/// A part of a device that nobody is blamed for.
const LITTLE: f64 = 0.05;
/// So many operations in a second, or the bytes that cost as much, harm nobody.
const FEW: f64 = 16.0 * OPERATION as f64;
/// What is written to the page cache may go to the disk only when the kernel's flusher wakes, every five seconds
/// (`vm.dirty_writeback_centisecs`), and not in between; less than the background limit may stay for longer. (Seen on 6.12: one
/// who writes over and over was let go after two seconds of rest, and its next 256 MiB stood before its victim's sync.)
const WRITEBACK: Span = Span::from_secs(6);
/// One that waits this part of the time wants as much as it can get.
const WAITS: f64 = 0.01;
/// A device that does so many times what is handed over to it works off what was handed over before.
const WORKS_OFF: f64 = 2.0;
/// Up to so many times the quiet wait is no harm: what a device takes for one operation varies by itself.
const SLOWER: f64 = 1.5;
/// Devices that are looked at on one host.
const DEVICES_MOST: usize = 64;

/// What all do on one device.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    device: Device,
    /// Cost in a second of all whose use is known, over half a second and over about 100 ms.
    known: [f64; 2],
    /// The same with what the host does besides.
    total: [f64; 2],
    /// The share of one that wants all that it can get.
    level: f64,
    /// Whether somebody takes more than it may.
    is_taken: bool,
    /// The part that each wants: infinite where it waits. Here for its room only.
    claims: Vec<f64>,
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
                    new.observe(before, IoUse::default());
                }
                self.devices.push(new);
                self.devices.len() - 1
            });
            if let Some(known) = self.devices.get_mut(place) {
                known.observe(at, used);
            }
        }
    }

    /// What it does on this device.
    pub(super) fn on(&self, device: Device) -> Option<&OnDevice> {
        self.devices.iter().find(|known| known.device == device)
    }

    pub(super) fn on_mut(&mut self, device: Device) -> Option<&mut OnDevice> {
        self.devices.iter_mut().find(|known| known.device == device)
    }

    /// Whether what it waits for now may be this device: one on which it worked a short while ago, or the last
    /// one on which it did. One whose work others do for it (the journal of a file system) may wait for any.
    fn may_wait_for(&self, device: Device, now: Time) -> bool {
        let last = self.devices.iter().max_by_key(|on| on.moved);
        last.is_none_or(|last| last.device == device)
            || self.on(device).is_some_and(|on| on.is_recent(now))
    }

    /// What it takes over its entitlement of a device that this one may wait for: the most of it.
    pub(super) fn excess_before(&self, victim: &Track, now: Time) -> f64 {
        self.worst_before(victim, now).map_or(0.0, |on| on.excess)
    }

    /// What it does on the device on which it keeps this one waiting the most; `None` where on none.
    pub(super) fn worst_before(&self, victim: &Track, now: Time) -> Option<&OnDevice> {
        let takes = |on: &&OnDevice| on.excess > 0.0 && victim.may_wait_for(on.device, now);
        let worst = self.devices.iter().filter(takes);
        // Of one disk that is seen as two, the same of both is taken.
        worst.max_by(|a, b| a.excess.total_cmp(&b.excess).then(b.device.cmp(&a.device)))
    }

    /// The device of which it takes the greatest part.
    pub(super) fn main_device(&self) -> Option<&OnDevice> {
        let used = self.devices.iter().filter(|on| on.part > 0.0);
        used.max_by(|a, b| a.part.total_cmp(&b.part))
    }

    /// Whether it takes more than it may of every device on which it works: then it waits for itself.
    fn takes_too_much(&self, now: Time) -> bool {
        let mut recent = self.devices.iter().filter(|on| on.is_recent(now));
        let mut any = false;
        recent.all(|on| {
            any = true;
            on.excess > 0.0
        }) && any
    }

    /// This tick's harm by devices, and the time it is about.
    pub(super) fn io_harm(&self, short: bool) -> Option<(Time, Span, Harm)> {
        let psi = self.io_psi.change(Over::Tick)?;
        let stalled = Span(psi.to.advance(psi.from).0.min(psi.over.0));
        // Its work over half a second, too: an operation is counted when it begins, and waited for later.
        let rate = |over| {
            self.devices
                .iter()
                .map(|on| on.rate_over(over))
                .sum::<f64>()
        };
        let work = rate(Over::Tick).max(rate(Over::Half)) * psi.over.as_secs_f64();
        let quiet = self.io_quiet.get().scaled(work);
        // While memory is short, pages that were taken are read again: that stands in both pressures, and is
        // answered where memory is.
        let memory = match self.memory_psi.change(Over::Tick) {
            Some(memory) if short => memory.to.advance(memory.from),
            _ => Span::ZERO,
        };
        let own_least = quiet.min(stalled);
        let own_most = quiet.scaled(SLOWER).max(memory).min(stalled);
        let harm = Harm {
            amount: stalled.advance(own_most),
            own_least,
            own_most,
        };
        Some((self.io_psi.at()?, psi.over, harm))
    }

    /// Learns in calm what it waits for each unit of its work; more than it knows only where nobody takes its
    /// devices from it.
    pub(super) fn learn_io_quiet(&mut self) {
        let Some(psi) = self.io_psi.whole(Over::Two) else {
            return;
        };
        // What was done, not how fast: a device may be known for less than that.
        let work: u64 = self.devices.iter().map(|on| on.done(Over::Two)).sum();
        self.io_quiet
            .learn(psi.to.advance(psi.from), work as f64, self.io_taken);
    }
}

impl Brain {
    /// Whether the one that is held wants more of its device than this leaves it: it takes all of that, or waits.
    pub(super) fn outgrows(&self, held: &Intervention) -> bool {
        let Some(track) = self.track(held.aggressor) else {
            return false;
        };
        match held.place.value(&held.bounds, &self.policy) {
            (_, KnobValue::IoMax(device, max)) => {
                let is_at = |on: &OnDevice| on.is_at(max);
                track.io_psi.rate(Over::Two) > 0.1 || track.on(device).is_some_and(is_at)
            }
            _ => false,
        }
    }

    /// Whether it did so lately. One who writes is looked back on over two seconds or more for as long as the flusher rests.
    pub(super) fn outgrew(&self, held: &Intervention, over: Over) -> bool {
        let (Place::Throttle(limit), Some(track)) = (held.place, self.track(held.aggressor)) else {
            return false;
        };
        let is_long = matches!(over, Over::Two | Over::Ten);
        let since = if is_long && track.on(limit.device).is_some_and(OnDevice::is_written) {
            WRITEBACK
        } else {
            Span::ZERO
        };
        held.wanted.is_some_and(|at| self.now.since(at) <= since)
    }

    /// Takes what the host does on its devices, all of it.
    pub(super) fn observe_disks(&mut self, at: Time, read: &PerDevice<IoUse>) {
        self.disks.retain(|known| read.get(known.device).is_some());
        for (device, used) in read.iter() {
            match self.disks.iter_mut().find(|known| known.device == device) {
                Some(known) => known.observe(at, used),
                None => {
                    let mut new = OnDevice::new(device);
                    new.observe(at, used);
                    self.disks.push(new);
                }
            }
        }
    }

    /// What the whole host does on this device.
    fn disk(&self, device: Device) -> Option<&OnDevice> {
        self.disks.iter().find(|known| known.device == device)
    }

    /// Whether the device still works off what this one handed over to it before its limit stood, which was more than it can do:
    /// until then the limit shows nothing.
    /// (Seen on 6.1: 128 MB in the queue of a disk of 40 MB/s; a limit was found to be of no use after two seconds, and given back.)
    pub(super) fn works_off(&self, held: &Intervention) -> bool {
        let Place::Throttle(limit) = held.place else {
            return false;
        };
        let all = self
            .tracks
            .iter()
            .filter_map(|track| track.on(limit.device));
        let handed: f64 = all.map(|on| on.moment).sum();
        let done = self.disk(limit.device).map_or(0.0, |disk| disk.moment);
        let took = held.bounds.took.map_or(0.0, Throttle::cost);
        done >= FEW && done > WORKS_OFF * handed && took > done
    }

    /// What each may take of its devices, and takes over that.
    pub(super) fn weigh_devices(&mut self) {
        let mut fresh = self
            .tracks
            .iter()
            .map(|track| track.fresh[Resource::Io as usize]);
        if !fresh.any(|fresh| fresh) {
            return;
        }
        let mut all = std::mem::take(&mut self.devices);
        all.retain_mut(|shared: &mut Shared| {
            let is_used = shared.known[0] > 0.0;
            (shared.known, shared.is_taken) = ([0.0; 2], false);
            shared.claims.clear();
            is_used
        });
        for on in self.tracks.iter().flat_map(|track| &track.devices) {
            if let Some(shared) = all.iter_mut().find(|shared| shared.device == on.device) {
                shared.known[0] += on.rate;
                shared.known[1] += on.moment;
            } else if all.len() < DEVICES_MOST {
                all.push(Shared {
                    device: on.device,
                    known: [on.rate, on.moment],
                    total: [0.0; 2],
                    level: 1.0,
                    is_taken: false,
                    claims: Vec::new(),
                });
            }
        }
        for shared in &mut all {
            self.share(shared);
        }
        for track in &mut self.tracks {
            for on in &mut track.devices {
                let shared = all.iter_mut().find(|shared| shared.device == on.device);
                (on.part, on.entitled, on.excess) = (0.0, 1.0, 0.0);
                if let Some(shared) = shared
                    && on.rate >= FEW
                {
                    // Both spans: where somebody else begins, who has just been served looks like a taker.
                    let moment = on.moment / shared.total[1].max(f64::MIN_POSITIVE);
                    on.part = (on.rate / shared.total[0]).min(moment);
                    on.entitled = shared.level;
                    on.excess = (on.part - on.entitled * NOISE - LITTLE).max(0.0);
                    shared.is_taken |= on.excess > 0.0;
                }
            }
            let excesses = track.devices.iter().map(|on| on.excess);
            track.io_excess = excesses.fold(0.0, f64::max);
        }
        for track in &mut self.tracks {
            let mut taken = all.iter().filter(|shared| shared.is_taken);
            track.io_taken = taken.any(|shared| track.on(shared.device).is_some());
        }
        self.devices = all;
    }

    /// The share of one device that somebody has who wants all of it: those who want less are given that.
    fn share(&self, shared: &mut Shared) {
        let disk = self.disk(shared.device);
        let host = disk.map_or([0.0; 2], |disk| [disk.rate, disk.moment]);
        for ((total, known), host) in shared.total.iter_mut().zip(shared.known).zip(host) {
            *total = known.max(host);
        }
        let [known, total] = [shared.known[0], shared.total[0]];
        if total <= 0.0 {
            shared.level = 1.0;
            return;
        }
        // What is done for nobody whom we know is what it is.
        shared.claims.push(1.0 - known / total);
        for track in &self.tracks {
            let part = track.on(shared.device).map_or(0.0, |on| on.rate) / total;
            let waits = track.io_psi.rate(Over::Half) > WAITS
                && !track.devices.is_empty()
                && track.may_wait_for(shared.device, self.now);
            // One that is held waits for us, and gets no more.
            if waits && !self.holds(track.id, Resource::Io) {
                shared.claims.push(f64::INFINITY);
            } else if part > 0.0 {
                shared.claims.push(part);
            }
        }
        shared.claims.sort_unstable_by(f64::total_cmp);
        let (mut left, mut wanting) = (1.0, shared.claims.len() as f64);
        for claim in &shared.claims {
            if *claim > left / wanting {
                shared.level = left / wanting;
                return;
            }
            left -= claim;
            wanting -= 1.0;
        }
        shared.level = 1.0;
    }

    /// Feeds one container's bucket of waiting for devices.
    pub(super) fn feed_io(&mut self, at: usize, short: bool) {
        let track = &self.tracks[at];
        let Some((when, over, mut harm)) = track.io_harm(short) else {
            return;
        };
        if self.is_at_own_io_limit(track) {
            (harm.amount, harm.own_most) = (Span::ZERO, harm.own_most + harm.amount);
        }
        if track.takes_too_much(self.now) || self.holds(track.id, Resource::Io) {
            harm.amount = Span::ZERO;
        }
        self.feed(at, Resource::Io, when, over, harm);
    }

    /// Whether it takes what a limit of its own, or one above it, lets it take.
    pub(super) fn is_at_own_io_limit(&self, track: &Track) -> bool {
        self.tree.lineage(track.group).any(|up| {
            let limits = self.tree.groups[up].knobs.io_max;
            let is_at =
                |(device, max): (Device, IoMax)| track.on(device).is_some_and(|on| on.is_at(max));
            limits.is_ok_and(|limits| limits.iter().any(is_at))
        })
    }

    /// Whether one that is held on a device keeps its victim waiting on another one now.
    pub(super) fn goes_on_elsewhere(&self, held: &Intervention) -> bool {
        let (aggressor, victim) = (self.track(held.aggressor), self.track(held.victim));
        let worst = aggressor.zip(victim);
        let worst = worst.and_then(|(track, victim)| track.worst_before(victim, self.now));
        match (held.place, worst) {
            (Place::Throttle(throttle), Some(worst)) => throttle.device != worst.device,
            _ => false,
        }
    }

    /// Whether this one is held on the device on which it keeps the other waiting, so that nothing more can be
    /// begun there.
    pub(super) fn is_throttled_before(&self, aggressor: GroupId, victim: &Track) -> bool {
        let now = self.now;
        let worst = self
            .track(aggressor)
            .and_then(|track| track.worst_before(victim, now));
        let mut held = self.held.iter().filter(|held| held.aggressor == aggressor);
        held.any(|held| match (held.place, worst) {
            (Place::Throttle(throttle), Some(worst)) => throttle.device == worst.device,
            (Place::Throttle(_), None) => true,
            _ => false,
        })
    }
}
