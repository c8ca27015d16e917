//! The side thread as the control loop and clients see it: a real socket, a real thread.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and needs files, threads and a clock"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use governor::agent::{
    Answer, Ask, AskError, DoorError, Loaded, PolicyFile, Request, Restored, Side, SideError,
    SideSetup, ask,
};
use governor::model::{ContainerView, EventView, Explained, Explanation, Policy, Status, Who};

const PATIENCE: Duration = Duration::from_secs(10);

/// A side with its socket in a folder of its own.
struct Bench {
    dir: tempfile::TempDir,
    rings: Arc<AtomicU32>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            dir: tempfile::tempdir().unwrap(),
            rings: Arc::default(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/governor.sock")
    }

    fn setup(&self) -> SideSetup {
        let mut policy = Policy::default();
        policy.runtime.socket = self.socket().display().to_string();
        policy.runtime.docker.clear();
        let file = self.dir.path().join("governor.toml");
        if !file.exists() {
            std::fs::write(&file, "").unwrap();
        }
        let loaded = Loaded {
            policy,
            name: file.display().to_string(),
            text: String::new(),
        };
        let rings = Arc::clone(&self.rings);
        let nudge = Arc::new(move || {
            rings.fetch_add(1, Ordering::Relaxed);
        });
        SideSetup::new(PolicyFile::named(&file), Arc::new(loaded), nudge)
    }

    fn side(&self) -> Side {
        Side::start(self.setup()).unwrap()
    }
}

fn status(ticks: u64) -> Status {
    let mut status = Status::default();
    status.header.ticks = ticks;
    status
}

fn asked(socket: &Path) -> Result<Status, AskError> {
    ask(socket, Ask::Status, PATIENCE).map(|answer| match answer {
        Answer::Status(status) => *status,
        other => panic!("not a status: {other:?}"),
    })
}

/// Everything that the daemon sends to a client that sends these bytes.
fn raw(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn a_client_gets_the_status_that_the_loop_published() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(42));
    assert_eq!(asked(&bench.socket()).unwrap().header.ticks, 42);
    side.stop();
    assert!(!bench.socket().exists());
}

#[test]
fn an_old_status_is_renewed_by_a_quiet_loop_before_it_is_answered() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(1));
    sleep(Duration::from_millis(600));
    let socket = bench.socket();
    let client = std::thread::spawn(move || asked(&socket).unwrap());
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(Request::Refresh) = side.inbox.take() {
            side.board.publish(status(2));
            break;
        }
        sleep(Duration::from_millis(1));
    }
    assert_eq!(client.join().unwrap().header.ticks, 2);
    assert!(
        bench.rings.load(Ordering::Relaxed) >= 1,
        "the bell was rung"
    );
}

#[test]
fn a_loop_that_is_stuck_does_not_hold_the_status_which_tells_its_age() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(1));
    sleep(Duration::from_millis(600));
    let began = Instant::now();
    let answered = asked(&bench.socket()).unwrap();
    assert!(began.elapsed() < Duration::from_millis(1_000));
    assert_eq!(answered.header.ticks, 1);
    assert!(answered.header.age_s >= 0.6, "{}", answered.header.age_s);
}

#[test]
fn before_the_first_status_the_client_is_told_to_wait() {
    let bench = Bench::new();
    let _side = bench.side();
    assert!(matches!(asked(&bench.socket()), Err(AskError::Refused(_))));
}

#[test]
fn a_peer_without_the_right_is_refused_with_a_reason() {
    let bench = Bench::new();
    let mut setup = bench.setup();
    setup.allow = Some(Arc::new(|_, ask| ask == Ask::Status));
    let side = Side::start(setup).unwrap();
    side.board.publish(status(1));
    assert!(asked(&bench.socket()).is_ok());
    let error = ask(&bench.socket(), Ask::Restore, PATIENCE).unwrap_err();
    assert!(error.to_string().contains("ask as root"), "{error}");
    assert!(side.inbox.take().is_none(), "the loop heard nothing of it");
}

#[test]
fn slow_and_silent_clients_hold_nobody_else() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(1));
    let _silent: Vec<_> = (0..10)
        .map(|_| UnixStream::connect(bench.socket()).unwrap())
        .collect();
    let mut half = UnixStream::connect(bench.socket()).unwrap();
    half.write_all(b"{\"ask\"").unwrap();
    let began = Instant::now();
    assert!(asked(&bench.socket()).is_ok());
    assert!(began.elapsed() < Duration::from_millis(500));
    let mut text = String::new();
    half.set_read_timeout(Some(PATIENCE)).unwrap();
    half.read_to_string(&mut text).unwrap();
    assert!(text.contains("no question came in time"), "{text}");
}

