//! Answers peers: `GET /healthz`, and nothing else, to nodes that are members of this pool.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};
use yurt_common::pool::PORT;

use super::{Findings, proof};
use crate::admin::Overview;
use crate::identity::KubeletVerifier;
use crate::identity::node_cert::NodeCredentials;
use crate::pool::Pool;

/// Connections at a time, and of one address.
const PLACES: usize = 64;
const OF_ONE: usize = 4;
/// How long a connection may live.
const LIFE: Duration = Duration::from_secs(5);
/// Until an address that cannot be had is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Largest head of a request.
const LARGEST_HEAD: usize = 8 << 10;

/// See the module.
pub struct Door {
    /// Whose members may ask.
    pub pool: Arc<Pool>,
    /// This node's certificate.
    pub credentials: Arc<NodeCredentials>,
    /// Judges the others'.
    pub verifier: Arc<KubeletVerifier>,
    /// Where to say that it is open.
    pub findings: Arc<Findings>,
    /// Whether this yurthub is ready.
    pub overview: Arc<Overview>,
}

impl Door {
    /// Answers at `listen`, or at the address that this node's Node names, until cancelled. `news` says that the latter may
    /// have changed.
    pub async fn run(self, listen: Option<SocketAddr>, mut news: watch::Receiver<()>) {
        let tls = match proof::server(&self.verifier, &self.credentials) {
            Ok(tls) => TlsAcceptor::from(Arc::new(tls)),
            Err(error) => return warn!(%error, "peers are not answered: TLS cannot be set up"),
        };
        let (door, mut complained) = (Arc::new(self), false);
        loop {
            news.borrow_and_update();
            let Some(address) = door.address(listen) else {
                if news.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match TcpListener::bind(address).await {
                Ok(socket) => {
                    complained = false;
                    let bound = socket.local_addr().unwrap_or(address);
                    info!(address = %bound, "peers are answered");
                    door.findings.listening.send_replace(Some(bound));
                    tokio::select! {
                        () = door.serve(socket, &tls) => {}
                        () = moved(&door, listen, address, &mut news) => {}
                    }
                    door.findings.listening.send_replace(None);
                }
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        warn!(%address, %error, "failed to listen for peers; trying again");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn address(&self, listen: Option<SocketAddr>) -> Option<SocketAddr> {
        listen.or_else(|| Some((self.pool.known().address()?, PORT).into()))
    }

    /// Accepts until cancelled; those that are served then go on for as long as they may.
    async fn serve(self: &Arc<Self>, socket: TcpListener, tls: &TlsAcceptor) {
        let places = Arc::new(Places::default());
        loop {
            let (stream, source) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "failed to accept a peer");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = places.take(source.ip()) else {
                debug!(%source, "a peer is refused: all places are in use");
                continue;
            };
            let (door, tls) = (Arc::clone(self), tls.clone());
            tokio::spawn(async move {
                if timeout(LIFE, door.connection(stream, &tls)).await.is_err() {
                    debug!(%source, "a peer took too long");
                }
                drop(place);
            });
        }
    }

    async fn connection(&self, stream: TcpStream, tls: &TlsAcceptor) {
        let stream = match tls.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => return debug!(%error, "a peer has not proved who it is"),
        };
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let node = certificates.first().and_then(proof::node_of).unwrap_or_default();
        if !self.pool.known().members.members.contains_key(&node) {
            return debug!(node, "a node that is no member of this pool is not answered");
        }
        let service = service_fn(|request| {
            let answer = answer(&request, self.overview.is_ready());
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(LIFE)
            .keep_alive(false)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            debug!(%error, node, "the connection of a peer ended early");
        }
    }
}

/// Resolves when the node has another address.
async fn moved(door: &Door, listen: Option<SocketAddr>, before: SocketAddr, news: &mut watch::Receiver<()>) {
    while news.changed().await.is_ok() {
        if door.address(listen).is_some_and(|now| now != before) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn answer(request: &Request<Incoming>, ready: bool) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path(), ready) {
        (&Method::GET, "/healthz", true) => (StatusCode::OK, "ok\n"),
        (&Method::GET, "/healthz", false) => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        _ => (StatusCode::NOT_FOUND, ""),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// Connections by the address that they come from.
#[derive(Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

impl Places {
    fn take(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= PLACES
            || taken.get(&source).is_some_and(|of_one| *of_one >= OF_ONE)
        {
            return None;
        }
        *taken.entry(source).or_default() += 1;
        Some(Place {
            places: Arc::clone(self),
            source,
        })
    }
}

/// A place that is taken until this is dropped.
struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_one) = taken.get_mut(&self.source) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_and_no_address_takes_them_all() {
        let places = Arc::new(Places::default());
        let address = |last: usize| IpAddr::from([10, 0, 0, last as u8]);
        let mut taken: Vec<_> = (0..OF_ONE).map(|_| places.take(address(0)).unwrap()).collect();
        assert!(places.take(address(0)).is_none());
        taken.pop();
        taken.push(places.take(address(0)).unwrap());
        for number in OF_ONE..PLACES {
            taken.push(places.take(address(number)).unwrap());
        }
        assert!(places.take(address(200)).is_none());
        taken.clear();
        assert!(places.0.lock().unwrap().is_empty());
    }
}
