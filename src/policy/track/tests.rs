//! Trees of groups for the tests of every step.

use crate::model::{
    Absent, CpuMax, Group, GroupId, Knobs, Limit, Member, Runtime, Span, Topology, Weight,
};

fn group(path: &str, member: Member, weight: u32) -> Group {
    Group {
        id: GroupId(0),
        parent: None,
        path: path.as_bytes().to_vec(),
        member,
        knobs: Knobs {
            cgroup_freeze: Ok(false),
            cpu_weight: Weight::new(weight).ok_or(Absent::Malformed),
            cpu_idle: Ok(false),
            cpu_max: Ok(CpuMax {
                quota: Limit::Max,
                period: Span::from_millis(100),
            }),
            cpu_max_burst: Ok(Span::ZERO),
            memory_high: Ok(Limit::Max),
            memory_max: Ok(Limit::Max),
            memory_swap_max: Ok(Limit::Max),
            pids_max: Ok(Limit::Max),
            io_max: Ok(crate::model::PerDevice::NONE),
        },
        protected: false,
        complete: true,
    }
}

fn contained(key: &str, pod: Option<&str>) -> Member {
    Member::Container {
        runtime: Runtime::Docker,
        key: key.to_owned(),
        name: key.to_owned(),
        pod: pod.map(str::to_owned),
    }
}

pub(in crate::policy) fn container(path: &str, weight: u32) -> Group {
    group(path, contained(path, None), weight)
}

/// A slice above others, with a limit of tasks.
pub(in crate::policy) fn slice(path: &str, tasks: u64) -> Group {
    let mut slice = group(path, Member::Inner, 100);
    slice.knobs.pids_max = Ok(Limit::At(tasks));
    slice
}

pub(in crate::policy) fn pod_container(path: &str, pod: &str) -> Group {
    group(path, contained(path, Some(pod)), 100)
}

pub(in crate::policy) fn helper(path: &str, of: &str) -> Group {
    group(path, Member::Helper { of: of.to_owned() }, 100)
}

pub(in crate::policy) fn service(path: &str) -> Group {
    group(path, Member::Service, 100)
}

/// So much CPU it has used up to that moment.
pub(in crate::policy) fn uses(track: &mut super::Track, at_ms: u64, usage: Span) {
    let throttled = Span::ZERO;
    let used = crate::model::CpuUse { usage, throttled };
    track.cpu_use.push(crate::model::Time(at_ms * 1_000), used);
}

/// A tree of these groups with all their ancestors; identities are the indices.
pub(in crate::policy) fn tree(groups: &[Group]) -> Topology {
    let mut tree = Topology {
        groups: vec![group("/", Member::Inner, 100)],
    };
    for wanted in groups {
        let path = String::from_utf8(wanted.path.clone()).unwrap();
        let mut parent = 0;
        for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let here = &path.as_bytes()[..at];
            let known = tree.groups.iter().position(|group| group.path == here);
            parent = known.unwrap_or_else(|| {
                let mut new = if at == path.len() {
                    wanted.clone()
                } else {
                    group(&path[..at], Member::Inner, 100)
                };
                new.parent = Some(parent);
                new.id = GroupId(tree.groups.len() as u64);
                tree.groups.push(new);
                tree.groups.len() - 1
            });
        }
    }
    tree
}

#[test]
fn who_just_left_a_memory_limit_of_its_own_stalled_for_its_sake() {
    use super::Track;
    use crate::model::{Bytes, ContainerSample, MemoryUse, Stall, Time};
    let mut track = Track::new(GroupId(1), Time(0));
    let mut read = |ms: u64, current: u64, some: Span| {
        track.observe(&ContainerSample {
            memory: Ok(MemoryUse {
                current: Bytes::from_mib(current),
                swap: Bytes(0),
            }),
            memory_stall: Ok(Stall {
                some,
                full: Span::ZERO,
            }),
            ..ContainerSample::unread(GroupId(1), Time(ms * 1_000))
        });
        let limit = Limit::At(Bytes::from_mib(40));
        let harm = track.memory_harm(true, limit);
        harm.map(|(_, _, harm)| harm.amount)
    };
    read(0, 40, Span::ZERO);
    assert_eq!(read(100, 1, Span::from_millis(60)), Some(Span::ZERO));
    let later = read(200, 1, Span::from_millis(120));
    assert_eq!(later, Some(Span::from_millis(60)));
}

#[test]
fn a_stall_is_compared_with_what_was_throttled_since_the_stall_was_read_before() {
    use super::Track;
    use crate::model::{ContainerSample, CpuUse, Stall, Time};
    let mut track = Track::new(GroupId(1), Time(0));
    track.entitlement = 1.0;
    let mut read = |ms: u64, throttled: u64, stalled: Option<u64>| {
        let mut sample = ContainerSample::unread(GroupId(1), Time(ms * 1_000));
        sample.cpu = Ok(CpuUse {
            usage: Span::ZERO,
            throttled: Span::from_millis(throttled),
        });
        if let Some(stalled) = stalled {
            sample.cpu_stall = Ok(Stall {
                some: Span::from_millis(stalled),
                full: Span::ZERO,
            });
        }
        sample.tasks = Ok(1);
        track.observe(&sample);
        track.cpu_harm(2).map(|(_, over, harm)| (over, harm.amount))
    };
    read(0, 0, Some(0));
    // Woken early: the stall is not read yet, and its quota ran out meanwhile.
    read(10, 9, None);
    read(15, 14, None);
    let own = (Span::from_millis(20), Span::ZERO);
    assert_eq!(read(20, 14, Some(14)), Some(own));
    // What was throttled before the last reading excuses nothing after it.
    read(30, 14, None);
    let others = (Span::from_millis(20), Span::from_millis(14));
    assert_eq!(read(40, 14, Some(28)), Some(others));
}

#[test]
fn a_checkpoint_may_tell_any_number_of_strikes() {
    use super::Track;
    use crate::model::Time;
    let mut track = Track::new(GroupId(1), Time(0));
    track.strikes = u32::MAX;
    track.strike(Time(1));
    assert_eq!(track.strikes, 16);
}

#[test]
fn who_waits_for_pages_that_others_push_out_is_harmed_and_who_reads_them_anew_is_not() {
    use super::Track;
    use crate::model::{Bytes, ContainerSample, MemoryUse, Stall, Time};
    let harm = |lost_a_second: i64| {
        let mut track = Track::new(GroupId(1), Time(0));
        for tick in 0..=30_i64 {
            let at = Time(tick as u64 * 100_000);
            let mut sample = ContainerSample::unread(GroupId(1), at);
            let size = 200_000_000 - lost_a_second * tick / 10;
            sample.memory = Ok(MemoryUse {
                current: Bytes(size as u64),
                swap: Bytes(0),
            });
            sample.memory_stall = Ok(Stall {
                some: Span::from_millis(tick as u64 * 90),
                full: Span::ZERO,
            });
            track.observe(&sample);
        }
        let lacks = track.loses_memory();
        track.memory_harm(lacks, Limit::Max).unwrap().2.amount
    };
    assert_eq!(harm(9_000_000), Span::from_millis(90));
    assert_eq!(harm(0), Span::ZERO);
    assert_eq!(harm(-9_000_000), Span::ZERO);
}
