//! The cgroups of one run, plain ones or those of containers, and their files. All of it goes away with everything
//! that still runs in it when the scene is dropped, and so does what an earlier harness left that was killed.

use crate::container::{Container, Containers};
use crate::places::Places;
use crate::record::Knobs;
use crate::scenario::{Actor, Scenario};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where cgroup v2 is mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// The parent of all victims and attackers that are no containers: each is a container for the policy's glob. Named so that systemd,
/// where it runs, can be asked to watch it.
pub(crate) const STAGE: &str = "governorbench.slice";
/// The clients of victims that are programs: above all others, as on another host.
const CLIENTS: &str = "governor-bench-clients";
/// The parent of helpers: services of the host, no containers.
const HELPERS: &str = "governor-bench-helpers";
/// The tool under test, where its unit would be.
const TOOL: &str = "governor-bench.service";

/// Whatever stands at the root for a run.
const ALL: [&str; 4] = [STAGE, CLIENTS, HELPERS, TOOL];

/// Controllers that a run uses; the last may lack.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// Every knob that somebody may write, in a victim's or an attacker's group.
pub(crate) const KNOBS: [&str; 12] = [
    "cgroup.freeze",
    "cpu.idle",
    "cpu.max",
    "cpu.max.burst",
    "cpu.weight",
    "io.max",
    "io.weight",
    "memory.high",
    "memory.low",
    "memory.max",
    "memory.swap.max",
    "pids.max",
];

/// The cgroups of one run.
pub(crate) struct Scene {
    groups: Vec<Group>,
    /// Controllers that were off at the root before.
    turned_on: Vec<&'static str>,
}

impl Scene {
    /// The groups of all actors, containers' where it is told how they are made; those of the fresh ones are yet to be
    /// made ([`Group::make`]).
    ///
    /// # Errors
    /// No cgroup v2, no permission, a controller lacks, or a container cannot be had.
    pub(crate) fn build(
        scenario: &Scenario,
        containers: Option<&Containers>,
        places: &Places,
    ) -> anyhow::Result<Scene> {
        let root = Path::new(ROOT);
        let there =
            std::fs::read_to_string(root.join("cgroup.controllers")).with_context(|| {
                format!("no cgroup v2 on {ROOT}: the lab has one (tests/bench/run)")
            })?;
        let there: Vec<&str> = there.split_whitespace().collect();
        if let Some(lacks) = CONTROLLERS[..3].iter().find(|one| !there.contains(one)) {
            bail!(
                "the {lacks} controller is not in cgroup v2 here: the lab has it (tests/bench/run)"
            );
        }
        for old in ALL {
            remove(&root.join(old))?;
        }
        let mut scene = Scene {
            groups: Vec::new(),
            turned_on: Vec::new(),
        };
        let on = std::fs::read_to_string(root.join("cgroup.subtree_control"))?;
        for controller in CONTROLLERS.into_iter().filter(|one| there.contains(one)) {
            if !on.split_whitespace().any(|one| one == controller) {
                turn(root, &format!("+{controller}"))?;
                scene.turned_on.push(controller);
            }
        }
        match containers {
            Some(how) => scene.contain(scenario, how, places)?,
            None => scene.group_all(scenario, &there)?,
        }
        let helpers = make(root, HELPERS)?;
        for helper in &scenario.helpers {
            make(&helpers, &helper.name)?;
        }
        let clients = make(root, CLIENTS)?;
        write(&clients.join("cpu.weight"), "10000")?;
        make(root, TOOL)?;
        Ok(scene)
    }

    fn contain(
        &mut self,
        scenario: &Scenario,
        how: &Containers,
        places: &Places,
    ) -> anyhow::Result<()> {
        for actor in scenario.victims.iter().chain(&scenario.attackers) {
            let (container, dir) = Container::start(how, &actor.name, places)?;
            self.groups.push(Group {
                name: actor.name.clone(),
                dir,
                container: Some(Arc::new(container)),
            });
        }
        Ok(())
    }

    fn group_all(&mut self, scenario: &Scenario, controllers: &[&str]) -> anyhow::Result<()> {
        let stage = make(Path::new(ROOT), STAGE)?;
        for controller in CONTROLLERS.iter().filter(|one| controllers.contains(one)) {
            turn(&stage, &format!("+{controller}"))?;
        }
        for actor in scenario.victims.iter().chain(&scenario.attackers) {
            let group = Group::plain(&actor.name, stage.join(&actor.name));
            if !actor.fresh {
                group.make()?;
            }
            let children = group.children(actor);
            if !children.is_empty() {
                turn(&group.dir, "+cpu +memory +pids")?;
            }
            for child in children {
                child.make()?;
            }
            self.groups.push(group);
        }
        Ok(())
    }

