//! A cloud that comes back with an older past, because its store was restored from a backup.

use std::collections::BTreeMap;

use kube::runtime::watcher;
use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Reply};
use yurt_testkit::objects::{config_map, ensure_namespace, pod};
use yurt_testkit::{Api, ApiServer, wait_for};
use yurthub_object::{Encoding, list};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, STRATEGIC, json as body, may_do_everything, patch};
use crate::mirror::{Told, follow};

const NAME: &str = "rewound";
const MAPS: &str = "/api/v1/namespaces/rewound/configmaps";
const RESTORES: &str = "yurthub_mirror_restores_total";

fn path_of(map: &str) -> String {
    config_map(map).in_namespace(NAME).path()
}

async fn set(server: &ApiServer, name: &str, number: &str) {
    let map = config_map(name).in_namespace(NAME).data("n", number);
    let (status, answer) = server
        .admin()
        .patch(&map.path(), json!({ "data": { "n": number } }))
        .await
        .unwrap();
    if status == 404 {
        map.create(server.admin()).await.unwrap();
    } else {
        assert_eq!(status, 200, "{answer}");
    }
}

/// What happens after the backup, and is lost: enough of it that the restored cloud stays behind for a while.
async fn lost_time(server: &ApiServer) {
    set(server, "changed", "lost").await;
    set(server, "late", "lost").await;
    assert_eq!(server.admin().delete(&path_of("early")).await.unwrap().0, 200);
    for number in 0..100 {
        set(server, "busy", &number.to_string()).await;
    }
    set(server, "last", "lost").await;
}

fn numbers(list: &Value) -> BTreeMap<String, String> {
    let items = list["items"].as_array().unwrap();
    let pair = |item: &Value| {
        [&item["metadata"]["name"], &item["data"]["n"]]
            .map(|text| text.as_str().unwrap_or_default().to_owned())
    };
    items.iter().map(|item| pair(item).into()).collect()
}

/// Waits until the mirror, in both encodings, and kube's watcher have what the cloud has.
async fn converges(hub: &Hub<'_>, told: &Told) {
    let read = async |api: &Api, query: &str, accept: &'static str| {
        let reply = api
            .send(Raw::get(format!("{MAPS}{query}"), accept))
            .await
            .unwrap();
        assert_eq!(reply.status, 200, "{}", body(&reply));
        reply
    };
    wait_for(
        "mirror and watcher to have what the cloud has",
        SOON,
        async || {
            let (node, direct) = (hub.node(), hub.direct());
            let cloud = body(&read(&direct, "", JSON).await);
            let mirror = body(&read(&node, "?resourceVersion=0", JSON).await);
            let items = |reply: &Reply| list::decode(Encoding::Protobuf, &reply.body).unwrap().items;
            let in_protobuf = items(&read(&node, "?resourceVersion=0", PROTOBUF).await);
            let same = in_protobuf == items(&read(&direct, "", PROTOBUF).await);
            let followed = told.objects.lock().unwrap().clone();
            if same && mirror["items"] == cloud["items"] && followed == numbers(&cloud) {
                Ok(())
            } else {
                Err((numbers(&cloud), numbers(&mirror), followed, same))
            }
        },
    )
    .await;
}

