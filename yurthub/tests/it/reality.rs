//! EndpointSlices as local readers see them: what this node's kubelet reports counts, whether the cloud can be told or not.
//!
//! The kit has no controllers, so the slices are what a test writes: the cloud never catches up by itself.

mod mirror_pods;
mod neighbours;
mod pool;
mod slices;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yurt_testkit::objects::{pod, service, service_account};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, ApiServer, wait_for};
use yurthub_object::watch::EventType;

use crate::accounts::token;
use crate::hub::{Hub, JSON, PROTOBUF, SOON, STRATEGIC, patch, server};
use slices::{Events, Seen, endpoint, listed, one};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
/// How soon a report must show in endpoints.
const PROMPT: Duration = Duration::from_secs(2);

/// A node with the pods `a` and `b`, the Service `web` with both and the pod `c` of another node, and the account
/// `reader`, which may read EndpointSlices, as the node may.
struct Site<'s> {
    hub: Hub<'s>,
    reader: String,
    uids: BTreeMap<&'static str, String>,
    /// With the file that says which boot this is.
    boots: Scratch,
}

impl<'s> Site<'s> {
    async fn start(name: &str) -> Self {
        Self::start_on(server().await, name, &[]).await
    }

    /// The same on another server, with more flags.
    async fn start_on(server: &'s ApiServer, name: &str, flags: &[&str]) -> Self {
        let boots = Scratch::new().unwrap();
        std::fs::write(boots.path().join("boot_id"), "first\n").unwrap();
        let flag = format!("--boot-id-file={}", boots.path().join("boot_id").display());
        let flags = [&[flag.as_str()], flags].concat();
        let hub = Hub::start_with(server, name, &flags).await;
        let admin = hub.server.admin();
        service_account("reader")
            .in_namespace(name)
            .ensure(admin)
            .await
            .unwrap();
        service("web").in_namespace(name).ensure(admin).await.unwrap();
        let reader = pod("reader")
            .in_namespace(name)
            .on(name)
            .with("/spec/serviceAccountName", "reader");
        reader.ensure(admin).await.unwrap();
        let mut uids = BTreeMap::new();
        for (pod_name, node) in [("a", name), ("b", name), ("c", "elsewhere")] {
            let made = pod(pod_name)
                .in_namespace(name)
                .on(node)
                .create(admin)
                .await
                .unwrap();
            uids.insert(pod_name, made["metadata"]["uid"].as_str().unwrap().to_owned());
        }
        may_read_slices(&hub).await;
        let reader = token(&hub, "reader", Some("reader")).await;
        let site = Self {
            hub,
            reader,
            uids,
            boots,
        };
        site.mirrors().await;
        site
    }

    /// Waits until the hub has the pods in both encodings, and the slices shared by those who may read them.
    async fn mirrors(&self) {
        let pods = format!(
            "/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{}",
            self.hub.name
        );
        wait_for(
            "the mirror to have the pods and to judge the token",
            SOON,
            async || {
                self.hub.node().get(&pods).await.unwrap();
                let (status, answer) = self.reader().get(&self.all()).await.unwrap();
                if status == 200 && self.hub.metric("yurthub_tokens_verified_total", "").await > 0 {
                    Ok(())
                } else {
                    Err(answer)
                }
            },
        )
        .await;
    }

    fn reader(&self) -> Api {
        self.hub.api(None).with_token(&self.reader).unwrap()
    }

    fn all(&self) -> String {
        format!("{}?resourceVersion=0", self.slices())
    }

    fn slices(&self) -> String {
        format!(
            "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
            self.hub.name
        )
    }

