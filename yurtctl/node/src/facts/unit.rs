//! How a unit of systemd starts its process: the `ExecStart=` that holds, and who may change it after us (pure).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The variable by which kubeadm's unit gives the kubelet its kubeconfig.
pub(crate) const KUBEADM_VARIABLE: &str = "KUBELET_KUBECONFIG_ARGS";
/// Our drop-in's name: systemd reads drop-ins in the order of their names.
pub(crate) const DROP_IN: &str = "20-yurthub.conf";

/// How a unit starts the kubelet, without our own drop-in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFacts {
    /// The command of `ExecStart=`, as it is written, continued lines joined.
    pub exec_start: String,
    /// Whether it takes the kubeconfig from kubeadm's variable.
    pub takes_variable: bool,
    /// Drop-ins that come after ours and set the same.
    pub later: Vec<PathBuf>,
}

/// Reads the unit's file and its drop-ins, in systemd's order; ours is left out.
pub(crate) fn read(files: &[(PathBuf, String)]) -> UnitFacts {
    let mut facts = UnitFacts::default();
    for (path, text) in files {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name == DROP_IN {
            continue;
        }
        let mut sets = false;
        for (key, value) in assignments(text) {
            match key {
                // An empty one takes back those before it.
                "ExecStart" => {
                    facts.exec_start = value;
                    sets = true;
                }
                "Environment" if value.contains(KUBEADM_VARIABLE) => sets = true,
                _ => {}
            }
        }
        if sets && is_drop_in(path) && name > DROP_IN {
            facts.later.push(path.clone());
        }
    }
    facts.takes_variable = facts.exec_start.contains(&format!("${KUBEADM_VARIABLE}"))
        || facts.exec_start.contains(&format!("${{{KUBEADM_VARIABLE}}}"));
    facts
}

fn is_drop_in(path: &Path) -> bool {
    path.parent()
        .and_then(Path::extension)
        .is_some_and(|extension| extension == "d")
}

/// `key=value` lines with continued lines joined (systemd.syntax(7)).
fn assignments(text: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    let mut continues = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && !continues) {
            continue;
        }
        let (body, more) = match trimmed.strip_suffix('\\') {
            Some(body) => (body.trim_end(), true),
            None => (trimmed, false),
        };
        if continues {
            if let Some((_, value)) = found.last_mut() {
                value.push(' ');
                value.push_str(body);
            }
        } else if let Some((key, value)) = body.split_once('=') {
            found.push((key.trim(), value.trim().to_owned()));
        }
        continues = more;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> UnitFacts {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
            .collect();
        read(&files)
    }

    const KUBEADM: &str = "[Service]
Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/b --kubeconfig=/k\"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# The first one takes back that of the unit.
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS
";

    #[test]
    fn kubeadms_unit_takes_the_kubeconfig_from_its_variable() {
        let facts = of(&[
            (
                "/lib/systemd/system/kubelet.service",
                "[Service]\nExecStart=/usr/bin/kubelet\n",
            ),
            ("/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", KUBEADM),
            (
                "/etc/systemd/system/kubelet.service.d/20-yurthub.conf",
                "[Service]\nExecStart=\nExecStart=/ours\n",
            ),
        ]);
        assert!(facts.takes_variable && facts.later.is_empty(), "{facts:?}");
        assert!(
            facts.exec_start.starts_with("/usr/bin/kubelet $KUBELET"),
            "{facts:?}"
        );
    }

    #[test]
    fn continued_lines_are_one_command() {
        let facts = of(&[(
            "/etc/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/local/bin/kubelet \\\n  --config=/c \\\n  --kubeconfig=/k\nRestart=always\n",
        )]);
        assert_eq!(
            facts.exec_start,
            "/usr/local/bin/kubelet --config=/c --kubeconfig=/k"
        );
        assert!(!facts.takes_variable);
    }

    #[test]
    fn a_later_drop_in_that_sets_the_same_is_told() {
        let own = "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --kubeconfig=/other\n";
        let path = "/etc/systemd/system/kubelet.service.d/99-site.conf";
        let facts = of(&[
            (
                "/lib/systemd/system/kubelet.service",
                "ExecStart=/usr/bin/kubelet",
            ),
            (path, own),
        ]);
        assert_eq!(facts.later, [PathBuf::from(path)]);
        let harmless = of(&[(path, "[Service]\nCPUAccounting=yes\n")]);
        assert!(harmless.later.is_empty());
    }
}
