//! PSI: `*.pressure` and `/proc/pressure/*`, and the line that arms a trigger.
//!
//! ```text
//! some avg10=40.19 avg60=8.48 avg300=1.81 total=5488436
//! full avg10=37.27 avg60=7.85 avg300=1.68 total=5097400
//! ```
//!
//! Only `total` is taken, in microseconds: the averages are refreshed every two seconds.

use super::text::{Pen, lines, number, words};
use crate::model::{Absent, Reading, Span, Stall};

/// Room for the longest trigger line: a word, two numbers of at most eight digits, two blanks, a
/// newline. The kernel takes 32 bytes at most.
pub const TRIGGER_MAX: usize = 24;

/// The longest window of a trigger. (The shortest was 500 ms before kernel 6.4; the host knows.)
const WINDOW_MAX: Span = Span(10_000_000);

/// Which stall a trigger watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StallKind {
    /// At least one task waits.
    Some,
    /// All tasks that are not idle wait.
    Full,
}

/// The totals of a PSI file.
///
/// `full` is zero where the file has no such line: `cpu.pressure` before kernel 5.13. (At the root,
/// `cpu` has the line and it always reads zero.)
///
/// # Errors
/// [`Absent::Malformed`] without exactly one `some` line that has a `total` (`irq.pressure` has
/// none), or with a `full` line that has no `total`.
pub fn parse(text: &[u8]) -> Reading<Stall> {
    let mut some = None;
    let mut full = None;
    for line in lines(text)? {
        let mut words = words(line);
        let place = match words.next() {
            Some(b"some") => &mut some,
            Some(b"full") => &mut full,
            _ => continue,
        };
        if place.is_some() {
            return Err(Absent::Malformed);
        }
        let total = words
            .find_map(|word| word.strip_prefix(b"total="))
            .ok_or(Absent::Malformed)?;
        *place = Some(Span(number(total)?));
    }
    Ok(Stall {
        some: some.ok_or(Absent::Malformed)?,
        full: full.unwrap_or(Span::ZERO),
    })
}

/// The line that arms a trigger: POLLPRI when tasks stalled for `threshold` within `window`.
///
/// It ends with a newline, and must be written with it: the kernel overwrites the last byte that
/// `/proc/pressure/*` is given, whatever it is, and without a newline a window of 1 s is one of 100 ms.
///
/// # Errors
/// [`Absent::Refused`] for what no kernel takes: a threshold of zero or above the window, a window
/// above 10 s.
pub fn trigger(
    kind: StallKind,
    threshold: Span,
    window: Span,
    room: &mut [u8; TRIGGER_MAX],
) -> Reading<&[u8]> {
    if threshold == Span::ZERO || threshold > window || window > WINDOW_MAX {
        return Err(Absent::Refused);
    }
    let word: &[u8] = match kind {
        StallKind::Some => b"some ",
        StallKind::Full => b"full ",
    };
    Ok(Pen::new(room)
        .bytes(word)
        .number(threshold.micros())
        .bytes(b" ")
        .number(window.micros())
        .bytes(b"\n")
        .finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    fn stall(some: u64, full: u64) -> Reading<Stall> {
        Ok(Stall {
            some: Span(some),
            full: Span(full),
        })
    }

    #[test]
    fn the_totals_of_both_kernels_are_read() {
        let table = [
            (Kernel::V6_1, "cpu.pressure", 5_488_436, 5_097_400),
            (Kernel::V6_12, "cpu.pressure", 5_621_842, 5_194_051),
            (Kernel::V6_12, "memory.pressure", 1_774_881, 905_383),
            (Kernel::V6_12, "io.pressure", 122_693, 156),
            (Kernel::V6_12, "proc_pressure_memory", 1_977_138, 854_214),
        ];
        for (kernel, file, some, full) in table {
            let text = fixtures::read(kernel, file);
            assert_eq!(parse(&text), stall(some, full), "{kernel:?} {file}");
        }
    }

    #[test]
    fn the_root_has_no_full_cpu_stall() {
        for (kernel, some) in [(Kernel::V6_1, 5_994_148), (Kernel::V6_12, 6_794_339)] {
            let text = fixtures::read(kernel, "root_cpu.pressure");
            assert_eq!(parse(&text), stall(some, 0), "{kernel:?}");
        }
        // Before 5.13 cpu.pressure had one line.
        assert_eq!(
            parse(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
            stall(7, 0)
        );
    }

    #[test]
    fn lines_and_keys_are_found_by_label_in_any_order_and_new_ones_are_skipped() {
        assert_eq!(
            parse(b"most total=1\nfull total=3 avg10=0.00\nsome avg5=1.0 total=9 later=4\n"),
            stall(9, 3)
        );
    }

    #[test]
    fn what_is_not_exact_is_malformed_and_never_calm() {
        for bad in [
            &b""[..],
            b"\n",
            b"some avg10=0.00 avg60=0.00 avg300=0.00\n",
            b"some total=\n",
            b"some total=-1\n",
            b"some total=1x\n",
            b"some total=18446744073709551616\n",
            b"some total=12",
            b"some total=1\nfull avg10=0.00\n",
            b"some total=1\nsome total=2\n",
            b"full total=1\n",
            b"some\ttotal=1\n",
        ] {
            assert_eq!(parse(bad), Err(Absent::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_trigger_line_is_as_the_kernel_wants_it() {
        let mut room = [0; TRIGGER_MAX];
        let text = trigger(
            StallKind::Some,
            Span::from_millis(50),
            Span::from_millis(500),
            &mut room,
        );
        assert_eq!(text, Ok(&b"some 50000 500000\n"[..]));
        let text = trigger(StallKind::Full, WINDOW_MAX, WINDOW_MAX, &mut room);
        assert_eq!(text, Ok(&b"full 10000000 10000000\n"[..]));
    }

    #[test]
    fn a_trigger_that_no_kernel_takes_is_refused() {
        let mut room = [0; TRIGGER_MAX];
        for (threshold, window) in [(0, 1_000_000), (2, 1), (1, 10_000_001)] {
            assert_eq!(
                trigger(StallKind::Some, Span(threshold), Span(window), &mut room),
                Err(Absent::Refused)
            );
        }
    }

    proptest! {
        #[test]
        fn any_totals_come_back(some: u64, full: u64) {
            let text = format!(
                "some avg10=0.10 avg60=0.00 avg300=9.99 total={some}\n\
                 full avg10=0.00 avg60=0.00 avg300=0.00 total={full}\n"
            );
            prop_assert_eq!(parse(text.as_bytes()), stall(some, full));
        }

        #[test]
        fn a_cut_text_is_never_read(some in 10_u64.., keep in 0_usize..60) {
            let text = format!("some avg10=0.10 avg60=0.00 avg300=9.99 total={some}\n");
            let keep = keep.min(text.len() - 1);
            prop_assert_eq!(parse(&text.as_bytes()[..keep]), Err(Absent::Malformed));
        }

        #[test]
        fn every_trigger_fits_its_room(threshold in 1_u64..=10_000_000, more in 0_u64..10_000_000) {
            let window = Span((threshold + more).min(10_000_000));
            let mut room = [0; TRIGGER_MAX];
            let text = trigger(StallKind::Full, Span(threshold), window, &mut room);
            let wanted = format!("full {threshold} {}\n", window.micros());
            prop_assert_eq!(text, Ok(wanted.as_bytes()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
