//! What the machine must have: rights, kernel features, Debian packages, Go.
//!
//! Invariant: everything that lacks is told at once, each with what to do about it; nothing is installed but Debian
//! packages, and those only by [`install_packages`].

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroup::CONTROLLERS;
use crate::command::Cmd;
use crate::progress::{Step, say};

/// The Debian packages that the scripts need, and what for.
const PACKAGES: [&str; 13] = [
    "buildah",        // the image of our programs
    "busybox-static", // the image of test pods
    "ca-certificates",
    "debootstrap", // the nodes' root file system
    "e2fsprogs",   // file systems of test disks
    "gcc",         // enter, pause
    "iproute2",
    "iptables", // bad links
    "libc6-dev",
    "nftables", // black holes and NAT
    "procps",   // kill, sysctl
    "python3",  // packs images
    "util-linux",
];
const INSTALL_DEADLINE: Duration = Duration::from_mins(15);

/// A feature, how to try it in namespaces that vanish at once, and what its lack means.
struct Probe {
    feature: &'static str,
    script: &'static str,
}

const PROBES: [Probe; 5] = [
    Probe {
        feature: "namespaces (mount, pid, uts, ipc, cgroup, net): in a container, run it with --privileged",
        script: "true",
    },
    Probe {
        feature: "bridges and veth pairs (CONFIG_BRIDGE, CONFIG_VETH)",
        script: "ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2",
    },
    Probe {
        feature: "nftables for bridges, with connection tracking (CONFIG_NF_TABLES_BRIDGE, CONFIG_NF_CONNTRACK, br_netfilter)",
        script: "nft 'table bridge t { chain c { type filter hook forward priority 0; }; }; \
                 table ip t { chain c { type filter hook forward priority 0; ct state new drop; }; }' \
                 && test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
    },
    Probe {
        feature: "queues of packets for bad links (CONFIG_NETFILTER_XT_TARGET_NFQUEUE, CONFIG_NETFILTER_XT_MATCH_PHYSDEV, \
                  CONFIG_NFT_COMPAT)",
        script: "iptables-nft -A FORWARD -m physdev --physdev-in probe0 -j NFQUEUE --queue-num 1",
    },
    Probe {
        feature: "overlay file systems (CONFIG_OVERLAY_FS)",
        script: "mount -t tmpfs tmpfs /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/m \
                 && mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/m",
    },
];

/// Checks what cannot be installed: rights, processor, cgroups. Needs no package.
///
/// # Errors
/// One line for each thing that lacks.
pub fn check_basics() -> Result<()> {
    let mut lacks = Vec::new();
    if !is_root() {
        lacks.push(
            "root: namespaces of nodes, apt-get and debootstrap need it (run it with sudo -E)".to_owned(),
        );
    }
    if std::env::consts::ARCH != "x86_64" {
        lacks.push(format!(
            "an x86_64 processor: the images are built for it, not for {}",
            std::env::consts::ARCH
        ));
    }
    let missing: Vec<_> = CONTROLLERS
        .iter()
        .filter(|name| !cgroup_is_mounted(name))
        .copied()
        .collect();
    if !missing.is_empty() {
        lacks.push(format!(
            "cgroup v1 hierarchies under /sys/fs/cgroup ({}): boot with systemd.unified_cgroup_hierarchy=0, or mount them",
            missing.join(", ")
        ));
    }
    report(&lacks)
}

/// Checks the kernel's features by trying them, once the packages for it are there.
///
/// # Errors
/// One line for each thing that lacks.
pub fn check_kernel() -> Result<()> {
    let mut lacks = Vec::new();
    for Probe { feature, script } in PROBES {
        let unshare = [
            "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--net", "sh", "-ec", script,
        ];
        if let Err(error) = Cmd::new("unshare").args(unshare).run_ok() {
            lacks.push(format!("{feature}\n    {error}"));
        }
    }
    if !Path::new("/dev/kmsg").exists() {
        lacks.push("/dev/kmsg: the kubelet exits without it".to_owned());
    }
    report(&lacks)
}

