//! Pods as clients: whose token counts, and what each account is shown, with and without the cloud.

use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Watch};
use yurt_testkit::objects::{pod, service, service_account};
use yurt_testkit::{Api, wait_for};

use crate::hub::{Hub, JSON, SOON, json as body, server};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A node with the account `reader`, which may read services everywhere, and `nobody`, which may read nothing; a pod of
/// each runs on it.
pub(crate) struct Site<'s> {
    pub(crate) hub: Hub<'s>,
    pub(crate) reader: String,
    pub(crate) nobody: String,
}

impl Site<'_> {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_with(name, &[]).await
    }

    pub(crate) async fn start_with(name: &str, flags: &[&str]) -> Self {
        let hub = Hub::start_with(server().await, name, flags).await;
        let admin = hub.server.admin();
        for account in ["reader", "nobody"] {
            let account_object = service_account(account).in_namespace(name);
            account_object.ensure(admin).await.unwrap();
            let runs = pod(account)
                .in_namespace(name)
                .on(name)
                .with("/spec/serviceAccountName", account);
            runs.ensure(admin).await.unwrap();
        }
        service("web")
            .in_namespace(name)
            .label("app", "web")
            .ensure(admin)
            .await
            .unwrap();
        service("db")
            .in_namespace(name)
            .label("app", "db")
            .ensure(admin)
            .await
            .unwrap();
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name },
            "rules": [{ "apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices"],
                        "verbs": ["get", "list", "watch"] }],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": format!("{name}-reader") },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": name }],
        });
        for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
            let (status, answer) = admin.post(&format!("{RBAC}/{resource}"), object).await.unwrap();
            assert_eq!(status, 201, "{answer}");
        }
        let reader = token(&hub, "reader", Some("reader")).await;
        let nobody = token(&hub, "nobody", Some("nobody")).await;
        let site = Self { hub, reader, nobody };
        site.settle().await;
        site
    }

    /// Waits until the hub judges tokens by itself: it has its pods and the cluster's keys.
    async fn settle(&self) {
        let pods = format!(
            "/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{}",
            self.hub.name
        );
        wait_for("the token to be judged here", SOON, async || {
            self.hub.node().get(&pods).await.unwrap();
            self.reader().get(&self.services("")).await.unwrap();
            self.hub.metric("yurthub_tokens_verified_total", "").await > 0
        })
        .await;
    }

    pub(crate) fn client(&self, token: &str) -> Api {
        self.hub.api(None).with_token(token).unwrap()
    }

    pub(crate) fn reader(&self) -> Api {
        self.client(&self.reader)
    }

    pub(crate) fn nobody(&self) -> Api {
        self.client(&self.nobody)
    }

    /// The services of this test, from the mirror.
    fn services(&self, more: &str) -> String {
        format!(
            "/api/v1/namespaces/{}/services?resourceVersion=0{more}",
            self.hub.name
        )
    }
}