#[test]
fn one_client_too_many_is_told_busy_and_room_comes_back() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(1));
    let crowd: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(bench.socket()).unwrap())
        .collect();
    sleep(Duration::from_millis(100));
    let error = asked(&bench.socket()).unwrap_err();
    assert!(error.to_string().contains("busy"), "{error}");
    drop(crowd);
    sleep(Duration::from_millis(300));
    side.board.publish(status(2));
    assert!(asked(&bench.socket()).is_ok());
}

#[test]
fn a_client_that_does_not_read_a_large_answer_holds_nobody_else() {
    let bench = Bench::new();
    let side = bench.side();
    let mut large = status(1);
    large.containers = vec![
        ContainerView {
            why: "x".repeat(1_000),
            ..ContainerView::default()
        };
        5_000
    ];
    side.board.publish(large);
    let mut deaf = UnixStream::connect(bench.socket()).unwrap();
    deaf.write_all(b"{\"ask\":\"status\"}\n").unwrap();
    let answered = asked(&bench.socket()).unwrap();
    assert_eq!(answered.containers.len(), 5_000);
}

#[test]
fn questions_that_are_too_long_or_no_questions_are_refused() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(1));
    for (bytes, reason) in [
        (vec![b' '; 100_000], "too long"),
        (b"{\"ask\":\"everything\"}\n".to_vec(), "not understood"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not understood"),
        (b"\xff\xfe\n".to_vec(), "not understood"),
    ] {
        let answer = raw(&bench.socket(), &bytes);
        assert!(answer.contains(reason), "{answer}");
    }
    let mut early = UnixStream::connect(bench.socket()).unwrap();
    early.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("ended early"), "{answer}");
}

#[test]
fn a_restore_reaches_the_loop_and_its_report_comes_back() {
    let bench = Bench::new();
    let side = bench.side();
    let socket = bench.socket();
    let client = std::thread::spawn(move || ask(&socket, Ask::Restore, PATIENCE).unwrap());
    let report = Restored {
        restored: 3,
        failed: vec!["cpu.max of /a\nb: permission denied".to_owned()],
        ..Restored::default()
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(Request::Restore(reply)) = side.inbox.take() {
            reply.answer(report.clone());
            break;
        }
        sleep(Duration::from_millis(1));
    }
    assert_eq!(client.join().unwrap(), Answer::Restored(report));
}

#[test]
fn a_restore_that_the_loop_drops_is_not_reported_as_done() {
    let bench = Bench::new();
    let side = bench.side();
    let socket = bench.socket();
    let client = std::thread::spawn(move || ask(&socket, Ask::Restore, PATIENCE));
    while side.inbox.take().is_none() {
        sleep(Duration::from_millis(1));
    }
    assert!(matches!(client.join().unwrap(), Err(AskError::Refused(_))));
}

#[test]
fn a_second_governor_does_not_start_and_the_first_goes_on() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(1));
    let error = Side::start(bench.setup()).unwrap_err();
    assert!(
        matches!(error, SideError::Door(DoorError::Another(_))),
        "{error}"
    );
    assert!(asked(&bench.socket()).is_ok());
}

#[test]
fn the_loop_never_waits_while_clients_hammer_the_socket() {
    let bench = Bench::new();
    let side = bench.side();
    side.board.publish(status(0));
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (over, socket) = (Arc::clone(&over), bench.socket());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let _ = ask(&socket, Ask::Status, PATIENCE);
                }
            })
        })
        .collect();
    let mut busy = Duration::ZERO;
    for tick in 0..100 {
        let began = Instant::now();
        while side.inbox.take().is_some() {}
        side.board.publish(status(tick));
        side.board.beat();
        busy += began.elapsed();
        sleep(Duration::from_millis(5));
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    // Generous: the loop's thread may be preempted on a busy machine.
    assert!(busy < Duration::from_millis(500), "{busy:?} in 100 ticks");
}

#[test]
fn a_reload_hands_the_new_policy_to_the_loop_and_tells_the_difference() {
    let bench = Bench::new();
    let setup = bench.setup();
    // The policy in force is the file's, but for the socket, which only the test sets.
    let side = Side::start(setup).unwrap();
    let text = format!(
        "[detect]\nmargin = 3.5\n[runtime]\nsocket = \"{}\"\ndocker = []\n",
        bench.socket().display()
    );
    std::fs::write(bench.dir.path().join("governor.toml"), text).unwrap();
    let answer = ask(&bench.socket(), Ask::Reload, PATIENCE).unwrap();
    let Answer::Reloaded(changes) = answer else {
        panic!("{answer:?}");
    };
    // The watch may have been first: then the question finds nothing left to change.
    assert!(changes.len() <= 1, "{changes:?}");
    let Some(Request::Policy(loaded)) = side.inbox.take() else {
        panic!("the loop was not told");
    };
    assert_eq!(loaded.policy.detect.margin, 3.5);
}

