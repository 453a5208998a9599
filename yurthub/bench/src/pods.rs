//! Pods as clients: fifty of them watch services, each with a token of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use yurt_testkit::objects::{pod, service_account};

use crate::client::{Connection, Door};
use crate::figure::{Experiment, Figure, Place, Reading};
use crate::hub::{Hub, Setup};
use crate::load::{WATCHERS, collections, fifty_through, inform};
use crate::samples::{Samples, megabytes};
use crate::stand::{NAMESPACE, NODE, Stand, name};

const ACCOUNT: &str = "client";
const WARM_UP: usize = 200;
const VERIFIED_WITHIN: Duration = Duration::from_mins(1);
/// How long nothing happens before memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) const FIFTY_PODS: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[
        Figure {
            name: "watch50_other_cpu_us_per_event",
            unit: "us",
            goal: 15.0,
        },
        Figure {
            name: "authz_cached_added_us",
            unit: "us",
            goal: 50.0,
        },
        Figure {
            name: "rss_50_clients_mb",
            unit: "MB",
            goal: 30.0,
        },
    ],
    measure: |stand| Box::pin(fifty_pods(stand)),
};

async fn fifty_pods(stand: &Stand) -> Result<Vec<Reading>> {
    let server = stand.filled_server().await?;
    make_clients(stand).await?;
    let hub = Hub::start(stand, Setup::ForPods).await?;
    let mut informers = Vec::new();
    for collection in collections() {
        informers.push(inform(&hub.door()?, server, &collection).await?);
    }
    let mut doors = Vec::new();
    for number in 0..WATCHERS {
        let token = token(stand, &name("client", number)).await?;
        doors.push((
            hub.door_for_pods(&token)?,
            Door::direct_with_token(server, &token)?,
        ));
    }
    wait_verified(&hub, &doors[0].0).await?;

    let first = doors[0].0.clone();
    let (through, past) = doors.into_iter().unzip();
    let fifty = fifty_through(stand, &hub, [through, past], stand.rounds(400, 60)).await?;
    tokio::time::sleep(IDLE).await;
    let rss = megabytes(hub.process.rss()?);
    drop((fifty.watchers, informers));

    let path = format!(
        "/api/v1/namespaces/{NAMESPACE}/services/{}?resourceVersion=0",
        name("service", 0)
    );
    let (pod, kubelet) = compare(&first, &hub.door()?, &path, stand.rounds(3000, 300)).await?;
    Ok(vec![
        Reading::new("watch50_other_cpu_us_per_event", fifty.cpu_us_per_event)
            .with("hub_p50_us", fifty.hub.p50_us())
            .with("direct_p50_us", fifty.direct.p50_us()),
        Reading::new("authz_cached_added_us", pod.p50_us() - kubelet.p50_us())
            .beside(kubelet.p50_us(), pod.p50_us() / kubelet.p50_us()),
        Reading::new("rss_50_clients_mb", rss),
    ])
}

/// Times of a GET by a pod, whom the cloud has allowed it before, and by the kubelet, in turn.
async fn compare(pod: &Door, kubelet: &Door, path: &str, rounds: usize) -> Result<(Samples, Samples)> {
    let (mut pod, mut kubelet) = (pod.connect().await?, kubelet.connect().await?);
    let mut samples = (Samples::default(), Samples::default());
    for round in 0..WARM_UP + rounds {
        for (connection, samples) in [(&mut pod, &mut samples.0), (&mut kubelet, &mut samples.1)] {
            let time = timed(connection, path).await?;
            if round >= WARM_UP {
                samples.push(time);
            }
        }
    }
    Ok(samples)
}

async fn timed(connection: &mut Connection, path: &str) -> Result<Duration> {
    let start = std::time::Instant::now();
    connection.get(path).await?;
    Ok(start.elapsed())
}

/// An account that may read services, and fifty pods of it on the node.
async fn make_clients(stand: &Stand) -> Result<()> {
    let admin = stand.server().await?.admin();
    service_account(ACCOUNT)
        .in_namespace(NAMESPACE)
        .ensure(admin)
        .await?;
    let pods = (0..WATCHERS).map(|number| {
        pod(&name("client", number))
            .in_namespace(NAMESPACE)
            .on(NODE)
            .with("/spec/serviceAccountName", ACCOUNT)
    });
    crate::stand::create_all(admin, pods).await?;
    let rules = json!([{ "apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"] }]);
    let subject = json!({ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE });
    crate::stand::allow(admin, "bench-clients", rules, subject).await
}

/// A token of the account, bound to one of its pods.
async fn token(stand: &Stand, pod: &str) -> Result<String> {
    let mut admin = stand.admin().await?.connect().await?;
    let of_namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    let object = admin
        .json(Method::GET, &format!("{of_namespace}/pods/{pod}"), &Value::Null)
        .await?;
    let bound = json!({ "kind": "Pod", "apiVersion": "v1", "name": pod, "uid": object["metadata"]["uid"] });
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "boundObjectRef": bound },
    });
    let path = format!("{of_namespace}/serviceaccounts/{ACCOUNT}/token");
    let answer = admin.json(Method::POST, &path, &request).await?;
    Ok(answer["status"]["token"]
        .as_str()
        .context("an answer without token")?
        .to_owned())
}

/// Waits until tokens are judged on the node: it has its pods and the cluster's keys.
async fn wait_verified(hub: &Hub, door: &Door) -> Result<()> {
    let start = std::time::Instant::now();
    while hub.metric("yurthub_tokens_verified_total").await? < 1.0 {
        ensure!(
            start.elapsed() < VERIFIED_WITHIN,
            "yurthub does not verify tokens of pods"
        );
        door.connect()
            .await?
            .get("/api/v1/services?resourceVersion=0&limit=1")
            .await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
