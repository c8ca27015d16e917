//! `/proc/loadavg`: how many tasks there are.
//!
//! ```text
//! 0.35 0.18 0.11 2/213 1290
//! ```
//! The fourth field is tasks that run or wait for a CPU, and all tasks of the host, threads included
//! (`nr_threads`). What counts against `kernel.threads-max` is the latter, whatever PID namespace it is
//! read in.

use super::text::{number, one_line, words};
use crate::model::{Absent, Reading};

/// All tasks of the host.
///
/// # Errors
/// [`Absent::Malformed`].
pub fn tasks(text: &[u8]) -> Reading<u64> {
    let field = words(one_line(text)).nth(3).ok_or(Absent::Malformed)?;
    let (_, all) = super::text::split_once(field, b'/').ok_or(Absent::Malformed)?;
    number(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn the_tasks_of_both_kernels_are_read() {
        for kernel in Kernel::BOTH {
            let tasks = tasks(&fixtures::read(kernel, "proc_loadavg"));
            assert!(
                tasks.is_ok_and(|tasks| (1..1_000).contains(&tasks)),
                "{kernel:?}"
            );
        }
        assert_eq!(tasks(b"0.35 0.18 0.11 2/213 1290\n"), Ok(213));
    }

    #[test]
    fn what_is_no_such_line_is_malformed() {
        for text in [
            "",
            "0.35 0.18 0.11",
            "1 2 3 213 4",
            "1 2 3 2/x 4",
            "1 2 3 2/ 4",
        ] {
            assert_eq!(tasks(text.as_bytes()), Err(Absent::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = tasks(&bytes);
        }
    }
}
