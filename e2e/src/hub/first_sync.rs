//! A first sync: many objects in the cloud, a node whose yurthub knows none of them, and when it has them all.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::admin;
use crate::namespace::Namespace;
use crate::node::Node;
use crate::wait::wait_for;

/// Programs that create objects at a time: each limits itself to some fifty a second.
const CREATORS: usize = 4;
const CREATE_DEADLINE: Duration = Duration::from_mins(5);

/// Creates `count` Services, each with an EndpointSlice of three endpoints.
///
/// # Errors
/// When kubectl fails.
pub fn fill(namespace: &Namespace, count: usize) -> Result<()> {
    let numbers: Vec<usize> = (0..count).collect();
    let share = count.div_ceil(CREATORS).max(1);
    thread::scope(|scope| {
        let create = |numbers: &[usize]| {
            let items: Vec<Value> = numbers.iter().flat_map(|number| objects(*number)).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
            let create = ["create", "--validate=false", "-o", "name", "-f", "-"];
            let cmd = namespace
                .kubectl_cmd(create)
                .stdin(list)
                .deadline(CREATE_DEADLINE);
            cmd.run_ok().context("create many objects").map(drop)
        };
        let creators: Vec<_> = numbers
            .chunks(share)
            .map(|numbers| scope.spawn(move || create(numbers)))
            .collect();
        for creator in creators {
            creator.join().map_err(|_| anyhow!("a thread has panicked"))??;
        }
        Ok(())
    })
}

fn objects(number: usize) -> [Value; 2] {
    let name = format!("service-{number:04}");
    let port = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let endpoint = |at: usize| {
        json!({
            "addresses": [format!("10.244.{}.{}", 40 + at, number % 250 + 1)],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": format!("edge{}", 3 + at),
        })
    };
    [
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "labels": {"app": name, "part-of": "many"}},
            "spec": {"ports": port},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{name}-a"), "labels": {
                "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "e2e",
            }},
            "endpoints": [endpoint(0), endpoint(1), endpoint(2)],
            "ports": [{"name": "http", "port": 8080}],
        }),
    ]
}

/// Lets yurthub forget all it has mirrored, and starts it and the kubelet anew.
///
/// # Errors
/// When systemd refuses.
pub fn begin(node: &Node) -> Result<Instant> {
    node.exec_ok(["systemctl", "stop", "kubelet.service", "yurthub.service"])?;
    node.exec_ok(["rm", "-rf", "/var/lib/yurthub/store"])?;
    let start = Instant::now();
    node.exec_ok(["systemctl", "start", "yurthub.service"])?;
    super::wait_ready(node)?;
    node.exec_ok(["systemctl", "start", "--no-block", "kubelet.service"])?;
    Ok(start)
}

/// Waits until the mirror of `node` has at least `count` objects of each resource, and follows them.
///
/// # Errors
/// When it has not by then, with what it has.
pub fn wait_mirrored(node: &Node, resources: &[&str], count: usize, deadline: Duration) -> Result<()> {
    wait_for("the mirror to hold everything", deadline, || {
        let scopes = admin(node, "/scopes")?;
        let scopes = scopes.as_array().context("scopes are a list")?;
        for resource in resources {
            let has = |scope: &&Value| {
                scope["scope"]
                    .as_str()
                    .is_some_and(|name| name.split(' ').next() == Some(resource))
                    && scope["objects"].as_u64() >= Some(count as u64)
                    && scope["state"] == "live"
            };
            ensure!(scopes.iter().any(|scope| has(&scope)), "{resource}: {scopes:?}");
        }
        Ok(Some(()))
    })
}
