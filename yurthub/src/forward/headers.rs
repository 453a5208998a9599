//! Which headers travel on: all but those that belong to one connection, and those by which a client could
//! speak as somebody else.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};
use yurthub_object::Encoding;

use crate::identity::Identity;

/// Headers of one connection (RFC 9110 §7.6.1), which a proxy must not pass on.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The headers of a request as they go upstream.
pub fn to_upstream(mut headers: HeaderMap, identity: &Identity) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    headers.remove(header::HOST); // set anew for the apiserver
    headers.remove("x-forwarded-for");
    if *identity == Identity::Node {
        // The connection speaks for the node; a token beside it would be ignored, and must not be shown around.
        headers.remove(header::AUTHORIZATION);
    }
    headers
}

/// The headers of an answer as they go to the local client.
pub fn to_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

/// The encoding that the content type names; JSON where it is anything but protobuf.
pub fn encoding_of(headers: &HeaderMap) -> Encoding {
    let protobuf = Encoding::Protobuf.content_type().as_bytes();
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(protobuf)) {
        Encoding::Protobuf
    } else {
        Encoding::Json
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Further connection headers may be named in Connection.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let sent = headers(&[
            ("connection", "keep-alive, x-mine"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "127.0.0.1:10261"),
            ("accept", "application/json"),
            ("user-agent", "kubelet"),
        ]);
        let expected = headers(&[("accept", "application/json"), ("user-agent", "kubelet")]);
        assert_eq!(to_upstream(sent, &Identity::Node), expected);
    }

    #[test]
    fn a_token_travels_only_where_it_is_the_proof() {
        let sent = headers(&[("authorization", "Bearer abc")]);
        assert!(to_upstream(sent.clone(), &Identity::Node).is_empty());
        assert_eq!(to_upstream(sent.clone(), &Identity::Bearer), sent);
    }
}
