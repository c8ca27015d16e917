//! A host that exists on paper, and its recording: a few CPUs shared by weight among containers, governed
//! by the real brain, written as a real trace. For tests and benchmarks of what reads traces.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test may fail by panicking; not all who share this use all of it"
)]

use std::io::Write;

use governor::model::{
    Absent, Bytes, Change, ContainerSample, CpuMax, CpuUse, Device, Group, GroupId, HostSample,
    IoUse, Knob, KnobValue, Knobs, Limit, Member, MemoryUse, Mode, Outcome, Pace, PerDevice,
    Runtime, Sample, Span, Stall, Time, Topology, Weight, Written,
};
use governor::policy::Brain;
use governor::trace::{Did, FORMAT, Frame, Reader, Start, Writer};

const RAM: Bytes = Bytes::from_mib(16_384);
/// A recorder begins a new segment this often, when it is calm.
const SEGMENT: Span = Span::from_secs(60);

/// One container's life.
#[derive(Clone, Copy, Default)]
pub(crate) struct Life {
    /// CPUs that it wants.
    pub(crate) wants: f64,
    usage: f64,
    stall: f64,
    /// Writes of 4 KiB, each of which takes a millisecond.
    writes: f64,
    /// How its numbers waver now: 0 to the host's noise.
    wavers: f64,
}

/// How the writes of the brain end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    Stand,
    /// A dry run: the world does not change.
    OnPaper,
    Fail(Absent),
}

/// The host, its governor and its recorder; the trace goes to `out`.
pub(crate) struct Host<W: Write> {
    pub(crate) now: Time,
    pub(crate) tree: Topology,
    pub(crate) lives: Vec<Life>,
    pub(crate) brain: Brain,
    pub(crate) writes: Writes,
    pub(crate) decisions: u64,
    /// How much the containers' numbers waver from tick to tick, as a part of them.
    pub(crate) noise: f64,
    luck: u64,
    policy_text: String,
    mode: Mode,
    cpus: u32,
    idle: f64,
    weights: Vec<f64>,
    caps: Vec<f64>,
    outcomes: Vec<Outcome>,
    pace: Pace,
    ticks: u64,
    segment: Time,
    writer: Writer,
    bytes: Vec<u8>,
    out: W,
}

impl<W: Write> Host<W> {
    /// So many containers `c0`, `c1`, … on so many CPUs, all siblings; the policy as a file's text.
    pub(crate) fn new(containers: usize, cpus: u32, policy_text: &str, out: W) -> Host<W> {
        let mut host = Host::untold(containers, cpus, policy_text, out);
        host.begin_segment();
        host
    }

    /// As [`Host::new`], without a word of it in the trace: some hosts are too large for one.
    pub(crate) fn untold(containers: usize, cpus: u32, policy_text: &str, out: W) -> Host<W> {
        let policy = governor::config::parse(policy_text).unwrap();
        let mode = policy.mode;
        let tree = tree(containers);
        let now = Time(5_000_000);
        let mut brain = Brain::new(policy);
        brain.adopt(&tree, now);
        Host {
            now,
            lives: vec![Life::default(); containers],
            tree,
            brain,
            writes: match mode {
                Mode::Enforce => Writes::Stand,
                Mode::DryRun => Writes::OnPaper,
            },
            decisions: 0,
            noise: 0.0,
            luck: 1,
            policy_text: policy_text.to_owned(),
            mode,
            cpus,
            idle: 0.0,
            weights: vec![100.0; containers],
            caps: vec![f64::INFINITY; containers],
            outcomes: Vec::new(),
            pace: Pace::Quiet,
            ticks: 0,
            segment: now,
            writer: Writer::new(),
            bytes: Vec::new(),
            out,
        }
    }

    pub(crate) fn id(&self, container: usize) -> GroupId {
        self.tree.groups[container + 1].id
    }

