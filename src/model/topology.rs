//! The cgroup tree as far as it matters: every group that is not inside a container, and each
//! container's own top group.

use super::{Bytes, CpuMax, IoMax, Knob, KnobValue, Limit, PerDevice, Reading, Weight};

/// Identity of a cgroup: the inode number of its directory. A path is not an identity: a container
/// that is deleted and made again has the same path and another inode.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct GroupId(pub u64);

/// The tree. Parents stand before their children; index 0 is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Topology {
    /// All groups.
    pub groups: Vec<Group>,
}

/// One cgroup.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Group {
    /// Its identity.
    pub id: GroupId,
    /// Index of its parent in [`Topology::groups`]; `None` for the root.
    pub parent: Option<usize>,
    /// Path from the cgroup root, starting with `/`; any bytes but NUL (hostile).
    #[serde(with = "path_text")]
    pub path: Vec<u8>,
    /// What it is.
    pub member: Member,
    /// The knobs' *originals*: where we hold a knob, what stood there before us.
    pub knobs: Knobs,
    /// Whether the policy protects it: it may be a victim, never an aggressor.
    pub protected: bool,
    /// Whether all of its children stand in the tree; of a container, which is one with all that is below
    /// it, always. A group with unknown children is no lever: nobody knows whom it would move.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub complete: bool,
}

const fn yes() -> bool {
    true
}

const fn is_true(value: &bool) -> bool {
    *value
}

/// What a group is to us.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// A slice or other inner group; holds no processes of its own that matter.
    Inner,
    /// A container's top group, with everything below it.
    Container {
        /// Who made it.
        runtime: Runtime,
        /// The runtime's id of it (hex), or the matched path component; hostile text.
        key: String,
        /// Name for people: from the runtime's API when it answered, else a shortened key.
        name: String,
        /// The Kubernetes pod it belongs to, if any: the pod is the unit of blame.
        pod: Option<String>,
    },
    /// A helper of a container outside its group (`libpod-conmon-<id>.scope`): belongs to it for
    /// the choice of a lever.
    Helper {
        /// The container's key.
        of: String,
    },
    /// A service of the host, or any other group with processes. Never an aggressor.
    Service,
}

/// Which runtime made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Docker (moby).
    Docker,
    /// Podman.
    Podman,
    /// containerd without Kubernetes.
    Containerd,
    /// CRI-O.
    Crio,
    /// containerd (or another runtime) under a Kubernetes pod.
    Kubernetes,
    /// systemd-nspawn or another systemd machine.
    Nspawn,
    /// LXC, Incus, LXD.
    Lxc,
    /// Found by one of the policy's own globs.
    Policy,
}

/// A group's knobs as they stood without us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Knobs {
    /// `cgroup.freeze`: whether somebody has stopped it.
    #[serde(default = "super::unread")]
    pub cgroup_freeze: Reading<bool>,
    /// `cpu.weight`.
    pub cpu_weight: Reading<Weight>,
    /// `cpu.idle`.
    pub cpu_idle: Reading<bool>,
    /// `cpu.max`.
    pub cpu_max: Reading<CpuMax>,
    /// `cpu.max.burst`, in microseconds of CPU time.
    pub cpu_max_burst: Reading<super::Span>,
    /// `memory.high`.
    pub memory_high: Reading<Limit<Bytes>>,
    /// `memory.max`; never written by us, read to tell a container's own limit.
    pub memory_max: Reading<Limit<Bytes>>,
    /// `memory.swap.max`.
    pub memory_swap_max: Reading<Limit<Bytes>>,
    /// `pids.max`.
    #[serde(default = "super::unread")]
    pub pids_max: Reading<Limit<u64>>,
    /// `io.max`, of the devices that have a limit there.
    #[serde(default = "super::unread")]
    pub io_max: Reading<PerDevice<IoMax>>,
}

