//! Cells of Services and `EndpointSlices` (`printService`, `printEndpointSlice`).

use serde_json::Value;

use super::{AGE, Column, NAME, list, narrow, number, or_none, text, wide};

pub(super) const SERVICE: [Column; 7] = [
    NAME,
    narrow("Type"),
    narrow("Cluster-IP"),
    narrow("External-IP"),
    narrow("Port(s)"),
    AGE,
    wide("Selector"),
];

pub(super) const SLICE: [Column; 5] = [
    NAME,
    narrow("AddressType"),
    narrow("Ports"),
    narrow("Endpoints"),
    AGE,
];

/// Endpoints and ports that a cell names; the number of the others follows.
const NAMED: usize = 3;

pub(super) fn service(service: &Value, name: String, age: String) -> Vec<String> {
    let ports: Vec<_> = list(service, "/spec/ports").iter().map(port).collect();
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let selector: Vec<_> = selector
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    vec![
        name,
        text(service, "/spec/type").to_owned(),
        or_none(text(service, "/spec/clusterIP")),
        or_none(&external(service).join(",")),
        or_none(&ports.join(",")),
        age,
        or_none(&selector.join(",")),
    ]
}

fn external(service: &Value) -> Vec<&str> {
    if text(service, "/spec/type") == "ExternalName" {
        return vec![text(service, "/spec/externalName")];
    }
    let balanced = list(service, "/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| match text(ingress, "/ip") {
            "" => text(ingress, "/hostname"),
            ip => ip,
        });
    let named = list(service, "/spec/externalIPs")
        .iter()
        .filter_map(Value::as_str);
    balanced.chain(named).collect()
}

fn port(port: &Value) -> String {
    let (number_here, protocol) = (number(port, "/port"), text(port, "/protocol"));
    match number(port, "/nodePort") {
        0 => format!("{number_here}/{protocol}"),
        node_port => format!("{number_here}:{node_port}/{protocol}"),
    }
}

pub(super) fn slice(slice: &Value, name: String, age: String) -> Vec<String> {
    let ports = list(slice, "/ports")
        .iter()
        .map(|port| match number(port, "/port") {
            0 => "*".to_owned(),
            number => number.to_string(),
        });
    let addresses = list(slice, "/endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned);
    vec![
        name,
        text(slice, "/addressType").to_owned(),
        some(ports.collect()),
        some(addresses.collect()),
        age,
    ]
}

fn some(mut names: Vec<String>) -> String {
    if names.is_empty() {
        return "<unset>".to_owned();
    }
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let named = names.join(",");
    if more == 0 {
        named
    } else {
        format!("{named} + {more} more...")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_and_slices_are_shown_as_by_kubectl() {
        let one = json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "externalIPs": ["1.2.3.4"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
            "selector": {"app": "web"}}});
        assert_eq!(
            service(&one, "web".into(), "1s".into()),
            [
                "web",
                "NodePort",
                "10.0.0.1",
                "1.2.3.4",
                "80:30080/TCP,53/UDP",
                "1s",
                "app=web"
            ]
        );
        let one = json!({"addressType": "IPv4", "ports": [{"port": 80}],
            "endpoints": [{"addresses": ["10.1.0.1"]}, {"addresses": ["10.1.0.2"]}, {"addresses": ["10.1.0.3"]},
                {"addresses": ["10.1.0.4"]}]});
        assert_eq!(
            slice(&one, "web-x".into(), "1s".into()),
            [
                "web-x",
                "IPv4",
                "80",
                "10.1.0.1,10.1.0.2,10.1.0.3 + 1 more...",
                "1s"
            ]
        );
    }
}
