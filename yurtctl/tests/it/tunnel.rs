//! What is said of the tunnel, where an apiserver is real and kubelets are none.

use serde_json::{Value, json};
use yurt_testkit::objects::ensure_namespace;
use yurtctl_node::journal::Outcome;
use yurtctl_node::message::Message;

use crate::hand::{Answer, Hand, facts};
use crate::site::{Site, errors};

/// An edge node whose kubelet is nowhere.
async fn edge_node(site: &Site, name: &str, ready: bool) {
    site.node(name, ready).await;
    let label = json!({"metadata": {"labels": {"openyurt.io/is-edge-worker": "true"}}});
    let (code, answer) = site
        .admin()
        .patch(&format!("/api/v1/nodes/{name}"), label)
        .await
        .unwrap();
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test]
async fn a_tunnel_without_servers_fails_and_says_so_for_each_node() {
    let site = Site::start().await;
    ensure_namespace(site.admin(), &site.namespace).await.unwrap();
    edge_node(&site, "edge1", true).await;
    edge_node(&site, "gone", false).await;
    site.node("cloud", true).await;
    let members = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "yurt-tunnel-servers"},
        "data": {"cloud": "10.0.0.1:10262\n"},
    });
    let (code, answer) = site
        .admin()
        .post(&site.path("api/v1", "configmaps"), members)
        .await
        .unwrap();
    assert_eq!(code, 201, "{answer}");
    let output = site.yurtctl(&["tunnel", "status", "-o", "json"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told["servers"][0]["addresses"],
        json!(["10.0.0.1:10262"]),
        "{told:#}"
    );
    assert_eq!(told["servers"][0]["ready"], false);
    let reasons: Vec<_> = told["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (
                node["node"].as_str().unwrap(),
                node["reach"]["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [("edge1", "no-server"), ("gone", "node-not-ready")],
        "{told:#}"
    );
}

#[tokio::test]
async fn a_ping_says_why_a_node_does_not_answer() {
    let site = Site::start().await;
    ensure_namespace(site.admin(), &site.namespace).await.unwrap();
    edge_node(&site, "edge1", true).await;
    edge_node(&site, "gone", false).await;
    for (args, code, words) in [
        (["edge1", "--count=1"], 1, "no server of the tunnel is ready"),
        (["gone", "--count=1"], 3, "the node is not Ready: told by a test"),
    ] {
        let output = site.yurtctl(&[&["tunnel", "ping"][..], &args[..]].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", errors(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(words) && text.contains("0 of 1 answered"), "{text}");
    }
    let output = site.yurtctl(&["tunnel", "ping", "nobody"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("there is no node nobody"),
        "{}",
        errors(&output)
    );
}

/// Objects of the tunnel in the cluster, and in the namespace of the test.
async fn parts(site: &Site) -> Vec<String> {
    let rbac = "apis/rbac.authorization.k8s.io/v1";
    let mut found = Vec::new();
    for path in [
        format!("/{rbac}/clusterroles"),
        format!("/{rbac}/clusterrolebindings"),
        site.path(rbac, "rolebindings"),
        site.path("apis/apps/v1", "daemonsets"),
        site.path("api/v1", "serviceaccounts"),
    ] {
        let list = site.object(&path).await;
        let items = list["items"].as_array().unwrap().iter();
        let names = items.filter_map(|item| item["metadata"]["name"].as_str());
        found.extend(
            names
                .filter(|name| name.starts_with("yurt-tunnel"))
                .map(ToOwned::to_owned),
        );
    }
    found
}

#[tokio::test]
async fn a_conversion_can_leave_the_tunnel_out_and_nobody_complains() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    let mut converted = false;
    let hand = Hand::start(&site, move |task, node| {
        let outcome = match task {
            "facts" => {
                let installed = json!({"version": "1", "digest": "d", "drifted": [], "underWay": null});
                let installed = if converted { installed } else { json!(null) };
                return Answer::Says(facts(node, &[("installed", installed)]));
            }
            "convert" => Outcome::Converted,
            _ => Outcome::Reverted,
        };
        converted = true;
        Answer::Says(Message::Ended {
            outcome,
            records: Vec::new(),
        })
    });
    let convert = [
        "convert",
        "--yes",
        "--without-tunnel",
        "--edge-nodes=edge1",
        "--image=yurt:1",
        "--system-clients=",
        "--accept=no-dns",
    ];
    let output = site.yurtctl(&convert).await;
    let told = errors(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("yurt-tunnel is not applied"), "{told}");
    assert_eq!(parts(&site).await, [""; 0]);
    let manager = site.path("apis/apps/v1", "deployments/yurt-controller-manager");
    assert!(site.exists(&manager).await, "it was not asked to leave this out");

    let output = site
        .yurtctl(&["doctor", "--image=yurt:1", "--accept=no-dns"])
        .await;
    let (told, found) = (errors(&output), String::from_utf8(output.stdout).unwrap());
    assert!(told.contains("there is no tunnel in this cluster"), "{told}");
    assert!(!found.contains("tunnel"), "{found}");
    let output = site.yurtctl(&["tunnel", "status"]).await;
    assert!(
        errors(&output).contains("there is no tunnel in this cluster"),
        "{}",
        errors(&output)
    );

    let output = site.yurtctl(&["revert", "--yes", "--image=yurt:1"]).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(
        !site
            .exists(&format!("/api/v1/namespaces/{}", site.namespace))
            .await
    );
    drop(hand);
}
