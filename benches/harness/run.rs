//! One run: a fresh scene, a quiet time, the attack, the recovery, and what all of it showed.

use crate::actor::Actors;
use crate::arm::Arm;
use crate::container::Containers;
use crate::loads::record::now_us;
use crate::machine::{self, SmallHost, Swap};
use crate::places::Places;
use crate::pulse::Pulse;
use crate::record::Run;
use crate::scenario::{Actor, Limits, Scenario};
use crate::scene::{Group, Scene};
use crate::stop;
use crate::tool::{Spent, Tool, ToolPlaces};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What all runs share.
pub(crate) struct Setup {
    /// The `governor` under test.
    pub(crate) governor: PathBuf,
    /// A folder on a disk, for loads that need one.
    pub(crate) data: PathBuf,
    /// A block device that loads may overwrite.
    pub(crate) device: Option<PathBuf>,
    /// Whether each run begins without the page cache of the one before, and with the file system of `data` trimmed.
    pub(crate) afresh: bool,
    /// A device for swap, which is on for scenarios that need some; `None`: what the host has anyway.
    pub(crate) swap: Option<PathBuf>,
    /// How containers are made; `None`: plain cgroups.
    pub(crate) containers: Option<Containers>,
    /// The governor's `runtime.budget`; `None`: the default.
    pub(crate) budget: Option<String>,
    /// Mixed with each scenario's own seed.
    pub(crate) seed: u64,
}

/// HZ is 250 where figures are compared; elsewhere this is only a grid.
const TICK_US: u64 = 4_000;
/// An attack begins anywhere in so much time: longer than any tick of a governor, or a victim's rhythm.
const PHASE_US: u64 = 100_000;
/// Attackers are there and asleep so long before the attack, lest it begin with their start; what that costs
/// the victims is none of the attack, and none of what they have alone. (Seen in emulation: a victim that needs 80 % of both
/// CPUs was 100 to 200 ms behind by the start of one process, and still so half a second later.)
pub(crate) const ATTACKERS_EARLY_US: u64 = 2_000_000;
/// One that goes is given so long to end by itself.
const GOES_LATE_US: u64 = 20_000;
/// The hand moves just before the attack.
const HAND_EARLY_US: u64 = 2_000;
/// How long after the last request a victim still waits for answers, and a little.
const GIVE_UP_US: u64 = 33_000_000;
/// How long after all of it the last limit may stand.
const RESTORE_US: u64 = 60_000_000;

/// Plays it. What was seen until a failure stays in `run`.
///
/// # Errors
/// Something that has nothing to do with the arm failed, or the harness is to stop.
pub(crate) fn play(run: &mut Run, scenario: &Scenario, setup: &Setup) -> anyhow::Result<()> {
    if setup.afresh {
        machine::forget(&setup.data)?;
    }
    let places = Places::new(&setup.data, setup.device.as_deref())?;
    let _small = scenario.room.map(SmallHost::with_room_for).transpose()?;
    let _swap = scenario
        .swap
        .then(|| Swap::on(setup.swap.as_deref()))
        .transpose()?;
    let scene = Scene::build(scenario, setup.containers.as_ref(), &places)?;
    set(&scene, &scenario.given, &places)?;
    if run.arm == Arm::Static {
        set(&scene, &scenario.fixed, &places)?;
    }
    run.before = scene.knobs();
    let tool_places = ToolPlaces {
        governor: &setup.governor,
        work: places.work(),
        globs: setup.containers.is_none(),
        budget: setup.budget.as_deref(),
    };
    let mut tool = run.arm.start(scenario, &tool_places)?;
    let watch = Watch::start(&scene)?;
    let pulse = Pulse::start(&scene)?;
    let played = Play {
        scenario,
        scene: &scene,
        places: &places,
        watch: &watch,
        tool: tool.as_ref(),
    }
    .attack(run, setup.seed);
    let measured = played.and_then(|cost| {
        wait_for_restore(run, &scene, tool.is_some())?;
        Ok(cost)
    });
    run.writes = watch.end()?;
    run.samples = pulse.end()?;
    for group in scene.groups() {
        let kills = group.number("memory.events", "oom_kill");
        run.oom_kills.insert(group.name().to_owned(), kills);
    }
    run.events = tool.as_ref().map(Tool::events).unwrap_or_default();
    let (spent, over_us) = measured?;
    if let Some(tool) = &mut tool {
        run.tool = Some(tool.end(spent, over_us)?);
    }
    run.after = scene.knobs();
    Ok(())
}

