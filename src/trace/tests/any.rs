//! Any frame: extreme values among near ones.

use proptest::prelude::*;

use crate::model::{
    Absent, Bytes, Change, ContainerSample, Contender, CpuMax, CpuUse, DEVICES, Device, Event,
    EventKind, Evidence, Group, GroupId, HostSample, IoUse, Knob, KnobValue, Knobs, Limit, Member,
    MemoryUse, Mode, Outcome, Pace, PerDevice, Reading, Resource, Runtime, Sample, Share, Span,
    Stall, Time, Topology, Verdict, Weight, WhyNobody, Written,
};
use crate::trace::{Did, FORMAT, Frame, Start};

fn any_absent() -> impl Strategy<Value = Absent> {
    prop_oneof![
        Just(Absent::Gone),
        Just(Absent::NoFile),
        Just(Absent::NotRead),
        Just(Absent::JournalFull),
        any::<i32>().prop_map(Absent::Errno),
    ]
}

/// A reading whose values are now and then the same as before, near it, or anything.
fn reading<T: std::fmt::Debug>(
    value: impl Fn(u64, u64) -> T + Clone + 'static,
) -> impl Strategy<Value = Reading<T>> {
    let number = || prop_oneof![Just(7), 0..1_000_u64, any::<u64>()];
    prop_oneof![
        4 => (number(), number()).prop_map(move |(a, b)| Ok(value(a, b))),
        1 => any_absent().prop_map(Err),
    ]
}

fn any_devices() -> impl Strategy<Value = Reading<PerDevice<IoUse>>> {
    let device = (0..3_u32, any::<u32>()).prop_map(|(major, minor)| Device { major, minor });
    let used = prop::array::uniform4(any::<u64>()).prop_map(|[rbytes, wbytes, rios, wios]| IoUse {
        rbytes: Bytes(rbytes),
        wbytes: Bytes(wbytes),
        rios,
        wios,
    });
    let devices = prop::collection::btree_map(device, used, 0..=DEVICES);
    let devices = devices.prop_map(|devices| {
        let mut all = PerDevice::NONE;
        for (device, used) in devices {
            all.put(device, used, IoUse::cost);
        }
        all
    });
    prop_oneof![3 => devices.prop_map(Ok), 1 => any_absent().prop_map(Err)]
}

fn any_knob() -> impl Strategy<Value = Knob> {
    let on_device = (any::<u32>(), any::<u32>())
        .prop_map(|(major, minor)| Knob::IoMax(Device { major, minor }));
    prop_oneof![prop::sample::select(&Knob::FILES), on_device]
}

fn any_container() -> impl Strategy<Value = ContainerSample> {
    let stall = |some, full| Stall {
        some: Span(some),
        full: Span(full),
    };
    (
        (0..9_u64, any::<u64>()),
        reading(|usage, throttled| CpuUse {
            usage: Span(usage),
            throttled: Span(throttled),
        }),
        reading(stall),
        reading(|current, swap| MemoryUse {
            current: Bytes(current),
            swap: Bytes(swap),
        }),
        reading(stall),
        reading(|tasks, _| tasks),
        any_devices(),
        reading(stall),
        any::<Option<bool>>(),
    )
        .prop_map(
            |((id, at), cpu, cpu_stall, memory, memory_stall, tasks, io, io_stall, real_time)| {
                ContainerSample {
                    id: GroupId(id << 40 | id),
                    at: Time(at),
                    cpu,
                    cpu_stall,
                    memory,
                    memory_stall,
                    tasks,
                    io,
                    io_stall,
                    real_time,
                }
            },
        )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let written = prop_oneof![
        Just(Written::Done),
        Just(Written::Queued),
        Just(Written::WouldWrite),
        Just(Written::Restored),
        Just(Written::Reasserted),
        Just(Written::Drifted),
        Just(Written::GaveUp),
        any_absent().prop_map(Written::Failed),
        Just(Written::Killed),
        any_absent().prop_map(Written::NotKilled),
    ];
    (any::<u64>(), any_knob(), written).prop_map(|(group, knob, written)| Outcome {
        group: GroupId(group),
        knob,
        written,
    })
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let bytes = || reading(|bytes, _| Bytes(bytes));
    (
        any::<u64>(),
        (
            any::<u32>(),
            reading(|idle, _| Span(idle)),
            bytes(),
            bytes(),
            bytes(),
            bytes(),
            reading(|tasks, _| tasks),
            reading(|tasks, _| tasks),
            any_devices(),
            bytes(),
            reading(|busy, _| Span(busy)),
        ),
        prop::collection::vec(any_container(), 0..12),
        prop::collection::vec(any_outcome(), 0..4),
    )
        .prop_map(|(at, host, containers, outcomes)| Sample {
            at: Time(at),
            host: HostSample {
                cpus: host.0,
                cpu_idle: host.1,
                memory_total: host.2,
                memory_available: host.3,
                memory_free: host.9,
                cpu_busy: host.10,
                swap_total: host.4,
                swap_free: host.5,
                tasks: host.6,
                tasks_max: host.7,
                io: host.8,
            },
            containers,
            outcomes,
        })
}

