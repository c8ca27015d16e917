//! A folder that holds nothing but our own files, for our eyes only.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where recordings are made and removed"
)]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder that is there. Files in it are called by their names.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`; if it is missing it is made, with those above it, for its owner only.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn make(path: &Path) -> Result<Folder> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Folder {
            path: path.to_owned(),
        })
    }

    /// The names of the regular files whose names end so, sorted, with their sizes in bytes.
    ///
    /// # Errors
    /// Whatever the system says; one that vanishes meanwhile is left out.
    pub fn files(&self, end: &str) -> Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            match entry.metadata() {
                Ok(found) if found.is_file() && name.ends_with(end) => {
                    files.push((name, found.len()));
                }
                _ => {}
            }
        }
        files.sort();
        Ok(files)
    }

    /// A new file, for its owner only.
    ///
    /// # Errors
    /// Whatever the system says, also where there is a file of this name.
    pub fn create(&self, name: &str) -> Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(self.at(name)?)
    }

    /// The file of this name, to be read.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(&self, name: &str) -> Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(self.at(name)?)
    }

    /// Gives a file another name, in place of any that has it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        std::fs::rename(self.at(from)?, self.at(to)?)
    }

    /// Gives a file that was written whole its name, in place of any that has it, such that neither a
    /// half of it nor another name is there after a crash. Waits for the disk.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn settle(&self, file: &File, from: &str, to: &str) -> Result<()> {
        file.sync_all()?;
        self.rename(from, to)?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn remove(&self, name: &str) -> Result<()> {
        std::fs::remove_file(self.at(name)?)
    }

    /// Where this is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name never leads out of the folder.
    fn at(&self, name: &str) -> Result<PathBuf> {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_for_its_owner_only_and_never_over_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(&dir.path().join("a/b")).unwrap();
        folder.create("1.gvt").unwrap().write_all(b"xy").unwrap();
        folder.create("0.gvt").unwrap();
        folder.create("other").unwrap();
        assert!(folder.create("1.gvt").is_err());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join("1.gvt")), 0o600);
        let files = folder.files(".gvt").unwrap();
        assert_eq!(files, [("0.gvt".to_owned(), 0), ("1.gvt".to_owned(), 2)]);
        folder.rename("0.gvt", "1.gvt").unwrap();
        folder.remove("1.gvt").unwrap();
        assert!(folder.files(".gvt").unwrap().is_empty());
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(&dir.path().join("a")).unwrap();
        for name in ["../x", "", ".", "..", "/etc/passwd"] {
            assert!(folder.create(name).is_err(), "{name}");
        }
    }
}
