//! Mirror pods of static pods that are replaced, made or removed while the cloud is away, as a kubelet does it.

use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Reply, Watch};
use yurt_testkit::objects::pod;
use yurt_testkit::{Api, wait_for};
use yurthub_object::edit::{NewValue, set_field};
use yurthub_object::{Encoding, TypeMeta, list, meta, single, wire};

use super::read;
use super::writes::pods;
use crate::hub::{Hub, JSON, PROTOBUF, SOON, STRATEGIC, json as body, patch, server};

/// The annotation that makes a pod a mirror pod.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
const OWN_VERSIONS: u64 = 1 << 62;

/// The mirror pod of the static pod `name` in its `hash`, as the kubelet posts it.
pub(crate) async fn mirror_pod(hub: &Hub<'_>, name: &str, hash: &str) -> Value {
    let (_, node) = hub
        .direct()
        .get(&format!("/api/v1/nodes/{}", hub.name))
        .await
        .unwrap();
    let owner = json!([{
        "apiVersion": "v1", "kind": "Node", "name": hub.name, "uid": node["metadata"]["uid"], "controller": true,
    }]);
    let made = pod(name).in_namespace(&hub.name).on(&hub.name);
    made.label("app", "web")
        .annotation(MIRROR, hash)
        .with("/metadata/ownerReferences", owner)
        .with("/spec/enableServiceLinks", true)
        .into_value()
}

/// DELETE as the kubelet does it; `uid`: which one it means.
pub(crate) fn delete(path: &str, uid: Option<&str>) -> Raw {
    let preconditions = uid.map_or_else(|| json!({}), |uid| json!({ "uid": uid }));
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": preconditions,
    });
    Raw::new(Method::DELETE, path).body(JSON, options.to_string())
}

async fn send(api: &Api, request: Raw) -> (u16, Value) {
    let reply = api.send(request).await.unwrap();
    (reply.status, body(&reply))
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// A node with the mirror pod `steady`, of which a watch in JSON tells.
struct Site<'s> {
    hub: Hub<'s>,
    pods: String,
    path: String,
    before: Value,
    watch: Watch,
}

impl Site<'_> {
    async fn start(name: &str) -> Self {
        let hub = Hub::start(server().await, name).await;
        let pods_path = format!("/api/v1/namespaces/{name}/pods");
        let node = hub.node();
        let v1 = mirror_pod(&hub, "steady", "v1").await;
        let create = async || match node.post(&pods_path, v1.clone()).await.unwrap() {
            (201, made) => Ok(made),
            other => Err(other),
        };
        let before = wait_for("the node to be allowed to make a mirror pod", SOON, create).await;
        let list = wait_for("the mirror to have it", SOON, async || {
            let list = listed(&hub).await;
            if list["items"][0]["metadata"]["uid"] == before["metadata"]["uid"] {
                Ok(list)
            } else {
                Err(list)
            }
        })
        .await;
        let watch = watch(&hub, text(&list, "resourceVersion")).await;
        Self {
            path: format!("{pods_path}/steady"),
            pods: pods_path,
            hub,
            before,
            watch,
        }
    }

    async fn send(&self, request: Raw) -> (u16, Value) {
        send(&self.hub.node(), request).await
    }

    async fn next(&mut self) -> (String, Value) {
        let event = self.watch.event().await.unwrap().expect("the watch goes on");
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        (kind, event["object"].clone())
    }

    async fn stand_ins(&self) -> u64 {
        self.hub.metric("yurthub_mirror_pod_stand_ins", "").await
    }

    /// Replaces the mirror pod that is shown, as the kubelet does. Returns the new one.
    async fn replace(&mut self, shown: &Value) -> Value {
        let (status, deleted) = self.send(delete(&self.path, Some(text(shown, "uid")))).await;
        assert_eq!(status, 200, "{deleted}");
        let (mut event, mut object) = self.next().await;
        if event == "MODIFIED" && !text(&object, "deletionTimestamp").is_empty() {
            (event, object) = self.next().await; // the cloud tells of the end of a pod twice
        }
        assert_eq!(
            (&*event, text(&object, "uid")),
            ("DELETED", text(shown, "uid")),
            "{object}"
        );
        let posted = mirror_pod(&self.hub, "steady", "v2").await;
        let (status, made) = self.hub.node().post(&self.pods, posted).await.unwrap();
        assert_eq!(status, 201, "{made}");
        let (event, object) = self.next().await;
        assert_eq!((&*event, text(&object, "uid")), ("ADDED", text(&made, "uid")));
        made
    }
}

