//! What a kubelet may read is the same bytes from yurthub as from the apiserver, on a real node.
//!
//! The component tests compare far more kinds of requests; here are the kubelet's own resources, its authorizer and its
//! certificate.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::hub::twice::{self, Question, Reply};
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Namespace, Node, hub, pod};
use serde_json::{Value, json};
use yurt_testkit::parity::Answer;

use crate::setup::{POD_DEADLINE, alone};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const FORMS: [&str; 6] = [
    JSON,
    PROTOBUF,
    "application/vnd.kubernetes.protobuf,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    "application/yaml",
];
const SERVICES: &str = "/api/v1/services?";
/// Objects change, and the mirror is a moment behind: what differs is asked again this often.
const ROUNDS: usize = 8;

/// What a kubelet lists and watches, with the selectors that its authorizer insists on, and objects that it gets.
struct Readable {
    lists: Vec<String>,
    objects: Vec<String>,
}

impl Readable {
    fn of(node: &Node, namespace: &Namespace) -> Self {
        let (node, namespace) = (node.name(), namespace.name());
        let of_namespace = format!("/api/v1/namespaces/{namespace}");
        let lists = vec![
            SERVICES.to_owned(),
            format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"),
            format!("/api/v1/nodes?fieldSelector=metadata.name%3D{node}"),
            "/apis/node.k8s.io/v1/runtimeclasses?".to_owned(),
            "/apis/storage.k8s.io/v1/csidrivers?".to_owned(),
            format!("{of_namespace}/secrets?fieldSelector=metadata.name%3Dkeys"),
            format!("{of_namespace}/configmaps?fieldSelector=metadata.name%3Dconf"),
        ];
        let objects = vec![
            format!("/api/v1/nodes/{node}"),
            format!("{of_namespace}/pods/reader"),
            format!("{of_namespace}/pods/none"),
            format!("{of_namespace}/secrets/keys"),
            format!("{of_namespace}/secrets/none"),
            format!("{of_namespace}/configmaps/conf"),
            format!("/apis/storage.k8s.io/v1/csinodes/{node}"),
            "/api/v1/nodes/cloud1".to_owned(),
        ];
        Self { lists, objects }
    }
}

/// A version that nothing has reached.
fn future(version: u64) -> u64 {
    version + 1_000_000
}

fn lists_and_gets(readable: &Readable, version: u64) -> Vec<Question> {
    let of_list = [
        String::new(),
        "&resourceVersion=0".into(),
        "&resourceVersion=0&limit=1".into(),
        format!("&resourceVersion={version}"),
        format!("&resourceVersion={version}&resourceVersionMatch=NotOlderThan"),
        format!("&resourceVersion={version}&resourceVersionMatch=Exact"),
        format!("&resourceVersion={version}&resourceVersionMatch=Exact&limit=1"),
        "&labelSelector=app%3Dreader&resourceVersion=0".into(),
        "&labelSelector=app+notin+(reader),!none".into(),
        "&labelSelector=a%3D%3D%3Db".into(),
        "&resourceVersionMatch=Exact".into(),
        "&fieldSelector=spec.nodeName%3Dcloud1".into(),
    ];
    let of_object = ["", "?resourceVersion=0", "?resourceVersion=x"];
    let lists = readable
        .lists
        .iter()
        .flat_map(|path| of_list.iter().map(move |query| format!("{path}{query}")));
    let objects = readable
        .objects
        .iter()
        .flat_map(|path| of_object.iter().map(move |query| format!("{path}{query}")));
    let paths: Vec<String> = lists.chain(objects).collect();
    let questions = FORMS.iter().flat_map(|accept| {
        paths.iter().map(|path| Question {
            path: path.clone(),
            accept,
        })
    });
    questions.collect()
}

fn watches(readable: &Readable, (before, now): (u64, u64)) -> Vec<Question> {
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let queries = [
        String::new(),
        "resourceVersion=0".into(),
        format!("resourceVersion={before}"),
        format!("resourceVersion={before}&allowWatchBookmarks=true"),
        format!("resourceVersion={now}"),
        format!("resourceVersion={}", future(now)),
        initial.into(),
        format!("{initial}&resourceVersion=0"),
        format!("{initial}&resourceVersion={before}"),
        "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0".into(),
        "sendInitialEvents=true".into(),
    ];
    let forms = [JSON, PROTOBUF];
    let paths = readable.lists.iter().flat_map(|path| {
        queries
            .iter()
            .map(move |query| format!("{path}&watch=true&timeoutSeconds=1&{query}"))
    });
    let paths: Vec<String> = paths.collect();
    let questions = forms.iter().flat_map(|accept| {
        paths.iter().map(|path| Question {
            path: path.clone(),
            accept,
        })
    });
    questions.collect()
}

fn comparable(question: &Question, reply: Reply) -> Answer {
    let Reply {
        status,
        content_type,
        body,
    } = reply;
    if question.path.contains("watch=true") {
        Answer::watch(status, &content_type, &body.into())
    } else {
        Answer::whole(status, &content_type, &body.into())
    }
}

/// Asks until all answers are the same. Returns how many were compared.
fn assert_same(node: &Node, questions: Vec<Question>) -> Result<usize> {
    let count = questions.len();
    let mut differing = questions;
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        seen.clear();
        let replies = match twice::ask(node, &differing) {
            Ok(replies) => replies,
            Err(error) => {
                seen.push(format!("{error:#}")); // a connection broke
                continue;
            }
        };
        let mut again = Vec::new();
        for (question, [cloud, hub]) in differing.into_iter().zip(replies) {
            let [cloud, hub] = [cloud, hub].map(|reply| comparable(&question, reply));
            if cloud != hub {
                seen.push(format!("{question:?}\n  cloud {cloud:?}\n  hub   {hub:?}"));
                again.push(question);
            }
        }
        if again.is_empty() {
            return Ok(count);
        }
        differing = again;
    }
    anyhow::bail!("{} of {count} answers differ:\n{}", seen.len(), seen.join("\n"))
}

