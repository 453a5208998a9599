//! A user who may do less than an administrator.

use serde_json::{Value, json};
use yurt_testkit::ca::Leaf;
use yurt_testkit::objects::{ensure_namespace, pod};
use yurt_testkit::wait_for;
use yurtctl::cluster::{Purpose, Right, needed};
use yurtctl::objects::Owner;
use yurtctl_node::journal::{Event, Outcome, Record};
use yurtctl_node::message::Message;

use crate::hand::{Answer, Hand, facts};
use crate::site::{Site, errors};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1";
const SOON: std::time::Duration = std::time::Duration::from_secs(30);

/// The rule of a right.
fn rule(right: Right) -> Value {
    match right {
        Right::Inside(verb, group, resource) | Right::Anywhere(verb, group, resource) => {
            json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
        }
        Right::Address(path) => json!({"nonResourceURLs": [path], "verbs": ["get"]}),
    }
}

/// Gives a user these rights.
async fn grant(site: &Site, user: &str, rights: &[Right]) {
    let rules: Vec<_> = rights.iter().map(|right| rule(*right)).collect();
    let role = json!({"metadata": {"name": user}, "rules": rules});
    let binding = json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    for (kind, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let (code, answer) = site
            .admin()
            .post(&format!("{ROLES}/{kind}"), object)
            .await
            .unwrap();
        assert_eq!(code, 201, "{answer}");
    }
}

fn all() -> Vec<Right> {
    let mut rights = needed(Purpose::Change, Owner::Nobody);
    rights.push(Right::Anywhere(
        "escalate",
        "rbac.authorization.k8s.io",
        "clusterroles",
    ));
    rights.push(Right::Anywhere(
        "bind",
        "rbac.authorization.k8s.io",
        "clusterroles",
    ));
    rights
}

