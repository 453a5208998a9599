//! From a node's facts to what shall be on it (pure). The three ways in which a kubelet is started are three ways to
//! turn it; all else is the same.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::facts::Facts;
use crate::spec::{CONFIG_FOLDER, Content, HUB_UNIT, KUBECONFIG, NodeSpec, Switch, TextFile};

const UNIT: &str = include_str!("../../../yurthub/packaging/yurthub.service");
const UNITS: &str = "/etc/systemd/system";

/// What the cluster says of all its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Version of the software.
    pub version: String,
    /// Settings of yurthub, as YAML, without `kubeconfig`.
    pub hub_settings: String,
    /// The address for pods in these settings.
    pub pods_address: Option<IpAddr>,
}

/// How a kubelet is started, and so how it is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// kubeadm's unit: the kubeconfig is in a variable.
    Kubeadm,
    /// A unit of one's own: the command is repeated with our flags at its end.
    Plain,
    /// Within k3s: flags come from its folder of configuration.
    K3s,
}

/// Why a node's kubelet cannot be turned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// No `ExecStart=`.
    #[error("`{unit}` has no ExecStart= that could be read; is it a generated unit?")]
    NoCommand {
        /// The unit.
        unit: String,
    },
    /// The kubeconfig is given in several places.
    #[error(
        "the kubelet gets --kubeconfig {count} times; take it out of KUBELET_EXTRA_ARGS and the like, so that one drop-in \
         can turn it"
    )]
    SeveralFlags {
        /// How often.
        count: usize,
    },
}

impl Layout {
    /// The way this node's kubelet is started.
    pub fn of(facts: &Facts) -> Self {
        match (facts.kubelet.is_k3s, facts.kubelet.unit_facts.takes_variable) {
            (true, _) => Self::K3s,
            (false, true) => Self::Kubeadm,
            (false, false) => Self::Plain,
        }
    }

    /// Its name in text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubeadm => "kubeadm",
            Self::Plain => "plain systemd",
            Self::K3s => "k3s",
        }
    }
}

/// What shall be on the node.
pub fn of(facts: &Facts, site: &Site) -> Result<NodeSpec, LayoutError> {
    let kubelet = &facts.kubelet;
    let config = Path::new(CONFIG_FOLDER);
    let files = vec![
        TextFile {
            path: config.join("config.yaml"),
            content: Content::Private(hub_config(facts, site)),
        },
        TextFile {
            path: KUBECONFIG.into(),
            content: Content::Private(kubeconfig(facts)),
        },
        TextFile {
            path: Path::new(UNITS).join(HUB_UNIT),
            content: Content::Public(UNIT.to_owned()),
        },
        // What `systemctl enable` would make.
        TextFile {
            path: Path::new(UNITS).join("multi-user.target.wants").join(HUB_UNIT),
            content: Content::Link(Path::new(UNITS).join(HUB_UNIT)),
        },
    ];
    Ok(NodeSpec {
        version: site.version.clone(),
        node: facts.node.clone(),
        programs: facts.image_programs.clone(),
        files,
        pods_address: site.pods_address,
        switch: Switch {
            unit: kubelet.unit.clone(),
            file: switch_file(facts)?,
            kubeconfig: KUBECONFIG.into(),
            original_kubeconfig: Some(original(facts).clone()),
            healthz_port: kubelet.healthz_port,
        },
    })
}

/// The kubelet's kubeconfig from before yurthub stood in front.
fn original(facts: &Facts) -> &PathBuf {
    let kubelet = &facts.kubelet;
    kubelet
        .original_kubeconfig
        .as_ref()
        .unwrap_or(&kubelet.kubeconfig)
}

fn hub_config(facts: &Facts, site: &Site) -> String {
    let kubelet = &facts.kubelet;
    let mut text = format!(
        "# Written by yurtctl {}; `yurthub --help` explains every setting, `yurthub check-config` checks this file.\n\
         kubeconfig: {}\n",
        site.version,
        original(facts).display()
    );
    if kubelet.root_dir != Path::new("/var/lib/kubelet") {
        let _ = writeln!(text, "kubeletDir: {}", kubelet.root_dir.display());
    }
    if !site.hub_settings.trim().is_empty() {
        text.push_str(site.hub_settings.trim());
        text.push('\n');
    }
    text
}