    /// A glob over cgroup paths that only the victims' and attackers' groups match.
    pub(crate) fn glob() -> String {
        format!("/{STAGE}/*")
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of this name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn group(&self, name: &str) -> anyhow::Result<&Group> {
        let found = self.groups.iter().find(|group| group.name == name);
        found.with_context(|| format!("no group `{name}`"))
    }

    /// Where the containers are.
    pub(crate) fn stage() -> PathBuf {
        Path::new(ROOT).join(STAGE)
    }

    /// The group of a helper.
    pub(crate) fn helper(actor: &Actor) -> Group {
        let dir = Path::new(ROOT).join(HELPERS).join(&actor.name);
        Group::plain(&actor.name, dir)
    }

    /// The group of the clients.
    pub(crate) fn clients() -> Group {
        Group::plain(CLIENTS, Path::new(ROOT).join(CLIENTS))
    }

    /// The group of the tool under test.
    pub(crate) fn tool() -> Group {
        Group::plain(TOOL, Path::new(ROOT).join(TOOL))
    }

    /// The exact text of every knob of every group that is there.
    pub(crate) fn knobs(&self) -> Knobs {
        let groups = self.groups.iter().filter(|group| group.dir.exists());
        groups
            .map(|group| (group.name.clone(), group.knobs()))
            .collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Containers go first: they are in none of these.
        self.groups.clear();
        let root = Path::new(ROOT);
        for name in ALL {
            if let Err(why) = remove(&root.join(name)) {
                eprintln!("governor-bench: {why:#}");
            }
        }
        for controller in &self.turned_on {
            // Another may use it by now: then it stays on.
            let _ = turn(root, &format!("-{controller}"));
        }
    }
}

/// A cgroup.
#[derive(Clone)]
pub(crate) struct Group {
    name: String,
    dir: PathBuf,
    /// Whose cgroup it is, if it is a container's.
    container: Option<Arc<Container>>,
}

impl Group {
    fn plain(name: &str, dir: PathBuf) -> Group {
        Group {
            name: name.to_owned(),
            dir,
            container: None,
        }
    }

    pub(crate) fn container(&self) -> Option<&Container> {
        self.container.as_deref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        let made = std::fs::create_dir(&self.dir);
        made.with_context(|| format!("make the cgroup {}", self.dir.display()))
    }

    /// Removes it, with all that runs in it.
    ///
    /// # Errors
    /// It cannot be emptied.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        remove(&self.dir)
    }

    /// The groups below it that an actor with `children` runs in.
    pub(crate) fn children(&self, actor: &Actor) -> Vec<Group> {
        let child = |number| Group::plain(&self.name, self.dir.join(format!("part-{number}")));
        (0..actor.children).map(child).collect()
    }

    /// Writes a knob.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        write(&self.dir.join(file), text)
    }

    /// A file's text without its newline; `None` if the kernel has no such file.
    pub(crate) fn read(&self, file: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.dir.join(file)).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// The number after `key` in a flat-keyed file such as `cpu.stat`; 0 if there is none.
    pub(crate) fn number(&self, file: &str, key: &str) -> u64 {
        let text = self.read(file).unwrap_or_default();
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The exact text of every knob.
    pub(crate) fn knobs(&self) -> BTreeMap<String, String> {
        let texts = KNOBS
            .iter()
            .map(|knob| Some(((*knob).to_owned(), self.read(knob)?)));
        texts.flatten().collect()
    }

    /// Kills everything in it that a run has started.
    pub(crate) fn kill(&self) {
        match &self.container {
            Some(container) => container.kill(),
            None => {
                let _ = std::fs::write(self.dir.join("cgroup.kill"), "1");
            }
        }
    }
}

fn make(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = parent.join(name);
    std::fs::create_dir(&dir).with_context(|| format!("make the cgroup {}", dir.display()))?;
    Ok(dir)
}

fn turn(dir: &Path, controller: &str) -> anyhow::Result<()> {
    write(&dir.join("cgroup.subtree_control"), controller)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{text:?} to {}", file.display()))
}

/// How long the killed may take to be gone.
const PATIENCE: u32 = 500;

/// Kills what runs in the group and below it, and removes all of it, deepest first.
fn remove(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let _ = std::fs::write(dir.join("cgroup.kill"), "1");
    for _ in 0..PATIENCE {
        if try_remove(dir) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the cgroup {} could not be removed", dir.display())
}

fn try_remove(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return true;
    };
    let mut empty = true;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty &= try_remove(&entry.path());
        }
    }
    empty && std::fs::remove_dir(dir).is_ok()
}
