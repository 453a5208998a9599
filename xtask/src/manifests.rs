//! `cargo xtask manifests`: the chart, and the plain YAML that is rendered from it.
//!
//! The chart is the one source: `manifests/yurt.yaml` is what it renders for yurtctl, committed so that it can be read,
//! applied by hand and embedded. Needs Helm and no cluster. Invariant: a check changes nothing.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args as ClapArgs;
use e2e::progress::say;
use e2e::{Cmd, Instance, Profile, builds};

/// What the committed file begins with.
const HEAD: &str = "\
# Rendered from charts/yurt by `cargo xtask manifests`: change the chart, not this file. docs/install.md explains it.
#     kubectl apply --server-side -f manifests/yurt.yaml
";
const FILE: &str = "manifests/yurt.yaml";
/// Every value at something else than its default.
const EVERY_VALUE: &str = "ci/every-value.yaml";
/// What the schema must refuse, as `--set` takes it.
const REFUSED: [&str; 30] = [
    "hub.dataDri=/data",
    "hub.dataDir=/data",
    "hub.nodeName=edge1",
    "hub.storeEngine=files",
    "hub.ringEvents=0",
    "hub.parkAfter=5",
    "hub.listenPods=169.254.2.1",
    "hub.filters={trust}",
    "image.digest=sha256:1",
    "image.repository=yurt:1.0",
    "image.pullSecrets={name}",
    "namespace.name=Yurt",
    "manager.replicas=0",
    "manager.controllers={_}",
    "tunnel.server.port=0",
    "tunnel.server.addresses={tunnel.example}",
    "tunnel.server.nodeSelector=null",
    "tunnel.agent.allowPorts={65536}",
    "tunnel.agent.nodePolicies.edge1=9100",
    "tunnel.agent.nodePolicies.Edge={9100}",
    "tunnel.server.kubeletPorts={0}",
    "tunnel.server.reserved={example.com}",
    "tunnel.server.sniListen=10250",
    "tunnel.server.redirect=false",
    "tunnel.server.connect.socketDir=run/yurt-tunnel",
    "tunnel.server.connect.socketDir=/run/../etc",
    "tunnel.server.connect.listen=10271",
    "tunnel.server.connect.listen=127.0.0.1:10271",
    "tunnel.server.memoryBudgetMib=8",
    "tunnel.congestion=new_reno",
];

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Only compare, and check the chart
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.check {
        check()?;
        say("chart and manifests agree");
    } else {
        let path = root().join(FILE);
        fs::write(&path, Chart::find()?.manifests()?).with_context(|| format!("write {}", path.display()))?;
        say(format_args!("wrote {FILE}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the chart is sound, has this version, refuses wrong values, and renders what is committed.
pub(crate) fn check() -> Result<()> {
    let chart = Chart::find()?;
    chart.helm(["lint", "--strict"])?;
    let every = chart.folder.join(EVERY_VALUE);
    chart.helm([
        OsStr::new("lint"),
        "--strict".as_ref(),
        "--values".as_ref(),
        every.as_ref(),
    ])?;
    for value in REFUSED {
        ensure!(
            chart.helm(["template", "yurt", "--set", value]).is_err(),
            "the chart's schema accepts --set {value}"
        );
    }
    check_version(&chart.read("Chart.yaml")?, env!("CARGO_PKG_VERSION"))?;
    let committed = fs::read_to_string(root().join(FILE)).with_context(|| format!("read {FILE}"))?;
    match first_difference(&committed, &chart.manifests()?) {
        Some(line) => {
            bail!("{FILE} is not what charts/yurt renders, from line {line} on: run `cargo xtask manifests`")
        }
        None => Ok(()),
    }
}

/// The chart, and the Helm that judges it.
struct Chart {
    helm: PathBuf,
    folder: PathBuf,
}

impl Chart {
    /// Builds Helm where it is not there.
    fn find() -> Result<Self> {
        Ok(Self {
            helm: builds::ensure_helm(&Instance::for_tests(Profile::Default)?)?,
            folder: root().join("charts/yurt"),
        })
    }

    /// Helm with `args` and the chart.
    fn helm(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        let helm = Cmd::new(&self.helm).args(args).arg(&self.folder);
        // It would look for plugins and repositories of whoever runs it.
        let helm = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"]
            .iter()
            .fold(helm, |helm, name| helm.env(name, "/nonexistent"));
        Ok(helm.run_ok()?)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// What is committed, as it should be.
    fn manifests(&self) -> Result<String> {
        let rendered = self.helm(["template", "yurt", "--set", "managedBy=yurtctl"])?;
        Ok(format!("{HEAD}{}\n", plain(&rendered)))
    }
}

/// Without the lines that tell of Helm's files, and those that separate them.
fn plain(rendered: &str) -> String {
    let lines = rendered.lines().filter(|line| !line.starts_with("# Source: "));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\n\n---\n", "\n---\n")
}

/// The number of the first line that differs.
fn first_difference(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return None;
    }
    let same = one
        .lines()
        .zip(other.lines())
        .take_while(|(one, other)| one == other);
    Some(same.count() + 1)
}

/// The chart and the programs that it installs have one version.
fn check_version(chart: &str, version: &str) -> Result<()> {
    for line in [
        format!("version: {version}"),
        format!("appVersion: \"{version}\""),
    ] {
        ensure!(
            chart.lines().any(|found| found == line),
            "charts/yurt/Chart.yaml does not say `{line}`, as the workspace does"
        );
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_helm_are_left_out_and_comments_stay() {
        let rendered = "---\n# Source: yurt/a.yaml\n# Why.\nkind: A\n\n---\n# Source: yurt/b.yaml\nkind: B\n";
        assert_eq!(plain(rendered), "---\n# Why.\nkind: A\n---\nkind: B");
    }

    #[test]
    fn a_difference_is_told_by_its_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a\nb", "a\nb\n"), Some(3));
    }

    #[test]
    fn a_chart_of_another_version_is_found() {
        let chart = "name: yurt\nversion: 0.1.0\nappVersion: \"0.1.0\"\n";
        assert!(check_version(chart, "0.1.0").is_ok());
        assert!(check_version(chart, "0.2.0").is_err());
        assert!(check_version("version: 0.1.0\nappVersion: \"0.0.9\"\n", "0.1.0").is_err());
    }
}