/// A token of an account, bound to a pod of the same namespace where one is named.
pub(crate) async fn token(hub: &Hub<'_>, account: &str, bound_to: Option<&str>) -> String {
    let admin = hub.server.admin();
    let mut spec = json!({});
    if let Some(pod) = bound_to {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}", hub.name);
        let (_, object) = admin.get(&path).await.unwrap();
        spec["boundObjectRef"] = json!({
            "kind": "Pod", "apiVersion": "v1", "name": pod, "uid": object["metadata"]["uid"],
        });
    }
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", hub.name);
    let (status, answer) = admin.post(&path, request).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["status"]["token"].as_str().unwrap().to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_account_reads_what_the_cloud_allows_it_and_nothing_else() {
    let site = Site::start("accounts").await;
    let direct = site
        .hub
        .server
        .anonymous()
        .unwrap()
        .with_token(&site.reader)
        .unwrap();
    for selector in [
        "",
        "&labelSelector=app%3Dweb",
        "&labelSelector=app%21%3Dweb",
        "&fieldSelector=metadata.name%3Ddb",
    ] {
        let path = site.services(selector);
        let (there, here) = (
            direct.get(&path).await.unwrap(),
            site.reader().get(&path).await.unwrap(),
        );
        assert_eq!((here.0, &here.1["items"]), (there.0, &there.1["items"]), "{path}");
    }
    assert!(
        site.hub
            .metric("yurthub_requests_total", "route=\"mirror\"")
            .await
            > 0
    );
    let (status, refused) = site.nobody().get(&site.services("")).await.unwrap();
    assert_eq!(
        (status, &refused["reason"]),
        (403, &json!("Forbidden")),
        "{refused}"
    );
    // What the node itself may not read is followed with the account's own right.
    let slices = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?resourceVersion=0",
        site.hub.name
    );
    assert_eq!(site.reader().get(&slices).await.unwrap().0, 200);
    assert_eq!(site.nobody().get(&slices).await.unwrap().0, 403);
    // Another account's Secrets are not in sight because the kubelet follows them.
    let secrets = format!("/api/v1/namespaces/{}/secrets?resourceVersion=0", site.hub.name);
    assert_eq!(site.reader().get(&secrets).await.unwrap().0, 403);
}

#[tokio::test]
async fn without_the_cloud_an_account_keeps_what_it_was_allowed() {
    let mut site = Site::start("accounts-cut").await;
    let everything = site.services("");
    assert_eq!(site.nobody().get(&everything).await.unwrap().0, 403);
    assert_eq!(site.reader().get(&everything).await.unwrap().0, 200);
    site.hub.store_is_quiet().await;
    site.hub.cut().await;
    for restarted in [false, true] {
        if restarted {
            site.hub.restart().await;
            site.hub.cloud_is(false).await;
        }
        let (status, list) = site.reader().get(&everything).await.unwrap();
        assert_eq!(
            (status, names(&list)),
            (200, vec!["db", "web"]),
            "restarted: {restarted}"
        );
        assert_eq!(
            site.nobody().get(&everything).await.unwrap().0,
            403,
            "restarted: {restarted}"
        );
    }
    site.hub.join().await;
    let path = format!("/api/v1/namespaces/{}/services/web", site.hub.name);
    assert_eq!(site.reader().get(&path).await.unwrap().0, 200);
}

#[tokio::test]
async fn without_the_cloud_tokens_are_judged_here() {
    let site = Site::start("accounts-forged").await;
    let other = token(&site.hub, "reader", None).await;
    let gone = {
        let late = pod("late").in_namespace(&site.hub.name).on(&site.hub.name);
        late.ensure(site.hub.server.admin()).await.unwrap();
        let token = token(&site.hub, "default", Some("late")).await;
        let path = format!(
            "/api/v1/namespaces/{}/pods/late?gracePeriodSeconds=0",
            site.hub.name
        );
        site.hub.server.admin().delete(&path).await.unwrap();
        token
    };
    site.hub.cut().await;
    let (head, signature) = site.reader.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let path = site.services("");
    for (what, token, expected) in [
        ("a broken signature", forged.as_str(), 401),
        ("no token at all", "not-a-token", 401),
        ("a token of no pod", &other, 503),
        ("a token of a pod that is gone", &gone, 503),
        ("a good token", &site.reader, 200),
    ] {
        let reply = site.client(token).send(Raw::get(&path, JSON)).await.unwrap();
        assert_eq!(reply.status, expected, "{what}: {}", body(&reply));
    }
    assert!(site.hub.metric("yurthub_tokens_refused_total", "").await >= 2);
}

