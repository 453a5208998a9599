//! client-go's `SharedInformer` as a program on a node (`informer/main.go`), and what it has seen.
//!
//! Invariant: events are in the order of its callbacks; a dump is of the moment at which it was asked for, or later.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::background::Background;
use crate::command::Cmd;
use crate::instance::Instance;
use crate::lock;
use crate::machine;
use crate::node::Node;
use crate::progress::say;
use crate::wait::wait_for;

const BUILD_DEADLINE: Duration = Duration::from_mins(15);
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// On the node; its next boot clears it away.
const PROGRAM: &str = "/run/informer";

/// Whom an informer asks, and with which certificate: flags of the program without their dashes, and values.
pub type Access = [(&'static str, &'static str); 4];

/// The apiserver itself, asked by the admin on the node cloud1.
pub const DIRECT: Access = [
    ("server", "https://10.99.0.10:6443"),
    ("ca", "/etc/kubernetes/pki/ca.crt"),
    ("cert", "/run/admin-certificate"),
    ("key", "/run/admin-key"),
];

/// Takes certificate and key out of the admin's kubeconfig; several may do so at a time.
const UNPACK_ADMIN: &str = r#"umask 077; for part in certificate key; do
    sed -n "s/^ *client-$part-data: //p" /etc/kubernetes/admin.conf | base64 -d >/run/admin-$part.$$
    mv /run/admin-$part.$$ /run/admin-$part
done"#;

/// One callback.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// `add`, `update` or `delete`.
    pub kind: String,
    /// Namespace and name.
    pub key: String,
    /// Which object of that name.
    pub uid: String,
    /// The version that it has now; of a deletion, the last one.
    pub version: u64,
}

/// An informer that runs.
#[derive(Debug)]
pub struct Informer {
    program: Background,
}

impl Informer {
    /// Starts one on `node` with more flags of the program, and waits until it has had the first list.
    ///
    /// # Errors
    /// When it cannot be built or started, or does not get a list.
    pub fn start(instance: &Instance, node: &Node, access: Access, flags: &[&str]) -> Result<Self> {
        let program = built(instance)?;
        if !node.exec(["test", "-x", PROGRAM])?.status.success() {
            node.push_file(PROGRAM, &fs::read(program).context("read the informer")?, 0o755)?;
        }
        if access == DIRECT {
            node.exec_ok(["sh", "-ec", UNPACK_ADMIN])?;
        }
        let access = access.map(|(flag, value)| format!("--{flag}={value}"));
        let cmd = node.cmd([PROGRAM])?.args(access).args(flags);
        let informer = Self {
            program: Background::start(&cmd)?,
        };
        wait_for("the informer to have the first list", ANSWER_DEADLINE, || {
            let lines = informer.lines()?;
            ensure!(
                lines.iter().any(|line| line["event"] == "synced"),
                "{lines:?} {}",
                informer.program.errors()
            );
            Ok(Some(()))
        })?;
        Ok(informer)
    }

    /// The callbacks so far.
    ///
    /// # Errors
    /// When it prints something else than JSON.
    pub fn events(&self) -> Result<Vec<Event>> {
        let lines = self.lines()?;
        let events = lines
            .iter()
            .filter(|line| line["key"].is_string())
            .map(|line| Event {
                kind: text(line, "event"),
                key: text(line, "key"),
                uid: text(line, "uid"),
                version: text(line, "rv").parse().unwrap_or_default(),
            });
        Ok(events.collect())
    }

    /// Lists and watches that failed so far, and deletions that only a new list has told: why, in order.
    ///
    /// # Errors
    /// When it prints something else than JSON.
    pub fn disturbances(&self) -> Result<Vec<String>> {
        let lines = self.lines()?;
        let disturbed = |line: &&Value| line["event"] == "watch_error" || line["final_state_unknown"] == true;
        Ok(lines.iter().filter(disturbed).map(Value::to_string).collect())
    }

    /// What client-go has logged so far: why it lists once more.
    pub fn log(&self) -> String {
        self.program.errors()
    }

    /// All objects that it holds: version by key and uid.
    ///
    /// # Errors
    /// When it has ended.
    pub fn dump(&mut self) -> Result<Vec<Event>> {
        let count = self.dumps()?.len();
        self.program.tell("dump")?;
        let dump = wait_for("the informer's dump", ANSWER_DEADLINE, || {
            Ok(self.dumps()?.into_iter().nth(count))
        })?;
        let item = |item: &Value| Event {
            kind: "dump".to_owned(),
            key: text(item, "key"),
            uid: text(item, "uid"),
            version: text(item, "rv").parse().unwrap_or_default(),
        };
        Ok(dump["items"].as_array().into_iter().flatten().map(item).collect())
    }

    fn dumps(&self) -> Result<Vec<Value>> {
        let mut lines = self.lines()?;
        lines.retain(|line| line["event"] == "dump");
        Ok(lines)
    }

    fn lines(&self) -> Result<Vec<Value>> {
        let parse = |line: &String| serde_json::from_str(line).with_context(|| format!("parse {line}"));
        self.program.lines().iter().map(parse).collect()
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// The program, built into the cache when its source has changed.
fn built(instance: &Instance) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("informer");
    let mut hasher = DefaultHasher::new();
    for file in ["main.go", "go.mod", "go.sum"] {
        let path = source.join(file);
        fs::read(&path)
            .with_context(|| format!("read {}", path.display()))?
            .hash(&mut hasher);
    }
    let folder = instance.cache().join("informer");
    let program = folder.join(format!("{:016x}", hasher.finish()));
    let _lock = lock::exclusive(&folder.join("lock"), "the build of the informer", BUILD_DEADLINE)?;
    if program.exists() {
        return Ok(program);
    }
    machine::check_go()?;
    say("building the informer");
    let unfinished = folder.join("unfinished");
    let go = Cmd::new("go")
        .arg("-C")
        .arg(&source)
        .args(["build", "-trimpath", "-ldflags=-s -w", "-o"]);
    let go = go.arg(&unfinished).arg(".").env("CGO_ENABLED", "0");
    go.deadline(BUILD_DEADLINE)
        .run_ok()
        .context("build the informer")?;
    fs::rename(&unfinished, &program).with_context(|| format!("keep {}", program.display()))?;
    Ok(program)
}
