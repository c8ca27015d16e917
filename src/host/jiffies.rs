//! The kernel's HZ where its build configuration is not at hand, as in a container.
//!
//! No system call tells it. But the kernel's count of jiffies begins five minutes before its own
//! overflow of 32 bits, so that overflows are met early, and `/proc/schedstat` shows the count: with
//! the time since boot that is one equation for HZ.

use crate::kernel::flat;
use crate::model::{Absent, Reading, Span};

/// What kernels are built with.
const RATES: [u32; 4] = [100, 250, 300, 1000];

/// The count began so many seconds' worth of jiffies below 2^32.
const LEAD: f64 = 300.0;

/// How far the count may be from what a rate predicts, in seconds.
const TOLERANCE: f64 = 0.5;

/// HZ from the text of `/proc/schedstat` at this time since boot (monotonic, without suspends).
///
/// # Errors
/// [`Absent::NoFile`] where the text has no count; [`Absent::Malformed`] where no rate fits, or
/// more than one does: within seconds of five minutes after boot the count is the same for all.
pub(super) fn hz(schedstat: &[u8], since_boot: Span) -> Reading<u32> {
    let [count] = flat::lookup(schedstat, [b"timestamp"])?;
    let beyond = count.ok_or(Absent::NoFile)? as f64 - 2f64.powi(32);
    let seconds = since_boot.as_secs_f64() - LEAD;
    let mut fitting = RATES.into_iter().filter(|&rate| {
        let rate = f64::from(rate);
        (beyond - rate * seconds).abs() <= rate * TOLERANCE
    });
    match (fitting.next(), fitting.next()) {
        (Some(rate), None) => Ok(rate),
        _ => Err(Absent::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(count: i64) -> Vec<u8> {
        let count = (1i64 << 32) + count;
        format!("version 16\ntimestamp {count}\ncpu0 0 0 0 0 0 0 106438359574 1 2\n").into_bytes()
    }

    #[test]
    fn the_count_that_debians_kernels_show_means_250() {
        let on_6_1 = b"version 15\ntimestamp 4294913718\ncpu0 0 0 0\n";
        assert_eq!(hz(on_6_1, Span(85_800_000)), Ok(250));
        let on_6_12 = b"version 16\ntimestamp 4294929499\n";
        assert_eq!(hz(on_6_12, Span(148_800_000)), Ok(250));
    }

    #[test]
    fn every_rate_is_told_soon_after_boot_and_after_months() {
        for rate in RATES {
            for uptime in [2i64, 250, 330, 86_400, 10_000_000] {
                let count = (uptime - 300) * i64::from(rate);
                let since_boot = Span::from_secs(uptime.unsigned_abs());
                assert_eq!(hz(&text(count), since_boot), Ok(rate), "{rate} {uptime}");
            }
        }
    }

    #[test]
    fn nothing_is_guessed_where_all_rates_look_alike_or_none_fits() {
        assert_eq!(hz(&text(100), Span::from_secs(300)), Err(Absent::Malformed));
        let odd = 5_000 * 137;
        assert_eq!(
            hz(&text(odd), Span::from_secs(5_300)),
            Err(Absent::Malformed)
        );
        assert_eq!(hz(b"version 16\n", Span(1)), Err(Absent::NoFile));
    }
}
