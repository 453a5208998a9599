//! One replica acts; the other one follows when it dies, and at once when it is told to stop.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{ApiServer, wait_for};

use crate::manager::{Manager, SOON, grant};

/// Waits until this one acts.
pub(crate) async fn wait_leads(manager: &Manager) {
    wait_for("a replica to lead", SOON, async || manager.leads().await).await;
}

#[tokio::test]
async fn the_other_replica_goes_on_with_what_the_leader_has_begun() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let admin = server.admin();
    node("edge1").ensure(admin).await.unwrap();
    for number in 0..40 {
        pod(&format!("web{number}"))
            .on("edge1")
            .ensure(admin)
            .await
            .unwrap();
    }
    let mut first = Manager::start(&server, "first");
    first.ready().await;
    wait_leads(&first).await;
    let mut second = Manager::start(&server, "second");
    second.ready().await;
    assert!(!second.leads().await, "two lead");

    // Killed in the middle of its work.
    let wish = json!({"metadata": {"labels": {"node.beta.openyurt.io/autonomy": "true"}}});
    assert_eq!(admin.patch("/api/v1/nodes/edge1", wish).await.unwrap().0, 200);
    wait_for("the first pod to be written", SOON, async || {
        first.metric("writes_total", "autonomy").await >= 1
    })
    .await;
    first.process.kill().unwrap();
    let start = Instant::now();
    wait_leads(&second).await;
    let followed = start.elapsed();
    let lease = "/apis/coordination.k8s.io/v1/namespaces/yurt-system/leases/yurt-controller-manager";
    let (_, held) = admin.get(lease).await.unwrap();
    assert_eq!(held["spec"]["holderIdentity"], "second", "{held}");
    assert_eq!(held["spec"]["leaseTransitions"], 1, "{held}");
    wait_for("all pods to be written", SOON, async || {
        let (_, pods) = admin.get("/api/v1/namespaces/default/pods").await.unwrap();
        let items = pods["items"].as_array().unwrap();
        let done = items.iter().filter(|pod| {
            let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
            tolerations
                .iter()
                .all(|one| one["tolerationSeconds"] == Value::Null)
        });
        let done = done.count();
        if done == 40 { Ok(()) } else { Err(done) }
    })
    .await;

    // Told to stop: the Lease is free at once.
    first.process.restart().unwrap();
    first.ready().await;
    second.process.signal(Signal::TERM).unwrap();
    let start = Instant::now();
    wait_leads(&first).await;
    let handed_over = start.elapsed();
    // Three times the goals, which benches judge.
    assert!(
        followed.as_secs() < 45 && handed_over.as_secs() < 6,
        "{followed:?} {handed_over:?}"
    );
    wait_for("the other replica to end", SOON, async || {
        second
            .process
            .ended()
            .unwrap()
            .is_some_and(|status| status.success())
    })
    .await;
}

#[tokio::test]
async fn who_cannot_reach_the_apiserver_does_not_lead() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let mut manager = Manager::start(&server, "only");
    manager.ready().await;
    wait_leads(&manager).await;
    server.stop().await.unwrap();
    wait_for("the leadership to end", SOON, async || !manager.leads().await).await;
    server.resume().await.unwrap();
    wait_leads(&manager).await;
    assert!(manager.process.ended().unwrap().is_none());
}
