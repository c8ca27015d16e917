//! Trees, brains and queues that are too large.

use super::*;

#[test]
fn a_tree_that_is_as_it_was_is_not_written_again() {
    let mut rig = Rig::new();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 5, Span(50_000), None);
    let first = rig.tree.clone();
    for last in [0, 11, 0] {
        rig.tree = first.clone();
        rig.tree.groups.extend((10..last).map(container));
        for _ in 0..3 {
            recorder.tree(rig.now, &rig.tree);
            rig.run(&mut recorder, 5, Span(50_000), None);
        }
    }
    recorder.stop(rig.now);
    let frames = rig.frames();
    let news = |two: &&[Frame]| {
        // With a policy before it, it belongs to a beginning.
        matches!(two, [before, Frame::Tree { .. }] if !matches!(before, Frame::Policy { .. }))
    };
    assert_eq!(
        frames.windows(2).filter(news).count(),
        2,
        "one more, one less"
    );
}

/// So many groups that no trace can hold, and one that has room.
fn paths(groups: u64, of: &str) -> Topology {
    let group = |id| Group {
        path: format!("/{}/{id}", of.repeat(200)).into_bytes(),
        ..container(id)
    };
    Topology {
        groups: (1..=groups).map(group).collect(),
    }
}

#[test]
fn a_tree_that_is_too_large_stops_the_recording_and_is_told_until_it_is_not() {
    let mut rig = Rig::new();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 20, Span(50_000), None);
    let small = std::mem::replace(&mut rig.tree, paths(9_000, "\x01"));
    recorder.tree(rig.now, &rig.tree);
    rig.run(&mut recorder, 100, Span(50_000), None);
    let note = rig.recording.note().unwrap();
    assert!(note.contains("the cgroup tree is too large"), "{note}");
    rig.tree = small;
    recorder.tree(rig.now, &rig.tree);
    rig.run(&mut recorder, 30, Span(50_000), None);
    recorder.stop(rig.now);
    assert_eq!(rig.recording.note(), None);
    let frames = rig.frames();
    assert_eq!(ticks(&frames).len(), 50);
    assert!(
        !frames
            .iter()
            .any(|frame| matches!(frame, Frame::Gap { .. })),
        "nobody was behind"
    );
}

#[test]
fn a_brain_that_is_too_large_is_told_and_not_tried_again_and_nobody_was_behind() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.keep = Span::from_secs(10);
    let few = std::mem::replace(&mut rig.tree, paths(6_000, "x"));
    rig.brain.adopt(&rig.tree, Time(0));
    let mut recorder = rig.recorder();
    let begin = |rig: &mut Rig, recorder: &mut Recorder| {
        rig.now = rig.now + Span::from_secs(3);
        assert!(recorder.is_due(rig.now));
        let (at, wall_us) = (rig.now, 0);
        recorder.begin(Moment { at, wall_us }, &rig.tree, &rig.brain);
        recorder.ticked(&rig.sample(), &Step::default(), &[], |_| String::new());
        rig.recording.note()
    };
    let note = begin(&mut rig, &mut recorder).unwrap();
    assert!(note.contains("without what the governor knew"), "{note}");
    // This one would fit: it is not asked.
    rig.brain = Brain::new(rig.loaded.policy.clone());
    assert!(begin(&mut rig, &mut recorder).is_some());
    rig.tree = few;
    rig.brain.adopt(&rig.tree, rig.now);
    assert_eq!(begin(&mut rig, &mut recorder), None);
    recorder.stop(rig.now);
    let of = |wanted: fn(&Frame) -> bool| rig.frames().iter().filter(|frame| wanted(frame)).count();
    assert_eq!(of(|frame| matches!(frame, Frame::Gap { .. })), 0);
    assert_eq!(of(|frame| matches!(frame, Frame::Checkpoint(_))), 1);
}

#[test]
fn what_waits_for_the_keeper_is_bounded_in_bytes() {
    let mut rig = Rig::new();
    let (keeper, messages) = Keeper::without_thread(64);
    let mut recorder = rig.recorder_of(keeper);
    let trees = [paths(8_000, "x"), paths(7_999, "x")];
    for number in 0..6 {
        rig.tree = trees[number % 2].clone();
        recorder.tree(rig.now, &rig.tree);
        rig.run(&mut recorder, 1, Span(50_000), None);
    }
    let batches = messages.try_iter().filter_map(|message| match message {
        Message::Batch(batch) => Some(batch.bytes.len()),
        _ => None,
    });
    let sizes: Vec<usize> = batches.collect();
    assert!(sizes.iter().any(|size| *size > 4 << 20), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() <= 12 << 20, "{sizes:?}");
}
