//! Any story: holds, releases, other writers, containers that come and go, slow writes, time, and
//! SIGKILL anywhere. In the end every knob is what it would be without us.

use proptest::prelude::*;

use super::world::{Kernel, PATHS, World, bytes, cpu_max, pulses, weight};
use crate::model::{Knob, KnobValue, Others, Span};

#[derive(Clone, Debug)]
enum Event {
    Hold(usize, Knob, KnobValue),
    Release(usize, Knob),
    OtherWrites(usize, Knob, &'static str),
    Vanish(usize),
    Appear(usize),
    /// The slow writer writes; its results are taken in.
    SlowWrites,
    /// Results are taken in; the slow writer hangs.
    Poll,
    Check,
    Later(u64),
    /// SIGKILL after so many steps from here.
    KillAfter(u32),
    Kill,
    Stop,
}

fn held_value() -> impl Strategy<Value = (Knob, KnobValue)> {
    prop::sample::select(vec![
        (Knob::CgroupFreeze, pulses(5)),
        (Knob::CgroupFreeze, pulses(5)),
        (Knob::CgroupFreeze, pulses(1)),
        (Knob::CpuIdle, KnobValue::Idle(true)),
        (Knob::CpuIdle, KnobValue::Idle(true)),
        (Knob::CpuIdle, KnobValue::Idle(false)),
        (Knob::CpuWeight, weight(1)),
        (Knob::CpuWeight, weight(5)),
        (Knob::CpuWeight, weight(37)),
        (Knob::CpuMax, cpu_max(10_000, 100_000)),
        (Knob::CpuMax, cpu_max(5_000, 70_000)),
        (Knob::CpuMax, cpu_max(40_000, 70_000)),
        // Refused by the kernel.
        (Knob::CpuMax, cpu_max(10, 70_000)),
        (Knob::MemoryHigh, bytes((64 << 20) + 5)),
        (Knob::MemoryHigh, bytes(32 << 20)),
        (Knob::MemorySwapMax, bytes(0)),
        (Knob::MemorySwapMax, bytes(1 << 20)),
    ])
}

/// Values that we never write, and the originals (reverting).
fn other_value() -> impl Strategy<Value = (Knob, &'static str)> {
    prop::sample::select(vec![
        (Knob::CgroupFreeze, "0"),
        (Knob::CgroupFreeze, "1"),
        (Knob::CpuIdle, "0"),
        (Knob::CpuIdle, "1"),
        (Knob::CpuWeight, "55"),
        (Knob::CpuWeight, "200"),
        (Knob::CpuMax, "150000 70000"),
        (Knob::CpuMax, "max 100000"),
        (Knob::CpuMax, "250000 50000"),
        (Knob::CpuMax, "3000 50000"),
        (Knob::CpuMaxBurst, "20000"),
        (Knob::CpuMaxBurst, "15000"),
        (Knob::MemoryHigh, "126418944"),
        (Knob::MemoryHigh, "max"),
        (Knob::MemoryHigh, "99999744"),
        (Knob::MemorySwapMax, "8388608"),
    ])
}

fn event() -> impl Strategy<Value = Event> {
    let group = 0..PATHS.len();
    let knob = prop::sample::select(Knob::FILES.to_vec());
    prop_oneof![
        8 => (group.clone(), held_value()).prop_map(|(at, (knob, value))| Event::Hold(at, knob, value)),
        4 => (group.clone(), knob).prop_map(|(at, knob)| Event::Release(at, knob)),
        4 => (group.clone(), other_value()).prop_map(|(at, (knob, text))| Event::OtherWrites(at, knob, text)),
        1 => group.clone().prop_map(Event::Vanish),
        1 => group.prop_map(Event::Appear),
        4 => Just(Event::SlowWrites),
        1 => Just(Event::Poll),
        4 => Just(Event::Check),
        1 => (1_u64..8).prop_map(Event::Later),
        2 => (0_u32..60).prop_map(Event::KillAfter),
        1 => Just(Event::Kill),
        1 => Just(Event::Stop),
    ]
}

fn happen(world: &mut World, event: &Event) {
    let others = matches!(
        event,
        Event::OtherWrites(..) | Event::Vanish(_) | Event::Appear(_)
    );
    if world.process.is_none() && !others {
        world.start();
    }
    match *event {
        Event::Hold(at, knob, value) => {
            world.hold(PATHS[at], knob, value);
        }
        Event::Release(at, knob) => {
            world.release(PATHS[at], knob);
        }
        Event::OtherWrites(at, knob, text) => {
            world.other_writes(PATHS[at], knob, text);
        }
        Event::Vanish(at) => world.vanish(PATHS[at]),
        Event::Appear(at) => world.appear(PATHS[at]),
        Event::SlowWrites => {
            world.poll();
        }
        Event::Poll => {
            world.run(|process, _| process.act.poll(&mut process.files, &mut process.out));
        }
        Event::Check => {
            world.check();
        }
        Event::Later(seconds) => {
            world.now = world.now + Span::from_secs(seconds);
            world.expire();
        }
        Event::KillAfter(steps) => world.fuse.light(steps),
        Event::Kill => world.process = None,
        Event::Stop => {
            world.stop();
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_knob_ends_as_it_would_be_without_us(
        story in prop::collection::vec(event(), 1..60),
        clean_end: bool,
        kernel in prop::sample::select(vec![Kernel::V6_1, Kernel::V6_12]),
        others in prop::sample::select(vec![Others::Yield, Others::Reassert, Others::Alert]),
    ) {
        let mut world = World::like(kernel).with(others);
        for event in &story {
            happen(&mut world, event);
        }
        world.fuse.put_out();
        if !clean_end {
            world.process = None;
        }
        if world.process.is_none() {
            world.start();
        }
        world.stop();
        world.assert_as_without_us();
        world.assert_only_unclear_are_left();
    }
}
