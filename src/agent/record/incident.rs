//! One file for each thing that happened: the ring, as it stands half a minute after an intervention
//! began or when it is over, copied to a disk.
//!
//! At most one file is written in the time that the ring keeps: what begins sooner after the last file
//! is in the next one. So nobody who makes trouble all the time fills the folder in an hour. A disk that
//! is full or gone is tried again for as long as the ring keeps.

use std::io::{Error, Result};
use std::path::Path;

use super::keeper::AGAIN;
use super::ring::Ring;
use super::{SUFFIX, stamp};
use crate::host::Folder;
use crate::model::{RecordPolicy, Span, Time};

/// So long after its beginning an intervention's file is written, if it still stands.
const AFTER: Span = Span::from_secs(30);
/// What the name of a file ends with while it is written.
const PART: &str = ".gvt.part";
/// A container's name is cut to this.
const NAME_MAX: usize = 64;

/// The folder of incidents, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    /// Empty: none are written.
    folder: String,
    most: usize,
    keep: Span,
    waits: Option<Waits>,
    /// One that began while another waited.
    next: Option<Waits>,
    /// When the last file was written.
    written: Option<Time>,
    trouble: Option<String>,
}

#[derive(Debug)]
struct Waits {
    name: String,
    since: Time,
    over: bool,
    /// When it could not be written first, and when it is tried again.
    failed: Option<(Time, Time)>,
}

impl Waits {
    /// Whether what the ring holds now tells enough of it.
    fn is_told(&self, now: Time) -> bool {
        self.over || now.since(self.since) >= AFTER
    }
}

impl Incidents {
    pub(super) fn obey(&mut self, policy: &RecordPolicy) {
        self.folder.clone_from(&policy.incidents);
        self.most = policy.incidents_max as usize;
        self.keep = policy.keep;
        if !policy.enabled || self.folder.is_empty() {
            self.waits = None;
            self.next = None;
            self.trouble = None;
        }
    }

    /// An intervention began, by this name and at this time of day.
    pub(super) fn begin(&mut self, name: &str, now: Time, wall_us: u64) {
        if self.folder.is_empty() {
            return;
        }
        let place = match &self.waits {
            None => &mut self.waits,
            Some(_) => &mut self.next,
        };
        place.get_or_insert_with(|| Waits {
            name: file_name(name, wall_us),
            since: now,
            over: false,
            failed: None,
        });
    }

    /// Writes the file of the incident that waits, where it is time. `calm`: it is known that nothing is
    /// held.
    pub(super) fn look(&mut self, now: Time, calm: bool, ring: Option<&Ring>) {
        for waits in [&mut self.waits, &mut self.next].into_iter().flatten() {
            waits.over |= calm;
        }
        let rests = self
            .written
            .is_some_and(|written| now.since(written) < self.keep);
        let due = |waits: &Waits| {
            let again = waits.failed.is_none_or(|(_, again)| now >= again);
            waits.is_told(now) && again && !rests
        };
        if self.waits.as_ref().is_some_and(due) {
            self.attempt(now, ring);
        }
    }

    /// Writes the file of the incident that waits, if one does: at the end, too.
    pub(super) fn finish(&mut self, ring: Option<&Ring>) {
        if let Some(waits) = &self.waits {
            self.attempt(waits.since, ring);
        }
    }

    fn attempt(&mut self, now: Time, ring: Option<&Ring>) {
        let Some(mut waits) = self.waits.take() else {
            return;
        };
        match self.write(&waits.name, ring) {
            Ok(()) => {
                tracing::info!("recorded: {}/{}", self.folder, waits.name);
                self.written = Some(now);
                self.trouble = None;
                // What the file tells enough of needs none of its own.
                self.waits = self.next.take().filter(|next| !next.is_told(now));
            }
            Err(error) => {
                let sentence = format!("an incident is not recorded in {}: {error}", self.folder);
                if self.trouble.as_ref() != Some(&sentence) {
                    tracing::warn!("{sentence}");
                }
                self.trouble = Some(sentence);
                let (first, _) = waits.failed.unwrap_or((now, now));
                waits.failed = Some((first, now + AGAIN));
                // After that the ring has nothing of it.
                let given_up = now.since(first) >= self.keep;
                self.waits = if given_up {
                    self.next.take()
                } else {
                    Some(waits)
                };
            }
        }
    }

    fn write(&self, name: &str, ring: Option<&Ring>) -> Result<()> {
        let ring = ring.ok_or_else(|| Error::other("the recent past is not kept"))?;
        let folder = Folder::make(Path::new(&self.folder))?;
        for left in own(&folder, PART)? {
            folder.remove(&left)?;
        }
        let part = format!("{name}.part");
        let mut file = folder.create(&part)?;
        let copied = ring.copy_to(&mut file);
        if let Err(error) = copied.and_then(|()| folder.settle(&file, &part, name)) {
            // A disk that is full gets its room back.
            folder.remove(&part)?;
            return Err(error);
        }
        let kept = own(&folder, SUFFIX)?;
        let too_many = kept.len().saturating_sub(self.most);
        kept.iter()
            .take(too_many)
            .try_for_each(|oldest| folder.remove(oldest))
    }

    /// What does not work.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// The files that end so and were made here, oldest first. Others may be an operator's.
fn own(folder: &Folder, end: &str) -> Result<Vec<String>> {
    let names = folder.files(end)?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| is_stamped(name)).collect())
}

