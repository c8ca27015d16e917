//! What a trace promises.

mod any;

use std::hash::{BuildHasher, RandomState};

use proptest::prelude::*;

use any::any_frame;

use super::*;
use crate::model::{
    Absent, Bytes, ContainerSample, CpuUse, Group, GroupId, Knobs, Limit, Member, Runtime, Span,
    Stall,
};

/// Blocks of these frames each, and where each block ends.
fn written(blocks: &[Vec<Frame>]) -> (Vec<u8>, Vec<usize>) {
    let (mut trace, mut ends) = (Vec::new(), Vec::new());
    let mut writer = Writer::new();
    for frames in blocks {
        for frame in frames {
            writer.frame(frame, &mut trace).unwrap();
        }
        writer.finish(&mut trace).unwrap();
        ends.push(trace.len());
    }
    (trace, ends)
}

fn read(trace: &[u8]) -> (Vec<Frame>, Vec<Damage>) {
    let (mut frames, mut damages) = (Vec::new(), Vec::new());
    for item in Reader::new(trace) {
        match item {
            Ok(frame) => frames.push(frame),
            Err(damage) => damages.push(damage),
        }
    }
    (frames, damages)
}

fn check_cut(blocks: &[Vec<Frame>], trace: &[u8], ends: &[usize], cut: usize) {
    let whole = ends.iter().filter(|end| **end <= cut).count();
    let (frames, damages) = read(&trace[..cut]);
    assert_eq!(frames, blocks[..whole].concat(), "cut at {cut}");
    if cut == 0 || ends.contains(&cut) {
        assert!(damages.is_empty(), "cut at {cut}: {damages:?}");
    } else {
        assert!(
            matches!(damages[..], [Damage::Torn { .. }]),
            "cut at {cut}: {damages:?}"
        );
    }
}

