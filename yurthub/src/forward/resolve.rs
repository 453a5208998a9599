//! From the apiserver's name to a TCP connection. Names are looked up one at a time and remembered: a look-up holds a
//! thread for as long as the resolver likes, which without a link is long.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long a look-up may take before the addresses of the last one are used.
const LOOK_UP: Duration = Duration::from_secs(2);
/// Between attempts at the addresses of one name (RFC 8305 §5 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// One host and port.
pub(super) struct Resolver {
    host: String,
    port: u16,
    last: Arc<Mutex<Vec<SocketAddr>>>,
    turn: Arc<Semaphore>,
}

impl Resolver {
    /// `host` is a name or an address, without brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            last: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Connects to the address that answers first.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = self.addresses().await?;
        let mut attempts: FuturesUnordered<_> = (0..)
            .zip(addresses.into_iter().take(MAX_ADDRESSES))
            .map(|(place, address)| async move {
                sleep(STAGGER * place).await;
                TcpStream::connect(address).await
            })
            .collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        while let Some(outcome) = attempts.next().await {
            match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        match timeout(LOOK_UP, self.look_up()).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => self.remembered().ok_or(error),
            Err(_) => self.remembered().ok_or_else(|| io::ErrorKind::TimedOut.into()),
        }
    }

    fn remembered(&self) -> Option<Vec<SocketAddr>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!last.is_empty()).then_some(last)
    }

    /// Goes on in the background when nobody waits any more: the thread is taken until the resolver answers.
    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let turn = Arc::clone(&self.turn);
        let turn = turn.acquire_owned().await.map_err(io::Error::other)?;
        let (host, port, last) = (self.host.clone(), self.port, Arc::clone(&self.last));
        let look_up = tokio::spawn(async move {
            let _turn = turn;
            let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
            last.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&found);
            Ok(found)
        });
        look_up.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn connects_by_name_and_by_address_and_remembers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let resolver = Resolver::new(host, port);
            assert!(resolver.connect().await.is_ok(), "{host}");
            assert_eq!(resolver.remembered().is_some(), host == "localhost");
        }
        drop(listener);
        let refused = Resolver::new("127.0.0.1", port).connect().await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_does_not_hold_up_a_known_address() {
        let resolver = Resolver::new("name.invalid", 1);
        let _hanging = Arc::clone(&resolver.turn).acquire_owned().await.unwrap();
        let error = resolver.addresses().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let known: SocketAddr = ([192, 0, 2, 1], 1).into();
        resolver.last.lock().unwrap().push(known);
        assert_eq!(resolver.addresses().await.unwrap(), [known]);
    }
}