fn any_group() -> impl Strategy<Value = Group> {
    let member = prop_oneof![
        Just(Member::Inner),
        Just(Member::Service),
        any::<String>().prop_map(|of| Member::Helper { of }),
        (any::<String>(), any::<String>(), any::<Option<String>>()).prop_map(|(key, name, pod)| {
            Member::Container {
                runtime: Runtime::Crio,
                key,
                name,
                pod,
            }
        }),
    ];
    (
        (any::<u64>(), any::<Option<usize>>(), any::<[bool; 2]>()),
        any::<Vec<u8>>(),
        member,
        1..=10_000_u32,
        any::<u64>(),
    )
        .prop_map(
            |((id, parent, [protected, complete]), path, member, weight, bytes)| Group {
                id: GroupId(id),
                parent,
                path,
                member,
                knobs: Knobs {
                    cpu_weight: Ok(Weight::new(weight).unwrap()),
                    cpu_max: Ok(CpuMax {
                        quota: if protected {
                            Limit::Max
                        } else {
                            Limit::At(Span(bytes))
                        },
                        period: Span(100_000),
                    }),
                    memory_high: Ok(Limit::At(Bytes(bytes))),
                    ..Knobs::absent(Absent::NoFile)
                },
                protected,
                complete,
            },
        )
}

fn any_did() -> impl Strategy<Value = Did> {
    let number = -1e300..1e300_f64;
    let kind = prop_oneof![
        Just(EventKind::Alarm),
        Just(EventKind::Nobody(WhyNobody::NoMargin)),
        Just(EventKind::Tightened {
            lever: GroupId(1),
            knob: Knob::CpuWeight,
            value: KnobValue::Weight(Weight::MIN),
        }),
        Just(EventKind::Proved(Verdict::Confirmed)),
        any_absent().prop_map(|why| EventKind::CannotAct {
            knob: Knob::MemoryHigh,
            why,
        }),
    ];
    let change = prop_oneof![
        (any::<u64>(), any::<u64>()).prop_map(|(group, high)| Change::Hold {
            group: GroupId(group),
            knob: Knob::MemoryHigh,
            value: KnobValue::Bytes(Limit::At(Bytes(high))),
            aggressor: GroupId(group),
            lease: Span(high),
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(group, lease)| Change::Lift {
            group: GroupId(group),
            knob: Knob::CpuWeight,
            value: KnobValue::Weight(Weight::MIN),
            victim: GroupId(group),
            lease: Span(lease),
        }),
        any::<u64>().prop_map(|group| Change::Kill {
            group: GroupId(group),
            knob: Knob::MemoryHigh,
        }),
        any::<u64>().prop_map(|group| Change::Release {
            group: GroupId(group),
            knob: Knob::CpuIdle,
        }),
    ];
    let event =
        (any::<u64>(), kind, number.clone(), 0.0..1.0_f64).prop_map(|(at, kind, harm, blame)| {
            Event {
                at: Time(at),
                kind,
                evidence: Evidence {
                    resource: Some(Resource::Cpu),
                    harm,
                    own: (Span(at), Span(7)),
                    suspects: vec![Contender {
                        id: GroupId(at),
                        blame: Share::new(blame),
                        usage: harm / 3.0,
                        entitlement: blame / 7.0,
                    }],
                    ..Evidence::default()
                },
            }
        });
    (
        any::<u64>(),
        prop::collection::vec(change, 0..3),
        prop::collection::vec(event, 0..3),
    )
        .prop_map(|(at, changes, events)| Did {
            at: Time(at),
            changes,
            events,
            pace: Pace::Alert,
        })
}

pub(super) fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        1 => (any::<String>(), any::<u64>(), any::<i64>()).prop_map(|(text, at, wall_us)| {
            Frame::Start(Start {
                format: FORMAT,
                governor: text.clone(),
                kernel: text.clone(),
                boot_id: text,
                wall_us,
                at: Time(at),
                hashed: false,
                ticks: Some(7),
            })
        }),
        1 => any::<String>().prop_map(|text| Frame::Policy { text, mode: Mode::Enforce }),
        1 => (any::<u64>(), prop::collection::vec(any_group(), 0..4)).prop_map(|(at, groups)| {
            Frame::Tree { at: Time(at), tree: Topology { groups } }
        }),
        12 => any_sample().prop_map(Frame::Tick),
        3 => any_did().prop_map(Frame::Did),
        1 => any::<u64>().prop_map(|at| Frame::ReleasedAll { at: Time(at) }),
        1 => any::<String>().prop_map(Frame::Checkpoint),
        1 => (any::<u64>(), any::<u32>()).prop_map(|(at, lost)| Frame::Gap { at: Time(at), lost }),
    ]
}
