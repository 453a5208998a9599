//! One connection between an agent and a server, and its streams, whichever way packets travel.
//!
//! The one who dialled a connection only answers streams; the one who accepted it opens them. The first stream is for
//! greetings. [`quic`] and [`h2`] make connections, [`race`] chooses between both, [`attempts`] repeats what is not
//! answered, [`stream`] is what both give.
//!
//! Invariant: a few stalled streams delay no other one, and what is buffered for a connection is bounded.

pub mod attempts;
pub mod h2;
pub mod proxy;
pub mod quic;
pub mod race;
pub mod stream;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::protocol::{self, PREFIX};
use stream::TunnelStream;

/// Streams of a connection at a time, the one for greetings included.
pub const MOST_STREAMS: u32 = 1025;
/// Bytes of one stream that wait for their reader, or for what was lost before them. Three times what is under way on a link
/// of 50 Mbit/s and 100 ms: until a loss is known and mended, and the window moves, two and a half round trips pass.
pub const STREAM_WINDOW: u32 = 2 << 20;
/// Bytes of all streams of a connection that wait for their readers: so many that only 32 stalled streams delay others.
pub const CONNECTION_WINDOW: u32 = 64 << 20;
/// Bytes that were sent and are not acknowledged, of a connection.
pub const SEND_WINDOW: u32 = 4 << 20;
/// Nothing heard for so long ends a connection.
pub const IDLE: Duration = Duration::from_secs(30);

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// QUIC, over UDP.
    Quic,
    /// HTTP/2 on TLS, over TCP.
    Tcp,
}

impl Transport {
    /// As a label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

/// One connection. Clones are the same one.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Over UDP.
    Quic(quinn::Connection),
    /// Over TCP.
    H2(h2::Connection),
}

impl Connection {
    /// How it travels.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Quic(_) => Transport::Quic,
            Self::H2(_) => Transport::Tcp,
        }
    }

    /// The other end's address.
    pub fn remote(&self) -> SocketAddr {
        match self {
            Self::Quic(connection) => connection.remote_address(),
            Self::H2(connection) => connection.remote(),
        }
    }

    /// The other end's certificates, its own first.
    pub fn certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        match self {
            Self::Quic(connection) => {
                let identity = connection.peer_identity()?;
                identity.downcast().ok().map(|certificates| *certificates)
            }
            Self::H2(connection) => connection.certificates(),
        }
    }

    /// Opens a stream, on the side that accepted the connection.
    pub async fn open(&self) -> io::Result<TunnelStream> {
        match self {
            Self::Quic(connection) => {
                let (send, recv) = connection.open_bi().await?;
                Ok(TunnelStream::quic(send, recv))
            }
            Self::H2(connection) => connection.open().await,
        }
    }

    /// The next stream that the other end opened; none any more when the connection ended. On the side that dialled it.
    pub async fn accept(&self) -> Option<TunnelStream> {
        match self {
            Self::Quic(connection) => {
                let (send, recv) = connection.accept_bi().await.ok()?;
                Some(TunnelStream::quic(send, recv))
            }
            Self::H2(connection) => connection.accept().await,
        }
    }

    /// The stream for greetings, on the side that dialled the connection.
    pub async fn greet(&self) -> io::Result<TunnelStream> {
        match self {
            Self::Quic(connection) => {
                let (send, recv) = connection.open_bi().await?;
                first(&send)?;
                Ok(TunnelStream::quic(send, recv))
            }
            Self::H2(connection) => connection.accept().await.ok_or_else(lost),
        }
    }

    /// The stream for greetings, on the side that accepted the connection.
    pub async fn greeted(&self) -> io::Result<TunnelStream> {
        match self {
            Self::Quic(connection) => {
                let (send, recv) = connection.accept_bi().await?;
                first(&send)?;
                Ok(TunnelStream::quic(send, recv))
            }
            Self::H2(connection) => connection.open().await,
        }
    }

    /// Ends it, and all of its streams, at once.
    pub fn close(&self, why: &'static str) {
        match self {
            Self::Quic(connection) => connection.close(0_u32.into(), why.as_bytes()),
            Self::H2(connection) => connection.close(),
        }
    }

    /// Waits until it has ended, and says why.
    pub async fn closed(&self) -> String {
        match self {
            Self::Quic(connection) => connection.closed().await.to_string(),
            Self::H2(connection) => connection.closed().await,
        }
    }

    /// Whether what is heard of the other end shows that it hears us, too. A datagram does not: it may be sent again and again
    /// because ours are lost. TCP gives nothing out of its order, and sends nothing new while nothing is acknowledged.
    pub fn hears_both_ways(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// Grows whenever something is heard of the other end.
    pub fn heard(&self) -> u64 {
        match self {
            Self::Quic(connection) => connection.stats().udp_rx.datagrams,
            Self::H2(connection) => connection.heard(),
        }
    }

    /// How long a packet takes there and back; not known over TCP.
    pub fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Quic(connection) => Some(connection.rtt()),
            Self::H2(_) => None,
        }
    }

    /// Waits until nothing was heard for `patience`.
    pub async fn silent(&self, patience: Duration) {
        let (mut heard, mut since) = (self.heard(), Instant::now());
        loop {
            sleep(patience / 8).await;
            let now = self.heard();
            if now != heard {
                (heard, since) = (now, Instant::now());
            } else if since.elapsed() >= patience {
                return;
            }
        }
    }
}

/// Greetings come before all other bytes: that an answer is late must mean that the path is deaf.
fn first(send: &quinn::SendStream) -> io::Result<()> {
    send.set_priority(1).map_err(|_| lost())
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the tunnel's connection ended")
}

/// Reads one message.
pub async fn read_message<T: DeserializeOwned>(stream: &mut stream::Reader) -> io::Result<T> {
    let mut prefix = [0; PREFIX];
    stream.read_exact(&mut prefix).await?;
    let length = protocol::length(prefix).map_err(invalid)?;
    let mut json = vec![0; length];
    stream.read_exact(&mut json).await?;
    protocol::decode(&json).map_err(invalid)
}

/// Writes one message.
pub async fn write_message<T: Serialize + Sync>(stream: &mut stream::Writer, message: &T) -> io::Result<()> {
    let bytes = protocol::encode(message).map_err(invalid)?;
    stream.write(bytes.into()).await
}

fn invalid(error: protocol::ProtocolError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
