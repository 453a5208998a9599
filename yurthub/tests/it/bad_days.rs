//! What goes wrong on a node: wrong files, damaged disks, lost keys, two hubs, certificates that change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use yurt_testkit::api::Raw;
use yurt_testkit::ca::{Authority, Leaf};
use yurt_testkit::objects::{config_map, secret};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::wait_for;

use crate::hub::{
    Hub, JSON, SOON, json as body, may_do_everything, port, program_args, server, write_kubeconfig,
};
use crate::wire::connect;

mod damaged_in_use;

/// Runs the binary to its end.
fn run(args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_yurthub"))
        .args(args)
        .output()
        .unwrap()
}

/// Exit code, and what it said.
fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// A folder with all that a hub needs to start.
pub(crate) async fn prepared() -> (Scratch, Vec<String>) {
    let server = server().await;
    let folder = Scratch::new().unwrap();
    write_kubeconfig(folder.path(), &server.address().to_string(), server);
    let kubelet = server.authority().node_cert("prepared").unwrap();
    kubelet
        .write_combined(&folder.path().join("kubelet.pem"))
        .unwrap();
    let args = program_args(folder.path(), [port(), port()]);
    (folder, args)
}

#[tokio::test]
async fn wrong_configurations_end_with_code_1_and_a_message_that_names_the_cause() {
    type Damage = fn(&Path, &mut Vec<String>);
    let table: &[(&str, Damage, &[&str])] = &[
        (
            "no kubeconfig",
            |f, _| fs::remove_file(f.join("kubeconfig")).unwrap(),
            &["kubeconfig", "--kubeconfig"],
        ),
        (
            "kubeconfig is no YAML",
            |f, _| fs::write(f.join("kubeconfig"), "a: [").unwrap(),
            &["failed to parse kubeconfig"],
        ),
        (
            "kubeconfig is binary",
            |f, _| fs::write(f.join("kubeconfig"), [0xff, 0]).unwrap(),
            &["kubeconfig"],
        ),
        (
            "no context",
            |f, _| fs::write(f.join("kubeconfig"), "{apiVersion: v1, kind: Config}").unwrap(),
            &["no usable current context"],
        ),
        (
            "plain http",
            |f, _| {
                let text = fs::read_to_string(f.join("kubeconfig"))
                    .unwrap()
                    .replace("https:", "http:");
                fs::write(f.join("kubeconfig"), text).unwrap();
            },
            &["https server address"],
        ),
        (
            "no certificate",
            |f, _| fs::remove_file(f.join("kubelet.pem")).unwrap(),
            &["client certificate of the kubelet"],
        ),
        (
            "certificate is no PEM",
            |f, _| fs::write(f.join("kubelet.pem"), "garbage").unwrap(),
            &["client certificate of the kubelet", "PEM"],
        ),
        (
            "CA is no PEM",
            |f, _| fs::write(f.join("ca.crt"), "").unwrap(),
            &["CA of the apiserver", "PEM"],
        ),
        (
            "certificate of a person",
            |f, _| {
                let person = Authority::new("ca").unwrap().issue(&Leaf::new("jane")).unwrap();
                person.write_combined(&f.join("kubelet.pem")).unwrap();
            },
            &["jane", "not of a node"],
        ),
        (
            "key of another certificate",
            |f, _| {
                let authority = Authority::new("ca").unwrap();
                let [one, other] = [
                    authority.node_cert("a").unwrap(),
                    authority.node_cert("a").unwrap(),
                ];
                fs::write(f.join("kubelet.pem"), one.cert_pem + &other.key_pem).unwrap();
            },
            &["client certificate of the kubelet"],
        ),
        (
            "another node's name",
            |_, args| args.push("--node-name=other".into()),
            &["--node-name", "other", "prepared"],
        ),
        (
            "nonsense",
            |_, args| args.push("--ring-events=0".into()),
            &["ring-events", "at least 1"],
        ),
        (
            "unknown engine",
            |_, args| args.push("--store-engine=oracle".into()),
            &["oracle"],
        ),
        (
            "unknown key in the file",
            |f, args| {
                fs::write(f.join("config.yaml"), "dataDri: /x").unwrap();
                args.push(format!("--config={}", f.join("config.yaml").display()));
            },
            &["dataDri", "config.yaml"],
        ),
        (
            "no YAML in the file",
            |f, args| {
                fs::write(f.join("config.yaml"), "{{{").unwrap();
                args.push(format!("--config={}", f.join("config.yaml").display()));
            },
            &["config.yaml"],
        ),
        (
            "no such file",
            |_, args| args.push("--config=/nonexistent".into()),
            &["/nonexistent"],
        ),
        (
            "the folder is a file",
            |f, _| fs::write(f.join("data"), "").unwrap(),
            &["data"],
        ),
    ];
    for (what, damage, needles) in table {
        let (folder, mut args) = prepared().await;
        damage(folder.path(), &mut args);
        let (code, text) = said(&run(&args));
        let expected = if *what == "unknown engine" { 2 } else { 1 };
        assert_eq!(code, Some(expected), "{what}: {text}");
        for needle in *needles {
            assert!(text.contains(needle), "{what}: `{needle}` is not in: {text}");
        }
        assert!(!text.contains("panicked"), "{what}: {text}");
    }
}

