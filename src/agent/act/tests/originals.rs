//! What the tree shows as a knob's original, while it is held and after.

use super::super::journal_format::FILE_LEN;
use super::super::journal_format::tests::BOOT;
use super::super::{Actuator, Journal, Pulser, SlowWriter};
use super::world::{PAGE, bytes, hold, weight};
use crate::host::{Extent, FakeHandle, FakeTree, Forest, Limits, Rules};
use crate::model::{Bytes, Change, GroupId, Knob, Knobs, Limit, Outcome, Time, Weight, Written};

const HOG: &str = "/system.slice/hog.service";

type Act = Actuator<FakeHandle, Vec<u8>>;

fn shown(act: &Act, forest: &Forest<FakeTree>, group: GroupId) -> Knobs {
    let tree = forest.topology(&Rules {
        original: &|group, knob| act.original(group, knob).copied(),
        name: &|_, _| None,
        is_protected: &|_| false,
        own: None,
    });
    tree.find(group).unwrap().1.knobs
}

#[test]
fn a_knob_that_was_read_while_it_was_held_shows_its_original_after_it_was_given_back() {
    let tree = FakeTree::new();
    let group = tree.add(HOG);
    tree.set(HOG, "cpu.weight", "250\n");
    let mut forest = Forest::new(tree.clone(), Limits::default());
    forest.scan(Extent::All, &|_| false).unwrap();
    let journal = Journal::load(vec![0; FILE_LEN], BOOT).0;
    let (writer, slow) = SlowWriter::without_thread();
    let (pulser, _pulses) = Pulser::without_thread();
    let mut act: Act = Actuator::enforcing(PAGE, journal, Vec::new(), writer, pulser);
    let poll = |act: &mut Act, forest: &mut Forest<FakeTree>| -> Vec<Outcome> {
        let mut told = Vec::new();
        slow.work();
        act.poll(forest, &mut told);
        told
    };
    let original = shown(&act, &forest, group);

    let held = [
        (Knob::CpuWeight, weight(4)),
        (Knob::MemoryHigh, bytes(500 << 20)),
    ];
    for (knob, value) in held {
        act.apply(&hold(group, knob, value), Time(0), &mut forest);
    }
    poll(&mut act, &mut forest);
    forest.refresh(forest.groups());
    assert_eq!(shown(&act, &forest, group), original, "while it is held");
    assert_eq!(
        tree.text(HOG, "memory.high").as_deref(),
        Some("524288000\n")
    );
    for (knob, _) in held {
        act.apply(&Change::Release { group, knob }, Time(0), &mut forest);
    }
    let told = poll(&mut act, &mut forest);
    assert!(told.iter().all(|told| told.written == Written::Restored));
    assert!(act.held().next().is_none());
    // Nothing else is read for it.
    assert!(forest.refresh(0), "the next chores tell the brain");
    assert!(!forest.refresh(0));
    let after = shown(&act, &forest, group);
    assert_eq!(after.cpu_weight, Ok(Weight::new(250).unwrap()));
    assert_eq!(after.memory_high, Ok(Limit::<Bytes>::Max));
    assert_eq!(after, original);
}
