//! Answers from the mirror: lists, watches and objects of a scope.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use yurthub_request::{Request, ResourcePath, ResourceVersion};

use super::forwarded::Keep;
use super::selection::Selection;
use super::{Call, Hub, is_head};
use crate::forward::{Body, BoxError, empty_body, full_body};
use crate::health::CloudState;
use crate::identity::{Client, Identity, Unproved};
use crate::mirror::answer::{self, From, WatchOptions};
use crate::mirror::form::Form;
use crate::mirror::key::ScopeKey;
use crate::mirror::lens::Lens;
use crate::mirror::scope::{Scope, State, View};
use crate::mirror::{Lookup, Patience, reads};
use crate::response::{self, Failure};

/// How long a client waits for the first list of a new scope while nothing comes of any list.
const FIRST_SYNC: Duration = Duration::from_secs(25);
/// How long it waits in all while a thin link brings page after page, where it names no time itself.
const LONGEST_SYNC: Duration = Duration::from_mins(10);
/// How long a client waits for a scope to catch up with a cloud that is there: what it gets after that is older,
/// as `resourceVersion=0` allows.
const CATCH_UP: Duration = Duration::from_secs(2);
/// A watch without `timeoutSeconds` ends between once and twice this time, as in the apiserver
/// (`--min-request-timeout`).
const MIN_WATCH: Duration = Duration::from_mins(30);

/// How long somebody waits for a scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// For its first list.
    pub(crate) patience: Patience,
    /// For one that has everything to follow the cloud again.
    pub(crate) catch_up: Duration,
}

impl Waiting {
    /// As long as the client of `request` does.
    fn of(request: &Request) -> Self {
        let query = &request.query;
        let given = query.request_timeout.or(query.timeout);
        Self {
            patience: Patience {
                silence: FIRST_SYNC,
                most: given.map_or(LONGEST_SYNC, |limit| limit.min(LONGEST_SYNC)),
            },
            catch_up: CATCH_UP,
        }
    }
}

impl Hub {
    pub(super) async fn mirror_list(
        &self,
        call: &Call,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let (scope, lens) = self.scope(call, cloud).await?;
        // Custom resources have no protobuf, whatever the client's first choice is.
        if !reads(call.request.accept.formats(), scope.encoding()) {
            return Err(Failure::NotAcceptable);
        }
        let view = self
            .mirror
            .view(&scope, call.identity.client())
            .await
            .map_err(store)?;
        let view = view.ok_or_else(|| Failure::NotHere(self.cloud.state()))?;
        let content_type = view.shown.wire.encoding.content_type();
        let (body, length) = match lens {
            Some(lens) => seen_list(view, lens).await,
            None => answer::list(&scope, view),
        }
        .map_err(|error| Failure::Store(error.to_string()))?;
        let body = if is_head(&call.request) {
            empty_body()
        } else {
            body
        };
        let mut response = response::streamed(content_type, body);
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        Ok(response)
    }

    pub(super) async fn mirror_watch(&self, call: &Call) -> Result<Response<Body>, Failure> {
        let request = &call.request;
        let (scope, lens) = self.scope(call, self.cloud.state()).await?;
        if !reads(request.accept.formats(), scope.encoding()) {
            return Err(Failure::NotAcceptable);
        }
        self.watch_scope(&scope, lens, call).await
    }

    /// The watch that is asked for, of whole objects.
    pub(super) async fn watch_scope(
        &self,
        scope: &Arc<Scope>,
        lens: Option<Lens>,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let query = &call.request.query;
        let from = match query.resource_version {
            ResourceVersion::At(version) if query.send_initial_events != Some(true) => From::Version(version),
            ResourceVersion::Unset | ResourceVersion::Zero if query.send_initial_events == Some(false) => {
                From::Now
            }
            _ => From::Everything {
                end_bookmark: query.send_initial_events == Some(true),
            },
        };
        let timeout = query
            .timeout
            .unwrap_or_else(|| MIN_WATCH.mul_f64(1.0 + fastrand::f64()));
        let options = WatchOptions {
            from,
            bookmarks: query.allow_bookmarks,
            timeout,
        };
        let view = match from {
            From::Everything { .. } => {
                let view = self
                    .mirror
                    .view(scope, call.identity.client())
                    .await
                    .map_err(store)?;
                Some(view.ok_or_else(|| Failure::NotHere(self.cloud.state()))?)
            }
            From::Version(_) | From::Now => None,
        };
        let body = answer::watch(scope, options, view, lens, self.shutdown.clone())
            .map_err(|error| Failure::Store(error.to_string()))?;
        Ok(response::streamed(scope.encoding().watch_content_type(), body))
    }

