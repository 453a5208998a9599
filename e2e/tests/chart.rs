//! The chart, installed by Helm in a real apiserver: what becomes of values, of upgrades and of another owner.
//!
//! Each test has an apiserver of its own: a release has cluster-wide objects, which tests of nodes use in the shared
//! cluster. Not here: nodes and controllers. So a namespace that is deleted stays, with the time of its deletion.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::{Cmd, Instance, Profile, progress};
use serde_json::{Value, json};
use tempfile::TempDir;
use yurt_testkit::ApiServer;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/yurt");
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/yurt.yaml");

const NAMESPACE: &str = "/api/v1/namespaces/yurt-system";
const ACCOUNT: &str = "/api/v1/namespaces/yurt-system/serviceaccounts/yurt-node-servant";
const SETTINGS: &str = "/api/v1/namespaces/yurt-system/configmaps/yurt-hub-cfg";
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/yurthub-node";
const RELEASES: &str = "/api/v1/namespaces/default/secrets";
const MANAGER: &str = "/metadata/labels/app.kubernetes.io~1managed-by";

/// An apiserver and its administrator.
struct Site {
    server: ApiServer,
    folder: TempDir,
    binaries: PathBuf,
}

impl Site {
    async fn start() -> Result<Self> {
        let server = ApiServer::start().await?;
        let folder = tempfile::tempdir()?;
        let identity = server.admin_identity();
        let (certificate, key) = identity.write(folder.path(), "admin")?;
        let authority = folder.path().join("ca.crt");
        std::fs::write(&authority, server.authority().pem())?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "admin",
            "clusters": [{"name": "admin", "cluster": {"server": server.url(), "certificate-authority": authority}}],
            "users": [{"name": "admin", "user": {"client-certificate": certificate, "client-key": key}}],
            "contexts": [{"name": "admin", "context": {"cluster": "admin", "user": "admin"}}],
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string())?;
        Ok(Self {
            server,
            folder,
            binaries: Instance::for_tests(Profile::Default)?.binaries(),
        })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let home = self.folder.path().join("helm");
        let cmd = Cmd::new(self.binaries.join(program)).args(args);
        let cmd = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"]
            .iter()
            .fold(cmd, |cmd, name| cmd.env(name, &home));
        Ok(cmd
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .run_ok()?)
    }

    /// Helm's `verb` for the release `yurt`, with the chart.
    fn helm(&self, verb: &str, args: &[&str]) -> Result<String> {
        self.run("helm", &[&[verb, "yurt", CHART], args].concat())
    }

    fn apply_manifests(&self) -> Result<String> {
        self.run("kubectl", &["apply", "--server-side", "-f", MANIFESTS])
    }

    async fn object(&self, path: &str) -> Result<Value> {
        let (status, object) = self.server.admin().get(path).await?;
        ensure!(status == 200, "GET {path}: {object}");
        Ok(object)
    }

    async fn managers(&self) -> Result<Vec<Value>> {
        let mut managers = Vec::new();
        for path in [NAMESPACE, ACCOUNT, SETTINGS, ROLE] {
            let object = self.object(path).await?;
            managers.push(object.pointer(MANAGER).cloned().context("find the label")?);
        }
        Ok(managers)
    }
}

#[tokio::test]
async fn a_release_is_installed_changed_and_removed_whole() -> Result<()> {
    let site = Site::start().await?;
    let start = Instant::now();
    site.helm("install", &[])?;
    let settings = site.object(SETTINGS).await?;
    let image = format!("yurt:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        settings["data"],
        json!({"config.yaml": "listenPods: 169.254.2.1:10268\n", "image": image,
               "imagePullPolicy": "IfNotPresent", "imagePullSecrets": ""})
    );
    let account = site.object(ACCOUNT).await?;
    assert_eq!(account["automountServiceAccountToken"], false);
    assert_eq!(site.managers().await?, ["Helm"; 4]);

    let refused = site.apply_manifests().unwrap_err().to_string();
    assert!(refused.contains("conflict with \"helm\""), "{refused}");
    assert_eq!(site.object(SETTINGS).await?, settings);

    let changes = [
        "--set=hub.listenPods=null,hub.logFormat=json,hub.filters=null",
        "--set=image.repository=registry.example/edge/yurt,image.pullSecrets[0].name=key",
    ];
    let refused = site.helm("upgrade", &changes).unwrap_err().to_string();
    assert!(refused.contains("/hub/filters"), "{refused}");
    let changes = ["--set=hub.listenPods=null,hub.logFormat=json", changes[1]];
    site.helm("upgrade", &changes)?;
    let settings = site.object(SETTINGS).await?;
    assert_eq!(settings["data"]["config.yaml"], "logFormat: json\n");
    assert_eq!(settings["data"]["imagePullSecrets"], "key");
    let account = site.object(ACCOUNT).await?;
    assert_eq!(account["imagePullSecrets"], json!([{"name": "key"}]));

    site.run("helm", &["uninstall", "yurt"])?;
    for path in [ACCOUNT, SETTINGS, ROLE] {
        assert_eq!(site.server.admin().get(path).await?.0, 404, "{path}");
    }
    let namespace = site.object(NAMESPACE).await?;
    assert!(
        namespace["metadata"]["deletionTimestamp"].is_string(),
        "{namespace}"
    );
    assert_eq!(site.object(RELEASES).await?["items"], json!([]));
    progress::say(format_args!(
        "chart: {:.1} s with Helm",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

#[tokio::test]
async fn plain_manifests_can_be_applied_again_and_handed_to_helm_and_back() -> Result<()> {
    let site = Site::start().await?;
    site.apply_manifests()?;
    let role = site.object(ROLE).await?;
    site.apply_manifests()?;
    assert_eq!(site.object(ROLE).await?, role);
    assert_eq!(site.managers().await?, ["yurtctl"; 4]);

    let refused = site.helm("install", &[]).unwrap_err().to_string();
    assert!(
        refused.contains("cannot be imported into the current release"),
        "{refused}"
    );
    site.helm("install", &["--take-ownership", "--force-conflicts"])?;
    assert_eq!(site.managers().await?, ["Helm"; 4]);

    let take_back = ["apply", "--server-side", "--force-conflicts", "-f", MANIFESTS];
    site.run("kubectl", &take_back)?;
    site.run("helm", &["uninstall", "yurt"])?;
    assert_eq!(site.managers().await?, ["yurtctl"; 4]);
    Ok(())
}
