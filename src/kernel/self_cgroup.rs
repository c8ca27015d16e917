//! `/proc/PID/cgroup`: where a process lives.
//!
//! ```text
//! 0::/fixture.slice/busy
//! ```
//!
//! On a hybrid host the lines of v1 hierarchies stand beside it (`4:memory:/…`). The kernel lets no
//! cgroup name hold a newline, so that a line is a line whatever a container calls its cgroups.

use super::text::lines;
use crate::model::{Absent, Reading};

/// The path of the process in the v2 hierarchy, as seen from the reader's cgroup namespace: `/` and
/// any bytes but newline and NUL. It begins with `/..` for a process outside that namespace, and
/// ends with ` (deleted)` for one whose cgroup was removed (or is called so).
///
/// # Errors
/// [`Absent::Unsupported`] where there is no v2 line: a host of v1 only. [`Absent::Malformed`] if
/// the text is empty or was cut, or the path does not begin with `/`.
pub fn parse(text: &[u8]) -> Reading<&[u8]> {
    if text.is_empty() {
        return Err(Absent::Malformed);
    }
    let path = lines(text)?
        .find_map(|line| line.strip_prefix(b"0::"))
        .ok_or(Absent::Unsupported)?;
    if path.starts_with(b"/") {
        Ok(path)
    } else {
        Err(Absent::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    #[test]
    fn the_path_of_both_kernels_is_read() {
        for kernel in Kernel::BOTH {
            assert_eq!(
                parse(&fixtures::read(kernel, "proc_self_cgroup")),
                Ok(&b"/"[..])
            );
            assert_eq!(
                parse(&fixtures::read(kernel, "proc_hog_cgroup")),
                Ok(&b"/fixture.slice/busy"[..])
            );
        }
    }

    #[test]
    fn the_v2_line_is_found_among_those_of_v1() {
        let text = b"9:name=systemd:/0::/x\n4:memory:/job\n0::/a::b c\n";
        assert_eq!(parse(text), Ok(&b"/a::b c"[..]));
    }

    #[test]
    fn a_host_of_v1_only_says_so() {
        assert_eq!(parse(b"4:memory:/job\n10::/x\n"), Err(Absent::Unsupported));
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for bad in [&b""[..], b"0::/cut", b"0::\n", b"0::x\n"] {
            assert_eq!(parse(bad), Err(Absent::Malformed), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_path_comes_back(name in prop::collection::vec(any::<u8>(), 0..4096)) {
            let name: Vec<u8> = name.into_iter().filter(|byte| *byte != b'\n').collect();
            let text = [b"1:cpu:/\n0::/", &name[..], b"\n"].concat();
            prop_assert_eq!(parse(&text), Ok(&[b"/", &name[..]].concat()[..]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
