//! Answers while the cloud is away, by what the mirror holds, what is remembered, and the table of writes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use yurthub_object::{Encoding, Malformed, single};
use yurthub_request::{Format, Media, Request, Verb};

use super::forwarded::{MAX_WRITE, collect};
use super::mirrored::{named, store};
use super::selection::filter_of;
use super::{Call, Hub};
use crate::forward::Body;
use crate::forward::headers::encoding_of;
use crate::health::CloudState;
use crate::identity::Identity;
use crate::mirror::Lookup;
use crate::mirror::answer;
use crate::mirror::form::Form;
use crate::mirror::key::object_key;
use crate::mirror::lens::Lens;
use crate::mirror::scope::Scope;
use crate::offline::events::{EventError, EventWrite};
use crate::offline::journal::{JournalError, PatchType};
use crate::offline::lease::Kept;
use crate::offline::write::WriteClass;
use crate::reality::boot::Boot;
use crate::remembered::Question;
use crate::response::{self, Failure};
use crate::telemetry::ErrorChain;

impl Hub {
    pub(super) async fn offline_read(
        &self,
        call: &Call,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let question = call.question()?;
        self.read_here(&call.identity, &call.request, &question, cloud)
            .await
    }

    /// What is here: an object or list of the mirror, else an answer that is remembered.
    pub(super) async fn read_here(
        &self,
        identity: &Identity,
        request: &Request,
        question: &Question,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        if let Some(table) = self.table_here(identity, request).await? {
            return Ok(table);
        }
        for (whole, form) in Form::preferred_metadata(&request.accept) {
            if let Some(answer) = self.in_form(identity, request, whole, form).await? {
                return Ok(answer);
            }
        }
        match request.verb {
            Verb::Get => {
                if let Some(lease) = self.own_lease(identity, request) {
                    return Ok(lease);
                }
                match self.lookup(identity, request).await? {
                    Some(answer) => answer,
                    None => self.decoded_or_recalled(identity, request, question, cloud).await,
                }
            }
            Verb::List => match self
                .list_here(identity, request, request.accept.formats(), Form::Whole)
                .await?
            {
                Some(answer) => Ok(answer),
                None => self.decoded_or_recalled(identity, request, question, cloud).await,
            },
            _ => self.recall(question, cloud),
        }
    }

    /// An object or a list in another form than the mirror holds it.
    pub(super) async fn in_form(
        &self,
        identity: &Identity,
        request: &Request,
        whole: Format,
        form: Form,
    ) -> Result<Option<Response<Body>>, Failure> {
        if request.verb == Verb::List {
            return self.list_here(identity, request, &[whole], form).await;
        }
        let object = named(request).filter(|_| request.verb == Verb::Get);
        let (Some((path, name)), Some(client)) = (object, identity.client()) else {
            return Ok(None);
        };
        let sight = self.sight(identity, client, path).await;
        match self.mirror.lookup(sight, path, name, &[whole]).map_err(store)? {
            Lookup::Found { wire, .. } if !form.can_show(&wire) => Ok(None),
            Lookup::Found { wire, item } => {
                let item = form.item(&wire, &item).map_err(unreadable)?;
                let encoding = form.encoding(&wire);
                let body = single::join(encoding, &form.item_type(&wire), &item);
                Ok(Some(response::whole(
                    StatusCode::OK,
                    encoding.content_type(),
                    body,
                )))
            }
            Lookup::Absent => Err(Failure::NotFound),
            Lookup::Unknown => Ok(None),
        }
    }

    /// A watch of metadata, derived from the mirror's watch of the whole objects.
    pub(super) async fn watch_metadata(
        &self,
        call: &Call,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let request = &call.request;
        let path = request.resource().ok_or(Failure::NotFound)?;
        for (whole, form) in Form::preferred_metadata(&request.accept) {
            let encoding = if whole.media == Media::Protobuf {
                Encoding::Protobuf
            } else {
                Encoding::Json
            };
            let selection = self.selection(call.client()?, path, request, encoding);
            if selection.is_shared() {
                self.authorize(&call.identity, path, request.verb, cloud).await?;
            }
            let scope = self.mirror.find(&selection.key);
            let scope = scope.filter(|scope| scope.is_complete());
            if let Some(scope) = scope
                && let Form::Metadata(version) = form
                && scope.encoding() == encoding
            {
                let (parts, body) = self.watch_scope(&scope, selection.lens, call).await?.into_parts();
                let body = answer::metadata_only(body, encoding, version);
                return Ok(Response::from_parts(parts, body));
            }
        }
        Err(Failure::NotHere(cloud))
    }

