//! Which answers a client can read, by the apiserver's negotiation
//! (`k8s.io/apiserver/pkg/endpoints/handlers/negotiation` and `goautoneg`).
//!
//! It does not know what a resource can be written as beyond the built-in ones; for custom resources the apiserver
//! leaves protobuf out, and the answer itself says what was chosen.
//! Invariant: formats are in the client's order of preference, and nothing in them would be refused for its parameters.

/// The most media ranges that are looked at; no known client sends more than five.
const RANGES_MAX: usize = 32;

/// The formats that a client accepts, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    formats: Vec<Format>,
    first_is_pretty: bool,
}

/// How an answer is written, and what of the object it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// The encoding.
    pub media: Media,
    /// The object itself, or a view of it.
    pub shape: Shape,
}

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Media {
    /// `application/json`, and what the apiserver takes for a wildcard.
    Json,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
    /// `application/yaml`
    Yaml,
    /// `application/cbor`, which the apiserver serves only behind a feature gate.
    Cbor,
    /// Anything else; served only by what lies behind an aggregated API or a proxy.
    Other,
}

/// The object itself, or a view of it (`as=…;g=meta.k8s.io;v=…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The object.
    Plain,
    /// Columns for people, printed by the server.
    Table {
        /// The version of `meta.k8s.io`.
        version: MetaVersion,
    },
    /// Only the metadata; of a list, each item's.
    PartialObjectMetadata {
        /// The version of `meta.k8s.io`.
        version: MetaVersion,
    },
}

/// A version of the group `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetaVersion {
    /// `v1`
    V1,
    /// `v1beta1`
    V1Beta1,
}

impl Accept {
    /// Parses the first `Accept` header; without one, or with an empty one, JSON is accepted.
    pub(crate) fn parse(header: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(header.unwrap_or_default());
        if text.is_empty() {
            return Self {
                formats: vec![Format::JSON],
                first_is_pretty: false,
            };
        }
        let ranges = sorted_ranges(&text);
        let accepted: Vec<(Format, bool)> = ranges
            .iter()
            .filter_map(|range| Some((range.format()?, range.pretty)))
            .collect();
        let first_is_pretty = accepted
            .iter()
            .find(|(format, _)| format.is_built_in())
            .is_some_and(|(_, pretty)| *pretty);
        Self {
            formats: accepted.into_iter().map(|(format, _)| format).collect(),
            first_is_pretty,
        }
    }

    /// All formats, best first; those with parameters that the apiserver would refuse are left out.
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    /// What the apiserver would choose for a built-in resource; `None` means 406.
    pub fn first(&self) -> Option<Format> {
        self.formats.iter().copied().find(|format| format.is_built_in())
    }

    /// What the apiserver would choose for a watch of a built-in resource, which cannot be YAML; `None` means 406.
    pub fn first_for_watch(&self) -> Option<Format> {
        self.first().filter(|format| format.media != Media::Yaml)
    }

    /// Whether the client can read plain JSON, preferred or not.
    pub fn accepts_plain_json(&self) -> bool {
        self.formats.contains(&Format::JSON)
    }

    pub(crate) fn first_is_pretty(&self) -> bool {
        self.first_is_pretty
    }
}

impl Format {
    /// Plain JSON, which every client and every resource understands.
    pub const JSON: Self = Self {
        media: Media::Json,
        shape: Shape::Plain,
    };

    fn is_built_in(self) -> bool {
        matches!(self.media, Media::Json | Media::Protobuf | Media::Yaml)
    }
}

/// The media ranges of a header in the order in which the apiserver tries them.
fn sorted_ranges(text: &str) -> Vec<Range<'_>> {
    let mut ranges: Vec<Range<'_>> = Vec::new();
    for range in text.split(',').take(RANGES_MAX).filter_map(Range::parse) {
        ranges.push(range);
        // Go's insertion sort, step by step: its order is none in the strict sense, so the algorithm matters.
        let mut at = ranges.len() - 1;
        while at > 0 && ranges[at].is_before(&ranges[at - 1]) {
            ranges.swap(at, at - 1);
            at -= 1;
        }
    }
    ranges
}

/// One media range of the header.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    quality: f32,
    kind: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
    stream: &'a str,
    server_version: &'a str,
    pretty: bool,
}

impl<'a> Range<'a> {
    fn parse(part: &'a str) -> Option<Self> {
        let mut pieces = trim(part).split(';');
        let media = pieces.next()?;
        let (main, sub) = match media.split_once('/') {
            Some((main, sub)) if !sub.is_empty() => (trim(main), sub),
            Some((main, _)) => (trim(main), ""),
            None => (trim(media), ""),
        };
        let sub = match sub {
            "" if main == "*" => "*",
            "" => return None,
            // One trailing slash is forgiven, as goautoneg does.
            sub => trim(sub.strip_suffix('/').unwrap_or(sub)),
        };
        if sub.contains('/') {
            return None;
        }
        let mut range = Self {
            main,
            sub,
            quality: 1.0,
            kind: None,
            group: None,
            version: None,
            stream: "",
            server_version: "",
            pretty: false,
        };
        pieces.for_each(|piece| range.read_parameter(piece));
        Some(range)
    }

    fn read_parameter(&mut self, piece: &'a str) {
        let Some((key, raw)) = piece.split_once('=').filter(|(_, raw)| !raw.is_empty()) else {
            return;
        };
        let raw = raw.strip_suffix('=').unwrap_or(raw);
        if raw.contains('=') {
            return;
        }
        let value = trim(raw);
        match trim(key) {
            "q" => self.quality = raw.parse().unwrap_or(0.0),
            "as" => self.kind = Some(value),
            "g" => self.group = Some(value),
            "v" => self.version = Some(value),
            "stream" => self.stream = value,
            "sv" => self.server_version = value,
            "pretty" => self.pretty = value == "1",
            _ => {}
        }
    }

