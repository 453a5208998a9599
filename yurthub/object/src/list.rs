//! Lists: a page taken apart into slices of its body, and lists written as a stream.
//!
//! Does not look into items. Invariant: what [`ListEncoder`] writes is what the apiserver writes for
//! the same items, version and page, and exactly [`ListEncoder::content_length`] bytes of it.
//! Source: `ListMeta` in `k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto`; the order of keys
//! in JSON is that of the Go structs, or sorted for custom resources.

use std::ops::Deref;

use bytes::{Bytes, BytesMut};

use crate::{Encoding, Malformed, Reason, Style, TypeMeta, json, single, wire};

const SUBJECT: &str = "list";

/// The number of the `items` field in every protobuf list.
const ITEMS: u32 = 2;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// The list's type, e.g. `v1` `PodList`, and the style of its encoding.
    pub type_meta: TypeMeta,
    /// The version of the snapshot.
    pub resource_version: u64,
    /// What to ask for the next page with; empty on the last page.
    pub continue_token: String,
    /// How many items follow this page, where the server says so.
    pub remaining: Option<i64>,
    /// The items, slices of the body.
    pub items: Vec<Bytes>,
}

/// Where a page stands in a list that is sent in pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageEnd {
    /// What the client asks for the next page with; empty on the last page.
    pub continue_token: String,
    /// How many items follow, when known.
    pub remaining: Option<i64>,
}

/// Takes a list apart. Zero-copy: each item is a slice of `body`, and keeps all of `body` alive.
pub fn decode(encoding: Encoding, body: &Bytes) -> Result<ListPage, Malformed> {
    match encoding {
        Encoding::Json => decode_json(body).map_err(|reason| reason.reading(SUBJECT)),
        Encoding::Protobuf => {
            let (type_meta, raw) = single::split(encoding, body)?;
            decode_protobuf(type_meta, &raw).map_err(|reason| reason.reading(SUBJECT))
        }
    }
}

fn empty_page(type_meta: TypeMeta) -> ListPage {
    ListPage {
        type_meta,
        resource_version: 0,
        continue_token: String::new(),
        remaining: None,
        items: Vec::new(),
    }
}

fn decode_protobuf(type_meta: TypeMeta, raw: &Bytes) -> Result<ListPage, Reason> {
    if !type_meta.kind.ends_with("List") {
        return Err(Reason::WrongType);
    }
    let mut page = empty_page(type_meta);
    for field in wire::fields(raw) {
        let field = field?;
        match field.number {
            1 => {
                let meta = field.value.bytes()?;
                page.resource_version = parse_version(wire::text(meta, &[2])?)?;
                wire::text(meta, &[3])?.clone_into(&mut page.continue_token);
                page.remaining = match wire::find(meta, &[4])? {
                    Some(value) => Some(value.varint()?.cast_signed()),
                    None => None,
                };
            }
            ITEMS => page.items.push(raw.slice(field.payload()?)),
            _ => {}
        }
    }
    Ok(page)
}

fn decode_json(body: &Bytes) -> Result<ListPage, Reason> {
    let mut page = empty_page(single::read_type(body)?);
    let mut has_items = false;
    let mut members = json::Members::at(body, 0)?;
    while let Some(member) = members.next()? {
        match member.key {
            b"metadata" => read_json_meta(body, members.value()?.start, &mut page)?,
            b"items" => {
                has_items = true;
                let mut elements = json::Elements::at(body, member.value)?;
                while let Some(item) = elements.next()? {
                    page.items.push(body.slice(item));
                }
                members.resume(elements.end());
            }
            _ => {}
        }
    }
    if json::skip_space(body, members.end()) != body.len() {
        return Err(Reason::Syntax);
    }
    if has_items { Ok(page) } else { Err(Reason::Missing) }
}

fn read_json_meta(body: &[u8], at: usize, page: &mut ListPage) -> Result<(), Reason> {
    let mut members = json::Members::at(body, at)?;
    while let Some(member) = members.next()? {
        let value = body.get(members.value()?).ok_or(Reason::Truncated)?;
        match member.key {
            b"resourceVersion" => page.resource_version = parse_version(&json::string(value)?)?,
            b"continue" => page.continue_token = json::string(value)?.into_owned(),
            b"remainingItemCount" if value != b"null" => page.remaining = Some(json::integer(value)?),
            _ => {}
        }
    }
    Ok(())
}

/// A version as number; empty is 0.
pub(crate) fn parse_version(text: &str) -> Result<u64, Reason> {
    if text.is_empty() {
        Ok(0)
    } else {
        text.parse().map_err(|_| Reason::BadNumber)
    }
}

