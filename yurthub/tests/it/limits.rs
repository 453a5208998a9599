//! Pods that take more than their part: they do not read, follow ever new things, or leave connections lying. The kubelet
//! and other pods go on.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use yurt_testkit::objects::{config_map, service};
use yurt_testkit::wait_for;

use crate::accounts::Site;
use crate::hub::{JSON, SOON, may_do_everything, port};
use crate::wire::Plain;

/// What only the cloud makes: lists in this form are forwarded.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The kubelet reads a ConfigMap that nobody has read before, and another account gets its answers.
async fn others_go_on(site: &Site<'_>, fresh: &str) {
    let hub = &site.hub;
    let map = config_map(fresh).in_namespace(&hub.name);
    map.ensure(hub.server.admin()).await.unwrap();
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?resourceVersion=0&fieldSelector=metadata.name%3D{fresh}",
        hub.name
    );
    let (status, list) = hub.node().get(&path).await.unwrap();
    assert_eq!(status, 200, "the kubelet: {list}");
    let node = format!("/api/v1/nodes/{}", hub.name);
    assert_eq!(hub.node().get(&node).await.unwrap().0, 200);
    // Refused by the cloud, not by yurthub.
    let (status, refused) = site
        .nobody()
        .get("/api/v1/namespaces/default/pods")
        .await
        .unwrap();
    assert_eq!(status, 403, "another account: {refused}");
}

#[tokio::test]
async fn a_pod_that_never_reads_its_answers_holds_up_nobody_else() {
    // An account gets a quarter of them.
    let site = Site::start_with("unread", &["--max-in-flight=8"]).await;
    let hub = &site.hub;
    may_do_everything(hub).await;
    let filler = "x".repeat(200 << 10);
    for name in ["large-1", "large-2"] {
        let large = service(name).in_namespace("unread").annotation("filler", &filler);
        large.ensure(hub.server.admin()).await.unwrap();
    }
    let path = "/api/v1/namespaces/unread/services";
    let credentials = (TABLE, Some(site.reader.as_str()));
    let mut pod = Plain::connect(hub, hub.address, Ipv4Addr::LOCALHOST.into())
        .await
        .unwrap();
    let mut unread = Vec::new();
    for _ in 0..2 {
        let answer = pod.get(path, credentials).await.unwrap();
        assert_eq!(answer.status(), 200);
        unread.push(answer);
    }
    assert_eq!(
        pod.get(path, credentials).await.unwrap().status(),
        429,
        "its part is taken"
    );
    others_go_on(&site, "while-unread").await;
    drop(unread);
    wait_for("the places to be given back", SOON, async || {
        pod.get(path, credentials).await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_follows_ever_new_things_loses_its_own_and_nobody_elses() {
    const BOUND: usize = 10;
    let bound = format!("--max-scopes-per-client={BOUND}");
    // Nothing is shared: each selector is a scope.
    let site = Site::start_with("selective", &[&bound, "--shared-resources="]).await;
    let hub = &site.hub;
    may_do_everything(hub).await;
    let services = |index: usize| {
        format!("/api/v1/namespaces/selective/services?resourceVersion=0&labelSelector=n%3D{index}")
    };
    let reader = site.reader();
    let mut answers = Vec::new();
    for index in 0..2000 {
        answers.push(reader.get(&services(index)).await.unwrap());
    }
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status != 200).collect();
    // What it has not used for ten seconds makes room, should this take so long.
    assert!((BOUND - 1..1000).contains(&served), "{served}");
    assert!(refused.iter().all(|(status, _)| *status == 429), "{refused:?}");
    let message = refused[0].1["message"].as_str().unwrap();
    assert!(message.contains("--max-scopes-per-client"), "{message}");
    others_go_on(&site, "while-selective").await;
    let mut index = 2000;
    wait_for("its oldest to make room", SOON, async || {
        index += 1;
        reader.get(&services(index)).await.unwrap().0 == 200
    })
    .await;
    assert!(hub.metric("yurthub_mirror_evictions_total", "").await > 0);
    others_go_on(&site, "after-selective").await;
}

/// A port for pods, and the flag that says so.
fn for_pods() -> (SocketAddr, String) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port()));
    (address, format!("--listen-pods={address}"))
}

