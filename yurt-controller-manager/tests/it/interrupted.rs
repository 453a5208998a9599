//! The leader is killed in the middle of each kind of its work: the other replica ends it exactly, and no pod is written
//! again that was written. A condition may be: the one who follows may not have heard of it yet.

use std::time::SystemTime;

use serde_json::{Value, json};
use yurt_testkit::api::Watch;
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{Api, ApiServer, wait_for};

use crate::audit::{Book, Patches, audited};
use crate::autonomy::{annotate, get, wait_condition};
use crate::leader::wait_leads;
use crate::manager::{Manager, SOON, grant};

/// A leader and the other one, both slow enough to be caught in the middle.
struct Pair {
    server: ApiServer,
    book: Book,
    leader: Manager,
    other: Manager,
}

impl Pair {
    async fn start(writes_per_second: &str) -> Self {
        let (server, book) = audited().await;
        grant(&server).await;
        let flags = ["--writes-per-second", writes_per_second];
        let mut leader = Manager::start_with(&server, "first", &flags);
        leader.ready().await;
        wait_leads(&leader).await;
        let mut other = Manager::start_with(&server, "second", &flags);
        other.ready().await;
        Self {
            server,
            book,
            leader,
            other,
        }
    }

    fn admin(&self) -> &Api {
        self.server.admin()
    }

