//! Pods: what the rules need of one, from its stored form.

use std::net::IpAddr;

use yurthub_object::{Encoding, Malformed, Reason, json, meta, wire};

use crate::{numbers::pod, reality::LocalPod};

/// The conditions that decide.
#[derive(Default)]
struct Conditions {
    ready: Option<bool>,
    containers_ready: Option<bool>,
}

impl Conditions {
    /// Takes one in; of several of a type the first counts.
    fn add(&mut self, kind: &str, status: &str) {
        let place = match kind {
            "Ready" => &mut self.ready,
            "ContainersReady" => &mut self.containers_ready,
            _ => return,
        };
        place.get_or_insert(status == "True");
    }

    /// Whether the pod is ready by its kubelet's word. `gated`: it has readiness gates.
    fn ready(&self, gated: bool) -> bool {
        match (self.ready, self.containers_ready) {
            (Some(false), Some(true)) => !gated, // the cloud's word on a silent node
            (ready, _) => ready.unwrap_or(false),
        }
    }
}

impl LocalPod {
    /// Reads a pod in its stored form, with the status that this node's kubelet last reported.
    ///
    /// `reported`: whether that report is of this boot. An address that cannot be parsed is left out.
    pub fn read(encoding: Encoding, item: &[u8], reported: bool) -> Result<Self, Malformed> {
        let deleting = meta::read(encoding, item)?.deleting;
        let read = match encoding {
            Encoding::Json => read_json(item),
            Encoding::Protobuf => read_protobuf(item),
        };
        let read = read.map_err(|reason| reason.reading("Pod"))?;
        Ok(Self {
            deleting,
            reported,
            ..read
        })
    }

    fn add_ip(&mut self, text: &str) {
        self.ips.extend(text.parse::<IpAddr>());
    }
}

