//! Front door B, used by the real kube-apiserver: its egress selector asks for each connection to a kubelet by `CONNECT`.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use yurt_common::node_certificates::{EDGE_LABEL, Role};
use yurt_testkit::ca::{Authority, Leaf};
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{ApiServer, binary, wait_for};
use yurt_tunnel::files::{Files, LOOK};
use yurt_tunnel::front::Known;
use yurt_tunnel::front::connect::{self, Door};
use yurt_tunnel::kubelets::Rules;
use yurt_tunnel::nodes;

use crate::site::{SOON, Site};
use crate::tunnel::{Tunnel, kubelet};

/// Far less than any deadline of a dial.
const AT_ONCE: Duration = Duration::from_secs(5);

/// An apiserver whose connections to kubelets leave over `transport`.
async fn site(folder: &TempDir, transport: Value) -> Site {
    let connection = json!({"proxyProtocol": "HTTPConnect", "transport": transport});
    let selector = json!({
        "apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    });
    let path = folder.path().join("egress.json");
    std::fs::write(&path, selector.to_string()).unwrap();
    let flag = format!("--egress-selector-config-file={}", path.display());
    Site::start_as(ApiServer::builder().arg(flag)).await
}

/// Edge nodes `edge1`, which is connected, and `edge2`, which is not, and `m1`, which is no edge node; each with a pod.
struct Cluster {
    tunnel: Tunnel,
    known: Known,
}

impl Cluster {
    async fn populate(site: &Site) -> Self {
        let admin = site.server.admin();
        let mut kubelets = JoinSet::new();
        let mut tunnel = Tunnel::start("edge1", kubelet("edge1", &mut kubelets).await).await;
        let direct = kubelet("m1", &mut kubelets).await;
        tunnel
            .tasks
            .spawn(async move { while kubelets.join_next().await.is_some() {} });
        for (name, edge, address, port) in [
            ("edge1", "true", "192.0.2.7", 10250),
            ("edge2", "true", "192.0.2.8", 10250),
            ("m1", "false", "127.0.0.1", direct),
        ] {
            let object = node(name)
                .label(EDGE_LABEL, edge)
                .with(
                    "/status/addresses",
                    json!([{"type": "InternalIP", "address": address}]),
                )
                .with("/status/daemonEndpoints/kubeletEndpoint/Port", port);
            object.create(admin).await.unwrap();
            pod(&format!("web-{name}")).on(name).create(admin).await.unwrap();
        }
        let client = site.as_pod(Role::TunnelServer, "m1").await;
        let (nodes, known) = watch::channel(None);
        tunnel.tasks.spawn(nodes::follow(client, Rules::default(), nodes));
        let edge_nodes = known.clone();
        wait_for("both edge nodes to be known", SOON, async || {
            edge_nodes
                .borrow()
                .as_ref()
                .is_some_and(|kubelets| kubelets.nodes() == 2)
        })
        .await;
        Self { tunnel, known }
    }

    fn door(&self) -> Door<Known> {
        Door::new(self.tunnel.server.dialer(), Arc::new(self.known.clone()))
    }
}

/// What an apiserver and `kubectl` get by this door, whatever the transport.
async fn assert_serves(site: &Site) {
    let healthz = async |node: &str| {
        let path = format!("/api/v1/nodes/{node}/proxy/healthz");
        let begun = Instant::now();
        let (status, body) = site.server.admin().get(&path).await.unwrap();
        (status, body, begun.elapsed())
    };
    let (status, body, _) = healthz("edge1").await;
    assert_eq!((status, &body), (200, &json!("edge1 was asked for /healthz\n")));
    let (logs, good) = kubectl_logs(site, "web-edge1");
    assert!(
        good && logs.starts_with("edge1 was asked for /containerLogs/default/web-edge1/main"),
        "{logs}"
    );

    let (status, body, took) = healthz("edge2").await;
    assert_eq!(status, 503, "{body}");
    let words = "503 node `edge2` is not connected to the tunnel; look at its agent and its network";
    assert!(body.to_string().contains(words), "{body}");
    assert!(took < AT_ONCE, "{took:?}");
    let (logs, good) = kubectl_logs(site, "web-edge2");
    assert!(!good && logs.contains(words), "{logs}");

    // No edge node. An apiserver proxies `nodes/proxy` to no loopback address, and fetches logs from any.
    let (logs, good) = kubectl_logs(site, "web-m1");
    assert!(
        good && logs.starts_with("m1 was asked for /containerLogs/default/web-m1/main"),
        "{logs}"
    );
}

/// What `kubectl logs` prints, and whether it succeeds.
fn kubectl_logs(site: &Site, pod: &str) -> (String, bool) {
    let output = Command::new(binary("kubectl").unwrap())
        .args(["--kubeconfig", &site.admin_kubeconfig(), "logs", pod])
        .env("HOME", site.server.folder())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apiserver_reaches_kubelets_through_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("connect.sock");
    let site = site(&folder, json!({"uds": {"udsName": socket}})).await;
    let mut cluster = Cluster::populate(&site).await;
    // The server comes after the apiserver, as where both are pods of one node.
    let door = cluster.door().unix(connect::bind(&socket).unwrap());
    cluster.tunnel.tasks.spawn(door);
    assert_serves(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apiserver_reaches_kubelets_over_tls_where_both_ends_show_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (own, clients) = (
        Authority::new("door").unwrap(),
        Authority::new("clients").unwrap(),
    );
    let server = own.issue(&Leaf::server(["127.0.0.1"])).unwrap();
    let (certificate, key) = server.write(folder.path(), "door").unwrap();
    let client = clients.issue(&Leaf::new("kube-apiserver")).unwrap();
    let (client_certificate, client_key) = client.write(folder.path(), "apiserver").unwrap();
    let (bundle, trust) = (folder.path().join("door-ca.crt"), folder.path().join("ca.crt"));
    std::fs::write(&bundle, own.pem()).unwrap();
    std::fs::write(&trust, clients.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let tls = json!({"caBundle": bundle, "clientCert": client_certificate, "clientKey": client_key});
    let site = site(&folder, json!({"tcp": {"url": url, "tlsConfig": tls}})).await;
    let mut cluster = Cluster::populate(&site).await;
    let files = Files {
        certificate,
        key,
        trust,
    };
    let (acceptor, _) = connect::tls::acceptor(files, LOOK).unwrap();
    let door = cluster.door().tls(listener, acceptor);
    cluster.tunnel.tasks.spawn(door);
    assert_serves(&site).await;
}
