//! The program as a person at a shell meets it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and writes files"
)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn governor() -> Command {
    let mut command = Command::cargo_bin("governor").unwrap();
    command.timeout(std::time::Duration::from_secs(30));
    command
}

/// A policy file with this text, in a folder that lives as long as the test holds it.
fn policy(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("governor.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn check(path: &Path) -> assert_cmd::assert::Assert {
    governor().arg("check").arg(path).assert()
}

#[test]
fn without_a_verb_the_usage_is_shown_and_the_code_says_so() {
    governor().assert().code(2).stderr(contains("Usage"));
    governor().arg("frobnicate").assert().code(2);
    governor().args(["check", "a", "b"]).assert().code(2);
}

#[test]
fn help_tells_every_exit_code() {
    let mut assert = governor().arg("--help").assert().code(0);
    for code in 0..=6 {
        assert = assert.stdout(contains(format!("\n  {code}  ")));
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = format!("governor {}\n", env!("CARGO_PKG_VERSION"));
    governor().arg("--version").assert().code(0).stdout(version);
}

#[test]
fn a_valid_policy_is_said_to_be_valid() {
    let (_dir, path) = policy("mode = \"dry-run\"\n");
    check(&path).code(0).stdout(contains("valid"));
}

#[test]
fn all_problems_of_a_policy_are_shown_at_once_with_their_places() {
    let (_dir, path) = policy("mod = \"enforce\"\n[cpu]\ncap_floor = \"much\"\nenforce = 1\n");
    check(&path)
        .code(2)
        .stdout("")
        .stderr(contains("governor.toml:1"))
        .stderr(contains("mode"))
        .stderr(contains("governor.toml:3"))
        .stderr(contains("governor.toml:4"));
}

#[test]
fn a_policy_that_cannot_be_read_says_why_and_each_cause_has_its_code() {
    let dir = tempfile::tempdir().unwrap();
    check(&dir.path().join("none"))
        .code(2)
        .stderr(contains("no such file"));
    check(dir.path())
        .code(2)
        .stderr(contains("not a regular file"));
    let (_dir, path) = policy(vec![b'#'; 1 << 20]);
    check(&path).code(2).stderr(contains("too large"));
    let (_dir, path) = policy(b"mode = \"\xff\"\n");
    check(&path).code(2).stderr(contains("UTF-8"));
}

#[test]
fn a_file_name_and_a_text_that_are_hostile_do_not_reach_the_terminal_raw() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("\x1b[2Jx\ny.toml");
    std::fs::write(&path, "\x1b[31m = \"\x1b]0;owned\x07\"\n").unwrap();
    check(&path).code(2).stderr(contains("\x1b").not());
    std::fs::remove_file(&path).unwrap();
    check(&path).code(2).stderr(contains("\x1b").not());
}

/// A policy whose socket and state folder are in this folder, where no governor runs.
fn nobody(dir: &Path) -> PathBuf {
    let path = dir.join("governor.toml");
    let at = dir.display();
    let text = format!("[runtime]\nsocket = \"{at}/s\"\nstate = \"{at}/state\"\ndocker = []\n");
    std::fs::write(&path, text).unwrap();
    path
}

fn has_cgroup_v2() -> bool {
    governor::host::find_root().is_ok()
}

#[test]
fn without_daemon_and_cgroup_v2_a_status_says_what_is_missing_and_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let config = nobody(dir.path());
    let mut command = governor();
    let assert = command.args(["status", "--config"]).arg(&config).assert();
    if has_cgroup_v2() {
        assert.code(0).stdout(contains("direct sample"));
    } else {
        assert
            .code(3)
            .stdout("")
            .stderr(contains("no governor runs").and(contains("cgroup")));
    }
}

#[test]
fn a_socket_that_a_dead_governor_left_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let config = nobody(dir.path());
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap());
    let mut command = governor();
    let output = command
        .args(["status", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("left behind by one that died"), "{said}");
}

#[test]
fn a_broken_policy_does_not_keep_a_status_from_being_asked_for() {
    let (_dir, path) = policy("mode = 1\n");
    let mut command = governor();
    let output = command
        .args(["status", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(2));
}

#[test]
fn the_doctor_answers_on_any_host_in_both_forms() {
    let code = predicate::in_iter([0, 3, 4, 6]);
    governor()
        .arg("doctor")
        .assert()
        .code(code.clone())
        .stdout(contains("cgroup").and(contains("not claimed")));
    let mut command = governor();
    let assert = command.args(["doctor", "--json"]).assert().code(code);
    let json: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(json["checks"][0]["name"], "kernel");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_governor"))
        .arg("doctor")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
