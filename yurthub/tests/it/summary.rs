//! The annotation in which yurthub tells the cloud how it is.

use serde_json::{Value, json};
use yurt_testkit::wait_for;

use crate::hub::{Hub, SOON, STRATEGIC, patch, server};

const OFTEN: &str = "--summary-interval=500ms";

fn node(hub: &Hub<'_>) -> String {
    format!("/api/v1/nodes/{}", hub.name)
}

/// The summary in the cloud, `null` while there is none.
async fn told(hub: &Hub<'_>) -> Value {
    let (_, node) = hub.server.admin().get(&node(hub)).await.unwrap();
    let text = &node["metadata"]["annotations"]["yurthub.openyurt.io/summary"];
    serde_json::from_str(text.as_str().unwrap_or("null")).unwrap()
}

async fn wait_told(hub: &Hub<'_>, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, SOON, async || is(&told(hub).await)).await;
    told(hub).await
}

#[tokio::test]
async fn the_cloud_is_told_how_a_node_is_and_only_when_that_changes() {
    let hub = Hub::start_with(server().await, "telling", &[OFTEN]).await;
    let first = wait_told(&hub, "a summary", |told| !told.is_null()).await;
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(first["store"], "fine");
    assert_eq!(first["waiting"], json!({"statuses": 0, "events": 0}));
    assert_eq!(first["scopes"]["denied"], 0);
    for time in ["since", "connected", "certificate"] {
        let text = first[time].as_str().unwrap();
        assert!(text.len() == 20 && text.ends_with('Z'), "{time}: {first}");
    }

    // The mirror follows the Node meanwhile, as the kubelet does, and a status written offline survives the write.
    let listed = format!(
        "/api/v1/nodes?fieldSelector=metadata.name%3D{}&resourceVersion=0",
        hub.name
    );
    assert_eq!(hub.node().get(&listed).await.unwrap().0, 200);
    hub.cut().await;
    let status = json!({"status": {"conditions": [{
        "type": "Ready", "status": "False", "reason": "Offline", "message": "",
        "lastHeartbeatTime": "2026-11-21T14:00:00Z", "lastTransitionTime": "2026-11-21T14:00:00Z",
    }]}});
    let written = patch(&format!("{}/status", node(&hub)), STRATEGIC, &status);
    assert_eq!(hub.node().send(written).await.unwrap().status, 200);
    hub.join().await;
    let again = wait_told(&hub, "the return to be told", |told| {
        told["connected"] != first["connected"] && told["waiting"]["statuses"] == 0
    })
    .await;
    assert_eq!(again["since"], first["since"], "{again}");
    wait_for(
        "the cloud, the mirror and the kubelet to agree",
        SOON,
        async || {
            let (_, cloud) = hub.server.admin().get(&node(&hub)).await.unwrap();
            let (_, list) = hub.node().get(&listed).await.unwrap();
            let ready = &cloud["status"]["conditions"][0]["reason"];
            ready == "Offline" && list["items"][0]["metadata"] == cloud["metadata"]
        },
    )
    .await;

    // Other things of the Node change, for several intervals; there is nothing to tell.
    let writes = hub.metric("yurthub_summaries_total", "").await;
    for round in 0..30 {
        let round = round.to_string();
        let label = json!({"metadata": {"labels": {"round": round}}});
        assert_eq!(hub.server.admin().patch(&node(&hub), label).await.unwrap().0, 200);
        wait_for("the mirror to follow", SOON, async || {
            let (_, list) = hub.node().get(&listed).await.unwrap();
            list["items"][0]["metadata"]["labels"]["round"] == *round
        })
        .await;
    }
    assert_eq!(hub.metric("yurthub_summaries_total", "").await, writes);
}
