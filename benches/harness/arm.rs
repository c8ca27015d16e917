//! The arms: who is to help while the attack lasts.

use crate::scenario::Scenario;
use crate::tool::{Tool, ToolPlaces};
use serde::{Deserialize, Serialize};

/// Who is to help.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arm {
    /// Nobody: what the attack does.
    #[default]
    None,
    /// Limits that an operator set for good.
    Static,
    /// An all-knowing hand: limits at the attack's start, away at its end.
    Oracle,
    /// `governor run`.
    Governor,
    /// Debian's systemd-oomd.
    SystemdOomd,
    /// Debian's earlyoom.
    Earlyoom,
    /// Debian's oomd.
    Oomd,
    /// Debian's nohang.
    Nohang,
}

impl Arm {
    /// All, in the order of tables.
    pub(crate) const ALL: [Arm; 8] = [
        Arm::None,
        Arm::Static,
        Arm::SystemdOomd,
        Arm::Earlyoom,
        Arm::Oomd,
        Arm::Nohang,
        Arm::Governor,
        Arm::Oracle,
    ];

    /// Its word on the command line and in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Arm::None => "none",
            Arm::Static => "static",
            Arm::Oracle => "oracle",
            Arm::Governor => "governor",
            Arm::SystemdOomd => "systemd-oomd",
            Arm::Earlyoom => "earlyoom",
            Arm::Oomd => "oomd",
            Arm::Nohang => "nohang",
        }
    }

    /// Whether it has anything to do in the scenario: an arm without limits would be `none` again.
    pub(crate) fn applies(self, scenario: &Scenario) -> bool {
        match self {
            // The peers look at memory only, and are asked of every scenario: what they leave alone is told by figures.
            Arm::None
            | Arm::Governor
            | Arm::SystemdOomd
            | Arm::Earlyoom
            | Arm::Oomd
            | Arm::Nohang => true,
            Arm::Static => !scenario.fixed.is_empty(),
            Arm::Oracle => !scenario.oracle.is_empty(),
        }
    }

    /// Starts the arm's program, if it is one.
    ///
    /// # Errors
    /// The program is missing, or does not get ready.
    pub(crate) fn start(
        self,
        scenario: &Scenario,
        places: &ToolPlaces<'_>,
    ) -> anyhow::Result<Option<Tool>> {
        match self {
            Arm::None | Arm::Static | Arm::Oracle => Ok(None),
            Arm::Governor => Tool::governor(&scenario.policy, places).map(Some),
            Arm::SystemdOomd | Arm::Earlyoom | Arm::Oomd | Arm::Nohang => {
                Tool::peer(self, places).map(Some)
            }
        }
    }
}
