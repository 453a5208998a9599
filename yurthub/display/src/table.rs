//! A `Table` as the apiserver prints it for kubectl, from objects as JSON.
//!
//! Form: `Table` in `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`. Rows carry the metadata of their objects, from which
//! kubectl takes the namespace and labels.

use serde_json::{Value, json};

use crate::columns;

/// The table of `objects`, each with its version and kind left out as in a list. `version` is that of `meta.k8s.io`, `now`
/// in seconds since 1970.
pub fn of(
    (group, resource): (&str, &str),
    objects: impl Iterator<Item = Value>,
    version: &str,
    now: i64,
) -> Value {
    let api_version = format!("meta.k8s.io/{version}");
    let column = |column: &columns::Column| {
        json!({
            "name": column.name,
            "type": "string",
            "format": if column.name == "Name" { "name" } else { "" },
            "description": "",
            "priority": i32::from(column.wide),
        })
    };
    // Only metadata and cells of an object stay.
    let row = |mut object: Value| {
        json!({
            "cells": columns::cells(group, resource, &object, now),
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": api_version,
                "metadata": object.get_mut("metadata").map(Value::take),
            },
        })
    };
    json!({
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": {"resourceVersion": ""},
        "columnDefinitions": columns::of(group, resource).iter().map(column).collect::<Vec<_>>(),
        "rows": objects.map(row).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_each_column_and_the_metadata() {
        let node = json!({"metadata": {"name": "edge1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let table = of(("", "nodes"), std::iter::once(node), "v1", 0);
        let columns = table["columnDefinitions"].as_array().unwrap();
        assert_eq!(columns[0]["name"], "Name");
        assert_eq!(columns[0]["priority"], 0);
        assert_eq!(columns.last().unwrap()["priority"], 1);
        let row = &table["rows"][0];
        assert_eq!(row["cells"].as_array().unwrap().len(), columns.len());
        assert_eq!(row["cells"][1], "Ready");
        assert_eq!(row["object"]["metadata"]["name"], "edge1");
    }
}
