//! Stories of a governor that does not get to look, and of counters that begin anew.

use super::world::{CONFIRMED, World};
use crate::model::{Policy, Role, Span};

const LATE: [u64; 5] = [1_000, 3_000, 10_000, 60_000, 3_600_000];

#[test]
fn nobody_is_held_because_a_tick_comes_late() {
    for late in LATE {
        let mut world = World::pair(0.5, Policy::default());
        world.life("/hog").wants = 0.3;
        world.run(12.0);
        for _ in 0..3 {
            world.tick_after(Span::from_millis(late));
            world.run(2.0);
        }
        assert!(world.writes.is_empty(), "{late} ms: {:?}", world.writes);
    }
}

#[test]
fn an_attack_over_late_ticks_is_met_and_given_back() {
    for late in LATE {
        let mut world = World::pair(0.8, Policy::default());
        world.run(12.0);
        world.life("/hog").wants = 8.0;
        world.tick_after(Span::from_millis(late));
        world.run(3.0);
        assert_eq!(world.role("/hog"), Role::Aggressor, "{late} ms");
        assert!(world.has_told(CONFIRMED), "{late} ms: {:?}", world.told);
        world.tick_after(Span::from_millis(late));
        world.run(1.0);
        assert_eq!(world.role("/victim"), Role::Victim, "{late} ms");
        world.life("/hog").wants = 0.0;
        world.tick_after(Span::from_millis(late));
        world.run(60.0);
        assert!(world.knobs.is_empty(), "{late} ms: {:?}", world.knobs);
    }
}

/// As where a cgroup is made anew under the same inode, or a kernel's counter overflows.
#[test]
fn for_counters_that_go_backwards_nobody_is_held_and_what_follows_counts() {
    let mut world = World::pair(0.8, Policy::default());
    world.life("/hog").wants = 0.1;
    world.run(12.0);
    for path in ["/victim", "/hog"] {
        let life = world.life(path);
        (life.usage, life.stall, life.io_stall) = (0.0, 0.0, 0.0);
    }
    world.idle = 0.0;
    world.run(3.0);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
    world.life("/hog").wants = 8.0;
    world.run(1.0);
    assert_eq!(world.role("/hog"), Role::Aggressor);
    let life = world.life("/victim");
    (life.usage, life.stall) = (0.0, 0.0);
    world.life("/hog").usage = 0.0;
    world.run(2.0);
    assert_eq!(world.role("/hog"), Role::Aggressor);
    world.life("/hog").wants = 0.0;
    world.run(60.0);
    assert!(world.knobs.is_empty(), "{:?}", world.knobs);
}
