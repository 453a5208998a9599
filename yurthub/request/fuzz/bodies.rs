//! What the fuzz targets check; also run over the committed corpus by an ordinary test.
//!
//! Invariant: a body panics only if a promise of the crate is broken.

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use yurthub_request::{FieldSelector, LabelSelector, Request};

/// Input: method, target and `Accept`, one per line.
pub(crate) fn request(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, target, accept) = (
        Method::from_bytes(line()),
        Uri::try_from(line()),
        HeaderValue::from_bytes(line()),
    );
    let (Ok(method), Ok(uri)) = (method, target) else {
        return;
    };
    let headers: HeaderMap = accept.into_iter().map(|value| (header::ACCEPT, value)).collect();
    match Request::parse(&method, &uri, &headers) {
        Ok(request) => {
            assert!(
                uri.path_and_query()
                    .is_none_or(|both| both.as_str() == &*request.path_and_query)
            );
            assert_eq!(
                LabelSelector::parse(&request.query.label_selector.to_string()),
                Ok(request.query.label_selector)
            );
            assert!(
                request
                    .accept
                    .first()
                    .is_none_or(|format| request.accept.formats().contains(&format))
            );
        }
        Err(invalid) => assert!(!invalid.to_string().is_empty() && (400..500).contains(&invalid.code())),
    }
}

/// Input: one selector, read as both kinds.
pub(crate) fn selectors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(selector) = LabelSelector::parse(text) {
        assert!(selector.is_superset_of(&selector));
        assert_eq!(
            LabelSelector::parse(&selector.to_string()).as_ref(),
            Ok(&selector)
        );
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let again = FieldSelector::parse(&selector.to_string());
        assert!(again.is_ok_and(|again| again.is_superset_of(&selector) && selector.is_superset_of(&again)));
    }
}