fn kubeconfig(facts: &Facts) -> String {
    let credentials = &facts.kubelet.credentials;
    format!(
        "# How the kubelet reaches yurthub: its own rotating certificate proves who it is.
apiVersion: v1
kind: Config
clusters:
- name: yurthub
  cluster:
    server: https://127.0.0.1:10261
    certificate-authority: /var/lib/yurthub/pki/ca.crt
users:
- name: kubelet
  user:
    client-certificate: {}
    client-key: {}
contexts:
- name: yurthub
  context:
    cluster: yurthub
    user: kubelet
current-context: yurthub
",
        credentials.client_certificate.display(),
        credentials.client_key.display()
    )
}

fn switch_file(facts: &Facts) -> Result<TextFile, LayoutError> {
    let kubelet = &facts.kubelet;
    let unit = &kubelet.unit_facts;
    let drop_in = |service: &str| TextFile {
        path: PathBuf::from(format!("{UNITS}/{}.d/20-yurthub.conf", kubelet.unit)),
        content: Content::Public(format!(
            "# The kubelet talks to yurthub on this node. Without this file it talks to the apiserver as before.\n\
             [Unit]\nWants={HUB_UNIT}\nAfter={HUB_UNIT}\n\n[Service]\n{service}"
        )),
    };
    match Layout::of(facts) {
        Layout::Kubeadm => {
            if kubelet.kubeconfig_flags > 1 {
                return Err(LayoutError::SeveralFlags {
                    count: kubelet.kubeconfig_flags,
                });
            }
            Ok(drop_in(&format!(
                "# No --bootstrap-kubeconfig: with it a kubelet whose certificate ran out during an outage would not \
                 start.\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--kubeconfig={KUBECONFIG}\"\n"
            )))
        }
        Layout::Plain if unit.exec_start.is_empty() => Err(LayoutError::NoCommand {
            unit: kubelet.unit.clone(),
        }),
        // Of a flag that is given twice the kubelet takes the last.
        Layout::Plain => Ok(drop_in(&format!(
            "ExecStart=\nExecStart={} --bootstrap-kubeconfig= --kubeconfig={KUBECONFIG}\n",
            unit.exec_start
        ))),
        Layout::K3s => Ok(TextFile {
            path: PathBuf::from("/etc/rancher/k3s/config.yaml.d/20-yurthub.yaml"),
            content: Content::Public(format!(
                "# The kubelet within k3s talks to yurthub on this node.\nkubelet-arg+:\n- kubeconfig={KUBECONFIG}\n"
            )),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Credentials, Free, KubeletFacts, UnitFacts};

    fn facts(exec_start: &str, takes_variable: bool) -> Facts {
        Facts {
            node: "edge1".to_owned(),
            architecture: "x86_64".to_owned(),
            clock_ms: 0,
            systemd: Some(257),
            kubelet: KubeletFacts {
                unit: "kubelet.service".to_owned(),
                is_k3s: false,
                unit_facts: UnitFacts {
                    exec_start: exec_start.to_owned(),
                    takes_variable,
                    later: Vec::new(),
                },
                kubeconfig: "/etc/kubernetes/kubelet.conf".into(),
                original_kubeconfig: None,
                credentials: Credentials {
                    server: "https://10.0.0.1:6443".to_owned(),
                    client_certificate: "/pki/current.pem".into(),
                    client_key: "/pki/current.pem".into(),
                },
                root_dir: "/var/lib/kubelet".into(),
                healthz_port: 10248,
                kubeconfig_flags: 1,
            },
            free: Free {
                programs: 1 << 30,
                data: 1 << 30,
                configuration: 1 << 30,
            },
            ports_taken: Vec::new(),
            address_taken: false,
            leftovers: Vec::new(),
            installed: None,
            image_programs: Vec::new(),
            pods: Vec::new(),
            pods_cut: false,
        }
    }

    fn site() -> Site {
        Site {
            version: "1.2.3".to_owned(),
            hub_settings: "listenPods: 169.254.2.1:10268\n".to_owned(),
            pods_address: None,
        }
    }

    fn text(file: &TextFile) -> &str {
        match &file.content {
            Content::Public(text) | Content::Private(text) => text,
            Content::Link(target) => panic!("a link to {}", target.display()),
        }
    }

    #[test]
    fn all_that_is_written_is_ours() {
        let mut k3s = facts("", false);
        k3s.kubelet.is_k3s = true;
        for facts in [
            facts("kubelet $X", true),
            facts("kubelet --kubeconfig=/k", false),
            k3s,
        ] {
            let spec = of(&facts, &site()).unwrap();
            assert_eq!(spec.check(), Ok(()));
        }
    }

    #[test]
    fn kubeadms_kubelet_is_turned_by_its_variable() {
        let spec = of(&facts("kubelet $KUBELET_KUBECONFIG_ARGS", true), &site()).unwrap();
        let file = &spec.switch.file;
        assert_eq!(
            file.path,
            Path::new("/etc/systemd/system/kubelet.service.d/20-yurthub.conf")
        );
        let line = "Environment=\"KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/yurthub/kubelet.kubeconfig\"";
        assert!(
            text(file).contains(line) && !text(file).contains("ExecStart="),
            "{}",
            text(file)
        );
        let config = text(&spec.files[0]);
        assert!(
            config.contains("kubeconfig: /etc/kubernetes/kubelet.conf\n"),
            "{config}"
        );
        assert!(config.contains("listenPods: 169.254.2.1:10268\n"), "{config}");
    }

    #[test]
    fn a_command_of_ones_own_gets_our_flag_at_its_end() {
        let spec = of(&facts("/opt/kubelet --kubeconfig=/k --v=2", false), &site()).unwrap();
        let line = "ExecStart=\nExecStart=/opt/kubelet --kubeconfig=/k --v=2 --bootstrap-kubeconfig= \
                    --kubeconfig=/etc/yurthub/kubelet.kubeconfig\n";
        assert!(
            text(&spec.switch.file).ends_with(line),
            "{}",
            text(&spec.switch.file)
        );
        let error = of(&facts("", false), &site()).unwrap_err();
        assert!(matches!(error, LayoutError::NoCommand { .. }));
    }

    #[test]
    fn k3s_is_turned_by_an_argument_in_its_folder_of_configuration() {
        let mut facts = facts("", false);
        facts.kubelet.is_k3s = true;
        let spec = of(&facts, &site()).unwrap();
        let file = &spec.switch.file;
        assert_eq!(
            file.path,
            Path::new("/etc/rancher/k3s/config.yaml.d/20-yurthub.yaml")
        );
        let parsed: serde_yaml::Value = serde_yaml::from_str(text(file)).unwrap();
        let expected = "{kubelet-arg+: [kubeconfig=/etc/yurthub/kubelet.kubeconfig]}";
        assert_eq!(
            parsed,
            serde_yaml::from_str::<serde_yaml::Value>(expected).unwrap()
        );
    }

    #[test]
    fn a_node_that_is_converted_gets_the_same_plan_again() {
        let mut before = facts("kubelet $FROM_A_FILE", false);
        before.kubelet.kubeconfig = "/opt/kubelet.conf".into();
        let planned = of(&before, &site()).unwrap();
        let mut after = before.clone();
        after.kubelet.kubeconfig = KUBECONFIG.into();
        after.kubelet.original_kubeconfig = planned.switch.original_kubeconfig.clone();
        assert_eq!(of(&after, &site()).unwrap().digest(), planned.digest());
    }

    #[test]
    fn yurthub_reads_the_kubeconfig_from_before_the_conversion() {
        let mut facts = facts("kubelet $KUBELET_KUBECONFIG_ARGS", true);
        facts.kubelet.original_kubeconfig = Some("/etc/kubernetes/kubelet.conf".into());
        facts.kubelet.kubeconfig = KUBECONFIG.into();
        let spec = of(&facts, &site()).unwrap();
        assert!(text(&spec.files[0]).contains("kubeconfig: /etc/kubernetes/kubelet.conf\n"));
    }
}
