//! A trace as one text: what the brain of this version tells when it is fed the trace.
//!
//! For tests: `tests/traces` pins this text, one file a trace. It names nothing that changes from one
//! recording to the next but what the trace holds, and nothing of what was recorded as decided.

use std::convert::Infallible;
use std::io::Read;

use super::Replayer;
use crate::model::{By, Policy, Told};
use crate::report::{tally_text, told_text};
use crate::trace::{Damage, Reader};

/// The story of a trace: its events with their times since its start, what is wrong with it, and at the
/// end what was counted: how often somebody was held and how that ended, how often each knob was written
/// and given back, and how many ticks had which pace. With a policy, that of a brain with this policy
/// in place of the recorded one's. Equal traces and equal brains give equal texts.
///
/// # Errors
/// If it is no trace, or one that this version cannot read.
pub fn story<R: Read>(trace: R, policy: Option<&Policy>) -> Result<String, Damage> {
    let tried = policy.map(|policy| ("tried".to_owned(), policy.clone()));
    let mut replayer = Replayer::what_if(tried.into_iter().collect());
    let mut text = String::new();
    let mut tell = |told: Told| {
        text.push_str(&of_the_replay(told).map_or_else(String::new, |told| told_text(&told)));
        Ok::<(), Infallible>(())
    };
    if let Ok(Some(damage)) = replayer.read(Reader::new(trace), &mut tell) {
        return Err(damage);
    }
    let mut rest = Vec::new();
    let replayed = replayer.finish(&mut rest);
    for told in rest {
        let _ = tell(told);
    }
    for remark in &replayed.remarks {
        text.push_str(&format!("{remark}\n"));
    }
    // As recorded, then what the replayed brain did.
    if let Some(tally) = replayed.tallies.get(1) {
        text.push_str(&tally_text(tally));
    }
    Ok(text)
}

/// What the replayed brain tells, whether or not the recorded one told it too.
fn of_the_replay(told: Told) -> Option<Told> {
    match told {
        Told::Event { by: By::Record, .. } | Told::Began(_) => None,
        Told::Event { at_s, event, .. } => Some(Told::Event {
            at_s,
            by: By::Both,
            event,
        }),
        note @ Told::Note { .. } => Some(note),
    }
}