    /// A node with so many pods; what happens to them from now on.
    async fn node_with_pods(&self, name: &str, count: usize) -> Watch {
        node(name).ensure(self.admin()).await.unwrap();
        for number in 0..count {
            let pod = pod(&format!("{name}-{number:03}")).on(name);
            pod.ensure(self.admin()).await.unwrap();
        }
        wait_for("both replicas to know the pods", SOON, async || {
            let known = [&self.leader, &self.other];
            let mut all = true;
            for replica in known {
                let pods = get(self.admin(), "/api/v1/pods").await["items"]
                    .as_array()
                    .unwrap()
                    .len();
                all &= replica.metric("cache_objects", r#"kind="Pod""#).await == pods as u64;
            }
            all
        })
        .await;
        let path = format!("/api/v1/namespaces/default/pods?watch=true&fieldSelector=spec.nodeName%3D{name}");
        let mut watch = self.admin().watch(&path, "application/json").await.unwrap();
        changes(&mut watch, "ADDED", count).await;
        watch
    }

    /// Kills the leader.
    fn kill(&mut self) {
        self.leader.process.kill().unwrap();
    }

    /// Waits until the other one leads; the one that was killed stands by then.
    async fn follow(&mut self) {
        wait_leads(&self.other).await;
        std::mem::swap(&mut self.leader, &mut self.other);
        self.other.process.restart().unwrap();
        self.other.ready().await;
    }

    /// Waits until the leader has looked at all that waits: at one more node, which comes last.
    async fn idle(&self, name: &str) {
        node(name).ensure(self.admin()).await.unwrap();
        annotate(self.admin(), name, json!("0")).await;
        wait_condition(self.admin(), name, Some(("ForEver", "True"))).await;
    }

    /// How each pod of a node was written, and how often the condition of the node.
    fn writes(&self, node: &str) -> (Vec<Patches>, usize) {
        let pods = self.book.patches("pods").into_iter();
        let pods = pods.filter(|(pod, _)| pod.starts_with(&format!("{node}-")));
        let conditions = self.book.patches("nodes/status");
        (
            pods.map(|(_, patches)| patches).collect(),
            conditions.get(node).map_or(0, |patches| patches.made),
        )
    }

    /// Of each pod of a node: for how many seconds it tolerates that the node is silent, and its annotations.
    async fn pods(&self, node: &str) -> Vec<(Value, Value)> {
        let path = format!("/api/v1/namespaces/default/pods?fieldSelector=spec.nodeName%3D{node}");
        let list = get(self.admin(), &path).await;
        let pods = list["items"].as_array().unwrap().iter();
        pods.map(|pod| {
            let tolerations = pod["spec"]["tolerations"].as_array().unwrap().iter();
            let mut of_silence = tolerations.filter(|one| one["key"] == "node.kubernetes.io/unreachable");
            let seconds = of_silence.next().unwrap()["tolerationSeconds"].clone();
            (seconds, pod["metadata"]["annotations"].clone())
        })
        .collect()
    }
}

/// How many patches were begun.
fn begun(pods: &[Patches]) -> usize {
    pods.iter().map(|pod| pod.made + pod.cut_off).sum()
}

/// So many pods were changed so often each.
fn assert_each(pods: &[Patches], (count, times): (usize, usize)) {
    assert_eq!(pods.len(), count, "{pods:?}");
    assert!(
        pods.iter().all(|pod| pod.may_be(times)),
        "{times} times: {pods:?}"
    );
}

/// Waits until so many of this kind came.
async fn changes(watch: &mut Watch, kind: &str, count: usize) {
    for number in 0..count {
        let event = tokio::time::timeout(SOON, watch.event()).await;
        let event = event.unwrap().unwrap().unwrap();
        assert_eq!(event["type"], kind, "{number}: {event}");
    }
}

#[tokio::test]
async fn in_the_middle_of_many_pods() {
    const PODS: usize = 200;
    let mut pair = Pair::start("50").await;
    let mut watch = pair.node_with_pods("edge1", PODS).await;
    let steps = [
        (json!("0"), Some(("ForEver", "True")), Value::Null),
        (Value::Null, None, json!(300)),
    ];
    for (round, (wish, condition, seconds)) in steps.into_iter().enumerate() {
        let before = begun(&pair.writes("edge1").0);
        annotate(pair.admin(), "edge1", wish).await;
        changes(&mut watch, "MODIFIED", PODS / 2).await;
        pair.kill();
        // The audit log may be a line behind what is watched.
        let written = wait_for("the audit log to tell of them", SOON, async || {
            let written = begun(&pair.writes("edge1").0) - before;
            if written >= PODS / 2 {
                Ok(written)
            } else {
                Err(written)
            }
        })
        .await;
        assert!(
            (PODS / 2..PODS).contains(&written),
            "not in the middle: {written}"
        );
        pair.follow().await;
        changes(&mut watch, "MODIFIED", PODS / 2).await;
        wait_condition(pair.admin(), "edge1", condition).await;
        pair.idle(&format!("last{round}")).await;
        let (pods, told) = pair.writes("edge1");
        assert_each(&pods, (PODS, round + 1));
        assert!(told > round, "{told}");
        for (tolerated, annotations) in pair.pods("edge1").await {
            assert_eq!(tolerated, seconds);
            assert_eq!(annotations.is_null(), seconds == 300, "{annotations}");
        }
    }
}

#[tokio::test]
async fn between_the_pods_and_the_condition() {
    let mut pair = Pair::start("1").await;
    let mut watch = pair.node_with_pods("edge1", 3).await;
    annotate(pair.admin(), "edge1", json!("2h")).await;
    changes(&mut watch, "MODIFIED", 3).await;
    pair.kill();
    let (pods, told) = pair.writes("edge1");
    assert_eq!((begun(&pods), told), (3, 0), "not in between: {pods:?}");
    pair.follow().await;
    wait_condition(pair.admin(), "edge1", Some(("ForDuration", "True"))).await;
    pair.idle("last").await;
    let (pods, told) = pair.writes("edge1");
    assert_each(&pods, (3, 1));
    assert!(told >= 1, "{told}");
}

#[tokio::test]
async fn in_the_middle_of_evictions_that_begin_anew() {
    const PODS: usize = 4;
    let mut pair = Pair::start("1").await;
    // How many writes of eight the leader lives for: some evictions are stopped; all are; some have begun anew.
    for written in [2, 4, 6] {
        let name = format!("edge{written}");
        let mut watch = pair.node_with_pods(&name, PODS).await;
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let taint =
            json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": now}]);
        let silent = json!({"metadata": {"annotations": {"node.openyurt.io/autonomy-duration": "2h"}}, "spec": {"taints": taint}});
        let (code, answer) = pair
            .admin()
            .patch(&format!("/api/v1/nodes/{name}"), silent)
            .await
            .unwrap();
        assert_eq!(code, 200, "{answer}");
        changes(&mut watch, "MODIFIED", written).await;
        pair.kill();
        let (before, told) = pair.writes(&name);
        assert_eq!((begun(&before), told), (written, 0), "{before:?}");
        pair.follow().await;
        changes(&mut watch, "MODIFIED", 2 * PODS - written).await;
        wait_condition(pair.admin(), &name, Some(("ForDuration", "True"))).await;
        pair.idle(&format!("last{written}")).await;
        let (pods, told) = pair.writes(&name);
        assert_each(&pods, (PODS, 2));
        assert!(told >= 1, "{told}");
        for (seconds, annotations) in pair.pods(&name).await {
            // What was over when it was decided is taken off.
            assert!((7_000..=7_200).contains(&seconds.as_i64().unwrap()), "{seconds}");
            assert_eq!(annotations["yurt.openyurt.io/tolerates-for"], "7200");
            let original = &annotations["apps.openyurt.io/original-unreachable-toleration-duration"];
            assert_eq!(original, "300");
        }
    }
}
