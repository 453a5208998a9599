//! A real apiserver behind something that spoils the ways in which a scope saves bytes: the scope must end as the
//! cloud all the same.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use yurt_testkit::api::Raw;
use yurt_testkit::ca::Leaf;
use yurt_testkit::objects::config_map;
use yurt_testkit::{ApiServer, wait_for};

use super::{LISTS, RELISTS, same_as_cloud};
use crate::hub::{Hub, JSON, SOON, may_do_everything, server};
use crate::wire::acceptor;

/// What the front spoils.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoiled {
    /// Nothing.
    Nothing,
    /// Metadata: objects come instead, as from a server that does not know the word.
    Metadata,
    /// Metadata, by a refusal.
    MetadataRefused,
    /// Single objects, by this code.
    Single(u16),
    /// Single objects: each changes just before it is read, and comes as it is then.
    Snapshot,
    /// All lists, by 500.
    Lists,
}

struct Front {
    server: &'static ApiServer,
    spoiled: Mutex<Spoiled>,
    /// Watches from below this version get 410; others stay open, and quiet.
    floor: Mutex<u64>,
    /// Lists that came: when, and the path.
    lists: Mutex<Vec<(Instant, String)>>,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Front {
    async fn start(server: &'static ApiServer) -> (Arc<Self>, SocketAddr) {
        let leaf = Leaf::server(["127.0.0.1"]);
        let tls = acceptor(&server.authority().issue(&leaf).unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let front = Arc::new(Self {
            server,
            spoiled: Mutex::new(Spoiled::Nothing),
            floor: Mutex::new(0),
            lists: Mutex::new(Vec::new()),
        });
        let shared = Arc::clone(&front);
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let (tls, front) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    let answer =
                        service_fn(|request| async { Ok::<_, Infallible>(front.answer(request).await) });
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(connection.serve_connection(TokioIo::new(stream), answer).await);
                });
            }
        });
        (front, address)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let spoiled = *self.spoiled.lock().unwrap();
        let accept = request.headers().get(ACCEPT).cloned();
        let mut accept = accept.unwrap_or(HeaderValue::from_static(JSON));
        let mut path = request.uri().to_string();
        if let Some((_, rest)) = path.split_once("watch=true") {
            let (_, version) = rest.split_once("resourceVersion=").unwrap();
            let version: u64 = version.split('&').next().unwrap().parse().unwrap();
            if version < *self.floor.lock().unwrap() {
                return refusal(410);
            }
            let silence = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
            return json_answer(200, silence.boxed());
        }
        let metadata = accept.to_str().unwrap().contains("as=PartialObjectMetadataList");
        let single = path.contains("resourceVersionMatch=Exact");
        if path.contains("/configmaps?") {
            self.lists.lock().unwrap().push((Instant::now(), path.clone()));
            match spoiled {
                Spoiled::Lists => return refusal(500),
                Spoiled::Single(code) if single => return refusal(code),
                Spoiled::MetadataRefused if metadata => return refusal(406),
                Spoiled::Metadata => accept = HeaderValue::from_static(JSON),
                Spoiled::Snapshot if single => {
                    let (_, name) = path.split_once("metadata.name%3D").unwrap();
                    let (collection, _) = path.split_once('?').unwrap();
                    let change = json!({ "data": { "just": "now" } });
                    let object = format!("{collection}/{name}");
                    let changed = self.server.admin().patch(&object, change).await.unwrap();
                    assert_eq!(changed.0, 200);
                    path = path.replace("&resourceVersionMatch=Exact", "");
                }
                _ => {}
            }
        }
        let raw = Raw::new(Method::GET, path).header(ACCEPT, accept);
        let reply = self.server.admin().send(raw).await.unwrap();
        let mut answer = json_answer(reply.status, Full::new(reply.body).boxed());
        if let Some(content_type) = reply.headers.get(CONTENT_TYPE) {
            answer.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        answer
    }

    /// Lists since the last time that this was asked.
    fn listed(&self) -> Vec<(Instant, String)> {
        std::mem::take(&mut *self.lists.lock().unwrap())
    }
}

fn json_answer(status: u16, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status.try_into().unwrap();
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    answer
}

fn refusal(code: u16) -> Answer {
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no" });
    json_answer(code, Full::new(status.to_string().into()).boxed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_saved_is_listed_and_the_mirror_is_the_cloud() {
    let server = server().await;
    let (front, address) = Front::start(server).await;
    let hub = Hub::start_at(server, "spoiled", (address, &["--resume-spread=10ms"])).await;
    may_do_everything(&hub).await;
    let admin = server.admin();
    let map = |number: usize| {
        config_map(&format!("m-{number}"))
            .in_namespace("spoiled")
            .data("n", &"x".repeat(2048))
    };
    for number in 0..8 {
        map(number).create(admin).await.unwrap();
    }
    let maps = "/api/v1/namespaces/spoiled/configmaps";
    same_as_cloud(&hub, maps, JSON).await;
    for (spoiled, kind, lists, answers) in [
        (Spoiled::Nothing, "fetched", 0, 3),
        (Spoiled::Metadata, "full", 1, 1),
        (Spoiled::MetadataRefused, "full", 1, 2),
        (Spoiled::Single(410), "full", 1, 4),
        (Spoiled::Single(403), "full", 1, 4),
        (Spoiled::Single(404), "full", 1, 4),
        (Spoiled::Snapshot, "full", 1, 4),
    ] {
        hub.cut().await;
        for number in [3, 5] {
            let change = json!({ "data": { "spoiled": format!("{spoiled:?}") } });
            assert_eq!(admin.patch(&map(number).path(), change).await.unwrap().0, 200);
        }
        *front.spoiled.lock().unwrap() = spoiled;
        *front.floor.lock().unwrap() = server.revision().await.unwrap();
        front.listed();
        let compared = format!("kind=\"{kind}\"");
        let before = [hub.metric(RELISTS, &compared).await, hub.metric(LISTS, "").await];
        hub.join().await;
        wait_for("the scope to be compared", SOON, async || {
            let live = hub.metric("yurthub_scopes", "state=\"live\"").await;
            let now = [hub.metric(RELISTS, &compared).await, hub.metric(LISTS, "").await];
            if live == 1 && now == [before[0] + 1, before[1] + lists] {
                Ok(())
            } else {
                Err((spoiled, live, now, before))
            }
        })
        .await;
        let listed = front.listed();
        assert!(listed.len() <= answers, "{spoiled:?}: {listed:?}");
        same_as_cloud(&hub, maps, JSON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_forgets_and_fails_is_asked_less_and_less() {
    let server = server().await;
    let (front, address) = Front::start(server).await;
    let hub = Hub::start_at(server, "failing", (address, &[])).await;
    may_do_everything(&hub).await;
    let maps = "/api/v1/namespaces/failing/configmaps";
    same_as_cloud(&hub, maps, JSON).await;
    hub.cut().await;
    *front.spoiled.lock().unwrap() = Spoiled::Lists;
    *front.floor.lock().unwrap() = u64::MAX;
    front.listed();
    hub.join().await;
    let instants = wait_for("lists that fail", SOON, async || {
        let lists = front.lists.lock().unwrap();
        let instants: Vec<Instant> = lists.iter().map(|list| list.0).collect();
        if instants.len() >= 4 {
            Ok(instants)
        } else {
            Err(instants.len())
        }
    })
    .await;
    let shortest = Duration::from_millis(240);
    let waits: Vec<_> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| *wait >= shortest), "{waits:?}");
}
