//! Which way to travel: QUIC first, TCP a little later; the first that is authenticated wins, and is remembered.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quinn::Endpoint;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::quic::Congestion;
use super::tls::{ALPN_QUIC, ALPN_TCP, Identity, SERVER_NAME, Trust};
use super::{Connection, Transport, h2, proxy, quic, tls};

/// TCP begins so long after QUIC.
const HEAD_START: Duration = Duration::from_secs(2);
/// QUIC begins so long after TCP where QUIC did not work last.
const LATER: Duration = Duration::from_secs(5);
/// While on TCP, QUIC is tried again after so long.
pub const RETRY_QUIC: Duration = Duration::from_mins(10);
/// What worked is remembered so long.
const REMEMBERED: Duration = Duration::from_hours(24);
/// One attempt, names and proxies included.
pub const ATTEMPT: Duration = Duration::from_secs(10);
/// How long the end of a connection may take to be told.
const FLUSH: Duration = Duration::from_secs(1);
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// Servers of which is remembered what worked.
const SERVERS: usize = 256;

/// Which ways may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Ways {
    /// Both.
    #[default]
    Auto,
    /// UDP only.
    Quic,
    /// TCP only.
    Tcp,
}

/// When each way begins; none: it is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// QUIC.
    pub quic: Option<Duration>,
    /// TCP.
    pub tcp: Option<Duration>,
}

/// Decides (pure): `worked` is what worked last, and how long ago.
pub fn plan(ways: Ways, worked: Option<(Transport, Duration)>) -> Plan {
    let now = Some(Duration::ZERO);
    match (ways, worked) {
        (Ways::Quic, _) => Plan { quic: now, tcp: None },
        (Ways::Tcp, _) => Plan { quic: None, tcp: now },
        (Ways::Auto, Some((Transport::Tcp, since))) if since < REMEMBERED => Plan {
            quic: Some(LATER),
            tcp: now,
        },
        (Ways::Auto, _) => Plan {
            quic: now,
            tcp: Some(HEAD_START),
        },
    }
}

/// What dialling takes.
#[derive(Debug)]
pub struct Dialling {
    /// This end's certificate.
    pub identity: Identity,
    /// Who vouches for servers.
    pub trust: Trust,
    /// How fast is sent.
    pub congestion: Congestion,
    /// Which ways may be taken.
    pub ways: Ways,
    /// `host:port` of an HTTP proxy for TCP.
    pub proxy: Option<String>,
    endpoint: Endpoint,
    worked: Mutex<HashMap<String, (Transport, Instant)>>,
}

impl Dialling {
    /// With a socket of its own.
    pub fn new(identity: Identity, trust: Trust) -> io::Result<Self> {
        Ok(Self::over(quic::dialling()?, identity, trust))
    }

    /// Over a socket that others may use, too.
    pub fn over(endpoint: Endpoint, identity: Identity, trust: Trust) -> Self {
        Self {
            identity,
            trust,
            congestion: Congestion::default(),
            ways: Ways::default(),
            proxy: None,
            endpoint,
            worked: Mutex::default(),
        }
    }

    /// Connects to a server at `address`, `host:port`. `suspect` is a way that has just fallen silent.
    pub async fn connect(
        self: &Arc<Self>,
        address: &str,
        suspect: Option<Transport>,
    ) -> io::Result<Connection> {
        let mut worked = {
            let worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
            worked
                .get(address)
                .map(|(transport, at)| (*transport, at.elapsed()))
        };
        if suspect == Some(Transport::Quic) {
            worked = Some((Transport::Tcp, Duration::ZERO));
        }
        let plan = plan(self.ways, worked);
        let connection = timeout(ATTEMPT, Box::pin(self.race(address, plan))).await;
        let connection =
            connection.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
        self.remember(address, connection.transport());
        Ok(connection)
    }

    /// Connects over QUIC only, to leave TCP.
    pub async fn connect_quic(self: &Arc<Self>, address: &str) -> io::Result<Connection> {
        let connection = timeout(ATTEMPT, self.over_quic(address)).await;
        let connection =
            connection.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
        self.remember(address, Transport::Quic);
        Ok(connection)
    }

