//! A session that fills a slot, as long as it does: replaced when its path has become deaf, moved from TCP to QUIC and to a
//! server that comes first for this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{self, sleep, sleep_until, timeout};
use tracing::{debug, info};

use super::Agent;
use crate::agent::servers;
use crate::inbound::{Health, Inbound};
use crate::protocol::Greeting;
use crate::transport::race::{RETRY_QUIC, Ways};
use crate::transport::{Connection, Transport};

/// Between two attempts to replace a session that is suspected.
const REPLACE: Duration = Duration::from_millis(250);
/// A server that comes first and is not there is looked for ever more seldom, but not more seldom than that.
const SELDOM: Duration = Duration::from_mins(5);
/// A server that has said that it ends takes three seconds.
const DRAINED: Duration = Duration::from_secs(15);
/// What waits to be told to a server.
const WAITING: usize = 1;

/// A session that runs.
pub(super) struct Running {
    /// The server.
    pub(super) id: String,
    connection: Connection,
    health: watch::Receiver<Health>,
    streams: Arc<AtomicUsize>,
    tell: mpsc::Sender<Greeting>,
}

impl Running {
    fn is_idle(&self) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
    }

    /// The server dials over it no more, and ends it when its streams have ended.
    fn leave(&self) {
        // A session that ends meanwhile needs no farewell.
        let _ = self.tell.try_send(Greeting::Drain);
    }
}

/// What there is to do for a session.
enum Event {
    Health(Health),
    TryQuic,
    Improve,
}

impl Agent {
    pub(super) fn start(self: &Arc<Self>, mut inbound: Inbound) -> Running {
        inbound.ping = self.times.ping;
        let (id, connection) = (inbound.id.clone(), inbound.connection.clone());
        let (health, watched) = watch::channel(Health::Fine);
        let (tell, told) = mpsc::channel(WAITING);
        let transport = connection.transport();
        info!(
            server = id,
            transport = transport.label(),
            address = %connection.remote(),
            version = inbound.version,
            "connected to a tunnel server"
        );
        let running = Running {
            id: id.clone(),
            connection,
            health: watched,
            streams: Arc::clone(&inbound.streams),
            tell,
        };
        let (agent, counted) = (Arc::clone(self), self.metrics.session(transport));
        tokio::spawn(async move {
            let (ending, connection) = (agent.ending.clone(), inbound.connection.clone());
            let why = tokio::select! {
                why = inbound.serve(agent, told, health) => why,
                () = ending.cancelled() => {
                    connection.close("the agent ends");
                    "the agent ends".into()
                }
            };
            info!(server = id, why, "the session with a tunnel server has ended");
            drop(counted);
        });
        running
    }

    /// Until the slot needs another server.
    pub(super) async fn keep(self: &Arc<Self>, slot: usize, mut address: String, mut running: Running) {
        let mut pause = self.times.rebalance;
        let mut improve = time::Instant::now() + jittered(pause);
        let mut quic = time::Instant::now() + RETRY_QUIC;
        loop {
            let wants_quic =
                running.connection.transport() == Transport::Tcp && self.dialling.ways == Ways::Auto;
            let event = tokio::select! {
                changed = running.health.changed() => Event::Health(match changed {
                    Ok(()) => *running.health.borrow_and_update(),
                    Err(_) => Health::Ended,
                }),
                () = sleep_until(quic), if wants_quic => Event::TryQuic,
                () = sleep_until(improve) => Event::Improve,
            };
            match event {
                Event::Health(Health::Fine) => {}
                Event::Health(Health::Ended) => return,
                Event::Health(Health::Draining) => {
                    self.let_end(running);
                    return;
                }
                Event::Health(Health::Suspect) => match self.replace(&address, &mut running).await {
                    Some(another) => running = another,
                    None if *running.health.borrow() == Health::Ended => return,
                    None => {}
                },
                Event::TryQuic => {
                    if let Some(better) = self.over_quic(&address, &running.id).await {
                        // The server ends the older one when its streams have.
                        running = better;
                    }
                    quic = time::Instant::now() + RETRY_QUIC;
                }
                Event::Improve => {
                    pause = match self.improve(slot, &running).await {
                        Improved::Moved(better) => {
                            running.leave();
                            (address, running) = *better;
                            self.times.rebalance
                        }
                        Improved::Best => self.times.rebalance,
                        Improved::Failed => (pause * 2).min(SELDOM),
                    };
                    improve = time::Instant::now() + jittered(pause);
                }
            }
        }
    }