/// Who plays where.
struct Play<'p> {
    scenario: &'p Scenario,
    scene: &'p Scene,
    places: &'p Places,
    watch: &'p Watch,
    tool: Option<&'p Tool>,
}

impl Play<'_> {
    /// The phases, one after the other; returns what the tool used from the first request to the attack's
    /// end, and how long that was.
    fn attack(&self, run: &mut Run, seed: u64) -> anyhow::Result<(Spent, u64)> {
        let phases = self.scenario.phases;
        let mut dice = Dice::of(self.scenario, seed, run.round);
        let ready = (now_us() + phases.prepare).next_multiple_of(TICK_US);
        run.first_us = ready + dice.below(TICK_US);
        run.attack_us = run.first_us + phases.alone + dice.below(PHASE_US);
        run.attack_end_us = run.attack_us + phases.attacked;
        run.end_us = run.attack_end_us + phases.recovery;
        let mut actors = Actors::new(run.attack_end_us);
        let played = self.phases(run, &mut actors);
        run.deaths = actors.deaths();
        played
    }

    fn phases(&self, run: &mut Run, actors: &mut Actors) -> anyhow::Result<(Spent, u64)> {
        self.start_victims(run, actors)?;
        actors.pass(run.first_us)?;
        let before = self.spent();
        actors.pass(run.attack_us.saturating_sub(ATTACKERS_EARLY_US))?;
        self.start_attackers(run, actors)?;
        let oracle = run.arm == Arm::Oracle;
        if oracle {
            actors.pass(run.attack_us.saturating_sub(HAND_EARLY_US))?;
            set(self.scene, &self.scenario.oracle, self.places)?;
        }
        actors.pass(run.attack_us)?;
        let stolen = machine::steal_us();
        self.come_and_go(run, actors)?;
        actors.pass(run.attack_end_us)?;
        run.steal_us = machine::steal_us().saturating_sub(stolen);
        let spent = self.spent().since(before);
        for attacker in &self.scenario.attackers {
            self.scene.group(&attacker.name)?.kill();
        }
        if oracle {
            self.unset(run)?;
        }
        run.victims = actors.records(run.end_us + GIVE_UP_US)?;
        Ok((spent, run.attack_end_us - run.first_us))
    }

    fn spent(&self) -> Spent {
        self.tool.map(Tool::spent).unwrap_or_default()
    }

    fn start_victims(&self, run: &Run, actors: &mut Actors) -> anyhow::Result<()> {
        let time = (run.first_us, run.end_us - run.first_us);
        for helper in &self.scenario.helpers {
            let now = now_us();
            let times = (now, run.end_us.saturating_sub(now));
            actors.other(helper, &Scene::helper(helper), self.places, times)?;
        }
        for victim in &self.scenario.victims {
            let group = self.scene.group(&victim.name)?;
            match &victim.program {
                Some(words) => {
                    actors.program(victim, words, group, self.places)?;
                    // What a program needs to be there; its first request is much later.
                    actors.pass(now_us() + 500_000)?;
                    actors.victim(victim, &Scene::clients(), self.places, time)?;
                }
                None => actors.victim(victim, group, self.places, time)?,
            }
        }
        Ok(())
    }

    fn start_attackers(&self, run: &Run, actors: &mut Actors) -> anyhow::Result<()> {
        let there = self.scenario.attackers.iter().filter(|one| !one.fresh);
        for attacker in there {
            let group = self.scene.group(&attacker.name)?;
            let mut groups = group.children(attacker);
            if groups.is_empty() {
                groups.push(group.clone());
            }
            for group in groups {
                actors.other(attacker, &group, self.places, times(attacker, run))?;
            }
        }
        Ok(())
    }

    /// Those whose groups are made and removed while the attack lasts.
    fn come_and_go(&self, run: &mut Run, actors: &mut Actors) -> anyhow::Result<()> {
        let fresh = || self.scenario.attackers.iter().filter(|one| one.fresh);
        let comes = fresh().map(|one| (run.attack_us + one.after, true, one));
        let goes = fresh().filter_map(|one| {
            let end_us = run.attack_us + one.after + one.lasts?;
            Some((end_us + GOES_LATE_US, false, one))
        });
        let mut moves: Vec<_> = comes.chain(goes).collect();
        moves.sort_by_key(|(at_us, ..)| *at_us);
        for (at_us, comes, one) in moves {
            if at_us >= run.attack_end_us {
                break;
            }
            actors.pass(at_us)?;
            let group = self.scene.group(&one.name)?;
            if comes {
                self.come(one, group, run)?;
                actors.other(one, group, self.places, times(one, run))?;
            } else {
                actors.ends(&one.name);
                group.remove()?;
            }
        }
        Ok(())
    }

    /// A container is started: its limits stand before anything runs in it.
    fn come(&self, one: &Actor, group: &Group, run: &mut Run) -> anyhow::Result<()> {
        group.make()?;
        let Scenario {
            given,
            fixed,
            oracle,
            ..
        } = self.scenario;
        let own = |limits: &Limits| -> anyhow::Result<()> {
            let knobs = limits.get(&one.name);
            knobs.map_or(Ok(()), |knobs| write(group, knobs, self.places))
        };
        own(given)?;
        if run.arm == Arm::Static {
            own(fixed)?;
        }
        run.before.insert(one.name.clone(), group.knobs());
        self.watch.add(group)?;
        if run.arm == Arm::Oracle {
            own(oracle)?;
        }
        Ok(())
    }

    /// The hand puts back what it set.
    fn unset(&self, run: &Run) -> anyhow::Result<()> {
        for (name, knobs) in &self.scenario.oracle {
            let group = self.scene.group(name)?;
            for knob in knobs.keys().filter(|_| group.dir().exists()) {
                if let Some(before) = run.before.get(name).and_then(|knobs| knobs.get(knob)) {
                    put_back(group, knob, before)?;
                }
            }
        }
        Ok(())
    }
}

