//! Reads the policy again when its file changes, on SIGHUP, and when it is asked for: whole or not
//! at all. A file with problems leaves the old policy in force, and says so in the log and in every
//! status until it is mended. Runs on the side thread only.
//!
//! The *folders* are watched, not the file: editors, package managers and Kubernetes replace files
//! by renaming, and a watch on the old inode would sleep for ever. Where the path is a symbolic link
//! the folder of what it points to is watched too. Watches are set anew after every reload.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::inbox::{Outbox, Request};
use super::policy_file::{Loaded, PolicyFile};
use super::serve::ReloadAsk;
use super::side::{Note, Notes};
use crate::config;

/// Changes that follow each other within this time are read once.
const SETTLE: Duration = Duration::from_millis(200);
/// A file that never settles is read all the same, this often.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Keeps the policy up to date.
pub(super) struct Reloader {
    file: PolicyFile,
    current: Arc<Loaded>,
    outbox: Outbox,
    notes: Arc<Notes>,
}

/// The folders under watch; events ring `changed`.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Reloader {
    pub(super) fn new(
        file: PolicyFile,
        current: Arc<Loaded>,
        outbox: Outbox,
        notes: Arc<Notes>,
    ) -> Reloader {
        Reloader {
            file,
            current,
            outbox,
            notes,
        }
    }

    /// Reloads until the task is dropped. `asks` carries SIGHUP and questions at the socket.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<ReloadAsk>) {
        let (ring, mut changed) = mpsc::channel(1);
        let mut folders = Folders::new(ring);
        folders.follow(&self.file);
        loop {
            let ask = tokio::select! {
                Some(()) = changed.recv() => {
                    settle(&mut changed).await;
                    None
                }
                Some(ask) = asks.recv() => Some(ask),
                else => return,
            };
            let result = self.reload();
            folders.follow(&self.file);
            if let Some(ask) = ask {
                // Whoever asked may have gone.
                let _ = ask.send(result);
            }
        }
    }

    /// Loads the policy and hands it to the loop if it differs. The changes, one line each.
    fn reload(&mut self) -> Result<Vec<String>, String> {
        let loaded = self.file.load().map_err(|error| {
            let problem = error.to_string();
            tracing::error!("the policy is not taken, the old one stays in force: {problem}");
            let shown = format!(
                "the policy file has problems, the old policy stays in force; see `governor check {}`",
                self.current.name
            );
            self.notes.set(Note::Policy, Some(shown));
            problem
        })?;
        let mut changes: Vec<String> = config::difference(&self.current.policy, &loaded.policy)
            .into_iter()
            .map(|d| format!("{}: {} -> {}", d.key, d.old, d.new))
            .collect();
        if loaded.name != self.current.name {
            changes.insert(0, format!("file: {} -> {}", self.current.name, loaded.name));
        }
        if !changes.is_empty() {
            let loaded = Arc::new(loaded);
            self.outbox
                .send(Request::Policy(Arc::clone(&loaded)))
                .map_err(|error| error.to_string())?;
            for change in &changes {
                tracing::info!("policy: {change}");
            }
            self.warn_of_restart(&loaded);
            self.current = loaded;
        }
        self.notes.set(Note::Policy, None);
        Ok(changes)
    }

    /// The socket, the state folder and the runtimes' sockets are opened once, at start-up.
    fn warn_of_restart(&self, new: &Loaded) {
        let (old, new) = (&self.current.policy.runtime, &new.policy.runtime);
        if (&old.socket, &old.state, &old.docker) != (&new.socket, &new.state, &new.docker) {
            tracing::warn!(
                "policy: runtime.socket, runtime.state and runtime.docker take effect at the next start"
            );
        }
    }
}

/// Returns when nothing has changed for [`SETTLE`], or after [`SETTLE_MAX`].
async fn settle(changed: &mut mpsc::Receiver<()>) {
    let quiet = async { while let Ok(Some(())) = timeout(SETTLE, changed.recv()).await {} };
    let _ = timeout(SETTLE_MAX, quiet).await;
    // A ring that came while the time ran out is part of this change.
    while changed.try_recv().is_ok() {}
    sleep(Duration::ZERO).await;
}

impl Folders {
    fn new(ring: mpsc::Sender<()>) -> Folders {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading makes events too: only what can change the content counts.
            let counts = match event {
                Ok(event) => !matches!(
                    event.kind,
                    EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)
                ),
                Err(_) => true,
            };
            if counts {
                // Full means that a ring is waiting already.
                let _ = ring.try_send(());
            }
        });
        Folders {
            watcher: watcher
                .inspect_err(|error| {
                    tracing::warn!("changes of the policy file are not seen, use SIGHUP: {error}");
                })
                .ok(),
            watched: BTreeSet::new(),
        }
    }

    /// Watches the folders in which a change can change what [`PolicyFile::load`] finds.
    fn follow(&mut self, file: &PolicyFile) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let folder = |path: PathBuf| path.parent().map(PathBuf::from);
        let wanted: BTreeSet<PathBuf> = file
            .places()
            .iter()
            .flat_map(|place| [Some(place.clone()), place.canonicalize().ok()])
            .flatten()
            .filter_map(folder)
            .map(|folder| {
                if folder.as_os_str().is_empty() {
                    PathBuf::from(".")
                } else {
                    folder
                }
            })
            .filter(|folder| folder.is_dir())
            .collect();
        for gone in self.watched.difference(&wanted) {
            // A folder that was removed has taken its watch along.
            let _ = watcher.unwatch(gone);
        }
        let mut held = BTreeSet::new();
        for folder in wanted {
            // Also where it is watched already: a folder that was replaced has the same name.
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    held.insert(folder);
                }
                Err(error) => tracing::warn!("cannot watch {}: {error}", folder.display()),
            }
        }
        self.watched = held;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files")]
