//! A real etcd and a real kube-apiserver on loopback, with nothing of a cluster around them.
//!
//! There are no controllers: namespaces have the service accounts that [`ensure_namespace`](crate::objects) makes,
//! deleted namespaces stay, nodes never go unready. Authentication, authorization (Node, RBAC), admission, watch
//! caches and tokens are the real ones.
//!
//! It takes 4–5 s to start: one per test binary, in a static `tokio::sync::OnceCell`; a static is never dropped, and
//! the processes end with the test binary all the same.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::sync::Mutex;

use crate::api::Api;
use crate::binaries::binary;
use crate::ca::{Authority, Identity, Leaf, write_token_keys};
use crate::etcd;
use crate::objects::ensure_namespace;
use crate::process::{Process, Program};
use crate::scratch::Scratch;

/// Three times what it takes on a slow machine.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How often to look whether a server is ready.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts with other ports when somebody else took ours between choosing and listening.
const ATTEMPTS: usize = 3;

/// A running control plane of two processes. Dropping it kills both, and removes all that they wrote.
pub struct ApiServer {
    // The order of fields is the order in which they go.
    apiserver: Mutex<Process>,
    etcd_process: Mutex<Process>,
    etcd: Api,
    admin: Api,
    authority: Authority,
    address: SocketAddr,
    etcd_address: SocketAddr,
    admin_identity: Identity,
    scratch: Scratch,
}

/// A further apiserver beside an [`ApiServer`], which must outlive it. Dropping it kills it.
pub struct Replica {
    process: Process,
    address: SocketAddr,
}

impl Replica {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL: its connections are reset and new ones refused until [`Replica::resume`].
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(|_| ())
    }

    /// Starts it again on the same port and waits until it is ready; `admin` is any client of the cluster's admin.
    pub async fn resume(&mut self, admin: &Api) -> Result<()> {
        self.process.restart()?;
        match ready(&mut self.process, &admin.at(self.address), "/readyz").await {
            Ok(()) => Ok(()),
            Err(Failure::PortTaken(error) | Failure::Other(error)) => {
                Err(error.context("restarting the second apiserver"))
            }
        }
    }
}

/// What an [`ApiServer`] stored at some time.
#[derive(Debug)]
pub struct Backup {
    copy: Scratch,
}

/// How to start an [`ApiServer`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    args: Vec<String>,
}

impl Builder {
    /// How often the apiserver compacts etcd (`--etcd-compaction-interval`); `"0"` for never, not even
    /// noticing what others compact. Its default is 5m0s.
    #[must_use]
    pub fn compaction(self, interval: &str) -> Self {
        self.arg(format!("--etcd-compaction-interval={interval}"))
    }