/// Asks for an explanation, which the loop answers in this way.
fn explained(bench: &Bench, side: &Side, name: &str, answer: Explained) -> Explained {
    let socket = bench.socket();
    let question = Ask::Explain {
        container: name.to_owned(),
    };
    let client = std::thread::spawn(move || ask(&socket, question, PATIENCE).unwrap());
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(Request::Explain(asked, reply)) = side.inbox.take() {
            assert_eq!(asked, name);
            reply.answer(answer);
            break;
        }
        sleep(Duration::from_millis(1));
    }
    match client.join().unwrap() {
        Answer::Explained(explained) => explained,
        other => panic!("not an explanation: {other:?}"),
    }
}

#[test]
fn an_explanation_comes_from_the_loop_and_gets_the_time_of_day() {
    let bench = Bench::new();
    let side = bench.side();
    let who = Who {
        name: "redis".to_owned(),
        path: "/system.slice/docker-aa.scope".to_owned(),
    };
    let one = Explained::One(Box::new(Explanation {
        at_us: 7,
        who: who.clone(),
        ..Explanation::default()
    }));
    let Explained::One(one) = explained(&bench, &side, "redis", one) else {
        panic!("not one");
    };
    assert_eq!((one.at_us, one.who.clone()), (7, who.clone()));
    assert!(one.wall_us.is_some());
    let several = Explained::Several(vec![who.clone(), who]);
    assert_eq!(explained(&bench, &side, "redis", several.clone()), several);
}

#[test]
fn a_name_that_nobody_has_gets_the_nearest_that_somebody_has() {
    let bench = Bench::new();
    let side = bench.side();
    let mut status = status(1);
    for name in ["redis-cache", "postgres", &"x".repeat(5_000)] {
        status.containers.push(ContainerView {
            name: name.to_owned(),
            ..ContainerView::default()
        });
    }
    side.board.publish(status);
    let nobody = || Explained::Nobody { nearest: None };
    for (name, meant) in [
        ("redis-cahce", Some("redis-cache")),
        ("post", Some("postgres")),
        ("nginx", None),
    ] {
        let nearest = meant.map(str::to_owned);
        let answer = explained(&bench, &side, name, nobody());
        assert_eq!(answer, Explained::Nobody { nearest }, "{name}");
    }
}

#[test]
fn events_are_asked_for_by_their_numbers_and_another_run_begins_anew() {
    let bench = Bench::new();
    let side = bench.side();
    let told = |text: &str| EventView {
        text: text.to_owned(),
        ..EventView::default()
    };
    let events = |run, after| match ask(&bench.socket(), Ask::Events { run, after }, PATIENCE) {
        Ok(Answer::Events(events)) => events,
        other => panic!("no events: {other:?}"),
    };
    assert!(events(None, 0).events.is_empty());
    side.board.tell(vec![told("one"), told("two")]);
    side.board.tell(vec![told("three")]);
    let all = events(None, 0);
    let texts: Vec<_> = all.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    let numbers = |after| -> Vec<u64> {
        let events = events(Some(all.run), after).events;
        events.iter().map(|event| event.seq).collect()
    };
    assert_eq!(numbers(1), [2, 3]);
    assert!(numbers(3).is_empty());
    assert_eq!(events(Some(all.run ^ 1), 3).events.len(), 3);
}

/// The lines that a program writes, one after the other; fails where the next does not come in time.
struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    fn of(from: impl Read + Send + 'static) -> Lines {
        use std::io::BufRead;
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(from).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines(receiver)
    }

    fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).unwrap()
    }
}

#[test]
fn whoever_follows_sees_each_event_once_and_hears_of_another_run() {
    use std::process::{Command, Stdio};
    let bench = Bench::new();
    let side = bench.side();
    let told = |text: &str| EventView {
        text: text.to_owned(),
        ..EventView::default()
    };
    side.board.tell(vec![told("one")]);
    let config = bench.dir.path().join("client.toml");
    let socket = bench.socket();
    std::fs::write(&config, format!("[runtime]\nsocket = {socket:?}\n")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_governor"))
        .args(["events", "-f", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    let notes = Lines::of(child.stderr.take().unwrap());
    assert!(lines.next().ends_with(" one"));
    side.board.tell(vec![told("two"), told("three")]);
    assert!(lines.next().ends_with(" two"));
    assert!(lines.next().ends_with(" three"));
    side.stop();
    assert!(notes.next().contains("waiting for one"));
    let side = bench.side();
    side.board.tell(vec![told("four")]);
    assert!(lines.next().ends_with(" four"));
    assert!(notes.next().contains("started again"));
    drop(lines);
    side.board.tell(vec![told("five"), told("six")]);
    // Nobody reads any more: it ends by itself.
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE);
        side.board.tell(vec![told("more")]);
        sleep(Duration::from_millis(100));
    }
}