    /// `acceptSlice.Less`
    fn is_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.main != "*" && other.main == "*")
            || (self.sub != "*" && other.sub == "*")
    }

    fn format(&self) -> Option<Format> {
        let media = match (self.main, self.sub) {
            ("*" | "application", "*") | ("application", "json") => Media::Json,
            ("application", "yaml") => Media::Yaml,
            ("application", "vnd.kubernetes.protobuf") => Media::Protobuf,
            ("application", "cbor") => Media::Cbor,
            _ => Media::Other,
        };
        let streamable = media != Media::Yaml && self.stream == "watch";
        if !(self.stream.is_empty() || streamable) || !self.server_version.is_empty() {
            return None;
        }
        let shape = self.shape()?;
        if matches!(shape, Shape::Table { .. }) && !matches!(media, Media::Json | Media::Yaml) {
            return None;
        }
        Some(Format { media, shape })
    }

    fn shape(&self) -> Option<Shape> {
        if self.kind.is_none() && self.group.is_none() && self.version.is_none() {
            return Some(Shape::Plain);
        }
        let version = match (self.group?, self.version?) {
            ("meta.k8s.io", "v1") => MetaVersion::V1,
            ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
            _ => return None,
        };
        match self.kind? {
            "Table" => Some(Shape::Table { version }),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                Some(Shape::PartialObjectMetadata { version })
            }
            _ => None,
        }
    }
}

/// Only spaces are trimmed there.
fn trim(text: &str) -> &str {
    text.trim_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE_V1: Shape = Shape::Table {
        version: MetaVersion::V1,
    };
    const METADATA_V1: Shape = Shape::PartialObjectMetadata {
        version: MetaVersion::V1,
    };

    fn format(media: Media, shape: Shape) -> Format {
        Format { media, shape }
    }

    #[test]
    fn ranges_are_in_the_order_of_goautoneg() {
        for line in include_str!("../tests/expected/accept.tsv").lines() {
            let (header, expected) = line.split_once('\t').unwrap();
            let order: Vec<String> = sorted_ranges(header)
                .iter()
                .map(|range| format!("{}/{}", range.main, range.sub))
                .collect();
            assert_eq!(order.join(" , "), expected, "{header:?}");
        }
    }

    #[test]
    fn formats_are_those_that_the_apiserver_would_not_refuse() {
        use Media::{Cbor, Json, Other, Protobuf, Yaml};
        use Shape::Plain;
        let partial =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1";
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
            application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let beta = MetaVersion::V1Beta1;
        let cases: Vec<(&str, Vec<Format>)> = vec![
            ("*/*", vec![Format::JSON]),
            ("application/*", vec![Format::JSON]),
            ("application/json;charset=utf-8", vec![Format::JSON]),
            ("application/json;stream=watch", vec![Format::JSON]),
            ("application/json;stream=other", vec![]),
            ("application/yaml;stream=watch", vec![]),
            ("application/json;sv=v1", vec![]),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                vec![format(Protobuf, Plain), Format::JSON],
            ),
            (
                "application/json;q=0.1,application/yaml;q=0.2",
                vec![format(Yaml, Plain), Format::JSON],
            ),
            (
                kubectl,
                vec![
                    format(Json, TABLE_V1),
                    format(Json, Shape::Table { version: beta }),
                    Format::JSON,
                ],
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
                vec![],
            ),
            (
                partial,
                vec![format(Protobuf, Shape::PartialObjectMetadata { version: beta })],
            ),
            (
                "*/*;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
                vec![format(Json, METADATA_V1)],
            ),
            ("application/json;as=Table;v=v1", vec![]),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", vec![]),
            ("application/json;as=Secret;v=v1;g=meta.k8s.io", vec![]),
            ("application/json;v=v1", vec![]),
            (
                "text/html, application/cbor",
                vec![format(Other, Plain), format(Cbor, Plain)],
            ),
            ("nonsense", vec![]),
        ];
        for (header, expected) in cases {
            assert_eq!(
                Accept::parse(Some(header.as_bytes())).formats(),
                expected,
                "{header}"
            );
        }
        assert_eq!(Accept::parse(None).formats(), [Format::JSON]);
        assert_eq!(Accept::parse(Some(b"")).formats(), [Format::JSON]);
    }

    #[test]
    fn the_first_format_is_one_that_built_in_resources_have() {
        let first = |header: &str| Accept::parse(Some(header.as_bytes())).first();
        assert_eq!(
            first("application/cbor,application/yaml"),
            Some(format(Media::Yaml, Shape::Plain))
        );
        assert_eq!(first("text/html,*/*;q=0.1"), Some(Format::JSON));
        assert_eq!(first("text/html"), None);
        let yaml = Accept::parse(Some(b"application/yaml,application/json"));
        assert_eq!(yaml.first_for_watch(), None);
        assert!(yaml.accepts_plain_json());
        assert!(!Accept::parse(Some(b"application/yaml")).accepts_plain_json());
    }

    #[test]
    fn a_header_with_too_many_ranges_is_cut() {
        let header = "text/html,".repeat(10_000) + "application/json";
        assert_eq!(Accept::parse(Some(header.as_bytes())).formats().len(), RANGES_MAX);
    }
}
