//! Whole requests: what depends on path, query and headers together.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests; what they expect is what is tested"
)]

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use yurthub_request::{Format, Invalid, Match, Query, Request, ResourcePath, ResourceVersion, Verb};

fn parse(method: &Method, target: &str) -> Result<Request, Invalid> {
    let uri: Uri = target.parse().expect(target);
    Request::parse(method, &uri, &HeaderMap::new())
}

fn get(target: &str) -> Request {
    parse(&Method::GET, target).expect(target)
}

fn with_header(name: header::HeaderName, value: &'static str) -> Request {
    let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
    Request::parse(&Method::GET, &Uri::from_static("/api/v1/pods"), &headers).expect("a valid request")
}

#[test]
fn a_kubelet_watch_of_its_pods() {
    let request = get(
        "/api/v1/pods?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dedge-1&resourceVersion=812\
         &timeoutSeconds=431&watch=true",
    );
    assert_eq!(request.verb, Verb::Watch);
    let path = ResourcePath {
        version: "v1".into(),
        resource: "pods".into(),
        ..ResourcePath::default()
    };
    assert_eq!(request.resource(), Some(&path));
    let query = &request.query;
    assert_eq!(query.field_selector.exact("spec.nodeName"), Some("edge-1"));
    assert_eq!(query.resource_version, ResourceVersion::At(812));
    assert_eq!(query.timeout, Some(Duration::from_secs(431)));
    assert!(query.allow_bookmarks && query.label_selector.is_everything() && !query.wants_initial_events());
    assert_eq!(request.accept.formats(), [Format::JSON]);
    assert!(request.is_long_running() && !request.upgrade && !request.pretty);
}

#[test]
fn the_target_is_kept_as_it_came() {
    let request = get("/api/v1/namespaces/a/services/x/proxy/some%2Fpath?a=%zz&b");
    assert_eq!(
        &*request.path_and_query,
        "/api/v1/namespaces/a/services/x/proxy/some%2Fpath?a=%zz&b"
    );
    assert_eq!(
        request.path(),
        "/api/v1/namespaces/a/services/x/proxy/some%2Fpath"
    );
    assert_eq!(get("/version").path(), "/version");
}

#[test]
fn what_follows_a_proxy_is_kept() {
    let cases = [
        ("/api/v1/nodes/n/proxy", None),
        ("/api/v1/nodes/n/proxy/", None),
        ("/api/v1/nodes/n/proxy/logs/a%20b", Some("logs/a b")),
        ("/api/v1/nodes/n/proxy/%ff", Some("\u{fffd}")),
        ("/api/v1/proxy/nodes/n/logs/x", Some("logs/x")),
        ("/api/v1/proxy/nodes/n/logs", Some("logs")),
        ("/api/v1/proxy/nodes/n", None),
    ];
    for (target, rest) in cases {
        assert_eq!(get(target).resource().unwrap().rest.as_deref(), rest, "{target}");
    }
}

#[test]
fn the_query_of_a_stream_belongs_to_somebody_else() {
    for subresource in ["proxy/x", "exec", "attach", "log", "portforward"] {
        let query = "resourceVersion=x&limit=y&timeout=z&labelSelector=,&watch=1";
        let request = get(&format!("/api/v1/namespaces/a/pods/b/{subresource}?{query}"));
        assert_eq!(request.verb, Verb::Get, "{subresource}");
        assert!(request.is_long_running());
        assert_eq!(
            request.query,
            Query {
                is_foreign: true,
                ..Query::default()
            }
        );
    }
}

#[test]
fn only_the_options_of_the_verb_count() {
    let wrong =
        "?labelSelector=,&fieldSelector=x&limit=y&continue=c&resourceVersionMatch=Exact&sendInitialEvents=1";
    for (method, target) in [
        (Method::GET, "/api/v1/namespaces/a/pods/b"),
        (Method::POST, "/api/v1/namespaces/a/pods"),
        (Method::PUT, "/api/v1/namespaces/a/pods/b/status"),
        (Method::DELETE, "/api/v1/nodes/n"),
        (Method::GET, "/apis"),
    ] {
        let request = parse(&method, &format!("{target}{wrong}")).unwrap();
        assert!(request.query.label_selector.is_everything(), "{target}");
        assert_eq!(request.query.continue_token, None);
    }
    let deletion = parse(&Method::DELETE, "/api/v1/pods?labelSelector=a%3Db&dryRun=All").unwrap();
    assert_eq!(deletion.verb, Verb::DeleteCollection);
    assert_eq!(deletion.query.label_selector.to_string(), "a=b");
    assert!(deletion.query.dry_run);
    assert!(parse(&Method::DELETE, &format!("/api/v1/pods{wrong}")).is_err());

    let apply = parse(
        &Method::PATCH,
        "/api/v1/nodes/n?force=true&fieldManager=kubectl&dryRun=",
    )
    .unwrap()
    .query;
    assert_eq!(
        (apply.force, apply.field_manager.as_deref(), apply.dry_run),
        (Some(true), Some("kubectl"), true)
    );
    assert!(!get("/api/v1/pods?dryRun=All").query.dry_run);
}

