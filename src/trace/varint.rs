//! Numbers to bytes and back: seven bits a byte, the lowest first.

/// Appends a number.
pub(super) fn put(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Appends how far `to` is from `from`; near in either direction is short, and nothing is lost
/// whatever the two are.
pub(super) fn put_delta(from: u64, to: u64, into: &mut Vec<u8>) {
    let delta = to.wrapping_sub(from) as i64;
    put(((delta << 1) ^ (delta >> 63)) as u64, into);
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'b> {
    rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Cursor<'b> {
        Cursor { rest: bytes }
    }

    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number; `None` where the bytes end in it, or it has more than 64 bits.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number that is at most `most`.
    pub(super) fn count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= most)
    }

    /// What is as far from `from` as was [put](put_delta).
    pub(super) fn delta(&mut self, from: u64) -> Option<u64> {
        let folded = self.number()?;
        let delta = (folded >> 1) ^ (folded & 1).wrapping_neg();
        Some(from.wrapping_add(delta))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_and_every_delta_comes_back(from: u64, to: u64) {
            let mut bytes = Vec::new();
            put(to, &mut bytes);
            put_delta(from, to, &mut bytes);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.number(), Some(to));
            prop_assert_eq!(cursor.delta(from), Some(to));
            prop_assert!(cursor.is_empty());
        }
    }

    #[test]
    fn a_small_step_in_either_direction_is_one_byte() {
        for to in [1_000_000 - 64, 1_000_000, 1_000_000 + 63] {
            let mut bytes = Vec::new();
            put_delta(1_000_000, to, &mut bytes);
            assert_eq!(bytes.len(), 1, "{to}");
        }
    }

    #[test]
    fn a_number_that_ends_early_or_is_too_long_is_none() {
        assert_eq!(Cursor::new(&[]).number(), None);
        assert_eq!(Cursor::new(&[0x80]).number(), None);
        assert_eq!(Cursor::new(&[0xff; 10]).number(), None);
        assert_eq!(Cursor::new(&[0x80; 20]).number(), None);
    }
}
