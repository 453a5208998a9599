//! The kit's apiserver is a real one: it authenticates, authorizes, issues tokens and forgets history.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::sync::OnceCell;
use yurt_testkit::api::Raw;
use yurt_testkit::ca::{Authority, Leaf};
use yurt_testkit::objects::{config_map, ensure_namespace, node, pod};
use yurt_testkit::process::is_alive;
use yurt_testkit::{Api, ApiServer, wait_for};

const DEADLINE: Duration = Duration::from_secs(30);

/// Shared by the tests that change neither the server's life nor its history.
static SHARED: OnceCell<ApiServer> = OnceCell::const_new();

async fn shared() -> anyhow::Result<&'static ApiServer> {
    SHARED.get_or_try_init(ApiServer::start).await
}

#[tokio::test]
async fn admin_is_let_in_and_nobody_is_not() {
    let server = shared().await.unwrap();
    let (status, version) = server.admin().get("/version").await.unwrap();
    assert_eq!((status, version["major"].as_str()), (200, Some("1")));
    let (status, _) = server.anonymous().unwrap().get("/api/v1/nodes").await.unwrap();
    assert_eq!(
        status, 403,
        "anonymous requests are authenticated as nobody, who may not list nodes"
    );
}

#[tokio::test]
async fn a_node_reads_its_own_node_and_no_other() {
    let server = shared().await.unwrap();
    for name in ["mine", "other"] {
        node(name).create(server.admin()).await.unwrap();
    }
    let kubelet = server.as_node("mine").unwrap();
    assert_eq!(kubelet.get("/api/v1/nodes/mine").await.unwrap().0, 200);
    let (status, refusal) = kubelet.get("/api/v1/nodes/other").await.unwrap();
    assert_eq!(status, 403, "{refusal}");
    let patch = json!({ "metadata": { "labels": { "node-restriction.kubernetes.io/a": "b" } } });
    assert_eq!(
        kubelet.patch("/api/v1/nodes/mine", patch).await.unwrap().0,
        403,
        "NodeRestriction is on"
    );
}

#[tokio::test]
async fn a_node_reads_what_its_pods_mount() {
    let server = shared().await.unwrap();
    let admin = server.admin();
    ensure_namespace(admin, "shop").await.unwrap();
    ensure_namespace(admin, "shop").await.unwrap();
    node("reader").create(admin).await.unwrap();
    let config = config_map("conf").in_namespace("shop").data("a", "1");
    config.create(admin).await.unwrap();
    let kubelet = server.as_node("reader").unwrap();
    assert_eq!(kubelet.get(&config.path()).await.unwrap().0, 403);
    let web = pod("web")
        .in_namespace("shop")
        .on("reader")
        .mounting_config_map("conf");
    web.create(admin).await.unwrap();
    wait_for(
        "the node to be allowed to read the config map",
        DEADLINE,
        async || {
            let (status, answer) = kubelet
                .get(&config.path())
                .await
                .map_err(|error| error.to_string())?;
            if status == 200 {
                Ok(())
            } else {
                Err(format!("{status}: {answer}"))
            }
        },
    )
    .await;
    assert_eq!(admin.delete(&web.path()).await.unwrap().0, 200);
}