    /// The slice with these endpoints: pod, address, ready.
    fn slice(&self, endpoints: &[(&str, &str, bool)]) -> Value {
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|(pod, address, ready)| {
                let node = if *pod == "c" { "elsewhere" } else { &self.hub.name };
                endpoint((*pod, &self.uids[pod]), node, (address, *ready))
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "web-1", "namespace": self.hub.name,
                          "labels": { "kubernetes.io/service-name": "web" } },
            "ports": [{ "name": "", "port": 80, "protocol": "TCP" }], "endpoints": endpoints,
        })
    }

    /// What the kubelet reports of a pod: addresses are merged by themselves, so it deletes the one from before.
    async fn report(&self, pod: &str, address: &str, ready: bool) {
        let (node, ready) = (self.hub.node(), if ready { "True" } else { "False" });
        let path = format!("/api/v1/namespaces/{}/pods/{pod}", self.hub.name);
        let (_, before) = node.get(&path).await.unwrap();
        let mut ips = vec![json!({ "ip": address })];
        if let Some(before) = before["status"]["podIP"]
            .as_str()
            .filter(|before| *before != address)
        {
            ips.push(json!({ "$patch": "delete", "ip": before }));
        }
        let status = json!({
            "metadata": { "uid": self.uids[pod] },
            "status": { "phase": "Running", "podIP": address, "podIPs": ips,
                        "conditions": [{ "type": "Ready", "status": ready },
                                       { "type": "ContainersReady", "status": ready }] },
        });
        let request = patch(&format!("{path}/status"), STRATEGIC, &status);
        let reply = node.send(request).await.unwrap();
        assert_eq!(reply.status, 200, "{}", crate::hub::json(&reply));
    }

    /// The slice, from lists and gets in both encodings: all must agree.
    async fn shown(&self) -> Result<Seen, String> {
        let (reader, name) = (
            self.reader(),
            format!("{}/web-1?resourceVersion=0", self.slices()),
        );
        let expected = listed(&reader, &self.all(), JSON).await;
        for (what, other) in [
            ("list in protobuf", listed(&reader, &self.all(), PROTOBUF).await),
            ("get in JSON", one(&reader, &name, JSON).await),
            ("get in protobuf", one(&reader, &name, PROTOBUF).await),
        ] {
            if other != expected {
                return Err(format!("{what}: {other:?}, list in JSON: {expected:?}"));
            }
        }
        Ok(expected)
    }

    async fn shows(&self, what: &str, expected: &[(&str, &str, bool)]) {
        let expected = seen(expected);
        wait_for(what, SOON, async || match self.shown().await {
            Ok(shown) if shown == expected => Ok(()),
            other => Err(other),
        })
        .await;
    }

    async fn overlays(&self) -> u64 {
        self.hub.metric("yurthub_endpoint_overlays", "").await
    }
}

fn seen(endpoints: &[(&str, &str, bool)]) -> Seen {
    let entry =
        |(pod, address, ready): &(&str, &str, bool)| ((*pod).to_owned(), ((*address).to_owned(), *ready));
    endpoints.iter().map(entry).collect()
}

/// The account `reader` and the node may read services and EndpointSlices; default nodes may not.
async fn may_read_slices(hub: &Hub<'_>) {
    let admin = hub.server.admin();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": hub.name },
        "rules": [{ "apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices"],
                    "verbs": ["get", "list", "watch"] }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": hub.name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": hub.name },
        "subjects": [
            { "kind": "ServiceAccount", "name": "reader", "namespace": hub.name },
            { "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("system:node:{}", hub.name) },
        ],
    });
    for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let (status, answer) = admin.post(&format!("{RBAC}/{resource}"), object).await.unwrap();
        assert_eq!(status, 201, "{answer}");
    }
    wait_for("the node to be allowed", SOON, async || {
        let path = "/apis/discovery.k8s.io/v1/endpointslices?limit=1";
        hub.direct().get(path).await.unwrap().0 == 200
    })
    .await;
}

const BEFORE: [(&str, &str, bool); 3] = [
    ("a", "10.0.0.1", true),
    ("b", "10.0.0.2", true),
    ("c", "10.0.9.3", true),
];

