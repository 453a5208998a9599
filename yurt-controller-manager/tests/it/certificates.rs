//! Certificates of nodes: asked for with the identity of a kubelet, signed by the manager, shown to a server of ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use yurt_common::node_certificates::forgotten;
use yurt_common::node_certificates::verifier::{Verifier, follow};
use yurt_common::node_certificates::{FORGOTTEN, Role};
use yurt_testkit::ca::{Authority, Identity, Leaf};
use yurt_testkit::objects::node;
use yurt_testkit::{Api, ApiServer, wait_for};

use crate::manager::{Manager, NAMESPACE, SOON, grant, kubeconfig};

pub(crate) const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const MAPS: &str = "/api/v1/namespaces/yurt-system/configmaps";
const SECRETS: &str = "/api/v1/namespaces/yurt-system/secrets";

/// A request of `name` for the agent of `node`; returns the key.
pub(crate) async fn ask(api: &Api, name: &str, node: &str) -> KeyPair {
    ask_for(api, name, node, Role::TunnelAgent).await
}

/// The same, for another role.
pub(crate) async fn ask_for(api: &Api, name: &str, node: &str, role: Role) -> KeyPair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, role.organization());
    params.distinguished_name.push(DnType::CommonName, node);
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let mut usages = vec!["client auth", "digital signature"];
    if role == Role::TunnelServer {
        usages.push("server auth");
    }
    let request = json!({
        "metadata": {"name": name},
        "spec": {
            "signerName": role.signer(),
            "usages": usages,
            "request": STANDARD.encode(pem),
        },
    });
    let (code, answer) = api.post(REQUESTS, request).await.unwrap();
    assert_eq!(code, 201, "{answer}");
    key
}

/// Asks for another authority.
pub(crate) async fn replace(admin: &Api) {
    // Later than the whole second in which the present one was made.
    let soon = std::time::SystemTime::now() + Duration::from_secs(1);
    let soon = humantime::format_rfc3339_seconds(soon).to_string();
    let wish = json!({"metadata": {"annotations": {"yurt.openyurt.io/replace-before": soon}}});
    let secret = format!("{SECRETS}/yurt-tunnel-ca");
    assert_eq!(admin.patch(&secret, wish).await.unwrap().0, 200);
}

/// Waits until something was decided on a request.
pub(crate) async fn decided(admin: &Api, name: &str) -> Value {
    wait_for("a request to be decided", SOON, async || {
        let (_, request) = admin.get(&format!("{REQUESTS}/{name}")).await.unwrap();
        let status = &request["status"];
        let refused = status["conditions"][0]["type"] == "Denied";
        if refused || status["certificate"].is_string() {
            Ok(status.clone())
        } else {
            Err(request)
        }
    })
    .await
}

/// The certificate of a node's agent, asked for as its kubelet.
async fn certificate(server: &ApiServer, name: &str, node: &str) -> Identity {
    let key = ask(&server.as_node(node).unwrap(), name, node).await;
    let status = decided(server.admin(), name).await;
    let pem = STANDARD
        .decode(status["certificate"].as_str().unwrap_or_default())
        .unwrap();
    Identity {
        cert_pem: String::from_utf8(pem).unwrap(),
        key_pem: key.serialize_pem(),
    }
}

/// A server that lets nodes in, follows the cluster, and says `hello` and the node's name to each.
struct Gate {
    address: SocketAddr,
    authority: Authority,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Gate {
    async fn start(server: &ApiServer) -> Self {
        let verifier = Arc::new(Verifier::new(&[Role::TunnelAgent]));
        let file =
            Kubeconfig::from_yaml(&kubeconfig(server, server.admin_identity(), server.folder())).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let follower = {
            let verifier = Arc::clone(&verifier);
            tokio::spawn(async move { follow::follow(client, NAMESPACE, &verifier).await })
        };
        wait_for("the gate to know whom to let in", SOON, async || {
            verifier.is_ready()
        })
        .await;
        let authority = Authority::new("gate").unwrap();
        let own = authority.issue(&Leaf::server(["127.0.0.1"])).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(own.cert_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(verifier.server_config(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepts = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, verifier) = (acceptor.clone(), Arc::clone(&verifier));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Ok(peer) = verifier.peer(stream.get_ref().1.peer_certificates()) else {
                        return;
                    };
                    let hello = format!("hello {}\n", peer.node);
                    drop(stream.write_all(hello.as_bytes()).await);
                    verifier.refused(&peer).await;
                });
            }
        });
        Self {
            address,
            authority,
            tasks: vec![follower, accepts],
        }
    }

    /// Knocks with a certificate; an error where it is not let in.
    async fn enter(&self, identity: &Identity) -> Result<(String, TlsStream<TcpStream>), std::io::Error> {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(identity.cert_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = TcpStream::connect(self.address).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let mut hello = vec![0; 12];
        stream.read_exact(&mut hello).await?;
        Ok((String::from_utf8(hello).unwrap(), stream))
    }
}

