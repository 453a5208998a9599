//! Events of an outage: what their writers are told, and what the cloud shows of them afterwards.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Reply};
use yurt_testkit::objects::{ensure_namespace, namespace};
use yurt_testkit::{Api, wait_for};
use yurthub_object::edit::{NewValue, set_field};
use yurthub_object::{Encoding, meta, single};

use crate::accounts::Site;
use crate::hub::{
    Hub, JSON, PROTOBUF, SOON, STRATEGIC, header, json as body, may_do_everything, patch, server,
};

const OWN_VERSIONS: u64 = 1 << 62;

/// A core event as a recorder of client-go writes it.
fn core(hub: &Hub<'_>, name: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1", "metadata": { "name": name, "namespace": hub.name },
        "involvedObject": { "kind": "Pod", "namespace": hub.name, "name": "web", "uid": format!("uid-of-{name}") },
        "reason": "BackOff", "message": format!("message of {name}"), "type": "Warning", "count": 1,
        "source": { "component": "kubelet", "host": hub.name },
        "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:05Z",
        "eventTime": null, "reportingComponent": "kubelet", "reportingInstance": hub.name,
    })
}

/// An event of the newer API.
fn newer(hub: &Hub<'_>, name: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": { "name": name, "namespace": hub.name },
        "regarding": { "kind": "Pod", "namespace": hub.name, "name": "web", "uid": format!("uid-of-{name}") },
        "reason": "Scheduled", "note": format!("note of {name}"), "type": "Normal", "action": "Binding",
        "eventTime": "2026-01-02T03:04:05.123456Z",
        "reportingController": "scheduler", "reportingInstance": "scheduler-1",
    })
}

fn core_path(hub: &Hub<'_>) -> String {
    format!("/api/v1/namespaces/{}/events", hub.name)
}

fn newer_path(hub: &Hub<'_>) -> String {
    format!("/apis/events.k8s.io/v1/namespaces/{}/events", hub.name)
}

/// The same event in protobuf, in the apiserver's own bytes.
async fn protobuf(hub: &Hub<'_>, collection: &str, event: &Value) -> Bytes {
    let admin = hub.server.admin();
    let (status, answer) = admin.post(collection, event.clone()).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    let path = format!("{collection}/{}", event["metadata"]["name"].as_str().unwrap());
    let reply = admin.send(Raw::get(&path, PROTOBUF)).await.unwrap();
    assert_eq!(admin.delete(&path).await.unwrap().0, 200);
    let (kind, mut item) = single::split(Encoding::Protobuf, &reply.body).unwrap();
    for number in [5, 6, 8, 17] {
        item = set_field(&item, &[1, number], &NewValue::Absent).unwrap().into();
    }
    single::join(Encoding::Protobuf, &kind, &item)
}

async fn post(api: &Api, path: &str, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let request = Raw::new(Method::POST, path)
        .body(content_type, body)
        .header(http::header::ACCEPT, content_type.parse().unwrap());
    api.send(request).await.unwrap()
}

/// Waits until nothing waits for the cloud any more.
async fn sent(hub: &Hub<'_>) {
    wait_for("all events to be settled", SOON, async || {
        hub.metric("yurthub_event_journal_entries", "").await == 0
    })
    .await;
}

async fn became(hub: &Hub<'_>, outcome: &str) -> u64 {
    hub.metric(
        "yurthub_journaled_events_total",
        &format!("outcome=\"{outcome}\""),
    )
    .await
}

/// The events of pods of the hub's namespace in the cloud, by name; the apiserver itself writes some of services.
async fn in_the_cloud(hub: &Hub<'_>) -> Vec<(String, Value)> {
    let (status, list) = hub.server.admin().get(&core_path(hub)).await.unwrap();
    assert_eq!(status, 200);
    let mut events: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["involvedObject"]["kind"] == "Pod")
        .map(|event| {
            (
                event["metadata"]["name"].as_str().unwrap().to_owned(),
                event.clone(),
            )
        })
        .collect();
    events.sort_by(|one, other| one.0.cmp(&other.0));
    events
}

