//! A node behind a bad link: three network namespaces (the cloud, the link, the node), and a link emulator in the middle one.
//!
//! Needs root. Invariant: the namespaces, and with them all that is in them, go with the [`Site`].

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::command::Cmd;
use link_emulator::control::{Control, Request};
use link_emulator::emulator::Emulator;
use link_emulator::queue::Queue;
use link_emulator::{Quality, QueueLimit, Shape};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use yurt_testkit::process::Process;

use crate::target::SOURCE;
use crate::tunnel::{Stand, within};
use crate::way::read_for;

/// Bandwidth of the link, in bits a second.
pub(crate) const RATE: u64 = 50_000_000;
/// The link's round trip.
pub(crate) const RTT: Duration = Duration::from_millis(100);
/// The queue before it holds as much as is on its way.
const QUEUE: Duration = Duration::from_millis(100);
/// Where the server listens.
pub(crate) const SERVER: &str = "10.77.1.2:10262";
/// The target's port.
pub(crate) const PORT: u16 = 10250;
const NODE: &str = "10.77.2.2";
const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
const SEED: &str = "1";

/// See the module's header.
pub(crate) struct Site {
    pub(crate) cloud: String,
    pub(crate) node: String,
    control: Control,
    _processes: [Process; 2],
    _namespaces: Namespaces,
}

/// Network namespaces by name, which go with this.
struct Namespaces([String; 3]);

impl Drop for Namespaces {
    fn drop(&mut self) {
        for namespace in &self.0 {
            // One that is gone already is what is wanted.
            let _ = Cmd::new("ip").args(["netns", "del", namespace]).run();
        }
    }
}

impl Site {
    /// With a perfect link, and a target on the node.
    pub(crate) async fn start(stand: &Stand) -> Result<Self> {
        let name = |part: &str| format!("yurt-bench-{}-{part}", std::process::id());
        let (cloud, link, node) = (name("cloud"), name("link"), name("node"));
        let namespaces = Namespaces([cloud.clone(), link.clone(), node.clone()]);
        connect(&cloud, &link, &node).context("make network namespaces; that needs root")?;
        let folder = stand.new_folder("site")?;
        let ours = std::env::current_exe().context("find this program")?;
        let socket = folder.join("link.sock");
        let emulator = within(Some(&link), &ours, &folder.join("link.log"));
        let emulator = emulator
            .arg("emulate")
            .arg(&socket)
            .args(["1", "2", SEED])
            .start()?;
        let target = within(Some(&node), &ours, &folder.join("target.log"));
        let target = target.args(["target", &format!("0.0.0.0:{PORT}")]).start()?;
        let control = Control::at(socket);
        let site = Self {
            cloud,
            node,
            control,
            _processes: [emulator, target],
            _namespaces: namespaces,
        };
        let begun = Instant::now();
        while !site.control.is_running() {
            ensure!(begun.elapsed() < DEADLINE, "the link emulator does not answer");
            sleep(PAUSE).await;
        }
        Ok(site)
    }

    /// Makes the link lose packets, in both directions.
    pub(crate) fn lose(&self, loss: f64) -> Result<()> {
        let quality = Quality {
            loss,
            delay: RTT / 2,
            rate: Some(RATE),
            queue: Some(QueueLimit::Time(QUEUE)),
            ..Quality::default()
        };
        self.control.ask(&Request::Set(Box::new(Shape::both(quality))))?;
        Ok(())
    }

    /// Bytes a second that the kernel's own TCP carries from the node.
    pub(crate) fn plain(&self, warm_up: Duration, time: Duration) -> Result<f64> {
        let ours = std::env::current_exe().context("find this program")?;
        let said = Cmd::new("ip")
            .args(["netns", "exec", &self.cloud])
            .arg(ours)
            .args(["fetch", &format!("{NODE}:{PORT}")])
            .args([warm_up, time].map(|time| time.as_secs().to_string()))
            .deadline(warm_up + time + DEADLINE)
            .run_ok()?;
        said.trim().parse().with_context(|| format!("read `{said}`"))
    }
}

/// Cloud, link and node in a row; TCP is as this kernel has it by default.
fn connect(cloud: &str, link: &str, node: &str) -> Result<()> {
    let ip = |args: &[&str]| Cmd::new("ip").args(args).run_ok();
    for namespace in [cloud, link, node] {
        ip(&["netns", "add", namespace])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    }
    for (end, side, net) in [(cloud, "cloud", 1), (node, "node", 2)] {
        let (inner, outer) = (format!("10.77.{net}.1"), format!("10.77.{net}.2"));
        let peer = ["peer", "name", "eth0", "netns", end];
        ip(&[&["-n", link, "link", "add", side, "type", "veth"][..], &peer].concat())?;
        ip(&["-n", link, "addr", "add", &format!("{inner}/24"), "dev", side])?;
        ip(&["-n", link, "link", "set", side, "up"])?;
        ip(&["-n", end, "addr", "add", &format!("{outer}/24"), "dev", "eth0"])?;
        ip(&["-n", end, "link", "set", "eth0", "up"])?;
        ip(&["-n", end, "route", "add", "default", "via", &inner])?;
    }
    ip(&[
        "netns",
        "exec",
        link,
        "sh",
        "-c",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ])?;
    // Not `queue` of nftables itself, which not every kernel has.
    for (side, queue) in [("node", "1"), ("cloud", "2")] {
        let rule = ["-A", "FORWARD", "-i", side, "-j", "NFQUEUE", "--queue-num", queue];
        ip(&[&["netns", "exec", link, "iptables-nft"][..], &rule].concat())?;
    }
    Ok(())
}

/// Runs a link emulator in the namespace of this process.
pub(crate) fn emulate(socket: &Path, up: u16, down: u16, seed: u64) -> Result<()> {
    Emulator::new(Queue::open(up, down)?, socket, seed)?.run()
}

/// Reads from a target; bytes a second.
pub(crate) async fn fetch(address: SocketAddr, warm_up: u64, seconds: u64) -> Result<f64> {
    let stream = timeout(DEADLINE, tokio::net::TcpStream::connect(address)).await;
    let mut stream = stream.context("no connection in time")??;
    stream.write_all(&[SOURCE]).await?;
    read_for(
        Box::new(stream),
        Duration::from_secs(warm_up),
        Duration::from_secs(seconds),
    )
    .await
}