    /// Writes any frame, also one that no recorder would.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        self.writer.frame(frame, &mut self.bytes).unwrap();
        if self.bytes.len() > 1 << 20 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.out.write_all(&self.bytes).unwrap();
        self.bytes.clear();
    }

    /// What a segment begins with: all that a reader must know.
    pub(crate) fn begin_segment(&mut self) {
        self.writer.finish(&mut self.bytes).unwrap();
        self.segment = self.now;
        let start = Start {
            format: FORMAT,
            governor: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: "6.12.0-synthetic".to_owned(),
            boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            ticks: Some(self.ticks),
            wall_us: 1_790_000_000_000_000 + i64::try_from(self.now.0).unwrap(),
            at: self.now,
            hashed: false,
        };
        let frames = [
            Frame::Start(start),
            Frame::Policy {
                text: self.policy_text.clone(),
                mode: self.mode,
            },
            Frame::Tree {
                at: self.now,
                tree: self.tree.clone(),
            },
            Frame::Checkpoint(self.brain.checkpoint().unwrap()),
        ];
        for frame in &frames {
            self.frame(frame);
        }
    }

    /// Lives on for so long.
    pub(crate) fn run(&mut self, span: Span) {
        let end = self.now + span;
        while self.now < end {
            self.tick();
        }
    }

    /// What is seen after a quiet tick, of which neither the brain nor the trace is told.
    pub(crate) fn quiet_sample(&mut self) -> Sample {
        let span = Span::from_millis(100);
        self.live(span.as_secs_f64());
        self.now = self.now + span;
        self.sample()
    }

    /// One tick, as long as the brain asks for.
    pub(crate) fn tick(&mut self) {
        if self.now.since(self.segment) >= SEGMENT && self.pace == Pace::Quiet {
            self.begin_segment();
        }
        let span = match self.pace {
            Pace::Quiet | Pace::Watch => Span::from_millis(100),
            Pace::Alert => Span::from_millis(20),
        };
        self.live(span.as_secs_f64());
        self.now = self.now + span;
        let sample = self.sample();
        self.ticks += 1;
        let before = self.pace;
        let step = self.brain.step(&sample).clone();
        self.pace = step.pace;
        let busy = !step.changes.is_empty() || !step.events.is_empty() || step.pace != before;
        for change in &step.changes {
            self.write(change);
        }
        self.frame(&Frame::Tick(sample));
        if busy {
            self.decisions += 1;
            let did = Did {
                at: self.now,
                changes: step.changes,
                events: step.events,
                pace: step.pace,
            };
            self.frame(&Frame::Did(did));
        }
    }

    /// Gives everything back, as when somebody asks for it.
    pub(crate) fn release_all(&mut self) {
        let step = self.brain.release_all().clone();
        let at = self.now;
        self.frame(&Frame::ReleasedAll { at });
        self.frame(&Frame::Did(Did {
            at,
            changes: step.changes.clone(),
            events: step.events,
            pace: step.pace,
        }));
        for change in &step.changes {
            self.write(change);
        }
    }

    /// Shares the CPUs by weight among those that want them.
    fn live(&mut self, seconds: f64) {
        let mut left = f64::from(self.cpus);
        let mut got = vec![0.0; self.lives.len()];
        let mut open: Vec<usize> = (0..self.lives.len())
            .filter(|&at| self.lives[at].wants > 0.0)
            .collect();
        while !open.is_empty() && left > 1e-9 {
            let weights: f64 = open.iter().map(|&at| self.weights[at]).sum();
            let most = |at: usize| self.lives[at].wants.min(self.caps[at]);
            let full: Vec<usize> = open
                .iter()
                .copied()
                .filter(|&at| most(at) - got[at] <= left * self.weights[at] / weights)
                .collect();
            if full.is_empty() {
                for &at in &open {
                    got[at] += left * self.weights[at] / weights;
                }
                left = 0.0;
            }
            for at in full {
                left -= most(at) - got[at];
                got[at] = most(at);
                open.retain(|&other| other != at);
            }
        }
        for (life, got) in self.lives.iter_mut().zip(got) {
            // A generator of numbers that look random, and are the same each time.
            self.luck = self
                .luck
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let wavers = self.noise * (self.luck >> 33) as f64 / f64::from(1_u32 << 31);
            life.wavers = wavers;
            life.usage += got * seconds * (1.0 - wavers);
            life.stall += 0.01 * wavers * seconds;
            life.writes += (5.0 + 20.0 * wavers) * seconds;
            if life.wants > got {
                life.stall += (1.0 - got / life.wants) * seconds;
            }
        }
        self.idle += left * seconds;
    }

    fn sample(&mut self) -> Sample {
        let micros = |seconds: f64| Span((seconds * 1e6) as u64);
        let at = self.now;
        let read = |(life, group): (&Life, &Group)| ContainerSample {
            id: group.id,
            at,
            cpu: Ok(CpuUse {
                usage: micros(life.usage),
                throttled: Span::ZERO,
            }),
            cpu_stall: Ok(Stall {
                some: micros(life.stall),
                full: Span::ZERO,
            }),
            memory: Ok(MemoryUse {
                current: Bytes::from_mib(64).scaled(1.0 + life.wavers),
                swap: Bytes(0),
            }),
            memory_stall: Ok(Stall::default()),
            tasks: Ok(10 + (life.wavers * 20.0) as u64),
            io: Ok(written(life.writes as u64)),
            io_stall: Ok(Stall {
                some: micros(life.writes / 1e3),
                full: Span::ZERO,
            }),
            real_time: None,
        };
        let groups = self.tree.groups.iter().skip(1);
        Sample {
            at,
            host: HostSample {
                cpus: self.cpus,
                cpu_idle: Ok(micros(self.idle)),
                cpu_busy: Ok(micros(self.lives.iter().map(|life| life.usage).sum())),
                memory_total: Ok(RAM),
                memory_available: Ok(RAM.scaled(0.5)),
                memory_free: Ok(RAM.scaled(0.5)),
                swap_total: Ok(Bytes(0)),
                swap_free: Ok(Bytes(0)),
                tasks: Ok(200),
                tasks_max: Ok(30_000),
                io: Ok(written(
                    self.lives.iter().map(|life| life.writes as u64).sum(),
                )),
            },
            containers: self.lives.iter().zip(groups).map(read).collect(),
            outcomes: std::mem::take(&mut self.outcomes),
        }
    }

    fn write(&mut self, change: &Change) {
        let (group, knob, written) = match *change {
            Change::Hold {
                group, knob, value, ..
            }
            | Change::Lift {
                group, knob, value, ..
            } => {
                let written = match self.writes {
                    Writes::Stand => {
                        self.set(group, Some(value));
                        Written::Done
                    }
                    Writes::OnPaper => Written::WouldWrite,
                    Writes::Fail(why) => Written::Failed(why),
                };
                (group, knob, written)
            }
            Change::Kill { group, knob } => (group, knob, Written::Killed),
            Change::Release { group, knob } => {
                if knob == Knob::CpuWeight {
                    self.set(group, None);
                }
                (group, knob, Written::Restored)
            }
        };
        self.outcomes.push(Outcome {
            group,
            knob,
            written,
        });
    }

    fn set(&mut self, group: GroupId, value: Option<KnobValue>) {
        let at = usize::try_from(group.0).unwrap() - 1;
        match value {
            Some(KnobValue::Weight(weight)) => self.weights[at] = f64::from(weight.get()),
            Some(KnobValue::CpuMax(CpuMax {
                quota: Limit::At(quota),
                period,
            })) => self.caps[at] = quota.over(period),
            _ => {
                self.weights[at] = 100.0;
                self.caps[at] = f64::INFINITY;
            }
        }
    }

    /// The end of the recording.
    pub(crate) fn finish(mut self) -> W {
        self.writer.finish(&mut self.bytes).unwrap();
        self.flush();
        self.out.flush().unwrap();
        self.out
    }
}