async fn listed(hub: &Hub<'_>) -> Value {
    body(&read(&hub.node(), &format!("{}&resourceVersion=0", pods(hub)), JSON).await)
}

async fn watch(hub: &Hub<'_>, version: &str) -> Watch {
    let path = format!("{}&watch=true&resourceVersion={version}", pods(hub));
    hub.node().watch(&path, JSON).await.unwrap()
}

fn running(uid: &str, ip: &str) -> Value {
    json!({
        "metadata": { "uid": uid },
        "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }] },
    })
}

#[tokio::test]
async fn a_mirror_pod_is_replaced_here_while_away_and_in_the_cloud_afterwards() {
    let mut site = Site::start("static-replaced").await;
    let old = text(&site.before, "uid").to_owned();
    site.hub.cut().await;

    for (uid, expected) in [("another", 409), ("", 409)] {
        let (status, answer) = site.send(delete(&site.path, Some(uid))).await;
        assert_eq!(
            (status, &answer["reason"]),
            (expected, &json!("Conflict")),
            "{answer}"
        );
    }
    let posted = mirror_pod_offline(&site.before, "v2");
    let (status, answer) = site.hub.node().post(&site.pods, posted.clone()).await.unwrap();
    assert_eq!(
        (status, &answer["reason"]),
        (409, &json!("AlreadyExists")),
        "{answer}"
    );

    let (status, _) = site.send(delete(&site.path, Some(&old))).await;
    assert_eq!(status, 200);
    let (event, gone) = site.next().await;
    assert_eq!((&*event, text(&gone, "uid")), ("DELETED", &*old));
    assert_eq!(site.send(delete(&site.path, None)).await.0, 404, "it is deleted");
    let (status, answer) = site.hub.node().get(&site.path).await.unwrap();
    assert_eq!((status, &answer["reason"]), (404, &json!("NotFound")), "{answer}");
    assert_eq!(listed(&site.hub).await["items"], json!([]));

    let (status, made) = site.hub.node().post(&site.pods, posted.clone()).await.unwrap();
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["metadata"]["annotations"][MIRROR], "v2");
    assert_eq!(
        (&made["status"], &made["spec"]),
        (&json!({ "phase": "Pending" }), &posted["spec"])
    );
    let new = text(&made, "uid").to_owned();
    assert_ne!(new, old);
    let (event, added) = site.next().await;
    assert_eq!((&*event, &added), ("ADDED", &made));
    assert_eq!(
        site.hub.node().get(&site.path).await.unwrap(),
        (200, made.clone())
    );
    let list = listed(&site.hub).await;
    assert_eq!(text(&list, "resourceVersion"), text(&made, "resourceVersion"));
    assert_eq!(list["items"][0]["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(site.hub.node().post(&site.pods, posted).await.unwrap().0, 409);

    let status_path = format!("{}/status", site.path);
    let other = site
        .send(patch(&status_path, STRATEGIC, &running(&old, "10.0.0.1")))
        .await;
    assert_eq!(other.0, 409, "of the pod from before: {}", other.1);
    let (status, patched) = site
        .send(patch(&status_path, STRATEGIC, &running(&new, "10.0.0.2")))
        .await;
    assert_eq!((status, &patched["status"]["podIP"]), (200, &json!("10.0.0.2")));
    assert_eq!(site.next().await, ("MODIFIED".to_owned(), patched.clone()));
    let versions =
        [&gone, &added, &patched].map(|object| text(object, "resourceVersion").parse::<u64>().unwrap());
    assert!(
        versions.is_sorted() && versions[0] >= OWN_VERSIONS,
        "{versions:?}"
    );
    assert_eq!(
        site.hub.metric("yurthub_journal_entries", "").await,
        0,
        "never sent"
    );
    assert_eq!(site.stand_ins().await, 1);

    site.hub.join().await;
    let (event, object) = site.next().await;
    assert_eq!((&*event, text(&object, "uid")), ("DELETED", &*new));
    let (event, object) = site.next().await;
    assert_eq!((&*event, text(&object, "uid")), ("ADDED", &*old));
    assert_eq!(site.stand_ins().await, 0);
    assert_eq!(
        site.hub.node().get(&site.path).await.unwrap(),
        (200, site.before.clone()),
        "the cloud's"
    );
    let replaced = site.replace(&object).await;
    let (_, in_cloud) = site.hub.direct().get(&site.path).await.unwrap();
    assert_eq!(in_cloud, replaced);
    assert_ne!(text(&in_cloud, "uid"), new, "nothing was sent");
}

/// As [`mirror_pod`], where the apiserver cannot be asked.
fn mirror_pod_offline(before: &Value, hash: &str) -> Value {
    let mut posted = before.clone();
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    ] {
        posted["metadata"].as_object_mut().unwrap().remove(field);
    }
    posted["metadata"]["annotations"][MIRROR] = hash.into();
    posted["kind"] = "Pod".into();
    posted["apiVersion"] = "v1".into();
    posted
}

