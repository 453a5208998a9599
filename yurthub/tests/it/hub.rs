//! A yurthub under test: the binary, a link to the apiserver, and clients with any identity.
//!
//! Invariant: a hub keeps its address over restarts, and nothing of it outlives its test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::sync::OnceCell;
use yurt_testkit::api::{Raw, Reply};
use yurt_testkit::ca::Identity;
use yurt_testkit::objects::{ensure_namespace, node};
use yurt_testkit::process::{Process, Program};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, ApiServer, Link, wait_for};

pub(crate) const JSON: &str = "application/json";
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// How long anything may take on a slow machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_mins(1);

static SHARED: OnceCell<ApiServer> = OnceCell::const_new();

/// The apiserver of all tests that change neither its life nor its history.
pub(crate) async fn server() -> &'static ApiServer {
    SHARED
        .get_or_init(async || {
            let server = ApiServer::start().await.unwrap();
            ensure_namespace(server.admin(), "kube-node-lease").await.unwrap();
            server
        })
        .await
}

/// Free ports below those that the kernel gives to connections: they stay free while a hub restarts.
pub(crate) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 1000) as u16 * 10;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A running yurthub.
pub(crate) struct Hub<'s> {
    pub(crate) server: &'s ApiServer,
    /// Name of its node, and of the namespace that belongs to this test.
    pub(crate) name: String,
    /// Its way to the apiserver.
    pub(crate) link: Link,
    pub(crate) address: SocketAddr,
    /// The certificate that it shares with its kubelet.
    pub(crate) kubelet: Identity,
    pub(crate) process: Process,
    status: Api,
    folder: Scratch,
}

impl<'s> Hub<'s> {
    /// Starts one for a node and namespace `name`, which are made.
    pub(crate) async fn start(server: &'s ApiServer, name: &str) -> Self {
        Self::start_with(server, name, &[]).await
    }

    /// The same, with more flags.
    pub(crate) async fn start_with(server: &'s ApiServer, name: &str, flags: &[&str]) -> Self {
        Self::start_at(server, name, (server.address(), flags)).await
    }

    /// The same, with another server at the end of the link.
    pub(crate) async fn start_at(
        server: &'s ApiServer,
        name: &str,
        (upstream, flags): (SocketAddr, &[&str]),
    ) -> Self {
        ensure_namespace(server.admin(), name).await.unwrap();
        node(name).ensure(server.admin()).await.unwrap();
        let folder = Scratch::new().unwrap();
        let link = Link::to(upstream).unwrap();
        let kubelet = server.authority().node_cert(name).unwrap();
        write_kubeconfig(folder.path(), &link.address().to_string(), server);
        kubelet
            .write_combined(&folder.path().join("kubelet.pem"))
            .unwrap();
        let [api, health] = [port(), port()];
        let process = Program::new(env!("CARGO_BIN_EXE_yurthub"), folder.path().join("yurthub.log"))
            .args(program_args(folder.path(), [api, health]))
            .args(flags)
            .start()
            .unwrap();
        let mut hub = Self {
            server,
            name: name.to_owned(),
            link,
            address: loopback(api),
            kubelet,
            process,
            status: Api::http(loopback(health)),
            folder,
        };
        hub.ready().await;
        hub
    }

    /// What is said where health and metrics are served.
    pub(crate) fn status(&self) -> &Api {
        &self.status
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) {
        wait_for("yurthub to be ready", SOON, async || {
            assert!(
                self.process.ended().unwrap().is_none(),
                "yurthub ended:\n{}",
                self.process.log_tail(20)
            );
            matches!(self.status.get("/readyz").await, Ok((200, _)))
        })
        .await;
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// SIGKILL where it still runs, then a start with the same folder and address.
    pub(crate) async fn restart(&mut self) {
        self.process.restart().unwrap();
        self.ready().await;
    }

    /// The folder with kubeconfig and certificate; data is in `data`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("data/store")
    }

    /// CA of the hub's serving certificate.
    pub(crate) fn ca(&self) -> String {
        std::fs::read_to_string(self.folder().join("data/pki/ca.crt")).unwrap()
    }

