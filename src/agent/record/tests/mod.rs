//! What the recorder promises, with its thread and with real files; only the time is made up.
#![allow(
    clippy::disallowed_methods,
    reason = "the keeper's thread is real, and takes its time"
)]

mod full;
mod large;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keeper::{Keeper, Message};
use super::{Moment, Recorder, Recording};
use crate::agent::Loaded;
use crate::host::Folder;
use crate::model::{
    Absent, Bytes, ContainerSample, CpuUse, Event, EventKind, Evidence, Group, GroupId, Knob,
    KnobValue, Knobs, Member, Pace, Resource, Runtime, Sample, Span, Stall, Step, Time, Topology,
    Weight,
};
use crate::policy::Brain;
use crate::trace::{Damage, Frame, Reader};

struct Rig {
    dir: tempfile::TempDir,
    loaded: Loaded,
    recording: Arc<Recording>,
    brain: Brain,
    tree: Topology,
    now: Time,
    fed: Vec<Sample>,
    /// Who is held, as far as the recorder is told.
    held: Vec<(GroupId, Resource)>,
}

fn container(id: u64) -> Group {
    Group {
        id: GroupId(id),
        parent: Some(0),
        path: format!("/c{id}").into_bytes(),
        member: Member::Container {
            runtime: Runtime::Docker,
            key: format!("key{id}"),
            name: format!("name/{id}"),
            pod: None,
        },
        knobs: Knobs::absent(Absent::NotRead),
        protected: false,
        complete: true,
    }
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let mut loaded = Loaded::built_in();
        loaded.text = "# as it stood\n".to_owned();
        loaded.policy.record.incidents = dir.path().join("incidents").display().to_string();
        let root = Group {
            parent: None,
            path: b"/".to_vec(),
            member: Member::Inner,
            ..container(1)
        };
        let tree = Topology {
            groups: vec![root, container(2), container(3)],
        };
        let mut brain = Brain::new(loaded.policy.clone());
        brain.adopt(&tree, Time(0));
        Rig {
            dir,
            loaded,
            recording: Arc::default(),
            brain,
            tree,
            now: Time(1_000_000),
            fed: Vec::new(),
            held: Vec::new(),
        }
    }

    fn recorder(&self) -> Recorder {
        let keeper = Keeper::start(Arc::clone(&self.recording), self.dir.path()).unwrap();
        self.recorder_of(keeper)
    }

    fn recorder_of(&self, keeper: Keeper) -> Recorder {
        let recording = Arc::clone(&self.recording);
        Recorder::new(keeper, recording, &self.loaded, "6.12", "a-boot")
    }

    /// So many ticks of the loop, each this long. `told` is added to what the brain answers.
    fn run(&mut self, recorder: &mut Recorder, ticks: u32, each: Span, told: Option<EventKind>) {
        for _ in 0..ticks {
            self.now = self.now + each;
            if recorder.is_due(self.now) {
                let now = Moment {
                    at: self.now,
                    wall_us: 1_795_491_900_000_000,
                };
                recorder.begin(now, &self.tree, &self.brain);
            }
            let sample = self.sample();
            let mut step = self.brain.step(&sample).clone();
            step.events.extend(told.map(|kind| Event {
                at: self.now,
                kind,
                evidence: Evidence {
                    aggressor: Some(GroupId(3)),
                    resource: Some(Resource::Cpu),
                    ..Evidence::default()
                },
            }));
            recorder.ticked(&sample, &step, &self.held, |id| {
                self.tree.find(id).unwrap().1.name()
            });
            self.fed.push(sample);
        }
    }

    fn sample(&self) -> Sample {
        let read = |id| ContainerSample {
            cpu: Ok(CpuUse {
                usage: Span(self.now.0 / 3),
                throttled: Span(0),
            }),
            cpu_stall: Ok(Stall {
                some: Span(self.now.0 / 50),
                full: Span(0),
            }),
            ..ContainerSample::unread(GroupId(id), self.now)
        };
        Sample {
            at: self.now,
            containers: vec![read(2), read(3)],
            ..Sample::default()
        }
    }

    /// Lets the thread do what it was given.
    fn settle(&self) {
        self.settle_within(200);
    }

    fn settle_within(&self, millis: u64) {
        std::thread::sleep(std::time::Duration::from_millis(millis));
    }

    fn segments(&self) -> Vec<(String, u64)> {
        Folder::make(&self.dir.path().join("trace"))
            .unwrap()
            .files(".gvt")
            .unwrap()
    }

    fn incidents(&self) -> Vec<PathBuf> {
        let folder = Folder::make(Path::new(&self.loaded.policy.record.incidents)).unwrap();
        let names = folder.files("").unwrap();
        names
            .iter()
            .map(|(name, _)| folder.path().join(name))
            .collect()
    }

    fn frames(&self) -> Vec<Frame> {
        let folder = self.dir.path().join("trace");
        let names = self.segments();
        names
            .iter()
            .flat_map(|(name, _)| read(&folder.join(name)))
            .collect()
    }
}