#[tokio::test]
async fn a_restart_while_away_forgets_stand_ins_and_whoever_saw_one_lists_anew() {
    let mut site = Site::start("static-restart").await;
    let before = site.before.clone();
    site.hub.store_is_quiet().await;
    site.hub.cut().await;
    let stand_in = site.replace(&before).await;
    site.hub.restart().await;
    site.hub.cloud_is(false).await;

    let mut stale = watch(&site.hub, text(&stand_in, "resourceVersion")).await;
    let event = stale.event().await.unwrap().expect("a frame");
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410)),
        "{event}"
    );
    // A client whose version is gone asks for the newest list.
    let list = body(&read(&site.hub.node(), &pods(&site.hub), JSON).await);
    assert_eq!(
        list["items"][0]["metadata"]["uid"], before["metadata"]["uid"],
        "{list}"
    );
    site.watch = watch(&site.hub, text(&list, "resourceVersion")).await;
    let again = site.replace(&before).await;
    assert_ne!(text(&again, "uid"), text(&stand_in, "uid"));
    assert_eq!(site.stand_ins().await, 1);

    site.hub.join().await;
    for (expected, uid) in [("DELETED", &again), ("ADDED", &before)] {
        let (event, object) = site.next().await;
        assert_eq!((&*event, text(&object, "uid")), (expected, text(uid, "uid")));
    }
}

#[tokio::test]
async fn what_is_only_removed_or_only_made_is_so_here_until_the_cloud_is_back() {
    let mut site = Site::start("static-removed").await;
    let before = site.before.clone();
    let fresh = mirror_pod(&site.hub, "fresh", "v1").await;
    site.hub.cut().await;
    // As the kubelet deletes a mirror pod whose static pod is gone: whichever it is.
    assert_eq!(site.send(delete(&site.path, None)).await.0, 200);
    assert_eq!(site.next().await.0, "DELETED");
    let (status, made) = site.hub.node().post(&site.pods, fresh).await.unwrap();
    assert_eq!(status, 201, "{made}");
    let (event, object) = site.next().await;
    assert_eq!((&*event, text(&object, "name")), ("ADDED", "fresh"));
    let list = listed(&site.hub).await;
    let names: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(item, "name"))
        .collect();
    assert_eq!(names, ["fresh"]);
    let path = format!("{}/fresh", site.pods);
    assert_eq!(site.send(delete(&path, Some(text(&made, "uid")))).await.0, 200);
    assert_eq!(site.next().await.0, "DELETED");
    let again = mirror_pod_offline(&made, "v2");
    assert_eq!(site.hub.node().post(&site.pods, again).await.unwrap().0, 201);
    assert_eq!(site.next().await.0, "ADDED");
    site.hub.join().await;
    let (mut events, expected) = (Vec::new(), [("DELETED", "fresh"), ("ADDED", "steady")]);
    for _ in expected {
        let (event, object) = site.next().await;
        events.push((event, text(&object, "name").to_owned()));
    }
    assert_eq!(
        events,
        expected.map(|(event, name)| (event.to_owned(), name.to_owned()))
    );
    let (status, shown) = site.hub.node().get(&site.path).await.unwrap();
    assert_eq!(
        (status, &shown["metadata"]["uid"]),
        (200, &before["metadata"]["uid"])
    );
    assert_eq!(
        site.hub.server.admin().get(&path).await.unwrap().0,
        404,
        "nothing was sent"
    );
}

