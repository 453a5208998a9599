//! The lock: who has it, and what one who lost it may still do.

use serde_json::json;
use yurtctl::cluster::Lock;
use yurtctl::objects;

use crate::hand::Hand;
use crate::site::Site;

async fn installed(site: &Site) {
    let cluster = site.cluster().await;
    objects::make_namespace(&cluster).await.unwrap();
    objects::install(&cluster, yurtctl::progress::Progress::begin())
        .await
        .unwrap();
}

/// As another run does it that found the lock left behind.
async fn take_over(site: &Site) {
    let lease = json!({"spec": {"holderIdentity": "other-1"}});
    let path = site.path("apis/coordination.k8s.io/v1", "leases/yurtctl");
    assert_eq!(site.admin().patch(&path, lease).await.unwrap().0, 200);
}

#[tokio::test]
async fn of_two_runs_the_second_is_refused_until_the_first_is_done() {
    let site = Site::start().await;
    installed(&site).await;
    let cluster = site.cluster().await;
    let first = Lock::take(&cluster).await.unwrap();
    let refused = Lock::take(&cluster).await.err().unwrap().to_string();
    assert!(refused.contains("another yurtctl ("), "{refused}");
    first.hold().check().await.unwrap();
    first.release().await.unwrap();
    Lock::take(&cluster).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_run_whose_lock_was_taken_over_stops_before_its_next_change() {
    let site = Site::start().await;
    installed(&site).await;
    site.node("edge1", true).await;
    let cluster = site.cluster().await;
    let lock = Lock::take(&cluster).await.unwrap();
    let held = cluster.under(&lock);
    objects::bind(&held, "edge1").await.unwrap();
    take_over(&site).await;
    for refused in [
        objects::bind(&held, "edge2").await,
        objects::unbind(&held, "edge1").await,
        objects::uninstall(&held).await,
        held.mark_node("edge1", &[("a", Some("b".to_owned()))].into(), &[].into())
            .await,
    ] {
        let told = refused.unwrap_err().to_string();
        assert!(
            told.contains("other-1") && told.contains("taken the lock over"),
            "{told}"
        );
    }
    assert_eq!(objects::bound_nodes(&cluster).await.unwrap(), ["edge1"]);
    assert!(
        site.exists(&format!("/api/v1/namespaces/{}", site.namespace))
            .await
    );
    let node = site.object("/api/v1/nodes/edge1").await;
    assert!(node["metadata"]["labels"]["a"].is_null(), "{node}");
    // What is the other one's stays the other one's.
    lock.release().await.unwrap();
    let lease = site.path("apis/coordination.k8s.io/v1", "leases/yurtctl");
    assert_eq!(site.object(&lease).await["spec"]["holderIdentity"], "other-1");
}

#[tokio::test]
async fn a_lock_that_ended_and_that_nobody_took_is_renewed_before_the_next_change() {
    let site = Site::start().await;
    installed(&site).await;
    let cluster = site.cluster().await;
    let lock = Lock::take(&cluster).await.unwrap();
    let path = site.path("apis/coordination.k8s.io/v1", "leases/yurtctl");
    let old = json!({"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}});
    assert_eq!(site.admin().patch(&path, old).await.unwrap().0, 200);
    objects::bind(&cluster.under(&lock), "edge1").await.unwrap();
    let renewed = site.object(&path).await["spec"]["renewTime"].clone();
    assert!(!renewed.as_str().unwrap().starts_with("2020"), "{renewed}");
    lock.release().await.unwrap();
}

#[tokio::test]
async fn while_another_run_has_the_lock_nothing_of_it_is_taken_away() {
    let site = Site::start().await;
    installed(&site).await;
    site.node("edge1", false).await;
    let hand = Hand::start(&site, |_, _| crate::hand::Answer::Nothing);
    let cluster = site.cluster().await;
    let other = Lock::take(&cluster).await.unwrap();
    for args in [
        &["doctor"][..],
        &["revert", "--yes"],
        &["convert", "--yes", "--edge-nodes", "edge1", "--image", "yurt:1"],
    ] {
        let output = site.yurtctl(args).await;
        let told = crate::site::errors(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
        assert!(told.contains("another yurtctl"), "{args:?}: {told}");
        let found = site
            .object(&format!("/api/v1/namespaces/{}", site.namespace))
            .await;
        assert!(found["metadata"]["deletionTimestamp"].is_null(), "{args:?}");
    }
    other.release().await.unwrap();
    let output = site.yurtctl(&["revert", "--yes"]).await;
    assert!(output.status.success(), "{}", crate::site::errors(&output));
    assert!(
        !site
            .exists(&format!("/api/v1/namespaces/{}", site.namespace))
            .await
    );
    drop(hand);
}