pub(crate) async fn cluster() -> (ApiServer, Manager) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    for name in ["edge1", "edge2"] {
        node(name).ensure(server.admin()).await.unwrap();
    }
    let mut manager = Manager::start_with(
        &server,
        "one",
        &["--certificate-lifetime=12s", "--trust-delay=2s"],
    );
    manager.ready().await;
    (server, manager)
}

async fn list(admin: &Api, value: Option<String>) {
    let path = format!("{MAPS}/{FORGOTTEN}");
    let data = json!({"data": {"edge1": value}});
    if admin.get(&path).await.unwrap().0 == 404 {
        let map = json!({"metadata": {"name": FORGOTTEN}, "data": data["data"]});
        assert_eq!(admin.post(MAPS, map).await.unwrap().0, 201);
    } else {
        assert_eq!(admin.patch(&path, data).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn a_node_gets_a_certificate_for_itself_and_for_no_other() {
    let (server, manager) = cluster().await;
    let (admin, edge1) = (server.admin(), server.as_node("edge1").unwrap());
    certificate(&server, "own", "edge1").await;
    for (name, api, asked, reason) in [
        ("other", &edge1, "edge2", "AnotherNode"),
        ("nobody", admin, "edge1", "NoNode"),
    ] {
        ask(api, name, asked).await;
        let status = decided(admin, name).await;
        assert_eq!(status["conditions"][0]["type"], "Denied", "{status}");
        assert_eq!(status["conditions"][0]["reason"], reason, "{status}");
        assert!(status["certificate"].is_null(), "{status}");
        assert_eq!(manager.metric("certificate_requests_total", reason).await, 1);
    }
    assert_eq!(manager.metric("certificate_requests_total", "Signed").await, 1);
    // Requests to other signers are none of its business.
    let key = KeyPair::generate().unwrap();
    let pem = CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap();
    let foreign = json!({"metadata": {"name": "foreign"}, "spec": {
        "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"], "request": STANDARD.encode(pem),
    }});
    assert_eq!(admin.post(REQUESTS, foreign).await.unwrap().0, 201);
    certificate(&server, "again", "edge1").await;
    let (_, foreign) = admin.get(&format!("{REQUESTS}/foreign")).await.unwrap();
    assert_eq!(foreign["status"], json!({}), "{foreign}");
}

#[tokio::test]
async fn a_forgotten_node_is_out_within_five_seconds_and_comes_back_with_a_new_certificate() {
    let (server, _manager) = cluster().await;
    let admin = server.admin();
    let (old, other) = (
        certificate(&server, "old", "edge1").await,
        certificate(&server, "other", "edge2").await,
    );
    let gate = Gate::start(&server).await;
    let (hello, mut connection) = gate.enter(&old).await.unwrap();
    assert_eq!(hello, "hello edge1\n");

    let start = Instant::now();
    list(admin, Some(forgotten::forgotten(std::time::SystemTime::now()))).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(SOON, connection.read_to_end(&mut rest)).await;
    let after = start.elapsed();
    assert!(ended.is_ok() && rest.is_empty(), "{rest:?}");
    gate.enter(&old).await.map(|(hello, _)| hello).unwrap_err();
    assert!(after < Duration::from_secs(5), "{after:?}");
    eprintln!("the connection ended after {after:?}");
    gate.enter(&other).await.unwrap();
    ask(&server.as_node("edge1").unwrap(), "asks", "edge1").await;
    let status = decided(admin, "asks").await;
    assert_eq!(status["conditions"][0]["reason"], "ForgottenNode", "{status}");

    let (_, map) = admin.get(&format!("{MAPS}/{FORGOTTEN}")).await.unwrap();
    let value = map["data"]["edge1"].as_str().unwrap();
    list(admin, forgotten::remembered(value, std::time::SystemTime::now())).await;
    let new = certificate(&server, "new", "edge1").await;
    wait_for("the node to be let in again", SOON, async || {
        gate.enter(&new).await.is_ok()
    })
    .await;
    gate.enter(&old).await.map(|(hello, _)| hello).unwrap_err();
}

#[tokio::test]
async fn an_authority_is_replaced_while_nodes_come_and_go() {
    let (server, _manager) = cluster().await;
    let admin = server.admin();
    certificate(&server, "first", "edge1").await;
    let gate = Gate::start(&server).await;
    let secret = format!("{SECRETS}/yurt-tunnel-ca");
    let authority = async || {
        let (_, secret) = admin.get(&secret).await.unwrap();
        secret["data"]["tls.crt"].clone()
    };
    let before = authority().await;
    let now =
        humantime::format_rfc3339_seconds(std::time::SystemTime::now() + Duration::from_secs(1)).to_string();
    let wish = json!({"metadata": {"annotations": {"yurt.openyurt.io/replace-before": now}}});
    assert_eq!(admin.patch(&secret, wish).await.unwrap().0, 200);
    // At each moment of it a node gets a certificate, and is let in at once.
    let (mut round, mut seen) = (0, Vec::new());
    loop {
        let name = format!("round-{round}");
        let identity = certificate(&server, &name, "edge1").await;
        gate.enter(&identity).await.unwrap();
        let (_, stored) = admin.get(&secret).await.unwrap();
        let phase = ["next.crt", "retired.crt"].map(|key| stored["data"][key].is_string());
        if seen.last() != Some(&phase) {
            seen.push(phase);
        }
        if authority().await != before && phase == [false, false] {
            break;
        }
        round += 1;
        assert!(round < 2000, "{seen:?}");
    }
    assert!(
        seen.ends_with(&[[true, false], [false, true], [false, false]]),
        "{seen:?}"
    );
    wait_for("the old authority to be trusted no more", SOON, async || {
        let (_, trust) = admin.get(&format!("{MAPS}/yurt-tunnel-trust")).await.unwrap();
        trust["data"]["ca.crt"].as_str().unwrap().matches("BEGIN").count() == 1
    })
    .await;
}

#[tokio::test]
async fn a_damaged_authority_is_told_and_left_as_it_is() {
    let (server, manager) = cluster().await;
    let admin = server.admin();
    certificate(&server, "first", "edge1").await;
    let secret = format!("{SECRETS}/yurt-tunnel-ca");
    let broken = json!({"data": {"tls.crt": STANDARD.encode("half a certifi")}});
    assert_eq!(admin.patch(&secret, broken.clone()).await.unwrap().0, 200);
    ask(&server.as_node("edge1").unwrap(), "waits", "edge1").await;
    wait_for("the damage to be noticed", SOON, async || {
        manager
            .metric("failures_total", r#"reason="damaged-authority""#)
            .await
            >= 2
    })
    .await;
    wait_for("an event of it", SOON, async || {
        let path = "/apis/events.k8s.io/v1/namespaces/yurt-system/events";
        let (_, events) = admin.get(path).await.unwrap();
        let items = events["items"].as_array().unwrap();
        let told = items
            .iter()
            .any(|one| one["reason"] == "DamagedAuthority" && one["note"].as_str().unwrap().contains("tls"));
        if told { Ok(()) } else { Err(events) }
    })
    .await;
    let (_, stored) = admin.get(&secret).await.unwrap();
    assert_eq!(stored["data"]["tls.crt"], broken["data"]["tls.crt"]);
    let (_, request) = admin.get(&format!("{REQUESTS}/waits")).await.unwrap();
    assert_eq!(
        request["status"],
        json!({}),
        "approved although nobody can sign: {request}"
    );
    // Deleted by an operator: another one is made, and the request gets its certificate.
    assert_eq!(admin.delete(&secret).await.unwrap().0, 200);
    let status = decided(admin, "waits").await;
    assert!(status["certificate"].is_string(), "{status}");
}
