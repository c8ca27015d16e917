//! Victims and attackers as processes: started into their groups, watched, and ended.

use crate::container::Running;
use crate::places::Places;
use crate::record::{Death, Victim};
use crate::scenario::Actor;
use crate::scene::Group;
use crate::{loads, loads::record::now_us, stop};
use anyhow::{Context, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What a process came to.
struct Ended {
    who: String,
    at_us: u64,
    status: std::io::Result<ExitStatus>,
    said: String,
    complaint: String,
}

/// All processes of one run. Those that still run are killed with their groups, not by this.
pub(crate) struct Actors {
    tx: Sender<Ended>,
    rx: Receiver<Ended>,
    /// Victims whose record has not come yet.
    awaited: Vec<String>,
    records: Vec<Victim>,
    deaths: Vec<Death>,
    /// Whom the harness ends before the attack does.
    ended: Vec<String>,
    /// From here on attackers are expected to end.
    attack_end_us: u64,
}

impl Actors {
    pub(crate) fn new(attack_end_us: u64) -> Actors {
        let (tx, rx) = channel();
        Actors {
            tx,
            rx,
            awaited: Vec::new(),
            records: Vec::new(),
            deaths: Vec::new(),
            ended: Vec::new(),
            attack_end_us,
        }
    }

    /// Starts a victim's load, whose first request is due at `first_us`.
    ///
    /// # Errors
    /// No process can be had.
    pub(crate) fn victim(
        &mut self,
        actor: &Actor,
        group: &Group,
        places: &Places,
        (first_us, for_us): (u64, u64),
    ) -> anyhow::Result<()> {
        let mut words = places.fill(&actor.load)?;
        words.extend(own(["--start-at", &first_us.to_string()]));
        words.extend(own(["--for", &us(for_us)]));
        self.spawn(&actor.name, group, words, places)?;
        self.awaited.push(actor.name.clone());
        Ok(())
    }

    /// Starts a victim's program.
    ///
    /// # Errors
    /// No process can be had.
    pub(crate) fn program(
        &mut self,
        actor: &Actor,
        words: &[String],
        group: &Group,
        places: &Places,
    ) -> anyhow::Result<()> {
        let mut all = own(["exec", "--"]);
        all.extend(places.fill(words)?);
        self.spawn(&format!("{} (program)", actor.name), group, all, places)
    }

    /// Starts an attacker or a helper, which waits in its group until `at_us`.
    ///
    /// # Errors
    /// No process can be had.
    pub(crate) fn other(
        &mut self,
        actor: &Actor,
        group: &Group,
        places: &Places,
        (at_us, for_us): (u64, u64),
    ) -> anyhow::Result<()> {
        let mut words = own(["--at", &at_us.to_string()]);
        match &actor.program {
            Some(program) => {
                words.extend(own(["exec", "--"]));
                words.extend(places.fill(program)?);
            }
            None => {
                words.extend(places.fill(&actor.load)?);
                words.extend(own(["--for", &us(for_us)]));
            }
        }
        self.spawn(&actor.name, group, words, places)
    }

    /// Whatever runs under this name is about to be ended by the harness.
    pub(crate) fn ends(&mut self, who: &str) {
        self.ended.push(who.to_owned());
    }

    /// Starts this very program as a load with these words, where the group is.
    fn spawn(
        &self,
        who: &str,
        group: &Group,
        mut words: Vec<String>,
        places: &Places,
    ) -> anyhow::Result<()> {
        let started = match group.container() {
            Some(container) => {
                words.insert(0, "load".to_owned());
                container.run(&words).map(Started::There)
            }
            None => here(group, &words, places.work().join(format!("{who}.err"))),
        };
        let started = started.with_context(|| format!("start {who}"))?;
        let tx = self.tx.clone();
        let who = who.to_owned();
        let wait = move || {
            // Nobody listens any more when a run was given up.
            let _ = tx.send(wait_for(who, started));
        };
        std::thread::Builder::new()
            .name("wait".to_owned())
            .spawn(wait)?;
        Ok(())
    }

    /// Waits until `until_us`, and takes note of who ends meanwhile.
    ///
    /// # Errors
    /// A victim failed, or the harness is to stop.
    pub(crate) fn pass(&mut self, until_us: u64) -> anyhow::Result<()> {
        while now_us() < until_us {
            self.listen(until_us)?;
        }
        Ok(())
    }

    /// Waits for the records of all victims, at most until `until_us`.
    ///
    /// # Errors
    /// A victim failed or is not done by then, or the harness is to stop.
    pub(crate) fn records(&mut self, until_us: u64) -> anyhow::Result<Vec<Victim>> {
        while !self.awaited.is_empty() {
            if now_us() >= until_us {
                bail!("no record came from {}", self.awaited.join(", "));
            }
            self.listen(until_us)?;
        }
        Ok(std::mem::take(&mut self.records))
    }

    /// Who ended before anybody wanted it.
    pub(crate) fn deaths(&mut self) -> Vec<Death> {
        std::mem::take(&mut self.deaths)
    }

    fn listen(&mut self, until_us: u64) -> anyhow::Result<()> {
        stop::check()?;
        let left = until_us.saturating_sub(now_us()).min(50_000);
        match self.rx.recv_timeout(Duration::from_micros(left)) {
            Ok(ended) => self.note(ended),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => bail!("nobody is left to wait for"),
        }
    }

    fn note(&mut self, ended: Ended) -> anyhow::Result<()> {
        let status = ended
            .status
            .with_context(|| format!("wait for {}", ended.who))?;
        let complaint = match ended.complaint.trim() {
            "" => String::new(),
            words => format!(": {words}"),
        };
        if status.code() == Some(loads::NOT_FOUND) {
            bail!("{} needs what is not installed{complaint}", ended.who);
        }
        let victim = self.awaited.iter().position(|name| *name == ended.who);
        if let Some(at) = victim {
            self.awaited.swap_remove(at);
            if status.success() {
                let said: Said = serde_json::from_str(ended.said.trim())
                    .with_context(|| format!("the record of {}", ended.who))?;
                self.records.push(Victim {
                    name: ended.who,
                    requests: said.requests,
                    refused: said.refused,
                });
                return Ok(());
            }
            // Killed: then its death is the result.
            if status.code().is_some() {
                bail!("{} failed: {status}{complaint}", ended.who);
            }
        }
        if self.ended.contains(&ended.who) {
            return Ok(());
        }
        if victim.is_some() || (!status.success() && ended.at_us < self.attack_end_us) {
            self.deaths.push(Death {
                at_us: ended.at_us,
                who: ended.who,
                how: format!("{status}{complaint}"),
            });
        }
        Ok(())
    }
}

/// A load of this very program, in a group, that ends when the harness does.
pub(crate) fn load(group: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("load").arg("--leash").arg("--join").arg(group);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // A Ctrl-C is for the harness, which ends all others in their order.
    command.process_group(0);
    command
}

fn us(us: u64) -> String {
    format!("{us}us")
}

fn own<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

/// What runs, as a child or in a container.
enum Started {
    /// With the file of its complaints.
    Here(Child, PathBuf),
    There(Running),
}

fn here(group: &Group, words: &[String], complaints: PathBuf) -> anyhow::Result<Started> {
    let mut command = load(group.dir());
    command.args(words).stderr(File::create(&complaints)?);
    Ok(Started::Here(command.spawn()?, complaints))
}

fn wait_for(who: String, started: Started) -> Ended {
    let mut said = String::new();
    let (status, complaints) = match started {
        Started::Here(mut child, complaints) => {
            if let Some(mut pipe) = child.stdout.take() {
                let _ = pipe.read_to_string(&mut said);
            }
            (child.wait(), complaints)
        }
        Started::There(running) => {
            let (out, complaints) = (running.said(), running.complaints());
            let status = running.wait();
            said = std::fs::read_to_string(out).unwrap_or_default();
            (status, complaints)
        }
    };
    Ended {
        who,
        at_us: now_us(),
        status,
        said,
        complaint: last_words(&complaints),
    }
}

/// The last line of a file, cut to what fits in one.
fn last_words(file: &Path) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or_default().chars().take(300).collect()
}

/// The line that a victim prints.
#[derive(Deserialize)]
struct Said {
    requests: Vec<(u64, Option<u64>)>,
    #[serde(default)]
    refused: u64,
}
