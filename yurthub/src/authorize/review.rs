//! Asks the cloud by `SubjectAccessReview` (`k8s.io/api/authorization/v1`), as the node.

use std::collections::BTreeMap;

use http::{Request, header};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::forward::{BoxError, Lane, Upstream, UpstreamError, collect, full_body};
use crate::identity::{Account, Identity};

const PATH: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// Largest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// What is to be done. Empty namespace: all; empty name: any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attributes<'a> {
    /// `get`, `list` or `watch`.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Resource, in the plural.
    pub resource: &'a str,
    /// Namespace.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: &'a str,
    /// Object.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
}

/// Why the cloud did not decide.
#[derive(Debug, Error)]
pub(super) enum ReviewError {
    #[error("failed to ask the apiserver by SubjectAccessReview")]
    Upstream(#[from] UpstreamError),
    #[error("the answer to a SubjectAccessReview broke off")]
    Body(#[source] BoxError),
    #[error("the apiserver answered a SubjectAccessReview with {0}; may this node create them?")]
    Refused(http::StatusCode),
    #[error("the answer to a SubjectAccessReview is not one")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    kind: &'static str,
    api_version: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    user: &'a str,
    uid: &'a str,
    groups: &'a [String],
    extra: &'a BTreeMap<String, Vec<String>>,
    resource_attributes: &'a Attributes<'a>,
}

#[derive(Deserialize)]
struct Answer {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    allowed: bool,
}

pub(super) async fn ask(
    upstream: &Upstream,
    account: &Account,
    attributes: &Attributes<'_>,
) -> Result<bool, ReviewError> {
    let review = Review {
        kind: "SubjectAccessReview",
        api_version: "authorization.k8s.io/v1",
        spec: Spec {
            user: &account.user.username,
            uid: &account.user.uid,
            groups: &account.user.groups,
            extra: &account.user.extra,
            resource_attributes: attributes,
        },
    };
    let mut request = Request::new(full_body(serde_json::to_vec(&review)?.into()));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(PATH);
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json.clone());
    request.headers_mut().insert(header::ACCEPT, json);
    let response = upstream.send(&Identity::Node, Lane::Request, request).await?;
    if !response.status().is_success() {
        return Err(ReviewError::Refused(response.status()));
    }
    let body = collect(response.into_body(), MAX_ANSWER)
        .await
        .map_err(ReviewError::Body)?;
    let answer: Answer = serde_json::from_slice(&body)?;
    Ok(answer.status.allowed)
}
