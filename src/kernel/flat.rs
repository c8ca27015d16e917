//! Flat-keyed files: one `label number` a line.
//!
//! ```text
//! usage_usec 1861340
//! user_usec 631197
//! ```
//!
//! Kernels add labels in the middle (6.12 has `nice_usec`, and a count per controller in
//! `cgroup.stat`), so that everything goes through [`lookup`].

use super::text::{lines, number, split_once};
use crate::model::{Absent, Bytes, CpuUse, Reading, Span};

/// `memory.events`: how often each line was crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// Reclaimed although below `memory.low`.
    pub low: u64,
    /// Slowed because above `memory.high`.
    pub high: u64,
    /// About to go above `memory.max`.
    pub max: u64,
    /// Reached `memory.max` and nothing could be reclaimed.
    pub oom: u64,
    /// Processes killed by any OOM killer.
    pub oom_kill: u64,
}

/// The part of `memory.stat` that tells a suspect's growth and thrashing. Reading the file flushes
/// statistics: for suspects only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// Anonymous memory.
    pub anon: Bytes,
    /// Page cache, tmpfs and shared memory included.
    pub file: Bytes,
    /// Part of `file` that is tmpfs and shared memory: can only be swapped, not dropped.
    pub shmem: Bytes,
    /// Page cache to be written back yet.
    pub file_dirty: Bytes,
    /// Kernel memory that cannot be reclaimed.
    pub slab_unreclaimable: Bytes,
    /// Pages of anonymous memory, cumulative, that had been evicted shortly before.
    pub refault_anon: u64,
    /// Pages of files, cumulative, that had been evicted shortly before.
    pub refault_file: u64,
}

/// `cgroup.events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupEvents {
    /// A process lives in the cgroup or below.
    pub populated: bool,
    /// All of them are frozen.
    pub frozen: bool,
}

/// `cgroup.stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupStat {
    /// Living cgroups below.
    pub descendants: u64,
    /// Removed cgroups below that something still holds.
    pub dying: u64,
}

/// The values of several labels in one pass; `None` for a label that is not there. Other labels
/// are skipped, whatever stands after them.
///
/// # Errors
/// [`Absent::Malformed`] if the text was cut, if a wanted label's value is no number, or if it
/// stands there twice.
pub fn lookup<const N: usize>(text: &[u8], labels: [&[u8]; N]) -> Reading<[Option<u64>; N]> {
    let mut values = [None; N];
    for line in lines(text)? {
        let (label, value) = split_once(line, b' ').unwrap_or((line, b""));
        let place = labels
            .iter()
            .zip(values.iter_mut())
            .find_map(|(wanted, place)| (*wanted == label).then_some(place));
        if let Some(place) = place
            && place.replace(number(value)?).is_some()
        {
            return Err(Absent::Malformed);
        }
    }
    Ok(values)
}

/// Like [`lookup`] where every label must be there.
fn lookup_all<const N: usize>(text: &[u8], labels: [&[u8]; N]) -> Reading<[u64; N]> {
    let found = lookup(text, labels)?;
    if found.contains(&None) {
        return Err(Absent::Malformed);
    }
    Ok(found.map(Option::unwrap_or_default))
}

/// `cpu.stat`.
///
/// `throttled` is zero where the file has no `throttled_usec`: without the cpu controller there is
/// no quota that could throttle.
///
/// # Errors
/// [`Absent::Malformed`], also without `usage_usec`.
pub fn cpu_stat(text: &[u8]) -> Reading<CpuUse> {
    let [usage, throttled] = lookup(text, [b"usage_usec", b"throttled_usec"])?;
    Ok(CpuUse {
        usage: Span(usage.ok_or(Absent::Malformed)?),
        throttled: Span(throttled.unwrap_or(0)),
    })
}

/// `memory.events`.
///
/// # Errors
/// [`Absent::Malformed`], also if one of the five is missing.
pub fn memory_events(text: &[u8]) -> Reading<MemoryEvents> {
    let [low, high, max, oom, oom_kill] =
        lookup_all(text, [b"low", b"high", b"max", b"oom", b"oom_kill"])?;
    Ok(MemoryEvents {
        low,
        high,
        max,
        oom,
        oom_kill,
    })
}

/// `memory.stat`.
///
/// # Errors
/// [`Absent::Malformed`], also if one of the seven is missing (the two refaults: before 5.9).
pub fn memory_stat(text: &[u8]) -> Reading<MemoryStat> {
    let labels: [&[u8]; 7] = [
        b"anon",
        b"file",
        b"shmem",
        b"file_dirty",
        b"slab_unreclaimable",
        b"workingset_refault_anon",
        b"workingset_refault_file",
    ];
    let [anon, file, shmem, dirty, slab, refault_anon, refault_file] = lookup_all(text, labels)?;
    Ok(MemoryStat {
        anon: Bytes(anon),
        file: Bytes(file),
        shmem: Bytes(shmem),
        file_dirty: Bytes(dirty),
        slab_unreclaimable: Bytes(slab),
        refault_anon,
        refault_file,
    })
}

/// `cgroup.events`. `frozen` is false where the file has no such line: before 5.2 nothing freezes.
///
/// # Errors
/// [`Absent::Malformed`], also without `populated` or for a value that is neither 0 nor 1.
pub fn group_events(text: &[u8]) -> Reading<GroupEvents> {
    let truth = |value: u64| match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Absent::Malformed),
    };
    let [populated, frozen] = lookup(text, [b"populated", b"frozen"])?;
    Ok(GroupEvents {
        populated: truth(populated.ok_or(Absent::Malformed)?)?,
        frozen: truth(frozen.unwrap_or(0))?,
    })
}

