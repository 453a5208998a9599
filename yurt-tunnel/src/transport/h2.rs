//! Connections over HTTP/2 on TLS, for networks that let no UDP through.
//!
//! Roles are turned round: who accepted the TCP connection is the HTTP/2 client, because only clients open streams.
//! Each stream is a `CONNECT`; messages and bytes are the same as over QUIC.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use ::h2::client::SendRequest;
use bytes::Bytes;
use http::{Method, Request, Response};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::stream::TunnelStream;
use super::{CONNECTION_WINDOW, MOST_STREAMS, STREAM_WINDOW};

/// Bytes of one stream that wait to be sent.
const SEND_BUFFER: usize = 512 << 10;
/// Bytes of a frame.
const FRAME: u32 = 64 << 10;
/// Streams that were opened and are not looked at yet.
const WAITING: usize = MOST_STREAMS as usize;

/// One connection. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    streams: Streams,
    remote: SocketAddr,
    certificates: Option<Vec<CertificateDer<'static>>>,
    heard: Arc<AtomicU64>,
    close: CancellationToken,
    closed: watch::Receiver<Option<String>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close.cancel();
    }
}

#[derive(Debug)]
enum Streams {
    Opens(SendRequest<Bytes>),
    Accepts(Mutex<mpsc::Receiver<TunnelStream>>),
}

/// What is known of the TLS connection below.
#[derive(Debug)]
pub struct Below {
    /// The other end's address.
    pub remote: SocketAddr,
    /// The other end's certificates.
    pub certificates: Option<Vec<CertificateDer<'static>>>,
}

/// The end that accepted `io`.
pub async fn accepted<S>(io: S, below: Below) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, heard) = Counted::new(io);
    let mut builder = ::h2::client::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(MOST_STREAMS as usize)
        .enable_push(false);
    let (send, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
    let (close, (ended, closed)) = (CancellationToken::new(), watch::channel(None));
    let token = close.clone();
    tokio::spawn(async move {
        let why = tokio::select! {
            outcome = connection => outcome.map_or_else(|error| error.to_string(), |()| "closed by the other end".into()),
            () = token.cancelled() => "closed by this end".into(),
        };
        ended.send_replace(Some(why));
    });
    let streams = Streams::Opens(send);
    Ok(Connection(Arc::new(Inner {
        streams,
        remote: below.remote,
        certificates: below.certificates,
        heard,
        close,
        closed,
    })))
}

/// The end that dialled `io`.
pub async fn dialled<S>(io: S, below: Below) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, heard) = Counted::new(io);
    let mut builder = ::h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buffer_size(SEND_BUFFER)
        // Dials that were given up before they were looked at are no attack.
        .max_pending_accept_reset_streams(MOST_STREAMS as usize)
        .max_concurrent_streams(MOST_STREAMS);
    let mut connection = builder.handshake(io).await.map_err(io::Error::other)?;
    let (close, (ended, closed)) = (CancellationToken::new(), watch::channel(None));
    let (sender, receiver) = mpsc::channel(WAITING);
    let token = close.clone();
    tokio::spawn(async move {
        let why = loop {
            let next = tokio::select! {
                next = connection.accept() => next,
                () = token.cancelled() => break "closed by this end".to_owned(),
            };
            match next {
                Some(Ok((request, mut respond))) => {
                    if request.method() != Method::CONNECT {
                        respond.send_reset(::h2::Reason::REFUSED_STREAM);
                        continue;
                    }
                    // A stream that cannot be answered or kept is reset by being dropped.
                    if let Ok(send) = respond.send_response(Response::new(()), false) {
                        let _ = sender.try_send(TunnelStream::h2(send, request.into_body()));
                    }
                }
                Some(Err(error)) => break error.to_string(),
                None => break "closed by the other end".to_owned(),
            }
        };
        drop(connection);
        ended.send_replace(Some(why));
    });
    let streams = Streams::Accepts(Mutex::new(receiver));
    Ok(Connection(Arc::new(Inner {
        streams,
        remote: below.remote,
        certificates: below.certificates,
        heard,
        close,
        closed,
    })))
}

impl Connection {
    pub(super) fn remote(&self) -> SocketAddr {
        self.0.remote
    }

    pub(super) fn certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.0.certificates.clone()
    }

    pub(super) fn heard(&self) -> u64 {
        self.0.heard.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.0.close.cancel();
    }

    pub(super) async fn closed(&self) -> String {
        let mut closed = self.0.closed.clone();
        let why = closed.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    pub(super) async fn open(&self) -> io::Result<TunnelStream> {
        let Streams::Opens(send) = &self.0.streams else {
            return Err(io::Error::other(
                "only the end that accepted a connection opens streams",
            ));
        };
        let mut send = send.clone().ready().await.map_err(io::Error::other)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = http::Uri::from_static("tunnel:1");
        let (response, body) = send.send_request(request, false).map_err(io::Error::other)?;
        Ok(TunnelStream::h2_opened(body, response))
    }

    pub(super) async fn accept(&self) -> Option<TunnelStream> {
        match &self.0.streams {
            Streams::Opens(_) => None,
            Streams::Accepts(streams) => streams.lock().await.recv().await,
        }
    }
}

/// Counts what is read.
struct Counted<S> {
    io: S,
    heard: Arc<AtomicU64>,
}

impl<S> Counted<S> {
    fn new(io: S) -> (Self, Arc<AtomicU64>) {
        let heard = Arc::default();
        (
            Self {
                io,
                heard: Arc::clone(&heard),
            },
            heard,
        )
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        self.heard
            .fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
