//! Encodings of the Kubernetes API and the type line of an object. Holds no parsing.

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Encoding {
    /// The `Content-Type` of single objects and lists.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The `Content-Type` of a watch response.
    pub const fn watch_content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }
}

/// How the server that wrote an object orders its JSON keys; protobuf has only [`Style::Struct`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Style {
    /// Encoded from a Go struct (built-in kinds): `kind` and `apiVersion` first, items without them.
    #[default]
    Struct,
    /// Encoded from a Go map (custom resources): sorted keys, items keep `apiVersion` and `kind`.
    Unstructured,
}

/// `apiVersion` and `kind` of an object or list, with the style of its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeMeta {
    /// Group and version, e.g. `apps/v1` or `v1`.
    pub api_version: String,
    /// Kind, e.g. `Pod` or `PodList`.
    pub kind: String,
    /// How its JSON is laid out.
    pub style: Style,
}

impl TypeMeta {
    /// The type line of a built-in kind.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            style: Style::Struct,
        }
    }

    /// The type line of a custom resource.
    pub fn unstructured(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            style: Style::Unstructured,
            ..Self::new(api_version, kind)
        }
    }

    /// Whether items of this type keep `kind` and `apiVersion` in JSON lists: true of the metadata-only
    /// view (`k8s.io/apiserver/pkg/endpoints/handlers/response.go`, `asPartialObjectMetadataList`).
    pub(crate) fn keeps_type_in_items(&self) -> bool {
        self.kind == "PartialObjectMetadata" && self.api_version.starts_with("meta.k8s.io/")
    }
}
