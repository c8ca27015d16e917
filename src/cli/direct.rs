//! A status without a daemon: the tree is looked at once, every container is read twice, and nobody
//! is judged. Nothing is written.

use std::time::Duration;

use super::exit::Failure;
use super::tree;
use crate::agent::{Loaded, Names, measured};
use crate::host::{Clock, Forest, Sampler, TreeFiles};
use crate::model::{
    ContainerSample, ContainerView, GroupId, Header, Sample, Span, Status, Topology,
};

/// Between the two readings. Long enough for rates, and for any HZ to keep PSI whole.
pub(super) const APART: Duration = Duration::from_millis(500);

/// The least time between two reads of a PSI file; the second reading is never nearer.
const PSI_INTERVAL: Span = Span::from_millis(100);

/// Reads twice; `wait` lets [`APART`] pass in between.
pub(super) fn sample<T: TreeFiles>(
    mut forest: Forest<T>,
    clock: &dyn Clock,
    wait: impl FnOnce(Duration),
    loaded: &Loaded,
    names: &Names,
) -> Result<Status, Failure> {
    let topology = tree::topology(&mut forest, &loaded.policy, names)?;
    let ids: Vec<GroupId> = topology.watched().map(|(_, group)| group.id).collect();
    let mut sampler = Sampler::new(forest.files_mut(), PSI_INTERVAL);
    sampler.hold(&mut forest, &topology);
    let (mut older, mut newer) = (Sample::default(), Sample::default());
    sampler.sample(&mut forest, clock, &ids, &mut older);
    wait(APART);
    sampler.sample(&mut forest, clock, &ids, &mut newer);
    Ok(Status {
        header: Header {
            source: "direct sample".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: loaded.policy.mode,
            policy: loaded.name.clone(),
            ..Header::default()
        },
        containers: views(&mut forest, &topology, &older, &newer),
        limits: Vec::new(),
    })
}

/// The containers that both samples have; one that came or went in between is left out.
fn views<T: TreeFiles>(
    forest: &mut Forest<T>,
    topology: &Topology,
    older: &Sample,
    newer: &Sample,
) -> Vec<ContainerView> {
    let of = |sample: &Sample, id: GroupId| -> Option<ContainerSample> {
        sample.containers.iter().find(|one| one.id == id).copied()
    };
    topology
        .watched()
        .filter_map(|(_, group)| {
            let (older, at) = (of(older, group.id)?, of(newer, group.id)?);
            let pids = forest.pids(group.id);
            Some(measured(group, &older, &at, pids, newer.host.cpus))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Named;
    use crate::host::{FakeClock, FakeTree, HostFile, Limits};
    use crate::model::{Limit, Policy, Role};

    const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn loaded() -> Loaded {
        Loaded {
            policy: Policy::default(),
            name: "built-in".to_owned(),
            text: String::new(),
        }
    }

    #[test]
    fn two_readings_make_rates_and_nothing_is_written() {
        let tree = FakeTree::new();
        tree.set_host(
            HostFile::Stat,
            "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n",
        );
        let path = format!("/system.slice/docker-{ID}.scope");
        tree.add("/system.slice");
        tree.add(&path);
        tree.set(
            &path,
            "cpu.stat",
            "usage_usec 1000\nuser_usec 0\nsystem_usec 0\n",
        );
        tree.set(&path, "pids.current", "3\n");
        tree.set(&path, "pids.max", "100\n");
        tree.add("/system.slice/sshd.service");
        tree.unset("/system.slice/sshd.service", "cpu.stat");
        let clock = FakeClock::default();
        let later = |apart: Duration| {
            clock.advance(Span::from_millis(u64::try_from(apart.as_millis()).unwrap()));
            tree.set(
                &path,
                "cpu.stat",
                "usage_usec 251000\nuser_usec 0\nsystem_usec 0\n",
            );
        };
        let forest = Forest::new(tree.clone(), Limits::default());
        let redis = Named {
            name: "redis".to_owned(),
            ..Named::default()
        };
        let names = Names::from([(ID.to_owned(), redis)]);
        let status = sample(forest, &clock, later, &loaded(), &names).unwrap();
        assert_eq!(status.header.source, "direct sample");
        let [container, service] = &status.containers[..] else {
            panic!("{status:#?}");
        };
        assert_eq!(
            (container.name.as_str(), container.cpu),
            ("redis", Some(0.5))
        );
        assert_eq!(container.runtime, "docker");
        assert_eq!(
            (container.pids, container.pids_max),
            (Some(3), Some(Limit::At(100)))
        );
        assert_eq!(
            (service.runtime.as_str(), service.role),
            ("service", Role::Protected)
        );
        assert_eq!(
            service.cpu, None,
            "it has no cpu.stat, and that is not zero"
        );
        assert!(tree.writes().is_empty());
    }

    #[test]
    fn a_container_that_vanishes_in_between_disturbs_no_other() {
        let tree = FakeTree::new();
        let paths = [format!("/docker-{ID}.scope"), format!("/libpod-{ID}.scope")];
        for path in &paths {
            tree.add(path);
        }
        let forest = Forest::new(tree.clone(), Limits::default());
        let vanish = |_| tree.remove(&paths[0]);
        let status = sample(
            forest,
            &FakeClock::default(),
            vanish,
            &loaded(),
            &Names::new(),
        )
        .unwrap();
        assert!(status.containers.iter().any(|view| view.path == paths[1]));
    }
}
