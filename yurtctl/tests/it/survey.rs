//! Which nodes a plan is made for, when some of them do not answer.

use serde_json::Value;

use crate::hand::{Answer, Hand, facts};
use crate::site::{Site, errors};

const ARGS: [&str; 8] = [
    "convert",
    "--dry-run",
    "-o",
    "json",
    "--system-clients=",
    "--accept=no-dns",
    "--image",
    "yurt:1",
];

fn action<'a>(plan: &'a Value, node: &str) -> &'a Value {
    let nodes = plan["nodes"].as_array().unwrap();
    &nodes.iter().find(|found| found["node"] == node).unwrap()["action"]
}

#[tokio::test]
async fn nodes_that_do_not_answer_are_pending_and_block_nobody() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    site.node("gone", false).await;
    site.node("cut", true).await;
    let hand = Hand::start(&site, |_, node| match node {
        "edge1" => Answer::Says(facts(node, &[])),
        _ => Answer::Nothing,
    });
    let args = [&ARGS[..], &["--edge-nodes", "cut,edge1,gone"]].concat();
    let run = site.yurtctl(&args);
    let cut = async {
        // It is Ready still when the look begins; then the cloud misses it.
        yurt_testkit::wait_for("the look", std::time::Duration::from_secs(30), async || {
            hand.jobs().contains(&"facts cut".to_owned())
        })
        .await;
        site.report("cut", false).await;
    };
    let (output, ()) = tokio::join!(run, cut);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(action(&plan, "cut"), "pending", "{plan:#}");
    assert_eq!(action(&plan, "gone"), "pending");
    assert_eq!(action(&plan, "edge1"), "convert", "{plan:#}");
    assert!(
        !hand.jobs().contains(&"facts gone".to_owned()),
        "{:?}",
        hand.jobs()
    );
}

#[tokio::test]
async fn a_node_on_which_something_is_wrong_is_refused() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    let hand = Hand::start(&site, |_, node| {
        Answer::Says(facts(node, &[("portsTaken", serde_json::json!([10267]))]))
    });
    let args = [&ARGS[..], &["--edge-nodes", "edge1"]].concat();
    let output = site.yurtctl(&args).await;
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(action(&plan, "edge1"), "refused", "{plan:#}");
    drop(hand);
}

#[tokio::test]
async fn a_run_whose_nodes_are_all_away_ends_as_pending_and_leaves_nothing_behind() {
    let site = Site::start().await;
    site.node("edge1", false).await;
    let hand = Hand::start(&site, |_, _| Answer::Nothing);
    let args = ["convert", "--yes", "--edge-nodes", "edge1", "--image", "yurt:1"];
    let output = site.yurtctl(&args).await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    assert!(
        !site
            .exists(&format!("/api/v1/namespaces/{}", site.namespace))
            .await
    );
    assert!(hand.jobs().is_empty());
}
