//! What did others keep from one?

use super::track::Track;
use super::window::Over;
use crate::model::Span;

/// At most what it needs in this time is owed to a container: nobody gains more by having been harmed.
const OWED_MOST: Span = Span::from_secs(2);

impl Track {
    /// Keeps account of what others kept from it: the CPU time under its established demand in a tick
    /// with harm is owed to it, and what it takes above its demand later pays that back.
    pub(super) fn keep_account(&mut self, harmed: bool) {
        let Some(change) = self.cpu_use.change(Over::Tick) else {
            return;
        };
        let used = change.to.usage.advance(change.from.usage);
        let needed = change.over.scaled(self.demand.get());
        if harmed {
            let most = OWED_MOST.scaled(self.demand.get());
            self.owed = (self.owed + needed.advance(used)).min(most);
        } else {
            self.owed = self.owed.advance(used.advance(needed));
        }
    }

    /// CPU time that others kept from it and that it may still catch up on.
    pub(super) const fn owed(&self) -> Span {
        self.owed
    }

    /// Whether it is still catching up.
    pub(super) fn catches_up(&self) -> bool {
        self.owed > Span::ZERO
    }
}
