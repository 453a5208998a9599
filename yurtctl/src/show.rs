//! Plans and findings as text, JSON or YAML (pure).

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;
use yurtctl_node::spec::Content;

use crate::args::Format;
use crate::check::{Finding, Severity};
use crate::plan::{Action, NodePlan, PodName, joined};

/// Of pods that were born before yurthub.
pub const DIRECT: &str = "talk to the apiserver directly until they are restarted";
/// Of pods that were born after it.
pub const THROUGH: &str = "talk to yurthub";

/// In a plan without the tunnel.
const WITHOUT_TUNNEL: &str = "\
yurt-tunnel is not applied: the apiserver must be able to dial kubelets, or something else must carry it there. A tunnel
that is there stays as it is.
";

/// A whole plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan<'a> {
    /// Version of the cluster.
    pub cluster: &'a str,
    /// Image that the programs come from.
    pub image: &'a str,
    /// The tunnel is not applied, as was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_tunnel: bool,
    /// Nodes that are changed together, in order.
    pub waves: &'a [Vec<String>],
    /// What is done to each node.
    pub nodes: &'a [NodePlan],
}

/// The plan in `format`; `wide` shows every file.
pub fn plan(plan: &Plan<'_>, format: Format) -> Result<String> {
    match format {
        Format::Table => Ok(text(plan, false)),
        Format::Wide => Ok(text(plan, true)),
        Format::Json | Format::Yaml => data(plan, format),
    }
}

/// Something as JSON or YAML.
pub fn data(value: &impl Serialize, format: Format) -> Result<String> {
    if format == Format::Yaml {
        return serde_yaml::to_string(value).context("write YAML");
    }
    let text = serde_json::to_string_pretty(value).context("write JSON")?;
    Ok(format!("{text}\n"))
}

/// Rows under a head, as kubectl prints them.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut built = String::new();
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(built, "{cell:<width$}   ");
        }
        text.push_str(built.trim_end());
        text.push('\n');
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

fn text(plan: &Plan<'_>, wide: bool) -> String {
    let mut text = format!("Cluster {}, image {}\n", plan.cluster, plan.image);
    if plan.without_tunnel {
        text.push_str(WITHOUT_TUNNEL);
    }
    for node in plan.nodes {
        let _ = write!(text, "\n{}: {}", node.node, action(&node.action));
        if let Some(layout) = node.layout {
            let runtime = node
                .runtime
                .as_ref()
                .map_or_else(String::new, |runtime| format!(", {runtime}"));
            let _ = write!(text, " (kubelet started as by {layout}{runtime})");
        }
        text.push('\n');
        findings(&mut text, &node.findings);
        for (number, step) in node.steps.iter().enumerate() {
            let _ = writeln!(text, "  {}. {step}", number + 1);
        }
        if let Some(spec) = node.spec.as_ref().filter(|_| !node.steps.is_empty()) {
            let verb = if node.action == Action::Revert {
                "removes"
            } else {
                "writes"
            };
            for path in spec.paths() {
                let _ = writeln!(text, "  {verb} {}", path.display());
            }
            if wide {
                files(&mut text, spec);
            }
        }
        pods(&mut text, "restarts, one at a time", &node.restarted);
        if !node.steps.is_empty() || wide {
            pods(&mut text, DIRECT, &node.routes.direct);
            pods(&mut text, THROUGH, &node.routes.through_yurthub);
        }
    }
    if !plan.waves.is_empty() {
        text.push('\n');
    }
    for (number, wave) in plan.waves.iter().enumerate() {
        let _ = writeln!(text, "Wave {}: {}", number + 1, wave.join(", "));
    }
    text
}

/// A line for each finding, and one with what to do.
pub fn findings(text: &mut String, findings: &[Finding]) {
    for finding in findings {
        let mark = match finding.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "warning",
        };
        let Finding { name, what, fix, .. } = finding;
        let _ = writeln!(text, "  {mark} {name}: {what}\n    → {fix}");
    }
}

fn files(text: &mut String, spec: &yurtctl_node::spec::NodeSpec) {
    for file in spec.files.iter().chain([&spec.switch.file]) {
        let _ = writeln!(text, "  --- {}", file.path.display());
        match &file.content {
            Content::Link(target) => {
                let _ = writeln!(text, "  → {}", target.display());
            }
            Content::Public(content) | Content::Private(content) => {
                for line in content.lines() {
                    let _ = writeln!(text, "  | {line}");
                }
            }
        }
    }
}

/// A line with pods, where there are any.
pub fn pods(text: &mut String, what: &str, pods: &[PodName]) {
    if !pods.is_empty() {
        let _ = writeln!(text, "  {what}: {}", joined(pods));
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Convert => "becomes an edge node".to_owned(),
        Action::Update { why } => format!("is updated: {why}"),
        Action::Finish => "is converted; what an interrupted run has left is done".to_owned(),
        Action::Revert => "becomes an ordinary node again".to_owned(),
        Action::Nothing => "is as it shall be".to_owned(),
        Action::Pending { why } => format!("PENDING, cannot be reached: {why}"),
        Action::Refused => "REFUSED".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_without_the_tunnel_says_so() {
        let mut plan = Plan {
            cluster: "v1.34.4",
            image: "yurt:1",
            without_tunnel: true,
            waves: &[],
            nodes: &[],
        };
        let shown = |plan: &Plan<'_>, format| super::plan(plan, format).unwrap();
        assert!(shown(&plan, Format::Table).contains("yurt-tunnel is not applied"));
        assert!(shown(&plan, Format::Json).contains("\"withoutTunnel\": true"));
        plan.without_tunnel = false;
        assert!(!shown(&plan, Format::Table).contains("tunnel"));
        assert!(!shown(&plan, Format::Json).contains("unnel"));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["edge1".to_owned(), "ok".to_owned()],
            vec!["a".to_owned(), "away".to_owned()],
        ];
        assert_eq!(
            table(&["NODE", "LINK"], &rows),
            "NODE    LINK\nedge1   ok\na       away\n"
        );
    }
}
