//! Block devices, and what a container does and may do on each.

use std::fmt;
use std::str::FromStr;

use super::{Bytes, Limit};

/// A block device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// What a cgroup did on one device, cumulative (`io.stat`). Discards are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IoUse {
    /// Read.
    pub rbytes: Bytes,
    /// Written, writeback included.
    pub wbytes: Bytes,
    /// Reads.
    pub rios: u64,
    /// Writes.
    pub wios: u64,
}

/// What a cgroup may do on one device, per second (`io.max`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct IoMax {
    /// Read.
    pub rbps: Limit<Bytes>,
    /// Written.
    pub wbps: Limit<Bytes>,
    /// Reads.
    pub riops: Limit<u64>,
    /// Writes.
    pub wiops: Limit<u64>,
}

/// So many devices of one container are looked at: those on which it has done most.
pub const DEVICES: usize = 4;

/// One value for each of a few devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerDevice<T> {
    slots: [Option<(Device, T)>; DEVICES],
}

impl IoMax {
    /// No limit: what the kernel has where it shows no line for a device.
    pub const NONE: IoMax = IoMax {
        rbps: Limit::Max,
        wbps: Limit::Max,
        riops: Limit::Max,
        wiops: Limit::Max,
    };
}

impl IoUse {
    /// Bytes and operations as one number. An operation weighs as much as 64 KiB: about what a disk moves in
    /// the time that it takes to begin.
    ///
    /// In units of a sixteenth of an operation, which is 4 KiB.
    #[must_use]
    pub fn cost(&self) -> u64 {
        let bytes = self.rbytes.0.saturating_add(self.wbytes.0);
        let operations = self.rios.saturating_add(self.wios);
        (bytes >> 12).saturating_add(operations.saturating_mul(OPERATION))
    }
}

/// What an operation weighs, in the units of [`IoUse::cost`].
pub const OPERATION: u64 = 16;

impl<T: Copy> PerDevice<T> {
    /// No device.
    pub const NONE: PerDevice<T> = PerDevice {
        slots: [None; DEVICES],
    };

    /// The value of a device.
    #[must_use]
    pub fn get(&self, device: Device) -> Option<T> {
        self.iter()
            .find_map(|(of, value)| (of == device).then_some(value))
    }

    /// The devices and their values.
    pub fn iter(&self) -> impl Iterator<Item = (Device, T)> {
        self.slots.iter().flatten().copied()
    }

    /// Gives a device a value. Where all places are taken, the one whose value is the least by `rank` loses
    /// its place, if that is less than this one's.
    pub fn put<R: PartialOrd>(&mut self, device: Device, value: T, rank: impl Fn(&T) -> R) {
        let is_it = |slot: &Option<(Device, T)>| slot.is_some_and(|(of, _)| of == device);
        let place = self.slots.iter().position(is_it);
        let place = place.or_else(|| self.slots.iter().position(Option::is_none));
        if let Some(slot) = place.and_then(|at| self.slots.get_mut(at)) {
            *slot = Some((device, value));
            return;
        }
        let least = self.slots.iter_mut().flatten().min_by(|(_, a), (_, b)| {
            let order = rank(a).partial_cmp(&rank(b));
            order.unwrap_or(std::cmp::Ordering::Equal)
        });
        if let Some(slot) = least
            && rank(&slot.1) < rank(&value)
        {
            *slot = (device, value);
        }
    }
}

impl<T: Copy> Default for PerDevice<T> {
    fn default() -> PerDevice<T> {
        PerDevice::NONE
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Device {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Device, &'static str> {
        let parsed = text.split_once(':').and_then(|(major, minor)| {
            Some(Device {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        parsed.ok_or("a device is two numbers with a colon between them")
    }
}

impl fmt::Display for IoMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IoMax {
            rbps,
            wbps,
            riops,
            wiops,
        } = self;
        write!(f, "rbps={rbps} wbps={wbps} riops={riops} wiops={wiops}")
    }
}

/// As text: it is a key where there is one value for each device.
impl serde::Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Device {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Device, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// As a list of pairs.
impl<T: Copy + serde::Serialize> serde::Serialize for PerDevice<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de, T: Copy + serde::Deserialize<'de>> serde::Deserialize<'de> for PerDevice<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<PerDevice<T>, D::Error> {
        let pairs = Vec::<(Device, T)>::deserialize(from)?;
        if pairs.len() > DEVICES {
            return Err(serde::de::Error::custom("more devices than are looked at"));
        }
        let mut all = PerDevice::NONE;
        for (slot, pair) in all.slots.iter_mut().zip(pairs) {
            *slot = Some(pair);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(minor: u32) -> Device {
        Device { major: 8, minor }
    }

    #[test]
    fn an_operation_costs_as_much_as_64_kib() {
        let many = IoUse {
            rios: 10,
            ..IoUse::default()
        };
        let large = IoUse {
            wbytes: Bytes(10 * 65_536),
            ..IoUse::default()
        };
        assert_eq!(many.cost(), large.cost());
        let most = IoUse {
            rbytes: Bytes(u64::MAX),
            wbytes: Bytes(u64::MAX),
            rios: u64::MAX,
            wios: u64::MAX,
        };
        assert_eq!(most.cost(), u64::MAX);
    }

    #[test]
    fn of_too_many_devices_those_with_most_are_kept() {
        let mut all = PerDevice::NONE;
        for minor in 0..10 {
            all.put(device(minor), u64::from(minor), |value| *value);
        }
        all.put(device(9), 1_000, |value| *value);
        let kept: Vec<_> = all.iter().map(|(device, _)| device.minor).collect();
        assert_eq!(kept.len(), DEVICES);
        assert!(kept.iter().all(|&minor| minor >= 6), "{kept:?}");
        assert_eq!(all.get(device(9)), Some(1_000));
        assert_eq!(all.get(device(0)), None);
    }

    #[test]
    fn devices_stand_in_json_as_the_kernel_writes_them() {
        let mut all = PerDevice::NONE;
        all.put(device(16), 7_u64, |value| *value);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(text, r#"[["8:16",7]]"#);
        assert_eq!(serde_json::from_str::<PerDevice<u64>>(&text).unwrap(), all);
        let many = r#"[["8:0",1],["8:1",1],["8:2",1],["8:3",1],["8:4",1]]"#;
        assert!(serde_json::from_str::<PerDevice<u64>>(many).is_err());
        assert!(serde_json::from_str::<PerDevice<u64>>(r#"[["8",1]]"#).is_err());
    }
}
