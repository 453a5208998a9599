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

    /// How each object was patched, by its name; no patch may have failed. `of`: see [`resource`].
    pub(crate) fn patches(&self, of: &str) -> BTreeMap<String, Patches> {
        let mut patches = BTreeMap::<_, Patches>::new();
        let entries = self.entries().into_iter();
        for entry in entries.filter(|entry| entry["verb"] == "patch" && resource(entry) == of) {
            let name = entry["objectRef"]["name"].as_str().unwrap_or_default();
            let patches = patches.entry(name.to_owned()).or_default();
            if entry["responseStatus"]["code"] == GONE {
                patches.cut_off += 1;
            } else {
                assert_eq!(entry["responseStatus"]["code"], 200, "{entry}");
                patches.made += 1;
            }
        }
        patches
    }
}

/// The apiserver's status for a request whose client has gone before it was answered
/// (kubernetes/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/finisher).
const GONE: u64 = 504;

/// How an object was patched.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Patches {
    /// How often with an answer.
    pub(crate) made: usize,
    /// How often by a client that was killed meanwhile: these may have been made, too.
    pub(crate) cut_off: usize,
}

impl Patches {
    /// Whether the object may have been changed exactly so many times.
    pub(crate) fn may_be(self, times: usize) -> bool {
        (self.made..=self.made + self.cut_off).contains(&times)
    }
}

/// What an entry is about, with the part of it: `nodes/status`.
pub(crate) fn resource(entry: &Value) -> String {
    let text = |name: &str| entry["objectRef"][name].as_str();
    let whole = text("resource").unwrap_or_default();
    text("subresource").map_or_else(|| whole.to_owned(), |part| format!("{whole}/{part}"))
}
