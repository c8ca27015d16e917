//! What may each take while others want more?
//!
//! The weighted fair share among those that are active, raised to established demand: an equal
//! split alone is not enough, because a newcomer with many spinners may then take a neighbour's
//! steady 80 % down to 50 and the scheduler calls it fair. Weights are the originals, and they
//! multiply along the path: a weight acts between siblings only.

use crate::model::{Topology, Weight};

/// One watched container as the shares see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Its place in [`Topology::groups`].
    pub group: usize,
    /// Whether it uses or wants CPU now.
    pub active: bool,
    /// Its established demand, in CPUs.
    pub demand: f64,
}

/// One claim's entitlement in CPUs, by where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Entitled {
    /// Its established demand, scaled where all demands are over the capacity.
    pub own: f64,
    /// Its fair share.
    pub fair: f64,
    /// Its own, and its part of what all demands leave.
    pub left: f64,
}

impl Entitled {
    /// The entitlement: the demand, or what can be had of the fair share if that is more.
    pub(super) fn cpus(self) -> f64 {
        self.own.max(self.left)
    }
}

/// The demands of all who are active, in CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Demanded {
    /// Up to each one's fair share.
    first: f64,
    /// Over it.
    over: f64,
    /// What lacks to the fair shares of those that demand less.
    lacks: f64,
}

/// The arithmetic of shares, with its scratch space: no allocation once the tree is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    active: Vec<bool>,
    siblings: Vec<f64>,
    share: Vec<f64>,
}

impl Shares {
    /// Each claim's entitlement in CPUs, in the order of `claims`, into `out`.
    ///
    /// Each is entitled to its demand. What all demands leave goes to those who demand less than their fair
    /// share, up to that, in proportion to what they lack: the entitlements of all are never more than there is. (Of four
    /// that come beside one that needs 80 % each was once entitled to all of the other 20 %, and none took too much.)
    /// Where the demands are above the capacity together, each has its demand up to its fair share first, and what is
    /// over that is scaled down: nobody's small demand is scaled away by two great ones. A claim that is
    /// not active is answered as if it were.
    pub(super) fn cpu(
        &mut self,
        tree: &Topology,
        claims: &[Claim],
        capacity: f64,
        out: &mut Vec<f64>,
    ) {
        self.weigh(tree, claims);
        let demanded = self.demanded(tree, claims, capacity);
        out.clear();
        for claim in claims {
            let entitled = self.entitled(tree, claim, demanded, capacity);
            out.push(entitled.cpus());
        }
    }

    /// Where one claim's entitlement comes from, among the claims of the last [`cpu`](Self::cpu), which
    /// [demanded](Self::demanded) so much together.
    pub(super) fn entitled(
        &self,
        tree: &Topology,
        claim: &Claim,
        demanded: Demanded,
        capacity: f64,
    ) -> Entitled {
        let share = self.fair(tree, claim);
        let fair = share * capacity;
        let first = claim.demand.min(fair);
        let own = first + (claim.demand - first) * demanded.granted(capacity);
        let lack = (fair - claim.demand).max(0.0);
        let (mut free, mut lacks) = (capacity - demanded.all().min(capacity), demanded.lacks);
        if !claim.active {
            // It would take its own, and from everybody a part of the fair share.
            free = (free - own).max(0.0);
            lacks = lacks * (1.0 - share) + lack;
        }
        let part = (free / lacks.max(f64::EPSILON)).min(1.0);
        Entitled {
            own,
            fair,
            left: own + lack * part,
        }
    }

    /// What all who are active demand, in CPUs. To be asked after [`cpu`](Self::cpu) has weighed them.
    pub(super) fn demanded(&self, tree: &Topology, claims: &[Claim], capacity: f64) -> Demanded {
        let active = claims.iter().filter(|claim| claim.active);
        active.fold(Demanded::default(), |sum, claim| {
            let fair = self.fair(tree, claim) * capacity;
            let first = claim.demand.min(fair);
            Demanded {
                first: sum.first + first,
                over: sum.over + claim.demand - first,
                lacks: sum.lacks + (fair - first),
            }
        })
    }

