//! The life of a request, on one screen: request → identity → route → { mirror | forward | offline } → response.

mod filtered;
mod forwarded;
mod mirror_pods;
mod mirrored;
mod offline;
mod patience;
mod person;
mod selection;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request as HttpRequest, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use yurthub_object::Encoding;
use yurthub_request::{Invalid, Request, ResourceVersion, Target, Verb};

use crate::accounts::Accounts;
use crate::authorize::Authorizer;
use crate::config::CloudConfig;
use crate::filters::NodeFilters;
use crate::forward::{Body, Lane, Upstream};
use crate::health::{CloudState, Monitor, Phase};
use crate::identity::{Client, Identity, Peer, Unproved};
use crate::limits::{Limits, Permit};
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::mirror::key::object_key;
use crate::offline::events::Events;
use crate::offline::journal::Journal;
use crate::offline::lease::LeaseKeeper;
use crate::offline::reviews::Reviews;
use crate::offline::token::Tokens;
use crate::offline::write;
use crate::peers::Findings;
use crate::pool::Pool;
use crate::reality::boot::Boot;
use crate::remembered::{Question, Remembered};
use crate::response::{self, Failure, failure};
use crate::route::{self, Route, Situation, Why};
use forwarded::Keep;

pub(crate) use mirrored::Waiting;

/// Answers the requests of local clients.
pub struct Hub {
    /// The mirror.
    pub mirror: Arc<Mirror>,
    /// The way to the apiserver.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// Who stands behind the tokens of this node's pods.
    pub accounts: Arc<Accounts>,
    /// What the cloud allows accounts.
    pub authorizer: Authorizer,
    /// What the kubelet sees otherwise than the cloud sent it, where pods are served.
    pub filters: Option<Arc<NodeFilters>>,
    /// Answers kept for the time without it.
    pub remembered: Arc<Remembered>,
    /// Tokens kept for the time without it.
    pub tokens: Tokens,
    /// What the kubelet wrote meanwhile.
    pub journal: Arc<Journal>,
    /// Which pods the kubelet has yet to report since the boot; `None` where that does not matter.
    pub boot: Option<Arc<Boot>>,
    /// Events meanwhile.
    pub events: Arc<Events>,
    /// What the cloud answered the kubelet about its own clients.
    pub reviews: Reviews,
    /// The heartbeat meanwhile.
    pub lease: Arc<LeaseKeeper>,
    /// Name of this node.
    pub node: Arc<str>,
    /// What is known of its pool.
    pub pool: Arc<Pool>,
    /// What is seen of the other members.
    pub peers: Arc<Findings>,
    /// Times.
    pub config: CloudConfig,
    /// How much clients may ask for at a time.
    pub limits: Limits,
    /// No new watches: yurthub shuts down.
    pub draining: CancellationToken,
    /// Ends watches when yurthub shuts down.
    pub shutdown: CancellationToken,
    /// Counters.
    pub metrics: Metrics,
}

/// A request with what is known of it.
struct Call {
    request: Request,
    identity: Identity,
    http: HttpRequest<Incoming>,
    /// What an upgraded connection holds; the answer's body does so otherwise.
    permit: Arc<Permit>,
}

impl Call {
    /// For whom answers are kept. A bearer that only the cloud knows is routed past everything that asks this.
    fn client(&self) -> Result<&Client, Failure> {
        let client = self.identity.client();
        client.ok_or(Failure::Unproved(Unproved::Nothing))
    }

    fn question(&self) -> Result<Question, Failure> {
        Ok(Question::of(self.client()?, &self.request, self.http.headers()))
    }
}

impl Hub {
    /// Answers one request.
    pub async fn serve(&self, peer: Peer, http: HttpRequest<Incoming>) -> Response<Body> {
        let proved = peer.prove(http.headers()).and_then(|identity| match identity {
            Identity::Bearer => self.accounts.identify(http.headers(), self.cloud.state()),
            identity => Ok(identity),
        });
        let identity = match proved {
            Ok(identity) => identity,
            Err(unproved) => return self.counted(failure(Failure::Unproved(unproved), None, None)),
        };
        let request = match Request::parse(http.method(), http.uri(), http.headers()) {
            Ok(request) => request,
            Err(invalid) => return self.malformed(invalid, identity, http).await,
        };
        let permit = match self.limits.admit(&identity, request.is_long_running()) {
            Ok(permit) => Arc::new(permit),
            Err(refused) => {
                let bound = Failure::Bound(refused.to_string());
                return self.counted(failure(bound, Some(&request), Some(&identity)));
            }
        };
        if request.verb == Verb::Watch && self.draining.is_cancelled() {
            // A watch that ended at once would send its client to a new list; after a 429 it asks again from where it is.
            return self.counted(failure(Failure::Draining, Some(&request), Some(&identity)));
        }
        let cloud = self.settled_cloud(&request).await;
        let situation = self.situation(&request, (&identity, http.headers()), cloud);
        let decision = route::decide(&request, &identity, situation);
        let verb = request.verb.as_str();
        debug!(verb, path = &*request.path_and_query, route = ?decision.0, why = decision.1.as_str(), "request");
        let answer = self
            .answer(
                Call {
                    request,
                    identity,
                    http,
                    permit: Arc::clone(&permit),
                },
                decision,
                cloud,
            )
            .await;
        self.metrics
            .count_request(decision, verb, answer.status().as_u16());
        answer.map(|body| permit.until_the_end_of(body))
    }

