//! Every latency as a HdrHistogram log, which the tools of that format read: one histogram a second of
//! each victim, tagged with scenario, arm, round and victim.

use crate::record::{Run, Victim};
use crate::study::Session;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND_US: u64 = 1_000_000;
/// Three digits: a thousandth of the value.
const DIGITS: u8 = 3;

/// The log of all runs that count. Values are microseconds, times are since boot; a request stands in the
/// second in which it was due, and one that was never answered in none.
///
/// # Errors
/// None that a value could cause.
pub(crate) fn hlog(sessions: &[Session]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("latencies in microseconds; tags are scenario/arm/round/victim")
        .begin_log_with(&mut out, &mut serializer)?;
    let arms = sessions
        .iter()
        .flat_map(|session| &session.scenarios)
        .flat_map(|study| &study.arms);
    for one in arms.flat_map(|arm| &arm.runs) {
        for victim in &one.run.victims {
            let tag = tag(&one.run, victim);
            let Some(tag) = Tag::new(&tag) else {
                continue;
            };
            for (second, histogram) in seconds(victim)? {
                let start = Duration::from_secs(second);
                let written =
                    log.write_histogram(&histogram, start, Duration::from_secs(1), Some(tag));
                written.map_err(|why| anyhow::anyhow!("a histogram log: {why:?}"))?;
            }
        }
    }
    drop(log);
    Ok(String::from_utf8(out)?)
}

/// Names have neither blanks nor commas, which would end a tag.
fn tag(run: &Run, victim: &Victim) -> String {
    format!(
        "{}/{}/{}/{}",
        run.scenario,
        run.arm.word(),
        run.round,
        victim.name
    )
}

fn seconds(victim: &Victim) -> anyhow::Result<BTreeMap<u64, Histogram<u64>>> {
    let mut seconds = BTreeMap::new();
    for (due, latency) in &victim.requests {
        if let Some(latency) = latency {
            let histogram = match seconds.entry(due / SECOND_US) {
                std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(Histogram::new(DIGITS)?)
                }
            };
            histogram.record(*latency)?;
        }
    }
    Ok(seconds)
}
