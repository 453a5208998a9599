//! The kubelet that runs here: its process, the unit that started it, and the kubeconfig it uses.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::kubeconfig;
use super::unit::{self, UnitFacts};
use super::{FactsError, KubeletFacts};
use crate::spec::KUBECONFIG as OURS;
use crate::systemd;

const K3S_KUBECONFIG: &str = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig";

/// Why there is no kubelet to turn.
#[derive(Debug, Error)]
pub enum KubeletError {
    /// No such process.
    #[error("no kubelet runs on this node; start it, and see `systemctl status kubelet`")]
    NotRunning,
    /// Not started by a service.
    #[error("the kubelet (process {pid}) was not started by a service of systemd, but from `{cgroup}`")]
    NoUnit {
        /// The process.
        pid: u32,
        /// Where it is.
        cgroup: String,
    },
    /// No kubeconfig in its command line.
    #[error("the kubelet (process {pid}) was started without --kubeconfig: it is not part of a cluster")]
    NoKubeconfig {
        /// The process.
        pid: u32,
    },
}

struct Process {
    pid: u32,
    args: Vec<String>,
    is_k3s: bool,
}

/// The Node's name, and the facts. `remembered`: the kubeconfig from before a conversion, as that conversion knew it.
pub(super) fn look(remembered: Option<PathBuf>) -> Result<(String, KubeletFacts), FactsError> {
    let process = find().ok_or(KubeletError::NotRunning)?;
    let unit = unit_of(process.pid)?;
    let unit_facts = unit_facts(&unit)?;
    let flags = values(&process.args, "--kubeconfig");
    let used = match flags.last() {
        Some(path) => PathBuf::from(path),
        None if process.is_k3s => PathBuf::from(K3S_KUBECONFIG),
        None => return Err(KubeletError::NoKubeconfig { pid: process.pid }.into()),
    };
    let original = original_kubeconfig(&used, remembered, process.is_k3s, &unit_facts);
    let credentials = kubeconfig::read(original.as_ref().unwrap_or(&used))?;
    let root_dir = values(&process.args, "--root-dir").pop();
    let config = values(&process.args, "--config").pop();
    let name = values(&process.args, "--hostname-override")
        .pop()
        .unwrap_or_else(host_name);
    let facts = KubeletFacts {
        unit,
        is_k3s: process.is_k3s,
        unit_facts,
        kubeconfig: used,
        original_kubeconfig: original,
        credentials,
        root_dir: PathBuf::from(root_dir.unwrap_or_else(|| "/var/lib/kubelet".to_owned())),
        healthz_port: healthz_port(config.as_deref()),
        kubeconfig_flags: flags.len(),
    };
    Ok((name, facts))
}

/// Whether a kubelet runs that uses `kubeconfig`; `None` where none runs.
pub fn is_turned(kubeconfig: &Path) -> Option<bool> {
    let process = find()?;
    let used = values(&process.args, "--kubeconfig").pop();
    if process.is_k3s {
        // Within k3s the flag is in a file of its own; what was read at the start is not to be seen from outside.
        return Some(Path::new("/etc/rancher/k3s/config.yaml.d/20-yurthub.yaml").exists());
    }
    Some(used.is_some_and(|used| Path::new(&used) == kubeconfig))
}

fn find() -> Option<Process> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut found: Vec<Process> = processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let args: Vec<String> = command
                .split(|&byte| byte == 0)
                .filter(|arg| !arg.is_empty())
                .map(|arg| String::from_utf8_lossy(arg).into_owned())
                .collect();
            let is_k3s = is_k3s(&args);
            (is_k3s || program(&args) == "kubelet").then_some(Process { pid, args, is_k3s })
        })
        .collect();
    // Where k3s runs the kubelet is a part of it; of several, the first that was started.
    found.sort_by_key(|process| (!process.is_k3s, process.pid));
    found.into_iter().next()
}

fn program(args: &[String]) -> &str {
    let first = args
        .first()
        .map_or("", |arg| arg.split(' ').next().unwrap_or_default());
    first.rsplit('/').next().unwrap_or_default()
}

/// k3s calls itself `/usr/local/bin/k3s agent` or `server` in its command line.
fn is_k3s(args: &[String]) -> bool {
    let line = args.join(" ");
    program(args) == "k3s" && (line.contains(" agent") || line.contains(" server"))
}