    /// Sums of active weights per parent, and each active group's share of the whole.
    fn weigh(&mut self, tree: &Topology, claims: &[Claim]) {
        let count = tree.groups.len();
        self.active.clear();
        self.active.resize(count, false);
        self.siblings.clear();
        self.siblings.resize(count, 0.0);
        self.share.clear();
        self.share.resize(count, 0.0);
        for claim in claims.iter().filter(|claim| claim.active) {
            for at in tree.lineage(claim.group) {
                if std::mem::replace(&mut self.active[at], true) {
                    break;
                }
                if let Some(parent) = tree.groups[at].parent.filter(|&parent| parent < at) {
                    self.siblings[parent] += weight(tree, at);
                }
            }
        }
        for at in 0..count {
            self.share[at] = match tree.groups[at].parent.filter(|&parent| parent < at) {
                None => 1.0,
                Some(parent) if self.active[at] && self.siblings[parent] > 0.0 => {
                    self.share[parent] * weight(tree, at) / self.siblings[parent]
                }
                Some(_) => 0.0,
            };
        }
    }

    /// The fair share of one claim, a part of the host's CPUs; of one that is not active, as if it joined now.
    pub(super) fn fair(&self, tree: &Topology, claim: &Claim) -> f64 {
        let Some(&share) = self.share.get(claim.group) else {
            return 0.0;
        };
        if claim.active {
            return share;
        }
        let mut product = 1.0;
        for at in tree.lineage(claim.group) {
            if self.active[at] {
                return product * self.share[at];
            }
            if let Some(parent) = tree.groups[at].parent.filter(|&parent| parent < at) {
                let own = weight(tree, at);
                product *= own / (own + self.siblings[parent]);
            }
        }
        product
    }

    /// The active weight beside `group` under its parent: what its own weight competes with.
    pub(super) fn beside(&self, tree: &Topology, group: usize) -> f64 {
        let Some(parent) = tree.groups.get(group).and_then(|g| g.parent) else {
            return 0.0;
        };
        let own = self.active_weight(tree, group);
        (self.siblings.get(parent).copied().unwrap_or(0.0) - own).max(0.0)
    }

    /// The weight with which `group` competes beside its siblings: none where nobody in it is active.
    pub(super) fn active_weight(&self, tree: &Topology, group: usize) -> f64 {
        if self.active.get(group) == Some(&true) {
            weight(tree, group)
        } else {
            0.0
        }
    }

    /// The share of the whole that `group`'s parent gets among the active.
    pub(super) fn above(&self, tree: &Topology, group: usize) -> f64 {
        let parent = tree.groups.get(group).and_then(|g| g.parent);
        parent
            .and_then(|parent| self.share.get(parent))
            .copied()
            .unwrap_or(1.0)
    }
}

impl Demanded {
    const fn all(self) -> f64 {
        self.first + self.over
    }

    /// The part of the demands over fair shares that there is room for.
    fn granted(self, capacity: f64) -> f64 {
        if self.all() <= capacity {
            return 1.0;
        }
        ((capacity - self.first) / self.over).clamp(0.0, 1.0)
    }
}

