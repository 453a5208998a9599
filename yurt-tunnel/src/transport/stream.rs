//! A stream of a connection: bytes both ways, each of which ends by being finished or reset, as a TCP connection's do.
//!
//! Invariant: whatever is dropped before it was finished is reset. A program that fails never looks like an end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use tokio::time::timeout;

/// A stream is reset with this code.
const RESET: u32 = 1;
/// A chunk that is read is not larger.
pub const CHUNK: usize = 256 << 10;
/// How long the other end may take to acknowledge the end of a stream.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

/// What is kept until both halves are gone.
type Held = Vec<Arc<dyn std::any::Any + Send + Sync>>;

/// Both halves.
pub struct TunnelStream {
    /// What comes.
    pub reader: Reader,
    /// What goes.
    pub writer: Writer,
}

impl std::fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunnelStream").finish_non_exhaustive()
    }
}

/// What comes.
pub struct Reader {
    half: ReadHalf,
    /// What was read, and is more than was asked for.
    rest: Bytes,
    ended: bool,
    held: Held,
}

enum ReadHalf {
    Quic(quinn::RecvStream),
    H2(RecvStream),
    /// Until the other end has answered the request.
    H2Opened(ResponseFuture),
}

/// What goes.
pub struct Writer {
    half: WriteHalf,
    finished: bool,
    held: Held,
}

enum WriteHalf {
    Quic(quinn::SendStream),
    H2 { send: SendStream<Bytes>, reset: bool },
}

impl TunnelStream {
    pub(super) fn quic(send: quinn::SendStream, recv: quinn::RecvStream) -> Self {
        Self::of(ReadHalf::Quic(recv), WriteHalf::Quic(send))
    }

    pub(super) fn h2(send: SendStream<Bytes>, recv: RecvStream) -> Self {
        Self::of(ReadHalf::H2(recv), WriteHalf::H2 { send, reset: false })
    }

    pub(super) fn h2_opened(send: SendStream<Bytes>, response: ResponseFuture) -> Self {
        Self::of(ReadHalf::H2Opened(response), WriteHalf::H2 { send, reset: false })
    }

    fn of(read: ReadHalf, write: WriteHalf) -> Self {
        Self {
            reader: Reader {
                half: read,
                rest: Bytes::new(),
                ended: false,
                held: Vec::new(),
            },
            writer: Writer {
                half: write,
                finished: false,
                held: Vec::new(),
            },
        }
    }

    /// Keeps something until this stream is gone.
    pub fn hold(&mut self, what: impl Send + Sync + 'static) {
        let what: Arc<dyn std::any::Any + Send + Sync> = Arc::new(what);
        self.reader.held.push(Arc::clone(&what));
        self.writer.held.push(what);
    }

    /// Resets both directions.
    pub fn reset(mut self) {
        self.writer.reset();
        self.reader.stop();
    }
}

