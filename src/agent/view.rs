//! What two samples of a container say to people: the same for the loop's status and for a direct
//! sample without a daemon.

use crate::host::Pids;
use crate::model::{
    Bytes, ContainerSample, ContainerView, Group, Limit, Member, Reading, Role, Span,
};

/// The measured half of a container's line: everything but what the brain thinks of it. Rates are
/// over the time between the samples; what either lacks is absent. `cpus` of the host, at least 1.
#[must_use]
pub fn measured(
    group: &Group,
    older: &ContainerSample,
    newer: &ContainerSample,
    pids: Pids,
    cpus: u32,
) -> ContainerView {
    let passed = newer.at.since(older.at);
    let rate = |counter: fn(&ContainerSample) -> Reading<Span>| -> Option<f64> {
        let (older, newer) = (counter(older).ok()?, counter(newer).ok()?);
        (passed > Span::ZERO).then(|| newer.advance(older).over(passed))
    };
    let part = |share: f64| share.min(1.0);
    let (name, runtime) = match &group.member {
        Member::Container { name, runtime, .. } => (name.clone(), runtime.word()),
        Member::Inner | Member::Helper { .. } | Member::Service => (unit(&group.path), "service"),
    };
    ContainerView {
        name,
        runtime: runtime.to_owned(),
        path: String::from_utf8_lossy(&group.path).into_owned(),
        cpu: rate(|sample| sample.cpu.map(|cpu| cpu.usage)),
        throttled: rate(|sample| sample.cpu.map(|cpu| cpu.throttled))
            .map(|summed| part(summed / f64::from(cpus.max(1)))),
        psi_cpu: rate(|sample| sample.cpu_stall.map(|stall| stall.some)).map(part),
        psi_memory: rate(|sample| sample.memory_stall.map(|stall| stall.some)).map(part),
        memory: newer.memory.ok().map(|memory| memory.current.0),
        swap: newer.memory.ok().map(|memory| memory.swap.0),
        memory_limit: least(group.knobs.memory_high, group.knobs.memory_max),
        pids: pids.current.ok(),
        pids_max: pids.max.ok(),
        role: if group.protected {
            Role::Protected
        } else {
            Role::Calm
        },
        ..ContainerView::default()
    }
}

/// A service is called by the last component of its path, which is its unit; the path has a field
/// of its own.
fn unit(path: &[u8]) -> String {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    String::from_utf8_lossy(last).into_owned()
}

/// The lower of two limits, as far as they are known.
fn least(one: Reading<Limit<Bytes>>, other: Reading<Limit<Bytes>>) -> Option<Limit<u64>> {
    let plain = |limit: Limit<Bytes>| match limit {
        Limit::Max => Limit::Max,
        Limit::At(Bytes(bytes)) => Limit::At(bytes),
    };
    match (one.ok().map(plain), other.ok().map(plain)) {
        (Some(Limit::At(one)), Some(Limit::At(other))) => Some(Limit::At(one.min(other))),
        (Some(Limit::At(limit)), _) | (_, Some(Limit::At(limit))) => Some(Limit::At(limit)),
        (Some(Limit::Max), _) | (_, Some(Limit::Max)) => Some(Limit::Max),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Absent, CpuUse, GroupId, Knobs, MemoryUse, Runtime, Stall, Time};

    fn group() -> Group {
        Group {
            id: GroupId(7),
            parent: None,
            path: b"/system.slice/docker-aa.scope".to_vec(),
            member: Member::Container {
                runtime: Runtime::Docker,
                key: "aa".to_owned(),
                name: "redis".to_owned(),
                pod: None,
            },
            knobs: Knobs {
                memory_high: Ok(Limit::Max),
                memory_max: Ok(Limit::At(Bytes(4096))),
                ..Knobs::absent(Absent::NoFile)
            },
            protected: false,
            complete: true,
        }
    }

    const PIDS: Pids = Pids {
        current: Ok(3),
        max: Err(Absent::NoFile),
    };

    fn sample(at: Time, counter: Span) -> ContainerSample {
        ContainerSample {
            cpu: Ok(CpuUse {
                usage: counter,
                throttled: counter,
            }),
            cpu_stall: Ok(Stall {
                some: counter,
                full: Span::ZERO,
            }),
            memory: Ok(MemoryUse {
                current: Bytes(1024),
                swap: Bytes(0),
            }),
            ..ContainerSample::unread(GroupId(7), at)
        }
    }

    #[test]
    fn rates_are_over_the_time_between_the_samples() {
        let older = sample(Time(1_000_000), Span::ZERO);
        let newer = sample(Time(1_500_000), Span::from_millis(250));
        let view = measured(&group(), &older, &newer, PIDS, 2);
        assert_eq!(view.cpu, Some(0.5));
        assert_eq!(view.throttled, Some(0.25));
        assert_eq!(view.psi_cpu, Some(0.5));
        assert_eq!(view.memory_limit, Some(Limit::At(4096)));
        assert_eq!((view.name.as_str(), view.role), ("redis", Role::Calm));
    }

    #[test]
    fn what_was_not_read_is_absent_and_never_zero() {
        let older = sample(Time(1_000_000), Span::ZERO);
        let newer = ContainerSample::unread(GroupId(7), Time(1_500_000));
        let view = measured(&group(), &older, &newer, PIDS, 2);
        assert_eq!(
            (view.cpu, view.psi_cpu, view.psi_memory),
            (None, None, None)
        );
        assert_eq!(view.memory, None);
        assert_eq!((view.pids, view.pids_max), (Some(3), None));
    }

    #[test]
    fn two_samples_of_the_same_moment_have_no_rate() {
        let once = sample(Time(1_000_000), Span::from_millis(5));
        assert_eq!(measured(&group(), &once, &once, PIDS, 2).cpu, None);
    }

    #[test]
    fn a_service_is_called_by_its_unit() {
        let service = Group {
            path: b"/system.slice/ssh.service".to_vec(),
            member: Member::Service,
            protected: true,
            ..group()
        };
        let once = sample(Time(1_000_000), Span::ZERO);
        let view = measured(&service, &once, &once, PIDS, 2);
        assert_eq!(
            (view.name.as_str(), view.role),
            ("ssh.service", Role::Protected)
        );
    }

    #[test]
    fn an_unknown_limit_is_not_no_limit() {
        assert_eq!(least(Err(Absent::NoFile), Err(Absent::NoFile)), None);
        assert_eq!(least(Ok(Limit::Max), Err(Absent::NoFile)), Some(Limit::Max));
    }
}
