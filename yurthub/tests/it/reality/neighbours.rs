//! Endpoints on other nodes while this one is cut off: listeners on loopback play the kubelets of these nodes.
//!
//! Each test has a server of its own: all endpoints of a cluster name nodes to be followed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use yurt_testkit::objects::node;
use yurt_testkit::{ApiServer, wait_for};
use yurthub_object::watch::EventType;

use super::slices::{Events, endpoint};
use super::{RBAC, Site, seen};
use crate::hub::{Hub, JSON, PROTOBUF, SOON};

/// What the cluster gets for yurthub.
const MANIFESTS: &str = include_str!("../../../../manifests/yurt.yaml");
/// How soon what is shown must be right after the cloud was found away.
const PROMPT: Duration = Duration::from_secs(5);

/// A kubelet that takes connections, or a machine that is gone.
pub(super) struct Kubelet {
    pub(super) address: SocketAddr,
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
    /// They fill the queue of the listener: the kernel drops what comes then.
    waiting: Vec<TcpStream>,
}

impl Kubelet {
    pub(super) fn start(address: Ipv4Addr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let listener = Arc::new(socket.listen(1).unwrap());
        Self {
            address: listener.local_addr().unwrap(),
            accepting: accept(&listener),
            listener,
            waiting: vec![],
        }
    }

    pub(super) async fn vanish(&mut self) {
        self.accepting.abort();
        let attempt = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(attempt, TcpStream::connect(self.address)).await {
            self.waiting.push(stream.unwrap());
            assert!(self.waiting.len() < 100, "the queue is never full");
        }
    }

    pub(super) fn come_back(&mut self) {
        self.waiting.clear();
        self.accepting = accept(&self.listener);
    }

    /// The machine stays, the kubelet goes.
    async fn stop(self) {
        self.accepting.abort();
        assert!(self.accepting.await.unwrap_err().is_cancelled());
    }
}

fn accept(listener: &Arc<TcpListener>) -> JoinHandle<()> {
    let listener = Arc::clone(listener);
    tokio::spawn(async move { while listener.accept().await.is_ok() {} })
}

/// The `ClusterRole` that the manifests have for yurthub, and nothing else.
pub(super) async fn may_read_nodes(hub: &Hub<'_>) {
    let documents = serde_yaml::Deserializer::from_str(MANIFESTS).map(Value::deserialize);
    let mut role = documents
        .map(Result::unwrap)
        .find(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "yurthub-node")
        .unwrap();
    let name = format!("{}-packaged", hub.name);
    role["metadata"]["name"] = name.clone().into();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                       "name": format!("system:node:{}", hub.name) }],
    });
    let direct = hub.direct();
    let other = "/api/v1/nodes/nobody";
    assert_eq!(direct.get(other).await.unwrap().0, 403, "default nodes may not");
    for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let (status, answer) = hub
            .server
            .admin()
            .post(&format!("{RBAC}/{resource}"), object)
            .await
            .unwrap();
        assert_eq!(status, 201, "{answer}");
    }
    wait_for("the node to be allowed", SOON, async || {
        direct.get(other).await.unwrap().0 == 404
    })
    .await;
}

/// Makes a Node, as its kubelet would.
pub(super) async fn make_node(site: &Site<'_>, name: &str, kubelet: SocketAddr) {
    let status = json!({
        "addresses": [{ "type": "Hostname", "address": name },
                      { "type": "InternalIP", "address": kubelet.ip().to_string() }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet.port() } },
    });
    let node = node(name).with("/status", status);
    node.create(site.hub.server.admin()).await.unwrap();
}

/// Makes a slice with the pod `a` of this node and one pod, named as its node, on each of the others.
async fn make_slice(site: &Site<'_>, nodes: &[&str]) {
    make_slice_named(site, "web-1", nodes).await;
}