    /// Any argument of kube-apiserver; the last one of a name wins.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts etcd and the apiserver and waits until both are ready and pods can be created in `default`.
    pub async fn start(self) -> Result<ApiServer> {
        let mut last = anyhow!("no attempt was made");
        for _ in 0..ATTEMPTS {
            match start(&self.args).await {
                Ok(server) => return Ok(server),
                Err(Failure::PortTaken(error)) => last = error,
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(last.context(format!("{ATTEMPTS} attempts to start an apiserver failed")))
    }
}

/// Why a start failed, and so whether to try again with other ports.
#[derive(Debug)]
enum Failure {
    PortTaken(anyhow::Error),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl ApiServer {
    /// Starts one with the defaults.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// To start one with other arguments.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens: 127.0.0.1 and the same port for all its life, restarts included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The cluster CA: it signed the serving certificate, and client certificates that it signs are believed.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A client that may do everything.
    pub fn admin(&self) -> &Api {
        &self.admin
    }

    /// The certificate behind [`ApiServer::admin`], for programs that are told files.
    pub fn admin_identity(&self) -> &Identity {
        &self.admin_identity
    }

    /// A client with the identity of `node`'s kubelet.
    pub fn as_node(&self, node: &str) -> Result<Api> {
        self.as_identity(&self.authority.node_cert(node)?)
    }

    /// A client with any certificate.
    pub fn as_identity(&self, identity: &Identity) -> Result<Api> {
        Api::https(self.address, &self.authority.pem(), Some(identity))
    }

    /// A client without any credentials; see [`Api::with_token`].
    pub fn anonymous(&self) -> Result<Api> {
        Api::https(self.address, &self.authority.pem(), None)
    }

    /// A folder of its own, for what a test wants to keep for as long as the server lives.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Kills only the apiserver and starts it on the same port and data. Its watch caches are new: what happened
    /// before is no longer in them, and a watch from then is answered with 410.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.resume().await
    }

    /// Kills only the apiserver: clients are refused until [`ApiServer::resume`].
    pub async fn stop(&self) -> Result<()> {
        self.apiserver.lock().await.kill().map(|_| ())
    }

    /// Starts the apiserver after [`ApiServer::stop`] and waits until it is ready.
    pub async fn resume(&self) -> Result<()> {
        let mut process = self.apiserver.lock().await;
        process.restart()?;
        match ready(&mut process, &self.admin, "/readyz").await {
            Ok(()) => Ok(()),
            Err(Failure::PortTaken(error) | Failure::Other(error)) => {
                Err(error.context("restarting the apiserver"))
            }
        }
    }

    /// Takes a backup of all that the cluster stores, for [`ApiServer::restore`]. Both processes are restarted for it.
    pub async fn backup(&self) -> Result<Backup> {
        let copy = Scratch::new()?;
        self.without_processes(|data| copy_folder(data, &copy.path().join("etcd")))
            .await?;
        Ok(Backup { copy })
    }

    /// Puts a backup in the place of all that the cluster stores, and starts both processes on it: what happened since
    /// has never been, and versions of that time are given to other things.
    pub async fn restore(&self, backup: &Backup) -> Result<()> {
        self.without_processes(|data| {
            fs::remove_dir_all(data).context("removing etcd's data")?;
            copy_folder(&backup.copy.path().join("etcd"), data)
        })
        .await
    }

    /// Does something to etcd's folder while neither process runs.
    async fn without_processes(&self, act: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.stop().await?;
        let mut etcd_process = self.etcd_process.lock().await;
        etcd_process.kill()?;
        act(&self.folder().join("etcd"))?;
        etcd_process.restart()?;
        match ready(&mut etcd_process, &self.etcd, "/health").await {
            Ok(()) => {}
            Err(Failure::PortTaken(error) | Failure::Other(error)) => {
                return Err(error.context("restarting etcd"));
            }
        }
        self.resume().await
    }

    /// Starts one more apiserver on the same etcd, with the same certificates, and waits until it is ready.
    pub async fn replica(&self) -> Result<Replica> {
        let mut last = anyhow!("no attempt was made");
        for _ in 0..ATTEMPTS {
            let [address, ..] = free_addresses()?;
            let name = format!("apiserver-{}.log", address.port());
            let mut process =
                apiserver_program(self.folder(), (self.etcd_address, address), &name)?.start()?;
            match ready(&mut process, &self.admin.at(address), "/readyz").await {
                Ok(()) => return Ok(Replica { process, address }),
                Err(Failure::PortTaken(error)) => last = error,
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(last.context(format!("{ATTEMPTS} attempts to start a second apiserver failed")))
    }

    /// Forgets the history of all objects up to now, and gives the revision of "now".
    ///
    /// Lists that go to etcd (`continue` tokens, exact old versions) are answered with 410 at once. Those that the
    /// watch cache's snapshots answer follow within 15 s (apiserver/pkg/storage/cacher/compactor.go), or never with
    /// `compaction("0")`; `--feature-gates=ListFromCacheSnapshot=false` sends them all to etcd. Watches are served
    /// from the watch cache's memory, which compaction does not touch: see [`ApiServer::expire_watches`].
    pub async fn compact(&self) -> Result<u64> {
        let revision = etcd::revision(&self.etcd).await?;
        etcd::compact(&self.etcd, revision).await?;
        Ok(revision)
    }

    /// Compacts and restarts the apiserver: from now on every watch and every list of an older version is answered
    /// with 410.
    pub async fn expire_watches(&self) -> Result<u64> {
        let revision = self.compact().await?;
        self.restart().await?;
        Ok(revision)
    }

    /// etcd's current revision, which is the newest `resourceVersion` that the apiserver can tell.
    pub async fn revision(&self) -> Result<u64> {
        etcd::revision(&self.etcd).await
    }

    /// The process ids of etcd and of the apiserver.
    pub async fn pids(&self) -> [i32; 2] {
        [
            self.etcd_process.lock().await.pid(),
            self.apiserver.lock().await.pid(),
        ]
    }

    /// The last lines of the apiserver's log.
    pub async fn log_tail(&self, lines: usize) -> String {
        self.apiserver.lock().await.log_tail(lines)
    }
}

async fn start(extra: &[String]) -> Result<ApiServer, Failure> {
    let scratch = Scratch::new()?;
    let folder = scratch.path();
    let [etcd_address, peer_address, address] = free_addresses()?;

    let mut etcd_process = etcd_program(folder, etcd_address, peer_address)?.start()?;
    let authority = Authority::new("kubernetes")?;
    write_credentials(folder, &authority)?;
    let admin_identity = authority.admin_cert()?;
    let admin = Api::https(address, &authority.pem(), Some(&admin_identity))?;

    let mut apiserver = apiserver_program(folder, (etcd_address, address), "apiserver.log")?
        .args(extra)
        .start()?;
    let etcd = Api::http(etcd_address);
    ready(&mut etcd_process, &etcd, "/health").await?;
    ready(&mut apiserver, &admin, "/readyz").await?;
    ensure_namespace(&admin, "default").await?;
    let apiserver = Mutex::new(apiserver);
    let etcd_process = Mutex::new(etcd_process);
    Ok(ApiServer {
        apiserver,
        etcd_process,
        etcd,
        admin,
        authority,
        address,
        etcd_address,
        admin_identity,
        scratch,
    })
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading `{}`", from.display()))? {
        let entry = entry.context("reading a folder")?;
        let target = to.join(entry.file_name());
        if entry.file_type().context("reading a folder")?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copying to `{}`", target.display()))?;
        }
    }
    Ok(())
}

/// Three ports that are free now; held together so that they differ.
fn free_addresses() -> Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port");
    let held = [bind()?, bind()?, bind()?];
    let address = |held: &TcpListener| held.local_addr().context("asking for a port");
    Ok([address(&held[0])?, address(&held[1])?, address(&held[2])?])
}

/// `etcd`: without fsync, because no test outlives a power cut of this machine.
fn etcd_program(folder: &Path, clients: SocketAddr, peers: SocketAddr) -> Result<Program> {
    Ok(Program::new(binary("etcd")?, folder.join("etcd.log"))
        .arg("--name=default")
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .arg(format!("--listen-client-urls=http://{clients}"))
        .arg(format!("--advertise-client-urls=http://{clients}"))
        .arg(format!("--listen-peer-urls=http://{peers}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peers}"))
        .arg(format!("--initial-cluster=default=http://{peers}"))
        .args(["--unsafe-no-fsync", "--log-level=warn"]))
}

fn apiserver_program(folder: &Path, (etcd, address): (SocketAddr, SocketAddr), log: &str) -> Result<Program> {
    let file = |name: &str| folder.join(name).display().to_string();
    Ok(Program::new(binary("kube-apiserver")?, folder.join(log))
        .arg(format!("--etcd-servers=http://{etcd}"))
        .arg(format!("--bind-address={}", address.ip()))
        .arg(format!("--advertise-address={}", address.ip()))
        .arg(format!("--secure-port={}", address.port()))
        .arg(format!("--tls-cert-file={}", file("server.crt")))
        .arg(format!("--tls-private-key-file={}", file("server.key")))
        .arg(format!("--client-ca-file={}", file("ca.crt")))
        .arg(format!("--cert-dir={}", file("apiserver")))
        .arg(format!("--service-account-key-file={}", file("tokens.pub")))
        .arg(format!(
            "--service-account-signing-key-file={}",
            file("tokens.key")
        ))
        .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
        .arg("--service-cluster-ip-range=10.96.0.0/16")
        .arg("--authorization-mode=Node,RBAC")
        .arg("--enable-admission-plugins=NodeRestriction")
        // It would refuse to publish a loopback address as an endpoint.
        .arg("--endpoint-reconciler-type=none")
        .args(["--allow-privileged=true", "--profiling=false"]))
}

fn write_credentials(folder: &Path, authority: &Authority) -> Result<()> {
    fs::write(folder.join("ca.crt"), authority.pem()).context("writing the cluster CA")?;
    let outward = outward_address().map_or_else(|| "localhost".into(), |address| address.to_string());
    let names = [
        "127.0.0.1",
        &outward,
        "localhost",
        "10.96.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    authority.issue(&Leaf::server(names))?.write(folder, "server")?;
    write_token_keys(folder)
}

/// An address of this machine that is not loopback, where it has one: endpoints may not be loopback, and serving
/// certificates name it. Nothing is sent.
pub fn outward_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

/// Waits until `path` answers 200. Ends early when the process does.
async fn ready(process: &mut Process, api: &Api, path: &str) -> Result<(), Failure> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        let answer = api.get(path).await;
        if matches!(answer, Ok((200, _))) {
            return Ok(());
        }
        if let Some(status) = process.ended()? {
            let log = process.log_tail(20);
            let error = anyhow!("{} ended with {status}:\n{log}", process.log_path().display());
            let taken = log.contains("address already in use");
            return Err(if taken {
                Failure::PortTaken(error)
            } else {
                Failure::Other(error)
            });
        }
        if Instant::now() >= until {
            let log = process.log_tail(20);
            return Err(anyhow!("not ready after {READY_WITHIN:?}: {answer:?}\n{log}").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
