//! A world to act in: a scripted tree, a journal that outlives its process, and a fuse that kills
//! the process at a given step. A second tree shows the same world without us.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::super::journal_format::tests::BOOT;
use super::super::journal_format::{HEADER_LEN, SLOT_LEN};
use super::super::pulser::Table;
use super::super::writer::Mailbox;
use super::super::{Actuator, Found, Journal, Pulser, RestoreReport, SlowWriter, Store, restore};
use crate::host::{
    FakeHandle, FakeTree, Forest, KnobFiles, KnobHandle, Limits, PathHint, TreeFiles, open_path,
};
use crate::model::{
    Bytes, Change, CpuMax, GroupId, Knob, KnobValue, Limit, Original, Others, Outcome, Pulses,
    Reading, Span, Time, Weight, Written,
};

pub(super) const PAGE: Bytes = Bytes(4096);
pub(super) const PATHS: [&str; 3] = ["/system.slice/odd", "/machine.slice/idle", "/plain"];
pub(super) const LEASE: Span = Span::from_secs(10);

/// Room for every knob of every group; a whole journal would only take time.
const DISK_LEN: usize = HEADER_LEN + 24 * SLOT_LEN;

pub(super) type Act = Actuator<Handle, CrashingStore>;

/// What a weight reads in an idle group differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    V6_1,
    V6_12,
}

/// What a killed process unwinds with.
struct Killed;

/// Kills after so many steps; a step is half a write to the journal or half a write to a knob.
#[derive(Clone, Debug)]
pub(super) struct Fuse(Arc<AtomicU32>);

impl Fuse {
    const NEVER: u32 = u32::MAX;

    pub(super) fn light(&self, steps: u32) {
        self.0.store(steps, Ordering::Relaxed);
    }

    pub(super) fn put_out(&self) {
        self.light(Self::NEVER);
    }

    /// Whether it still may kill.
    pub(super) fn is_lit(&self) -> bool {
        self.0.load(Ordering::Relaxed) != Self::NEVER
    }

    fn step(&self) {
        match self.0.load(Ordering::Relaxed) {
            Self::NEVER => {}
            0 => {
                self.put_out();
                resume_unwind(Box::new(Killed));
            }
            left => self.light(left - 1),
        }
    }
}

/// A journal's bytes, which outlive the process.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<Vec<u8>>>);

impl Disk {
    pub(super) fn found(&self) -> Found {
        Journal::load(self.copy(), BOOT).1
    }

    fn copy(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    /// Nothing may be written to a knob that is not journaled with this text.
    fn assert_knows(&self, group: GroupId, knob: Knob, text: &[u8]) {
        let known = self.found().records.iter().any(|(_, record)| {
            (record.group, record.knob) == (group, knob)
                && [Some(record.original), record.ours, record.next]
                    .iter()
                    .flatten()
                    .any(|known| known.as_bytes() == text)
        });
        let text = String::from_utf8_lossy(text);
        assert!(known, "unjournaled write: {knob:?} {text}");
    }
}

/// The process' own view of the disk: a mapping that is cut off in the middle when it is killed.
#[derive(Debug)]
pub(super) struct CrashingStore {
    disk: Disk,
    seen: Vec<u8>,
    fuse: Fuse,
}

impl Store for CrashingStore {
    fn bytes(&self) -> &[u8] {
        &self.seen
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        // The cut moves with every write, so that every field is cut at some time.
        let cut = (at / 7 + bytes.len() * 3 / 5) % bytes.len();
        for part in [&bytes[..cut], bytes] {
            self.disk.0.lock().unwrap()[at..at + part.len()].copy_from_slice(part);
            self.fuse.step();
        }
        self.seen[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The knobs of a tree, for a process that can be killed.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) tree: FakeTree,
    forest: Forest<FakeTree>,
    disk: Disk,
    fuse: Fuse,
}

/// A knob for the slow writer.
#[derive(Debug)]
pub(super) struct Handle {
    inner: FakeHandle,
    group: GroupId,
    knob: Knob,
    disk: Disk,
    fuse: Fuse,
}

impl Files {
    /// Knows no group any more, as if there had been too many.
    pub(super) fn forget(&mut self) {
        self.forest = Forest::new(self.tree.clone(), Limits::default());
    }