#[tokio::test]
async fn every_other_write_of_a_pod_still_needs_the_cloud() {
    let site = Site::start("static-others").await;
    let hub = &site.hub;
    let plain = pod("plain").in_namespace(&hub.name).on(&hub.name);
    plain.create(hub.server.admin()).await.unwrap();
    wait_for("the mirror to have it", SOON, async || {
        listed(hub).await["items"].as_array().unwrap().len() == 2
    })
    .await;
    hub.cut().await;
    let posted = |change: fn(&mut Value)| {
        let mut posted = mirror_pod_offline(&site.before, "v2");
        posted["metadata"]["name"] = "other".into();
        change(&mut posted);
        Raw::new(Method::POST, site.pods.clone()).body(JSON, posted.to_string())
    };
    let slowly = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 30 });
    let slowly = slowly.to_string();
    for (request, what) in [
        (delete(&plain.path(), None), "a pod of the cloud"),
        (
            delete(&format!("{}/unknown", site.pods), None),
            "one that is not here",
        ),
        (Raw::new(Method::DELETE, &*site.path), "with its grace period"),
        (Raw::new(Method::DELETE, &*site.path).body(JSON, slowly), "slowly"),
        (delete(&format!("{}?dryRun=All", site.path), None), "in play"),
        (
            posted(|pod| pod["spec"]["nodeName"] = "elsewhere".into()),
            "of another node",
        ),
        (
            posted(|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("annotations"))),
            "no mirror pod",
        ),
        (
            posted(|pod| drop(pod["metadata"].as_object_mut().unwrap().remove("ownerReferences"))),
            "owned by nobody",
        ),
        (
            Raw::new(Method::PUT, &*site.path).body(JSON, site.before.to_string()),
            "changed",
        ),
    ] {
        let (status, answer) = site.send(request).await;
        assert_eq!(status, 503, "{what}: {answer}");
    }
    assert_eq!(site.stand_ins().await, 0);
    assert_eq!(listed(hub).await["items"].as_array().unwrap().len(), 2);
    // Another kubelet is nobody here, as before.
    let other = hub.server.authority().node_cert("elsewhere").unwrap();
    let (status, answer) = send(&hub.api(Some(&other)), delete(&site.path, None)).await;
    assert_eq!(status, 403, "{answer}");
}

#[tokio::test]
async fn kubelets_that_write_protobuf_are_served_in_it() {
    let site = Site::start("static-protobuf").await;
    let hub = &site.hub;
    let node = hub.node();
    let all = format!("{}&resourceVersion=0", pods(hub));
    let items = async || {
        let reply = read(&node, &all, PROTOBUF).await;
        list::decode(Encoding::Protobuf, &reply.body).unwrap().items
    };
    let item = wait_for("the mirror to have it in protobuf", SOON, async || {
        items().await.first().cloned()
    })
    .await;
    let mut posted = item.to_vec();
    for field in [5, 6, 7, 8, 17] {
        posted = set_field(&posted, &[1, field], &NewValue::Absent).unwrap();
    }
    hub.cut().await;
    let uid = meta::read(Encoding::Protobuf, &item).unwrap().uid;
    let mut options = vec![0x08, 0]; // grace period 0
    let mut preconditions = Vec::new();
    wire::put_bytes(&mut preconditions, 1, uid.as_bytes());
    wire::put_bytes(&mut options, 2, &preconditions);
    let body_of = |kind: &str, item: Vec<u8>| {
        single::join(Encoding::Protobuf, &TypeMeta::new("v1", kind), &item.into())
    };
    let ask = async |method: Method, path: &str, body| {
        let request = Raw::new(method, path).body(PROTOBUF, body);
        let request = request.header(http::header::ACCEPT, PROTOBUF.parse().unwrap());
        node.send(request).await.unwrap()
    };
    let meta_of = |reply: &Reply| {
        let (_, item) = single::split(Encoding::Protobuf, &reply.body).unwrap();
        meta::read(Encoding::Protobuf, &item).unwrap()
    };
    let deleted = ask(Method::DELETE, &site.path, body_of("DeleteOptions", options)).await;
    assert_eq!((deleted.status, meta_of(&deleted).uid), (200, uid.clone()));
    assert_eq!(items().await.len(), 0);
    let made = ask(Method::POST, &site.pods, body_of("Pod", posted)).await;
    assert_eq!(made.status, 201);
    let made = meta_of(&made);
    assert_ne!(made.uid, uid);
    let shown = items().await;
    assert_eq!(meta::read(Encoding::Protobuf, &shown[0]), Ok(made.clone()));
    let status_path = format!("{}/status", site.path);
    let patched = node
        .send(
            patch(&status_path, STRATEGIC, &running(&made.uid, "10.0.0.2"))
                .header(http::header::ACCEPT, PROTOBUF.parse().unwrap()),
        )
        .await
        .unwrap();
    assert_eq!(patched.status, 200);
    assert!(String::from_utf8_lossy(&items().await[0]).contains("10.0.0.2"));
    // In the other encoding the pod from before is gone, and a person is shown the new one decoded.
    assert_eq!(listed(hub).await["items"], json!([]));
    let (status, shown) = node.get(&site.path).await.unwrap();
    assert_eq!(
        (status, &shown["metadata"]["uid"]),
        (200, &json!(made.uid)),
        "{shown}"
    );
}
