//! Where the policy comes from: the file that was named, or the first that exists of the usual
//! places, or what is built in.

use std::path::{Path, PathBuf};

use crate::config;
use crate::host::{FileError, read_whole};
use crate::model::{Mode, Policy};
use crate::report::clean;

/// The places that are looked at where no file is named: the operator's before the package's.
pub const SEARCH: [&str; 2] = [
    "/etc/governor/governor.toml",
    "/usr/lib/governor/governor.toml",
];

/// The name shown where no file was found.
pub const BUILT_IN: &str = "built-in";

/// Where to look, and what the command line says over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    places: Vec<PathBuf>,
    named: bool,
    dry_run: bool,
}

/// A policy and where it stood.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The policy, valid as a whole.
    pub policy: Policy,
    /// The file's path, or [`BUILT_IN`].
    pub name: String,
    /// The file's text, for those who shall read it again; empty for what is built in.
    pub text: String,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the policy {path}: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why not.
        why: FileError,
    },
    /// The file was read and is no valid policy: every problem, rendered.
    #[error("{0}")]
    Invalid(String),
}

impl Loaded {
    /// The policy that holds where there is no file.
    #[must_use]
    pub fn built_in() -> Loaded {
        Loaded {
            policy: Policy::default(),
            name: BUILT_IN.to_owned(),
            text: String::new(),
        }
    }
}

impl PolicyFile {
    /// This file and no other.
    #[must_use]
    pub fn named(path: &Path) -> PolicyFile {
        PolicyFile {
            places: vec![path.to_owned()],
            named: true,
            dry_run: false,
        }
    }

    /// The first that exists of [`SEARCH`], else what is built in.
    #[must_use]
    pub fn usual() -> PolicyFile {
        PolicyFile {
            places: SEARCH.map(PathBuf::from).to_vec(),
            named: false,
            dry_run: false,
        }
    }

    /// The same, with nothing written to any knob, whatever the file says.
    #[must_use]
    pub fn with_dry_run(self) -> PolicyFile {
        PolicyFile {
            dry_run: true,
            ..self
        }
    }

    /// The files that may hold the policy, the first to count first.
    #[must_use]
    pub fn places(&self) -> &[PathBuf] {
        &self.places
    }

    /// Reads it, whole, and checks it.
    ///
    /// # Errors
    /// If the named file is missing, a file cannot be read, or it is no valid policy.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        for place in &self.places {
            let path = clean(&place.display().to_string()).into_owned();
            match read_whole(place, config::TEXT_MAX as u64) {
                Ok(bytes) => {
                    let policy = config::parse_bytes(&bytes)
                        .map_err(|problems| LoadError::Invalid(problems.render(&path)))?;
                    return Ok(self.overruled(Loaded {
                        policy,
                        name: path,
                        text: String::from_utf8_lossy(&bytes).into_owned(),
                    }));
                }
                Err(FileError::NotFound) if !self.named => {}
                Err(why) => return Err(LoadError::Unreadable { path, why }),
            }
        }
        Ok(self.overruled(Loaded::built_in()))
    }

    fn overruled(&self, mut loaded: Loaded) -> Loaded {
        if self.dry_run {
            loaded.policy.mode = Mode::DryRun;
        }
        loaded
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files")]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_that_is_missing_is_an_error_and_never_the_default() {
        let error = PolicyFile::named(Path::new("/nonexistent/p.toml"))
            .load()
            .unwrap_err();
        assert!(error.to_string().contains("/nonexistent/p.toml"), "{error}");
    }

    #[test]
    fn without_any_file_the_built_in_policy_holds() {
        let file = PolicyFile {
            places: vec!["/nonexistent/p.toml".into()],
            ..PolicyFile::usual()
        };
        let loaded = file.load().unwrap();
        assert_eq!(loaded.name, BUILT_IN);
        assert_eq!(loaded.policy, Policy::default());
    }

    #[test]
    fn dry_run_overrules_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(&path, "mode = \"enforce\"\n").unwrap();
        let file = PolicyFile::named(&path);
        assert_eq!(file.load().unwrap().policy.mode, Mode::Enforce);
        assert_eq!(
            file.with_dry_run().load().unwrap().policy.mode,
            Mode::DryRun
        );
    }
}
