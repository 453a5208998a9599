//! The Lease of each server: that it lives.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::{Failure, call};

/// The name of a Lease is this and the server's id.
const PREFIX: &str = "yurt-tunnel-server-";
/// The labels of what servers write; yurtctl finds Leases by them.
pub(super) const LABELS: [(&str, &str); 4] = [
    ("app.kubernetes.io/name", "yurt"),
    ("app.kubernetes.io/part-of", "yurt"),
    ("app.kubernetes.io/component", "tunnel-server"),
    ("app.kubernetes.io/managed-by", "yurt-tunnel"),
];

/// The field manager of a server. It has at most 128 characters: of a longer name the end, which differs most.
pub(super) fn manager(id: &str) -> String {
    let skipped = id.len().saturating_sub(128 - PREFIX.len());
    format!("{PREFIX}{}", id.get(skipped..).unwrap_or_default())
}

pub(super) fn is_code(error: &kube::Error, codes: &[u16]) -> bool {
    matches!(error, kube::Error::Api(status) if codes.contains(&status.code))
}

/// Says that the server lives.
pub(super) async fn renew(leases: &Api<Lease>, id: &str, duration: Duration) -> Result<(), Failure> {
    let name = format!("{PREFIX}{id}");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "labels": LABELS.into_iter().collect::<BTreeMap<_, _>>()},
        "spec": {
            "holderIdentity": id,
            "leaseDurationSeconds": duration.as_secs().max(1),
            "renewTime": format!("{:.6}", Timestamp::now()),
        },
    });
    let params = PatchParams::apply(&manager(id)).force();
    let patch = Patch::Apply(lease);
    call(
        "apply the Lease of this server",
        leases.patch(&name, &params, &patch),
    )
    .await
    .map(|_| ())
}

/// Says that it does not live any more.
pub(super) async fn give_up(leases: &Api<Lease>, id: &str) -> Result<(), Failure> {
    let name = format!("{PREFIX}{id}");
    let params = DeleteParams::default();
    match call("delete the Lease of this server", leases.delete(&name, &params)).await {
        Err(Failure::Api(_, error)) if is_code(&error, &[404]) => Ok(()),
        done => done.map(|_| ()),
    }
}

/// When each server has renewed its Lease, in its own words.
pub(super) async fn renewals(leases: &Api<Lease>) -> Result<BTreeMap<String, String>, Failure> {
    let ours: Vec<_> = LABELS
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let params = ListParams::default().labels(&ours.join(","));
    let found = call("list the Leases of servers", leases.list(&params)).await?;
    let renewal = |lease: Lease| {
        let id = lease.metadata.name?.strip_prefix(PREFIX)?.to_owned();
        Some((id, lease.spec?.renew_time?.0.to_string()))
    };
    Ok(found.items.into_iter().filter_map(renewal).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_manager_is_never_too_long() {
        assert_eq!(manager("m1"), "yurt-tunnel-server-m1");
        let long = format!("{}-1", "a".repeat(251));
        assert!(manager(&long).len() <= 128 && manager(&long).ends_with("a-1"));
    }
}
