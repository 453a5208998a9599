//! Shows Service `default/kubernetes` with yurthub's address and port.
//!
//! The kubelet makes `KUBERNETES_SERVICE_HOST` of its `clusterIP` and `KUBERNETES_SERVICE_PORT` of its first
//! port (`k8s.io/kubernetes/pkg/kubelet/envvars/envvars.go`), for each container that it starts; running ones
//! keep what they were born with. Address and port change together or not at all: without a port `https`, or
//! without an address, the Service is not the apiserver's own and stays.
//!
//! The Service becomes one of a single family, that of yurthub's address: `clusterIPs` and `ipFamilies` keep
//! one entry, and `RequireDualStack` becomes `SingleStack`, so that the object stays valid by the rules of
//! `k8s.io/kubernetes/pkg/apis/core/validation`. Of two addresses the first is replaced and the second left
//! out: what pods are given is the first.

use std::net::IpAddr;

use yurthub_object::{
    Encoding, Reason,
    edit::NewValue,
    json,
    number::{service, service_port, service_spec},
    rewrite::{self, Draft, Rewritten},
    wire,
};

use crate::{FilterName, ObjectFilter, Place, Server, filter::is_named};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
/// `k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice/controller.go`
const PORT_NAME: &str = "https";
const REQUIRE_DUAL_STACK: &str = "RequireDualStack";
const SINGLE_STACK: &str = "SingleStack";
/// Grows when the code gives another answer than before.
const RULES: u32 = 1;

/// The filter.
#[derive(Debug)]
pub struct KubernetesService {
    host: String,
    family: &'static str,
    port: u16,
}

impl KubernetesService {
    /// Shows this address and port.
    pub fn new(server: Server) -> Self {
        Self {
            host: server.host.to_string(),
            family: match server.host {
                IpAddr::V4(_) => "IPv4",
                IpAddr::V6(_) => "IPv6",
            },
            port: server.port,
        }
    }

    fn spec_json(&self, spec: &[u8]) -> Rewritten {
        let address = json::string(json::find(spec, &["clusterIP"])?.unwrap_or(b"null"))?;
        if !is_address(&address) || !has_api_port_json(spec)? {
            return Ok(None);
        }
        let single_stack = |raw: &[u8]| match json::string(raw)?.as_ref() {
            REQUIRE_DUAL_STACK => rewrite::string(raw, SINGLE_STACK),
            _ => Ok(None),
        };
        let port = self.port.to_string();
        let port_json = |raw: &[u8]| Ok((raw != port.as_bytes()).then(|| port.clone().into_bytes()));
        let ports = |ports: &[u8]| {
            rewrite::elements(ports, |element| {
                if is_api_port_json(element)? {
                    rewrite::member(element, "port", port_json)
                } else {
                    Ok(None)
                }
            })
        };
        let draft = Draft::new(spec)
            .then(|spec| rewrite::member(spec, "clusterIP", |raw| rewrite::string(raw, &self.host)))?
            .then(|spec| rewrite::member(spec, "clusterIPs", |raw| only_text(raw, &self.host)))?
            .then(|spec| rewrite::member(spec, "ipFamilies", |raw| only_text(raw, self.family)))?
            .then(|spec| rewrite::member(spec, "ipFamilyPolicy", single_stack))?
            .then(|spec| rewrite::member(spec, "ports", ports))?;
        Ok(draft.finish())
    }

    fn spec_protobuf(&self, spec: &[u8]) -> Rewritten {
        let address = wire::text(spec, &[service_spec::CLUSTER_IP])?;
        if !is_address(address) || !has_api_port_protobuf(spec)? {
            return Ok(None);
        }
        let host = self.host.as_bytes();
        let single_stack = |spec: &[u8]| match wire::text(spec, &[service_spec::IP_FAMILY_POLICY])? {
            REQUIRE_DUAL_STACK => {
                let new = NewValue::Bytes(SINGLE_STACK.as_bytes());
                rewrite::scalar(spec, service_spec::IP_FAMILY_POLICY, &new)
            }
            _ => Ok(None),
        };
        let port = NewValue::Varint(self.port.into());
        let ports = |spec: &[u8]| {
            rewrite::payloads(spec, service_spec::PORTS, |message| {
                if wire::text(message, &[service_port::NAME])? == PORT_NAME {
                    rewrite::scalar(message, service_port::PORT, &port)
                } else {
                    Ok(None)
                }
            })
        };
        let draft = Draft::new(spec)
            .then(|spec| rewrite::scalar(spec, service_spec::CLUSTER_IP, &NewValue::Bytes(host)))?
            .then(|spec| rewrite::only(spec, service_spec::CLUSTER_IPS, host))?
            .then(|spec| rewrite::only(spec, service_spec::IP_FAMILIES, self.family.as_bytes()))?
            .then(single_stack)?
            .then(ports)?;
        Ok(draft.finish())
    }
}

impl ObjectFilter for KubernetesService {
    fn name(&self) -> FilterName {
        FilterName::KubernetesService
    }

    fn concerns(&self, place: &Place<'_>) -> bool {
        place.is_core("services") && place.may_hold(Some(NAMESPACE), NAME)
    }

    fn answers_by(&self) -> String {
        format!("{RULES} {} {}", self.host, self.port)
    }

    fn apply(&self, encoding: Encoding, item: &[u8]) -> Rewritten {
        if !is_named(encoding, item, Some(NAMESPACE), NAME)? {
            return Ok(None);
        }
        match encoding {
            Encoding::Json => rewrite::member(item, "spec", |spec| self.spec_json(spec)),
            Encoding::Protobuf => rewrite::payloads(item, service::SPEC, |spec| self.spec_protobuf(spec)),
        }
    }
}

/// Neither unset nor headless.
fn is_address(cluster_ip: &str) -> bool {
    !matches!(cluster_ip, "" | "None")
}

fn is_api_port_json(port: &[u8]) -> Result<bool, Reason> {
    json::find(port, &["name"])?.map_or(Ok(false), |raw| Ok(json::string(raw)? == PORT_NAME))
}

fn has_api_port_json(spec: &[u8]) -> Result<bool, Reason> {
    let Some(ports) = json::find(spec, &["ports"])? else {
        return Ok(false);
    };
    let mut elements = json::Elements::at(ports, 0)?;
    while let Some(range) = elements.next()? {
        if is_api_port_json(ports.get(range).ok_or(Reason::Truncated)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_api_port_protobuf(spec: &[u8]) -> Result<bool, Reason> {
    for field in wire::fields(spec) {
        let field = field?;
        if field.number == service_spec::PORTS
            && wire::text(field.value.bytes()?, &[service_port::NAME])? == PORT_NAME
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a JSON array, which is not `null`, hold this string and nothing else.
fn only_text(array: &[u8], text: &str) -> Rewritten {
    if array == b"null" {
        return Ok(None);
    }
    let mut elements = json::Elements::at(array, 0)?;
    let mut same = true;
    let mut count = 0_usize;
    while let Some(range) = elements.next()? {
        same &= json::string(array.get(range).ok_or(Reason::Truncated)?)? == text;
        count += 1;
    }
    if same && count == 1 {
        return Ok(None);
    }
    let mut new = Vec::with_capacity(text.len() + 4);
    json::put(&mut new, &[text]);
    Ok(Some(new))
}