/// Pages of the cloud's own services at one version: the token of each is in the answer to the one before.
fn pages(node: &Node, version: u64) -> Result<usize> {
    let mut token = String::new();
    for count in 1.. {
        let start = if token.is_empty() {
            format!("resourceVersion={version}&resourceVersionMatch=Exact")
        } else {
            format!("continue={token}")
        };
        let questions = [JSON, PROTOBUF].map(|accept| Question {
            path: format!("{SERVICES}&limit=1&{start}"),
            accept,
        });
        let replies = twice::ask(node, &questions)?;
        for [cloud, hub] in &replies {
            ensure!(
                cloud.status == 200 && cloud.body == hub.body,
                "page {count} differs: {cloud:?}\n{hub:?}"
            );
        }
        let page: Value = serde_json::from_slice(&replies[0][0].body).context("parse a page")?;
        match page["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut token),
            _ => return Ok(count),
        }
    }
    Ok(0)
}

/// A list of the future is refused by both; each says where it stands itself.
fn future_list(node: &Node, version: u64) -> Result<()> {
    let questions = [JSON, PROTOBUF].map(|accept| Question {
        path: format!("{SERVICES}&resourceVersion={}", future(version)),
        accept,
    });
    for [cloud, hub] in twice::ask(node, &questions)? {
        for reply in [&cloud, &hub] {
            let body = String::from_utf8_lossy(&reply.body);
            ensure!(
                reply.status == 504 && body.contains("ResourceVersionTooLarge"),
                "{} {body}",
                reply.status
            );
        }
        ensure!(cloud.content_type == hub.content_type, "{cloud:?}\n{hub:?}");
    }
    Ok(())
}

fn version(node: &Node) -> Result<u64> {
    let question = Question {
        path: format!("{SERVICES}&limit=1"),
        accept: JSON,
    };
    let [[cloud, _]] = <[_; 1]>::try_from(twice::ask(node, &[question])?)
        .ok()
        .context("one answer")?;
    let list: Value = serde_json::from_slice(&cloud.body).context("parse the services")?;
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .context("a list without version")?;
    version.parse().context("parse a version")
}

/// A pod that reads a Secret and a `ConfigMap`, so that its kubelet may.
fn create(namespace: &Namespace, node: &Node) -> Result<()> {
    let mut reader = pod("reader").on(node.name()).to_json();
    reader["spec"]["volumes"] = json!([
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "keys", "secret": {"secretName": "keys"}},
    ]);
    let keys = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "<&>\u{2028}"}});
    let conf = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"greeting": "hello"}});
    namespace.apply_yaml(&format!("{keys}\n---\n{conf}\n---\n{reader}"))?;
    namespace.wait_ready("reader", POD_DEADLINE)
}

/// Something new, something changed, something gone.
fn change(cluster: &Cluster, namespace: &Namespace) -> Result<()> {
    let class = format!("parity-{}", namespace.name());
    let handler = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": class}, "handler": "runc"});
    cluster.apply_yaml(&handler.to_string())?;
    namespace.kubectl(["create", "service", "clusterip", "reader", "--tcp=80:8080"])?;
    namespace.kubectl(["create", "service", "clusterip", "short", "--tcp=80:8080"])?;
    namespace.kubectl([
        "patch",
        "configmap",
        "conf",
        "-p",
        r#"{"data":{"greeting":"good day"}}"#,
    ])?;
    namespace.kubectl([
        "patch",
        "secret",
        "keys",
        "-p",
        r#"{"stringData":{"password":"other"}}"#,
    ])?;
    namespace.kubectl(["annotate", "pod", "reader", "parity=yes"])?;
    namespace.kubectl(["delete", "service", "short"])?;
    cluster.kubectl(["delete", "runtimeclass", &class])?;
    Ok(())
}

/// The kubelet is meant to see some objects otherwise than the cloud sent them: not here. A mirror that showed them so
/// before would tell of it once more, under versions of its own.
fn show_everything_as_it_is(node: &BrokenNode) -> Result<()> {
    node.exec_ok(["systemctl", "stop", "yurthub"])?;
    node.exec_ok(["rm", "-rf", "/var/lib/yurthub/store"])?;
    hub::reconfigure(node, "filters: []")?;
    hub::wait_mirrored(node)
}

#[test]
fn what_a_kubelet_reads_is_the_same_bytes_from_both() -> Result<()> {
    let (cluster, node) = alone()?;
    show_everything_as_it_is(&node)?;
    let namespace = cluster.namespace("parity")?;
    create(&namespace, &node)?;
    let start = Instant::now();
    let readable = Readable::of(&node, &namespace);
    // The hub's memory of events begins with its first list of each in either encoding.
    let first = readable.lists.iter().flat_map(|path| {
        [JSON, PROTOBUF].map(|accept| Question {
            path: format!("{path}&resourceVersion=0"),
            accept,
        })
    });
    assert_same(&node, first.collect())?;
    let before = version(&node)?;
    change(&cluster, &namespace)?;
    let now = version(&node)?;
    let reads = assert_same(&node, lists_and_gets(&readable, now))?;
    let streams = assert_same(&node, watches(&readable, (before, now)))?;
    let pages = pages(&node, now)?;
    future_list(&node, now)?;
    say(format_args!(
        "hub parity: {reads} lists and gets, {streams} watches, {pages} pages the same bytes from yurthub and from the apiserver, in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}
