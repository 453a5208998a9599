//! Our objects in the cluster, through installations, upgrades and removals.

use serde_json::json;
use yurt_testkit::objects::ensure_namespace;
use yurtctl::objects;
use yurtctl::progress::Progress;

use crate::hand::{Answer, Hand};
use crate::site::Site;

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/yurthub-node";

#[tokio::test]
async fn what_was_installed_is_taken_away_and_comes_again() {
    let site = Site::start().await;
    let hand = Hand::start(&site, |_, _| Answer::Nothing);
    let cluster = site.cluster().await;
    for _ in 0..2 {
        objects::make_namespace(&cluster).await.unwrap();
        let config = objects::install(&cluster, Progress::begin()).await.unwrap();
        assert_eq!(config.image, concat!("yurt:", env!("CARGO_PKG_VERSION")));
        assert!(site.exists(ROLE).await);
        objects::uninstall(&cluster).await.unwrap();
        assert!(!site.exists(ROLE).await);
        assert!(
            !site
                .exists(&format!("/api/v1/namespaces/{}", site.namespace))
                .await
        );
    }
    drop(hand);
}

#[tokio::test]
async fn nothing_of_the_tunnel_is_left_in_a_namespace_that_somebody_else_has_made() {
    let site = Site::start().await;
    let cluster = site.cluster().await;
    ensure_namespace(site.admin(), &site.namespace).await.unwrap();
    let config = objects::install(&cluster, Progress::begin()).await.unwrap();
    objects::manager::install(&cluster, &config).await.unwrap();
    objects::tunnel::install(&cluster, &config).await.unwrap();
    for set in ["yurt-tunnel-server", "yurt-tunnel-agent"] {
        let path = site.path("apis/apps/v1", &format!("daemonsets/{set}"));
        let set = site.object(&path).await;
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], config.image.as_str());
    }
    // What the manager and the servers write.
    let labels = json!({"app.kubernetes.io/part-of": "yurt", "app.kubernetes.io/component": "tunnel-server"});
    for (group, kind, name) in [
        ("api/v1", "secrets", "yurt-tunnel-ca"),
        ("api/v1", "configmaps", "yurt-tunnel-trust"),
        ("api/v1", "configmaps", "yurt-tunnel-servers"),
        ("api/v1", "configmaps", "yurt-tunnel-policy"),
        ("apis/coordination.k8s.io/v1", "leases", "yurt-tunnel-server-m1"),
        ("apis/coordination.k8s.io/v1", "leases", "somebody-elses"),
    ] {
        let mut object = json!({"metadata": {"name": name}});
        if name != "somebody-elses" {
            object["metadata"]["labels"] = labels.clone();
        }
        let (code, answer) = site.admin().post(&site.path(group, kind), object).await.unwrap();
        assert_eq!(code, 201, "{answer}");
    }
    objects::uninstall(&cluster).await.unwrap();
    for (group, kind, expected) in [
        ("api/v1", "secrets", json!([])),
        ("api/v1", "serviceaccounts", json!(["default"])),
        ("apis/apps/v1", "daemonsets", json!([])),
        ("apis/apps/v1", "deployments", json!([])),
        ("apis/rbac.authorization.k8s.io/v1", "rolebindings", json!([])),
        ("apis/coordination.k8s.io/v1", "leases", json!(["somebody-elses"])),
    ] {
        let list = site.object(&site.path(group, kind)).await;
        let items = list["items"].as_array().unwrap().iter();
        let names: Vec<_> = items.map(|item| item["metadata"]["name"].clone()).collect();
        assert_eq!(json!(names), expected, "{kind}");
    }
    for map in [
        "yurt-tunnel-trust",
        "yurt-tunnel-servers",
        "yurt-tunnel-policy",
        "yurt-hub-cfg",
    ] {
        let path = site.path("api/v1", &format!("configmaps/{map}"));
        assert!(!site.exists(&path).await, "{map}");
    }
    for kind in [
        "rbac.authorization.k8s.io/v1/clusterroles",
        "rbac.authorization.k8s.io/v1/clusterrolebindings",
        "admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    ] {
        let list = site.object(&format!("/apis/{kind}")).await;
        let items = list["items"].as_array().unwrap().iter();
        let names = items.filter_map(|item| item["metadata"]["name"].as_str());
        let left: Vec<_> = names.filter(|name| name.starts_with("yurt-")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// As a yurtctl of an earlier version has put it there.
async fn earlier(site: &Site, image: &str) {
    let cluster = site.cluster().await;
    objects::make_namespace(&cluster).await.unwrap();
    objects::install(&cluster, Progress::begin()).await.unwrap();
    let path = site.path("api/v1", "configmaps/yurt-hub-cfg");
    let mut map = site.object(&path).await;
    map["data"]["image"] = json!(image);
    map["metadata"] = json!({"name": "yurt-hub-cfg", "labels": map["metadata"]["labels"]});
    apply(site, &map, "yurtctl").await;
}

async fn apply(site: &Site, map: &serde_json::Value, manager: &str) {
    let path = site.path("api/v1", "configmaps/yurt-hub-cfg");
    let request = yurt_testkit::api::Raw::new(
        "PATCH".parse().unwrap(),
        format!("{path}?fieldManager={manager}&force=true"),
    )
    .body("application/apply-patch+yaml", map.to_string());
    let reply = site.admin().send(request).await.unwrap();
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
}

#[tokio::test]
async fn a_newer_default_takes_the_place_of_an_older_one() {
    let site = Site::start().await;
    earlier(&site, "yurt:0.0.1").await;
    let config = objects::install(&site.cluster().await, Progress::begin())
        .await
        .unwrap();
    assert_eq!(config.image, concat!("yurt:", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn what_an_operator_has_set_stays_as_it_is() {
    let site = Site::start().await;
    earlier(&site, "yurt:0.0.1").await;
    let path = site.path("api/v1", "configmaps/yurt-hub-cfg");
    let own = json!({"data": {"image": "registry.example/yurt:7", "config.yaml": "log: debug\n"}});
    let (code, _) = site.admin().patch(&path, own).await.unwrap();
    assert_eq!(code, 200);
    for _ in 0..2 {
        let config = objects::install(&site.cluster().await, Progress::begin())
            .await
            .unwrap();
        assert_eq!(config.image, "registry.example/yurt:7");
        assert_eq!(config.settings, "log: debug");
    }
    let mut told = site.yurtctl(&["doctor"]).await;
    let told = String::from_utf8(std::mem::take(&mut told.stderr)).unwrap();
    assert!(told.contains("`image` stays as "), "{told}");
}
