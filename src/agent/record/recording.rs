//! What the loop, the keeper and the side thread share. The loop touches its flags only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Clients that are streamed to at a time.
const CLIENTS_MAX: usize = 4;
/// Blocks that can wait for a client: some minutes.
const BLOCKS_MAX: usize = 256;

/// A block on its way to a client.
pub(in crate::agent) type Block = Arc<[u8]>;

/// The state of recording.
#[derive(Debug, Default)]
pub struct Recording {
    /// Somebody wants frames.
    on: AtomicBool,
    /// Somebody wants the trace to begin anew, so that it can be read from there.
    anew: AtomicBool,
    /// The tree is too large for a trace.
    tree_left_out: AtomicBool,
    /// What the brain remembers is too large for a trace.
    brain_left_out: AtomicBool,
    clients: Mutex<Clients>,
    note: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Clients {
    /// The ring wants frames, too.
    ring: bool,
    newcomers: Vec<Sender<Block>>,
    served: Vec<Sender<Block>>,
}

impl Recording {
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether the trace shall begin anew.
    pub(super) fn wants_anew(&self) -> bool {
        self.anew.load(Ordering::Relaxed)
    }

    /// It begins anew now: whoever asks from here on wants it once more.
    pub(super) fn begins(&self) {
        self.anew.store(false, Ordering::Relaxed);
    }

    pub(super) fn begin_anew(&self) {
        self.anew.store(true, Ordering::Relaxed);
    }

    /// Whether the tree is too large to be recorded, and nothing is.
    pub(super) fn leave_out_tree(&self, left_out: bool) {
        self.tree_left_out.store(left_out, Ordering::Relaxed);
    }

    /// Whether what the brain remembers is too large to be recorded.
    pub(super) fn leave_out_brain(&self, left_out: bool) {
        self.brain_left_out.store(left_out, Ordering::Relaxed);
    }

    /// Whether the ring wants frames.
    pub(super) fn keep_ring(&self, wanted: bool) {
        let mut clients = self.clients();
        clients.ring = wanted;
        self.decide(&clients);
    }

    /// A new client: its blocks, from the next beginning of the trace on. `None`: there are too many.
    pub(in crate::agent) fn join(&self) -> Option<Receiver<Block>> {
        let mut clients = self.clients();
        clients.newcomers.retain(|client| !client.is_closed());
        if clients.newcomers.len() + clients.served.len() >= CLIENTS_MAX {
            return None;
        }
        let (sender, receiver) = channel(BLOCKS_MAX);
        clients.newcomers.push(sender);
        self.begin_anew();
        self.decide(&clients);
        Some(receiver)
    }

    /// Gives a block to every client, and drops those that went away or fell too far behind.
    pub(super) fn give(&self, block: &[u8], begins: bool) {
        let mut clients = self.clients();
        if begins {
            let newcomers = std::mem::take(&mut clients.newcomers);
            clients.served.extend(newcomers);
        }
        if clients.served.is_empty() {
            return;
        }
        let block: Block = Arc::from(block);
        clients
            .served
            .retain(|client| client.try_send(Arc::clone(&block)).is_ok());
        self.decide(&clients);
    }

    fn decide(&self, clients: &Clients) {
        let anybody = !clients.newcomers.is_empty() || !clients.served.is_empty();
        self.on.store(clients.ring || anybody, Ordering::Relaxed);
    }

    /// What does not work; shown in every status.
    pub(super) fn set_note(&self, sentence: Option<String>) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = sentence;
    }

    /// What does not work, if anything.
    pub(in crate::agent) fn note(&self) -> Option<String> {
        let note = self
            .note
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let says = |flag: &AtomicBool, text: &str| {
            (self.is_on() && flag.load(Ordering::Relaxed)).then(|| text.to_owned())
        };
        let tree = says(
            &self.tree_left_out,
            "nothing is recorded: the cgroup tree is too large for it",
        );
        let brain = says(
            &self.brain_left_out,
            "recordings begin without what the governor knew before: it is too much to be recorded",
        );
        let all: Vec<String> = [note, tree, brain].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
