//! Where the Kubernetes binaries are. They are built by `cargo xtask setup`; this only finds them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The version that is tested against when `K8S_VERSION` does not say otherwise.
const DEFAULT_VERSION: &str = "1.34.4";

/// The path of `etcd`, `kube-apiserver`, `kubectl`, … in the user's cache:
/// `${XDG_CACHE_HOME:-$HOME/.cache}/yurt/bin-${K8S_VERSION}`. Fails with what to do when it is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let version = std::env::var("K8S_VERSION").unwrap_or_else(|_| DEFAULT_VERSION.to_owned());
    let path = cache_folder()?
        .join("yurt")
        .join(format!("bin-{version}"))
        .join(name);
    ensure!(
        path.is_file(),
        "`{}` is missing: run `cargo xtask setup`",
        path.display()
    );
    Ok(path)
}

fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_says_how_to_get_it() {
        let error = binary("no-such-binary").unwrap_err().to_string();
        assert!(
            error.contains("no-such-binary") && error.contains("cargo xtask setup"),
            "{error}"
        );
    }
}