impl Knobs {
    /// Nothing was read, for one reason.
    #[must_use]
    pub const fn absent(why: super::Absent) -> Knobs {
        Knobs {
            cgroup_freeze: Err(why),
            cpu_weight: Err(why),
            cpu_idle: Err(why),
            cpu_max: Err(why),
            cpu_max_burst: Err(why),
            memory_high: Err(why),
            memory_max: Err(why),
            memory_swap_max: Err(why),
            pids_max: Err(why),
            io_max: Err(why),
        }
    }

    /// Takes what was read of one of them. A value of another knob is malformed. What `io.max` says of a device is
    /// only known where the others of that file are.
    pub fn set(&mut self, knob: Knob, read: Reading<KnobValue>) {
        use super::Absent::Malformed;
        fn take<T>(
            place: &mut Reading<T>,
            read: Reading<KnobValue>,
            mine: impl Fn(KnobValue) -> Option<T>,
        ) {
            *place = read.and_then(|value| mine(value).ok_or(Malformed));
        }
        let bytes = |value| match value {
            KnobValue::Bytes(limit) => Some(limit),
            _ => None,
        };
        match knob {
            Knob::CgroupFreeze => take(&mut self.cgroup_freeze, read, |value| match value {
                KnobValue::Frozen(frozen) => Some(frozen),
                _ => None,
            }),
            Knob::CpuIdle => take(&mut self.cpu_idle, read, |value| match value {
                KnobValue::Idle(idle) => Some(idle),
                _ => None,
            }),
            Knob::CpuWeight => take(&mut self.cpu_weight, read, |value| match value {
                KnobValue::Weight(weight) => Some(weight),
                _ => None,
            }),
            Knob::CpuMax => take(&mut self.cpu_max, read, |value| match value {
                KnobValue::CpuMax(max) => Some(max),
                _ => None,
            }),
            Knob::CpuMaxBurst => take(&mut self.cpu_max_burst, read, |value| match value {
                KnobValue::Burst(burst) => Some(burst),
                _ => None,
            }),
            Knob::MemoryHigh => take(&mut self.memory_high, read, bytes),
            Knob::MemorySwapMax => take(&mut self.memory_swap_max, read, bytes),
            Knob::PidsMax => take(&mut self.pids_max, read, |value| match value {
                KnobValue::Tasks(limit) => Some(limit),
                _ => None,
            }),
            Knob::IoMax(_) => {
                if let (Ok(all), Ok(KnobValue::IoMax(device, max))) = (&mut self.io_max, read) {
                    all.put(device, max, |_| 0);
                }
            }
        }
    }

    /// One of them; `None` where it could not be read.
    #[must_use]
    pub fn value(&self, knob: Knob) -> Option<KnobValue> {
        match knob {
            Knob::CgroupFreeze => self.cgroup_freeze.ok().map(KnobValue::Frozen),
            Knob::CpuIdle => self.cpu_idle.ok().map(KnobValue::Idle),
            Knob::CpuWeight => self.cpu_weight.ok().map(KnobValue::Weight),
            Knob::CpuMax => self.cpu_max.ok().map(KnobValue::CpuMax),
            Knob::CpuMaxBurst => self.cpu_max_burst.ok().map(KnobValue::Burst),
            Knob::MemoryHigh => self.memory_high.ok().map(KnobValue::Bytes),
            Knob::MemorySwapMax => self.memory_swap_max.ok().map(KnobValue::Bytes),
            Knob::PidsMax => self.pids_max.ok().map(KnobValue::Tasks),
            Knob::IoMax(device) => {
                let max = self.io_max.ok()?.get(device).unwrap_or(IoMax::NONE);
                Some(KnobValue::IoMax(device, max))
            }
        }
    }
}

/// As many slices with a [limit of tasks](Topology::shared_limits) are looked at, those nearest to the root first: each
/// costs a read in every tick.
pub const SLICES: usize = 64;