/// Whether it begins as [`file_name`]'s do.
fn is_stamped(name: &str) -> bool {
    name.split_once('-').is_some_and(|(stamp, _)| {
        stamp.len() == 16
            && stamp.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            })
    })
}

/// `20261124T034500Z-name.gvt`: names sort as things happened. Of a container's name only what is
/// harmless everywhere stays.
fn file_name(name: &str, wall_us: u64) -> String {
    let harmless = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    let name: String = name
        .chars()
        .take(NAME_MAX)
        .map(|one| if harmless(one) { one } else { '_' })
        .collect();
    format!("{}-{name}{SUFFIX}", stamp(wall_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_the_time_and_by_what_is_harmless_of_the_name() {
        let name = |name: &str| file_name(name, 1_795_491_900_000_000);
        assert_eq!(name("hog-1"), "20261124T034500Z-hog-1.gvt");
        assert_eq!(
            name("../../etc/\u{1b}[2J"),
            "20261124T034500Z-.._.._etc___2J.gvt"
        );
        assert_eq!(name(&"x".repeat(500)).len(), 16 + 1 + 64 + 4);
    }

    /// A ring with something in it, and who writes incidents into a folder beside it.
    fn rig(most: u32) -> (tempfile::TempDir, Ring, Incidents, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let policy = RecordPolicy {
            incidents: dir.path().join("incidents").display().to_string(),
            incidents_max: most,
            keep: Span::from_secs(60),
            ..crate::model::Policy::default().record
        };
        let mut ring =
            Ring::open(&dir.path().join("trace"), policy.keep, policy.size, Time(0)).unwrap();
        ring.turn(Time(0)).unwrap();
        ring.append(b"as it was", Time(0)).unwrap();
        let mut incidents = Incidents::default();
        incidents.obey(&policy);
        let folder = dir.path().join("incidents");
        (dir, ring, incidents, folder)
    }

    fn names(folder: &Path) -> Vec<String> {
        let found = Folder::make(folder).unwrap().files("").unwrap();
        found.into_iter().map(|(name, _)| name).collect()
    }

    const WALL: u64 = 1_795_491_900_000_000;

    fn at(seconds: u64) -> Time {
        Time(0) + Span::from_secs(seconds)
    }

    #[test]
    fn what_cannot_be_written_is_tried_again_every_ten_seconds_and_then_given_up() {
        let (dir, ring, mut incidents, folder) = rig(5);
        let blocks = Folder::make(dir.path()).unwrap();
        blocks.create("incidents").unwrap();
        incidents.begin("hog", at(1), WALL);
        incidents.look(at(2), true, Some(&ring));
        assert!(incidents.trouble().unwrap().contains("incidents"));
        blocks.rename("incidents", "moved").unwrap();
        incidents.look(at(11), true, Some(&ring));
        assert!(names(&folder).is_empty(), "it is not time");
        incidents.look(at(12), true, None);
        assert!(incidents.trouble().unwrap().contains("is not kept"));
        incidents.look(at(22), true, Some(&ring));
        assert_eq!(names(&folder), ["20261124T034500Z-hog.gvt"]);
        assert_eq!(incidents.trouble(), None);
        // The failed ones did not use up the time of this one.
        incidents.begin("hog-2", at(23), WALL);
        incidents.look(at(24), true, Some(&ring));
        assert_eq!(names(&folder).len(), 1, "one in the time that is kept");
        for seconds in (82..200).step_by(10) {
            incidents.look(at(seconds), true, None);
        }
        incidents.look(at(210), true, Some(&ring));
        assert_eq!(
            names(&folder).len(),
            1,
            "the ring has nothing of it any more"
        );
    }

    #[test]
    fn one_that_begins_while_another_waits_has_a_file_if_that_one_tells_too_little_of_it() {
        let (_dir, ring, mut incidents, folder) = rig(5);
        incidents.begin("first", at(1), WALL);
        incidents.begin("second", at(29), WALL);
        incidents.look(at(31), false, Some(&ring));
        assert_eq!(names(&folder), ["20261124T034500Z-first.gvt"]);
        incidents.begin("third", at(32), WALL);
        incidents.look(at(91), false, Some(&ring));
        assert_eq!(names(&folder).len(), 2);
        incidents.look(at(300), false, Some(&ring));
        assert_eq!(names(&folder).len(), 2, "the second tells of the third");
    }

    #[test]
    fn the_oldest_goes_when_the_newest_stands_and_no_file_of_others() {
        let (_dir, ring, mut incidents, folder) = rig(1);
        let foreign = [
            "0000.gvt",
            "20261124T034500Z.gvt",
            "20261124T0345000-x.gvt",
            "mine.gvt.part",
        ];
        let own = ["20200101T000000Z-old.gvt", "20200101T000000Z-old.gvt.part"];
        for name in foreign.iter().chain(&own) {
            Folder::make(&folder).unwrap().create(name).unwrap();
        }
        incidents.begin("new", at(1), WALL);
        incidents.look(at(2), true, None);
        assert_eq!(
            names(&folder).len(),
            6,
            "nothing was written, so nothing goes"
        );
        incidents.look(at(12), true, Some(&ring));
        let mut left = foreign.map(str::to_owned).to_vec();
        left.push("20261124T034500Z-new.gvt".to_owned());
        left.sort();
        assert_eq!(names(&folder), left);
    }
}
