//! How near is the end of memory, and who runs towards it?
//!
//! Pressure tells too late: a container whose page cache is taken waits for its disk, not for memory, and reads again for
//! seconds what was taken in a tenth of one. So two ends are seen to come, from the slope of the last half second:
//!
//! - *The cliff*: what can be had at all (MemAvailable) falls under the policy's reserve, and somebody grows.
//! - *The brim*: nothing is free (MemFree) any more, so that the kernel begins to take pages, from everybody. On a host that
//!   has been up for a while that is the ordinary state, and nobody's harm: there nothing is foreseen. It is where one container,
//!   which has most of RAM and more than it may, fills what was free for ten seconds with page cache. From there on it shall use
//!   its own pages again, and not its neighbours'. (Seen on 6.1: a stream of files filled 64 % of RAM beside a reader of 10 %, who
//!   had lost 1,300 pages 130 ms after the kernel began. It took its disk three seconds to bring them back: a limit comes too late
//!   then.) Nothing was suffered yet, so such a limit proves nothing. A reserve of nothing turns both off.

use super::brain::Brain;
use super::intervention::Proof;
use super::track::Track;
use super::window::{Over, Windows};
use crate::model::{Bytes, GroupId, Limit, Reading, Resource, Span};

/// Memory is short when less than so many times the policy's reserve is available.
pub(super) const SHORT: f64 = 2.5;
/// A time like that which a limit takes to be decided and written.
const SOON: Span = Span::from_secs(1);
/// Who takes this part of RAM a second, which is all of it in an hour, runs towards the cliff; a database
/// gains a page now and then.
const RUNS: f64 = 0.0003;
/// With less of RAM free, and less than so much, the kernel is about to take pages: at the low watermark, which is 2.8 % of 2 GiB
/// where huge pages raise `min_free_kbytes` (seen on 6.1), and less of more. A stream comes there in a second.
const BRIM: (f64, Bytes) = (0.05, Bytes::from_mib(512));
/// Who fills free memory has this part of RAM,
const MOST: f64 = 0.5;
/// and takes this part of it, or so much, in a second.
const FILLS: (f64, Bytes) = (0.02, Bytes::from_mib(64));
/// Free memory falls by at least this part of its growth: else it takes pages of others that nobody misses. What is available falls
/// by less, unless what it grows by is no page cache.
const ITS_OWN: f64 = 0.5;
/// Who has less than this part of RAM, and than so much, has nothing to lose that is worth a limit.
const TO_LOSE: (f64, Bytes) = (0.01, Bytes::from_mib(64));

/// One that waits for memory for this part of the time has lost some.
const WAITS: f64 = 0.01;

/// Ends that are about to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub cliff: bool,
    /// Who fills memory to the brim.
    pub filler: Option<GroupId>,
}

impl Brain {
    /// MemAvailable as a part of RAM.
    pub(super) fn available(&self) -> Option<f64> {
        Some(self.part_of_ram(self.host.memory_available.ok()?))
    }

    /// Whether memory is short on the host; not where that is not known.
    pub(super) fn is_short(&self) -> bool {
        let short = SHORT * self.policy.memory.reserve.get();
        self.available().is_some_and(|now| now < short)
    }

    /// Which ends are about to come by somebody's doing.
    pub(super) fn ends(&self) -> Ends {
        let grows = |track: &Track| {
            track.is_container
                && track.memory_excess > 0.0
                && self.grows(track, Over::Half) > RUNS
                && !self.is_stopped(track)
        };
        let reserve = self.policy.memory.reserve.get();
        let available = self.soon(self.host.memory_available, &self.available);
        let free = self.soon(self.host.memory_free, &self.free);
        let brim = self.lesser(BRIM);
        let is_near = reserve > 0.0
            && free.is_some_and(|soon| soon < brim)
            && self.free.whole(Over::Ten).is_some()
            && self.free.long().all(|free| self.part_of_ram(free) >= brim);
        let filler = || self.tracks.iter().find(|track| self.fills(track));
        Ends {
            cliff: available.is_some_and(|soon| soon < reserve) && self.tracks.iter().any(grows),
            filler: is_near.then(filler).flatten().map(|track| track.id),
        }
    }