fn read(path: &Path) -> Vec<Frame> {
    let bytes = crate::host::read_whole(path, 1 << 30).unwrap();
    let frames: Result<Vec<Frame>, Damage> = Reader::new(&bytes[..]).collect();
    frames.unwrap()
}

fn ticks(frames: &[Frame]) -> Vec<&Sample> {
    let mut ticks = Vec::new();
    for frame in frames {
        if let Frame::Tick(sample) = frame {
            ticks.push(sample);
        }
    }
    ticks
}

const MS: Span = Span::from_millis(1);
const TIGHTENED: EventKind = EventKind::Tightened {
    lever: GroupId(3),
    knob: Knob::CpuWeight,
    value: KnobValue::Weight(Weight::MIN),
};

#[test]
fn what_is_kept_is_what_the_brain_was_given_from_its_first_tick_to_its_last() {
    let mut rig = Rig::new();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 333, Span(20_000), None);
    let released = rig.brain.release_all().clone();
    recorder.released_all(rig.now, &released);
    recorder.stop(rig.now);
    let frames = rig.frames();
    let [
        Frame::Start(start),
        Frame::Policy { text, .. },
        Frame::Tree { tree, .. },
        Frame::Checkpoint(_),
        ..,
    ] = &frames[..]
    else {
        panic!("{:?}", &frames[..4]);
    };
    assert_eq!((&*start.kernel, &*start.boot_id), ("6.12", "a-boot"));
    assert_eq!(text, "# as it stood\n");
    assert_eq!(*tree, rig.tree);
    assert_eq!(ticks(&frames), rig.fed.iter().collect::<Vec<_>>());
    let [.., Frame::ReleasedAll { at }, Frame::Did(did)] = &frames[..] else {
        panic!("{:?}", frames.last());
    };
    assert_eq!((*at, did.at), (rig.now, rig.now));
}

#[test]
fn a_trace_that_begins_anywhere_makes_the_same_brain_of_it() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.keep = Span::from_secs(10);
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 700, Span(20_000), None);
    recorder.stop(rig.now);
    let mut again: Option<Brain> = None;
    let mut compared = 0;
    for frame in rig.frames() {
        match (frame, &mut again) {
            (Frame::Checkpoint(text), Some(brain)) => {
                assert_eq!(brain.checkpoint().unwrap(), text);
                compared += 1;
            }
            (Frame::Checkpoint(text), None) => {
                let policy = rig.loaded.policy.clone();
                again = Some(Brain::resume(&text, policy, &rig.tree).unwrap());
            }
            (Frame::Tick(sample), Some(brain)) => drop(brain.step(&sample).clone()),
            _ => {}
        }
    }
    assert!(compared >= 5, "{compared} checkpoints");
    assert_eq!(
        again.unwrap().checkpoint().unwrap(),
        rig.brain.checkpoint().unwrap()
    );
}

#[test]
fn the_ring_is_bounded_in_time_and_each_segment_is_a_trace() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.keep = Span::from_secs(10);
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 1_200, Span(50_000), None);
    recorder.stop(rig.now);
    let frames = rig.frames();
    let kept = rig.now.since(ticks(&frames)[0].at);
    assert!((10_000..=13_000).contains(&(kept.0 / 1_000)), "{kept}");
    for (name, _) in rig.segments() {
        let alone = read(&rig.dir.path().join("trace").join(name));
        assert!(matches!(alone[0], Frame::Start(_)));
        assert!(matches!(alone[3], Frame::Checkpoint(_)));
    }
}

