//! Tests only: the chart's values for yurthub are its settings, neither more nor fewer.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_json::Value;

use super::check;
use crate::args::Settings;

const SCHEMA: &str = include_str!("../../../charts/yurt/values.schema.json");
const DEFAULTS: &str = include_str!("../../../charts/yurt/values.yaml");
const EVERY_VALUE: &str = include_str!("../../../charts/yurt/ci/every-value.yaml");
/// Of one node, fixed by the unit, the kubelet's kubeconfig or yurtctl, for tests, or another name of `servers`.
const NOT_IN_CHART: [&str; 9] = [
    "adminSocket",
    "bootIdFile",
    "dataDir",
    "kubeconfig",
    "listen",
    "listenPeers",
    "nodeName",
    "poolNamespace",
    "server",
];

/// The keys of a configuration file, as the refusal of another one lists them.
fn keys_of_settings() -> BTreeSet<String> {
    let refusal = serde_yaml::from_str::<Settings>("noSuchKey: 1")
        .unwrap_err()
        .to_string();
    let (_, expected) = refusal.split_once("expected one of ").unwrap();
    // `a`, `b` at line 1: every second piece is a key.
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_chart_has_every_setting_that_is_the_same_on_all_nodes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut settings = keys_of_settings();
    for key in NOT_IN_CHART {
        assert!(settings.remove(key), "{key} is no setting");
    }
    assert_eq!(keys(&schema["properties"]["hub"]["properties"]), settings);
    for key in settings {
        let documented = |line: &str| {
            line.trim_start_matches([' ', '#'])
                .starts_with(&format!("{key}: "))
        };
        assert!(
            DEFAULTS.lines().any(documented),
            "values.yaml does not tell of {key}"
        );
    }
}

#[test]
fn what_the_schema_accepts_is_read_here() {
    let values: Value = serde_yaml::from_str(EVERY_VALUE).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let hub = &values["hub"];
    assert_eq!(keys(hub), keys(&schema["properties"]["hub"]["properties"]));
    check(&Settings::deserialize(hub).unwrap()).unwrap();
}