async fn restores(hub: &Hub<'_>, expected: u64) {
    wait_for("the restore to be noticed", SOON, async || {
        let found = hub.metric(RESTORES, "").await;
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_cloud_is_noticed_and_mirror_watchers_and_statuses_follow_it() {
    let server = ApiServer::start().await.unwrap();
    ensure_namespace(server.admin(), "kube-node-lease").await.unwrap();
    let mut hub = Hub::start(&server, NAME).await;
    may_do_everything(&hub).await;
    for (name, number) in [("same", "1"), ("changed", "1"), ("early", "1")] {
        set(&server, name, number).await;
    }
    let web = pod("web").in_namespace(NAME).on(NAME);
    web.create(server.admin()).await.unwrap();
    let pods = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NAME}&resourceVersion=0");
    let nodes = format!("/api/v1/nodes?fieldSelector=metadata.name%3D{NAME}&resourceVersion=0");
    for path in [&pods, &nodes] {
        assert_eq!(
            hub.node().send(Raw::get(path, PROTOBUF)).await.unwrap().status,
            200
        );
    }
    let (told, task) = follow(&hub, watcher::Config::default()).await;
    converges(&hub, &told).await;
    let backup = server.backup().await.unwrap();
    hub.cloud_is(true).await;

    // The link stays: all that tells of it is that watches end and go on.
    lost_time(&server).await;
    converges(&hub, &told).await;
    assert_eq!(hub.metric(RESTORES, "").await, 0, "a restart is no restore");
    let before = told.changes();
    server.restore(&backup).await.unwrap();
    restores(&hub, 1).await;
    converges(&hub, &told).await;
    assert_eq!(
        told.changes(),
        before,
        "what was lost is told by a list, not by events"
    );
    for number in ["2", "3"] {
        set(&server, "changed", number).await;
    }
    converges(&hub, &told).await;
    let new = told.changes().split_off(before.len());
    assert_eq!(new, ["changed=2", "changed=3"], "each once");

    // A client that was away comes with a version that the cloud has not come to again.
    let stale = server.revision().await.unwrap() + 20;
    let watch = format!("{MAPS}?watch=true&resourceVersion={stale}");
    let mut watch = hub.node().watch(&watch, JSON).await.unwrap();
    let event = tokio::time::timeout(SOON, watch.event())
        .await
        .expect("an answer, not silence");
    let event = event.unwrap().expect("an event");
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410)),
        "{event}"
    );

    // The same in an outage with a restart of the hub in it, and with statuses that wait.
    lost_time(&server).await;
    converges(&hub, &told).await;
    let status =
        json!({ "status": { "phase": "Running", "podIP": "10.0.0.7", "podIPs": [{ "ip": "10.0.0.7" }] } });
    let write = async |hub: &Hub<'_>, path: &str, change: &Value| {
        let reply = hub
            .node()
            .send(patch(&format!("{path}/status"), STRATEGIC, change))
            .await
            .unwrap();
        assert_eq!(reply.status, 200, "{}", body(&reply));
    };
    // This one the cloud has had, and loses.
    write(&hub, &web.path(), &status).await;
    hub.store_is_quiet().await;
    hub.cut().await;
    write(
        &hub,
        &web.path(),
        &json!({ "status": { "phase": "Running", "message": "offline" } }),
    )
    .await;
    write(
        &hub,
        "/api/v1/nodes/rewound",
        &json!({ "status": { "capacity": { "cpu": "7" } } }),
    )
    .await;
    server.restore(&backup).await.unwrap();
    hub.restart().await;
    hub.join().await;
    restores(&hub, 1).await; // counted from the hub's start
    wait_for("the journal to be sent", SOON, async || {
        hub.metric("yurthub_journal_entries", "").await == 0
    })
    .await;
    converges(&hub, &told).await;
    let (_, sent) = server.admin().get(&web.path()).await.unwrap();
    let of = |field: &str| sent["status"][field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        [of("phase"), of("message"), of("podIP")],
        ["Running", "offline", "10.0.0.7"].map(str::to_owned),
        "{sent}"
    );
    let (_, node) = server.admin().get("/api/v1/nodes/rewound").await.unwrap();
    assert_eq!(node["status"]["capacity"]["cpu"], "7");
    wait_for("the pod of the mirror to be the cloud's", SOON, async || {
        let (_, shown) = hub.node().get(&web.path()).await.unwrap();
        if shown == sent { Ok(()) } else { Err(shown) }
    })
    .await;
    assert_eq!(hub.metric(RESTORES, "").await, 1, "found once");
    task.abort();
}
