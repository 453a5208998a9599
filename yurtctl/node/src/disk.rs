//! Changes of files, each durable when it returns: what is in the file, and that the folder has it.
//!
//! Nothing else in this crate changes files, so that tests can interrupt it, or fill the disk, at every single change
//! (`disk/trial.rs`).

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use yurt_common::fs::{sync_folder_of, write_atomic};

#[cfg(test)]
pub(crate) mod trial;

/// One change.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// A whole file, in the place of what was there.
    Write {
        /// Where.
        path: &'a Path,
        /// What it holds.
        bytes: &'a [u8],
        /// Its permissions.
        mode: u32,
    },
    /// More at the end of an open file.
    Append {
        /// The file, open for appending.
        file: &'a File,
        /// What is added.
        bytes: &'a [u8],
    },
    /// The end of an open file goes.
    Cut {
        /// The file.
        file: &'a File,
        /// How many bytes stay.
        len: u64,
    },
    /// A symbolic link, in the place of what was there.
    Link {
        /// Where.
        path: &'a Path,
        /// Where it leads.
        target: &'a Path,
    },
    /// A folder, in one that is there; one that is there already is left as it is.
    MakeFolder {
        /// Where.
        path: &'a Path,
        /// Its permissions.
        mode: u32,
    },
    /// A file gets another name on its disk.
    Rename {
        /// The old name.
        from: &'a Path,
        /// The new name, in the place of what was there.
        to: &'a Path,
    },
    /// A file or a link goes, if it is there.
    Remove(&'a Path),
    /// A folder goes with all that is in it, if it is there.
    RemoveFolder(&'a Path),
    /// A folder goes, if it is there and empty.
    RemoveEmpty(&'a Path),
}

/// Makes a change.
pub(crate) fn make(change: &Change<'_>) -> io::Result<()> {
    #[cfg(test)]
    trial::before(change)?;
    match *change {
        Change::Write { path, bytes, mode } => write_atomic(path, bytes, mode),
        Change::Append { mut file, bytes } => {
            file.write_all(bytes)?;
            file.sync_data()
        }
        Change::Cut { file, len } => {
            file.set_len(len)?;
            file.sync_data()
        }
        Change::Link { path, target } => link(target, path),
        Change::MakeFolder { path, mode } => make_folder(path, mode),
        Change::Rename { from, to } => {
            fs::rename(from, to)?;
            sync_folder_of(from)?;
            sync_folder_of(to)
        }
        Change::Remove(path) => gone(path, fs::remove_file(path)),
        Change::RemoveFolder(path) => gone(path, fs::remove_dir_all(path)),
        Change::RemoveEmpty(path) => match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => gone(path, removed),
        },
    }
}

/// [`Change::Write`].
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    make(&Change::Write { path, bytes, mode })
}

/// [`Change::Remove`], with what an interrupted [`Change::Write`] may have left beside it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    make(&Change::Remove(path))?;
    make(&Change::Remove(&temporary(path)))
}

/// Where a file is while it is written ([`write_atomic`]).
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn link(target: &Path, path: &Path) -> io::Result<()> {
    let temporary = temporary(path);
    gone(&temporary, fs::remove_file(&temporary))?;
    symlink(target, &temporary)?;
    fs::rename(&temporary, path)?;
    sync_folder_of(path)
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    // The mode of `mkdir` is cut by the umask.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    sync_folder_of(path)
}

/// What was removed stays removed; what was not there need not be removed.
fn gone(path: &Path, removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_takes_the_place_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link");
        for target in ["/one", "/two"] {
            make(&Change::Link {
                path: &path,
                target: Path::new(target),
            })
            .unwrap();
            assert_eq!(fs::read_link(&path).unwrap(), Path::new(target));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_has_the_mode_that_was_asked_for_unless_it_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        make(&Change::MakeFolder {
            path: &path,
            mode: 0o777,
        })
        .unwrap();
        assert_eq!(mode(), 0o777);
        make(&Change::MakeFolder {
            path: &path,
            mode: 0o700,
        })
        .unwrap();
        assert_eq!(mode(), 0o777);
    }

    #[test]
    fn what_is_not_there_is_removed_already_and_a_folder_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = folder.path().join("nothing");
        remove(&nothing).unwrap();
        make(&Change::RemoveFolder(&nothing)).unwrap();
        make(&Change::RemoveEmpty(&nothing)).unwrap();
        let file = folder.path().join("file");
        write(&file, b"1", 0o600).unwrap();
        make(&Change::RemoveEmpty(folder.path())).unwrap();
        assert!(file.exists());
    }
}
