//! The verb of a request, as the apiserver names it for authorization.
//!
//! It does not say which HTTP method was used: `HEAD` and `GET` of an object are both [`Verb::Get`].
//! Invariant: [`Verb::as_str`] is the word that a `SubjectAccessReview` expects.

use std::fmt;

/// What a request does, by the rules of `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object or subresource (`GET`, `HEAD`).
    Get,
    /// Read a collection.
    List,
    /// Follow a collection, or one object by the deprecated `/watch/` prefix (any method).
    Watch,
    /// `POST`
    Create,
    /// `PUT`
    Update,
    /// `PATCH`
    Patch,
    /// Delete one object.
    Delete,
    /// Delete a collection.
    DeleteCollection,
    /// The deprecated `/api/v1/proxy/…` prefix; the `proxy` subresource keeps the verb of its method.
    Proxy,
    /// A method that the apiserver gives no verb on a resource path, such as `OPTIONS`.
    Other,
    /// Any method on a path outside the resources.
    NonResource,
}

impl Verb {
    /// The apiserver's word for it; empty where the apiserver has none (non-resource requests use the HTTP method).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Proxy => "proxy",
            Self::Other | Self::NonResource => "",
        }
    }

    /// Whether list options (selectors, limit, match, …) apply.
    pub fn is_collection(self) -> bool {
        matches!(self, Self::List | Self::Watch | Self::DeleteCollection)
    }

    /// Whether the request may change something in the cluster.
    pub fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Update | Self::Patch | Self::Delete | Self::DeleteCollection
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
