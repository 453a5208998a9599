//! A replica of the manager: the shipped binary, with its own account's name and rights.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::ca::Leaf;
use yurt_testkit::process::{Process, Program};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, ApiServer};

/// Who it is for the apiserver: the account that the manifests grant rights to.
pub(crate) const USER: &str = "system:serviceaccount:yurt-system:yurt-controller-manager";
/// A group of it, by which the apiserver sorts its requests among others' (API Priority and Fairness).
const GROUP: &str = "system:serviceaccounts";
/// Where its Lease is.
pub(crate) const NAMESPACE: &str = "yurt-system";
const MANIFESTS: &str = include_str!("../../../manifests/yurt.yaml");
/// How exactly things are seen to happen.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running replica.
pub(crate) struct Replica {
    pub(crate) process: Process,
    status: Api,
    _folder: Scratch,
}

impl Replica {
    /// Starts one called `name`.
    pub(crate) fn start(binary: &Path, server: &ApiServer, name: &str) -> Result<Self> {
        let folder = Scratch::new()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let content = kubeconfig_of(server, &folder)?.to_string();
        std::fs::write(&kubeconfig, content).context("write a kubeconfig")?;
        // Free until it is bound again, a moment later.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("look for a free port")?;
        let address = port.local_addr().context("ask for a port")?;
        drop(port);
        let program = Program::new(binary, folder.path().join("log"))
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["--namespace", NAMESPACE, "--name", name])
            .args(["--listen", &address.to_string()]);
        Ok(Self {
            process: program.start()?,
            status: Api::http(address),
            _folder: folder,
        })
    }

    /// Sum of all series of a metric whose labels have `filter`; nothing where it does not answer yet.
    pub(crate) async fn metric(&self, name: &str, filter: &str) -> usize {
        let Ok(reply) = self.status.send(Raw::new(Method::GET, "/metrics")).await else {
            return 0;
        };
        sum(&String::from_utf8_lossy(&reply.body), name, filter)
    }

    /// Whether it knows all objects.
    pub(crate) async fn ready(&self) -> bool {
        matches!(self.status.get("/readyz").await, Ok((200, _)))
    }

    /// Waits until a look finds `true`, or says `what` was not seen in time.
    pub(crate) async fn wait(
        &mut self,
        what: &str,
        deadline: Duration,
        mut look: impl AsyncFnMut(&Self) -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        while !look(self).await {
            if self.process.ended()?.is_some() || start.elapsed() > deadline {
                bail!(
                    "{what} was not seen within {deadline:?}:\n{}",
                    self.process.log_tail(20)
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// The most memory that it has had at a time, in bytes (`VmHWM`, proc(5)).
    pub(crate) fn peak(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process.pid());
        let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Ok(kib.context("no VmHWM: has it ended?")? * 1024)
    }
}

/// Of `OpenMetrics` text (pure).
fn sum(text: &str, name: &str, filter: &str) -> usize {
    let name = format!("yurt_controller_manager_{name}");
    let series = text.lines().filter(|line| {
        line.strip_prefix(&name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && line.contains(filter)
    });
    series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

fn kubeconfig_of(server: &ApiServer, folder: &Scratch) -> Result<Value> {
    let identity = server.authority().issue(&Leaf::new(USER).organization(GROUP))?;
    let (certificate, key) = identity.write(folder.path(), "client")?;
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, server.authority().pem()).context("write the CA")?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server.url(), "certificate-authority": ca}}],
        "users": [{"name": "bench", "user": {"client-certificate": certificate, "client-key": key}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    }))
}

/// Gives its account the rights of the manifests.
pub(crate) async fn grant(admin: &Api) -> Result<()> {
    for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
        let object: Value = serde::Deserialize::deserialize(document).context("read the manifests")?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kinds = match object["kind"].as_str() {
            Some("ClusterRole") => "clusterroles".to_owned(),
            Some("ClusterRoleBinding") => "clusterrolebindings".to_owned(),
            Some("RoleBinding") => format!("namespaces/{NAMESPACE}/rolebindings"),
            _ => continue,
        };
        if name.starts_with("yurt-controller-manager") {
            let path = format!("/apis/rbac.authorization.k8s.io/v1/{kinds}");
            let (code, answer) = admin.post(&path, object).await?;
            ensure!(code == 201, "creating {path} was answered with {code}: {answer}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn series_are_summed_by_name_and_label() {
        let text = "yurt_controller_manager_writes_total{what=\"a\"} 2\nyurt_controller_manager_writes_total{what=\"b\"} 3\n\
                    yurt_controller_manager_leading 1\n";
        assert_eq!(sum(text, "writes_total", ""), 5);
        assert_eq!(sum(text, "writes_total", "\"b\""), 3);
        assert_eq!(sum(text, "lead", ""), 0);
    }
}
