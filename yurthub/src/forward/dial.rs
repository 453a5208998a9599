//! Makes connections to one apiserver: TCP, TLS, and the first words of HTTP, each within its own time.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::connection::Connection;
use super::patience::{Pace, Patience};
use super::pool::STREAMS_PER_CONNECTION;
use super::resolve::Resolver;
use super::server::Reporter;
use super::target::Target;
use super::tcp::{self, Gauge};
use super::vigil::Vigil;
use super::{Body, BoxError, UpstreamError};
use crate::health::Evidence;

/// Flow-control window of a stream.
const STREAM_WINDOW: u32 = 256 << 10;
/// Flow-control window of a connection: all its streams at once may be stalled by slow readers without
/// stopping the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_PER_CONNECTION as u32;

/// A ping of HTTP/2 on a connection that was idle for so long, and time for its answer: what client-go does, a little more
/// patient. It finds what the kernel cannot see: an apiserver that hangs, or that has gone from behind a proxy which goes
/// on acknowledging.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// What the first words on a connection may take on a thin link: some 6 KB, a second at 50 kbit/s, beside others.
const GREETING: Duration = Duration::from_secs(5);

/// A fresh connection.
pub(super) enum Dialled {
    Http2(Arc<Connection>),
    Http1(http1::SendRequest<Body>),
}

/// What a connection is made for.
#[derive(Debug, Clone)]
pub(super) struct Purpose {
    /// Without HTTP/2, as upgrades need it.
    pub(super) upgrade: bool,
    /// After so long without a sign of life the kernel asks for one.
    pub(super) idle: Duration,
    /// Counts connections of this kind; where the last one ends the cloud is in doubt.
    pub(super) sentinels: Option<Arc<AtomicUsize>>,
}

/// See the module.
pub(super) struct Dialler {
    pub(super) target: Target,
    pub(super) resolver: Resolver,
    pub(super) pace: Pace,
    pub(super) report: Reporter,
    /// When the other end was reached last, by a connection that had yet to be secured.
    pub(super) greeted: Mutex<Option<Instant>>,
}

impl Dialler {
    /// Makes a connection with `tls`, which is of the credentials of `generation`.
    pub(super) async fn dial(
        &self,
        (tls, generation): (&rustls::ClientConfig, u64),
        purpose: Purpose,
    ) -> Result<Dialled, UpstreamError> {
        let (stream, gauge, patience) = self.secure(tls, &purpose).await?;
        let first_words = self.first_words(stream, (gauge, patience), (generation, purpose));
        self.within(patience.handshake(), first_words).await
    }

    /// Whether the other end was reached so recently that the first words to it may still be on their way.
    pub(super) fn is_greeting(&self) -> bool {
        let greeted = *self.greeted.lock().unwrap_or_else(PoisonError::into_inner);
        greeted.is_some_and(|greeted| greeted.elapsed() < GREETING)
    }

    /// TCP and TLS.
    async fn secure(
        &self,
        tls: &rustls::ClientConfig,
        purpose: &Purpose,
    ) -> Result<(TlsStream<TcpStream>, Gauge, Patience), UpstreamError> {
        let limit = self.pace.patience().connect();
        let stream = self.within(limit, self.tcp(purpose.idle).boxed()).await?;
        let gauge = Gauge::of(&stream).map_err(|error| self.failed(error.into()))?;
        let kernel = gauge.sample().map_or(Duration::ZERO, |sample| sample.round_trip);
        // The first round trip on a link that nobody has measured yet tells how long the next may take.
        let patience = Patience::of(Some(kernel.max(self.pace.patience().round_trip())));
        let start = Instant::now();
        *self.greeted.lock().unwrap_or_else(PoisonError::into_inner) = Some(start);
        let secured = self.tls(tls, purpose.upgrade, stream).boxed();
        let stream = self.within(patience.handshake(), secured).await?;
        let patience = self.pace.measured(kernel, start.elapsed());
        self.report.set_doubt(patience.doubt());
        Ok((stream, gauge, patience))
    }

    async fn tcp(&self, idle: Duration) -> Result<TcpStream, BoxError> {
        let stream = self.resolver.connect().await?;
        tcp::prepare(&stream, idle)?;
        Ok(stream)
    }

    async fn tls(
        &self,
        tls: &rustls::ClientConfig,
        upgrade: bool,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BoxError> {
        let mut tls = tls.clone();
        tls.alpn_protocols = if upgrade {
            vec![]
        } else {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        };
        let host = self.target.host();
        let name = match host.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address),
            Err(_) => ServerName::try_from(host.to_owned())?,
        };
        Ok(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?)
    }

    /// Boxed, because the compiler cannot see that a future over erased errors is `Send`.
    fn first_words(
        &self,
        stream: TlsStream<TcpStream>,
        (gauge, patience): (Gauge, Patience),
        (generation, purpose): (u64, Purpose),
    ) -> BoxFuture<'_, Result<Dialled, BoxError>> {
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        async move {
            if !speaks_http2 {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection.with_upgrades());
                return Ok(Dialled::Http1(sender));
            }
            let (sender, connection) = http2_builder().handshake(io).await?;
            let kill = CancellationToken::new();
            let vigil = Vigil {
                gauge,
                idle: purpose.idle,
                patience,
                report: self.report.clone(),
            };
            let sentinel = purpose.sentinels.map(Sentinel::new);
            let ends = (kill, Arc::<AtomicBool>::default());
            tokio::spawn(drive(connection, ends.clone(), vigil, sentinel));
            let connection = Connection::new(sender, generation, ends);
            Ok(Dialled::Http2(Arc::new(connection)))
        }
        .boxed()
    }

    async fn within<T>(
        &self,
        limit: Duration,
        attempt: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, UpstreamError> {
        match timeout(limit, attempt).await {
            Ok(outcome) => outcome.map_err(|source| self.failed(source)),
            Err(_) => Err(UpstreamError::ConnectTimeout {
                server: self.target.authority().clone(),
                limit,
            }),
        }
    }

    fn failed(&self, source: BoxError) -> UpstreamError {
        UpstreamError::Connect {
            server: self.target.authority().clone(),
            source,
        }
    }
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_WITHIN)
        .keep_alive_while_idle(true)
        .max_header_list_size(64 << 10);
    builder
}

/// A connection by which the cloud is watched; counted while it lives.
struct Sentinel(Arc<AtomicUsize>);

impl Sentinel {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }

    fn is_last(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs a connection until it ends, is killed, or is of no use. Its end while somebody counted on it is evidence.
async fn drive<F>(
    connection: F,
    (kill, retired): (CancellationToken, Arc<AtomicBool>),
    vigil: Vigil,
    sentinel: Option<Sentinel>,
) where
    F: Future<Output = hyper::Result<()>>,
{
    let report = &vigil.report;
    tokio::select! {
        // hyper's own task would carry what is on the connection to its end.
        () = kill.cancelled() => return vigil.gauge.cut(),
        () = vigil.keep() => vigil.gauge.cut(),
        outcome = connection => if let Err(error) = outcome {
            debug!(%error, "connection to the apiserver broke");
            return report.seen(Evidence::ConnectionLost);
        }
    }
    // Without one, nothing would notice that the link dies from here on.
    if sentinel.is_some_and(|sentinel| sentinel.is_last()) && !retired.load(Ordering::Acquire) {
        report.seen(Evidence::Unwatched);
    }
}
