//! Tasks that several share: the host's, and those of each slice with a limit of its own.
//!
//! A container's tasks are bounded by the `pids.max` of every group above it, too. Who fills a slice's takes them
//! from the others below it as one who fills the host takes them from all. So each such slice is looked at as the
//! host is. Only those count whose tasks are read: `host` reads none that somebody but root may write.

use super::brain::Brain;
use super::ladder::Place;
use super::track::Track;
use crate::model::{ContainerSample, GroupId, Limit, SLICES, Topology};

/// The root's place in a topology, which stands for the host.
const HOST: usize = 0;

/// A limit of tasks, and who is below it.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// The slice, or the root for the host.
    group: usize,
    id: GroupId,
    /// How many containers are below it.
    containers: usize,
    /// How many tasks there can be; 0 where that is not known in this tick.
    pub most: f64,
    /// How many there are.
    pub tasks: f64,
    /// Whether it is about to run out by those below it.
    pub runs_out: bool,
}

/// The pools of a new tree: the host alone, until slices are read.
pub(super) fn of_host(tree: &Topology) -> Vec<Pool> {
    let mut pools = Vec::with_capacity(1 + SLICES);
    pools.extend(
        tree.groups
            .first()
            .map(|root| Pool::new(tree, HOST, root.id)),
    );
    pools
}

/// Whether the tasks of a group come out of those of a slice, or of the host.
fn is_below(tree: &Topology, group: usize, slice: usize) -> bool {
    slice == HOST || tree.lineage(group).any(|up| up == slice)
}

impl Pool {
    fn new(tree: &Topology, group: usize, id: GroupId) -> Pool {
        let containers = tree.watched().filter(|(_, one)| one.is_container());
        let below = containers.filter(|(at, _)| is_below(tree, *at, group));
        Pool {
            group,
            id,
            containers: below.count(),
            most: 0.0,
            tasks: 0.0,
            runs_out: false,
        }
    }
}

impl Brain {
    /// What each pool has in this tick. Of a slice that is not read now nothing is known.
    pub(super) fn fill_pools(&mut self, read: &[ContainerSample]) {
        for pool in &mut self.pools {
            (pool.most, pool.tasks, pool.runs_out) = (0.0, 0.0, false);
        }
        if let (Some(host), Ok(most)) = (self.pools.first_mut(), self.host.tasks_max) {
            host.most = most as f64;
            host.tasks = self.host.tasks.unwrap_or(0) as f64;
        }
        for one in read.iter().filter(|one| !self.index.contains_key(&one.id)) {
            let Ok(tasks) = one.tasks else { continue };
            let known = self.pools.iter().position(|pool| pool.id == one.id);
            let found = known.or_else(|| {
                let (group, _) = self.tree.find(one.id).filter(|(at, _)| *at != HOST)?;
                (self.pools.len() <= SLICES).then(|| {
                    self.pools.push(Pool::new(&self.tree, group, one.id));
                    self.pools.len() - 1
                })
            });
            if let Some(pool) = found.and_then(|at| self.pools.get_mut(at))
                && let Some(group) = self.tree.groups.get(pool.group)
                && let Ok(Limit::At(most)) = group.knobs.pids_max
            {
                (pool.most, pool.tasks) = (most as f64, tasks as f64);
            }
        }
    }

    /// The pools that this one's tasks come out of.
    pub(super) fn pools_of<'b>(&'b self, track: &'b Track) -> impl Iterator<Item = &'b Pool> {
        let known = self.pools.iter().filter(|pool| pool.most > 0.0);
        known.filter(|pool| self.is_below(track, pool))
    }

    /// Whether this one's tasks come out of a pool.
    pub(super) fn is_below(&self, track: &Track, pool: &Pool) -> bool {
        is_below(&self.tree, track.group, pool.group)
    }

    /// So many tasks of a pool may be had before less than the reserve is left.
    fn free_in(&self, pool: &Pool) -> f64 {
        (self.usable(pool) - pool.tasks).max(0.0)
    }

    fn usable(&self, pool: &Pool) -> f64 {
        pool.most * (1.0 - self.policy.pids.reserve.get())
    }

    /// Whether a pool runs out when so many are about to be started.
    pub(super) fn is_too_much(&self, pool: &Pool, gains: f64) -> bool {
        gains > 0.0 && gains > self.free_in(pool)
    }

    /// An equal part of a pool, less the reserve.
    pub(super) fn fair_in(&self, pool: &Pool) -> f64 {
        self.usable(pool) / pool.containers.max(1) as f64
    }

    /// The least of this one's equal parts.
    pub(super) fn fair_tasks(&self, track: &Track) -> f64 {
        let parts = self.pools_of(track).map(|pool| self.fair_in(pool));
        parts.reduce(f64::min).unwrap_or(0.0)
    }

    /// What is free in all of this one's pools, and is not left to anybody else by a clamp.
    pub(super) fn tasks_unclaimed(&self, by: GroupId) -> f64 {
        let Some(track) = self.track(by) else {
            return 0.0;
        };
        let unclaimed = self.pools_of(track).map(|pool| {
            let others = self.held.iter().filter(|held| held.aggressor != by);
            let left = others.map(|held| match (held.place, self.track(held.aggressor)) {
                (Place::Clamp(clamp), Some(other)) if self.is_below(other, pool) => {
                    (clamp as f64 - other.has_tasks()).max(0.0)
                }
                _ => 0.0,
            });
            (self.free_in(pool) - left.sum::<f64>()).max(0.0)
        });
        unclaimed.reduce(f64::min).unwrap_or(0.0)
    }

    /// What the limits of slices between this one and a pool leave it: `None` where there are none, or they are not what
    /// was read any more.
    pub(super) fn left_below(&self, track: &Track, pool: &Pool) -> Option<f64> {
        let inner = |one: &&Pool| one.group > pool.group && one.tasks <= one.most;
        let below = self.pools_of(track).filter(inner);
        let left = below.map(|one| (one.most - one.tasks).max(0.0));
        left.reduce(f64::min)
    }

    /// The path of the slice that runs out for this one; `None` where it is the host, or nothing does.
    pub(super) fn short_of(&self, track: &Track) -> Option<String> {
        let mut short = self.pools_of(track).filter(|pool| pool.runs_out);
        let pool = short.next().filter(|pool| pool.group != HOST)?;
        let group = self.tree.groups.get(pool.group)?;
        Some(String::from_utf8_lossy(&group.path).into_owned())
    }
}
