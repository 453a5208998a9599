//! `cargo xtask tidy`: rules about the repository's files that no compiler knows.
//!
//! Each rule is a line in a table; nothing is changed, only told.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use e2e::Cmd;
use e2e::progress::say;

/// What no file may hold, and why. Written in two parts so that this file does not.
const FORBIDDEN: [(&str, &str, &str); 12] = [
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("crates", ".io", "a host of a registry"),
    ("proxy.golang", ".org", "a host of a registry"),
    ("sum.golang", ".org", "a host of a registry"),
    ("deb.debian", ".org", "a host of a registry"),
    ("pypi", ".org", "a host of a registry"),
    ("registry.k8s", ".io", "a host of a registry"),
    ("docker", ".io", "a host of a registry"),
    ("ghcr", ".io", "a host of a registry"),
    ("quay", ".io", "a host of a registry"),
];
/// Files that tools write.
const EXEMPT: [&str; 1] = ["Cargo.lock"];

pub(crate) fn run() -> Result<ExitCode> {
    check()?;
    say("tidy");
    Ok(ExitCode::SUCCESS)
}

/// Checks every file that is tracked, or new and not ignored.
pub(crate) fn check() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = Cmd::new("git").arg("-C").arg(&root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let mut complaints = Vec::new();
    for name in list
        .run_ok()
        .context("list the repository's files")?
        .split_terminator('\0')
    {
        let file_name = Path::new(name)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if EXEMPT.contains(&file_name) {
            continue;
        }
        // A file that is deleted but still tracked, or not text, has nothing to complain about.
        if let Ok(text) = fs::read_to_string(root.join(name)) {
            complaints.extend(complaints_about(name, &text));
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("the repository is not tidy:\n  {}", complaints.join("\n  "))
}

fn complaints_about(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let is_rust = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "rs");
    if is_rust && !text.starts_with("//!") {
        complaints.push(format!(
            "{name}: does not begin with `//!` (what the file does, and what it does not)"
        ));
    }
    for (start, end, reason) in FORBIDDEN {
        let forbidden = format!("{start}{end}");
        for (index, line) in text.lines().enumerate() {
            if line.contains(&forbidden) {
                complaints.push(format!("{name}:{}: holds `{forbidden}`, {reason}", index + 1));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_for_rust_only() {
        assert_eq!(
            complaints_about("src/a.rs", "//! Good.\nfn a() {}\n"),
            Vec::<String>::new()
        );
        assert_eq!(complaints_about("src/a.rs", "fn a() {}\n").len(), 1);
        assert_eq!(complaints_about("a.sh", "#!/bin/bash\n"), Vec::<String>::new());
    }

    #[test]
    fn each_forbidden_name_is_found_with_its_line() {
        for (start, end, _) in FORBIDDEN {
            let complaints = complaints_about("a.md", &format!("fine\nsee {start}{end}x\n"));
            assert!(complaints[0].starts_with("a.md:2:"), "{complaints:?}");
        }
    }
}