#[test]
fn the_ring_is_bounded_in_bytes_also_where_no_calm_comes() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.size = Bytes(200_000);
    rig.tree.groups.extend((10..200).map(container));
    let mut recorder = rig.recorder();
    let mut largest = 0;
    for _ in 0..60 {
        rig.now = rig.now + Span::from_millis(100);
        if recorder.is_due(rig.now) {
            let now = Moment {
                at: rig.now,
                wall_us: 0,
            };
            recorder.begin(now, &rig.tree, &rig.brain);
        }
        for tick in 0..20 {
            let mut sample = rig.sample();
            sample.at = rig.now + MS.scaled(f64::from(tick));
            for id in 0..190 {
                // Numbers that cannot be guessed are those that cost.
                let noise = (rig.now.0 ^ (id * 0x9e37)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mut read = ContainerSample::unread(GroupId(10 + id), Time(noise));
                read.tasks = Ok(noise >> 7);
                sample.containers.push(read);
            }
            let step = Step {
                pace: Pace::Alert,
                ..Step::default()
            };
            recorder.ticked(&sample, &step, &[(GroupId(3), Resource::Cpu)], |_| {
                String::new()
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
        largest = largest.max(rig.segments().iter().map(|(_, size)| size).sum());
    }
    recorder.stop(rig.now);
    assert!(rig.segments().len() > 1);
    assert!(largest < 400_000, "{largest} bytes");
}

#[test]
fn an_intervention_leaves_one_file_that_holds_what_came_before_it() {
    let mut rig = Rig::new();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 100, Span(50_000), None);
    rig.run(&mut recorder, 1, Span(50_000), Some(TIGHTENED));
    // Nothing is held in the brain: it is over at once.
    rig.run(&mut recorder, 100, Span(50_000), None);
    recorder.stop(rig.now);
    let files = rig.incidents();
    let [file] = &files[..] else {
        panic!("{files:?}");
    };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("Z-name_3.gvt"), "{name}");
    let frames = read(file);
    assert_eq!(*ticks(&frames)[0], rig.fed[0]);
    let told = |frame: &Frame| matches!(frame, Frame::Did(did) if did.events.len() == 1);
    assert!(frames.iter().any(told));
}

#[test]
fn a_batch_of_no_ticks_is_no_calm_and_its_incident_is_not_cut_short() {
    let mut rig = Rig::new();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 20, Span(50_000), None);
    rig.run(&mut recorder, 1, Span(50_000), Some(TIGHTENED));
    rig.held = vec![(GroupId(3), Resource::Cpu)];
    rig.run(&mut recorder, 30, Span(50_000), None);
    let written = |rig: &Rig| rig.incidents().len();
    // Trees that fill a block each, the second of its own.
    for last in [400, 401] {
        let mut large = rig.tree.clone();
        large.groups.extend((10..last).map(container));
        recorder.tree(rig.now, &large);
    }
    rig.run(&mut recorder, 60, Span(50_000), None);
    rig.settle();
    assert_eq!(written(&rig), 0, "it still stands");
    rig.held.clear();
    rig.run(&mut recorder, 60, Span(50_000), None);
    rig.settle();
    assert_eq!(written(&rig), 1);
    recorder.stop(rig.now);
}

#[test]
fn what_begins_while_something_is_held_is_an_incident_too_and_a_further_step_is_none() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.keep = Span::from_secs(10);
    let mut recorder = rig.recorder();
    rig.held = vec![(GroupId(2), Resource::Cpu)];
    rig.run(&mut recorder, 40, Span(50_000), None);
    rig.run(&mut recorder, 1, Span(50_000), Some(TIGHTENED));
    rig.held.push((GroupId(3), Resource::Cpu));
    rig.run(&mut recorder, 640, Span(50_000), None);
    rig.settle();
    assert_eq!(rig.incidents().len(), 1);
    rig.run(&mut recorder, 1, Span(50_000), Some(TIGHTENED));
    rig.run(&mut recorder, 640, Span(50_000), None);
    recorder.stop(rig.now);
    assert_eq!(rig.incidents().len(), 1);
}

#[test]
fn one_who_makes_trouble_all_the_time_does_not_fill_the_folder() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.keep = Span::from_secs(10);
    rig.loaded.policy.record.incidents_max = 3;
    let mut recorder = rig.recorder();
    for _ in 0..30 {
        rig.run(&mut recorder, 20, Span(100_000), None);
        rig.run(&mut recorder, 1, Span(50_000), Some(TIGHTENED));
    }
    recorder.stop(rig.now);
    assert!((1..=3).contains(&rig.incidents().len()));
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_the_ring_goes_on() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.incidents = "/proc/governor/none".to_owned();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 1, Span(50_000), Some(TIGHTENED));
    rig.run(&mut recorder, 100, Span(50_000), None);
    recorder.stop(rig.now);
    let note = rig.recording.note().unwrap();
    assert!(note.contains("/proc/governor/none"), "{note}");
    assert_eq!(ticks(&rig.frames()).len(), 101);
}

