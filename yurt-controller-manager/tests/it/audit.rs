//! What the manager has done, by the apiserver's own book: the audit log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use yurt_testkit::ApiServer;
use yurt_testkit::scratch::Scratch;

use crate::manager::USER;

/// The book.
pub(crate) struct Book {
    log: PathBuf,
    _folder: Scratch,
}

/// An apiserver that keeps one. An entry is there before its request is answered.
pub(crate) async fn audited() -> (ApiServer, Book) {
    let folder = Scratch::new().unwrap();
    let (policy, log) = (folder.path().join("policy"), folder.path().join("audit"));
    let ours = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
    });
    std::fs::write(&policy, ours.to_string()).unwrap();
    let server = ApiServer::builder()
        .arg(format!("--audit-policy-file={}", policy.display()))
        .arg(format!("--audit-log-path={}", log.display()))
        .start()
        .await
        .unwrap();
    let book = Book { log, _folder: folder };
    (server, book)
}

impl Book {
    /// All that the manager has asked for until now.
    pub(crate) fn entries(&self) -> Vec<Value> {
        // There is no file before the first entry; the last one may be half written.
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines();
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How often each object was patched, by its name; every patch must have succeeded. `of`: see [`resource`].
    pub(crate) fn patches(&self, of: &str) -> BTreeMap<String, usize> {
        let mut patches = BTreeMap::new();
        let entries = self.entries().into_iter();
        for entry in entries.filter(|entry| entry["verb"] == "patch" && resource(entry) == of) {
            assert_eq!(entry["responseStatus"]["code"], 200, "{entry}");
            let name = entry["objectRef"]["name"].as_str().unwrap_or_default();
            *patches.entry(name.to_owned()).or_default() += 1;
        }
        patches
    }
}

/// What an entry is about, with the part of it: `nodes/status`.
pub(crate) fn resource(entry: &Value) -> String {
    let text = |name: &str| entry["objectRef"][name].as_str();
    let whole = text("resource").unwrap_or_default();
    text("subresource").map_or_else(|| whole.to_owned(), |part| format!("{whole}/{part}"))
}
