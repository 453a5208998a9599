//! Requests that go to the cloud: passed through, remembered for the time without it, or answered here where the
//! cloud does not answer in time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tracing::{debug, warn};
use yurthub_object::{Encoding, meta, single};
use yurthub_request::{Request, Verb};

use super::{Call, Hub, patience};
use crate::forward::{self, Body, BoxError, Lane, UpstreamError, empty_body, full_body, headers, upgrade};
use crate::health::CloudState;
use crate::identity::Identity;
use crate::mirror::{Lookup, Sight};
use crate::offline::events::entry::without_own_version;
use crate::offline::lease::Kept;
use crate::offline::write::WriteClass;
use crate::remembered::{MAX_ANSWER, Question, Remembered};
use crate::response::Failure;
use crate::telemetry::ErrorChain;

/// Largest body of a write that may be kept here: the apiserver's own limit.
pub(super) const MAX_WRITE: usize = 3 << 20;

/// How often a read is sent whose connections end under it.
const READ_ATTEMPTS: usize = 3;

/// Which answers to a read are kept for the time without cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// None: it is in a form that only the cloud makes.
    Nothing,
    /// One that is there, whole and worth it.
    Whole,
}

impl Hub {
    pub(super) async fn forward(&self, call: Call) -> Result<Response<Body>, Failure> {
        let Call {
            request,
            identity,
            http,
            permit,
        } = call;
        if request.upgrade {
            return upgrade::relay(&self.upstream, &identity, http, permit)
                .await
                .map_err(|error| unreached(&error));
        }
        self.pass(&identity, lane(&request), http)
            .await
            .map_err(|error| unreached(&error))
    }

    /// Sends a request on as it came.
    pub(super) async fn pass(
        &self,
        identity: &Identity,
        lane: Lane,
        http: HttpRequest<Incoming>,
    ) -> Result<Response<Body>, UpstreamError> {
        let (parts, body) = http.into_parts();
        if matches!(parts.method, Method::GET | Method::HEAD) {
            return self.send_read(identity, lane, parts).await;
        }
        let body = body.map_err(BoxError::from).boxed_unsync();
        self.send(identity, lane, (parts, body)).await
    }

    /// Sends a read, once more where its connection ended under it: for its own reasons, or because somebody else was
    /// refused on it (the apiserver then ends it: feature gate `UnauthenticatedHTTP2DOSMitigation`).
    async fn send_read(
        &self,
        identity: &Identity,
        lane: Lane,
        parts: http::request::Parts,
    ) -> Result<Response<Body>, UpstreamError> {
        for _ in 1..READ_ATTEMPTS {
            let sent = self.send(identity, lane, (parts.clone(), empty_body())).await;
            if !matches!(sent, Err(UpstreamError::Lost(_))) || !self.cloud.state().reachable() {
                return sent;
            }
        }
        self.send(identity, lane, (parts, empty_body())).await
    }

    /// What the mirror may not follow, or not give in this encoding, the cloud refuses in words for this very
    /// request: the mirror knows only how its own list was refused.
    pub(super) async fn in_the_clouds_words(
        &self,
        call: Call,
        refusal: Failure,
    ) -> Result<Response<Body>, Failure> {
        let of_the_cloud = matches!(
            refusal,
            Failure::Denied(_) | Failure::Forbidden(_) | Failure::NotAcceptable
        );
        if !of_the_cloud || !self.cloud.state().reachable() {
            return Err(refusal);
        }
        let (parts, _) = call.http.into_parts();
        let sent = self.send(&call.identity, Lane::Request, (parts, empty_body()));
        match sent.await {
            Ok(response) if response.status().is_client_error() => Ok(response),
            // Granted in this moment: the client asks again, and the mirror follows it then.
            Ok(_) => Err(refusal),
            Err(error) => {
                debug!(error = %ErrorChain(&error), "refusing as the cloud did before");
                Err(refusal)
            }
        }
    }

    async fn send(
        &self,
        identity: &Identity,
        lane: Lane,
        (parts, body): (http::request::Parts, Body),
    ) -> Result<Response<Body>, UpstreamError> {
        let mut outgoing = HttpRequest::new(body);
        *outgoing.method_mut() = parts.method;
        *outgoing.uri_mut() = parts.uri;
        *outgoing.headers_mut() = headers::to_upstream(parts.headers, identity);
        let mut response = self.upstream.send(identity, lane, outgoing).await?;
        headers::to_client(response.headers_mut());
        Ok(response)
    }

    /// A get or list. Where the cloud goes away in this moment, what is here answers.
    pub(super) async fn forward_read(
        &self,
        call: Call,
        cloud: CloudState,
        keep: Keep,
    ) -> Result<Response<Body>, Failure> {
        let question = call.question()?;
        let Call {
            request,
            identity,
            http,
            ..
        } = call;
        let (mut parts, _) = http.into_parts();
        if keep == Keep::Whole {
            parts.headers.remove(ACCEPT_ENCODING); // what is remembered must be readable by any client
        }
        match (self.send_read(&identity, lane(&request), parts).await, keep) {
            (Ok(response), Keep::Whole) => Ok(self.remember(&identity, &request, question, response)),
            (Ok(response), Keep::Nothing) => Ok(response),
            (Err(error), _) => {
                debug!(error = %ErrorChain(&error), "falling back to what is here");
                self.read_here(&identity, &request, &question, cloud).await
            }
        }
    }

