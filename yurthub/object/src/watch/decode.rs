//! Cuts a stream of chunks into watch frames.
//!
//! A frame that lies within one chunk is a slice of it; one that spans chunks is copied together
//! once. JSON documents are found by counting brackets outside strings, so that neither white space
//! nor pretty printing matters.

use std::{collections::VecDeque, mem};

use bytes::{Buf, Bytes, BytesMut};

use super::EventType;
use crate::{Encoding, Malformed, Reason, json, wire};

const SUBJECT: &str = "watch frame";

/// One event of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What happened.
    pub event: EventType,
    /// The object in its single form: take it apart with [`crate::single::split`].
    pub object: Bytes,
}

/// Turns the chunks of a watch response into frames.
///
/// After an error the stream cannot be trusted: every further call gives the same error.
#[derive(Debug)]
pub struct FrameDecoder {
    encoding: Encoding,
    max_frame: usize,
    /// Chunks not yet looked at. The caller bounds them by draining before it pushes again.
    chunks: VecDeque<Bytes>,
    /// The beginning of a frame whose end has not come yet; at most `max_frame` and a chunk's share.
    partial: BytesMut,
    scan: Scan,
    failed: Option<Reason>,
}

/// How far the current JSON document has been scanned.
#[derive(Debug, Default)]
struct Scan {
    /// Open brackets; zero between documents.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl FrameDecoder {
    /// A decoder that refuses frames longer than `max_frame` bytes.
    pub fn new(encoding: Encoding, max_frame: usize) -> Self {
        Self {
            encoding,
            max_frame,
            chunks: VecDeque::new(),
            partial: BytesMut::new(),
            scan: Scan::default(),
            failed: None,
        }
    }

    /// Adds what came in. Call [`FrameDecoder::next`] until it gives `None` before pushing more.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() && self.failed.is_none() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next frame; `None` when more bytes are needed.
    #[expect(
        clippy::should_implement_trait,
        reason = "fallible, and not finished when it gives None"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let next = match (self.failed, self.encoding) {
            (Some(reason), _) => Err(reason),
            (None, Encoding::Json) => self.next_document(),
            (None, Encoding::Protobuf) => self.next_delimited(),
        };
        let frame = next.and_then(|body| body.map(|body| read(self.encoding, &body)).transpose());
        frame.map_err(|reason| {
            self.failed = Some(reason);
            self.chunks.clear();
            self.partial = BytesMut::new();
            reason.reading(SUBJECT)
        })
    }

    /// Whether the stream may end here without losing part of a frame.
    pub fn at_boundary(&self) -> bool {
        self.failed.is_none() && self.partial.is_empty() && self.chunks.is_empty()
    }

    /// Moves up to `wanted - partial.len()` bytes into `partial`; true when it holds `wanted`.
    fn gather(&mut self, wanted: usize) -> bool {
        while let Some(missing) = wanted
            .checked_sub(self.partial.len())
            .filter(|missing| *missing > 0)
        {
            let Some(chunk) = self.chunks.front_mut() else {
                return false;
            };
            let taken = chunk.split_to(missing.min(chunk.len()));
            self.partial.extend_from_slice(&taken);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        true
    }

    /// The next length-delimited message.
    fn next_delimited(&mut self) -> Result<Option<Bytes>, Reason> {
        if let Some(frame) = self.delimited_slice()? {
            return Ok(Some(frame));
        }
        if !self.gather(4) {
            return Ok(None);
        }
        let Some(length) = self.partial.first_chunk() else {
            return Ok(None);
        };
        let end = frame_end(*length, self.max_frame)?;
        if !self.gather(end) {
            return Ok(None);
        }
        let mut frame = mem::take(&mut self.partial).freeze();
        frame.advance(4);
        Ok(Some(frame))
    }

    /// A message that lies within one chunk.
    fn delimited_slice(&mut self) -> Result<Option<Bytes>, Reason> {
        if !self.partial.is_empty() {
            return Ok(None);
        }
        let Some(chunk) = self.chunks.front_mut() else {
            return Ok(None);
        };
        let Some(length) = chunk.first_chunk() else {
            return Ok(None);
        };
        let end = frame_end(*length, self.max_frame)?;
        if chunk.len() < end {
            return Ok(None);
        }
        let frame = chunk.split_to(end);
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        Ok(Some(frame.slice(4..)))
    }

    /// The next JSON document.
    fn next_document(&mut self) -> Result<Option<Bytes>, Reason> {
        while let Some(mut chunk) = self.chunks.pop_front() {
            if self.partial.is_empty() {
                chunk.advance(json::skip_space(&chunk, 0));
            }
            let end = self.scan.document_end(&chunk)?;
            let taken = end.unwrap_or(chunk.len());
            if self.partial.len() + taken > self.max_frame {
                return Err(Reason::TooLong);
            }
            let Some(end) = end else {
                self.partial.extend_from_slice(&chunk);
                continue;
            };
            let tail = chunk.split_to(end);
            if json::skip_space(&chunk, 0) < chunk.len() {
                self.chunks.push_front(chunk);
            }
            if self.partial.is_empty() {
                return Ok(Some(tail));
            }
            self.partial.extend_from_slice(&tail);
            return Ok(Some(mem::take(&mut self.partial).freeze()));
        }
        Ok(None)
    }
}