    /// A list from a scope that has everything that is asked for, and perhaps more.
    async fn list_here(
        &self,
        identity: &Identity,
        request: &Request,
        formats: &[Format],
        form: Form,
    ) -> Result<Option<Response<Body>>, Failure> {
        let (Some(path), Some(client)) = (request.resource(), identity.client()) else {
            return Ok(None);
        };
        let filter = filter_of(path, request);
        let sight = self.sight(identity, client, path).await;
        let Some(scope) = self.mirror.broader(sight, path, &filter, formats) else {
            return Ok(None);
        };
        if !scope.wire().is_some_and(|wire| form.can_show(&wire)) {
            return Ok(None);
        }
        let Some(lens) = Lens::new(filter) else {
            return Ok(None); // only the apiserver can evaluate it
        };
        let Some(view) = self.mirror.view(&scope, identity.client()).await.map_err(store)? else {
            return Ok(None);
        };
        let content_type = form.encoding(&view.shown.wire).content_type();
        let body = answer::seen_list(view, &lens, form).map_err(|error| Failure::Store(error.to_string()))?;
        Ok(Some(response::whole(StatusCode::OK, content_type, body)))
    }

    /// What the mirror holds in protobuf alone, for a person who reads JSON; else an answer of the cloud from before.
    pub(super) async fn decoded_or_recalled(
        &self,
        identity: &Identity,
        request: &Request,
        question: &Question,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        match self.decoded_here(identity, request).await? {
            Some(answer) => Ok(answer),
            None => self.recall(question, cloud),
        }
    }

    /// An answer of the cloud from before.
    pub(super) fn recall(&self, question: &Question, cloud: CloudState) -> Result<Response<Body>, Failure> {
        let answer = self.remembered.recall(question).map_err(store)?;
        let answer = answer.ok_or(Failure::NotHere(cloud))?;
        Ok(response::whole(StatusCode::OK, &answer.content_type, answer.body))
    }

    fn own_lease(&self, identity: &Identity, request: &Request) -> Option<Response<Body>> {
        let path = request.resource()?;
        let own = *identity == Identity::Node
            && path.resource == "leases"
            && path.group == "coordination.k8s.io"
            && path.namespace.as_deref() == Some("kube-node-lease")
            && path.name.as_deref() == Some(&self.node);
        let kept = self.lease.shown().filter(|_| own)?;
        Some(response::whole(
            StatusCode::OK,
            kept.encoding.content_type(),
            kept.body,
        ))
    }

    pub(super) async fn offline_write(
        &self,
        call: Call,
        class: WriteClass,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let Call {
            request,
            identity,
            http,
            ..
        } = call;
        let (parts, body) = http.into_parts();
        let body = collect(body, MAX_WRITE).await?;
        self.write_here((&identity, &request), class, (&parts.headers, body), cloud)
            .await
    }

    /// One row of the table in [`crate::offline::write`].
    pub(super) async fn write_here(
        &self,
        (identity, request): (&Identity, &Request),
        class: WriteClass,
        (headers, body): (&HeaderMap, Bytes),
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        match class {
            WriteClass::Lease => {
                let encoding = encoding_of(headers);
                self.lease.keep(Kept {
                    encoding,
                    body: body.clone(),
                });
                Ok(response::whole(StatusCode::OK, encoding.content_type(), body))
            }
            WriteClass::NodeStatus | WriteClass::PodStatus => {
                self.write_status(request, headers, &body, cloud).await
            }
            WriteClass::MirrorPod => self.write_mirror_pod(request, headers, &body, cloud).await,
            WriteClass::NodeRegistration => self.register_node(cloud),
            WriteClass::Token => self.last_token(request, headers, &body, cloud),
            WriteClass::Event => self.write_event(identity, request, headers, &body).await,
            WriteClass::AccessReview | WriteClass::TokenReview => {
                self.last_review(class, (encoding_of(headers), &body), cloud)
            }
            WriteClass::Other => Err(Failure::Refused(crate::route::Refusal::NeedsCloud, cloud)),
        }
    }

