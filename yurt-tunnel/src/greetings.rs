//! Reads greetings so that waiting for one can be given up without losing half of it, and ends a stream of greetings so that
//! the other end has read the first one.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::protocol::{self, Greeting, PREFIX};
use crate::transport::stream::{Reader, TunnelStream};

/// How long the other end may take to see for itself that there is no version in common.
const FAREWELL: Duration = Duration::from_secs(2);

/// A stream, and what was read of it so far.
pub struct Incoming<'a> {
    reader: &'a mut Reader,
    bytes: Vec<u8>,
}

/// Of a stream for greetings, whose first one may have been read.
pub fn incoming(reader: &mut Reader) -> Incoming<'_> {
    Incoming {
        reader,
        bytes: Vec::new(),
    }
}

impl Incoming<'_> {
    /// The next one; an error at the end. Safe to cancel.
    pub async fn recv(&mut self) -> io::Result<Greeting> {
        loop {
            if let Some(prefix) = self.bytes.first_chunk::<PREFIX>() {
                let whole = PREFIX + protocol::length(*prefix).map_err(invalid)?;
                if let Some(json) = self.bytes.get(PREFIX..whole) {
                    let greeting = protocol::decode(json).map_err(invalid);
                    self.bytes.drain(..whole);
                    return greeting;
                }
            }
            let chunk = self.reader.read().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.bytes.extend_from_slice(&chunk);
        }
    }
}

/// Ends a stream where both ends have no version in common. A stream that is dropped is reset, and the other end might hear
/// that instead of the greeting; when it has read that it finishes, too, or goes.
pub async fn part(stream: TunnelStream) {
    let TunnelStream {
        mut reader,
        mut writer,
    } = stream;
    // One that cannot be finished has ended already.
    let _ = writer.finish();
    let _ = timeout(FAREWELL, async { while let Ok(Some(_)) = reader.read().await {} }).await;
}

fn invalid(error: protocol::ProtocolError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
