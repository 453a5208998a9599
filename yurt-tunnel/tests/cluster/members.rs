//! The list of servers, kept by servers that come, end and die.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use yurt_common::node_certificates::Role;
use yurt_testkit::objects::node;
use yurt_testkit::wait_for;
use yurt_tunnel::members::{Member, Times};

use crate::site::{NAMESPACE, SOON, Site};

const TIMES: Times = Times {
    renew: Duration::from_millis(300),
    lease: Duration::from_secs(1),
    dead: Duration::from_secs(3),
};

/// A server that runs.
struct Server {
    member: Arc<Member>,
    stop: CancellationToken,
    runs: JoinHandle<()>,
}

impl Server {
    async fn start(site: &Site, id: &str, address: &str) -> Self {
        node(id).ensure(site.server.admin()).await.unwrap();
        let client = site.as_pod(Role::TunnelServer, id).await;
        let member = Arc::new(Member::new(client, NAMESPACE, id, &[address.to_owned()], TIMES));
        let stop = CancellationToken::new();
        let runs = {
            let (member, stop) = (Arc::clone(&member), stop.clone());
            tokio::spawn(async move { member.run(&stop).await })
        };
        Self { member, stop, runs }
    }

    /// Waits until it sees these servers.
    async fn sees(&self, what: &str, ids: &[&str]) {
        let members = self.member.members();
        wait_for(what, SOON, async || {
            let seen = members.borrow().keys().cloned().collect::<Vec<_>>();
            if seen == ids { Ok(()) } else { Err(seen) }
        })
        .await;
    }
}

async fn object(site: &Site, rest: &str) -> Option<Value> {
    let (code, object) = site.server.admin().get(rest).await.unwrap();
    (code == 200).then_some(object)
}

#[tokio::test]
async fn a_server_that_dies_leaves_the_list_and_the_others_stay() {
    let site = Site::start().await;
    let map = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/yurt-tunnel-servers");
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let one = Server::start(&site, "m1", "10.0.0.1:10262").await;
    let two = Server::start(&site, "m2", "[fd00::2]:10262").await;
    let three = Server::start(&site, "m3", "m3.example:443").await;
    for server in [&one, &two, &three] {
        server.sees("all servers to be there", &["m1", "m2", "m3"]).await;
    }
    let addresses = one.member.members().borrow().clone();
    assert_eq!(addresses["m2"], ["[fd00::2]:10262"]);

    // It dies; its Lease is left.
    two.runs.abort();
    for server in [&one, &three] {
        server.sees("the dead one to be gone", &["m1", "m3"]).await;
    }
    assert!(
        object(&site, &format!("{leases}/yurt-tunnel-server-m2"))
            .await
            .is_some()
    );

    // Told to stop, it leaves nothing.
    three.stop.cancel();
    three.runs.await.unwrap();
    assert!(
        object(&site, &format!("{leases}/yurt-tunnel-server-m3"))
            .await
            .is_none()
    );
    one.sees("the other one to be gone", &["m1"]).await;

    // Nothing is written while nothing changes, and what somebody else has done to it is put right.
    let version = async || {
        let map = object(&site, &map).await.unwrap();
        map["metadata"]["resourceVersion"].clone()
    };
    let before = version().await;
    let renewed = async || {
        let lease = object(&site, &format!("{leases}/yurt-tunnel-server-m1")).await;
        lease.unwrap()["spec"]["renewTime"].clone()
    };
    let first = renewed().await;
    wait_for("its Lease to be renewed", SOON, async || renewed().await != first).await;
    assert_eq!(version().await, before);
    let lie = json!({"data": {"m1": "192.0.2.1:1\n"}});
    assert_eq!(site.server.admin().patch(&map, lie).await.unwrap().0, 200);
    wait_for("the truth", SOON, async || {
        let map = object(&site, &map).await.unwrap();
        map["data"]["m1"] == "10.0.0.1:10262\n"
    })
    .await;
}

#[tokio::test]
async fn a_server_writes_no_lease_but_those_of_servers() {
    let site = Site::start().await;
    let admin = site.server.admin();
    node("m1").ensure(admin).await.unwrap();
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let leader = json!({"metadata": {"name": "yurt-controller-manager"}});
    assert_eq!(admin.post(&path, leader).await.unwrap().0, 201);
    let client = site.as_pod(Role::TunnelServer, "m1").await;
    let leases: Api<Lease> = Api::namespaced(client, NAMESPACE);
    let apply = async |name: &str| {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"holderIdentity": "m1"},
        });
        let params = PatchParams::apply("yurt-tunnel-server").force().dry_run();
        leases.patch(name, &params, &Patch::Apply(lease)).await
    };
    let refused = |error: &kube::Error| {
        let text = error.to_string();
        text.contains("yurt-tunnel-server may not write Lease")
            .then_some(())
            .ok_or(text)
    };
    for name in ["yurt-controller-manager", "somebody-elses"] {
        // A policy is heard of a moment after it was made.
        wait_for(&format!("{name} to be refused"), SOON, async || {
            apply(name)
                .await
                .map_or_else(|error| refused(&error), |_| Err("taken".to_owned()))
        })
        .await;
    }
    let deleted = leases
        .delete("yurt-controller-manager", &DeleteParams::default())
        .await;
    refused(&deleted.unwrap_err()).unwrap();
    apply("yurt-tunnel-server-m1").await.unwrap();
}
