//! Joins a socket here and a stream of the tunnel: bytes both ways, ends as ends, resets as resets.
//!
//! Bounded by [`BUFFER`] for each direction, and by the stream's windows. Ends when both directions have, or at once when
//! either side is reset.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes as Chunk, BytesMut};
use socket2::SockRef;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest, ReadHalf, WriteHalf, split,
};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;

use crate::transport::stream::{Reader, TunnelStream, Writer};

/// Bytes that are read from a socket at a time.
pub const BUFFER: usize = 128 << 10;
/// With less room than this a new buffer is made.
const LEAST_ROOM: usize = 16 << 10;

/// Chunks that are written to a socket at a time. A packet of QUIC is one: a system call for each would cost more than all else.
const CHUNKS: usize = 32;

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides have finished.
    Finished,
    /// The socket here was reset.
    Here,
    /// The stream of the tunnel was reset.
    There,
}

impl Ending {
    /// As a label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Here => "reset-here",
            Self::There => "reset-there",
        }
    }
}

/// Bytes so far; to be looked at while a relay runs.
#[derive(Debug, Default)]
pub struct Bytes {
    /// From the socket into the tunnel.
    pub sent: AtomicU64,
    /// From the tunnel into the socket.
    pub received: AtomicU64,
}

/// A socket whose halves end apart.
pub trait Socket: Send + Sync + 'static {
    /// Reads at least a byte; 0 at the end.
    fn read(&self, buffer: &mut BytesMut) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes all of it.
    fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Writes all of `chunks`, and lets go of them; with one system call if it can.
    fn write_chunks(&self, chunks: &mut [Chunk]) -> impl Future<Output = io::Result<()>> + Send;
    /// Says that nothing follows.
    fn finish(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits until the other end has reset it, whether or not somebody reads.
    fn broken(&self) -> impl Future<Output = ()> + Send;
    /// Ends it so that the other end sees a reset, where there is such a thing.
    fn abort(self);
}

