//! A fixed story, killed at every single step, and its restore killed at every single step too.

use super::world::{PATHS, World, bytes, cpu_max, pulses, weight};
use crate::model::{Knob, KnobValue, Span};

const ODD: &str = PATHS[0];
const IDLE: &str = PATHS[1];

/// Everything that can be held, tightened, idled and given back. `None`: killed on the way.
fn story(world: &mut World) -> Option<()> {
    world.hold(ODD, Knob::CpuWeight, weight(5))?;
    world.hold(ODD, Knob::CpuMax, cpu_max(10_000, 70_000))?;
    world.hold(ODD, Knob::MemoryHigh, bytes(64 << 20))?;
    world.poll()?;
    world.hold(ODD, Knob::CpuIdle, KnobValue::Idle(true))?;
    world.hold(IDLE, Knob::CpuIdle, KnobValue::Idle(false))?;
    world.hold(ODD, Knob::CpuMax, cpu_max(5_000, 70_000))?;
    world.hold(ODD, Knob::MemoryHigh, bytes(32 << 20))?;
    world.poll()?;
    world.hold(ODD, Knob::CgroupFreeze, pulses(5))?;
    world.poll()?;
    world.hold(IDLE, Knob::MemorySwapMax, bytes(0))?;
    world.now = world.now + Span::from_millis(15);
    world.poll()?;
    world.release(ODD, Knob::CpuIdle)?;
    world.release(ODD, Knob::CpuMax)?;
    world.hold(ODD, Knob::CpuMax, cpu_max(10_000, 100_000))?;
    world.check()?;
    world.stop()
}

#[test]
fn killed_at_any_step_everything_comes_back() {
    let mut crashes = 0;
    for step in 0.. {
        let mut world = World::new();
        world.fuse.light(step);
        let whole = story(&mut world).is_some();
        world.fuse.put_out();
        if whole {
            assert!(step > 100, "the story has only {step} steps");
            break;
        }
        crashes += 1;
        let report = world.start();
        assert_eq!(report.failed(), 0, "{report}");
        world.assert_as_without_us();
        world.assert_journal_empty();
        let again = world.start();
        assert!(
            again.items.is_empty(),
            "a second restore finds nothing: {again}"
        );
    }
    assert!(crashes > 100);
}

#[test]
fn killed_at_any_step_and_again_at_any_step_of_the_restore_everything_comes_back() {
    // Every seventh first step, and all second steps.
    for first in (0..).step_by(7) {
        let mut world = World::new();
        world.fuse.light(first);
        if story(&mut world).is_some() {
            break;
        }
        let mut second = 0;
        loop {
            let mut world = World::new();
            world.fuse.light(first);
            assert!(story(&mut world).is_none());
            world.fuse.light(second);
            // Killed, it starts again at once.
            world.start();
            let done = world.process.is_some() && world.fuse.is_lit();
            world.fuse.put_out();
            world.start();
            world.assert_as_without_us();
            world.assert_journal_empty();
            if done {
                break;
            }
            second += 1;
        }
    }
}