    pub(super) async fn mirror_get(&self, call: Call, cloud: CloudState) -> Result<Response<Body>, Failure> {
        match self.lookup(&call.identity, &call.request).await? {
            Some(Ok(response)) => Ok(response),
            // Objects are made and deleted all the time: the cloud's word is better than an absence here.
            Some(Err(_)) | None if cloud.reachable() => self.forward_read(call, cloud, Keep::Whole).await,
            Some(Err(absent)) => Err(absent),
            None => {
                let question = call.question()?;
                self.decoded_or_recalled(&call.identity, &call.request, &question, cloud)
                    .await
            }
        }
    }

    /// What the mirror says of the object that is asked for: `None` where it cannot tell.
    pub(super) async fn lookup(
        &self,
        identity: &Identity,
        request: &Request,
    ) -> Result<Option<Result<Response<Body>, Failure>>, Failure> {
        let (Some((path, name)), Some(client)) = (named(request), identity.client()) else {
            return Ok(None);
        };
        let sight = self.sight(identity, client, path).await;
        Ok(
            match self
                .mirror
                .lookup(sight, path, name, request.accept.formats())
                .map_err(store)?
            {
                Lookup::Found { wire, item } => {
                    let body = Scope::single(&wire, &item);
                    let mut response = response::whole(StatusCode::OK, wire.encoding.content_type(), body);
                    if is_head(request) {
                        *response.body_mut() = empty_body();
                    }
                    Some(Ok(response))
                }
                Lookup::Absent => Some(Err(Failure::NotFound)),
                Lookup::Unknown => None,
            },
        )
    }

    /// The scope of a list or watch, as ready as it gets in the client's time, and what the client sees of it.
    async fn scope(&self, call: &Call, cloud: CloudState) -> Result<(Arc<Scope>, Option<Lens>), Failure> {
        let who = (&call.identity, &call.request);
        self.scope_for(who, cloud, Waiting::of(&call.request)).await
    }

    /// The scope that a list or watch of `identity` reads, as ready as it gets.
    pub(crate) async fn scope_for(
        &self,
        (identity, request): (&Identity, &Request),
        cloud: CloudState,
        waiting: Waiting,
    ) -> Result<(Arc<Scope>, Option<Lens>), Failure> {
        let Some(path) = request.resource() else {
            return Err(Failure::NotFound);
        };
        let client = identity.client().ok_or(Failure::Unproved(Unproved::Nothing))?;
        let encoding = response::preferred(request);
        let selection = self.selection(client, path, request, encoding);
        if selection.is_shared() {
            self.authorize(identity, path, request.verb, cloud).await?;
        }
        let shared = selection.is_shared();
        match self.ready_scope(selection, waiting, cloud).await {
            // The node may not read all of it; perhaps the client may read what it asks for.
            Err(Failure::Denied(_)) if shared => {
                let own = self.selection(client, path, request, encoding);
                self.ready_scope(own, waiting, cloud).await
            }
            outcome => outcome,
        }
    }

    /// Which scope a list or watch of `client` reads now.
    pub(crate) fn key_for(&self, client: &Client, request: &Request) -> Option<ScopeKey> {
        let path = request.resource()?;
        let encoding = response::preferred(request);
        Some(self.selection(client, path, request, encoding).key)
    }

    async fn ready_scope(
        &self,
        selection: Selection,
        waiting: Waiting,
        cloud: CloudState,
    ) -> Result<(Arc<Scope>, Option<Lens>), Failure> {
        let scope = self
            .mirror
            .ensure(selection.key)
            .map_err(|error| Failure::Bound(error.to_string()))?;
        if scope.state() != State::Live {
            self.mirror
                .ready(&scope, waiting.patience, waiting.catch_up)
                .await;
        }
        if let Some(status) = scope.denied() {
            return Err(Failure::Denied(Box::new(status)));
        }
        if !scope.is_complete() {
            return Err(self.not_ready(cloud));
        }
        Ok((scope, selection.lens))
    }

    fn not_ready(&self, cloud: CloudState) -> Failure {
        if self.cloud.state().reachable() {
            Failure::Syncing
        } else {
            Failure::NotHere(if cloud.reachable() {
                self.cloud.state()
            } else {
                cloud
            })
        }
    }
}

/// What a client sees of a scope, and how long that is: known only once all of it was read.
async fn seen_list(view: View, lens: Lens) -> Result<(Body, u64), BoxError> {
    let gather = move || answer::seen_list(view, &lens, Form::Whole);
    let body = tokio::task::spawn_blocking(gather).await??;
    let length = body.len() as u64;
    Ok((full_body(body), length))
}

/// The object that a GET names.
pub(super) fn named(request: &Request) -> Option<(&ResourcePath, &str)> {
    let path = request.resource()?;
    if path.subresource.is_some() {
        return None;
    }
    Some((path, path.name.as_deref()?))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of map_err")]
pub(super) fn store(error: yurthub_store::StoreError) -> Failure {
    Failure::Store(error.to_string())
}
