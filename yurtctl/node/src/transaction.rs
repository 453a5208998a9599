//! What shall happen to a node, written down before it begins, and what came of the last one.
//!
//! The folder ([`crate::FOLDER`]) holds: `proposed.json`, what somebody wants to happen; `transaction.json`, while one is
//! under way, which is `returning.json` once it is turned back; `installed.json`, while the node is converted; `incomplete.json`, the transaction that could not be taken back
//! wholly, until another one has ended it; `journal`; `programs/`, for a transaction under way; `previous/`, what an update
//! replaces.
//!
//! Invariants: a proposal changes nothing before the service has taken it, so who dies before it is started leaves nothing
//! behind; a transaction that was turned back is known as such also where the journal could not be written, as another name
//! needs no space; it is the last to go, so that who is interrupted while all else goes comes back to it; what is in
//! `previous/` is of the transaction under way, or of the incomplete one.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use yurt_common::fs::read_optional;

use crate::digest;
use crate::disk::{self, Change};
use crate::host::Host;
use crate::spec::NodeSpec;

const PROPOSED: &str = "proposed.json";
const UNDER_WAY: &str = "transaction.json";
const RETURNING: &str = "returning.json";
const INCOMPLETE: &str = "incomplete.json";
const INSTALLED: &str = "installed.json";
const FOLDERS: &str = "folders.json";

/// A change of a node's state, from beginning to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Its name, unique on the node.
    pub id: String,
    /// Where it goes.
    pub goal: Goal,
    /// Seconds, in each life of the node, after which what has not succeeded is taken back.
    pub deadline_s: u64,
    /// Whether the kubelet is restarted although its own configuration stays: it forgets what yurthub has shown it.
    #[serde(default)]
    pub restart_kubelet: bool,
    /// What shall be there, or shall go.
    pub spec: NodeSpec,
}

/// Where a transaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// The node is as the spec says.
    Converted,
    /// Nothing of the spec is left.
    Reverted,
}