    /// Meets the groups that are there.
    fn learn(&mut self) {
        for path in PATHS {
            if let Some(id) = self.tree.id(path) {
                let hint = PathHint::Whole(path.as_bytes());
                self.forest.adopt(id, hint).unwrap();
            }
        }
    }
}

impl KnobFiles for Files {
    type Handle = Handle;

    fn read_knob(&mut self, group: GroupId, knob: Knob) -> Reading<Original> {
        self.forest.read_knob(group, knob)
    }

    fn write_knob(&mut self, group: GroupId, knob: Knob, text: &[u8]) -> Reading<()> {
        self.disk.assert_knows(group, knob, text);
        self.fuse.step();
        let result = self.forest.write_knob(group, knob, text);
        self.fuse.step();
        result
    }

    fn kill(&mut self, group: GroupId) -> Reading<()> {
        self.forest.kill(group)
    }

    fn path(&self, group: GroupId) -> Option<&[u8]> {
        self.forest.path(group)
    }

    fn detach(&mut self, group: GroupId, knob: Knob) -> Reading<Handle> {
        Ok(Handle {
            inner: self.forest.detach(group, knob)?,
            group,
            knob,
            disk: self.disk.clone(),
            fuse: self.fuse.clone(),
        })
    }

    fn adopt(&mut self, group: GroupId, hint: PathHint<'_>) -> Reading<()> {
        self.forest.adopt(group, hint)
    }
}

impl KnobHandle for Handle {
    fn replace(&mut self, standing: &[u8], text: &[u8]) -> Reading<()> {
        self.disk.assert_knows(self.group, self.knob, text);
        self.fuse.step();
        let result = self.inner.replace(standing, text);
        self.fuse.step();
        result
    }

    fn listen(&mut self) -> Reading<()> {
        self.inner.listen()
    }

    fn was_written(&mut self) -> bool {
        self.inner.was_written()
    }
}

/// Everything that outlives the process, and the process.
#[derive(Debug)]
pub(super) struct World {
    kernel: Kernel,
    /// What each process does about third values.
    pub(super) others: Others,
    pub(super) tree: FakeTree,
    /// The same without us.
    pub(super) without_us: FakeTree,
    /// Knobs of which no rule says what they should be.
    pub(super) unclear: Vec<(GroupId, Knob)>,
    pub(super) fuse: Fuse,
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    pub(super) now: Time,
}

/// What dies with SIGKILL.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) act: Act,
    pub(super) files: Files,
    pub(super) slow: Arc<Mailbox<Handle>>,
    pub(super) pulses: Arc<Table<Handle>>,
    pub(super) out: Vec<Outcome>,
}

impl World {
    /// Groups with odd originals, and one with the kernel's defaults.
    pub(super) fn new() -> World {
        World::like(Kernel::V6_1)
    }

    /// The same on a kernel of this time.
    pub(super) fn like(kernel: Kernel) -> World {
        let fuse = Fuse(Arc::new(AtomicU32::new(Fuse::NEVER)));
        let mut world = World {
            kernel,
            others: Others::default(),
            tree: odd_tree(kernel),
            without_us: odd_tree(kernel),
            unclear: Vec::new(),
            fuse,
            disk: Disk(Arc::new(Mutex::new(vec![0; DISK_LEN]))),
            process: None,
            now: Time(1_000_000),
        };
        world.start();
        world
    }

    /// Whose processes do this about third values.
    pub(super) fn with(mut self, others: Others) -> World {
        self.others = others;
        self.run(|process, _| process.act.set_others(others));
        self
    }

