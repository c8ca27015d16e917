//! The groups that are known and held open: the walk over the tree, and every access by identity.
//!
//! A scan goes from the root downwards and stops at containers. Groups that are known stay open and
//! cost nothing; a directory is listed again only when inotify told of it, when changes were lost,
//! or when its turn has come. A directory is watched *before* it is listed, so that a child
//! made in between is told.
//!
//! All of it is bounded, because whoever has a delegated subtree may make as many groups as he
//! likes: so many groups in all, so many newly opened in one scan (the rest waits for the next), no
//! path beyond [`PATH_MAX`]. The host's own (root's) groups come first, and half of the room is
//! theirs alone.
//! A container with nobody in it is not known yet (`forest/vacant.rs`).
//! Every access fails alone: a group that vanishes takes nothing with it but its own subtree.

use super::files::{Listing, TreeFiles};
use super::recognise::recognise;
use crate::model::{Absent, GroupId, Member, Reading};
use std::collections::HashMap;

mod access;
mod build;
mod meet;
#[cfg(test)]
mod tests;
mod vacant;
mod walk;

pub use build::Rules;

use access::Standing;
use vacant::Vacants;
use walk::Walk;

/// No group with a longer path is looked at: nested groups could otherwise make paths of megabytes.
pub const PATH_MAX: usize = 4096;

/// As many new groups are opened in one scan even if hardly any are known.
const OPENED_LEAST: usize = 8;

/// What the walk may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Groups that are known at once.
    pub groups: usize,
    /// Groups that are opened in one scan, at most; each costs about 50 us.
    pub opened_per_scan: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            groups: 10_000,
            opened_per_scan: 32,
        }
    }
}

/// How much of the tree is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Where something changed since the last scan.
    Changed,
    /// There, and in the next so many groups in turn: a look at everything, spread over time, so that
    /// no scan of many groups holds the loop.
    Next(usize),
    /// Everywhere.
    All,
}

/// What a scan met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Groups came, went or became something else: the topology must be built again.
    pub changed: bool,
    /// There are more new groups than are opened in one scan: scan again soon.
    pub unfinished: bool,
    /// Children that are left out because there are too many groups, or their path is too long
    /// (counted per directory that was cut, at least).
    pub left_out: usize,
    /// Groups that could not be opened or listed though they are there; the last reason.
    pub failed: Option<Absent>,
    /// Groups that could not be watched: only full scans see what changes there.
    pub unwatched: usize,
}

/// The known groups over one tree.
#[derive(Debug)]
pub struct Forest<T: TreeFiles> {
    files: T,
    limits: Limits,
    nodes: HashMap<GroupId, Node<T::Dir>>,
    /// The order of the last walk: parents before children.
    order: Vec<GroupId>,
    /// Groups that an earlier run held, wherever they are.
    adopted: HashMap<GroupId, (T::Dir, Vec<u8>)>,
    vacants: Vacants<T::Dir>,
    walks: u64,
    refreshed: usize,
    /// A knob was read by itself since the last refresh, and was not what is known of it.
    reread: bool,
    /// Whose turn of [`Extent::Next`] it was last.
    doubted: usize,
    /// What the last walk met.
    last: Scan,
    listing: Listing,
    changes: Vec<GroupId>,
}

#[derive(Debug)]
struct Node<D> {
    dir: D,
    parent: Option<GroupId>,
    path: Vec<u8>,
    owner: u32,
    kind: Kind,
    knobs: Standing,
    children: Vec<GroupId>,
    /// Its children must be listed (again).
    stale: bool,
    watched: bool,
    /// Children that its last listing left out.
    left_out: usize,
    /// Its last listing worked, and left out nobody for any reason.
    complete: bool,
    /// The walk that saw it last.
    walk: u64,
}

/// What a group is, as far as it does not depend on the policy's rules for display.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Told by its path; what is below belongs to it.
    Top(Member),
    Inner,
    Service,
}

impl<T: TreeFiles> Forest<T> {
    /// Nothing is known yet.
    pub fn new(files: T, limits: Limits) -> Forest<T> {
        Forest {
            files,
            limits,
            nodes: HashMap::new(),
            order: Vec::new(),
            adopted: HashMap::new(),
            vacants: Vacants::new(),
            walks: 0,
            refreshed: 0,
            reread: false,
            doubted: 0,
            last: Scan::default(),
            listing: Listing::default(),
            changes: Vec::new(),
        }
    }