/// What yurtctl has put on a node, as facts tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Version of the software.
    pub version: String,
    /// Digest of the whole spec; empty where a way back was left incomplete: no spec is like that.
    pub digest: String,
    /// Files that are not as they were written.
    pub drifted: Vec<PathBuf>,
    /// A transaction that is under way.
    pub under_way: Option<Goal>,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The folder at `folder`, which need not be there.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// Programs of a transaction under way.
    pub fn programs(&self) -> PathBuf {
        self.folder.join("programs")
    }

    /// What an update replaces.
    pub fn previous(&self) -> PathBuf {
        self.folder.join("previous")
    }

    /// Brings a program that the transaction needs.
    pub fn bring(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        make_folder(&self.programs())?;
        disk::write(&self.programs().join(name), bytes, 0o700)
    }

    /// The programs of the transaction are not needed any more.
    pub fn drop_programs(&self) -> io::Result<()> {
        disk::make(&Change::RemoveFolder(&self.programs()))
    }

    /// Makes the folder, for root only.
    pub fn make(&self) -> io::Result<()> {
        make_folder(&self.folder)
    }

    /// What somebody wants to happen.
    pub fn proposed(&self) -> io::Result<Option<Transaction>> {
        self.read(PROPOSED)
    }

    /// Writes down what somebody wants to happen; an earlier wish that nobody has taken is forgotten.
    pub fn propose(&self, transaction: &Transaction) -> io::Result<()> {
        self.write(PROPOSED, transaction)
    }

    /// Nobody wants it any more.
    pub fn withdraw(&self) -> io::Result<()> {
        self.remove(PROPOSED)
    }

    /// What was proposed is under way from here on.
    pub fn accept(&self) -> io::Result<()> {
        if self.incomplete()?.is_none() {
            // Of one that was interrupted when it was over.
            self.drop_previous()?;
        }
        self.rename(PROPOSED, UNDER_WAY)
    }

    /// The transaction under way.
    pub fn under_way(&self) -> io::Result<Option<Transaction>> {
        // In this order: the first may become the second in between.
        match self.read(UNDER_WAY)? {
            Some(transaction) => Ok(Some(transaction)),
            None => self.read(RETURNING),
        }
    }

    /// Whether the transaction under way was turned back.
    pub fn is_returning(&self) -> bool {
        self.folder.join(RETURNING).exists()
    }

    /// From here on what was begun is taken back, in all lives of the service.
    pub fn turn_back(&self) -> io::Result<()> {
        if self.is_returning() {
            return Ok(());
        }
        self.rename(UNDER_WAY, RETURNING)
    }

    /// The transaction that could not be taken back wholly.
    pub fn incomplete(&self) -> io::Result<Option<Transaction>> {
        self.read(INCOMPLETE)
    }

    /// The transaction is over, but what it has left needs another one.
    pub fn leave_incomplete(&self) -> io::Result<()> {
        let name = if self.is_returning() { RETURNING } else { UNDER_WAY };
        self.rename(name, INCOMPLETE)
    }

    /// The transaction is over: the node is as `installed.json` says.
    pub fn end(&self) -> io::Result<()> {
        self.drop_previous()?;
        self.remove(INCOMPLETE)?;
        self.remove_under_way()
    }

    /// The transaction is over, and the node as before it; also if an earlier one is incomplete.
    pub fn end_as_before(&self) -> io::Result<()> {
        if self.incomplete()?.is_none() {
            self.drop_previous()?;
        }
        self.remove_under_way()
    }

    /// The transaction is over, and the node as before any: only the journal stays.
    pub fn clear(&self) -> io::Result<()> {
        self.set_spec(None)?;
        self.remove(FOLDERS)?;
        self.end()
    }

    /// What the node was converted to, or, where that did not come to its end, was to be.
    pub fn known_spec(&self) -> io::Result<Option<NodeSpec>> {
        if let Some(spec) = self.spec()? {
            return Ok(Some(spec));
        }
        let begun = match self.under_way()? {
            Some(transaction) => Some(transaction),
            None => self.incomplete()?,
        };
        Ok(begun.map(|transaction| transaction.spec))
    }

    /// What the node was converted to.
    pub fn spec(&self) -> io::Result<Option<NodeSpec>> {
        self.read(INSTALLED)
    }

    /// Says that the node is converted to `spec`, or to nothing.
    pub fn set_spec(&self, spec: Option<&NodeSpec>) -> io::Result<()> {
        match spec {
            Some(spec) => self.write(INSTALLED, spec),
            None => self.remove(INSTALLED),
        }
    }

    /// Folders that were made for our files, the innermost first.
    pub fn folders(&self) -> io::Result<Vec<PathBuf>> {
        Ok(self.read::<Vec<PathBuf>>(FOLDERS)?.unwrap_or_default())
    }

    /// Remembers a folder that is about to be made.
    pub fn note_folder(&self, folder: &Path) -> io::Result<()> {
        let mut folders = self.folders()?;
        if !folders.iter().any(|known| known == folder) {
            folders.insert(0, folder.to_owned());
            self.write(FOLDERS, &folders)?;
        }
        Ok(())
    }

    /// What facts tell of it all.
    pub(crate) fn installed(&self, host: &dyn Host) -> io::Result<Option<Installed>> {
        let Some(spec) = self.known_spec()? else {
            return Ok(None);
        };
        let digest = match self.incomplete()? {
            None => spec.digest(),
            Some(_) => String::new(),
        };
        Ok(Some(Installed {
            version: spec.version.clone(),
            digest,
            drifted: crate::steps::drifted(host, &spec),
            under_way: self.under_way()?.map(|transaction| transaction.goal),
        }))
    }

    fn remove_under_way(&self) -> io::Result<()> {
        self.remove(UNDER_WAY)?;
        self.remove(RETURNING)
    }

    fn drop_previous(&self) -> io::Result<()> {
        disk::make(&Change::RemoveFolder(&self.previous()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        disk::remove(&self.folder.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        disk::make(&Change::Rename {
            from: &self.folder.join(from),
            to: &self.folder.join(to),
        })
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, name: &str) -> io::Result<Option<T>> {
        let Some(bytes) = read_optional(&self.folder.join(name))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged ({error})", self.folder.join(name).display()),
            )
        })
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(value)?;
        disk::write(&self.folder.join(name), &text, 0o600)
    }
}

