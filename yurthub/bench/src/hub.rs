//! A yurthub to be measured: the shipped binary with the node's certificate and an empty data folder.
//!
//! Its environment is the unit's (`yurthub/packaging/yurthub.service`) as far as it matters to figures. Not here:
//! systemd and its sandbox. Invariant: a hub and all that it wrote end with its [`Hub`].

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use yurt_testkit::api::Raw;
use yurt_testkit::ca::Identity;
use yurt_testkit::process::{Process, Program};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, ApiServer, Link};

use crate::client::Door;
use crate::stand::{NODE, Stand};

const READY_WITHIN: Duration = Duration::from_mins(1);
/// How exactly changes of the hub's mind are seen.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Mounts the image `$1` at `$2` in the mount namespace of this process alone, and becomes the rest.
const ON_DEVICE: &str = r#"mount -o loop "$1" "$2" && shift 2 && exec "$@""#;

/// How a hub is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Straight to the apiserver: for times.
    Plain,
    /// Straight to the apiserver, with an address for pods.
    ForPods,
    /// Over a link that counts bytes and can be cut: for bytes.
    OverLink,
    /// The data folder on an ext4 file system of its own: for writes. The file is the device's image.
    OnDevice,
}

/// A running yurthub.
pub(crate) struct Hub {
    pub(crate) process: Process,
    /// Its way to the apiserver, where it is over one.
    link: Option<Link>,
    address: SocketAddr,
    for_pods: Option<SocketAddr>,
    kubelet: Identity,
    status: Api,
    direct: Door,
    folder: Scratch,
}

impl Hub {
    /// Starts one with an empty data folder, and waits until it is ready and has found the cloud.
    pub(crate) async fn start(stand: &Stand, setup: Setup) -> Result<Self> {
        let server = stand.server().await?;
        let folder = Scratch::new()?;
        let link = match setup {
            Setup::OverLink => Some(Link::to(server.address()).context("make a link")?),
            Setup::Plain | Setup::ForPods | Setup::OnDevice => None,
        };
        let upstream = link.as_ref().map_or_else(|| server.address(), Link::address);
        let kubelet = server.authority().node_cert(NODE)?;
        write_kubeconfig(folder.path(), upstream, server)?;
        kubelet.write_combined(&folder.path().join("kubelet.pem"))?;
        let [address, health, for_pods] = free_addresses()?;
        let for_pods = (setup == Setup::ForPods).then_some(for_pods);
        let program = program(stand, folder.path(), setup)?
            .args(arguments(folder.path(), address, health))
            .args(for_pods.map(|address| format!("--listen-pods={address}")))
            .env("MALLOC_ARENA_MAX", "2");
        let mut hub = Self {
            process: program.start()?,
            link,
            address,
            for_pods,
            status: Api::http(health),
            direct: Door::new(server.address(), &server.authority().pem(), &kubelet)?,
            kubelet,
            folder,
        };
        hub.ready().await?;
        Ok(hub)
    }

    async fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.cloud_up().await.ok() != Some(true) {
            if self.process.ended()?.is_some() || start.elapsed() > READY_WITHIN {
                bail!("yurthub does not become ready:\n{}", self.process.log_tail(20));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Starts it again, after it was killed, with the same folder and address.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.ready().await
    }

    /// The way to it, as its node's kubelet.
    pub(crate) fn door(&self) -> Result<Door> {
        Door::new(self.address, &self.ca()?, &self.kubelet)
    }

    /// The way to it, as the pod that has `token`.
    pub(crate) fn door_for_pods(&self, token: &str) -> Result<Door> {
        let address = self.for_pods.context("this yurthub has no address for pods")?;
        Door::with_token(address, &self.ca()?, token)
    }

    /// What its certificate is signed by.
    fn ca(&self) -> Result<String> {
        // On a device it is only there for the hub's own eyes.
        let root = PathBuf::from(format!("/proc/{}/root", self.process.pid()));
        let ca = root.join(self.data().join("pki/ca.crt").strip_prefix("/")?);
        std::fs::read_to_string(&ca).with_context(|| format!("read {}", ca.display()))
    }

    /// The way past it to the apiserver, as the same kubelet.
    pub(crate) fn direct(&self) -> &Door {
        &self.direct
    }

    pub(crate) fn link(&self) -> Result<&Link> {
        self.link.as_ref().context("this yurthub is not behind a link")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let reply = self.status.send(Raw::new(Method::GET, "/metrics")).await?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let of_metric = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let values: Vec<f64> = text
            .lines()
            .filter(of_metric)
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        ensure!(!values.is_empty(), "yurthub has no metric {name}");
        Ok(values.iter().sum())
    }

    async fn cloud_up(&self) -> Result<bool> {
        Ok(self.metric("yurthub_cloud_up").await? > 0.5)
    }

    /// How long it takes until it knows that the cloud is there, or not; looks every 50 ms.
    pub(crate) async fn notices(&self, up: bool, deadline: Duration) -> Result<Duration> {
        let start = Instant::now();
        while self.cloud_up().await? != up {
            ensure!(
                start.elapsed() < deadline,
                "yurthub has not noticed within {} s that the cloud is {}",
                deadline.as_secs(),
                if up { "back" } else { "away" }
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(start.elapsed())
    }
}

fn program(stand: &Stand, folder: &Path, setup: Setup) -> Result<Program> {
    let log = folder.join("yurthub.log");
    if setup != Setup::OnDevice {
        return Ok(Program::new(stand.binary(), log));
    }
    let (image, data) = (crate::disk::image(folder)?, folder.join("data"));
    std::fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
    Ok(Program::new("unshare", log)
        .args(["--mount", "/bin/sh", "-c", ON_DEVICE, "sh"])
        .args([&image, &data])
        .arg(stand.binary()))
}

fn arguments(folder: &Path, listen: SocketAddr, health: SocketAddr) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--kubeconfig={}", file("kubeconfig")),
        format!("--data-dir={}", file("data")),
        format!("--admin-socket={}", file("admin.sock")),
        format!("--listen={listen}"),
        format!("--health-listen={health}"),
    ]
}

fn write_kubeconfig(folder: &Path, address: SocketAddr, server: &ApiServer) -> Result<()> {
    std::fs::write(folder.join("ca.crt"), server.authority().pem()).context("write the CA")?;
    let kubeconfig = format!(
        "apiVersion: v1
kind: Config
current-context: kubelet
contexts: [{{name: kubelet, context: {{cluster: cloud, user: kubelet}}}}]
clusters: [{{name: cloud, cluster: {{certificate-authority: ca.crt, server: 'https://{address}'}}}}]
users: [{{name: kubelet, user: {{client-certificate: kubelet.pem, client-key: kubelet.pem}}}}]
"
    );
    std::fs::write(folder.join("kubeconfig"), kubeconfig).context("write a kubeconfig")
}

/// Three ports that are free now; held together so that they differ.
fn free_addresses() -> Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("look for a free port");
    let listeners = [bind()?, bind()?, bind()?];
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 3];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}
