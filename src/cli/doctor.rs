//! `governor doctor`: whether this host can be governed, what will be degraded, and what helps.

use super::exit::{Exit, Failure};
use super::term::{Screen, print, print_json};
use super::{PolicyArgs, tree};
use crate::agent::Names;
use crate::host::{Capabilities, GOVERNOR, Place, Survey, Trigger, psi_interval};
use crate::kernel::controllers::Controller;
use crate::model::{Absent, Bytes, Limit, Policy, Resource};
use crate::report::{Check, Checks, Finding, checks_text};

/// How much memory the governor wants to lock: its whole self.
const LOCKED: Bytes = Bytes::from_mib(64);

/// What no host makes possible.
const NOT_CLAIMED: [&str; 8] = [
    "last-level cache: one container can evict another's lines",
    "memory bandwidth",
    "SMT: a sibling thread shares the core",
    "connection tracking tables",
    "inotify watches",
    "file descriptors and inodes",
    "GPU memory",
    "a patient tenant: one that took most of a quiet host for long looks like an honest one",
];

pub(super) fn doctor(args: &PolicyArgs, json: bool) -> Result<Exit, Failure> {
    let survey = Survey::take();
    let (loaded, _) = args.at_any_rate();
    // A tree that cannot be opened is a finding of the survey's own.
    let places = tree::open(&survey)
        .and_then(|mut forest| tree::topology(&mut forest, &loaded.policy, &Names::new()))
        .map(|topology| survey.places(&topology))
        .unwrap_or_default();
    let mut checks = judge(&survey, &places);
    checks.checks.extend(deadly(&loaded.policy));
    if json {
        print_json(&checks)?;
    } else {
        let screen = Screen::here();
        print(&checks_text(&checks, screen.width, screen.paint))?;
    }
    Ok(match checks.worst() {
        Finding::Good | Finding::Note => Exit::Done,
        Finding::Degraded => Exit::Degraded,
        Finding::Unusable if survey.writable == Err(Absent::Denied) => Exit::Denied,
        Finding::Unusable => Exit::Host,
    })
}

/// What was seen to what it means; the order is that of an operator's questions.
fn judge(survey: &Survey, places: &[Place]) -> Checks {
    let mut checks = vec![kernel(survey), cgroup(survey), psi(survey)];
    if survey.root.is_ok() {
        checks.push(controllers(survey));
        checks.extend(places.iter().map(place));
        checks.push(writable(survey));
    }
    checks.extend([
        trigger(survey),
        tick(survey),
        swap(survey),
        memlock(survey),
        realtime(survey),
    ]);
    // The doctor is no governor: the first one that runs is the host's own.
    let mut expected = 1;
    let others = survey.managers.iter().filter(|manager| {
        let own = manager.name == GOVERNOR && expected > 0;
        expected -= usize::from(own);
        !own
    });
    checks.extend(others.map(|manager| Check {
        name: "other manager",
        finding: Finding::Note,
        seen: format!("{}: {}", manager.name, manager.seen),
        remedy: format!("{} {}", manager.name, manager.does),
    }));
    Checks {
        checks,
        not_claimed: NOT_CLAIMED.to_vec(),
    }
}

/// That the policy lets it kill is nothing to forget.
fn deadly(policy: &Policy) -> Option<Check> {
    let keys = [
        (Resource::Pids, "pids.kill"),
        (Resource::Memory, "memory.kill"),
    ];
    let on = keys.iter().filter(|(resource, _)| policy.kills(*resource));
    let on: Vec<&str> = on.map(|(_, key)| *key).collect();
    (!on.is_empty()).then(|| Check {
        name: "kill",
        finding: Finding::Note,
        seen: on.join(", "),
        remedy: "a container that starves the host in spite of its limit is killed; what must not be, protect"
            .to_owned(),
    })
}

fn good(name: &'static str, seen: impl ToString) -> Check {
    Check {
        name,
        finding: Finding::Good,
        seen: seen.to_string(),
        remedy: String::new(),
    }
}

fn bad(name: &'static str, finding: Finding, seen: impl ToString, remedy: impl ToString) -> Check {
    Check {
        name,
        finding,
        seen: seen.to_string(),
        remedy: remedy.to_string(),
    }
}