impl NodeSpec {
    /// A digest of all of it: two specs with the same one are the same.
    pub fn digest(&self) -> String {
        digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    disk::make(&Change::MakeFolder { path, mode: 0o700 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    fn proposed() -> (Model, Store, Transaction) {
        let node = Model::new(false);
        let store = node.store();
        let transaction = node.transaction(Goal::Converted, 1);
        store.make().unwrap();
        store.propose(&transaction).unwrap();
        (node, store, transaction)
    }

    /// Something is in the folder of what was replaced.
    fn replace(store: &Store) {
        std::fs::create_dir_all(store.previous()).unwrap();
        std::fs::write(store.previous().join("file"), "").unwrap();
    }

    #[test]
    fn a_proposal_is_under_way_when_it_is_accepted_and_the_last_one_counts() {
        let (node, store, transaction) = proposed();
        assert_eq!(store.under_way().unwrap(), None);
        assert_eq!(store.installed(&node).unwrap(), None);
        let last = Transaction {
            id: "last".to_owned(),
            ..transaction
        };
        store.propose(&last).unwrap();
        store.accept().unwrap();
        assert_eq!(store.proposed().unwrap(), None);
        assert_eq!(store.under_way().unwrap(), Some(last));
        let facts = store.installed(&node).unwrap().unwrap();
        assert_eq!(facts.under_way, Some(Goal::Converted));
    }

    #[test]
    fn what_an_earlier_one_replaced_goes_unless_it_was_left_incomplete() {
        let (node, store, transaction) = proposed();
        replace(&store);
        store.accept().unwrap();
        assert!(!store.previous().exists());

        replace(&store);
        store.leave_incomplete().unwrap();
        assert_eq!(store.under_way().unwrap(), None);
        assert_eq!(store.known_spec().unwrap(), Some(transaction.spec.clone()));
        assert_eq!(store.installed(&node).unwrap().unwrap().digest, "");

        store.propose(&transaction).unwrap();
        store.accept().unwrap();
        assert!(store.previous().exists());
        store.end_as_before().unwrap();
        assert!(store.previous().exists() && store.incomplete().unwrap().is_some());
        store.end().unwrap();
        assert!(!store.previous().exists() && store.incomplete().unwrap().is_none());
    }

    #[test]
    fn the_transaction_is_the_last_to_go() {
        use crate::disk::trial;
        let ends: [fn(&Store) -> io::Result<()>; 3] = [Store::end, Store::end_as_before, Store::clear];
        for end in ends {
            for point in 0.. {
                let (_node, store, transaction) = proposed();
                store.accept().unwrap();
                replace(&store);
                store.set_spec(Some(&transaction.spec)).unwrap();
                let ended = trial::until(Some(point), || end(&store).unwrap());
                if store.under_way().unwrap().is_none() {
                    assert!(!store.previous().exists());
                    if ended.is_some() {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_cleared_leaves_the_journal_only() {
        let (node, store, transaction) = proposed();
        store.accept().unwrap();
        replace(&store);
        store.set_spec(Some(&transaction.spec)).unwrap();
        store.note_folder(Path::new("/etc/yurthub")).unwrap();
        store.note_folder(Path::new("/etc/yurthub/a")).unwrap();
        let inner_first = [Path::new("/etc/yurthub/a"), Path::new("/etc/yurthub")];
        assert_eq!(store.folders().unwrap(), inner_first);
        disk::write(&store.journal(), b"", 0o600).unwrap();
        store.clear().unwrap();
        assert_eq!(node.left(), ["journal"]);
    }

    #[test]
    fn a_damaged_file_is_told_and_not_taken_for_none() {
        let (node, store, _) = proposed();
        std::fs::write(node.at(Path::new(crate::FOLDER)).join(UNDER_WAY), "{").unwrap();
        let error = store.under_way().unwrap_err().to_string();
        assert!(error.contains("transaction.json is damaged"), "{error}");
    }
}
