//! The policy of a node, in a running agent: a change is followed without a new session.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;
use yurt_tunnel::agent::policy::Policy;
use yurt_tunnel::dial::DialError;
use yurt_tunnel::protocol::{Reason, Target, VERSIONS};
use yurt_tunnel::transport::race::Ways;

use crate::stage::{Authority, Listed, PATIENCE, RunningAgent, RunningServer, soon};

/// How often the policy is looked at here.
const LOOK: Duration = Duration::from_millis(20);

/// Puts `text` in the place of the node's file as a mounted ConfigMap changes: by turning a link.
fn turn(folder: &Path, version: &str, text: &str) {
    let data = folder.join(version);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("edge1"), text).unwrap();
    std::os::unix::fs::symlink(version, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

/// Waits until dials to `port` of the node are let through, or are not any more.
async fn becomes(server: &RunningServer, port: u16, allowed: bool) {
    let dialer = server.server.dialer();
    let waiting = async {
        loop {
            match dialer.dial("edge1", Target::Port(port), PATIENCE).await {
                Ok(_) if allowed => return,
                Err(DialError::Refused {
                    reason: Reason::NotAllowed,
                    ..
                }) if !allowed => return,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    };
    let changed = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(changed.is_ok(), "port {port} allowed: {allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_follows_the_policy_of_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::open(folder.path(), "edge1");
    let ports = policy.ports();
    let following = tokio::spawn(policy.follow(LOOK));
    let authority = Authority::new("authority");
    let server = RunningServer::start(&authority, "server-a", true).await;
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let listed = Listed {
        servers: &[server.address],
        sessions: 1,
        versions: VERSIONS,
        policy: Some(ports),
    };
    let identity = authority.agent("edge1");
    let agent = RunningAgent::with(&authority, identity, &listed, (Ways::Quic, port(&kubelet)));
    server.holds("edge1").await;
    let mut sessions = agent.agent.held();
    sessions.mark_unchanged();
    let exporter = (port(&exporter), exporter);

    becomes(&server, exporter.0, false).await;
    std::os::unix::fs::symlink("..data/edge1", folder.path().join("edge1")).unwrap();
    turn(
        folder.path(),
        "..1",
        &format!("# node exporter\n{}\n", exporter.0),
    );
    becomes(&server, exporter.0, true).await;
    // A stream that runs goes on when its port is allowed no more.
    let dialled = server.server.dialer();
    let dialled = dialled.dial("edge1", Target::Port(exporter.0), PATIENCE);
    let mut stream = soon(dialled).await.unwrap();
    turn(folder.path(), "..2", &format!("{}, https", exporter.0));
    becomes(&server, exporter.0, false).await;
    stream.writer.write("still".into()).await.unwrap();
    server.dial("edge1").await.unwrap();
    turn(folder.path(), "..3", &exporter.0.to_string());
    becomes(&server, exporter.0, true).await;
    assert!(!sessions.has_changed().unwrap(), "the session is another one");
    following.abort();
}