fn kernel(survey: &Survey) -> Check {
    const NAME: &str = "kernel";
    let release = &survey.kernel;
    match version(release) {
        None => bad(
            NAME,
            Finding::Note,
            release,
            "the version is not understood",
        ),
        Some(version) if version < (5, 9) => bad(
            NAME,
            Finding::Degraded,
            release,
            "memory.high can livelock before 5.9: set memory.enforce = false, or boot a newer kernel",
        ),
        Some(version) if version < (6, 1) => bad(
            NAME,
            Finding::Note,
            release,
            "older than 6.1, the oldest kernel that governor is tested on",
        ),
        Some(_) => good(NAME, release),
    }
}

/// Major and minor of `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn cgroup(survey: &Survey) -> Check {
    const NAME: &str = "cgroup";
    match &survey.root {
        Err(why) => bad(NAME, Finding::Unusable, "no usable cgroup v2", why),
        Ok(root) => {
            let seen = format!("v2 at {}", root.point.display());
            if root.read_only {
                bad(
                    NAME,
                    Finding::Unusable,
                    format!("{seen}, read-only"),
                    "nothing can be limited: mount it writable (in a container: \
                     --privileged --cgroupns=host)",
                )
            } else if root.partial {
                bad(
                    NAME,
                    Finding::Degraded,
                    format!("{seen}, only a part of the tree"),
                    "containers outside this cgroup namespace are not seen: \
                     run governor on the host, or with --cgroupns=host",
                )
            } else {
                good(NAME, seen)
            }
        }
    }
}

fn psi(survey: &Survey) -> Check {
    const NAME: &str = "pressure";
    match survey.psi {
        Ok(()) => good(NAME, "PSI is on"),
        Err(why) => bad(
            NAME,
            Finding::Unusable,
            format!("PSI: {why}"),
            "harm cannot be measured: boot with psi=1 (the kernel needs CONFIG_PSI)",
        ),
    }
}

fn controllers(survey: &Survey) -> Check {
    const NAME: &str = "controllers";
    const WANTED: [Controller; 4] = [
        Controller::Cpu,
        Controller::Io,
        Controller::Memory,
        Controller::Pids,
    ];
    let given = match survey.controllers {
        Ok(given) => given,
        Err(why) => {
            return bad(
                NAME,
                Finding::Unusable,
                format!("cgroup.subtree_control: {why}"),
                "without controllers nothing can be limited",
            );
        }
    };
    let words = |wanted: bool| {
        let some = WANTED.iter().filter(|one| given.contains(**one) == wanted);
        some.map(|one| one.word()).collect::<Vec<_>>().join(" ")
    };
    let (on, off) = (words(true), words(false));
    if off.is_empty() {
        good(NAME, format!("{on} are on for the root's children"))
    } else {
        bad(
            NAME,
            Finding::Degraded,
            format!("on: {on}; off: {off}"),
            format!(
                "no limits of {off}: enable them in the root's cgroup.subtree_control \
                 (with systemd: CPUAccounting=yes, IOAccounting=yes, MemoryAccounting=yes)"
            ),
        )
    }
}

fn place(place: &Place) -> Check {
    const NAME: &str = "place";
    let seen = format!("{} containers in {}", place.containers, place.path);
    match &place.given {
        Ok(given) => {
            let wanted = [Controller::Cpu, Controller::Memory].iter();
            let missing: Vec<_> = wanted
                .filter(|one| !given.contains(**one))
                .map(|one| one.word())
                .collect();
            if missing.is_empty() {
                good(NAME, seen)
            } else {
                let missing = missing.join(" ");
                bad(
                    NAME,
                    Finding::Degraded,
                    format!("{seen}; off there: {missing}"),
                    format!(
                        "containers in {} have no knobs of {missing}: enable the controllers in \
                         its cgroup.subtree_control, or start a container with any such limit",
                        place.path
                    ),
                )
            }
        }
        Err(why) => bad(NAME, Finding::Note, format!("{seen}: {why}"), ""),
    }
}

