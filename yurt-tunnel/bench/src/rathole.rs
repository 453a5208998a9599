//! rathole 0.5 with noise encryption: the tunnel that ours is measured beside. It is installed into the user's cache.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::progress::say;
use yurt_testkit::process::{Process, Program};

use crate::tunnel::{Stand, free_address, reachable};
use crate::way::Way;

const VERSION: &str = "0.5.0";

/// Both of its ends.
pub(crate) struct Rathole {
    door: SocketAddr,
    _ends: [Process; 2],
}

impl Rathole {
    /// On loopback, to `target`.
    pub(crate) async fn start(stand: &Stand, target: SocketAddr) -> Result<Self> {
        let program = installed()?;
        let (private, public) = keys(&program)?;
        let (tunnel, door) = (free_address()?, free_address()?);
        let server = format!(
            "[server]\nbind_addr = \"{tunnel}\"\ndefault_token = \"bench\"\n\
             [server.transport]\ntype = \"noise\"\n[server.transport.noise]\nlocal_private_key = \"{private}\"\n\
             [server.services.bench]\nbind_addr = \"{door}\"\n"
        );
        let client = format!(
            "[client]\nremote_addr = \"{tunnel}\"\ndefault_token = \"bench\"\n\
             [client.transport]\ntype = \"noise\"\n[client.transport.noise]\nremote_public_key = \"{public}\"\n\
             [client.services.bench]\nlocal_addr = \"{target}\"\n"
        );
        let folder = stand.new_folder("rathole")?;
        let start = |end: &str, config: &str| {
            let file = folder.join(format!("{end}.toml"));
            std::fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
            Program::new(&program, folder.join(format!("{end}.log")))
                .arg(format!("--{end}"))
                .arg(&file)
                .start()
        };
        let ends = [start("server", &server)?, start("client", &client)?];
        let rathole = Self { door, _ends: ends };
        reachable(&rathole.way()).await.context("start rathole")?;
        Ok(rathole)
    }

    pub(crate) fn way(&self) -> Way {
        Way::Tcp(self.door)
    }
}

/// Where it is; installed if it is not there.
fn installed() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    let root = cache.join("yurt").join("bench");
    let program = root.join("bin").join("rathole");
    if !program.is_file() {
        say(format_args!(
            "installing rathole {VERSION} into {}",
            root.display()
        ));
        // Not `--locked`: what it locks is too old for today's compilers.
        let status = Command::new("cargo")
            .args([
                "install",
                "rathole",
                "--version",
                VERSION,
                "--no-default-features",
            ])
            .args(["--features", "server,client,noise", "--root"])
            .arg(&root)
            .stdout(Stdio::null())
            .status()
            .context("run cargo install")?;
        ensure!(status.success(), "cargo install rathole has failed ({status})");
    }
    Ok(program)
}

/// A private and a public key.
fn keys(program: &Path) -> Result<(String, String)> {
    let output = Command::new(program)
        .arg("--genkey")
        .output()
        .context("ask rathole for keys")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = |title: &str| {
        text.lines()
            .skip_while(|line| *line != title)
            .nth(1)
            .map(ToOwned::to_owned)
    };
    let keys = after("Private Key:").zip(after("Public Key:"));
    keys.with_context(|| format!("rathole said no keys but: {text}"))
}