/// Writes a list piece by piece: head, then for each item its prefix and the item, then tail. The
/// items' lengths are asked for beforehand, the items themselves are never held.
#[derive(Debug, Clone)]
pub struct ListEncoder {
    encoding: Encoding,
    head: Bytes,
    tail: Bytes,
    content_length: usize,
}

impl ListEncoder {
    /// A complete list. `items` are the lengths of the items in the order in which they will be sent.
    pub fn new(
        encoding: Encoding,
        type_meta: &TypeMeta,
        resource_version: u64,
        items: impl Iterator<Item = usize>,
    ) -> Self {
        Self::page(
            encoding,
            type_meta,
            (resource_version, &PageEnd::default()),
            items,
        )
    }

    /// One page of a list, with the version of its snapshot.
    pub fn page(
        encoding: Encoding,
        type_meta: &TypeMeta,
        page: (u64, &PageEnd),
        items: impl Iterator<Item = usize>,
    ) -> Self {
        let (mut count, mut length) = (0, 0);
        for item in items {
            length += prefix(encoding, count, item).len() + item;
            count += 1;
        }
        let (head, tail) = match encoding {
            Encoding::Json => json_ends(type_meta, page),
            Encoding::Protobuf => protobuf_ends(type_meta, page, length),
        };
        let content_length = head.len() + length + tail.len();
        Self {
            encoding,
            head: head.into(),
            tail: tail.into(),
            content_length,
        }
    }

    /// The length of the whole list in bytes.
    pub const fn content_length(&self) -> usize {
        self.content_length
    }

    /// The whole list, of the items whose lengths it was made with.
    pub fn whole(&self, items: &[Bytes]) -> Bytes {
        let mut body = BytesMut::with_capacity(self.content_length);
        body.extend_from_slice(&self.head);
        for (index, item) in items.iter().enumerate() {
            body.extend_from_slice(&self.item_prefix(index, item.len()));
            body.extend_from_slice(item);
        }
        body.extend_from_slice(&self.tail);
        body.freeze()
    }

    /// What stands before the first item.
    pub fn head(&self) -> Bytes {
        self.head.clone()
    }

    /// What stands before item `index` (from 0) of `length` bytes.
    pub fn item_prefix(&self, index: usize, length: usize) -> Prefix {
        prefix(self.encoding, index, length)
    }

    /// What stands behind the last item.
    pub fn tail(&self) -> Bytes {
        self.tail.clone()
    }
}

/// A few bytes before an item; derefs to them.
#[derive(Debug, Clone, Copy)]
pub struct Prefix {
    bytes: [u8; 1 + wire::MAX_VARINT],
    length: usize,
}

impl Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

fn prefix(encoding: Encoding, index: usize, length: usize) -> Prefix {
    let mut prefix = Prefix {
        bytes: [0; 1 + wire::MAX_VARINT],
        length: 0,
    };
    let mut push = |byte: u8| {
        if let Some(slot) = prefix.bytes.get_mut(prefix.length) {
            *slot = byte;
            prefix.length += 1;
        }
    };
    match encoding {
        Encoding::Json if index == 0 => {}
        Encoding::Json => push(b','),
        Encoding::Protobuf => {
            push((ITEMS << 3 | 2) as u8);
            let mut rest = length;
            while rest >= 0x80 {
                push(rest as u8 | 0x80);
                rest >>= 7;
            }
            push(rest as u8);
        }
    }
    prefix
}

