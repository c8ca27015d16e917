//! From the known groups to the topology that the brain sees.

use super::super::files::TreeFiles;
use super::super::recognise::shown;
use super::{Forest, Kind};
use crate::model::{Group, GroupId, Knob, Member, Original, Runtime, Topology};
use std::collections::HashMap;

/// What others know about the groups.
pub struct Rules<'a> {
    /// What stood in a knob that we hold, before us.
    pub original: &'a dyn Fn(GroupId, Knob) -> Option<Original>,
    /// A container's name by its runtime and key, where the runtime's API told it.
    pub name: &'a dyn Fn(Runtime, &str) -> Option<String>,
    /// Whether the policy protects a group.
    pub is_protected: &'a dyn Fn(&Group) -> bool,
    /// The path of the governor's own group, if it is known: never held, whatever the policy says, and no
    /// victim as a service: we are above the containers by other means.
    pub own: Option<&'a [u8]>,
}

impl<T: TreeFiles> Forest<T> {
    /// The tree as of the last scan, with the originals of the knobs that we hold.
    ///
    /// Of a protected service that has groups below it, only the topmost is protected (and
    /// watched): its pressure has theirs in it.
    #[must_use]
    pub fn topology(&self, rules: &Rules<'_>) -> Topology {
        let mut groups: Vec<Group> = Vec::with_capacity(self.order.len());
        let mut places: HashMap<GroupId, Place> = HashMap::with_capacity(self.order.len());
        for &id in &self.order {
            let Some(node) = self.nodes.get(&id) else {
                continue;
            };
            let above = node.parent.and_then(|parent| places.get(&parent)).copied();
            if node.parent.is_some() && above.is_none() {
                continue;
            }
            let path = if node.path.is_empty() {
                b"/".to_vec()
            } else {
                node.path.clone()
            };
            let ours = rules.own.is_some_and(|own| own != b"/" && own == path);
            let member = match &node.kind {
                Kind::Top(member) => named(member, rules.name),
                Kind::Inner if !ours => Member::Inner,
                Kind::Inner | Kind::Service => Member::Service,
            };
            let mut group = Group {
                id,
                parent: above.map(|place| place.index),
                path,
                member,
                knobs: node.knobs.knobs(&|knob| (rules.original)(id, knob)),
                protected: false,
                complete: node.complete || matches!(node.kind, Kind::Top(_)),
            };
            let is_service = group.member == Member::Service;
            let covered = above.is_some_and(|place| place.in_protected_service);
            group.protected = if ours {
                // A service is never held as it is.
                !is_service
            } else {
                holds_us(&group, rules.own)
                    || !(is_service && covered) && (rules.is_protected)(&group)
            };
            let place = Place {
                index: groups.len(),
                in_protected_service: covered || (is_service && group.protected),
            };
            places.insert(id, place);
            groups.push(group);
        }
        Topology { groups }
    }
}

#[derive(Clone, Copy)]
struct Place {
    index: usize,
    in_protected_service: bool,
}

fn named(member: &Member, name_of: &dyn Fn(Runtime, &str) -> Option<String>) -> Member {
    let mut member = member.clone();
    if let Member::Container {
        runtime, key, name, ..
    } = &mut member
        && let Some(better) = name_of(*runtime, key)
    {
        *name = shown(better.as_bytes());
    }
    member
}

/// Whether the governor runs inside this container.
fn holds_us(group: &Group, own: Option<&[u8]>) -> bool {
    group.is_container()
        && own
            .and_then(|own| own.strip_prefix(group.path.as_slice()))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
