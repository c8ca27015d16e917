//! The brain as it was at a moment of a recording, for questions about what was decided then.

use std::io::Read;

use super::Replayer;
use crate::model::Told;
use crate::trace::{Damage, Frame, Reader};

/// As many complaints about one recording are kept; the rest is counted.
const NOTES: usize = 3;

/// How far a recording was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// To the last sample before the moment; there are later ones.
    There,
    /// To its end, which is before the moment.
    Ended,
    /// Not at all: it begins after the moment, then (microseconds since 1970).
    Later(i64),
}

/// What is wrong with a recording: the first few sentences, and how many more there are. A damaged file
/// can have any number of them.
#[derive(Debug, Default)]
pub struct Notes {
    first: Vec<String>,
    more: u64,
}

impl Notes {
    /// Adds a sentence.
    pub fn push(&mut self, note: String) {
        if self.first.len() < NOTES {
            self.first.push(note);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// What was wrong is made good.
    pub fn clear(&mut self) {
        *self = Notes::default();
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// All of it, as lines.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let more = (self.more > 0).then(|| format!("and {} more of the kind", self.more));
        self.first.iter().cloned().chain(more)
    }
}

impl Replayer {
    /// Reads on up to the last sample that is not later than this moment, and what belongs to it: in
    /// microseconds since 1970, to the millisecond; `None` reads to the end. What is missing on the way,
    /// and not made good by a later checkpoint that can be used, is in `notes`.
    ///
    /// # Errors
    /// What ended the trace before its end.
    pub fn look<R: Read>(
        &mut self,
        trace: Reader<R>,
        until_us: Option<i64>,
        notes: &mut Notes,
    ) -> Result<Looked, Damage> {
        let mut told = Vec::new();
        for frame in trace {
            match frame {
                Ok(Frame::Tick(sample)) => {
                    let wall = self.wall_us(sample.at);
                    if let (Some(wall), Some(until)) = (wall, until_us)
                        && wall.div_euclid(1_000) > until.div_euclid(1_000)
                    {
                        return Ok(if self.is_empty() {
                            Looked::Later(wall)
                        } else {
                            Looked::There
                        });
                    }
                    self.feed(Frame::Tick(sample), &mut told);
                }
                Ok(frame) => {
                    if let Frame::Gap { lost, .. } = &frame {
                        notes.push(format!(
                            "{lost} frames before that moment were not recorded: what is told may lack them"
                        ));
                    }
                    let is_checkpoint = matches!(frame, Frame::Checkpoint(_));
                    let refusable = is_checkpoint || matches!(frame, Frame::Tree { .. });
                    self.feed(frame, &mut told);
                    if is_checkpoint && self.is_known() {
                        // What was missing before it is made good.
                        notes.clear();
                    } else if refusable && !self.is_known() {
                        for told in told.drain(..) {
                            if let Told::Note { text, .. } = told {
                                notes.push(text);
                            }
                        }
                    }
                }
                Err(damage) if damage.is_final() => return Err(damage),
                Err(damage) => {
                    notes.push(damage.to_string());
                    self.damaged(&damage, &mut told);
                }
            }
            told.clear();
        }
        Ok(Looked::Ended)
    }

    /// Adds what is wrong with the state in which the brain is now: where it is not known what the live
    /// one knew, or by which policy it decided.
    pub fn doubts(&self, notes: &mut Notes) {
        if !self.is_known() {
            notes.push(
                "what the governor knew before is not recorded, or cannot be used: what is told may lack it"
                    .to_owned(),
            );
        }
        for remark in self.remarks() {
            notes.push(remark.clone());
        }
    }
}
