//! Single objects: the body of a GET or the object of a watch event, taken apart into type and item.
//!
//! Does not look into the item beyond its type. Invariant: [`join`] of what [`split`] gave is the
//! body that the apiserver sent, byte for byte, its final newline included.
//! Source of the forms: `k8s.io/apimachinery/pkg/runtime/serializer/{json/json.go,protobuf/protobuf.go}`.

use bytes::Bytes;

use crate::{Encoding, Malformed, Reason, Style, TypeMeta, json, wire};

/// What begins each protobuf body.
pub(crate) const MAGIC: &[u8; 4] = b"k8s\0";

/// `runtime.Unknown` ends with the two strings that Go writes although they are empty:
/// content encoding (3) and content type (4).
pub(crate) const UNKNOWN_TAIL: &[u8] = &[0x1a, 0, 0x22, 0];

const SUBJECT: &str = "object";

/// Takes a single object apart into its type and its item.
///
/// JSON of a built-in kind loses its leading `kind` and `apiVersion` (one copy); every other JSON
/// object is its own item. Protobuf loses its envelope. Except for that copy the item is a slice of
/// `body`.
pub fn split(encoding: Encoding, body: &Bytes) -> Result<(TypeMeta, Bytes), Malformed> {
    match encoding {
        Encoding::Json => split_json(body),
        Encoding::Protobuf => split_protobuf(body),
    }
    .map_err(|reason| reason.reading(SUBJECT))
}

/// Puts a single object together from its type and its item, as the apiserver would send it.
///
/// An item that holds its own `apiVersion` is whole already and gets nothing but the newline.
pub fn join(encoding: Encoding, type_meta: &TypeMeta, item: &Bytes) -> Bytes {
    let envelope = Envelope::new(encoding, type_meta, item);
    let mut body = Vec::with_capacity(envelope.len() + 1);
    envelope.put(&mut body);
    if encoding == Encoding::Json {
        body.push(b'\n');
    }
    body.into()
}

/// The offset of the `runtime.Unknown` message in a protobuf body.
pub(crate) fn unknown(body: &[u8]) -> Result<&[u8], Reason> {
    body.strip_prefix(MAGIC).ok_or(Reason::NoEnvelope)
}

fn split_protobuf(body: &Bytes) -> Result<(TypeMeta, Bytes), Reason> {
    let mut type_meta = TypeMeta::new("", "");
    let mut raw = None;
    for field in wire::fields(unknown(body)?) {
        let field = field?;
        match field.number {
            1 => {
                let message = field.value.bytes()?;
                type_meta = TypeMeta::new(wire::text(message, &[1])?, wire::text(message, &[2])?);
            }
            2 => raw = Some(field.payload()?),
            3 | 4 if !field.value.bytes()?.is_empty() => return Err(Reason::ForeignContent),
            _ => {}
        }
    }
    let raw = raw.ok_or(Reason::Missing)?;
    Ok((
        type_meta,
        body.slice(raw.start + MAGIC.len()..raw.end + MAGIC.len()),
    ))
}

fn split_json(body: &Bytes) -> Result<(TypeMeta, Bytes), Reason> {
    let start = json::skip_space(body, 0);
    let end = json::skip(body, start)?;
    if json::skip_space(body, end) != body.len() {
        return Err(Reason::Syntax);
    }
    let whole = body.slice(start..end);
    let type_meta = read_type(&whole)?;
    if type_meta.style == Style::Struct && !type_meta.keeps_type_in_items() {
        let prefix = type_line(&type_meta);
        match whole.strip_prefix(prefix.as_slice()) {
            Some(b"}") => return Ok((type_meta, Bytes::from_static(b"{}"))),
            Some([b',', rest @ ..]) => {
                let mut item = Vec::with_capacity(1 + rest.len());
                item.push(b'{');
                item.extend_from_slice(rest);
                // A second `apiVersion` would make `join` take the item for whole.
                if !is_whole(type_meta.style, &item) {
                    return Ok((type_meta, item.into()));
                }
            }
            _ => {}
        }
    }
    Ok((type_meta, whole))
}

/// The type of a JSON object or list; both keys may stand anywhere on the top level.
pub(crate) fn read_type(text: &[u8]) -> Result<TypeMeta, Reason> {
    let (mut api_version, mut kind) = (None, None);
    let mut style = None;
    let mut members = json::Members::at(text, 0)?;
    while let Some(member) = members.next()? {
        let of_first_key = if member.key == b"kind" {
            Style::Struct
        } else {
            Style::Unstructured
        };
        style = style.or(Some(of_first_key));
        let wanted = match member.key {
            b"kind" if kind.is_none() => &mut kind,
            b"apiVersion" if api_version.is_none() => &mut api_version,
            _ => continue,
        };
        let value = text.get(members.value()?).ok_or(Reason::Truncated)?;
        *wanted = Some(json::string(value)?.into_owned());
        if api_version.is_some() && kind.is_some() {
            break;
        }
    }
    match (api_version, kind) {
        (Some(api_version), Some(kind)) => Ok(TypeMeta {
            api_version,
            kind,
            style: style.unwrap_or_default(),
        }),
        _ => Err(Reason::Missing),
    }
}

/// `{"kind":"Pod","apiVersion":"v1"`
pub(crate) fn type_line(type_meta: &TypeMeta) -> Vec<u8> {
    let mut line = Vec::with_capacity(48);
    line.extend_from_slice(b"{\"kind\":");
    json::put(&mut line, &type_meta.kind);
    line.extend_from_slice(b",\"apiVersion\":");
    json::put(&mut line, &type_meta.api_version);
    line
}

