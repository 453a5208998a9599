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

use super::attempts::{Heard, Met, afresh};
use super::quic::Congestion;
use super::tls::{ALPN_QUIC, ALPN_TCP, Identity, SERVER_NAME, Trust};
use super::{Connection, Transport, h2, proxy, quic, tls};

/// TCP begins so long after QUIC.
const HEAD_START: Duration = Duration::from_secs(2);
/// The other way begins so long after the one that has fallen silent.
const SUSPECTED: Duration = Duration::from_millis(250);
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

/// Decides (pure): `worked` is what worked last, and how long ago; `suspect` is a way that has just fallen silent.
pub fn plan(ways: Ways, worked: Option<(Transport, Duration)>, suspect: Option<Transport>) -> Plan {
    let (now, soon) = (Some(Duration::ZERO), Some(SUSPECTED));
    match (ways, worked) {
        // A silent way may be deaf, or the network may be away altogether: then the same way is as good as the other one.
        (Ways::Auto, _) if suspect == Some(Transport::Quic) => Plan { quic: now, tcp: soon },
        (Ways::Auto, _) if suspect == Some(Transport::Tcp) => Plan { quic: soon, tcp: now },
        (Ways::Quic, _) => Plan { quic: now, tcp: None },
        (Ways::Tcp, _) => Plan { quic: None, tcp: now },
        (Ways::Auto, Some((Transport::Tcp, since))) if since < REMEMBERED => Plan {
            quic: Some(HEAD_START),
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
        let worked = {
            let worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
            worked
                .get(address)
                .map(|(transport, at)| (*transport, at.elapsed()))
        };
        let plan = plan(self.ways, worked, suspect);
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
        let addresses = resolve(address).await?;
        let dialled = afresh(addresses.len(), |number, heard| {
            let address = addresses[number % addresses.len()];
            async move {
                let tls =
                    tls::client(self.identity.clone(), self.roots(), ALPN_QUIC).map_err(io::Error::other)?;
                quic::dial(&self.endpoint, address, tls, self.congestion, heard).await
            }
        });
        Ok(Connection::Quic(dialled.await?))
    }

    async fn over_tcp(&self, address: &str) -> io::Result<Connection> {
        let addresses = match &self.proxy {
            // The proxy knows what names mean.
            Some(_) => Vec::new(),
            None => resolve(address).await?,
        };
        let (proxy, addresses) = (self.proxy.as_deref(), addresses.as_slice());
        let dialled = afresh(addresses.len(), |number, heard| async move {
            let stream = match proxy {
                Some(proxy) => proxy::connect(proxy, address).await?,
                None => TcpStream::connect(addresses[number % addresses.len()]).await?,
            };
            self.greet_tls(stream, heard).await
        });
        dialled.await
    }

    async fn greet_tls(&self, stream: TcpStream, heard: Heard) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        let remote = stream.peer_addr()?;
        let tls = tls::client(self.identity.clone(), self.roots(), ALPN_TCP).map_err(io::Error::other)?;
        let name = SERVER_NAME.try_into().map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        // Not before: a proxy, or a middlebox, accepts connections that lead nowhere.
        heard.now();
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

/// Addresses of a name; at least one.
async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    let unknown = |words: String| io::Error::new(io::ErrorKind::NotFound, words);
    let found = lookup_host(address).await;
    let found = found.map_err(|error| unknown(format!("failed to look up `{address}`: {error}")))?;
    let addresses: Vec<_> = found.take(ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(unknown(format!("`{address}` has no addresses")));
    }
    Ok(addresses)
}

async fn begin(delay: Option<Duration>) {
    match delay {
        Some(delay) if delay.is_zero() => {}
        Some(delay) => sleep(delay).await,
        None => std::future::pending().await,
    }
}

fn both(quic: &io::Error, tcp: &io::Error) -> io::Error {
    let kind = if Met::by(quic) == Met::Nobody { tcp } else { quic }.kind();
    io::Error::new(kind, format!("over QUIC: {quic}; over TCP: {tcp}"))
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
            (Ways::Auto, Some((Transport::Tcp, second)), at(HEAD_START), now),
            (
                Ways::Auto,
                Some((Transport::Tcp, REMEMBERED)),
                now,
                at(HEAD_START),
            ),
            (Ways::Quic, Some((Transport::Tcp, second)), now, None),
            (Ways::Tcp, None, None, now),
        ] {
            assert_eq!(
                plan(ways, worked, None),
                Plan { quic, tcp },
                "{ways:?} {worked:?}"
            );
        }
        let suspected = |ways, suspect| plan(ways, Some((Transport::Quic, second)), Some(suspect));
        let (quic, tcp) = (Transport::Quic, Transport::Tcp);
        assert_eq!(
            suspected(Ways::Auto, quic),
            Plan {
                quic: now,
                tcp: at(SUSPECTED)
            }
        );
        assert_eq!(
            suspected(Ways::Auto, tcp),
            Plan {
                quic: at(SUSPECTED),
                tcp: now
            }
        );
        assert_eq!(suspected(Ways::Quic, quic), Plan { quic: now, tcp: None });
    }
}
