//! Authorities, servers, agents and targets for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use yurt_common::node_certificates::Role;
use yurt_common::node_certificates::verifier::Verifier;
use yurt_tunnel::agent::targets::Targets;
use yurt_tunnel::agent::{self, Agent, Times};
use yurt_tunnel::dial::DialError;
use yurt_tunnel::files;
use yurt_tunnel::metrics::Metrics;
use yurt_tunnel::protocol::{Member, Target, VERSIONS, Versions};
use yurt_tunnel::server::listen::Listeners;
use yurt_tunnel::server::{self, Server};
use yurt_tunnel::transport::quic::Congestion;
use yurt_tunnel::transport::race::{Dialling, Ways};
use yurt_tunnel::transport::stream::TunnelStream;

/// Three times what anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Fails when it takes too long.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it took too long")
}

/// Waits until `holds`, looking again and again.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        Arc::new(files::roots(&self.pem).unwrap())
    }

    fn sign(&self, name: &str, organization: &str, dns: &[&str]) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = dns
            .iter()
            .map(|dns| SanType::DnsName((*dns).try_into().unwrap()))
            .collect();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap())
    }

    pub(crate) fn agent(&self, node: &str) -> Arc<CertifiedKey> {
        self.sign(node, "yurt:tunnel-agents", &[])
    }

    pub(crate) fn server(&self, id: &str) -> Arc<CertifiedKey> {
        self.sign(id, "yurt:tunnel-servers", &["yurt-tunnel-server"])
    }

    pub(crate) fn other(&self, name: &str) -> Arc<CertifiedKey> {
        self.sign(name, "somebody:else", &["yurt-tunnel-server"])
    }
}

/// A server that runs.
pub(crate) struct RunningServer {
    pub(crate) server: Arc<Server>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) members: watch::Sender<Vec<Member>>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    serving: JoinHandle<()>,
    peering: JoinHandle<()>,
}

