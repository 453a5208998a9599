//! How agents and servers come by their certificates.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use yurt_common::node_certificates::Role;
use yurt_common::node_certificates::verifier::{Verifier, authorities};
use yurt_testkit::objects::node;
use yurt_testkit::wait_for;
use yurt_tunnel::identity::request::{Asker, Failure};
use yurt_tunnel::identity::{Identity, Keeper, Settings};

use crate::site::{NAMESPACE, SOON, Site};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

async fn next(identity: &mut Identity) -> Arc<CertifiedKey> {
    tokio::time::timeout(SOON, identity.certificate.changed())
        .await
        .unwrap()
        .unwrap();
    identity.certificate.borrow_and_update().clone().unwrap()
}

fn settings(role: Role, node: &str, folder: Option<&std::path::Path>) -> Settings {
    Settings {
        role,
        node: node.to_owned(),
        folder: folder.map(Into::into),
    }
}

/// What ConfigMap `yurt-tunnel-trust` says.
async fn trusted(site: &Site) -> String {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/yurt-tunnel-trust");
    wait_for("an authority to be trusted", SOON, async || {
        let (_, map) = site.server.admin().get(&path).await.unwrap();
        map["data"]["ca.crt"].as_str().map(str::to_owned).ok_or(map)
    })
    .await
}

fn nobody() -> (
    watch::Sender<Arc<RootCertStore>>,
    watch::Receiver<Arc<RootCertStore>>,
) {
    watch::channel(Arc::new(RootCertStore::empty()))
}

#[tokio::test]
async fn agents_and_servers_get_what_the_verifier_of_servers_takes() {
    let site = Site::start().await;
    let admin = site.server.admin();
    for name in ["edge1", "m1"] {
        node(name).ensure(admin).await.unwrap();
    }
    let _manager = site.manager().await;
    let verifier = Verifier::new(&[Role::TunnelAgent, Role::TunnelServer]);
    for (role, name) in [(Role::TunnelAgent, "edge1"), (Role::TunnelServer, "m1")] {
        let client = site.as_pod(role, name).await;
        let (_trust, trust) = nobody();
        let (keeper, mut identity) = Keeper::new(client, settings(role, name, None), trust);
        assert!(identity.certificate.borrow().is_none());
        let runs = tokio::spawn(keeper.run());
        let certified = next(&mut identity).await;
        verifier.trust(&trusted(&site).await).unwrap();
        verifier.forget(&[].into());
        let peer = verifier.peer(Some(&certified.cert)).unwrap();
        assert_eq!((peer.role, peer.node.as_str()), (role, name));
        assert!(identity.not_after.borrow().unwrap() > SystemTime::now());
        certified.keys_match().unwrap();
        runs.abort();
    }
    let (_, requests) = admin.get(REQUESTS).await.unwrap();
    assert_eq!(
        requests["items"].as_array().unwrap().len(),
        2,
        "asked more than once"
    );
}

#[tokio::test]
async fn an_identity_outlives_a_restart_without_the_api_and_a_signer_that_is_trusted_no_more_does_not() {
    let site = Site::start().await;
    let admin = site.server.admin();
    node("edge1").ensure(admin).await.unwrap();
    let _manager = site.manager().await;
    let client = site.as_pod(Role::TunnelAgent, "edge1").await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Role::TunnelAgent, "edge1", Some(folder.path()));
    let (trust, trusted_by_us) = nobody();
    let (keeper, mut identity) = Keeper::new(client.clone(), settings.clone(), trusted_by_us.clone());
    let runs = tokio::spawn(keeper.run());
    let first = next(&mut identity).await;
    runs.abort();

    site.server.stop().await.unwrap();
    let (keeper, mut identity) = Keeper::new(client.clone(), settings, trusted_by_us);
    let again = identity.certificate.borrow_and_update().clone().unwrap();
    assert_eq!(again.cert, first.cert);
    site.server.resume().await.unwrap();

    // Its authority is thrown away; what is trusted is another one.
    let before = trusted(&site).await;
    trust.send_replace(Arc::new(authorities(&before).unwrap()));
    let _runs = tokio::spawn(keeper.run());
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/yurt-tunnel-ca");
    assert_eq!(admin.delete(&secret).await.unwrap().0, 200);
    let after = wait_for("another authority", SOON, async || {
        let now = trusted(&site).await;
        if now == before { Err(now) } else { Ok(now) }
    })
    .await;
    assert!(!identity.certificate.has_changed().unwrap(), "renewed too early");
    trust.send_replace(Arc::new(authorities(&after).unwrap()));
    let second = next(&mut identity).await;
    assert_ne!(second.cert, first.cert);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let site = Site::start().await;
    node("edge1").ensure(site.server.admin()).await.unwrap();
    let _manager = site.manager().await;
    let client = site.as_pod(Role::TunnelAgent, "edge1").await;
    let mut asker = Asker::new(client.clone(), Role::TunnelAgent, "edge2".to_owned());
    let failure = asker.obtain(0.0).await.unwrap_err();
    let Failure::Refused {
        verdict,
        reason,
        message,
        ..
    } = failure
    else {
        panic!("{failure:?}");
    };
    assert_eq!((verdict, reason.as_str()), ("denied", "AnotherNode"));
    assert!(
        message.contains("`edge2`") && message.contains("`edge1`"),
        "{message}"
    );
    // An agent is no server.
    let mut asker = Asker::new(client, Role::TunnelServer, "edge1".to_owned());
    let failure = asker.obtain(0.0).await.unwrap_err();
    assert!(failure.to_string().contains("NoNode"), "{failure}");
}

#[tokio::test]
async fn what_could_not_be_asked_is_asked_again_when_the_api_is_back() {
    let site = Site::start().await;
    node("edge1").ensure(site.server.admin()).await.unwrap();
    let client = site.as_pod(Role::TunnelAgent, "edge1").await;
    site.server.stop().await.unwrap();
    let mut asker = Asker::new(client.clone(), Role::TunnelAgent, "edge1".to_owned());
    let failure = asker.obtain(0.0).await.unwrap_err();
    assert!(
        matches!(failure, Failure::Create { .. } | Failure::Silent(_)),
        "{failure:?}"
    );
    let (_trust, trust) = nobody();
    let settings = settings(Role::TunnelAgent, "edge1", None);
    let (keeper, mut identity) = Keeper::new(client, settings, trust);
    let _runs = tokio::spawn(keeper.run());
    site.server.resume().await.unwrap();
    let _manager = site.manager().await;
    next(&mut identity).await;
}
