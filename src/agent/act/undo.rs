//! Giving one knob back: the same few lines after a release, after a crash and by hand.
//!
//! Read, compare, write, read back. What stands there now decides: our value is replaced by the
//! original, the original is left, and anything else is somebody's and stays theirs. Being killed
//! in between and doing it again ends in the same state.

use super::journal_format::{Idled, KnobText, Record};
use crate::host::KnobFiles;
use crate::kernel::knob;
use crate::model::{Absent, CpuMax, Knob, KnobValue, Limit, Reading};

/// What a knob holds now, seen from a record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// What we wrote, or the kernel as a consequence.
    Ours,
    /// What stood there before us.
    Original,
    /// Somebody else's value.
    Theirs(KnobText),
}

/// What became of a knob that was to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The original was written and read back, byte for byte.
    Restored,
    /// The original stood there already.
    AlreadyOriginal,
    /// Somebody else's value stands there and was left.
    Drifted(KnobText),
    /// The cgroup is gone, or its controller was taken away and the limit with it.
    Gone,
    /// It could not be read or written; the record must be kept.
    Failed(Absent),
}

/// Compares what was read with what we know.
///
/// The original is asked first: where both mean the same there is nothing to write.
#[must_use]
pub(super) fn standing(record: &Record, now: KnobText) -> Standing {
    let same = |text: &KnobText| knob::same(record.knob, text.as_bytes(), now.as_bytes());
    // Writing `cpu.idle` 0 makes the weight 100.
    let by_idling =
        record.knob == Knob::CpuWeight && record.idled == Idled::ByUs && now.as_bytes() == b"100";
    if now == record.original {
        Standing::Original
    } else if record.ours.as_ref().is_some_and(same)
        || record.next.as_ref().is_some_and(same)
        || by_idling
    {
        Standing::Ours
    } else {
        Standing::Theirs(now)
    }
}

/// What stands in a journaled knob now.
///
/// A group that the host does not know (any more) is looked for at its place before it is taken for
/// gone: forgetting the record of one that is there would leave our limit on it for ever.
pub(super) fn read(record: &Record, files: &mut impl KnobFiles) -> Reading<KnobText> {
    match files.read_knob(record.group, record.knob) {
        Err(Absent::Gone) => {
            files.adopt(record.group, record.path.hint())?;
            files.read_knob(record.group, record.knob)
        }
        other => other,
    }
}

/// Puts one original back, unless somebody else wrote the knob since.
pub(super) fn give_back(record: &Record, files: &mut impl KnobFiles) -> Undone {
    let now = match read(record, files) {
        Ok(now) => now,
        Err(why) => return unreachable(why),
    };
    match standing(record, now) {
        Standing::Original => Undone::AlreadyOriginal,
        Standing::Theirs(now) => Undone::Drifted(now),
        Standing::Ours => {
            let written = files.write_knob(record.group, record.knob, record.original.as_bytes());
            confirm(record, written, files)
        }
    }
}

/// Judges a write of the original by reading back.
pub(super) fn confirm(
    record: &Record,
    written: Result<(), Absent>,
    files: &mut impl KnobFiles,
) -> Undone {
    let now = match read(record, files) {
        Ok(now) => now,
        Err(why) => return unreachable(why),
    };
    match (standing(record, now), written) {
        (Standing::Original, _) => Undone::Restored,
        (Standing::Theirs(now), _) => Undone::Drifted(now),
        // A weight is only written after our idle is back: this idle is somebody else's, and what
        // the weight of an idle group reads (0, or 1 since 6.12) is nobody's.
        (Standing::Ours, Err(Absent::Refused)) if is_idle_weight(record, files) => {
            Undone::Drifted(now)
        }
        // A burst is only written after our quota is back: this quota is somebody else's, and was only
        // taken because of our burst. The two cannot stand together.
        (Standing::Ours, Err(Absent::Refused)) if is_burst_over_quota(record, files) => {
            Undone::Drifted(now)
        }
        (Standing::Ours, Err(why)) => Undone::Failed(why),
        (Standing::Ours, Ok(())) => Undone::Failed(Absent::Refused),
    }
}

fn is_idle_weight(record: &Record, files: &mut impl KnobFiles) -> bool {
    let mut idle = || files.read_knob(record.group, Knob::CpuIdle);
    record.knob == Knob::CpuWeight && idle().is_ok_and(|idle| idle.as_bytes() == b"1")
}

fn is_burst_over_quota(record: &Record, files: &mut impl KnobFiles) -> bool {
    let Ok(KnobValue::Burst(burst)) = knob::decode(record.knob, record.original.as_bytes()) else {
        return false;
    };
    let max = files.read_knob(record.group, Knob::CpuMax);
    let max = max.and_then(|max| knob::decode(Knob::CpuMax, max.as_bytes()));
    matches!(max, Ok(KnobValue::CpuMax(CpuMax { quota: Limit::At(quota), .. })) if quota < burst)
}

/// A file that is gone took our limit with it.
const fn unreachable(why: Absent) -> Undone {
    match why {
        Absent::Gone | Absent::NoFile => Undone::Gone,
        why => Undone::Failed(why),
    }
}
