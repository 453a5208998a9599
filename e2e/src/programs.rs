//! Our own programs as they are shipped: release, static, for one architecture.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::command::Cmd;
use crate::progress::say;

const BUILD_DEADLINE: Duration = Duration::from_mins(30);

/// A kind of processor that nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM with hardware floating point.
    Armv7,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::X86_64, Self::Aarch64, Self::Armv7];

    /// As Rust calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "armv7",
        }
    }

    /// As images call it, with the operating system.
    pub fn platform(self) -> &'static str {
        match self {
            Self::X86_64 => "linux/amd64",
            Self::Aarch64 => "linux/arm64",
            Self::Armv7 => "linux/arm/v7",
        }
    }

    /// Rust's target. What it needs beside Rust is known for one of them only.
    fn target(self) -> Result<&'static str> {
        match self {
            Self::X86_64 => Ok("x86_64-unknown-linux-gnu"),
            Self::Aarch64 | Self::Armv7 => bail!(
                "{self} is built nowhere yet: it needs a C compiler and a static C library for that target, and a \
                 machine to test on; x86_64 is what there is"
            ),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == name);
        known.with_context(|| format!("{name:?} is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// The programs in the image; each is called like its package.
pub const IN_THE_IMAGE: [&str; 4] = ["yurthub", "yurtctl", "yurt-controller-manager", "yurt-tunnel"];

/// Builds the program of `package` for `architecture`, and returns where it is. Each package alone: together they would
/// share features of their dependencies that only one of them wants.
///
/// # Errors
/// When cargo fails, or the architecture is one that nobody builds for.
pub fn build(package: &str, architecture: Architecture) -> Result<PathBuf> {
    let target = architecture.target()?;
    let profile = profile(package);
    say(format_args!("building {package} ({profile}, static)"));
    Cmd::new("env")
        .args(foreign_variables().flat_map(|name| ["--unset".to_owned(), name]))
        .args([
            "cargo",
            "build",
            "--package",
            package,
            "--profile",
            profile,
            "--target",
            target,
        ])
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .deadline(BUILD_DEADLINE)
        .run_ok()
        .with_context(|| format!("build {package}"))?;
    Ok(target_folder().join(target).join(profile).join(package))
}

/// The profile in which a package is shipped.
fn profile(package: &str) -> &'static str {
    match package {
        "yurtctl" | "yurt-controller-manager" => "tool",
        _ => "release",
    }
}

/// The yurtctl that tests use: built once in this process, or what the variable `YURT_CTL_BINARY` names.
///
/// # Errors
/// When cargo fails.
pub fn yurtctl() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    given_or_built(&BUILT, "yurtctl", "YURT_CTL_BINARY")
}

/// The yurthub that tests install: built once in this process, or what the variable `YURT_HUB_BINARY` names.
///
/// # Errors
/// When cargo fails.
pub fn yurthub() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    given_or_built(&BUILT, "yurthub", "YURT_HUB_BINARY")
}

/// The yurt-controller-manager that tests use: built once in this process, or what the variable `YURT_MANAGER_BINARY`
/// names.
///
/// # Errors
/// When cargo fails.
pub fn controller_manager() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    given_or_built(&BUILT, "yurt-controller-manager", "YURT_MANAGER_BINARY")
}

/// The yurt-tunnel that tests use: built once in this process, or what the variable `YURT_TUNNEL_BINARY` names.
///
/// # Errors
/// When cargo fails.
pub fn tunnel() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    given_or_built(&BUILT, "yurt-tunnel", "YURT_TUNNEL_BINARY")
}

fn given_or_built(
    built: &'static OnceLock<Result<PathBuf, String>>,
    package: &str,
    variable: &str,
) -> Result<&'static Path> {
    let program = built.get_or_init(|| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .map_or_else(|| build(package, Architecture::X86_64), Ok)
            .map_err(|error| format!("{error:#}"))
    });
    program.as_deref().map_err(|error| anyhow!("{error}"))
}

/// What cargo told us of our own package. Build scripts (ring's) run again when such a variable changes, and everything
/// after them: xtask and the tests would each build anew what the other has built.
fn foreign_variables() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    ours.parent().unwrap_or(ours).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_is_known_by_its_name() {
        for architecture in Architecture::ALL {
            assert_eq!(architecture.name().parse::<Architecture>().unwrap(), architecture);
        }
        let error = "riscv64".parse::<Architecture>().unwrap_err().to_string();
        assert!(error.contains("x86_64, aarch64, armv7"), "{error}");
    }

    #[test]
    fn nobody_builds_for_arm_yet() {
        for architecture in [Architecture::Aarch64, Architecture::Armv7] {
            let error = build("yurthub", architecture).unwrap_err().to_string();
            assert!(error.contains("built nowhere yet"), "{error}");
        }
    }
}
