//! Watchers over the hub see each change once and in order, whatever happens to the link, the hub and the apiserver.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, OnceCell};
use yurt_testkit::api::{Raw, Watch};
use yurt_testkit::objects::{config_map, ensure_namespace};
use yurt_testkit::{Api, ApiServer, wait_for};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, may_do_everything, server};

/// The apiserver of tests that restart it or make it forget: one at a time.
pub(crate) async fn moody() -> MutexGuard<'static, ApiServer> {
    static MOODY: OnceCell<tokio::sync::Mutex<ApiServer>> = OnceCell::const_new();
    let moody = MOODY.get_or_init(async || {
        let server = ApiServer::start().await.unwrap();
        ensure_namespace(server.admin(), "kube-node-lease").await.unwrap();
        tokio::sync::Mutex::new(server)
    });
    moody.await.lock().await
}

/// What one of kube's watchers has told, with the number in the object.
#[derive(Clone, Default)]
pub(crate) struct Told {
    changes: Arc<Mutex<Vec<String>>>,
    lists: Arc<Mutex<usize>>,
    pub(crate) objects: Arc<Mutex<BTreeMap<String, String>>>,
    /// A list that is under way: as in kube's own store, it takes the place of what was known.
    listed: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Told {
    fn take(&self, event: Event<ConfigMap>) {
        let describe = |map: &ConfigMap| {
            let data = map.data.clone().unwrap_or_default();
            (
                map.metadata.name.clone().unwrap(),
                data.get("n").cloned().unwrap_or_default(),
            )
        };
        let mut objects = self.objects.lock().unwrap();
        match event {
            Event::Init => {
                *self.lists.lock().unwrap() += 1;
                self.listed.lock().unwrap().clear();
            }
            Event::InitApply(map) => self.listed.lock().unwrap().extend([describe(&map)]),
            Event::InitDone => *objects = std::mem::take(&mut *self.listed.lock().unwrap()),
            Event::Apply(map) => {
                let (name, number) = describe(&map);
                self.changes.lock().unwrap().push(format!("{name}={number}"));
                objects.insert(name, number);
            }
            Event::Delete(map) => {
                let (name, _) = describe(&map);
                self.changes.lock().unwrap().push(format!("-{name}"));
                objects.remove(&name);
            }
        }
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        self.changes.lock().unwrap().clone()
    }
}

/// Starts kube's watcher over the hub; it ends with its task.
pub(crate) async fn follow(hub: &Hub<'_>, config: watcher::Config) -> (Told, tokio::task::JoinHandle<()>) {
    let path = hub.folder().join("kube");
    let pki = hub.folder().join("data/pki/ca.crt");
    hub.kubelet.write(hub.folder(), "kube").unwrap();
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: hub,
           contexts: [{{name: hub, context: {{cluster: hub, user: node}}}}],
           clusters: [{{name: hub, cluster: {{certificate-authority: '{}', server: 'https://{}'}}}}],
           users: [{{name: node, user: {{client-certificate: kube.crt, client-key: kube.key}}}}]}}",
        pki.display(),
        hub.address
    );
    std::fs::write(&path, kubeconfig).unwrap();
    let kubeconfig = Kubeconfig::read_from(&path).unwrap();
    let options = KubeConfigOptions::default();
    let client = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    let client = kube::Client::try_from(client).unwrap();
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client, &hub.name);
    let told = Told::default();
    let taker = told.clone();
    let task = tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(maps, config).default_backoff());
        loop {
            // Errors are the connection's; the watcher goes on by itself.
            if let Ok(Some(event)) = events.try_next().await {
                taker.take(event);
            }
        }
    });
    (told, task)
}

/// Changes the test's objects and remembers what a watcher must tell.
struct Changes<'a> {
    admin: &'a Api,
    namespace: &'a str,
    expected: Vec<String>,
    number: usize,
}

