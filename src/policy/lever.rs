//! Which cgroup's knob moves what the aggressor takes?
//!
//! `cpu.weight` acts only between siblings. The lever is therefore the child, on the aggressor's
//! side, of the lowest common ancestor of victim and aggressor; and only if that subtree holds
//! nobody but the aggressor and its helpers. A subtree that holds others, but nothing that the policy
//! protects, is moved by two weights ([`shared`](super::shared)). Where it must not be moved, the victim's
//! side of the fork is raised beside it ([`lift`](super::lift)). Else no weight reaches, and the lever is a
//! cap on the aggressor itself.

use crate::model::{Group, Member, Topology};

/// Where to act on CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lever {
    /// The weight of this group (an index of the topology) separates the two.
    Weight(usize),
    /// The weight of `slice` separates the two, and that of `own` below it the aggressor from the others
    /// in the slice.
    Shared {
        /// The child of the fork.
        slice: usize,
        /// Its child that moves nobody but the aggressor.
        own: usize,
    },
    /// The weight of `slice` separates the two, but must not be moved; that of `side`, the victim's own, may be
    /// raised beside it, and that of `own` lowered below it.
    Raised {
        /// The child of the fork on the victim's side: it moves nobody but the victim.
        side: usize,
        /// The child of the fork on the aggressor's side.
        slice: usize,
        /// Its child that moves nobody but the aggressor.
        own: usize,
    },
    /// No weight does: cap this group, the aggressor itself.
    Cap(usize),
}

/// The lever between two groups; `None` if one of them is the other or its ancestor.
pub(super) fn find(tree: &Topology, aggressor: usize, victim: usize) -> Option<Lever> {
    let mut child = aggressor;
    for at in tree.lineage(aggressor) {
        if tree.lineage(victim).any(|up| up == at) {
            if at == aggressor || at == victim {
                return None;
            }
            let may_move = |at: usize| tree.groups[at].knobs.cpu_weight.is_ok();
            let reaches = |at: usize| may_move(at) && !left_to_kubelet(&tree.groups[at]);
            if reaches(child) && moves_only(tree, child, aggressor) {
                return Some(Lever::Weight(child));
            }
            let cap = Lever::Cap(aggressor);
            let Some(own) = own_in(tree, child, aggressor).filter(|&own| reaches(own)) else {
                return Some(cap);
            };
            if reaches(child) && is_shared(tree, child, own, aggressor) {
                return Some(Lever::Shared { slice: child, own });
            }
            let side = tree
                .lineage(victim)
                .find(|&up| tree.groups[up].parent == Some(at));
            let side = side.filter(|&side| reaches(side) && moves_only(tree, side, victim));
            return Some(match side {
                Some(side) if is_beside(tree, child, own, aggressor) => Lever::Raised {
                    side,
                    slice: child,
                    own,
                },
                _ => cap,
            });
        }
        child = at;
    }
    None
}

/// The child of `slice` on the way to the aggressor.
fn own_in(tree: &Topology, slice: usize, aggressor: usize) -> Option<usize> {
    tree.lineage(aggressor)
        .find(|&at| tree.groups[at].parent == Some(slice))
}

/// Whether a slice may be moved for the sake of the aggressor in it, though others are in it too: they are
/// containers, whose needs are known, nothing in it is protected, and `own`, its child, moves the aggressor
/// alone.
pub(super) fn is_shared(tree: &Topology, slice: usize, own: usize, aggressor: usize) -> bool {
    let below = |at| tree.lineage(at).any(|up| up == slice);
    let mut groups = tree.groups.iter().enumerate();
    tree.groups[own].parent == Some(slice)
        && moves_only(tree, own, aggressor)
        && groups.all(|(at, group)| {
            let known = !matches!(group.member, Member::Service);
            (known && !group.protected && group.complete) || !below(at)
        })
}

/// Whether somebody may be raised beside a slice that must not be moved itself, for the sake of the
/// aggressor in it: all others in it are known and are services, or containers that the policy does not
/// protect, and `own`, its child, moves the aggressor alone.
pub(super) fn is_beside(tree: &Topology, slice: usize, own: usize, aggressor: usize) -> bool {
    let below = |at| tree.lineage(at).any(|up| up == slice);
    let mut groups = tree.groups.iter().enumerate();
    tree.groups[own].parent == Some(slice)
        && tree.groups[slice].knobs.cpu_weight.is_ok()
        && moves_only(tree, own, aggressor)
        && groups.all(|(at, group)| {
            let spared = group.protected && group.is_container();
            (group.complete && !spared) || !below(at)
        })
}

/// Whether moving `top` moves nobody but the aggressor, its pod and its helpers, and nothing that the
/// policy protects; and nobody who is not known yet.
pub(super) fn moves_only(tree: &Topology, top: usize, aggressor: usize) -> bool {
    let mine = |at: usize, group: &Group| {
        !group.protected
            && group.complete
            && (at == aggressor
                || matches!(group.member, Member::Inner)
                || same_owner(group, &tree.groups[aggressor]))
    };
    let below = |at| tree.lineage(at).any(|up| up == top);
    below(aggressor)
        && tree
            .groups
            .iter()
            .enumerate()
            .all(|(at, group)| mine(at, group) || !below(at))
}

