//! The request as a whole: method, path, query and headers brought together.
//!
//! The parts are parsed in their own modules; what depends on two of them is decided here: whether a GET is a watch,
//! which parameters count for which verb, and the name that a field selector gives.
//! It does not read bodies, credentials or anything else from the headers. Invariant: a `Request` never changes.

use std::sync::Arc;

use http::header::{ACCEPT, CONNECTION, USER_AGENT};
use http::{HeaderMap, Method, Uri};

use crate::accept::Accept;
use crate::field::FieldSelector;
use crate::invalid::Invalid;
use crate::query::{Parameters, Query, Scope};
use crate::target::{self, Parsed, ResourcePath, Target};
use crate::verb::Verb;

/// Subresources that pass a stream or a foreign answer through; their query belongs to somebody else, and they may
/// last for hours (`--long-running-request-regexp` and `BasicLongRunningRequestCheck` of kube-apiserver).
const STREAMS: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// A Kubernetes API request, understood as the apiserver would.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The HTTP method; tells `HEAD` from `GET`.
    pub method: Method,
    /// What it does.
    pub verb: Verb,
    /// What it is about.
    pub target: Target,
    /// What its parameters ask for. Parameters that the verb does not have are left at their defaults.
    pub query: Query,
    /// The answers that the client can read.
    pub accept: Accept,
    /// Path and query exactly as they came, for forwarding.
    pub path_and_query: Arc<str>,
    /// The connection is to be upgraded (`exec`, `attach`, `portforward`).
    pub upgrade: bool,
    /// The answer is for human eyes: asked for, or the client is curl, Wget or a browser (`isPrettyPrint`).
    pub pretty: bool,
}

impl Request {
    /// Parses method, path, query and headers.
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, Invalid> {
        let Parsed {
            mut verb,
            mut target,
            verb_by_prefix,
        } = target::parse(method, uri)?;
        let parameters = Parameters::parse(uri.query().unwrap_or(""));
        if verb == Verb::List && parameters.watch() {
            verb = Verb::Watch;
        }
        let mut query = Query::parse(&parameters, scope(verb, &target))?;
        if let Target::Resource(path) = &mut target {
            apply_name(verb, verb_by_prefix, path, &mut query)?;
        }
        let accept = Accept::parse(headers.get(ACCEPT).map(http::HeaderValue::as_bytes));
        let pretty = accept.first_is_pretty() || query.pretty.unwrap_or_else(|| is_for_humans(headers));
        Ok(Self {
            method: method.clone(),
            verb,
            target,
            query,
            accept,
            path_and_query: uri.path_and_query().map_or("/", |both| both.as_str()).into(),
            upgrade: wants_upgrade(headers),
            pretty,
        })
    }

    /// The path as it came, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query
            .split_once('?')
            .map_or(&*self.path_and_query, |(path, _)| path)
    }

    /// The resource path, if it is about a resource.
    pub fn resource(&self) -> Option<&ResourcePath> {
        match &self.target {
            Target::Resource(path) => Some(path),
            Target::NonResource => None,
        }
    }

    /// Whether the cluster is asked what it can do: `/api…`, `/apis…`, `/version` and `/openapi/…`.
    pub fn is_discovery(&self) -> bool {
        if self.target != Target::NonResource {
            return false;
        }
        let mut segments = self.path().trim_matches('/').split('/');
        matches!(segments.next(), Some("api" | "apis" | "version" | "openapi"))
    }

    /// Whether it may last for hours, so that no request timeout applies: watches and streams.
    pub fn is_long_running(&self) -> bool {
        is_long_running(self.verb, &self.target)
    }
}

/// Which parameters count.
fn scope(verb: Verb, target: &Target) -> Scope {
    let long_running = is_long_running(verb, target);
    match verb {
        _ if is_stream(target) || verb == Verb::Proxy => Scope::Foreign,
        Verb::Watch => Scope::Collection {
            write: false,
            long_running,
        },
        Verb::List | Verb::DeleteCollection => Scope::Collection {
            write: verb.is_write(),
            long_running,
        },
        Verb::Get => Scope::Object,
        Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => Scope::Write,
        Verb::Proxy | Verb::Other | Verb::NonResource => Scope::Other,
    }
}

fn is_stream(target: &Target) -> bool {
    matches!(target, Target::Resource(path)
        if path.subresource.as_deref().is_some_and(|subresource| STREAMS.contains(&subresource)))
}

fn is_long_running(verb: Verb, target: &Target) -> bool {
    matches!(verb, Verb::Watch | Verb::Proxy) || is_stream(target)
}

/// Brings the name in the path and the one in the field selector together (`NewRequestInfo` and `ListResource`).
fn apply_name(
    verb: Verb,
    verb_by_prefix: bool,
    path: &mut ResourcePath,
    query: &mut Query,
) -> Result<(), Invalid> {
    const NAME: &str = "metadata.name";
    if !matches!(verb, Verb::List | Verb::Watch) || query.is_foreign {
        return Ok(());
    }
    match (&path.name, query.field_selector.exact(NAME)) {
        (Some(name), None) if query.field_selector.is_everything() => {
            query.field_selector = FieldSelector::equals(NAME, name);
        }
        (Some(name), Some(selected)) if name == selected => {}
        (Some(_), _) => return Err(Invalid::NameMismatch),
        (None, Some(selected)) if !verb_by_prefix && is_segment(selected) => {
            path.name = Some(selected.to_owned());
        }
        (None, _) => {}
    }
    Ok(())
}

/// Whether a name can be a path segment (`IsValidPathSegmentName`); an empty one is no name.
fn is_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%'])
}

/// `httpstream.IsUpgradeRequest`
fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .windows(7)
            .any(|window| window.eq_ignore_ascii_case(b"upgrade"))
    })
}

fn is_for_humans(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    [&b"curl"[..], b"Wget", b"Mozilla/5.0"]
        .iter()
        .any(|prefix| agent.starts_with(prefix))
}