/// The weight without us; a group without the cpu controller competes as one of default weight.
fn weight(tree: &Topology, at: usize) -> f64 {
    f64::from(
        tree.groups[at]
            .knobs
            .cpu_weight
            .unwrap_or(Weight::DEFAULT)
            .get(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::track::tests::{container, tree};
    use proptest::prelude::*;

    fn claim(group: usize, demand: f64) -> Claim {
        Claim {
            group,
            active: true,
            demand,
        }
    }

    fn entitled(tree: &Topology, claims: &[Claim], capacity: f64) -> Vec<f64> {
        let mut out = Vec::new();
        Shares::default().cpu(tree, claims, capacity, &mut out);
        out
    }

    #[test]
    fn two_newcomers_share_equally() {
        let tree = tree(&[container("/a", 100), container("/b", 100)]);
        assert_eq!(
            entitled(&tree, &[claim(1, 0.0), claim(2, 0.0)], 1.0),
            [0.5, 0.5]
        );
    }

    #[test]
    fn an_established_demand_leaves_a_newcomer_the_rest() {
        let tree = tree(&[container("/a", 100), container("/b", 100)]);
        let out = entitled(&tree, &[claim(1, 0.8), claim(2, 0.0)], 1.0);
        assert!(
            (out[0] - 0.8).abs() < 1e-9 && (out[1] - 0.2).abs() < 1e-9,
            "{out:?}"
        );
    }

    #[test]
    fn several_newcomers_share_the_rest() {
        let groups: Vec<_> = (0..5).map(|i| container(&format!("/c{i}"), 100)).collect();
        let claims: Vec<_> = (0..5)
            .map(|i| claim(i + 1, if i == 0 { 0.8 } else { 0.0 }))
            .collect();
        let out = entitled(&tree(&groups), &claims, 1.0);
        assert!((out[0] - 0.8).abs() < 1e-9, "{out:?}");
        assert!(
            out[1..].iter().all(|cpus| (cpus - 0.05).abs() < 1e-9),
            "{out:?}"
        );
    }

    #[test]
    fn a_small_demand_still_entitles_to_the_fair_share() {
        let tree = tree(&[container("/a", 100), container("/b", 100)]);
        let out = entitled(&tree, &[claim(1, 0.1), claim(2, 0.0)], 1.0);
        assert_eq!(out, [0.5, 0.5]);
    }

    #[test]
    fn weights_multiply_along_the_path_and_the_inactive_do_not_count() {
        let tree = tree(&[
            container("/a", 300),
            container("/s/b", 100),
            container("/s/c", 100),
            container("/d", 100),
        ]);
        let at = |path: &str| {
            tree.groups
                .iter()
                .position(|g| g.path == path.as_bytes())
                .unwrap()
        };
        let mut claims = [
            claim(at("/a"), 0.0),
            claim(at("/s/b"), 0.0),
            claim(at("/s/c"), 0.0),
            claim(at("/d"), 0.0),
        ];
        claims[3].active = false;
        let out = entitled(&tree, &claims, 4.0);
        assert!(
            (out[0] - 3.0).abs() < 1e-9 && (out[1] - 0.5).abs() < 1e-9,
            "{out:?}"
        );
        assert!(
            (out[3] - 0.8).abs() < 1e-9,
            "as if it joined: 4 × 100 / (100 + 300 + 100)"
        );
    }

    #[test]
    fn two_great_demands_do_not_scale_a_small_one_away() {
        let tree = tree(&[
            container("/a", 100),
            container("/b", 100),
            container("/c", 100),
        ]);
        let claims = [claim(1, 0.85), claim(2, 0.85), claim(3, 0.05)];
        let out = entitled(&tree, &claims, 1.0);
        assert!((out[2] - 0.05).abs() < 1e-9, "{out:?}");
        assert!((out[0] - 0.475).abs() < 1e-9 && out[0] == out[1], "{out:?}");
    }

    #[test]
    fn demands_above_the_capacity_are_scaled_together() {
        let tree = tree(&[
            container("/a", 100),
            container("/b", 100),
            container("/c", 100),
        ]);
        let out = entitled(&tree, &[claim(1, 0.9), claim(2, 0.9), claim(3, 0.0)], 1.0);
        assert!((out[0] - 0.5).abs() < 1e-9 && out[2] < 1e-9, "{out:?}");
    }

    proptest! {
        #[test]
        fn entitlements_are_never_negative_nor_above_the_capacity(
            demands in proptest::collection::vec((0.0_f64..4.0, 1_u32..10_000, any::<bool>()), 1..20),
            capacity in 1.0_f64..64.0,
        ) {
            let groups: Vec<_> = demands
                .iter()
                .enumerate()
                .map(|(i, (_, weight, _))| container(&format!("/c{i}"), *weight))
                .collect();
            let tree = tree(&groups);
            let claims: Vec<_> = demands
                .iter()
                .enumerate()
                .map(|(i, &(demand, _, active))| Claim { group: i + 1, active, demand: demand.min(capacity) })
                .collect();
            let out = entitled(&tree, &claims, capacity);
            for value in &out {
                prop_assert!(*value >= 0.0 && *value <= capacity + 1e-9);
            }
            let active = claims.iter().zip(&out).filter(|(claim, _)| claim.active);
            prop_assert!(active.map(|(_, value)| value).sum::<f64>() <= capacity + 1e-9);
        }
    }
}
