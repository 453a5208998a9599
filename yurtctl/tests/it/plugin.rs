//! yurtctl as a plugin of kubectl.

use std::os::unix::fs::symlink;
use std::process::Output;

use serde_json::Value;

use crate::site::{Site, errors};

/// A real kubectl that finds yurtctl as `kubectl-yurt` in its `PATH`, and the cluster as the administrator's shell would say.
async fn kubectl(site: &Site, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_yurtctl"), folder.path().join("kubectl-yurt")).unwrap();
    let kubeconfig = site.kubeconfig("admin", site.server.admin_identity());
    let mut command = tokio::process::Command::new(yurt_testkit::binary("kubectl").unwrap());
    command
        .args(args)
        .env_clear()
        .env("PATH", folder.path())
        .env("HOME", folder.path())
        .env("KUBECONFIG", kubeconfig)
        .kill_on_drop(true);
    command.output().await.unwrap()
}

#[tokio::test]
async fn kubectl_finds_it_and_passes_on_arguments_cluster_and_exit_code() {
    let site = Site::start().await;
    site.node("edge1", true).await;
    let listed = kubectl(&site, &["plugin", "list", "--name-only"]).await;
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert_eq!(listed.lines().last(), Some("kubectl-yurt"), "{listed}");

    let shown = kubectl(&site, &["yurt", "version", "-o", "json"]).await;
    assert!(shown.status.success(), "{}", errors(&shown));
    let versions: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let (_, apiserver) = site.admin().get("/version").await.unwrap();
    assert_eq!(versions["cluster"], apiserver["gitVersion"], "{versions}");

    let refused = kubectl(&site, &["yurt", "node", "show", "nobody"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", errors(&refused));
    let senseless = kubectl(&site, &["yurt", "convert", "--no-such-flag"]).await;
    assert_eq!(senseless.status.code(), Some(2), "{}", errors(&senseless));
}