impl Changes<'_> {
    async fn set(&mut self, name: &str) {
        self.number += 1;
        let number = self.number.to_string();
        let map = config_map(name).in_namespace(self.namespace).data("n", &number);
        let (status, answer) = self
            .admin
            .patch(&map.path(), json!({ "data": { "n": number } }))
            .await
            .unwrap();
        if status == 404 {
            map.create(self.admin).await.unwrap();
        } else {
            assert_eq!(status, 200, "{answer}");
        }
        self.expected.push(format!("{name}={number}"));
    }

    async fn delete(&mut self, name: &str) {
        let path = config_map(name).in_namespace(self.namespace).path();
        assert_eq!(self.admin.delete(&path).await.unwrap().0, 200);
        self.expected.push(format!("-{name}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubes_watcher_sees_each_change_once_through_cuts_and_restarts_of_everything() {
    let server = moody().await;
    let mut hub = Hub::start(&server, "informed").await;
    may_do_everything(&hub).await;
    for name in ["a", "b", "c"] {
        config_map(name)
            .in_namespace("informed")
            .data("n", "0")
            .create(server.admin())
            .await
            .unwrap();
    }
    let followers = [
        follow(&hub, watcher::Config::default().any_semantic()).await,
        follow(&hub, watcher::Config::default().streaming_lists()).await,
    ];
    for (told, _) in &followers {
        wait_for("the first list", SOON, async || {
            told.objects.lock().unwrap().len() == 3
        })
        .await;
    }
    let admin = server.admin();
    let mut changes = Changes {
        admin,
        namespace: "informed",
        expected: Vec::new(),
        number: 0,
    };
    for round in 0..5 {
        changes.set("a").await;
        hub.cut().await;
        changes.set("b").await;
        match round {
            1 => {
                changes.set("c").await;
                hub.restart().await;
            }
            // What is not in the new server's memory comes by comparison: each object once.
            2 => server.restart().await.unwrap(),
            3 => {
                // A version that was lost with the hub would be older than all that the new server remembers.
                hub.store_is_quiet().await;
                hub.kill();
                changes.set("new").await;
                changes.delete("new").await;
                hub.restart().await;
            }
            _ => {
                changes.set("a").await;
                changes.set("a").await;
                changes.delete("c").await;
                changes.set("c").await;
            }
        }
        hub.join().await;
        for (told, _) in &followers {
            wait_for("the watcher to catch up", SOON, async || {
                let told = told.changes();
                if told.len() >= changes.expected.len() {
                    Ok(())
                } else {
                    Err((told, &changes.expected))
                }
            })
            .await;
        }
    }
    changes.set("last").await;
    let (_, cloud) = server
        .admin()
        .get("/api/v1/namespaces/informed/configmaps")
        .await
        .unwrap();
    let cloud: BTreeMap<String, String> = cloud["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            [&item["metadata"]["name"], &item["data"]["n"]]
                .map(|text| text.as_str().unwrap().to_owned())
                .into()
        })
        .collect();
    for (told, task) in followers {
        wait_for("the last change", SOON, async || {
            told.changes().len() >= changes.expected.len()
        })
        .await;
        assert_eq!(told.changes(), changes.expected);
        assert_eq!(*told.lists.lock().unwrap(), 1, "nothing was listed anew");
        assert_eq!(*told.objects.lock().unwrap(), cloud);
        task.abort();
    }
    assert_eq!(hub.metric("yurthub_mirror_restores_total", "").await, 0);
}

/// Reads events up to the object `last`; each as `TYPE name version`.
pub(crate) async fn until(watch: &mut Watch, last: &str) -> Vec<(String, String, u64)> {
    let mut events = Vec::new();
    loop {
        let event = watch.event().await.unwrap().expect("the watch goes on");
        let meta = &event["object"]["metadata"];
        let version = meta["resourceVersion"].as_str().unwrap().parse().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_ne!(event["type"], "ERROR", "{event}");
        if event["type"] != "BOOKMARK" {
            events.push((text(&event["type"]), text(&meta["name"]), version));
        }
        if meta["name"] == last {
            return events;
        }
    }
}

pub(crate) fn names(events: &[(String, String, u64)]) -> Vec<String> {
    events
        .iter()
        .map(|(event, name, _)| format!("{event} {name}"))
        .collect()
}

pub(crate) async fn watch_now(hub: &Hub<'_>, maps: &str) -> Watch {
    let list = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap()
        .1;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{maps}?watch=true&resourceVersion={version}");
    hub.node().watch(&path, JSON).await.unwrap()
}

#[tokio::test]
async fn a_local_watch_outlives_cuts_and_black_holes_without_a_list() {
    let hub = Hub::start(server().await, "steady").await;
    may_do_everything(&hub).await;
    let admin = hub.server.admin();
    let maps = "/api/v1/namespaces/steady/configmaps";
    let protobuf = Raw::get(format!("{maps}?resourceVersion=0"), PROTOBUF);
    assert_eq!(hub.node().send(protobuf).await.unwrap().status, 200);
    let mut watch = watch_now(&hub, maps).await;
    let lists = hub.metric("yurthub_mirror_lists_total", "").await;
    let mut versions = Vec::new();
    for (round, hole) in [false, true, false].into_iter().enumerate() {
        if hole {
            hub.link.blackhole().await;
            hub.cloud_is(false).await;
            // Connections that were swallowed must not come back to life.
            hub.link.cut().await;
        } else {
            hub.cut().await;
        }
        let make = async |name: &str| {
            let map = config_map(&format!("{name}-{round}")).in_namespace("steady");
            map.create(admin).await.unwrap();
            map.path()
        };
        let first = make("first").await;
        admin
            .patch(&first, json!({ "data": { "a": "b" } }))
            .await
            .unwrap();
        let second = make("second").await;
        admin.delete(&first).await.unwrap();
        let last = make("last").await;
        hub.join().await;
        let events = until(&mut watch, &format!("last-{round}")).await;
        let expected = [
            "ADDED first",
            "MODIFIED first",
            "ADDED second",
            "DELETED first",
            "ADDED last",
        ];
        assert_eq!(names(&events), expected.map(|event| format!("{event}-{round}")));
        versions.extend(events.iter().map(|event| event.2));
        drop((second, last));
    }
    assert!(versions.is_sorted_by(|one, other| one < other), "{versions:?}");
    assert_eq!(hub.metric("yurthub_mirror_lists_total", "").await, lists);
}

#[tokio::test]
async fn a_restarted_hub_goes_on_where_it_was_without_a_list() {
    let mut hub = Hub::start(server().await, "reborn").await;
    may_do_everything(&hub).await;
    let admin = hub.server.admin();
    let maps = "/api/v1/namespaces/reborn/configmaps";
    for name in ["a", "b"] {
        config_map(name)
            .in_namespace("reborn")
            .create(admin)
            .await
            .unwrap();
    }
    let (_, list) = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = hub
        .node()
        .watch(&format!("{maps}?watch=true&resourceVersion={version}"), JSON)
        .await
        .unwrap();
    config_map("c")
        .in_namespace("reborn")
        .create(admin)
        .await
        .unwrap();
    let seen = until(&mut watch, "c").await;
    // What a client has seen is on disk a moment later; the test is of a hub that was quiet when it died.
    hub.store_is_quiet().await;
    hub.kill();
    admin
        .delete(&config_map("a").in_namespace("reborn").path())
        .await
        .unwrap();
    config_map("d")
        .in_namespace("reborn")
        .create(admin)
        .await
        .unwrap();
    hub.restart().await;
    let path = format!("{maps}?watch=true&resourceVersion={}", seen[0].2);
    let mut watch = hub.node().watch(&path, JSON).await.unwrap();
    assert_eq!(names(&until(&mut watch, "d").await), ["DELETED a", "ADDED d"]);
    assert_eq!(hub.metric("yurthub_mirror_lists_total", "").await, 0);
    // The same without a cloud: the client that comes back is served at once.
    hub.link.cut().await;
    hub.store_is_quiet().await;
    hub.restart().await;
    let (status, list) = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap();
    let objects: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].clone())
        .collect();
    assert_eq!((status, objects), (200, vec![json!("b"), json!("c"), json!("d")]));
    let mut watch = watch_now(&hub, maps).await;
    hub.join().await;
    config_map("e")
        .in_namespace("reborn")
        .create(admin)
        .await
        .unwrap();
    assert_eq!(names(&until(&mut watch, "e").await), ["ADDED e"]);
    assert_eq!(hub.metric("yurthub_mirror_lists_total", "").await, 0);
}