#[tokio::test]
async fn while_cut_readers_see_the_endpoints_that_the_kubelet_reports() {
    let mut site = Site::start("reality").await;
    let admin = site.hub.server.admin();
    for (pod, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        site.report(pod, address, true).await;
    }
    let (status, made) = admin.post(&site.slices(), site.slice(&BEFORE)).await.unwrap();
    assert_eq!(status, 201, "{made}");
    site.shows("the cloud's slice", &BEFORE).await;
    assert_eq!(site.overlays().await, 0, "nothing differs");
    let mut watches = [
        Events::open(&site.reader(), &site.all(), JSON).await,
        Events::open(&site.reader(), &site.all(), PROTOBUF).await,
    ];
    site.hub.store_is_quiet().await;
    site.hub.cut().await;

    let (unready, moved) = (
        [("a", "10.0.0.1", false), BEFORE[1], BEFORE[2]],
        [("a", "10.0.0.1", false), ("b", "10.0.0.7", true), BEFORE[2]],
    );
    for (pod, address, ready, expected) in [("a", "10.0.0.1", false, unready), ("b", "10.0.0.7", true, moved)]
    {
        let start = Instant::now();
        site.report(pod, address, ready).await;
        for watch in &mut watches {
            assert_eq!(
                watch.next().await,
                (EventType::Modified, seen(&expected)),
                "once each"
            );
        }
        let took = start.elapsed();
        println!("a report of {pod} showed after {took:?}");
        assert!(took < PROMPT, "{took:?}");
        assert_eq!(site.shown().await, Ok(seen(&expected)));
    }
    assert_eq!(site.overlays().await, 2, "one for each encoding");

    site.hub.restart().await;
    site.hub.cloud_is(false).await;
    assert_eq!(site.shown().await, Ok(seen(&moved)), "after a restart");
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;

    // What the cloud says of others, and what it does not know better, arrives with what it says wrong put right.
    let other = ("c", "10.0.9.4", false);
    let path = format!("{}/web-1", site.slices());
    let (status, _) = admin
        .put(&path, site.slice(&[BEFORE[0], BEFORE[1], other]))
        .await
        .unwrap();
    assert_eq!(status, 200);
    site.hub.join().await;
    let both = [moved[0], moved[1], other];
    assert_eq!(
        watch.next().await,
        (EventType::Modified, seen(&both)),
        "never the cloud's old word"
    );
    site.shows("the cloud's change of another endpoint", &both).await;

    // The cloud has caught up: its object is shown.
    let (status, now) = admin.put(&path, site.slice(&both)).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(watch.next().await, (EventType::Modified, seen(&both)));
    wait_for("the cloud's object to be shown", SOON, async || {
        let (_, shown) = site
            .reader()
            .get(&format!("{path}?resourceVersion=0"))
            .await
            .unwrap();
        if shown == now { Ok(()) } else { Err(shown) }
    })
    .await;
    wait_for("no overlay to be left", SOON, async || site.overlays().await == 0).await;
}

#[tokio::test]
async fn what_the_cloud_thinks_of_a_silent_node_does_not_count_on_it() {
    let site = Site::start("reality-silent").await;
    let admin = site.hub.server.admin();
    site.report("a", "10.0.0.1", true).await;
    site.report("b", "10.0.0.2", false).await;
    let here = [BEFORE[0], ("b", "10.0.0.2", false), BEFORE[2]];
    admin.post(&site.slices(), site.slice(&here)).await.unwrap();
    site.shows("the cloud's slice", &here).await;
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;
    site.hub.cut().await;
    // As the controllers do after the node's grace period: the pods first, then their endpoints.
    for pod in ["a", "b"] {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/status", site.hub.name);
        let silent = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
        let reply = admin.send(patch(&path, STRATEGIC, &silent)).await.unwrap();
        assert_eq!(reply.status, 200);
    }
    let path = format!("{}/web-1", site.slices());
    let (other, last) = (("c", "10.0.9.4", true), ("c", "10.0.9.5", true));
    let dead = [("a", "10.0.0.1", false), here[1]];
    admin
        .put(&path, site.slice(&[dead[0], dead[1], other]))
        .await
        .unwrap();
    site.hub.join().await;
    assert_eq!(
        watch.next().await.1,
        seen(&[here[0], here[1], other]),
        "no flapping"
    );
    wait_for("the cloud's pods", SOON, async || {
        let path = format!("/api/v1/namespaces/{}/pods/a?resourceVersion=0", site.hub.name);
        let (_, shown) = site.hub.node().get(&path).await.unwrap();
        shown["status"]["conditions"][0]["status"] == "False"
    })
    .await;
    admin
        .put(&path, site.slice(&[dead[0], dead[1], last]))
        .await
        .unwrap();
    assert_eq!(
        watch.next().await.1,
        seen(&[here[0], here[1], last]),
        "no flapping"
    );
}

#[tokio::test]
async fn with_the_cloud_the_kubelets_word_comes_first_and_the_clouds_next_one_counts() {
    let site = Site::start("reality-online").await;
    let admin = site.hub.server.admin();
    site.report("a", "10.0.0.1", true).await;
    site.report("b", "10.0.0.2", true).await;
    admin.post(&site.slices(), site.slice(&BEFORE)).await.unwrap();
    site.shows("the cloud's slice", &BEFORE).await;
    site.report("a", "10.0.0.1", false).await;
    site.shows("the report", &[("a", "10.0.0.1", false), BEFORE[1], BEFORE[2]])
        .await;
    // A Service may publish pods before they are ready.
    let services = format!("/api/v1/namespaces/{}/services", site.hub.name);
    let (status, _) = site
        .reader()
        .get(&format!("{services}?resourceVersion=0"))
        .await
        .unwrap();
    assert_eq!(status, 200);
    for publish in [true, false] {
        let spec = json!({ "spec": { "publishNotReadyAddresses": publish } });
        let (status, answer) = admin.patch(&format!("{services}/web"), spec).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let expected = [("a", "10.0.0.1", publish), BEFORE[1], BEFORE[2]];
        site.shows("what the Service publishes", &expected).await;
    }
    // The pod is gone in the cloud, and so is its endpoint a moment later.
    let pod = format!("/api/v1/namespaces/{}/pods/b?gracePeriodSeconds=0", site.hub.name);
    admin.delete(&pod).await.unwrap();
    let dead = [("a", "10.0.0.1", false), ("b", "10.0.0.2", false), BEFORE[2]];
    site.shows("no traffic for a pod that is gone", &dead).await;
    let path = format!("{}/web-1", site.slices());
    let last = [("a", "10.0.0.1", false), BEFORE[2]];
    admin.put(&path, site.slice(&last)).await.unwrap();
    site.shows("the cloud's object", &last).await;
    wait_for("no overlay to be left", SOON, async || site.overlays().await == 0).await;
}