    async fn write_status(
        &self,
        request: &Request,
        headers: &HeaderMap,
        body: &Bytes,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let patch_type = PatchType::from_content_type(content_type).ok_or(Failure::UnsupportedPatch)?;
        let path = request.resource().ok_or(Failure::NotFound)?;
        let name = path.name.as_deref().ok_or(Failure::NotFound)?;
        let key = object_key(path.namespace.as_deref().unwrap_or_default(), name);
        let preferred = response::preferred(request);
        match self
            .journal
            .write(path, &key, (patch_type, body), preferred)
            .await
        {
            Ok((wire, item)) => {
                if let Some(boot) = self.boot.as_ref().filter(|boot| boot.awaits(&key)) {
                    boot.reported(&key, None).await;
                }
                let body = Scope::single(&wire, &item);
                Ok(response::whole(
                    StatusCode::OK,
                    wire.encoding.content_type(),
                    body,
                ))
            }
            Err(JournalError::Unknown) => Err(Failure::NotHere(cloud)),
            Err(error @ JournalError::OtherObject { .. }) => Err(Failure::Conflict(error.to_string())),
            Err(error @ JournalError::Patch(_)) => Err(Failure::BadBody(ErrorChain(&error).to_string())),
            Err(error) => Err(Failure::Store(ErrorChain(&error).to_string())),
        }
    }

    /// The pod of a write that its endpoints have waited for since the boot.
    pub(super) fn awaited_report(&self, request: &Request, class: WriteClass) -> Option<(&Boot, Box<str>)> {
        let boot = self.boot.as_deref().filter(|_| class == WriteClass::PodStatus)?;
        let path = request.resource()?;
        let pod = object_key(
            path.namespace.as_deref().unwrap_or_default(),
            path.name.as_deref()?,
        );
        boot.awaits(&pod).then_some((boot, pod))
    }

    async fn write_event(
        &self,
        identity: &Identity,
        request: &Request,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response<Body>, Failure> {
        let path = request.resource().ok_or(Failure::NotFound)?;
        let client = identity.client().ok_or(Failure::NotFound)?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let write = EventWrite {
            method: &request.method,
            path,
            content_type: content_type.unwrap_or_default(),
            body,
        };
        match self.events.write(client, write).await {
            Ok(answer) => {
                let content_type = answer.encoding.content_type();
                Ok(response::whole(answer.code, content_type, answer.body))
            }
            // Its writer writes it whole then, as when it has run out in the cloud.
            Err(EventError::Unknown) => Err(Failure::NotFound),
            Err(EventError::Exists(name)) => Err(Failure::EventExists(name)),
            Err(EventError::PatchType) => Err(Failure::UnsupportedPatch),
            Err(EventError::TooLarge(limit)) => Err(Failure::TooLarge(limit)),
            Err(error @ (EventError::Store(_) | EventError::Head(_))) => {
                Err(Failure::Store(ErrorChain(&error).to_string()))
            }
            Err(error) => Err(Failure::BadBody(ErrorChain(&error).to_string())),
        }
    }

    /// What the cloud said last to the same question of the kubelet.
    fn last_review(
        &self,
        class: WriteClass,
        question: (Encoding, &Bytes),
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let answer = self
            .reviews
            .recall(class, question, &cloud)
            .map_err(|error| Failure::BadBody(ErrorChain(&error).to_string()))?;
        let body = answer.ok_or(Failure::NotHere(cloud))?;
        let content_type = question.0.content_type();
        Ok(response::whole(StatusCode::CREATED, content_type, body))
    }

    /// The kubelet introduces its node at each start. The cloud would say that it exists already.
    fn register_node(&self, cloud: CloudState) -> Result<Response<Body>, Failure> {
        let path = yurthub_request::ResourcePath {
            version: "v1".into(),
            resource: "nodes".into(),
            ..Default::default()
        };
        if self.mirror.holding(&path, &self.node).is_empty() {
            return Err(Failure::NotHere(cloud));
        }
        Err(Failure::NodeExists(Arc::clone(&self.node)))
    }

    fn last_token(
        &self,
        request: &Request,
        headers: &HeaderMap,
        body: &Bytes,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let path = request.resource().ok_or(Failure::NotFound)?;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        let answer = self
            .tokens
            .recall(path, (encoding_of(headers), body), now)
            .map_err(|error| Failure::BadBody(ErrorChain(&error).to_string()))?;
        let (encoding, token) = answer.ok_or(Failure::NotHere(cloud))?;
        Ok(response::whole(
            StatusCode::CREATED,
            encoding.content_type(),
            token,
        ))
    }
}

fn unreadable(error: Malformed) -> Failure {
    Failure::Store(error.to_string())
}
