//! The side thread: everything that may wait, so that the control loop never does.
//!
//! One thread of normal priority with one single-threaded runtime: the socket, signals, the policy
//! file, the runtimes' names, the service manager. It is started before the loop and can die,
//! starve or hang without the loop noticing. What passes between the two: the loop swaps a status
//! onto the [`Board`] and beats; the side puts requests into the [`Inbox`] and rings the bell.
#![allow(
    clippy::disallowed_methods,
    reason = "one of the few named threads is started here, before the loop"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};

use super::board::Board;
use super::inbox::{Inbox, Nudge, Outbox, inbox};
use super::managers::{self, Managers};
use super::names::{self, Names, NamesWanted, Wish};
use super::policy_file::{Loaded, PolicyFile};
use super::policy_watch::Reloader;
use super::record::Recording;
use super::serve::{Desk, ReloadAsk, serve};
use super::service;
use super::socket::{Allow, Door, DoorError, owner_rule};

/// How long [`Side::stop`] waits for the thread.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// The side's stack, in bytes: it is locked in memory together with everything else.
const STACK: usize = 1 << 20;

/// What the side needs to start.
pub struct SideSetup {
    /// Where the policy is read from again.
    pub file: PolicyFile,
    /// The policy in force.
    pub loaded: Arc<Loaded>,
    /// Wakes the loop.
    pub nudge: Nudge,
    /// Who may ask what; `None` for root, our own user, and reading for the socket's group.
    pub allow: Option<Allow>,
    /// What is recorded, for those who ask to watch.
    pub recording: Arc<Recording>,
}

/// The loop's end of the side thread.
#[derive(Debug)]
pub struct Side {
    /// Where the loop publishes its status and beats.
    pub board: Arc<Board>,
    /// The runtimes' names, as far as they are known.
    pub names: Arc<ArcSwap<Names>>,
    /// To ask for names of a new container.
    pub names_wanted: NamesWanted,
    /// What the side wants of the loop: taken empty at every tick.
    pub inbox: Inbox,
    end: Arc<Notify>,
    ended: std_mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Why the side could not start.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// No socket; another governor may run.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// No thread, runtime or signal handlers.
    #[error("cannot {operation}: {error}")]
    Start {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

/// What the side itself has to say in every status; one sentence for each subject at most.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<[Option<String>; 2]>);

/// A subject of [`Notes`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Policy,
    Names,
}

impl Notes {
    pub(super) fn set(&self, subject: Note, sentence: Option<String>) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(note) = notes.get_mut(subject as usize) {
            *note = sentence;
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().flatten().cloned().collect()
    }
}

impl SideSetup {
    /// The usual set-up for this policy.
    #[must_use]
    pub fn new(file: PolicyFile, loaded: Arc<Loaded>, nudge: Nudge) -> SideSetup {
        SideSetup {
            file,
            loaded,
            nudge,
            allow: None,
            recording: Arc::default(),
        }
    }
}

impl Side {
    /// Opens the socket, takes over SIGTERM, SIGINT and SIGHUP, and starts the thread. When this
    /// returns, nothing that can fail is left to do.
    ///
    /// # Errors
    /// [`DoorError::Another`] where another governor runs; else whatever the system refused.
    pub fn start(setup: SideSetup) -> Result<Side, SideError> {
        let door = Door::open(Path::new(&setup.loaded.policy.runtime.socket))?;
        let (outbox, inbox) = inbox(setup.nudge);
        let board = Arc::new(Board::new());
        let names = Arc::new(ArcSwap::default());
        let (names_wanted, wish) = NamesWanted::new().map_err(failed("make a socket pair"))?;
        let end = Arc::new(Notify::new());
        let own_uid = rustix::process::geteuid().as_raw();
        let work = Work {
            allow: setup.allow.unwrap_or_else(|| owner_rule(own_uid, door.gid)),
            door,
            file: setup.file,
            loaded: setup.loaded,
            outbox,
            board: Arc::clone(&board),
            names: Arc::clone(&names),
            wish,
            end: Arc::clone(&end),
            recording: setup.recording,
        };
        let (started, starting) = std_mpsc::sync_channel(1);
        let (ending, ended) = std_mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("governor-side".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                work.run(&started);
                // Nobody may be waiting for it.
                let _ = ending.send(());
            })
            .map_err(failed("start the side thread"))?;
        match starting.recv() {
            Ok(result) => result?,
            Err(_) => {
                return Err(failed("start the side thread")(std::io::Error::other(
                    "it ended at once",
                )));
            }
        }
        Ok(Side {
            board,
            names,
            names_wanted,
            inbox,
            end,
            ended,
            thread: Some(thread),
        })
    }