#[tokio::test]
async fn each_right_that_is_lacking_is_named() {
    let site = Site::start().await;
    let rights = all();
    for (number, lacking) in rights.iter().enumerate() {
        let user = format!("lacks-{number}");
        let rest: Vec<_> = rights.iter().filter(|right| *right != lacking).copied().collect();
        grant(&site, &user, &rest).await;
    }
    for (number, lacking) in rights.iter().enumerate() {
        let user = format!("lacks-{number}");
        let identity = site.server.authority().issue(&Leaf::new(&user)).unwrap();
        let cluster = site.cluster_as(&user, &identity).await;
        // The apiserver hears of new roles a moment later.
        wait_for(&format!("{user} to lack `{lacking}` alone"), SOON, async || {
            let missing = cluster
                .missing_rights(Purpose::Change, Owner::Nobody)
                .await
                .unwrap();
            match missing.as_slice() {
                [one] if one.starts_with(&lacking.to_string()) => Ok(()),
                _ => Err(missing),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn who_lacks_a_right_is_refused_before_anything_is_changed() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    let lacking = Right::Anywhere("delete", "", "namespaces");
    let rest: Vec<_> = all().into_iter().filter(|right| *right != lacking).collect();
    grant(&site, "lesser", &rest).await;
    let identity = site.server.authority().issue(&Leaf::new("lesser")).unwrap();
    let cluster = site.cluster_as("lesser", &identity).await;
    wait_for("the lesser user to have the others", SOON, async || {
        cluster
            .missing_rights(Purpose::Change, Owner::Nobody)
            .await
            .unwrap()
            .len()
            == 1
    })
    .await;
    for args in [
        &["convert", "--yes", "--edge-nodes", "edge1"][..],
        &["convert", "--dry-run", "--edge-nodes", "edge1"],
        &["revert", "--yes", "--edge-nodes", "edge1"],
        &["doctor"],
    ] {
        let output = site
            .yurtctl_with(site.kubeconfig("lesser", &identity), args)
            .await;
        assert_eq!(output.status.code(), Some(1));
        let told = errors(&output);
        assert!(
            told.contains("you lack rights in this cluster: delete namespaces; nothing was changed"),
            "{args:?}: {told}"
        );
        assert!(
            !site
                .exists(&format!("/api/v1/namespaces/{}", site.namespace))
                .await
        );
    }
}

/// Of its pool a node reads in our namespace, by the binding at `path`, and nowhere else.
async fn reads_of_its_pool(site: &Site, path: &str) {
    let bound = site.object(path).await;
    assert_eq!(bound["roleRef"]["name"], "yurthub-pool-member");
    assert_eq!(bound["subjects"][0]["name"], "system:node:edge1");
    let edge = site
        .server
        .as_identity(&site.server.authority().node_cert("edge1").unwrap());
    let edge = edge.unwrap();
    let inside = site.path("api/v1", "configmaps?fieldSelector=metadata.name%3Dany");
    wait_for("the node to read inside", SOON, async || {
        edge.get(&inside).await.unwrap().0 == 200
    })
    .await;
    for elsewhere in ["/api/v1/configmaps", "/api/v1/namespaces/kube-system/configmaps"] {
        assert_eq!(edge.get(elsewhere).await.unwrap().0, 403, "{elsewhere}");
    }
}

/// What its yurthub writes on a Node, and somebody else.
async fn annotate_as_yurthub(site: &Site, node: &str) {
    let annotations = json!({"metadata": {"annotations": {
        yurt_common::pool::PEER: "10.0.0.1:10269", yurt_common::pool::VOTES: "{}", "other": "stays",
    }}});
    assert_eq!(site.admin().patch(node, annotations).await.unwrap().0, 200);
}

#[tokio::test]
async fn with_these_rights_and_no_others_a_node_is_converted_and_reverted() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    grant(&site, "enough", &all()).await;
    let identity = site.server.authority().issue(&Leaf::new("enough")).unwrap();
    let cluster = site.cluster_as("enough", &identity).await;
    wait_for("the user to have all rights", SOON, async || {
        cluster
            .missing_rights(Purpose::Change, Owner::Nobody)
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    let apps = format!("{}-apps", site.namespace);
    ensure_namespace(site.admin(), &apps).await.unwrap();
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "a", "controller": true}]);
    let born = pod("born")
        .in_namespace(&apps)
        .on("edge1")
        .with("/spec/terminationGracePeriodSeconds", 0)
        .with("/metadata/ownerReferences", owner);
    let uid = born.create(site.admin()).await.unwrap()["metadata"]["uid"].clone();
    let mut outcomes = [Outcome::Converted, Outcome::Converted, Outcome::Reverted].into_iter();
    let mut converted = false;
    let hand = Hand::start(&site, move |task, node| {
        if task == "facts" {
            let installed = json!({"version": "1", "digest": "d", "drifted": [], "underWay": null});
            let installed = if converted { installed } else { json!(null) };
            let pods = json!([{"uid": uid, "hub": converted}]);
            return Answer::Says(facts(node, &[("installed", installed), ("pods", pods)]));
        }
        converted = true;
        Answer::Says(Message::Ended {
            outcome: outcomes.next().unwrap(),
            records: vec![Record {
                at: 0,
                event: Event::Taken,
            }],
        })
    });
    let args = [
        "convert",
        "--yes",
        "--edge-nodes=edge1",
        "--image=yurt:1",
        "--system-clients=",
        "--accept=no-dns",
    ];
    let kubeconfig = site.kubeconfig("enough", &identity);
    let output = site.yurtctl_with(kubeconfig.clone(), &args).await;
    let told = errors(&output);
    assert!(output.status.success(), "{told}");
    // What happened on the node is told, although no log could be followed.
    assert!(told.contains(&format!("edge1: {}", Event::Taken)), "{told}");
    let binding = format!("{ROLES}/clusterrolebindings/yurthub-node-edge1");
    assert!(site.exists(&binding).await);
    let of_pool = site.path(
        "apis/rbac.authorization.k8s.io/v1",
        "rolebindings/yurthub-node-edge1",
    );
    reads_of_its_pool(&site, &of_pool).await;
    let node = "/api/v1/nodes/edge1";
    annotate_as_yurthub(&site, node).await;

    let output = site
        .yurtctl_with(kubeconfig, &["revert", "--yes", "--image=yurt:1"])
        .await;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!site.exists(&born.path()).await, "it was not restarted");
    assert!(!site.exists(&binding).await);
    assert!(!site.exists(&of_pool).await);
    let left = site.object(node).await["metadata"]["annotations"].clone();
    let left: Vec<_> = left.as_object().unwrap().keys().collect();
    assert_eq!(left, ["other"]);
    let namespace = format!("/api/v1/namespaces/{}", site.namespace);
    assert!(!site.exists(&namespace).await);
    for role in ["yurthub-node", "yurthub-pool-member"] {
        let path = format!("{ROLES}/clusterroles/{role}");
        assert!(!site.exists(&path).await, "{role}");
    }
    drop(hand);
}