    /// The tree below.
    pub const fn files(&self) -> &T {
        &self.files
    }

    /// The tree below, to be read.
    pub const fn files_mut(&mut self) -> &mut T {
        &mut self.files
    }

    /// The tree below, and the held directory of a group in it.
    ///
    /// # Errors
    /// [`Absent::Gone`] for a group that is not known.
    pub fn held(&mut self, id: GroupId) -> Reading<(&mut T, &T::Dir)> {
        let dir = match self.nodes.get(&id) {
            Some(node) => &node.dir,
            None => &self.adopted.get(&id).ok_or(Absent::Gone)?.0,
        };
        Ok((&mut self.files, dir))
    }

    /// The user that owns a group's directory: not 0 where it was delegated to somebody, who may write what
    /// is below.
    #[must_use]
    pub fn owner(&self, id: GroupId) -> Option<u32> {
        self.nodes.get(&id).map(|node| node.owner)
    }

    /// Brings the known groups up to date. `is_container` tells the policy's own globs.
    ///
    /// # Errors
    /// Why the root could not be opened: nothing else can fail as a whole.
    pub fn scan(&mut self, extent: Extent, is_container: &dyn Fn(&[u8]) -> bool) -> Reading<Scan> {
        let is_whole = !self.last.unfinished && self.last.failed.is_none();
        let changed = self.mark(extent, self.limits.opened_per_scan);
        let mut met = if !changed && is_whole && !self.order.is_empty() {
            Scan {
                changed: false,
                ..self.last
            }
        } else {
            // Of few that are known few are taken in at once: whoever makes forty must not hold the loop. Of many it is
            // more, lest each of a thousand have the whole tree built anew.
            let known = self.order.len() + self.vacants.len();
            let most = (known / 8).max(OPENED_LEAST);
            self.walk(most.min(self.limits.opened_per_scan), is_container)?
        };
        met.unfinished |= self.vacants.are_doubted();
        Ok(met)
    }

    /// Walks over all that is known, lists what is stale, and opens so many new groups at most.
    fn walk(&mut self, most: usize, is_container: &dyn Fn(&[u8]) -> bool) -> Reading<Scan> {
        self.walks += 1;
        let mut walk = Walk::new(most, is_container);
        let root = match self.order.first() {
            Some(&root) => root,
            None => {
                let opened = self.files.root()?;
                self.admit(opened, None, Vec::new(), &mut walk)
            }
        };
        self.take_entered(&mut walk);
        self.order.clear();
        walk.push(root, 0);
        while let Some(id) = walk.next() {
            self.visit(id, &mut walk);
        }
        let known = self.nodes.len();
        let current = self.walks;
        let (files, vacants) = (&mut self.files, &mut self.vacants);
        self.nodes.retain(|_, node| {
            let stays = node.walk == current;
            if !stays {
                node.children
                    .iter()
                    .for_each(|&child| vacants.forget(files, child));
            }
            stays
        });
        walk.scan.changed |= self.nodes.len() != known;
        self.last = walk.scan;
        Ok(walk.scan)
    }

    /// Looks at everything in one scan, however long that takes: nobody shall be judged by half of a tree.
    ///
    /// # Errors
    /// As [`scan`](Forest::scan).
    pub fn scan_whole(&mut self, is_container: &dyn Fn(&[u8]) -> bool) -> Reading<Scan> {
        self.mark(Extent::All, self.limits.groups);
        self.walk(self.limits.groups, is_container)
    }

    /// How many groups are known, but for containers with nobody in them.
    pub const fn groups(&self) -> usize {
        self.order.len()
    }

    /// Tells anew what every group is, for a policy with other globs; the next scan looks into those
    /// that are no containers any more. All stay open: a tree that is half known meanwhile would make
    /// the others look gone, and what is held for them be given back.
    pub fn recognise_again(&mut self, is_container: &dyn Fn(&[u8]) -> bool) {
        self.forget_vacant(is_container);
        for node in self.nodes.values_mut() {
            node.kind = recognise(&node.path, is_container).map_or(Kind::Inner, Kind::Top);
            node.stale = true;
            if matches!(node.kind, Kind::Top(_)) {
                node.children.clear();
                node.complete = false;
            }
        }
    }

