//! Answers questions at the socket. Runs on the side thread only.
//!
//! Every connection is bounded in time, in bytes and in number: a client that is slow, silent or
//! greedy loses its own answer and nobody else's. The control loop does not know that clients exist.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ask::{Answer, Ask, Events, QUESTION_MAX};
use super::board::{Board, Posted};
use super::inbox::{Outbox, Reply, Request};
use super::managers::Managers;
use super::record::{Block, Recording};
use super::side::Notes;
use super::socket::{Allow, Peer};
use crate::config::nearest;
use crate::host::HostClock;
use crate::model::{EventView, Explained, Time};

/// Connections at a time; the next one is told "busy".
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to ask.
const QUESTION_WITHIN: Duration = Duration::from_secs(2);
/// How long a client may take to read its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long one that records may take for one block: its disk may be the one that is saturated.
const BLOCK_WITHIN: Duration = Duration::from_secs(60);
/// A status that is younger than this is answered as it is.
const FRESH: Duration = Duration::from_millis(500);
/// How long the loop has to publish a fresh status before the old one is answered, with its age.
const REFRESH_WITHIN: Duration = Duration::from_millis(400);
/// How long the loop has to give everything back: a write of `memory.high` may reclaim.
const RESTORE_WITHIN: Duration = Duration::from_secs(30);
/// How long the loop has to explain: it looks at its inbox once a tick.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(5);
/// The least time between two explanations: each costs the loop more than a look, whoever asks.
const EXPLAIN_APART: Duration = Duration::from_millis(50);
/// How often a waiting answer looks whether the loop has written it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A wish to read the policy again, and where the result goes.
pub(super) type ReloadAsk = oneshot::Sender<Result<Vec<String>, String>>;

/// What is needed to answer.
pub(super) struct Desk {
    pub(super) board: Arc<Board>,
    pub(super) outbox: Outbox,
    pub(super) reloads: mpsc::Sender<ReloadAsk>,
    pub(super) notes: Arc<Notes>,
    pub(super) managers: Arc<Managers>,
    pub(super) allow: Allow,
    /// When the loop explained last; held by the one whose turn it is.
    pub(super) explained: Mutex<Option<Instant>>,
    pub(super) recording: Arc<Recording>,
}

/// Accepts and answers until the task is dropped.
pub(super) async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors or memory: the queue waits, we do not spin.
                tracing::warn!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    connection(stream, &desk).await;
                    drop(slot);
                });
            }
            Err(_) => turn_away(stream),
        }
    }
}

/// Tells one client too many so, without waiting for it.
fn turn_away(stream: UnixStream) {
    use std::io::Write;
    if let (Ok(mut stream), Some(line)) = (
        stream.into_std(),
        line_of(&refused("busy: too many clients")),
    ) {
        // Non-blocking, and an empty socket buffer takes one line; if not, the client sees the end.
        let _ = stream.write_all(&line);
    }
}

/// One client from its first byte to its last.
async fn connection(mut stream: UnixStream, desk: &Desk) {
    let answer = match peer(&stream) {
        None => refused("the kernel does not say who you are"),
        Some(peer) => match timeout(QUESTION_WITHIN, question(&mut stream)).await {
            Err(_) => refused("no question came in time"),
            Ok(Err(why)) => refused(why),
            Ok(Ok(ask)) if !(desk.allow)(peer, ask.clone()) => {
                tracing::warn!(
                    uid = peer.uid,
                    gid = peer.gid,
                    ?ask,
                    "refused at the socket"
                );
                refused("you may not ask this; ask as root")
            }
            Ok(Ok(Ask::Record)) => match desk.recording.join() {
                Some(blocks) => return record(stream, blocks).await,
                None => refused("busy: others are recording already"),
            },
            Ok(Ok(ask)) => desk.answer(ask).await,
        },
    };
    if let Some(line) = line_of(&answer) {
        // A client that does not read, or went away, has lost its answer: nothing to tell anybody.
        let _ = timeout(ANSWER_WITHIN, stream.write_all(&line)).await;
    }
}

/// Streams a trace until the client goes, or is so slow that its blocks are dropped: then it ends.
async fn record(mut stream: UnixStream, mut blocks: mpsc::Receiver<Block>) {
    let Some(line) = line_of(&Answer::Recording) else {
        return;
    };
    let mut sent = timeout(ANSWER_WITHIN, stream.write_all(&line)).await;
    while let Ok(Ok(())) = sent {
        let Some(block) = blocks.recv().await else {
            return;
        };
        sent = timeout(BLOCK_WITHIN, stream.write_all(&block)).await;
    }
}

fn peer(stream: &UnixStream) -> Option<Peer> {
    stream.peer_cred().ok().map(|cred| Peer {
        uid: cred.uid(),
        gid: cred.gid(),
    })
}

