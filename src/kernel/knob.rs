//! The text of a knob: what to write, what it means, what the kernel will show after a write.
//!
//! Two questions come up after every write, and both are about meaning, not about bytes:
//! *did it stick?* (compare with [`shown`], because the kernel rounds sizes down to pages) and *is
//! it still what it was?* ([`same`]).
//!
//! What depends on another knob is not known here. While `cpu.idle` is 1, `cpu.weight` cannot be
//! written and shows 0 on 6.1 and 1 on 6.12, whatever it was; writing `cpu.idle` 0 makes it 100. So a
//! weight means something only where `cpu.idle` was read as 0.

use super::text::Pen;
use super::{cpu_max, nested, single};
use crate::model::{Absent, Bytes, IoMax, Knob, KnobValue, Limit, Reading, Span};

/// Room for the longest text of any knob.
pub const KNOB_TEXT: usize = nested::IO_MAX_TEXT;

/// The text to write, without a newline.
pub fn encode(value: KnobValue, room: &mut [u8; KNOB_TEXT]) -> &[u8] {
    let pen = Pen::new(room);
    match value {
        KnobValue::Frozen(frozen) => pen.bytes(if frozen { b"1" } else { b"0" }),
        // Of the two by turns that which takes something away: it is this that must be undone.
        KnobValue::Pulses(_) => pen.bytes(b"1"),
        KnobValue::Idle(idle) => pen.bytes(if idle { b"1" } else { b"0" }),
        KnobValue::Weight(weight) => pen.number(u64::from(weight.get())),
        KnobValue::CpuMax(value) => cpu_max::put(value, pen),
        KnobValue::Burst(span) => pen.number(span.micros()),
        KnobValue::Bytes(Limit::Max) | KnobValue::Tasks(Limit::Max) => pen.bytes(b"max"),
        KnobValue::Bytes(Limit::At(bytes)) => pen.number(bytes.0),
        KnobValue::Tasks(Limit::At(tasks)) => pen.number(tasks),
        KnobValue::IoMax(device, max) => nested::put(device, max, pen),
    }
    .finish()
}

/// What a text of this knob means, with or without its newline.
///
/// # Errors
/// [`Absent::Malformed`]; for the weight of an idle cgroup see
/// [`single::weight`].
pub fn decode(knob: Knob, text: &[u8]) -> Reading<KnobValue> {
    match knob {
        Knob::CgroupFreeze => single::truth(text).map(KnobValue::Frozen),
        Knob::CpuIdle => single::truth(text).map(KnobValue::Idle),
        Knob::CpuWeight => single::weight(text).map(KnobValue::Weight),
        Knob::CpuMax => cpu_max::parse(text).map(KnobValue::CpuMax),
        Knob::CpuMaxBurst => single::count(text).map(|us| KnobValue::Burst(Span(us))),
        Knob::MemoryHigh | Knob::MemorySwapMax => single::bytes_limit(text).map(KnobValue::Bytes),
        Knob::PidsMax => single::limit(text).map(KnobValue::Tasks),
        Knob::IoMax(device) => match nested::io_max_line(text)? {
            (of, max) if of == device => Ok(KnobValue::IoMax(device, max)),
            _ => Err(Absent::Malformed),
        },
    }
}

/// What the kernel will show after `value` was written, on a host with pages of `page` bytes.
///
/// Sizes are rounded down to whole pages, and one that is too large to count is no limit, as with the limits
/// of `io.max` (64 bits of bytes, 32 of operations). All else is shown as it was written: every weight from 1 to 10000 survives the kernel's own scale. (Seen
/// on 6.1 and 6.12.)
#[must_use]
pub fn shown(value: KnobValue, page: Bytes) -> KnobValue {
    match value {
        KnobValue::Bytes(Limit::At(bytes)) => {
            let page = page.0.max(1);
            // The kernel's PAGE_COUNTER_MAX, where a long has 64 bits.
            let none = i64::MAX.unsigned_abs() / page;
            match bytes.0 / page {
                pages if pages >= none => KnobValue::Bytes(Limit::Max),
                pages => KnobValue::Bytes(Limit::At(Bytes(pages * page))),
            }
        }
        KnobValue::IoMax(device, max) => {
            let countable = |limit: Limit<u64>, most: u64| match limit {
                Limit::At(value) if value >= most => Limit::Max,
                other => other,
            };
            let bytes = |limit: Limit<Bytes>| match limit {
                Limit::At(Bytes(u64::MAX)) => Limit::Max,
                other => other,
            };
            let shown = IoMax {
                rbps: bytes(max.rbps),
                wbps: bytes(max.wbps),
                riops: countable(max.riops, u64::from(u32::MAX)),
                wiops: countable(max.wiops, u64::from(u32::MAX)),
            };
            KnobValue::IoMax(device, shown)
        }
        other => other,
    }
}

