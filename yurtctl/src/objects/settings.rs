//! ConfigMap `yurt-hub-cfg` of an earlier yurtctl: what is still as yurtctl has set it follows the new defaults, the image
//! among them; what somebody else has set stays. The apiserver knows who has set which field (server-side apply).

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::Status;

use super::place;
use crate::MANAGER;
use crate::cluster::Cluster;

/// One with all fields, one without those of others, and one more where somebody changes something at this moment.
const ATTEMPTS: usize = 3;

/// Applies it. Returns a line for each field that is kept.
pub(super) async fn apply(cluster: &Cluster, mut object: DynamicObject) -> Result<Vec<String>> {
    let (api, name) = place(cluster, &object)?;
    let mut said = Vec::new();
    for attempt in 1.. {
        cluster.may_change().await?;
        let applied = api
            .patch(&name, &PatchParams::apply(MANAGER), &Patch::Apply(&object))
            .await;
        match applied {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {
                let conflicts = conflicts(&status);
                if conflicts.is_empty() {
                    return Err(kube::Error::Api(status)).with_context(|| format!("apply ConfigMap {name}"));
                }
                for conflict in conflicts {
                    let ours = drop_key(&mut object, &conflict.key);
                    said.push(format!(
                        "ConfigMap {}/{name}: `{}` stays as {} has set it; the default of this yurtctl is {}",
                        cluster.namespace,
                        conflict.key,
                        conflict.manager,
                        ours.trim(),
                    ));
                }
            }
            Err(error) => return Err(error).with_context(|| format!("apply ConfigMap {name}")),
        }
    }
    Ok(said)
}

/// A field that somebody else has set to something else.
#[derive(Debug, PartialEq, Eq)]
struct Conflict {
    key: String,
    manager: String,
}

/// Of the keys of its data (pure). Nothing, where another field is in conflict: that is nobody's setting.
fn conflicts(status: &Status) -> Vec<Conflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let found: Option<Vec<_>> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            // conflict with "kubectl-edit" using v1
            let manager = cause.message.split('"').nth(1).unwrap_or("somebody else");
            Some(Conflict {
                key: cause.field.strip_prefix(".data.")?.to_owned(),
                manager: manager.to_owned(),
            })
        })
        .collect();
    found.unwrap_or_default()
}

/// Takes a key out of the data; returns what it was to be.
fn drop_key(object: &mut DynamicObject, key: &str) -> String {
    let data = object.data.get_mut("data").and_then(|data| data.as_object_mut());
    let value = data.and_then(|data| data.remove(key));
    value
        .as_ref()
        .and_then(|value| value.as_str())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(causes: &serde_json::Value) -> Status {
        serde_json::from_value(json!({"status": "Failure", "code": 409, "details": {"causes": causes}}))
            .unwrap()
    }

    #[test]
    fn keys_with_dots_are_told_whole_and_with_who_set_them() {
        let cause = json!({
            "reason": "FieldManagerConflict", "field": ".data.config.yaml",
            "message": "conflict with \"kubectl-edit\" using v1",
        });
        let found = conflicts(&status(&json!([cause])));
        assert_eq!(
            found,
            [Conflict {
                key: "config.yaml".to_owned(),
                manager: "kubectl-edit".to_owned()
            }]
        );
    }

    #[test]
    fn a_conflict_about_anything_else_is_an_error() {
        let cause = json!({"reason": "FieldManagerConflict", "field": ".metadata.labels.a", "message": ""});
        assert!(conflicts(&status(&json!([cause]))).is_empty());
    }
}