macro_rules! kernel_socket {
    ($socket:ty) => {
        impl Socket for $socket {
            async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
                loop {
                    self.readable().await?;
                    match self.try_read_buf(buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        outcome => return outcome,
                    }
                }
            }

            async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
                while !bytes.is_empty() {
                    match self.try_write(bytes) {
                        Ok(written) => bytes = &bytes[written..],
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }

            async fn write_chunks(&self, mut chunks: &mut [Chunk]) -> io::Result<()> {
                while !chunks.is_empty() {
                    let tried = {
                        let (slices, count) = slices(chunks);
                        self.try_write_vectored(&slices[..count])
                    };
                    match tried {
                        Ok(written) => chunks = written_of(chunks, written),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }

            async fn finish(&self) -> io::Result<()> {
                SockRef::from(self).shutdown(Shutdown::Write)
            }

            async fn broken(&self) {
                // An error of the runtime is not one of the socket; whoever reads or writes finds out.
                if self.ready(Interest::ERROR).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }

            fn abort(self) {
                // Where there is no such option, closing is a reset already if bytes wait.
                let _ = SockRef::from(&self).set_linger(Some(Duration::ZERO));
            }
        }
    };
}

kernel_socket!(TcpStream);
kernel_socket!(UnixStream);

/// As many of `chunks` as one system call takes, and how many these are.
fn slices(chunks: &[Chunk]) -> ([IoSlice<'_>; CHUNKS], usize) {
    let mut slices = [IoSlice::new(&[]); CHUNKS];
    for (slice, chunk) in slices.iter_mut().zip(chunks) {
        *slice = IoSlice::new(chunk);
    }
    (slices, chunks.len().min(CHUNKS))
}

/// Lets go of the first `written` bytes; what is left.
fn written_of(mut chunks: &mut [Chunk], mut written: usize) -> &mut [Chunk] {
    while let Some(first) = chunks.first_mut()
        && written >= first.len()
    {
        written -= first.len();
        *first = Chunk::new();
        chunks = &mut chunks[1..];
    }
    if let Some(first) = chunks.first_mut() {
        first.advance(written);
    }
    chunks
}

/// Any other connection, TLS for one. Its reset is an end without the farewell of TLS.
pub struct Layered<S> {
    read: Mutex<ReadHalf<S>>,
    write: Mutex<WriteHalf<S>>,
}

impl<S: AsyncRead + AsyncWrite> Layered<S> {
    /// Of a connection that is established.
    pub fn new(io: S) -> Self {
        let (read, write) = split(io);
        Self {
            read: Mutex::new(read),
            write: Mutex::new(write),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Socket for Layered<S> {
    async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.read.lock().await.read_buf(buffer).await
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut write = self.write.lock().await;
        write.write_all(bytes).await?;
        write.flush().await
    }

    async fn write_chunks(&self, chunks: &mut [Chunk]) -> io::Result<()> {
        let mut write = self.write.lock().await;
        for chunk in chunks {
            write.write_all(&std::mem::take(chunk)).await?;
        }
        write.flush().await
    }

    async fn finish(&self) -> io::Result<()> {
        self.write.lock().await.shutdown().await
    }

    async fn broken(&self) {
        std::future::pending::<()>().await;
    }

    fn abort(self) {}
}

/// Joins both until both have ended. `bytes` counts while it runs.
pub async fn splice<S: Socket>(socket: S, stream: TunnelStream, bytes: &Bytes) -> Ending {
    let TunnelStream {
        mut reader,
        mut writer,
    } = stream;
    let outcome = tokio::select! {
        outcome = async { tokio::try_join!(
            inward(&socket, &mut reader, &bytes.received),
            outward(&socket, &mut writer, &bytes.sent),
        ) } => outcome.map(|_| ()),
        () = socket.broken() => Err(Ending::Here),
    };
    match outcome {
        Ok(()) => {
            drop(socket);
            writer.acknowledged().await;
            Ending::Finished
        }
        Err(ending) => {
            socket.abort();
            TunnelStream { reader, writer }.reset();
            ending
        }
    }
}

/// Joins two sockets, without the tunnel, until both directions have ended, or one is reset.
pub async fn bridge<A: Socket, B: Socket>(here: A, there: B) -> io::Result<()> {
    let outcome = tokio::select! {
        outcome = async { tokio::try_join!(copy(&here, &there), copy(&there, &here)) } => outcome.map(|_| ()),
        () = here.broken() => Err(io::ErrorKind::ConnectionReset.into()),
        () = there.broken() => Err(io::ErrorKind::ConnectionReset.into()),
    };
    if outcome.is_err() {
        here.abort();
        there.abort();
    }
    outcome
}

async fn copy<A: Socket, B: Socket>(from: &A, to: &B) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    while from.read(&mut buffer).await? > 0 {
        to.write(&buffer).await?;
        buffer.clear();
    }
    to.finish().await
}

/// Joins two streams of the tunnel until both directions have ended, or one is reset.
pub async fn join(here: TunnelStream, there: TunnelStream) {
    let (
        TunnelStream {
            reader: mut a,
            writer: mut b,
        },
        TunnelStream {
            reader: mut c,
            writer: mut d,
        },
    ) = (here, there);
    let joined = tokio::try_join!(pump(&mut a, &mut d), pump(&mut c, &mut b));
    if joined.is_ok() {
        tokio::join!(b.acknowledged(), d.acknowledged());
        return;
    }
    // A half that had finished is reset, too.
    b.reset();
    d.reset();
}

async fn pump(from: &mut Reader, to: &mut Writer) -> io::Result<()> {
    loop {
        let chunk = tokio::select! {
            chunk = from.read() => chunk?,
            () = to.stopped() => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        let Some(chunk) = chunk else {
            return to.finish();
        };
        to.write(chunk).await?;
    }
}

/// From the tunnel into the socket.
async fn inward<S: Socket>(socket: &S, reader: &mut Reader, count: &AtomicU64) -> Result<(), Ending> {
    let mut chunks = [const { Chunk::new() }; CHUNKS];
    while let Some(filled) = reader.read_chunks(&mut chunks).await.map_err(|_| Ending::There)? {
        let chunks = &mut chunks[..filled];
        let length: usize = chunks.iter().map(Chunk::len).sum();
        tokio::select! {
            biased;
            written = socket.write_chunks(chunks) => written.map_err(|_| Ending::Here)?,
            () = reader.was_reset() => return Err(Ending::There),
        }
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
    // Whoever has closed both directions already does not hear it.
    socket.finish().await.or_else(|error| match error.kind() {
        io::ErrorKind::NotConnected => Ok(()),
        _ => Err(Ending::Here),
    })
}

/// From the socket into the tunnel; ends early when the other end of the tunnel wants no more.
async fn outward<S: Socket>(socket: &S, writer: &mut Writer, count: &AtomicU64) -> Result<(), Ending> {
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < LEAST_ROOM {
            buffer = BytesMut::with_capacity(BUFFER);
        }
        let read = tokio::select! {
            read = socket.read(&mut buffer) => read.map_err(|_| Ending::Here)?,
            () = writer.stopped() => return Err(Ending::There),
        };
        if read == 0 {
            break;
        }
        writer
            .write(buffer.split().freeze())
            .await
            .map_err(|_| Ending::There)?;
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
    writer.finish().map_err(|_| Ending::There)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_let_go_and_the_rest_stays() {
        for (written, rest) in [(0, "abcdef"), (1, "bcdef"), (2, "cdef"), (5, "f"), (6, "")] {
            let mut chunks = ["ab", "", "cde", "f"].map(|text| Chunk::from_static(text.as_bytes()));
            let left = written_of(&mut chunks, written);
            assert_eq!(left.concat(), rest.as_bytes(), "{written}");
            assert!(left.first().is_none_or(|first| !first.is_empty()));
        }
    }

    #[test]
    fn no_more_is_written_at_a_time_than_a_system_call_takes() {
        let chunks = vec![Chunk::from_static(b"x"); CHUNKS + 1];
        assert_eq!(slices(&chunks).1, CHUNKS);
    }
}