#[tokio::test]
async fn check_config_prints_the_settings_and_judges_them() {
    let (folder, mut args) = prepared().await;
    args.insert(0, "check-config".into());
    args.push("--ring-events=77".into());
    let (code, text) = said(&run(&args));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("ring_events: 77") && text.contains("page_size"),
        "{text}"
    );
    assert!(!text.contains("PRIVATE KEY"), "{text}");
    assert!(!folder.path().join("data").exists(), "nothing is made");
    args.push("--keepalive-interval=0s".into());
    let (code, text) = said(&run(&args));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("keepalive-interval"), "{text}");
}

#[tokio::test]
async fn a_second_hub_on_the_same_folder_refuses_and_leaves_the_first_alone() {
    let hub = Hub::start(server().await, "alone").await;
    assert_eq!(hub.node().get("/api/v1/nodes/alone").await.unwrap().0, 200);
    let (code, text) = said(&run(&program_args(hub.folder(), [port(), port()])));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("another") || text.contains("lock") || text.contains("in use"),
        "{text}"
    );
    assert_eq!(hub.node().get("/api/v1/nodes/alone").await.unwrap().0, 200);
    let other = Scratch::new().unwrap();
    for name in ["kubeconfig", "ca.crt", "kubelet.pem"] {
        fs::copy(hub.folder().join(name), other.path().join(name)).unwrap();
    }
    let (code, text) = said(&run(&program_args(other.path(), [hub.address.port(), port()])));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("another yurthub"), "{text}");
}

#[tokio::test]
async fn bytes_that_are_no_request_harm_nobody() {
    let mut hub = Hub::start(server().await, "garbage").await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: hub\r\n\r\n", "a".repeat(200_000));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: hub\r\nX: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    for garbage in [
        b"GARBAGE\r\n\r\n".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"POST /api HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        long.as_bytes(),
        wide.as_bytes(),
    ] {
        let mut stream = connect(&hub).await.unwrap();
        // The hub may close while we still write.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let start: String = answer.chars().take(60).collect();
        assert!(!start.contains(" 200 ") && !start.contains(" 500 "), "{start}");
    }
    let node = hub.node();
    for path in [
        "//",
        "/api//v1",
        "/api/v1/nodes/%00",
        "/api/v1/../../etc/passwd",
        "/api/v1/nodes/%zz",
        "/api/v1/namespaces//pods",
    ] {
        let reply = node.send(Raw::get(path, JSON)).await.unwrap();
        assert!(
            (300..500).contains(&reply.status),
            "{path}: {} {}",
            reply.status,
            body(&reply)
        );
    }
    assert!(hub.process.ended().unwrap().is_none());
    assert_eq!(node.get("/api/v1/nodes/garbage").await.unwrap().0, 200);
    assert!(!hub.process.log().contains("panicked"));
}

/// All files of the store.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect()
}

