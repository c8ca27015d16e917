//! Which cgroup's knob moves what the aggressor takes?
//!
//! `cpu.weight` acts only between siblings. The lever is therefore the child, on the aggressor's
//! side, of the lowest common ancestor of victim and aggressor; and only if that subtree holds
//! nobody but the aggressor and its helpers. Else no weight reaches, and the lever is a cap on the
//! aggressor itself.

use crate::model::{Group, Member, Topology};

/// Where to act on CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lever {
    /// The weight of this group (an index of the topology) separates the two.
    Weight(usize),
    /// No weight does: cap this group, the aggressor itself.
    Cap(usize),
}

/// The lever between two groups; `None` if one of them is the other or its ancestor.
pub(super) fn find(tree: &Topology, aggressor: usize, victim: usize) -> Option<Lever> {
    let above: Vec<usize> = tree.lineage(victim).collect();
    let mut child = aggressor;
    for at in tree.lineage(aggressor) {
        if above.contains(&at) {
            if at == aggressor || at == victim {
                return None;
            }
            let reaches = tree.groups[child].knobs.cpu_weight.is_ok()
                && !left_to_kubelet(&tree.groups[child])
                && holds_only(tree, child, aggressor);
            return Some(if reaches {
                Lever::Weight(child)
            } else {
                Lever::Cap(aggressor)
            });
        }
        child = at;
    }
    None
}

/// Whether everything with processes under `top` is the aggressor, of its pod, or its helper.
fn holds_only(tree: &Topology, top: usize, aggressor: usize) -> bool {
    tree.groups.iter().enumerate().all(|(at, group)| {
        at == aggressor
            || matches!(group.member, Member::Inner)
            || same_owner(group, &tree.groups[aggressor])
            || !tree.lineage(at).any(|up| up == top)
    })
}

/// Whether two groups belong to one container, or to one pod: the pod is the unit of blame.
pub(super) fn same_owner(group: &Group, aggressor: &Group) -> bool {
    let Member::Container { key, pod, .. } = &aggressor.member else {
        return false;
    };
    match &group.member {
        Member::Helper { of } => of == key,
        Member::Container {
            pod: Some(other), ..
        } => Some(other) == pod.as_ref(),
        _ => false,
    }
}

/// kubelet rewrites its own slices about every minute; a pod's own slice is a lever, they are not.
fn left_to_kubelet(group: &Group) -> bool {
    let name = group
        .path
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default();
    (name.starts_with(b"kubepods") && !name.windows(4).any(|part| part == b"-pod"))
        || group.path.starts_with(b"/kubepods/")
            && (name == b"burstable" || name == b"besteffort" || name == b"guaranteed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::track::tests::{container, helper, pod_container, service, tree};

    fn lever(tree: &Topology, aggressor: &str, victim: &str) -> Option<(bool, String)> {
        let at = |path: &str| {
            tree.groups
                .iter()
                .position(|g| g.path == path.as_bytes())
                .unwrap()
        };
        find(tree, at(aggressor), at(victim)).map(|lever| match lever {
            Lever::Weight(i) => (
                true,
                String::from_utf8(tree.groups[i].path.clone()).unwrap(),
            ),
            Lever::Cap(i) => (
                false,
                String::from_utf8(tree.groups[i].path.clone()).unwrap(),
            ),
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
        assert_eq!(found, Some((true, "/system.slice/docker-a.scope".into())));
    }

    #[test]
    fn a_slice_that_holds_others_is_no_lever_so_a_cap_it_is() {
        let tree = tree(&[
            container("/system.slice/docker-a.scope", 100),
            service("/system.slice/ssh.service"),
            container("/machine.slice/libpod-b.scope", 100),
        ]);
        let found = lever(
            &tree,
            "/system.slice/docker-a.scope",
            "/machine.slice/libpod-b.scope",
        );
        assert_eq!(found, Some((false, "/system.slice/docker-a.scope".into())));
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
        assert_eq!(found, Some((true, "/machine.slice".into())));
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
        assert_eq!(lever(&tree, &a, &b), Some((true, pod)));
        assert_eq!(lever(&tree, &b, docker), Some((false, b.clone())));
    }

    #[test]
    fn without_the_cpu_controller_no_weight_reaches() {
        let mut tree = tree(&[container("/a", 100), container("/b", 100)]);
        tree.groups[1].knobs.cpu_weight = Err(crate::model::Absent::NoFile);
        assert_eq!(lever(&tree, "/a", "/b"), Some((false, "/a".into())));
    }
}
