//! One connection that a server has accepted, from its certificate to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use yurt_common::node_certificates::Role;
use yurt_common::node_certificates::verifier::Peer;

use super::Server;
use super::limits::Places;
use crate::protocol::{Greeting, Hello, ProtocolError};
use crate::transport::stream::{Reader, TunnelStream, Writer};
use crate::transport::{Connection, IDLE, read_message, write_message};

/// From the handshake to the greeting.
const GREETING: Duration = Duration::from_secs(10);
/// An older session of which nothing was heard for so long is not drained but ended.
const STALE: Duration = Duration::from_secs(2);

/// A session that may be dialled over.
#[derive(Debug)]
pub struct Session {
    /// Tells sessions apart.
    pub id: u64,
    /// The connection.
    pub connection: Connection,
    /// The version that both speak.
    pub version: u16,
    /// How much it may take.
    pub places: Places,
    /// It is not dialled over any more.
    pub drained: CancellationToken,
    deaf: AtomicBool,
}

impl Session {
    /// Whether nothing was heard at the last dial, nor since then, as far as is known.
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// Says so.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Lets nobody dial any more, and ends it when its streams have ended.
    async fn drain(self: Arc<Self>, why: &'static str) {
        self.drained.cancel();
        tokio::select! {
            () = self.connection.silent(STALE) => {}
            () = self.places.empty() => {}
        }
        self.connection.close(why);
    }
}