impl Reader {
    /// The next bytes; none when the other end has finished. An error where it was reset. Safe to cancel.
    pub async fn read(&mut self) -> io::Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        if let ReadHalf::H2Opened(response) = &mut self.half {
            self.half = ReadHalf::H2(response.await.map_err(aborted)?.into_body());
        }
        let chunk = loop {
            match &mut self.half {
                ReadHalf::Quic(recv) => break recv.read_chunk(CHUNK, true).await?.map(|chunk| chunk.bytes),
                ReadHalf::H2(recv) => match recv.data().await {
                    // A frame without bytes may carry the end.
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    Some(Ok(bytes)) => {
                        recv.flow_control()
                            .release_capacity(bytes.len())
                            .map_err(io::Error::other)?;
                        break Some(bytes);
                    }
                    Some(Err(error)) => return Err(aborted(error)),
                    None => break None,
                },
                ReadHalf::H2Opened(_) => return Err(super::lost()),
            }
        };
        self.ended |= chunk.is_none();
        Ok(chunk)
    }

    /// Fills `chunks` with the next bytes from its beginning, as far as they are there: how many; none when the other end has
    /// finished. Over QUIC a chunk is what one packet has brought. Errors are those of [`Reader::read`]. Safe to cancel.
    pub async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> io::Result<Option<usize>> {
        if let (true, ReadHalf::Quic(recv)) = (self.rest.is_empty(), &mut self.half) {
            let count = recv.read_chunks(chunks).await?;
            self.ended |= count.is_none();
            return Ok(count);
        }
        let chunk = self.read().await?;
        Ok(chunk.zip(chunks.first_mut()).map(|(chunk, first)| {
            *first = chunk;
            1
        }))
    }

    /// Waits until the other end has reset this direction. Over HTTP/2 the writer hears of it: see [`Writer::stopped`].
    pub async fn was_reset(&mut self) {
        if let ReadHalf::Quic(recv) = &mut self.half
            && !matches!(recv.received_reset().await, Ok(None))
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Fills `buffer`.
    pub async fn read_exact(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let mut bytes = self.read().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let taken = bytes.len().min(buffer.len());
            let (now, later) = buffer.split_at_mut(taken);
            bytes.copy_to_slice(now);
            self.rest = bytes;
            buffer = later;
        }
        Ok(())
    }

    fn stop(&mut self) {
        if let (ReadHalf::Quic(recv), false) = (&mut self.half, self.ended) {
            // An error says that it has ended already.
            let _ = recv.stop(RESET.into());
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Writer {
    /// Writes all of it, as fast as the other end takes it.
    pub async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        match &mut self.half {
            WriteHalf::Quic(send) => Ok(send.write_chunk(bytes).await?),
            WriteHalf::H2 { send, .. } => {
                while !bytes.is_empty() {
                    send.reserve_capacity(bytes.len());
                    let capacity = std::future::poll_fn(|context| send.poll_capacity(context)).await;
                    let capacity = capacity.ok_or_else(super::lost)?.map_err(aborted)?;
                    let now = bytes.split_to(capacity.min(bytes.len()));
                    if !now.is_empty() {
                        send.send_data(now, false).map_err(aborted)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Says that nothing follows.
    pub fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        match &mut self.half {
            WriteHalf::Quic(send) => send.finish().map_err(|_| super::lost()),
            WriteHalf::H2 { send, .. } => send.send_data(Bytes::new(), true).map_err(aborted),
        }
    }

    /// Says that what was written may not be all. What was not sent yet is thrown away.
    pub fn reset(&mut self) {
        match &mut self.half {
            WriteHalf::Quic(send) => {
                // An error says that it has ended already.
                let _ = send.reset(RESET.into());
            }
            WriteHalf::H2 { send, reset } => {
                if !std::mem::replace(reset, true) {
                    send.send_reset(Reason::CANCEL);
                }
            }
        }
        self.finished = true;
    }

    /// Waits until the other end wants no more of this, before it was finished.
    pub async fn stopped(&mut self) {
        match &mut self.half {
            WriteHalf::Quic(send) => {
                // That it was finished, and all of it has arrived, is no such thing.
                if matches!(send.stopped().await, Ok(None)) {
                    std::future::pending::<()>().await;
                }
            }
            WriteHalf::H2 { send, .. } => {
                let reset = std::future::poll_fn(|context| send.poll_reset(context)).await;
                if matches!(reset, Ok(Reason::NO_ERROR)) {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits, for a while, until the other end has all of what was finished.
    pub async fn acknowledged(mut self) {
        if let WriteHalf::Quic(send) = &mut self.half {
            // Later than that nobody waits for it.
            let _ = timeout(ACKNOWLEDGED, send.stopped()).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            self.reset();
        }
    }
}

fn aborted(error: h2::Error) -> io::Error {
    let kind = if error.is_reset() {
        io::ErrorKind::ConnectionReset
    } else {
        io::ErrorKind::ConnectionAborted
    };
    io::Error::new(kind, error)
}
