//! A trace is foreign input, and who writes one can seal it: no such trace may make a replay panic.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod synthetic;

use governor::model::{Bytes, Mode, Policy, Span, Time};
use governor::replay::story;
use governor::trace::Frame;
use proptest::prelude::*;
use synthetic::{Host, edit};

/// What a hostile hand might do to a trace and still seal it.
#[derive(Clone, Debug)]
enum Mischief {
    Drop,
    Twice,
    Time(u64),
    Counters(u64),
    NoCpus,
    Orphans,
    Mode,
    Gap(u32),
    Emptied,
    Ticks(u64),
    Remembered(usize, u32),
}

fn mischief() -> impl Strategy<Value = Mischief> {
    prop_oneof![
        Just(Mischief::Drop),
        Just(Mischief::Twice),
        any::<u64>().prop_map(Mischief::Time),
        any::<u64>().prop_map(Mischief::Counters),
        Just(Mischief::NoCpus),
        Just(Mischief::Orphans),
        Just(Mischief::Mode),
        any::<u32>().prop_map(Mischief::Gap),
        Just(Mischief::Emptied),
        prop_oneof![any::<u64>(), Just(u64::MAX)].prop_map(Mischief::Ticks),
        (any::<usize>(), prop_oneof![any::<u32>(), Just(u32::MAX)])
            .prop_map(|(at, value)| Mischief::Remembered(at, value)),
    ]
}

fn spoil(mut frame: Frame, mischief: &Mischief) -> Vec<Frame> {
    match (&mut frame, mischief) {
        (_, Mischief::Drop) => return Vec::new(),
        (_, Mischief::Twice) => return vec![frame.clone(), frame],
        (_, Mischief::Gap(lost)) => {
            return vec![
                frame,
                Frame::Gap {
                    at: Time(u64::MAX),
                    lost: *lost,
                },
            ];
        }
        (Frame::Tick(sample), Mischief::Time(at)) => sample.at = Time(*at),
        (Frame::Tree { at, .. }, Mischief::Time(new)) => *at = Time(*new),
        (Frame::Start(start), Mischief::Time(new)) => start.wall_us = *new as i64,
        (Frame::Tick(sample), Mischief::Counters(value)) => {
            for read in &mut sample.containers {
                read.at = Time(*value);
                if let Ok(cpu) = &mut read.cpu {
                    cpu.usage = Span(*value);
                }
                if let Ok(stall) = &mut read.cpu_stall {
                    stall.some = Span(value.rotate_left(7));
                }
                if let Ok(memory) = &mut read.memory {
                    memory.current.0 = *value;
                    memory.swap.0 = value.rotate_left(13);
                }
                read.tasks = Ok(*value);
            }
            sample.host.cpu_idle = Ok(Span(value.rotate_left(3)));
        }
        (Frame::Tick(sample), Mischief::NoCpus) => {
            sample.host.cpus = 0;
            sample.host.memory_total = Ok(Bytes(0));
        }
        (Frame::Tree { tree, .. }, Mischief::Orphans) => {
            for (at, group) in tree.groups.iter_mut().enumerate() {
                group.parent = Some(at.wrapping_mul(7) % 5);
                group.id.0 %= 2;
            }
        }
        (Frame::Tree { tree, .. }, Mischief::Emptied) => tree.groups.clear(),
        (Frame::Start(start), Mischief::Ticks(ticks)) => start.ticks = Some(*ticks),
        (Frame::Checkpoint(text), Mischief::Remembered(at, value)) => remember(text, *at, *value),
        (Frame::Policy { mode, .. }, Mischief::Mode) => *mode = Mode::DryRun,
        _ => {}
    }
    vec![frame]
}

/// Puts this value in the place of the whole number that comes at or after `at`, round and round.
fn remember(text: &mut String, at: usize, value: u32) {
    let mut all: Vec<String> = text
        .split_inclusive([',', ':', '[', ']', '{', '}'])
        .map(str::to_owned)
        .collect();
    let is_number = |piece: &String| {
        piece
            .trim_end_matches([',', ']', '}'])
            .parse::<u64>()
            .is_ok()
    };
    let numbers: Vec<usize> = (0..all.len()).filter(|&at| is_number(&all[at])).collect();
    if let Some(&place) = numbers.get(at % numbers.len().max(1)) {
        let end = all[place].pop().unwrap();
        all[place] = format!("{value}{end}");
    }
    *text = all.concat();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_trace_that_a_hand_can_seal_makes_a_replay_panic(
        places in proptest::collection::vec((0_usize..600, mischief()), 1..12)
    ) {
        let mut host = Host::new(3, 1, "", Vec::new());
        host.lives[0].wants = 0.8;
        host.run(Span::from_secs(4));
        host.lives[1].wants = 8.0;
        host.run(Span::from_secs(3));
        let mut number = 0;
        let spoilt = edit(&host.finish(), |frame| {
            let at = number;
            number += 1;
            places
                .iter()
                .find(|(place, _)| *place == at || (*place < 10 && at < 4))
                .map_or_else(|| vec![frame.clone()], |(_, mischief)| spoil(frame.clone(), mischief))
        });
        let policy = Policy::default();
        let _ = story(&spoilt[..], None);
        let _ = story(&spoilt[..], Some(&policy));
    }
}

#[test]
fn a_trace_may_claim_any_number_of_ticks_before_it() {
    let spoilt = edit(&synthetic::attack("", None), |mut frame| {
        if let Frame::Start(start) = &mut frame {
            start.ticks = Some(u64::MAX);
        }
        vec![frame]
    });
    assert!(story(&spoilt[..], None).unwrap().contains("tightened"));
}
