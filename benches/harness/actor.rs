//! Victims and attackers as processes: started into their groups, watched, and ended.

use crate::places::Places;
use crate::record::{Death, Victim};
use crate::scenario::Actor;
use crate::scene::Group;
use crate::{loads::record::now_us, stop};
use anyhow::{Context, bail};
use serde::Deserialize;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What a process came to.
struct Ended {
    who: String,
    at_us: u64,
    status: std::io::Result<ExitStatus>,
    said: String,
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
        group: &Path,
        places: &Places,
        (first_us, for_us): (u64, u64),
    ) -> anyhow::Result<()> {
        let mut command = load(group);
        command.args(places.fill(&actor.load)?);
        command.args(["--start-at", &first_us.to_string(), "--for", &us(for_us)]);
        self.spawn(&actor.name, command)?;
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
        let mut command = load(group.dir());
        command.args(["exec", "--"]);
        command.args(places.fill(words)?);
        self.spawn(&format!("{} (program)", actor.name), command)
    }

    /// Starts an attacker or a helper, which waits in its group until `at_us`.
    ///
    /// # Errors
    /// No process can be had.
    pub(crate) fn other(
        &mut self,
        actor: &Actor,
        group: &Path,
        places: &Places,
        (at_us, for_us): (u64, u64),
    ) -> anyhow::Result<()> {
        let mut command = load(group);
        command.args(["--at", &at_us.to_string()]);
        command.args(places.fill(&actor.load)?);
        command.args(["--for", &us(for_us)]);
        self.spawn(&actor.name, command)
    }

    /// Whatever runs under this name is about to be ended by the harness.
    pub(crate) fn ends(&mut self, who: &str) {
        self.ended.push(who.to_owned());
    }

    fn spawn(&self, who: &str, mut command: Command) -> anyhow::Result<()> {
        let child = command.spawn().with_context(|| format!("start {who}"))?;
        let tx = self.tx.clone();
        let who = who.to_owned();
        let wait = move || {
            // Nobody listens any more when a run was given up.
            let _ = tx.send(wait_for(who, child));
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
                bail!("{} failed: {status}", ended.who);
            }
        }
        if self.ended.contains(&ended.who) {
            return Ok(());
        }
        if victim.is_some() || (!status.success() && ended.at_us < self.attack_end_us) {
            self.deaths.push(Death {
                at_us: ended.at_us,
                who: ended.who,
                how: status.to_string(),
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

fn wait_for(who: String, mut child: Child) -> Ended {
    let mut said = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        let _ = pipe.read_to_string(&mut said);
    }
    let status = child.wait();
    Ended {
        who,
        at_us: now_us(),
        status,
        said,
    }
}

/// The line that a victim prints.
#[derive(Deserialize)]
struct Said {
    requests: Vec<(u64, Option<u64>)>,
    #[serde(default)]
    refused: u64,
}
