//! A host of one CPU whose containers fare as a test says, and the brain that sees it.

use std::collections::BTreeMap;

use governor::model::{
    Absent, Bytes, Change, ContainerSample, CpuMax, CpuUse, Explained, Explanation, Group, GroupId,
    HostSample, Knob, KnobValue, Knobs, Limit, Member, MemoryUse, Mode, Outcome, Policy, Runtime,
    Sample, Span, Stall, Time, Topology, Weight, Written,
};
use governor::policy::Brain;
use governor::report::{Paint, explanation_text};
use governor::trace::{Did, FORMAT, Frame, Start, Writer};

const TICK: Span = Span::from_millis(20);
const RAM: Bytes = Bytes::from_mib(2_048);
/// 2026-11-24 03:00:00 UTC, where the story begins.
const BEGAN_US: i64 = 1_795_489_200_000_000;

/// How one fares from now on: CPUs used, parts of the time waited for CPU and for memory, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fares {
    cpu: f64,
    waits: f64,
    pub(crate) waits_memory: f64,
    pub(crate) throttled: f64,
    pub(crate) has: f64,
    pub(crate) grows: f64,
}

/// One CPU's host whose containers fare as the test says.
pub(crate) struct Host {
    pub(crate) brain: Brain,
    pub(crate) tree: Topology,
    pub(crate) now: Time,
    pub(crate) fares: BTreeMap<String, Fares>,
    sums: BTreeMap<GroupId, [f64; 4]>,
    idle: f64,
    outcomes: Vec<Outcome>,
    pub(crate) knobs: BTreeMap<(GroupId, Knob), KnobValue>,
    pub(crate) refused: Option<Written>,
    /// What a recorder would have written, from [`Host::record`] on.
    frames: Option<Vec<Frame>>,
}

pub(crate) fn group(id: u64, parent: Option<usize>, path: &str, member: Member) -> Group {
    Group {
        id: GroupId(id),
        parent,
        path: path.as_bytes().to_vec(),
        member,
        knobs: Knobs {
            cpu_weight: Ok(Weight::DEFAULT),
            cpu_idle: Ok(false),
            cpu_max: Ok(CpuMax {
                quota: Limit::Max,
                period: Span::from_millis(100),
            }),
            cpu_max_burst: Ok(Span::ZERO),
            memory_high: Ok(Limit::Max),
            memory_max: Ok(Limit::Max),
            memory_swap_max: Ok(Limit::Max),
            ..Knobs::absent(Absent::NoFile)
        },
        protected: false,
        complete: true,
    }
}

pub(crate) fn container(name: &str) -> Member {
    Member::Container {
        runtime: Runtime::Docker,
        key: format!("{name}0123456789abcdef"),
        name: name.to_owned(),
        pod: None,
    }
}

/// A slice with these containers, and a protected service beside it.
pub(crate) fn tree(containers: &[&str]) -> Topology {
    let mut groups = vec![
        group(1, None, "/", Member::Inner),
        group(2, Some(0), "/system.slice", Member::Inner),
        group(3, Some(1), "/system.slice/ssh.service", Member::Service),
    ];
    groups[2].protected = true;
    for (number, name) in (10..).zip(containers) {
        let path = format!("/system.slice/docker-{name}.scope");
        groups.push(group(number, Some(1), &path, container(name)));
    }
    Topology { groups }
}

impl Host {
    pub(crate) fn new(tree: Topology, policy: Policy) -> Host {
        let mut brain = Brain::new(policy);
        let now = Time(1_000_000);
        brain.adopt(&tree, now);
        Host {
            brain,
            tree,
            now,
            fares: BTreeMap::new(),
            sums: BTreeMap::new(),
            idle: 0.0,
            outcomes: Vec::new(),
            knobs: BTreeMap::new(),
            refused: None,
            frames: None,
        }
    }

    /// From now on.
    pub(crate) fn fares(&mut self, name: &str, cpu: f64, waits: f64) {
        let has = self.fares.get(name).map_or(50e6, |fares| fares.has);
        let fares = Fares {
            cpu,
            waits,
            has,
            ..Fares::default()
        };
        self.fares.insert(name.to_owned(), fares);
    }

    fn name(group: &Group) -> String {
        group.who().name
    }