    /// A client of the hub.
    pub(crate) fn api(&self, identity: Option<&Identity>) -> Api {
        Api::https(self.address, &self.ca(), identity).unwrap()
    }

    /// The kubelet, over the hub.
    pub(crate) fn node(&self) -> Api {
        self.api(Some(&self.kubelet))
    }

    /// The kubelet, past the hub.
    pub(crate) fn direct(&self) -> Api {
        self.server.as_identity(&self.kubelet).unwrap()
    }

    /// Sum of all series of a metric; `filter` is a part of the series' labels, for instance `outcome="sent"`.
    pub(crate) async fn metric(&self, name: &str, filter: &str) -> u64 {
        let reply = self.status.send(Raw::new(Method::GET, "/metrics")).await.unwrap();
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        let series = text.lines().filter(|line| {
            line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']) && line.contains(filter)
        });
        series
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Waits until the hub says that the cloud is there, or not.
    pub(crate) async fn cloud_is(&self, up: bool) {
        let what = format!("cloud_up to be {up}");
        wait_for(&what, SOON, async || {
            self.metric("yurthub_cloud_up", "").await == u64::from(up)
        })
        .await;
    }

    /// Waits until all that has changed is on disk.
    pub(crate) async fn store_is_quiet(&self) {
        wait_for("the store to be quiet", SOON, async || {
            self.metric("yurthub_store_pending_bytes", "").await == 0
        })
        .await;
    }

    /// Cuts the link and waits until the hub has noticed.
    pub(crate) async fn cut(&self) {
        self.link.cut().await;
        self.cloud_is(false).await;
    }

    /// Joins the link and waits until the hub has noticed.
    pub(crate) async fn join(&self) {
        self.link.join().await;
        self.cloud_is(true).await;
    }
}

impl Drop for Hub<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("log of the hub `{}`:\n{}", self.name, self.process.log_tail(80));
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Flags of a yurthub with everything in `folder`, and ports for the API and for health.
pub(crate) fn program_args(folder: &Path, [api, health]: [u16; 2]) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--kubeconfig={}", file("kubeconfig")),
        format!("--data-dir={}", file("data")),
        format!("--admin-socket={}", file("admin.sock")),
        format!("--listen={}", loopback(api)),
        format!("--health-listen={}", loopback(health)),
        "--log=info,yurthub=debug".into(),
    ]
}

/// A kubeconfig as the kubelet's, at `folder/kubeconfig`, and the CA beside it.
pub(crate) fn write_kubeconfig(folder: &Path, address: &str, server: &ApiServer) {
    std::fs::write(folder.join("ca.crt"), server.authority().pem()).unwrap();
    let kubeconfig = format!(
        "apiVersion: v1
kind: Config
current-context: kubelet
contexts: [{{name: kubelet, context: {{cluster: cloud, user: kubelet}}}}]
clusters: [{{name: cloud, cluster: {{certificate-authority: ca.crt, server: 'https://{address}'}}}}]
users: [{{name: kubelet, user: {{client-certificate: kubelet.pem, client-key: kubelet.pem}}}}]
"
    );
    std::fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
}

/// A PATCH of the given kind.
pub(crate) fn patch(path: &str, kind: &'static str, body: &Value) -> Raw {
    Raw::new(Method::PATCH, path).body(kind, body.to_string())
}

/// The kubelet's kind of patch.
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Sends a body with a content type and reads JSON.
pub(crate) fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&reply.body).into_owned()))
}

/// A header of a reply.
pub(crate) fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply
        .headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Lets the hub's node read and write all that a test wants to see through it, beside what nodes may.
pub(crate) async fn may_do_everything(hub: &Hub<'_>) {
    let user = format!("system:node:{}", hub.name);
    let binding = serde_json::json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": hub.name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    });
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let (status, answer) = hub.server.admin().post(path, binding).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    wait_for("the node to be allowed", SOON, async || {
        hub.direct().get("/api/v1/secrets?limit=1").await.unwrap().0 == 200
    })
    .await;
}