/// A client with a token asks for something at the pods' listener.
async fn is_served(site: &Site<'_>, pods: SocketAddr) -> bool {
    let path = format!("/api/v1/namespaces/{}/services?resourceVersion=0", site.hub.name);
    let answer = site.reader().at(pods).get(&path).await;
    matches!(answer, Ok((200, _)))
}

#[tokio::test]
async fn connections_that_prove_nothing_keep_nobody_out() {
    const PLACES: usize = 40;
    let (pods, listen) = for_pods();
    let places = [
        format!("--max-connections={PLACES}"),
        "--max-connections-per-source=30".into(),
    ];
    let flags = [listen.as_str(), &places[0], &places[1]];
    let site = Site::start_with("callers", &flags).await;
    let hub = &site.hub;
    may_do_everything(hub).await;
    // Refused once, then left lying.
    let mut refused = Vec::new();
    for index in 0..PLACES * 3 {
        let source = Ipv4Addr::new(127, 0, 0, 1 + (index % 3) as u8);
        let mut connection = Plain::connect(hub, pods, source.into()).await.unwrap();
        let answer = connection.get("/api/v1/pods", (JSON, None)).await.unwrap();
        assert_eq!(answer.status(), 401);
        drop(answer);
        refused.push(connection);
    }
    for connection in &mut refused {
        // Ended by the hub: this side goes on for as long as somebody may send.
        let running = tokio::time::timeout(Duration::from_secs(5), &mut connection.running);
        assert!(running.await.is_ok(), "it stays open after a 401");
    }
    // Made, and nothing is said on them.
    let mut silent = Vec::new();
    for index in 0..PLACES * 3 {
        let source = Ipv4Addr::new(127, 0, 0, 1 + (index % 3) as u8);
        if let Ok(connection) = Plain::connect(hub, pods, source.into()).await {
            silent.push(connection);
        }
        if let Ok(connection) = Plain::connect(hub, hub.address, source.into()).await {
            silent.push(connection);
        }
    }
    assert!(is_served(&site, pods).await, "a pod comes back");
    others_go_on(&site, "while-crowded").await;
    assert!(hub.metric("yurthub_connections_closed_total", "crowded").await > 0);
}

#[tokio::test]
async fn one_pod_holds_no_more_than_its_part_of_the_connections_and_idle_ones_end() {
    const PART: usize = 10;
    let (pods, listen) = for_pods();
    let part = format!("--max-connections-per-source={PART}");
    let site = Site::start_with("clinging", &[&listen, &part, "--idle-timeout=1s"]).await;
    let hub = &site.hub;
    may_do_everything(hub).await;
    let credentials = (JSON, Some(site.reader.as_str()));
    let watch = "/api/v1/namespaces/clinging/services?watch=true";
    let greedy = Ipv4Addr::new(127, 0, 0, 9);
    let mut watching = Vec::new();
    for _ in 0..PART {
        let mut connection = Plain::connect(hub, pods, greedy.into()).await.unwrap();
        let answer = connection.get(watch, credentials).await.unwrap();
        assert_eq!(answer.status(), 200);
        watching.push((connection, answer));
    }
    assert!(
        Plain::connect(hub, pods, greedy.into()).await.is_err(),
        "all in use"
    );
    assert!(hub.metric("yurthub_connections_closed_total", "refused").await > 0);
    assert!(is_served(&site, pods).await, "another pod");
    others_go_on(&site, "while-clinging").await;
    // One that was used and is used no more ends; those with a watch do not.
    let mut idle = Plain::connect(hub, pods, Ipv4Addr::new(127, 0, 0, 8).into())
        .await
        .unwrap();
    let list = "/api/v1/namespaces/clinging/services?resourceVersion=0&limit=1";
    drop(idle.get(list, credentials).await.unwrap());
    assert!(
        tokio::time::timeout(SOON, &mut idle.running).await.is_ok(),
        "idle for long"
    );
    assert!(
        watching
            .iter()
            .all(|(connection, _)| !connection.running.is_finished())
    );
    assert!(hub.metric("yurthub_connections_closed_total", "idle").await > 0);
}
