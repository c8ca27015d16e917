//! Trees that are too large to be written as they are.
//!
//! Whoever may make cgroups may give them paths of 4 KiB, of bytes that take six each as text. A brain
//! keeps only the [beginning](Who::KEPT) of a path and a unit's name, so that much of it is enough: what
//! is replayed with it is the same.

use std::borrow::Cow;

use super::{FRAME_MAX, TooLarge};
use crate::model::{Group, Member, Topology, Who};

/// A tree whose text is longer has its paths shortened.
const LONG: usize = 1 << 20;
/// What a group takes beside its names, about.
const GROUP: usize = 400;

/// The tree as it is written: with its longest paths shortened where it is large.
///
/// # Errors
/// If it is too large all the same, by an estimate.
pub fn within_bounds(tree: &Topology) -> Result<Cow<'_, Topology>, TooLarge> {
    if is_within(tree, LONG) {
        return Ok(Cow::Borrowed(tree));
    }
    let shorter = Topology {
        groups: tree.groups.iter().map(shortened).collect(),
    };
    if is_within(&shorter, FRAME_MAX) {
        Ok(Cow::Owned(shorter))
    } else {
        Err(TooLarge)
    }
}

/// Looks at no more of it than the answer needs.
fn is_within(tree: &Topology, most: usize) -> bool {
    let mut size = 0;
    tree.groups.iter().all(|group| {
        size += GROUP + names(group);
        size <= most
    })
}

/// The length of its texts in JSON.
fn names(group: &Group) -> usize {
    let path = match std::str::from_utf8(&group.path) {
        Ok(path) => text(path),
        Err(_) => 4 * group.path.len(),
    };
    let member = match &group.member {
        Member::Container { key, name, pod, .. } => {
            text(key) + text(name) + pod.as_deref().map_or(0, text)
        }
        Member::Helper { of } => text(of),
        Member::Inner | Member::Service => 0,
    };
    path + member
}

fn text(text: &str) -> usize {
    let each = |byte: u8| match byte {
        0..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.bytes().map(each).sum()
}

/// With as much of its path and its name as a brain keeps, and the last part of the path, which is a
/// unit's name.
fn shortened(group: &Group) -> Group {
    let path = String::from_utf8_lossy(&group.path);
    let kept = Who::kept(&path);
    let path = if kept.len() < path.len() {
        let last = path.rsplit('/').next().unwrap_or_default();
        format!("{kept}…/{last}").into_bytes()
    } else {
        group.path.clone()
    };
    let mut member = group.member.clone();
    if let Member::Container { name, .. } = &mut member {
        let who = Who {
            name: std::mem::take(name),
            ..Who::default()
        };
        *name = who.short().name;
    }
    Group {
        path,
        member,
        ..*group
    }
}