#[test]
fn a_ring_that_cannot_be_written_is_told_and_tried_again() {
    let mut rig = Rig::new();
    let blocked = rig.dir.path().join("trace");
    Folder::make(rig.dir.path())
        .unwrap()
        .create("trace")
        .unwrap();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 40, Span(50_000), None);
    while rig.recording.note().is_none() {
        std::thread::yield_now();
    }
    Folder::make(rig.dir.path())
        .unwrap()
        .rename("trace", "moved")
        .unwrap();
    rig.run(&mut recorder, 400, Span(50_000), None);
    std::thread::sleep(std::time::Duration::from_millis(50));
    rig.run(&mut recorder, 40, Span(50_000), None);
    recorder.stop(rig.now);
    assert_eq!(rig.recording.note(), None);
    assert!(blocked.is_dir());
    assert!(matches!(rig.frames()[0], Frame::Start(_)));
}

#[test]
fn a_keeper_that_is_behind_holds_nobody_and_what_was_lost_is_told() {
    let mut rig = Rig::new();
    let (keeper, messages) = Keeper::without_thread(4);
    let mut recorder = rig.recorder_of(keeper);
    rig.run(&mut recorder, 300, Span(50_000), None);
    let mut trace = Vec::new();
    let mut drain = || {
        for message in messages.try_iter() {
            if let Message::Batch(batch) = message {
                crate::trace::seal(&batch.bytes, &mut trace).unwrap();
            }
        }
    };
    drain();
    rig.run(&mut recorder, 60, Span(50_000), None);
    drain();
    let frames: Result<Vec<Frame>, Damage> = Reader::new(&trace[..]).collect();
    let frames = frames.unwrap();
    let gap = frames
        .iter()
        .position(|frame| matches!(frame, Frame::Gap { .. }))
        .unwrap();
    let Frame::Gap { lost, .. } = frames[gap] else {
        unreachable!()
    };
    assert!(lost > 100, "{lost}");
    assert!(matches!(frames[gap + 1], Frame::Start(_)), "it begins anew");
    assert!(matches!(frames[gap + 4], Frame::Checkpoint(_)));
    let last = ticks(&frames).last().unwrap().at;
    assert!(rig.now.since(last) < Span::from_secs(1), "it goes on");
}

#[test]
fn a_client_gets_a_trace_from_a_beginning_on_also_where_nothing_is_kept() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.enabled = false;
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 50, Span(50_000), None);
    let mut blocks = rig.recording.join().unwrap();
    let joined = rig.now;
    rig.run(&mut recorder, 100, Span(50_000), None);
    recorder.stop(rig.now);
    let mut trace = Vec::new();
    while let Ok(block) = blocks.try_recv() {
        trace.extend_from_slice(&block);
    }
    let frames: Result<Vec<Frame>, Damage> = Reader::new(&trace[..]).collect();
    let frames = frames.unwrap();
    assert!(matches!(frames[0], Frame::Start(_)));
    let got = ticks(&frames);
    assert_eq!(got.len(), 100);
    assert!(got[0].at > joined);
    assert!(rig.segments().is_empty());
}

#[test]
fn only_so_many_clients_are_served_and_those_that_went_make_room() {
    let recording = Recording::default();
    let clients: Vec<_> = std::iter::from_fn(|| recording.join()).collect();
    assert_eq!(clients.len(), 4);
    assert!(recording.is_on());
    drop(clients);
    assert!(recording.join().is_some());
}

#[test]
fn what_an_earlier_run_left_stays_until_it_is_old() {
    let mut rig = Rig::new();
    rig.loaded.policy.record.keep = Span::from_secs(10);
    let mut first = rig.recorder();
    rig.run(&mut first, 20, Span(50_000), None);
    first.stop(rig.now);
    let mut second = rig.recorder();
    rig.run(&mut second, 20, Span(50_000), None);
    second.stop(rig.now);
    assert_eq!(ticks(&rig.frames()).len(), 40);
    let mut third = rig.recorder();
    rig.run(&mut third, 400, Span(50_000), None);
    third.stop(rig.now);
    assert!(rig.frames().len() < 400);
}

#[test]
fn a_policy_that_turns_it_off_and_on_again_begins_the_trace_anew() {
    let mut rig = Rig::new();
    let mut recorder = rig.recorder();
    rig.run(&mut recorder, 40, Span(50_000), None);
    rig.loaded.policy.record.enabled = false;
    recorder.policy_taken(rig.now, &rig.loaded);
    while rig.recording.is_on() {
        std::thread::yield_now();
    }
    rig.run(&mut recorder, 100, Span(50_000), None);
    rig.loaded.policy.record.enabled = true;
    recorder.policy_taken(rig.now, &rig.loaded);
    while !rig.recording.is_on() {
        std::thread::yield_now();
    }
    rig.run(&mut recorder, 40, Span(50_000), None);
    recorder.stop(rig.now);
    let frames = rig.frames();
    let starts = frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Start(_)));
    assert_eq!(starts.count(), 2);
    assert!(ticks(&frames).len() < 130);
}
