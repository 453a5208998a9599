//! What goes through to the apiserver, and the bounds that keep one client from harming the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{ACCEPT_ENCODING, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use yurt_testkit::api::Raw;
use yurt_testkit::ca::Leaf;
use yurt_testkit::objects::{config_map, pod, secret};
use yurt_testkit::wait_for;

use crate::hub::{Hub, JSON, SOON, STRATEGIC, header, json as body, may_do_everything, server};
use crate::wire::{acceptor, connect};

#[tokio::test]
async fn six_hundred_watched_secrets_leave_room_for_requests() {
    const SECRETS: usize = 600;
    let hub = Hub::start(server().await, "crowded").await;
    may_do_everything(&hub).await;
    let names: Vec<String> = (0..SECRETS).map(|index| format!("s-{index:03}")).collect();
    for some in names.chunks(20) {
        join_all(some.iter().map(async |name| {
            secret(name)
                .in_namespace("crowded")
                .data("n", "1")
                .create(hub.server.admin())
                .await
                .unwrap()
        }))
        .await;
    }
    let secrets = "/api/v1/namespaces/crowded/secrets";
    let node = hub.node();
    for some in names.chunks(50) {
        join_all(some.iter().map(async |name| {
            let path = format!("{secrets}?fieldSelector=metadata.name%3D{name}&resourceVersion=0");
            assert_eq!(node.get(&path).await.unwrap().0, 200, "{name}");
        }))
        .await;
    }
    let all_live = async || hub.metric("yurthub_scopes", "state=\"live\"").await == SECRETS as u64;
    for cut in [false, true] {
        if cut {
            let lists = hub.metric("yurthub_mirror_lists_total", "").await;
            hub.cut().await;
            hub.join().await;
            let start = Instant::now();
            wait_for("all watches to be resumed", SOON, all_live).await;
            println!("{SECRETS} watches resumed after {:?}", start.elapsed());
            assert_eq!(hub.metric("yurthub_mirror_lists_total", "").await, lists);
        } else {
            wait_for("all watches to be open", SOON, all_live).await;
        }
        for _ in 0..20 {
            let start = Instant::now();
            assert_eq!(node.get("/api/v1/nodes/crowded").await.unwrap().0, 200);
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
        let changed = secret("s-599").in_namespace("crowded").path();
        let value = if cut { "Mw==" } else { "Mg==" };
        node.patch(&changed, json!({ "data": { "n": value } }))
            .await
            .unwrap();
        wait_for("the change to be mirrored", SOON, async || {
            node.get(&format!("{changed}?resourceVersion=0")).await.unwrap().1["data"]["n"] == value
        })
        .await;
    }
}

#[tokio::test]
async fn clients_that_never_read_do_not_block_others() {
    let hub = Hub::start(server().await, "stalled").await;
    may_do_everything(&hub).await;
    let filler = "x".repeat(400 << 10);
    for index in 0..20 {
        let map = config_map(&format!("big-{index:02}"))
            .in_namespace("stalled")
            .data("x", &filler);
        map.create(hub.server.admin()).await.unwrap();
    }
    let maps = "/api/v1/namespaces/stalled/configmaps";
    let node = hub.node();
    let mirrored = format!("{maps}?resourceVersion=0");
    let expected = node.get(&mirrored).await.unwrap().1;
    let mut idle = Vec::new();
    for _ in 0..8 {
        for path in [maps, &mirrored] {
            idle.push(node.stream(Raw::get(path, JSON)).await.unwrap());
        }
    }
    for path in [maps, &mirrored] {
        let start = Instant::now();
        let list = node.get(path).await.unwrap().1;
        assert_eq!(list["items"], expected["items"], "{path}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{path}: {:?}",
            start.elapsed()
        );
    }
    // Who waited long enough still gets everything, or an error; never a part that looks like all.
    let mut last = idle.pop().unwrap();
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = last.chunk().await {
        read.extend_from_slice(&chunk);
    }
    assert!(serde_json::from_slice::<serde_json::Value>(&read).is_ok() || read.len() < filler.len() * 20);
}

/// A server that speaks HTTP/1.1 only, and answers an upgrade by saying everything twice.
pub(crate) async fn echo(hub_server: &'static yurt_testkit::ApiServer) -> SocketAddr {
    let identity = hub_server
        .authority()
        .issue(&Leaf::server(["127.0.0.1"]))
        .unwrap();
    let tls = acceptor(&identity);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else {
                    return;
                };
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .with_upgrades();
                drop(connection.await);
            });
        }
    });
    address
}

