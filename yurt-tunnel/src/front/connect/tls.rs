//! TLS of the CONNECT port: clients must show a certificate, and all files are read again when they change.
//!
//! Invariant: files that cannot be read, or do not fit together, change nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustls::server::WebPkiClientVerifier;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::files::{Files, Material};
use crate::transport::tls;

/// What accepts connections, and what keeps it as the files are, for ever, with a look after each `every`.
pub fn acceptor(
    files: Files,
    every: Duration,
) -> Result<(watch::Receiver<TlsAcceptor>, impl Future<Output = ()> + Send)> {
    let (acceptor, now) = watch::channel(of(&files.read()?)?);
    let follow = files.follow(every, move |material| match of(material) {
        Ok(new) => {
            acceptor.send_replace(new);
        }
        Err(error) => warn!(
            error = format!("{error:#}"),
            "what is new for the CONNECT port is not taken; what was there before counts still"
        ),
    });
    Ok((now, follow))
}

fn of(material: &Material) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&material.roots), provider).build()?;
    let identity = watch::Sender::new(Some(Arc::clone(&material.identity)));
    let tls = tls::server(identity.subscribe(), verifier, b"http/1.1")?;
    Ok(TlsAcceptor::from(Arc::new(tls)))
}