/// The end of a length-delimited frame, its length included.
fn frame_end(length: [u8; 4], max_frame: usize) -> Result<usize, Reason> {
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Reason::TooLong)?;
    if length > max_frame {
        Err(Reason::TooLong)
    } else {
        Ok(4 + length)
    }
}

impl Scan {
    /// Scans on through `chunk`: the offset behind the document's last byte when it lies within.
    fn document_end(&mut self, chunk: &[u8]) -> Result<Option<usize>, Reason> {
        let mut at = 0;
        while let Some(byte) = chunk.get(at) {
            if self.in_string {
                at += self.string_step(chunk.get(at..).unwrap_or_default())?;
                continue;
            }
            at += 1;
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(at));
                    }
                }
                _ if self.depth == 0 => return Err(Reason::Syntax),
                b'"' => self.in_string = true,
                _ => {}
            }
        }
        Ok(None)
    }

    /// How many bytes of a string, whose inside `rest` is, can be stepped over; at least one.
    fn string_step(&mut self, rest: &[u8]) -> Result<usize, Reason> {
        if self.escaped {
            self.escaped = false;
            return Ok(1);
        }
        let plain = json::plain_len(rest);
        match rest.get(plain) {
            None => return Ok(plain),
            Some(b'"') => self.in_string = false,
            Some(b'\\') => self.escaped = true,
            Some(_) => return Err(Reason::Syntax),
        }
        Ok(plain + 1)
    }
}

fn read(encoding: Encoding, body: &Bytes) -> Result<Frame, Reason> {
    match encoding {
        Encoding::Json => read_json(body),
        Encoding::Protobuf => read_protobuf(body),
    }
}

fn read_json(body: &Bytes) -> Result<Frame, Reason> {
    let (mut event, mut object) = (None, None);
    let mut members = json::Members::at(body, 0)?;
    while let Some(member) = members.next()? {
        let range = members.value()?;
        match member.key {
            b"type" => {
                let name = json::string(body.get(range).ok_or(Reason::Truncated)?)?;
                event = Some(EventType::parse(&name).ok_or(Reason::UnknownEvent)?);
            }
            b"object" => object = Some(body.slice(range)),
            _ => {}
        }
    }
    Ok(Frame {
        event: event.ok_or(Reason::Missing)?,
        object: object.ok_or(Reason::Missing)?,
    })
}

