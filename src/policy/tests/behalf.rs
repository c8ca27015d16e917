//! Stories of work that the host does for somebody: who has it done is found, and proved, though he takes hardly anything himself.

use super::world::{CONFIRMED, World};
use crate::model::{CpuMax, EventKind, Knob, KnobValue, Limit, Policy, Span, Verdict};
use crate::policy::behalf::Behalf;
use crate::policy::track::tests::{container, service};

const LOGGER: &str = "/system.slice/logger.service";
/// CPU time that the logger needs for each that the source uses.
const DEAR: f64 = 60.0;
/// What may wait for the logger, as its CPU time.
const PIPE: f64 = 0.3;

/// A victim that is known to need 80 % of the CPU, a source of lines, and the logger of the host.
struct Log {
    world: World,
    /// What waits for the logger, as its CPU time.
    waits: f64,
}

impl Log {
    fn new(policy: Policy) -> Log {
        let groups = [
            container("/victim", 100),
            container("/source", 100),
            container("/other", 100),
            service(LOGGER),
        ];
        let mut world = World::new(&groups, policy);
        world.life("/victim").wants = 0.8;
        world.run(10.0);
        Log { world, waits: 0.0 }
    }

    /// The source sends what the pipe takes.
    fn storm(&mut self, seconds: f64) {
        for _ in 0..(seconds * 50.0) as usize {
            let used = |world: &mut World| (world.life("/source").usage, world.life(LOGGER).usage);
            let before = used(&mut self.world);
            self.world.life("/source").wants = if self.waits < PIPE { 0.05 } else { 0.0 };
            self.world.life(LOGGER).wants = (self.waits * 50.0).min(1.0);
            self.world.tick();
            let after = used(&mut self.world);
            self.waits += DEAR * (after.0 - before.0) - (after.1 - before.1);
            self.waits = self.waits.max(0.0);
        }
    }

    /// CPUs that one is left.
    fn cap(&self, path: &str) -> Option<f64> {
        match self.world.knobs.get(&(self.world.id(path), Knob::CpuMax)) {
            Some(KnobValue::CpuMax(max)) => match max.quota {
                Limit::At(quota) => Some(quota.over(max.period)),
                Limit::Max => None,
            },
            _ => None,
        }
    }
}

#[test]
fn who_has_a_logger_of_the_host_work_is_capped_for_that_and_the_logger_is_left_alone() {
    let mut log = Log::new(Policy::default());
    log.storm(1.0);
    assert_eq!(log.world.writes, [], "nobody is asked at once");
    log.storm(9.0);
    assert!(log.world.has_told(CONFIRMED), "{:?}", log.world.told);
    assert!(
        log.cap("/source").is_some_and(|cpus| cpus < 0.005),
        "{:?}",
        log.cap("/source")
    );
    let stalled = log.world.life("/victim").stall;
    log.storm(1.0);
    let stalled = log.world.life("/victim").stall - stalled;
    assert!(stalled < 0.2, "{stalled}");
    let written = |path| {
        let id = log.world.id(path);
        log.world.writes.iter().any(|write| write.0 == id)
    };
    assert!(!written(LOGGER) && !written("/victim") && !written("/other"));
}

#[test]
fn it_goes_back_when_the_storm_is_over() {
    let mut log = Log::new(Policy::default());
    log.storm(10.0);
    assert!(log.cap("/source").is_some());
    log.world.life("/source").wants = 0.0;
    log.world.life(LOGGER).wants = 0.0;
    log.world.run(30.0);
    assert!(log.world.knobs.is_empty(), "{:?}", log.world.knobs);
}

#[test]
fn beside_one_that_began_in_the_same_moment_he_is_found() {
    for wants in [0.01, 0.1] {
        let mut log = Log::new(Policy::default());
        log.world.life("/other").wants = wants;
        log.storm(20.0);
        assert_eq!(log.cap("/other"), None);
        let cap = log.cap("/source");
        assert!(
            cap.is_some_and(|cpus| cpus < 0.005),
            "{wants}: {cap:?}, {:?}",
            log.world.told
        );
    }
}

#[test]
fn what_the_host_does_for_nobody_is_nobodys() {
    let mut log = Log::new(Policy::default());
    // It was there before.
    log.world.life("/other").wants = 0.1;
    log.world.run(20.0);
    log.world.life(LOGGER).wants = 1.0;
    log.world.run(20.0);
    assert_eq!(log.world.writes, [], "{:?}", log.world.told);
}

#[test]
fn where_the_policy_has_it_off_nobody_is_asked() {
    let mut policy = Policy::default();
    policy.cpu.on_behalf = false;
    let mut log = Log::new(policy);
    log.storm(10.0);
    assert_eq!(log.world.writes, [], "{:?}", log.world.told);
}

#[test]
fn what_the_host_does_later_is_not_his_who_is_held() {
    let mut log = Log::new(Policy::default());
    log.storm(10.0);
    assert!(log.cap("/source").is_some());
    // It sends on, as far as it may; and the host has begun something else.
    for _ in 0..2_000 {
        log.world.life("/source").wants = 0.05;
        log.world.life(LOGGER).wants = 1.0;
        log.world.tick();
    }
    assert_eq!(log.cap("/source"), None, "{:?}", log.world.told);
}

#[test]
fn where_the_host_works_on_whoever_helped_the_victim_is_cleared() {
    let mut log = Log::new(Policy::default());
    // Both begin, and have nothing to do with each other; to cap one frees a little for the victim.
    log.world.life("/other").wants = 0.1;
    log.world.life(LOGGER).wants = 1.0;
    log.world.run(4.0);
    assert!(log.world.wrote("/other", Knob::CpuMax));
    log.world.run(2.0);
    let cleared = |kind: &EventKind| *kind == EventKind::Proved(Verdict::Exonerated);
    assert!(log.world.has_told(cleared) && !log.world.has_told(CONFIRMED));
    assert!(log.world.knobs.is_empty(), "{:?}", log.world.knobs);
    // He is cleared of that alone.
    log.world.life("/other").wants = 8.0;
    log.world.life(LOGGER).wants = 0.0;
    log.world.run(1.0);
    assert!(
        log.world.wrote("/other", Knob::CpuWeight),
        "{:?}",
        log.world.told
    );
}

#[test]
fn who_uses_a_good_part_of_what_the_host_does_is_not_asked() {
    let mut log = Log::new(Policy::default());
    log.world.life("/other").wants = 0.15;
    log.world.life(LOGGER).wants = 1.0;
    log.world.run(10.0);
    assert_eq!(log.world.writes, [], "{:?}", log.world.told);
}

#[test]
fn before_calm_has_been_seen_nobody_is_asked() {
    let mut log = Log::new(Policy::default());
    log.world.brain.behalf = Behalf::new();
    log.storm(10.0);
    assert_eq!(log.world.writes, [], "{:?}", log.world.told);
}

#[test]
fn no_cap_lifts_a_quota_of_ones_own() {
    let mut log = Log::new(Policy::default());
    let at = log
        .world
        .tree
        .find(log.world.id("/source"))
        .map(|(at, _)| at);
    let own = CpuMax {
        quota: Limit::At(Span::from_millis(1)),
        period: Span::from_secs(1),
    };
    log.world.tree.groups[at.unwrap()].knobs.cpu_max = Ok(own);
    log.world
        .brain
        .adopt(&log.world.tree.clone(), log.world.now);
    log.storm(10.0);
    assert!(!log.world.wrote("/source", Knob::CpuMax));
}
