//! What runs on a node, told by its containerd: no apiserver and no kubelet is asked, so that it also works offline.
//!
//! Invariant: a container is named here only while its process runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use crate::node::Node;

const EXEC_ATTEMPTS: usize = 3;

/// Running containers: id by `namespace/pod/container`.
pub type Containers = BTreeMap<String, String>;

/// The containers of `namespace` that run on `node`.
///
/// # Errors
/// When the node is not up, or its containerd does not answer.
pub fn running(node: &Node, namespace: &str) -> Result<Containers> {
    // The kubelet links the log of each container that it starts, by a name that tells whose it is.
    let script = "ctr --namespace k8s.io tasks list && ls /var/log/containers";
    Ok(parse(&node.exec_ok(["sh", "-c", script])?, namespace))
}

/// Kills the process of a container, as a crash would.
///
/// # Errors
/// When the node is not up, or containerd does not know it.
pub fn crash(node: &Node, id: &str) -> Result<()> {
    node.exec_ok([
        "ctr",
        "--namespace",
        "k8s.io",
        "tasks",
        "kill",
        "--signal",
        "SIGKILL",
        id,
    ])?;
    Ok(())
}

/// A program in a container, as `kubectl exec` would run it: what it prints, whatever its code. One that says nothing and
/// fails is started again: containerd under load may fail to start it at all.
///
/// # Errors
/// When the node is not up.
pub fn exec(node: &Node, id: &str, args: &[&str]) -> Result<String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut text = String::new();
    for _ in 0..EXEC_ATTEMPTS {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let number = format!("e2e-{}-{number}", std::process::id());
        let enter = [
            "ctr",
            "--namespace",
            "k8s.io",
            "tasks",
            "exec",
            "--exec-id",
            &number,
            id,
        ];
        let output = node.exec(enter.iter().chain(args))?;
        text = output.text();
        if output.status.success() || !text.is_empty() {
            break;
        }
    }
    Ok(text)
}

/// The address of the pod of each running container of `namespace`, as the pod itself sees it; by the container's name.
///
/// # Errors
/// When the node is not up, or a container ends meanwhile.
pub fn addresses(node: &Node, namespace: &str) -> Result<BTreeMap<String, String>> {
    let ask = |(name, id): (String, String)| {
        let mut address = String::new();
        for _ in 0..EXEC_ATTEMPTS {
            address = exec(node, &id, &["hostname", "-i"])?;
            if !address.is_empty() {
                break;
            }
        }
        Ok((name, address.trim().to_owned()))
    };
    running(node, namespace)?.into_iter().map(ask).collect()
}

fn parse(text: &str, namespace: &str) -> Containers {
    let runs = |line: &str| {
        let mut words = line.split_whitespace();
        let id = words.next()?;
        (words.nth(1) == Some("RUNNING")).then(|| id.to_owned())
    };
    let running: Vec<_> = text.lines().filter_map(runs).collect();
    let log = |line: &str| {
        let (name, id) = line.strip_suffix(".log")?.rsplit_once('-')?;
        let mut parts = name.split('_');
        let (pod, of, container) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = of == namespace && running.iter().any(|running| running == id);
        ours.then(|| (format!("{namespace}/{pod}/{container}"), id.to_owned()))
    };
    text.lines().filter_map(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_containers_of_the_namespace_are_named() {
        let text = "TASK    PID    STATUS\n\
                    aa11    100    RUNNING\n\
                    bb22    101    STOPPED\n\
                    cc33    102    RUNNING\n\
                    web-0_shop_main-aa11.log\n\
                    web-0_shop_main-bb22.log\n\
                    dns_kube-system_coredns-cc33.log\n";
        let expected = Containers::from([("shop/web-0/main".to_owned(), "aa11".to_owned())]);
        assert_eq!(parse(text, "shop"), expected);
    }
}
