//! What the manager wrote, by the apiserver's own book.
//!
//! Only the manager is in the book: leases and kubelets would fill it. Renewals of its own Lease are not counted.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The book.
pub(crate) struct Audit {
    log: PathBuf,
}

impl Audit {
    /// A book in `folder` about `user`, and the flags of the apiserver that keeps it.
    pub(crate) fn of(user: &str, folder: &Path) -> Result<(Self, [String; 2])> {
        let (policy, log) = (folder.join("audit-policy"), folder.join("audit.log"));
        let rules = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "Metadata", "users": [user], "verbs": ["create", "update", "patch", "delete"]},
                {"level": "None"},
            ],
        });
        std::fs::write(&policy, rules.to_string()).context("write the audit policy")?;
        let flags = [
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", log.display()),
        ];
        Ok((Self { log }, flags))
    }

    /// Writes until now.
    pub(crate) fn writes(&self) -> Result<usize> {
        // There is no file before the first entry.
        let text = match std::fs::read_to_string(&self.log) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.context("read the audit log")?,
        };
        Ok(count(&text))
    }
}

/// Writes of anything but Leases, refused ones too (pure).
fn count(log: &str) -> usize {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|entry| entry["objectRef"]["resource"] != "leases")
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_of_leases_do_not_count() {
        let entry = |resource: &str| json!({"objectRef": {"resource": resource}}).to_string();
        let log = [
            entry("leases"),
            entry("pods"),
            entry("nodes"),
            "{\"cut".to_owned(),
        ]
        .join("\n");
        assert_eq!(count(&log), 2);
    }
}