impl RunningServer {
    pub(crate) async fn start(authority: &Authority, id: &str, with_udp: bool) -> Self {
        Self::start_at(authority, id, with_udp, ([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn start_at(authority: &Authority, id: &str, with_udp: bool, at: SocketAddr) -> Self {
        Self::speaking(VERSIONS, authority, id, with_udp, at).await
    }

    pub(crate) async fn speaking(
        versions: Versions,
        authority: &Authority,
        id: &str,
        with_udp: bool,
        at: SocketAddr,
    ) -> Self {
        let verifier = Arc::new(Verifier::new(&[Role::TunnelAgent, Role::TunnelServer]));
        verifier.trust(&authority.pem).unwrap();
        verifier.forget(&BTreeMap::new());
        let identity = watch::Sender::new(Some(authority.server(id)));
        let trust = watch::Sender::new(authority.roots());
        let (members, metrics) = (watch::Sender::default(), Arc::<Metrics>::default());
        let server = Server::new(server::Settings {
            identity: identity.subscribe(),
            verifier: Arc::clone(&verifier),
            members: members.clone(),
            budget: 1 << 30,
            congestion: Congestion::default(),
            versions,
            metrics: Arc::clone(&metrics),
        });
        let listeners = Listeners::bind(&server, at, with_udp).await.unwrap();
        let address = listeners.address().unwrap();
        let serving = tokio::spawn(listeners.serve(Arc::clone(&server)));
        let dialling = Arc::new(Dialling::new(identity.subscribe(), trust.subscribe()).unwrap());
        let peering = tokio::spawn(server::outgoing::run(Arc::clone(&server), dialling));
        Self {
            server,
            verifier,
            members,
            address,
            metrics,
            serving,
            peering,
        }
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            id: self.server.id(),
            addresses: vec![self.address.to_string()],
        }
    }

    /// Waits until it holds a node.
    pub(crate) async fn holds(&self, node: &str) {
        let dialer = self.server.dialer();
        until("the node is connected", || dialer.is_connected(node)).await;
    }

    pub(crate) async fn dial(&self, node: &str) -> Result<TunnelStream, DialError> {
        soon(self.server.dialer().dial(node, Target::Kubelet, PATIENCE)).await
    }

    /// Ends it, as SIGTERM without its patience does.
    pub(crate) async fn end(self) {
        self.server.end();
        soon(self.serving).await.unwrap();
        self.peering.abort();
    }
}

/// To which servers an agent connects, to how many of them, and what it speaks.
pub(crate) struct Listed<'a> {
    pub(crate) servers: &'a [SocketAddr],
    pub(crate) sessions: usize,
    pub(crate) versions: Versions,
    /// Further ports that it dials.
    pub(crate) policy: Option<watch::Receiver<BTreeSet<u16>>>,
}

/// An agent that runs until it is dropped.
pub(crate) struct RunningAgent {
    pub(crate) agent: Arc<Agent>,
    task: JoinHandle<()>,
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RunningAgent {
    pub(crate) fn start(
        authority: &Authority,
        identity: Arc<CertifiedKey>,
        servers: &[SocketAddr],
        ways: Ways,
        kubelet: u16,
    ) -> Self {
        Self::with_sessions(2, authority, identity, servers, (ways, kubelet))
    }

    pub(crate) fn with_sessions(
        sessions: usize,
        authority: &Authority,
        identity: Arc<CertifiedKey>,
        servers: &[SocketAddr],
        (ways, kubelet): (Ways, u16),
    ) -> Self {
        let listed = Listed {
            servers,
            sessions,
            versions: VERSIONS,
            policy: None,
        };
        Self::with(authority, identity, &listed, (ways, kubelet))
    }

    pub(crate) fn with(
        authority: &Authority,
        identity: Arc<CertifiedKey>,
        to: &Listed<'_>,
        (ways, kubelet): (Ways, u16),
    ) -> Self {
        let identity = watch::Sender::new(Some(identity));
        let trust = watch::Sender::new(authority.roots());
        let mut dialling = Dialling::new(identity.subscribe(), trust.subscribe()).unwrap();
        dialling.ways = ways;
        let agent = Agent::new(agent::Settings {
            node: "whatever-it-says".into(),
            dialling,
            targets: Targets {
                kubelet,
                allowed: [].into(),
                policy: to.policy.clone(),
            },
            bootstrap: to.servers.iter().map(ToString::to_string).collect(),
            folder: None,
            sessions: to.sessions,
            times: Times {
                rebalance: Duration::from_millis(300),
                ..Times::default()
            },
            versions: to.versions,
            metrics: Arc::default(),
        });
        let running = Arc::clone(&agent);
        let task = tokio::spawn(async move {
            let _kept = (identity, trust);
            running.run().await;
        });
        Self { agent, task }
    }
}

/// One server, one agent of node `edge1`, and a listener in the kubelet's place.
pub(crate) struct Stage {
    pub(crate) authority: Authority,
    pub(crate) server: RunningServer,
    pub(crate) agent: RunningAgent,
    pub(crate) kubelet: TcpListener,
}

impl Stage {
    pub(crate) async fn set(ways: Ways) -> Self {
        let authority = Authority::new("authority");
        let server = RunningServer::start(&authority, "server-a", true).await;
        let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = kubelet.local_addr().unwrap().port();
        let agent = RunningAgent::start(
            &authority,
            authority.agent("edge1"),
            &[server.address],
            ways,
            port,
        );
        server.holds("edge1").await;
        Self {
            authority,
            server,
            agent,
            kubelet,
        }
    }

    /// Both ends of a stream: that of who dialled, and the kubelet's.
    pub(crate) async fn stream(&self) -> (TunnelStream, TcpStream) {
        let (stream, accepted) = tokio::join!(self.server.dial("edge1"), soon(self.kubelet.accept()));
        (stream.unwrap(), accepted.unwrap().0)
    }
}

/// Both ways to travel.
pub(crate) const WAYS: [Ways; 2] = [Ways::Quic, Ways::Tcp];
