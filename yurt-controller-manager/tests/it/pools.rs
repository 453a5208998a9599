//! What peers see of a silent node decides about its pods and its endpoints.

use std::time::Instant;

use serde_json::{Value, json};
use yurt_common::pool::Shown;
use yurt_common::pool::votes::Seen;
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{ApiServer, wait_for};

use crate::manager::{Manager, SOON, grant};
use crate::pool::Cluster;

fn tolerating(seconds: &Value) -> Value {
    let toleration = |key: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
    json!([toleration("unreachable"), toleration("not-ready")])
}

/// Pods of all kinds on a node, each called after it.
async fn fill(cluster: &Cluster<'_>, node: &str) {
    let admin = cluster.0;
    let called = |kind: &str| pod(&format!("{node}-{kind}")).on(node);
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "x", "controller": true}]);
    for object in [
        called("web"),
        called("crash"),
        called("short").with("/spec/tolerations", tolerating(&json!(10))),
        called("ever").with("/spec/tolerations", tolerating(&Value::Null)),
        called("daemon").with("/metadata/ownerReferences", owner),
        called("mirror").annotation("kubernetes.io/config.mirror", "x"),
    ] {
        object.ensure(admin).await.unwrap();
        let are = !object.name().ends_with("-crash");
        cluster.set_containers_ready(object.name(), are).await;
    }
}