fn check_flip(blocks: &[Vec<Frame>], trace: &[u8], ends: &[usize], at: usize, bit: u8) {
    let hit = ends.iter().position(|end| at < *end).unwrap();
    let mut trace = trace.to_vec();
    trace[at] ^= 1 << bit;
    let (frames, damages) = read(&trace);
    assert_eq!(damages.len(), 1, "bit {bit} of {at}: {damages:?}");
    assert!(
        !matches!(damages[0], Damage::Newer { .. }),
        "bit {bit} of {at}"
    );
    let left = [&blocks[..hit], &blocks[hit + 1..]].concat().concat();
    assert_eq!(frames, left, "bit {bit} of {at}");
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_trace_is_survived() {
    let start = Frame::Start(Start {
        format: FORMAT,
        ..Start::default()
    });
    let blocks = [
        vec![start, tick(1, 3), tick(50, 3)],
        vec![
            tick(100, 2),
            Frame::Gap {
                at: Time(100),
                lost: 3,
            },
        ],
        vec![Frame::ReleasedAll { at: Time(120) }],
    ];
    let (trace, ends) = written(&blocks);
    for at in 0..trace.len() {
        check_cut(&blocks, &trace, &ends, at);
        for bit in 0..8 {
            check_flip(&blocks, &trace, &ends, at, bit);
        }
    }
}

fn any_blocks() -> impl Strategy<Value = Vec<Vec<Frame>>> {
    prop::collection::vec(prop::collection::vec(any_frame(), 1..6), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_written_is_read_again(blocks in any_blocks()) {
        let (trace, _) = written(&blocks);
        let (frames, damages) = read(&trace);
        prop_assert!(damages.is_empty(), "{damages:?}");
        prop_assert_eq!(frames, blocks.concat());
    }

    #[test]
    fn a_cut_anywhere_costs_the_last_block_and_a_flipped_bit_one(
        blocks in any_blocks(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (trace, ends) = written(&blocks);
        let at = at.index(trace.len());
        check_cut(&blocks, &trace, &ends, at);
        check_flip(&blocks, &trace, &ends, at, bit);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_go_on_for_ever(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        blocks in any_blocks(),
        at in any::<prop::sample::Index>(),
    ) {
        read(&noise);
        let (trace, _) = written(&blocks);
        let (before, after) = trace.split_at(at.index(trace.len()));
        read(&[before, &noise, after].concat());
        // A block whose content is nonsense but whose CRC is right.
        let mut sealed = Vec::new();
        seal(&noise, &mut sealed).unwrap();
        read(&sealed);
    }
}

fn tick(at: u64, containers: u64) -> Frame {
    let read = |id| ContainerSample {
        cpu: Ok(CpuUse {
            usage: Span(at * 3 + id),
            throttled: Span::ZERO,
        }),
        ..ContainerSample::unread(GroupId(id), Time(at + id * 30))
    };
    Frame::Tick(Sample {
        at: Time(at),
        containers: (0..containers).map(read).collect(),
        ..Sample::default()
    })
}

#[test]
fn a_container_in_which_nothing_moved_costs_five_bytes_a_tick() {
    let still = |at| {
        let mut sample = Sample {
            at: Time(at),
            ..Sample::default()
        };
        for id in 0..100 {
            let mut read = ContainerSample::unread(GroupId(1000 + id), Time(at + id * 30));
            read.cpu = Ok(CpuUse::default());
            read.cpu_stall = Ok(Stall::default());
            sample.containers.push(read);
        }
        sample
    };
    let mut encoder = Encoder::new();
    let mut bytes = Vec::new();
    encoder.tick(&still(0), &mut bytes).unwrap();
    bytes.clear();
    encoder.tick(&still(100_000), &mut bytes).unwrap();
    assert!(bytes.len() <= 520, "{}", bytes.len());
}

#[test]
fn traces_that_are_joined_are_one_trace() {
    let (mut both, _) = written(&[vec![tick(1, 3), tick(2, 3)]]);
    both.extend(written(&[vec![tick(3, 2)]]).0);
    let (frames, damages) = read(&both);
    assert!(damages.is_empty());
    assert_eq!(frames, [tick(1, 3), tick(2, 3), tick(3, 2)]);
}

#[test]
fn what_was_skipped_is_told_with_its_place() {
    let (first, _) = written(&[vec![tick(1, 3)]]);
    let (second, _) = written(&[vec![tick(2, 3)]]);
    let trace = [&first[..], b"gvt1 and no block", &second].concat();
    let (frames, damages) = read(&trace);
    assert_eq!(frames, [tick(1, 3), tick(2, 3)]);
    let [Damage::Skipped { at, bytes: 17 }] = damages[..] else {
        panic!("{damages:?}");
    };
    assert_eq!(at, first.len() as u64);
    assert!(!damages[0].is_final());
}

#[test]
fn a_foreign_file_is_no_trace_and_an_empty_one_is_an_empty_trace() {
    for foreign in [&b"#!/bin/sh\necho hello\n"[..], b"x", &[0; 100_000]] {
        let (frames, damages) = read(foreign);
        assert!(frames.is_empty());
        assert!(matches!(damages[..], [Damage::Foreign]), "{damages:?}");
    }
    assert!(read(b"").1.is_empty());
}

#[test]
fn an_endless_foreign_file_is_given_up() {
    let endless = std::io::repeat(b'g');
    let items: Vec<_> = Reader::new(endless).collect();
    assert!(matches!(items[..], [Err(Damage::Foreign)]));
}

#[test]
fn a_newer_format_is_refused_with_its_number() {
    let mut start = Start {
        format: FORMAT + 1,
        ..Start::default()
    };
    let (trace, _) = written(&[vec![Frame::Start(start.clone()), tick(1, 1)]]);
    let (frames, damages) = read(&trace);
    assert!(frames.is_empty());
    assert!(matches!(damages[..], [Damage::Newer { format }] if format == FORMAT + 1));
    assert!(damages[0].to_string().contains("use a newer governor"));
    start.format = FORMAT;
    let (mut trace, _) = written(&[vec![Frame::Start(start)]]);
    trace[3] = b'7';
    // All else fits a block of ours: that is none of a newer format.
    assert!(matches!(
        read(&trace).1[..],
        [Damage::Skipped { at: 0, .. }]
    ));
    trace[9] ^= 1;
    assert!(matches!(read(&trace).1[..], [Damage::Newer { format: 7 }]));
    let (after, _) = written(&[vec![tick(1, 1)]]);
    let (frames, damages) = read(&[trace, after].concat());
    assert_eq!(frames, [tick(1, 1)]);
    assert!(matches!(damages[..], [Damage::Skipped { at: 0, .. }]));
}

#[test]
fn fields_that_are_not_known_yet_are_ignored() {
    let text = r#"{"format":1,"governor":"9","kernel":"","boot_id":"","wall_us":5,"at":6,"hashed":false,"later":[1]}"#;
    let mut block = vec![1];
    super::varint::put(text.len() as u64, &mut block);
    block.extend_from_slice(text.as_bytes());
    let mut trace = Vec::new();
    seal(&block, &mut trace).unwrap();
    let (frames, damages) = read(&trace);
    assert!(damages.is_empty(), "{damages:?}");
    assert!(matches!(&frames[..], [Frame::Start(start)] if start.at == Time(6)));
}

#[test]
fn a_block_that_claims_to_be_huge_is_not_made_room_for() {
    // The plain size is a lie: 16 bytes cannot become eight mebibytes.
    let mut trace = Vec::new();
    seal(b"x", &mut trace).unwrap();
    let mut payload = u32::to_le_bytes(8 << 20).to_vec();
    payload.extend([0; 16]);
    let mut lie = b"gvt1".to_vec();
    lie.extend((payload.len() as u32).to_le_bytes());
    lie.extend(crc32fast::hash(&payload).to_le_bytes());
    lie.extend(payload);
    let mut reader = Reader::new(&lie[..]);
    assert!(matches!(reader.next(), Some(Err(Damage::Skipped { .. }))));
    assert!(reader.next().is_none());
}

#[test]
fn a_trace_made_to_cost_much_is_read_in_time() {
    // Every twelve bytes a block of a mebibyte seems to begin, whose CRC is wrong.
    let mut hostile = Vec::new();
    while hostile.len() < 4 << 20 {
        hostile.extend_from_slice(b"gvt1");
        hostile.extend_from_slice(&u32::to_le_bytes(1 << 20));
        hostile.extend_from_slice(&[9; 4]);
    }
    let (good, _) = written(&[vec![tick(1, 2)]]);
    let (frames, damages) = read(&[&good[..], &hostile].concat());
    assert_eq!(frames.len(), 1);
    assert!(matches!(
        damages[..],
        [Damage::Skipped { .. } | Damage::Torn { .. }]
    ));
}

#[test]
fn the_largest_tree_that_can_be_known_fits_a_frame() {
    let group = |id| Group {
        id: GroupId(id),
        parent: Some(7_000),
        path: format!("/kubepods.slice/kubepods-burstable.slice/kubepods-pod{id:032}.slice")
            .into_bytes(),
        member: Member::Container {
            runtime: Runtime::Kubernetes,
            key: format!("{id:064}"),
            name: format!("a-deployment-with-a-long-name-{id:010}"),
            pod: Some(format!("{id:036}")),
        },
        knobs: Knobs {
            memory_high: Ok(Limit::At(Bytes(u64::MAX))),
            ..Knobs::absent(Absent::NoFile)
        },
        protected: false,
        complete: true,
    };
    let tree = Topology {
        groups: (0..10_000).map(group).collect(),
    };
    let mut bytes = Vec::new();
    Encoder::new().tree(Time(0), &tree, &mut bytes).unwrap();
    let mut trace = Vec::new();
    seal(&bytes, &mut trace).unwrap();
    let (frames, _) = read(&trace);
    assert!(matches!(&frames[..], [Frame::Tree { tree: read, .. }] if *read == tree));
}

#[test]
fn what_is_too_large_is_left_out_and_the_rest_goes_on() {
    let mut writer = Writer::new();
    let mut trace = Vec::new();
    writer.frame(&tick(1, 1), &mut trace).unwrap();
    let text = "x".repeat(FRAME_MAX + 1);
    assert_eq!(
        writer.frame(&Frame::Checkpoint(text), &mut trace),
        Err(TooLarge)
    );
    assert_eq!(writer.frame(&tick(2, 20_000), &mut trace), Err(TooLarge));
    writer.frame(&tick(2, 1), &mut trace).unwrap();
    writer.finish(&mut trace).unwrap();
    assert_eq!(read(&trace).0, [tick(1, 1), tick(2, 1)]);
}

#[test]
fn more_containers_than_a_block_tells_apart_begin_it_anew() {
    let many = |from: u64| {
        let read = |id| ContainerSample::unread(GroupId(id), Time(id));
        Frame::Tick(Sample {
            containers: (from..from + 10_000).map(read).collect(),
            ..Sample::default()
        })
    };
    let frames = vec![many(0), many(10_000), many(5_000)];
    let (trace, _) = written(std::slice::from_ref(&frames));
    assert!(read(&trace).0 == frames);
}

#[test]
fn hashed_names_are_equal_where_the_names_were_and_tell_nothing() {
    let group = |path: &str, member| Group {
        id: GroupId(1),
        parent: None,
        path: path.as_bytes().to_vec(),
        member,
        knobs: Knobs::absent(Absent::NotRead),
        protected: false,
        complete: true,
    };
    let container = |name: &str, pod: Option<&str>| Member::Container {
        runtime: Runtime::Docker,
        key: "SECRETKEY".to_owned(),
        name: name.to_owned(),
        pod: pod.map(str::to_owned),
    };
    let mut frame = Frame::Tree {
        at: Time(0),
        tree: Topology {
            groups: vec![
                group("/", Member::Inner),
                group(
                    "/system.slice/docker-SECRETKEY.scope",
                    container("SECRET", None),
                ),
                group(
                    "/kubepods.slice/kubepods-podSECRET.slice",
                    container("SECRET", Some("SECRET")),
                ),
                group(
                    "/x",
                    Member::Helper {
                        of: "SECRETKEY".to_owned(),
                    },
                ),
            ],
        },
    };
    let key = RandomState::new();
    frame.hash_names(&key);
    let (trace, _) = written(&[vec![frame.clone()]]);
    assert_eq!(read(&trace).0, std::slice::from_ref(&frame));
    let Frame::Tree { tree, .. } = frame else {
        unreachable!()
    };
    let text = serde_json::to_string(&tree).unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    let hash = format!("{:016x}", key.hash_one(&b"SECRETKEY"[..]));
    let Member::Helper { of } = &tree.groups[3].member else {
        unreachable!()
    };
    assert_eq!(*of, hash);
    let path = |at: usize| String::from_utf8(tree.groups[at].path.clone()).unwrap();
    assert_eq!(path(0), "/");
    assert!(path(1).starts_with("/system.slice/") && path(1).ends_with(".scope"));
    assert!(path(2).starts_with("/kubepods.slice/kubepods-pod") && path(2).ends_with(".slice"));
}

/// So many services, with 4 KiB of this in the path of each.
fn large(groups: u64, of: &[u8]) -> Topology {
    let group = |id: u64| Group {
        id: GroupId(id),
        parent: None,
        path: [
            b"/".as_slice(),
            &of.repeat(4_096 / of.len()),
            format!("/{id}.service").as_bytes(),
        ]
        .concat(),
        member: Member::Service,
        knobs: Knobs::absent(Absent::NotRead),
        protected: true,
        complete: true,
    };
    Topology {
        groups: (0..groups).map(group).collect(),
    }
}

#[test]
fn a_large_tree_is_shortened_to_what_a_brain_keeps_of_it() {
    for of in [b"x/".as_slice(), b"\xff\xfe", b"\x01", "ä/".as_bytes()] {
        let tree = large(1_000, of);
        let shorter = within_bounds(&tree).unwrap();
        let mut bytes = Vec::new();
        Encoder::new().tree(Time(0), &shorter, &mut bytes).unwrap();
        assert!(bytes.len() < 3 << 20, "{}", bytes.len());
        for (before, after) in tree.groups.iter().zip(&shorter.groups) {
            assert_eq!(before.who().short(), after.who().short());
        }
    }
    let usual = large(10, b"x/");
    assert_eq!(*within_bounds(&usual).unwrap(), usual);
    assert_eq!(within_bounds(&large(10_000, b"\x01")), Err(TooLarge));
}
