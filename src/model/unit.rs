//! Units. "No limit" is a variant, never -1, 0 or the largest number.

use std::fmt;

/// A number of bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Bytes(pub u64);

/// A limit that may be absent: the kernel's word `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit<T> {
    /// No limit.
    Max,
    /// At most this much.
    At(T),
}

/// `cpu.weight`: 1 to 10000, 100 by default.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u32);

/// A fraction between 0 and 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize,
)]
#[serde(from = "f64", into = "f64")]
pub struct Share(f64);

impl Bytes {
    /// From mebibytes, saturating.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Bytes {
        Bytes(mib.saturating_mul(1 << 20))
    }

    /// This size times a factor, rounded down, never negative.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Bytes {
        Bytes((self.0 as f64 * factor).max(0.0) as u64)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..=9_999 => write!(f, "{}B", self.0),
            10_000..=10_239_999 => write!(f, "{}KiB", self.0 >> 10),
            10_240_000..=10_737_418_239 => write!(f, "{}MiB", self.0 >> 20),
            _ => write!(f, "{}GiB", self.0 >> 30),
        }
    }
}

impl Weight {
    /// What the kernel gives a new cgroup.
    pub const DEFAULT: Weight = Weight(100);
    /// The least.
    pub const MIN: Weight = Weight(1);
    /// The most.
    pub const MAX: Weight = Weight(10_000);

    /// `None` outside 1 to 10000.
    #[must_use]
    pub const fn new(value: u32) -> Option<Weight> {
        if value >= 1 && value <= 10_000 {
            Some(Weight(value))
        } else {
            None
        }
    }

    /// The nearest valid weight; not-a-number becomes the default, which holds nobody down.
    #[must_use]
    pub fn nearest(value: f64) -> Weight {
        if value.is_nan() {
            Weight::DEFAULT
        } else {
            Weight(value.round().clamp(1.0, 10_000.0) as u32)
        }
    }

    /// As the kernel's number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Share {
    /// Clamped into 0 to 1; not-a-number becomes 0.
    #[must_use]
    pub fn new(value: f64) -> Share {
        Share(if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        })
    }

    /// As a plain fraction.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<u32> for Weight {
    type Error = &'static str;

    fn try_from(value: u32) -> Result<Weight, &'static str> {
        Weight::new(value).ok_or("a weight is 1 to 10000")
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> u32 {
        weight.get()
    }
}

impl From<f64> for Share {
    fn from(value: f64) -> Share {
        Share::new(value)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.get()
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Max => f.write_str("max"),
            Limit::At(value) => value.fmt(f),
        }
    }
}

/// A number, or the kernel's word `max`.
impl<T: serde::Serialize> serde::Serialize for Limit<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Max => to.serialize_str("max"),
            Limit::At(value) => value.serialize(to),
        }
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Limit<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Limit<T>, D::Error> {
        #[derive(serde::Deserialize)]
        enum Word {
            #[serde(rename = "max")]
            Max,
        }
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Word(Word),
            At(T),
        }
        Ok(match Either::deserialize(from)? {
            Either::Word(Word::Max) => Limit::Max,
            Either::At(value) => Limit::At(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_a_word_in_json_and_no_number() {
        let limits = [Limit::Max, Limit::At(7u64)];
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(text, r#"["max",7]"#);
        assert_eq!(
            serde_json::from_str::<[Limit<u64>; 2]>(&text).unwrap(),
            limits
        );
        assert!(serde_json::from_str::<Limit<u64>>(r#""min""#).is_err());
        assert!(serde_json::from_str::<Limit<u64>>("null").is_err());
    }
}