/// How a store is damaged, and what the hub must say of it at its next start.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: [Damage; 6] = [
    (
        "folder deleted",
        |store| fs::remove_dir_all(store).unwrap(),
        "Fresh",
    ),
    (
        "database deleted",
        |store| fs::remove_file(store.join("store.sqlite")).unwrap(),
        "Recovered",
    ),
    (
        "database truncated",
        |store| {
            let path = store.join("store.sqlite");
            let length = fs::metadata(&path).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length / 2).unwrap();
        },
        "Recovered",
    ),
    (
        "database garbage",
        |store| fs::write(store.join("store.sqlite"), vec![0xa5; 70_000]).unwrap(),
        "Recovered",
    ),
    (
        "marker garbage",
        |store| fs::write(store.join("FORMAT"), "a5").unwrap(),
        "Clean",
    ),
    // What sqlite does not see, the checksum of each value does.
    (
        "bits flipped",
        |store| {
            let path = store.join("store.sqlite");
            let mut bytes = fs::read(&path).unwrap();
            let length = bytes.len();
            for at in (length / 8..length).step_by(7919) {
                bytes[at] ^= 0x10;
            }
            fs::write(path, bytes).unwrap();
        },
        "",
    ),
];

#[tokio::test]
async fn a_damaged_store_is_named_and_heals_online_and_never_tells_a_lie() {
    let mut hub = Hub::start(server().await, "damaged").await;
    may_do_everything(&hub).await;
    let filler = "x".repeat(2000);
    for index in 0..60 {
        let map = config_map(&format!("m-{index:02}"))
            .in_namespace("damaged")
            .data("x", &filler);
        map.create(hub.server.admin()).await.unwrap();
    }
    let maps = "/api/v1/namespaces/damaged/configmaps?resourceVersion=0";
    let (_, whole) = hub.node().get(maps).await.unwrap();
    assert_eq!(whole["items"].as_array().unwrap().len(), 60);
    for (what, damage, expected) in DAMAGES {
        hub.cloud_is(true).await;
        assert_eq!(
            hub.node().get(maps).await.unwrap().1["items"],
            whole["items"],
            "before {what}"
        );
        hub.link.cut().await;
        // An orderly end leaves everything in the database and nothing in its log.
        hub.process.signal(rustix::process::Signal::TERM).unwrap();
        wait_for("yurthub to end", SOON, async || hub.process.ended().unwrap()).await;
        damage(&hub.store());
        let logged = hub.process.log().len();
        hub.restart().await;
        tells_no_lie(&hub, maps, &[&whole], what).await;
        hub.join().await;
        wait_whole(&hub, maps, &whole, what).await;
        let log = hub.process.log()[logged..].to_owned();
        let report = log
            .lines()
            .find(|line| line.contains("store opened"))
            .unwrap_or_default();
        println!("{what}: {report}");
        assert!(report.contains(expected), "{what}: {report}");
        assert!(!log.contains("panicked"), "{what}: {log}");
    }
}

/// Each object of the first list is right or 503; a list is one of `truths`, which are of different times, or 503.
async fn tells_no_lie(hub: &Hub<'_>, maps: &str, truths: &[&Value], what: &str) {
    let node = hub.node();
    let (folder, _) = maps.split_once('?').unwrap();
    for item in truths[0]["items"].as_array().unwrap() {
        let path = format!("{folder}/{}", item["metadata"]["name"].as_str().unwrap());
        let (status, map) = node.get(&path).await.unwrap();
        assert!(
            status == 503 || status == 200 && map == with_type(item),
            "{what}: {path} {status} {map}"
        );
    }
    if let Ok((status, list)) = node.get(maps).await {
        let is_true = truths.iter().any(|truth| list["items"] == truth["items"]);
        assert!(status == 503 || is_true, "{what}: {status}");
    }
}

async fn wait_whole(hub: &Hub<'_>, maps: &str, whole: &Value, what: &str) {
    let node = hub.node();
    wait_for("the mirror to heal", SOON, async || match node.get(maps).await {
        Ok((200, list)) if list["items"] == whole["items"] => Ok(()),
        Ok((status, _)) => Err(format!("{what}: {status}")),
        Err(error) => Err(format!("{what}: {error:#}")),
    })
    .await;
}

fn with_type(item: &Value) -> Value {
    let mut object = item.clone();
    object["apiVersion"] = "v1".into();
    object["kind"] = "ConfigMap".into();
    object
}