    /// Its server has said that it ends. It is dialled again when the session has ended, and not before.
    fn let_end(self: &Arc<Self>, mut running: Running) {
        self.draining
            .send_modify(|draining| draining.push(running.id.clone()));
        let agent = Arc::clone(self);
        tokio::spawn(async move {
            // One that does not end in time has changed its mind. An error says that the session has ended, too.
            let _ = timeout(
                DRAINED,
                running.health.wait_for(|health| *health == Health::Ended),
            )
            .await;
            agent.draining.send_modify(|draining| {
                if let Some(at) = draining.iter().position(|id| *id == running.id) {
                    draining.swap_remove(at);
                }
            });
        });
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
                    // The older one ends when its streams have, or when the server hears nothing of it either.
                    return Some(another);
                },
                _ = running.health.wait_for(|health| *health != Health::Suspect) => return None,
            }
            sleep(jittered(REPLACE)).await;
        }
    }

    async fn over_quic(self: &Arc<Self>, address: &str, id: &str) -> Option<Running> {
        let connection = self.dialling.connect_quic(address).await.ok()?;
        self.same(id, connection).await
    }

    /// A session over a new connection, if it is with the same server.
    async fn same(self: &Arc<Self>, id: &str, connection: Connection) -> Option<Running> {
        Some(self.start(self.greet_as(id, connection).await?))
    }

    /// A session with a server that comes before the one of `running` in the order of this node. Nothing is changed before it
    /// is there, and while streams run.
    async fn improve(self: &Arc<Self>, slot: usize, running: &Running) -> Improved {
        let better = {
            let mut known = self.servers.borrow().clone();
            known.retain(|id, _| !self.is_draining(id));
            let id = servers::better(&self.node, &known, &running.id, &self.others(slot), self.sessions);
            id.and_then(|id| known.remove(&id).map(|addresses| (id, addresses)))
        };
        let Some((id, addresses)) = better else {
            return Improved::Best;
        };
        if !running.is_idle() {
            return Improved::Best;
        }
        let mut health = running.health.clone();
        let attempt = async {
            for address in addresses {
                if let Ok(connection) = self.dialling.connect(&address, None).await
                    && let Some(inbound) = self.greet_as(&id, connection).await
                {
                    return Some((address, inbound));
                }
            }
            None
        };
        let reached = tokio::select! {
            reached = attempt => reached,
            // What is there now comes first.
            _ = health.wait_for(|health| *health != Health::Fine) => None,
        };
        let Some((address, inbound)) = reached else {
            debug!(
                server = id,
                "the server that comes first for this node is not reached"
            );
            return Improved::Failed;
        };
        if !running.is_idle() || !self.claim(slot, &id) {
            inbound.connection.close("it is not needed any more");
            return Improved::Best;
        }
        info!(
            from = running.id,
            to = id,
            "moving to the server that comes first for this node"
        );
        Improved::Moved(Box::new((address, self.start(inbound))))
    }

    /// Greets who is at the other end, if that is the server `id`.
    async fn greet_as(&self, id: &str, connection: Connection) -> Option<Inbound> {
        if Inbound::who(&connection).ok()? != id {
            connection.close("it is another server");
            return None;
        }
        self.greet(connection, id.to_owned()).await.ok()
    }
}

/// What came of looking for a better server.
enum Improved {
    /// A session with it, at that address.
    Moved(Box<(String, Running)>),
    /// There is none, or streams run.
    Best,
    /// It is not reached.
    Failed,
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(fastrand::f64() + 0.5)
}
