//! Leads pods that name the API's address in their own environment to yurthub.
//!
//! A variable that a container sets goes before the one that the kubelet makes of Service `default/kubernetes`
//! (`makeEnvironmentVariables` in `k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go`), so that
//! [`mod@crate::kubernetes_service`] does not reach it.
//!
//! A container is left alone where half of an address would be yurthub's and half not known here: when either
//! variable comes from elsewhere (`valueFrom`), or has no value. A pod whose source is not the API (a mirror
//! pod, which only shows a static pod of the node) is left alone: its container has been started already, from
//! the file.

use std::borrow::Cow;

use yurthub_object::{
    Encoding, Reason,
    edit::NewValue,
    json, meta,
    number::{container, env_var, ephemeral_container, pod, pod_spec},
    rewrite::{self, Rewritten},
    wire,
};

use crate::{FilterName, ObjectFilter, Place, Server};

const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";
/// `k8s.io/kubernetes/pkg/kubelet/types/pod_update.go`
const SOURCE: &str = "kubernetes.io/config.source";
const SOURCE_API: &str = "api";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Grows when the code gives another answer than before.
const RULES: u32 = 1;

/// The filter.
#[derive(Debug)]
pub struct ServiceEnv {
    host: String,
    port: String,
}

impl ServiceEnv {
    /// Gives this address and port.
    pub fn new(server: Server) -> Self {
        Self {
            host: server.host.to_string(),
            port: server.port.to_string(),
        }
    }

    /// What the variable of this name is to be; `None` for all others.
    fn value(&self, name: &str) -> Option<&str> {
        match name {
            HOST => Some(&self.host),
            PORT => Some(&self.port),
            _ => None,
        }
    }

    fn spec_json(&self, spec: &[u8]) -> Rewritten {
        let containers = |containers: &[u8]| {
            rewrite::elements(containers, |container| {
                rewrite::member(container, "env", |env| self.env_json(env))
            })
        };
        let draft = rewrite::Draft::new(spec)
            .then(|spec| rewrite::member(spec, "initContainers", containers))?
            .then(|spec| rewrite::member(spec, "containers", containers))?
            .then(|spec| rewrite::member(spec, "ephemeralContainers", containers))?;
        Ok(draft.finish())
    }

    fn env_json(&self, env: &[u8]) -> Rewritten {
        let mut variables = json::Elements::at(env, 0)?;
        while let Some(range) = variables.next()? {
            let variable = env.get(range).ok_or(Reason::Truncated)?;
            if self.value(&name_json(variable)?).is_some() && !is_plain_json(variable)? {
                return Ok(None);
            }
        }
        rewrite::elements(env, |variable| match self.value(&name_json(variable)?) {
            Some(value) => rewrite::member(variable, "value", |raw| rewrite::string(raw, value)),
            None => Ok(None),
        })
    }

    fn spec_protobuf(&self, spec: &[u8]) -> Rewritten {
        let containers = |spec: &[u8], number| {
            rewrite::payloads(spec, number, |container| self.container_protobuf(container))
        };
        let ephemeral = |spec: &[u8]| {
            rewrite::payloads(spec, pod_spec::EPHEMERAL_CONTAINERS, |outer| {
                rewrite::payloads(outer, ephemeral_container::COMMON, |common| {
                    self.container_protobuf(common)
                })
            })
        };
        let draft = rewrite::Draft::new(spec)
            .then(|spec| containers(spec, pod_spec::INIT_CONTAINERS))?
            .then(|spec| containers(spec, pod_spec::CONTAINERS))?
            .then(ephemeral)?;
        Ok(draft.finish())
    }

    fn container_protobuf(&self, message: &[u8]) -> Rewritten {
        for field in wire::fields(message) {
            let field = field?;
            if field.number == container::ENV {
                let variable = field.value.bytes()?;
                if self.value(name_protobuf(variable)?).is_some() && !is_plain_protobuf(variable)? {
                    return Ok(None);
                }
            }
        }
        rewrite::payloads(message, container::ENV, |variable| {
            self.value(name_protobuf(variable)?).map_or(Ok(None), |value| {
                rewrite::scalar(variable, env_var::VALUE, &NewValue::Bytes(value.as_bytes()))
            })
        })
    }
}

impl ObjectFilter for ServiceEnv {
    fn name(&self) -> FilterName {
        FilterName::ServiceEnv
    }

    fn concerns(&self, place: &Place<'_>) -> bool {
        place.is_core("pods")
    }

    fn answers_by(&self) -> String {
        format!("{RULES} {} {}", self.host, self.port)
    }

    fn apply(&self, encoding: Encoding, item: &[u8]) -> Rewritten {
        let new = match encoding {
            Encoding::Json => rewrite::member(item, "spec", |spec| self.spec_json(spec))?,
            Encoding::Protobuf => rewrite::payloads(item, pod::SPEC, |spec| self.spec_protobuf(spec))?,
        };
        // Asked last: few pods set the variables, and to read an annotation is to copy it.
        if new.is_some() && is_of_a_file(encoding, item)? {
            return Ok(None);
        }
        Ok(new)
    }
}

/// Whether the pod only shows one that the node has from a file.
fn is_of_a_file(encoding: Encoding, item: &[u8]) -> Result<bool, Reason> {
    let annotation = |name| meta::annotation(encoding, item, name).map_err(|malformed| malformed.reason);
    let elsewhere = annotation(SOURCE)?.is_some_and(|source| source != SOURCE_API);
    Ok(elsewhere || annotation(MIRROR)?.is_some())
}

fn name_json(variable: &[u8]) -> Result<Cow<'_, str>, Reason> {
    json::string(json::find(variable, &["name"])?.unwrap_or(b"null"))
}

fn is_plain_json(variable: &[u8]) -> Result<bool, Reason> {
    let value = json::string(json::find(variable, &["value"])?.unwrap_or(b"null"))?;
    let from = json::find(variable, &["valueFrom"])?;
    Ok(!value.is_empty() && from.is_none_or(|raw| raw == b"null"))
}

fn name_protobuf(variable: &[u8]) -> Result<&str, Reason> {
    wire::text(variable, &[env_var::NAME])
}

fn is_plain_protobuf(variable: &[u8]) -> Result<bool, Reason> {
    let value = wire::text(variable, &[env_var::VALUE])?;
    let from = wire::last(variable, env_var::VALUE_FROM)?;
    Ok(!value.is_empty() && from.is_none())
}
