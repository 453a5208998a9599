//! Whatever else stands in an object, a filter changes its values and nothing else: trees with random fields
//! around the known ones are changed here in an independent way, and must encode to the same bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use yurthub_filter::{Encoding, Filtered, Filters, Place, Server, Settings};

const HOST: &str = "169.254.2.1";
const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const OLD_CA: &str = "-----BEGIN CERTIFICATE-----\nMIIA\n-----END CERTIFICATE-----\n";

fn filters() -> Filters {
    let server = Some(Server {
        host: HOST.parse().unwrap(),
        port: 10268,
    });
    Filters::new(&Settings {
        trust_bundle: Some(CA.to_owned()),
        kubernetes_service: server,
        service_env: server,
        kube_proxy_config: server,
    })
    .unwrap()
}

fn apply(resource: &str, encoding: Encoding, item: &[u8]) -> Bytes {
    let item = Bytes::copy_from_slice(item);
    match filters()
        .apply(&Place::all("", resource), encoding, &item)
        .unwrap()
    {
        Filtered::Keep => item,
        Filtered::Changed { item, .. } => item,
    }
}

/// A protobuf message, encoded by another hand than the crate's.
#[derive(Debug, Clone)]
enum Node {
    Number(u64),
    Bytes(Vec<u8>),
    Message(Vec<(u32, Self)>),
}

type Fields = Vec<(u32, Node)>;

/// Fields before and after.
type Pair = (Fields, Fields);

fn text(text: &str) -> Node {
    Node::Bytes(text.as_bytes().to_vec())
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = u8::try_from(number % 128).unwrap();
        number /= 128;
        if number == 0 {
            out.push(low);
            return out;
        }
        out.push(low + 128);
    }
}

fn encode(fields: &[(u32, Node)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, node) in fields {
        let (wire_type, payload) = match node {
            Node::Number(number) => (0, varint(*number)),
            Node::Bytes(bytes) => (2, bytes.clone()),
            Node::Message(fields) => (2, encode(fields)),
        };
        out.extend(varint(u64::from(*number) * 8 + wire_type));
        if wire_type == 2 {
            out.extend(varint(payload.len() as u64));
        }
        out.extend(payload);
    }
    out
}

/// Fields that no Kubernetes has yet, around those given, in any order.
fn among_unknown(known: Fields) -> impl Strategy<Value = Fields> {
    let payload = prop_oneof![
        any::<u64>().prop_map(Node::Number),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Node::Bytes),
    ];
    prop::collection::vec((200_u32..5000, payload), 0..4).prop_flat_map(move |unknown| {
        let all: Vec<_> = known.iter().cloned().chain(unknown).collect();
        Just(all).prop_shuffle()
    })
}

fn message(known: Fields) -> impl Strategy<Value = Node> {
    among_unknown(known).prop_map(Node::Message)
}

/// An environment variable before and after: a plain one of the two, and one of another name.
fn variables() -> impl Strategy<Value = Pair> {
    let known = |name: &str, value: &str| vec![(1, text(name)), (2, text(value))];
    let names = [
        ("KUBERNETES_SERVICE_HOST", HOST),
        ("KUBERNETES_SERVICE_PORT", "10268"),
        ("OTHER", "old"),
    ];
    prop::collection::vec((prop::sample::select(names.to_vec()), "[a-z0-9.]{1,200}"), 0..5).prop_map(
        move |variables| {
            let of = |after: bool| {
                let variables = variables.iter().map(|((name, new), old)| {
                    let value = if after && *name != "OTHER" {
                        new
                    } else {
                        old.as_str()
                    };
                    (7, Node::Message(known(name, value)))
                });
                variables.collect()
            };
            (of(false), of(true))
        },
    )
}

/// The same random fields around two versions of the known ones: the second is put in place of the first.
fn both(known: Pair) -> impl Strategy<Value = Pair> {
    let (before, after) = known;
    let marks = (0..before.len())
        .map(|index| (1, Node::Number(index as u64)))
        .collect();
    among_unknown(marks).prop_map(move |all| {
        let fill = |with: &[(u32, Node)]| {
            let filled = all.iter().map(|(number, node)| match (number, node) {
                (1, Node::Number(index)) => with[usize::try_from(*index).unwrap()].clone(),
                _ => (*number, node.clone()),
            });
            filled.collect()
        };
        (fill(&before), fill(&after))
    })
}