    /// Tells the service manager that the governor works. For the loop's starter: after the first
    /// sample, before the loop.
    pub fn ready(&self) {
        service::ready();
    }

    /// Ends the thread and removes the socket; waits at most two seconds.
    pub fn stop(mut self) {
        self.end.notify_one();
        let over = self.ended.recv_timeout(STOP_WITHIN).is_ok();
        if over && let Some(thread) = self.thread.take() {
            // It has sent its last word: joining cannot take long. A panic was told by its hook.
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Work {
    door: Door,
    file: PolicyFile,
    loaded: Arc<Loaded>,
    outbox: Outbox,
    board: Arc<Board>,
    names: Arc<ArcSwap<Names>>,
    wish: Wish,
    end: Arc<Notify>,
    allow: Allow,
    recording: Arc<Recording>,
}

/// The signals that mean something to us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Work {
    /// The thread's whole life. Says over `started` whether it begins.
    fn run(self, started: &std_mpsc::SyncSender<Result<(), SideError>>) {
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = started.send(Err(failed("build the side's runtime")(error)));
                return;
            }
        };
        runtime.block_on(async move {
            let prepared = self.prepare();
            let (listener, signals) = match prepared {
                Ok(prepared) => prepared,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(()));
            self.live(listener, signals).await;
        });
        // Tasks that wait for a runtime's socket are dropped, not waited for.
        runtime.shutdown_background();
    }

    /// Everything that can fail and needs the runtime.
    fn prepare(&self) -> Result<(tokio::net::UnixListener, Signals), SideError> {
        let take = |kind| signal(kind).map_err(failed("take over a signal"));
        let signals = Signals {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        };
        let listener = self
            .door
            .listener
            .try_clone()
            .and_then(tokio::net::UnixListener::from_std)
            .map_err(failed("listen at the socket"))?;
        Ok((listener, signals))
    }

    async fn live(self, listener: tokio::net::UnixListener, signals: Signals) {
        let notes = Arc::new(Notes::default());
        let managers = Arc::new(Managers::default());
        let (reloads, asks) = mpsc::channel(4);
        let sockets: Vec<PathBuf> = self
            .loaded
            .policy
            .runtime
            .docker
            .iter()
            .map(PathBuf::from)
            .collect();
        let desk = Desk {
            board: Arc::clone(&self.board),
            outbox: self.outbox.clone(),
            reloads: reloads.clone(),
            notes: Arc::clone(&notes),
            managers: Arc::clone(&managers),
            allow: self.allow,
            explained: tokio::sync::Mutex::new(None),
            recording: self.recording,
        };
        let reloader = Reloader::new(
            self.file,
            self.loaded,
            self.outbox.clone(),
            Arc::clone(&notes),
        );
        tokio::spawn(reloader.run(asks));
        tokio::spawn(managers::keep(managers));
        tokio::spawn(names::keep(sockets, self.names, self.wish, notes));
        tokio::spawn(service::watchdog(self.board, self.outbox.clone()));
        tokio::spawn(serve(listener, Arc::new(desk)));
        tokio::spawn(obey(signals, self.outbox, reloads));
        self.end.notified().await;
        // `self.door` goes here, and the socket with it.
    }
}

/// Turns signals into requests until the task is dropped.
async fn obey(mut signals: Signals, outbox: Outbox, reloads: mpsc::Sender<ReloadAsk>) {
    loop {
        let name = tokio::select! {
            Some(()) = signals.terminate.recv() => "SIGTERM",
            Some(()) = signals.interrupt.recv() => "SIGINT",
            Some(()) = signals.hangup.recv() => {
                reload(&reloads).await;
                continue;
            }
            else => return,
        };
        tracing::info!("{name}: giving everything back, then ending");
        service::stopping();
        outbox.stop(name);
    }
}

/// SIGHUP: read the policy again; the service manager waits for the end of it.
async fn reload(reloads: &mpsc::Sender<ReloadAsk>) {
    service::reloading();
    let (sender, receiver) = oneshot::channel();
    if reloads.send(sender).await.is_ok() {
        match receiver.await {
            Ok(Ok(changes)) if changes.is_empty() => {
                tracing::info!("SIGHUP: the policy is as it was");
            }
            // Changes and problems were told by the reloader.
            _ => {}
        }
    }
    service::ready();
}

fn failed(operation: &'static str) -> impl Fn(std::io::Error) -> SideError {
    move |error| SideError::Start { operation, error }
}
