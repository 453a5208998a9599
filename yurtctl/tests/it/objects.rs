//! Our objects in the cluster, through installations, upgrades and removals.

use serde_json::json;
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