async fn make_slice_named(site: &Site<'_>, name: &str, nodes: &[&str]) {
    let mut slice = site.slice(&[("a", "10.0.0.1", true)]);
    slice["metadata"]["name"] = name.into();
    let endpoints = slice["endpoints"].as_array_mut().unwrap();
    for name in nodes {
        endpoints.push(endpoint((name, &format!("uid-{name}")), name, ("10.0.9.9", true)));
    }
    let (status, answer) = site.hub.server.admin().post(&site.slices(), slice).await.unwrap();
    assert_eq!(status, 201, "{answer}");
}

/// How many nodes stand like this.
async fn standing(site: &Site<'_>, state: &str) -> u64 {
    let filter = format!("state=\"{state}\"");
    site.hub.metric("yurthub_neighbours", &filter).await
}

async fn probes(site: &Site<'_>, outcome: &str) -> u64 {
    let filter = format!("outcome=\"{outcome}\"");
    site.hub.metric("yurthub_neighbour_probes_total", &filter).await
}

pub(super) async fn stand(site: &Site<'_>, expected: &[(&str, u64)]) {
    for (state, count) in expected {
        let what = format!("{count} nodes to be {state}");
        wait_for(&what, SOON, async || {
            let now = standing(site, state).await;
            if now == *count { Ok(()) } else { Err(now) }
        })
        .await;
    }
}

#[tokio::test]
async fn while_cut_endpoints_on_nodes_that_do_not_answer_are_unready() {
    let server = ApiServer::start().await.unwrap();
    let mut site = Site::start_on(&server, "neighbours", &[]).await;
    may_read_nodes(&site.hub).await;
    let names = ["neighbours-near", "neighbours-far", "neighbours-mute"];
    let [near, mut far, mut mute] = [2, 3, 4].map(|last| Kubelet::start(Ipv4Addr::new(127, 0, 0, last)));
    mute.vanish().await;
    for (name, kubelet) in names.iter().zip([&near, &far, &mute]) {
        make_node(&site, name, kubelet.address).await;
    }
    site.report("a", "10.0.0.1", true).await;
    make_slice(&site, &names).await;
    let cloud = [
        ("a", "10.0.0.1", true),
        (names[0], "10.0.9.9", true),
        (names[1], "10.0.9.9", true),
        (names[2], "10.0.9.9", true),
    ];
    site.shows("the cloud's slice", &cloud).await;
    stand(&site, &[("reachable", 2), ("mute", 1), ("unknown", 0)]).await;

    // With the cloud there its word counts, whoever answers.
    far.vanish().await;
    let mut watches = [
        Events::open(&site.reader(), &site.all(), JSON).await,
        Events::open(&site.reader(), &site.all(), PROTOBUF).await,
    ];
    site.hub.store_is_quiet().await;
    site.hub.cut().await;
    let noticed = Instant::now();
    let mut cut_off = cloud;
    cut_off[2].2 = false;
    for watch in &mut watches {
        assert_eq!(watch.next().await, (EventType::Modified, seen(&cut_off)));
    }
    println!(
        "shown unready {:?} after the cloud was found away",
        noticed.elapsed()
    );
    assert!(noticed.elapsed() < PROMPT, "{:?}", noticed.elapsed());
    assert_eq!(site.shown().await, Ok(seen(&cut_off)));
    stand(&site, &[("reachable", 1), ("mute", 1), ("unreachable", 1)]).await;

    // After a restart, as after a boot. A machine without its kubelet is there.
    near.stop().await;
    let start = Instant::now();
    site.hub.restart().await;
    site.shows("the same after a restart", &cut_off).await;
    println!("shown unready {:?} after the start", start.elapsed());
    wait_for("a refusal", SOON, async || probes(&site, "refused").await > 0).await;
    assert_eq!(site.shown().await, Ok(seen(&cut_off)));

    // Nobody answers yet, but the cloud sees to that now.
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;
    site.hub.join().await;
    let joined = Instant::now();
    assert_eq!(watch.next().await, (EventType::Modified, seen(&cloud)));
    println!("shown as in the cloud {:?} after it was back", joined.elapsed());
    site.shows("the cloud's slice", &cloud).await;
    wait_for("no overlay to be left", SOON, async || site.overlays().await == 0).await;
    stand(&site, &[("reachable", 2), ("mute", 1), ("unreachable", 0)]).await;
}