#[tokio::test]
async fn forgotten_history_ends_in_a_compared_list_and_no_local_watch() {
    let server = moody().await;
    let hub = Hub::start(&server, "compared").await;
    may_do_everything(&hub).await;
    let admin = server.admin();
    let maps = "/api/v1/namespaces/compared/configmaps";
    for name in ["changed", "gone-1", "gone-2", "gone-3", "same"] {
        config_map(name)
            .in_namespace("compared")
            .create(admin)
            .await
            .unwrap();
    }
    let mut watch = watch_now(&hub, maps).await;
    let lists = hub.metric("yurthub_mirror_lists_total", "").await;
    hub.cut().await;
    let path = |name: &str| config_map(name).in_namespace("compared").path();
    for name in ["gone-1", "gone-2", "gone-3"] {
        admin.delete(&path(name)).await.unwrap();
    }
    for number in ["1", "2"] {
        admin
            .patch(&path("changed"), json!({ "data": { "n": number } }))
            .await
            .unwrap();
    }
    config_map("new")
        .in_namespace("compared")
        .create(admin)
        .await
        .unwrap();
    server.expire_watches().await.unwrap();
    hub.join().await;
    wait_for("the list to be compared", SOON, async || {
        hub.metric("yurthub_mirror_lists_total", "").await > lists
    })
    .await;
    config_map("zz")
        .in_namespace("compared")
        .create(admin)
        .await
        .unwrap();
    let events = until(&mut watch, "zz").await;
    let versions: Vec<u64> = events.iter().map(|event| event.2).collect();
    assert!(
        versions.is_sorted_by(|one, other| one < other),
        "distinct and rising: {events:?}"
    );
    let mut told = names(&events);
    told.sort();
    let expected = [
        "ADDED new",
        "ADDED zz",
        "DELETED gone-1",
        "DELETED gone-2",
        "DELETED gone-3",
        "MODIFIED changed",
    ];
    assert_eq!(told, expected);
    assert_eq!(hub.metric("yurthub_mirror_lists_total", "").await, lists + 1);
    // A client that resumes from one of those deletions gets all that came behind it.
    let (at, event) = events
        .iter()
        .enumerate()
        .find(|(_, event)| event.0 == "DELETED")
        .unwrap();
    let resume = format!("{maps}?watch=true&resourceVersion={}", event.2);
    let mut resumed = hub.node().watch(&resume, JSON).await.unwrap();
    assert_eq!(until(&mut resumed, "zz").await, events[at + 1..]);
    let (_, list) = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap();
    let (_, cloud) = hub.direct().get(maps).await.unwrap();
    assert_eq!(list["items"], cloud["items"]);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_falls_behind_alone() {
    let hub = Hub::start_with(server().await, "slow", &["--ring-events=4"]).await;
    may_do_everything(&hub).await;
    let maps = "/api/v1/namespaces/slow/configmaps";
    let (_, list) = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let path = format!("{maps}?watch=true&resourceVersion={version}");
    let mut quick = hub.node().watch(&path, JSON).await.unwrap();
    for number in 0..8 {
        let map = config_map(&format!("m-{number}")).in_namespace("slow");
        map.create(hub.server.admin()).await.unwrap();
        until(&mut quick, map.name()).await;
    }
    let mut late = hub.node().watch(&path, JSON).await.unwrap();
    let event = late.event().await.unwrap().unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(late.event().await.unwrap(), None);
    config_map("m-last")
        .in_namespace("slow")
        .create(hub.server.admin())
        .await
        .unwrap();
    assert_eq!(names(&until(&mut quick, "m-last").await), ["ADDED m-last"]);
}
