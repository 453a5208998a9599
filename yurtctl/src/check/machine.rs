//! Whether the programs and pods that we bring can run on a node at all (pure).

use yurtctl_node::facts::Facts;

use super::{Finding, error, warning};
use crate::selection::NodeView;

/// Runtimes that yurthub is known to do without: it never talks to one.
const RUNTIMES: [&str; 2] = ["containerd", "cri-o"];

/// What the node runs programs and containers with.
pub fn of(view: &NodeView, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let programs = go_architecture(&facts.architecture);
    if !view.architecture.is_empty() && view.architecture != programs {
        found.push(error(
            "architecture",
            format!(
                "it is {}, the programs in the image are for {programs}",
                view.architecture
            ),
            "name an image for it with --image, or one for both architectures",
        ));
    }
    let runtime = view.runtime.split("://").next().unwrap_or_default();
    if !runtime.is_empty() && !RUNTIMES.contains(&runtime) {
        found.push(warning(
            "runtime",
            format!("its containers are run by {}", view.runtime),
            "nothing to do if it works: only containerd was tested",
        ));
    }
    found
}

/// What Go, and so Kubernetes, calls an architecture.
fn go_architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Of a node that is Ready and on which no pod could look.
pub fn unseen(why: String) -> Finding {
    // What the kernel says to a program for another machine.
    if why.contains("exec format error") {
        return error(
            "architecture",
            format!("the programs in the image are for another architecture than this node's: {why}"),
            "name an image for it with --image, or one for both architectures",
        );
    }
    error(
        "not-looked-at",
        why,
        "a pod must be able to run there: see `kubectl -n yurt-system get pods -o wide`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;
    use crate::samples::{facts, view};
    use serde_json::json;

    #[test]
    fn a_program_for_another_machine_is_refused_and_another_runtime_is_told() {
        let find = |change: NodeView| of(&change, &facts(json!({})));
        let arm = find(NodeView {
            architecture: "arm64".to_owned(),
            ..view()
        });
        assert_eq!((arm[0].name, arm[0].severity), ("architecture", Severity::Error));
        let docker = find(NodeView {
            runtime: "docker://28.0.0".to_owned(),
            ..view()
        });
        assert_eq!(
            (docker[0].name, docker[0].severity),
            ("runtime", Severity::Warning)
        );
        assert!(docker[0].what.contains("docker://28.0.0"));
    }
}
