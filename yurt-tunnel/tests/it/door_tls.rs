//! Front door B over TLS: who may use it, and that its files are read again when they change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use yurt_testkit::ca::{Authority, Identity, Leaf};
use yurt_tunnel::files::{self, Files};
use yurt_tunnel::front::connect::{self, Door};
use yurt_tunnel::front::{Destination, Nodes};
use yurt_tunnel::transport::tls;

use crate::stage::{self, PATIENCE, RunningServer, soon};

/// How often the files are looked at here.
const LOOK: Duration = Duration::from_millis(20);

struct Nobody;

impl Nodes for Nobody {
    fn find(&self, _: &str, _: u16) -> Option<Destination> {
        None
    }
}

/// Who uses the door, and whom it takes for the door.
struct Client<'a> {
    identity: Option<Identity>,
    trusts: &'a Authority,
}

impl Client<'_> {
    /// The first line of the answer; none where there is no answer.
    async fn asks(&self, door: SocketAddr, target: SocketAddr) -> Option<String> {
        let identity = watch::Sender::new(self.identity.as_ref().map(certified));
        let roots = Arc::new(files::roots(&self.trusts.pem()).unwrap());
        let config = tls::client(identity.subscribe(), roots, b"http/1.1").unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tcp = TcpStream::connect(door).await.unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let mut stream = soon(connecting).await.ok()?;
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // With TLS 1.3 a client hears only here that its certificate is refused.
            head.push(soon(stream.read_u8()).await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        head.lines().next().map(ToOwned::to_owned)
    }
}

fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    Arc::new(CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).unwrap())
}

/// Writes what a Secret of the door has: its certificate by `own`, and `clients`, who vouch for who may use it.
fn write(folder: &Path, own: &Authority, clients: &str) {
    let identity = own.issue(&Leaf::server(["127.0.0.1"])).unwrap();
    identity.write(folder, "tls").unwrap();
    std::fs::write(folder.join("ca.crt"), clients).unwrap();
}

/// A client that `by` vouches for.
fn client<'a>(by: &Authority, trusts: &'a Authority) -> Client<'a> {
    Client {
        identity: Some(by.issue(&Leaf::new("apiserver")).unwrap()),
        trusts,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connect_port_takes_new_files_without_a_restart_and_bad_ones_never() {
    let tunnel = stage::Authority::new("tunnel");
    let server = RunningServer::start(&tunnel, "server-a", true).await;
    let authority = |name| Authority::new(name).unwrap();
    let (own, clients) = (authority("own"), authority("clients"));
    let (new_own, new_clients) = (authority("new own"), authority("new clients"));
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &own, &clients.pem());
    let files = Files {
        certificate: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
        trust: folder.path().join("ca.crt"),
    };
    let (acceptor, follow) = connect::tls::acceptor(files, LOOK).unwrap();
    let following = tokio::spawn(follow);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    let serving = Door::new(server.server.dialer(), Arc::new(Nobody)).tls(listener, acceptor);
    let serving = tokio::spawn(serving);
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target.local_addr().map(|address| (target, address)).unwrap();
    let ok = Some("HTTP/1.1 200 Connection established");

    assert_eq!(client(&clients, &own).asks(door, target.1).await.as_deref(), ok);
    let nobody = Client {
        identity: None,
        trusts: &own,
    };
    assert_eq!(nobody.asks(door, target.1).await, None);
    assert_eq!(client(&new_clients, &own).asks(door, target.1).await, None);

    // Key and certificate do not fit together for a moment, as where a volume is changed file by file.
    write(folder.path(), &new_own, &new_clients.pem());
    let new = client(&new_clients, &new_own);
    let taken = async {
        while new.asks(door, target.1).await.as_deref() != ok {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, taken).await.is_ok(), "not taken");
    assert_eq!(client(&clients, &new_own).asks(door, target.1).await, None);
    assert_eq!(client(&new_clients, &own).asks(door, target.1).await, None);

    write(folder.path(), &own, "no authority");
    for _ in 0..20 {
        assert_eq!(new.asks(door, target.1).await.as_deref(), ok);
        tokio::time::sleep(LOOK).await;
    }
    serving.abort();
    following.abort();
}
