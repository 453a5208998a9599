//! Connections to other servers: tells them which nodes this one holds, and answers their dials for these.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{Dialer, Server};
use crate::agent::backoff::Backoff;
use crate::dial::{DialError, refuse};
use crate::inbound::{Answers, Health, Inbound};
use crate::protocol::{Answer, Dial, Greeting, Member, NODES_AT_A_TIME, ProtocolError, Reason};
use crate::relay;
use crate::transport::attempts::Met;
use crate::transport::race::Dialling;
use crate::transport::stream::TunnelStream;
use crate::transport::write_message;

/// Between two complaints about the same server.
const QUIET: Duration = Duration::from_mins(1);
/// Between two attempts, at least.
const LEAST: Duration = Duration::from_millis(50);
/// Messages that wait to be told.
const WAITING: usize = 16;

/// Keeps a connection to each other server, until the server ends.
pub async fn run(server: Arc<Server>, dialling: Arc<Dialling>) {
    let mut members = server.members.subscribe();
    let mut tasks: HashMap<String, (Member, AbortHandle)> = HashMap::new();
    loop {
        let now = members.borrow_and_update().clone();
        tasks.retain(|_, (member, task)| {
            let stays = now.contains(member);
            if !stays {
                task.abort();
            }
            stays
        });
        let own = server.id();
        for member in now.into_iter().filter(|member| member.id != own) {
            if !tasks.contains_key(&member.id) {
                let task = tokio::spawn(hold(Arc::clone(&server), Arc::clone(&dialling), member.clone()));
                tasks.insert(member.id.clone(), (member, task.abort_handle()));
            }
        }
        tokio::select! {
            changed = members.changed() => if changed.is_err() { break },
            () = server.ending.cancelled() => break,
        }
    }
    for (_, task) in tasks.into_values() {
        task.abort();
    }
}

async fn hold(server: Arc<Server>, dialling: Arc<Dialling>, member: Member) {
    let (mut backoff, mut attempt, mut complained) = (Backoff::default(), 0_usize, None::<Instant>);
    loop {
        let address = attempt
            .checked_rem(member.addresses.len())
            .and_then(|at| member.addresses.get(at));
        let Some(address) = address else {
            return warn!(
                server = member.id,
                "a server without an address; it is not asked for nodes"
            );
        };
        let met;
        match session(&server, &dialling, &member, address).await {
            Ok(why) => {
                met = Met::Server;
                backoff.reset();
                debug!(
                    server = member.id,
                    why, "the session with another server has ended"
                );
            }
            Err(error) => {
                attempt += 1;
                met = Met::by(&error);
                if ProtocolError::is_of_versions(&error) {
                    server.metrics.refused("version");
                    if complained.is_none_or(|last| last.elapsed() >= QUIET) {
                        complained = Some(Instant::now());
                        warn!(server = member.id, address, %error, "another server is not asked for nodes; trying again");
                    }
                }
                debug!(server = member.id, address, %error, "failed to connect to another server; trying again");
            }
        }
        let pause = backoff.after(met, fastrand::f64()).max(LEAST);
        tokio::select! {
            () = sleep(pause) => {}
            () = arrival(&server, &member.id) => {}
        }
    }
}

/// Waits until the server `id` connects to this one: then it has just been started.
async fn arrival(server: &Server, id: &str) {
    let mut arrivals = server.arrivals.subscribe();
    loop {
        match arrivals.recv().await {
            Ok(arrived) if arrived == id => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn session(
    server: &Arc<Server>,
    dialling: &Arc<Dialling>,
    member: &Member,
    address: &str,
) -> std::io::Result<String> {
    let connection = dialling.connect(address, None).await?;
    let id = Inbound::who(&connection)?;
    if id != member.id {
        connection.close("it is another server");
        return Err(std::io::Error::other(format!("at this address is server `{id}`")));
    }
    let inbound = Inbound::greet(connection, id, server.versions).await?;
    let (tell, telling) = mpsc::channel(WAITING);
    let (health, _) = watch::channel(Health::Fine);
    let answers = Arc::new(ForPeers(server.dialer()));
    tokio::select! {
        why = inbound.serve(answers, telling, health) => Ok(why),
        why = nodes(server, &tell) => Ok(why.into()),
    }
}

/// Tells of all nodes, then of changes; returns when some were missed.
async fn nodes(server: &Arc<Server>, tell: &mpsc::Sender<Greeting>) -> &'static str {
    let mut changes = server.changes.subscribe();
    let all = server.registry().nodes();
    for some in all.chunks(NODES_AT_A_TIME) {
        let greeting = Greeting::Nodes {
            added: some.to_vec(),
            removed: Vec::new(),
        };
        if tell.send(greeting).await.is_err() {
            return "it ended";
        }
    }
    loop {
        let (node, added) = match changes.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => return "too many changes to tell; all are told anew",
            Err(RecvError::Closed) => return "the server ends",
        };
        let (added, removed) = if added {
            (vec![node], vec![])
        } else {
            (vec![], vec![node])
        };
        if tell.send(Greeting::Nodes { added, removed }).await.is_err() {
            return "it ended";
        }
    }
}

/// Answers dials of other servers.
struct ForPeers(Dialer);

impl Answers for ForPeers {
    async fn answer(&self, dial: Dial, mut stream: TunnelStream) {
        let Some(node) = dial.hop else {
            return refuse(
                stream,
                Reason::Malformed,
                "a dial between servers names a node".into(),
            )
            .await;
        };
        let deadline = Duration::from_millis(dial.deadline_ms.into());
        let dialled = tokio::select! {
            dialled = self.0.dial_for_peer(&node, dial.target, deadline) => dialled,
            () = stream.writer.stopped() => return,
        };
        let onward = match dialled {
            Ok(onward) => onward,
            Err(error) => {
                let (reason, words) = refusal(error);
                return refuse(stream, reason, words).await;
            }
        };
        if write_message(&mut stream.writer, &Answer::Ok).await.is_ok() {
            relay::join(stream, onward).await;
        }
    }

    fn heard(&self, _: Greeting) {}
}

fn refusal(error: DialError) -> (Reason, String) {
    match error {
        DialError::Refused { reason, words } => (reason, words),
        DialError::Deadline { .. } => (Reason::Deadline, error.to_string()),
        DialError::TooMany(_) => (Reason::TooMany, error.to_string()),
        DialError::NotConnected { .. } | DialError::Unheard | DialError::Lost(_) => {
            (Reason::NotConnected, error.to_string())
        }
    }
}
