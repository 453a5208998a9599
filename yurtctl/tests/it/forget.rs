//! A node that was stolen, and what can be done with its kubelet's certificate afterwards.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use yurt_testkit::objects::{ensure_namespace, pod};
use yurt_testkit::{Api, wait_for};
use yurtctl::objects;
use yurtctl::progress::Progress;

use crate::hand::{Answer, Hand};
use crate::site::{Site, errors};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const SOON: std::time::Duration = std::time::Duration::from_secs(30);

fn lease(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"holderIdentity": name}})
}

/// Of any key: it is never signed.
const PEM: &str = include_str!("request.csr");

fn request(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "signerName": "yurt.openyurt.io/tunnel-agent",
        "usages": ["client auth", "digital signature"], "request": STANDARD.encode(PEM),
    }})
}

/// What a kubelet writes, and what the apiserver answers.
async fn tries(api: &Api, node: &str, round: &str) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for (path, object) in [
        ("/api/v1/nodes", json!({"metadata": {"name": node}})),
        (REQUESTS, request(&format!("{node}-{round}"))),
        (LEASES, lease(node)),
    ] {
        let (code, answer) = api.post(path, object).await.unwrap();
        answers.push((code, answer["message"].as_str().unwrap_or_default().to_owned()));
    }
    answers
}

#[tokio::test]
async fn a_forgotten_node_can_write_nothing_and_comes_back_when_it_is_remembered() {
    let site = Site::start().await;
    let (cluster, admin) = (site.cluster().await, site.admin());
    objects::make_namespace(&cluster).await.unwrap();
    objects::install(&cluster, Progress::begin()).await.unwrap();
    ensure_namespace(admin, "kube-node-lease").await.unwrap();
    let (edge1, edge2) = (
        site.server.as_node("edge1").unwrap(),
        site.server.as_node("edge2").unwrap(),
    );
    site.node("edge1", false).await;
    objects::bind(&cluster, "edge1").await.unwrap();
    assert_eq!(admin.post(LEASES, lease("edge1")).await.unwrap().0, 201);
    // An apiserver that has heard of the policy, and not of its parameters yet, refuses everything.
    wait_for("the policy to have its parameters", SOON, async || {
        match edge1.post(REQUESTS, request("pending")).await.unwrap() {
            (201, _) => Ok(()),
            refused => Err(refused),
        }
    })
    .await;
    let apps = format!("{}-apps", site.namespace);
    ensure_namespace(admin, &apps).await.unwrap();
    let web = pod("web").in_namespace(&apps).on("edge1");
    web.create(admin).await.unwrap();

    let output = site.yurtctl(&["node", "forget", "edge1"]).await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "nobody was asked: {}",
        errors(&output)
    );
    assert!(site.exists("/api/v1/nodes/edge1").await);
    // Again and again: a run that was interrupted is run again.
    for _ in 0..2 {
        let output = site.yurtctl(&["node", "forget", "edge1", "--yes"]).await;
        assert!(output.status.success(), "{}", errors(&output));
        for path in [
            "/api/v1/nodes/edge1".to_owned(),
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/yurthub-node-edge1".to_owned(),
            format!("{REQUESTS}/pending"),
            format!("{LEASES}/edge1"),
            web.path(),
        ] {
            assert!(!site.exists(&path).await, "{path}");
        }
    }
    wait_for("all that it writes to be refused", SOON, async || {
        let answers = tries(&edge1, "edge1", "forgotten").await;
        for path in [
            "/api/v1/nodes/edge1",
            &format!("{REQUESTS}/edge1-forgotten"),
            &format!("{LEASES}/edge1"),
        ] {
            drop(admin.delete(path).await);
        }
        let refused =
            |(code, message): &(u16, String)| *code == 403 && message.contains("is forgotten since");
        if answers.iter().all(refused) {
            Ok(())
        } else {
            Err(answers)
        }
    })
    .await;
    // Others are not in its way.
    let answers = tries(&edge2, "edge2", "other").await;
    assert!(answers.iter().all(|(code, _)| *code == 201), "{answers:?}");
    assert_eq!(
        admin
            .post("/api/v1/nodes", json!({"metadata": {"name": "edge3"}}))
            .await
            .unwrap()
            .0,
        201
    );
    remembered(&site, &edge1).await;
}