/// The magic and the `TypeMeta` of `runtime.Unknown`, and the header of its `raw` of `length` bytes.
pub(crate) fn unknown_head(type_meta: &TypeMeta, length: usize) -> Vec<u8> {
    let TypeMeta {
        api_version,
        kind,
        style: _,
    } = type_meta;
    let mut head = Vec::with_capacity(32 + api_version.len() + kind.len());
    head.extend_from_slice(MAGIC);
    wire::put_header(
        &mut head,
        1,
        wire::field_len(1, api_version.len()) + wire::field_len(2, kind.len()),
    );
    wire::put_bytes(&mut head, 1, api_version.as_bytes());
    wire::put_bytes(&mut head, 2, kind.as_bytes());
    wire::put_header(&mut head, 2, length);
    head
}

/// Whether a JSON item holds its own type. Items of built-in kinds begin with their metadata, those
/// of custom resources with `apiVersion`, so that the answer is near the front.
fn is_whole(style: Style, item: &[u8]) -> bool {
    let is_cut = style == Style::Struct && item.starts_with(b"{\"metadata\":");
    !is_cut && matches!(json::member(item, 0, "apiVersion"), Ok(Some(_)))
}

/// What must stand around an item to make it a single object (without JSON's final newline).
pub(crate) struct Envelope<'a> {
    prefix: Vec<u8>,
    item: &'a [u8],
    suffix: &'static [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn new(encoding: Encoding, type_meta: &TypeMeta, item: &'a [u8]) -> Self {
        match (encoding, item) {
            (Encoding::Protobuf, _) => Self {
                prefix: unknown_head(type_meta, item.len()),
                item,
                suffix: UNKNOWN_TAIL,
            },
            (Encoding::Json, [b'{', rest @ ..]) if !is_whole(type_meta.style, item) => {
                let mut prefix = type_line(type_meta);
                if rest != b"}" {
                    prefix.push(b',');
                }
                Self {
                    prefix,
                    item: rest,
                    suffix: b"",
                }
            }
            (Encoding::Json, _) => Self {
                prefix: Vec::new(),
                item,
                suffix: b"",
            },
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.prefix.len() + self.item.len() + self.suffix.len()
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(self.item);
        out.extend_from_slice(self.suffix);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_text(text: &str) -> (TypeMeta, String) {
        let (type_meta, item) = split(Encoding::Json, &Bytes::copy_from_slice(text.as_bytes())).unwrap();
        (type_meta, String::from_utf8(item.to_vec()).unwrap())
    }

    #[test]
    fn json_form_decides_what_is_cut() {
        let pod = TypeMeta::new("v1", "Pod");
        let partial = TypeMeta::new("meta.k8s.io/v1", "PartialObjectMetadata");
        let widget = TypeMeta::unstructured("example.io/v1", "Widget");
        let whole_widget = r#"{"apiVersion":"example.io/v1","kind":"Widget","metadata":{}}"#;
        let whole_partial = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{}}"#;
        let twice = r#"{"kind":"Pod","apiVersion":"v1","x":1,"apiVersion":"v2"}"#;
        let odd_order = r#"{"metadata":{},"kind":"Odd","apiVersion":"o/v1"}"#;
        let odd = TypeMeta::unstructured("o/v1", "Odd");
        let spaced = r#"{ "kind": "Pod", "apiVersion": "v1" }"#;
        for (body, type_meta, item) in [
            (
                r#"{"kind":"Pod","apiVersion":"v1","metadata":{}}"#,
                &pod,
                r#"{"metadata":{}}"#,
            ),
            (r#"{"kind":"Pod","apiVersion":"v1"}"#, &pod, "{}"),
            (spaced, &pod, spaced),
            (twice, &pod, twice),
            (odd_order, &odd, odd_order),
            (whole_widget, &widget, whole_widget),
            (whole_partial, &partial, whole_partial),
        ] {
            let body = format!("{body}\n");
            assert_eq!(split_text(&body), (type_meta.clone(), item.to_owned()), "{body}");
            let joined = join(
                Encoding::Json,
                type_meta,
                &Bytes::copy_from_slice(item.as_bytes()),
            );
            assert_eq!(joined, body.as_bytes());
        }
    }

    #[test]
    fn broken_objects_are_refused() {
        for (encoding, body, reason) in [
            (Encoding::Json, &b"{\"kind\":\"Pod\"}"[..], Reason::Missing),
            (
                Encoding::Json,
                b"{\"kind\":\"Pod\",\"apiVersion\":\"v1\"",
                Reason::Truncated,
            ),
            (
                Encoding::Json,
                b"{\"kind\":\"Pod\",\"apiVersion\":\"v1\"} x",
                Reason::Syntax,
            ),
            (Encoding::Json, b"[]", Reason::WrongType),
            (Encoding::Protobuf, b"k8s", Reason::NoEnvelope),
            (Encoding::Protobuf, b"k8s\0", Reason::Missing),
            (Encoding::Protobuf, b"k8s\0\x12\x05", Reason::Truncated),
            (
                Encoding::Protobuf,
                b"k8s\0\x12\x00\x1a\x04gzip",
                Reason::ForeignContent,
            ),
        ] {
            let error = split(encoding, &Bytes::from_static(body)).unwrap_err();
            assert_eq!(error, reason.reading("object"), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn protobuf_round_trips(api_version: String, kind: String, item: Vec<u8>) {
            let (type_meta, item) = (TypeMeta::new(api_version, kind), Bytes::from(item));
            let body = join(Encoding::Protobuf, &type_meta, &item);
            prop_assert_eq!(split(Encoding::Protobuf, &body), Ok((type_meta, item)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let body = Bytes::from([&MAGIC[..], &bytes].concat());
            let _ = split(Encoding::Protobuf, &body);
            let _ = split(Encoding::Json, &Bytes::from(bytes));
        }
    }
}
