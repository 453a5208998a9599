//! One connection through a [`Link`](super::Link): two directions, each a reader, a short queue and a writer.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Forecast, Shared};

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;

/// Chunks that may be on their way in one direction.
const QUEUE: usize = 64;

/// Both ends of a connection. Dropped before both have said all, they are reset, as by a cut.
struct Ends {
    client: TcpStream,
    server: TcpStream,
    finished: bool,
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !self.finished {
            // Without it the peers would see an orderly end, which a cut link never brings.
            let _ = self.client.set_zero_linger();
            let _ = self.server.set_zero_linger();
        }
        // The last descriptors but ours: with ours the connection ends.
        self.shared.sockets().remove(&self.number);
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries `client` to the link's server until both have ended or one has failed.
pub(super) async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed) + 1;
    let Ok(server) = TcpStream::connect(shared.upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    shared.open.fetch_add(1, Ordering::Relaxed);
    let mut ends = Ends {
        client,
        server,
        finished: false,
        number,
        shared: Arc::clone(&shared),
    };
    let sockets = [ends.client.as_fd(), ends.server.as_fd()].map(|end| end.try_clone_to_owned());
    if let [Ok(client), Ok(server)] = sockets {
        shared.sockets().insert(number, [client, server]);
    }
    let (client_read, client_write) = ends.client.split();
    let (server_read, server_write) = ends.server.split();
    let up = one_way(client_read, server_write, (&shared, &shared.up, number));
    let down = one_way(server_read, client_write, (&shared, &shared.down, number));
    ends.finished = tokio::try_join!(up, down).is_ok();
}

async fn one_way(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    (shared, count, number): (&Shared, &AtomicU64, u64),
) -> io::Result<()> {
    let (queue, queued) = mpsc::channel(QUEUE);
    let reader = read(from, queue, (shared.forecast.subscribe(), number));
    let writer = write(to, queued, (shared.forecast.subscribe(), count, number));
    tokio::try_join!(reader, writer).map(|_| ())
}

async fn read(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<(Instant, Bytes)>,
    (mut weather, number): (watch::Receiver<Forecast>, u64),
) -> io::Result<()> {
    loop {
        flowing(&mut weather, number).await?;
        let mut chunk = BytesMut::with_capacity(CHUNK);
        tokio::select! {
            biased;
            _ = weather.changed() => continue,
            read = from.read_buf(&mut chunk) => read?,
        };
        let due = Instant::now() + weather.borrow().delay;
        let ended = chunk.is_empty();
        // An empty chunk is the end of the stream, and is delayed like all else.
        queue
            .send((due, chunk.freeze()))
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        if ended {
            return Ok(());
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut queued: mpsc::Receiver<(Instant, Bytes)>,
    (mut weather, count, number): (watch::Receiver<Forecast>, &AtomicU64, u64),
) -> io::Result<()> {
    while let Some((due, mut chunk)) = queued.recv().await {
        sleep_until(due).await;
        if chunk.is_empty() {
            flowing(&mut weather, number).await?;
            return to.shutdown().await;
        }
        while !chunk.is_empty() {
            flowing(&mut weather, number).await?;
            tokio::select! {
                biased;
                _ = weather.changed() => {}
                written = to.write(&chunk) => {
                    let written = written?;
                    count.fetch_add(written as u64, Ordering::Relaxed);
                    let _ = chunk.split_to(written);
                }
            }
        }
    }
    Ok(())
}

/// Waits until bytes may flow on the `number`th connection.
async fn flowing(weather: &mut watch::Receiver<Forecast>, number: u64) -> io::Result<()> {
    let joined = weather.wait_for(|forecast| forecast.flows(number)).await;
    joined.map(|_| ()).map_err(|_| io::ErrorKind::NotConnected.into())
}