/// An empty `io.max` says that nothing is limited, and is no text that can be written.
fn put_back(group: &Group, knob: &str, before: &str) -> anyhow::Result<()> {
    if knob != "io.max" {
        return group.write(knob, before);
    }
    let now = group.read(knob).unwrap_or_default();
    for device in now.lines().filter_map(|line| line.split(' ').next()) {
        group.write(
            knob,
            &format!("{device} rbps=max wbps=max riops=max wiops=max"),
        )?;
    }
    if before.is_empty() {
        Ok(())
    } else {
        group.write(knob, before)
    }
}

fn set(scene: &Scene, limits: &Limits, places: &Places) -> anyhow::Result<()> {
    for (name, knobs) in limits {
        let group = scene.group(name)?;
        // One that comes later gets them when it does.
        if group.dir().exists() {
            write(group, knobs, places)?;
        }
    }
    Ok(())
}

fn write(group: &Group, knobs: &BTreeMap<String, String>, places: &Places) -> anyhow::Result<()> {
    for (knob, text) in knobs {
        group.write(knob, &places.one(text)?)?;
    }
    Ok(())
}

/// When an attacker begins, and how long it goes on.
fn times(attacker: &Actor, run: &Run) -> (u64, u64) {
    let at_us = run.attack_us + attacker.after;
    // The harness ends them; their own end is for a harness that was killed.
    let rest = run.attack_end_us.saturating_sub(at_us) + 2_000_000;
    (at_us, attacker.lasts.unwrap_or(rest))
}

/// Waits until every knob is what it was, where a tool may have changed one.
fn wait_for_restore(run: &mut Run, scene: &Scene, tool: bool) -> anyhow::Result<()> {
    let end_us = now_us() + if tool { RESTORE_US } else { 0 };
    loop {
        if run.given_back(&scene.knobs()) {
            run.restored_us = Some(now_us());
            return Ok(());
        }
        if now_us() >= end_us {
            return Ok(());
        }
        stop::check()?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The phases of a round: the same for all of its arms, others in the next (splitmix64).
struct Dice(u64);

impl Dice {
    fn of(scenario: &Scenario, seed: u64, round: u32) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(31).wrapping_add(scenario.seed));
        for byte in scenario.name.bytes() {
            dice.0 = dice.next() ^ u64::from(byte);
        }
        dice.0 = dice.next() ^ u64::from(round);
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
