//! `cgroup.procs`: one process id a line, in no order, and any number of them.
//!
//! A container can make the list as long as it likes, so that a caller reads as much as it has room
//! for: an id that was cut off is left out.

use super::text::{number32, whole_lines};
use crate::model::{Absent, Reading};

/// The process ids of the lines that are whole. One that is 0 belongs to a process outside our pid
/// namespace and is left out.
///
/// # Errors
/// Each line by itself is [`Absent::Malformed`] if it is no positive 32-bit number.
pub fn parse(text: &[u8]) -> impl Iterator<Item = Reading<u32>> {
    whole_lines(text)
        .map(|line| match number32(line)? {
            pid if i32::try_from(pid).is_ok() => Ok(pid),
            _ => Err(Absent::Malformed),
        })
        .filter(|pid| *pid != Ok(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &[u8]) -> Vec<Reading<u32>> {
        parse(text).collect()
    }

    #[test]
    fn ids_are_read_and_a_cut_one_is_left_out() {
        assert_eq!(list(b"1\n4194303\n77\n12"), [Ok(1), Ok(4_194_303), Ok(77)]);
        assert_eq!(list(b""), []);
        assert_eq!(list(b"12"), []);
    }

    #[test]
    fn a_process_outside_our_namespace_is_left_out() {
        assert_eq!(list(b"0\n5\n0\n"), [Ok(5)]);
    }

    #[test]
    fn one_bad_line_leaves_the_others() {
        let bad = Err(Absent::Malformed);
        assert_eq!(list(b"x\n\n2147483648\n5\n"), [bad, bad, bad, Ok(5)]);
    }

    proptest! {
        #[test]
        fn any_list_comes_back(pids in prop::collection::vec(1_u32..1 << 22, 0..50)) {
            let text: String = pids.iter().map(|pid| format!("{pid}\n")).collect();
            let found: Reading<Vec<u32>> = parse(text.as_bytes()).collect();
            prop_assert_eq!(found, Ok(pids));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = list(&bytes);
        }
    }
}
