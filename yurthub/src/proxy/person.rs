//! What a person on the node sees while the cloud is away, and a program does not: protobuf of the mirror as JSON, and
//! tables of what is here.
//!
//! Only for the node's own identity, which root has (`kubectl --kubeconfig /etc/kubernetes/kubelet.conf` and the like), and
//! only for lists and gets. The kubelet reads protobuf and asks for no table, so it never comes here. A table is for eyes:
//! it may show a part, and says so. JSON may be read by a program: it is whole, or 503 ([decision 0015]).
//!
//! [decision 0015]: ../../../docs/decisions/0015-a-person-at-the-node.md

use std::time::{SystemTime, UNIX_EPOCH};

use http::{Response, StatusCode};
use serde_json::Value;
use yurthub_display::table;
use yurthub_object::Encoding;
use yurthub_request::{Format, Media, MetaVersion, Request, Shape, Verb};

use super::Hub;
use super::mirrored::store;
use super::selection::filter_of;
use crate::forward::Body;
use crate::identity::Identity;
use crate::mirror::form::{Form, readable};
use crate::mirror::lens::Lens;
use crate::mirror::survey::{self, Survey, Wanted};
use crate::mirror::{Lookup, reads};
use crate::response::{self, Failure, Note};

const PROTOBUF: Format = Format {
    media: Media::Protobuf,
    shape: Shape::Plain,
};
const ALL: [Format; 2] = [
    PROTOBUF,
    Format {
        media: Media::Json,
        shape: Shape::Plain,
    },
];

impl Hub {
    /// An object or a list that the mirror holds in protobuf alone, as JSON.
    pub(super) async fn decoded_here(
        &self,
        identity: &Identity,
        request: &Request,
    ) -> Result<Option<Response<Body>>, Failure> {
        if *identity != Identity::Node || !reads(request.accept.formats(), Encoding::Json) {
            return Ok(None);
        }
        let answer = self.in_form(identity, request, PROTOBUF, Form::Decoded).await?;
        Ok(answer.map(|answer| noted(answer, "decoded from protobuf for display".to_owned())))
    }

    /// A table of what is here, for a client that prefers one.
    pub(super) async fn table_here(
        &self,
        identity: &Identity,
        request: &Request,
    ) -> Result<Option<Response<Body>>, Failure> {
        let first = request.accept.first();
        let Some((Media::Json, Shape::Table { version })) = first.map(|first| (first.media, first.shape))
        else {
            return Ok(None);
        };
        let (Identity::Node, Some(path), Verb::Get | Verb::List) =
            (identity, request.resource(), request.verb)
        else {
            return Ok(None);
        };
        let Some(client) = identity.client().filter(|_| path.subresource.is_none()) else {
            return Ok(None);
        };
        let sight = self.sight(identity, client, path).await;
        let filter = filter_of(path, request);
        let mut scopes = self.mirror.of_resource(sight, path);
        scopes.retain(|scope| scope.is_complete());
        let is_part = if let Some(name) = &path.name {
            match self.mirror.lookup(sight, path, name, &ALL).map_err(store)? {
                Lookup::Found { .. } => false,
                Lookup::Absent => return Err(Failure::NotFound),
                Lookup::Unknown => return Ok(None),
            }
        } else {
            self.mirror.broader(sight, path, &filter, &ALL).is_none()
        };
        let Some(lens) = Lens::new(filter).filter(|_| !scopes.is_empty()) else {
            return Ok(None);
        };
        let wanted = Wanted {
            namespace: path.namespace.clone(),
            name: path.name.clone(),
            lens: Some(lens),
        };
        let resource = (path.group.clone(), path.resource.clone());
        let version = match version {
            MetaVersion::V1 => "v1",
            MetaVersion::V1Beta1 => "v1beta1",
        };
        let printed = tokio::task::spawn_blocking(move || {
            let survey = survey::of(scopes, &wanted)?;
            let left_out = survey.left_out;
            Ok((print(&survey, (&resource.0, &resource.1), version), left_out))
        });
        let (body, left_out) = printed
            .await
            .map_err(|error| Failure::Store(error.to_string()))?
            .map_err(store)?;
        let answer = response::whole(StatusCode::OK, Encoding::Json.content_type(), body.into());
        Ok(Some(match (is_part, left_out) {
            (false, 0) => answer,
            (true, 0) => noted(
                answer,
                format!("only those {} that this node mirrors", path.resource),
            ),
            (_, left_out) => noted(answer, format!("{left_out} more are not shown")),
        }))
    }
}

fn print(survey: &Survey, resource: (&str, &str), version: &str) -> String {
    let objects = survey.found.iter().filter_map(|sighting| {
        let json = readable(&sighting.wire, &sighting.item).ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    });
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs().cast_signed());
    table::of(resource, objects, version, now).to_string()
}

fn noted(mut response: Response<Body>, note: String) -> Response<Body> {
    response.extensions_mut().insert(Note(note));
    response
}
