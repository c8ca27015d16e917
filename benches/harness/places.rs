//! Where a run has its files, and what stands for that in a scenario.

use crate::scene::Scene;
use anyhow::{Context, bail};
use rustix::fs::{major, minor};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A run's places. The folders go away with it.
pub(crate) struct Places {
    work: Folder,
    data: Folder,
    device: Option<PathBuf>,
}

/// In memory.
const WORK: &str = "/run/governor-bench";
/// What stands for the number of CPUs.
pub(crate) const CPUS: &str = "{cpus}";
/// Below a folder on a disk.
const DATA: &str = "governor-bench-data";

impl Places {
    /// Fresh ones: in memory, below `data` on a disk, and a block device that may be overwritten.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub(crate) fn new(data: &Path, device: Option<&Path>) -> anyhow::Result<Places> {
        Ok(Places {
            work: Folder::new(PathBuf::from(WORK))?,
            data: Folder::new(data.join(DATA))?,
            device: device.map(Path::to_owned),
        })
    }

    /// The folder in memory.
    pub(crate) fn work(&self) -> &Path {
        &self.work.0
    }

    /// The folder on a disk.
    pub(crate) fn data(&self) -> &Path {
        &self.data.0
    }

    /// The block device.
    pub(crate) fn device(&self) -> Option<&Path> {
        self.device.as_deref()
    }

    /// The words with `{work}`, `{data}`, `{groups}` (where the containers' cgroups are) and `{device}` replaced by paths, `{data.number}` and
    /// `{device.number}` by `MAJOR:MINOR`, as in `io.max`, and `{cpus}` by how many there are.
    ///
    /// # Errors
    /// A device is wanted, and none was named.
    pub(crate) fn fill(&self, words: &[String]) -> anyhow::Result<Vec<String>> {
        words.iter().map(|word| self.one(word)).collect()
    }

    /// As [`Places::fill`], of one text.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn one(&self, text: &str) -> anyhow::Result<String> {
        let mut text = text
            .replace("{work}", &self.work.0.to_string_lossy())
            .replace("{data}", &self.data.0.to_string_lossy())
            .replace("{groups}", &Scene::stage().to_string_lossy())
            .replace(CPUS, &cpus().to_string());
        if text.contains("{data.number}") {
            let device = std::fs::metadata(&self.data.0)?.dev();
            text = text.replace("{data.number}", &number(device));
        }
        if text.contains("{device") {
            let Some(device) = &self.device else {
                bail!("this scenario needs a block device that may be overwritten: --device");
            };
            let facts = std::fs::metadata(device).with_context(|| device.display().to_string())?;
            text = text
                .replace("{device}", &device.to_string_lossy())
                .replace("{device.number}", &number(facts.rdev()));
        }
        Ok(text)
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn number(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// A folder that goes away with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf) -> anyhow::Result<Folder> {
        // What a harness left that was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_a_device_is_told_how_to_name_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places {
            work: Folder(folder.path().join("work")),
            data: Folder(folder.path().join("data")),
            device: None,
        };
        let refused = places
            .one("disk read --path {device}")
            .expect_err("none is named");
        assert!(refused.to_string().contains("--device"), "{refused}");
        let filled = places.one("{work}/redis.sock").expect("a path");
        assert!(filled.ends_with("work/redis.sock"), "{filled}");
        let filled = places.one("{cpus}").expect("a number");
        assert!(
            filled.parse::<usize>().is_ok_and(|cpus| cpus > 0),
            "{filled}"
        );
    }
}
