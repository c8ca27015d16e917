//! Numbers as people read them. An absent value is `-`, never zero.

use crate::model::{Bytes, Limit};

/// What stands for a value that is not there.
pub(super) const ABSENT: &str = "-";

/// A fraction as a percentage: two digits that count.
pub(super) fn percent(share: Option<f64>) -> String {
    match share {
        None => ABSENT.to_owned(),
        Some(share) if share.abs() * 100.0 < 9.95 => format!("{:.1}", share * 100.0),
        Some(share) => format!("{:.0}", share * 100.0),
    }
}

/// A size.
pub(super) fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| ABSENT.to_owned(), |bytes| Bytes(bytes).to_string())
}

/// A count.
pub(super) fn count(value: Option<u64>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), |value| value.to_string())
}

/// A length of time: its two largest units.
pub(super) fn length(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return ABSENT.to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3_600 % 24),
    }
}

/// A value over its limit, both as `show` has it.
pub(super) fn of(
    value: Option<u64>,
    limit: Option<Limit<u64>>,
    show: fn(Option<u64>) -> String,
) -> String {
    let limit = match limit {
        None if value.is_none() => return ABSENT.to_owned(),
        None => ABSENT.to_owned(),
        Some(Limit::Max) => "max".to_owned(),
        Some(Limit::At(limit)) => show(Some(limit)),
    };
    format!("{} / {limit}", show(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_never_looks_like_calm() {
        assert_eq!(percent(None), "-");
        assert_eq!(percent(Some(0.0)), "0.0");
        assert_eq!(size(None), "-");
        assert_eq!(count(Some(0)), "0");
        assert_eq!(length(f64::NAN), "-");
    }

    #[test]
    fn lengths_show_their_two_largest_units() {
        let shown = [0.0, 9.94, 59.4, 61.0, 3_700.0, 90_000.0].map(length);
        assert_eq!(shown, ["0.0s", "9.9s", "59s", "1m01s", "1h01m", "1d01h"]);
    }

    #[test]
    fn percentages_show_two_digits_that_count() {
        let shown = [0.004, 0.0994, 0.5, 8.0].map(|share| percent(Some(share)));
        assert_eq!(shown, ["0.4", "9.9", "50", "800"]);
    }
}