async fn answer(
    mut request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, std::convert::Infallible> {
    let mut response = http::Response::new(Full::new(Bytes::from_static(b"ok")));
    let Some(protocol) = request.headers().get("upgrade").cloned() else {
        return Ok(response);
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..length]).await.unwrap();
        }
        stream.write_all(b"the end").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
        .headers_mut()
        .insert("connection", HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert("upgrade", protocol);
    response.headers_mut().insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("v5.channel.k8s.io"),
    );
    Ok(response)
}

/// An apiserver execs into running containers only; what is under test here is the relay of bytes.
#[tokio::test]
async fn an_upgraded_connection_is_relayed_byte_for_byte_until_both_ends_have_ended() {
    let server = server().await;
    let hub = Hub::start_at(server, "upgraded", (echo(server).await, &[])).await;
    hub.cloud_is(true).await;
    for protocol in ["SPDY/3.1", "websocket"] {
        let mut stream = connect(&hub).await.unwrap();
        let head = format!(
            "POST /api/v1/namespaces/upgraded/pods/x/exec?command=sh HTTP/1.1\r\nHost: hub\r\n\
             Connection: Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        for header in [
            format!("upgrade: {}", protocol.to_ascii_lowercase()),
            "v5.channel.k8s.io".into(),
        ] {
            assert!(answer.contains(&header), "{answer}");
        }
        let sent: Vec<u8> = (0..300_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (read, ()) = tokio::join!(
            async {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).await.unwrap();
                read
            },
            async {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            }
        );
        assert_eq!(read.len(), sent.len() + 7, "{protocol}");
        assert!(
            read.starts_with(&sent) && read.ends_with(b"the end"),
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn compressed_answers_pass_as_they_are() {
    let hub = Hub::start(server().await, "packed").await;
    may_do_everything(&hub).await;
    let filler = "a long line of text. ".repeat(20_000);
    let map = config_map("big").in_namespace("packed").data("x", &filler);
    map.create(hub.server.admin()).await.unwrap();
    let maps = "/api/v1/namespaces/packed/configmaps";
    let (_, list) = hub.direct().get(maps).await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{maps}?resourceVersion={version}&resourceVersionMatch=Exact");
    let packed = |path: &str| Raw::get(path, JSON).header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let expected = hub.direct().send(packed(&path)).await.unwrap();
    let given = hub.node().send(packed(&path)).await.unwrap();
    assert_eq!(header(&expected, "content-encoding"), "gzip");
    assert_eq!(header(&given, "content-encoding"), "gzip");
    assert_eq!(given.body, expected.body);
    // What is remembered must be readable by every client: it is fetched, and given, unpacked.
    let plain = hub.node().send(packed(maps)).await.unwrap();
    assert_eq!(
        (header(&plain, "content-encoding"), &body(&plain)["items"]),
        ("", &list["items"])
    );
}

#[tokio::test]
async fn bodies_up_to_the_apiservers_limit_pass_and_larger_ones_are_its_own_413() {
    let hub = Hub::start(server().await, "heavy").await;
    may_do_everything(&hub).await;
    let maps = "/api/v1/namespaces/heavy/configmaps";
    let target = pod("p").in_namespace("heavy").on("heavy");
    target.create(hub.server.admin()).await.unwrap();
    for (size, code) in [(900 << 10, 201), ((3 << 20) - (4 << 10), 422), (4 << 20, 413)] {
        let object = |name: &str| {
            let map = config_map(name)
                .in_namespace("heavy")
                .data("x", &"x".repeat(size))
                .into_value();
            Raw::new(Method::POST, maps).body(JSON, map.to_string())
        };
        let expected = hub
            .direct()
            .send(object(&format!("direct-{size}")))
            .await
            .unwrap();
        let given = hub.node().send(object(&format!("hub-{size}"))).await.unwrap();
        assert_eq!((expected.status, given.status), (code, code), "{}", body(&given));
        assert_eq!(body(&given)["reason"], body(&expected)["reason"], "{size}");
    }
    let status = json!({ "status": { "message": "x".repeat(4 << 20) } });
    let request = crate::hub::patch(&format!("{}/status", target.path()), STRATEGIC, &status);
    for api in [hub.direct(), hub.node()] {
        let reply = api.send(request.clone()).await.unwrap();
        assert_eq!(
            (reply.status, &body(&reply)["reason"]),
            (413, &json!("RequestEntityTooLarge"))
        );
    }
}

/// The time until the peer closes.
async fn closed_after(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "still open after {SOON:?}");
    start.elapsed()
}

#[tokio::test]
async fn who_is_slow_to_say_what_he_wants_is_cut_off() {
    let hub = Hub::start(server().await, "patient").await;
    let mut silent = TcpStream::connect(hub.address).await.unwrap();
    let mut slow = connect(&hub).await.unwrap();
    slow.write_all(b"GET /version HTTP/1.1\r\nHost: hub\r\nX-Slow: ")
        .await
        .unwrap();
    let mut mute = connect(&hub).await.unwrap();
    let mut half = connect(&hub).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut second = connect(&hub).await.unwrap();
    second
        .write_all(b"GET /version HTTP/1.1\r\nHost: hub\r\n\r\nGET /ver")
        .await
        .unwrap();
    let (half, second, silent, slow, mute) = tokio::join!(
        closed_after(&mut half),
        closed_after(&mut second),
        closed_after(&mut silent),
        closed_after(&mut slow),
        closed_after(&mut mute)
    );
    println!("closed: no TLS hello {silent:?}, half a head {slow:?}, nothing after TLS {mute:?}");
    println!("half a preface {half:?}, half a second head {second:?}");
    for time in [half, second, silent, slow, mute] {
        assert!(time < Duration::from_secs(30), "{time:?}");
    }
}

#[tokio::test]
async fn more_requests_than_allowed_are_told_to_come_back() {
    let hub = Hub::start_with(server().await, "busy", &["--max-in-flight=2"]).await;
    let node = hub.node();
    assert_eq!(node.get("/api/v1/nodes/busy").await.unwrap().0, 200);
    let watch = "/api/v1/nodes?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dbusy";
    let mut watches = Vec::new();
    for _ in 0..4 {
        watches.push(node.watch(watch, JSON).await.unwrap());
    }
    hub.link.delay(Duration::from_millis(400)).await;
    let replies =
        join_all((0..8).map(async |_| node.send(Raw::get("/api/v1/nodes/busy", JSON)).await.unwrap())).await;
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!(replies.iter().any(|reply| reply.status == 200), "{replies:?}");
    assert!(busy.len() >= 4, "{replies:?}");
    for reply in busy {
        assert_eq!(
            (header(reply, "retry-after"), &body(reply)["reason"]),
            ("1", &json!("TooManyRequests"))
        );
    }
    hub.link.delay(Duration::ZERO).await;
    wait_for("requests to pass again", SOON, async || {
        node.get("/api/v1/nodes/busy").await.unwrap().0 == 200
    })
    .await;
    assert!(watches.iter().all(|watch| watch.status == 200));
}

#[tokio::test]
async fn of_more_connections_than_allowed_idle_ones_go_and_busy_ones_stay() {
    let hub = Hub::start_with(server().await, "full", &["--max-connections=2"]).await;
    let mut idle = connect(&hub).await.unwrap();
    let path = "/api/v1/nodes?watch=true&fieldSelector=metadata.name%3Dfull";
    let mut watches = [
        hub.node().watch(path, JSON).await.unwrap(),
        hub.node().watch(path, JSON).await.unwrap(),
    ];
    let end = tokio::time::timeout(SOON, idle.read_u8()).await.unwrap();
    assert!(end.is_err(), "it made room for a watch");
    let mut late = connect(&hub).await.unwrap();
    let end = tokio::time::timeout(SOON, late.read_u8()).await.unwrap();
    assert!(end.is_err(), "both places are in use");
    for watch in &mut watches {
        assert_eq!(watch.event().await.unwrap().unwrap()["type"], "ADDED");
    }
    drop(watches);
    wait_for("a place to be free", SOON, async || {
        matches!(hub.node().get("/api/v1/nodes/full").await, Ok((200, _)))
    })
    .await;
}