/// Both versions as field `number` of an outer message.
fn within(number: u32, (before, after): Pair) -> Pair {
    (
        vec![(number, Node::Message(before))],
        vec![(number, Node::Message(after))],
    )
}

fn pods() -> impl Strategy<Value = Pair> {
    let container = variables().prop_flat_map(both);
    let containers = prop::collection::vec((prop::sample::select(vec![2_u32, 20, 34]), container), 0..4);
    let spec = containers.prop_flat_map(|containers| {
        let mut spec = (Vec::new(), Vec::new());
        for (number, container) in containers {
            let inner = if number == 34 {
                within(1, container)
            } else {
                container
            };
            let (before, after) = within(number, inner);
            spec.0.extend(before);
            spec.1.extend(after);
        }
        both(spec)
    });
    spec.prop_flat_map(|spec| both(within(2, spec)))
}

fn services() -> impl Strategy<Value = Pair> {
    let ports = message(vec![(1, text("https")), (3, Node::Number(443))]);
    ports.prop_flat_map(|port| {
        let Node::Message(before) = port else {
            unreachable!()
        };
        let after = before
            .iter()
            .map(|(number, node)| match number {
                3 => (3, Node::Number(10268)),
                _ => (*number, node.clone()),
            })
            .collect();
        let other = Node::Message(vec![(1, text("other")), (3, Node::Number(443))]);
        let spec = |port, host: &str| {
            let address = |number| (number, text(host));
            let spec = vec![
                (1, other.clone()),
                (1, Node::Message(port)),
                address(3),
                address(18),
                (19, text("IPv4")),
            ];
            spec
        };
        both((spec(before, "10.96.0.1"), spec(after, HOST))).prop_flat_map(|spec| {
            let name = vec![(1, text("kubernetes")), (3, text("default"))];
            message(name).prop_flat_map(move |meta| {
                let (before, after) = within(2, spec.clone());
                let with = |mut fields: Fields| {
                    fields.push((1, meta.clone()));
                    fields
                };
                both((with(before), with(after)))
            })
        })
    })
}

