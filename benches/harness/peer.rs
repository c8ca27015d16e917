//! The peers, as Debian packages them: how each is started, and the settings that its manual names for
//! hosts of containers. All of them look at memory only, and kill.

use crate::arm::Arm;
use anyhow::bail;
use std::path::Path;

/// The command line that runs it in the foreground.
///
/// # Errors
/// It is not installed, or is none of the peers.
pub(crate) fn command(arm: Arm, work: &Path) -> anyhow::Result<Vec<String>> {
    let (program, words): (&str, Vec<String>) = match arm {
        // Its defaults (kill at 10 % of memory and of swap available), and no report every second.
        Arm::Earlyoom => ("/usr/bin/earlyoom", own(&["-r", "0"])),
        // The profile that looks at PSI as well.
        Arm::Nohang => (
            "/usr/sbin/nohang",
            own(&["--monitor", "--config", "/etc/nohang/nohang-desktop.conf"]),
        ),
        Arm::Oomd => {
            let config = work.join("oomd.json");
            std::fs::write(&config, OOMD)?;
            (
                "/usr/bin/oomd",
                own(&["--config", &config.to_string_lossy()]),
            )
        }
        Arm::SystemdOomd => {
            if !Path::new("/lib/systemd/systemd-oomd").exists() {
                bail!("systemd-oomd is not installed (Debian has it as a package)");
            }
            ("/bin/sh", own(&["-c", SYSTEMD_OOMD]))
        }
        Arm::None | Arm::Static | Arm::Oracle | Arm::Governor => {
            bail!("{} is no peer", arm.word())
        }
    };
    if !Path::new(program).exists() {
        bail!(
            "{} is not installed: no {program} (Debian has it as a package)",
            arm.word()
        );
    }
    Ok(std::iter::once(program.to_owned()).chain(words).collect())
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Kill the largest of our groups when all of them together have waited for memory for 60 % of ten
/// seconds: the example of its manual, over our groups.
const OOMD: &str = r#"{
  "rulesets": [{
    "name": "memory pressure in the containers",
    "detectors": [[
      "pressure",
      { "name": "pressure_rising_beyond",
        "args": { "cgroup": "governorbench.slice", "resource": "memory", "threshold": "60", "duration": "5" } }
    ]],
    "actions": [
      { "name": "kill_by_memory_size_or_growth", "args": { "cgroup": "governorbench.slice/*" } }
    ]
  }]
}
"#;

/// systemd-oomd is a service that watches what systemd tells it to: our slice, for pressure (its default limit of
/// 60 %) and for swap. A service in the slice that wants every controller keeps systemd from turning them off
/// in it. What it costs is spent in its own unit, and not seen here.
const SYSTEMD_OOMD: &str = "
slice=governorbench.slice
end() {
    systemctl --quiet stop systemd-oomd.socket systemd-oomd.service
    exit 0
}
trap end TERM
systemd-run --quiet --collect --unit=governorbench-keeper --slice=$slice -p CPUWeight=100 -p IOWeight=100 \
    -p MemoryAccounting=yes -p TasksAccounting=yes sleep infinity
systemctl --quiet set-property --runtime $slice ManagedOOMMemoryPressure=kill ManagedOOMSwap=kill
systemctl --quiet start systemd-oomd.service
while :; do sleep 1; done
";

/// What is left of systemd-oomd's arm when its knobs have been looked at: systemd takes the controllers out of a slice
/// that nobody wants any more.
pub(crate) fn put_away() {
    for words in [
        [
            "stop",
            "governorbench-keeper.service",
            "governorbench.slice",
        ]
        .as_slice(),
        ["revert", "governorbench.slice"].as_slice(),
    ] {
        let _ = std::process::Command::new("systemctl")
            .arg("--quiet")
            .args(words)
            .status();
    }
}
