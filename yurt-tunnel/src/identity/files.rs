//! Keeps key and certificate in a folder, for a program that starts again while the API is away.
//!
//! They are one file, so that they always belong together, for nobody else to read.

use std::io;
use std::path::Path;

use thiserror::Error;
use yurt_common::fs::{read_optional, write_atomic};
use yurt_common::node_certificates::Role;

use super::held::{Held, Unfit};

/// The file in the folder.
pub const NAME: &str = "identity.pem";

/// Why an identity was not kept, or is not there again.
#[derive(Debug, Error)]
pub enum Failure {
    /// The file cannot be read.
    #[error("read `{NAME}`")]
    Read(#[source] io::Error),
    /// It is no text.
    #[error("`{NAME}` is no text")]
    NoText,
    /// It is not that of this program.
    #[error("`{NAME}` is not usable")]
    Unfit(#[source] Unfit),
    /// The file cannot be written.
    #[error("write `{NAME}`; the folder must be writable for the user of this program")]
    Write(#[source] io::Error),
}

/// What is kept; none where nothing is.
pub fn load(folder: &Path, role: Role, node: &str) -> Result<Option<Held>, Failure> {
    let Some(bytes) = read_optional(&folder.join(NAME)).map_err(Failure::Read)? else {
        return Ok(None);
    };
    let pem = String::from_utf8(bytes).map_err(|_| Failure::NoText)?;
    let held = Held::read(&pem, role, node, fastrand::f64()).map_err(Failure::Unfit)?;
    Ok(Some(held))
}

/// Keeps it, in the place of the one before.
pub fn save(folder: &Path, held: &Held) -> Result<(), Failure> {
    write_atomic(&folder.join(NAME), held.pem.as_bytes(), 0o600).map_err(Failure::Write)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use yurt_testkit::ca::{Authority, Leaf};

    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let load = |node| load(folder.path(), Role::TunnelAgent, node);
        assert!(load("edge1").unwrap().is_none());
        let leaf = Leaf::new("edge1").organization(Role::TunnelAgent.organization());
        let identity = Authority::new("a").unwrap().issue(&leaf).unwrap();
        let pem = format!("{}{}", identity.key_pem, identity.cert_pem);
        let held = Held::read(&pem, Role::TunnelAgent, "edge1", 0.0).unwrap();
        save(folder.path(), &held).unwrap();
        let again = load("edge1").unwrap().unwrap();
        assert_eq!(again.certified.cert, held.certified.cert);
        let mode = std::fs::metadata(folder.path().join(NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(
            matches!(load("edge2"), Err(Failure::Unfit(_))),
            "a disk that was copied"
        );
        std::fs::write(folder.path().join(NAME), [0xff]).unwrap();
        assert!(matches!(load("edge1"), Err(Failure::NoText)));
        let missing = folder.path().join("nowhere");
        assert!(matches!(save(&missing, &held), Err(Failure::Write(_))));
    }
}
