//! The image of all our programs, on a node that stands behind yurthub.

use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::{image, programs, progress, wait_for};
use serde_json::json;

use crate::setup::{POD_DEADLINE, shared};

#[test]
fn the_programs_of_the_image_run_as_nobody_under_the_strictest_policy() -> Result<()> {
    let (cluster, node, _guard) = shared()?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let again = Instant::now();
    image::load(&node, &image)?;
    let again = again.elapsed();

    let namespace = cluster.namespace("image")?;
    let strict = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(["label", "namespace", namespace.name(), strict])?;
    let container = |name: &str| {
        json!({
            "name": name, "image": image.reference, "imagePullPolicy": "Never", "args": ["--version"],
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                "capabilities": {"drop": ["ALL"]}},
        })
    };
    let others = ["yurthub", "yurt-controller-manager", "yurt-tunnel"].map(|name| {
        let mut other = container(name);
        other["command"] = json!([format!("/usr/local/bin/{name}")]);
        other
    });
    let [yurthub, manager, tunnel] = others;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "versions"},
        "spec": {
            "nodeName": node.name(), "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("yurtctl"), yurthub, manager, tunnel],
        },
    });
    let started = Instant::now();
    namespace.apply_yaml(&pod.to_string())?;
    wait_for("the programs to say their version", POD_DEADLINE, || {
        let pod = namespace.pod("versions")?;
        ensure!(pod["status"]["phase"] == "Succeeded", "{:#}", pod["status"]);
        Ok(Some(()))
    })?;
    for program in programs::IN_THE_IMAGE {
        let said = namespace.kubectl(["logs", "versions", "--container", program])?;
        assert_eq!(said, format!("{program} {}", env!("CARGO_PKG_VERSION")));
    }
    progress::say(format_args!(
        "hub image: {} bytes, {:.1} s from the pod to its end; looking whether a node has it takes {:.1} s",
        image.size,
        started.elapsed().as_secs_f64(),
        again.as_secs_f64(),
    ));
    Ok(())
}