fn writable(survey: &Survey) -> Check {
    const NAME: &str = "permission";
    match survey.writable {
        Ok(()) => good(NAME, "knobs can be written"),
        Err(Absent::Denied) => bad(
            NAME,
            Finding::Unusable,
            "knobs cannot be written: permission denied",
            "run governor as root, or give its user the tree (delegation) and CAP_DAC_OVERRIDE",
        ),
        Err(Absent::ReadOnly) => bad(
            NAME,
            Finding::Unusable,
            "knobs cannot be written: the mount is read-only",
            "mount /sys/fs/cgroup writable",
        ),
        Err(why) => bad(
            NAME,
            Finding::Note,
            format!("no knob was found to try: {why}"),
            "",
        ),
    }
}

fn trigger(survey: &Survey) -> Check {
    const NAME: &str = "doorbells";
    match survey.trigger {
        Trigger::Short => good(NAME, "PSI triggers with windows of 10 ms"),
        Trigger::Long => bad(
            NAME,
            Finding::Note,
            "PSI triggers with windows of 500 ms and more",
            "a quiet loop wakes later: kernels from 6.4 on allow short windows",
        ),
        Trigger::Unprivileged => bad(
            NAME,
            Finding::Degraded,
            "PSI triggers with windows of 2 s only",
            "a quiet loop ticks faster to make up for it, which costs CPU: give it CAP_SYS_RESOURCE",
        ),
        Trigger::None(why) => bad(
            NAME,
            Finding::Degraded,
            format!("no PSI triggers: {why}"),
            "a quiet loop ticks faster to make up for it, which costs CPU",
        ),
    }
}

fn tick(survey: &Survey) -> Check {
    const NAME: &str = "tick";
    match survey.hz {
        Ok(hz) => good(
            NAME,
            format!("HZ={hz}: at least {}", psi_interval(survey.hz)),
        ),
        Err(_) => bad(
            NAME,
            Finding::Note,
            "HZ is not known: the kernel's build configuration is not installed",
            format!(
                "assumed to be 100, so the tick is at least {}: install the kernel's config in /boot",
                psi_interval(survey.hz)
            ),
        ),
    }
}

fn swap(survey: &Survey) -> Check {
    const NAME: &str = "swap";
    match survey.swap {
        Ok(Bytes(0)) => bad(
            NAME,
            Finding::Note,
            "none",
            "memory.high can slow an aggressor that holds anonymous memory, and frees nothing of it",
        ),
        Ok(swap) => good(NAME, swap),
        Err(why) => bad(NAME, Finding::Note, format!("not known: {why}"), ""),
    }
}

fn memlock(survey: &Survey) -> Check {
    const NAME: &str = "locked memory";
    let capable = survey.capabilities.is_ok_and(|caps| caps.lock);
    match survey.memlock {
        _ if capable => good(NAME, "CAP_IPC_LOCK"),
        Limit::Max => good(NAME, "no limit"),
        Limit::At(limit) if limit >= LOCKED => good(NAME, limit),
        Limit::At(limit) => bad(
            NAME,
            Finding::Degraded,
            format!("at most {limit}"),
            "the governor itself can be swapped out by the attack it is to end: \
             LimitMEMLOCK=infinity",
        ),
    }
}

