//! Writing files so that a power cut leaves the old content or the new one, never a part.
//!
//! The only place that writes whole files; what is a database has its own rules (`yurthub-store`).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Replaces `path` by `contents` with permissions `mode`, whatever the umask is: temporary file in the same folder,
/// fsync, rename, fsync of the folder. Where that fails, no temporary file is left to take the space.
pub fn write_atomic(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("path has no file name"))?;
    let mut temporary = name.to_os_string();
    temporary.push(".tmp");
    let temporary = path.with_file_name(temporary);
    let written = write_synced(&temporary, contents, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written?;
    sync_folder_of(path)
}

fn write_synced(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // The mode of `open` is cut by the umask, and does not count for a file that an earlier crash has left.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Makes durable that `path` was made, renamed or removed: fsync of the folder that it is in.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("path has no parent folder"))?;
    File::open(folder)?.sync_all()
}

/// The content of `path`, or `None` where there is no such file.
pub fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        write_atomic(&path, b"a long first version", 0o600).unwrap();
        write_atomic(&path, b"second", 0o600).unwrap();
        assert_eq!(read_optional(&path).unwrap().unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn permissions_are_those_that_were_asked_for_whatever_the_umask_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        // A umask of 0 is nobody's: bits for the group and for others are those that it takes.
        write_atomic(&path, b"1", 0o777).unwrap();
        assert_eq!(mode(&path), 0o777);

        // An earlier crash has left a temporary file for everybody to read.
        let temporary = folder.path().join("program.tmp");
        fs::write(&temporary, b"half").unwrap();
        fs::set_permissions(&temporary, Permissions::from_mode(0o666)).unwrap();
        write_atomic(&path, b"secret", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_write_that_fails_leaves_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        write_atomic(&path, b"text", 0o600).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_optional(&folder.path().join("nothing")).unwrap().is_none());
    }
}
