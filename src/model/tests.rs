//! The claims of the nouns.

use super::*;

#[test]
fn time_never_runs_back_and_never_overflows() {
    let (early, late) = (Time(1_000), Time(3_000));
    assert_eq!(late.since(early), Span(2_000));
    assert_eq!(early.since(late), Span::ZERO);
    assert_eq!(early - Span(5_000), Time(0));
    assert_eq!(Time(u64::MAX) + Span(1), Time(u64::MAX));
    assert_eq!(Span(u64::MAX) + Span(1), Span(u64::MAX));
    assert_eq!(Span::from_secs(u64::MAX), Span(u64::MAX));
    assert_eq!(Span::from_millis(u64::MAX), Span(u64::MAX));
}

#[test]
fn a_counter_that_went_back_did_not_advance() {
    assert_eq!(Span(10).advance(Span(4)), Span(6));
    assert_eq!(Span(4).advance(Span(10)), Span::ZERO);
}

#[test]
fn a_part_of_nothing_is_nothing() {
    assert_eq!(Span(5).over(Span::ZERO), 0.0);
    assert_eq!(Span(5).over(Span(20)), 0.25);
    assert_eq!(Span(1_500_000).as_secs_f64(), 1.5);
    assert_eq!(Span(7).micros(), 7);
}

#[test]
fn scaling_neither_wraps_nor_goes_below_zero() {
    assert_eq!(Span(10).scaled(0.25), Span(3));
    assert_eq!(Span(10).scaled(-1.0), Span::ZERO);
    assert_eq!(Span(u64::MAX).scaled(2.0), Span(u64::MAX));
    assert_eq!(Bytes(10).scaled(0.29), Bytes(2));
    assert_eq!(Bytes(10).scaled(f64::NAN), Bytes(0));
    assert_eq!(Bytes::from_mib(u64::MAX), Bytes(u64::MAX));
}

#[test]
fn units_are_shown_with_their_unit_and_no_limit_as_max() {
    let spans = [Span(999), Span(1_000), Span(9_999_999), Span(10_000_000)];
    assert_eq!(
        spans.map(|span| span.to_string()),
        ["999us", "1ms", "9999ms", "10s"]
    );
    let sizes = [
        Bytes(9_999),
        Bytes(10_240),
        Bytes(64 << 20),
        Bytes(64 << 30),
    ];
    assert_eq!(
        sizes.map(|size| size.to_string()),
        ["9999B", "10KiB", "64MiB", "64GiB"]
    );
    assert_eq!(Limit::<Bytes>::Max.to_string(), "max");
    assert_eq!(Limit::At(Bytes(1)).to_string(), "1B");
}

#[test]
fn a_weight_is_one_the_kernel_takes() {
    assert_eq!(Weight::new(0), None);
    assert_eq!(Weight::new(10_001), None);
    assert_eq!(Weight::new(37).map(Weight::get), Some(37));
    assert_eq!(Weight::nearest(-3.0), Weight::MIN);
    assert_eq!(Weight::nearest(1e9), Weight::MAX);
    assert_eq!(Weight::nearest(99.6), Weight::DEFAULT);
    assert_eq!(Weight::nearest(f64::NAN), Weight::DEFAULT);
}

#[test]
fn a_share_is_between_nothing_and_all() {
    let shares = [-0.1, 0.3, 1.1, f64::NAN, f64::INFINITY].map(|value| Share::new(value).get());
    assert_eq!(shares, [0.0, 0.3, 1.0, 0.0, 1.0]);
}

#[test]
fn knobs_are_known_by_file_and_by_number_and_are_restored_in_order() {
    for knob in Knob::FILES {
        assert_eq!(Knob::from_file(knob.file()), Some(knob));
        let (number, major, minor) = knob.number();
        assert_eq!(Knob::from_number(number, major, minor), Some(knob));
        assert!(Knob::NUMBERS.contains(&number));
    }
    let device = Device {
        major: 254,
        minor: 16,
    };
    assert_eq!(Knob::from_number(8, 254, 16), Some(Knob::IoMax(device)));
    assert_eq!(Knob::from_number(7, 254, 16), None);
    assert!(
        Knob::FILES
            .into_iter()
            .all(|knob| knob < Knob::IoMax(device))
    );
    assert_eq!(Knob::from_file("cpu.max "), None);
    assert_eq!(Knob::from_number(0, 0, 0), None);
    assert!(Knob::FILES.is_sorted());
    assert!(
        Knob::FILES.iter().all(|&knob| Knob::CgroupFreeze <= knob),
        "one that stands still is let go first"
    );
    assert!(
        Knob::CpuIdle < Knob::CpuWeight,
        "no weight can be written while idle is 1"
    );
    assert!(
        Knob::CpuMax < Knob::CpuMaxBurst,
        "no quota can be under the burst"
    );
    let slow: Vec<Knob> = Knob::FILES
        .into_iter()
        .filter(|knob| knob.may_wait())
        .collect();
    assert_eq!(slow, [Knob::MemoryHigh]);
    assert!(Knob::IoMax(device).may_wait());
}