#[tokio::test]
async fn a_node_that_answers_again_is_shown_as_in_the_cloud_and_switched_off_all_are() {
    let server = ApiServer::start().await.unwrap();
    let site = Site::start_on(&server, "neighbours-return", &[]).await;
    let off = Site::start_on(&server, "neighbours-off", &["--endpoint-probes=false"]).await;
    may_read_nodes(&site.hub).await;
    may_read_nodes(&off.hub).await;
    let name = "neighbours-lost";
    let mut kubelet = Kubelet::start(Ipv4Addr::new(127, 0, 0, 5));
    make_node(&site, name, kubelet.address).await;
    let cloud = [("a", "10.0.0.1", true), (name, "10.0.9.9", true)];
    for site in [&site, &off] {
        site.report("a", "10.0.0.1", true).await;
        make_slice(site, &[name]).await;
        site.shows("the cloud's slice", &cloud).await;
    }
    stand(&site, &[("reachable", 1)]).await;
    kubelet.vanish().await;
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;
    off.hub.cut().await;
    site.hub.cut().await;
    let lost = [cloud[0], (name, "10.0.9.9", false)];
    assert_eq!(watch.next().await, (EventType::Modified, seen(&lost)));
    assert_eq!(off.shown().await, Ok(seen(&cloud)), "switched off");
    assert_eq!(off.hub.metric("yurthub_neighbour_probes_total", "").await, 0);

    kubelet.come_back();
    let back = Instant::now();
    assert_eq!(watch.next().await, (EventType::Modified, seen(&cloud)));
    println!("shown ready {:?} after it was back", back.elapsed());
}

#[tokio::test]
async fn a_node_that_may_not_read_others_says_so_once_and_believes_the_cloud() {
    let server = ApiServer::start().await.unwrap();
    let site = Site::start_on(&server, "neighbours-denied", &[]).await;
    site.report("a", "10.0.0.1", true).await;
    make_slice(&site, &["neighbours-secret"]).await;
    let complaint = "apply manifests/yurt.yaml";
    wait_for("the log to say what is missing", SOON, async || {
        site.hub.process.log_tail(1000).contains(complaint)
    })
    .await;
    stand(&site, &[("unknown", 1)]).await;
    let cloud = [("a", "10.0.0.1", true), ("neighbours-secret", "10.0.9.9", true)];
    site.shows("the cloud's slice", &cloud).await;
    site.hub.cut().await;
    assert_eq!(site.shown().await, Ok(seen(&cloud)));
    assert_eq!(site.hub.process.log_tail(1000).matches(complaint).count(), 1);
}

#[tokio::test]
async fn a_watch_goes_on_when_more_endpoints_change_at_once_than_the_ring_holds() {
    const SLICES: usize = 450;
    let server = ApiServer::start().await.unwrap();
    let site = Site::start_on(&server, "neighbours-many", &["--ring-events=200"]).await;
    may_read_nodes(&site.hub).await;
    let mut kubelet = Kubelet::start(Ipv4Addr::new(127, 0, 0, 6));
    make_node(&site, "neighbours-all", kubelet.address).await;
    site.report("a", "10.0.0.1", true).await;
    for number in 0..SLICES {
        make_slice_named(&site, &format!("web-{number}"), &["neighbours-all"]).await;
    }
    stand(&site, &[("reachable", 1)]).await;
    wait_for("all slices", SOON, async || {
        let (_, list) = site.reader().get(&site.all()).await.unwrap();
        let count = list["items"].as_array().map_or(0, Vec::len);
        if count == SLICES { Ok(()) } else { Err(count) }
    })
    .await;
    kubelet.vanish().await;
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;
    site.hub.cut().await;
    let lost = seen(&[("a", "10.0.0.1", true), ("neighbours-all", "10.0.9.9", false)]);
    for number in 0..SLICES {
        assert_eq!(
            watch.next().await,
            (EventType::Modified, lost.clone()),
            "{number}"
        );
    }
}