fn config_maps() -> impl Strategy<Value = Pair> {
    message(vec![(1, text("kube-root-ca.crt"))]).prop_flat_map(|meta| {
        let entry = |value: &str| {
            both((
                vec![(1, text("ca.crt")), (2, text(value))],
                vec![(1, text("ca.crt")), (2, text(&format!("{OLD_CA}{CA}")))],
            ))
        };
        entry(OLD_CA).prop_flat_map(move |entry| {
            let (before, after) = within(2, entry);
            let with = |mut fields: Fields| {
                fields.push((1, meta.clone()));
                fields.push((2, Node::Message(vec![(1, text("other")), (2, text(OLD_CA))])));
                fields
            };
            both((with(before), with(after)))
        })
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[A-Z]{1,4}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A pod whose variables hold `OLDHOST` and `OLDPORT`, with unknown members on each level.
fn json_pod(unknown: &[Value; 5]) -> Value {
    let [first, second, third, fourth, fifth] = unknown;
    let env = json!([
        {"name": "KUBERNETES_SERVICE_HOST", "A": first, "value": "OLDHOST", "z": second},
        {"B": second, "name": "X", "value": third},
        {"name": "KUBERNETES_SERVICE_PORT", "value": "OLDPORT", "valueFrom": null, "z": fourth},
    ]);
    json!({
        "A": first, "metadata": {"name": "x", "annotations": {"z": "OLD"}, "z": fifth}, "status": second,
        "spec": {
            "A": third, "containers": [{"A": fourth, "env": env, "z": fifth}, {"env": null}, {"z": first}],
            "initContainers": [{"env": env}], "ephemeralContainers": [{"env": env, "z": second}], "z": fifth,
        },
        "z": [first, second, third],
    })
}

proptest! {
    #[test]
    fn protobuf_changes_in_place(
        pod in pods(), service in services(), config_map in config_maps(),
    ) {
        for (resource, (before, after)) in [("pods", pod), ("services", service), ("configmaps", config_map)] {
            let got = apply(resource, Encoding::Protobuf, &encode(&before));
            prop_assert_eq!(&got[..], &encode(&after)[..], "{}", resource);
            prop_assert_eq!(&apply(resource, Encoding::Protobuf, &got), &got);
        }
    }

    #[test]
    fn json_changes_in_place(unknown in prop::array::uniform5(any_json()), pretty: bool) {
        let pod = json_pod(&unknown);
        let before = if pretty { serde_json::to_string_pretty(&pod) } else { serde_json::to_string(&pod) }.unwrap();
        let after = before
            .replace("\"OLDHOST\"", &format!("\"{HOST}\""))
            .replace("\"OLDPORT\"", "\"10268\"");
        let got = apply("pods", Encoding::Json, before.as_bytes());
        prop_assert_eq!(std::str::from_utf8(&got).unwrap(), &after);
        prop_assert_eq!(&apply("pods", Encoding::Json, &got), &got);
    }

    #[test]
    fn arbitrary_bytes_give_an_answer_or_an_error(bytes: Vec<u8>, text: String, json: bool) {
        let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
        for resource in ["services", "pods", "configmaps"] {
            for item in [bytes.clone(), text.clone().into_bytes()] {
                let _ = filters().apply(&Place::all("", resource), encoding, &item.into());
            }
        }
    }
}

/// A pod that sets both variables plainly, and what decides on it.
#[test]
fn a_pod_is_left_alone_for_a_reason() {
    let host = json!({"name": "KUBERNETES_SERVICE_HOST", "value": "a"});
    let port = json!({"name": "KUBERNETES_SERVICE_PORT", "value": "1"});
    let from =
        |variable: &str| json!({"name": variable, "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}});
    let source = |source: &str| json!({"kubernetes.io/config.source": source});
    let (env, none) = (json!([host, port]), json!({}));
    for (annotations, env, changed) in [
        (none.clone(), env.clone(), true),
        (Value::Null, env.clone(), true),
        (source("api"), env.clone(), true),
        (source("file"), env.clone(), false),
        (source("http"), env.clone(), false),
        (json!({"kubernetes.io/config.mirror": ""}), env.clone(), false),
        (json!({"kubernetes.io/config.hash": "x"}), env, true),
        (none.clone(), json!([host]), true),
        (none.clone(), json!([port]), true),
        (none.clone(), json!([host, host, port]), true),
        (
            none.clone(),
            json!([from("KUBERNETES_SERVICE_HOST"), port]),
            false,
        ),
        (
            none.clone(),
            json!([port, from("KUBERNETES_SERVICE_HOST")]),
            false,
        ),
        (
            none.clone(),
            json!([host, from("KUBERNETES_SERVICE_PORT")]),
            false,
        ),
        (
            none.clone(),
            json!([host, {"name": "KUBERNETES_SERVICE_PORT", "value": ""}]),
            false,
        ),
        (
            none.clone(),
            json!([host, {"name": "KUBERNETES_SERVICE_PORT"}]),
            false,
        ),
        (none.clone(), json!([host, from("OTHER")]), true),
        (none, json!([]), false),
    ] {
        let pod = json!({"metadata": {"name": "x", "annotations": annotations}, "spec": {"containers": [{"env": env}]}});
        let before = serde_json::to_vec(&pod).unwrap();
        let after = apply("pods", Encoding::Json, &before);
        assert_eq!(after != before, changed, "{pod}");
    }
}

/// Address and port change together or not at all.
#[test]
fn a_service_without_an_address_or_the_apis_port_is_left_alone() {
    let port = |name: &str| {
        (
            json!({"name": name, "port": 443}),
            vec![(1, text(name)), (3, Node::Number(443))],
        )
    };
    for (address, ports, changed) in [
        (Some("10.96.0.1"), vec!["https"], true),
        (Some("10.96.0.1"), vec!["other", "https"], true),
        (Some("10.96.0.1"), vec!["other"], false),
        (Some("10.96.0.1"), vec![], false),
        (Some("None"), vec!["https"], false),
        (Some(""), vec!["https"], false),
        (None, vec!["https"], false),
    ] {
        let (json_ports, pb_ports): (Vec<_>, Vec<_>) = ports.into_iter().map(port).unzip();
        let json = json!({
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": address, "ports": json_ports},
        });
        let meta = vec![(1, text("kubernetes")), (3, text("default"))];
        let mut spec: Fields = pb_ports
            .into_iter()
            .map(|port| (1, Node::Message(port)))
            .collect();
        spec.extend(address.map(|address| (3, text(address))));
        let protobuf = encode(&[(1, Node::Message(meta)), (2, Node::Message(spec))]);
        for (encoding, before) in [
            (Encoding::Json, serde_json::to_vec(&json).unwrap()),
            (Encoding::Protobuf, protobuf),
        ] {
            let after = apply("services", encoding, &before);
            assert_eq!(after != before, changed, "{encoding:?} {json}");
        }
    }
}