    fn remember(&self, address: &str, transport: Transport) {
        let mut worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        if worked.len() >= SERVERS {
            worked.clear();
        }
        worked.insert(address.to_owned(), (transport, Instant::now()));
    }

    async fn race(&self, address: &str, plan: Plan) -> io::Result<Connection> {
        let quic = async {
            begin(plan.quic).await;
            self.over_quic(address).await
        };
        let tcp = async {
            begin(plan.tcp).await;
            self.over_tcp(address).await
        };
        tokio::pin!(quic, tcp);
        tokio::select! {
            first = &mut quic => match first {
                Ok(connection) => Ok(connection),
                Err(error) if plan.tcp.is_none() => Err(error),
                // No head start for what has failed.
                Err(error) => if plan.tcp.is_some_and(|delay| delay.is_zero()) { tcp.await } else {
                    self.over_tcp(address).await
                }.map_err(|other| both(&error, &other)),
            },
            second = &mut tcp => match second {
                Ok(connection) => Ok(connection),
                Err(error) if plan.quic.is_none() => Err(error),
                Err(error) => quic.await.map_err(|other| both(&other, &error)),
            },
        }
    }

    async fn over_quic(&self, address: &str) -> io::Result<Connection> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
        let addresses: Vec<_> = lookup_host(address).await?.take(ADDRESSES).collect();
        for address in addresses {
            let tls =
                tls::client(self.identity.clone(), self.roots(), ALPN_QUIC).map_err(io::Error::other)?;
            match quic::dial(&self.endpoint, address, tls, self.congestion).await {
                Ok(connection) => return Ok(Connection::Quic(connection)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn over_tcp(&self, address: &str) -> io::Result<Connection> {
        let stream = match &self.proxy {
            Some(proxy) => proxy::connect(proxy, address).await?,
            None => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        let remote = stream.peer_addr()?;
        let tls = tls::client(self.identity.clone(), self.roots(), ALPN_TCP).map_err(io::Error::other)?;
        let name = SERVER_NAME.try_into().map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificates = certificates.map(|all| all.iter().map(|one| one.clone().into_owned()).collect());
        Ok(Connection::H2(
            h2::dialled(stream, h2::Below { remote, certificates }).await?,
        ))
    }

    fn roots(&self) -> Arc<rustls::RootCertStore> {
        Arc::clone(&self.trust.borrow())
    }

    /// Waits, for a moment, until all others were told of connections that have ended.
    pub async fn flushed(&self) {
        // Whoever does not hear it finds out by silence.
        let _ = timeout(FLUSH, self.endpoint.wait_idle()).await;
    }

    /// The address of the socket that QUIC is dialled from.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }
}

async fn begin(delay: Option<Duration>) {
    match delay {
        Some(delay) if delay.is_zero() => {}
        Some(delay) => sleep(delay).await,
        None => std::future::pending().await,
    }
}

fn both(quic: &io::Error, tcp: &io::Error) -> io::Error {
    io::Error::new(tcp.kind(), format!("over QUIC: {quic}; over TCP: {tcp}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quic_goes_first_unless_tcp_worked_last() {
        let second = Duration::from_secs(1);
        let (now, at) = (Some(Duration::ZERO), Some);
        for (ways, worked, quic, tcp) in [
            (Ways::Auto, None, now, at(HEAD_START)),
            (Ways::Auto, Some((Transport::Quic, second)), now, at(HEAD_START)),
            (Ways::Auto, Some((Transport::Tcp, second)), at(LATER), now),
            (
                Ways::Auto,
                Some((Transport::Tcp, REMEMBERED)),
                now,
                at(HEAD_START),
            ),
            (Ways::Quic, Some((Transport::Tcp, second)), now, None),
            (Ways::Tcp, None, None, now),
        ] {
            assert_eq!(plan(ways, worked), Plan { quic, tcp }, "{ways:?} {worked:?}");
        }
    }
}
