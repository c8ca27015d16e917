//! `/proc/PID/schedstat`: time on a CPU, time waiting for one, slices: `1158356090 118543453 240`.
//!
//! The wait is exact where PSI is only a yes or no per CPU, and no reader of PSI files can blind
//! it.

use super::text::{number, one_line, words};
use crate::model::{Absent, Reading, Span};

/// One task's run queue times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedstat {
    /// On a CPU; cumulative, the kernel's nanoseconds rounded down to microseconds.
    pub run: Span,
    /// Runnable and waiting for a CPU; cumulative, likewise.
    pub wait: Span,
    /// How often it was put on a CPU.
    pub slices: u64,
}

/// The three numbers. All zero on a kernel without scheduler statistics.
///
/// # Errors
/// [`Absent::Malformed`] unless there are exactly three.
pub fn parse(text: &[u8]) -> Reading<Schedstat> {
    let mut words = words(one_line(text));
    let mut next = || number(words.next().ok_or(Absent::Malformed)?);
    let (run, wait, slices) = (next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(Absent::Malformed);
    }
    Ok(Schedstat {
        run: Span(run / 1_000),
        wait: Span(wait / 1_000),
        slices,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn run_and_wait_of_both_kernels_are_read() {
        let wanted = Schedstat {
            run: Span(1_158_356),
            wait: Span(118_543),
            slices: 240,
        };
        let text = fixtures::read(Kernel::V6_12, "proc_1_schedstat");
        assert_eq!(parse(&text), Ok(wanted));
        let text = fixtures::read(Kernel::V6_1, "proc_1_schedstat");
        assert!(parse(&text).is_ok_and(|times| times.run > Span::ZERO && times.slices > 0));
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for bad in [
            &b""[..],
            b"\n",
            b"1 2\n",
            b"1 2 3 4\n",
            b"1 2 -3\n",
            b"1 2 3\n\n",
        ] {
            assert_eq!(parse(bad), Err(Absent::Malformed), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(run: u64, wait: u64, slices: u64) {
            let wanted = Schedstat { run: Span(run / 1_000), wait: Span(wait / 1_000), slices };
            prop_assert_eq!(parse(format!("{run} {wait} {slices}\n").as_bytes()), Ok(wanted));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