#[tokio::test]
async fn after_a_boot_endpoints_of_this_node_wait_for_the_kubelets_reports() {
    let mut site = Site::start("reality-boot").await;
    let admin = site.hub.server.admin();
    site.report("a", "10.0.0.1", true).await;
    site.report("b", "10.0.0.2", true).await;
    admin.post(&site.slices(), site.slice(&BEFORE)).await.unwrap();
    site.shows("the cloud's slice", &BEFORE).await;
    site.hub.store_is_quiet().await;
    site.hub.cut().await;

    std::fs::write(site.boots.path().join("boot_id"), "second\n").unwrap();
    site.hub.restart().await;
    site.hub.cloud_is(false).await;
    let dead = [("a", "10.0.0.1", false), ("b", "10.0.0.2", false), BEFORE[2]];
    assert_eq!(site.shown().await, Ok(seen(&dead)));
    // One with another address, and one that got the same again.
    site.report("a", "10.0.0.8", true).await;
    let one = [("a", "10.0.0.8", true), ("b", "10.0.0.2", false), BEFORE[2]];
    site.shows("the report of one", &one).await;
    site.report("b", "10.0.0.2", true).await;
    site.hub.kill(); // an acknowledged report is not waited for again
    site.hub.restart().await;
    site.hub.cloud_is(false).await;
    let both = [("a", "10.0.0.8", true), BEFORE[1], BEFORE[2]];
    assert_eq!(site.shown().await, Ok(seen(&both)));
    site.hub.join().await;
    site.shows("the same with the cloud", &both).await;

    // A boot with the cloud there: reports go to it, and come back with its watch.
    std::fs::write(site.boots.path().join("boot_id"), "third\n").unwrap();
    site.hub.restart().await;
    site.hub.cloud_is(true).await;
    site.shows("the cloud's addresses, dead", &dead).await;
    site.mirrors().await;
    site.report("a", "10.0.0.8", true).await;
    site.report("b", "10.0.0.2", false).await;
    site.shows("the reports", &[both[0], ("b", "10.0.0.2", false), BEFORE[2]])
        .await;
}

#[tokio::test]
async fn switched_off_the_clouds_word_is_all_there_is() {
    let name = "reality-off";
    let hub = Hub::start_with(server().await, name, &["--endpoint-reality=false"]).await;
    let admin = hub.server.admin();
    let made = pod("a").in_namespace(name).on(name).create(admin).await.unwrap();
    may_read_slices(&hub).await;
    let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
    let site = Site {
        hub,
        reader: String::new(),
        uids: BTreeMap::from([("a", uid)]),
        boots: Scratch::new().unwrap(),
    };
    let slice = [("a", "10.0.0.1", true)];
    admin.post(&site.slices(), site.slice(&slice)).await.unwrap();
    let node = site.hub.node();
    let pods = format!("/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{name}");
    assert_eq!(node.get(&pods).await.unwrap().0, 200);
    wait_for("the slice", SOON, async || {
        listed(&node, &site.all(), JSON).await == seen(&slice)
    })
    .await;
    let mut watch = Events::open(&node, &site.all(), JSON).await;
    site.report("a", "10.0.0.5", false).await;
    site.hub.cut().await;
    site.report("a", "10.0.0.6", false).await;
    site.hub.join().await;
    let last = [("a", "10.0.0.7", true)];
    admin
        .put(&format!("{}/web-1", site.slices()), site.slice(&last))
        .await
        .unwrap();
    assert_eq!(
        watch.next().await,
        (EventType::Modified, seen(&last)),
        "nothing in between"
    );
}
