//! The cache: Kubernetes' programs, Helm, the nodes' root file system, the images; built when they are not there.
//!
//! Each build fills `CACHE/building-PID` and its products are renamed to their places when it has succeeded. Invariants:
//! what is in its place is whole; one process builds at a time; what a killed build left is removed by the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::instance::Instance;
use crate::lock;
use crate::machine;
use crate::progress::{Step, say};

/// The slowest build takes six minutes on two cores; a busy machine may take its time.
const BUILD_DEADLINE: Duration = Duration::from_hours(1);
/// All builds together.
const LOCK_DEADLINE: Duration = Duration::from_hours(2);
/// The script that builds Helm.
const HELM: &str = "build/helm.sh";

/// One build: a script of `e2e/cluster/build`, and what it leaves where.
struct Build {
    what: String,
    script: &'static str,
    needs_go: bool,
    /// Name in the building folder, place in the cache. In this order; the last one is the proof that all are there.
    products: Vec<(String, PathBuf)>,
}

impl Build {
    fn is_done(&self) -> bool {
        self.products.iter().all(|(_, place)| place.exists())
    }
}

/// Makes sure that everything is there: packages, kernel features, builds. Quick when it is.
///
/// # Errors
/// What the machine lacks, or the build that failed with the end of its log.
pub fn ensure(instance: &Instance) -> Result<()> {
    machine::check_basics()?;
    ensure_packages(instance)?;
    machine::check_kernel()?;
    make(instance, |_| true)
}

/// Makes sure that Helm is there, which needs neither a cluster nor what one needs; returns where it is.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_helm(instance: &Instance) -> Result<PathBuf> {
    let program = instance.binaries().join("helm");
    if !program.exists() {
        make(instance, |build| build.script == HELM)?;
    }
    Ok(program)
}

/// Makes sure that the Debian packages are there, and nothing else.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_packages(instance: &Instance) -> Result<()> {
    make(instance, |_| false)
}

/// Installs the packages and runs those builds that are `wanted` and missing.
fn make(instance: &Instance, wanted: fn(&Build) -> bool) -> Result<()> {
    let lacking = || -> Vec<Build> { missing(instance).into_iter().filter(wanted).collect() };
    // Whoever lacks nothing does not wait for somebody who builds another version.
    if machine::missing_packages()?.is_empty() && lacking().is_empty() {
        return Ok(());
    }
    let cache = instance.cache();
    let logs = cache.join("log");
    fs::create_dir_all(&logs).with_context(|| format!("make the cache {}", cache.display()))?;
    let _lock = lock::exclusive(&cache.join("lock"), "the cache of builds", LOCK_DEADLINE)?;
    let packages = machine::missing_packages()?;
    let builds = lacking();
    if builds.iter().any(|build| build.needs_go) {
        machine::check_go()?;
    }
    let total = builds.len() + usize::from(!packages.is_empty());
    if total > 0 {
        say(format_args!("{total} steps, once; logs in {}", logs.display()));
    }
    let mut number = 0;
    if !packages.is_empty() {
        number += 1;
        let mut step = Step::start(number, total, &format!("Debian packages: {}", packages.join(" ")));
        machine::install_packages(&packages, &logs.join("packages.log"), &mut step)?;
        step.finish();
    }
    for build in builds {
        number += 1;
        let mut step = Step::start(number, total, &build.what);
        run(instance, &build, &mut step)?;
        step.finish();
    }
    Ok(())
}

/// What has not been built. Needs no lock: what is in its place is whole.
fn missing(instance: &Instance) -> Vec<Build> {
    builds(instance)
        .into_iter()
        .filter(|build| !build.is_done())
        .collect()
}

/// The image of metrics-server, which some tests load.
pub fn metrics_server(instance: &Instance) -> PathBuf {
    instance.cache().join("metrics-server-0.9.0.tar")
}

/// In the order in which they need each other.
fn builds(instance: &Instance) -> Vec<Build> {
    let cache = instance.cache();
    let binaries = instance.binaries();
    let programs = |names: &[&str]| -> Vec<(String, PathBuf)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), binaries.join(name)))
            .collect()
    };
    let images = instance.images();
    let kubernetes = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "kubelet",
        "kubectl",
        "kubeadm",
    ];
    vec![
        Build {
            what: "the programs that enter nodes".to_owned(),
            script: "build/enter.sh",
            needs_go: false,
            products: vec![("enter".to_owned(), cache.join("enter"))],
        },
        Build {
            what: "root file system of the nodes (about 80 s)".to_owned(),
            script: "build/rootfs.sh",
            needs_go: false,
            products: vec![("rootfs".to_owned(), cache.join("rootfs"))],
        },
        Build {
            what: format!(
                "Kubernetes {} from source (about 6 min on 2 cores)",
                instance.kubernetes()
            ),
            script: "build/kubernetes.sh",
            needs_go: true,
            products: programs(&kubernetes),
        },
        Build {
            what: "etcd from source (about 30 s)".to_owned(),
            script: "build/etcd.sh",
            needs_go: true,
            products: programs(&["etcd"]),
        },
        Build {
            what: "CoreDNS from source (about 90 s)".to_owned(),
            script: "build/coredns.sh",
            needs_go: true,
            products: programs(&["coredns"]),
        },
        Build {
            what: "Helm from source (about 110 s)".to_owned(),
            script: HELM,
            needs_go: true,
            products: programs(&["helm"]),
        },
        Build {
            what: "metrics-server from source (about 3 min)".to_owned(),
            script: "build/metrics_server.sh",
            needs_go: true,
            products: vec![("metrics-server.tar".to_owned(), metrics_server(instance))],
        },
        Build {
            what: format!("images of Kubernetes {}", instance.kubernetes()),
            script: "build/images.sh",
            needs_go: false,
            products: vec![("images".to_owned(), images)],
        },
    ]
}

fn run(instance: &Instance, build: &Build, step: &mut Step) -> Result<()> {
    // A folder of our own: what a killed process has started may still write into its.
    let building = instance.cache().join(format!("building-{}", std::process::id()));
    clear_all(instance.cache())?;
    fs::create_dir(&building).with_context(|| format!("make {}", building.display()))?;
    let name = Path::new(build.script).file_stem().unwrap_or_default();
    let log = instance.cache().join("log").join(name).with_extension("log");
    // A log is about one build: its end explains an error.
    fs::write(&log, "").with_context(|| format!("empty {}", log.display()))?;
    let script = instance
        .script(build.script)
        .arg(&building)
        .log_to(&log)
        .deadline(BUILD_DEADLINE);
    let output = script.run_watched(|_| step.tick())?;
    script
        .succeeded(&output)
        .with_context(|| format!("build {}", build.what))?;
    for (name, place) in &build.products {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::rename(building.join(name), place)
            .with_context(|| format!("put {name} to {}", place.display()))?;
    }
    clear_all(instance.cache())
}

/// Removes all building folders, those of killed processes too.
fn clear_all(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache)
        .with_context(|| format!("list {}", cache.display()))?
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with("building-") {
            fs::remove_dir_all(entry.path()).with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}
