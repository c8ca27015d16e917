//! One fuzz target per grammar: `GOVERNOR_FUZZ=<name>` chooses among the files of this directory.
//!
//! Problem: parsers meet bytes that a container chose. Approach: each file here says what must hold
//! for *any* bytes, beyond that nothing panics; libFuzzer looks for bytes for which it does not.
//! `tests/fuzz/run` builds this test with coverage and the address sanitizer and runs each target
//! for a while. Without that (plain `cargo test`) the same claims are held against the captured
//! kernel files and against every input that once broke one (`tests/fuzz/kept/<name>/`).
//!
//! One binary for all, because linking it takes longer than a short run; libFuzzer follows only the
//! code that runs, so that the targets do not disturb each other.
#![cfg_attr(fuzzing, no_main)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's driver: it reads seeds and which target it is"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a failed claim of a fuzz target is a panic"
)]

mod boot_config;
mod controllers;
mod cpu_max;
mod flat;
mod journal;
mod knob;
mod loadavg;
mod meminfo;
mod mountinfo;
mod nested;
mod pids;
mod policy;
mod proc_stat;
mod psi;
mod schedstat;
mod self_cgroup;
mod single;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};

/// One grammar.
struct Target {
    /// The name of its file here.
    name: &'static str,
    /// Panics if the bytes break a claim.
    check: fn(&[u8]),
    /// Where to begin: captured files of both kernels by name, or paths from the package's root.
    seeds: &'static [&'static str],
}

const TARGETS: &[Target] = &[
    boot_config::TARGET,
    controllers::TARGET,
    cpu_max::TARGET,
    flat::TARGET,
    journal::TARGET,
    knob::TARGET,
    loadavg::TARGET,
    meminfo::TARGET,
    mountinfo::TARGET,
    nested::TARGET,
    pids::TARGET,
    policy::TARGET,
    proc_stat::TARGET,
    psi::TARGET,
    schedstat::TARGET,
    self_cgroup::TARGET,
    single::TARGET,
    trace::TARGET,
];

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Target {
    /// The files that hold the seeds, and the inputs that were kept.
    fn inputs(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for seed in self.seeds {
            let of_kernels =
                ["6.1", "6.12"].map(|k| package(&format!("tests/fixtures/{k}/{seed}")));
            let found: Vec<PathBuf> = of_kernels
                .into_iter()
                .chain([package(seed)])
                .filter(|file| file.is_file())
                .collect();
            assert!(!found.is_empty(), "{}: no seed {seed}", self.name);
            files.extend(found);
        }
        if let Ok(kept) = fs::read_dir(package("tests/fuzz/kept").join(self.name)) {
            files.extend(kept.flatten().map(|entry| entry.path()));
        }
        files
    }
}

/// The text with a line behind it that no kernel has yet: what is read must not change by it.
fn with_a_new_line(text: &[u8]) -> Vec<u8> {
    [text, b"governor_fuzz 1\n"].concat()
}

#[cfg(fuzzing)]
mod fuzzing {
    use super::{TARGETS, Target, fs};
    use std::sync::LazyLock;

    static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
        let name = std::env::var("GOVERNOR_FUZZ").expect("GOVERNOR_FUZZ names a target");
        TARGETS
            .iter()
            .find(|target| target.name == name)
            .unwrap_or_else(|| panic!("no target {name}"))
    });

    /// Puts the seeds where libFuzzer looks for its corpus, before it looks.
    fn plant() {
        if let Ok(corpus) = std::env::var("GOVERNOR_FUZZ_CORPUS") {
            for (number, file) in CHOSEN.inputs().into_iter().enumerate() {
                fs::copy(&file, format!("{corpus}/seed-{number}")).expect("seeds can be copied");
            }
        }
    }

    libfuzzer_sys::fuzz_target!(init: plant(), |bytes: &[u8]| {
        (CHOSEN.check)(bytes);
    });
}

#[cfg(not(fuzzing))]
mod plain {
    use super::{TARGETS, fs, package};

    #[test]
    fn every_seed_and_every_kept_input_keeps_the_claims_of_its_target_whole_and_cut() {
        for target in TARGETS {
            for file in target.inputs() {
                let bytes = fs::read(&file).expect("seeds can be read");
                // Each cut of a small file; of a large one those around its first lines.
                for cut in (0..bytes.len().min(512)).chain([bytes.len()]) {
                    (target.check)(&bytes[..cut]);
                }
            }
        }
    }

    #[test]
    fn every_file_here_is_a_target_and_has_its_name() {
        let mut files: Vec<String> = fs::read_dir(package("tests/fuzz"))
            .expect("tests/fuzz")
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
            .filter(|name| name != "main")
            .collect();
        files.sort();
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(files, names);
    }
}
