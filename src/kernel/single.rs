//! Files of one value: a number, a number or `max`, a truth.
//!
//! With or without the newline at the end, because originals are kept without. The kernel gives
//! these files whole: they are shorter than any buffer.

use super::text::{self, number, number32, one_line};
use crate::model::{Absent, Bytes, Limit, Reading, Weight};

/// A plain number: `pids.current`, `memory.current`, `cpu.max.burst`, `pid_max`.
///
/// # Errors
/// [`Absent::Malformed`].
pub fn count(text: &[u8]) -> Reading<u64> {
    number(one_line(text))
}

/// A number or `max`: `pids.max`.
///
/// # Errors
/// [`Absent::Malformed`].
pub fn limit(text: &[u8]) -> Reading<Limit<u64>> {
    text::limit(one_line(text))
}

/// A size: `memory.current`, `memory.swap.current`.
///
/// # Errors
/// [`Absent::Malformed`].
pub fn bytes(text: &[u8]) -> Reading<Bytes> {
    count(text).map(Bytes)
}

/// A size or `max`: `memory.min`, `memory.low`, `memory.high`, `memory.max`, `memory.swap.max`.
///
/// # Errors
/// [`Absent::Malformed`].
pub fn bytes_limit(text: &[u8]) -> Reading<Limit<Bytes>> {
    Ok(match limit(text)? {
        Limit::Max => Limit::Max,
        Limit::At(value) => Limit::At(Bytes(value)),
    })
}

/// 0 or 1: `cpu.idle`, `cgroup.freeze`.
///
/// # Errors
/// [`Absent::Malformed`].
pub fn truth(text: &[u8]) -> Reading<bool> {
    match one_line(text) {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(Absent::Malformed),
    }
}

/// `cpu.weight`.
///
/// # Errors
/// [`Absent::Busy`] for 0, which 6.1 shows while the cgroup is idle (`cpu.idle` is 1): no weight is
/// in force and none can be set. (6.12 shows 1 then, which nobody can tell from a weight of 1 without
/// reading `cpu.idle`.) [`Absent::Malformed`] for anything else outside 1 to 10000.
pub fn weight(text: &[u8]) -> Reading<Weight> {
    match number32(one_line(text))? {
        0 => Err(Absent::Busy),
        value => Weight::new(value).ok_or(Absent::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn single_values_of_both_kernels_are_read() {
        for kernel in Kernel::BOTH {
            let read = |file| fixtures::read(kernel, file);
            assert_eq!(
                bytes_limit(&read("memory.max")),
                Ok(Limit::At(Bytes::from_mib(256)))
            );
            assert_eq!(
                bytes_limit(&read("memory.high")),
                Ok(Limit::At(Bytes::from_mib(24)))
            );
            assert_eq!(
                bytes_limit(&read("memory.swap.max")),
                Ok(Limit::At(Bytes::from_mib(128)))
            );
            assert_eq!(bytes_limit(&read("memory.min")), Ok(Limit::At(Bytes(0))));
            assert!(bytes(&read("memory.current")).is_ok_and(|now| now > Bytes::from_mib(16)));
            assert!(bytes(&read("memory.swap.current")).is_ok());
            assert_eq!(limit(&read("pids.max")), Ok(Limit::At(12)));
            assert!(count(&read("pids.current")).is_ok_and(|now| (1..=12).contains(&now)));
            assert_eq!(count(&read("proc_sys_kernel_pid_max")), Ok(32_768));
            assert_eq!(truth(&read("cpu.idle")), Ok(false));
            assert_eq!(truth(&read("cgroup.freeze")), Ok(false));
            assert_eq!(weight(&read("cpu.weight")), Ok(Weight::DEFAULT));
        }
    }

    #[test]
    fn no_limit_is_a_variant_and_the_largest_number_is_a_limit() {
        assert_eq!(limit(b"max\n"), Ok(Limit::Max));
        assert_eq!(limit(b"max"), Ok(Limit::Max));
        assert_eq!(limit(b"18446744073709551615\n"), Ok(Limit::At(u64::MAX)));
    }

    #[test]
    fn the_weight_of_an_idle_group_is_none_and_says_why() {
        assert_eq!(weight(b"0\n"), Err(Absent::Busy));
        assert_eq!(weight(b"10001\n"), Err(Absent::Malformed));
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for bad in [
            &b""[..],
            b"\n",
            b"max\n\n",
            b"Max\n",
            b"maximum\n",
            b"1 2\n",
            b" 1\n",
            b"-1\n",
            b"1G\n",
        ] {
            assert_eq!(limit(bad), Err(Absent::Malformed), "{bad:?}");
            assert_eq!(count(bad), Err(Absent::Malformed), "{bad:?}");
            assert_eq!(truth(bad), Err(Absent::Malformed), "{bad:?}");
            assert_eq!(weight(bad), Err(Absent::Malformed), "{bad:?}");
        }
        assert_eq!(truth(b"2\n"), Err(Absent::Malformed));
        assert_eq!(count(b"max\n"), Err(Absent::Malformed));
    }

    proptest! {
        #[test]
        fn any_number_comes_back_with_and_without_its_newline(value: u64) {
            let text = format!("{value}\n");
            prop_assert_eq!(limit(text.as_bytes()), Ok(Limit::At(value)));
            prop_assert_eq!(count(text.trim_end().as_bytes()), Ok(value));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (limit(&bytes), truth(&bytes), weight(&bytes));
        }
    }
}
