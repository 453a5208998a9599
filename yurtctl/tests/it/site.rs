//! An apiserver, an administrator's kubeconfig, and yurtctl run with it.

use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use yurt_testkit::ca::Identity;
use yurt_testkit::{Api, ApiServer};
use yurtctl::args::ClusterArgs;
use yurtctl::cluster::Cluster;

const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
static TURN: Mutex<()> = Mutex::const_new(());

/// The apiserver for one test, with a namespace name of its own.
pub(crate) struct Site {
    pub(crate) server: &'static ApiServer,
    pub(crate) namespace: String,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let turn = TURN.lock().await;
        let start = async || {
            // Fails where another test has installed it.
            drop(rustls::crypto::ring::default_provider().install_default());
            ApiServer::start().await.unwrap()
        };
        let server = SERVER.get_or_init(start).await;
        let site = Self {
            server,
            namespace: format!("yurt-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
            folder: tempfile::tempdir().unwrap(),
            _turn: turn,
        };
        for path in [BINDINGS, "/api/v1/nodes"] {
            let (_, list) = site.admin().get(path).await.unwrap();
            for item in list["items"].as_array().unwrap() {
                let name = item["metadata"]["name"].as_str().unwrap();
                if path != BINDINGS || name.starts_with("yurthub-node-") {
                    site.admin().delete(&format!("{path}/{name}")).await.unwrap();
                }
            }
        }
        site
    }

    pub(crate) fn admin(&self) -> &'static Api {
        self.server.admin()
    }

    /// The path of something in the namespace of this test.
    pub(crate) fn path(&self, group: &str, rest: &str) -> String {
        format!("/{group}/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) fn kubeconfig(&self, name: &str, identity: &Identity) -> PathBuf {
        let (certificate, key) = identity.write(self.folder.path(), name).unwrap();
        let authority = self.folder.path().join("ca.crt");
        std::fs::write(&authority, self.server.authority().pem()).unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": self.server.url(), "certificate-authority": authority}}],
            "users": [{"name": "a", "user": {"client-certificate": certificate, "client-key": key}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        });
        let path = self.folder.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        path
    }

    /// The library's client, as the administrator.
    pub(crate) async fn cluster(&self) -> Cluster {
        self.cluster_as("admin", self.server.admin_identity()).await
    }

    pub(crate) async fn cluster_as(&self, name: &str, identity: &Identity) -> Cluster {
        Cluster::connect(&ClusterArgs {
            kubeconfig: Some(self.kubeconfig(name, identity)),
            context: None,
            namespace: self.namespace.clone(),
        })
        .await
        .unwrap()
    }

    /// The program, as the administrator.
    pub(crate) async fn yurtctl(&self, args: &[&str]) -> Output {
        let kubeconfig = self.kubeconfig("admin", self.server.admin_identity());
        self.yurtctl_with(kubeconfig, args).await
    }

    pub(crate) async fn yurtctl_with(&self, kubeconfig: PathBuf, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_yurtctl"));
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(args)
            .kill_on_drop(true);
        command.output().await.unwrap()
    }

    /// A node whose kubelet reported `ready` last.
    pub(crate) async fn node(&self, name: &str, ready: bool) {
        yurt_testkit::objects::node(name)
            .create(self.admin())
            .await
            .unwrap();
        self.report(name, ready).await;
    }

    pub(crate) async fn report(&self, name: &str, ready: bool) {
        let status = if ready { "True" } else { "Unknown" };
        let now = "2026-01-01T00:00:00Z";
        let status = json!({"status": {
            "conditions": [{
                "type": "Ready", "status": status, "reason": "Test", "message": "told by a test",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
            "nodeInfo": {
                "kubeletVersion": "v1.34.4", "containerRuntimeVersion": "containerd://2.0.0", "architecture": "amd64",
                "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
                "kubeProxyVersion": "", "operatingSystem": "linux",
            },
        }});
        let (code, answer) = self
            .admin()
            .patch(&format!("/api/v1/nodes/{name}/status"), status)
            .await
            .unwrap();
        assert_eq!(code, 200, "{answer}");
    }

    pub(crate) async fn exists(&self, path: &str) -> bool {
        self.admin().get(path).await.unwrap().0 == 200
    }

    pub(crate) async fn object(&self, path: &str) -> Value {
        let (code, object) = self.admin().get(path).await.unwrap();
        assert_eq!(code, 200, "{path}: {object}");
        object
    }
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
