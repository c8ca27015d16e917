//! What one container does on one device, and how fast.

use super::throttle::Throttle;
use super::window::{Over, Windows};
use crate::model::{Bytes, Device, IoMax, IoUse, Limit, Span, Time};

/// One stands at a limit when it takes this part of it.
const AT_LIMIT: f64 = 0.8;
/// Who writes this many times what it reads writes a good part.
const WRITES: f64 = 0.25;
/// Work is recent for so long.
const RECENT: Span = Span::from_secs(10);

/// What one container does on one device.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OnDevice {
    pub device: Device,
    pub used: Windows<IoUse>,
    /// When its work was seen to go on last.
    pub moved: Option<Time>,
    /// The limit that was proved to help when it was held here last, while its strikes are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Throttle>,
    /// Over half a second: cost in a second.
    pub rate: f64,
    /// Likewise, over about 100 ms.
    pub moment: f64,
    /// Its part of what is done there.
    pub part: f64,
    /// The part that it may take while others want more.
    pub entitled: f64,
    /// What it takes over that.
    pub excess: f64,
}

/// How fast a device is used, in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    pub rbytes: f64,
    pub wbytes: f64,
    pub rios: f64,
    pub wios: f64,
}

impl Pace {
    /// Whether it writes more than it reads.
    pub(super) fn is_mostly_written(&self) -> bool {
        self.wbytes > self.rbytes
    }
}

impl OnDevice {
    pub(super) fn new(device: Device) -> OnDevice {
        OnDevice {
            device,
            used: Windows::new(),
            moved: None,
            proved: None,
            rate: 0.0,
            moment: 0.0,
            part: 0.0,
            entitled: 0.0,
            excess: 0.0,
        }
    }

    /// Takes a reading.
    pub(super) fn observe(&mut self, at: Time, used: IoUse) {
        if self.used.newest().is_some_and(|before| before != used) {
            self.moved = Some(at);
        }
        self.used.push(at, used);
        self.rate = self.rate_over(Over::Half);
        self.moment = self.rate_over(Over::Moment);
    }

    /// Whether it was used a short while ago.
    pub(super) fn is_recent(&self, now: Time) -> bool {
        self.moved.is_some_and(|moved| now.since(moved) < RECENT)
    }

    /// Cost in a second.
    pub(super) fn rate_over(&self, over: Over) -> f64 {
        self.gained(over, IoUse::cost)
    }

    /// Cost of what was done in a span, as far back as is known.
    pub(super) fn done(&self, over: Over) -> u64 {
        let change = self.used.change(over);
        change.map_or(0, |change| {
            change.to.cost().saturating_sub(change.from.cost())
        })
    }

    /// Over about 100 ms or half a second, whichever was faster: half a second may have begun before it did.
    pub(super) fn pace(&self) -> Pace {
        let fastest = |of: fn(&IoUse) -> u64| {
            let spans = [Over::Moment, Over::Half].into_iter();
            let paces = spans.map(|over| self.gained(over, of));
            paces.fold(0.0, f64::max)
        };
        Pace {
            rbytes: fastest(|used| used.rbytes.0),
            wbytes: fastest(|used| used.wbytes.0),
            rios: fastest(|used| used.rios),
            wios: fastest(|used| used.wios),
        }
    }

    /// Whether a good part of what was lately done there was writing.
    pub(super) fn is_written(&self) -> bool {
        let bytes = |of: fn(&IoUse) -> u64| self.gained(Over::Ten, of);
        bytes(|used| used.wbytes.0) > WRITES * bytes(|used| used.rbytes.0)
    }

    /// Whether it takes what a limit lets it.
    pub(super) fn is_at(&self, limit: IoMax) -> bool {
        let pace = self.pace();
        let reaches =
            |most: Option<u64>, pace: f64| most.is_some_and(|most| pace >= AT_LIMIT * most as f64);
        let bytes = |limit| match limit {
            Limit::Max => None,
            Limit::At(Bytes(most)) => Some(most),
        };
        let count = |limit| match limit {
            Limit::Max => None,
            Limit::At(most) => Some(most),
        };
        reaches(bytes(limit.rbps), pace.rbytes)
            || reaches(bytes(limit.wbps), pace.wbytes)
            || reaches(count(limit.riops), pace.rios)
            || reaches(count(limit.wiops), pace.wios)
    }

    /// How fast one of its counters moved, in a second. One that went back did not move.
    fn gained(&self, over: Over, of: fn(&IoUse) -> u64) -> f64 {
        self.used.change(over).map_or(0.0, |change| {
            of(&change.to).saturating_sub(of(&change.from)) as f64 / change.over.as_secs_f64()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_a_little_more_than_it_writes_writes_a_good_part_all_the_same() {
        for (wbytes, is_written) in [(0, false), (100_000, false), (900_000, true)] {
            let mut on = OnDevice::new(Device { major: 8, minor: 0 });
            for second in 1..=3 {
                let used = IoUse {
                    rbytes: Bytes(second * 1_000_000),
                    wbytes: Bytes(second * wbytes),
                    ..IoUse::default()
                };
                on.observe(Time(second * 1_000_000), used);
            }
            assert_eq!(on.is_written(), is_written, "{wbytes}");
        }
    }
}
