//! Whom an agent trusts: the authorities in a file, read again whenever it is another one.
//!
//! The file is a key of a mounted ConfigMap. Kubernetes changes it by turning a symbolic link: a poll finds that and cannot go
//! deaf. Invariant: what cannot be read changes nothing; the last authorities that could be read are trusted still.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};
use yurt_common::node_certificates::verifier::{BadTrust, authorities};

use crate::complaint::Complaint;

/// A ConfigMap is not larger.
const LARGEST: u64 = 1 << 20;
/// Time between two looks.
pub const INTERVAL: Duration = Duration::from_secs(3);

/// Why a file is not taken.
#[derive(Debug, Error)]
pub enum Unusable {
    /// It is not there. The ConfigMap may be made later than the pod that has it as a volume.
    #[error("it is not there yet; yurt-controller-manager makes ConfigMap yurt-tunnel-trust")]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is larger than a ConfigMap can be.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// It has no authorities.
    #[error("what it says makes no sense")]
    Bad(#[source] BadTrust),
}

/// A file that is followed.
#[derive(Debug)]
pub struct TrustFile {
    path: PathBuf,
    /// What was taken last.
    taken: Option<String>,
    complaint: Complaint,
    roots: watch::Sender<Arc<RootCertStore>>,
}

impl TrustFile {
    /// Reads `path`, which need not be there yet. Until it was read once there are no authorities, and nobody is trusted.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let mut file = Self {
            path: path.into(),
            taken: None,
            complaint: Complaint::default(),
            roots: watch::Sender::new(Arc::new(RootCertStore::empty())),
        };
        file.look();
        file
    }

    /// Whom to trust.
    pub fn roots(&self) -> watch::Receiver<Arc<RootCertStore>> {
        self.roots.subscribe()
    }

    /// Looks every `interval`, for ever.
    pub async fn follow(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Looks once, and tells of what is new. The file is small, and in memory.
    fn look(&mut self) {
        let path = self.path.display();
        match read(&self.path).and_then(|text| self.parsed(text)) {
            Ok(None) => self.complaint.settle(),
            Ok(Some((text, roots))) => {
                info!(file = %path, authorities = roots.len(), "trusted from now on");
                self.taken = Some(text);
                self.complaint.settle();
                self.roots.send_replace(Arc::new(roots));
            }
            Err(why) => {
                if let Some(why) = self.complaint.anew(&why) {
                    warn!(file = %path, why, "not taken; who was trusted is trusted still");
                }
            }
        }
    }

    /// `None` where it is the text that was taken last.
    fn parsed(&self, text: String) -> Result<Option<(String, RootCertStore)>, Unusable> {
        if self.taken.as_ref() == Some(&text) {
            return Ok(None);
        }
        let roots = authorities(&text).map_err(Unusable::Bad)?;
        Ok(Some((text, roots)))
    }
}

fn read(path: &Path) -> Result<String, Unusable> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::Missing,
        _ => Unusable::Unreadable(error),
    };
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(Unusable::TooLarge);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use yurt_testkit::ca::Authority;

    use super::*;

    /// A folder as Kubernetes mounts a ConfigMap: a key is a link through `..data`, which is turned as a whole.
    struct Volume(tempfile::TempDir);

    impl Volume {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            symlink("..data/ca.crt", folder.path().join("ca.crt")).unwrap();
            Self(folder)
        }

        fn set(&self, version: &str, text: &str) {
            let folder = self.0.path();
            std::fs::create_dir(folder.join(version)).unwrap();
            std::fs::write(folder.join(version).join("ca.crt"), text).unwrap();
            symlink(version, folder.join("..data_tmp")).unwrap();
            std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        }

        fn file(&self) -> TrustFile {
            TrustFile::open(self.0.path().join("ca.crt"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_configmap_that_comes_late_and_changes_is_followed() {
        let (one, other) = (Authority::new("a").unwrap(), Authority::new("b").unwrap());
        let volume = Volume::new();
        let file = volume.file();
        let mut roots = file.roots();
        assert!(roots.borrow_and_update().is_empty());
        let follows = tokio::spawn(file.follow(INTERVAL));
        volume.set("v1", &one.pem());
        roots.changed().await.unwrap();
        assert_eq!(roots.borrow_and_update().len(), 1);
        volume.set("v2", &format!("{}{}", one.pem(), other.pem()));
        roots.changed().await.unwrap();
        assert_eq!(roots.borrow_and_update().len(), 2);
        follows.abort();
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let volume = Volume::new();
        volume.set("v1", &Authority::new("a").unwrap().pem());
        let mut file = volume.file();
        let mut roots = file.roots();
        roots.mark_unchanged();
        let many = Authority::new("b").unwrap().pem().repeat(17);
        for (number, bad) in ["", "rubbish", &many, &"x".repeat(2 << 20)]
            .into_iter()
            .enumerate()
        {
            volume.set(&format!("bad{number}"), bad);
            file.look();
            assert!(file.complaint.told().is_some(), "{number}");
            assert!(!roots.has_changed().unwrap(), "{number}");
            assert_eq!(roots.borrow().len(), 1);
        }
        std::fs::remove_file(volume.0.path().join("..data")).unwrap();
        file.look();
        assert!(file.complaint.told().unwrap().contains("not there yet"));
        assert_eq!(roots.borrow().len(), 1);
        // The same again is nothing new.
        volume.set("v2", file.taken.clone().unwrap().as_str());
        file.look();
        assert!(!roots.has_changed().unwrap() && file.complaint.told().is_none());
    }
}
