//! `/proc/stat`: how long the CPUs were idle, and busy, and how many are online.
//!
//! ```text
//! cpu  60 0 287 1034 4 0 4 0 0 0
//! cpu0 56 0 138 502 3 0 2 0 0 0
//! cpu1 4 0 148 532 1 0 2 0 0 0
//! intr 3162 76 9 …
//! ```
//!
//! `intr` alone has kilobytes on a large machine and we want nothing from it, so that here, and only
//! here, the text may be cut: after the CPUs.

use super::text::{number, words};
use crate::model::{Absent, Reading, Span};

/// One tick of `/proc` in microseconds: USER_HZ is 100 on every architecture that we build for,
/// whatever the kernel's own HZ.
const TICK: u64 = 10_000;

/// What we want from `/proc/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTimes {
    /// CPUs that are online; at least 1.
    pub online: u32,
    /// Idle plus iowait, cumulative, summed over CPUs, in steps of 10 ms. (It may fall a little:
    /// the kernel's iowait does.)
    pub idle: Span,
    /// User, nice and system, likewise. What is neither is interrupts, and time that a hypervisor took.
    pub busy: Span,
}

/// The idle time of the `cpu` line, and the number of `cpuN` lines.
///
/// # Errors
/// [`Absent::Malformed`] without exactly one `cpu` line that has at least five numbers, without any
/// `cpuN`, or where nothing follows the CPUs: the text was cut among them.
pub fn parse(text: &[u8]) -> Reading<CpuTimes> {
    let mut times = None;
    let mut online: u32 = 0;
    let mut behind_cpus = false;
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = words(line);
        let Some(label) = words.next() else { continue };
        match label.strip_prefix(b"cpu") {
            Some(b"") if times.is_none() => times = Some(ticks(words)?),
            Some(b"") => return Err(Absent::Malformed),
            Some(index) if number(index).is_ok() => {
                online = online.saturating_add(1);
                behind_cpus = false;
            }
            // The beginning of a CPU that was cut, perhaps.
            _ if b"cpu".starts_with(label) => {}
            _ => behind_cpus = true,
        }
    }
    let [idle, busy] = times.ok_or(Absent::Malformed)?;
    let micros = |ticks: u64| ticks.checked_mul(TICK).map(Span).ok_or(Absent::Malformed);
    if online == 0 || !behind_cpus {
        return Err(Absent::Malformed);
    }
    Ok(CpuTimes {
        online,
        idle: micros(idle)?,
        busy: micros(busy)?,
    })
}

/// The columns are user, nice, system, idle, iowait, and more.
fn ticks<'a>(mut columns: impl Iterator<Item = &'a [u8]>) -> Reading<[u64; 2]> {
    let mut sum = |count: usize| {
        (0..count).try_fold(0_u64, |sum, _| {
            let column = number(columns.next().ok_or(Absent::Malformed)?)?;
            sum.checked_add(column).ok_or(Absent::Malformed)
        })
    };
    let busy = sum(3)?;
    Ok([sum(2)?, busy])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn the_idle_time_and_the_cpus_of_both_kernels_are_read() {
        let table = [
            (Kernel::V6_1, 1_034 + 4, 60 + 287),
            (Kernel::V6_12, 1_025, 48 + 402),
        ];
        for (kernel, ticks, busy) in table {
            let wanted = CpuTimes {
                online: 2,
                idle: Span(ticks * 10_000),
                busy: Span(busy * 10_000),
            };
            let text = fixtures::read(kernel, "proc_stat");
            assert_eq!(parse(&text), Ok(wanted), "{kernel:?}");
        }
    }

    #[test]
    fn a_text_cut_behind_the_cpus_is_enough_and_one_cut_among_them_is_not() {
        let text = fixtures::read(Kernel::V6_12, "proc_stat");
        let whole = parse(&text);
        let intr = text.windows(5).position(|at| at == b"intr ").expect("intr");
        for cut in intr + 1..text.len() {
            assert_eq!(parse(&text[..cut]), whole, "cut at {cut}");
        }
        for cut in 0..=intr {
            assert_eq!(parse(&text[..cut]), Err(Absent::Malformed), "cut at {cut}");
        }
    }

    #[test]
    fn a_cpu_that_is_offline_has_no_line() {
        let text = b"cpu 1 1 1 1 1\ncpu0 1 1 1 1 1\ncpu17 1 1 1 1 1\nintr 1\n";
        assert_eq!(parse(text).map(|times| times.online), Ok(2));
    }

    #[test]
    fn what_is_not_exact_is_malformed_and_never_calm() {
        for bad in [
            &b""[..],
            b"intr 1\n",
            b"cpu 1 1 1 1\ncpu0 1\nintr 1\n",
            b"cpu 1 1 1 x 1\ncpu0 1\nintr 1\n",
            b"cpu 1 1 1 18446744073709551615 1\ncpu0 1\nintr 1\n",
            b"cpu 1 1 1 18446744073709551 0\ncpu0 1\nintr 1\n",
            b"cpu 1 1 1 1 1\nintr 1\n",
            b"cpu 1 1 1 1 1\ncpu 1 1 1 1 1\ncpu0 1\nintr 1\n",
            b"cpu0 1 1 1 1 1\nintr 1\n",
        ] {
            let text = String::from_utf8_lossy(bad);
            assert_eq!(parse(bad), Err(Absent::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_machine_is_read(idle in 0_u64..1 << 40, iowait in 0_u64..1 << 40, cpus in 1_u32..512) {
            let mut text = format!("cpu  1 2 3 {idle} {iowait} 0 0 0 0 0\n");
            for cpu in 0..cpus {
                text += &format!("cpu{cpu} 1 2 3 4 5 0 0 0 0 0\n");
            }
            text += "intr 0\n";
            let wanted = CpuTimes {
                online: cpus,
                idle: Span((idle + iowait) * 10_000),
                busy: Span(6 * 10_000),
            };
            prop_assert_eq!(parse(text.as_bytes()), Ok(wanted));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
