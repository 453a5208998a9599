//! The manager has the rights that it uses, and no others; where a right cannot name what it is for, a policy does.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use yurt_common::pool::votes::Seen;
use yurt_testkit::api::Raw;
use yurt_testkit::ca::Leaf;
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{Api, ApiServer, wait_for};

use crate::audit::{Book, audited, resource};
use crate::certificates::{ask, decided, replace};
use crate::manager::{Manager, NAMESPACE, SOON, USER, grant};
use crate::pool::Cluster;

/// Verb, group and resource.
type Right = (String, String, String);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn granted(rules: &[Value]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        let list = |name: &str| rule[name].as_array().cloned().unwrap_or_default();
        for group in list("apiGroups") {
            for resource in list("resources") {
                for verb in list("verbs") {
                    rights.insert((text(&verb), text(&group), text(&resource)));
                }
            }
        }
    }
    rights
}

/// What the manager has asked for, and was allowed, by the apiserver's own book.
fn used(book: &Book) -> BTreeSet<Right> {
    let allowed = |entry: &Value| {
        entry["annotations"]["authorization.k8s.io/decision"] == "allow" && entry["objectRef"].is_object()
    };
    let entries = book.entries().into_iter().filter(allowed);
    entries
        .flat_map(|entry| {
            // What is applied and was not there is created, for which that right is asked for, too.
            let creates = entry["verb"] == "patch" && entry["responseStatus"]["code"] == 201;
            let verbs = [text(&entry["verb"])].into_iter();
            let verbs = verbs.chain(creates.then(|| "create".to_owned()));
            let group = text(&entry["objectRef"]["apiGroup"]);
            let resource = resource(&entry);
            verbs
                .map(move |verb| (verb, group.clone(), resource.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn every_right_is_used_and_none_is_missing() {
    let (server, book) = audited().await;
    let granted = granted(&grant(&server).await);
    // Not asked for by requests, but by the apiserver when one is approved or signed, which needs both.
    let signers: BTreeSet<_> = granted
        .iter()
        .filter(|(_, _, resource)| resource == "signers")
        .cloned()
        .collect();
    assert_eq!(signers.len(), 2, "{signers:?}");
    let granted: BTreeSet<_> = granted.difference(&signers).cloned().collect();
    let admin = server.admin();
    node("edge1").ensure(admin).await.unwrap();
    pod("web").on("edge1").ensure(admin).await.unwrap();
    let mut manager = Manager::start_with(&server, "one", &["--trust-delay=2s"]);
    manager.ready().await;
    // The same event twice is written anew.
    for (round, wish) in ["0", "1h", "0"].into_iter().enumerate() {
        let patch = json!({"metadata": {"annotations": {"node.openyurt.io/autonomy-duration": wish}}});
        assert_eq!(admin.patch("/api/v1/nodes/edge1", patch).await.unwrap().0, 200);
        wait_for("a pod and a condition to be written", SOON, async || {
            manager.metric("writes_total", "autonomy").await >= 2 * (round as u64 + 1)
        })
        .await;
    }
    // A pool with a node that its peers see dead, and that is gone then.
    let cluster = Cluster(admin);
    for name in ["a", "b", "c"] {
        cluster.join("shop", name).await;
    }
    pod("api").on("a").ensure(admin).await.unwrap();
    wait_for("the pool to be written", SOON, async || {
        cluster.silence("shop").await.is_some()
    })
    .await;
    let since = cluster.fall_silent("a").await;
    for voter in ["b", "c"] {
        cluster.vote((voter, 1), "a", &since, Seen::Dead).await;
    }
    wait_for("a pod to be evicted", SOON, async || {
        cluster.is_evicted("api").await
    })
    .await;
    for name in ["a", "b", "c"] {
        admin.delete(&format!("/api/v1/nodes/{name}")).await.unwrap();
    }
    ask(&server.as_node("edge1").unwrap(), "own", "edge1").await;
    let status = decided(admin, "own").await;
    assert!(status["certificate"].is_string(), "{status}");
    // Whom servers trust is written anew where somebody has changed it, and the authority where it is replaced.
    replace(admin).await;
    wait_for("what is used to be what is granted", SOON, async || {
        let used = used(&book);
        let unused: Vec<_> = granted.difference(&used).cloned().collect();
        let missing: Vec<_> = used.difference(&granted).cloned().collect();
        assert!(missing.is_empty(), "{missing:?}");
        if unused.is_empty() { Ok(()) } else { Err(unused) }
    })
    .await;
    assert_eq!(manager.metric("failures_total", r#"reason="forbidden""#).await, 0);
}

/// What the apiserver answers to a write in the manager's namespace.
async fn write(api: &Api, verb: &str, path: &str, object: Value) -> (u16, String) {
    let (group, kind) = path.split_once(' ').unwrap();
    let path = format!("{group}/namespaces/{NAMESPACE}/{kind}");
    let request = Raw::new(verb.parse().unwrap(), path);
    let request = match verb {
        "POST" => request.body("application/json", object.to_string()),
        "PATCH" => request.body("application/merge-patch+json", object.to_string()),
        _ => request,
    };
    let reply = api.send(request).await.unwrap();
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

#[tokio::test]
async fn it_writes_nothing_in_its_namespace_but_what_is_its_own() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let (admin, named) = (server.admin(), |name: &str| json!({"metadata": {"name": name}}));
    for (path, name) in [
        ("/api/v1 configmaps", "yurt-forgotten-nodes"),
        ("/api/v1 configmaps", "yurt-hub-cfg"),
        ("/api/v1 configmaps", "yurt-tunnel-trust"),
    ] {
        let (code, answer) = write(admin, "POST", path, named(name)).await;
        assert_eq!(code, 201, "{answer}");
    }
    let identity = server.authority().issue(&Leaf::new(USER)).unwrap();
    let manager = server.as_identity(&identity).unwrap();
    let emptied = json!({"data": null, "metadata": {"annotations": {"a": "b"}}});
    let typed = |name: &str, kind: &str| {
        json!({"metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "default"}},
               "type": kind, "data": {"tls.crt": "", "tls.key": ""}})
    };
    let (token, tls) = ("kubernetes.io/service-account-token", "kubernetes.io/tls");
    let (maps, secrets, leases) = (
        "/api/v1 configmaps",
        "/api/v1 secrets",
        "/apis/coordination.k8s.io/v1 leases",
    );
    // What a rule allows, and the policy refuses.
    for (verb, path, object) in [
        ("DELETE", "/api/v1 configmaps/yurt-forgotten-nodes", Value::Null),
        (
            "PATCH",
            "/api/v1 configmaps/yurt-forgotten-nodes",
            emptied.clone(),
        ),
        ("DELETE", "/api/v1 configmaps/yurt-hub-cfg", Value::Null),
        ("DELETE", "/api/v1 configmaps/yurt-tunnel-trust", Value::Null),
        ("POST", maps, named("yurt-tunnel-servers")),
        ("POST", maps, json!({"metadata": {"generateName": "any-"}})),
        ("POST", secrets, typed("any", tls)),
        ("POST", secrets, typed("yurt-tunnel-ca", token)),
        ("POST", leases, named("yurt-tunnel-server-m1")),
    ] {
        // A policy is heard of a moment after it was made; a dry run would hear it, too.
        wait_for(
            &format!("{verb} {path} {object} to be refused"),
            SOON,
            async || {
                let dry = format!("{path}?dryRun=All");
                let (code, answer) = write(&manager, verb, &dry, object.clone()).await;
                if code == 403 && answer.contains("yurt-controller-manager may not write") {
                    Ok(())
                } else {
                    Err((code, answer))
                }
            },
        )
        .await;
    }
    for (verb, path, object, expected) in [
        ("POST", maps, named("yurt-pool-shop-0-members"), 201),
        (
            "PATCH",
            "/api/v1 configmaps/yurt-pool-shop-0-members",
            emptied.clone(),
            200,
        ),
        (
            "DELETE",
            "/api/v1 configmaps/yurt-pool-shop-0-members",
            Value::Null,
            200,
        ),
        ("PATCH", "/api/v1 configmaps/yurt-tunnel-trust", emptied, 200),
        ("POST", secrets, typed("yurt-tunnel-ca", tls), 201),
        ("POST", leases, named("yurt-controller-manager"), 201),
    ] {
        let (code, answer) = write(&manager, verb, path, object).await;
        assert_eq!(code, expected, "{verb} {path}: {answer}");
    }
    // Others are not asked.
    let (code, answer) = write(admin, "DELETE", "/api/v1 configmaps/yurt-hub-cfg", Value::Null).await;
    assert_eq!(code, 200, "{answer}");
}
