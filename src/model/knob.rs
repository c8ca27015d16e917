//! The cgroup interface files that we hold, and what stands in them.

use std::fmt;

use super::{Bytes, Device, IoMax, Limit, Resource, Rung, Span, Weight};

/// A cgroup interface file that an intervention may hold.
///
/// The order is the order in which originals are put back: who is frozen is thawed first of all, idle before weight (while `cpu.idle` is
/// 1 every write of `cpu.weight` fails), `cpu.max` before its burst (a quota below the burst is
/// refused).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// `cgroup.freeze`: 1 stops everybody in the cgroup, until it is 0 again.
    CgroupFreeze,
    /// `cpu.idle`: 1 runs the whole cgroup as SCHED_IDLE.
    CpuIdle,
    /// `cpu.weight`: acts between siblings only.
    CpuWeight,
    /// `cpu.max`: quota and period.
    CpuMax,
    /// `cpu.max.burst`: must be at most the quota.
    CpuMaxBurst,
    /// `memory.high`: above it the cgroup reclaims and is slowed.
    MemoryHigh,
    /// `memory.swap.max`: how much of it may be in swap.
    MemorySwapMax,
    /// `pids.max`: how many tasks may be in it. One that has more keeps them: its forks fail.
    PidsMax,
    /// `io.max`, the line of one device: how much it may read and write there in a second.
    IoMax(Device),
}

/// `cpu.max`: how much CPU time a cgroup may use in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct CpuMax {
    /// CPU time per period, summed over CPUs; at least 1 ms.
    pub quota: Limit<Span>,
    /// 1 ms to 1 s; the kernel's default is 100 ms.
    pub period: Span,
}

/// `cgroup.freeze` in pulses: in each period a cgroup runs for a part, and is stopped for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Pulses {
    /// How long it runs in each period; more than none, and less than all of it.
    pub thawed: Span,
    /// Milliseconds: who waits for an answer of it waits for no more than that.
    pub period: Span,
}

/// What we want a knob to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnobValue {
    /// For [`Knob::CgroupFreeze`]: what its file tells.
    Frozen(bool),
    /// For [`Knob::CgroupFreeze`]: its file tells 1 and 0 by turns.
    Pulses(Pulses),
    /// For [`Knob::CpuIdle`].
    Idle(bool),
    /// For [`Knob::CpuWeight`].
    Weight(Weight),
    /// For [`Knob::CpuMax`].
    CpuMax(CpuMax),
    /// For [`Knob::CpuMaxBurst`].
    Burst(Span),
    /// For [`Knob::MemoryHigh`] and [`Knob::MemorySwapMax`].
    Bytes(Limit<Bytes>),
    /// For [`Knob::PidsMax`].
    Tasks(Limit<u64>),
    /// For [`Knob::IoMax`].
    IoMax(Device, IoMax),
}

/// The longest text of a knob that is kept: a line of `io.max`, a device and four 20-digit numbers, fits.
pub const ORIGINAL_MAX: usize = 128;

/// The exact bytes that stood in a knob before us, without the trailing newline.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Original {
    len: u8,
    bytes: [u8; ORIGINAL_MAX],
}

impl Knob {
    /// Every knob that is a whole file, in restore order. [`Knob::IoMax`] comes after them.
    pub const FILES: [Knob; 8] = [
        Knob::CgroupFreeze,
        Knob::CpuIdle,
        Knob::CpuWeight,
        Knob::CpuMax,
        Knob::CpuMaxBurst,
        Knob::MemoryHigh,
        Knob::MemorySwapMax,
        Knob::PidsMax,
    ];

    /// The [`number`](Knob::number)s of all knobs, in restore order.
    pub const NUMBERS: [u8; 9] = [9, 1, 2, 3, 4, 5, 6, 7, 8];

