//! What the kubelet is shown otherwise than the cloud has it, so that pods come to yurthub: each filter on and off, when
//! pods are led here, what is counted, and that nobody else sees any of it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use yurt_testkit::objects::{config_map, ensure_namespace, pod, service_account};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, wait_for};

use crate::accounts::Site;
use crate::hub::{SOON, may_do_everything, port, server};

/// As kubeadm writes it.
const KUBE_PROXY: &str = "apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://10.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
";

const FILTERS: [&str; 4] = [
    "trust_bundle",
    "kubernetes_service",
    "service_env",
    "kube_proxy_config",
];

/// Whether an object is as a filter shows it.
type Judge<'a> = &'a dyn Fn(&Value) -> bool;

/// A hub that serves pods, and the kubelet's folder that it looks at.
struct Node<'s> {
    site: Site<'s>,
    pods: SocketAddr,
    kubelet: Scratch,
}

impl Node<'_> {
    async fn start(name: &str, filters: &str, kubelet: Scratch) -> Self {
        let pods = SocketAddr::from((Ipv4Addr::LOCALHOST, port()));
        let flags = [
            format!("--listen-pods={pods}"),
            format!("--kubelet-dir={}", kubelet.path().display()),
            format!("--filters={filters}"),
        ];
        let site = Site::start_with(name, &flags.each_ref().map(String::as_str)).await;
        may_do_everything(&site.hub).await;
        let admin = site.hub.server.admin();
        ensure_namespace(admin, "kube-system").await.unwrap();
        let ca = config_map("kube-root-ca.crt").data("ca.crt", &site.hub.server.authority().pem());
        ca.in_namespace(name).ensure(admin).await.unwrap();
        let proxy = config_map("kube-proxy").data("kubeconfig.conf", KUBE_PROXY);
        proxy.in_namespace("kube-system").ensure(admin).await.unwrap();
        wait_for("the Service kubernetes", SOON, async || {
            admin
                .get("/api/v1/namespaces/default/services/kubernetes")
                .await
                .unwrap()
                .0
                == 200
        })
        .await;
        Self { site, pods, kubelet }
    }

    async fn leads_pods_here(&self) {
        wait_for("pods to be led here", SOON, async || {
            self.site.hub.metric("yurthub_filters_armed", "").await == 1
        })
        .await;
    }

    /// Makes a pod that names the API's address itself.
    async fn make_stubborn_pod(&self, name: &str) {
        let hub = &self.site.hub;
        let env = json!([
            { "name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.1" },
            { "name": "KUBERNETES_SERVICE_PORT", "value": "6443" },
        ]);
        let containers = json!([{ "name": "main", "image": "none", "env": env }]);
        let stubborn = pod(name).in_namespace(&hub.name).on(&hub.name);
        let stubborn = stubborn.with("/spec/containers", containers);
        stubborn.ensure(hub.server.admin()).await.unwrap();
    }

    /// Waits until what is made is younger than all pods that there are.
    async fn pods_have_aged(&self) {
        let hub = &self.site.hub;
        let all = format!("/api/v1/namespaces/{}/pods", hub.name);
        let (_, list) = hub.server.admin().get(&all).await.unwrap();
        let created = list["items"].as_array().unwrap().iter().map(|pod| {
            let created = pod["metadata"]["creationTimestamp"].as_str().unwrap();
            humantime::parse_rfc3339(created).unwrap()
        });
        let newest = created.max().unwrap();
        wait_for("the next second", SOON, async || {
            newest.elapsed().is_ok_and(|age| age.as_millis() > 1000)
        })
        .await;
    }

    /// Which filters have changed what this client sees: by single objects, and by lists of the mirror.
    async fn seen_by(&self, client: &Api, stubborn: &str) -> [(bool, bool); 4] {
        let name = &self.site.hub.name;
        let (ca, address) = (self.site.hub.ca(), self.pods.to_string());
        let host = self.pods.ip().to_string();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let table: [(String, &str, Judge<'_>); 4] = [
            (
                format!("namespaces/{name}/configmaps"),
                "kube-root-ca.crt",
                &|map| text(&map["data"]["ca.crt"]).contains(ca.trim()),
            ),
            ("namespaces/default/services".into(), "kubernetes", &|service| {
                service["spec"]["clusterIP"] == *host
                    && service["spec"]["ports"][0]["port"] == self.pods.port()
            }),
            (format!("namespaces/{name}/pods"), stubborn, &|pod| {
                pod["spec"]["containers"][0]["env"][0]["value"] == *host
            }),
            ("namespaces/kube-system/configmaps".into(), "kube-proxy", &|map| {
                text(&map["data"]["kubeconfig.conf"]).contains(&format!("server: https://{address}"))
            }),
        ];
        let mut seen = [(false, false); 4];
        for (index, (collection, name, is_changed)) in table.iter().enumerate() {
            let one = format!("/api/v1/{collection}/{name}");
            let (status, object) = client.get(&one).await.unwrap();
            assert_eq!(status, 200, "{one}: {object}");
            let many = format!("/api/v1/{collection}?resourceVersion=0&fieldSelector=metadata.name%3D{name}");
            let (status, list) = client.get(&many).await.unwrap();
            assert_eq!(
                (status, list["items"].as_array().map(Vec::len)),
                (200, Some(1)),
                "{many}: {list}"
            );
            seen[index] = (is_changed(&object), is_changed(&list["items"][0]));
        }
        seen
    }

    async fn counted(&self) -> [bool; 4] {
        let mut counted = [false; 4];
        for (index, filter) in FILTERS.iter().enumerate() {
            let series = format!("filter=\"{filter}\"");
            counted[index] = self
                .site
                .hub
                .metric("yurthub_filtered_objects_total", &series)
                .await
                > 0;
        }
        counted
    }
}

