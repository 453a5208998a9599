//! Ways to the target: plain TCP, to it or to another tunnel's door, and `CONNECT` at our server's socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::samples::{Samples, float, micros};
use crate::target::{ECHO, SOURCE};

/// Three times what a connection, or a round of an echo, takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);
/// The head of an answer is not larger.
const HEAD: usize = 1024;
/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// Bytes that are echoed.
const PING: usize = 64;

/// A connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// See the module's header.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// An address that leads to the target.
    Tcp(SocketAddr),
    /// A socket for `CONNECT`, and what is asked for there.
    Connect(PathBuf, String),
}

impl Way {
    /// Opens a connection to the target.
    pub(crate) async fn open(&self) -> Result<Box<dyn Io>> {
        timeout(PATIENCE, self.dial())
            .await
            .with_context(|| format!("no connection in {PATIENCE:?} by {self:?}"))?
    }

    async fn dial(&self) -> Result<Box<dyn Io>> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)
                    .await
                    .with_context(|| format!("dial {address}"))?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Connect(socket, authority) => {
                let stream = UnixStream::connect(socket).await;
                let mut stream = stream.with_context(|| format!("dial {}", socket.display()))?;
                let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
                stream.write_all(request.as_bytes()).await?;
                let head = head(&mut stream).await?;
                ensure!(
                    head.starts_with("HTTP/1.1 200"),
                    "CONNECT {authority} was answered with: {head}"
                );
                Ok(Box::new(stream))
            }
        }
    }

    /// Opens one, and says what the target is to do.
    pub(crate) async fn order(&self, what: u8) -> Result<Box<dyn Io>> {
        let mut stream = self.open().await?;
        stream.write_all(&[what]).await?;
        Ok(stream)
    }

    /// Bytes a second of `streams` at a time, together, for `time` after `warm_up`.
    pub(crate) async fn rate(&self, streams: usize, warm_up: Duration, time: Duration) -> Result<f64> {
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..streams {
            let stream = self.order(SOURCE).await?;
            readers.spawn(read_for(stream, warm_up, time));
        }
        let mut sum = 0.0;
        while let Some(rate) = readers.join_next().await {
            sum += rate.context("a reader panicked")??;
        }
        Ok(sum)
    }
}

/// Nothing may follow the head, as nobody has asked for anything yet.
async fn head(stream: &mut UnixStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD || stream.read_buf(&mut head).await? == 0 {
            bail!(
                "the door has closed the connection: {}",
                String::from_utf8_lossy(&head)
            );
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Reads for `time` after `warm_up`; bytes a second.
pub(crate) async fn read_for(mut stream: Box<dyn Io>, warm_up: Duration, time: Duration) -> Result<f64> {
    let mut buffer = vec![0; CHUNK];
    let since = Instant::now() + warm_up;
    let mut bytes = 0;
    loop {
        let read = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .context("nothing comes any more")??;
        ensure!(read > 0, "the target has closed the connection");
        let now = Instant::now();
        if now < since {
            continue;
        }
        bytes += read as u64;
        if now >= since + time {
            return Ok(float(bytes) / (now - since).as_secs_f64());
        }
    }
}

/// A connection whose bytes come back.
pub(crate) struct Echo(Box<dyn Io>);

impl Echo {
    pub(crate) async fn open(way: &Way) -> Result<Self> {
        Ok(Self(way.order(ECHO).await?))
    }

    /// One time there and back.
    pub(crate) async fn once(&mut self) -> Result<Duration> {
        let mut buffer = [7; PING];
        let begun = Instant::now();
        self.0.write_all(&buffer).await?;
        let back = timeout(PATIENCE, self.0.read_exact(&mut buffer)).await;
        back.context("no echo")??;
        Ok(begun.elapsed())
    }

    /// Times of `count`, in microseconds, added to `samples`.
    pub(crate) async fn times(&mut self, count: usize, samples: &mut Samples) -> Result<()> {
        for _ in 0..count {
            samples.push(micros(self.once().await?));
        }
        Ok(())
    }
}
