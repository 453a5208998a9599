//! Builds answers: content types, `Status` bodies, warnings. The only place that turns reasons into status codes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use yurthub_object::Encoding;
use yurthub_object::status::{Details, Status};
use yurthub_request::{Invalid, Media, Request, ResourcePath};

use crate::forward::{Body, full_body};
use crate::health::CloudState;
use crate::identity::{Identity, Unproved};
use crate::route::Refusal;

/// RFC 9111 §5.5 was dropped from HTTP, but client-go prints this header: `299 - "text"`.
const WARNING: HeaderName = HeaderName::from_static("warning");

/// Why yurthub answers a request with an error of its own.
#[derive(Debug)]
pub enum Failure {
    /// The request is wrong by itself.
    Invalid(Invalid),
    /// Nobody in particular asks.
    Unproved(Unproved),
    /// The route ended here.
    Refused(Refusal, CloudState),
    /// The mirror cannot tell, and the cloud is away.
    NotHere(CloudState),
    /// The cloud did not answer, and nothing here can.
    Upstream(String),
    /// The mirror does not have everything yet.
    Syncing,
    /// The object does not exist.
    NotFound,
    /// The node of this name exists already.
    NodeExists(Arc<str>),
    /// A pod of this name is on this node already.
    PodExists(String),
    /// An event of this name is in the journal.
    EventExists(String),
    /// The object is another one than the request means.
    Conflict(String),
    /// The body is not what it should be.
    BadBody(String),
    /// The body is larger than allowed.
    TooLarge(usize),
    /// The client reads no encoding that the cloud has.
    NotAcceptable,
    /// A patch type that only the apiserver applies.
    UnsupportedPatch,
    /// The cloud does not allow the account this.
    Forbidden(String),
    /// yurthub ends: no new watches.
    Draining,
    /// Writing to the store failed: nothing has happened.
    Store(String),
    /// Too many scopes, requests or watches.
    Bound(String),
    /// The cloud's own refusal, as it came.
    Denied(Box<Status>),
}

/// Answers with an error, in an encoding that the client reads.
pub fn failure(failure: Failure, request: Option<&Request>, identity: Option<&Identity>) -> Response<Body> {
    let path = request.and_then(Request::resource);
    let status = status_of(failure, path);
    // client-go sleeps inside the call when it sees Retry-After, and the kubelet's status loop with it: the node's
    // own identity gets none.
    let retry_after = match (status.code, identity) {
        (429, _) | (503, Some(Identity::Bearer | Identity::Account(_))) => {
            Some(HeaderValue::from_static("1"))
        }
        _ => None,
    };
    let mut response = encoded(&status, request.map_or(Encoding::Json, preferred));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn nobody(unproved: &Unproved) -> Status {
    match unproved {
        Unproved::Nothing => Status::new(
            401,
            "Unauthorized",
            "no client certificate of this node and no bearer token; yurthub serves nobody who proves nothing",
        ),
        Unproved::Token(refusal) => Status::new(
            401,
            "Unauthorized",
            format!("the token is not accepted on this node while the cloud is away: {refusal}"),
        ),
        Unproved::ForeignCertificate { subject } => Status::new(
            403,
            "Forbidden",
            format!(
                "the client certificate of `{subject}` is not this node's, and yurthub cannot speak for it; \
                 use a bearer token, or talk to the apiserver directly"
            ),
        ),
    }
}

fn status_of(failure: Failure, path: Option<&ResourcePath>) -> Status {
    match failure {
        Failure::Invalid(invalid) => Status::new(invalid.code(), invalid.reason(), invalid.to_string()),
        Failure::Unproved(unproved) => nobody(&unproved),
        Failure::Refused(refusal, cloud) => refused(refusal, cloud, path),
        Failure::NotHere(cloud) => Status::new(
            503,
            "ServiceUnavailable",
            format!(
                "{}; this node's mirror does not hold {}",
                away(cloud),
                described(path)
            ),
        ),
        Failure::Upstream(error) => Status::new(503, "ServiceUnavailable", error),
        Failure::Forbidden(why) => Status::new(
            403,
            "Forbidden",
            format!("{} is forbidden: {why}", described(path)),
        ),
        Failure::Syncing => Status::new(
            503,
            "ServiceUnavailable",
            "the mirror is still reading this resource from the apiserver",
        ),
        Failure::NotFound => Status {
            details: path.map(details),
            ..Status::new(404, "NotFound", format!("{} not found", described(path)))
        },
        Failure::NodeExists(name) => exists("", "nodes", &name),
        Failure::PodExists(name) => exists("", "pods", &name),
        Failure::EventExists(name) => exists(path.map_or("", |path| path.group.as_str()), "events", &name),
        Failure::Conflict(why) => Status::new(409, "Conflict", why),
        Failure::BadBody(why) => Status::new(400, "BadRequest", why),
        Failure::TooLarge(limit) => {
            let message = format!("Request entity too large: limit is {limit}");
            Status::new(413, "RequestEntityTooLarge", message)
        }
        Failure::NotAcceptable => Status::new(
            406,
            "NotAcceptable",
            "the apiserver has this resource in no encoding that the client accepts",
        ),
        Failure::UnsupportedPatch => Status::new(
            415,
            "UnsupportedMediaType",
            "while the cloud is away only strategic merge patches and merge patches are applied here",
        ),
        Failure::Draining => Status::new(429, "TooManyRequests", "yurthub is being restarted; ask again"),
        Failure::Store(error) => Status::new(
            503,
            "ServiceUnavailable",
            format!("nothing was changed: {error}; check the disk of this node"),
        ),
        Failure::Bound(error) => Status::new(429, "TooManyRequests", error),
        Failure::Denied(status) => *status,
    }
}

fn exists(group: &str, resource: &str, name: &str) -> Status {
    Status {
        details: Some(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: resource.to_owned(),
            ..Details::default()
        }),
        ..Status::new(
            409,
            "AlreadyExists",
            format!("{resource} \"{name}\" already exists"),
        )
    }
}