/// Reads one line of at most [`QUESTION_MAX`] bytes.
async fn question(stream: &mut UnixStream) -> Result<Ask, &'static str> {
    let mut text = Vec::with_capacity(256);
    let mut limited = stream.take(QUESTION_MAX as u64);
    loop {
        if let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            text.truncate(end);
            return serde_json::from_slice(&text).map_err(|_| "the question is not understood");
        }
        match limited.read_buf(&mut text).await {
            Ok(0) if limited.limit() == 0 => return Err("the question is too long"),
            Ok(0) | Err(_) => return Err("the question ended early"),
            Ok(_) => {}
        }
    }
}

impl Desk {
    async fn answer(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Status => self.status().await,
            Ask::Restore => self.restore().await,
            Ask::Reload => self.reload().await,
            Ask::Explain { container } => self.explain(container).await,
            Ask::Events { run, after } => Answer::Events(self.events(run, after)),
            Ask::Record => refused("a recording is no answer"),
        }
    }

    async fn status(&self) -> Answer {
        let Some(posted) = self.fresh().await else {
            return refused("the governor has only just started; ask again");
        };
        let mut status = posted.status.clone();
        status.header.age_s = posted.age().as_secs_f64();
        let managers = self.managers.load();
        let names = managers.iter().map(|one| one.name.to_owned());
        status.header.other_managers = names.collect();
        status.header.degraded.extend(self.notes.all());
        status.header.degraded.extend(self.recording.note());
        Answer::Status(Box::new(status))
    }

    /// The board's status, renewed if it is old and the loop can.
    async fn fresh(&self) -> Option<Arc<Posted>> {
        let found = self.board.latest();
        if found.as_ref().is_some_and(|posted| posted.age() < FRESH) {
            return found;
        }
        // A full inbox is drained at the next tick, and a status follows it: wait all the same.
        let _ = self.outbox.send(Request::Refresh);
        let deadline = Instant::now() + REFRESH_WITHIN;
        while Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
            let latest = self.board.latest();
            let renewed = match (&latest, &found) {
                (Some(latest), Some(found)) => !Arc::ptr_eq(latest, found),
                (Some(_), None) => true,
                (None, _) => false,
            };
            if renewed {
                return latest;
            }
        }
        found
    }

    async fn restore(&self) -> Answer {
        let (reply, cell) = Reply::new();
        if let Err(error) = self.outbox.send(Request::Restore(reply)) {
            return refused(error);
        }
        match written(&cell, RESTORE_WITHIN).await {
            Some(restored) => Answer::Restored(restored),
            None => refused("the control loop did not answer; it may be ending"),
        }
    }

    async fn explain(&self, container: String) -> Answer {
        let mut last = self.explained.lock().await;
        if let Some(last) = *last {
            sleep_until(last + EXPLAIN_APART).await;
        }
        let (reply, cell) = Reply::new();
        if let Err(error) = self.outbox.send(Request::Explain(container.clone(), reply)) {
            return refused(error);
        }
        let Some(mut explained) = written(&cell, EXPLAIN_WITHIN).await else {
            return refused("the control loop did not answer; it may be ending");
        };
        *last = Some(Instant::now());
        drop(last);
        match &mut explained {
            Explained::One(one) => one.wall_us = Some(HostClock.wall_at(Time(one.at_us))),
            // Here and not in the loop: it costs more than a look.
            Explained::Nobody { nearest } => *nearest = self.nearest(&container),
            Explained::Several(_) => {}
        }
        Answer::Explained(explained)
    }

    /// The container that was probably meant.
    fn nearest(&self, name: &str) -> Option<String> {
        let posted = self.board.latest()?;
        let names = posted.status.containers.iter().map(|one| one.name.as_str());
        nearest(name, names).map(|(_, name)| name.to_owned())
    }

    fn events(&self, run: Option<u64>, after: u64) -> Events {
        let same_run = run.is_none_or(|run| run == self.board.run());
        let after = if same_run { after } else { 0 };
        let told = self.board.told();
        let wanted = told.iter().filter(|event| event.seq > after);
        Events {
            run: self.board.run(),
            events: wanted.map(|event| EventView::clone(event)).collect(),
        }
    }

    async fn reload(&self) -> Answer {
        let (sender, receiver) = oneshot::channel();
        if self.reloads.try_send(sender).is_err() {
            return refused("busy: the policy is being read already");
        }
        match receiver.await {
            Ok(Ok(changes)) => Answer::Reloaded(changes),
            Ok(Err(problems)) => refused(problems),
            Err(_) => refused("the governor is ending"),
        }
    }
}

/// Waits until the loop has written its answer, dropped it, or the time is over.
async fn written<T: Clone>(cell: &Arc<OnceLock<T>>, within: Duration) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        // The loop drops its end after writing: look at the cell once more after that.
        let dropped = Arc::strong_count(cell) == 1;
        if let Some(answer) = cell.get() {
            return Some(answer.clone());
        }
        if dropped || Instant::now() >= deadline {
            return None;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn refused(why: impl ToString) -> Answer {
    Answer::Refused(why.to_string())
}

fn line_of(answer: &Answer) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(answer)
        .inspect_err(|error| tracing::error!("an answer cannot be written as JSON: {error}"))
        .ok()?;
    line.push(b'\n');
    Some(line)
}