fn is_terminal(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

fn read_json(item: &[u8]) -> Result<LocalPod, Reason> {
    let null: &[u8] = b"null";
    let mut read = LocalPod {
        host_network: json::find(item, &["spec", "hostNetwork"])? == Some(b"true"),
        ..LocalPod::default()
    };
    let status = json::find(item, &["status"])?.unwrap_or(null);
    let value = |raw, name| Ok::<_, Reason>(json::find(raw, &[name])?.unwrap_or(null));
    read.terminal = is_terminal(&json::string(value(status, "phase")?)?);
    let ips = value(status, "podIPs")?;
    let mut elements = json::Elements::at(ips, 0)?;
    while let Some(range) = elements.next()? {
        let element = ips.get(range).ok_or(Reason::Truncated)?;
        read.add_ip(&json::string(value(element, "ip")?)?);
    }
    if read.ips.is_empty() {
        read.add_ip(&json::string(value(status, "podIP")?)?);
    }
    let conditions = value(status, "conditions")?;
    let mut found = Conditions::default();
    let mut elements = json::Elements::at(conditions, 0)?;
    while let Some(range) = elements.next()? {
        let condition = conditions.get(range).ok_or(Reason::Truncated)?;
        let (kind, status) = (value(condition, "type")?, value(condition, "status")?);
        found.add(&json::string(kind)?, &json::string(status)?);
    }
    let gates = json::find(item, &["spec", "readinessGates"])?.unwrap_or(null);
    read.ready = found.ready(json::Elements::at(gates, 0)?.next()?.is_some());
    Ok(read)
}

fn read_protobuf(item: &[u8]) -> Result<LocalPod, Reason> {
    let mut read = LocalPod {
        host_network: wire::varint(item, &pod::HOST_NETWORK)? != 0,
        ..LocalPod::default()
    };
    let mut found = Conditions::default();
    let mut pod_ip = "";
    for field in wire::fields(wire::message(item, &[pod::STATUS])?) {
        let wire::Field { number, value, .. } = field?;
        match number {
            pod::PHASE => read.terminal = is_terminal(value.text()?),
            pod::POD_IP => pod_ip = value.text()?,
            pod::POD_IPS => read.add_ip(wire::text(value.bytes()?, &[pod::IP])?),
            pod::CONDITIONS => {
                let condition = value.bytes()?;
                let kind = wire::text(condition, &[pod::CONDITION_TYPE])?;
                found.add(kind, wire::text(condition, &[pod::CONDITION_STATUS])?);
            }
            _ => {}
        }
    }
    if read.ips.is_empty() {
        read.add_ip(pod_ip);
    }
    read.ready = found.ready(wire::find(item, &pod::READINESS_GATES)?.is_some());
    Ok(read)
}

#[cfg(test)]
mod tests {
    use yurthub_object::wire::{put_bytes, put_number};

    use super::*;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, payload) in fields {
            put_bytes(&mut out, *number, payload);
        }
        out
    }

    #[test]
    fn both_encodings_say_the_same() {
        let json = br#"{"metadata":{"name":"a","deletionTimestamp":"2026-01-01T00:00:00Z"},
            "spec":{"hostNetwork":true},"status":{"phase":"Failed","conditions":[
            {"type":"Initialized","status":"False"},{"type":"Ready","status":"True"}],
            "podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"},{"ip":"x"}]}}"#;
        let mut spec = Vec::new();
        put_number(&mut spec, 11, 1);
        let status = message(&[
            (1, b"Failed"),
            (2, &message(&[(1, b"Initialized"), (2, b"False")])),
            (2, &message(&[(1, b"Ready"), (2, b"True")])),
            (6, b"10.0.0.1"),
            (12, &message(&[(1, b"10.0.0.1")])),
            (12, &message(&[(1, b"fd00::1")])),
            (12, &message(&[(1, b"x")])),
        ]);
        let meta = message(&[(1, b"a"), (9, b"\x08\x01")]);
        let protobuf = message(&[(1, &meta), (2, &spec), (3, &status)]);
        let want = LocalPod {
            ips: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            host_network: true,
            ready: true,
            deleting: true,
            terminal: true,
            reported: true,
        };
        assert_eq!(LocalPod::read(Encoding::Json, json, true), Ok(want.clone()));
        assert_eq!(LocalPod::read(Encoding::Protobuf, &protobuf, true), Ok(want));
    }

    #[test]
    fn the_clouds_word_on_a_silent_node_is_not_the_kubelets() {
        for (ready, containers, gates, expected) in [
            ("True", "True", false, true),
            ("False", "False", false, false),
            ("False", "True", false, true),
            ("False", "True", true, false),
            ("True", "True", true, true),
            ("Unknown", "True", false, true),
            ("", "True", false, false),
        ] {
            let gate = if gates { r#"[{"conditionType":"g"}]"# } else { "[]" };
            let json = format!(
                r#"{{"metadata":{{}},"spec":{{"readinessGates":{gate}}},"status":{{"conditions":[
                {{"type":"{}","status":"{ready}"}},{{"type":"ContainersReady","status":"{containers}"}}]}}}}"#,
                if ready.is_empty() { "Other" } else { "Ready" },
            );
            let kind: &[u8] = if ready.is_empty() { b"Other" } else { b"Ready" };
            let status = message(&[
                (2, &message(&[(1, kind), (2, ready.as_bytes())])),
                (
                    2,
                    &message(&[(1, b"ContainersReady"), (2, containers.as_bytes())]),
                ),
            ]);
            let gate = message(&[(28, &message(&[(1, b"g")]))]);
            let spec: &[u8] = if gates { &gate } else { &[] };
            let protobuf = message(&[(1, b""), (2, spec), (3, &status)]);
            for (encoding, item) in [
                (Encoding::Json, json.as_bytes()),
                (Encoding::Protobuf, protobuf.as_slice()),
            ] {
                let read = LocalPod::read(encoding, item, true).unwrap();
                assert_eq!(read.ready, expected, "{encoding:?} {json}");
            }
        }
    }

    #[test]
    fn a_pod_without_a_status_is_neither_ready_nor_addressed() {
        let meta = message(&[(1, b"a")]);
        for (encoding, item) in [
            (
                Encoding::Json,
                br#"{"metadata":{"name":"a"},"status":{}}"#.to_vec(),
            ),
            (Encoding::Protobuf, message(&[(1, &meta)])),
        ] {
            let read = LocalPod::read(encoding, &item, false);
            assert_eq!(read, Ok(LocalPod::default()), "{encoding:?}");
        }
        let only_one = br#"{"metadata":{},"status":{"podIP":"10.0.0.1"}}"#;
        let read = LocalPod::read(Encoding::Json, only_one, false).unwrap();
        assert_eq!(read.ips, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        let broken = LocalPod::read(Encoding::Json, br#"{"metadata":{},"status":[]}"#, false);
        assert_eq!(broken, Err(Reason::WrongType.reading("Pod")));
    }
}
