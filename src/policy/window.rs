//! How fast did a counter move? A ring of samples per span, constant work a sample.
//!
//! Each ring keeps points at least a tenth of its span apart, so that twelve of them reach back
//! over the whole span whatever the tick is. A rate is the difference of the newest point and the
//! youngest one that is at least a span old; while history is shorter, of the oldest there is. Only the
//! CPU that was used at once is of the last 100 ms to the point.

use crate::model::{CpuUse, Span, Time};

/// The spans that are kept at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Since the sample before: whatever the tick was.
    Tick,
    /// About 100 ms.
    Moment,
    /// About 500 ms.
    Half,
    /// About 2 s.
    Two,
    /// About 10 s.
    Ten,
}

const SPANS: [Span; 4] = [
    Span::from_millis(100),
    Span::from_millis(500),
    Span::from_secs(2),
    Span::from_secs(10),
];
const POINTS: usize = 12;

/// A value and when it was read.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(from = "(Time, P)", into = "(Time, P)")]
#[serde(bound(serialize = "P: Copy + serde::Serialize"))]
struct Point<P> {
    at: Time,
    value: P,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(serialize = "P: Copy + serde::Serialize"))]
struct Ring<P> {
    points: [Option<Point<P>>; POINTS],
    #[serde(deserialize_with = "place")]
    next: usize,
}

/// Where the next point goes: within the ring, whatever the text says.
fn place<'de, D: serde::Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let next: usize = serde::Deserialize::deserialize(from)?;
    if next < POINTS {
        Ok(next)
    } else {
        Err(serde::de::Error::custom("a place that is not in the ring"))
    }
}

/// Short in a checkpoint, of which points are the greatest part.
impl<P> From<(Time, P)> for Point<P> {
    fn from((at, value): (Time, P)) -> Point<P> {
        Point { at, value }
    }
}

impl<P> From<Point<P>> for (Time, P) {
    fn from(Point { at, value }: Point<P>) -> (Time, P) {
        (at, value)
    }
}

/// The recent past of one value, over several spans at once.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(serialize = "P: Copy + serde::Serialize"))]
pub(super) struct Windows<P> {
    rings: [Ring<P>; SPANS.len()],
    previous: Option<Point<P>>,
    newest: Option<Point<P>>,
}

/// How a value changed over a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change<P> {
    /// The time between the two readings; never zero.
    pub over: Span,
    /// The older value.
    pub from: P,
    /// The newest value.
    pub to: P,
}

impl<P: Copy> Ring<P> {
    const fn new() -> Ring<P> {
        Ring {
            points: [None; POINTS],
            next: 0,
        }
    }

    fn push(&mut self, point: Point<P>, span: Span) {
        let before = (self.next + POINTS - 1) % POINTS;
        if let Some(last) = self.points[before]
            && point.at.since(last.at).0 < span.0 / 10
        {
            return;
        }
        self.points[self.next] = Some(point);
        self.next = (self.next + 1) % POINTS;
    }

    /// Oldest first.
    fn iter(&self) -> impl Iterator<Item = &Point<P>> {
        (0..POINTS).filter_map(|i| self.points[(self.next + i) % POINTS].as_ref())
    }
}

impl<P: Copy> Windows<P> {
    pub(super) const fn new() -> Windows<P> {
        Windows {
            rings: [Ring::new(), Ring::new(), Ring::new(), Ring::new()],
            previous: None,
            newest: None,
        }
    }

    /// Takes a reading. One that is not later than the newest is ignored.
    pub(super) fn push(&mut self, at: Time, value: P) {
        if self.newest.is_some_and(|newest| at <= newest.at) {
            return;
        }
        let point = Point { at, value };
        for (ring, span) in self.rings.iter_mut().zip(SPANS) {
            ring.push(point, span);
        }
        self.previous = self.newest.replace(point);
    }

    /// The newest reading.
    pub(super) fn newest(&self) -> Option<P> {
        self.newest.map(|point| point.value)
    }

    /// When the newest reading was taken.
    pub(super) fn at(&self) -> Option<Time> {
        self.newest.map(|point| point.at)
    }

    /// The change over a span; `None` before there are two readings.
    pub(super) fn change(&self, over: Over) -> Option<Change<P>> {
        let newest = self.newest?;
        let from = match over {
            Over::Tick => self.previous?,
            Over::Moment => self.reach(0, newest.at)?,
            Over::Half => self.reach(1, newest.at)?,
            Over::Two => self.reach(2, newest.at)?,
            Over::Ten => self.reach(3, newest.at)?,
        };
        let over = newest.at.since(from.at);
        (over > Span::ZERO).then_some(Change {
            over,
            from: from.value,
            to: newest.value,
        })
    }

    /// Like [`change`](Self::change), but only where history reaches back the whole span.
    pub(super) fn whole(&self, over: Over) -> Option<Change<P>> {
        let least = match over {
            Over::Tick => Span::ZERO,
            Over::Moment => SPANS[0],
            Over::Half => SPANS[1],
            Over::Two => SPANS[2],
            Over::Ten => SPANS[3],
        };
        self.change(over).filter(|change| change.over >= least)
    }

