//! One slot of an agent: finds a server that no other slot has, holds a session with it, replaces it when its path has
//! become deaf, and leaves TCP when QUIC works again.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::Agent;
use super::backoff::Backoff;
use super::servers::{self, Candidate, Servers};
use crate::inbound::{Health, Inbound};
use crate::transport::race::RETRY_QUIC;
use crate::transport::{Connection, Transport};

/// A session that has lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// An address that leads to a server that is held already is dialled again this much later.
const DUPLICATE: Duration = Duration::from_secs(15);
/// Between two complaints about the same thing.
const QUIET: Duration = Duration::from_mins(1);
/// Between two attempts to replace a session that is suspected.
const REPLACE: Duration = Duration::from_millis(500);
/// Where there is nothing to dial, is looked again.
const NOTHING: Duration = Duration::from_secs(5);

/// A session that runs.
struct Running {
    id: String,
    connection: Connection,
    health: watch::Receiver<Health>,
}

/// Whether there may be something else to dial.
struct News {
    servers: watch::Receiver<Servers>,
    held: watch::Receiver<HashMap<usize, String>>,
}

impl News {
    /// All that there is now is none.
    fn seen(&mut self) {
        self.servers.mark_unchanged();
        self.held.mark_unchanged();
    }

    /// Waits for some, for a while.
    async fn come(&mut self) {
        tokio::select! {
            _ = self.servers.changed() => {}
            _ = self.held.changed() => {}
            () = sleep(NOTHING) => {}
        }
    }
}

