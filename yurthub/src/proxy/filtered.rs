//! Answers that were not read through a lens, as the kubelet is to see them: single objects of the mirror, what the
//! cloud or memory gave.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{Response, StatusCode};
use tracing::warn;
use yurthub_object::list::{self, ListEncoder, PageEnd};
use yurthub_object::{Encoding, Malformed, single};
use yurthub_request::{Media, Request, ResourcePath, Shape, Verb};

use super::Hub;
use crate::filters::NodeFilters;
use crate::forward::{Body, collect, full_body, headers};
use crate::identity::Identity;
use crate::response::Failure;
use crate::telemetry::ErrorChain;

/// Largest answer that is looked into; what is larger is refused with 503: the kubelet must not see it unfiltered.
const MAX_FILTERED: usize = 64 << 20;

impl Hub {
    /// The answer as the kubelet is to see it; as it is for everybody else.
    pub(super) async fn filtered(
        &self,
        request: &Request,
        identity: &Identity,
        response: Response<Body>,
    ) -> Result<Response<Body>, Failure> {
        let Some((filters, path)) = self.filters_for(request, identity) else {
            return Ok(response);
        };
        if response.status() != StatusCode::OK || response.headers().contains_key(CONTENT_ENCODING) {
            return Ok(response);
        }
        let encoding = headers::encoding_of(response.headers());
        let (mut parts, body) = response.into_parts();
        let body = collect(body, MAX_FILTERED)
            .await
            .map_err(|error| Failure::Upstream(error.to_string()))?;
        let filtered = match request.verb {
            Verb::List => list_of(filters, path, encoding, &body),
            _ => object(filters, path, encoding, &body),
        };
        let body = filtered
            .inspect_err(|error| {
                warn!(error = %ErrorChain(error), "an answer is passed on unfiltered: it cannot be read");
            })
            .ok()
            .flatten()
            .unwrap_or(body);
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        Ok(Response::from_parts(parts, full_body(body)))
    }

    fn filters_for<'a>(
        &'a self,
        request: &'a Request,
        identity: &Identity,
    ) -> Option<(&'a NodeFilters, &'a ResourcePath)> {
        let (Identity::Node, Verb::Get | Verb::List) = (identity, request.verb) else {
            return None;
        };
        let (filters, path) = (self.filters.as_deref()?, request.resource()?);
        let plain = request.method == http::Method::GET
            && request.accept.first().is_some_and(|format| {
                format.shape == Shape::Plain && matches!(format.media, Media::Json | Media::Protobuf)
            });
        (plain && filters.concerns_path(path)).then_some((filters, path))
    }
}

fn object(
    filters: &NodeFilters,
    path: &ResourcePath,
    encoding: Encoding,
    body: &bytes::Bytes,
) -> Result<Option<bytes::Bytes>, Malformed> {
    let (type_meta, item) = single::split(encoding, body)?;
    let shown = filters.show((&path.group, &path.resource), encoding, &item);
    Ok(shown.map(|item| single::join(encoding, &type_meta, &item)))
}

fn list_of(
    filters: &NodeFilters,
    path: &ResourcePath,
    encoding: Encoding,
    body: &bytes::Bytes,
) -> Result<Option<bytes::Bytes>, Malformed> {
    let page = list::decode(encoding, body)?;
    let mut changed = false;
    let items: Vec<_> = page
        .items
        .iter()
        .map(
            |item| match filters.show((&path.group, &path.resource), encoding, item) {
                Some(shown) => {
                    changed = true;
                    shown
                }
                None => item.clone(),
            },
        )
        .collect();
    if !changed {
        return Ok(None);
    }
    let end = PageEnd {
        continue_token: page.continue_token,
        remaining: page.remaining,
    };
    let lengths = items.iter().map(bytes::Bytes::len);
    let encoder = ListEncoder::page(encoding, &page.type_meta, (page.resource_version, &end), lengths);
    Ok(Some(encoder.whole(&items)))
}
