//! What containers are called, from the Docker-compatible APIs of Docker and Podman. In the
//! background, with deadlines: names are for people and for rules by name, and nothing waits for
//! them. Runs on the side thread only.
//!
//! A list is fetched at the start and when the loop has found a container that it has no name for
//! ([`NamesWanted`]), never by a clock: a listing of Podman's starts a process on the host.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bollard::models::ContainerSummary;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::side::{Note, Notes};

/// Names by the runtime's id of the container (64 hex digits).
pub type Names = HashMap<String, Named>;

/// What a runtime says about a container. Hostile text, cut to bounds, shown escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name, without the leading slash.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The loop's wish for names. A byte in a socket pair and not a lock or a condition variable: a
/// side that is preempted while it holds one would hold the loop.
#[derive(Clone, Debug)]
pub struct NamesWanted(Arc<std::os::unix::net::UnixStream>);

/// Where the side hears of the wish.
pub(super) type Wish = std::os::unix::net::UnixStream;

/// The least time between two lists.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a runtime may take.
const LIST_WITHIN: Duration = Duration::from_secs(3);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A runtime that lists more is cut here.
const CONTAINERS_MAX: usize = 20_000;
/// Labels kept of one container.
const LABELS_MAX: usize = 64;
/// The longest name, key or value kept, in characters.
const TEXT_MAX: usize = 253;

impl NamesWanted {
    /// A wish that is raised already, because a first list is wanted, and where it is heard.
    pub(super) fn new() -> std::io::Result<(NamesWanted, Wish)> {
        let (ask, hear) = Wish::pair()?;
        ask.set_nonblocking(true)?;
        hear.set_nonblocking(true)?;
        let wanted = NamesWanted(Arc::new(ask));
        wanted.ask();
        Ok((wanted, hear))
    }

    /// Asks for a new list. For the loop: when a container appears that has no name yet, once for
    /// each. Never waits.
    pub fn ask(&self) {
        // It fails where it is full of wishes that nobody has heard yet: one of them is enough.
        let _ = (&*self.0).write(&[0]);
    }
}

/// The names as they are now, for a look without a daemon: waits for the runtimes, within their
/// deadlines. One that cannot be asked has no names.
#[must_use]
pub fn ask_for_names(sockets: &[PathBuf]) -> Names {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(list_all(sockets)).0)
        .unwrap_or_default()
}

/// Fetches lists until the task is dropped. Sleeps while none is wanted: a poll would take the CPU
/// from somebody's container twice a second for nothing.
pub(super) async fn keep(
    sockets: Vec<PathBuf>,
    names: Arc<ArcSwap<Names>>,
    wish: Wish,
    notes: Arc<Notes>,
) {
    let wish = match UnixStream::from_std(wish) {
        Ok(wish) => wish,
        Err(error) => {
            notes.set(
                Note::Names,
                Some(format!("no names of containers: {error}")),
            );
            return;
        }
    };
    let mut pause = PAUSE;
    let mut again = false;
    while again || wish.readable().await.is_ok() {
        match wish.try_read(&mut [0; 64]) {
            Ok(0) => return, // the loop has ended
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !again {
                    continue;
                }
            }
            Err(_) => return,
        }
        let (found, failures) = list_all(&sockets).await;
        if **names.load() != found && failures.is_empty() {
            names.store(Arc::new(found));
        } else if !found.is_empty() {
            // A runtime that does not answer now keeps the names that it gave before.
            let mut merged = Names::clone(&names.load());
            merged.extend(found);
            merged.shrink_to_fit();
            names.store(Arc::new(merged));
        }
        again = !failures.is_empty();
        if failures.is_empty() {
            pause = PAUSE;
            notes.set(Note::Names, None);
        } else {
            let sentence = format!("no names from {}", failures.join("; "));
            tracing::warn!("{sentence}");
            notes.set(Note::Names, Some(sentence));
            pause = (pause * 2).min(PAUSE_MAX);
        }
        sleep(pause).await;
    }
}