fn written(writes: u64) -> PerDevice<IoUse> {
    let disk = Device {
        major: 254,
        minor: 0,
    };
    let used = IoUse {
        wbytes: Bytes(writes * 4_096),
        wios: writes,
        ..IoUse::default()
    };
    let mut all = PerDevice::NONE;
    all.put(disk, used, IoUse::cost);
    all
}

/// The root and its containers; identities are indices.
fn tree(containers: usize) -> Topology {
    let knobs = Knobs {
        cgroup_freeze: Ok(false),
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
        pids_max: Ok(Limit::Max),
        io_max: Ok(PerDevice::NONE),
    };
    let root = Group {
        id: GroupId(0),
        parent: None,
        path: b"/".to_vec(),
        member: Member::Inner,
        knobs,
        protected: false,
        complete: true,
    };
    let container = |at: usize| Group {
        id: GroupId(at as u64 + 1),
        parent: Some(0),
        path: format!("/c{at}").into_bytes(),
        member: Member::Container {
            runtime: Runtime::Docker,
            key: format!("c{at}"),
            name: format!("c{at}"),
            pod: None,
        },
        knobs,
        protected: false,
        complete: true,
    };
    Topology {
        groups: std::iter::once(root)
            .chain((0..containers).map(container))
            .collect(),
    }
}

/// Ten seconds in which `c0` needs most of one CPU, ten in which `c1` takes all it can get, twenty of calm.
pub(crate) fn attack(policy_text: &str, writes: Option<Writes>) -> Vec<u8> {
    let mut host = Host::new(3, 1, policy_text, Vec::new());
    if let Some(writes) = writes {
        host.writes = writes;
    }
    host.lives[0].wants = 0.8;
    host.run(Span::from_secs(10));
    host.lives[1].wants = 8.0;
    host.run(Span::from_secs(10));
    host.lives[1].wants = 0.0;
    host.run(Span::from_secs(20));
    host.finish()
}

/// The trace with each frame changed, left out or followed by others.
pub(crate) fn edit(trace: &[u8], mut change: impl FnMut(Frame) -> Vec<Frame>) -> Vec<u8> {
    let (mut writer, mut bytes) = (Writer::new(), Vec::new());
    for frame in Reader::new(trace) {
        for frame in change(frame.unwrap()) {
            writer.frame(&frame, &mut bytes).unwrap();
        }
    }
    writer.finish(&mut bytes).unwrap();
    bytes
}