fn realtime(survey: &Survey) -> Check {
    const NAME: &str = "priority";
    match survey.capabilities {
        Ok(Capabilities { nice: true, .. }) => good(NAME, "CAP_SYS_NICE"),
        Ok(_) => bad(
            NAME,
            Finding::Degraded,
            "no CAP_SYS_NICE",
            "the control loop competes with the containers for the CPU and wakes late under \
             attack: give it CAP_SYS_NICE",
        ),
        Err(why) => bad(NAME, Finding::Note, format!("capabilities: {why}"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Manager, NoRoot, TreeRoot};
    use crate::kernel::controllers::parse;

    #[test]
    fn a_policy_that_kills_is_noted() {
        let mut policy = Policy::default();
        assert_eq!(deadly(&policy), None);
        policy.memory.kill = true;
        assert_eq!(deadly(&policy).unwrap().seen, "memory.kill");
    }

    /// A host on which all is well.
    fn healthy() -> Survey {
        Survey {
            kernel: "6.12.0-1-amd64".to_owned(),
            hz: Ok(250),
            root: Ok(TreeRoot {
                point: "/sys/fs/cgroup".into(),
                read_only: false,
                partial: false,
            }),
            psi: Ok(()),
            trigger: Trigger::Short,
            controllers: parse(b"cpuset cpu io memory pids\n"),
            writable: Ok(()),
            capabilities: Ok(Capabilities {
                resource: true,
                nice: true,
                lock: true,
                override_dac: true,
            }),
            memlock: Limit::At(Bytes::from_mib(8)),
            swap: Ok(Bytes::from_mib(1024)),
            managers: Vec::new(),
        }
    }

    fn found<'a>(checks: &'a Checks, name: &str) -> &'a Check {
        checks
            .checks
            .iter()
            .find(|check| check.name == name)
            .unwrap()
    }

    #[test]
    fn a_healthy_host_has_nothing_to_mend() {
        let checks = judge(&healthy(), &[]);
        assert_eq!(checks.worst(), Finding::Good, "{checks:#?}");
        assert!(checks.checks.iter().all(|check| check.remedy.is_empty()));
        assert_eq!(checks.not_claimed.len(), NOT_CLAIMED.len());
    }

    #[test]
    fn a_host_without_cgroup_v2_or_pressure_is_unusable_and_says_what_helps() {
        let mut survey = healthy();
        survey.root = Err(NoRoot::V1);
        survey.psi = Err(Absent::Unsupported);
        let checks = judge(&survey, &[]);
        assert_eq!(checks.worst(), Finding::Unusable);
        assert!(
            found(&checks, "cgroup")
                .remedy
                .contains("unified_cgroup_hierarchy=1")
        );
        assert!(found(&checks, "pressure").remedy.contains("psi=1"));
        assert!(!checks.checks.iter().any(|check| check.name == "permission"));
    }

    #[test]
    fn other_managers_are_named_and_of_governors_all_but_the_hosts_own() {
        let mut survey = healthy();
        let named = |name| Manager {
            name,
            does: "writes quotas",
            seen: "process 7".to_owned(),
        };
        survey.managers = vec![named("koordlet"), named(GOVERNOR), named(GOVERNOR)];
        let checks = judge(&survey, &[]);
        let others = checks
            .checks
            .iter()
            .filter(|check| check.name == "other manager");
        let seen: Vec<&str> = others.map(|check| &*check.seen).collect();
        assert_eq!(seen, ["koordlet: process 7", "another governor: process 7"]);
        assert_eq!(checks.worst(), Finding::Note);
    }

    #[test]
    fn controllers_that_are_off_where_containers_live_are_named_with_the_place() {
        let place = Place {
            path: "/system.slice".to_owned(),
            containers: 3,
            given: parse(b"memory pids\n"),
        };
        let checks = judge(&healthy(), &[place]);
        let check = found(&checks, "place");
        assert_eq!(check.finding, Finding::Degraded);
        assert!(check.remedy.contains("/system.slice") && check.remedy.contains("cpu"));
    }

    #[test]
    fn each_lack_degrades_and_has_a_remedy() {
        type Spoil = fn(&mut Survey);
        let lacks: [(&str, Spoil); 6] = [
            ("permission", |survey| survey.writable = Err(Absent::Denied)),
            ("permission", |survey| {
                survey.writable = Err(Absent::ReadOnly)
            }),
            ("doorbells", |survey| survey.trigger = Trigger::Unprivileged),
            ("controllers", |survey| {
                survey.controllers = parse(b"pids\n")
            }),
            ("locked memory", |survey| {
                survey.capabilities = Ok(Capabilities::default())
            }),
            ("priority", |survey| {
                survey.capabilities = Ok(Capabilities::default())
            }),
        ];
        for (name, spoil) in lacks {
            let mut survey = healthy();
            spoil(&mut survey);
            let checks = judge(&survey, &[]);
            let check = found(&checks, name);
            assert!(check.finding >= Finding::Degraded, "{check:?}");
            assert!(!check.remedy.is_empty(), "{check:?}");
        }
    }

    #[test]
    fn facts_that_cost_nothing_are_notes() {
        let mut survey = healthy();
        survey.hz = Err(Absent::NoFile);
        survey.swap = Ok(Bytes(0));
        survey.trigger = Trigger::Long;
        assert_eq!(judge(&survey, &[]).worst(), Finding::Note);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("mine"), None);
        let mut survey = healthy();
        survey.kernel = "5.8.0".to_owned();
        assert_eq!(judge(&survey, &[]).worst(), Finding::Degraded);
    }
}