/// Whether two groups of one tree belong to one container, or to one pod: the pod is the unit of blame.
pub(super) fn same_owner(group: &Group, aggressor: &Group) -> bool {
    match (&group.member, &aggressor.member) {
        (Member::Helper { of }, Member::Container { key, .. }) => of == key,
        _ => group.is_in_pod_of(aggressor),
    }
}

/// kubelet rewrites its own slices about every minute; a pod's own slice is a lever, they are not. They may be
/// anywhere: kubelet puts them below its `--cgroup-root`, and systemd's name of a slice has its parents' before it
/// (`kubelet-kubepods-burstable.slice`).
fn left_to_kubelet(group: &Group) -> bool {
    let mut names = group.path.rsplit(|&byte| byte == b'/');
    let name = names.next().unwrap_or_default();
    let above = names.next().unwrap_or_default();
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    (has(b"kubepods") && !has(b"-pod"))
        || above == b"kubepods" && matches!(name, b"burstable" | b"besteffort" | b"guaranteed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::track::tests::{container, helper, pod_container, service, tree};

    /// The kind of lever and its paths.
    fn lever(tree: &Topology, aggressor: &str, victim: &str) -> Option<String> {
        let at = |path: &str| {
            tree.groups
                .iter()
                .position(|g| g.path == path.as_bytes())
                .unwrap()
        };
        let path = |at: usize| String::from_utf8_lossy(&tree.groups[at].path).into_owned();
        find(tree, at(aggressor), at(victim)).map(|lever| match lever {
            Lever::Weight(at) => format!("weight {}", path(at)),
            Lever::Shared { slice, own } => format!("shared {} {}", path(slice), path(own)),
            Lever::Raised { side, slice, own } => {
                format!(
                    "raised {} beside {}, {}",
                    path(side),
                    path(slice),
                    path(own)
                )
            }
            Lever::Cap(at) => format!("cap {}", path(at)),
        })
    }

    #[test]
    fn between_siblings_it_is_the_aggressor_itself() {
        let tree = tree(&[
            container("/system.slice/docker-a.scope", 100),
            container("/system.slice/docker-b.scope", 100),
            service("/system.slice/ssh.service"),
        ]);
        let found = lever(
            &tree,
            "/system.slice/docker-a.scope",
            "/system.slice/docker-b.scope",
        );
        assert_eq!(found, Some("weight /system.slice/docker-a.scope".into()));
    }

    #[test]
    fn beside_a_slice_with_services_of_the_host_it_is_the_victims_own_side_that_is_raised() {
        let (hog, victim) = (
            "/system.slice/docker-a.scope",
            "/machine.slice/libpod-b.scope",
        );
        let groups = [
            container(hog, 100),
            service("/system.slice/ssh.service"),
            container(victim, 100),
        ];
        let raised = format!("raised /machine.slice beside /system.slice, {hog}");
        assert_eq!(lever(&tree(&groups), hog, victim), Some(raised));
    }

    #[test]
    fn where_neither_side_may_be_moved_it_is_a_cap() {
        let (hog, victim) = (
            "/system.slice/docker-a.scope",
            "/machine.slice/libpod-b.scope",
        );
        let groups = [
            container(hog, 100),
            service("/system.slice/ssh.service"),
            container(victim, 100),
            container("/machine.slice/libpod-c.scope", 100),
        ];
        assert_eq!(
            lever(&tree(&groups), hog, victim),
            Some(format!("cap {hog}"))
        );
    }

    #[test]
    fn a_slice_that_holds_only_the_aggressor_and_its_helper_is_the_lever() {
        let tree = tree(&[
            container("/system.slice/docker-a.scope", 100),
            container("/machine.slice/libpod-b.scope", 100),
            helper(
                "/machine.slice/libpod-conmon-b.scope",
                "/machine.slice/libpod-b.scope",
            ),
        ]);
        let found = lever(
            &tree,
            "/machine.slice/libpod-b.scope",
            "/system.slice/docker-a.scope",
        );
        assert_eq!(found, Some("weight /machine.slice".into()));
    }

    #[test]
    fn a_slice_that_holds_another_container_is_moved_by_two_weights() {
        let own = "/machine.slice/libpod-b.scope";
        let podman = [
            container("/system.slice/docker-a.scope", 100),
            container("/machine.slice/libpod-b.scope/container", 100),
            container("/machine.slice/libpod-c.scope/container", 100),
        ];
        let hog = format!("{own}/container");
        let found = lever(&tree(&podman), &hog, "/system.slice/docker-a.scope");
        assert_eq!(found, Some(format!("shared /machine.slice {own}")));
        let mut protected = podman.to_vec();
        protected[2].protected = true;
        let found = lever(&tree(&protected), &hog, "/system.slice/docker-a.scope");
        assert_eq!(found, Some(format!("cap {hog}")));
    }

    #[test]
    fn a_slice_of_which_not_all_is_known_is_no_lever() {
        let hog = "/machine.slice/inner.slice/libpod-b.scope";
        let mut tree = tree(&[
            container("/system.slice/docker-a.scope", 100),
            container(hog, 100),
        ]);
        for half_known in ["/machine.slice", "/machine.slice/inner.slice"] {
            let at = tree
                .groups
                .iter()
                .position(|g| g.path == half_known.as_bytes());
            let at = at.unwrap();
            let found = |tree: &Topology| lever(tree, hog, "/system.slice/docker-a.scope");
            assert_eq!(found(&tree), Some("weight /machine.slice".into()));
            tree.groups[at].complete = false;
            assert_eq!(found(&tree), Some(format!("cap {hog}")), "{half_known}");
            tree.groups[at].complete = true;
        }
    }

    #[test]
    fn two_pods_are_told_apart_by_the_pods_slice_and_kubelets_slices_are_left_alone() {
        let burstable = "/kubepods.slice/kubepods-burstable.slice";
        let a = format!("{burstable}/kubepods-burstable-poda.slice/cri-containerd-1.scope");
        let a2 = format!("{burstable}/kubepods-burstable-poda.slice/cri-containerd-2.scope");
        let b = format!("{burstable}/kubepods-burstable-podb.slice/cri-containerd-3.scope");
        let docker = "/system.slice/docker-v.scope";
        let tree = tree(&[
            pod_container(&a, "poda"),
            pod_container(&a2, "poda"),
            pod_container(&b, "podb"),
            container(docker, 100),
        ]);
        let pod = format!("{burstable}/kubepods-burstable-poda.slice");
        assert_eq!(lever(&tree, &a, &b), Some(format!("weight {pod}")));
        let own = format!("cap {}", b);
        assert_eq!(lever(&tree, &b, docker), Some(own));
    }

    #[test]
    fn no_slice_of_kubelets_is_ever_moved_wherever_it_stands_and_on_whichever_side() {
        let places = [
            (
                "/kubepods.slice/kubepods-burstable.slice",
                "kubepods-burstable-poda.slice",
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice",
                "kubepods-besteffort-poda.slice",
            ),
            ("/kubepods.slice", "kubepods-poda.slice"),
            ("/kubepods/burstable", "poda"),
            ("/kubepods/besteffort", "poda"),
            ("/kubelet/kubepods/burstable", "poda"),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice",
                "kubelet-kubepods-burstable-poda.slice",
            ),
        ];
        for (qos, pod) in places {
            let inside = format!("{qos}/{pod}/cri-containerd-1.scope");
            for other in [
                "/system.slice/docker-b.scope",
                "/machine.slice/libpod-b.scope",
                "/b",
            ] {
                for beside in [None, Some("/system.slice/ssh.service")] {
                    let mut groups = vec![pod_container(&inside, "poda"), container(other, 100)];
                    groups.extend(beside.map(service));
                    let tree = tree(&groups);
                    for (aggressor, victim) in [(&*inside, other), (other, &*inside)] {
                        let found = lever(&tree, aggressor, victim).unwrap();
                        for word in found.split([' ', ',']).filter(|word| word.starts_with('/')) {
                            // In `raised A beside B, C` the slice B is not moved.
                            if found.contains(&format!("beside {word}")) {
                                continue;
                            }
                            let at = tree.groups.iter().position(|g| g.path == word.as_bytes());
                            assert!(!left_to_kubelet(&tree.groups[at.unwrap()]), "{found}");
                        }
                    }
                }
            }
            let at = |path: &str| tree(&[pod_container(path, "poda")]).groups.pop().unwrap();
            assert!(!left_to_kubelet(&at(&format!("{qos}/{pod}"))), "{pod}");
        }
    }

    #[test]
    fn a_group_with_the_name_of_another_ones_pod_is_not_of_that_pod() {
        let pod = "/kubepods.slice/kubepods-poda.slice";
        let tree = tree(&[
            pod_container(&format!("{pod}/cri-containerd-1.scope"), "poda"),
            pod_container(&format!("{pod}/cri-containerd-2.scope"), "poda"),
            pod_container(&format!("/user.slice{pod}/cri-containerd-3.scope"), "poda"),
        ]);
        let of = |end: &[u8]| {
            let found = tree.groups.iter().find(|g| g.path.ends_with(end));
            found.unwrap()
        };
        let (one, two, forged) = (of(b"1.scope"), of(b"2.scope"), of(b"3.scope"));
        assert!(same_owner(one, two) && same_owner(two, one));
        assert!(!same_owner(one, forged) && !same_owner(forged, one));
    }

    #[test]
    fn without_the_cpu_controller_no_weight_reaches() {
        let mut tree = tree(&[container("/a", 100), container("/b", 100)]);
        tree.groups[1].knobs.cpu_weight = Err(crate::model::Absent::NoFile);
        assert_eq!(lever(&tree, "/a", "/b"), Some("cap /a".into()));
    }
}