/// Why there is no session.
enum Failure {
    /// The server is held by another slot.
    Held(String),
    /// Everything else.
    Failed(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Agent {
    /// Keeps a slot filled, for ever.
    pub(super) async fn fill(self: Arc<Self>, slot: usize) {
        let (mut backoff, mut attempt, mut complained) = (Backoff::default(), 0, None::<Instant>);
        let mut identity = self.dialling.identity.clone();
        let mut news = News {
            servers: self.servers.subscribe(),
            held: self.held.subscribe(),
        };
        loop {
            if identity.wait_for(Option::is_some).await.is_err() {
                return;
            }
            news.seen();
            let Some(candidate) = self.candidate(slot, attempt) else {
                news.come().await;
                continue;
            };
            match self.begin(slot, &candidate).await {
                Ok(running) => {
                    attempt = 0;
                    let begun = Instant::now();
                    self.keep(&candidate.address, running).await;
                    self.release(slot);
                    if begun.elapsed() >= GOOD {
                        backoff.reset();
                    }
                }
                Err(Failure::Held(id)) => {
                    attempt += 1;
                    debug!(
                        address = candidate.address,
                        server = id,
                        "another session is with this server already"
                    );
                    // Nobody else may be behind this address: it is asked seldom, unless servers change.
                    let _ = timeout(DUPLICATE.mul_f64(fastrand::f64() + 0.5), news.come()).await;
                    continue;
                }
                Err(Failure::Failed(error)) => {
                    attempt += 1;
                    if complained.is_none_or(|last| last.elapsed() >= QUIET) {
                        complained = Some(Instant::now());
                        warn!(address = candidate.address, %error, "failed to connect to a tunnel server; trying again");
                    }
                }
            }
            sleep(backoff.next(fastrand::f64())).await;
        }
    }

    fn candidate(&self, slot: usize, attempt: usize) -> Option<Candidate> {
        let others = self.others(slot);
        let draining = self.draining().keys().cloned().collect();
        let servers = self.servers.borrow();
        let next = |held: &[String]| servers::next(&self.node, &servers, held, &self.bootstrap, attempt);
        let next_but_draining = next(&[others.clone(), draining].concat());
        // A server that ends is better than none: it may be another one already, at the same address.
        next_but_draining.or_else(|| others.is_empty().then(|| next(&others)).flatten())
    }

    fn others(&self, slot: usize) -> Vec<String> {
        let held = self.held.borrow();
        held.iter()
            .filter(|(other, _)| **other != slot)
            .map(|(_, id)| id.clone())
            .collect()
    }

    /// Takes a server for a slot; not where another slot has it.
    fn claim(&self, slot: usize, id: &str) -> bool {
        self.held.send_if_modified(|held| {
            let free = held.iter().all(|(other, held)| *other == slot || held != id);
            if free {
                held.insert(slot, id.to_owned());
            }
            free
        })
    }

    fn release(&self, slot: usize) {
        self.held.send_modify(|held| {
            held.remove(&slot);
        });
    }

    async fn begin(self: &Arc<Self>, slot: usize, candidate: &Candidate) -> Result<Running, Failure> {
        let connection = self.dialling.connect(&candidate.address, None).await?;
        let id = Inbound::who(&connection)?;
        if !self.claim(slot, &id) {
            connection.close("another session is with this server already");
            return Err(Failure::Held(id));
        }
        match Inbound::greet(connection, id).await {
            Ok(inbound) => {
                self.told(inbound.members.clone());
                Ok(self.start(inbound))
            }
            Err(error) => {
                self.release(slot);
                Err(error.into())
            }
        }
    }

    fn start(self: &Arc<Self>, inbound: Inbound) -> Running {
        let (id, connection) = (inbound.id.clone(), inbound.connection.clone());
        let (health, watched) = watch::channel(Health::Fine);
        // Agents tell nothing.
        let (_, tell) = mpsc::channel(1);
        let transport = connection.transport();
        info!(server = id, transport = transport.label(), address = %connection.remote(), "connected to a tunnel server");
        let (agent, counted, server) = (Arc::clone(self), self.metrics.session(transport), id.clone());
        tokio::spawn(async move {
            let (ending, connection) = (agent.ending.clone(), inbound.connection.clone());
            let why = tokio::select! {
                why = inbound.serve(agent, tell, health) => why,
                () = ending.cancelled() => {
                    connection.close("the agent ends");
                    "the agent ends".into()
                }
            };
            info!(server, why, "the session with a tunnel server has ended");
            drop(counted);
        });
        Running {
            id,
            connection,
            health: watched,
        }
    }

    /// Until the slot needs another server.
    async fn keep(self: &Arc<Self>, address: &str, mut running: Running) {
        loop {
            let on_tcp = running.connection.transport() == Transport::Tcp;
            let health = tokio::select! {
                changed = running.health.changed() => match changed {
                    Ok(()) => *running.health.borrow_and_update(),
                    Err(_) => Health::Ended,
                },
                () = sleep(RETRY_QUIC), if on_tcp && self.dialling.ways == crate::transport::race::Ways::Auto => {
                    if let Ok(connection) = self.dialling.connect_quic(address).await
                        && let Some(better) = self.same(&running.id, connection).await
                    {
                        // The server ends the older one when its streams have.
                        running = better;
                    }
                    continue;
                }
            };
            match health {
                Health::Fine => {}
                Health::Ended => return,
                Health::Draining => {
                    self.draining().insert(running.id.clone(), Instant::now());
                    return;
                }
                Health::Suspect => match self.replace(address, &mut running).await {
                    Some(another) => running = another,
                    None if *running.health.borrow() == Health::Ended => return,
                    None => {}
                },
            }
        }
    }

    /// A session with the same server over another path; none where the old one came back, or ended, first.
    async fn replace(self: &Arc<Self>, address: &str, running: &mut Running) -> Option<Running> {
        let transport = running.connection.transport();
        info!(
            server = running.id,
            transport = transport.label(),
            "nothing is heard of a tunnel server; another path is tried"
        );
        loop {
            let attempt = async {
                let connection = self.dialling.connect(address, Some(transport)).await.ok()?;
                self.same(&running.id, connection).await
            };
            tokio::select! {
                another = attempt => if let Some(another) = another {
                    running.connection.close("another path is taken");
                    return Some(another);
                },
                _ = running.health.wait_for(|health| *health != Health::Suspect) => return None,
            }
            sleep(REPLACE).await;
        }
    }

    /// A session over a new connection, if it is with the same server.
    async fn same(self: &Arc<Self>, id: &str, connection: Connection) -> Option<Running> {
        if Inbound::who(&connection).ok()? != id {
            connection.close("it is another server");
            return None;
        }
        let inbound = Inbound::greet(connection, id.to_owned()).await.ok()?;
        Some(self.start(inbound))
    }
}