fn refused(refusal: Refusal, cloud: CloudState, path: Option<&ResourcePath>) -> Status {
    let away = away(cloud);
    match refusal {
        Refusal::TokenNeedsCloud => Status::new(
            503,
            "ServiceUnavailable",
            format!("{away}; only the apiserver can judge this token"),
        ),
        Refusal::NeedsCloud => Status::new(
            503,
            "ServiceUnavailable",
            format!(
                "{away}; nothing was changed, and {} needs the apiserver",
                described(path)
            ),
        ),
        Refusal::SnapshotGone => Status::new(
            410,
            "Expired",
            format!("{away}; list again without a version or continue token"),
        ),
        Refusal::AheadOfMirror => Status::new(504, "Timeout", format!("{away}; Too large resource version"))
            .with_cause("ResourceVersionTooLarge", "Too large resource version"),
    }
}

fn described(path: Option<&ResourcePath>) -> String {
    let Some(path) = path else {
        return "this".to_owned();
    };
    let group = if path.group.is_empty() {
        String::new()
    } else {
        format!(".{}", path.group)
    };
    let name = path
        .name
        .as_deref()
        .map(|name| format!(" \"{name}\""))
        .unwrap_or_default();
    let subresource = path
        .subresource
        .as_deref()
        .map(|name| format!("/{name}"))
        .unwrap_or_default();
    format!("{}{group}{subresource}{name}", path.resource)
}

/// What a `Status` says of its object, by the apiserver's rule that `kind` names the resource
/// (`k8s.io/apimachinery/pkg/api/errors/errors.go`).
fn details(path: &ResourcePath) -> Details {
    Details {
        name: path.name.clone().unwrap_or_default(),
        group: path.group.clone(),
        kind: path.resource.clone(),
        ..Details::default()
    }
}

/// How long the cloud has been away, for people.
pub fn away(cloud: CloudState) -> String {
    let age = cloud.age(tokio::time::Instant::now());
    format!(
        "cloud unreachable for {}",
        humantime::format_duration(Duration::from_secs(age.as_secs()))
    )
}

/// The encoding in which the client wants objects and errors.
pub fn preferred(request: &Request) -> Encoding {
    let first = request.accept.first();
    if first.is_some_and(|format| format.media == Media::Protobuf) {
        Encoding::Protobuf
    } else {
        Encoding::Json
    }
}

/// An answer with a whole body.
pub fn encoded(status: &Status, encoding: Encoding) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    whole(code, encoding.content_type(), status.encode(encoding))
}

/// An answer with a whole body.
pub fn whole(code: StatusCode, content_type: &str, body: Bytes) -> Response<Body> {
    let length = body.len() as u64;
    let mut response = streamed(content_type, full_body(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// An answer whose body streams.
pub fn streamed(content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    // What every answer of the apiserver carries: objects must not be kept by caches on the way.
    let no_cache = HeaderValue::from_static("no-cache, private");
    response
        .headers_mut()
        .insert(http::header::CACHE_CONTROL, no_cache);
    response
}

/// What a person should know of an answer beside its age.
#[derive(Debug, Clone)]
pub struct Note(pub String);

/// Says in a header that the answer is not the cloud's; kubectl prints it.
pub fn warn_away(response: &mut Response<Body>, cloud: CloudState) {
    let note = response.extensions().get::<Note>();
    let note = note.map_or_else(String::new, |note| {
        format!("; {}", note.0.replace(['"', '\\'], "'"))
    });
    let text = format!("299 - \"served from this node's mirror; {}{note}\"", away(cloud));
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(WARNING, value);
    }
}