    pub(crate) fn tick(&mut self) {
        self.now = self.now + TICK;
        let seconds = TICK.as_secs_f64();
        let micros = |seconds: f64| Span((seconds * 1e6).round() as u64);
        let (mut used, mut taken) = (0.0, 0.0);
        let mut containers = Vec::new();
        for (_, group) in self.tree.watched() {
            let Some(fares) = self.fares.get_mut(&Host::name(group)) else {
                continue;
            };
            used += fares.cpu;
            fares.has += fares.grows * seconds;
            if let Some(KnobValue::Bytes(Limit::At(high))) =
                self.knobs.get(&(group.id, Knob::MemoryHigh))
            {
                fares.has = fares.has.min(high.0 as f64);
            }
            taken += fares.has;
            let sums = self.sums.entry(group.id).or_default();
            let fared = [fares.cpu, fares.waits, fares.waits_memory, fares.throttled];
            for (sum, fared) in sums.iter_mut().zip(fared) {
                *sum += fared * seconds;
            }
            let [usage, waited, waited_memory, throttled] = *sums;
            let stall = |some| {
                Ok(Stall {
                    some,
                    full: Span::ZERO,
                })
            };
            containers.push(ContainerSample {
                cpu: Ok(CpuUse {
                    usage: micros(usage),
                    throttled: micros(throttled),
                }),
                cpu_stall: stall(micros(waited)),
                memory: Ok(MemoryUse {
                    current: Bytes(fares.has as u64),
                    swap: Bytes(0),
                }),
                memory_stall: stall(micros(waited_memory)),
                tasks: Ok(4),
                ..ContainerSample::unread(group.id, self.now)
            });
        }
        self.idle += (1.0 - used).max(0.0) * seconds;
        let sample = Sample {
            at: self.now,
            host: HostSample {
                cpus: 1,
                cpu_idle: Ok(micros(self.idle)),
                memory_total: Ok(RAM),
                memory_available: Ok(Bytes((RAM.0 as f64 - taken).max(0.0) as u64)),
                swap_total: Ok(Bytes(0)),
                swap_free: Ok(Bytes(0)),
                tasks: Ok(200),
                tasks_max: Ok(30_000),
                ..HostSample::default()
            },
            containers,
            outcomes: std::mem::take(&mut self.outcomes),
        };
        let step = self.brain.step(&sample).clone();
        if let Some(frames) = &mut self.frames {
            let at = sample.at;
            frames.push(Frame::Tick(sample));
            frames.push(Frame::Did(Did {
                at,
                changes: step.changes.clone(),
                events: step.events.clone(),
                pace: step.pace,
            }));
        }
        for change in step.changes {
            let (group, knob, written) = match change {
                Change::Hold {
                    group, knob, value, ..
                }
                | Change::Lift {
                    group, knob, value, ..
                } => {
                    self.knobs.insert((group, knob), value);
                    (group, knob, self.refused.unwrap_or(Written::Done))
                }
                Change::Kill { group, knob } => (group, knob, Written::Killed),
                Change::Release { group, knob } => {
                    self.knobs.remove(&(group, knob));
                    (group, knob, Written::Restored)
                }
            };
            self.outcomes.push(Outcome {
                group,
                knob,
                written,
            });
        }
    }

    pub(crate) fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds / TICK.as_secs_f64()).round() as u64 {
            self.tick();
        }
    }

    /// Nobody looks for so long, and all leases run out meanwhile.
    pub(crate) fn sleep(&mut self, span: Span) {
        self.now = self.now + span;
        let given_back = self.knobs.iter().map(|(&(group, knob), _)| Outcome {
            group,
            knob,
            written: Written::Restored,
        });
        self.outcomes.extend(given_back);
        self.knobs.clear();
    }

    /// Until something is held.
    pub(crate) fn run_until_held(&mut self) {
        for _ in 0..500 {
            if !self.knobs.is_empty() {
                return;
            }
            self.tick();
        }
        panic!("nothing is held after 10 s");
    }

    pub(crate) fn explain(&self, name: &str) -> Explanation {
        let Explained::One(mut one) = self.brain.explain_named(name) else {
            panic!("{name} is not one container");
        };
        one.wall_us = Some(BEGAN_US + i64::try_from(one.at_us).unwrap());
        *one
    }

    pub(crate) fn text(&self, name: &str) -> String {
        explanation_text(&self.explain(name), None, Paint::Plain)
    }

    /// Records from here on; what was known before is in a checkpoint.
    pub(crate) fn record(&mut self) {
        let start = Start {
            format: FORMAT,
            wall_us: BEGAN_US + i64::try_from(self.now.0).unwrap(),
            at: self.now,
            ..Start::default()
        };
        self.frames = Some(vec![
            Frame::Start(start),
            Frame::Policy {
                text: String::new(),
                mode: Mode::Enforce,
            },
            Frame::Tree {
                at: self.now,
                tree: self.tree.clone(),
            },
            Frame::Checkpoint(self.checkpoint()),
        ]);
    }

    /// The brain whole, as text.
    pub(crate) fn checkpoint(&self) -> String {
        self.brain.checkpoint().unwrap()
    }

    /// The recording so far.
    pub(crate) fn recording(&self) -> Vec<u8> {
        let (mut writer, mut bytes) = (Writer::new(), Vec::new());
        for frame in self.frames.iter().flatten() {
            writer.frame(frame, &mut bytes).unwrap();
        }
        writer.finish(&mut bytes).unwrap();
        bytes
    }
}
