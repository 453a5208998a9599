//! The one table of writes that a node may do while the cloud is away. Pure.
//!
//! | request | answer | later |
//! |---|---|---|
//! | `PUT` of this node's Lease | acknowledged from memory | the last one is sent once |
//! | `PATCH` of this node's or a pod's `status` | kept in the journal, seen by all local readers, then 200 | replayed by state |
//! | `DELETE` and `POST` of mirror pods by this node's kubelet | done on a stand-in ([`super::mirror_pods`]), then 200 or 201 | the kubelet does it itself |
//! | `POST` of a Node | 409 `AlreadyExists`, as the cloud would | – |
//! | `POST` of a token of a service account | the last token of that pod and audience | the kubelet asks again soon |
//! | `POST`, `PATCH`, `PUT` of Events, also by service accounts of this node | kept in the journal of events, then 201 or 200 | sent with their original times |
//! | `POST` of a review of access or of a token by the kubelet | the cloud's last answer to the same question | – |
//! | everything else | 503 | – |
//!
//! No answer claims that a write happened which is not durable here or applied there. (The Lease is the exception
//! by nature: it only says that the node lives. Stand-ins for mirror pods say what the kubelet makes true by itself, as
//! soon as it sees the cloud's pods again: they repeat what it knows from a file.)

use http::Method;
use yurthub_request::{Request, ResourcePath, Verb};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteClass {
    /// Heartbeat of this node.
    Lease,
    /// Status of this node, as its kubelet sees it.
    NodeStatus,
    /// Status of a pod, as this node's kubelet sees it.
    PodStatus,
    /// The kubelet deletes or creates a pod: perhaps the mirror pod of a static pod.
    MirrorPod,
    /// The kubelet introduces its node.
    NodeRegistration,
    /// The kubelet fetches a token for a pod.
    Token,
    /// An event.
    Event,
    /// The kubelet asks whether somebody may do something with it.
    AccessReview,
    /// The kubelet asks whose token it was shown.
    TokenReview,
    /// Only the cloud can do it.
    Other,
}

impl WriteClass {
    /// Name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::NodeStatus => "node-status",
            Self::PodStatus => "pod-status",
            Self::MirrorPod => "mirror-pod",
            Self::NodeRegistration => "node-registration",
            Self::Token => "token",
            Self::Event => "event",
            Self::AccessReview => "access-review",
            Self::TokenReview => "token-review",
            Self::Other => "other",
        }
    }
}

/// Whether the request changes something.
pub fn is_write(request: &Request) -> bool {
    matches!(
        request.verb,
        Verb::Create | Verb::Update | Verb::Patch | Verb::Delete | Verb::DeleteCollection
    )
}

/// The row of a write by the kubelet of node `node`.
pub fn class(request: &Request, node: &str) -> WriteClass {
    let Some(path) = request.resource() else {
        return WriteClass::Other;
    };
    if request.query.dry_run || path.version != "v1" {
        return WriteClass::Other;
    }
    let own = path.name.as_deref() == Some(node);
    let resource = (
        path.group.as_str(),
        path.resource.as_str(),
        path.subresource.as_deref(),
    );
    match (resource, &request.method) {
        (("coordination.k8s.io", "leases", None), &Method::PUT) if own && is_node_lease(path) => {
            WriteClass::Lease
        }
        (("", "nodes", Some("status")), &Method::PATCH) if own => WriteClass::NodeStatus,
        (("", "nodes", None), &Method::POST) => WriteClass::NodeRegistration,
        (("", "pods", Some("status")), &Method::PATCH) => WriteClass::PodStatus,
        (("", "pods", None), &Method::DELETE) if path.name.is_some() => WriteClass::MirrorPod,
        (("", "pods", None), &Method::POST) if path.namespace.is_some() => WriteClass::MirrorPod,
        (("", "serviceaccounts", Some("token")), &Method::POST) => WriteClass::Token,
        (("authorization.k8s.io", "subjectaccessreviews", None), &Method::POST) => WriteClass::AccessReview,
        (("authentication.k8s.io", "tokenreviews", None), &Method::POST) => WriteClass::TokenReview,
        _ if is_event(request, path) => WriteClass::Event,
        _ => WriteClass::Other,
    }
}

/// The row of a write by a service account of this node.
pub fn class_of_account(request: &Request) -> WriteClass {
    match request.resource() {
        Some(path) if !request.query.dry_run && path.version == "v1" && is_event(request, path) => {
            WriteClass::Event
        }
        _ => WriteClass::Other,
    }
}