#[test]
fn versions_of_reads() {
    let version = |target: &str| get(target).query.resource_version;
    assert_eq!(version("/api/v1/pods"), ResourceVersion::Unset);
    assert_eq!(version("/api/v1/pods?resourceVersion="), ResourceVersion::Unset);
    assert_eq!(version("/api/v1/pods?resourceVersion=0"), ResourceVersion::Zero);
    assert_eq!(
        version("/api/v1/nodes/n?resourceVersion=0"),
        ResourceVersion::Zero
    );
    assert_eq!(
        version("/api/v1/nodes/n?resourceVersion=18446744073709551615"),
        ResourceVersion::At(u64::MAX)
    );
    let exact = get("/api/v1/pods?resourceVersion=7&resourceVersionMatch=Exact").query;
    assert_eq!(
        (exact.resource_version, exact.resource_version_match),
        (ResourceVersion::At(7), Some(Match::Exact))
    );
    for wrong in ["x", "-1", "%2B1", "1.0", "18446744073709551616"] {
        for path in ["/api/v1/pods", "/api/v1/nodes/n"] {
            let error = parse(&Method::GET, &format!("{path}?resourceVersion={wrong}")).unwrap_err();
            assert!(matches!(error, Invalid::ResourceVersion { .. }), "{wrong}");
            assert_eq!((error.code(), error.reason()), (400, "BadRequest"));
        }
    }
    let error = parse(&Method::GET, "/api/v1/pods?resourceVersion=x").unwrap_err();
    let text = "invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": \
        invalid syntax";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_watch_begins_with_what_exists_unless_it_has_a_version() {
    let wants = |query: &str| {
        get(&format!("/api/v1/pods?watch=1{query}"))
            .query
            .wants_initial_events()
    };
    assert!(wants(""));
    assert!(wants("&resourceVersion=0"));
    assert!(!wants("&resourceVersion=5"));
    assert!(wants(
        "&resourceVersion=5&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    ));
    assert!(!wants(
        "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    ));
}

#[test]
fn timeouts() {
    let both = |target: &str| {
        let query = get(target).query;
        (query.request_timeout, query.timeout)
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(both("/api/v1/nodes/n?timeout=10s"), (seconds(10), None));
    assert_eq!(
        both("/api/v1/pods?timeout=1m&timeoutSeconds=5"),
        (seconds(60), seconds(5))
    );
    assert_eq!(
        both("/api/v1/pods?watch=1&timeout=nonsense&timeoutSeconds=5"),
        (None, seconds(5))
    );
    assert_eq!(both("/api/v1/pods?watch=1&timeoutSeconds=0"), (None, None));
    assert_eq!(both("/api/v1/pods?watch=1&timeoutSeconds=-1"), (None, seconds(0)));
    assert_eq!(both("/api?timeout=32s"), (seconds(32), None));
    assert_eq!(both("/api?timeout=0"), (None, None));
    assert_eq!(both("/api?timeout=-5s"), (None, None));
    assert_eq!(
        parse(&Method::GET, "/api?timeout=5").unwrap_err(),
        Invalid::Timeout
    );
}

#[test]
fn a_deprecated_watch_of_one_object_selects_its_name() {
    let named = get("/api/v1/watch/namespaces/a/pods/b");
    assert_eq!(named.query.field_selector.to_string(), "metadata.name=b");
    assert_eq!(
        get("/api/v1/watch/namespaces/a/pods/b?fieldSelector=metadata.name%3Db").verb,
        Verb::Watch
    );
    for other in ["metadata.name%3Dc", "spec.nodeName%3Dn"] {
        let target = format!("/api/v1/watch/namespaces/a/pods/b?fieldSelector={other}");
        assert_eq!(parse(&Method::GET, &target).unwrap_err(), Invalid::NameMismatch);
    }
    // The prefix keeps the name out of the path, but the selector still counts.
    let all = get("/api/v1/watch/pods?fieldSelector=metadata.name%3Db");
    assert_eq!(all.resource().unwrap().name, None);
    assert_eq!(all.query.field_selector.to_string(), "metadata.name=b");
}

#[test]
fn malformed_paths_are_refused() {
    for target in [
        "/api/v1/pods/%zz",
        "/api/v1/pods/%f",
        "/api/v1/pods/%",
        "/api/v1/pods/%ff",
        "/healthz/%",
    ] {
        assert!(
            matches!(parse(&Method::GET, target), Err(Invalid::Path(_))),
            "{target}"
        );
    }
    let error = parse(&Method::GET, "/api/v1/watch").unwrap_err();
    assert_eq!(
        (error.to_string(), error.code()),
        (
            "unable to determine kind and namespace from url, /api/v1/watch".into(),
            400
        )
    );
}

#[test]
fn discovery_is_told_from_health() {
    for target in [
        "/api",
        "/api/",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1/",
        "/version",
        "/openapi/v3/api?hash=x",
    ] {
        assert!(get(target).is_discovery(), "{target}");
    }
    for target in [
        "/",
        "/healthz",
        "/readyz/etcd",
        "/metrics",
        "/apix",
        "/api/v1/nodes",
        "/openid/v1/jwks",
    ] {
        assert!(!get(target).is_discovery(), "{target}");
    }
}

#[test]
fn headers_count() {
    assert!(with_header(header::CONNECTION, "keep-alive, Upgrade").upgrade);
    assert!(!with_header(header::CONNECTION, "keep-alive").upgrade);
    assert!(with_header(header::USER_AGENT, "curl/8.5.0").pretty);
    assert!(!with_header(header::USER_AGENT, "kubelet/v1.34.4").pretty);
    assert!(with_header(header::ACCEPT, "application/json;pretty=1").pretty);
    assert!(get("/api/v1/pods?pretty=true").pretty);
    assert!(!get("/api/v1/pods?pretty=no").pretty);
    let headers = HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static("curl/8.5.0"))]);
    assert!(
        !Request::parse(&Method::GET, &Uri::from_static("/api?pretty=0"), &headers)
            .unwrap()
            .pretty
    );
}
