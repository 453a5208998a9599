//! The table of routes, row by row, and what versions and journaled writes change about it.

use http::{HeaderMap, Method};

use super::*;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn request(method: &str, path: &str, accept: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("accept", accept.parse().unwrap());
    Request::parse(
        &Method::from_bytes(method.as_bytes()).unwrap(),
        &path.parse().unwrap(),
        &headers,
    )
    .unwrap()
}

fn situation(cloud_reachable: bool) -> Situation<'static> {
    Situation {
        node: "edge1",
        impersonates: false,
        cloud_reachable,
        mirrored: Some(100),
        journaled: false,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_kind_of_request_goes_where_the_table_says() {
    use Refusal::{AheadOfMirror, NeedsCloud, SnapshotGone};
    use Route::{Forward, ForwardRemember, ForwardWrite, MirrorGet, MirrorList, MirrorWatch};
    use Route::{OfflineRead, OfflineWatch, OfflineWrite, Refuse};
    let pods = "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1";
    let rows: &[(&str, String, &str, Route, Route)] = &[
        (
            "GET",
            format!("{pods}&resourceVersion=0&limit=500"),
            PROTOBUF,
            MirrorList,
            MirrorList,
        ),
        (
            "GET",
            format!("{pods}&watch=true&resourceVersion=7"),
            PROTOBUF,
            MirrorWatch,
            MirrorWatch,
        ),
        ("GET", pods.into(), PROTOBUF, ForwardRemember, OfflineRead),
        (
            "GET",
            format!("{pods}&resourceVersion=100"),
            PROTOBUF,
            MirrorList,
            MirrorList,
        ),
        (
            "GET",
            format!("{pods}&resourceVersion=101"),
            PROTOBUF,
            ForwardRemember,
            Refuse(AheadOfMirror),
        ),
        (
            "GET",
            format!("{pods}&resourceVersion=7&resourceVersionMatch=Exact"),
            PROTOBUF,
            Forward,
            Refuse(SnapshotGone),
        ),
        (
            "GET",
            format!("{pods}&limit=5&continue=abc"),
            PROTOBUF,
            Forward,
            Refuse(SnapshotGone),
        ),
        (
            "GET",
            format!("{pods}&resourceVersion=0"),
            TABLE,
            Forward,
            OfflineRead,
        ),
        (
            "GET",
            format!("{pods}&watch=true"),
            TABLE,
            Forward,
            Refuse(NeedsCloud),
        ),
        (
            "GET",
            format!("{pods}&watch=true"),
            METADATA,
            Forward,
            OfflineWatch,
        ),
        (
            "GET",
            format!("{pods}&resourceVersion=0"),
            METADATA,
            Forward,
            OfflineRead,
        ),
        (
            "GET",
            "/api/v1/nodes/edge1?resourceVersion=0".into(),
            PROTOBUF,
            MirrorGet,
            MirrorGet,
        ),
        (
            "GET",
            "/api/v1/nodes/edge1".into(),
            PROTOBUF,
            ForwardRemember,
            OfflineRead,
        ),
        (
            "GET",
            "/api/v1/namespaces/a/pods/b/log".into(),
            PROTOBUF,
            Forward,
            Refuse(NeedsCloud),
        ),
        ("GET", "/apis".into(), PROTOBUF, ForwardRemember, OfflineRead),
        (
            "POST",
            "/api/v1/namespaces/a/pods".into(),
            PROTOBUF,
            Forward,
            OfflineWrite(WriteClass::MirrorPod),
        ),
        (
            "DELETE",
            "/api/v1/namespaces/a/pods/b".into(),
            PROTOBUF,
            Forward,
            OfflineWrite(WriteClass::MirrorPod),
        ),
        (
            "PATCH",
            "/api/v1/namespaces/a/pods/b/status".into(),
            PROTOBUF,
            ForwardWrite(WriteClass::PodStatus),
            OfflineWrite(WriteClass::PodStatus),
        ),
    ];
    for (method, path, accept, online, offline) in rows {
        let request = request(method, path, accept);
        for (reachable, expected) in [(true, online), (false, offline)] {
            let (route, why) = decide(&request, &Identity::Node, situation(reachable));
            assert_eq!(
                route, *expected,
                "{method} {path} reachable={reachable} ({why:?})"
            );
        }
    }
}

#[test]
fn a_bearer_of_a_token_never_reads_the_mirror() {
    let list = request("GET", "/api/v1/pods?resourceVersion=0", PROTOBUF);
    assert_eq!(
        decide(&list, &Identity::Bearer, situation(true)).0,
        Route::Forward
    );
    assert_eq!(
        decide(&list, &Identity::Bearer, situation(false)).0,
        Route::Refuse(Refusal::TokenNeedsCloud)
    );
}

#[test]
fn versions_of_this_node_never_go_to_the_cloud() {
    let own = format!("/api/v1/pods?resourceVersion={}", FIRST_OVERLAY_VERSION + 1);
    for (accept, mirrored, expected) in [
        (PROTOBUF, Some(100), Route::MirrorList),
        (PROTOBUF, None, Route::Refuse(Refusal::SnapshotGone)),
        (TABLE, Some(100), Route::Refuse(Refusal::SnapshotGone)),
    ] {
        let situation = Situation {
            mirrored,
            ..situation(true)
        };
        assert_eq!(
            decide(&request("GET", &own, accept), &Identity::Node, situation).0,
            expected
        );
    }
}

#[test]
fn the_apiserver_says_what_is_wrong_with_a_request() {
    let own = format!("labelSelector=-&resourceVersion={}", FIRST_OVERLAY_VERSION + 1);
    for (query, reachable, forwarded) in [
        (None, true, true),
        (Some("limit=x"), true, true),
        (Some("labelSelector=-&resourceVersion=7"), true, true),
        (Some(own.as_str()), true, false),
        (Some("limit=x"), false, false),
    ] {
        assert_eq!(
            decide_malformed(query, reachable).is_some(),
            forwarded,
            "{query:?}"
        );
    }
}

#[test]
fn what_the_kubelet_wrote_is_not_overtaken_when_the_cloud_returns() {
    let situation = Situation {
        journaled: true,
        ..situation(true)
    };
    let patch = request("PATCH", "/api/v1/namespaces/a/pods/b/status", PROTOBUF);
    let get = request("GET", "/api/v1/namespaces/a/pods/b", PROTOBUF);
    assert_eq!(
        decide(&patch, &Identity::Node, situation).0,
        Route::OfflineWrite(WriteClass::PodStatus)
    );
    assert_eq!(decide(&get, &Identity::Node, situation).0, Route::MirrorGet);
}
