//! Front door B: HTTP `CONNECT`, as the egress selector of an apiserver speaks it.
//!
//! The apiserver takes any byte after the head of a 200 that comes too early for an error: so nothing follows it, and it is
//! sent after the dial has succeeded. What is no node of the tunnel is dialled directly, because the egress selector sends
//! webhooks and aggregated APIs here, too.

pub mod tls;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::request::{self, LARGEST};
use super::{Destination, Nodes};
use crate::dial::DialError;
use crate::protocol::Reason;
use crate::relay::{self, Layered, Socket};
use crate::server::Dialer;

/// The head of a request, and a handshake, may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// A dial may.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Connections at a time.
const PLACES: usize = 16_384;
/// Until accepting is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// The door. Clones are the same one.
pub struct Door<N> {
    dialer: Dialer,
    nodes: Arc<N>,
    places: Arc<Semaphore>,
}

impl<N> Clone for Door<N> {
    fn clone(&self) -> Self {
        Self {
            dialer: self.dialer.clone(),
            nodes: Arc::clone(&self.nodes),
            places: Arc::clone(&self.places),
        }
    }
}

/// A socket at `path` that only this user may use. One that is there is replaced.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{:08x}", fastrand::u32(..)));
    let fresh = std::path::PathBuf::from(fresh);
    let listener = UnixListener::bind(&fresh)?;
    let placed = std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = placed {
        // The first error says more.
        let _ = std::fs::remove_file(&fresh);
        return Err(error);
    }
    Ok(listener)
}

/// Why there is no 200.
struct Failure {
    status: u16,
    label: &'static str,
    words: String,
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let status = match error {
            DialError::NotConnected { .. } | DialError::TooMany(_) => 503,
            DialError::Deadline { .. }
            | DialError::Unheard
            | DialError::Refused {
                reason: Reason::Deadline,
                ..
            } => 504,
            DialError::Refused { .. } | DialError::Lost(_) => 502,
        };
        Self {
            status,
            label: error.label(),
            words: error.to_string(),
        }
    }
}

impl<N: Nodes> Door<N> {
    /// A door to what `dialer` dials.
    pub fn new(dialer: Dialer, nodes: Arc<N>) -> Self {
        Self {
            dialer,
            nodes,
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Serves a Unix socket until cancelled.
    pub async fn unix(self, listener: UnixListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((socket, _)) => {
                    let door = self.clone();
                    tokio::spawn(async move {
                        door.serve(socket).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "failed to accept a connection at the CONNECT socket");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Serves TCP with TLS until cancelled, as `acceptor` is when a client comes; it must ask for certificates.
    pub async fn tls(self, listener: TcpListener, acceptor: watch::Receiver<TlsAcceptor>) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((socket, remote)) => {
                    let (door, acceptor) = (self.clone(), acceptor.borrow().clone());
                    tokio::spawn(async move {
                        match timeout(PATIENCE, acceptor.accept(socket)).await {
                            Ok(Ok(stream)) => door.serve(Layered::new(stream)).await,
                            Ok(Err(error)) => {
                                debug!(%remote, %error, "a client of the CONNECT port has not proved who it is");
                            }
                            Err(_) => debug!(%remote, "a client of the CONNECT port took too long"),
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "failed to accept a connection at the CONNECT port");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn serve<S: Socket>(&self, socket: S) {
        let mut bytes = BytesMut::with_capacity(1024);
        let head = match timeout(PATIENCE, head(&socket, &mut bytes)).await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => return debug!(%error, "a client of CONNECT has not asked for anything"),
            Err(_) => return debug!("a client of CONNECT took too long to ask"),
        };
        let (host, port) = match request::parse(&head) {
            Ok(target) => target,
            Err(bad) => {
                let status = if bad == request::BadRequest::Method {
                    405
                } else {
                    400
                };
                return answer(
                    &socket,
                    &Failure {
                        status,
                        label: "bad-request",
                        words: bad.to_string(),
                    },
                )
                .await;
            }
        };
        let served = match self.nodes.find(&host, port) {
            Some(destination) => self.to_node(socket, &destination, bytes).await,
            None => direct(socket, &host, port, bytes).await,
        };
        if let Err((socket, failure)) = served {
            info!(
                host,
                port,
                reason = failure.label,
                words = failure.words,
                "a CONNECT failed"
            );
            answer(&socket, &failure).await;
        }
    }

    async fn to_node<S: Socket>(
        &self,
        socket: S,
        to: &Destination,
        early: BytesMut,
    ) -> Result<(), (S, Failure)> {
        let begun = Instant::now();
        let mut stream = match self.dialer.dial(&to.node, to.target, DEADLINE).await {
            Ok(stream) => stream,
            Err(error) => return Err((socket, error.into())),
        };
        if socket.write(OK).await.is_err() || stream.writer.write(early.freeze()).await.is_err() {
            return Ok(());
        }
        let bytes = relay::Bytes::default();
        let ending = relay::splice(socket, stream, &bytes).await;
        self.dialer.metrics().ended(ending, &bytes);
        info!(
            node = to.node, to = %to.target, ending = ending.label(), seconds = begun.elapsed().as_secs(),
            sent = bytes.sent.into_inner(), received = bytes.received.into_inner(), "a stream has ended"
        );
        Ok(())
    }
}

/// After it, bytes.
const OK: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

async fn head<S: Socket>(socket: &S, bytes: &mut BytesMut) -> io::Result<BytesMut> {
    loop {
        if let Some(end) = request::end(bytes) {
            return Ok(bytes.split_to(end));
        }
        if bytes.len() >= LARGEST {
            return Err(io::Error::other("the head of the request is too long"));
        }
        bytes.reserve(1024);
        if socket.read(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The words are in the status, where the apiserver looks for them, and in the body, for people.
async fn answer<S: Socket>(socket: &S, failure: &Failure) {
    let words: String = failure
        .words
        .chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect();
    let (status, length) = (failure.status, words.len() + 1);
    let text = format!(
        "HTTP/1.1 {status} {words}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}\n"
    );
    // Whoever has gone does not hear it.
    let _ = timeout(PATIENCE, async {
        socket.write(text.as_bytes()).await?;
        socket.finish().await
    })
    .await;
}

/// Dials what is no node.
async fn direct<S: Socket>(socket: S, host: &str, port: u16, early: BytesMut) -> Result<(), (S, Failure)> {
    let dialled = timeout(DEADLINE, TcpStream::connect((host, port))).await;
    let failure = |status, label, words| Failure { status, label, words };
    let onward = match dialled {
        Ok(Ok(onward)) => onward,
        Ok(Err(error)) => {
            return Err((
                socket,
                failure(502, "direct", format!("failed to dial {host}:{port}: {error}")),
            ));
        }
        Err(_) => {
            return Err((
                socket,
                failure(
                    504,
                    "direct",
                    format!("{host}:{port} did not answer within {DEADLINE:?}"),
                ),
            ));
        }
    };
    let outcome = async {
        onward.set_nodelay(true)?;
        socket.write(OK).await?;
        onward.write(&early).await?;
        relay::bridge(socket, onward).await
    };
    if let Err(error) = outcome.await {
        debug!(host, port, %error, "a direct connection ended early");
    }
    Ok(())
}
