//! One slot of an agent: finds a server that no other slot has, again and again; what it holds is a `session`.

mod session;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::Agent;
use super::backoff::Backoff;
use super::servers::{self, Candidate, Servers};
use crate::inbound::Inbound;
use crate::protocol::ProtocolError;
use crate::transport::Connection;
use crate::transport::attempts::Met;
use session::Running;

/// A session that has lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// An address that leads to a server that is held already is dialled again this much later.
const DUPLICATE: Duration = Duration::from_secs(15);
/// Between two complaints about the same thing.
const QUIET: Duration = Duration::from_mins(1);
/// Where there is nothing to dial, is looked again.
const NOTHING: Duration = Duration::from_secs(5);

/// Whether there may be something else to dial.
struct News {
    servers: watch::Receiver<Servers>,
    held: watch::Receiver<HashMap<usize, String>>,
    draining: watch::Receiver<Vec<String>>,
}

impl News {
    /// All that there is now is none.
    fn seen(&mut self) {
        self.servers.mark_unchanged();
        self.held.mark_unchanged();
        self.draining.mark_unchanged();
    }

    /// Waits for some, for a while.
    async fn come(&mut self) {
        tokio::select! {
            _ = self.servers.changed() => {}
            _ = self.held.changed() => {}
            _ = self.draining.changed() => {}
            () = sleep(NOTHING) => {}
        }
    }
}

/// Why there is no session.
enum Failure {
    /// The server is held by another slot, or is about to end.
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
            draining: self.draining.subscribe(),
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
            let mut met = Met::Server;
            match self.begin(slot, &candidate).await {
                Ok(running) => {
                    attempt = 0;
                    let begun = Instant::now();
                    self.keep(slot, candidate.address, running).await;
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
                    met = Met::by(&error);
                    if complained.is_none_or(|last| last.elapsed() >= QUIET) {
                        complained = Some(Instant::now());
                        warn!(address = candidate.address, %error, "failed to connect to a tunnel server; trying again");
                    }
                }
            }
            sleep(backoff.after(met, fastrand::f64())).await;
        }
    }

    /// A server that is about to end is none: it would say so again at once.
    fn candidate(&self, slot: usize, attempt: usize) -> Option<Candidate> {
        let mut spared = self.others(slot);
        spared.extend(self.draining.borrow().iter().cloned());
        servers::next(
            &self.node,
            &self.servers.borrow(),
            &spared,
            &self.bootstrap,
            attempt,
        )
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
        if self.is_draining(&id) || !self.claim(slot, &id) {
            connection.close("another session is with this server already");
            return Err(Failure::Held(id));
        }
        match self.greet(connection, id).await {
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

    /// Greets the server `id`; counts where there is no version that both speak.
    async fn greet(&self, connection: Connection, id: String) -> io::Result<Inbound> {
        let greeted = Inbound::greet(connection, id, self.versions).await;
        if greeted.as_ref().is_err_and(ProtocolError::is_of_versions) {
            self.metrics.refused("version");
        }
        greeted
    }
}
