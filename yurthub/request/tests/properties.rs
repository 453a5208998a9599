//! Properties of the parsers over generated input.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use proptest::prelude::*;
use yurthub_request::{FieldSelector, LabelSelector, Request, Verb};

fn key() -> impl Strategy<Value = String> {
    "[ab]|(x\\.io/)?[a-z][a-z0-9_.-]{0,3}[a-z0-9]"
}

fn requirement() -> impl Strategy<Value = String> {
    let value = || "|[a-c]|[0-9]|[a-z0-9]{2,4}";
    let set = prop::collection::vec(value(), 0..4);
    prop_oneof![
        (key(), "=|==|!=", value()).prop_map(|(key, operator, value)| format!("{key}{operator}{value}")),
        (key(), "in|notin", set)
            .prop_map(|(key, operator, set)| format!("{key} {operator} ({})", set.join(","))),
        ("!?", key()).prop_map(|(not, key)| format!("{not}{key}")),
        (key(), "[<>]", 0..20_i64).prop_map(|(key, operator, value)| format!("{key}{operator}{value}")),
    ]
}

fn label_selector() -> impl Strategy<Value = LabelSelector> {
    // `(a,,)` and its like are errors in Kubernetes too.
    prop::collection::vec(requirement(), 0..5)
        .prop_filter_map("parses", |parts| LabelSelector::parse(&parts.join(",")).ok())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(key(), "[a-c]|[0-9]{0,2}", 0..4)
}

fn field_selector() -> impl Strategy<Value = FieldSelector> {
    let term = ("[a-c.]{1,3}", "=|==|!=", "([a-b]|\\\\,|\\\\=|\\\\\\\\){0,3}");
    prop::collection::vec(
        term.prop_map(|(field, operator, value)| field + &operator + &value),
        0..5,
    )
    .prop_filter_map("parses", |parts| FieldSelector::parse(&parts.join(",")).ok())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_text_of_a_label_selector_parses_to_itself(selector in label_selector()) {
        prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
    }

    #[test]
    fn the_text_of_a_field_selector_selects_the_same(selector in field_selector()) {
        let again = FieldSelector::parse(&selector.to_string()).unwrap();
        prop_assert!(again.is_superset_of(&selector) && selector.is_superset_of(&again));
        prop_assert_eq!(FieldSelector::parse(&again.to_string()), Ok(again));
    }

    #[test]
    fn a_broader_label_selector_selects_all_that_the_narrower_does(
        wide in label_selector(), narrow in label_selector(), object in labels(),
    ) {
        if wide.is_superset_of(&narrow) && narrow.matches(&object) {
            prop_assert!(wide.matches(&object), "{wide} of {narrow}");
        }
        prop_assert!(narrow.is_superset_of(&narrow));
    }

    #[test]
    fn a_broader_field_selector_selects_all_that_the_narrower_does(
        wide in field_selector(), narrow in field_selector(), object in "[ab]{0,2}",
    ) {
        if wide.is_superset_of(&narrow) && narrow.matches(|_| Some(&object)) == Some(true) {
            prop_assert_eq!(wide.matches(|_| Some(&object)), Some(true));
        }
    }

    #[test]
    fn selectors_never_panic(text in "\\PC{0,40}|[a-c!=(),<> \\\\\\x00in]{0,40}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
        }
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn requests_never_panic(
        path in "(/|%[0-9a-f]{2}|%|api|apis|v1|namespaces|watch|proxy|[a-z.]{1,3}){0,14}",
        query in "(watch|limit|resourceVersion|labelSelector|fieldSelector|timeout|=|&|%3D|[a-z0-9%+;.-]){0,20}",
        accept in "(application|\\*|/|json|yaml|;|,|q=|as=Table|=|[a-z0-9. ]){0,20}",
    ) {
        let Ok(uri) = format!("/{path}?{query}").parse::<Uri>() else { return Ok(()) };
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_str(&accept).unwrap())]);
        for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
            if let Ok(request) = Request::parse(&method, &uri, &headers) {
                prop_assert_eq!(request.resource().is_none(), request.verb == Verb::NonResource);
                prop_assert_eq!(&*request.path_and_query, uri.path_and_query().unwrap().as_str());
            }
        }
    }
}
