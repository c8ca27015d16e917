//! A brain whole, as text: so that a recording can begin anywhere in a governor's life.
//!
//! What is not in it: the policy and the tree, which a trace has beside it, and what each step makes
//! anew. A checkpoint is of one version: what another one wrote is refused, never half understood.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::behalf::Behalf;
use super::brain::{Brain, RESOURCES};
use super::chronicle::Chronicle;
use super::entitle::Shares;
use super::intervention::Intervention;
use super::on_device::OnDevice;
use super::pools;
use super::track::Track;
use super::window::Windows;
use crate::model::{
    Bytes, GroupId, HostSample, Pace, Policy, Span, Step, Time, Topology, WhyNobody,
};

/// What a brain remembers from one step to the next.
#[derive(Serialize)]
struct Kept<'b> {
    tracks: &'b [Track],
    held: &'b [Intervention],
    host: HostSample,
    idle: &'b Windows<Span>,
    available: &'b Windows<Bytes>,
    free: &'b Windows<Bytes>,
    left: &'b Windows<Bytes>,
    killed: [Option<Time>; RESOURCES.len()],
    disks: &'b [OnDevice],
    behalf: &'b Behalf,
    calm_since: [Option<Time>; RESOURCES.len()],
    told: [Option<(GroupId, WhyNobody, Time)>; RESOURCES.len()],
    chronicle: &'b Chronicle,
    now: Time,
    pace: Pace,
}

/// The same, read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    tracks: Vec<Track>,
    held: Vec<Intervention>,
    host: HostSample,
    idle: Windows<Span>,
    available: Windows<Bytes>,
    free: Windows<Bytes>,
    #[serde(default = "Windows::new")]
    left: Windows<Bytes>,
    #[serde(default)]
    killed: [Option<Time>; RESOURCES.len()],
    disks: Vec<OnDevice>,
    behalf: Behalf,
    calm_since: [Option<Time>; RESOURCES.len()],
    told: [Option<(GroupId, WhyNobody, Time)>; RESOURCES.len()],
    chronicle: Chronicle,
    now: Time,
    pace: Pace,
}

/// Why a checkpoint is not used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is damaged, or of another version of the governor.
    #[error("the checkpoint is not of this version of the governor: {0}")]
    Text(#[from] serde_json::Error),
    /// It knows a container that the tree has not.
    #[error("the checkpoint does not fit the tree: it knows group {0}, which is not watched there")]
    Tree(u64),
}

impl Brain {
    /// Everything that this brain remembers, as text, but for its policy and its tree.
    ///
    /// # Errors
    /// If it cannot be told as text; nothing of a brain is so.
    pub fn checkpoint(&self) -> Result<String, CheckpointError> {
        // All parts are named, so that a new one is not forgotten here.
        let Brain {
            policy: _,
            tree: _,
            tracks,
            index: _,
            held,
            host,
            idle,
            available,
            free,
            left,
            killed,
            shares: _,
            claims: _,
            entitlements: _,
            calm_since,
            told,
            pools: _,
            devices: _,
            disks,
            behalf,
            takers: _,
            alarms: _,
            chronicle,
            now,
            step,
        } = self;
        Ok(serde_json::to_string(&Kept {
            tracks,
            held,
            host: *host,
            idle,
            available,
            free,
            left,
            killed: *killed,
            disks,
            behalf,
            calm_since: *calm_since,
            told: *told,
            chronicle,
            now: *now,
            pace: step.pace,
        })?)
    }

    /// The brain that made this [checkpoint](Brain::checkpoint): given the same policy and tree, and
    /// from then on the same input, it decides the same.
    ///
    /// # Errors
    /// If the text is no checkpoint of this version, or is about containers that are not in the tree.
    pub fn resume(text: &str, policy: Policy, tree: &Topology) -> Result<Brain, CheckpointError> {
        let found: Found = serde_json::from_str(text)?;
        let mut tracks = found.tracks;
        let places: HashMap<GroupId, usize> = tree
            .watched()
            .map(|(place, group)| (group.id, place))
            .collect();
        let mut index = HashMap::with_capacity(tracks.len());
        for (at, track) in tracks.iter_mut().enumerate() {
            // The text is not believed where an index is meant.
            let place = places.get(&track.id);
            track.group = *place.ok_or(CheckpointError::Tree(track.id.0))?;
            index.insert(track.id, at);
        }
        let mut brain = Brain {
            policy,
            tree: tree.clone(),
            tracks,
            index,
            held: found.held,
            host: found.host,
            idle: found.idle,
            available: found.available,
            free: found.free,
            left: found.left,
            killed: found.killed,
            shares: Shares::default(),
            claims: Vec::new(),
            entitlements: Vec::new(),
            calm_since: found.calm_since,
            told: found.told,
            pools: pools::of_host(tree),
            devices: Vec::new(),
            disks: found.disks,
            behalf: found.behalf,
            takers: Default::default(),
            alarms: Vec::new(),
            chronicle: found.chronicle,
            now: found.now,
            step: Step {
                pace: found.pace,
                ..Step::default()
            },
        };
        brain.fill_pools(&[]);
        Ok(brain)
    }
}