    /// Starts the process, which first gives back what an earlier one left; killed meanwhile, it
    /// starts again.
    pub(super) fn start(&mut self) -> RestoreReport {
        loop {
            let attempt = catch_killed(|| {
                let store = CrashingStore {
                    disk: self.disk.clone(),
                    seen: self.disk.copy(),
                    fuse: self.fuse.clone(),
                };
                let mut files = Files {
                    tree: self.tree.clone(),
                    forest: Forest::new(self.tree.clone(), Limits::default()),
                    disk: self.disk.clone(),
                    fuse: self.fuse.clone(),
                };
                let (mut journal, found) = Journal::load(store, BOOT);
                let report = restore(&mut journal, found, &mut files);
                files.learn();
                let (writer, slow) = SlowWriter::without_thread();
                let (pulser, pulses) = Pulser::without_thread();
                let mut act = Actuator::enforcing(PAGE, journal, report.left(), writer, pulser);
                act.set_others(self.others);
                let process = Process {
                    act,
                    files,
                    slow,
                    pulses,
                    out: Vec::new(),
                };
                (process, report)
            });
            if let Some((process, report)) = attempt {
                self.process = Some(process);
                return report;
            }
        }
    }

    /// Lets the process do something. `None`: it was killed meanwhile, and is dead.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&mut Process, Time) -> T) -> Option<T> {
        let now = self.now;
        let process = self.process.as_mut()?;
        let result = catch_killed(|| work(process, now));
        if result.is_none() {
            self.process = None;
        }
        result
    }

    pub(super) fn apply(&mut self, change: Change) -> Option<Written> {
        self.run(|process, now| process.act.apply(&change, now, &mut process.files).written)
    }

    pub(super) fn hold(&mut self, path: &str, knob: Knob, value: KnobValue) -> Option<Written> {
        let group = self.tree.id(path)?;
        self.apply(hold(group, knob, value))
    }

    pub(super) fn release(&mut self, path: &str, knob: Knob) -> Option<Written> {
        let group = self.tree.id(path)?;
        self.apply(Change::Release { group, knob })
    }

    /// Lets the slow writer write, takes its results in, and gives what came of it.
    pub(super) fn poll(&mut self) -> Option<Vec<Outcome>> {
        self.run(|process, now| {
            process.slow.work();
            process.pulses.turn(now);
            process.act.poll(&mut process.files, &mut process.out);
            std::mem::take(&mut process.out)
        })
    }

    pub(super) fn check(&mut self) -> Option<Vec<Outcome>> {
        self.run(|process, _| {
            process.act.check(&mut process.files, &mut process.out);
            std::mem::take(&mut process.out)
        })
    }

    pub(super) fn expire(&mut self) -> Option<Vec<Outcome>> {
        self.run(|process, now| {
            process
                .act
                .expire(now, &mut process.files, &mut process.out);
            std::mem::take(&mut process.out)
        })
    }

    /// A clean end of the process: everything back, the slow writer waited for.
    pub(super) fn stop(&mut self) -> Option<()> {
        self.run(|process, now| {
            process
                .act
                .give_back_all(&mut process.files, &mut process.out);
            for _ in 0..4 {
                process.slow.work();
                process.pulses.turn(now);
                process.act.poll(&mut process.files, &mut process.out);
            }
        })?;
        self.assert_only_unclear_are_left();
        self.process = None;
        Some(())
    }

    /// Somebody else writes a knob.
    pub(super) fn other_writes(&mut self, path: &str, knob: Knob, text: &str) -> bool {
        let standing = self.text(path, knob);
        if standing.is_none() || standing.as_deref() == Some(text) {
            return false;
        }
        let write = |tree: &mut FakeTree| {
            let dir = open_path(tree, path.as_bytes()).unwrap().dir;
            tree.write(&dir, knob.file(), text.as_bytes())
        };
        if write(&mut self.tree).is_err() {
            return false;
        }
        let group = self.tree.id(path).unwrap();
        // Not to be told from what we were about to write.
        let hidden = self.is_known(group, knob, text);
        if write(&mut self.without_us).is_err() || hidden {
            let together = [
                [Knob::CpuMax, Knob::CpuMaxBurst],
                [Knob::CpuIdle, Knob::CpuWeight],
                [knob, knob],
            ];
            let unclear = together.iter().find(|pair| pair.contains(&knob));
            self.unclear
                .extend(unclear.unwrap().map(|knob| (group, knob)));
        }
        true
    }

    /// A container goes away; both worlds forget it.
    pub(super) fn vanish(&mut self, path: &str) {
        self.tree.remove(path);
        self.without_us.remove(path);
    }