#[test]
fn an_original_is_kept_exactly_or_not_at_all() {
    let kept = |text: &[u8]| Original::new(text).map(|original| original.as_bytes().to_vec());
    assert_eq!(kept(b"max 100000\n"), Some(b"max 100000".to_vec()));
    assert_eq!(kept(b""), Some(Vec::new()));
    assert_eq!(kept(b"1\n\n"), Some(b"1\n".to_vec()));
    assert_eq!(kept(&[b'9'; ORIGINAL_MAX]), Some(vec![b'9'; ORIGINAL_MAX]));
    assert_eq!(kept(&[b'9'; ORIGINAL_MAX + 1]), None);
    assert_eq!(kept(&[b'9'; 300]), None);
    assert_eq!(
        format!("{:?}", Original::new(b"37\n").unwrap()),
        "Original(\"37\")"
    );
}

#[test]
fn every_reason_for_absence_has_words_of_its_own() {
    let reasons = [
        Absent::Gone,
        Absent::NoFile,
        Absent::Unsupported,
        Absent::Denied,
        Absent::ReadOnly,
        Absent::Refused,
        Absent::Busy,
        Absent::Malformed,
        Absent::NotRead,
        Absent::Errno(5),
    ];
    let mut words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), reasons.len());
}

#[test]
fn what_was_not_read_says_so() {
    assert_eq!(HostSample::default().cpu_idle, Err(Absent::NotRead));
    let unread = ContainerSample::unread(GroupId(3), Time(9));
    assert_eq!(
        (unread.cpu, unread.memory_stall),
        (Err(Absent::NotRead), Err(Absent::NotRead))
    );
    assert_eq!(Knobs::absent(Absent::Gone).cpu_max, Err(Absent::Gone));
}

fn group(id: u64, parent: Option<usize>, member: Member, protected: bool) -> Group {
    Group {
        id: GroupId(id),
        parent,
        path: format!("/g{id}\u{fffd}").into_bytes(),
        member,
        knobs: Knobs::absent(Absent::NotRead),
        protected,
        complete: true,
    }
}

fn container(name: &str) -> Member {
    Member::Container {
        runtime: Runtime::Docker,
        key: "abc".to_owned(),
        name: name.to_owned(),
        pod: None,
    }
}

#[test]
fn a_tree_is_walked_upwards_and_no_malformed_one_loops() {
    let tree = Topology {
        groups: vec![
            group(1, None, Member::Inner, false),
            group(2, Some(0), Member::Inner, false),
            group(3, Some(1), container("db"), false),
            group(4, Some(4), Member::Inner, false),
            group(5, Some(99), Member::Inner, false),
        ],
    };
    assert_eq!(tree.lineage(2).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(tree.lineage(3).collect::<Vec<_>>(), [3]);
    assert_eq!(tree.lineage(4).collect::<Vec<_>>(), [4]);
    assert_eq!(tree.lineage(5).count(), 0);
    assert_eq!(tree.find(GroupId(3)).map(|(index, _)| index), Some(2));
    assert!(tree.find(GroupId(9)).is_none());
}

#[test]
fn containers_and_protected_services_are_watched() {
    let tree = Topology {
        groups: vec![
            group(1, None, Member::Inner, true),
            group(2, Some(0), container("db"), true),
            group(3, Some(0), Member::Service, true),
            group(4, Some(0), Member::Service, false),
        ],
    };
    let watched: Vec<String> = tree.watched().map(|(_, group)| group.name()).collect();
    assert_eq!(watched, ["db", "/g3\u{fffd}"]);
}

#[test]
fn only_what_takes_from_nobody_is_soft() {
    let hard = [
        Rung::Weight,
        Rung::Idle,
        Rung::Cap,
        Rung::High,
        Rung::Swap,
        Rung::Clamp,
    ]
    .map(Rung::is_hard);
    assert_eq!(hard, [false, false, true, false, true, true]);
}

#[test]
fn a_policy_may_watch_one_resource_and_hold_another() {
    let mut policy = Policy::default();
    policy.memory.enforce = false;
    assert!(policy.enforces(Resource::Cpu));
    assert!(!policy.enforces(Resource::Memory));
}
