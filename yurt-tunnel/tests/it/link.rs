//! What stands between agents and a server: forwards UDP and TCP, or swallows either.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Passes {
    All,
    TcpOnly,
    /// Datagrams pass only on their way from the server, as where a firewall looks at what leaves a site.
    NoDatagramsOut,
    Nothing,
}

/// A forwarder that runs until it is dropped.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    passes: watch::Sender<Passes>,
    /// Bytes over UDP, with 28 of headers for each packet.
    pub(crate) udp_bytes: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let (passes, now) = watch::channel(Passes::All);
        let (mut tasks, udp_bytes) = (JoinSet::new(), Arc::default());
        tasks.spawn(datagrams(udp, server, now.clone(), Arc::clone(&udp_bytes)));
        tasks.spawn(connections(tcp, server, now));
        Self {
            address,
            passes,
            udp_bytes,
            _tasks: tasks,
        }
    }

    pub(crate) fn set(&self, passes: Passes) {
        self.passes.send_replace(passes);
    }
}

async fn datagrams(
    socket: UdpSocket,
    server: SocketAddr,
    passes: watch::Receiver<Passes>,
    count: Arc<AtomicU64>,
) {
    let socket = Arc::new(socket);
    let mut onward: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut back = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if *passes.borrow() != Passes::All {
            continue;
        }
        count.fetch_add(length as u64 + 28, Ordering::Relaxed);
        if let Entry::Vacant(entry) = onward.entry(from) {
            let fresh = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            fresh.connect(server).await.unwrap();
            entry.insert(Arc::clone(&fresh));
            let (socket, passes, count) = (Arc::clone(&socket), passes.clone(), Arc::clone(&count));
            back.spawn(async move {
                let mut buffer = vec![0; 65_536];
                loop {
                    // A port that nobody has is an error of the socket; it goes on.
                    let Ok(length) = fresh.recv(&mut buffer).await else {
                        continue;
                    };
                    if matches!(*passes.borrow(), Passes::All | Passes::NoDatagramsOut) {
                        count.fetch_add(length as u64 + 28, Ordering::Relaxed);
                        let _ = socket.send_to(&buffer[..length], from).await;
                    }
                }
            });
        }
        let _ = onward[&from].send(&buffer[..length]).await;
    }
}

/// A connection that begins, or sends, while nothing passes is deaf for ever, as if packets had been lost.
async fn connections(listener: TcpListener, server: SocketAddr, passes: watch::Receiver<Passes>) {
    let mut tasks = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let passes = passes.clone();
        tasks.spawn(async move {
            if *passes.borrow() == Passes::Nothing {
                return std::future::pending().await;
            }
            let Ok(mut onward) = TcpStream::connect(server).await else {
                return;
            };
            let deaf = AtomicBool::new(false);
            let (mut here, mut there) = (client.split(), onward.split());
            tokio::join!(
                pipe(&mut here.0, &mut there.1, &passes, &deaf),
                pipe(&mut there.0, &mut here.1, &passes, &deaf)
            );
        });
    }
}

async fn pipe(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    passes: &watch::Receiver<Passes>,
    deaf: &AtomicBool,
) {
    let mut buffer = vec![0; 16_384];
    loop {
        let read = from.read(&mut buffer).await;
        if *passes.borrow() == Passes::Nothing || deaf.load(Ordering::Relaxed) {
            deaf.store(true, Ordering::Relaxed);
            return std::future::pending().await;
        }
        match read {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).await.is_ok() => {}
            _ => {
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}
