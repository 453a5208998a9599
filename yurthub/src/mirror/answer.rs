//! Bodies of lists and watches, streamed from a scope. The same code online and offline.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use yurthub_object::Encoding;
use yurthub_object::list::ListEncoder;
use yurthub_object::status::Status;
use yurthub_object::watch::{self as frames, EventType};
use yurthub_request::MetaVersion;

use super::form::{Form, MetadataFrames};
use super::lens::Lens;
use super::record;
use super::ring::Start;
use super::scope::{self, Scope, Shown, Source, View};
use crate::forward::{Body, BoxError, full_body};

/// Bytes that a reader of the store gathers before it hands them on.
const CHUNK: usize = 64 << 10;
/// Chunks on their way to a client.
const CHUNKS_AHEAD: usize = 4;
/// How long a client may leave its chunks lying, before the reader (and its view of the store) is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A list's body, and its length. A small one is there as a whole; a large one streams from the store.
pub fn list(scope: &Arc<Scope>, view: View) -> Result<(Body, u64), BoxError> {
    let View { shown, source } = view;
    let encoder = ListEncoder::new(
        shown.wire.encoding,
        &shown.wire.list_type,
        shown.version,
        shown.objects.iter().map(|(_, length)| *length as usize),
    );
    let length = encoder.content_length() as u64;
    let body = produce(scope, source, move |source, out| {
        out.push(&encoder.head())?;
        each_object(&shown, source, |index, item| {
            if item.len() != shown.objects[index].1 as usize {
                return Err("an object in the store has another length than its index entry".into());
            }
            out.push(&encoder.item_prefix(index, item.len()))?;
            out.push(item)
        })?;
        out.push(&encoder.tail())
    })?;
    Ok((body, length))
}

/// A list of what `lens` shows, for lists that no scope was made for, in `form`. Blocks on the store.
pub fn seen_list(view: View, lens: &Lens, form: Form) -> Result<Bytes, BoxError> {
    let View { shown, mut source } = view;
    let wire = &shown.wire;
    let mut items = Vec::new();
    each_object(&shown, &mut source, |_, item| {
        if let Some(item) = lens.object(wire.encoding, item)? {
            items.push(form.item(wire, &item)?);
        }
        Ok(())
    })?;
    let lengths = items.iter().map(Bytes::len);
    let encoder = ListEncoder::new(form.encoding(wire), &form.list_type(wire), shown.version, lengths);
    Ok(encoder.whole(&items))
}

/// Runs `write` now for objects that are in memory, else on a thread that may block. What cannot be read makes the
/// scope ask the cloud for everything again.
fn produce(
    scope: &Arc<Scope>,
    mut source: Source,
    write: impl FnOnce(&mut Source, &mut dyn Sink) -> Result<(), BoxError> + Send + 'static,
) -> Result<Body, BoxError> {
    if let Source::Loaded(_) = source {
        let mut whole = BytesMut::new();
        write(&mut source, &mut whole).inspect_err(|_| scope.invalidate())?;
        return Ok(full_body(whole.freeze()));
    }
    let scope = Arc::clone(scope);
    let chunks = Chunks::spawn(move |out| write(&mut source, out).inspect_err(|_| scope.invalidate()));
    Ok(chunks.boxed_unsync())
}

/// Takes the bytes of an answer in order.
trait Sink {
    fn push(&mut self, bytes: &[u8]) -> Result<(), BoxError>;
}

impl Sink for BytesMut {
    fn push(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Visits all objects of a view in order, as they are shown. An object that the index knows and the store cannot
/// read ends the visit: a list without it would say that it was deleted.
fn each_object(
    shown: &Shown,
    source: &mut Source,
    mut visit: impl FnMut(usize, &Bytes) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let snapshot = match source {
        Source::Loaded(items) => {
            return items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| visit(index, item));
        }
        Source::Stored(snapshot, _permit) => snapshot,
    };
    let prefix = record::object_prefix(shown.id);
    let mut index = 0;
    let mut outcome = Ok(());
    snapshot.scan(&prefix, None, &mut |stored_key, value| {
        let name = &stored_key[prefix.len()..];
        outcome = match shown.objects.get(index) {
            Some((key, _)) if key.as_bytes() == name => {
                visit(index, shown.overlay.get(key).unwrap_or(&value))
            }
            _ => Err("the store and the index of a scope do not agree".into()),
        };
        index += 1;
        if outcome.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    outcome?;
    if index == shown.objects.len() {
        Ok(())
    } else {
        Err("an object cannot be read from the store".into())
    }
}

/// A body whose bytes are gathered by a thread that may block.
struct Chunks {
    receiver: mpsc::Receiver<Result<Bytes, BoxError>>,
}

struct Out {
    buffer: BytesMut,
    sender: mpsc::Sender<Result<Bytes, BoxError>>,
    runtime: tokio::runtime::Handle,
}

impl Chunks {
    fn spawn(produce: impl FnOnce(&mut Out) -> Result<(), BoxError> + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut out = Out {
                buffer: BytesMut::new(),
                sender,
                runtime,
            };
            let outcome = produce(&mut out).and_then(|()| out.flush());
            if let Err(error) = outcome {
                drop(out.send(Err(error)));
            }
        });
        Self { receiver }
    }
}

impl Sink for Out {
    fn push(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()
        } else {
            Ok(())
        }
    }
}

