//! The flight recorder: the last minutes as segment files, the oldest of which goes when they are too
//! old or too many, or when the file system has no room for the newest. Each segment begins where the
//! trace begins anew, so each can be read alone.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Error, ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::Path;

use super::SUFFIX;
use super::recorder::SEGMENTS;
use crate::host::Folder;
use crate::model::{Bytes, Span, Time};

/// The segments, oldest first, and the one that is written.
#[derive(Debug)]
pub(super) struct Ring {
    folder: Folder,
    keep: Span,
    size: Bytes,
    segments: VecDeque<Segment>,
    current: Option<File>,
    next: u64,
}

#[derive(Debug)]
struct Segment {
    name: String,
    bytes: u64,
    began: Time,
    /// When it was written last.
    last: Time,
}

impl Ring {
    /// The ring in this folder, with the segments that an earlier run left: what it saw last is worth
    /// as much as what this one sees.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn open(folder: &Path, keep: Span, size: Bytes, now: Time) -> Result<Ring> {
        let folder = Folder::make(folder)?;
        let (found, empty): (Vec<_>, Vec<_>) = folder
            .files(SUFFIX)?
            .into_iter()
            .partition(|(_, bytes)| *bytes > 0);
        // A crash may have left one in which nothing stands.
        for (name, _) in empty {
            folder.remove(&name)?;
        }
        let number = |name: &str| name.strip_suffix(SUFFIX)?.parse::<u64>().ok();
        let next = found.iter().filter_map(|(name, _)| number(name)).max();
        let segments = found.into_iter().map(|(name, bytes)| Segment {
            name,
            bytes,
            began: now,
            last: now,
        });
        Ok(Ring {
            folder,
            keep,
            size,
            segments: segments.collect(),
            current: None,
            next: next.map_or(0, |last| last.saturating_add(1)),
        })
    }

    pub(super) const fn set_bounds(&mut self, keep: Span, size: Bytes) {
        self.keep = keep;
        self.size = size;
    }

    /// The trace begins anew here: so does a segment, where it is time.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn turn(&mut self, now: Time) -> Result<()> {
        let old = |segment: &Segment| now.since(segment.began).0 >= self.keep.0 / SEGMENTS;
        if self.current.is_some() && !self.is_stale() && !self.segments.back().is_some_and(old) {
            return Ok(());
        }
        // Numbers of one length, so that names sort as they were made.
        let name = format!("{:010}{SUFFIX}", self.next);
        self.next += 1;
        let file = loop {
            match self.folder.create(&name) {
                Err(error) if is_full(&error) && self.remove_oldest()? => {}
                created => break created?,
            }
        };
        self.current = Some(file);
        self.segments.push_back(Segment {
            name,
            bytes: 0,
            began: now,
            last: now,
        });
        Ok(())
    }

    /// Appends a block to the current segment, and removes what is too old or too much, or in the way of
    /// it; whether it was written. Before the first [turn](Ring::turn) there is no segment: what comes
    /// then could not be read.
    ///
    /// # Errors
    /// Whatever the system says; then the segment ends where it did before, and is gone if it is empty.
    pub(super) fn append(&mut self, block: &[u8], now: Time) -> Result<bool> {
        loop {
            let (Some(file), Some(segment)) = (&mut self.current, self.segments.back_mut()) else {
                return Ok(false);
            };
            let Err(error) = file.write_all(block) else {
                segment.bytes += block.len() as u64;
                segment.last = now;
                break;
            };
            // Half a block would be told as damage.
            file.set_len(segment.bytes)?;
            file.seek(SeekFrom::Start(segment.bytes))?;
            if is_full(&error) && self.remove_oldest()? {
                continue;
            }
            self.leave_empty()?;
            return Err(error);
        }
        self.thin_out(now)?;
        Ok(true)
    }

    /// Removes the current segment if nothing stands in it: each attempt would leave one.
    fn leave_empty(&mut self) -> Result<()> {
        if self.segments.back().is_none_or(|segment| segment.bytes > 0) {
            return Ok(());
        }
        self.current = None;
        let empty = self.segments.pop_back();
        empty.map_or(Ok(()), |empty| self.folder.remove(&empty.name))
    }

    /// Removes the oldest segment, if there is one before the newest; whether there was.
    fn remove_oldest(&mut self) -> Result<bool> {
        if self.segments.len() < 2 {
            return Ok(false);
        }
        if let Some(oldest) = self.segments.pop_front() {
            match self.folder.remove(&oldest.name) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(true)
    }

    fn thin_out(&mut self, now: Time) -> Result<()> {
        let mut total: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        while let Some(oldest) = self.segments.front() {
            let bytes = oldest.bytes;
            let stays = total <= self.size.0 && now.since(oldest.last) <= self.keep;
            if stays || !self.remove_oldest()? {
                break;
            }
            total -= bytes;
        }
        Ok(())
    }

    /// Whether the current segment has its part of the size: the next should begin.
    pub(super) fn is_stale(&self) -> bool {
        self.segments
            .back()
            .is_some_and(|segment| segment.bytes >= self.size.0 / SEGMENTS)
    }

    /// Whether there is a segment to write.
    pub(super) const fn is_begun(&self) -> bool {
        self.current.is_some()
    }

    /// Copies everything, oldest first.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn copy_to(&self, into: &mut File) -> Result<()> {
        for segment in &self.segments {
            let mut from = self.folder.open(&segment.name)?;
            std::io::copy(&mut from, into)?;
        }
        Ok(())
    }
}

/// Whether there is no room, which an older segment may have.
fn is_full(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}
