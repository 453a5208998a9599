//! What a request is about: a resource, or a path outside the resources.
//!
//! The rules are those of `NewRequestInfo` (`k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`): the path is
//! decoded first and split afterwards, as Go does, so an escaped slash separates segments here too.
//! It does not look at the query, and does not check that names are well-formed or that the resource exists.

use std::borrow::Cow;

use http::{Method, Uri};

use crate::escape;
use crate::invalid::Invalid;
use crate::verb::Verb;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An object, a collection or a subresource.
    Resource(ResourcePath),
    /// Discovery, health, metrics, and anything else that is not below a group and version.
    NonResource,
}

/// The parts of a resource path, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourcePath {
    /// API group; empty for the core group (`/api`).
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Plural resource name. Empty only for odd paths such as `/api/v1//x`, which no apiserver serves.
    pub resource: String,
    /// The third segment below the resource, such as `status`, `log` or `proxy`.
    pub subresource: Option<String>,
    /// Namespace; `None` for cluster-scoped resources and for all namespaces.
    /// A Namespace object is in the namespace that bears its own name.
    pub namespace: Option<String>,
    /// Object name from the path, or from a `metadata.name` field selector of a list or watch.
    pub name: Option<String>,
    /// What follows the subresource, without a leading slash: the path that `proxy` passes on.
    /// Decoded; use the request's path and query to forward it.
    pub rest: Option<String>,
}

/// What method and path say; the query may still turn a list into a watch.
pub(crate) struct Parsed {
    pub(crate) verb: Verb,
    pub(crate) target: Target,
    /// The verb came from the deprecated `/watch/` or `/proxy/` prefix.
    pub(crate) verb_by_prefix: bool,
}

impl Parsed {
    const NON_RESOURCE: Self = Self {
        verb: Verb::NonResource,
        target: Target::NonResource,
        verb_by_prefix: false,
    };
}

/// Derives verb and target from method and path. A GET without a name is a [`Verb::List`] here.
pub(crate) fn parse(method: &Method, uri: &Uri) -> Result<Parsed, Invalid> {
    let decoded = escape::path(uri.path()).ok_or_else(|| Invalid::Path(uri.path().to_owned()))?;
    let mut segments = Segments::new(&decoded);
    // Three segments below /api, four below /apis: anything shorter is discovery.
    let group = match segments.next() {
        Some(b"api") => &b""[..],
        Some(b"apis") => match segments.next() {
            Some(group) => group,
            None => return Ok(Parsed::NON_RESOURCE),
        },
        _ => return Ok(Parsed::NON_RESOURCE),
    };
    let (Some(version), Some(mut first)) = (segments.next(), segments.next()) else {
        return Ok(Parsed::NON_RESOURCE);
    };
    let prefix = match first {
        b"watch" => Some(Verb::Watch),
        b"proxy" => Some(Verb::Proxy),
        _ => None,
    };
    if prefix.is_some() {
        first = segments
            .next()
            .ok_or_else(|| Invalid::VerbWithoutResource(uri.to_string()))?;
    }
    let mut path = ResourcePath {
        group: text(group, uri)?,
        version: text(version, uri)?,
        ..ResourcePath::default()
    };
    let verb = prefix.unwrap_or_else(|| verb_of(method));
    fill(&mut path, verb, first, segments, uri)?;
    let verb = match verb {
        Verb::Get if path.name.is_none() => Verb::List,
        Verb::Delete if path.name.is_none() => Verb::DeleteCollection,
        verb => verb,
    };
    Ok(Parsed {
        verb,
        target: Target::Resource(path),
        verb_by_prefix: prefix.is_some(),
    })
}

/// Reads namespace, resource, name, subresource and rest.
fn fill<'a>(
    path: &mut ResourcePath,
    verb: Verb,
    first: &'a [u8],
    mut segments: Segments<'a>,
    uri: &Uri,
) -> Result<(), Invalid> {
    let mut resource = first;
    let mut name = segments.next();
    let mut third = segments.next();
    if resource == b"namespaces" {
        path.namespace = optional(name, uri)?;
        // `/namespaces/x/pods` is about pods; `/namespaces/x/status` is about the Namespace.
        if let Some(inner) = third.filter(|segment| !matches!(*segment, b"status" | b"finalize")) {
            resource = inner;
            name = segments.next();
            third = segments.next();
        }
    }
    path.resource = text(resource, uri)?;
    path.name = optional(name, uri)?;
    if verb == Verb::Proxy {
        path.rest = third.map(|_| segments.last_and_remaining());
    } else {
        path.subresource = optional(third, uri)?;
        path.rest = segments.rest.is_some().then(|| segments.remaining());
    }
    Ok(())
}

fn verb_of(method: &Method) -> Verb {
    match *method {
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => Verb::Other,
    }
}

fn text(segment: &[u8], uri: &Uri) -> Result<String, Invalid> {
    match std::str::from_utf8(segment) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Invalid::Path(uri.path().to_owned())),
    }
}

/// An absent and an empty segment mean the same to the apiserver.
fn optional(segment: Option<&[u8]>, uri: &Uri) -> Result<Option<String>, Invalid> {
    segment
        .filter(|segment| !segment.is_empty())
        .map(|segment| text(segment, uri))
        .transpose()
}

/// The segments of a decoded path, without its leading and trailing slashes; inner empty segments count.
struct Segments<'a> {
    rest: Option<&'a [u8]>,
    last: &'a [u8],
}

impl<'a> Segments<'a> {
    fn new(path: &'a [u8]) -> Self {
        let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
        let end = path
            .iter()
            .rposition(|byte| *byte != b'/')
            .map_or(start, |last| last + 1);
        let trimmed = &path[start..end];
        Self {
            rest: (!trimmed.is_empty()).then_some(trimmed),
            last: trimmed,
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        self.last = rest;
        if let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
            self.rest = Some(&rest[slash + 1..]);
            Some(&rest[..slash])
        } else {
            self.rest = None;
            Some(rest)
        }
    }

    /// What has not been taken yet.
    fn remaining(&self) -> String {
        self.rest
            .map_or(Cow::Borrowed(""), String::from_utf8_lossy)
            .into_owned()
    }

    /// The segment that was taken last and all that follows it.
    fn last_and_remaining(&self) -> String {
        String::from_utf8_lossy(self.last).into_owned()
    }
}
