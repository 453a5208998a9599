//! Tells the linker of the static program to write relative relocations in the short form (`DT_RELR`): half a megabyte
//! less.
//!
//! Only where the C library that is linked in can read them at its start, which glibc can since 2.36; a program that is
//! linked dynamically would need that on the node.

use std::env;
use std::process::Command;

const FIRST: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |variable: &str, wanted: &str| {
        env::var(variable).is_ok_and(|value| value.split(',').any(|one| one == wanted))
    };
    let is_static = is("CARGO_CFG_TARGET_FEATURE", "crt-static") && is("CARGO_CFG_TARGET_ENV", "gnu");
    let is_native = env::var("HOST").ok() == env::var("TARGET").ok();
    if is_static && is_native && glibc().is_some_and(|version| version >= FIRST) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
