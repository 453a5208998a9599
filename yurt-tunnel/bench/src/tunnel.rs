//! A server and an agent, each a process, and what all of them share.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use yurt_testkit::ca::{Authority, Leaf};
use yurt_testkit::process::{Process, Program};
use yurt_testkit::scratch::Scratch;

use crate::way::Way;

/// The address of the node in the cluster; nobody dials it.
const NODE: &str = "10.9.9.9";
/// Three times what it takes until an agent is connected, on a busy machine and over a bad link.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module's header.
pub(crate) struct Stand {
    pub(crate) binary: PathBuf,
    pub(crate) quick: bool,
    pub(crate) authority: Authority,
    pub(crate) folder: Scratch,
}

/// Where a program runs, and what it is told beside what all are told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    /// A network namespace.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) args: &'a [String],
}

impl Stand {
    pub(crate) fn new(binary: PathBuf, quick: bool) -> Result<Self> {
        let (authority, folder) = (Authority::new("bench")?, Scratch::new()?);
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).context("write the authority")?;
        Ok(Self {
            binary,
            quick,
            authority,
            folder,
        })
    }

    /// How often something is done.
    pub(crate) fn rounds(&self, usual: usize, quick: usize) -> usize {
        if self.quick { quick } else { usual }
    }

    /// A folder of its own.
    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let mut folder = self.folder.path().join(name);
        let mut number = 0;
        while folder.exists() {
            number += 1;
            folder = self.folder.path().join(format!("{name}-{number}"));
        }
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(folder)
    }

    /// The file with the authority's certificate.
    pub(crate) fn trust(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Certificate and key of an agent, as files in `folder`.
    pub(crate) fn agent_files(&self, folder: &Path, node: &str) -> Result<(PathBuf, PathBuf)> {
        let leaf = Leaf::new(node).organization("yurt:tunnel-agents");
        self.authority.issue(&leaf)?.write(folder, node)
    }

    /// Starts a server with a socket for `CONNECT` in `folder`.
    pub(crate) fn server(
        &self,
        folder: &Path,
        id: &str,
        listen: SocketAddr,
        place: Place<'_>,
    ) -> Result<Process> {
        let leaf = Leaf::new(id)
            .organization("yurt:tunnel-servers")
            .alt_names(["yurt-tunnel-server"]);
        let files = self.authority.issue(&leaf)?.write(folder, id)?;
        let program = self.program(folder, ("server", id), &files, place);
        let program = program.args(["--listen", &listen.to_string(), "--connect-socket"]);
        program.arg(socket(folder, id)).start()
    }

    /// Starts an agent.
    pub(crate) fn agent(
        &self,
        folder: &Path,
        node: &str,
        server: SocketAddr,
        place: Place<'_>,
    ) -> Result<Process> {
        let files = self.agent_files(folder, node)?;
        let program = self.program(folder, ("agent", node), &files, place);
        program.args(["--server", &server.to_string()]).start()
    }

    fn program(
        &self,
        folder: &Path,
        (end, name): (&str, &str),
        (certificate, key): &(PathBuf, PathBuf),
        place: Place<'_>,
    ) -> Program {
        let log = folder.join(format!("{name}.log"));
        let program = within(place.namespace, &self.binary, &log);
        program
            .args([
                end,
                "--node-name",
                name,
                "--health-listen",
                "127.0.0.1:0",
                "--cert-file",
            ])
            .arg(certificate)
            .arg("--key-file")
            .arg(key)
            .arg("--trust-file")
            .arg(self.trust())
            .args(place.args)
    }
}

/// The program at `path`, in a network namespace if there is one.
pub(crate) fn within(namespace: Option<&str>, path: &Path, log: &Path) -> Program {
    match namespace {
        Some(namespace) => Program::new("ip", log)
            .args(["netns", "exec", namespace])
            .arg(path),
        None => Program::new(path, log),
    }
}

/// The socket for `CONNECT` of the server `id`.
pub(crate) fn socket(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.sock"))
}

/// An address of this machine that nobody listens at.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("look for a free port")?;
    Ok(listener.local_addr()?)
}

/// Server and agent.
pub(crate) struct Tunnel {
    pub(crate) server: Process,
    pub(crate) agent: Process,
    way: Way,
}

/// Where both ends are, and what is told to each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) server: Place<'a>,
    pub(crate) agent: Place<'a>,
}

impl Tunnel {
    /// On loopback, to `target`; `args` are the agent's.
    pub(crate) async fn start(stand: &Stand, target: SocketAddr, args: &[&str]) -> Result<Self> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let ends = Ends {
            listen: free_address()?,
            server: Place::default(),
            agent: Place {
                namespace: None,
                args: &args,
            },
        };
        Self::between(stand, target.port(), ends).await
    }

    /// Wherever both ends are.
    pub(crate) async fn between(stand: &Stand, port: u16, ends: Ends<'_>) -> Result<Self> {
        let folder = stand.new_folder("tunnel")?;
        let node = ["--node".to_owned(), format!("{NODE}=edge1:{port}")];
        let args = [ends.server.args, &node].concat();
        let place = Place {
            args: &args,
            ..ends.server
        };
        let server = stand.server(&folder, "server-a", ends.listen, place)?;
        let args = [ends.agent.args, &["--kubelet-port".to_owned(), port.to_string()]].concat();
        let agent = stand.agent(
            &folder,
            "edge1",
            ends.listen,
            Place {
                args: &args,
                ..ends.agent
            },
        )?;
        let way = Way::Connect(socket(&folder, "server-a"), format!("{NODE}:{port}"));
        let tunnel = Self { server, agent, way };
        reachable(&tunnel.way).await.with_context(|| {
            format!(
                "server: {}\nagent: {}",
                tunnel.server.log_tail(5),
                tunnel.agent.log_tail(5)
            )
        })?;
        Ok(tunnel)
    }

    pub(crate) fn way(&self) -> Way {
        self.way.clone()
    }
}

/// Waits until a connection can be opened.
pub(crate) async fn reachable(way: &Way) -> Result<()> {
    let begun = Instant::now();
    loop {
        match way.open().await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