#[tokio::test]
async fn events_of_an_outage_arrive_once_with_their_own_times() {
    let mut hub = Hub::start_with(server().await, "recorder", &["--event-replay-rate=50"]).await;
    may_do_everything(&hub).await; // nodes may not write events of the newer API
    let node = hub.node();
    let (core_path, newer_path) = (core_path(&hub), newer_path(&hub));
    let known = post(&node, &core_path, JSON, core(&hub, "known").to_string()).await;
    assert_eq!(known.status, 201, "{}", body(&known));
    let in_protobuf = [
        protobuf(&hub, &core_path, &core(&hub, "core-proto")).await,
        protobuf(&hub, &newer_path, &newer(&hub, "newer-proto")).await,
    ];
    hub.cut().await;
    let mut named_by_hub = core(&hub, "");
    named_by_hub["metadata"] = json!({ "generateName": "generated-" });
    for (path, content_type, event) in [
        (&core_path, JSON, core(&hub, "core-json").to_string().into()),
        (&core_path, PROTOBUF, in_protobuf[0].clone()),
        (&newer_path, JSON, newer(&hub, "newer-json").to_string().into()),
        (&newer_path, PROTOBUF, in_protobuf[1].clone()),
        (&core_path, JSON, named_by_hub.to_string().into()),
    ] {
        let start = Instant::now();
        let reply = post(&node, path, content_type, event).await;
        assert_eq!(reply.status, 201, "{path} {content_type}: {}", body(&reply));
        assert_eq!(header(&reply, "content-type"), content_type);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let encoding = if content_type == JSON {
            Encoding::Json
        } else {
            Encoding::Protobuf
        };
        let (kind, item) = single::split(encoding, &reply.body).unwrap();
        let given = meta::read(encoding, &item).unwrap();
        assert_eq!(kind.kind, "Event");
        assert!(
            given.resource_version >= OWN_VERSIONS && given.uid.len() == 36,
            "{given:?}"
        );
    }
    let again = post(&node, &core_path, JSON, core(&hub, "core-json").to_string()).await;
    assert_eq!(
        (again.status, body(&again)["reason"].as_str()),
        (409, Some("AlreadyExists"))
    );
    let repeat = |path: &str, name: &str, change: Value| {
        let request = patch(&format!("{path}/{name}"), STRATEGIC, &change);
        async { node.send(request).await.unwrap() }
    };
    let counted = |count: u32| json!({ "count": count, "lastTimestamp": "2026-01-02T04:00:00Z" });
    let series = json!({ "series": { "count": 9, "lastObservedTime": "2026-01-02T04:00:00.654321Z" } });
    for (path, name, change, expected) in [
        (&core_path, "core-json", counted(5), 200),
        (&core_path, "core-proto", counted(6), 200),
        (&core_path, "known", counted(4), 200),
        (&newer_path, "newer-json", series.clone(), 200),
        (&newer_path, "newer-proto", series, 200),
        (&core_path, "not-here", counted(2), 404),
        (&core_path, "core-json", json!({ "count": "many" }), 400),
    ] {
        let reply = repeat(path, name, change).await;
        assert_eq!(reply.status, expected, "{name}: {}", body(&reply));
    }
    hub.restart().await;
    hub.cloud_is(false).await;
    let reply = repeat(&core_path, "core-proto", counted(7)).await;
    assert_eq!(reply.status, 200, "{}", body(&reply));
    hub.join().await;
    sent(&hub).await;
    let events = in_the_cloud(&hub).await;
    let generated = &events[2].0;
    assert!(
        generated.starts_with("generated-") && generated.len() == 15,
        "{generated}"
    );
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "core-json",
            "core-proto",
            generated,
            "known",
            "newer-json",
            "newer-proto"
        ],
        "each is there once"
    );
    for (name, event) in &events {
        let newer = name.starts_with("newer");
        let (count, last) = match name.as_str() {
            "core-json" => (5, "2026-01-02T04:00:00Z"),
            "core-proto" => (7, "2026-01-02T04:00:00Z"),
            "known" => (4, "2026-01-02T04:00:00Z"),
            _ => (1, "2026-01-02T03:04:05Z"),
        };
        if newer {
            assert_eq!(event["eventTime"], "2026-01-02T03:04:05.123456Z", "{name}");
            let expected = json!({ "count": 9, "lastObservedTime": "2026-01-02T04:00:00.654321Z" });
            assert_eq!(event["series"], expected, "{name}");
            assert_eq!(event["message"], format!("note of {name}"));
        } else {
            assert_eq!(event["firstTimestamp"], "2026-01-02T03:04:05Z", "{name}");
            assert_eq!(
                (&event["lastTimestamp"], &event["count"]),
                (&json!(last), &json!(count)),
                "{name}"
            );
            assert_eq!(event["source"]["host"], "recorder", "{name}");
        }
    }
    assert_eq!(
        (became(&hub, "sent").await, became(&hub, "amended").await),
        (5, 1)
    );
}

