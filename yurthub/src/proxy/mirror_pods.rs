//! Mirror pods that the kubelet deletes and creates while the cloud is away: done on stand-ins, by the rules of
//! [`crate::offline::mirror_pods`].

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use tracing::{debug, info};
use yurthub_object::{Encoding, single};
use yurthub_request::{Request, ResourcePath};

use super::Hub;
use super::mirrored::store;
use crate::forward::Body;
use crate::forward::headers::encoding_of;
use crate::health::CloudState;
use crate::identity::Client;
use crate::mirror::Sight;
use crate::mirror::key::object_key;
use crate::mirror::scope::{Scope, Wire};
use crate::offline::mirror_pods::{self, DeleteOptions, Pod, Present, Refused};
use crate::reality::pods;
use crate::response::{self, Failure};
use crate::route::Refusal;

/// A pod of this node as a scope shows it.
struct Shown {
    wire: Arc<Wire>,
    item: Bytes,
    pod: Pod,
}

impl Shown {
    fn read(scope: &Scope, key: &str) -> Result<Option<Self>, Failure> {
        let Ok((wire, item)) = scope.object(key).map_err(store)? else {
            return Ok(None);
        };
        let pod = Pod::read(wire.encoding, &item).map_err(|error| Failure::Store(error.to_string()))?;
        Ok(Some(Self { wire, item, pod }))
    }
}

impl Hub {
    pub(super) async fn write_mirror_pod(
        &self,
        request: &Request,
        headers: &HeaderMap,
        body: &Bytes,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let path = request.resource().ok_or(Failure::NotFound)?;
        let _turn = self.journal.turn().await;
        if request.method == Method::DELETE {
            let options = DeleteOptions::read(encoding_of(headers), body)
                .map_err(|error| Failure::BadBody(error.to_string()))?;
            self.delete_mirror_pod(path, &options, response::preferred(request), cloud)
        } else {
            self.create_mirror_pod(path, (encoding_of(headers), body), cloud)
        }
    }

    /// The kubelet's scopes of everything that runs on this node.
    fn scopes_of_pods(&self, path: &ResourcePath) -> Vec<Arc<Scope>> {
        let mut scopes = self.mirror.of_resource(Sight::of(&Client::Node), path);
        scopes.retain(|scope| pods::is_source(&scope.key) && scope.is_complete());
        scopes
    }

    fn is_deleted_here(&self, path: &ResourcePath, key: &str) -> bool {
        let scopes = self.scopes_of_pods(path);
        scopes.iter().any(|scope| scope.is_deleted_here(key))
    }

    fn delete_mirror_pod(
        &self,
        path: &ResourcePath,
        options: &DeleteOptions,
        preferred: Encoding,
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let name = path.name.as_deref().ok_or(Failure::NotFound)?;
        let key = object_key(path.namespace.as_deref().unwrap_or_default(), name);
        let mut scopes = self.mirror.holding(path, &key);
        // The answer comes from a scope in the client's encoding.
        scopes.sort_by_key(|scope| (!pods::is_source(&scope.key), scope.encoding() != preferred));
        let shown = match scopes.first() {
            Some(first) => Shown::read(first, &key)?,
            None => None,
        };
        let present = match &shown {
            Some(shown) => Present::Pod(&shown.pod),
            None if self.is_deleted_here(path, &key) => Present::Deleted,
            None => Present::Nothing,
        };
        let others = scopes.first().map(|scope| scope.stand_ins_beside(&key));
        mirror_pods::delete(&self.node, options, present, others.unwrap_or_default())
            .map_err(|refused| failure(refused, name, cloud))?;
        let shown = shown.ok_or(Failure::NotFound)?;
        for scope in &scopes {
            if let Some(here) = Shown::read(scope, &key)? {
                scope.delete_here(&key, &here.pod.meta.uid, &here.item);
            }
        }
        info!(
            pod = &*key,
            uid = shown.pod.meta.uid,
            "the kubelet has deleted a mirror pod here"
        );
        Ok(answer(StatusCode::OK, &shown.wire, &shown.item))
    }