/// The limit of inotify instances, which all nodes of all clusters share: they belong to the machine's root. A node takes
/// about twenty; a kubelet that gets none ends.
const INOTIFY_INSTANCES: (&str, u64) = ("/proc/sys/fs/inotify/max_user_instances", 1024);

/// Raises the machine's limits that several clusters would exceed, until its next boot. Higher ones are left alone.
///
/// # Errors
/// When a limit is too low and cannot be raised.
pub fn raise_limits() -> Result<()> {
    let (path, wanted) = INOTIFY_INSTANCES;
    let found = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    if found.trim().parse::<u64>().is_ok_and(|found| found >= wanted) {
        return Ok(());
    }
    say(format_args!("raising {path} from {} to {wanted}", found.trim()));
    fs::write(path, wanted.to_string()).with_context(|| format!("raise {path} to {wanted}"))
}

/// Checks that Go is there: Kubernetes, etcd, CoreDNS and Helm are built with it.
///
/// # Errors
/// Says which version is wanted.
pub fn check_go() -> Result<()> {
    Cmd::new("go").arg("version").run_ok().context(
        "find Go: Kubernetes and Helm are built from source; install Go 1.26 or later (Debian's is too old) and put it in PATH",
    )?;
    Ok(())
}

/// Those of the Debian packages that the cluster needs which are not installed.
///
/// # Errors
/// On a machine without dpkg.
pub fn missing_packages() -> Result<Vec<&'static str>> {
    let query = Cmd::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(PACKAGES);
    // Packages that dpkg has never heard of make it fail; the list is complete all the same.
    let output = query
        .run()
        .context("ask dpkg for packages: the cluster needs Debian (or a derivative)")?;
    Ok(not_installed(&output.text()))
}

fn not_installed(listing: &str) -> Vec<&'static str> {
    let installed: Vec<_> = listing
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    PACKAGES
        .into_iter()
        .filter(|package| !installed.contains(package))
        .collect()
}

/// Installs `packages` by apt-get; its output goes to `log`.
///
/// # Errors
/// When apt-get fails, with the end of its log.
pub fn install_packages(packages: &[&str], log: &Path, step: &mut Step) -> Result<()> {
    let apt = |args: &[&str]| {
        Cmd::new("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .log_to(log)
            .deadline(INSTALL_DEADLINE)
    };
    let lists = apt(&["update", "-q"]);
    let output = lists.run_watched(|_| step.tick())?;
    lists
        .succeeded(&output)
        .context("fetch Debian's package lists: is there a network?")?;
    let install = apt(&["install", "-y", "-q", "--no-install-recommends"]).args(packages);
    let output = install.run_watched(|_| step.tick())?;
    install
        .succeeded(&output)
        .with_context(|| format!("install the Debian packages {}", packages.join(" ")))?;
    let missing = missing_packages()?;
    ensure!(
        missing.is_empty(),
        "apt-get succeeded, but these packages lack: {}",
        missing.join(" ")
    );
    Ok(())
}

/// Whether the effective user is root.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_user(&status) == Some("0")
}

/// The second number of the line `Uid:` (proc(5)).
fn effective_user(status: &str) -> Option<&str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .nth(1)
}

fn cgroup_is_mounted(controller: &str) -> bool {
    Path::new("/sys/fs/cgroup")
        .join(controller)
        .join("cgroup.procs")
        .exists()
}

fn report(lacks: &[String]) -> Result<()> {
    if lacks.is_empty() {
        return Ok(());
    }
    bail!(
        "this machine lacks what the cluster needs:\n  {}",
        lacks.join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_was_removed_counts_as_missing() {
        let listing = PACKAGES.map(|package| match package {
            "gcc" => "gcc config-files".to_owned(),
            "python3" => String::new(),
            _ => format!("{package} installed"),
        });
        assert_eq!(not_installed(&listing.join("\n")), ["gcc", "python3"]);
    }

    #[test]
    fn the_effective_user_is_the_second_number() {
        assert_eq!(
            effective_user("Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n"),
            Some("0")
        );
        assert_eq!(effective_user(""), None);
    }

    #[test]
    fn all_that_lacks_is_told_at_once() {
        let text = report(&["one".to_owned(), "two".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(text.contains("one") && text.contains("two"), "{text}");
    }
}