/// Whether two texts of this knob mean the same to the kernel. Texts that mean nothing are the same
/// only if they are equal byte for byte.
#[must_use]
pub fn same(knob: Knob, a: &[u8], b: &[u8]) -> bool {
    match (decode(knob, a), decode(knob, b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Whether the text of a knob is what stands in the whole of its file: in `io.max` that is the line of one device,
/// and none where nothing is limited.
#[must_use]
pub fn stands(file: &[u8], text: &[u8]) -> bool {
    let is_all = file.strip_suffix(b"\n").unwrap_or(file) == text;
    is_all
        || nested::io_max_line(text)
            .is_ok_and(|(device, max)| nested::io_max_of(file, device) == Ok(max))
}

/// Whether `value` leaves more than what stands in `text`. What cannot be compared does not: `cpu.idle`,
/// bursts, and texts that mean nothing.
#[must_use]
pub fn is_looser(value: KnobValue, knob: Knob, text: &[u8]) -> bool {
    let limit = |new: Limit<u128>, old: Limit<u128>| match (new, old) {
        (_, Limit::Max) => false,
        (Limit::Max, Limit::At(_)) => true,
        (Limit::At(new), Limit::At(old)) => new > old,
    };
    match (value, decode(knob, text)) {
        // Pulses let somebody run whom another has stopped.
        (KnobValue::Frozen(false) | KnobValue::Pulses(_), Ok(KnobValue::Frozen(true))) => true,
        (KnobValue::Weight(new), Ok(KnobValue::Weight(old))) => new > old,
        (KnobValue::Bytes(new), Ok(KnobValue::Bytes(old))) => {
            let plain = |limit| match limit {
                Limit::Max => Limit::Max,
                Limit::At(Bytes(bytes)) => Limit::At(u128::from(bytes)),
            };
            limit(plain(new), plain(old))
        }
        (KnobValue::Tasks(new), Ok(KnobValue::Tasks(old))) => {
            let plain = |limit| match limit {
                Limit::Max => Limit::Max,
                Limit::At(tasks) => Limit::At(u128::from(tasks)),
            };
            limit(plain(new), plain(old))
        }
        (KnobValue::IoMax(_, new), Ok(KnobValue::IoMax(_, old))) => {
            let bytes = |max: Limit<Bytes>| match max {
                Limit::Max => Limit::Max,
                Limit::At(Bytes(bytes)) => Limit::At(u128::from(bytes)),
            };
            let count = |max: Limit<u64>| match max {
                Limit::Max => Limit::Max,
                Limit::At(count) => Limit::At(u128::from(count)),
            };
            limit(bytes(new.rbps), bytes(old.rbps))
                || limit(bytes(new.wbps), bytes(old.wbps))
                || limit(count(new.riops), count(old.riops))
                || limit(count(new.wiops), count(old.wiops))
        }
        (KnobValue::CpuMax(new), Ok(KnobValue::CpuMax(old))) => {
            // Quotas are compared by the time that they leave in both periods together.
            let over = |quota: Limit<Span>, period: Span| match quota {
                Limit::Max => Limit::Max,
                Limit::At(quota) => Limit::At(u128::from(quota.0) * u128::from(period.0)),
            };
            limit(over(new.quota, old.period), over(old.quota, new.period))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use crate::model::{Absent, CpuMax, ORIGINAL_MAX, Pulses, Weight};
    use proptest::prelude::*;

    const PAGE: Bytes = Bytes(4_096);

    /// A knob and a value of its kind.
    fn any_value() -> impl Strategy<Value = (Knob, KnobValue)> {
        let span = any::<u64>().prop_map(Span);
        let limit = |max: bool, value: u64| {
            if max {
                Limit::Max
            } else {
                Limit::At(Bytes(value))
            }
        };
        let bytes = (any::<bool>(), any::<u64>()).prop_map(move |(max, value)| limit(max, value));
        prop_oneof![
            any::<bool>().prop_map(|frozen| (Knob::CgroupFreeze, KnobValue::Frozen(frozen))),
            any::<bool>().prop_map(|idle| (Knob::CpuIdle, KnobValue::Idle(idle))),
            (1_u32..=10_000).prop_map(|weight| {
                let weight = Weight::new(weight).expect("in range");
                (Knob::CpuWeight, KnobValue::Weight(weight))
            }),
            (any::<Option<u64>>(), any::<u64>()).prop_map(|(quota, period)| {
                let value = CpuMax {
                    quota: quota.map_or(Limit::Max, |quota| Limit::At(Span(quota))),
                    period: Span(period),
                };
                (Knob::CpuMax, KnobValue::CpuMax(value))
            }),
            span.prop_map(|span| (Knob::CpuMaxBurst, KnobValue::Burst(span))),
            bytes
                .clone()
                .prop_map(|limit| (Knob::MemoryHigh, KnobValue::Bytes(limit))),
            bytes.prop_map(|limit| (Knob::MemorySwapMax, KnobValue::Bytes(limit))),
            any::<Option<u64>>().prop_map(|tasks| {
                let limit = tasks.map_or(Limit::Max, Limit::At);
                (Knob::PidsMax, KnobValue::Tasks(limit))
            }),
        ]
    }

    #[test]
    fn every_knob_of_both_kernels_is_decoded_and_encoded_byte_for_byte() {
        for kernel in Kernel::BOTH {
            for knob in Knob::FILES {
                let text = fixtures::read(kernel, knob.file());
                let value = decode(knob, &text).expect("every fixture is of its form");
                let mut room = [0; KNOB_TEXT];
                let mut again = encode(value, &mut room).to_vec();
                again.push(b'\n');
                assert_eq!(again, text, "{kernel:?} {}", knob.file());
                assert_eq!(shown(value, PAGE), value, "{kernel:?} {}", knob.file());
            }
        }
    }

    #[test]
    fn the_text_of_pulses_is_that_which_must_be_undone() {
        let mut room = [0; KNOB_TEXT];
        let value = KnobValue::Pulses(Pulses {
            thawed: Span::from_millis(1),
            period: Span::from_millis(20),
        });
        let text = encode(value, &mut room);
        assert_eq!(text, b"1");
        assert_eq!(
            decode(Knob::CgroupFreeze, text),
            Ok(KnobValue::Frozen(true))
        );
    }

    #[test]
    fn every_knob_text_can_be_kept_as_an_original() {
        const { assert!(KNOB_TEXT <= ORIGINAL_MAX) };
    }

    #[test]
    fn the_line_of_one_device_stands_in_a_file_of_several() {
        let file =
            b"8:0 rbps=5 wbps=max riops=max wiops=max\n8:16 rbps=max wbps=max riops=9 wiops=max\n";
        assert!(stands(file, b"8:16 rbps=max wbps=max riops=9 wiops=max"));
        assert!(!stands(file, b"8:16 rbps=max wbps=max riops=8 wiops=max"));
        assert!(stands(file, b"8:32 rbps=max wbps=max riops=max wiops=max"));
        assert!(!stands(file, b"8:0 rbps=max wbps=max riops=max wiops=max"));
        assert!(stands(b"max 100000\n", b"max 100000"));
        assert!(!stands(b"max 100000\n", b"max 10000"));
    }

    #[test]
    fn a_size_is_shown_rounded_down_to_pages() {
        let at = |bytes| KnobValue::Bytes(Limit::At(Bytes(bytes)));
        let none = KnobValue::Bytes(Limit::Max);
        let table = [
            (at(0), 4_096, at(0)),
            (at(4_095), 4_096, at(0)),
            (at(4_096), 4_096, at(4_096)),
            (at(1_000_000), 4_096, at(999_424)),
            (at(1_000_000), 65_536, at(983_040)),
            (
                at(9_223_372_036_854_771_711),
                4_096,
                at(9_223_372_036_854_767_616),
            ),
            (at(9_223_372_036_854_771_712), 4_096, none),
            (at(u64::MAX), 4_096, none),
            (none, 4_096, none),
        ];
        for (value, page, wanted) in table {
            assert_eq!(shown(value, Bytes(page)), wanted, "{value:?} {page}");
        }
    }

    #[test]
    fn a_page_size_of_zero_is_survived() {
        let value = KnobValue::Bytes(Limit::At(Bytes(5)));
        assert_eq!(shown(value, Bytes(0)), value);
    }

    #[test]
    fn looser_is_what_leaves_more() {
        let max = |quota, period| {
            KnobValue::CpuMax(CpuMax {
                quota,
                period: Span(period),
            })
        };
        let weight = |value| KnobValue::Weight(Weight::new(value).unwrap());
        let pulses = KnobValue::Pulses(Pulses {
            thawed: Span::from_millis(5),
            period: Span::from_millis(20),
        });
        let bytes = KnobValue::Bytes;
        let table = [
            (weight(9), Knob::CpuWeight, "5", true),
            (weight(5), Knob::CpuWeight, "5", false),
            (weight(5), Knob::CpuWeight, "0", false),
            (bytes(Limit::Max), Knob::MemoryHigh, "4096", true),
            (bytes(Limit::Max), Knob::MemoryHigh, "max", false),
            (bytes(Limit::At(Bytes(8))), Knob::MemoryHigh, "4", true),
            (bytes(Limit::At(Bytes(8))), Knob::MemoryHigh, "max", false),
            (
                max(Limit::At(Span(2_000)), 10_000),
                Knob::CpuMax,
                "10000 100000",
                true,
            ),
            (
                max(Limit::At(Span(1_000)), 10_000),
                Knob::CpuMax,
                "10000 100000",
                false,
            ),
            (
                max(Limit::At(Span(u64::MAX)), 1),
                Knob::CpuMax,
                "max 100000",
                false,
            ),
            (KnobValue::Tasks(Limit::At(9)), Knob::PidsMax, "8", true),
            (KnobValue::Tasks(Limit::At(9)), Knob::PidsMax, "9", false),
            (KnobValue::Tasks(Limit::At(9)), Knob::PidsMax, "max", false),
            (KnobValue::Idle(false), Knob::CpuIdle, "1", false),
            (pulses, Knob::CgroupFreeze, "1", true),
            (pulses, Knob::CgroupFreeze, "0", false),
        ];
        for (value, knob, text, looser) in table {
            assert_eq!(
                is_looser(value, knob, text.as_bytes()),
                looser,
                "{value:?} {text}"
            );
        }
    }

    #[test]
    fn same_is_about_meaning() {
        assert!(same(Knob::MemoryHigh, b"4096", b"4096\n"));
        assert!(same(Knob::CpuMax, b"max 100000\n", b"max 100000"));
        assert!(!same(Knob::CpuMax, b"max 100000", b"max 50000"));
        assert!(!same(Knob::MemoryHigh, b"max", b"18446744073709551615"));
        assert!(same(Knob::CpuWeight, b"0", b"0"));
        assert!(!same(Knob::CpuWeight, b"0", b"100"));
        assert!(!same(Knob::CpuWeight, b"", b"100"));
    }

    #[test]
    fn what_the_knob_cannot_hold_is_malformed() {
        assert_eq!(decode(Knob::CpuIdle, b"2"), Err(Absent::Malformed));
        assert_eq!(decode(Knob::CpuWeight, b"max"), Err(Absent::Malformed));
        assert_eq!(decode(Knob::CpuMax, b"30000"), Err(Absent::Malformed));
        assert_eq!(decode(Knob::CpuMaxBurst, b"max"), Err(Absent::Malformed));
        assert_eq!(decode(Knob::MemoryHigh, b"1G"), Err(Absent::Malformed));
    }

    proptest! {
        #[test]
        fn any_value_of_a_knob_comes_back((knob, value) in any_value()) {
            let mut room = [0; KNOB_TEXT];
            let text = encode(value, &mut room);
            prop_assert!(!text.is_empty());
            prop_assert_eq!(decode(knob, text), Ok(value));
            prop_assert!(same(knob, text, text));
        }

        #[test]
        fn what_is_shown_is_shown_again((_, value) in any_value(), shift in 12_u32..17) {
            let page = Bytes(1 << shift);
            let once = shown(value, page);
            prop_assert_eq!(shown(once, page), once);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            for knob in Knob::FILES {
                let _ = decode(knob, &bytes);
            }
        }
    }
}