    fn create_mirror_pod(
        &self,
        path: &ResourcePath,
        (encoding, body): (Encoding, &Bytes),
        cloud: CloudState,
    ) -> Result<Response<Body>, Failure> {
        let (type_meta, item) =
            single::split(encoding, body).map_err(|error| Failure::BadBody(error.to_string()))?;
        let posted = Pod::read(encoding, &item).map_err(|error| Failure::BadBody(error.to_string()))?;
        let (name, namespace) = (
            posted.meta.name.as_str(),
            path.namespace.as_deref().unwrap_or_default(),
        );
        let key = object_key(namespace, name);
        let mut scopes = self.scopes_of_pods(path);
        let taken = !self.mirror.holding(path, &key).is_empty();
        // Objects are kept as they are written: a scope in another encoding shows no pod of that name.
        scopes.retain(|scope| {
            scope
                .wire()
                .is_some_and(|wire| wire.encoding == encoding && wire.item_type.kind == type_meta.kind)
        });
        let Some(first) = scopes.first() else {
            return Err(Failure::NotHere(cloud));
        };
        let shown = Shown::read(first, &key)?;
        let present = match &shown {
            Some(shown) => Present::Pod(&shown.pod),
            None if taken => return Err(failure(Refused::Taken, name, cloud)),
            None => Present::Nothing,
        };
        let where_to = (&*self.node, namespace);
        let others = first.stand_ins_beside(&key);
        mirror_pods::create(where_to, (&posted, item.len()), present, others)
            .map_err(|refused| failure(refused, name, cloud))?;
        let uid = mirror_pods::uid((fastrand::u64(..), fastrand::u64(..)));
        let made = mirror_pods::stand_in(encoding, &item, &uid, unix_time(SystemTime::now()))
            .map_err(|error| Failure::BadBody(error.to_string()))?;
        let mut shown = None;
        for scope in &scopes {
            let heir_of = predecessor(scope, &key, &posted)?;
            if let (Some(wire), Some(item)) = (scope.wire(), scope.create_here(&key, &made, heir_of)) {
                shown.get_or_insert((wire, item));
            }
        }
        let (wire, item) = shown.ok_or(Failure::NotHere(cloud))?;
        info!(pod = &*key, uid, "the kubelet has created a mirror pod here");
        Ok(answer(StatusCode::CREATED, &wire, &item))
    }
}

fn unix_time(now: SystemTime) -> i64 {
    let age = now.duration_since(UNIX_EPOCH);
    age.map_or(0, |age| age.as_secs().cast_signed())
}

/// The cloud's pod of that name whose endpoints are those of `posted` now.
fn predecessor(scope: &Scope, key: &str, posted: &Pod) -> Result<Option<String>, Failure> {
    let Some(before) = scope.stored(key).map_err(store)? else {
        return Ok(None);
    };
    let before = Pod::read(scope.encoding(), &before).ok();
    let before = before.filter(|before| posted.takes_endpoints_of(before));
    Ok(before.map(|before| before.meta.uid))
}

fn answer(code: StatusCode, wire: &Wire, item: &Bytes) -> Response<Body> {
    response::whole(code, wire.encoding.content_type(), Scope::single(wire, item))
}

fn failure(refused: Refused, name: &str, cloud: CloudState) -> Failure {
    match refused {
        Refused::Absent => Failure::NotFound,
        Refused::OtherPod(why) => {
            Failure::Conflict(format!("Operation cannot be fulfilled on pods \"{name}\": {why}"))
        }
        Refused::Taken => Failure::PodExists(name.to_owned()),
        Refused::NeedsCloud(why) => {
            debug!(name, why = why.as_str(), "a write of a pod needs the cloud");
            Failure::Refused(Refusal::NeedsCloud, cloud)
        }
    }
}