/// The names that every socket that exists gives, and what failed.
async fn list_all(sockets: &[PathBuf]) -> (Names, Vec<String>) {
    let (mut names, mut failures) = (Names::new(), Vec::new());
    for socket in sockets.iter().filter(|socket| socket.exists()) {
        match timeout(LIST_WITHIN, list(socket)).await {
            Ok(Ok(listed)) => {
                names.extend(listed.into_iter().take(CONTAINERS_MAX).filter_map(named))
            }
            Ok(Err(error)) => failures.push(format!("{}: {error}", socket.display())),
            Err(_) => failures.push(format!(
                "{}: no answer within {} s",
                socket.display(),
                LIST_WITHIN.as_secs()
            )),
        }
    }
    (names, failures)
}

async fn list(socket: &Path) -> Result<Vec<ContainerSummary>, bollard::errors::Error> {
    let address = socket.to_string_lossy();
    Docker::connect_with_unix(&address, LIST_WITHIN.as_secs(), API_DEFAULT_VERSION)?
        .list_containers(None)
        .await
}

fn named(summary: ContainerSummary) -> Option<(String, Named)> {
    let id = summary.id?;
    let first = summary.names?.into_iter().next()?;
    let name = cut(first.strip_prefix('/').unwrap_or(&first));
    let labels = summary.labels.unwrap_or_default().into_iter();
    let mut labels: Vec<_> = labels.collect();
    // Which labels are kept must not depend on a hash.
    labels.sort();
    let labels = labels
        .iter()
        .take(LABELS_MAX)
        .map(|(key, value)| (cut(key), cut(value)))
        .collect();
    Some((cut(&id), Named { name, labels }))
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    fn summary(id: &str, name: &str) -> ContainerSummary {
        ContainerSummary {
            id: Some(id.to_owned()),
            names: Some(vec![name.to_owned()]),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn the_slash_of_a_name_goes_and_absurd_lengths_are_cut() {
        let (id, named) = named(summary("ab", "/redis")).unwrap();
        assert_eq!((id.as_str(), named.name.as_str()), ("ab", "redis"));
        let (_, named) = super::named(summary("ab", &"x".repeat(100_000))).unwrap();
        assert_eq!(named.name.len(), TEXT_MAX);
    }

    #[test]
    fn of_too_many_labels_the_same_ones_are_kept_every_time() {
        let mut container = summary("ab", "/c");
        container.labels = Some(
            (0..1000)
                .map(|n| (format!("k{n:04}"), String::new()))
                .collect(),
        );
        let (_, named) = named(container).unwrap();
        assert_eq!(named.labels.len(), LABELS_MAX);
        assert_eq!(named.labels.keys().last().unwrap(), "k0063");
    }

    /// A runtime that answers every request with this body.
    fn fake_runtime(path: &Path, body: &'static str) {
        let listener = UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + body).as_bytes()).await;
            }
        });
    }

    #[tokio::test]
    async fn names_come_from_every_runtime_that_answers() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("docker"), dir.path().join("podman"));
        fake_runtime(
            &one,
            r#"[{"Id":"aa","Names":["/redis"],"Labels":{"app":"x"}}]"#,
        );
        fake_runtime(&two, r#"[{"Id":"bb","Names":["web"]},{"Id":null}]"#);
        let missing = dir.path().join("none");
        let (names, failures) = list_all(&[one, missing, two]).await;
        assert_eq!(failures, Vec::<String>::new());
        assert_eq!(names["aa"].name, "redis");
        assert_eq!(names["aa"].labels["app"], "x");
        assert_eq!(names["bb"].name, "web");
    }

    #[tokio::test]
    async fn a_runtime_that_never_answers_is_given_up_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker");
        let _listener = UnixListener::bind(&path).unwrap();
        let notes = Arc::new(Notes::default());
        let names = Arc::new(ArcSwap::default());
        let (_wanted, wish) = NamesWanted::new().unwrap();
        let task = keep(vec![path], names, wish, Arc::clone(&notes));
        let _ = timeout(LIST_WITHIN + Duration::from_secs(2), task).await;
        assert!(
            notes
                .all()
                .iter()
                .any(|note| note.contains("no names from")),
            "{:?}",
            notes.all()
        );
    }

    #[tokio::test]
    async fn a_runtime_that_talks_nonsense_is_a_failure_and_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker");
        fake_runtime(&path, r#"{"hello":"world"}"#);
        let (names, failures) = list_all(&[path]).await;
        assert!(names.is_empty());
        assert_eq!(failures.len(), 1);
    }
}