impl Out {
    fn flush(&mut self) -> Result<(), BoxError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = self.buffer.split().freeze();
        self.send(Ok(chunk))
    }

    fn send(&self, chunk: Result<Bytes, BoxError>) -> Result<(), BoxError> {
        match self.sender.try_send(chunk) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(chunk)) => {
                Ok(self.runtime.block_on(self.sender.send_timeout(chunk, PATIENCE))?)
            }
            Err(gone) => Err(gone.into()),
        }
    }
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.receiver
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// How a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Behind a version that the client knows.
    Version(u64),
    /// With what happens from now on.
    Now,
    /// With everything that is here, as ADDED.
    Everything {
        /// Whether a bookmark says where that ends.
        end_bookmark: bool,
    },
}

/// What a client wants of a watch.
#[derive(Debug, Clone, Copy)]
pub struct WatchOptions {
    /// How it begins.
    pub from: From,
    /// Whether it wants bookmarks.
    pub bookmarks: bool,
    /// After how long it ends.
    pub timeout: Duration,
}

/// A watch's body. Ends at the client's timeout, when events that it has not seen are gone, when the cloud denies the
/// resource, or when yurthub shuts down. Never because the cloud is away. `view` is what is here, where the watch
/// begins with that.
pub fn watch(
    scope: &Arc<Scope>,
    options: WatchOptions,
    view: Option<View>,
    lens: Option<Lens>,
    shutdown: CancellationToken,
) -> Result<Body, BoxError> {
    let (seq, above, first) = match (options.from, view) {
        (From::Version(version), _) => match scope.start_watch(version) {
            Start::At { seq, above } => (seq, above, None),
            Start::TooOld { floor } => return Ok(full_body(too_old(scope.encoding(), version, floor))),
        },
        (From::Everything { end_bookmark }, Some(view)) => (
            view.shown.seq,
            0,
            Some(initial_events(scope, view, lens.clone(), end_bookmark)?),
        ),
        (From::Now | From::Everything { .. }, _) => (scope.end(), 0, None),
    };
    scope.watcher_joins();
    let stream = WatchStream {
        scope: Arc::clone(scope),
        cursor: scope::Cursor {
            seq,
            above,
            bookmarks: options.bookmarks,
            lens,
        },
        first,
        timeout: Box::pin(tokio::time::sleep(options.timeout)),
        shutdown: Box::pin(shutdown.cancelled_owned()),
        ended: false,
    };
    Ok(stream.boxed_unsync())
}

fn initial_events(
    scope: &Arc<Scope>,
    view: View,
    lens: Option<Lens>,
    end_bookmark: bool,
) -> Result<Body, BoxError> {
    let View { shown, source } = view;
    produce(scope, source, move |source, out| {
        let wire = &shown.wire;
        each_object(&shown, source, |_, item| {
            let item = match &lens {
                Some(lens) => lens.object(wire.encoding, item)?,
                None => Some(item.clone()),
            };
            let Some(item) = item else { return Ok(()) };
            out.push(&frames::encode(
                wire.encoding,
                EventType::Added,
                &wire.item_type,
                &item,
            ))
        })?;
        if end_bookmark {
            out.push(&frames::encode_bookmark(
                wire.encoding,
                &wire.item_type,
                shown.version,
                true,
            ))?;
        }
        Ok(())
    })
}

/// The same watch, with nothing of each object but its metadata.
pub fn metadata_only(body: Body, encoding: Encoding, version: MetaVersion) -> Body {
    let mut frames = MetadataFrames::new(encoding, version);
    body.map_frame(move |frame| frame.map_data(|chunk| frames.turn(chunk)))
        .boxed_unsync()
}

/// The frame by which the apiserver ends a watch whose events are gone.
pub fn too_old(encoding: Encoding, version: u64, floor: u64) -> Bytes {
    let status = Status::new(
        410,
        "Expired",
        format!("too old resource version: {version} ({floor})"),
    );
    frames::encode_error(encoding, &status)
}

struct WatchStream {
    scope: Arc<Scope>,
    cursor: scope::Cursor,
    first: Option<Body>,
    timeout: Pin<Box<Sleep>>,
    shutdown: Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl HttpBody for WatchStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(first) = &mut this.first {
            match Pin::new(first).poll_frame(context) {
                Poll::Ready(None) => this.first = None,
                chunk => return chunk,
            }
        }
        let next = this.scope.poll_watch(&mut this.cursor, context.waker());
        match next {
            scope::Poll::Frame(frame) => Poll::Ready(Some(Ok(Frame::data(frame)))),
            scope::Poll::Closed(frame) => {
                this.ended = true;
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            scope::Poll::FellBehind(encoding, floor) => {
                this.ended = true;
                let frame = too_old(encoding, this.cursor.above, floor);
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            scope::Poll::Pending => {
                let over = this.timeout.as_mut().poll(context).is_ready()
                    || this.shutdown.as_mut().poll(context).is_ready();
                this.ended = over;
                if over { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.scope.watcher_leaves();
    }
}