#[tokio::test]
async fn pods_are_led_here_once_they_trust_this_node_and_only_the_kubelet_sees_how() {
    let (shared, name) = (server().await, "led");
    // A pod that runs already, and whose CA file does not hold this node's CA.
    ensure_namespace(shared.admin(), name).await.unwrap();
    service_account("reader")
        .in_namespace(name)
        .ensure(shared.admin())
        .await
        .unwrap();
    let reader = pod("reader")
        .in_namespace(name)
        .on(name)
        .with("/spec/serviceAccountName", "reader");
    reader.ensure(shared.admin()).await.unwrap();
    let (_, reader) = shared.admin().get(&reader.path()).await.unwrap();
    let kubelet = Scratch::new().unwrap();
    let volume = format!(
        "pods/{}/volumes/kubernetes.io~projected/kube-api-access",
        reader["metadata"]["uid"].as_str().unwrap()
    );
    let bundle = kubelet.path().join(volume).join("ca.crt");
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::write(&bundle, shared.authority().pem()).unwrap();

    let node = Node::start(name, &FILTERS.join(","), kubelet).await;
    let hub = &node.site.hub;
    wait_for("the hub to look at the file", SOON, async || {
        hub.process
            .log()
            .contains("a pod does not trust this node's CA yet")
    })
    .await;
    assert_eq!(hub.metric("yurthub_filters_armed", "").await, 0);
    node.make_stubborn_pod("early").await;
    let only_trust = [(true, true), (false, false), (false, false), (false, false)];
    assert_eq!(node.seen_by(&hub.node(), "early").await, only_trust);

    // As the kubelet renews it.
    fs::write(&bundle, format!("{}{}", shared.authority().pem(), hub.ca())).unwrap();
    node.leads_pods_here().await;
    node.pods_have_aged().await;
    node.make_stubborn_pod("late").await;
    assert_eq!(node.seen_by(&hub.node(), "late").await, [(true, true); 4]);
    let (running, _) = node.seen_by(&hub.node(), "early").await[2];
    assert!(!running, "what runs keeps its environment");
    assert_eq!(node.counted().await, [true; 4]);

    let nothing = [(false, false); 4];
    assert_eq!(
        node.seen_by(shared.admin(), "late").await,
        nothing,
        "nothing is written to the cloud"
    );
    // Pods come with their tokens, and see what the cloud has.
    let service = "/api/v1/namespaces/default/services/kubernetes";
    let (status, seen) = node.site.reader().at(node.pods).get(service).await.unwrap();
    let (_, there) = shared.admin().get(service).await.unwrap();
    assert_eq!((status, &seen["spec"]), (200, &there["spec"]));
    assert_eq!(hub.api(None).at(node.pods).get(service).await.unwrap().0, 401);
    assert!(node.kubelet.path().exists());
}

#[tokio::test]
async fn each_filter_can_be_switched_off_alone() {
    for (off, name) in FILTERS.iter().enumerate() {
        let others: Vec<_> = FILTERS.into_iter().filter(|other| other != name).collect();
        let node = Node::start(
            &format!("without-{off}"),
            &others.join(","),
            Scratch::new().unwrap(),
        )
        .await;
        node.leads_pods_here().await;
        node.pods_have_aged().await;
        node.make_stubborn_pod("late").await;
        let mut expected = [true; 4];
        expected[off] = false;
        let seen = node.seen_by(&node.site.hub.node(), "late").await;
        assert_eq!(seen, expected.map(|on| (on, on)), "without {name}");
        assert_eq!(node.counted().await, expected, "without {name}");
    }
}
