//! Tells systemd that yurthub is ready and alive (`Type=notify`, `WatchdogSec=`; `sd_notify(3)`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager; does nothing where there is none.
pub(crate) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// From the environment that systemd sets.
    pub(crate) fn from_environment() -> Self {
        let address = std::env::var("NOTIFY_SOCKET")
            .ok()
            .and_then(|path| match path.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name).ok(),
                None => SocketAddr::from_pathname(path).ok(),
            });
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let micros = std::env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|value| value.parse().ok());
        Self {
            socket,
            watchdog: micros.map(Duration::from_micros),
        }
    }

    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Says "alive" twice in each watchdog period, for as long as `is_alive` says so.
    pub(crate) async fn keep_alive(self: std::sync::Arc<Self>, is_alive: impl Fn() -> bool) {
        let Some(period) = self.watchdog else {
            return std::future::pending().await;
        };
        let mut beat = tokio::time::interval(period / 2);
        loop {
            beat.tick().await;
            if is_alive() {
                self.send("WATCHDOG=1");
            }
        }
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            // The service manager going away is no reason to stop serving the node.
            drop(socket.send_to_addr(message.as_bytes(), address));
        }
    }
}