    /// All values kept of the longest span, oldest first.
    pub(super) fn long(&self) -> impl Iterator<Item = P> + '_ {
        self.rings[SPANS.len() - 1].iter().map(|point| point.value)
    }

    fn reach(&self, ring: usize, now: Time) -> Option<Point<P>> {
        let edge = now - SPANS[ring];
        let ring = &self.rings[ring];
        ring.iter()
            .take_while(|point| point.at <= edge)
            .last()
            .or_else(|| ring.iter().next())
            .copied()
    }
}

impl Windows<CpuUse> {
    /// CPUs used in the last 100 ms: what was used between two readings is taken to be spread evenly over the time
    /// between them. (Seen with readings 200 ms apart in calm, as many containers make them: over the whole time back to the
    /// reading before a hog had used less than it may until it had run for 128 ms.)
    pub(super) fn used_at_once(&self) -> f64 {
        let Some(newest) = self.newest else {
            return 0.0;
        };
        let edge = newest.at - SPANS[0];
        let used =
            |from: &Point<CpuUse>, to: &Point<CpuUse>| to.value.usage.advance(from.value.usage);
        let younger = self.rings[0].iter().find(|point| point.at > edge);
        let younger = younger.unwrap_or(&newest);
        let older = self.rings[0]
            .iter()
            .take_while(|point| point.at <= edge)
            .last();
        let Some(older) = older else {
            return used(younger, &newest).over(newest.at.since(younger.at));
        };
        let within = younger.at.since(edge).over(younger.at.since(older.at));
        (used(younger, &newest) + used(older, younger).scaled(within)).over(SPANS[0])
    }
}

impl Windows<Span> {
    /// The rate of a cumulative span (stall, CPU time): time per time. Zero before two readings.
    pub(super) fn rate(&self, over: Over) -> f64 {
        self.change(over).map_or(0.0, |change| {
            change.to.advance(change.from).over(change.over)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(tick_ms: u64, for_ms: u64, busy: f64) -> Windows<Span> {
        let mut windows = Windows::new();
        for ms in (0..=for_ms).step_by(tick_ms as usize) {
            windows.push(Time(ms * 1_000), Span::from_millis(ms).scaled(busy));
        }
        windows
    }

    #[test]
    fn a_steady_counter_has_the_same_rate_over_every_span() {
        for tick in [20, 50, 130, 1_000] {
            let windows = filled(tick, 20_000, 0.25);
            for over in [Over::Tick, Over::Moment, Over::Half, Over::Two, Over::Ten] {
                assert!(
                    (windows.rate(over) - 0.25).abs() < 0.01,
                    "{tick} ms, {over:?}"
                );
            }
        }
    }

    #[test]
    fn a_window_reaches_back_its_whole_span_and_not_much_further() {
        let windows = filled(20, 20_000, 1.0);
        for (over, span) in [
            (Over::Moment, 100),
            (Over::Half, 500),
            (Over::Two, 2_000),
            (Over::Ten, 10_000),
        ] {
            let change = windows.whole(over).expect("history is long enough");
            let ms = change.over.0 / 1_000;
            assert!(
                (span..=span * 12 / 10 + 20).contains(&ms),
                "{over:?} reached {ms} ms"
            );
        }
    }

    #[test]
    fn a_short_history_is_used_as_it_is_but_is_not_a_whole_span() {
        let windows = filled(20, 200, 0.5);
        assert!((windows.rate(Over::Ten) - 0.5).abs() < 0.01);
        assert!(windows.whole(Over::Ten).is_none());
        assert!(windows.whole(Over::Moment).is_some());
    }

    #[test]
    fn what_was_used_since_a_reading_long_ago_is_spread_evenly_over_the_time_since() {
        let mut windows = Windows::new();
        let mut read = |ms: u64, used_ms: u64| {
            let (usage, throttled) = (Span::from_millis(used_ms), Span::ZERO);
            windows.push(Time(ms * 1_000), CpuUse { usage, throttled });
            windows.used_at_once()
        };
        assert_eq!(read(1_000, 0), 0.0, "one reading is no rate");
        assert!(
            (read(1_050, 10) - 0.2).abs() < 0.01,
            "a short history is used as it is"
        );
        assert!((read(1_250, 50) - 0.2).abs() < 0.01);
        // 60 ms ago the last of 200 ms in which 40 were used: 8 of them in the last 40.
        assert!((read(1_310, 80) - 0.38).abs() < 0.01);
        // The reading is 100 ms old.
        assert!((read(1_350, 100) - 0.5).abs() < 0.01);
        // All of it is within one.
        assert!((read(2_350, 1_100) - 1.0).abs() < 0.01);
    }

    #[test]
    fn one_reading_is_no_rate_and_an_older_one_is_ignored() {
        let mut windows = Windows::new();
        windows.push(Time(1_000), Span(5));
        assert!(windows.change(Over::Tick).is_none());
        windows.push(Time(900), Span(50));
        assert_eq!(windows.newest(), Some(Span(5)));
    }

    #[test]
    fn a_counter_that_went_back_is_no_progress() {
        let mut windows = Windows::new();
        windows.push(Time(0), Span(500));
        windows.push(Time(1_000), Span(100));
        assert_eq!(windows.rate(Over::Tick), 0.0);
    }
}
