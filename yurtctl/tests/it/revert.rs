//! A revert, and pods that are born while somebody thinks about it.

use std::time::Duration;

use serde_json::{Value, json};
use yurt_testkit::objects::{ensure_namespace, pod};
use yurtctl::objects;
use yurtctl::plan::PodName;
use yurtctl::progress::Progress;
use yurtctl::rebirth::{self, Unready};
use yurtctl_node::journal::Outcome;
use yurtctl_node::message::Message;

use crate::hand::{Answer, Hand, facts};
use crate::site::{Site, errors};

fn ended(outcome: Outcome) -> Answer {
    Answer::Says(Message::Ended {
        outcome,
        records: Vec::new(),
    })
}

fn installed() -> Value {
    json!({"version": "1", "digest": "d", "drifted": [], "underWay": null})
}

#[tokio::test]
async fn a_pod_that_was_born_after_the_plan_is_restarted_too() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    let cluster = site.cluster().await;
    objects::make_namespace(&cluster).await.unwrap();
    objects::install(&cluster, Progress::begin()).await.unwrap();
    objects::bind(&cluster, "edge1").await.unwrap();
    let apps = format!("{}-apps", site.namespace);
    ensure_namespace(site.admin(), &apps).await.unwrap();
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "a", "controller": true}]);
    let late = pod("late")
        .in_namespace(&apps)
        .on("edge1")
        .with("/spec/terminationGracePeriodSeconds", 0)
        .with("/metadata/ownerReferences", owner);
    let made = late.create(site.admin()).await.unwrap();
    let uid = made["metadata"]["uid"].clone();

    let mut looks = 0;
    let hand = Hand::start(&site, move |task, node| match task {
        "facts" => {
            looks += 1;
            // When the plan is made no pod is led to yurthub; at the second look one is.
            let pods = if looks == 1 {
                json!([])
            } else {
                json!([{"uid": uid, "hub": true}])
            };
            Answer::Says(facts(node, &[("installed", installed()), ("pods", pods)]))
        }
        "convert" => ended(Outcome::Converted),
        _ => ended(Outcome::Reverted),
    });
    let output = site.yurtctl(&["revert", "--yes", "--image", "yurt:1"]).await;
    let told = errors(&output);
    assert!(output.status.success(), "{told}");
    let order = ["facts edge1", "convert edge1", "facts edge1", "revert edge1"];
    assert_eq!(hand.jobs(), order, "{told}");
    assert!(told.contains(&format!("restarting {apps}/late")), "{told}");
    assert!(!site.exists(&late.path()).await);
    assert!(
        !site
            .exists(&format!("/api/v1/namespaces/{}", site.namespace))
            .await
    );
}

#[tokio::test]
async fn a_pod_that_was_not_ready_before_the_kubelet_was_restarted_need_not_be_ready_again() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    let cluster = site.cluster().await;
    let apps = format!("{}-apps", site.namespace);
    ensure_namespace(site.admin(), &apps).await.unwrap();
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "a", "uid": "a", "controller": true}]);
    // The second one is there in place of the one that its controller would make.
    let [old, new] = ["old", "new"].map(|name| {
        pod(name)
            .in_namespace(&apps)
            .on("edge1")
            .with("/spec/terminationGracePeriodSeconds", 0)
            .with("/metadata/ownerReferences", owner.clone())
    });
    old.create(site.admin()).await.unwrap();
    new.create(site.admin()).await.unwrap();
    let unready = Unready::on(&cluster, "edge1").await.unwrap();
    // What a kubelet says that was restarted and has probed nobody yet.
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let path = format!("{}/status", old.path());
    let (code, answer) = site.admin().patch(&path, ready).await.unwrap();
    assert_eq!(code, 200, "{answer}");

    let name = PodName {
        namespace: apps,
        name: "old".to_owned(),
    };
    let pods = [name];
    let restart = rebirth::restart(&cluster, "edge1", &pods, &unready, Progress::begin());
    let restarted = tokio::time::timeout(Duration::from_secs(20), restart).await;
    restarted.expect("it is waited for").unwrap();
    assert!(!site.exists(&old.path()).await);
}