async fn remembered(site: &Site, edge1: &Api) {
    let admin = site.admin();
    let output = site.yurtctl(&["node", "remember", "edge1"]).await;
    assert!(output.status.success(), "{}", errors(&output));
    wait_for("it to be let in again", SOON, async || {
        let answers = tries(edge1, "edge1", "remembered").await;
        if answers.iter().all(|(code, _)| [201, 409].contains(code)) {
            Ok(())
        } else {
            Err(answers)
        }
    })
    .await;
    for node in ["edge1", "edge2"] {
        drop(admin.delete(&format!("{LEASES}/{node}")).await);
    }
    for name in ["edge2-other", "edge1-remembered"] {
        drop(admin.delete(&format!("{REQUESTS}/{name}")).await);
    }
}

#[tokio::test]
async fn who_works_or_rules_is_not_forgotten_by_mistake() {
    let site = Site::start().await;
    ensure_namespace(site.admin(), &site.namespace).await.unwrap();
    site.node("edge1", true).await;
    let output = site.yurtctl(&["node", "forget", "edge1", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("--even-if-ready"), "{}", errors(&output));
    site.node("ruler", false).await;
    let label = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}});
    assert_eq!(
        site.admin().patch("/api/v1/nodes/ruler", label).await.unwrap().0,
        200
    );
    let output = site
        .yurtctl(&["node", "forget", "ruler", "--yes", "--even-if-ready"])
        .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("control plane"), "{}", errors(&output));
    let list = site.path("api/v1", "configmaps/yurt-forgotten-nodes");
    assert!(!site.exists(&list).await, "something was changed");
    let output = site
        .yurtctl(&["node", "forget", "edge1", "--yes", "--even-if-ready"])
        .await;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!site.exists("/api/v1/nodes/edge1").await);
}

#[tokio::test]
async fn a_name_of_which_the_cluster_has_nothing_is_forgotten_only_where_that_is_said() {
    let site = Site::start().await;
    let (cluster, admin) = (site.cluster().await, site.admin());
    objects::make_namespace(&cluster).await.unwrap();
    objects::install(&cluster, Progress::begin()).await.unwrap();
    site.node("edge1", false).await;
    let list = site.path("api/v1", "configmaps/yurt-forgotten-nodes");
    let output = site.yurtctl(&["node", "forget", "egde1", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("--unknown"), "{}", errors(&output));
    assert!(!site.exists(&list).await, "something was changed");
    // Retired: its Node was deleted by hand, and its rights were not.
    objects::bind(&cluster, "edge1").await.unwrap();
    assert_eq!(admin.delete("/api/v1/nodes/edge1").await.unwrap().0, 200);
    for words in [
        &["node", "forget", "edge1", "--yes"][..],
        &["node", "forget", "edge7", "--yes", "--unknown"],
        // On the list, and so known.
        &["node", "forget", "edge7", "--yes"],
    ] {
        let output = site.yurtctl(words).await;
        assert!(output.status.success(), "{words:?}: {}", errors(&output));
    }
    let list = site.object(&list).await;
    let names: Vec<_> = list["data"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["edge1", "edge7"]);
}

#[tokio::test]
async fn the_last_revert_leaves_what_refuses_forgotten_nodes() {
    let site = Site::start().await;
    let hand = Hand::start(&site, |_, _| Answer::Nothing);
    let cluster = site.cluster().await;
    objects::make_namespace(&cluster).await.unwrap();
    objects::install(&cluster, Progress::begin()).await.unwrap();
    site.node("edge1", false).await;
    let output = site.yurtctl(&["node", "forget", "edge1", "--yes"]).await;
    assert!(output.status.success(), "{}", errors(&output));
    let list = site.path("api/v1", "configmaps/yurt-forgotten-nodes");
    let policy = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/yurt-forgotten-nodes";
    let output = site.yurtctl(&["revert", "--yes"]).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(site.exists(&list).await && site.exists(policy).await);
    assert!(
        errors(&output).contains("refuses 1 forgotten nodes"),
        "{}",
        errors(&output)
    );

    site.admin().delete(&list).await.unwrap();
    let output = site.yurtctl(&["revert", "--yes"]).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!site.exists(policy).await);
    drop(hand);
}
