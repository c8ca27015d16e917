//! `cpu.max`: quota and period in microseconds, `30000 100000` or `max 100000`.

use super::text::{Pen, limit, number, one_line, split_once};
use crate::model::{CpuMax, Limit, Reading, Span};

/// Room for the longest text: two numbers of 20 digits and a blank.
pub const CPU_MAX_TEXT: usize = 41;

/// The period of a cgroup that nobody gave another: 100 ms.
pub const DEFAULT_PERIOD: Span = Span(100_000);

/// `cpu.max`, with or without its newline.
///
/// Any two numbers are taken, whether or not the kernel would set them.
///
/// # Errors
/// [`Absent::Malformed`](crate::model::Absent::Malformed), also where the period is missing: the
/// kernel always shows it.
pub fn parse(text: &[u8]) -> Reading<CpuMax> {
    let line = one_line(text);
    let (quota, period) = split_once(line, b' ').unwrap_or((line, b""));
    Ok(CpuMax {
        quota: match limit(quota)? {
            Limit::Max => Limit::Max,
            Limit::At(quota) => Limit::At(Span(quota)),
        },
        period: Span(number(period)?),
    })
}

/// The text to write, which is also what the kernel shows afterwards, without a newline. The period
/// is always given: the kernel keeps the old one if it is not.
pub fn write(value: CpuMax, room: &mut [u8; CPU_MAX_TEXT]) -> &[u8] {
    put(value, Pen::new(room)).finish()
}

pub(super) fn put(value: CpuMax, pen: Pen<'_>) -> Pen<'_> {
    match value.quota {
        Limit::Max => pen.bytes(b"max"),
        Limit::At(quota) => pen.number(quota.micros()),
    }
    .bytes(b" ")
    .number(value.period.micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use crate::model::Absent;
    use proptest::prelude::*;

    #[test]
    fn cpu_max_of_both_kernels_is_read_and_written_back_byte_for_byte() {
        for kernel in Kernel::BOTH {
            let text = fixtures::read(kernel, "cpu.max");
            let value = parse(&text);
            let wanted = CpuMax {
                quota: Limit::At(Span(30_000)),
                period: DEFAULT_PERIOD,
            };
            assert_eq!(value, Ok(wanted));
            let mut room = [0; CPU_MAX_TEXT];
            assert_eq!(write(wanted, &mut room), one_line(&text));
        }
    }

    #[test]
    fn no_quota_is_max() {
        let none = CpuMax {
            quota: Limit::Max,
            period: DEFAULT_PERIOD,
        };
        assert_eq!(parse(b"max 100000\n"), Ok(none));
        let mut room = [0; CPU_MAX_TEXT];
        assert_eq!(write(none, &mut room), b"max 100000");
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for bad in [
            &b""[..],
            b"\n",
            b"max\n",
            b"30000\n",
            b"30000 \n",
            b"30000 max\n",
            b"30000  100000\n",
            b"30000 100000 \n",
            b"30000 100000 5\n",
            b" 30000 100000\n",
            b"-1 100000\n",
            b"30000 100000\n\n",
        ] {
            assert_eq!(parse(bad), Err(Absent::Malformed), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(quota: Option<u64>, period: u64) {
            let value = CpuMax {
                quota: quota.map_or(Limit::Max, |quota| Limit::At(Span(quota))),
                period: Span(period),
            };
            let mut room = [0; CPU_MAX_TEXT];
            prop_assert_eq!(parse(write(value, &mut room)), Ok(value));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
