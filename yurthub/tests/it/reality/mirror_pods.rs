//! Endpoints of static pods that are replaced or removed while the cloud is away.

use std::time::Instant;

use super::*;
use crate::hub::json;
use crate::offline::mirror_pods::{MIRROR, delete, mirror_pod};

fn path(site: &Site<'_>) -> String {
    format!("/api/v1/namespaces/{}/pods", site.hub.name)
}

impl Site<'_> {
    /// Creates the mirror pod `b` as the kubelet does; reports are of it from now on.
    async fn make(&mut self, posted: &Value) {
        let (status, made) = self.hub.node().post(&path(self), posted.clone()).await.unwrap();
        assert_eq!(status, 201, "{made}");
        let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
        self.uids.insert("b", uid);
    }

    async fn delete(&self) {
        let request = delete(&format!("{}/b", path(self)), Some(&self.uids["b"]));
        let reply = self.hub.node().send(request).await.unwrap();
        assert_eq!(reply.status, 200, "{}", json(&reply));
    }

    /// The static pod `b` in place of the pod of that name, reported at `10.0.0.2`, and a slice that tells of it.
    async fn with_static_pod(name: &str) -> Self {
        let mut site = Self::start(name).await;
        let admin = site.hub.server.admin();
        let pod = format!("{}/b", path(&site));
        assert_eq!(
            admin
                .delete(&format!("{pod}?gracePeriodSeconds=0"))
                .await
                .unwrap()
                .0,
            200
        );
        wait_for("the pod to be gone", SOON, async || {
            admin.get(&pod).await.unwrap().0 == 404
        })
        .await;
        let v1 = mirror_pod(&site.hub, "b", "v1").await;
        site.make(&v1).await;
        site.report("a", "10.0.0.1", true).await;
        site.report("b", "10.0.0.2", true).await;
        admin.post(&site.slices(), site.slice(&BEFORE)).await.unwrap();
        site.shows("the cloud's slice", &BEFORE).await;
        site
    }
}

#[tokio::test]
async fn endpoints_follow_a_static_pod_that_is_replaced_while_away() {
    let mut site = Site::with_static_pod("static-followed").await;
    let v2 = mirror_pod(&site.hub, "b", "v2").await;
    let (gone, moved) = (
        [BEFORE[0], ("b", "10.0.0.2", false), BEFORE[2]],
        [BEFORE[0], ("b", "10.0.0.7", true), BEFORE[2]],
    );
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;
    site.hub.cut().await;
    let by_account = site
        .reader()
        .send(delete(&format!("{}/b", path(&site)), None))
        .await;
    assert_eq!(by_account.unwrap().status, 503, "only the kubelet");
    site.delete().await;
    site.shows("no traffic for what is gone", &gone).await;
    site.make(&v2).await;
    let start = Instant::now();
    site.report("b", "10.0.0.7", true).await;
    site.shows("the new one", &moved).await;
    let took = start.elapsed();
    println!("a static pod's successor showed after {took:?}");
    assert!(took < PROMPT, "{took:?}");

    // The cloud still tells of the first one, and so do its endpoints; the kubelet sees to that.
    let stand_in = site.uids["b"].clone();
    site.hub.join().await;
    let (_, old) = wait_for("the cloud's mirror pod to be shown", SOON, async || {
        match site.hub.node().get(&format!("{}/b", path(&site))).await.unwrap() {
            (200, pod) if pod["metadata"]["uid"] != stand_in => Ok((200, pod)),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(old["metadata"]["annotations"][MIRROR], "v1");
    assert_eq!(site.shown().await, Ok(seen(&moved)), "no word from before");
    site.uids
        .insert("b", old["metadata"]["uid"].as_str().unwrap().to_owned());
    site.delete().await;
    site.make(&v2).await;
    site.shows("the same one before its report", &moved).await;
    site.report("b", "10.0.0.7", true).await;
    site.shows("the report", &moved).await;
    // Between deletion and creation there may be none; never is there the one from before.
    let last = [BEFORE[0], ("b", "10.0.0.8", true), BEFORE[2]];
    site.report("b", "10.0.0.8", true).await;
    loop {
        let (_, shown) = watch.next().await;
        if shown == seen(&last) {
            break;
        }
        assert!([seen(&gone), seen(&moved)].contains(&shown), "{shown:?}");
    }
}

#[tokio::test]
async fn endpoints_of_a_static_pod_that_is_removed_while_away_are_dead() {
    let site = Site::with_static_pod("static-dead").await;
    site.hub.cut().await;
    site.delete().await;
    site.shows("no traffic", &[BEFORE[0], ("b", "10.0.0.2", false), BEFORE[2]])
        .await;
}
