//! `/init` of the light rig: makes the machine usable, runs the tests in a child, tells the lab the
//! outcome, and switches off. The protocol is at the head of `tests/lab/lib/light.sh`.

use rustix::fs::CWD;
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, finit_module, reboot};
use std::ffi::{CStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;

/// What the host is told when not even the tests could be started.
const BROKEN: i32 = 120;

/// Never returns: an init that does is a kernel panic.
pub(crate) fn run() -> ! {
    let code = match prepare().and_then(|()| tests()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("init: {why:#}");
            BROKEN
        }
    };
    if let Err(why) = fs::write("/dev/ttyS1", format!("LAB-EXIT {code}\n")) {
        eprintln!("init: no verdict: {why}");
    }
    let refused = reboot(RebootCommand::Restart);
    panic!("reboot: {refused:?}");
}

fn prepare() -> anyhow::Result<()> {
    let mounts = [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("cgroup2", "/sys/fs/cgroup"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
    ];
    for (kind, on) in mounts {
        fs::create_dir_all(on)?;
        mount(kind, on, kind, MountFlags::empty(), None)
            .map_err(|e| anyhow::anyhow!("mount {kind} on {on}: {e}"))?;
    }
    let mut modules: Vec<_> = fs::read_dir("/lab/modules")?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    modules.sort();
    for module in modules {
        let file = fs::File::open(&module)?;
        finit_module(&file, parameters(&module), 0)
            .map_err(|e| anyhow::anyhow!("{}: {e}", module.display()))?;
    }
    // The only disk that a test may ask for is an ext4 for data.
    if fs::exists("/dev/vda")? {
        fs::create_dir_all("/data")?;
        mount("/dev/vda", "/data", "ext4", MountFlags::empty(), None)
            .map_err(|e| anyhow::anyhow!("mount /dev/vda: {e}"))?;
    }
    rustix::fs::accessat(
        CWD,
        "/sys/fs/cgroup/cgroup.controllers",
        rustix::fs::Access::READ_OK,
        rustix::fs::AtFlags::empty(),
    )?;
    Ok(())
}

/// A disk of the virtual clock: it stores nothing, and takes 2.5 ms for each operation, one after the other.
fn parameters(module: &Path) -> &'static CStr {
    let name = module.file_stem().and_then(|name| name.to_str());
    if name.is_some_and(|name| name.ends_with("null_blk")) {
        c"nr_devices=1 gb=1 bs=4096 queue_mode=2 submit_queues=1 hw_queue_depth=1 irqmode=2 completion_nsec=2500000"
    } else {
        c""
    }
}

/// Runs this binary again as the test runner, and reaps everybody's orphans meanwhile.
fn tests() -> anyhow::Result<i32> {
    let arguments = fs::read("/lab/args")?;
    let arguments = arguments
        .split(|byte| *byte == 0)
        .map(|argument| OsString::from_vec(argument.to_vec()));
    let environment = fs::read_to_string("/lab/env")?;
    let environment = environment.lines().filter_map(|line| line.split_once('='));
    let mut command = Command::new("/proc/self/exe");
    // The last argument is ended by a NUL too: what follows it is none.
    command.args(arguments.filter(|argument| !argument.is_empty()));
    command.env("PATH", "/bin").envs(environment);
    let child = i32::try_from(command.spawn()?.id())?;
    loop {
        if let Some((pid, status)) = wait(WaitOptions::empty())?
            && pid.as_raw_nonzero().get() == child
        {
            return Ok(status.exit_status().unwrap_or(BROKEN));
        }
    }
}
