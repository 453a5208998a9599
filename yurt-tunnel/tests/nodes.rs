//! Nodes of a real apiserver.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::sync::watch;
use yurt_common::node_certificates::EDGE_LABEL;
use yurt_testkit::objects::{Object, node};
use yurt_testkit::{ApiServer, wait_for};
use yurt_tunnel::kubelets::{Kubelets, Reason, Rules};
use yurt_tunnel::nodes::follow;

/// How long anything may take on a slow machine that is busy with other tests.
const SOON: Duration = Duration::from_mins(1);

async fn client(server: &ApiServer) -> kube::Client {
    let (certificate, key) = server.admin_identity().write(server.folder(), "client").unwrap();
    let ca = server.folder().join("ca-of-client.crt");
    std::fs::write(&ca, server.authority().pem()).unwrap();
    let file = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server.url(), "certificate-authority": ca}}],
        "users": [{"name": "it", "user": {"client-certificate": certificate, "client-key": key}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    let file = Kubeconfig::from_yaml(&file.to_string()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.try_into().unwrap()
}

fn with_address(name: &str, address: &str) -> Object {
    let addresses = json!([{"type": "InternalIP", "address": address}]);
    node(name).with("/status", json!({"addresses": addresses}))
}

#[tokio::test]
async fn what_nodes_say_is_published_and_taken_back() {
    let server = ApiServer::start().await.unwrap();
    let admin = server.admin();
    let edge = |name: &str, address: &str| with_address(name, address).label(EDGE_LABEL, "true");
    edge("edge", "192.0.2.7").create(admin).await.unwrap();
    with_address("cloud", "192.0.2.1").create(admin).await.unwrap();
    let (publish, mut known) = watch::channel::<Option<Arc<Kubelets>>>(None);
    let following = tokio::spawn(follow(client(&server).await, Rules::default(), publish));
    let at: SocketAddr = "192.0.2.7:10250".parse().unwrap();
    let first = tokio::time::timeout(SOON, known.wait_for(Option::is_some))
        .await
        .unwrap();
    let first = first.unwrap().clone().unwrap();
    assert_eq!(first.node_at(at).map(|node| &**node), Some("edge"));
    assert_eq!((first.addresses().len(), first.nodes()), (1, 1));

    let now = || known.borrow().clone().unwrap();
    edge("thief", "192.0.2.7").create(admin).await.unwrap();
    wait_for("the address to be nobody's", SOON, async || {
        now().addresses().is_empty()
    })
    .await;
    assert!(
        now()
            .refusals()
            .iter()
            .all(|refusal| refusal.reason == Reason::Shared)
    );
    assert_eq!(now().port_of("edge"), Some(10250));

    // Meanwhile the watch breaks, and what happens is found by a list.
    server.stop().await.unwrap();
    server.resume().await.unwrap();
    let (code, _) = admin.delete("/api/v1/nodes/thief").await.unwrap();
    assert_eq!(code, 200);
    wait_for("the address to be its owner's again", SOON, async || {
        now().node_at(at).is_some()
    })
    .await;
    following.abort();
}
