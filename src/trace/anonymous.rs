//! Names to hashes, so that a trace can be given away.
//!
//! What is hashed: the containers' names and keys, their pods, and each part of a path that could name
//! one, in trees and in what checkpoints remember. What stays: the structure (equal names become equal
//! hashes, so the tree and the pods are still told apart), the runtimes, the host's usual slices and
//! kubelet's, and all numbers. The hash is keyed with what the caller keeps to itself or throws away:
//! without it a guessed name cannot be checked.
//!
//! A brain remembers names [cut](Who::short), and a replay of what is hashed must come to the same text:
//! so only what is left after the cut goes into a hash, and of a path that is cut, the hashed one is, too.

use std::hash::BuildHasher;

use super::Frame;
use crate::model::{Group, Member, Who};

/// Parts of paths that name nobody.
const KNOWN: [&str; 14] = [
    "",
    "system.slice",
    "user.slice",
    "machine.slice",
    "init.scope",
    "docker",
    "kubepods",
    "kubepods.slice",
    "kubepods-besteffort.slice",
    "kubepods-burstable.slice",
    "kubepods-guaranteed.slice",
    "besteffort",
    "burstable",
    "guaranteed",
];
/// What says of which kind a unit is.
const KINDS: [&str; 3] = [".slice", ".scope", ".service"];
/// How a container or a service begins in a checkpoint's text. Inside of a string its first mark would
/// be escaped.
const WHO: &str = "{\"name\":";

impl Frame {
    /// Replaces every name in it by its hash, and says so in [`Frame::Start`].
    ///
    /// The text of [`Frame::Policy`] is left as it is: its globs may hold names, and whoever gives the
    /// trace away has to take them out (the tree keeps what they matched). Of a checkpoint whose text is
    /// none nothing is left.
    pub fn hash_names(&mut self, key: &impl BuildHasher) {
        match self {
            Frame::Start(start) => start.hashed = true,
            Frame::Tree { tree, .. } => {
                for group in &mut tree.groups {
                    hash_group(group, key);
                }
            }
            Frame::Checkpoint(text) => *text = hash_checkpoint(text, key).unwrap_or_default(),
            Frame::Policy { .. }
            | Frame::Tick(_)
            | Frame::Did(_)
            | Frame::ReleasedAll { .. }
            | Frame::Gap { .. } => {}
        }
    }
}

fn hash_group(group: &mut Group, key: &impl BuildHasher) {
    let hash = |text: &mut String| *text = hashed(text, key);
    match &mut group.member {
        Member::Container {
            key: id, name, pod, ..
        } => {
            hash(id);
            *name = hash_part(name, key);
            if let Some(pod) = pod {
                hash(pod);
            }
        }
        Member::Helper { of } => hash(of),
        Member::Inner | Member::Service => {}
    }
    group.path = hash_path(&String::from_utf8_lossy(&group.path), key).into_bytes();
}

/// The text with every [`Who`] in it hashed, and all else byte for byte; `None` where it is none.
fn hash_checkpoint(text: &str, key: &impl BuildHasher) -> Option<String> {
    let mut hashed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(WHO) {
        let (before, from) = rest.split_at_checked(at)?;
        let mut found = serde_json::Deserializer::from_str(from).into_iter::<Who>();
        let who = found.next()?.ok()?;
        hashed.push_str(before);
        hashed.push_str(&serde_json::to_string(&hash_who(who, key)).ok()?);
        rest = from.get(found.byte_offset()..)?;
    }
    hashed.push_str(rest);
    Some(hashed)
}

/// One without a path was gone, and is called by a number.
fn hash_who(who: Who, key: &impl BuildHasher) -> Who {
    if who.path.is_empty() {
        return who;
    }
    let hashed = Who {
        name: hash_part(&who.name, key),
        path: hash_path(&who.path, key),
    };
    hashed.short()
}

/// A path, part by part. One that is cut is filled up to where its hash will be cut, too; behind that
/// stands what tells it apart, and its last part, which is a unit's name.
fn hash_path(path: &str, key: &impl BuildHasher) -> String {
    let kept = Who::kept(path);
    let parts: Vec<String> = kept.split('/').map(|part| hash_part(part, key)).collect();
    let hashed_path = parts.join("/");
    if kept.len() == path.len() {
        return hashed_path;
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let (whole, last) = (hashed(path, key), hash_part(last, key));
    format!("{hashed_path:-<filled$}{whole}/{last}", filled = Who::KEPT)
}

/// One part of a path, or a name. What is kubelet's own is told by these names, so a pod's keeps its
/// beginning.
fn hash_part(part: &str, key: &impl BuildHasher) -> String {
    if KNOWN.contains(&part) {
        return part.to_owned();
    }
    let part = Who::kept(part);
    let kind = KINDS.into_iter().find(|kind| part.ends_with(kind));
    let is_kubelets = part.starts_with("kubepods");
    let before = if is_kubelets { "kubepods-pod" } else { "" };
    format!("{before}{}{}", hashed(part, key), kind.unwrap_or_default())
}

fn hashed(text: &str, key: &impl BuildHasher) -> String {
    format!("{:016x}", key.hash_one(text.as_bytes()))
}
