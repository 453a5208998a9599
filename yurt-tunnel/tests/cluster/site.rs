//! A cluster with the tunnel's rights, and pods of its accounts.

use std::time::Duration;

use clap::Parser as _;
use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use yurt_common::node_certificates::Role;
use yurt_controller_manager::app::Manager;
use yurt_controller_manager::args::Args;
use yurt_testkit::ApiServer;
use yurt_testkit::api_server::Builder;
use yurt_testkit::objects::{ensure_namespace, pod};
use yurt_tunnel::api;

/// How long anything may take on a slow machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_mins(1);
pub(crate) const NAMESPACE: &str = "yurt-system";
const MANIFESTS: &str = include_str!("../../../manifests/yurt.yaml");

/// An apiserver with our accounts and rights.
pub(crate) struct Site {
    pub(crate) server: ApiServer,
    folder: TempDir,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_as(ApiServer::builder()).await
    }

    /// With an apiserver of another kind.
    pub(crate) async fn start_as(apiserver: Builder) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let server = apiserver.start().await.unwrap();
        ensure_namespace(server.admin(), NAMESPACE).await.unwrap();
        for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
            let object = <Value as serde::Deserialize>::deserialize(document).unwrap();
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if !name.starts_with("yurt-tunnel") {
                continue;
            }
            let rbac = "/apis/rbac.authorization.k8s.io/v1";
            let admission = "/apis/admissionregistration.k8s.io/v1";
            let path = match object["kind"].as_str().unwrap() {
                "ServiceAccount" => format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"),
                "ClusterRole" => format!("{rbac}/clusterroles"),
                "ClusterRoleBinding" => format!("{rbac}/clusterrolebindings"),
                "RoleBinding" => format!("{rbac}/namespaces/{NAMESPACE}/rolebindings"),
                "ValidatingAdmissionPolicy" => format!("{admission}/validatingadmissionpolicies"),
                "ValidatingAdmissionPolicyBinding" => {
                    format!("{admission}/validatingadmissionpolicybindings")
                }
                _ => continue,
            };
            let (code, answer) = server.admin().post(&path, object).await.unwrap();
            assert_eq!(code, 201, "{answer}");
        }
        let folder = tempfile::tempdir().unwrap();
        Self { server, folder }
    }

    /// The path of a kubeconfig of who may do everything.
    pub(crate) fn admin_kubeconfig(&self) -> String {
        let (certificate, key) = self
            .server
            .admin_identity()
            .write(self.folder.path(), "admin")
            .unwrap();
        let user = json!({"client-certificate": certificate, "client-key": key});
        self.kubeconfig("admin", &user)
    }

    /// A manager that signs, until it is dropped.
    pub(crate) async fn manager(&self) -> DropGuard {
        let kubeconfig = self.admin_kubeconfig();
        let args = Args::parse_from([
            "yurt-controller-manager",
            "--kubeconfig",
            &kubeconfig,
            "--namespace",
            NAMESPACE,
            "--controllers=certificates",
            "--listen=127.0.0.1:0",
        ]);
        let stop = CancellationToken::new();
        let manager = Manager::connect(&args).await.unwrap();
        let child = stop.clone();
        tokio::spawn(async move { manager.run(&args, child).await });
        stop.drop_guard()
    }

    /// The API, as a pod on `node` of the account of `role` sees it.
    pub(crate) async fn as_pod(&self, role: Role, node: &str) -> Client {
        let account = match role {
            Role::TunnelAgent => "yurt-tunnel-agent",
            Role::TunnelServer => "yurt-tunnel-server",
        };
        let admin = self.server.admin();
        let made = pod(&format!("{account}-{node}"))
            .in_namespace(NAMESPACE)
            .on(node)
            .with("/spec/serviceAccountName", account)
            .create(admin)
            .await
            .unwrap();
        let metadata = &made["metadata"];
        let bound =
            json!({"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]});
        let request = json!({"spec": {"expirationSeconds": 3600, "boundObjectRef": bound}});
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
        let (code, answer) = admin.post(&path, request).await.unwrap();
        assert_eq!(code, 201, "{answer}");
        let kubeconfig = self.kubeconfig(
            &format!("{account}-{node}"),
            &json!({"token": answer["status"]["token"]}),
        );
        api::client(Some(kubeconfig.as_ref())).await.unwrap()
    }

    fn kubeconfig(&self, name: &str, user: &Value) -> String {
        let folder = self.folder.path();
        let ca = folder.join("ca.crt");
        std::fs::write(&ca, self.server.authority().pem()).unwrap();
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self.server.url(), "certificate-authority": ca}}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        let path = folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&path, text.to_string()).unwrap();
        path.display().to_string()
    }
}