    /// Whether this one stands at a limit of ours. If it grows on it does so into swap, and runs to no end by that. (Seen: harm was foreseen for as
    /// long as it did, and the limit found of no use after ten seconds.)
    fn is_stopped(&self, track: &Track) -> bool {
        let mut held = self.held.iter();
        held.any(|held| {
            held.resource == Resource::Memory
                && held.aggressor == track.id
                && held.stood.is_some()
                && !matches!(held.proof, Proof::Releasing(_))
                && !held.places().any(|place| track.is_over(place))
        })
    }

    /// Whether it is only the brim that is near, and nothing was taken from this one yet.
    pub(super) fn is_foreseen(&self, harmed: &Track) -> bool {
        let ends = self.ends();
        ends.filler.is_some() && !ends.cliff && !self.has_lost_memory(harmed)
    }

    /// Whether others took memory from this one, or it waited for some for their sake. Until then it is enough that growth ends elsewhere: what has to
    /// come back at once is reclaimed in one go, on a CPU that others may want. (Seen on 6.1: after a limit of 54 MB less, and one of 65, its
    /// victim's requests were late for 300 to 500 ms.)
    pub(super) fn has_lost_memory(&self, harmed: &Track) -> bool {
        let limits = || self.tree.lineage(harmed.group).map(|up| self.own_limit(up));
        let is_limited = limits().any(|limit| limit != Limit::Max);
        let waits = harmed.memory_psi.rate(Over::Half) > WAITS;
        (harmed.loses_memory() && !is_limited)
            || (waits && !limits().any(|limit| harmed.is_at(limit)))
    }

    /// Whether so much more of RAM takes what is free to the brim.
    pub(super) fn reaches_brim(&self, more: f64) -> bool {
        let free = self.host.memory_free;
        free.is_ok_and(|free| self.part_of_ram(free) - more < self.lesser(BRIM))
    }

    /// Whether this one fills what is free, with page cache.
    fn fills(&self, track: &Track) -> bool {
        let grows = self.grows(track, Over::Half);
        track.is_container
            && track.memory_excess > 0.0
            && self.part_of_ram(track.size()) > MOST
            && grows.min(self.grows(track, Over::Two)) > self.lesser(FILLS)
            && self.falls(&self.free) > ITS_OWN * grows
            && self.falls(&self.available) < ITS_OWN * grows
    }

    /// Whether one works with memory that others may take from it.
    pub(super) fn has_to_lose(&self, track: &Track) -> bool {
        self.part_of_ram(track.size()) > self.lesser(TO_LOSE) && track.active()
    }

    /// The lesser of a part of RAM and so many bytes, as a part of RAM.
    fn lesser(&self, (part, bytes): (f64, Bytes)) -> f64 {
        part.min(self.part_of_ram(bytes))
    }

    /// How fast this one grows: parts of RAM in a second.
    fn grows(&self, track: &Track, over: Over) -> f64 {
        self.part_of_ram(Bytes(track.growth(over).max(0.0) as u64))
    }

    /// How fast this has fallen in the last half second: parts of RAM in a second.
    fn falls(&self, of: &Windows<Bytes>) -> f64 {
        of.change(Over::Half).map_or(0.0, |change| {
            let fall = Bytes(change.from.0.saturating_sub(change.to.0));
            self.part_of_ram(fall) / change.over.as_secs_f64()
        })
    }

    /// What will be left of this of what there is `now`, as a part of RAM, if it goes on as in the last half second.
    fn soon(&self, now: Reading<Bytes>, of: &Windows<Bytes>) -> Option<f64> {
        let now = self.part_of_ram(now.ok()?);
        Some(now - self.falls(of) * SOON.as_secs_f64())
    }
}