fn is_event(request: &Request, path: &ResourcePath) -> bool {
    let method = &request.method;
    let fits = match &path.name {
        None => *method == Method::POST,
        Some(_) => *method == Method::PATCH || *method == Method::PUT,
    };
    let resource = (path.group.as_str(), path.resource.as_str());
    fits && path.subresource.is_none()
        && path.namespace.is_some()
        && matches!(resource, ("" | "events.k8s.io", "events"))
}

fn is_node_lease(path: &ResourcePath) -> bool {
    path.namespace.as_deref() == Some("kube-node-lease")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn the_table_covers_what_a_kubelet_writes_for_its_own_node_only() {
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        for (method, path, expected) in [
            ("PUT", format!("{lease}/edge1?timeout=10s"), WriteClass::Lease),
            ("PUT", format!("{lease}/edge2"), WriteClass::Other),
            ("POST", lease.to_owned(), WriteClass::Other),
            (
                "PATCH",
                "/api/v1/nodes/edge1/status?timeout=10s".into(),
                WriteClass::NodeStatus,
            ),
            ("PATCH", "/api/v1/nodes/edge2/status".into(), WriteClass::Other),
            ("PATCH", "/api/v1/nodes/edge1".into(), WriteClass::Other),
            (
                "PATCH",
                "/api/v1/namespaces/a/pods/b/status".into(),
                WriteClass::PodStatus,
            ),
            (
                "PATCH",
                "/api/v1/namespaces/a/pods/b/status?dryRun=All".into(),
                WriteClass::Other,
            ),
            (
                "PUT",
                "/api/v1/namespaces/a/pods/b/status".into(),
                WriteClass::Other,
            ),
            ("POST", "/api/v1/nodes".into(), WriteClass::NodeRegistration),
            (
                "POST",
                "/api/v1/namespaces/a/serviceaccounts/default/token".into(),
                WriteClass::Token,
            ),
            ("POST", "/api/v1/namespaces/a/events".into(), WriteClass::Event),
            (
                "PATCH",
                "/apis/events.k8s.io/v1/namespaces/a/events/b".into(),
                WriteClass::Event,
            ),
            ("PUT", "/api/v1/namespaces/a/events/b".into(), WriteClass::Event),
            (
                "DELETE",
                "/api/v1/namespaces/a/events/b".into(),
                WriteClass::Other,
            ),
            ("POST", "/api/v1/events".into(), WriteClass::Other),
            (
                "POST",
                "/apis/events.k8s.io/v1beta1/namespaces/a/events".into(),
                WriteClass::Other,
            ),
            (
                "POST",
                "/apis/authorization.k8s.io/v1/subjectaccessreviews".into(),
                WriteClass::AccessReview,
            ),
            (
                "POST",
                "/apis/authentication.k8s.io/v1/tokenreviews".into(),
                WriteClass::TokenReview,
            ),
            (
                "POST",
                "/apis/certificates.k8s.io/v1/certificatesigningrequests".into(),
                WriteClass::Other,
            ),
        ] {
            check(method, &path, expected);
        }
    }

    #[test]
    fn mirror_pods_may_be_deleted_and_created_by_name() {
        let pods = "/api/v1/namespaces/a/pods";
        for (method, path, expected) in [
            ("DELETE", format!("{pods}/b"), WriteClass::MirrorPod),
            ("POST", pods.to_owned(), WriteClass::MirrorPod),
            ("DELETE", format!("{pods}/b?dryRun=All"), WriteClass::Other),
            ("DELETE", pods.to_owned(), WriteClass::Other),
            ("POST", "/api/v1/pods".to_owned(), WriteClass::Other),
            ("POST", format!("{pods}/b/eviction"), WriteClass::Other),
            ("PUT", format!("{pods}/b"), WriteClass::Other),
        ] {
            check(method, &path, expected);
        }
    }

    /// Of the kubelet of `edge1`; of a service account only events are anything.
    fn check(method: &str, path: &str, expected: WriteClass) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::parse(&method, &path.parse().unwrap(), &HeaderMap::new()).unwrap();
        assert!(is_write(&request));
        assert_eq!(class(&request, "edge1"), expected, "{method} {path}");
        let of_account = class_of_account(&request);
        assert_eq!(
            of_account == WriteClass::Event,
            expected == WriteClass::Event,
            "{method} {path}"
        );
        assert!(matches!(of_account, WriteClass::Event | WriteClass::Other));
    }
}