/// Values of a flag, in the order given: `--flag=value` or `--flag value`.
fn values(args: &[String], flag: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == flag {
            found.extend(rest.next().cloned());
        } else if let Some(value) = arg.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
            found.push(value.to_owned());
        }
    }
    found
}

fn unit_of(pid: u32) -> Result<String, FactsError> {
    let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let cgroup = fs::read_to_string(&path).map_err(|source| FactsError::Read { path, source })?;
    let unit = cgroup
        .split(['/', '\n'])
        .rev()
        .find(|part| part.ends_with(".service"))
        .map(str::to_owned);
    Ok(unit.ok_or_else(|| KubeletError::NoUnit {
        pid,
        cgroup: cgroup.trim().to_owned(),
    })?)
}

fn unit_facts(unit: &str) -> Result<UnitFacts, FactsError> {
    let fragment = systemd::property(unit, "FragmentPath")?;
    let drop_ins = systemd::property(unit, "DropInPaths")?;
    let paths = std::iter::once(fragment.as_str()).chain(drop_ins.split_whitespace());
    let files = paths.filter(|path| !path.is_empty()).map(|path| {
        let path = PathBuf::from(path);
        match fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(source) => Err(FactsError::Read { path, source }),
        }
    });
    Ok(unit::read(&files.collect::<Result<Vec<_>, _>>()?))
}

/// The kubeconfig from before yurthub stood in front, where it does: as the conversion remembers it, or as far as the unit
/// tells, where what comes from a file of variables is not seen.
fn original_kubeconfig(
    used: &Path,
    remembered: Option<PathBuf>,
    is_k3s: bool,
    unit: &UnitFacts,
) -> Option<PathBuf> {
    if used != Path::new(OURS) {
        return None;
    }
    if remembered.is_some() {
        return remembered;
    }
    if is_k3s {
        return Some(PathBuf::from(K3S_KUBECONFIG));
    }
    let args: Vec<String> = unit.exec_start.split_whitespace().map(str::to_owned).collect();
    let named = values(&args, "--kubeconfig").pop();
    Some(PathBuf::from(
        named.unwrap_or_else(|| "/etc/kubernetes/kubelet.conf".to_owned()),
    ))
}

/// As `healthzPort` of the kubelet's configuration (default 10248).
fn healthz_port(config: Option<&str>) -> u16 {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        healthz_port: Option<u16>,
    }
    config
        .and_then(|path| fs::read_to_string(path).ok())
        .and_then(|text| serde_yaml::from_str::<Config>(&text).ok())
        .and_then(|config| config.healthz_port)
        .unwrap_or(10248)
}

/// As the kubelet makes its Node's name of the host's: in lower case.
fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .trim()
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_read_in_both_forms_and_in_order() {
        let args = args("/usr/bin/kubelet --kubeconfig=/a --config /c --kubeconfig /b --kubeconfigs=/no");
        assert_eq!(values(&args, "--kubeconfig"), ["/a", "/b"]);
        assert_eq!(values(&args, "--config"), ["/c"]);
        assert!(values(&args, "--root-dir").is_empty());
    }

    #[test]
    fn the_kubeconfig_from_before_is_remembered_and_guessed_only_where_nobody_knows() {
        let unit = |command: &str| UnitFacts {
            exec_start: command.to_owned(),
            ..UnitFacts::default()
        };
        let found = |used: &str, remembered: Option<&str>, command: &str| {
            let remembered = remembered.map(PathBuf::from);
            original_kubeconfig(Path::new(used), remembered, false, &unit(command))
        };
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(found("/k", Some("/other"), "kubelet"), None);
        assert_eq!(
            found(OURS, Some("/opt/k"), "kubelet $FROM_A_FILE"),
            path("/opt/k")
        );
        assert_eq!(found(OURS, None, "kubelet --kubeconfig=/k"), path("/k"));
        assert_eq!(
            found(OURS, None, "kubelet $FROM_A_FILE"),
            path("/etc/kubernetes/kubelet.conf")
        );
    }

    #[test]
    fn k3s_is_told_from_a_kubelet() {
        assert!(is_k3s(&args("/usr/local/bin/k3s agent")));
        assert!(is_k3s(&["/usr/local/bin/k3s server".to_owned()]));
        assert!(!is_k3s(&args("/usr/bin/kubelet --config=/k3s")));
        assert!(!is_k3s(&args("/usr/local/bin/k3s kubectl")));
    }
}