#[tokio::test]
async fn expired_early_and_foreign_certificates_are_refused() {
    let server = shared().await.unwrap();
    let (ours, foreign) = (server.authority(), Authority::new("kubernetes").unwrap());
    let tomorrow = SystemTime::now() + Duration::from_hours(12);
    let early = Leaf::node("edge-1").valid(tomorrow, tomorrow + Duration::from_hours(1));
    let table = [
        ("expired", ours.issue(&Leaf::node("edge-1").expired()).unwrap()),
        ("not yet valid", ours.issue(&early).unwrap()),
        ("foreign", foreign.node_cert("edge-1").unwrap()),
    ];
    for (what, identity) in table {
        let answer = server
            .as_identity(&identity)
            .unwrap()
            .get("/api/v1/nodes/edge-1")
            .await;
        assert!(!matches!(answer, Ok((200 | 403 | 404, _))), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn tokens_are_issued_and_believed() {
    let server = shared().await.unwrap();
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let (status, answer) = server.admin().post(path, request).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    let holder = server
        .anonymous()
        .unwrap()
        .with_token(answer["status"]["token"].as_str().unwrap())
        .unwrap();
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let (status, answer) = holder
        .post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        .await
        .unwrap();
    assert_eq!(status, 201, "{answer}");
    assert_eq!(
        answer["status"]["userInfo"]["username"],
        "system:serviceaccount:default:default"
    );
}

#[tokio::test]
async fn raw_requests_give_bytes_and_headers() {
    let server = shared().await.unwrap();
    let accept = "application/vnd.kubernetes.protobuf";
    let reply = server
        .admin()
        .send(Raw::get("/api/v1/namespaces/default", accept))
        .await
        .unwrap();
    assert_eq!((reply.status, &reply.body[..4]), (200, &b"k8s\0"[..]));
    assert_eq!(reply.headers["content-type"], accept);
}

#[tokio::test]
async fn a_watch_shows_what_comes() {
    let server = shared().await.unwrap();
    let admin = server.admin();
    let path = "/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name%3Dseen";
    let mut watch = admin.watch(path, "application/json").await.unwrap();
    assert_eq!(watch.status, 200);
    let seen = config_map("seen").data("a", "1");
    seen.create(admin).await.unwrap();
    admin
        .patch(&seen.path(), json!({ "data": { "a": "2" } }))
        .await
        .unwrap();
    for (kind, content) in [("ADDED", "1"), ("MODIFIED", "2")] {
        let event = watch.event().await.unwrap().unwrap();
        assert_eq!(
            (event["type"].as_str(), event["object"]["data"]["a"].as_str()),
            (Some(kind), Some(content))
        );
    }
}

async fn list_version(api: &Api, path: &str) -> anyhow::Result<String> {
    let (_, list) = api.get(path).await?;
    Ok(list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

/// The code of the first answer to a watch: of its `ERROR` event if it has one.
async fn watch_code(api: &Api, path: &str) -> anyhow::Result<u64> {
    let mut watch = api.watch(path, "application/json").await?;
    let event = watch.event().await?.unwrap_or_default();
    Ok(if event["type"] == "ERROR" {
        event["object"]["code"].as_u64().unwrap_or(0)
    } else {
        watch.status.into()
    })
}

#[tokio::test]
async fn history_is_forgotten_on_demand_and_all_goes_in_the_end() {
    let from_etcd = "--feature-gates=ListFromCacheSnapshot=false";
    let server = ApiServer::builder()
        .compaction("0")
        .arg(from_etcd)
        .start()
        .await
        .unwrap();
    let admin = server.admin();
    for index in 0..3 {
        config_map(&format!("page-{index}")).create(admin).await.unwrap();
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let (_, page) = admin.get(&format!("{path}?limit=1")).await.unwrap();
    let next = format!(
        "{path}?limit=1&continue={}",
        page["metadata"]["continue"].as_str().unwrap()
    );
    let old = format!(
        "{path}?watch=1&resourceVersion={}",
        list_version(admin, path).await.unwrap()
    );
    config_map("later").create(admin).await.unwrap();

    assert_eq!(watch_code(admin, &old).await.unwrap(), 200);
    assert_eq!(admin.get(&next).await.unwrap().0, 200);
    let compacted = server.compact().await.unwrap();
    assert_eq!(admin.get(&next).await.unwrap().0, 410);
    assert_eq!(
        watch_code(admin, &old).await.unwrap(),
        200,
        "the watch cache remembers"
    );

    let pids = server.pids().await;
    let revision = server.expire_watches().await.unwrap();
    assert!(revision >= compacted);
    assert_eq!(watch_code(admin, &old).await.unwrap(), 410);
    let (status, later) = admin.get(&format!("{path}/later")).await.unwrap();
    assert_eq!(
        (status, later["metadata"]["name"].as_str()),
        (200, Some("later")),
        "objects outlive a restart"
    );
    assert_ne!(server.pids().await, pids);

    let (pids, folder) = (server.pids().await, server.folder().to_owned());
    assert!(pids.into_iter().all(is_alive) && folder.exists());
    drop(server);
    assert!(!pids.into_iter().any(is_alive) && !folder.exists());
}

#[tokio::test]
async fn a_restored_backup_takes_everything_back_versions_too() {
    let server = ApiServer::start().await.unwrap();
    let admin = server.admin();
    let (kept, lost) = (config_map("kept"), config_map("lost"));
    kept.create(admin).await.unwrap();
    let backup = server.backup().await.unwrap();
    let before = server.revision().await.unwrap();
    lost.create(admin).await.unwrap();
    assert!(server.revision().await.unwrap() > before);
    for _ in 0..2 {
        server.restore(&backup).await.unwrap();
        let found = [
            admin.get(&kept.path()).await.unwrap().0,
            admin.get(&lost.path()).await.unwrap().0,
        ];
        assert_eq!(found, [200, 404]);
        lost.create(admin).await.unwrap();
    }
}
