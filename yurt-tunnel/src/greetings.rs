//! Reads greetings so that waiting for one can be given up without losing half of it.

use std::io;

use crate::protocol::{self, Greeting, PREFIX};
use crate::transport::stream::Reader;

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

fn invalid(error: protocol::ProtocolError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
