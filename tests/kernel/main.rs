//! The kernel tests: what is true on a real Linux, tried on a real Linux.
//!
//! One binary, several roles. As PID 1 it is the `/init` of the lab's light rig ([`init`]); started by
//! that, or by root on any host with a usable cgroup v2, it is a test runner; with `KERNEL_RIG=full` the runner of the
//! campaigns on the full system; and `kernel demo` tells the demo's story, `kernel record` plays what `tests/traces`
//! is made of. `tests/kernel/run` builds it, boots it on every kernel of the lab and adds up. Nothing is ever skipped here: a test
//! that cannot run fails and says what is missing.
//!
//! A test gets a fresh subtree of cgroups ([`rig::Rig`]), starts loads in them ([`load::Load`]) and
//! the real `governor run` beside them ([`daemon::Daemon`]), and looks at the kernel's files.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test runner: it lives on clocks, files, processes and output, and fails by panicking"
)]

mod benign;
mod codec;
mod container;
mod cpu;
mod daemon;
mod demo;
mod disk;
mod explain;
mod frozen;
mod full;
mod host;
mod hostile;
mod init;
mod kills;
mod last;
mod load;
mod pids;
mod replay;
mod rig;
mod scene;
mod smoke;
mod storage;
mod table;
mod traces;
mod writers;

use libtest_mimic::{Arguments, ColorSetting, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::run();
    }
    if std::env::args().nth(1).is_some_and(|word| word == "demo") {
        return demo::run();
    }
    if std::env::args().nth(1).is_some_and(|word| word == "hammer") {
        return kills::hammer();
    }
    if std::env::args().nth(1).is_some_and(|word| word == "record") {
        return traces::record();
    }
    let mut arguments = Arguments::from_args();
    // Tests own the CPUs while they run: two at once would measure each other.
    arguments.test_threads = Some(1);
    arguments.color = Some(ColorSetting::Never);
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    if std::env::var("KERNEL_RIG").is_ok_and(|rig| rig == "full") {
        return [full::trials(), writers::full_trials()]
            .into_iter()
            .flatten()
            .collect();
    }
    [
        smoke::trials(),
        codec::trials(),
        cpu::trials(),
        benign::trials(),
        host::trials(),
        hostile::trials(),
        pids::trials(),
        last::trials(),
        disk::trials(),
        replay::trials(),
        explain::trials(),
        kills::trials(),
        writers::trials(),
        frozen::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A trial from a function that panics when the claim in its name is false.
fn trial(name: &str, claim: fn()) -> Trial {
    Trial::test(name, move || {
        claim();
        Ok(())
    })
}
