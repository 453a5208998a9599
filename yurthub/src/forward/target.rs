//! The apiserver's address, and how a request is addressed to it.

use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version};

use super::Body;

/// Host and port of an apiserver.
#[derive(Debug, Clone)]
pub(super) struct Target {
    authority: Authority,
}

impl Target {
    pub(super) fn new(authority: Authority) -> Self {
        Self { authority }
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(443)
    }

    /// Makes `request`, whose URI holds path and query only, one for this server.
    pub(super) fn address(&self, request: &mut Request<Body>, version: Version) {
        *request.version_mut() = version;
        if version == Version::HTTP_2 {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned();
            *request.uri_mut() = self.uri(&path);
        } else if let Ok(host) = self.authority.as_str().parse() {
            request.headers_mut().insert(http::header::HOST, host);
        }
    }

    /// An address on this server.
    pub(super) fn uri(&self, path_and_query: &str) -> Uri {
        Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
            .unwrap_or_default()
    }
}