mod tests {
    use std::path::Path;

    use tokio::sync::Notify;

    use super::super::inbox::{Inbox, inbox};
    use super::*;

    /// Nothing here takes so long; on a busy machine everything may take long.
    const FOR_EVER: Duration = Duration::from_secs(120);

    struct Bench {
        inbox: Inbox,
        nudged: Arc<Notify>,
        asks: mpsc::Sender<ReloadAsk>,
        notes: Arc<Notes>,
    }

    /// Returns when the folders are watched: a reloader that answers has begun to.
    async fn start(path: &Path) -> Bench {
        let file = PolicyFile::named(path);
        let current = Arc::new(file.load().unwrap());
        let nudged = Arc::new(Notify::new());
        let bell = Arc::clone(&nudged);
        let (outbox, inbox) = inbox(Arc::new(move || bell.notify_one()));
        let (asks, receiver) = mpsc::channel(1);
        let notes = Arc::new(Notes::default());
        tokio::spawn(Reloader::new(file, current, outbox, Arc::clone(&notes)).run(receiver));
        let bench = Bench {
            inbox,
            nudged,
            asks,
            notes,
        };
        assert_eq!(ask(&bench).await, Ok(Vec::new()));
        bench
    }

    async fn next_margin(bench: &Bench) -> Option<f64> {
        let next = async {
            loop {
                if let Some(Request::Policy(loaded)) = bench.inbox.take() {
                    return loaded.policy.detect.margin;
                }
                bench.nudged.notified().await;
            }
        };
        timeout(FOR_EVER, next).await.ok()
    }

    fn margin(value: &str) -> String {
        format!("[detect]\nmargin = {value}\n")
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_by_rename_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(&path, margin("2.0")).unwrap();
        let bench = start(&path).await;
        for value in ["2.5", "3.0"] {
            let next = dir.path().join("p.toml.tmp");
            std::fs::write(&next, margin(value)).unwrap();
            std::fs::rename(&next, &path).unwrap();
            assert_eq!(next_margin(&bench).await, value.parse().ok());
        }
    }

    #[tokio::test]
    async fn a_symbolic_link_that_is_swapped_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, value) in [("v1", "2.0"), ("v2", "3.0")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("p.toml"), margin(value)).unwrap();
        }
        std::os::unix::fs::symlink("v1", at("data")).unwrap();
        std::fs::create_dir(at("etc")).unwrap();
        std::os::unix::fs::symlink("data/p.toml", at("p.toml")).unwrap();
        let bench = start(&at("p.toml")).await;
        std::os::unix::fs::symlink("v2", at("data.tmp")).unwrap();
        std::fs::rename(at("data.tmp"), at("data")).unwrap();
        assert_eq!(next_margin(&bench).await, Some(3.0));
        // And the new target is watched.
        std::fs::write(at("v2").join("p.toml"), margin("4.0")).unwrap();
        assert_eq!(next_margin(&bench).await, Some(4.0));
    }

    #[tokio::test]
    async fn a_file_with_problems_leaves_the_old_policy_in_force_until_it_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(&path, margin("2.0")).unwrap();
        let bench = start(&path).await;
        std::fs::write(&path, "[detect]\nmargin = \"wide\"\n").unwrap();
        let problem = ask(&bench).await.unwrap_err();
        assert!(problem.contains("margin"), "{problem}");
        assert_eq!(bench.notes.all().len(), 1);
        assert!(bench.inbox.take().is_none());
        std::fs::write(&path, margin("3.0")).unwrap();
        // The watch may have been faster than the question.
        let told = ask(&bench).await.unwrap();
        assert!(
            told.is_empty() || told == ["detect.margin: 2 -> 3"],
            "{told:?}"
        );
        assert_eq!(next_margin(&bench).await, Some(3.0));
        assert!(bench.notes.all().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_is_touched_without_a_change_tells_the_loop_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(&path, margin("2.0")).unwrap();
        let bench = start(&path).await;
        std::fs::write(&path, "# a comment\n[detect]\nmargin = 2.0\n").unwrap();
        assert_eq!(ask(&bench).await.unwrap(), Vec::<String>::new());
        assert!(bench.inbox.take().is_none());
    }

    async fn ask(bench: &Bench) -> Result<Vec<String>, String> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        bench.asks.send(sender).await.unwrap();
        receiver.await.unwrap()
    }
}
