//! Certificates of tunnel servers: asked for by pods with tokens of the apiserver, and by those who must not have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use yurt_common::node_certificates::{EDGE_LABEL, Role};
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{Api, ApiServer};

use crate::certificates::{ask_for, cluster, decided};
use crate::manager::{MANIFESTS, NAMESPACE};

/// Accounts and rights of the tunnel, as the manifests have them.
async fn grant_tunnel(admin: &Api) {
    for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
        let object = <Value as serde::Deserialize>::deserialize(document).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if !name.starts_with("yurt-tunnel") {
            continue;
        }
        let path = match object["kind"].as_str().unwrap() {
            "ServiceAccount" => format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"),
            "ClusterRole" => "/apis/rbac.authorization.k8s.io/v1/clusterroles".to_owned(),
            "ClusterRoleBinding" => "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned(),
            _ => continue,
        };
        let (code, answer) = admin.post(&path, object).await.unwrap();
        assert_eq!(code, 201, "{answer}");
    }
}

/// A client with the token of a pod of `account` on `on`.
async fn as_pod(server: &ApiServer, account: &str, on: &str) -> Api {
    let admin = server.admin();
    let made = pod(&format!("{account}-{on}"))
        .in_namespace(NAMESPACE)
        .on(on)
        .with("/spec/serviceAccountName", account)
        .create(admin)
        .await
        .unwrap();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": made["metadata"]["name"], "uid": made["metadata"]["uid"]});
    let request = json!({"spec": {"expirationSeconds": 3600, "boundObjectRef": bound}});
    let (code, answer) = admin.post(&path, request).await.unwrap();
    assert_eq!(code, 201, "{answer}");
    let token = answer["status"]["token"].as_str().unwrap();
    server.anonymous().unwrap().with_token(token).unwrap()
}

#[tokio::test]
async fn only_the_pod_of_a_server_in_the_cloud_gets_the_certificate_of_a_server() {
    let (server, manager) = cluster().await;
    let admin = server.admin();
    grant_tunnel(admin).await;
    node("m1").ensure(admin).await.unwrap();
    node("stolen")
        .label(EDGE_LABEL, "true")
        .ensure(admin)
        .await
        .unwrap();
    let cloud = as_pod(&server, "yurt-tunnel-server", "m1").await;
    let edge = as_pod(&server, "yurt-tunnel-server", "stolen").await;
    let agent = as_pod(&server, "yurt-tunnel-agent", "m1").await;
    let kubelet = server.as_node("m1").unwrap();
    for (name, api, asked, expected) in [
        ("other", &cloud, "edge1", "AnotherNode"),
        ("edge", &edge, "stolen", "EdgeNode"),
        ("agent", &agent, "m1", "NoNode"),
        ("kubelet", &kubelet, "m1", "NoNode"),
        ("admin", admin, "m1", "NoNode"),
    ] {
        ask_for(api, name, asked, Role::TunnelServer).await;
        let status = decided(admin, name).await;
        assert_eq!(status["conditions"][0]["type"], "Denied", "{name}: {status}");
        assert_eq!(status["conditions"][0]["reason"], expected, "{name}: {status}");
        assert!(status["certificate"].is_null(), "{name}: {status}");
    }
    assert_eq!(manager.metric("certificate_requests_total", "EdgeNode").await, 1);

    // Both of them get what is theirs.
    ask_for(&agent, "own-agent", "m1", Role::TunnelAgent).await;
    let status = decided(admin, "own-agent").await;
    assert!(status["certificate"].is_string(), "{status}");
    ask_for(&cloud, "own", "m1", Role::TunnelServer).await;
    let status = decided(admin, "own").await;
    let pem = STANDARD
        .decode(status["certificate"].as_str().unwrap_or_default())
        .unwrap();
    let der = CertificateDer::from_pem_slice(&pem).unwrap();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(leaf.subject().to_string(), "O=yurt:tunnel-servers, CN=m1");
    let names = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names.len(), 1);
    assert!(names.general_names[0].to_string().contains("yurt-tunnel-server"));
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth);
}