#[tokio::test]
async fn a_yurthub_that_dies_while_it_sends_neither_loses_nor_doubles_events() {
    let mut hub = Hub::start_with(server().await, "dying-recorder", &["--event-replay-rate=10"]).await;
    hub.cut().await;
    let path = core_path(&hub);
    for number in 0..12 {
        let event = core(&hub, &format!("event-{number:02}"));
        let reply = post(&hub.node(), &path, JSON, event.to_string()).await;
        assert_eq!(reply.status, 201, "{}", body(&reply));
    }
    hub.join().await;
    wait_for("some events to be sent", SOON, async || {
        in_the_cloud(&hub).await.len() >= 3
    })
    .await;
    hub.kill();
    let before = in_the_cloud(&hub).await.len();
    assert!(before < 12, "it was killed too late: {before}");
    hub.restart().await;
    sent(&hub).await;
    let names: Vec<_> = in_the_cloud(&hub)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected: Vec<_> = (0..12).map(|number| format!("event-{number:02}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn an_event_of_another_object_keeps_its_name_and_ours_gets_one_of_its_own() {
    let hub = Hub::start(server().await, "namesake").await;
    hub.cut().await;
    let ours = core(&hub, "same");
    let mut theirs = ours.clone();
    theirs["involvedObject"]["uid"] = "another".into();
    let reply = post(&hub.node(), &core_path(&hub), JSON, ours.to_string()).await;
    assert_eq!(reply.status, 201);
    let (status, _) = hub.server.admin().post(&core_path(&hub), theirs).await.unwrap();
    assert_eq!(status, 201);
    hub.join().await;
    sent(&hub).await;
    let events = in_the_cloud(&hub).await;
    let about: Vec<_> = events
        .iter()
        .map(|(_, event)| event["involvedObject"]["uid"].as_str().unwrap())
        .collect();
    assert_eq!(about, ["another", "uid-of-same"]);
    assert!(events[1].0.starts_with("same."), "{}", events[1].0);
}

#[tokio::test]
async fn the_oldest_events_go_when_the_journal_is_full() {
    let hub = Hub::start_with(server().await, "full-recorder", &["--event-journal-entries=3"]).await;
    hub.cut().await;
    for number in 0..5 {
        let event = core(&hub, &format!("event-{number}"));
        let reply = post(&hub.node(), &core_path(&hub), JSON, event.to_string()).await;
        assert_eq!(reply.status, 201);
    }
    assert_eq!(became(&hub, "overflow").await, 2);
    assert_eq!(hub.metric("yurthub_event_journal_entries", "").await, 3);
    let mut long = core(&hub, "long");
    long["message"] = "x".repeat(600 << 10).into();
    let reply = post(&hub.node(), &core_path(&hub), JSON, long.to_string()).await;
    assert_eq!(reply.status, 413);
    hub.join().await;
    sent(&hub).await;
    let names: Vec<_> = in_the_cloud(&hub)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["event-2", "event-3", "event-4"]);
}

#[tokio::test]
async fn an_event_that_the_cloud_does_not_answer_is_kept_at_once() {
    let hub = Hub::start(server().await, "torn-recorder").await;
    hub.cloud_is(true).await;
    let path = core_path(&hub);
    let reply = post(&hub.node(), &path, JSON, core(&hub, "before").to_string()).await;
    assert_eq!(reply.status, 201);
    hub.link.blackhole().await;
    let start = Instant::now();
    let reply = post(&hub.node(), &path, JSON, core(&hub, "torn").to_string()).await;
    let took = start.elapsed();
    assert_eq!(reply.status, 201, "{}", body(&reply));
    assert!(took < Duration::from_secs(4), "{took:?}");
    let version: u64 = body(&reply)["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(version >= OWN_VERSIONS, "{version}");
    hub.link.join().await;
    hub.cloud_is(true).await;
    sent(&hub).await;
    let names: Vec<_> = in_the_cloud(&hub)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["before", "torn"]);
}

#[tokio::test]
async fn what_the_cloud_does_not_take_is_dropped_and_counted() {
    let site = Site::start("events-refused").await;
    let hub = &site.hub;
    let admin = hub.server.admin();
    let rules = json!([{ "apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"] }]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/events-refused";
    for (resource, object) in [
        (
            "roles",
            json!({ "metadata": { "name": "recorder" }, "rules": rules }),
        ),
        (
            "rolebindings",
            json!({
                "metadata": { "name": "recorder" },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "recorder" },
                "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": hub.name }],
            }),
        ),
    ] {
        let (status, answer) = admin.post(&format!("{rbac}/{resource}"), object).await.unwrap();
        assert_eq!(status, 201, "{answer}");
    }
    ensure_namespace(admin, "events-gone").await.unwrap();
    hub.cut().await;
    let mut lost = core(hub, "lost");
    lost["metadata"]["namespace"] = "events-gone".into();
    lost["involvedObject"]["namespace"] = "events-gone".into();
    let mut wrong = core(hub, "wrong");
    wrong["involvedObject"]["namespace"] = "elsewhere".into();
    let node = hub.node();
    for (api, path, event) in [
        (&site.reader(), core_path(hub), core(hub, "allowed")),
        (&site.nobody(), core_path(hub), core(hub, "forbidden")),
        (&node, "/api/v1/namespaces/events-gone/events".into(), lost),
        (&node, core_path(hub), wrong),
        (&node, core_path(hub), core(hub, "last")),
    ] {
        let reply = post(api, &path, JSON, event.to_string()).await;
        assert_eq!(reply.status, 201, "{}", body(&reply));
    }
    // Without a controller for namespaces it stays in deletion, where nothing can be made either.
    let (status, _) = admin.delete(&namespace("events-gone").path()).await.unwrap();
    assert_eq!(status, 200);
    hub.join().await;
    sent(hub).await;
    for (outcome, expected) in [("sent", 2), ("forbidden", 1), ("gone", 1), ("invalid", 1)] {
        assert_eq!(became(hub, outcome).await, expected, "{outcome}");
    }
    let names: Vec<_> = in_the_cloud(hub)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["allowed", "last"]);
}

#[tokio::test]
async fn an_accounts_events_wait_for_its_token_after_a_restart() {
    let mut site = Site::start("events-waiting").await;
    site.hub.store_is_quiet().await;
    site.hub.cut().await;
    let path = core_path(&site.hub);
    let reply = post(&site.nobody(), &path, JSON, core(&site.hub, "waits").to_string()).await;
    assert_eq!(reply.status, 201, "{}", body(&reply));
    let reply = post(&site.hub.node(), &path, JSON, core(&site.hub, "next").to_string()).await;
    assert_eq!(reply.status, 201, "{}", body(&reply));
    site.hub.restart().await;
    site.hub.join().await;
    wait_for("the node's event", SOON, async || {
        became(&site.hub, "sent").await == 1
    })
    .await;
    assert_eq!(site.hub.metric("yurthub_event_journal_entries", "").await, 1);
    wait_for("the account's event to be judged", SOON, async || {
        let pods = format!(
            "/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{}",
            site.hub.name
        );
        site.hub.node().get(&pods).await.unwrap();
        site.nobody().get("/api/v1/services").await.unwrap();
        became(&site.hub, "forbidden").await == 1
    })
    .await;
    sent(&site.hub).await;
}