    /// The file's name in the cgroup's directory.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Knob::CgroupFreeze => "cgroup.freeze",
            Knob::CpuIdle => "cpu.idle",
            Knob::CpuWeight => "cpu.weight",
            Knob::CpuMax => "cpu.max",
            Knob::CpuMaxBurst => "cpu.max.burst",
            Knob::MemoryHigh => "memory.high",
            Knob::MemorySwapMax => "memory.swap.max",
            Knob::PidsMax => "pids.max",
            Knob::IoMax(_) => "io.max",
        }
    }

    /// The knob that is the whole file `name`.
    #[must_use]
    pub fn from_file(name: &str) -> Option<Knob> {
        Knob::FILES.into_iter().find(|knob| knob.file() == name)
    }

    /// Its number in a journal or a recording, and its device's, both 0 where there is none.
    #[must_use]
    pub const fn number(self) -> (u8, u32, u32) {
        match self {
            Knob::CpuIdle => (1, 0, 0),
            Knob::CpuWeight => (2, 0, 0),
            Knob::CpuMax => (3, 0, 0),
            Knob::CpuMaxBurst => (4, 0, 0),
            Knob::MemoryHigh => (5, 0, 0),
            Knob::MemorySwapMax => (6, 0, 0),
            Knob::PidsMax => (7, 0, 0),
            Knob::IoMax(Device { major, minor }) => (8, major, minor),
            Knob::CgroupFreeze => (9, 0, 0),
        }
    }

    /// The knob of these [`number`](Knob::number)s; `None` where they are no knob.
    #[must_use]
    pub fn from_number(number: u8, major: u32, minor: u32) -> Option<Knob> {
        let on_device = Knob::IoMax(Device { major, minor });
        let all = Knob::FILES.into_iter().chain([on_device]);
        let numbers = (number, major, minor);
        all.into_iter().find(|knob| knob.number() == numbers)
    }

    /// What it limits.
    #[must_use]
    pub const fn resource(self) -> Resource {
        match self {
            Knob::CgroupFreeze
            | Knob::CpuIdle
            | Knob::CpuWeight
            | Knob::CpuMax
            | Knob::CpuMaxBurst => Resource::Cpu,
            Knob::MemoryHigh | Knob::MemorySwapMax => Resource::Memory,
            Knob::PidsMax => Resource::Pids,
            Knob::IoMax(_) => Resource::Io,
        }
    }

    /// The rung that is held by it.
    #[must_use]
    pub const fn rung(self) -> Rung {
        match self {
            Knob::CgroupFreeze => Rung::Freeze,
            Knob::CpuIdle => Rung::Idle,
            Knob::CpuWeight => Rung::Weight,
            Knob::CpuMax | Knob::CpuMaxBurst => Rung::Cap,
            Knob::MemoryHigh => Rung::High,
            Knob::MemorySwapMax => Rung::Swap,
            Knob::PidsMax => Rung::Clamp,
            Knob::IoMax(_) => Rung::Throttle,
        }
    }

    /// Whether `write()` may wait, possibly for seconds: the writer of `memory.high` reclaims, and since 6.10 the first
    /// limit of a device waits until all that is under way there is done (`blk_throtl_init`).
    #[must_use]
    pub const fn may_wait(self) -> bool {
        matches!(self, Knob::MemoryHigh | Knob::IoMax(_))
    }

    /// Whether what is wanted there is no value that stands, but two by turns.
    #[must_use]
    pub const fn is_pulsed(self) -> bool {
        matches!(self, Knob::CgroupFreeze)
    }
}

impl Original {
    /// From a file's content; a trailing newline is dropped. `None` if it is too long to keep.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Original> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let len = u8::try_from(text.len()).ok()?;
        let mut bytes = [0; ORIGINAL_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Original { len, bytes })
    }

    /// The bytes, without a newline.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// As it stands in the kernel's file, but for sizes and pulses, which are shown for people.
impl fmt::Display for KnobValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KnobValue::Frozen(on) | KnobValue::Idle(on) => write!(f, "{}", u8::from(*on)),
            KnobValue::Pulses(Pulses { thawed, period }) => {
                let millis = |span: &Span| span.as_secs_f64() * 1e3;
                write!(
                    f,
                    "1, but for {:.1} of {:.0} ms",
                    millis(thawed),
                    millis(period)
                )
            }
            KnobValue::Weight(weight) => write!(f, "{}", weight.get()),
            KnobValue::CpuMax(CpuMax { quota, period }) => match quota {
                Limit::Max => write!(f, "max {}", period.micros()),
                Limit::At(quota) => write!(f, "{} {}", quota.micros(), period.micros()),
            },
            KnobValue::Burst(burst) => write!(f, "{}", burst.micros()),
            KnobValue::Bytes(limit) => limit.fmt(f),
            KnobValue::Tasks(Limit::Max) => f.write_str("max"),
            KnobValue::Tasks(Limit::At(tasks)) => write!(f, "{tasks}"),
            KnobValue::IoMax(device, max) => write!(f, "{device} {max}"),
        }
    }
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Original({:?})",
            String::from_utf8_lossy(self.as_bytes())
        )
    }
}