#[tokio::test]
async fn a_lost_sealing_key_loses_secrets_until_the_cloud_is_back_and_nothing_else() {
    let mut hub = Hub::start(server().await, "keyless").await;
    may_do_everything(&hub).await;
    let admin = hub.server.admin();
    secret("s")
        .in_namespace("keyless")
        .data("n", "VerySecretIndeed")
        .create(admin)
        .await
        .unwrap();
    config_map("m")
        .in_namespace("keyless")
        .create(admin)
        .await
        .unwrap();
    let secrets = "/api/v1/namespaces/keyless/secrets?resourceVersion=0";
    let maps = "/api/v1/namespaces/keyless/configmaps?resourceVersion=0";
    let (_, sealed) = hub.node().get(secrets).await.unwrap();
    assert_eq!(hub.node().get(maps).await.unwrap().0, 200);
    hub.store_is_quiet().await;
    hub.link.cut().await;
    hub.kill();
    let encoded = sealed["items"][0]["data"]["n"].as_str().unwrap();
    for file in files(&hub.store()) {
        let bytes = fs::read(&file).unwrap();
        assert!(
            !bytes
                .windows(encoded.len())
                .any(|window| window == encoded.as_bytes()),
            "{}",
            file.display()
        );
    }
    fs::remove_file(hub.folder().join("data/sealing.key")).unwrap();
    hub.restart().await;
    let node = hub.node();
    assert_eq!(node.get(maps).await.unwrap().0, 200);
    assert_eq!(
        node.get("/api/v1/namespaces/keyless/secrets/s").await.unwrap().0,
        503
    );
    assert!(!matches!(node.get(secrets).await, Ok((200 | 404, _))));
    hub.join().await;
    wait_for("the secrets to come back", SOON, async || {
        match node.get(secrets).await {
            Ok((200, list)) if list["items"] == sealed["items"] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_rotated_certificate_is_picked_up_and_old_connections_end() {
    let hub = Hub::start(server().await, "rotated").await;
    let nodes = "/api/v1/nodes?fieldSelector=metadata.name%3Drotated&resourceVersion=0";
    assert_eq!(hub.node().get(nodes).await.unwrap().0, 200);
    let old = hub.link.accepted();
    // The file is replaced as the kubelet does it; first by something that cannot be used.
    let replace = |content: &str| {
        let path = hub.folder().join("kubelet.pem");
        fs::write(path.with_extension("new"), content).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    replace("garbage");
    wait_for("the hub to notice the garbage", SOON, async || {
        hub.process
            .log()
            .contains("keeping the present client certificate")
    })
    .await;
    assert_eq!(hub.node().get("/api/v1/nodes/rotated").await.unwrap().0, 200);
    let fresh = hub.server.authority().node_cert("rotated").unwrap();
    replace(&format!("{}{}", fresh.cert_pem, fresh.key_pem));
    wait_for("the hub to notice the certificate", SOON, async || {
        hub.process.log().contains("client certificate or CA changed")
    })
    .await;
    let node = hub.api(Some(&fresh));
    assert_eq!(node.get("/api/v1/nodes/rotated").await.unwrap().0, 200);
    assert!(
        hub.link.accepted() > old,
        "requests travel on a connection with the new certificate"
    );
    assert_eq!(node.get(nodes).await.unwrap().0, 200);
    wait_for("the old connection for requests to end", SOON, async || {
        node.get("/api/v1/nodes/rotated").await.unwrap();
        // One for requests, and one for the watch that began under the old certificate.
        let open = hub.link.connections();
        if open <= 2 { Ok(()) } else { Err(open) }
    })
    .await;
}

#[tokio::test]
async fn an_orderly_end_keeps_everything_and_ends_watches() {
    let mut hub = Hub::start(server().await, "orderly").await;
    may_do_everything(&hub).await;
    let maps = "/api/v1/namespaces/orderly/configmaps";
    config_map("m")
        .in_namespace("orderly")
        .create(hub.server.admin())
        .await
        .unwrap();
    let (_, list) = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap();
    let mut watch = hub
        .node()
        .watch(&format!("{maps}?watch=true"), JSON)
        .await
        .unwrap();
    assert_eq!(watch.event().await.unwrap().unwrap()["type"], "ADDED");
    hub.process.signal(rustix::process::Signal::TERM).unwrap();
    assert_eq!(watch.event().await.unwrap(), None, "the watch ends in order");
    let status = wait_for("yurthub to end", SOON, async || hub.process.ended().unwrap()).await;
    assert_eq!(status.code(), Some(0), "{}", hub.process.log_tail(20));
    hub.link.cut().await;
    hub.restart().await;
    let (status, again) = hub
        .node()
        .get(&format!("{maps}?resourceVersion=0"))
        .await
        .unwrap();
    assert_eq!((status, &again["items"]), (200, &json!(list["items"])));
}
