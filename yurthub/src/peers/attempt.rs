//! One attempt to hear from a member: TCP, TLS with proof of both ends, and a `GET /healthz`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONNECTION, HOST, HeaderValue};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::schedule::Outcome;

/// How long the machine may take to take the connection: two packets may be lost (the kernel sends the second after one
/// second), and three attempts in a row take 4.5 s.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);
/// How long proof and answer may take after that; a small machine signs for some milliseconds.
const EXCHANGE: Duration = Duration::from_secs(3);

/// Hears from the member at `address`, which `tls` accepts nobody but.
pub(super) async fn attempt(address: SocketAddr, tls: ClientConfig) -> Outcome {
    let begun = Instant::now();
    let outcome = match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => match timeout(EXCHANGE, exchange(stream, address, tls)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Hung,
        },
        Ok(Err(error)) => of_error(error.kind()),
        Err(_) => Outcome::Silent,
    };
    if outcome == Outcome::Silent {
        // The kernel may know at once that the neighbour does not answer ARP. It must still have its time.
        sleep_until(begun + PATIENCE).await;
    }
    outcome
}

/// What an error says of the other machine. Those that are about this one say nothing.
fn of_error(kind: io::ErrorKind) -> Outcome {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Outcome::Refused,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Outcome::NoRoute,
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Outcome::Silent,
        _ => Outcome::Unclear,
    }
}

async fn exchange(stream: TcpStream, address: SocketAddr, tls: ClientConfig) -> Outcome {
    drop(stream.set_nodelay(true));
    let connector = TlsConnector::from(Arc::new(tls));
    let stream = match connector.connect(ServerName::from(address.ip()), stream).await {
        Ok(stream) => stream,
        Err(error) => return of_handshake(&error),
    };
    let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await else {
        return Outcome::Hung;
    };
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = http::Uri::from_static("/healthz");
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("peer"));
    request
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    let answer = sender.send_request(request).await;
    connection.abort();
    match answer {
        // Whatever it says: it has proved who it is, and works.
        Ok(_) => Outcome::Answered,
        // In TLS 1.3 a certificate is refused after the handshake, as seen from here.
        Err(_) => Outcome::Hung,
    }
}

/// A certificate that does not do is told from a connection that breaks.
fn of_handshake(error: &io::Error) -> Outcome {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Outcome::Unproved,
        _ => Outcome::Hung,
    }
}
