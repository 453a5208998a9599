//! A manager under test: the binary, with the rights that the manifests give it and no others.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::ca::{Identity, Leaf};
use yurt_testkit::objects::ensure_namespace;
use yurt_testkit::process::{Process, Program};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, ApiServer, wait_for};

/// How long anything may take on a slow machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// Who it is for the apiserver: its account, by whose name an admission policy knows it.
pub(crate) const USER: &str = "system:serviceaccount:yurt-system:yurt-controller-manager";
pub(crate) const NAMESPACE: &str = "yurt-system";
pub(crate) const MANIFESTS: &str = include_str!("../../../manifests/yurt.yaml");

/// Applies the rights of the manifests, which are those of [`USER`]. Returns the rules.
pub(crate) async fn grant(server: &ApiServer) -> Vec<Value> {
    let admin = server.admin();
    ensure_namespace(admin, NAMESPACE).await.unwrap();
    let mut rules = Vec::new();
    for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
        let object = <Value as serde::Deserialize>::deserialize(document).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if !name.starts_with("yurt-controller-manager") {
            continue;
        }
        let (rbac, admission) = (
            "/apis/rbac.authorization.k8s.io/v1",
            "/apis/admissionregistration.k8s.io/v1",
        );
        let path = match object["kind"].as_str().unwrap() {
            "ClusterRole" => format!("{rbac}/clusterroles"),
            "ClusterRoleBinding" => format!("{rbac}/clusterrolebindings"),
            "RoleBinding" => format!("{rbac}/namespaces/{NAMESPACE}/rolebindings"),
            "ValidatingAdmissionPolicy" => format!("{admission}/validatingadmissionpolicies"),
            "ValidatingAdmissionPolicyBinding" => format!("{admission}/validatingadmissionpolicybindings"),
            _ => continue,
        };
        rules.extend(object["rules"].as_array().cloned().unwrap_or_default());
        let (code, answer) = admin.post(&path, object).await.unwrap();
        assert_eq!(code, 201, "{answer}");
    }
    assert!(!rules.is_empty(), "the manifests grant nothing");
    rules
}

/// A running replica.
pub(crate) struct Manager {
    pub(crate) process: Process,
    status: Api,
    _folder: Scratch,
}

impl Manager {
    /// Starts a replica called `name`. Its rights must be there.
    pub(crate) fn start(server: &ApiServer, name: &str) -> Self {
        Self::start_with(server, name, &[])
    }

    /// The same, with further flags.
    pub(crate) fn start_with(server: &ApiServer, name: &str, flags: &[&str]) -> Self {
        let folder = Scratch::new().unwrap();
        let identity = server.authority().issue(&Leaf::new(USER)).unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig(server, &identity, folder.path())).unwrap();
        // Free until it is bound again, a moment later.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let program = Program::new(
            env!("CARGO_BIN_EXE_yurt-controller-manager"),
            folder.path().join("log"),
        )
        .arg("--kubeconfig")
        .arg(&path)
        .args(["--namespace", NAMESPACE, "--name", name])
        .args([
            "--listen",
            &address.to_string(),
            "--log",
            "debug,hyper=info,h2=info,tower=info",
        ])
        .args(flags.iter().copied());
        Self {
            process: program.start().unwrap(),
            status: Api::http(address),
            _folder: folder,
        }
    }

    /// Waits until it knows the cluster.
    pub(crate) async fn ready(&mut self) {
        wait_for("the manager to be ready", SOON, async || {
            let ended = self.process.ended().unwrap();
            assert!(ended.is_none(), "it ended:\n{}", self.process.log_tail(20));
            matches!(self.status.get("/readyz").await, Ok((200, _)))
        })
        .await;
    }

    /// Sum of all series of a metric whose labels have `filter`.
    pub(crate) async fn metric(&self, name: &str, filter: &str) -> u64 {
        let Ok(reply) = self.status.send(Raw::new(Method::GET, "/metrics")).await else {
            return 0;
        };
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        let name = format!("yurt_controller_manager_{name}");
        let series = text.lines().filter(|line| {
            line.starts_with(&name) && line[name.len()..].starts_with(['{', ' ']) && line.contains(filter)
        });
        series
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Whether it leads.
    pub(crate) async fn leads(&self) -> bool {
        self.metric("leading", "").await == 1
    }
}

/// A kubeconfig of an identity, whose files are in `folder`.
pub(crate) fn kubeconfig(server: &ApiServer, identity: &Identity, folder: &Path) -> String {
    let (certificate, key) = identity.write(folder, "client").unwrap();
    let ca = folder.join("ca.crt");
    std::fs::write(&ca, server.authority().pem()).unwrap();
    let address: SocketAddr = server.address();
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("https://{address}"), "certificate-authority": ca}}],
        "users": [{"name": "it", "user": {"client-certificate": certificate, "client-key": key}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    })
    .to_string()
}
