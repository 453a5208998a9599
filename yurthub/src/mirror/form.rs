//! What of an object a client wants to see: all of it, only its metadata, or, for a person's eye, what protobuf says as
//! JSON. Pure.

use bytes::{Bytes, BytesMut};
use yurthub_display::{Message, decode};
use yurthub_object::status::Status;
use yurthub_object::watch::{self, EventType, FrameDecoder};
use yurthub_object::{Encoding, Malformed, TypeMeta, partial, single};
use yurthub_request::{Accept, Format, Media, MetaVersion, Shape};

use super::scope::Wire;

/// The longest frame of a watch; the mirror takes no larger object.
const MAX_FRAME: usize = 64 << 20;

/// What is shown of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// Its metadata, in this version of `meta.k8s.io`.
    Metadata(MetaVersion),
    /// All of it that is known by name, from protobuf to JSON: for a person, never for a program.
    Decoded,
}

impl Form {
    /// The views of metadata that a client prefers to whole objects, best first, each with the format of the whole
    /// objects that it is derived from.
    pub fn preferred_metadata(accept: &Accept) -> Vec<(Format, Self)> {
        let formats = accept.formats().iter().map_while(|format| match format.shape {
            Shape::Plain => None,
            Shape::Table { .. } => Some(None),
            Shape::PartialObjectMetadata { version } => {
                let whole = Format {
                    media: format.media,
                    shape: Shape::Plain,
                };
                let readable = matches!(format.media, Media::Json | Media::Protobuf);
                Some(readable.then_some((whole, Self::Metadata(version))))
            }
        });
        formats.flatten().collect()
    }

    /// The type of a list in this form.
    pub fn list_type(self, wire: &Wire) -> TypeMeta {
        self.api_version()
            .map_or_else(|| wire.list_type.clone(), partial::list_type)
    }

    /// The type of an object in this form.
    pub fn item_type(self, wire: &Wire) -> TypeMeta {
        self.api_version()
            .map_or_else(|| wire.item_type.clone(), partial::type_meta)
    }

    /// The encoding of objects and lists in this form.
    pub fn encoding(self, wire: &Wire) -> Encoding {
        match self {
            Self::Decoded => Encoding::Json,
            Self::Whole | Self::Metadata(_) => wire.encoding,
        }
    }

    /// Whether objects that are written so can be shown in this form.
    pub fn can_show(self, wire: &Wire) -> bool {
        self != Self::Decoded || wire.encoding == Encoding::Protobuf && message(wire).is_some()
    }

    /// An item in this form.
    pub fn item(self, wire: &Wire, item: &Bytes) -> Result<Bytes, Malformed> {
        match (self.api_version(), message(wire)) {
            (Some(api_version), _) => partial::item(wire.encoding, api_version, item),
            (None, Some(message)) if self == Self::Decoded => decode::item(message, item),
            (None, _) => Ok(item.clone()),
        }
    }

    fn api_version(self) -> Option<&'static str> {
        match self {
            Self::Whole | Self::Decoded => None,
            Self::Metadata(MetaVersion::V1) => Some("meta.k8s.io/v1"),
            Self::Metadata(MetaVersion::V1Beta1) => Some("meta.k8s.io/v1beta1"),
        }
    }
}

/// How the objects are laid out in protobuf, where that is known.
fn message(wire: &Wire) -> Option<Message> {
    Message::of(&wire.item_type.api_version, &wire.item_type.kind)
}

/// An item as JSON for a person. Of a kind that the tables do not have, only the metadata.
pub fn readable(wire: &Wire, item: &Bytes) -> Result<Bytes, Malformed> {
    match (wire.encoding, message(wire)) {
        (Encoding::Json, _) => Ok(item.clone()),
        (Encoding::Protobuf, Some(message)) => decode::item(message, item),
        (Encoding::Protobuf, None) => decode::metadata(item),
    }
}

