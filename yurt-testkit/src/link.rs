//! A TCP proxy on loopback between a client and a server, with the weather of a real link: it can be cut, swallow
//! everything, and be slow.
//!
//! In a black hole nothing is acknowledged either: the kernel drops what arrives for the link's sockets, so that TCP on both
//! sides sees what it sees on a dead link. What is on its way then goes on after `join` with TCP's next retransmission;
//! connections that must not survive are ended by `cut` before `join`. Not here: loss, reordering, bandwidth.
//!
//! Invariant: each direction of a connection holds at most `QUEUE` × `CHUNK` bytes, and nothing outlives the `Link`.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::runtime;

mod filter;
mod pump;

/// Connections that the kernel accepts before the link does; also the bound while it is a black hole.
const BACKLOG: u32 = 1024;

/// What the link does with connections and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything flows.
    Joined,
    /// Connections stay open, new ones wait, nothing flows and nothing is acknowledged.
    BlackHole,
    /// Connections are reset and new ones refused.
    Cut,
}

/// Bytes that were handed over, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client to the server.
    pub up: u64,
    /// From the server to the client.
    pub down: u64,
}

/// A proxy in front of one server; see the module's header.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    applied: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    forecast: watch::Sender<Forecast>,
    up: AtomicU64,
    down: AtomicU64,
    open: AtomicUsize,
    accepted: AtomicU64,
    /// Both ends of each open connection, by its number.
    sockets: Mutex<BTreeMap<u64, [OwnedFd; 2]>>,
}

/// The weather, and how often it has been set, so that one can wait until it has come.
#[derive(Clone, Copy)]
struct Forecast {
    weather: Weather,
    delay: Duration,
    /// Connections up to this one are dead.
    forgotten: u64,
    number: u64,
}

impl Forecast {
    /// Whether bytes flow on the `number`th connection.
    fn flows(self, number: u64) -> bool {
        self.weather == Weather::Joined && number > self.forgotten
    }
}

impl Shared {
    fn sockets(&self) -> MutexGuard<'_, BTreeMap<u64, [OwnedFd; 2]>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// A joined link to `upstream`, listening on a free port of 127.0.0.1.
    pub fn to(upstream: SocketAddr) -> io::Result<Self> {
        Self::at(Ipv4Addr::LOCALHOST, upstream)
    }

    /// The same, listening on another address of this machine.
    pub fn at(address: Ipv4Addr, upstream: SocketAddr) -> io::Result<Self> {
        let _context = runtime::handle().enter();
        let reserved = bind((address, 0).into())?;
        let address = reserved.local_addr()?;
        let listener = bind(address)?.listen(BACKLOG)?;
        let forecast = Forecast {
            weather: Weather::Joined,
            delay: Duration::ZERO,
            forgotten: 0,
            number: 0,
        };
        let (applied_sender, applied) = watch::channel(0);
        let shared = Arc::new(Shared {
            upstream,
            forecast: watch::Sender::new(forecast),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            sockets: Mutex::default(),
        });
        let gate = Gate {
            address,
            _reserved: reserved,
            listener: Some(listener),
            shared: Arc::clone(&shared),
            applied: applied_sender,
        };
        let task = runtime::handle().spawn(gate.run());
        Ok(Self {
            address,
            shared,
            applied,
            task,
        })
    }

    /// Where clients connect to; the same for the link's whole life.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections and refuses new ones. Done when it returns, as are the others.
    pub async fn cut(&self) {
        self.set(|forecast| forecast.weather = Weather::Cut).await;
    }

    /// Lets nothing through, not even acknowledgements; connections stay, and new ones wait.
    pub async fn blackhole(&self) {
        self.set(|forecast| forecast.weather = Weather::BlackHole).await;
    }

    /// Forgets the connections that there are, as a router does that was started again: nothing comes through on them any
    /// more, and nobody is told. New ones work.
    pub async fn forget_connections(&self) {
        let accepted = self.accepted();
        self.set(|forecast| forecast.forgotten = accepted).await;
    }

    /// Lets everything through again.
    pub async fn join(&self) {
        self.set(|forecast| forecast.weather = Weather::Joined).await;
    }

    /// From now on, bytes arrive `delay` later, in each direction; a round trip takes twice as long.
    pub async fn delay(&self, delay: Duration) {
        self.set(|forecast| forecast.delay = delay).await;
    }

    /// What it does now.
    pub fn weather(&self) -> Weather {
        self.shared.forecast.borrow().weather
    }

    /// Bytes handed over since the start, over all connections. May be a moment behind what a peer has read, unless
    /// the link has been cut or made a black hole since.
    pub fn bytes(&self) -> Traffic {
        Traffic {
            up: self.shared.up.load(Ordering::Relaxed),
            down: self.shared.down.load(Ordering::Relaxed),
        }
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    async fn set(&self, change: impl FnOnce(&mut Forecast)) {
        let mut number = 0;
        self.shared.forecast.send_modify(|forecast| {
            change(forecast);
            forecast.number += 1;
            number = forecast.number;
        });
        // Ends early only if the link's task is gone, and with it all that could flow.
        let _ = self.applied.clone().wait_for(|applied| *applied >= number).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task behind a link: it owns the listener and the connections.
struct Gate {
    address: SocketAddr,
    /// Bound but never listening: keeps the port ours, and refused, while the link is cut.
    _reserved: TcpSocket,
    listener: Option<TcpListener>,
    shared: Arc<Shared>,
    applied: watch::Sender<u64>,
}

impl Gate {
    async fn run(mut self) {
        let mut changes = self.shared.forecast.subscribe();
        let mut connections = JoinSet::new();
        loop {
            let forecast = *changes.borrow_and_update();
            if forecast.weather == Weather::Cut {
                self.listener = None;
                connections.shutdown().await;
            } else if self.listener.is_none() {
                // Fails only when the machine has no sockets left; then the link stays cut until told again.
                self.listener = bind(self.address).and_then(|socket| socket.listen(BACKLOG)).ok();
            }
            if let Some(listener) = &self.listener {
                filter::swallow(listener, forecast.weather == Weather::BlackHole);
            }
            for (number, ends) in &*self.shared.sockets() {
                let dead = forecast.weather != Weather::Cut && !forecast.flows(*number);
                for end in ends {
                    filter::swallow(end, dead);
                }
            }
            self.applied.send_replace(forecast.number);
            self.serve(&mut changes, &mut connections).await;
        }
    }

    /// Accepts connections, if the weather lets it, until that changes.
    async fn serve(&self, changes: &mut watch::Receiver<Forecast>, connections: &mut JoinSet<()>) {
        let weather = changes.borrow().weather;
        loop {
            tokio::select! {
                biased;
                _ = changes.changed() => return,
                Some(_) = connections.join_next() => {}
                Some(client) = accept(self.listener.as_ref()), if weather == Weather::Joined => {
                    connections.spawn(pump::carry(client, Arc::clone(&self.shared)));
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    listener?.accept().await.ok().map(|(client, _)| client)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}