fn json_ends(type_meta: &TypeMeta, (version, page): (u64, &PageEnd)) -> (Vec<u8>, Vec<u8>) {
    match type_meta.style {
        Style::Struct => {
            let mut head = single::type_line(type_meta);
            put(
                &mut head,
                &format!(",\"metadata\":{{\"resourceVersion\":\"{version}\""),
            );
            if !page.continue_token.is_empty() {
                put(&mut head, ",\"continue\":");
                json::put(&mut head, &page.continue_token);
            }
            if let Some(remaining) = page.remaining {
                put(&mut head, &format!(",\"remainingItemCount\":{remaining}"));
            }
            put(&mut head, "},\"items\":[");
            (head, b"]}\n".to_vec())
        }
        Style::Unstructured => {
            let mut head = b"{\"apiVersion\":".to_vec();
            json::put(&mut head, &type_meta.api_version);
            put(&mut head, ",\"items\":[");
            let mut tail = b"],\"kind\":".to_vec();
            json::put(&mut tail, &type_meta.kind);
            put(&mut tail, ",\"metadata\":{\"continue\":");
            json::put(&mut tail, &page.continue_token);
            if let Some(remaining) = page.remaining {
                put(&mut tail, &format!(",\"remainingItemCount\":{remaining}"));
            }
            put(&mut tail, &format!(",\"resourceVersion\":\"{version}\"}}}}\n"));
            (head, tail)
        }
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn protobuf_ends(
    type_meta: &TypeMeta,
    (version, page): (u64, &PageEnd),
    length: usize,
) -> (Vec<u8>, Vec<u8>) {
    let mut meta = Vec::with_capacity(32 + page.continue_token.len());
    wire::put_bytes(&mut meta, 1, b""); // selfLink, which Go writes although it is empty
    wire::put_bytes(&mut meta, 2, version.to_string().as_bytes());
    wire::put_bytes(&mut meta, 3, page.continue_token.as_bytes());
    if let Some(remaining) = page.remaining {
        wire::put_number(&mut meta, 4, remaining.cast_unsigned());
    }
    let mut head = single::unknown_head(type_meta, wire::field_len(1, meta.len()) + length);
    wire::put_bytes(&mut head, 1, &meta);
    (head, single::UNKNOWN_TAIL.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(encoding: Encoding, page: &ListPage) -> Bytes {
        let end = PageEnd {
            continue_token: page.continue_token.clone(),
            remaining: page.remaining,
        };
        let lengths = page.items.iter().map(Bytes::len);
        let encoder = ListEncoder::page(encoding, &page.type_meta, (page.resource_version, &end), lengths);
        let mut body = encoder.head().to_vec();
        for (index, item) in page.items.iter().enumerate() {
            body.extend_from_slice(&encoder.item_prefix(index, item.len()));
            body.extend_from_slice(item);
        }
        body.extend_from_slice(&encoder.tail());
        assert_eq!(body.len(), encoder.content_length());
        body.into()
    }

    #[test]
    fn broken_lists_are_refused() {
        for (encoding, body, reason) in [
            (
                Encoding::Json,
                &br#"{"kind":"PodList","apiVersion":"v1"}"#[..],
                Reason::Missing,
            ),
            (
                Encoding::Json,
                br#"{"kind":"PodList","apiVersion":"v1","items":{}}"#,
                Reason::WrongType,
            ),
            (
                Encoding::Json,
                br#"{"kind":"PodList","apiVersion":"v1","items":[{]}"#,
                Reason::Syntax,
            ),
            (
                Encoding::Json,
                br#"{"kind":"PodList","apiVersion":"v1","items":[{}"#,
                Reason::Truncated,
            ),
            (
                Encoding::Json,
                br#"{"kind":"L","apiVersion":"v1","items":[]}}"#,
                Reason::Syntax,
            ),
            (
                Encoding::Json,
                br#"{"kind":"L","apiVersion":"v1","metadata":{"resourceVersion":"x"},"items":[]}"#,
                Reason::BadNumber,
            ),
            (
                Encoding::Protobuf,
                b"k8s\0\x0a\x08\x0a\x02v1\x12\x02No\x12\x00",
                Reason::WrongType,
            ),
        ] {
            let error = decode(encoding, &Bytes::from_static(body)).unwrap_err();
            assert_eq!(error, reason.reading("list"), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn space_and_null_are_allowed() {
        let body =
            Bytes::from_static(b" { \"kind\" : \"L\", \"apiVersion\":\"v1\", \"items\" : [ 1 , {} ] } ");
        let page = decode(Encoding::Json, &body).unwrap();
        assert_eq!(page.items, [&b"1"[..], b"{}"]);
        let body = Bytes::from_static(b"{\"kind\":\"L\",\"apiVersion\":\"v1\",\"items\":null}");
        assert!(decode(Encoding::Json, &body).unwrap().items.is_empty());
    }

    prop_compose! {
        fn pages()(
            kind in "[A-Z][a-z]{0,8}List",
            unstructured: bool,
            resource_version: u64,
            continue_token in ".{0,200}",
            remaining: Option<i64>,
            items in prop::collection::vec("[a-z]{0,300}", 0..5),
        ) -> ListPage {
            let type_meta =
                if unstructured { TypeMeta::unstructured("a/v1", kind) } else { TypeMeta::new("a/v1", kind) };
            let items = items.iter().map(|text| format!("{{\"a\":\"{text}\"}}").into()).collect();
            ListPage { type_meta, resource_version, continue_token, remaining, items }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(page in pages()) {
            prop_assert_eq!(decode(Encoding::Json, &encode(Encoding::Json, &page)), Ok(page.clone()));
            let mut page = page;
            page.type_meta.style = Style::Struct;
            prop_assert_eq!(decode(Encoding::Protobuf, &encode(Encoding::Protobuf, &page)), Ok(page));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(Encoding::Protobuf, &single::join(
                Encoding::Protobuf, &TypeMeta::new("v1", "PodList"), &Bytes::from(bytes.clone())));
            let _ = decode(Encoding::Json, &Bytes::from(bytes));
        }
    }
}