    /// A container comes (again) under this path.
    pub(super) fn appear(&mut self, path: &str) {
        if self.tree.id(path).is_none() {
            make_odd(&self.tree, path, self.kernel);
            make_odd(&self.without_us, path, self.kernel);
            if let Some(process) = &mut self.process {
                process.files.learn();
            }
        }
    }

    pub(super) fn text(&self, path: &str, knob: Knob) -> Option<String> {
        let text = self.tree.text(path, knob.file())?;
        Some(text.trim_end().to_owned())
    }

    /// Every knob that is still there is byte for byte what it would be without us.
    pub(super) fn assert_as_without_us(&self) {
        for path in PATHS {
            let Some(group) = self.tree.id(path) else {
                continue;
            };
            for knob in Knob::FILES {
                if self.unclear.contains(&(group, knob)) {
                    continue;
                }
                assert_eq!(
                    self.tree.text(path, knob.file()),
                    self.without_us.text(path, knob.file()),
                    "{path} {}",
                    knob.file()
                );
            }
        }
    }

    /// Nothing is held any more, but for what the kernel refuses because of somebody's value.
    pub(super) fn assert_only_unclear_are_left(&self) {
        for (_, record) in self.disk.found().records {
            let at = (record.group, record.knob);
            assert!(self.unclear.contains(&at), "{record:?}");
        }
    }

    /// Whether the journal takes this text for ours.
    fn is_known(&self, group: GroupId, knob: Knob, text: &str) -> bool {
        self.disk.found().records.iter().any(|(_, record)| {
            let ours = [record.ours, record.next];
            (record.group, record.knob) == (group, knob)
                && ours
                    .iter()
                    .flatten()
                    .any(|ours| ours.as_bytes() == text.as_bytes())
        })
    }

    pub(super) fn assert_journal_empty(&self) {
        let records = self.disk.found().records;
        assert!(records.is_empty(), "{records:?}");
    }
}

/// `None` where it was killed; a failed assertion goes on unwinding.
fn catch_killed<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<Killed>() => None,
        Err(cause) => resume_unwind(cause),
    }
}

fn odd_tree(kernel: Kernel) -> FakeTree {
    let tree = FakeTree::new();
    if kernel == Kernel::V6_12 {
        tree.show_idle_weights_as_1();
    }
    for path in PATHS {
        make_odd(&tree, path, kernel);
    }
    tree
}

fn make_odd(tree: &FakeTree, path: &str, kernel: Kernel) {
    tree.add(path);
    let set = |knob: Knob, text: &str| tree.set(path, knob.file(), &format!("{text}\n"));
    match path {
        "/system.slice/odd" => {
            set(Knob::CpuWeight, "37");
            set(Knob::CpuMax, "150000 70000");
            set(Knob::CpuMaxBurst, "20000");
            set(Knob::MemoryHigh, "126418944");
        }
        "/machine.slice/idle" => {
            set(Knob::CpuIdle, "1");
            let shown = if kernel == Kernel::V6_1 { "0" } else { "1" };
            set(Knob::CpuWeight, shown);
            set(Knob::MemorySwapMax, "4096");
        }
        _ => {}
    }
}

pub(super) fn hold(group: GroupId, knob: Knob, value: KnobValue) -> Change {
    Change::Hold {
        group,
        knob,
        value,
        aggressor: group,
        lease: LEASE,
    }
}

pub(super) fn weight(value: u32) -> KnobValue {
    KnobValue::Weight(Weight::new(value).unwrap())
}

pub(super) fn cpu_max(quota: u64, period: u64) -> KnobValue {
    KnobValue::CpuMax(CpuMax {
        quota: Limit::At(Span(quota)),
        period: Span(period),
    })
}

pub(super) fn bytes(bytes: u64) -> KnobValue {
    KnobValue::Bytes(Limit::At(Bytes(bytes)))
}

pub(super) fn pulses(thawed: u64) -> KnobValue {
    KnobValue::Pulses(Pulses {
        thawed: Span::from_millis(thawed),
        period: Span::from_millis(20),
    })
}
