//! A moment on the command line: a time of day, or so long ago.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// At this time of day, in microseconds since 1970 (UTC).
    At(i64),
    /// So long before whatever counts as now.
    Ago(Duration),
}

impl Moment {
    /// In microseconds since 1970, where `now` is.
    pub(super) fn wall_us(self, now: i64) -> i64 {
        match self {
            Moment::At(at) => at,
            Moment::Ago(ago) => now.saturating_sub(micros(ago)),
        }
    }
}

/// For clap: `2026-11-24T03:00:00.5Z`, `2026-11-24 03:00:00`, or `5m`.
pub(super) fn parse(text: &str) -> Result<Moment, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(Moment::At(since_1970(time)));
    }
    let ago = text.strip_suffix(" ago").unwrap_or(text);
    humantime::parse_duration(ago)
        .map(Moment::Ago)
        .map_err(|_| {
            "neither a time of day in UTC (2026-11-24T03:00:00Z) nor a length of time (5m)"
                .to_owned()
        })
}

fn since_1970(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_of_day_or_so_long_ago() {
        let at = Moment::At(1_763_953_200_500_000);
        assert_eq!(parse("2025-11-24T03:00:00.5Z"), Ok(at));
        assert_eq!(parse("2025-11-24 03:00:00.5"), Ok(at));
        let ago = Moment::Ago(Duration::from_secs(300));
        assert_eq!(parse("5m"), Ok(ago));
        assert_eq!(parse("5m ago"), Ok(ago));
        assert_eq!(ago.wall_us(1_000_000_000), 700_000_000);
        assert_eq!(ago.wall_us(i64::MIN), i64::MIN);
        for text in ["", "yesterday", "5", "25:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
