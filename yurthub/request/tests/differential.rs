//! Compares paths and selectors with what the real parsers of Kubernetes made of them (`tests/expected/`).

use http::{HeaderMap, Method, Uri};
use yurthub_request::{FieldSelector, LabelSelector, Query, Request, ResourceVersion};

/// `K text` or `E error`, as the tables have it.
fn outcome<T: ToString, E: ToString>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("K {}", value.to_string()),
        Err(error) => format!("E {}", error.to_string()),
    }
}

#[test]
fn label_selectors_are_those_of_apimachinery() {
    for line in include_str!("expected/label.tsv").lines() {
        let (text, expected) = line.split_once('\t').unwrap();
        assert_eq!(outcome(LabelSelector::parse(text)), expected, "{text:?}");
    }
}

#[test]
fn field_selectors_are_those_of_apimachinery() {
    for line in include_str!("expected/field.tsv").lines() {
        let (text, expected) = line.split_once('\t').unwrap();
        assert_eq!(outcome(FieldSelector::parse(text)), expected, "{text:?}");
    }
}

#[test]
fn list_options_are_checked_as_the_apiserver_does() {
    for line in include_str!("expected/list_options.tsv").lines() {
        let (query, expected) = line.split_once('\t').unwrap();
        let uri: Uri = format!("/api/v1/pods?{query}").parse().unwrap();
        let actual = match Request::parse(&Method::GET, &uri, &HeaderMap::new()) {
            Ok(request) => format!("K {}", options(&request.query)),
            Err(invalid) => format!("E {} {invalid}", invalid.code()),
        };
        assert_eq!(actual, expected, "{query:?}");
    }
}

fn options(query: &Query) -> String {
    let version = match query.resource_version {
        ResourceVersion::Unset => String::new(),
        ResourceVersion::Zero => "0".to_owned(),
        ResourceVersion::At(version) => version.to_string(),
    };
    let matching = query
        .resource_version_match
        .map(|matching| format!("{matching:?}"))
        .unwrap_or_default();
    let token = query.continue_token.as_deref().unwrap_or_default();
    let (bookmarks, limit) = (query.allow_bookmarks, query.limit.unwrap_or(0));
    format!(
        "{version}|{matching}|{bookmarks}|{limit}|{token}|{}",
        query.label_selector
    )
}

#[test]
fn paths_are_understood_as_the_apiserver_does() {
    for line in include_str!("expected/path.tsv").lines() {
        let [target, method, expected] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has three columns");
        };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let uri: Uri = target.parse().unwrap();
        assert_eq!(describe(&method, &uri), expected, "{method} {target}");
    }
}

fn describe(method: &Method, uri: &Uri) -> String {
    let request = match Request::parse(method, uri, &HeaderMap::new()) {
        Ok(request) => request,
        Err(error) => return format!("E {error}"),
    };
    let Some(path) = request.resource() else {
        return "nonresource".to_owned();
    };
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        request.verb.as_str(),
        &path.group,
        &path.version,
        &optional(&path.namespace),
        &path.resource,
        &optional(&path.subresource),
        &optional(&path.name),
    ]
    .join("|")
}