/// An item of a kind in protobuf as JSON for a person; `None` where that is not known or the item cannot be read.
pub fn of_kind(api_version: &str, kind: &str, item: &Bytes) -> Option<Bytes> {
    decode::item(Message::of(api_version, kind)?, item).ok()
}

/// Turns the chunks of a watch of whole objects into chunks of a watch of their metadata.
pub struct MetadataFrames {
    encoding: Encoding,
    version: MetaVersion,
    decoder: FrameDecoder,
}

impl MetadataFrames {
    /// For a watch in `encoding`.
    pub fn new(encoding: Encoding, version: MetaVersion) -> Self {
        Self {
            encoding,
            version,
            decoder: FrameDecoder::new(encoding, MAX_FRAME),
        }
    }

    /// The frames that end in this chunk, each with metadata only. What cannot be read becomes an error frame: the
    /// client watches anew.
    pub fn turn(&mut self, chunk: Bytes) -> Bytes {
        let mut out = BytesMut::new();
        self.decoder.push(chunk);
        loop {
            let frame = match self.decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return out.freeze(),
                Err(error) => {
                    out.extend_from_slice(&self.unreadable(error));
                    return out.freeze();
                }
            };
            let turned = match frame.event {
                EventType::Error => single::split(self.encoding, &frame.object)
                    .map(|(type_meta, item)| watch::encode(self.encoding, frame.event, &type_meta, &item)),
                event => self
                    .view(&frame.object)
                    .map(|(type_meta, item)| watch::encode(self.encoding, event, &type_meta, &item)),
            };
            out.extend_from_slice(&turned.unwrap_or_else(|error| self.unreadable(error)));
        }
    }

    fn view(&self, object: &Bytes) -> Result<(TypeMeta, Bytes), Malformed> {
        let (_, item) = single::split(self.encoding, object)?;
        let api_version = Form::Metadata(self.version).api_version().unwrap_or_default();
        let view = partial::item(self.encoding, api_version, &item)?;
        Ok((partial::type_meta(api_version), view))
    }

    fn unreadable(&self, error: Malformed) -> Bytes {
        let message = format!("the metadata of an object cannot be shown: {error}");
        watch::encode_error(self.encoding, &Status::new(500, "InternalError", message))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use yurthub_request::Request;

    use super::*;

    #[test]
    fn metadata_is_shown_to_those_who_prefer_it() {
        let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let protobuf = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let yaml = "application/yaml;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        for (accept, expected) in [
            (
                format!("{protobuf},{partial},application/json"),
                vec![Media::Protobuf, Media::Json],
            ),
            (format!("{table},{partial}"), vec![Media::Json]),
            (format!("application/json,{partial}"), vec![]),
            (yaml.to_owned(), vec![]),
            (table.to_owned(), vec![]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().unwrap());
            let request = Request::parse(&Method::GET, &"/api/v1/pods".parse().unwrap(), &headers).unwrap();
            let media: Vec<Media> = Form::preferred_metadata(&request.accept)
                .into_iter()
                .map(|(whole, _)| whole.media)
                .collect();
            assert_eq!(media, expected, "{accept}");
        }
    }

    #[test]
    fn frames_are_turned_however_they_are_cut() {
        let pod = TypeMeta::new("v1", "Pod");
        let item = br#"{"metadata":{"name":"a"},"spec":{}}"#;
        let frame = watch::encode(Encoding::Json, EventType::Added, &pod, item);
        let error = watch::encode_error(Encoding::Json, &Status::new(410, "Expired", "old"));
        let stream = [&frame[..], &error].concat();
        let mut frames = MetadataFrames::new(Encoding::Json, MetaVersion::V1);
        let turned: Vec<u8> = stream
            .chunks(7)
            .flat_map(|chunk| frames.turn(Bytes::copy_from_slice(chunk)))
            .collect();
        let view =
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}"#;
        let expected = format!("{{\"type\":\"ADDED\",\"object\":{view}}}\n");
        assert_eq!(turned, [expected.as_bytes(), &error].concat());
    }
}