impl Server {
    /// Serves one connection until its end.
    pub(super) async fn visit(self: Arc<Self>, connection: Connection) {
        let remote = connection.remote();
        let certificates = connection.certificates();
        let peer = match self.verifier.peer(certificates.as_deref()) {
            Ok(peer) => peer,
            Err(refusal) => {
                self.metrics.refused("certificate");
                info!(%remote, %refusal, "a connection is refused");
                return connection.close("refused");
            }
        };
        let greeted = tokio::select! {
            greeted = timeout(GREETING, self.greet(&connection)) => greeted,
            () = self.ending.cancelled() => return connection.close("the server ends"),
        };
        let (stream, version) = match greeted {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) if ProtocolError::is_of_versions(&error) => {
                self.metrics.refused("version");
                warn!(%remote, node = peer.node, role = ?peer.role, %error, "a connection is refused");
                return connection.close("no common version");
            }
            Ok(Err(error)) => {
                debug!(%remote, %error, "a connection ends: no greeting");
                return connection.close("no greeting");
            }
            Err(_) => {
                debug!(%remote, "a connection ends: no greeting in time");
                return connection.close("no greeting in time");
            }
        };
        let session = Arc::new(Session {
            id: self.next_id(),
            connection,
            version,
            places: Places::default(),
            drained: CancellationToken::new(),
            deaf: AtomicBool::new(false),
        });
        let counted = self.metrics.session(session.connection.transport());
        match peer.role {
            Role::TunnelAgent => self.agent(&session, &peer, stream).await,
            Role::TunnelServer => self.server(&session, &peer, stream).await,
        }
        drop(counted);
    }

    async fn greet(&self, connection: &Connection) -> std::io::Result<(TunnelStream, u16)> {
        let mut stream = connection.greeted().await?;
        let ours = Hello::ours(self.versions, self.members());
        write_message(&mut stream.writer, &Greeting::Hello(ours.clone())).await?;
        let Greeting::Hello(theirs) = read_message(&mut stream.reader).await? else {
            return Err(std::io::Error::other(ProtocolError::NoHello));
        };
        match ours.agree(&theirs) {
            Ok(version) => Ok((stream, version)),
            Err(error) => {
                crate::greetings::part(stream).await;
                Err(std::io::Error::other(error))
            }
        }
    }

    async fn agent(self: &Arc<Self>, session: &Arc<Session>, peer: &Peer, stream: TunnelStream) {
        let node = peer.node.as_str();
        let (transport, remote) = (
            session.connection.transport().label(),
            session.connection.remote(),
        );
        let older = self.held(node, session);
        for older in older {
            tokio::spawn(older.drain("a newer one is there"));
        }
        info!(node, session = session.id, transport, %remote, version = session.version, "a node is connected");
        let heard = |greeting| {
            if greeting == Greeting::Drain && !session.drained.is_cancelled() {
                info!(node, session = session.id, "a node has found a better server");
                tokio::spawn(Arc::clone(session).drain("it has found a better server"));
            }
        };
        let why = self.hold(session, peer, stream, heard).await;
        session.connection.close("the session ends");
        self.gone(node, session);
        info!(node, session = session.id, transport, %remote, why, "a node is not connected any more");
    }

    async fn server(self: &Arc<Self>, session: &Arc<Session>, peer: &Peer, stream: TunnelStream) {
        let id = peer.node.as_str();
        if id == self.id() {
            return session.connection.close("this is myself");
        }
        info!(
            server = id,
            version = session.version,
            "another server is connected"
        );
        self.peers.add(id, session);
        // Without another member nobody listens.
        let _ = self.arrivals.send(id.to_owned());
        self.metrics.peers.set(self.peers.len() as i64);
        let heard = |greeting| {
            if let Greeting::Nodes { added, removed } = greeting
                && !self.peers.told(session.id, &added, &removed)
            {
                warn!(
                    server = id,
                    "another server names too many nodes; more are ignored"
                );
            }
        };
        let why = self.hold(session, peer, stream, heard).await;
        session.connection.close("the session ends");
        self.peers.remove(session.id);
        self.metrics.peers.set(self.peers.len() as i64);
        info!(server = id, why, "another server is not connected any more");
    }

    /// Answers on the stream for greetings until the session ends; says why.
    async fn hold(
        &self,
        session: &Session,
        peer: &Peer,
        stream: TunnelStream,
        heard: impl FnMut(Greeting) + Send,
    ) -> String {
        let connection = &session.connection;
        let TunnelStream {
            mut reader,
            mut writer,
        } = stream;
        tokio::select! {
            why = connection.closed() => why,
            () = self.verifier.refused(peer) => "its certificate is revoked".into(),
            () = self.ending.cancelled() => "the server ends".into(),
            () = connection.silent(IDLE) => "nothing is heard of it".into(),
            error = self.converse(&mut reader, &mut writer, heard) => match error {
                Ok(()) => "it said that it ends".into(),
                Err(error) => error.to_string(),
            },
        }
    }

    async fn converse(
        &self,
        reader: &mut Reader,
        writer: &mut Writer,
        mut heard: impl FnMut(Greeting) + Send,
    ) -> std::io::Result<()> {
        let mut members = self.members.subscribe();
        let mut told = false;
        let mut incoming = crate::greetings::incoming(reader);
        loop {
            tokio::select! {
                greeting = incoming.recv() => match greeting? {
                    Greeting::Ping => write_message(writer, &Greeting::Pong).await?,
                    other => heard(other),
                },
                changed = members.changed() => {
                    changed.map_err(std::io::Error::other)?;
                    let now = members.borrow_and_update().clone();
                    write_message(writer, &Greeting::Members { members: now }).await?;
                }
                () = self.draining.cancelled(), if !told => {
                    told = true;
                    write_message(writer, &Greeting::Drain).await?;
                }
            }
        }
    }

    fn held(&self, node: &str, session: &Arc<Session>) -> Vec<Arc<Session>> {
        let mut registry = self.registry();
        let (older, new) = registry.add(node, session.id, Arc::clone(session));
        self.metrics.nodes.set(registry.len() as i64);
        drop(registry);
        if new {
            // Without peers nobody listens.
            let _ = self.changes.send((node.to_owned(), true));
        }
        older
    }

    fn gone(&self, node: &str, session: &Session) {
        let mut registry = self.registry();
        let gone = registry.remove(node, session.id, Instant::now());
        self.metrics.nodes.set(registry.len() as i64);
        drop(registry);
        if gone {
            let _ = self.changes.send((node.to_owned(), false));
        }
    }
}
