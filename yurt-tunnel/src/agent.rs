//! The agent: keeps connections to some servers, and dials the kubelet for them.
//!
//! Which servers: [`servers`]; what is dialled: [`targets`], and what this node's [`policy`] adds. Each of a few slots holds a session to another server.
//!
//! Invariants: nothing but 127.0.0.1 is dialled; the other end of a session is a tunnel server by its certificate.

pub mod backoff;
pub mod policy;
pub mod servers;
pub mod slot;
pub mod targets;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::dial::refuse;
use crate::inbound::Answers;
use crate::metrics::Metrics;
use crate::protocol::{Answer, Dial, Greeting, Versions};
use crate::relay;
use crate::transport::race::Dialling;
use crate::transport::stream::TunnelStream;
use crate::transport::write_message;
use servers::{Known, Servers};
use targets::Targets;

/// How often the folder of servers is looked at. The kubelet itself brings changes within a minute.
const FOLDER: Duration = Duration::from_secs(5);

/// What an agent is made of.
pub struct Settings {
    /// The node's name; only for the choice of servers. Who the node is, the certificate says.
    pub node: String,
    /// How to connect.
    pub dialling: Dialling,
    /// What may be dialled here.
    pub targets: Targets,
    /// Addresses of servers, `host:port`.
    pub bootstrap: Vec<String>,
    /// A folder with one file for each server.
    pub folder: Option<PathBuf>,
    /// To how many servers a session is kept.
    pub sessions: usize,
    /// How often it looks.
    pub times: Times,
    /// What it speaks.
    pub versions: Versions,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// How often an agent looks.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Whether a server without streams is there.
    pub ping: Duration,
    /// Whether a server that comes first for this node is there; on average.
    pub rebalance: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            ping: crate::inbound::PING,
            rebalance: Duration::from_secs(20),
        }
    }
}

/// A running agent.
pub struct Agent {
    node: String,
    dialling: Arc<Dialling>,
    targets: Targets,
    bootstrap: Vec<String>,
    folder: Option<PathBuf>,
    sessions: usize,
    times: Times,
    versions: Versions,
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
    /// All that are known.
    servers: watch::Sender<Servers>,
    /// Ids by slot.
    held: watch::Sender<HashMap<usize, String>>,
    /// Ids of servers that have said that they end; once for each session that has not ended yet.
    draining: watch::Sender<Vec<String>>,
    ending: CancellationToken,
}

impl Agent {
    /// An agent that does not run yet.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            node: settings.node,
            dialling: Arc::new(settings.dialling),
            targets: settings.targets,
            bootstrap: settings.bootstrap,
            folder: settings.folder,
            sessions: settings.sessions,
            times: settings.times,
            versions: settings.versions,
            metrics: settings.metrics,
            known: Mutex::default(),
            servers: watch::Sender::default(),
            held: watch::Sender::default(),
            draining: watch::Sender::default(),
            ending: CancellationToken::new(),
        })
    }

    /// Runs until cancelled; sessions end then, too.
    pub async fn run(self: &Arc<Self>) {
        let _ends_sessions = self.ending.clone().drop_guard();
        let mut tasks = JoinSet::new();
        for slot in 0..self.sessions {
            tasks.spawn(Arc::clone(self).fill(slot));
        }
        tokio::select! {
            () = self.follow() => {}
            _ = tasks.join_next() => {}
        }
    }

    /// After the end: waits, for a moment, until servers were told.
    pub async fn told_all(&self) {
        self.dialling.flushed().await;
    }

    /// Ids of servers that there are sessions with; changes are told.
    pub fn held(&self) -> watch::Receiver<HashMap<usize, String>> {
        self.held.subscribe()
    }

    /// Whether there is a session: a server that is only being greeted may refuse this agent.
    pub fn is_ready(&self) -> bool {
        self.metrics.has_sessions()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    async fn follow(&self) {
        let Some(folder) = self.folder.clone() else {
            return std::future::pending().await;
        };
        let mut complained = false;
        loop {
            let from = folder.clone();
            let read = tokio::task::spawn_blocking(move || servers::of_folder(&from)).await;
            match read.map_err(std::io::Error::other).flatten() {
                Ok(servers) if servers.is_empty() => {}
                Ok(servers) => {
                    complained = false;
                    self.learn(|known| known.listed = servers);
                }
                Err(error) if !complained => {
                    complained = true;
                    warn!(folder = %folder.display(), %error, "failed to read the servers; trying again");
                }
                Err(_) => {}
            }
            sleep(FOLDER).await;
        }
    }

    fn learn(&self, note: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut known);
        let all = known.all();
        self.servers.send_if_modified(|now| {
            let changed = *now != all;
            *now = all;
            changed
        });
    }

    /// What a server says of all servers.
    fn told(&self, members: Vec<crate::protocol::Member>) {
        if !members.is_empty() {
            self.learn(|known| known.told = servers::of_members(members));
        }
    }

    fn is_draining(&self, id: &str) -> bool {
        self.draining.borrow().iter().any(|draining| draining == id)
    }
}

impl Answers for Agent {
    async fn answer(&self, dial: Dial, mut stream: TunnelStream) {
        let deadline = Duration::from_millis(dial.deadline_ms.into());
        let dialled = tokio::select! {
            dialled = self.targets.dial(dial.target, deadline) => dialled,
            // Whoever asked has given up.
            () = stream.writer.stopped() => return self.metrics.dial_failed("abandoned"),
        };
        let socket = match dialled {
            Ok(socket) => socket,
            Err((reason, words)) => {
                self.metrics.dial_failed(reason.label());
                return refuse(stream, reason, words).await;
            }
        };
        if write_message(&mut stream.writer, &Answer::Ok).await.is_err() {
            return self.metrics.dial_failed("abandoned");
        }
        self.metrics.dialled(Duration::ZERO, None);
        let (counted, bytes) = (self.metrics.stream(), relay::Bytes::default());
        let ending = relay::splice(socket, stream, &bytes).await;
        self.metrics.ended(ending, &bytes);
        tracing::debug!(stream = dial.id, to = %dial.target, ending = ending.label(), "a stream has ended");
        drop(counted);
    }

    fn heard(&self, greeting: Greeting) {
        if let Greeting::Members { members } = greeting {
            self.told(members);
        }
    }
}
