//! How much of a device is left to one, and what comes next on that rung?

use super::ladder::{Place, SEVERE, STEPS_BACK};
use super::on_device::Pace;
use crate::model::{Bytes, Device, IoMax, IoUse, Knobs, Limit, Policy};

/// What is left to one on a device in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Throttle {
    pub device: Device,
    pub rbytes: u64,
    pub wbytes: u64,
    pub rios: u64,
    pub wios: u64,
}

/// The first `io.max`: the part of what it took that its entitlement, times the policy's guarantee, is of it; half
/// of that where the harm is severe. Of reads and of writes it keeps half of that part of both at least: one that
/// does more of the other from now on must not be stopped by that, nor go on in that way. Of what it does most, no more than what was
/// `proved` lately: who hands over all that it has at once takes more than the disk does in a second. (Seen: 172 MB/s on a disk
/// of 40, and a limit of half of that, which held nobody.) `None` where that is no less than it took.
pub(super) fn first(
    device: Device,
    took: Pace,
    proved: Option<Throttle>,
    keeps: f64,
    harm: f64,
    policy: &Policy,
) -> Option<Place> {
    let keeps = if harm > SEVERE { keeps / 2.0 } else { keeps };
    let part = |one: f64, other: f64| (keeps * one.max((one + other) / 2.0)) as u64;
    let throttle = Throttle {
        device,
        rbytes: part(took.rbytes, took.wbytes),
        wbytes: part(took.wbytes, took.rbytes),
        rios: part(took.rios, took.wios),
        wios: part(took.wios, took.rios),
    };
    let throttle = proved.map_or(throttle, |proved| {
        let least = throttle.least(proved);
        if took.is_mostly_written() {
            let Throttle { wbytes, wios, .. } = least;
            Throttle {
                wbytes,
                wios,
                ..throttle
            }
        } else {
            let Throttle { rbytes, rios, .. } = least;
            Throttle {
                rbytes,
                rios,
                ..throttle
            }
        }
    });
    let throttle = throttle.at_least(policy);
    let lowers = (throttle.rbytes as f64) < took.rbytes
        || (throttle.wbytes as f64) < took.wbytes
        || (throttle.rios as f64) < took.rios
        || (throttle.wios as f64) < took.wios;
    lowers.then_some(Place::Throttle(throttle))
}

impl Throttle {
    /// Each of its numbers with the other's.
    fn each(self, other: Throttle, of: impl Fn(u64, u64) -> u64) -> Throttle {
        Throttle {
            device: self.device,
            rbytes: of(self.rbytes, other.rbytes),
            wbytes: of(self.wbytes, other.wbytes),
            rios: of(self.rios, other.rios),
            wios: of(self.wios, other.wios),
        }
    }

    /// The greater of each: never nothing, which the kernel refuses.
    pub(super) fn most(self, other: Throttle) -> Throttle {
        self.each(other, u64::max)
    }

    /// The less of each.
    pub(super) fn least(self, other: Throttle) -> Throttle {
        self.each(other, u64::min)
    }

    /// Half of it; `None` at the policy's floors.
    pub(super) fn tighter(self, policy: &Policy) -> Option<Throttle> {
        let next = self.each(self, |now, _| now / 2).at_least(policy);
        (next != self).then_some(next)
    }

    /// A step on the way back from the least to what it took; `None` where that is reached.
    pub(super) fn looser(self, least: Throttle, took: Throttle) -> Option<Throttle> {
        let step = least.each(took, |least, took| {
            ((took.saturating_sub(least) as f64 / STEPS_BACK).ceil() as u64).max(1)
        });
        let next = self.each(step, u64::saturating_add);
        let is_all = next.each(took, u64::max) == next;
        (!is_all).then_some(next)
    }

    /// Not under the policy's floors.
    fn at_least(self, policy: &Policy) -> Throttle {
        let (bytes, operations) = (policy.io.floor.0, u64::from(policy.io.floor_operations));
        Throttle {
            device: self.device,
            rbytes: self.rbytes.max(bytes),
            wbytes: self.wbytes.max(bytes),
            rios: self.rios.max(operations),
            wios: self.wios.max(operations),
        }
    }

    /// What all of it costs in a second, as [`IoUse::cost`] counts.
    pub(super) fn cost(self) -> f64 {
        let used = IoUse {
            rbytes: Bytes(self.rbytes),
            wbytes: Bytes(self.wbytes),
            rios: self.rios,
            wios: self.wios,
        };
        used.cost() as f64
    }

    /// Whether the policy lets it be held.
    pub(super) fn is_permitted(self, policy: &Policy) -> bool {
        self.at_least(policy) == self
    }

    /// What it took, as a place to go back to.
    pub(super) fn of(device: Device, took: Pace) -> Throttle {
        Throttle {
            device,
            rbytes: took.rbytes as u64,
            wbytes: took.wbytes as u64,
            rios: took.rios as u64,
            wios: took.wios as u64,
        }
    }

    /// As a limit that is nowhere over the original one.
    pub(super) fn within(self, original: &Knobs) -> IoMax {
        let own = original.io_max.unwrap_or_default();
        let own = own.get(self.device).unwrap_or(IoMax::NONE);
        let bytes = |own: Limit<Bytes>, most: u64| match own {
            Limit::At(own) => Limit::At(own.min(Bytes(most))),
            Limit::Max => Limit::At(Bytes(most)),
        };
        let operations = |own: Limit<u64>, most: u64| match own {
            Limit::At(own) => Limit::At(own.min(most)),
            Limit::Max => Limit::At(most),
        };
        IoMax {
            rbps: bytes(own.rbps, self.rbytes),
            wbps: bytes(own.wbps, self.wbytes),
            riops: operations(own.riops, self.rios),
            wiops: operations(own.wiops, self.wios),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helped_against_its_reads_does_not_limit_its_writes_nor_the_reverse() {
        let device = Device { major: 8, minor: 0 };
        let proved = Throttle {
            device,
            rbytes: 5_000_000,
            wbytes: 4_000_000,
            rios: 50,
            wios: 40,
        };
        let first = |rbytes: f64, wbytes: f64| {
            let took = Pace {
                rbytes,
                wbytes,
                rios: rbytes / 4_096.0,
                wios: wbytes / 4_096.0,
            };
            let place =
                |proved| match super::first(device, took, proved, 0.5, 0.1, &Policy::default()) {
                    Some(Place::Throttle(throttle)) => throttle,
                    other => panic!("{other:?}"),
                };
            (place(None), place(Some(proved)))
        };
        let (free, after) = first(80e6, 4e6);
        assert_eq!((after.rbytes, after.rios), (5_000_000, 50));
        assert_eq!((after.wbytes, after.wios), (free.wbytes, free.wios));
        let (free, after) = first(4e6, 80e6);
        assert_eq!((after.wbytes, after.wios), (4_000_000, 40));
        assert_eq!((after.rbytes, after.rios), (free.rbytes, free.rios));
    }
}
