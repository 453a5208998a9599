//! A server and agents in this process, and listeners that stand for kubelets.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use yurt_common::node_certificates::Role;
use yurt_common::node_certificates::verifier::Verifier;
use yurt_testkit::ca::{Authority, Identity, Leaf};
use yurt_testkit::wait_for;
use yurt_tunnel::agent::targets::Targets;
use yurt_tunnel::agent::{self, Agent, Times};
use yurt_tunnel::files;
use yurt_tunnel::protocol::VERSIONS;
use yurt_tunnel::server::listen::Listeners;
use yurt_tunnel::server::{self, Server};
use yurt_tunnel::transport::quic::Congestion;
use yurt_tunnel::transport::race::Dialling;

use crate::site::SOON;

/// A server with one agent, until it is dropped.
pub(crate) struct Tunnel {
    pub(crate) server: Arc<Server>,
    /// Everything that runs.
    pub(crate) tasks: JoinSet<()>,
}

impl Tunnel {
    /// Whose agent, on `node`, takes `kubelet` for its kubelet's port. The node is connected.
    pub(crate) async fn start(node: &str, kubelet: u16) -> Self {
        let authority = Authority::new("tunnel").unwrap();
        let verifier = Arc::new(Verifier::new(&[Role::TunnelAgent, Role::TunnelServer]));
        verifier.trust(&authority.pem()).unwrap();
        verifier.forget(&BTreeMap::new());
        let leaf = Leaf::new("m1")
            .organization("yurt:tunnel-servers")
            .alt_names(["yurt-tunnel-server"]);
        let identity = watch::Sender::new(Some(certified(&authority.issue(&leaf).unwrap())));
        let server = Server::new(server::Settings {
            identity: identity.subscribe(),
            verifier,
            members: watch::Sender::default(),
            budget: 1 << 30,
            congestion: Congestion::default(),
            versions: VERSIONS,
            metrics: Arc::default(),
        });
        let at = ([127, 0, 0, 1], 0).into();
        let listeners = Listeners::bind(&server, at, true).await.unwrap();
        let address = listeners.address().unwrap();

        let leaf = Leaf::new(node).organization("yurt:tunnel-agents");
        let own = watch::Sender::new(Some(certified(&authority.issue(&leaf).unwrap())));
        let trust = watch::Sender::new(Arc::new(files::roots(&authority.pem()).unwrap()));
        let agent = Agent::new(agent::Settings {
            node: node.to_owned(),
            dialling: Dialling::new(own.subscribe(), trust.subscribe()).unwrap(),
            targets: Targets {
                kubelet,
                allowed: [].into(),
                policy: None,
            },
            bootstrap: vec![address.to_string()],
            folder: None,
            sessions: 1,
            times: Times::default(),
            versions: VERSIONS,
            metrics: Arc::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listeners.serve(Arc::clone(&server)));
        tasks.spawn(async move {
            let _kept = (identity, own, trust);
            agent.run().await;
        });
        let dialer = server.dialer();
        wait_for("the agent to be connected", SOON, async || {
            dialer.is_connected(node)
        })
        .await;
        Self { server, tasks }
    }
}

fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let (chain, key) = der(identity);
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap())
}

fn der(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes());
    (chain.collect::<Result<_, _>>().unwrap(), key.unwrap())
}

/// Listens in a kubelet's place, with TLS, and says its name and what it was asked for. Its port.
pub(crate) async fn kubelet(name: &'static str, tasks: &mut JoinSet<()>) -> u16 {
    let authority = Authority::new(name).unwrap();
    let (chain, key) = der(&authority.issue(&Leaf::server([name])).unwrap());
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who goes away early is no concern of this.
            tokio::spawn(answer(acceptor.clone(), socket, name));
        }
    });
    port
}

async fn answer(acceptor: TlsAcceptor, socket: TcpStream, name: &str) -> std::io::Result<()> {
    let mut stream = acceptor.accept(socket).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let body = format!("{name} was asked for {path}\n");
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