async fn wait_verdicts(manager: &Manager, expected: &[(&str, u64)]) {
    wait_for(&format!("the verdicts {expected:?}"), SOON, async || {
        let mut found = Vec::new();
        for (verdict, _) in expected {
            let count = manager
                .metric("silent_nodes", &format!("verdict=\"{verdict}\""))
                .await;
            found.push((*verdict, count));
        }
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

/// In each of these a is silent; what b and c say of it is what the pool is called after.
const POOLS: [&str; 6] = ["alive", "dead", "one", "cut", "wish", "stale"];

#[tokio::test]
async fn peers_decide_about_silent_nodes() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let cluster = Cluster(server.admin());
    make_pools(&cluster).await;
    let mut manager = Manager::start(&server, "one");
    manager.ready().await;
    wait_for("the pools to be written", SOON, async || {
        manager.metric("writes_total", "what=\"silence\"").await >= 6
    })
    .await;

    let cluster = &cluster;
    cut_off(cluster).await;
    let verdicts = [
        ("alive", 1),
        ("dead", 1),
        ("cut", 3),
        ("autonomous", 1),
        ("undecided", 2),
        ("awaited", 0),
    ];
    wait_verdicts(&manager, &verdicts).await;
    pods_stay(cluster).await;
    pods_of_the_dead_go(cluster).await;
    members_read_it(cluster).await;
    a_replica_begins_anew(cluster, &mut manager).await;
    a_node_comes_back(cluster, &manager).await;
    nodes_go(cluster, &manager).await;
}

async fn make_pools(cluster: &Cluster<'_>) {
    for pool in POOLS {
        for name in ["a", "b", "c"] {
            cluster.join(pool, &format!("{pool}-{name}")).await;
        }
        fill(cluster, &format!("{pool}-a")).await;
    }
    let wish = "node.beta.openyurt.io/autonomy";
    cluster.annotate("wish-a", wish, "true").await;
    node("lonely").ensure(cluster.0).await.unwrap();
    fill(cluster, "lonely").await;
}

async fn cut_off(cluster: &Cluster<'_>) {
    cluster.fall_silent("lonely").await;
    for pool in POOLS {
        let a = format!("{pool}-a");
        let mut since = cluster.fall_silent(&a).await;
        let (voters, sees): (&[&str], _) = match pool {
            "alive" => (&["b", "c"], Seen::Alive),
            "dead" | "wish" | "stale" => (&["b", "c"], Seen::Dead),
            "one" => (&["b"], Seen::Dead),
            _ => (&[], Seen::Alive),
        };
        if pool == "stale" {
            "2026-01-01T00:00:00Z".clone_into(&mut since);
        }
        for voter in voters {
            cluster
                .vote((&format!("{pool}-{voter}"), 1), &a, &since, sees)
                .await;
        }
    }
    cluster.fall_silent("cut-b").await;
    cluster.fall_silent("cut-c").await;
}

async fn pods_stay(cluster: &Cluster<'_>) {
    for (pool, tolerates, short, reason) in [
        ("alive", Value::Null, Value::Null, Some("PeersSeeItAlive")),
        ("cut", Value::Null, Value::Null, Some("PoolIsCut")),
        ("wish", Value::Null, Value::Null, Some("ForEver")),
        ("one", json!(300), json!(10), None),
        ("stale", json!(300), json!(10), None),
    ] {
        wait_for(&format!("pods of the pool {pool}"), SOON, async || {
            let found = (
                cluster.tolerates(&format!("{pool}-a-web")).await,
                cluster.tolerates(&format!("{pool}-a-short")).await,
                cluster.reason(&format!("{pool}-a")).await,
            );
            let expected = (tolerates.clone(), short.clone(), reason.map(str::to_owned));
            if found == expected { Ok(()) } else { Err(found) }
        })
        .await;
        for kind in ["web", "crash", "short", "ever", "daemon", "mirror"] {
            assert!(
                !cluster.is_evicted(&format!("{pool}-a-{kind}")).await,
                "{pool} {kind}"
            );
        }
    }
}

async fn pods_of_the_dead_go(cluster: &Cluster<'_>) {
    wait_for("pods of the dead node to be evicted", SOON, async || {
        let mut evicted = Vec::new();
        for kind in ["web", "crash", "short", "ever", "daemon", "mirror"] {
            if cluster.is_evicted(&format!("dead-a-{kind}")).await {
                evicted.push(kind);
            }
        }
        let expected = ["web", "crash", "short"];
        if evicted == expected { Ok(()) } else { Err(evicted) }
    })
    .await;
    // So that a Job does not count it as a failure.
    for kind in ["web", "crash", "short"] {
        let pod = cluster.pod(&format!("dead-a-{kind}")).await;
        let conditions = pod["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let told = conditions.iter().filter(|one| one["type"] == "DisruptionTarget");
        let told: Vec<_> = told.map(|one| (&one["status"], &one["reason"])).collect();
        assert_eq!(told, [(&json!("True"), &json!("DeletionByNodeFailover"))]);
    }
    let (_, events) = cluster
        .0
        .get("/apis/events.k8s.io/v1/namespaces/default/events")
        .await
        .unwrap();
    let told = events["items"].as_array().unwrap().iter();
    let told = told.filter(|event| event["reason"] == "FailingOver").count();
    assert_eq!(told, 4, "of the node and of three pods");
    assert_eq!(cluster.tolerates("lonely-short").await, 10);
}

async fn members_read_it(cluster: &Cluster<'_>) {
    // What all members of the pool read.
    for (pool, shown) in [
        ("alive", Shown::Kept),
        ("cut", Shown::Kept),
        ("one", Shown::AsInCloud),
        ("dead", Shown::AsInCloud),
        // Its pods stay, but nobody reaches them.
        ("wish", Shown::AsInCloud),
        ("stale", Shown::AsInCloud),
    ] {
        let a = format!("{pool}-a");
        wait_for(&format!("the silence of {pool}"), SOON, async || {
            let silence = cluster.silence(pool).await;
            let found = silence.as_ref().and_then(|silence| silence.silent.get(&a));
            if found.is_some_and(|found| found.endpoints == shown) {
                Ok(())
            } else {
                Err(silence)
            }
        })
        .await;
        let silence = cluster.silence(pool).await.unwrap();
        let unready = if shown == Shown::Kept {
            let crash = cluster.pod(&format!("{a}-crash")).await;
            vec![crash["metadata"]["uid"].as_str().unwrap().to_owned()]
        } else {
            Vec::new()
        };
        assert_eq!(silence.silent[&a].unready, unready, "{pool}");
        let members = cluster.content(pool, 0).await.unwrap();
        assert_eq!(members.matches("10.0.0.1:10269").count(), 3, "{members}");
    }
}

async fn a_replica_begins_anew(cluster: &Cluster<'_>, manager: &mut Manager) {
    // A replica that begins anew finds all as it shall be.
    manager.process.restart().unwrap();
    manager.ready().await;
    wait_for("all pools to be looked at", SOON, async || {
        manager.metric("look_seconds_count", "controller=\"pools\"").await > 6
    })
    .await;
    wait_verdicts(
        manager,
        &[("alive", 1), ("cut", 3), ("autonomous", 1), ("undecided", 3)],
    )
    .await;
    assert_eq!(manager.metric("writes_total", "").await, 0);
    // It has heard of the votes, but of no voter: nothing is deleted until they go on.
    let since = cluster.silence("dead").await.unwrap().silent["dead-a"]
        .since
        .clone();
    for voter in ["dead-b", "dead-c"] {
        cluster.vote((voter, 2), "dead-a", &since, Seen::Dead).await;
    }
    wait_verdicts(manager, &[("dead", 1)]).await;
}

async fn a_node_comes_back(cluster: &Cluster<'_>, manager: &Manager) {
    // Back: it stays until its pods are ready.
    cluster.come_back("alive-a").await;
    wait_verdicts(manager, &[("alive", 0), ("returned", 1)]).await;
    assert_eq!(
        cluster.silence("alive").await.unwrap().silent["alive-a"].endpoints,
        Shown::Kept
    );
    for kind in ["web", "short", "ever", "daemon", "mirror"] {
        cluster.set_pod_ready(&format!("alive-a-{kind}"), "True").await;
    }
    wait_verdicts(manager, &[("returned", 0)]).await;
    wait_for("the silence to be over", SOON, async || {
        let silence = cluster.silence("alive").await.unwrap();
        silence.silent.is_empty()
            && cluster.tolerates("alive-a-short").await == 10
            && cluster.reason("alive-a").await.is_none()
    })
    .await;
}

async fn nodes_go(cluster: &Cluster<'_>, manager: &Manager) {
    // Nodes go, silent ones too, and their pool with the last one.
    for name in ["cut-b", "cut-a", "cut-c"] {
        cluster.0.delete(&format!("/api/v1/nodes/{name}")).await.unwrap();
    }
    wait_for("the pool to be gone", SOON, async || {
        cluster.content("cut", 0).await.is_none() && cluster.content("cut", 1).await.is_none()
    })
    .await;
    wait_verdicts(manager, &[("cut", 0)]).await;
    assert_eq!(manager.metric("pools", "").await, 5);
    assert_eq!(manager.metric("pool_members", "").await, 15);
}

#[tokio::test]
async fn another_replica_ends_a_failover_and_readiness_of_heard_nodes_is_nobodys_work() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let cluster = Cluster(server.admin());
    for name in ["a", "b", "c"] {
        cluster.join("shop", name).await;
    }
    let names: Vec<_> = (0..40).map(|number| format!("web{number}")).collect();
    for name in &names {
        pod(name).on("a").ensure(cluster.0).await.unwrap();
        cluster.set_containers_ready(name, true).await;
    }
    let mut first = Manager::start(&server, "first");
    first.ready().await;
    wait_for("the first replica to lead", SOON, async || first.leads().await).await;
    let mut second = Manager::start(&server, "second");
    second.ready().await;

    let looks = async || {
        let autonomy = first.metric("look_seconds_count", "controller=\"autonomy\"");
        let pools = first.metric("look_seconds_count", "controller=\"pools\"");
        (autonomy.await, pools.await)
    };
    // Each node once; the pool, and whether what is there of pools is as it was written.
    wait_for(
        "the pool to be written, and all looks to be over",
        SOON,
        async || {
            let (autonomy, pools) = looks().await;
            first.metric("writes_total", "what=\"silence\"").await >= 1 && autonomy >= 3 && pools >= 2
        },
    )
    .await;
    let events = first.metric("cache_events_total", "kind=\"Pod\"").await;
    let before = looks().await;
    for are in [false, true] {
        cluster.set_containers_ready("web0", are).await;
    }
    wait_for("the changes to be heard of", SOON, async || {
        first.metric("cache_events_total", "kind=\"Pod\"").await >= events + 2
    })
    .await;
    assert_eq!(looks().await, before);

    let since = cluster.fall_silent("a").await;
    for voter in ["b", "c"] {
        cluster.vote((voter, 1), "a", &since, Seen::Dead).await;
    }
    wait_for("the first pod to be evicted", SOON, async || {
        first.metric("writes_total", "what=\"eviction\"").await >= 1
    })
    .await;
    first.process.kill().unwrap();
    let start = Instant::now();
    wait_for("all pods to be evicted", SOON, async || {
        for name in &names {
            if !cluster.is_evicted(name).await {
                return Err(name.clone());
            }
        }
        Ok(())
    })
    .await;
    println!("the other replica took {:?}", start.elapsed());
}

#[tokio::test]
async fn a_thousand_nodes_that_fall_silent_are_no_storm() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let cluster = Cluster(server.admin());
    let names: Vec<_> = (0..1000).map(|number| format!("edge-{number}")).collect();
    for name in &names {
        cluster.join("shop", name).await;
    }
    let mut manager = Manager::start(&server, "one");
    manager.ready().await;
    wait_for("all to be members", SOON, async || {
        manager.metric("pool_members", "").await == 1000
    })
    .await;
    wait_for("the pool to be written", SOON, async || {
        cluster.silence("shop").await.is_some()
    })
    .await;
    let writes = async |what: &str| manager.metric("writes_total", &format!("what=\"{what}\"")).await;

    let start = Instant::now();
    for name in &names {
        cluster.fall_silent(name).await;
    }
    let played = start.elapsed();
    wait_for("all to be held", SOON, async || {
        writes("condition").await >= 1000 && cluster.silence("shop").await.unwrap().silent.len() == 1000
    })
    .await;
    let silent = start.elapsed();
    let written = [
        writes("members").await,
        writes("silence").await,
        writes("condition").await,
    ];
    let start = Instant::now();
    for name in &names {
        cluster.come_back(name).await;
    }
    wait_for("the silence to be over", SOON, async || {
        writes("condition").await >= 2000 && cluster.silence("shop").await.unwrap().silent.is_empty()
    })
    .await;
    println!(
        "1,000 nodes silent: played in {played:?}, held after {silent:?}, writes {written:?}; back after {:?}, writes {}",
        start.elapsed(),
        manager.metric("writes_total", "").await,
    );
    let looks = manager.metric("look_seconds_count", "controller=\"pools\"").await;
    let seconds = silent.as_secs() + start.elapsed().as_secs();
    assert!(looks <= 20 + 2 * seconds, "{looks} looks in {seconds} s");
    assert_eq!(
        writes("members").await,
        written[0],
        "silent or not, they are members"
    );
    // Once a second at most, and less often the more there is to read.
    let silence = writes("silence").await;
    assert!(silence <= 10 + seconds, "{silence} writes in {seconds} s");
    // Each node was held once, and let go once.
    assert_eq!(writes("condition").await, 2000);
    assert_eq!(writes("eviction").await, 0);
}