/// `WatchEvent{1: type, 2: RawExtension{1: raw}}`, without the envelope of other messages.
fn read_protobuf(body: &Bytes) -> Result<Frame, Reason> {
    let event = EventType::parse(wire::text(body, &[1])?).ok_or(Reason::UnknownEvent)?;
    let extension = wire::last(body, 2)?.ok_or(Reason::Missing)?.payload()?;
    let extension = body.slice(extension);
    let raw = wire::last(&extension, 1)?.ok_or(Reason::Missing)?.payload()?;
    Ok(Frame {
        event,
        object: extension.slice(raw),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{TypeMeta, single, watch};

    fn drain(decoder: &mut FrameDecoder) -> Result<Vec<Frame>, Malformed> {
        std::iter::from_fn(|| decoder.next().transpose())
            .take(10_000)
            .collect()
    }

    fn frames() -> Vec<(EventType, &'static str)> {
        vec![
            (EventType::Added, r#"{"metadata":{"name":"a","x":"}\"{["}}"#),
            (EventType::Modified, "{}"),
            (EventType::Deleted, r#"{"a":[[{}],"\\"]}"#),
        ]
    }

    fn stream(encoding: Encoding) -> Vec<u8> {
        let type_meta = TypeMeta::new("v1", "Pod");
        let encode =
            |(event, item): &(EventType, &str)| watch::encode(encoding, *event, &type_meta, item.as_bytes());
        frames().iter().flat_map(|frame| encode(frame).to_vec()).collect()
    }

    fn check(encoding: Encoding, got: &[Frame]) {
        let got: Vec<_> = got
            .iter()
            .map(|frame| (frame.event, single::split(encoding, &frame.object).unwrap().1))
            .collect();
        let want: Vec<_> = frames()
            .into_iter()
            .map(|(event, item)| (event, Bytes::from_static(item.as_bytes())))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn whole_frames_are_slices_of_their_chunk() {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let chunk = Bytes::from(stream(encoding));
            let mut decoder = FrameDecoder::new(encoding, 1000);
            decoder.push(chunk.clone());
            for frame in drain(&mut decoder).unwrap() {
                assert!(
                    chunk.as_ptr_range().contains(&frame.object.as_ptr()),
                    "{encoding:?} copied"
                );
            }
            assert!(decoder.at_boundary());
        }
    }

    #[test]
    fn long_frames_are_refused_before_they_are_held() {
        let mut decoder = FrameDecoder::new(Encoding::Protobuf, 100);
        decoder.push(Bytes::from_static(&[0, 0, 0, 101]));
        assert_eq!(decoder.next(), Err(Reason::TooLong.reading(SUBJECT)));
        assert_eq!(
            decoder.next(),
            Err(Reason::TooLong.reading(SUBJECT)),
            "stays failed"
        );

        let mut decoder = FrameDecoder::new(Encoding::Json, 100);
        decoder.push(Bytes::from_static(b"{\"type\":\""));
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(Bytes::from(vec![b'a'; 92]));
        assert_eq!(decoder.next(), Err(Reason::TooLong.reading(SUBJECT)));
    }

    #[test]
    fn broken_frames_are_refused() {
        for (text, reason) in [
            ("x", Reason::Syntax),
            ("}", Reason::Syntax),
            ("{\"type\":\"ADDED\"}", Reason::Missing),
            ("{\"object\":{}}", Reason::Missing),
            ("{\"type\":\"GREW\",\"object\":{}}", Reason::UnknownEvent),
            ("[]", Reason::WrongType),
        ] {
            let mut decoder = FrameDecoder::new(Encoding::Json, 1000);
            decoder.push(Bytes::from_static(text.as_bytes()));
            assert_eq!(decoder.next(), Err(reason.reading(SUBJECT)), "{text}");
        }
    }

    #[test]
    fn many_small_pieces_of_a_large_frame_take_linear_time() {
        let item = format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20));
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let frame = watch::encode(
                encoding,
                EventType::Added,
                &TypeMeta::new("v1", "P"),
                item.as_bytes(),
            );
            let mut decoder = FrameDecoder::new(encoding, 5 << 20);
            let mut got = 0;
            for at in (0..frame.len()).step_by(64) {
                decoder.push(frame.slice(at..frame.len().min(at + 64)));
                got += drain(&mut decoder).unwrap().len();
            }
            assert_eq!(got, 1);
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(sizes in prop::collection::vec(1_usize..40, 1..200), json: bool) {
            let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
            let stream = Bytes::from(stream(encoding));
            let mut decoder = FrameDecoder::new(encoding, 1000);
            let (mut at, mut got) = (0, Vec::new());
            for size in sizes.into_iter().chain([stream.len()]) {
                let end = stream.len().min(at + size);
                decoder.push(stream.slice(at..end));
                at = end;
                got.extend(drain(&mut decoder).unwrap());
            }
            check(encoding, &got);
            prop_assert!(decoder.at_boundary());
        }

        #[test]
        fn arbitrary_streams_never_panic(chunks: Vec<Vec<u8>>, json: bool) {
            let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
            let mut decoder = FrameDecoder::new(encoding, 64);
            for chunk in chunks {
                decoder.push(chunk.into());
                let _ = drain(&mut decoder);
            }
        }
    }
}
