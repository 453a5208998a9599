//! An answer that is read while it comes.

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::Connection;

/// How long one line of a JSON watch may be.
const MAX_EVENT: usize = 64 << 20;

/// A running watch; dropping it closes its connection.
pub struct Watch {
    /// The HTTP status.
    pub status: u16,
    /// All headers, as received.
    pub headers: HeaderMap,
    body: Incoming,
    unread: BytesMut,
    /// Held because some connections close with their last sender.
    _connection: Connection,
}

impl Watch {
    pub(super) fn new(response: Response<Incoming>, connection: Connection) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            unread: BytesMut::new(),
            _connection: connection,
        }
    }

    /// The next bytes as they arrived, or `None` at the orderly end. A cut connection is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if !self.unread.is_empty() {
            return Ok(Some(self.unread.split().freeze()));
        }
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame.context("reading a watch")?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The next event of a JSON watch (one per line), or `None` at the orderly end.
    pub async fn event(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end + 1);
                return Ok(Some(
                    serde_json::from_slice(&line).context("reading an event of a watch")?,
                ));
            }
            let mut unread = self.unread.split();
            let Some(bytes) = self.chunk().await? else {
                ensure!(unread.is_empty(), "a watch ended within an event");
                return Ok(None);
            };
            unread.extend_from_slice(&bytes);
            self.unread = unread;
            ensure!(
                self.unread.len() <= MAX_EVENT,
                "an event of a watch is larger than {MAX_EVENT} bytes"
            );
        }
    }
}
