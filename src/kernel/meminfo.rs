//! `/proc/meminfo`: `MemTotal:         989884 kB` a line.

use super::text::{lines, number, split_once, words};
use crate::model::{Absent, Bytes, Reading};

/// What we want from `/proc/meminfo`. Each is there or not for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meminfo {
    /// `MemTotal`.
    pub total: Reading<Bytes>,
    /// `MemAvailable`.
    pub available: Reading<Bytes>,
    /// `MemFree`.
    pub free: Reading<Bytes>,
    /// `SwapTotal`; zero without swap.
    pub swap_total: Reading<Bytes>,
    /// `SwapFree`.
    pub swap_free: Reading<Bytes>,
}

/// The sizes of the whole machine. A label that is missing, or whose value is not in kB, is
/// [`Absent::Malformed`] in its field; the others stand.
///
/// # Errors
/// [`Absent::Malformed`] if the text was cut.
pub fn parse(text: &[u8]) -> Reading<Meminfo> {
    let mut found = Meminfo {
        total: Err(Absent::Malformed),
        available: Err(Absent::Malformed),
        free: Err(Absent::Malformed),
        swap_total: Err(Absent::Malformed),
        swap_free: Err(Absent::Malformed),
    };
    for line in lines(text)? {
        let Some((label, value)) = split_once(line, b':') else {
            continue;
        };
        let place = match label {
            b"MemTotal" => &mut found.total,
            b"MemAvailable" => &mut found.available,
            b"MemFree" => &mut found.free,
            b"SwapTotal" => &mut found.swap_total,
            b"SwapFree" => &mut found.swap_free,
            _ => continue,
        };
        *place = kibibytes(value);
    }
    Ok(found)
}

fn kibibytes(value: &[u8]) -> Reading<Bytes> {
    let mut words = words(value);
    match (words.next(), words.next(), words.next()) {
        (Some(digits), Some(b"kB"), None) => number(digits)?
            .checked_mul(1_024)
            .map(Bytes)
            .ok_or(Absent::Malformed),
        _ => Err(Absent::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn the_sizes_of_both_kernels_are_read() {
        let found = parse(&fixtures::read(Kernel::V6_12, "proc_meminfo"));
        let wanted = Meminfo {
            total: Ok(Bytes(989_884 << 10)),
            available: Ok(Bytes(868_844 << 10)),
            free: Ok(Bytes(939_564 << 10)),
            swap_total: Ok(Bytes(262_140 << 10)),
            swap_free: Ok(Bytes(253_384 << 10)),
        };
        assert_eq!(found, Ok(wanted));
        let found = parse(&fixtures::read(Kernel::V6_1, "proc_meminfo")).expect("meminfo");
        for (name, size) in [
            ("total", found.total),
            ("available", found.available),
            ("free", found.free),
            ("swap total", found.swap_total),
            ("swap free", found.swap_free),
        ] {
            assert!(size.is_ok_and(|size| size > Bytes(0)), "{name}");
        }
    }

    #[test]
    fn one_missing_label_leaves_the_others() {
        let found = parse(b"MemTotal: 4 kB\nSwapTotal: 0 kB\nSwapFree: 0 MB\n").expect("whole");
        assert_eq!(found.total, Ok(Bytes(4_096)));
        assert_eq!(found.available, Err(Absent::Malformed));
        assert_eq!(found.swap_total, Ok(Bytes(0)));
        assert_eq!(found.swap_free, Err(Absent::Malformed));
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for bad in [
            &b"MemTotal: 4\n"[..],
            b"MemTotal: 4 kB 5\n",
            b"MemTotal: -4 kB\n",
            b"MemTotal: 18446744073709551615 kB\n",
            b"MemTotal 4 kB\n",
            b"XMemTotal: 4 kB\n",
            b"",
        ] {
            let total = parse(bad).and_then(|found| found.total);
            assert_eq!(total, Err(Absent::Malformed), "{bad:?}");
        }
        assert_eq!(parse(b"MemTotal: 4 kB\nMem"), Err(Absent::Malformed));
    }

    proptest! {
        #[test]
        fn any_size_comes_back(kib in 0_u64..1 << 54) {
            let text = format!("MemFree: 1 kB\nMemAvailable:   {kib} kB\n");
            let available = parse(text.as_bytes()).and_then(|found| found.available);
            prop_assert_eq!(available, Ok(Bytes(kib * 1_024)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
