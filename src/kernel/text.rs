//! What all grammars share: lines, words, exact decimal numbers, and a pen for fixed buffers.

use crate::model::{Absent, Limit, Reading};

/// An exact decimal number: digits only, at least one, at most `u64::MAX`.
///
/// # Errors
/// [`Absent::Malformed`] for anything else: a sign, a blank, an overflow, nothing.
pub(super) fn number(text: &[u8]) -> Reading<u64> {
    if text.is_empty() {
        return Err(Absent::Malformed);
    }
    text.iter()
        .try_fold(0_u64, |value, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            value.checked_mul(10)?.checked_add(u64::from(digit))
        })
        .ok_or(Absent::Malformed)
}

/// Like [`number`], for what the kernel keeps in 32 bits.
pub(super) fn number32(text: &[u8]) -> Reading<u32> {
    u32::try_from(number(text)?).map_err(|_| Absent::Malformed)
}

/// A [`number`], or the kernel's word for no limit.
///
/// # Errors
/// [`Absent::Malformed`] for anything else.
pub(super) fn limit(text: &[u8]) -> Reading<Limit<u64>> {
    match text {
        b"max" => Ok(Limit::Max),
        digits => number(digits).map(Limit::At),
    }
}

/// The lines of a whole text. An empty text has none.
///
/// # Errors
/// [`Absent::Malformed`] where the last line has no newline: it was cut.
pub(super) fn lines(text: &[u8]) -> Reading<impl Iterator<Item = &[u8]>> {
    if !text.is_empty() && !text.ends_with(b"\n") {
        return Err(Absent::Malformed);
    }
    Ok(whole_lines(text))
}

/// The lines of a text that may have been cut: one without its newline is left out.
pub(super) fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
}

/// The words of a line: what stands between blanks.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
}

/// What stands before and after the first `separator`.
pub(super) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The content of a file of one line, with or without its newline.
pub(super) fn one_line(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

/// Writes text into a buffer of fixed size.
///
/// Every caller's buffer is as long as its longest text, so what does not fit is never cut in
/// practice; should it be, then [`finish`](Pen::finish) gives nothing rather than a shorter number.
pub(super) struct Pen<'a> {
    room: &'a mut [u8],
    used: usize,
    overrun: bool,
}

impl<'a> Pen<'a> {
    pub(super) fn new(room: &'a mut [u8]) -> Pen<'a> {
        Pen {
            room,
            used: 0,
            overrun: false,
        }
    }

    pub(super) fn bytes(mut self, text: &[u8]) -> Pen<'a> {
        let end = self.used.saturating_add(text.len());
        match self.room.get_mut(self.used..end) {
            Some(place) => {
                place.copy_from_slice(text);
                self.used = end;
            }
            None => self.overrun = true,
        }
        self
    }

    pub(super) fn number(self, value: u64) -> Pen<'a> {
        // 20 digits hold u64::MAX.
        let mut digits = [b'0'; 20];
        let mut rest = value;
        let mut from = digits.len();
        for place in digits.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            from -= 1;
            if rest == 0 {
                break;
            }
        }
        let used = digits.get(from..).unwrap_or_default();
        self.bytes(used)
    }

    pub(super) fn finish(self) -> &'a [u8] {
        if self.overrun {
            return &[];
        }
        self.room.get(..self.used).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_digits_only_and_fits() {
        assert_eq!(number(b"0"), Ok(0));
        assert_eq!(number(b"007"), Ok(7));
        assert_eq!(number(b"18446744073709551615"), Ok(u64::MAX));
        for bad in [
            &b""[..],
            b"18446744073709551616",
            b"-1",
            b"+1",
            b"1 ",
            b" 1",
            b"0x1",
            b"1.0",
            b"1\n",
            b"\xff",
        ] {
            assert_eq!(number(bad), Err(Absent::Malformed), "{bad:?}");
        }
        assert_eq!(number32(b"4294967296"), Err(Absent::Malformed));
    }

    #[test]
    fn a_cut_line_is_never_given_out() {
        assert!(lines(b"a 1\nb 12").is_err());
        let whole: Vec<&[u8]> = whole_lines(b"a 1\n\nb 12").collect();
        assert_eq!(whole, [&b"a 1"[..], b""]);
        assert_eq!(lines(b"").map(Iterator::count), Ok(0));
    }

    #[test]
    fn a_pen_that_runs_over_gives_nothing_rather_than_a_shorter_number() {
        let mut room = [0; 3];
        assert_eq!(Pen::new(&mut room).number(1234).finish(), b"");
        assert_eq!(Pen::new(&mut room).number(123).finish(), b"123");
    }

    proptest! {
        #[test]
        fn every_number_is_written_as_std_writes_it(value: u64) {
            let mut room = [0; 20];
            let text = Pen::new(&mut room).number(value).finish();
            prop_assert_eq!(text, value.to_string().into_bytes());
            prop_assert_eq!(number(text), Ok(value));
        }
    }
}