/// `cgroup.stat`.
///
/// # Errors
/// [`Absent::Malformed`], also if one of the two is missing.
pub fn group_stat(text: &[u8]) -> Reading<GroupStat> {
    let [descendants, dying] = lookup_all(text, [b"nr_descendants", b"nr_dying_descendants"])?;
    Ok(GroupStat { descendants, dying })
}

/// `pids.events`: how often a fork failed at a limit. Since 6.11 it counts at the cgroup whose limit
/// it was, before at the one that forked.
///
/// # Errors
/// [`Absent::Malformed`], also without `max`.
pub fn pids_events(text: &[u8]) -> Reading<u64> {
    let [max] = lookup_all(text, [b"max"])?;
    Ok(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn cpu_stat_of_both_kernels_is_read() {
        let table = [
            (Kernel::V6_1, "cpu.stat", 1_861_340, 9_881_851),
            (Kernel::V6_12, "cpu.stat", 1_869_773, 10_153_375),
            (Kernel::V6_1, "root_cpu.stat", 3_284_000, 0),
            (Kernel::V6_12, "root_cpu.stat", 4_580_000, 0),
        ];
        for (kernel, file, usage, throttled) in table {
            let wanted = CpuUse {
                usage: Span(usage),
                throttled: Span(throttled),
            };
            assert_eq!(
                cpu_stat(&fixtures::read(kernel, file)),
                Ok(wanted),
                "{kernel:?} {file}"
            );
        }
    }

    #[test]
    fn cpu_stat_without_the_controller_was_never_throttled() {
        let text = b"usage_usec 10\nuser_usec 6\nsystem_usec 4\n";
        assert_eq!(cpu_stat(text).map(|cpu| cpu.throttled), Ok(Span::ZERO));
    }

    #[test]
    fn memory_files_of_both_kernels_are_read() {
        for (kernel, high) in [(Kernel::V6_1, 64), (Kernel::V6_12, 23)] {
            let events = memory_events(&fixtures::read(kernel, "memory.events"));
            let wanted = MemoryEvents {
                high,
                ..MemoryEvents::default()
            };
            assert_eq!(events, Ok(wanted), "{kernel:?}");
        }
        let wanted = MemoryStat {
            anon: Bytes(22_700_032),
            file: Bytes(1_212_416),
            shmem: Bytes(0),
            file_dirty: Bytes(4_096),
            slab_unreclaimable: Bytes(174_360),
            refault_anon: 1_495,
            refault_file: 0,
        };
        assert_eq!(
            memory_stat(&fixtures::read(Kernel::V6_1, "memory.stat")),
            Ok(wanted)
        );
        for file in ["memory.stat", "root_memory.stat"] {
            let stat = memory_stat(&fixtures::read(Kernel::V6_12, file));
            assert!(stat.is_ok_and(|stat| stat.anon > Bytes(0)), "{file}");
        }
    }

    #[test]
    fn group_files_of_both_kernels_are_read() {
        for kernel in Kernel::BOTH {
            let events = group_events(&fixtures::read(kernel, "cgroup.events"));
            let wanted = GroupEvents {
                populated: true,
                frozen: false,
            };
            assert_eq!(events, Ok(wanted), "{kernel:?}");
            let stat = group_stat(&fixtures::read(kernel, "cgroup.stat"));
            assert_eq!(stat, Ok(GroupStat::default()), "{kernel:?}");
            let pids = pids_events(&fixtures::read(kernel, "pids.events"));
            assert_eq!(pids, Ok(1), "{kernel:?}");
        }
    }

    #[test]
    fn a_label_that_begins_like_another_is_not_it() {
        let found = lookup(b"max_other 1\nma 2\nmax 3\n", [b"max"]);
        assert_eq!(found, Ok([Some(3)]));
    }

    #[test]
    fn unknown_labels_are_skipped_whatever_stands_after_them() {
        let text = b"new\nnew thing -3\n\n spaced 1\nmax 3\n";
        assert_eq!(lookup(text, [b"max"]), Ok([Some(3)]));
    }

    #[test]
    fn what_is_not_exact_is_malformed_and_never_calm() {
        for bad in [
            &b""[..],
            b"usage_usec\n",
            b"usage_usec \n",
            b"usage_usec  1\n",
            b"usage_usec 1 2\n",
            b"usage_usec -1\n",
            b"usage_usec 1",
            b"usage_usec 1\nusage_usec 2\n",
            b"usage_usec 1\nthrottled_usec x\n",
            b"user_usec 1\n",
        ] {
            assert_eq!(cpu_stat(bad), Err(Absent::Malformed), "{bad:?}");
        }
        assert_eq!(memory_events(b"low 0\nhigh 0\n"), Err(Absent::Malformed));
        assert_eq!(group_events(b"populated 2\n"), Err(Absent::Malformed));
    }

    proptest! {
        #[test]
        fn values_are_found_in_any_order(
            values in prop::array::uniform4(any::<u64>()),
            order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
        ) {
            let labels = ["usage_usec", "throttled_usec", "nr_periods", "later_usec"];
            let text: String = order
                .iter()
                .map(|&at| format!("{} {}\n", labels[at], values[at]))
                .collect();
            prop_assert_eq!(
                cpu_stat(text.as_bytes()),
                Ok(CpuUse { usage: Span(values[0]), throttled: Span(values[1]) })
            );
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (cpu_stat(&bytes), memory_stat(&bytes), group_events(&bytes));
        }
    }
}
