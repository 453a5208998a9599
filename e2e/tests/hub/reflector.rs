//! kube's reflector, which asks from a node as a program on it would, and what it has told.
//!
//! It runs on a thread of its own, which has moved into the node's network; its files it reads from a copy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use e2e::informer::{Access, Event};
use e2e::{Node, wait_for};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;
use tokio::sync::oneshot;

use crate::setup::POD_DEADLINE;

/// Which pods are followed, and how.
pub(crate) struct Followed {
    pub(crate) fields: String,
    /// Whether the first list comes by watch (`sendInitialEvents`).
    pub(crate) streaming: bool,
}

#[derive(Default)]
struct Told {
    /// Version by key and uid.
    objects: BTreeMap<(String, String), u64>,
    /// Those of `objects` that a list which has begun has named.
    listed: Vec<(String, String)>,
    lists: usize,
    events: Vec<Event>,
    failures: Vec<String>,
}

/// A reflector that runs.
pub(crate) struct Reflector {
    told: Arc<Mutex<Told>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
    _files: tempfile::TempDir,
}

impl Reflector {
    /// Starts one in the network of `node`, and waits until it has had the first list.
    pub(crate) fn start(node: &Node, access: Access, followed: Followed) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let kubeconfig = copy_files(node, access, files.path())?;
        let network =
            File::open(Path::new("/run/netns").join(node.netns())).context("open the node's network")?;
        let told = Arc::new(Mutex::new(Told::default()));
        let taker = Arc::clone(&told);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), kind)
                .context("enter the node's network")?;
            // Sockets belong to the network of the thread that makes them: no other threads here.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                tokio::select! {
                    outcome = follow(kubeconfig, followed, &taker) => outcome,
                    _ = stopped => Ok(()),
                }
            })
        });
        let reflector = Self {
            told,
            stop: Some(stop),
            thread: Some(thread),
            _files: files,
        };
        wait_for("the reflector to have the first list", POD_DEADLINE, || {
            Ok((reflector.told().lists > 0).then_some(()))
        })?;
        Ok(reflector)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has told so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.told().events.clone()
    }

    /// Why it had to try again, in order; lists but the first count as well.
    pub(crate) fn disturbances(&self) -> Vec<String> {
        let told = self.told();
        let again = (1..told.lists).map(|_| "listed once more".to_owned());
        told.failures.iter().cloned().chain(again).collect()
    }

    /// All objects that it holds.
    pub(crate) fn dump(&self) -> Vec<Event> {
        let objects = self.told().objects.clone();
        let event = |((key, uid), version)| event("dump", key, uid, version);
        objects.into_iter().map(event).collect()
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn event(kind: &str, key: String, uid: String, version: u64) -> Event {
    Event {
        kind: kind.to_owned(),
        key,
        uid,
        version,
    }
}

/// Copies what `access` names on the node into `folder`, beside a kubeconfig.
fn copy_files(node: &Node, access: Access, folder: &Path) -> Result<Kubeconfig> {
    let [(_, server), (_, ca), (_, certificate), (_, key)] = access;
    let copy = |name: &str, file: &str| {
        let path = folder.join(name);
        fs::write(&path, node.exec_ok(["cat", file])?)?;
        anyhow::Ok(path)
    };
    let kubeconfig = json!({
        "current-context": "node",
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "node"}}],
        "clusters": [{"name": "node", "cluster": {"server": server, "certificate-authority": copy("ca", ca)?}}],
        "users": [{"name": "node", "user": {
            "client-certificate": copy("certificate", certificate)?,
            "client-key": copy("key", key)?,
        }}],
    });
    serde_json::from_value(kubeconfig).context("make a kubeconfig")
}

async fn follow(kubeconfig: Kubeconfig, followed: Followed, told: &Mutex<Told>) -> Result<()> {
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    let config = watcher::Config::default().fields(&followed.fields);
    let config = if followed.streaming {
        config.streaming_lists()
    } else {
        config.any_semantic()
    };
    let mut events = std::pin::pin!(watcher(kube::Api::<Pod>::all(client), config).default_backoff());
    while let Some(event) = events.next().await {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) => told.take(event),
            Err(error) => told.failures.push(error.to_string()),
        }
    }
    Ok(())
}

impl Told {
    fn take(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                let (identity, version) = describe(&object);
                self.listed.push(identity.clone());
                // What a list tells once more is not news.
                if self.objects.get(&identity) != Some(&version) {
                    self.set(identity, version);
                }
            }
            watcher::Event::InitDone => {
                self.lists += 1;
                let gone: Vec<_> = self
                    .objects
                    .keys()
                    .filter(|identity| !self.listed.contains(identity))
                    .cloned()
                    .collect();
                for identity in gone {
                    self.remove(identity, 0);
                }
            }
            watcher::Event::Apply(object) => {
                let (identity, version) = describe(&object);
                self.set(identity, version);
            }
            watcher::Event::Delete(object) => {
                let (identity, version) = describe(&object);
                self.remove(identity, version);
            }
        }
    }

    fn set(&mut self, identity: (String, String), version: u64) {
        let known = self.objects.insert(identity.clone(), version).is_some();
        let kind = if known { "update" } else { "add" };
        self.events.push(event(kind, identity.0, identity.1, version));
    }

    fn remove(&mut self, identity: (String, String), version: u64) {
        self.objects.remove(&identity);
        self.events.push(event("delete", identity.0, identity.1, version));
    }
}

/// Namespace and name with the uid, and the version.
fn describe(object: &Pod) -> ((String, String), u64) {
    let metadata = &object.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let key = match &metadata.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    };
    let version = metadata.resource_version.as_deref().unwrap_or_default();
    let uid = metadata.uid.clone().unwrap_or_default();
    ((key, uid), version.parse().unwrap_or_default())
}
