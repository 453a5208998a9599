//! Which scope a client reads, and through what lens.

use std::sync::Arc;

use yurthub_object::Encoding;
use yurthub_request::{Request, ResourcePath, Verb};

use super::Hub;
use crate::authorize::{Access, Attributes};
use crate::health::CloudState;
use crate::identity::{Client, Identity};
use crate::mirror::Sight;
use crate::mirror::filter::Filter;
use crate::mirror::key::ScopeKey;
use crate::mirror::lens::Lens;
use crate::mirror::scope::State;
use crate::response::Failure;

/// A scope by its key, and what the client sees of it.
pub(super) struct Selection {
    pub(super) key: ScopeKey,
    /// `None`: all of it, because the scope was made for just this.
    pub(super) lens: Option<Lens>,
}

impl Selection {
    pub(super) fn is_shared(&self) -> bool {
        self.key.client == Client::Shared
    }
}

impl Hub {
    /// Refuses an account that may not read what it asks for in what all clients share.
    pub(super) async fn authorize(
        &self,
        identity: &Identity,
        path: &ResourcePath,
        verb: Verb,
        cloud: CloudState,
    ) -> Result<(), Failure> {
        let Identity::Account(account) = identity else {
            return Ok(()); // the scope was read with the node's own rights
        };
        let attributes = attributes(path, verb);
        match self.authorizer.check(account, &attributes).await {
            Access::Allowed => Ok(()),
            Access::Denied => Err(Failure::Forbidden(forbidden(&account.user.username, &attributes))),
            Access::Unknown => Err(Failure::NotHere(cloud)),
        }
    }

    /// Into which scopes of a resource a client may look.
    pub(super) async fn sight<'a>(
        &self,
        identity: &Identity,
        client: &'a Client,
        path: &ResourcePath,
    ) -> Sight<'a> {
        if self.may_see_shared(identity, path).await {
            Sight::with_shared(client)
        } else {
            Sight::of(client)
        }
    }

    /// Whether the client may get this object, or list these, where they are shared.
    async fn may_see_shared(&self, identity: &Identity, path: &ResourcePath) -> bool {
        let verb = if path.name.is_some() {
            Verb::Get
        } else {
            Verb::List
        };
        self.mirror.is_shared(path)
            && self
                .authorize(identity, path, verb, self.cloud.state())
                .await
                .is_ok()
    }

    /// The scope of a list or watch: one that all clients share, where the resource is configured to be shared and
    /// the selector can be evaluated here; else one of the client's own.
    pub(super) fn selection(
        &self,
        client: &Client,
        path: &ResourcePath,
        request: &Request,
        encoding: Encoding,
    ) -> Selection {
        let mut selection = self
            .shared_selection(path, request, encoding)
            .unwrap_or_else(|| own_selection(client, path, request, encoding));
        if let Some(filters) = self.filters.as_ref().filter(|_| *client == Client::Node)
            && filters.concerns(&selection.key)
        {
            let filters = Arc::clone(filters);
            selection.lens = Some(match selection.lens {
                Some(lens) => lens.through(filters),
                None => Lens::filtered(&path.group, &path.resource, filters),
            });
        }
        selection
    }

    fn shared_selection(
        &self,
        path: &ResourcePath,
        request: &Request,
        encoding: Encoding,
    ) -> Option<Selection> {
        if !self.mirror.is_shared(path) {
            return None;
        }
        let lens = Lens::new(filter_of(path, request))?;
        let everywhere = ResourcePath {
            namespace: None,
            name: None,
            ..path.clone()
        };
        let (labels, fields) = Default::default();
        let key = ScopeKey::new(&Client::Shared, &everywhere, &labels, &fields, encoding);
        // A node that may not read everything leaves each client to what that client may read.
        let denied = self
            .mirror
            .find(&key)
            .is_some_and(|scope| scope.state() == State::Denied);
        (!denied).then_some(Selection {
            key,
            lens: lens.is_needed().then_some(lens),
        })
    }
}

fn own_selection(client: &Client, path: &ResourcePath, request: &Request, encoding: Encoding) -> Selection {
    let query = &request.query;
    Selection {
        key: ScopeKey::new(
            client,
            path,
            &query.label_selector,
            &query.field_selector,
            encoding,
        ),
        lens: None,
    }
}

/// What a list or watch selects.
pub(super) fn filter_of(path: &ResourcePath, request: &Request) -> Filter {
    Filter {
        group: path.group.clone(),
        resource: path.resource.clone(),
        namespace: path.namespace.clone(),
        labels: request.query.label_selector.clone(),
        fields: request.query.field_selector.clone(),
    }
}

fn attributes(path: &ResourcePath, verb: Verb) -> Attributes<'_> {
    Attributes {
        verb: verb.as_str(),
        group: &path.group,
        resource: &path.resource,
        namespace: path.namespace.as_deref().unwrap_or_default(),
        name: path.name.as_deref().unwrap_or_default(),
    }
}

/// The apiserver's words (`k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`).
fn forbidden(user: &str, attributes: &Attributes<'_>) -> String {
    let Attributes {
        verb,
        group,
        resource,
        namespace,
        ..
    } = attributes;
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{namespace}\"")
    };
    format!("User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}")
}
