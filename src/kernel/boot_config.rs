//! `/boot/config-*`: what the kernel was built with. No system call tells its HZ.

use super::text::{number32, whole_lines};
use crate::model::{Absent, Reading};

/// Timer interrupts per second, from `CONFIG_HZ=250`: what a jiffy is, and with it how often a PSI
/// file may be read.
///
/// # Errors
/// [`Absent::Malformed`] without such a line, or for one outside 1 to 10,000.
pub fn hz(text: &[u8]) -> Reading<u32> {
    let value = whole_lines(text)
        .find_map(|line| line.strip_prefix(b"CONFIG_HZ="))
        .ok_or(Absent::Malformed)?;
    match number32(value)? {
        hz @ 1..=10_000 => Ok(hz),
        _ => Err(Absent::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hz_is_found_among_its_look_alikes() {
        let text =
            b"# CONFIG_HZ_PERIODIC is not set\n# CONFIG_HZ_100 is not set\nCONFIG_HZ_250=y\n\
            # CONFIG_HZ_1000 is not set\nCONFIG_HZ=250\nCONFIG_SCHED_HRTICK=y\n";
        assert_eq!(hz(text), Ok(250));
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for bad in [
            &b""[..],
            b"CONFIG_HZ=\n",
            b"CONFIG_HZ=0\n",
            b"CONFIG_HZ=10001\n",
            b"CONFIG_HZ=100",
            b" CONFIG_HZ=100\n",
            b"CONFIG_HZ=\"100\"\n",
        ] {
            assert_eq!(hz(bad), Err(Absent::Malformed), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = hz(&bytes);
        }
    }
}