    /// Answers a request that is wrong by itself: in the apiserver's own words while it is there.
    async fn malformed(
        &self,
        invalid: Invalid,
        identity: Identity,
        http: HttpRequest<Incoming>,
    ) -> Response<Body> {
        let permit = match self.limits.admit(&identity, false) {
            Ok(permit) => Arc::new(permit),
            Err(refused) => {
                let bound = Failure::Bound(refused.to_string());
                return self.counted(failure(bound, None, Some(&identity)));
            }
        };
        let decision = route::decide_malformed(http.uri().query(), self.cloud.state().reachable());
        if let Some(decision) = decision
            && let Ok(answer) = self.pass(&identity, Lane::Request, http).await
        {
            self.metrics.count_request(decision, "", answer.status().as_u16());
            return answer.map(|body| permit.until_the_end_of(body));
        }
        self.counted(failure(Failure::Invalid(invalid), None, Some(&identity)))
    }

    /// Counts an answer that was given before a route was taken.
    fn counted(&self, response: Response<Body>) -> Response<Body> {
        self.metrics.count_at_the_door(response.status().as_u16());
        response
    }

    async fn answer(&self, call: Call, decision: (Route, Why), cloud: CloudState) -> Response<Body> {
        let Call {
            request, identity, ..
        } = &call;
        let (request, identity) = (request.clone(), identity.clone());
        let outcome = match decision.0 {
            Route::MirrorList => match self.mirror_list(&call, cloud).await {
                Err(refusal) => self.in_the_clouds_words(call, refusal).await,
                answer => answer,
            },
            Route::MirrorWatch => match self.mirror_watch(&call).await {
                Err(refusal) => self.in_the_clouds_words(call, refusal).await,
                answer => answer,
            },
            Route::MirrorGet => self.mirror_get(call, cloud).await,
            Route::Forward if decision.1 == Why::OtherForm && call.request.verb != Verb::Watch => {
                self.forward_read(call, cloud, Keep::Nothing).await
            }
            Route::Forward => self.forward(call).await,
            Route::ForwardRemember => self.forward_read(call, cloud, Keep::Whole).await,
            Route::ForwardWrite(class) => self.forward_write(call, class).await,
            Route::OfflineRead => self.offline_read(&call, cloud).await,
            Route::OfflineWatch => self.watch_metadata(&call, cloud).await,
            Route::OfflineWrite(class) => self.offline_write(call, class, cloud).await,
            Route::Refuse(refusal) => Err(Failure::Refused(refusal, cloud)),
        };
        let by_lens = matches!(decision.0, Route::MirrorList | Route::MirrorWatch);
        let outcome = match outcome {
            Ok(response) if !by_lens => self.filtered(&request, &identity, response).await,
            outcome => outcome,
        };
        let mut response = outcome.unwrap_or_else(|reason| failure(reason, Some(&request), Some(&identity)));
        // Warnings are for people: who reads protobuf is a program, and the kubelet would log one for each answer.
        if !cloud.reachable() && response::preferred(&request) == Encoding::Json {
            response::warn_away(&mut response, cloud);
        }
        response
    }

    /// The cloud's state; just after the start it may not be known yet, and what the mirror cannot answer waits a
    /// moment for it.
    async fn settled_cloud(&self, request: &Request) -> CloudState {
        let state = self.cloud.state();
        let any_version =
            request.query.resource_version == ResourceVersion::Zero || request.verb == Verb::Watch;
        if state.phase != Phase::Unknown || any_version {
            return state;
        }
        self.cloud
            .decided(self.config.first_verdict + Duration::from_millis(100))
            .await
    }

    fn situation(
        &self,
        request: &Request,
        (identity, headers): (&Identity, &HeaderMap),
        cloud: CloudState,
    ) -> Situation<'_> {
        let mut situation = Situation {
            node: &self.node,
            impersonates: impersonates(headers),
            cloud_reachable: cloud.reachable(),
            mirrored: None,
            journaled: false,
        };
        let (Target::Resource(path), Some(client)) = (&request.target, identity.client()) else {
            return situation;
        };
        if matches!(request.query.resource_version, ResourceVersion::At(_)) {
            let selection = self.selection(client, path, request, response::preferred(request));
            situation.mirrored = self
                .mirror
                .find(&selection.key)
                .filter(|scope| scope.is_complete())
                .map(|scope| scope.version());
        }
        if write::class_of_account(request) == write::WriteClass::Event {
            situation.journaled = self.events.holds(client, path);
            return situation;
        }
        if *identity != Identity::Node {
            return situation;
        }
        let class = write::class(request, &self.node);
        let owned = matches!(
            class,
            write::WriteClass::NodeStatus | write::WriteClass::PodStatus
        );
        if let Some(name) = &path.name
            && (owned || request.verb == Verb::Get && path.subresource.is_none())
        {
            let key = object_key(path.namespace.as_deref().unwrap_or_default(), name);
            situation.journaled = self.journal.holds(path, &key);
        }
        situation
    }
}

/// Whether the request is in the name of somebody else
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>).
fn impersonates(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
}

/// Whether the method asks for headers only.
fn is_head(request: &Request) -> bool {
    request.method == Method::HEAD
}