    /// Reads the knobs of the next `count` groups again; a full round takes as many calls as there
    /// are groups over `count`. Whether any was not what it had been, since the last call: each
    /// knob that is read by itself counts too. Who gives a knob back reads it at the end, so that our
    /// own value, if it was met here meanwhile, is not taken for the group's afterwards.
    pub fn refresh(&mut self, count: usize) -> bool {
        let mut changed = std::mem::take(&mut self.reread);
        for _ in 0..count.min(self.order.len()) {
            self.refreshed = self.refreshed.wrapping_add(1) % self.order.len();
            let node = self
                .order
                .get(self.refreshed)
                .and_then(|id| self.nodes.get_mut(id));
            if let Some(node) = node {
                let knobs = Standing::read(&mut self.files, &node.dir);
                changed |= knobs != node.knobs;
                node.knobs = knobs;
            }
        }
        changed
    }

    /// Takes one group into the walk's order, with its children behind it.
    fn visit(&mut self, id: GroupId, walk: &mut Walk<'_>) {
        let seen = self.walks;
        if self.nodes.get(&id).is_none_or(|node| node.walk == seen) {
            return;
        }
        let Some(mut node) = self.nodes.remove(&id) else {
            return;
        };
        if matches!(node.kind, Kind::Inner | Kind::Service)
            && node.stale
            && let Err(why) = self.list(id, &mut node, walk)
        {
            if why == Absent::Gone {
                walk.scan.changed = true;
                for &child in &node.children {
                    self.vacants.forget(&mut self.files, child);
                }
                return;
            }
            walk.scan.failed = Some(why);
        }
        node.walk = self.walks;
        walk.scan.left_out += node.left_out;
        walk.scan.unwatched += usize::from(!node.watched && !matches!(node.kind, Kind::Top(_)));
        for child in &node.children {
            if let Some(owner) = self.nodes.get(child).map(|child| child.owner) {
                walk.push(*child, owner);
            }
        }
        self.order.push(id);
        self.nodes.insert(id, node);
    }

    /// Lists a directory's children, and opens the new ones.
    fn list(&mut self, id: GroupId, node: &mut Node<T::Dir>, walk: &mut Walk<'_>) -> Reading<()> {
        if !node.watched {
            node.watched = self.files.watch(&node.dir, id).is_ok();
        }
        let mut listing = std::mem::take(&mut self.listing);
        listing.restart(self.limits.groups);
        let listed = self.files.children(&node.dir, &mut listing);
        let was_complete = node.complete;
        node.complete = listed.is_ok() && !listing.was_cut();
        if listed.is_ok() {
            node.stale = false;
            let before = std::mem::take(&mut node.children);
            node.left_out = usize::from(listing.was_cut());
            for (name, child) in listing.iter() {
                if let Some(child) = self.child(id, node, name, child, walk) {
                    node.children.push(child);
                }
            }
            self.forget_unlisted(&before);
            let kind = self.kind(node, !listing.is_empty());
            walk.scan.changed |= kind != node.kind;
            node.kind = kind;
        }
        walk.scan.changed |= node.complete != was_complete;
        self.listing = listing;
        listed
    }

    /// The identity of a listed child, once it is known.
    fn child(
        &mut self,
        parent: GroupId,
        node: &mut Node<T::Dir>,
        name: &[u8],
        listed: GroupId,
        walk: &mut Walk<'_>,
    ) -> Option<GroupId> {
        if self
            .nodes
            .get(&listed)
            .is_some_and(|known| known.parent == Some(parent))
            || self.vacants.is_listed(listed, parent, self.walks)
        {
            return Some(listed);
        }
        // Half of the room is the host's alone: no user fills it before a container comes.
        let most = match node.owner {
            0 => self.limits.groups,
            _ => self.limits.groups / 2,
        };
        // The parent itself is out of the map while it is visited.
        let is_full = self.nodes.len() + self.vacants.len() + 1 >= most;
        if is_full || node.path.len() + 1 + name.len() > PATH_MAX {
            node.left_out += 1;
            node.complete = false;
            return None;
        }
        if walk.to_open == 0 {
            node.stale = true;
            node.complete = false;
            walk.scan.unfinished = true;
            return None;
        }
        walk.to_open -= 1;
        match self.files.open(&node.dir, name) {
            Ok(opened) => {
                let path = [&node.path, &b"/"[..], name].concat();
                Some(self.meet(opened, parent, path, walk))
            }
            Err(why) => {
                if why != Absent::Gone {
                    node.complete = false;
                    walk.scan.failed = Some(why);
                }
                None
            }
        }
    }
}