impl Topology {
    /// The group with this identity and its index.
    #[must_use]
    pub fn find(&self, id: GroupId) -> Option<(usize, &Group)> {
        self.groups
            .iter()
            .enumerate()
            .find(|(_, group)| group.id == id)
    }

    /// `index` and its ancestors up to the root, nearest first. Ends at a parent that is not before
    /// its child, so that no malformed tree can loop.
    pub fn lineage(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let start = (index < self.groups.len()).then_some(index);
        std::iter::successors(start, |&at| self.groups[at].parent.filter(|&up| up < at))
    }

    /// Groups above containers whose limit of tasks bounds several that are not of one pod: who fills it takes
    /// from the others below.
    pub fn shared_limits(&self) -> impl Iterator<Item = (usize, &Group)> {
        let is_limited = |group: &Group| {
            matches!(group.member, Member::Inner | Member::Service)
                && matches!(group.knobs.pids_max, Ok(Limit::At(_)))
        };
        let limited = self.groups.iter().filter(|group| is_limited(group)).count();
        // The first met below each, and whether there is another one.
        let mut below: Vec<(Option<usize>, bool)> =
            vec![(None, false); if limited > 0 { self.groups.len() } else { 0 }];
        for (at, group) in self.watched().filter(|_| limited > 0) {
            for up in self.lineage(at).skip(1) {
                match &mut below[up] {
                    (Some(first), several) => *several |= !self.groups[*first].is_in_pod_of(group),
                    (first, _) => *first = Some(at),
                }
            }
        }
        let several = below.into_iter().enumerate();
        several
            .filter(|(_, (_, several))| *several)
            .map(|(at, _)| (at, &self.groups[at]))
            .filter(move |(_, group)| is_limited(group))
    }

    /// The containers and protected services: those whose harm is measured.
    pub fn watched(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.is_watched())
    }
}

impl Group {
    /// Whether this is a container.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        matches!(self.member, Member::Container { .. })
    }

    /// Whether its harm is measured: a container, or a service that the policy protects.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.is_container() || (self.protected && matches!(self.member, Member::Service))
    }

    /// Whether both are containers of one pod. A pod is the group that its containers stand in. Its uid is not
    /// enough: whoever may make groups may give one the name of somebody else's pod, and would never be suspected
    /// of harming it.
    #[must_use]
    pub fn is_in_pod_of(&self, other: &Group) -> bool {
        match (&self.member, &other.member) {
            (
                Member::Container { pod: Some(one), .. },
                Member::Container {
                    pod: Some(other_pod),
                    ..
                },
            ) => one == other_pod && self.parent == other.parent,
            _ => false,
        }
    }

    /// For people; a service is called by the last part of its path, which is its unit.
    #[must_use]
    pub fn who(&self) -> super::Who {
        let path = String::from_utf8_lossy(&self.path).into_owned();
        let name = match &self.member {
            Member::Container { name, .. } => name.clone(),
            _ => path.rsplit('/').next().unwrap_or_default().to_owned(),
        };
        super::Who { name, path }
    }

    /// The name for people: a container's name, else the path, lossily.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.member {
            Member::Container { name, .. } => name.clone(),
            _ => String::from_utf8_lossy(&self.path).into_owned(),
        }
    }
}

impl Runtime {
    /// The word shown and written in a policy.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Containerd => "containerd",
            Runtime::Crio => "cri-o",
            Runtime::Kubernetes => "kubernetes",
            Runtime::Nspawn => "nspawn",
            Runtime::Lxc => "lxc",
            Runtime::Policy => "policy",
        }
    }
}

/// A path as text where it is UTF-8, else as its bytes: no path is changed by being written down.
mod path_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(path) {
            Ok(text) => to.serialize_str(text),
            Err(_) => path.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Path {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(match Path::deserialize(from)? {
            Path::Text(text) => text.into_bytes(),
            Path::Bytes(bytes) => bytes,
        })
    }
}