    fn remember(
        &self,
        identity: &Identity,
        request: &Request,
        question: Question,
        response: Response<Body>,
    ) -> Response<Body> {
        if !question.worth_keeping || self.is_mirrored(identity, request) {
            return response;
        }
        match response.status() {
            StatusCode::NOT_FOUND => self.remembered.forget(&question),
            StatusCode::OK => {
                let (parts, body) = response.into_parts();
                let tee = Tee {
                    body,
                    kept: Some(BytesMut::new()),
                    remembered: Arc::clone(&self.remembered),
                    question,
                    headers: parts.headers.clone(),
                };
                return Response::from_parts(parts, tee.boxed_unsync());
            }
            _ => {}
        }
        response
    }

    /// Whether the mirror holds the object anyway.
    fn is_mirrored(&self, identity: &Identity, request: &Request) -> bool {
        let (Some((path, name)), Some(client)) = (super::mirrored::named(request), identity.client()) else {
            return false;
        };
        let found = self
            .mirror
            .lookup(Sight::of(client), path, name, request.accept.formats());
        matches!(found, Ok(Lookup::Found { .. }))
    }

    /// A write that this node answers by itself where the cloud does not, or not soon enough: two heartbeats that
    /// fail make the kubelet drop all its connections.
    pub(super) async fn forward_write(
        &self,
        call: Call,
        class: WriteClass,
    ) -> Result<Response<Body>, Failure> {
        let Call {
            request,
            identity,
            http,
            ..
        } = call;
        let (mut parts, body) = http.into_parts();
        let mut body = collect(body, MAX_WRITE).await?;
        if class == WriteClass::Event
            && request.method == Method::PUT
            && let Some(path) = request.resource()
            && let Some(stripped) = without_own_version(path, headers::encoding_of(&parts.headers), &body)
        {
            parts.headers.remove(CONTENT_LENGTH);
            body = stripped;
        }
        let sent = self.send(&identity, Lane::Request, (parts.clone(), full_body(body.clone())));
        let lists = self.mirror.turns().what_came();
        match patience::in_time(sent, lists, self.config.journaled_write_budget).await {
            Some(Ok(response)) => {
                return self
                    .after_write((&identity, &request), class, (&parts.headers, &body), response)
                    .await;
            }
            Some(Err(error)) => {
                debug!(error = %ErrorChain(&error), class = class.as_str(), "answering a write here");
            }
            None => debug!(
                class = class.as_str(),
                "the cloud takes too long; answering a write here"
            ),
        }
        let state = self.cloud.state();
        self.write_here((&identity, &request), class, (&parts.headers, body), state)
            .await
    }

    /// Learns from the cloud's answer what will be needed without it.
    async fn after_write(
        &self,
        (identity, request): (&Identity, &Request),
        class: WriteClass,
        (sent_headers, sent): (&HeaderMap, &Bytes),
        response: Response<Body>,
    ) -> Result<Response<Body>, Failure> {
        let report = self.awaited_report(request, class);
        let learns = matches!(
            class,
            WriteClass::Token
                | WriteClass::Lease
                | WriteClass::Event
                | WriteClass::AccessReview
                | WriteClass::TokenReview
        ) || report.is_some();
        if !learns || !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = forward::collect(body, MAX_WRITE)
            .await
            .map_err(|error| Failure::Upstream(error.to_string()))?;
        let encoding = headers::encoding_of(&parts.headers);
        let (question, answer) = ((headers::encoding_of(sent_headers), sent), (encoding, &body));
        if let Some((boot, pod)) = report {
            boot.reported(&pod, version_of(encoding, &body)).await;
        }
        match (class, request.resource(), identity.client()) {
            (WriteClass::Token, Some(path), _) => {
                if let Err(error) = self.tokens.keep(path, question, answer) {
                    warn!(error = %ErrorChain(&error), "failed to keep a token for the time without cloud");
                }
            }
            (WriteClass::Event, Some(path), Some(client)) => self.events.saw(client, path, answer),
            (WriteClass::AccessReview | WriteClass::TokenReview, ..) => {
                if let Err(error) = self.reviews.keep(class, question, answer) {
                    warn!(error = %ErrorChain(&error), "failed to keep a review for the time without cloud");
                }
            }
            (WriteClass::Lease, ..) => self.lease.seen(Kept {
                encoding,
                body: body.clone(),
            }),
            _ => {}
        }
        Ok(Response::from_parts(parts, full_body(body)))
    }
}

/// The version in an answer; `None` where it cannot be read.
fn version_of(encoding: Encoding, body: &Bytes) -> Option<u64> {
    let (_, item) = single::split(encoding, body).ok()?;
    Some(meta::key(encoding, &item).ok()?.resource_version)
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn collect(body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge(limit)),
        Err(error) => Err(Failure::BadBody(format!("the request's body broke off: {error}"))),
    }
}

fn lane(request: &Request) -> Lane {
    if request.is_long_running() {
        Lane::Watch
    } else if request.verb == Verb::List {
        Lane::Bulk // on a thin link the kubelet's heartbeats would wait behind it
    } else {
        Lane::Request
    }
}

fn unreached(error: &UpstreamError) -> Failure {
    Failure::Upstream(ErrorChain(error).to_string())
}

/// An answer on its way to the client, kept when it has arrived whole.
struct Tee {
    body: Body,
    kept: Option<BytesMut>,
    remembered: Arc<Remembered>,
    question: Question,
    headers: HeaderMap,
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let fits = |kept: &BytesMut, data: &Bytes| kept.len() + data.len() <= MAX_ANSWER;
                let (Some(data), Some(mut kept)) = (frame.data_ref(), self.kept.take()) else {
                    return polled;
                };
                if fits(&kept, data) {
                    kept.extend_from_slice(data);
                    self.kept = Some(kept);
                    self.finish_if_ended();
                }
            }
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Err(_))) => self.kept = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Tee {
    /// A server may stop asking once it knows that nothing follows.
    fn finish_if_ended(&mut self) {
        if self.body.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.remembered.keep(&self.question, &self.headers, &kept);
        }
    }
}