#[tokio::test]
async fn a_watch_by_selector_sees_objects_come_into_sight_and_leave_it() {
    let site = Site::start("accounts-watch").await;
    let admin = site.hub.server.admin();
    let (_, list) = site
        .reader()
        .get(&site.services("&labelSelector=app%3Dweb"))
        .await
        .unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!(
        "/api/v1/namespaces/{}/services?watch=true&labelSelector=app%3Dweb&resourceVersion={version}",
        site.hub.name
    );
    let mut here = site.reader().watch(&path, JSON).await.unwrap();
    let direct = site
        .hub
        .server
        .anonymous()
        .unwrap()
        .with_token(&site.reader)
        .unwrap();
    let mut there = direct.watch(&path, JSON).await.unwrap();
    let object = |name: &str| format!("/api/v1/namespaces/{}/services/{name}", site.hub.name);
    let label = |app: &str| json!({ "metadata": { "labels": { "app": app } } });
    admin.patch(&object("db"), label("web")).await.unwrap(); // comes into sight
    admin.patch(&object("web"), label("cache")).await.unwrap(); // leaves it
    admin
        .patch(
            &object("db"),
            json!({ "metadata": { "annotations": { "a": "b" } } }),
        )
        .await
        .unwrap();
    admin.delete(&object("db")).await.unwrap();
    for expected in ["ADDED", "DELETED", "MODIFIED", "DELETED"] {
        let (here, there) = (
            here.event().await.unwrap().unwrap(),
            there.event().await.unwrap().unwrap(),
        );
        assert_eq!(here, there, "the frames are the apiserver's");
        let frame = format!("{here:?}");
        assert!(frame.contains(expected), "{expected}: {frame}");
    }
}

#[tokio::test]
async fn a_pod_that_watches_without_end_is_stopped_and_nobody_else_is() {
    const BOUND: usize = 20;
    let site = Site::start_with("greedy", &["--max-watches-per-client", &BOUND.to_string()]).await;
    let path = format!("{}&watch=true", site.services(""));
    let mut open = Vec::new();
    for _ in 0..BOUND {
        open.push(site.reader().watch(&path, JSON).await.unwrap());
    }
    let refused = site.reader().get(&path).await.unwrap();
    assert_eq!(refused.0, 429, "{}", refused.1);
    let message = refused.1["message"].as_str().unwrap();
    assert!(message.contains("--max-watches-per-client"), "{message}");
    assert_eq!(
        site.reader().get(&site.services("")).await.unwrap().0,
        200,
        "it may list"
    );
    let pods = format!(
        "/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3D{}",
        site.hub.name
    );
    for _ in 0..=BOUND {
        open.push(site.hub.node().watch(&pods, JSON).await.unwrap());
    }
    drop(open);
    wait_for("the ended watches to be forgotten", SOON, async || {
        site.reader().watch(&path, JSON).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_watch_with_a_token_outlives_a_cut_and_tells_each_change_once() {
    let site = Site::start("accounts-outage").await;
    let admin = site.hub.server.admin();
    let (_, list) = site.reader().get(&site.services("")).await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!(
        "/api/v1/namespaces/{}/services?watch=true&resourceVersion={version}",
        site.hub.name
    );
    let reader = site.reader();
    let mut watch = reader.watch(&path, JSON).await.unwrap();
    let set = async |round: &str| {
        let object = format!("/api/v1/namespaces/{}/services/web", site.hub.name);
        let change = json!({ "metadata": { "annotations": { "round": round } } });
        assert_eq!(admin.patch(&object, change).await.unwrap().0, 200);
    };
    for round in ["first", "second"] {
        site.hub.cut().await;
        set(round).await;
        site.hub.join().await;
        assert_eq!(next_round(&mut watch).await, round);
        // What comes next is the next change: nothing was told twice, and the watch is the same.
        set(&format!("after the {round}")).await;
        assert_eq!(next_round(&mut watch).await, format!("after the {round}"));
    }
}

/// What the next event says of the service that changes.
async fn next_round(watch: &mut Watch) -> String {
    let event = tokio::time::timeout(SOON, watch.event())
        .await
        .expect("an event comes");
    let event = event.unwrap().expect("the watch goes on");
    assert_eq!(
        (&event["type"], &event["object"]["metadata"]["name"]),
        (&json!("MODIFIED"), &json!("web"))
    );
    event["object"]["metadata"]["annotations"]["round"]
        .as_str()
        .unwrap()
        .to_owned()
}
